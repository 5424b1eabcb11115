#include "transfer/net/pulse.h"

void pulse_rest(struct pulse *p)
{
    p->moved_ms = 0;
    p->asked_ms = 0;
}

enum pulse_says pulse_check(struct pulse *p, uint64_t progress, uint64_t now_ms)
{
    if (p->moved_ms == 0 || progress != p->progress) {
        p->progress = progress;
        p->moved_ms = now_ms;
        p->asked_ms = 0;
        return PULSE_ALIVE;
    }
    if (p->asked_ms != 0) {
        return now_ms - p->asked_ms >= p->dead_ms ? PULSE_DEAD : PULSE_ALIVE;
    }
    if (now_ms - p->moved_ms >= p->ask_ms) {
        p->asked_ms = now_ms;
        return PULSE_ASK;
    }
    return PULSE_ALIVE;
}
