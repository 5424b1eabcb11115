/* Moves and verdicts. */
#include "transfer/net/pace_impl.h"

#define PAYS        0.05 /* more goodput: a growth is kept and another tried */
#define NO_LOSS     0.03 /* less than that: it is undone */
#define CLEAR       0.15 /* a gain below this is measured twice */
#define LINEAR      0.6  /* of the lanes added: they all count, the next step is longer */
#define SPREAD      1.3  /* × what the lanes explain: it was the path */
#define COSTS       0.95 /* of the goodput: fewer lanes cost too much … */
#define CLEARLY     0.90 /* … and below this need no second look */
#define EXCESS      0.05 /* share repeated beyond the path's loss that is worth a try with fewer */
#define STEP        1.25
#define LONG_STEP   2.0
#define LONGEST     4.0
#define FELL        0.75 /* × base, in an epoch without a move */
#define ROSE        1.33
#define BASE_EPOCHS 4 /* the base is a mean of about so many */

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
    p->stride = p->is_bbr ? STEP : LONG_STEP;
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

static void try_more(struct pace *p, enum pace_reason reason)
{
    if (p->is_held) {
        p->is_windowed = true;
        p->stride = p->stride > LONG_STEP ? p->stride : LONG_STEP;
        reason = PACE_PEER_WINDOW;
    }
    unsigned lanes = grown(p);
    if (lanes > p->wanted) {
        p->anchor = 0;
        begin(p, PACE_GROW, lanes, reason);
    }
}

/* While every lane added brings as much as the others did, the steps become longer. */
static void set_stride(struct pace *p, bool is_linear)
{
    if (!is_linear) {
        p->stride = STEP;
    } else {
        p->stride = p->stride < LONG_STEP ? LONG_STEP : LONGEST;
    }
}

/* A long step that went too far: the gain says how many lanes would have done. */
static bool trim(struct pace *p, double gain)
{
    unsigned enough = (unsigned)(p->steady * (1 + gain) * 1.15) + 1;
    if (enough * 5 >= p->wanted * 4) {
        return false;
    }
    p->anchor = p->base.goodput;
    p->anchored = p->wanted;
    begin(p, PACE_TRIM, enough, PACE_TRIMMED);
    return true;
}

static void growth_pays(struct pace *p, const struct pace_seen *seen, double gain, double more)
{
    bool is_linear = gain >= LINEAR * more;
    keep(p, seen, gain > SPREAD * (1 + more) - 1 ? PACE_PATH_ROSE : PACE_PAID);
    set_stride(p, is_linear);
    if (!is_linear && more >= LONG_STEP - 1 && trim(p, gain)) {
        return;
    }
    try_more(p, p->reason);
}

static void judge_growth(struct pace *p, const struct pace_seen *seen)
{
    double more = (double)p->wanted / p->steady - 1;
    double gain = seen->goodput / p->base.goodput - 1;
    if (gain >= PAYS && gain < CLEAR && p->judged < 2) {
        return; /* measured again */
    }
    if (gain >= PAYS) {
        growth_pays(p, seen, gain, more);
    } else if (gain >= NO_LOSS) {
        keep(p, seen, PACE_ENOUGH);
        p->grow_us = p->now_us + AGAIN_US;
    } else if (gain < -0.2) {
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
        p->anchor = p->base.goodput;
        p->anchored = p->wanted;
    }
    begin(p, PACE_SHRINK, lanes, PACE_TRIES_FEWER);
}

static void shrink_fails(struct pace *p, enum pace_reason reason)
{
    p->anchor = 0;
    p->shrink_us = p->now_us + p->shrink_wait_us;
    p->shrink_wait_us *= p->shrink_wait_us < SHRINK_MAX_US ? 2 : 1;
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

/* Fewer lanes must repeat less by a tenth of the excess, or it is not they that cause it. */
static bool has_saved(const struct pace *p, const struct pace_seen *seen)
{
    double least = pace_excess(p) * 0.1 > 0.005 ? pace_excess(p) * 0.1 : 0.005;
    return seen->repeats <= p->base.repeats - least;
}

static void judge_shrink(struct pace *p, const struct pace_seen *seen)
{
    double left = seen->goodput / p->anchor;
    if (left < COSTS && left >= CLEARLY && p->judged < 2) {
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
    if (left < COSTS) {
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
    mix(&p->base.repeats, seen->repeats, p->base_of);
    mix(&p->base.held, seen->held, p->base_of);
    pace_learn_loss(p, seen->repeats);
}

void pace_steady(struct pace *p, const struct pace_seen *seen)
{
    pace_enter(p, PACE_MEASURING);
    if (seen->goodput <= 0 || path_changed(p, seen)) {
        return;
    }
    update_base(p, seen);
    bool wastes = pace_excess(p) > EXCESS && !p->is_held;
    if (wastes && p->now_us >= p->shrink_us && p->wanted > pace_least(p)) {
        try_fewer(p);
    } else if (p->now_us >= p->grow_us) {
        try_more(p, PACE_TRIES_MORE);
    }
}
