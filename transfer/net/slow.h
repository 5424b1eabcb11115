/* slow: which lane of a set has fallen so far behind its peers that a new one is better. That is
 * how a BBR flow shows that has left its start too early (5 of 200 Mbit/s for 10 s and more), and
 * one that goes through a bad address. Pure. */
#ifndef REPL_NET_SLOW_H
#define REPL_NET_SLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A quarter of the median, as was meant at first, is what BBR flows that share a full link come to
 * by themselves: 12 % of all bytes were sent again for nothing (500 Mbit/s, 150 ms, 20 lanes). */
#define SLOW_PEERS     3 /* lanes with work, at least: two cannot say which of them is wrong */
#define SLOW_FLOOR_BPS ((uint64_t)32 * 1024) /* bytes a second */
#define SLOW_SHARE     10                    /* a lane is behind below a tenth of the median … */
#define SLOW_US        ((uint64_t)5000000)   /* … for so long, or … */
#define SLOW_RTTS      20                    /* … so many round trips */

struct slow_lane {
    uint64_t rate_bps; /* in: bytes a second, over a second or more */
    bool has_work;     /* in: there is something to send or to receive */
    uint64_t since_us; /* kept here: behind since then; 0 when it is not, and at the start */
};

/* Looks at all lanes at one time, two times a second or so. Returns the one to be replaced, the
 * slowest if there are several; -1: none. rtt_us: 0 = not known. */
int slow_find(struct slow_lane *lanes, size_t count, uint64_t now_us, uint32_t rtt_us);

#endif
