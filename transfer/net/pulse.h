/* pulse: whether a connection with work is alive. Progress is any byte from the peer and any byte
 * that its kernel acknowledges: a slow upload is no stall, however long the peer says nothing.
 * Pure: time is an argument (monotonic ms, never 0). */
#ifndef REPL_NET_PULSE_H
#define REPL_NET_PULSE_H

#include <stdbool.h>
#include <stdint.h>

struct pulse {
    uint32_t ask_ms;  /* without progress for so long: ask the peer */
    uint32_t dead_ms; /* and then for so long: give it up */
    uint64_t progress;
    uint64_t moved_ms; /* of the last progress; 0: not watched */
    uint64_t asked_ms; /* 0: not since then */
};

enum pulse_says { PULSE_ALIVE, PULSE_ASK, PULSE_DEAD };

/* There is nothing to wait for: the watch begins anew with the next check. */
void pulse_rest(struct pulse *p);
/* progress: a sum that grows with each byte. PULSE_ASK comes once in each silence. */
enum pulse_says pulse_check(struct pulse *p, uint64_t progress, uint64_t now_ms);

#endif
