/* link: what one direction of a WAN does to each packet. Pure: no I/O, time is an argument
 * (nanoseconds that never go back), chance comes from a seed.
 *
 * A packet meets, in this order: the outage, the policer, the drop-tail queue before the
 * bottleneck, the loss behind it (so that a lost packet has used the link), and the delay. Packets
 * are never reordered. Sizes are those of IP packets. */
#ifndef WAN_LINK_H
#define WAN_LINK_H

#include <stdbool.h>
#include <stdint.h>

struct link_settings {
    double rate_bps;    /* of the bottleneck; 0: no limit */
    double queue_ns;    /* longest wait before the bottleneck */
    double queue_bytes; /* the same as a size; used when it is not 0 */
    double delay_ns;
    double jitter_ns;    /* up to this is added to the delay; it wanders, see link.c */
    double loss;         /* share of packets, 0 to 1 */
    double burst;        /* mean number of packets lost in a row; up to 1: each by itself */
    double policer_bps;  /* what is faster is dropped without a queue; 0: none */
    double bucket_ns;    /* depth of the policer's token bucket at its rate */
    double bucket_bytes; /* the same as a size; used when it is not 0 */
};

#define LINK_FATES(X)   X(passed) X(outage) X(policer) X(queue) X(loss) X(overflow)
#define LINK_FATE(name) LINK_##name,
/* overflow: the emulator's own memory was full; a run that has any proves nothing. */
enum link_fate { LINK_FATES(LINK_FATE) LINK_FATE_COUNT };
#undef LINK_FATE

struct link_count {
    uint64_t packets;
    uint64_t bytes;
};

struct link {
    struct link_settings settings;
    struct link_count counts[LINK_FATE_COUNT];
    uint64_t random;
    int64_t free_ns;   /* when the bottleneck will have sent all that waits */
    int64_t outage_ns; /* end of the outage */
    int64_t tokens_at_ns;
    double tokens_bytes;
    bool is_losing; /* in a burst */
    double jitter_from_ns, jitter_to_ns;
    int64_t jitter_begin_ns;
    int64_t last_due_ns;
};

void link_init(struct link *link, uint64_t seed);
/* What waits stays in the queue and leaves at the new rate. */
void link_set(struct link *link, const struct link_settings *settings, int64_t now_ns);
/* Judges and counts one packet; ret_due_ns is when a passed one arrives. */
enum link_fate link_take(struct link *link, int64_t now_ns, uint32_t bytes, int64_t *ret_due_ns);
/* Counts a passed packet as overflow after all. */
void link_give_up(struct link *link, uint32_t bytes);
const char *link_fate_name(enum link_fate fate);
/* How long a packet would wait before the bottleneck. */
int64_t link_queue_ns(const struct link *link, int64_t now_ns);

#endif
