/* The start where congestion control is not BBR and the path loses by chance: there a connection
 * gets what its losses leave it, however empty the path is, so that only their number counts. A
 * lane needs seconds to come down from its slow start to that. To wait until it has before each
 * step took 30 to 45 s to 256 lanes (500 Mbit/s, 150 ms, 1 % loss); now it takes 5. While TCP
 * repeats without a queue on the path, the lanes are doubled, until more is repeated, as it is by a
 * policer, which has no queue, or two steps have brought nothing, as where the server is the limit.
 * One step proves little while lanes are at their start: 32 had 15 to 25 MB/s in their best half
 * second, 64 had 19 to 22, 128 had 36 and 256 50; half of that remained. */
#include "transfer/net/pace_impl.h"

#define NO_QUEUE 1.15 /* × least RTT: nothing waits before the bottleneck */
#define MORE     1.25 /* × the goodput before two steps */
#define CROWDED  2    /* × what was repeated before … */
#define NOISE    0.01 /* … and so much: of the first slices, a loss or two */
#define SLICES   2    /* after a step: new lanes connect first … */
#define PATIENCE 8 /* … and when their bodies have not been read by then, memory holds no more */

static bool is_held_by_loss(const struct pace *p, const struct pace_sample *s,
                            const struct pace_seen *slice)
{
    return slice->repeats > 0 && s->rtt_us > 0 &&
           (double)s->rtt_us < NO_QUEUE * (double)p->min_rtt_us;
}

static void step(struct pace *p, const struct pace_seen *slice)
{
    p->pushed[1] = p->pushed[0];
    p->pushed[0] = (struct pace_push){.lanes = p->wanted, .seen = *slice};
    p->push_slices = 0;
    p->pushing = PACE_PUSH_OPEN;
    p->wanted = 2 * p->wanted < pace_most(p) ? 2 * p->wanted : pace_most(p);
    p->reason = PACE_HELD_BY_LOSS;
    pace_enter(p, PACE_SETTLING);
}

static void end(struct pace *p, unsigned lanes, enum pace_reason reason)
{
    p->pushing = PACE_PUSH_OVER;
    p->wanted = lanes < pace_most(p) ? lanes : pace_most(p);
    p->reason = reason;
}

/* Memory, or the work, does not allow the whole of the step. */
static void cut(struct pace *p, const struct pace_sample *s)
{
    unsigned before = p->pushed[0].lanes;
    end(p, s->lanes > before ? s->lanes : before, PACE_LIMITED);
}

/* Of the open step: what it brings, when that is to be seen. */
static void judge(struct pace *p, const struct pace_sample *s, const struct pace_seen *slice)
{
    const struct pace_push *last = &p->pushed[0], *first = &p->pushed[1];
    bool at_work = pace_are_at_work(p, s);
    p->push_slices++;
    bool is_late = !at_work && p->push_slices < PATIENCE;
    if (p->push_slices < SLICES || is_late || p->quiet_us > 0) {
        return;
    }
    p->pushing = PACE_PUSH_MAY;
    if (!at_work) {
        cut(p, s);
    } else if (slice->repeats > CROWDED * last->seen.repeats + NOISE) {
        end(p, last->lanes, PACE_ENOUGH);
    } else if (slice->goodput < MORE * first->seen.goodput) {
        end(p, first->lanes, PACE_NO_GAIN);
    }
}

void pace_push_ends(struct pace *p, const struct pace_sample *s)
{
    if (p->pushing == PACE_PUSH_OPEN && !pace_are_at_work(p, s)) {
        cut(p, s);
    }
    p->pushing = PACE_PUSH_OVER;
}

/* The first step needs a base of lanes that are past their first round trips. */
static bool is_at_start(const struct pace *p, const struct pace_seen *slice)
{
    return p->pushed[0].lanes == 0 &&
           (p->slice_goodput == 0 || slice->goodput > MORE * p->slice_goodput);
}

bool pace_push(struct pace *p, const struct pace_sample *s, const struct pace_seen *slice)
{
    if (p->is_bbr || p->move != PACE_NO_MOVE) {
        return false;
    }
    if (p->pushing == PACE_PUSH_OPEN) {
        judge(p, s, slice);
    }
    bool may = p->pushing == PACE_PUSH_MAY && !s->is_starved && !is_at_start(p, slice) &&
               is_held_by_loss(p, s, slice) && p->wanted < pace_most(p);
    if (may) {
        step(p, slice);
    }
    return p->pushing == PACE_PUSH_OPEN;
}
