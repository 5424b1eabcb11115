#include "transfer/net/pace_impl.h"

#define RISING     1.10 /* between two slices: the lanes are not up to speed … */
#define FALLING    0.90 /* … or above it */
#define SETTLE_MAX 3    /* × the least time to settle; without BBR */
#define COME_DOWN  8    /* so many */
#define HELD       0.2  /* share of the time: the peer's window is what holds lanes back */
#define GAP_US     (2 * PACE_SECOND)
#define PATIENCE   4 /* an epoch's data may take so many epochs to come */

/* ---- meters ---- */

void meter_clear(struct pace_meter *m)
{
    *m = (struct pace_meter){0};
}

void meter_add(struct pace_meter *m, const struct pace_sample *s, uint64_t span_us)
{
    m->time_us += span_us;
    m->moved_bytes += s->moved_bytes;
    m->sent_bytes += s->sent_bytes;
    m->retrans_bytes += s->retrans_bytes;
    m->held_us += s->held * (double)span_us;
}

struct pace_seen meter_read(const struct pace_meter *m)
{
    struct pace_seen seen = {0};
    if (m->time_us > 0) {
        seen.goodput = (double)m->moved_bytes * 1e6 / (double)m->time_us;
        seen.held = m->held_us / (double)m->time_us;
    }
    if (m->sent_bytes > 0) {
        seen.repeats = (double)m->retrans_bytes / (double)m->sent_bytes;
    }
    return seen;
}

/* ---- time ---- */

uint64_t pace_span(const struct pace *p, double seconds, unsigned rtts)
{
    uint64_t least = (uint64_t)(seconds * 1e6);
    uint64_t round_trips = p->min_rtt_us * rtts;
    return round_trips > least ? round_trips : least;
}

static uint64_t epoch_us(const struct pace *p)
{
    return p->is_young ? pace_span(p, 1, 6) : pace_span(p, 2, 10);
}

/* A BBR lane connects and doubles its rate for about 10 round trips. When lanes have gone, those
 * that are left take their share by a quarter in 8 round trips. A lane of CUBIC is above its rate
 * at its start: where it loses 1 % it doubles until the first loss, and needs five more to come
 * down (16 lanes brought 5.3 MB/s at first and 1.9 later, so that more of them seemed not to pay).
 */
static uint64_t settle_us(const struct pace *p)
{
    switch (p->move) {
    case PACE_SHRINK:
    case PACE_TRIM:
    case PACE_FRESH:
        return pace_span(p, 2, 16);
    case PACE_NO_MOVE:
    case PACE_GROW:
        break;
    }
    return p->is_bbr ? pace_span(p, 1, 8) : pace_span(p, 0.5, 5);
}

void pace_enter(struct pace *p, enum pace_state state)
{
    p->state = state;
    p->state_us = p->now_us;
    meter_clear(&p->meter);
    meter_clear(&p->slice);
    p->slice_goodput = 0;
}

/* ---- states ---- */

static bool slice_ends(struct pace *p, const struct pace_sample *s, uint64_t span_us,
                       struct pace_seen *slice)
{
    meter_add(&p->slice, s, span_us);
    if (p->slice.time_us < pace_span(p, 0.4, 3)) {
        return false;
    }
    *slice = meter_read(&p->slice);
    meter_clear(&p->slice);
    return true;
}

/* True when a slice has brought not much more than the one before; nor, of lanes that begin too
 * fast, much less. */
static bool is_flat(struct pace *p, const struct pace_seen *slice)
{
    double before = p->slice_goodput;
    p->slice_goodput = slice->goodput;
    bool falls = !p->is_bbr && slice->goodput < before * FALLING;
    return before > 0 && slice->goodput <= before * RISING && !falls;
}

/* With few of the lanes at work, it is the work that is measured. */
bool pace_are_at_work(const struct pace *p, const struct pace_sample *s)
{
    return s->lanes * 5 >= p->wanted * 4;
}

/* A lane that is one too many goes when its part is over, on a slow path after half a minute. Until
 * then goodput is that of more lanes, and nothing to judge by; the others settle after that. */
static bool are_too_many(const struct pace *p, const struct pace_sample *s)
{
    return p->move != PACE_FRESH && s->lanes * 4 > p->wanted * 5;
}

static void settle(struct pace *p, const struct pace_sample *s, uint64_t span_us)
{
    struct pace_seen slice;
    bool flat = false;
    if (slice_ends(p, s, span_us, &slice)) {
        if (pace_push(p, s, &slice)) {
            return;
        }
        flat = is_flat(p, &slice);
    }
    uint64_t passed = p->now_us - p->state_us;
    if (p->move == PACE_FRESH) {
        if (passed >= settle_us(p)) {
            pace_undo(p, PACE_FRESH_OVER);
        }
        return;
    }
    if (are_too_many(p, s)) {
        p->state_us = p->now_us;
        return;
    }
    uint64_t most_us = (p->is_bbr ? SETTLE_MAX : COME_DOWN) * settle_us(p);
    if ((flat && passed >= settle_us(p)) || passed >= most_us) {
        pace_push_ends(p, s);
        pace_enter(p, PACE_MEASURING);
        if (p->move == PACE_GROW && !pace_are_at_work(p, s)) {
            pace_cut_step(p, s->lanes);
        }
    }
}

static bool is_usable(const struct pace *p, const struct pace_sample *s)
{
    return !s->is_starved && pace_are_at_work(p, s);
}

static void epoch_ends(struct pace *p)
{
    struct pace_seen seen = meter_read(&p->meter);
    p->is_held = seen.held > HELD;
    if (p->move == PACE_NO_MOVE) {
        pace_steady(p, &seen);
    } else {
        pace_judge(p, &seen);
    }
}

/* A verdict in doubt leaves everything as it is: a second epoch is added to the first. */
static void measure(struct pace *p, const struct pace_sample *s, uint64_t span_us)
{
    uint64_t wanted_us = epoch_us(p) * (p->move == PACE_NO_MOVE ? 1 : p->judged + 1);
    if (are_too_many(p, s)) {
        pace_enter(p, PACE_SETTLING);
        return;
    }
    if (is_usable(p, s)) {
        meter_add(&p->meter, s, span_us);
    }
    if (p->meter.time_us >= wanted_us) {
        epoch_ends(p);
    } else if (p->now_us - p->state_us < PATIENCE * wanted_us) {
        return;
    } else if (p->move == PACE_NO_MOVE) {
        pace_enter(p, PACE_MEASURING);
    } else {
        pace_undo(p, PACE_NOT_JUDGED);
    }
}

/* ---- life ---- */

void pace_init(struct pace *p, bool is_bbr, unsigned limit)
{
    unsigned start = is_bbr ? PACE_BBR_START : PACE_OTHER_START;
    *p = (struct pace){
        .wanted = start < limit ? start : limit,
        .is_bbr = is_bbr,
        .is_young = true,
        .limit = limit,
        .own_loss = -1,
        .own_loss_next = -1,
    };
    pace_forget(p);
}

/* What the kernel grants is known for sure only when the first lane is open. */
static void set_control(struct pace *p, bool is_bbr)
{
    if (is_bbr != p->is_bbr) {
        uint64_t now_us = p->now_us;
        bool has_moved = p->has_moved;
        pace_init(p, is_bbr, p->limit);
        p->now_us = p->state_us = p->own_loss_us = now_us;
        p->has_moved = has_moved;
    }
}

static void set_limit(struct pace *p, unsigned limit)
{
    p->limit = limit > 0 ? limit : 1;
    if (p->move != PACE_NO_MOVE && p->wanted > pace_most(p)) {
        pace_undo(p, PACE_LIMITED);
    }
    if (p->wanted > pace_most(p)) {
        p->wanted = pace_most(p);
        p->reason = PACE_LIMITED;
        pace_forget(p);
        pace_enter(p, PACE_SETTLING);
    }
}

/* There was no work, and no samples: what was being measured is of before. */
static void rest(struct pace *p)
{
    p->quiet_us = 0;
    p->pushing = PACE_PUSH_OVER;
    if (p->move != PACE_NO_MOVE) {
        pace_undo(p, PACE_NOT_JUDGED);
    } else if (p->state != PACE_SILENT) {
        pace_enter(p, PACE_SETTLING);
    }
}

unsigned pace_sample(struct pace *p, const struct pace_sample *s)
{
    uint64_t span_us = p->now_us == 0 ? 0 : s->now_us - p->now_us;
    if (p->now_us == 0) {
        p->state_us = p->own_loss_us = s->now_us;
    }
    p->now_us = s->now_us;
    p->min_rtt_us = s->min_rtt_us != 0 ? s->min_rtt_us : p->min_rtt_us;
    set_control(p, s->is_bbr);
    set_limit(p, s->limit);
    if (span_us > GAP_US) {
        rest(p);
        return p->wanted;
    }
    if (span_us == 0 || pace_is_silent(p, s, span_us)) {
        return p->wanted;
    }
    pace_watch_return(p, s, span_us);
    if (p->state == PACE_SETTLING) {
        settle(p, s, span_us);
    } else {
        measure(p, s, span_us);
    }
    return p->wanted;
}

const char *pace_reason_text(enum pace_reason reason)
{
    static const char *const texts[] = {
        [PACE_STARTED] = "started",
        [PACE_HELD_BY_LOSS] = "more lanes: loss holds each, no queue",
        [PACE_TRIES_MORE] = "tries more lanes",
        [PACE_PEER_WINDOW] = "tries more lanes: peer window",
        [PACE_PAID] = "more lanes paid, tries more",
        [PACE_ENOUGH] = "more lanes paid a little",
        [PACE_NO_GAIN] = "more lanes did not pay",
        [PACE_TRIES_FEWER] = "tries fewer lanes: too much is repeated",
        [PACE_SAVED] = "fewer lanes do as much",
        [PACE_NEEDED] = "fewer lanes brought less",
        [PACE_PATH_LOSES] = "fewer lanes repeat as much: the loss is the path's",
        [PACE_TRIES_WITHOUT] = "tries without those that paid little",
        [PACE_TRIMMED] = "back to what the step was worth",
        [PACE_PATH_FELL] = "the path became slower",
        [PACE_PATH_ROSE] = "the path became faster",
        [PACE_OUTAGE] = "nothing arrives",
        [PACE_OUTAGE_OVER] = "bytes arrive again",
        [PACE_PATH_IS_BACK] = "fresh lanes: the path seems to be back",
        [PACE_FRESH_OVER] = "fresh lanes are up",
        [PACE_NOT_JUDGED] = "too little sent to judge",
        [PACE_LIMITED] = "limit of lanes",
    };
    return texts[reason];
}
