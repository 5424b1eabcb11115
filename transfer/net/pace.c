#include "transfer/net/pace.h"

#include <string.h>

#define PATIENT_START 8
#define PATIENT_LEAST 2
#define PATIENT_MOST  32
#define CUBIC_START   32
#define CUBIC_LEAST   4

#define EPOCH_US     2000000u
#define EPOCH_RTTS   10
#define EARLY_US     1000000u /* the first ones are short: jobs are */
#define EARLY_RTTS   6
#define EARLY_EPOCHS 8
#define FULL_SHARE   0.8
#define PAYS         1.05 /* of the goodput before */
#define IN_VAIN      1.03
#define WASTE        0.03 /* share of repeats above the path's own loss */
#define WASTE_FELL   0.95 /* fewer lanes may cost so much at most */
#define WINDOW_SHARE 0.5  /* less is the receiver's TCP on its way to its size */
#define REST_US      60000000u
#define OWN_LOSS_US  3600000000u
#define SENT_ENOUGH  ((uint64_t)1000 * 1000) /* bytes, to judge a share of repeats by */

void pace_init(struct pace *p)
{
    memset(p, 0, sizeof(*p));
    p->own_loss = 1;
}

static unsigned between(unsigned n, unsigned least, unsigned most)
{
    n = n < least ? least : n;
    return n > most ? most : n;
}

static unsigned most_of(const struct pace_input *in)
{
    return in->is_patient && in->most > PATIENT_MOST ? PATIENT_MOST : in->most;
}

static unsigned least_of(const struct pace_input *in)
{
    unsigned least = in->is_patient ? PATIENT_LEAST : CUBIC_LEAST;
    return least < in->most ? least : in->most;
}

unsigned pace_lanes(const struct pace *p, unsigned most)
{
    unsigned lanes = p->lanes > 0 ? p->lanes : PATIENT_START;
    return lanes < most ? lanes : most;
}

const char *pace_reason_name(enum pace_reason reason)
{
    static const char *const names[] = {[PACE_START] = "start",
                                        [PACE_TRIED] = "trying more",
                                        [PACE_PAID] = "more pays",
                                        [PACE_UNDONE] = "no gain",
                                        [PACE_WASTE] = "too many repeats",
                                        [PACE_WINDOW] = "peer window"};
    return names[reason];
}

/* ---- epochs ---- */

static void add(struct pace_epoch *e, const struct pace *p, const struct pace_input *in)
{
    e->span_us += in->span_us;
    e->full_us += in->in_use >= p->lanes ? in->span_us : 0;
    e->moved_bytes += in->moved_bytes;
    e->sent_bytes += in->sent_bytes;
    e->retrans_bytes += in->retrans_bytes;
    e->busy_us += in->busy_us;
    e->window_us += in->window_us;
}

static uint64_t epoch_length(const struct pace *p, const struct pace_input *in)
{
    bool early = p->epochs < EARLY_EPOCHS;
    uint64_t by_rtt = (uint64_t)in->min_rtt_us * (early ? EARLY_RTTS : EPOCH_RTTS);
    uint64_t least = early ? EARLY_US : EPOCH_US;
    return by_rtt > least ? by_rtt : least;
}

static double share_of(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

static void learn_own_loss(struct pace *p, const struct pace_epoch *e, uint64_t now_us)
{
    double share = share_of(e->retrans_bytes, e->sent_bytes);
    if (e->sent_bytes >= SENT_ENOUGH &&
        (share <= p->own_loss || now_us - p->own_loss_us > OWN_LOSS_US)) {
        p->own_loss = share;
        p->own_loss_us = now_us;
    }
}

/* ---- moves ---- */

static void move(struct pace *p, unsigned lanes, enum pace_reason reason)
{
    p->before = p->lanes;
    p->goodput_then = p->goodput;
    p->lanes = lanes;
    p->reason = reason;
    p->skip = 1;
}

static void settle(struct pace *p, enum pace_reason reason)
{
    p->before = 0;
    p->reason = reason;
}

/* CUBIC under random loss moves as much as it has connections. */
static unsigned more_of(const struct pace *p, const struct pace_input *in, bool by_window)
{
    unsigned careful = p->lanes / (p->epochs < EARLY_EPOCHS ? 2 : 4);
    unsigned step = in->is_patient && !by_window ? careful : p->lanes;
    return between(p->lanes + (step > 0 ? step : 1), least_of(in), most_of(in));
}

static bool wastes(const struct pace *p, const struct pace_epoch *e)
{
    return e->sent_bytes >= SENT_ENOUGH &&
           share_of(e->retrans_bytes, e->sent_bytes) > p->own_loss + WASTE;
}

static bool is_held(const struct pace_epoch *e)
{
    return share_of(e->window_us, e->busy_us) > WINDOW_SHARE;
}

/* The verdict on the move that is on trial. */
static void judge(struct pace *p, const struct pace_epoch *e, uint64_t now_us)
{
    bool was_up = p->lanes > p->before;
    double gain = p->goodput_then > 0 ? p->goodput / p->goodput_then : PAYS;
    if (!was_up) {
        if (gain < WASTE_FELL) {
            p->lanes = p->before;
            p->rest_until_us = now_us + REST_US;
            settle(p, PACE_UNDONE);
        } else {
            settle(p, PACE_WASTE);
        }
    } else if (gain < IN_VAIN || (gain < PAYS && wastes(p, e))) {
        p->lanes = p->before;
        p->rest_until_us = now_us + REST_US;
        p->skip = 1;
        settle(p, PACE_UNDONE);
    } else {
        settle(p, PACE_PAID);
        p->rest_until_us = gain < PAYS ? now_us + REST_US : 0;
    }
}

static bool decide(struct pace *p, const struct pace_epoch *e, const struct pace_input *in)
{
    if (p->before != 0) {
        judge(p, e, in->now_us);
        return true;
    }
    unsigned fewer = between(p->lanes - p->lanes / 4, least_of(in), most_of(in));
    unsigned more = more_of(p, in, is_held(e));
    if (wastes(p, e) && fewer < p->lanes && in->now_us >= p->rest_until_us) {
        move(p, fewer, PACE_WASTE);
    } else if (more > p->lanes && !wastes(p, e) && in->now_us >= p->rest_until_us) {
        move(p, more, is_held(e) ? PACE_WINDOW : PACE_TRIED);
    } else {
        return false;
    }
    return true;
}

bool pace_sample(struct pace *p, const struct pace_input *in)
{
    if (p->lanes == 0) {
        p->lanes = between(in->is_patient ? PATIENT_START : CUBIC_START, 1, in->most);
        return true;
    }
    p->lanes = between(p->lanes, least_of(in), most_of(in));
    add(&p->epoch, p, in);
    if (p->epoch.span_us < epoch_length(p, in)) {
        return false;
    }
    struct pace_epoch e = p->epoch;
    memset(&p->epoch, 0, sizeof(p->epoch));
    bool counts = share_of(e.full_us, e.span_us) >= FULL_SHARE && e.moved_bytes > 0;
    if (!counts || p->skip > 0) {
        p->skip -= counts ? 1 : 0;
        return false;
    }
    double last = p->goodput;
    p->goodput = (double)e.moved_bytes * 1e6 / (double)e.span_us;
    p->epochs++;
    learn_own_loss(p, &e, in->now_us);
    bool first = last == 0;
    return first ? false : decide(p, &e, in);
}
