/* pulse: whether a connection with work is alive. A byte from the peer says so. What its kernel
 * acknowledges says so only while more is on its way: a slow upload is no stall, however long the
 * peer says nothing; but the kernel of a peer that hangs acknowledges our question, too.
 * Pure: time is an argument (monotonic ms, never 0). */
#ifndef REPL_NET_PULSE_H
#define REPL_NET_PULSE_H

#include <stdbool.h>
#include <stdint.h>

struct pulse {
    uint32_t ask_ms;  /* without a sign for so long: ask the peer */
    uint32_t dead_ms; /* and then for so long: give it up */
    uint64_t came;
    uint64_t acked;
    uint64_t moved_ms; /* of the last sign; 0: not watched */
    uint64_t asked_ms; /* 0: not since then */
};

/* Sums that grow with each byte. */
struct pulse_seen {
    uint64_t came;  /* from the peer */
    uint64_t acked; /* by its kernel */
    uint64_t sent;  /* to our kernel; acked reaches it when nothing is on its way */
};

enum pulse_says { PULSE_ALIVE, PULSE_ASK, PULSE_DEAD };

/* There is nothing to wait for: the watch begins anew with the next check. */
void pulse_rest(struct pulse *p);
/* PULSE_ASK comes once in each silence. */
enum pulse_says pulse_check(struct pulse *p, const struct pulse_seen *seen, uint64_t now_ms);

#endif
