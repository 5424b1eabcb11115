/* What the path does by itself: its loss, its falls, its outages, its return. */
#include "transfer/net/pace_impl.h"

#define LOSS_KEPT_US  (1800 * PACE_SECOND) /* twice that at most: the "last hour" */
#define HIGH_KEPT_US  (900 * PACE_SECOND)  /* a rate that is so old is not waited for */
#define FALLEN        0.6                  /* of the high: it has not come back */
#define QUEUE         1.3                  /* mean RTT ÷ least: packets wait somewhere … */
#define NO_QUEUE      1.15                 /* … and no longer */
#define RISEN         1.15                 /* × base, in a glance */
#define GLANCES       2                    /* in a row that must agree */
#define FRESH_GAP_US  (5 * PACE_SECOND)    /* doubles with each try that was too early … */
#define FRESH_GAP_MAX (80 * PACE_SECOND)

/* ---- loss ---- */

/* The least of the last hour, in two halves: what is seen now counts for both. With more than
 * the fewest lanes, what is repeated may be of our making: it can only show that the path loses
 * less. */
void pace_learn_loss(struct pace *p, double repeats)
{
    if (p->now_us - p->own_loss_us >= LOSS_KEPT_US) {
        p->own_loss = p->own_loss_next;
        p->own_loss_next = -1;
        p->own_loss_us = p->now_us;
    }
    if (p->wanted > pace_least(p) && !(repeats < p->own_loss)) {
        return;
    }
    if (p->own_loss < 0 || repeats < p->own_loss) {
        p->own_loss = repeats;
    }
    if (p->own_loss_next < 0 || repeats < p->own_loss_next) {
        p->own_loss_next = repeats;
    }
}

double pace_excess(const struct pace *p)
{
    return p->base.repeats - (p->own_loss > 0 ? p->own_loss : 0);
}

/* ---- falls and outages ---- */

void pace_fell(struct pace *p)
{
    bool is_old = p->now_us - p->high_us > HIGH_KEPT_US;
    if (p->high == 0 || is_old || p->base.goodput > p->high) {
        p->high = p->base.goodput;
        p->high_lanes = p->move == PACE_NO_MOVE ? p->wanted : p->steady;
        p->high_us = p->now_us;
        p->fresh_us = 0;
        p->fresh_gap_us = FRESH_GAP_US;
        p->had_queue = false;
    }
    p->rising = 0;
    meter_clear(&p->glance);
    p->glance_rtt = 0;
}

static void outage_begins(struct pace *p)
{
    if (p->move != PACE_NO_MOVE) {
        pace_undo(p, PACE_OUTAGE);
    }
    p->pushing = PACE_PUSH_OVER;
    p->reason = PACE_OUTAGE;
    pace_enter(p, PACE_SILENT);
}

/* The number of lanes is at once what it was; what the path carries now is to be seen. */
static void outage_ends(struct pace *p)
{
    p->reason = PACE_OUTAGE_OVER;
    p->high = 0;
    pace_forget(p);
    pace_enter(p, PACE_SETTLING);
}

bool pace_is_silent(struct pace *p, const struct pace_sample *s, uint64_t span_us)
{
    if (s->moved_bytes > 0) {
        p->quiet_us = 0;
        p->has_moved = true;
        if (p->state == PACE_SILENT) {
            outage_ends(p);
        }
        return false;
    }
    if (p->state == PACE_SILENT) {
        return true;
    }
    p->quiet_us = s->lanes > 0 && !s->is_starved ? p->quiet_us + span_us : 0;
    if (!p->has_moved || p->quiet_us < pace_span(p, 1, 6)) {
        return false;
    }
    outage_begins(p);
    return true;
}

/* ---- return ---- */

/* Lanes that have backed off find the rate again by a quarter in 8 round trips (BBR), or slower
 * (CUBIC); new ones double theirs every round trip. They are opened beside the old ones. */
static void open_fresh(struct pace *p)
{
    unsigned lanes = p->high_lanes > p->wanted ? p->high_lanes : p->wanted;
    unsigned most = pace_most(p);
    if (p->move != PACE_NO_MOVE) {
        pace_undo(p, PACE_PATH_IS_BACK);
    }
    p->steady = lanes < most ? lanes : most;
    p->wanted = 2 * lanes < most ? 2 * lanes : most;
    p->move = PACE_FRESH;
    p->reason = PACE_PATH_IS_BACK;
    p->fresh_us = p->now_us + p->fresh_gap_us;
    p->fresh_gap_us *= p->fresh_gap_us < FRESH_GAP_MAX ? 2 : 1;
    p->had_queue = false;
    pace_enter(p, PACE_SETTLING);
}

/* More arrives, or as much without the queue there was (and no lanes have just gone): the
 * bottleneck has room. */
static bool has_room(struct pace *p)
{
    struct pace_seen seen = meter_read(&p->glance);
    double inflated = p->glance_rtt / (double)p->glance.time_us;
    p->had_queue = p->had_queue || inflated >= QUEUE;
    bool drained =
        p->state == PACE_MEASURING && p->had_queue && inflated > 0 && inflated < NO_QUEUE;
    return seen.goodput > RISEN * p->base.goodput ||
           (drained && seen.goodput > 0.9 * p->base.goodput);
}

static bool waits_for_return(struct pace *p)
{
    if (p->high == 0 || p->base.goodput == 0 || p->move == PACE_FRESH) {
        return false;
    }
    if (p->base.goodput > FALLEN * p->high || p->now_us - p->high_us > HIGH_KEPT_US) {
        p->high = 0;
        return false;
    }
    return p->now_us >= p->fresh_us;
}

void pace_watch_return(struct pace *p, const struct pace_sample *s, uint64_t span_us)
{
    if (!waits_for_return(p) || s->is_starved) {
        return;
    }
    meter_add(&p->glance, s, span_us);
    if (p->min_rtt_us > 0) {
        p->glance_rtt += (double)span_us * s->rtt_us / (double)p->min_rtt_us;
    }
    if (p->glance.time_us < pace_span(p, 0.3, 2)) {
        return;
    }
    p->rising = has_room(p) ? p->rising + 1 : 0;
    meter_clear(&p->glance);
    p->glance_rtt = 0;
    if (p->rising >= GLANCES) {
        p->rising = 0;
        open_fresh(p);
    }
}
