/* Single decisions of the controller, and what holds whatever it is told. What interrupts it is in
 * test_pace_breaks.c, what it makes of whole paths in test_pace_paths.c. */
#include "tests/unit/support/pace_bench.h"

#include "daemon/base/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static double up_to_20(unsigned lanes)
{
    return lanes < 20 ? lanes * PACE_MB : 20 * PACE_MB;
}

static double a_tenth(unsigned lanes)
{
    (void)lanes;
    return 0.1;
}

static double two_points_each(unsigned lanes)
{
    return 0.02 * lanes;
}

static void starts_by_control_and_limit(void **state)
{
    (void)state;
    struct pace p;
    pace_init(&p, true, 256);
    assert_int_equal(p.wanted, PACE_BBR_START);
    pace_init(&p, false, 256);
    assert_int_equal(p.wanted, PACE_OTHER_START);
    pace_init(&p, false, 3);
    assert_int_equal(p.wanted, 3);
}

/* The kernel's grant is known with the first lane. */
static void control_that_is_not_granted(void **state)
{
    (void)state;
    struct pace_bench b;
    pace_bench_init(&b, true, pace_full_at_40);
    b.sample.is_bbr = false;
    pace_bench_sample(&b);
    assert_int_equal(b.pace.wanted, PACE_OTHER_START);
}

static void growth_without_gain_is_undone(void **state)
{
    (void)state;
    struct pace_bench b;
    pace_bench_init(&b, true, pace_full_at_40);
    pace_bench_run_until(&b, PACE_TRIES_MORE);
    assert_int_equal(b.pace.wanted, PACE_BBR_START * 5 / 4);
    pace_bench_run_until(&b, PACE_NO_GAIN);
    assert_int_equal(b.pace.wanted, PACE_BBR_START);
    pace_bench_run(&b, 55);
    assert_int_equal(b.pace.reason, PACE_NO_GAIN);
    pace_bench_run_until(&b, PACE_TRIES_MORE); /* after a minute */
}

/* A gain that noise can bring is measured twice. */
static void luck_is_no_gain(void **state)
{
    (void)state;
    struct pace_bench b;
    pace_bench_init(&b, true, pace_full_at_40);
    pace_bench_run_until(&b, PACE_TRIES_MORE);
    b.scale = 1.08;
    while (b.pace.move == PACE_GROW && b.pace.judged == 0) {
        pace_bench_sample(&b);
    }
    assert_int_equal(b.pace.move, PACE_GROW);
    b.scale = 0.93;
    while (b.pace.move == PACE_GROW) {
        pace_bench_sample(&b);
    }
    assert_int_equal(b.pace.reason, PACE_NO_GAIN);
    assert_int_equal(b.pace.wanted, PACE_BBR_START);
}

/* Lanes that were still at their start when the base was measured: no reason for a longer step. */
static void more_than_the_lanes_explain(void **state)
{
    (void)state;
    struct pace_bench b;
    pace_bench_init(&b, true, pace_full_at_40);
    pace_bench_run_until(&b, PACE_TRIES_MORE);
    b.scale = 1.36;
    pace_bench_run_until(&b, PACE_PATH_ROSE);
    assert_int_equal(b.pace.move, PACE_NO_MOVE);
    pace_bench_run_until(&b, PACE_NO_GAIN);
    pace_bench_run_until(&b, PACE_TRIMMED);
    assert_int_equal(b.pace.wanted, PACE_BBR_START);
}

/* While lanes find their rate by themselves, that would look like the gain of more. */
static void nothing_is_tried_while_goodput_rises(void **state)
{
    (void)state;
    struct pace_bench b;
    pace_bench_init(&b, true, pace_full_at_40);
    b.scale = 0.5;
    for (int i = 0; i < 120; i++) {
        b.scale += 0.004; /* 4 to 8 % a second */
        pace_bench_sample(&b);
        assert_int_equal(b.pace.move, PACE_NO_MOVE);
    }
    pace_bench_run_until(&b, PACE_TRIES_MORE);
}

/* What lanes lose at their start ends by itself, and with it what they gain. */
static void nothing_is_tried_while_repeats_abate(void **state)
{
    (void)state;
    struct pace_bench b;
    pace_bench_init(&b, true, pace_full_at_40);
    for (int i = 150; i > 0; i--) {
        b.start = 0.002 * i; /* two points less a second */
        pace_bench_sample(&b);
        assert_int_equal(b.pace.move, PACE_NO_MOVE);
    }
    b.start = 0;
    pace_bench_run_until(&b, PACE_TRIES_MORE);
}

/* Lanes of CUBIC on a path that loses come down from their slow start. */
static void nothing_is_judged_while_lanes_come_down(void **state)
{
    (void)state;
    struct pace_bench b;
    pace_bench_init(&b, false, pace_one_each);
    b.scale = 2.8;
    for (int i = 0; i < 32; i++) { /* to 1.06 */
        b.scale *= 0.97;
        pace_bench_sample(&b);
        assert_int_equal(b.pace.move, PACE_NO_MOVE);
    }
    b.scale = 1;
    pace_bench_run_until(&b, PACE_TRIES_MORE);
    assert_true(b.pace.base.goodput < 1.1 * PACE_OTHER_START * PACE_MB);
}

/* On a slow path they have half a minute of their parts before them. */
static void lanes_that_are_too_many_are_not_measured(void **state)
{
    (void)state;
    struct pace_bench b;
    pace_bench_init(&b, false, pace_full_at_40);
    pace_bench_run_until(&b, PACE_NO_GAIN);
    double base = b.pace.base.goodput;
    struct pace_sample s = b.sample;
    for (int i = 0; i < 400; i++) {
        s.now_us += PACE_SAMPLE_US;
        s.lanes = 2 * b.pace.wanted;
        s.moved_bytes = 2 * b.sample.moved_bytes;
        pace_sample(&b.pace, &s);
        assert_true(b.pace.base.goodput == base);
    }
    b.sample.now_us = s.now_us;
    b.scale = 1.2;
    pace_bench_run(&b, 5);
    assert_true(b.pace.base.goodput > base);
}

static void linear_gain_makes_long_steps(void **state)
{
    (void)state;
    struct pace_bench b;
    pace_bench_init(&b, false, pace_one_each);
    pace_bench_run(&b, 8);
    assert_int_equal(b.pace.wanted, 256);
    pace_bench_init(&b, true, pace_one_each);
    pace_bench_run(&b, 12);
    assert_int_equal(b.pace.wanted, PACE_BBR_MOST);
}

/* Memory holds no more bodies: the step is judged by the lanes that there were. */
static void a_step_is_cut_to_the_work(void **state)
{
    (void)state;
    struct pace_bench b;
    pace_bench_init(&b, false, pace_one_each);
    b.work = 76;
    pace_bench_run(&b, 60);
    assert_int_equal(b.pace.wanted, 76);
}

static void a_step_too_far_is_trimmed(void **state)
{
    (void)state;
    struct pace_bench b;
    pace_bench_init(&b, false, up_to_20);
    pace_bench_run_until(&b, PACE_TRIMMED);
    pace_bench_run(&b, 20);
    assert_in_range(b.pace.wanted, 20, 26);
}

static void excess_shrinks(void **state)
{
    (void)state;
    struct pace_bench b;
    pace_bench_init(&b, true, pace_full_at_40);
    b.repeats = two_points_each;
    pace_bench_run(&b, 60);
    assert_int_equal(b.pace.wanted, PACE_BBR_LEAST);
    assert_true(pace_excess(&b.pace) < 0.05);
}

/* Loss that does not depend on our lanes costs one trial, and then none for long. */
static void loss_of_the_path_does_not_shrink(void **state)
{
    (void)state;
    struct pace_bench b;
    pace_bench_init(&b, true, pace_full_at_40);
    b.repeats = a_tenth;
    pace_bench_run_until(&b, PACE_PATH_LOSES);
    assert_int_equal(b.pace.wanted, PACE_BBR_START);
    for (unsigned i = 0; i < 6000; i++) {
        pace_bench_sample(&b);
        assert_int_not_equal(b.pace.move, PACE_SHRINK);
    }
    assert_true(pace_excess(&b.pace) < 0.01);
}

static void shrinking_that_costs_is_undone(void **state)
{
    (void)state;
    struct pace_bench b;
    pace_bench_init(&b, true, pace_one_each);
    b.sample.limit = PACE_BBR_START;
    b.repeats = two_points_each;
    pace_bench_run_until(&b, PACE_TRIES_FEWER);
    pace_bench_run_until(&b, PACE_NEEDED);
    assert_int_equal(b.pace.wanted, PACE_BBR_START);
}

static void peer_window_goes_past_the_limit_of_bbr(void **state)
{
    (void)state;
    struct pace_bench b;
    pace_bench_init(&b, true, pace_one_each);
    b.sample.held = 0.8;
    pace_bench_run_until(&b, PACE_PEER_WINDOW);
    assert_int_equal(b.pace.wanted, 2 * PACE_BBR_START);
    assert_true(b.pace.is_held);
    pace_bench_run(&b, 10);
    assert_int_equal(b.pace.wanted, 256);
}

static void limit_holds_at_once(void **state)
{
    (void)state;
    struct pace_bench b;
    pace_bench_init(&b, false, pace_one_each);
    pace_bench_run(&b, 10);
    assert_int_equal(b.pace.wanted, 256);
    b.sample.limit = 30;
    pace_bench_sample(&b);
    assert_int_equal(b.pace.wanted, 30);
    assert_int_equal(b.pace.reason, PACE_LIMITED);
    b.sample.limit = 0; /* never none */
    pace_bench_sample(&b);
    assert_int_equal(b.pace.wanted, 1);
    b.sample.limit = 64;
    pace_bench_run(&b, 20);
    assert_int_equal(b.pace.wanted, 64);
}

static void reasons_have_texts(void **state)
{
    (void)state;
    for (int i = 0; i <= PACE_LIMITED; i++) {
        assert_non_null(pace_reason_text((enum pace_reason)i));
    }
}

/* Any samples: the number stays within the limits, and moves are bounded. */
static void random_samples_hold_the_limits(void **state)
{
    (void)state;
    struct loop *loop = loop_new_virtual(20261124, 0);
    for (int round = 0; round < 300; round++) {
        struct pace p;
        bool is_bbr = loop_random(loop, 2) == 1;
        pace_init(&p, is_bbr, 256);
        uint64_t now_us = loop_random(loop, 1000);
        unsigned limit = 1 + (unsigned)loop_random(loop, 300);
        uint64_t scale = (uint64_t)1 << loop_random(loop, 30);
        for (int i = 0; i < 2000; i++) {
            now_us += loop_random(loop, 300000);
            limit = loop_random(loop, 100) > 0 ? limit : 1 + (unsigned)loop_random(loop, 300);
            uint64_t moved = loop_random(loop, 20) > 0 ? loop_random(loop, scale) : 0;
            struct pace_sample s = {
                .now_us = now_us,
                .moved_bytes = moved,
                .sent_bytes = moved + loop_random(loop, scale),
                .min_rtt_us = (uint32_t)loop_random(loop, 400000),
                .rtt_us = (uint32_t)loop_random(loop, 800000),
                .lanes = (unsigned)loop_random(loop, 300),
                .limit = limit,
                .is_bbr = loop_random(loop, 500) > 0 ? is_bbr : !is_bbr,
                .is_starved = loop_random(loop, 10) == 0,
                .held = (double)loop_random(loop, 100) / 100,
            };
            s.retrans_bytes = s.sent_bytes - moved;
            unsigned wanted = pace_sample(&p, &s);
            assert_true(wanted >= 1);
            assert_true(wanted <= limit && wanted <= PACE_MOST);
            assert_true(p.base.goodput >= 0 && p.base.repeats >= 0 && p.base.repeats <= 1);
        }
    }
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_by_control_and_limit),
        cmocka_unit_test(control_that_is_not_granted),
        cmocka_unit_test(growth_without_gain_is_undone),
        cmocka_unit_test(luck_is_no_gain),
        cmocka_unit_test(more_than_the_lanes_explain),
        cmocka_unit_test(nothing_is_tried_while_goodput_rises),
        cmocka_unit_test(nothing_is_tried_while_repeats_abate),
        cmocka_unit_test(nothing_is_judged_while_lanes_come_down),
        cmocka_unit_test(lanes_that_are_too_many_are_not_measured),
        cmocka_unit_test(linear_gain_makes_long_steps),
        cmocka_unit_test(a_step_is_cut_to_the_work),
        cmocka_unit_test(a_step_too_far_is_trimmed),
        cmocka_unit_test(excess_shrinks),
        cmocka_unit_test(loss_of_the_path_does_not_shrink),
        cmocka_unit_test(shrinking_that_costs_is_undone),
        cmocka_unit_test(peer_window_goes_past_the_limit_of_bbr),
        cmocka_unit_test(limit_holds_at_once),
        cmocka_unit_test(reasons_have_texts),
        cmocka_unit_test(random_samples_hold_the_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
