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

/* Near the end there are lanes without work, and one slow lane keeps a job waiting: 16 MiB at 15 of
 * 500 Mbit/s were the last 10 of 50 s. Sent once more on an idle lane they would be there sooner,
 * but only after the first attempt is out of the way. */
#define SLOW_ANEW_RTTS 4 /* the old connection is closed, a pause, the way there and back */
#define SLOW_SOONER    2 /* × sooner at least, for bytes that are sent twice */

struct slow_rest {
    uint64_t size;      /* bytes of the request */
    uint64_t left;      /* of them not there yet */
    uint64_t rate_bps;  /* of its lane; 0 = nothing moves */
    uint64_t other_bps; /* of the best idle lane; 0 = not known */
};

/* Whether the request is better begun anew. */
bool slow_is_sooner_anew(const struct slow_rest *r, uint32_t rtt_us);

#endif
