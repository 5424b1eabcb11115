/* pace: how many bulk requests at a time a path is given, found by climbing the hill of goodput.
 * Pure: time comes with the samples.
 *
 * One move at a time, judged by the goodput of the epoch behind it against that of the epoch before
 * it. An epoch counts only while all that is allowed was in use: else the source, the memory or the
 * work was the limit and says nothing of the path. A fall of goodput without a move of ours is the
 * path's doing, and so is silence: the number stays, so that after an outage all goes on at once.
 */
#ifndef REPL_NET_PACE_H
#define REPL_NET_PACE_H

#include <stdbool.h>
#include <stdint.h>

enum pace_reason {
    PACE_START,  /* nothing is known yet */
    PACE_TRIED,  /* more, to see whether it pays */
    PACE_PAID,   /* it did */
    PACE_UNDONE, /* it did not */
    PACE_WASTE,  /* fewer: too much is sent twice */
    PACE_WINDOW, /* more: the peer's windows hold us, not the network */
};

/* What happened since the last sample. */
struct pace_input {
    uint64_t now_us;
    uint64_t span_us;
    uint64_t moved_bytes; /* acknowledged, and received */
    uint64_t sent_bytes;  /* by TCP, repeats included */
    uint64_t retrans_bytes;
    uint64_t busy_us;   /* over all connections: there was something to send */
    uint64_t window_us; /* of that: held by the peer's window */
    uint32_t min_rtt_us;
    unsigned in_use; /* bulk requests under way */
    unsigned most;   /* lanes allowed */
    bool is_patient; /* the connections take random loss in their stride (BBR); CUBIC does not */
};

struct pace_epoch {
    uint64_t span_us;
    uint64_t full_us; /* of it: all that is allowed was in use */
    uint64_t moved_bytes;
    uint64_t sent_bytes;
    uint64_t retrans_bytes;
    uint64_t busy_us;
    uint64_t window_us;
};

struct pace {
    unsigned lanes; /* allowed now; 0 before the first sample */
    enum pace_reason reason;
    struct pace_epoch epoch;
    unsigned skip;       /* epochs that only let a move take effect */
    unsigned before;     /* lanes before the move that is on trial; 0: none is */
    double goodput;      /* bytes a second of the last epoch that counted */
    double goodput_then; /* … before the move */
    double own_loss;     /* least share of repeats seen lately: the path's own */
    uint64_t own_loss_us;
    uint64_t rest_until_us; /* no try upwards before it */
    unsigned epochs;        /* that counted */
};

void pace_init(struct pace *p);
/* Every 100 to 200 ms while something is under way. True: a decision was made, see reason. */
bool pace_sample(struct pace *p, const struct pace_input *in);
unsigned pace_lanes(const struct pace *p, unsigned most);
const char *pace_reason_name(enum pace_reason reason);

#endif
