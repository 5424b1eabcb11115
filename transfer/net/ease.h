/* ease: how fast bulk may leave while small objects want to pass. BBR keeps the queue before a slow
 * link full, and drops the tails of what comes in between: over 500 Mbit/s, 150 ms and a queue of
 * 100 ms 12 lanes had one packet in ten repeated, every fourth object of 16 KiB lost some of its
 * own, and one in twenty took more than a second. So while small requests are under way, and for
 * some seconds after, the lanes of bulk together get a limit: what has passed at first, lower while
 * round trips say that there is a queue, higher while they do not. It settles a tenth above the
 * rate of the link, since a lane rests between two parts. Where round trips stay long however
 * little we send, the queue is that of others, and bulk is not held back for them. Pure: time is an
 * argument, monotonic microseconds. */
#ifndef REPL_NET_EASE_H
#define REPL_NET_EASE_H

#include <stdbool.h>
#include <stdint.h>

#define EASE_LINGER_US 5000000  /* after the last small request */
#define EASE_VAIN_US   60000000 /* no more tries for so long, after one that was in vain */

/* Since the sample before. */
struct ease_sample {
    uint64_t now_us;
    uint64_t span_us;
    uint64_t passed_bytes; /* sent by TCP for the first time; 0 where the kernel does not say */
    uint32_t min_rtt_us;   /* 0 = not known */
    uint32_t rtt_us;       /* smoothed, mean of the lanes; 0 = not known */
    bool has_small;        /* small requests are under way */
    bool has_bulk;         /* … and bulk */
};

struct ease {
    double limit_bps;     /* bytes a second of all bulk; 0: none */
    double passed_bps;    /* smoothed */
    double first_bps;     /* what passed before there was a limit */
    uint64_t small_us;    /* when small requests were last under way; 0: never */
    uint64_t queued_us;   /* without a limit: there is a queue since then; 0: there is none */
    uint64_t step_us;     /* of the last change */
    uint32_t step_rtt_us; /* … and the round trip then */
    uint64_t vain_us;     /* none before; 0: any time */
};

/* Returns the limit. A zeroed struct is a good beginning. */
uint64_t ease_sample(struct ease *e, const struct ease_sample *s);

#endif
