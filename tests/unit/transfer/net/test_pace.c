/* Where the number of bulk requests ends, on paths of a simple model: a bottleneck, connections
 * that ramp up, repeats that grow with their number, and noise. */
#include "transfer/net/pace.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define TICK_US 200000u
#define MB      1e6
#define SEEDS   20

struct path_model {
    double capacity; /* bytes a second */
    double per_lane; /* most of one connection; 0 = no limit of its own */
    double own_loss; /* share of repeats with one connection */
    double waste;    /* more of it for each lane beyond `free_lanes` once the link is full */
    unsigned free_lanes;
    double held; /* share of the time that the peer's window holds a lane */
    bool is_patient;
    unsigned most;
};

struct sim {
    const struct path_model *model;
    struct pace pace;
    uint64_t now_us;
    uint64_t random;
    double open; /* lanes, with their ramp */
    unsigned in_use_most;
    double factor; /* of capacity, for drops and outages */
};

static double noise(struct sim *s)
{
    s->random = s->random * 6364136223846793005u + 1442695040888963407u;
    return 0.9 + 0.2 * (double)(s->random >> 40) / (double)(1u << 24);
}

/* What the path gives to so many lanes: the gap between a request and the next is filled by others.
 */
static double goodput(const struct path_model *m, double lanes)
{
    double shared = m->capacity * (1 - 1 / (1 + 1.5 * lanes));
    return m->per_lane > 0 && m->per_lane * lanes < shared ? m->per_lane * lanes : shared;
}

static void tick(struct sim *s)
{
    const struct path_model *m = s->model;
    unsigned lanes = pace_lanes(&s->pace, m->most);
    unsigned used = s->in_use_most > 0 && s->in_use_most < lanes ? s->in_use_most : lanes;
    s->open += ((double)used - s->open) * 0.15; /* new ones need their time */
    double rate = goodput(m, s->open) * s->factor;
    double moved = rate * noise(s) * TICK_US / 1e6;
    double excess = used > m->free_lanes && rate > 0.9 * m->capacity * s->factor
                        ? m->waste * (used - m->free_lanes)
                        : 0;
    double share = m->own_loss + excess;
    s->now_us += TICK_US;
    struct pace_input in = {.now_us = s->now_us,
                            .span_us = TICK_US,
                            .moved_bytes = (uint64_t)moved,
                            .sent_bytes = (uint64_t)(moved / (1 - share)),
                            .retrans_bytes = (uint64_t)(moved / (1 - share) * share),
                            .busy_us = used * TICK_US,
                            .window_us = (uint64_t)(used * TICK_US * m->held),
                            .min_rtt_us = 150000,
                            .in_use = used,
                            .most = m->most,
                            .is_patient = m->is_patient};
    pace_sample(&s->pace, &in);
}

static struct sim begin(const struct path_model *m, uint64_t seed)
{
    struct sim s = {.model = m, .random = seed * 7919, .factor = 1, .now_us = 1};
    pace_init(&s.pace);
    return s;
}

static void run(struct sim *s, unsigned seconds)
{
    for (unsigned i = 0; i < seconds * 5; i++) {
        tick(s);
    }
}

static const struct path_model clean = {.capacity = 60 * MB,
                                        .own_loss = 0.01,
                                        .waste = 0.008,
                                        .free_lanes = 10,
                                        .is_patient = true,
                                        .most = 256};

static void fills_a_lossy_path(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct sim s = begin(&clean, seed);
        run(&s, 40);
        assert_in_range(s.pace.lanes, 6, 32);
        assert_true(goodput(&clean, s.pace.lanes) >= 0.88 * clean.capacity);
    }
}

static void does_not_stay_where_much_is_sent_twice(void **state)
{
    (void)state;
    struct path_model shallow = clean;
    shallow.waste = 0.03;
    shallow.free_lanes = 4;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct sim s = begin(&shallow, seed);
        s.pace.own_loss = shallow.own_loss; /* as it was with fewer */
        run(&s, 60);
        assert_in_range(s.pace.lanes, 2, 8);
    }
}

static void random_loss_is_no_waste(void **state)
{
    (void)state;
    struct path_model lossy = clean;
    lossy.own_loss = 0.05;
    lossy.waste = 0;
    lossy.per_lane = 4 * MB;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct sim s = begin(&lossy, seed);
        run(&s, 60);
        assert_true(goodput(&lossy, s.pace.lanes) >= 0.9 * lossy.capacity);
    }
}

static void cubic_gets_as_many_as_pay(void **state)
{
    (void)state;
    struct path_model cubic = {
        .capacity = 60 * MB, .per_lane = 0.125 * MB, .own_loss = 0.01, .most = 256};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct sim s = begin(&cubic, seed);
        run(&s, 60);
        assert_int_equal(s.pace.lanes, 256);
        s = begin(&cubic, seed);
        cubic.most = 100;
        run(&s, 60);
        assert_int_equal(s.pace.lanes, 100);
        cubic.most = 256;
    }
}

static void windows_of_the_peer_are_met_by_more(void **state)
{
    (void)state;
    struct path_model held = clean;
    held.per_lane = 0.3 * MB; /* 64 KiB a round trip */
    held.held = 0.9;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct sim s = begin(&held, seed);
        run(&s, 20);
        assert_int_equal(s.pace.lanes, 32);
    }
}

static void a_starved_path_says_nothing(void **state)
{
    (void)state;
    struct sim s = begin(&clean, 1);
    s.in_use_most = 3;
    run(&s, 120);
    assert_int_equal(s.pace.lanes, 8);
}

static void outages_and_drops_change_nothing_for_long(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct sim s = begin(&clean, seed);
        run(&s, 60);
        unsigned before = s.pace.lanes;
        s.factor = 0;
        run(&s, 30);
        assert_in_range(s.pace.lanes, before / 2, before * 2);
        s.factor = 0.1;
        run(&s, 60);
        s.factor = 1;
        run(&s, 1);
        assert_true(goodput(&clean, s.pace.lanes) >= 0.8 * goodput(&clean, before));
    }
}

static void limits_hold(void **state)
{
    (void)state;
    struct path_model tiny = clean;
    tiny.most = 1;
    struct sim s = begin(&tiny, 1);
    for (int i = 0; i < 500; i++) {
        tick(&s);
        assert_int_equal(pace_lanes(&s.pace, 1), 1);
        assert_in_range(s.pace.lanes, 1, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_a_lossy_path),
        cmocka_unit_test(does_not_stay_where_much_is_sent_twice),
        cmocka_unit_test(random_loss_is_no_waste),
        cmocka_unit_test(cubic_gets_as_many_as_pay),
        cmocka_unit_test(windows_of_the_peer_are_met_by_more),
        cmocka_unit_test(a_starved_path_says_nothing),
        cmocka_unit_test(outages_and_drops_change_nothing_for_long),
        cmocka_unit_test(limits_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
