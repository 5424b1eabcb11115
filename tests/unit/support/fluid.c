#include "tests/unit/support/fluid.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define MSS        1448.0
#define START_RATE (10 * MSS)
#define CONNECT    3    /* round trips until the first byte of a body: TCP, TLS */
#define FULL       0.98 /* of what is possible: the bottleneck counts as full */
#define STICKS     0.25 /* of BBR flows leave their start at a few percent of the rate */

const double fluid_wide[9] = {0, 0.002, 0.005, 0.01, 0.08, 0.18, 0.22, 0.25, 0.27};
const double fluid_narrow[9] = {0, 0.07, 0.14, 0.17, 0.20, 0.235, 0.27, 0.29, 0.30};
const double fluid_policed[9] = {0.05, 0.06, 0.07, 0.09, 0.13, 0.18, 0.22, 0.25, 0.27};

/* What BBR reached of 200 Mbit/s at 200 ms with 1, 4, 16 flows, and an estimate for 64. */
static const struct {
    double loss;
    double reach[4];
} bbr_table[] = {
    {0, {0.96, 0.975, 0.97, 0.965}},      {0.01, {0.925, 0.975, 0.965, 0.96}},
    {0.02, {0.925, 0.93, 0.935, 0.94}},   {0.05, {0.865, 0.93, 0.955, 0.955}},
    {0.10, {0.285, 0.905, 0.955, 0.955}}, {0.15, {0.049, 0.39, 0.91, 0.95}},
    {0.20, {0.0025, 0.013, 0.515, 0.9}},  {0.30, {0.0015, 0.003, 0.07, 0.4}},
};
#define BBR_ROWS (sizeof(bbr_table) / sizeof(bbr_table[0]))

static double between(double a, double b, double part)
{
    return a + (b - a) * part;
}

/* Geometric mean: reach spans three orders of magnitude. */
static double reach_of(const double *reach, double flows)
{
    double at = fmin(3, fmax(0, log2(flows) / 2));
    unsigned i = at >= 3 ? 2 : (unsigned)at;
    return exp(between(log(reach[i]), log(reach[i + 1]), at - i));
}

static double bbr_reach(double loss, double flows)
{
    size_t i = 0;
    while (i + 2 < BBR_ROWS && bbr_table[i + 1].loss < loss) {
        i++;
    }
    double part = (loss - bbr_table[i].loss) / (bbr_table[i + 1].loss - bbr_table[i].loss);
    double low = log(reach_of(bbr_table[i].reach, flows));
    double high = log(reach_of(bbr_table[i + 1].reach, flows));
    return exp(between(low, high, fmin(1, part)));
}

static double waste_of(const double *waste, double flows)
{
    double at = fmin(8, fmax(0, log2(flows)));
    unsigned i = at >= 8 ? 7 : (unsigned)at;
    return between(waste[i], waste[i + 1], at - i);
}

double fluid_chance(struct fluid *f)
{
    f->random ^= f->random << 13;
    f->random ^= f->random >> 7;
    f->random ^= f->random << 17;
    return (double)(f->random >> 11) / 9007199254740992.0;
}

/* ---- flows ---- */

void fluid_init(struct fluid *f, const struct fluid_path *path, uint64_t seed)
{
    memset(f, 0, sizeof(*f));
    f->path = *path;
    f->factor = 1;
    f->may_stick = path->is_bbr && path->loss > 0;
    f->random = seed * 0x9E3779B97F4A7C15U + 1;
    f->rtt_now_s = path->rtt_s;
    for (int i = 0; i < 8; i++) {
        fluid_chance(f);
    }
}

void fluid_renew_flow(struct fluid *f, size_t i)
{
    struct fluid_flow *flow = &f->flows[i];
    *flow = (struct fluid_flow){.phase = FLUID_CONNECT, .rate = START_RATE / f->path.rtt_s};
    flow->ready_s = f->now_s + CONNECT * f->path.rtt_s * (1 + 0.2 * fluid_chance(f));
    if (f->may_stick && fluid_chance(f) < STICKS) {
        flow->stuck_at = f->path.rate_bps * (0.025 + 0.03 * fluid_chance(f));
    }
}

void fluid_renew(struct fluid *f)
{
    for (size_t i = 0; i < FLUID_FLOWS; i++) {
        if (f->flows[i].phase != FLUID_NONE) {
            fluid_renew_flow(f, i);
        }
    }
}

static unsigned count_from(const struct fluid *f, enum fluid_phase least)
{
    unsigned n = 0;
    for (size_t i = 0; i < FLUID_FLOWS; i++) {
        n += f->flows[i].phase >= least;
    }
    return n;
}

unsigned fluid_flows(const struct fluid *f)
{
    return count_from(f, FLUID_CONNECT);
}

static void open_one(struct fluid *f)
{
    for (size_t i = 0; i < FLUID_FLOWS; i++) {
        if (f->flows[i].phase == FLUID_NONE) {
            fluid_renew_flow(f, i);
            return;
        }
    }
    assert(false);
}

static void end_slowest(struct fluid *f)
{
    struct fluid_flow *slowest = NULL;
    for (size_t i = 0; i < FLUID_FLOWS; i++) {
        struct fluid_flow *flow = &f->flows[i];
        if (flow->phase != FLUID_NONE && (slowest == NULL || flow->gets < slowest->gets)) {
            slowest = flow;
        }
    }
    slowest->phase = FLUID_NONE;
}

void fluid_want(struct fluid *f, unsigned n)
{
    for (unsigned have = fluid_flows(f); have < n; have++) {
        open_one(f);
    }
    for (unsigned have = fluid_flows(f); have > n; have--) {
        end_slowest(f);
    }
}

/* ---- rates ---- */

static double busy(const struct fluid *f)
{
    return f->path.busy > 0 ? f->path.busy : 1;
}

/* Bytes a second that n flows get at most, together. What is free while some rest others take, the
 * better the more there are: of 500 Mbit/s 8 lanes had 0.90, 10 0.97, 12 0.99 of what 8 flows have.
 */
static double ceiling(const struct fluid *f, unsigned n)
{
    double rate = f->path.rate_bps * f->factor * (f->path.share > 0 ? f->path.share : 1);
    rate *= 1 - pow(1 - busy(f), n / 4.5);
    return rate * (f->path.is_bbr ? bbr_reach(f->path.loss, n) : 1 - 1 / (1.0 + 3 * n));
}

/* What holds one flow, however much room there is. */
static double flow_bound(const struct fluid *f)
{
    double bound = INFINITY;
    if (f->path.window_bytes > 0) {
        bound = 0.7 * f->path.window_bytes / f->path.rtt_s;
    }
    if (f->path.server_bps > 0) {
        bound = fmin(bound, f->path.server_bps);
    }
    if (!f->path.is_bbr && f->path.loss > 0) {
        bound = fmin(bound, 1.22 * MSS / (f->path.rtt_s * sqrt(f->path.loss)));
    }
    return bound;
}

/* Doubles its rate until the bottleneck is full, or what holds a single flow is reached. */
static void start(struct fluid *f, struct fluid_flow *flow, double target, double step_s)
{
    double bound = flow_bound(f);
    flow->rate = fmin(bound, flow->rate * exp2(step_s / f->path.rtt_s));
    bool is_stuck = flow->stuck_at > 0 && flow->rate >= flow->stuck_at;
    if (flow->rate >= bound || (f->is_full && flow->rate >= target) || is_stuck) {
        flow->phase = FLUID_PROBE;
    }
}

/* Upwards a quarter in 8 round trips (of CUBIC: a tenth); downwards with the window of BBR's
 * filter.
 */
static void probe(struct fluid *f, struct fluid_flow *flow, double target, double step_s)
{
    if (flow->rate < target) {
        double growth = f->path.is_bbr ? 1.25 : 1.1;
        flow->rate = fmin(target, flow->rate * pow(growth, step_s / (8 * f->path.rtt_s)));
    } else {
        flow->rate += (target - flow->rate) * (1 - exp(-step_s / (10 * f->path.rtt_s)));
    }
}

static double advance(struct fluid *f, double target, double step_s)
{
    double sum = 0;
    for (size_t i = 0; i < FLUID_FLOWS; i++) {
        struct fluid_flow *flow = &f->flows[i];
        if (flow->phase == FLUID_CONNECT && f->now_s >= flow->ready_s) {
            flow->phase = FLUID_START;
        }
        if (flow->phase == FLUID_START) {
            start(f, flow, target, step_s);
        } else if (flow->phase == FLUID_PROBE) {
            probe(f, flow, target, step_s);
        }
        sum += flow->phase >= FLUID_START ? flow->rate : 0;
    }
    return sum;
}

static void deliver(struct fluid *f, double part, double step_s)
{
    for (size_t i = 0; i < FLUID_FLOWS; i++) {
        struct fluid_flow *flow = &f->flows[i];
        double gets = flow->phase >= FLUID_START ? flow->rate * part : 0;
        flow->gets += (gets - flow->gets) * fmin(1, step_s);
    }
}

/* The queue is bounded by its bytes, BBR besides by one round trip's worth. */
static void queue(struct fluid *f, bool is_full, double step_s)
{
    double wait = is_full ? 0.8 * fmin(f->path.queue_s / f->factor, f->path.rtt_s) : 0;
    f->rtt_now_s += (f->path.rtt_s + wait - f->rtt_now_s) * fmin(1, step_s / 0.3);
}

static void count(struct fluid *f, double sum, double most, unsigned n, double step_s)
{
    bool is_full = sum >= FULL * most && n > 0;
    f->is_full = is_full;
    double got = fmin(sum, most);
    double repeats = f->path.loss;
    bool by_loss = f->path.is_bbr && bbr_reach(f->path.loss, n == 0 ? 1 : n) < 0.85;
    if (is_full && !by_loss) {
        repeats += f->path.is_bbr ? waste_of(f->path.waste, n * busy(f))
                                  : pow(1.22 * MSS / (f->path.rtt_s * most / n), 2);
        repeats += 0.5 * fmax(0, (sum - 1.1 * most) / sum);
    }
    repeats = fmin(repeats, 0.6);
    double moved = got * step_s;
    f->moved += moved;
    f->sent += moved / (1 - repeats);
    f->repeated += moved / (1 - repeats) * repeats;
    if (f->path.window_bytes > 0 && !is_full) {
        f->held_s += step_s * n * 0.9;
    }
    queue(f, is_full, step_s);
    deliver(f, sum > most ? most / sum : 1, step_s);
}

void fluid_step(struct fluid *f, double step_s)
{
    f->now_s += step_s;
    unsigned n = count_from(f, FLUID_START);
    if (f->is_out || f->is_starved) {
        deliver(f, 0, step_s);
        return;
    }
    double most = ceiling(f, n == 0 ? 1 : n);
    double target = fmin(most / (n == 0 ? 1 : n), flow_bound(f));
    double sum = advance(f, target, step_s);
    count(f, sum, most, n, step_s);
}
