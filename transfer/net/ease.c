#include "transfer/net/ease.h"

#define SMOOTH  0.3
#define QUEUED  1.25 /* × the least round trip: there is a queue */
#define LESS    0.95
#define MORE    1.02
#define SHRINKS 0.95 /* × the round trip of the step before: the queue does so by itself */
#define LEAST   0.5  /* of what passed at first: less is no help */
#define SURE_US 1500000
#define STEP_US 500000 /* or two round trips, until a change can be seen */

static void forget(struct ease *e)
{
    e->limit_bps = 0;
    e->queued_us = 0;
}

static bool is_wanted(struct ease *e, const struct ease_sample *s)
{
    e->small_us = s->has_small ? s->now_us : e->small_us;
    return s->has_bulk && e->small_us != 0 && s->now_us - e->small_us < EASE_LINGER_US &&
           s->now_us >= e->vain_us;
}

static bool is_queued(const struct ease_sample *s)
{
    return (double)s->rtt_us > QUEUED * (double)s->min_rtt_us;
}

/* Bulk is held back by something else: when there is more of it again, a limit would be of another
 * time. */
static bool is_unused(const struct ease *e)
{
    return e->passed_bps < LEAST * e->limit_bps;
}

/* Not before the mean has seen as much as the link passes: bulk may just have begun. */
static void begin(struct ease *e, const struct ease_sample *s)
{
    if (!is_queued(s)) {
        e->queued_us = 0;
    } else if (e->queued_us == 0) {
        e->queued_us = s->now_us;
    } else if (s->now_us - e->queued_us >= SURE_US) {
        e->first_bps = e->passed_bps;
        e->limit_bps = e->passed_bps;
        e->step_us = s->now_us;
        e->step_rtt_us = s->rtt_us;
    }
}

static void go_on(struct ease *e, const struct ease_sample *s)
{
    uint64_t round_trips_us = 2 * (uint64_t)s->rtt_us;
    if (s->now_us - e->step_us < (round_trips_us > STEP_US ? round_trips_us : STEP_US)) {
        return;
    }
    bool queued = is_queued(s);
    if (queued && LESS * e->limit_bps < LEAST * e->first_bps) {
        forget(e);
        e->vain_us = s->now_us + EASE_VAIN_US;
        return;
    }
    bool shrinks = (double)s->rtt_us < SHRINKS * (double)e->step_rtt_us;
    e->step_us = s->now_us;
    e->step_rtt_us = s->rtt_us;
    e->limit_bps *= !queued ? MORE : shrinks ? 1 : LESS;
    e->first_bps = e->passed_bps > e->first_bps ? e->passed_bps : e->first_bps;
}

uint64_t ease_sample(struct ease *e, const struct ease_sample *s)
{
    if (s->span_us > 0) {
        double now_bps = (double)s->passed_bytes * 1e6 / (double)s->span_us;
        e->passed_bps += SMOOTH * (now_bps - e->passed_bps);
    }
    bool is_known = s->min_rtt_us > 0 && s->rtt_us > 0 && s->passed_bytes > 0;
    if (!is_wanted(e, s) || is_unused(e)) {
        forget(e);
    } else if (is_known && e->limit_bps == 0) {
        begin(e, s);
    } else if (is_known) {
        go_on(e, s);
    }
    return (uint64_t)e->limit_bps;
}
