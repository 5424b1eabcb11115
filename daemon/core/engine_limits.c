/* Limits of rules and endpoints by the time of day, brought to the scheduler. */
#include "daemon/core/engine_impl.h"

static uint64_t rate_of(const struct limit *l, unsigned minute)
{
    const struct limit_entry *e = limit_at(l, minute);
    return e != NULL ? e->rate : 0;
}

void engine_limits_apply(struct engine *e)
{
    unsigned minute = time_minute_of_day(loop_wall_ms(e->loop));
    if (e->sched == NULL || e->sched_stopping) {
        return;
    }
    LIST_FOR (link, &e->rules) {
        const struct rule *r = &CONTAINER_OF(link, struct engine_rule, link)->rule;
        sched_limit_group(e->sched, r->number,
                          &(struct sched_limit){.bytes = rate_of(&r->bandwidth, minute),
                                                .requests = rate_of(&r->requests, minute)});
    }
    LIST_FOR (link, &e->endpoints) {
        const struct engine_endpoint *ep = CONTAINER_OF(link, struct engine_endpoint, link);
        sched_limit_endpoint(
            e->sched, ep->store,
            &(struct sched_limit){.bytes = rate_of(&ep->conf->bandwidth, minute),
                                  .requests = rate_of(&ep->conf->requests, minute)});
    }
}

const char *engine_limit_now(struct engine *e, const struct limit *l)
{
    const struct limit_entry *now = limit_at(l, time_minute_of_day(loop_wall_ms(e->loop)));
    return now != NULL ? now->text : NULL;
}
