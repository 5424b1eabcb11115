/* The time of the engine. A wall clock that is set back would accept changes at times that the
 * watermark has passed: what is new would count as replicated. So this time goes on, at half its
 * pace until the clock has caught up: it stands still for nobody who waits, and the two meet. */
#include "daemon/core/engine_impl.h"

int64_t engine_now_ms(struct engine *e)
{
    struct engine_clock *c = &e->clock;
    int64_t wall_ms = loop_wall_ms(e->loop);
    uint64_t at_ms = loop_now_ms(e->loop);
    int64_t least_ms = c->wall_ms + (int64_t)((at_ms - c->at_ms) / 2);
    if (wall_ms < least_ms) {
        return least_ms;
    }
    *c = (struct engine_clock){.wall_ms = wall_ms, .at_ms = at_ms};
    return wall_ms;
}

void engine_clock_passed(struct engine *e, int64_t wall_ms)
{
    if (engine_now_ms(e) <= wall_ms) {
        e->clock = (struct engine_clock){.wall_ms = wall_ms + 1, .at_ms = loop_now_ms(e->loop)};
    }
}
