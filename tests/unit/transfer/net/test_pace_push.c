/* The first seconds without BBR: lanes are doubled while loss holds each of them, and nothing else.
 */
#include "tests/unit/support/pace_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static double one_in_a_hundred(unsigned lanes)
{
    (void)lanes;
    return 0.01;
}

static void init(struct pace_bench *b, bool is_bbr, pace_fn *goodput)
{
    pace_bench_init(b, is_bbr, goodput);
    b->repeats = one_in_a_hundred;
}

/* 0.8 s until there is a base, then 0.8 s a doubling. */
static void loss_without_a_queue_doubles_the_lanes(void **state)
{
    (void)state;
    struct pace_bench b;
    init(&b, false, pace_one_each);
    pace_bench_run_until(&b, PACE_HELD_BY_LOSS);
    assert_int_equal(b.pace.wanted, 2 * PACE_OTHER_START);
    pace_bench_run(&b, 3);
    assert_int_equal(b.pace.wanted, PACE_MOST);
    assert_int_equal(b.pace.reason, PACE_HELD_BY_LOSS);
    pace_bench_run(&b, 60);
    assert_int_equal(b.pace.wanted, PACE_MOST);
}

static void each_step_has_time_to_connect(void **state)
{
    (void)state;
    struct pace_bench b;
    init(&b, false, pace_one_each);
    pace_bench_run_until(&b, PACE_HELD_BY_LOSS);
    for (int i = 0; i < 7; i++) {
        pace_bench_sample(&b);
        assert_int_equal(b.pace.wanted, 2 * PACE_OTHER_START);
    }
    pace_bench_sample(&b);
    assert_int_equal(b.pace.wanted, 4 * PACE_OTHER_START);
}

/* No step is begun before the lanes have settled, as where there is no such start. */
static void assert_waits(struct pace_bench *b)
{
    unsigned start = b->pace.wanted;
    for (int i = 0; i < 12; i++) {
        pace_bench_sample(b);
        assert_int_equal(b->pace.wanted, start);
        assert_int_equal(b->pace.reason, PACE_STARTED);
    }
}

static void a_queue_holds_lanes_by_itself(void **state)
{
    (void)state;
    struct pace_bench b;
    init(&b, false, pace_one_each);
    b.sample.rtt_us = PACE_RTT_US * 6 / 5;
    assert_waits(&b);
}

static void without_loss_it_is_not_loss(void **state)
{
    (void)state;
    struct pace_bench b;
    init(&b, false, pace_one_each);
    b.repeats = pace_nothing;
    assert_waits(&b);
}

static void bbr_is_not_held_by_loss(void **state)
{
    (void)state;
    struct pace_bench b;
    init(&b, true, pace_one_each);
    assert_waits(&b);
}

static void a_source_that_starves_says_nothing(void **state)
{
    (void)state;
    struct pace_bench b;
    init(&b, false, pace_one_each);
    b.sample.is_starved = true;
    assert_waits(&b);
}

/* A policer: 2 % with the lanes that there are first. */
static double four_times_with_each_doubling(unsigned lanes)
{
    return 0.02 * lanes * lanes / (PACE_OTHER_START * PACE_OTHER_START);
}

static void more_repeated_ends_it(void **state)
{
    (void)state;
    struct pace_bench b;
    init(&b, false, pace_one_each);
    b.repeats = four_times_with_each_doubling;
    pace_bench_run_until(&b, PACE_HELD_BY_LOSS);
    assert_int_equal(b.pace.wanted, 2 * PACE_OTHER_START);
    pace_bench_run_until(&b, PACE_ENOUGH);
    while (b.pace.state == PACE_SETTLING) {
        pace_bench_sample(&b);
        assert_int_equal(b.pace.wanted, PACE_OTHER_START);
    }
}

/* A server that takes no more, however many lanes there are. */
static void two_steps_without_gain_are_undone(void **state)
{
    (void)state;
    struct pace_bench b;
    init(&b, false, pace_full_at_40);
    unsigned most = 0;
    while (b.pace.reason != PACE_NO_GAIN) {
        pace_bench_sample(&b);
        most = b.pace.wanted > most ? b.pace.wanted : most;
    }
    assert_int_equal(most, 4 * PACE_OTHER_START);
    while (b.pace.state == PACE_SETTLING) {
        assert_int_equal(b.pace.wanted, PACE_OTHER_START);
        pace_bench_sample(&b);
    }
    pace_bench_run_until(&b, PACE_TRIES_MORE);
    assert_true(b.pace.base_of > 1); /* lanes had too many beside them */
}

/* One step without gain: lanes at their start have more than is left to them later. */
static void one_step_without_gain_is_no_end(void **state)
{
    (void)state;
    struct pace_bench b;
    init(&b, false, pace_one_each);
    pace_bench_run_until(&b, PACE_HELD_BY_LOSS);
    b.scale = 0.4;
    while (b.pace.wanted == 2 * PACE_OTHER_START) {
        pace_bench_sample(&b);
    }
    assert_int_equal(b.pace.wanted, 4 * PACE_OTHER_START);
}

/* Memory holds no more bodies. */
static void a_step_is_cut_to_the_work(void **state)
{
    (void)state;
    struct pace_bench b;
    init(&b, false, pace_one_each);
    b.work = 50;
    pace_bench_run_until(&b, PACE_LIMITED);
    assert_int_equal(b.pace.wanted, 50);
}

/* The same where the time to settle is over before that is known: samples come slowly. */
static void a_step_that_nobody_judged_is_cut(void **state)
{
    (void)state;
    struct pace_bench b;
    init(&b, false, pace_one_each);
    pace_bench_run_until(&b, PACE_HELD_BY_LOSS);
    struct pace_sample s = b.sample;
    for (int i = 0; i < 80; i++) {
        s.now_us += 390000; /* a slice is two of them */
        s.lanes = 18;
        pace_sample(&b.pace, &s);
    }
    assert_int_equal(b.pace.wanted, 18);
    assert_true(b.pace.base.goodput > 0);
}

/* Lanes at their start bring more in each slice than in the one before: that is no base. */
static void the_first_slice_is_no_base(void **state)
{
    (void)state;
    struct pace_bench b;
    init(&b, false, pace_one_each);
    for (int i = 0; i < 19; i++) {
        b.scale = 0.1 * (i + 1);
        pace_bench_sample(&b);
        assert_int_equal(b.pace.wanted, PACE_OTHER_START);
    }
}

static void run_to(struct pace_bench *b, unsigned lanes)
{
    init(b, false, pace_one_each);
    for (int i = 0; b->pace.wanted < lanes; i++) {
        assert_true(i < 100);
        pace_bench_sample(b);
    }
    assert_int_equal(b->pace.wanted, lanes);
}

static void assert_stays(struct pace_bench *b, unsigned lanes, int samples)
{
    for (int i = 0; i < samples; i++) {
        pace_bench_sample(b);
        assert_int_equal(b->pace.wanted, lanes);
    }
}

/* Nothing arrives any more while a step is open: the number stays, and no other step is begun. */
static void silence_is_no_verdict(void **state)
{
    (void)state;
    struct pace_bench b;
    run_to(&b, 4 * PACE_OTHER_START);
    b.goodput = pace_nothing;
    assert_stays(&b, 4 * PACE_OTHER_START, 50);
    assert_int_equal(b.pace.reason, PACE_OUTAGE);
    b.goodput = pace_one_each;
    assert_stays(&b, 4 * PACE_OTHER_START, 10);
    assert_int_equal(b.pace.reason, PACE_OUTAGE_OVER);
}

/* There was no work for a while: what the step was to be judged by is of another time. */
static void a_pause_ends_it(void **state)
{
    (void)state;
    struct pace_bench b;
    run_to(&b, 4 * PACE_OTHER_START);
    b.sample.now_us += 3000000;
    assert_stays(&b, 4 * PACE_OTHER_START, 10);
}

/* The limit falls while a step is open: what it takes back is within the limit, too. */
static void a_lower_limit_holds(void **state)
{
    (void)state;
    struct pace_bench b;
    init(&b, false, pace_one_each);
    pace_bench_run_until(&b, PACE_HELD_BY_LOSS);
    b.sample.limit = 5;
    b.goodput = pace_full_at_40;
    for (int i = 0; i < 30; i++) {
        pace_bench_sample(&b);
        assert_in_range(b.pace.wanted, 1, 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_without_a_queue_doubles_the_lanes),
        cmocka_unit_test(each_step_has_time_to_connect),
        cmocka_unit_test(a_queue_holds_lanes_by_itself),
        cmocka_unit_test(without_loss_it_is_not_loss),
        cmocka_unit_test(bbr_is_not_held_by_loss),
        cmocka_unit_test(a_source_that_starves_says_nothing),
        cmocka_unit_test(more_repeated_ends_it),
        cmocka_unit_test(two_steps_without_gain_are_undone),
        cmocka_unit_test(one_step_without_gain_is_no_end),
        cmocka_unit_test(a_step_is_cut_to_the_work),
        cmocka_unit_test(a_step_that_nobody_judged_is_cut),
        cmocka_unit_test(the_first_slice_is_no_base),
        cmocka_unit_test(silence_is_no_verdict),
        cmocka_unit_test(a_pause_ends_it),
        cmocka_unit_test(a_lower_limit_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
