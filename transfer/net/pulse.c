#include "transfer/net/pulse.h"

void pulse_rest(struct pulse *p)
{
    p->moved_ms = 0;
    p->asked_ms = 0;
}

static bool has_moved(const struct pulse *p, const struct pulse_seen *seen)
{
    return p->moved_ms == 0 || seen->came != p->came ||
           (seen->acked != p->acked && seen->acked < seen->sent);
}

enum pulse_says pulse_check(struct pulse *p, const struct pulse_seen *seen, uint64_t now_ms)
{
    bool moved = has_moved(p, seen);
    p->came = seen->came;
    p->acked = seen->acked;
    if (moved) {
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
