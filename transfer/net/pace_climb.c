/* Moves and verdicts. */
#include "transfer/net/pace_impl.h"

#include <math.h>

/* Growth: what it brought, as a share of the goodput before. */
#define PAYS    0.05   /* it is kept, and another one tried; below … */
#define LITTLE  0.03   /* … it is kept with doubt; below this undone */
#define CLEAR   0.15   /* less than this is measured twice */
#define LINEAR  0.6    /* of the lanes added: they all count, the next step is longer */
#define THEIRS  1.2    /* × the lanes added: a gain beyond that is not theirs */
#define SPREAD  1.3    /* × what the lanes explain: it was the path */
#define SPOILT  (-0.2) /* more lanes do not bring so much less: it was the path */
#define CROWDED 0.01   /* more repeated than before: the bottleneck is full */
#define STEP    1.25   /* × lanes */
#define LONG    2.0    /* where single lanes are bound: by random loss under CUBIC, by windows */
#define LONGEST 4.0

/* Shrinking. */
#define EXCESS      0.05 /* repeated beyond the path's own loss: fewer are tried */
#define HOLDS       0.95 /* of the goodput must be left; less than … */
#define CLEARLY     0.90 /* … this needs no second look */
#define SAVES       0.03 /* of the excess must go with the lanes, else it is not theirs … */
#define SAVES_LEAST 0.005
#define ENOUGH      1.15 /* × the lanes that the gain of a long step explains */

/* Without a move: × base. */
#define FELL        0.75
#define ROSE        1.33
#define RISES       1.03 /* lanes are still finding their rate */
#define BASE_EPOCHS 4    /* the base is a mean of about so many */

#define AGAIN_US      (60 * PACE_SECOND) /* more lanes are tried so often */
#define SOON_US       (5 * PACE_SECOND)  /* after a move that the path spoilt */
#define SHRINK_MAX_US (600 * PACE_SECOND)

unsigned pace_least(const struct pace *p)
{
    unsigned least = p->is_bbr ? PACE_BBR_LEAST : PACE_OTHER_LEAST;
    return least < p->limit ? least : p->limit;
}

unsigned pace_most(const struct pace *p)
{
    unsigned most = p->is_bbr && !p->is_windowed ? PACE_BBR_MOST : PACE_MOST;
    return most < p->limit ? most : p->limit;
}

void pace_forget(struct pace *p)
{
    p->base = (struct pace_seen){0};
    p->base_of = 0;
    p->anchor = 0;
    p->doubtful = 0;
    p->stride = p->is_bbr ? STEP : LONG;
    p->shrink_wait_us = AGAIN_US;
}

/* ---- moves ---- */

static void begin(struct pace *p, enum pace_move move, unsigned lanes, enum pace_reason reason)
{
    p->steady = p->wanted;
    p->wanted = lanes;
    p->move = move;
    p->reason = reason;
    p->judged = 0;
    pace_enter(p, PACE_SETTLING);
}

/* What fewer lanes must still bring is a share of this. */
static void set_anchor(struct pace *p)
{
    p->anchor = p->base.goodput;
    p->anchored = p->wanted;
}

static void keep(struct pace *p, const struct pace_seen *seen, enum pace_reason reason)
{
    p->move = PACE_NO_MOVE;
    p->reason = reason;
    p->base = *seen;
    p->base_of = 1;
    pace_enter(p, PACE_MEASURING);
}

void pace_undo(struct pace *p, enum pace_reason reason)
{
    p->wanted = p->steady < pace_most(p) ? p->steady : pace_most(p);
    p->move = PACE_NO_MOVE;
    p->reason = reason;
    p->is_young = false;
    pace_enter(p, PACE_SETTLING);
}

/* ---- growth ---- */

static unsigned grown(const struct pace *p)
{
    unsigned lanes = (unsigned)(p->wanted * p->stride);
    lanes = lanes > p->wanted ? lanes : p->wanted + 1;
    return lanes < pace_most(p) ? lanes : pace_most(p);
}

static bool try_more(struct pace *p, enum pace_reason reason)
{
    if (p->is_held) {
        p->is_windowed = true;
        p->stride = p->stride > LONG ? p->stride : LONG;
        reason = PACE_PEER_WINDOW;
    }
    unsigned lanes = grown(p);
    if (lanes <= p->wanted) {
        return false;
    }
    p->anchor = 0;
    begin(p, PACE_GROW, lanes, reason);
    return true;
}

/* What was allowed of it is judged. */
void pace_cut_step(struct pace *p, unsigned lanes)
{
    if (lanes > p->steady) {
        p->wanted = lanes;
    } else {
        pace_undo(p, PACE_NOT_JUDGED);
        p->grow_us = p->now_us + AGAIN_US;
    }
}

/* While every lane added brings as much as the others did, the steps become longer. */
static void set_stride(struct pace *p, bool is_linear)
{
    if (!is_linear) {
        p->stride = STEP;
    } else {
        p->stride = p->stride < LONG ? LONG : LONGEST;
    }
}

/* A long step that went too far: the gain says how many lanes would have done. */
static bool trim(struct pace *p, double gain)
{
    unsigned enough = (unsigned)(p->steady * (1 + gain) * ENOUGH) + 1;
    if (enough * 5 >= p->wanted * 4) {
        return false;
    }
    set_anchor(p);
    begin(p, PACE_TRIM, enough, PACE_TRIMMED);
    return true;
}

/* What brought little may have been luck or the path: when the climb ends, its first step of that
 * kind is taken back for a trial. */
static void doubt(struct pace *p, bool is_linear, double more)
{
    if (is_linear) {
        p->doubtful = 0;
    } else if (p->doubtful == 0 && more < LONG - 1) {
        p->doubtful = p->steady;
    }
}

/* A gain that is not theirs shows that the base was of lanes still at their start (no loss: 51
 * MB/s, then 69 with a quarter more lanes, so that 30 were tried; a job at 0.1 % that came to 33
 * connections repeated 11 %): measured anew. */
static void growth_pays(struct pace *p, const struct pace_seen *seen, double gain, double more)
{
    bool is_crowded = seen->repeats > p->base.repeats + CROWDED;
    bool is_theirs = gain <= THEIRS * more;
    bool is_linear = is_theirs && gain >= LINEAR * more && !is_crowded;
    doubt(p, is_linear, more);
    keep(p, seen, is_theirs ? PACE_PAID : PACE_PATH_ROSE);
    set_stride(p, is_linear);
    if (!is_theirs) {
        return;
    }
    if (!is_linear && more >= LONG - 1 && trim(p, gain)) {
        return;
    }
    if (is_crowded) {
        p->reason = PACE_ENOUGH;
        p->grow_us = p->now_us + AGAIN_US;
        return;
    }
    try_more(p, p->reason);
}

static void judge_growth(struct pace *p, const struct pace_seen *seen)
{
    double more = (double)p->wanted / p->steady - 1;
    double gain = seen->goodput / p->base.goodput - 1;
    if (gain >= LITTLE && gain < CLEAR && p->judged < 2) {
        return; /* measured again */
    }
    if (gain >= PAYS) {
        growth_pays(p, seen, gain, more);
    } else if (gain >= LITTLE && more < LONG - 1) {
        doubt(p, false, more);
        keep(p, seen, PACE_ENOUGH);
        p->grow_us = p->now_us + AGAIN_US;
    } else if (gain < SPOILT) {
        pace_fell(p);
        pace_undo(p, PACE_PATH_FELL);
        pace_forget(p);
        p->grow_us = p->now_us + SOON_US;
    } else {
        pace_undo(p, PACE_NO_GAIN);
        p->stride = STEP;
        p->grow_us = p->now_us + AGAIN_US;
    }
}

/* ---- shrinking ---- */

static void try_fewer(struct pace *p)
{
    unsigned step = p->wanted / 4 > 1 ? p->wanted / 4 : 1;
    unsigned lanes = p->wanted - step > pace_least(p) ? p->wanted - step : pace_least(p);
    if (p->anchor == 0) { /* losses of several steps add up */
        set_anchor(p);
    }
    begin(p, PACE_SHRINK, lanes, PACE_TRIES_FEWER);
}

static void try_without_doubtful(struct pace *p)
{
    unsigned lanes = p->doubtful;
    p->doubtful = 0;
    set_anchor(p);
    begin(p, PACE_TRIM, lanes, PACE_TRIES_WITHOUT);
}

static void shrink_fails(struct pace *p, enum pace_reason reason)
{
    p->anchor = 0;
    if (p->move == PACE_SHRINK) {
        p->shrink_us = p->now_us + p->shrink_wait_us;
        p->shrink_wait_us *= p->shrink_wait_us < SHRINK_MAX_US ? 2 : 1;
    }
    pace_undo(p, reason);
}

static void shrink_pays(struct pace *p, const struct pace_seen *seen)
{
    keep(p, seen, p->move == PACE_TRIM ? PACE_TRIMMED : PACE_SAVED);
    p->is_young = false;
    p->stride = STEP;
    p->grow_us = p->now_us + AGAIN_US;
    p->shrink_us = p->now_us;
    p->is_windowed = p->is_windowed && p->wanted > PACE_BBR_MOST;
}

/* Fewer lanes must repeat less by a part of the excess, or it is not they that cause it. */
static bool has_saved(const struct pace *p, const struct pace_seen *seen)
{
    double least = pace_excess(p) * SAVES > SAVES_LEAST ? pace_excess(p) * SAVES : SAVES_LEAST;
    return seen->repeats <= p->base.repeats - least;
}

static void judge_shrink(struct pace *p, const struct pace_seen *seen)
{
    double left = seen->goodput / p->anchor;
    if (left < HOLDS && left >= CLEARLY && p->judged < 2) {
        return; /* measured again */
    }
    if (left * SPREAD < (double)p->wanted / p->anchored) {
        pace_fell(p);
        shrink_fails(p, PACE_PATH_FELL);
        pace_forget(p);
        return;
    }
    bool saved = p->move == PACE_TRIM || has_saved(p, seen);
    if (!saved) {
        double least = seen->repeats < p->base.repeats ? seen->repeats : p->base.repeats;
        p->own_loss = p->own_loss_next = least;
    }
    if (left < HOLDS) {
        shrink_fails(p, PACE_NEEDED);
    } else if (!saved) {
        shrink_fails(p, PACE_PATH_LOSES);
    } else {
        shrink_pays(p, seen);
    }
}

/* ---- epochs ---- */

void pace_judge(struct pace *p, const struct pace_seen *seen)
{
    p->judged++;
    if (p->move == PACE_GROW) {
        judge_growth(p, seen);
    } else {
        judge_shrink(p, seen);
    }
}

static void mix(double *mean, double value, unsigned count)
{
    *mean += (value - *mean) / count;
}

/* True: goodput is another than it was, though nothing was moved. */
static bool path_changed(struct pace *p, const struct pace_seen *seen)
{
    bool fell = seen->goodput < FELL * p->base.goodput;
    bool rose = seen->goodput > ROSE * p->base.goodput;
    if (p->base_of == 0 || !(fell || rose)) {
        return false;
    }
    if (fell) {
        pace_fell(p);
    }
    keep(p, seen, fell ? PACE_PATH_FELL : PACE_PATH_ROSE);
    p->anchor = 0;
    return true;
}

static void update_base(struct pace *p, const struct pace_seen *seen)
{
    p->base_of += p->base_of < BASE_EPOCHS ? 1 : 0;
    mix(&p->base.goodput, seen->goodput, p->base_of);
    mix(&p->base.repeats, seen->repeats, p->base_of < 2 ? p->base_of : 2);
    mix(&p->base.held, seen->held, p->base_of);
    pace_learn_loss(p, seen->repeats);
}

static bool wastes(const struct pace *p, bool is_settled)
{
    return is_settled && !p->is_held && pace_excess(p) > EXCESS && p->now_us >= p->shrink_us &&
           p->wanted > pace_least(p);
}

/* More lanes before fewer: on a path that loses much by itself, more is what helps. */
static void choose_move(struct pace *p, bool is_settled)
{
    bool climbs = p->now_us >= p->grow_us;
    if (!climbs && p->doubtful > 0 && p->doubtful < p->wanted) {
        try_without_doubtful(p);
    } else if (climbs && try_more(p, PACE_TRIES_MORE)) {
        return;
    } else if (wastes(p, is_settled)) {
        try_fewer(p);
    }
}

void pace_steady(struct pace *p, const struct pace_seen *seen)
{
    pace_enter(p, PACE_MEASURING);
    if (seen->goodput <= 0 || path_changed(p, seen)) {
        return;
    }
    bool rises = p->base_of > 0 && seen->goodput > RISES * p->base.goodput;
    bool is_settled = fabs(seen->repeats - p->base.repeats) < CROWDED;
    bool abates = p->base_of > 0 && seen->repeats < p->base.repeats - CROWDED;
    update_base(p, seen);
    /* Lanes that find their rate by themselves would look like the gain of more, and so would what
     * they repeat less once their start is over; of CUBIC's those that had too many beside them. */
    bool is_found = !p->is_bbr && p->pushed[0].lanes == 0;
    if (is_found || (!rises && !abates && p->base_of > 1)) {
        choose_move(p, is_settled);
    }
}
