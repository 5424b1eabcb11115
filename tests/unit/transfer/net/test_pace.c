/* Single decisions of the controller, and what holds whatever it is told. What it makes of whole
 * paths is in test_pace_paths.c. */
#include "transfer/net/pace.h"

#include "daemon/base/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define RTT_US    100000
#define SAMPLE_US 100000
#define MB        1000000.0

/* What the path gives for a number of lanes. */
typedef double goodput_fn(unsigned lanes);
typedef double repeats_fn(unsigned lanes);

struct bench {
    struct pace pace;
    struct pace_sample sample; /* as a template */
    goodput_fn *goodput;       /* bytes a second */
    repeats_fn *repeats;
    double scale;  /* × goodput */
    double start;  /* repeated besides, by lanes that have just begun */
    unsigned work; /* lanes that there is work for; 0: any number */
};

static double full_at_40(unsigned lanes)
{
    (void)lanes;
    return 40 * MB;
}

static double one_each(unsigned lanes)
{
    return lanes * MB;
}

static double up_to_20(unsigned lanes)
{
    return lanes < 20 ? lanes * MB : 20 * MB;
}

static double nothing(unsigned lanes)
{
    (void)lanes;
    return 0;
}

static double none(unsigned lanes)
{
    (void)lanes;
    return 0;
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

static void bench_init(struct bench *b, bool is_bbr, goodput_fn *goodput)
{
    *b = (struct bench){.goodput = goodput, .repeats = none, .scale = 1};
    b->sample = (struct pace_sample){
        .now_us = 1, .min_rtt_us = RTT_US, .rtt_us = RTT_US, .limit = 256, .is_bbr = is_bbr};
    pace_init(&b->pace, is_bbr, 256);
    pace_sample(&b->pace, &b->sample);
}

static void sample(struct bench *b)
{
    struct pace_sample *s = &b->sample;
    unsigned wanted = b->pace.wanted;
    unsigned lanes = b->work > 0 && b->work < wanted ? b->work : wanted;
    s->now_us += SAMPLE_US;
    s->lanes = lanes;
    s->moved_bytes = (uint64_t)(b->scale * b->goodput(lanes) * SAMPLE_US / 1e6);
    s->sent_bytes = (uint64_t)((double)s->moved_bytes / (1 - b->start - b->repeats(lanes)));
    s->retrans_bytes = s->sent_bytes - s->moved_bytes;
    pace_sample(&b->pace, s);
}

static void run(struct bench *b, unsigned seconds)
{
    for (unsigned i = 0; i < seconds * 10; i++) {
        sample(b);
    }
}

/* Until the reason is this; fails after a minute. */
static void run_until(struct bench *b, enum pace_reason reason)
{
    for (unsigned i = 0; b->pace.reason != reason; i++) {
        assert_true(i < 700);
        sample(b);
    }
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
    struct bench b;
    bench_init(&b, true, full_at_40);
    b.sample.is_bbr = false;
    sample(&b);
    assert_int_equal(b.pace.wanted, PACE_OTHER_START);
}

static void growth_without_gain_is_undone(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, true, full_at_40);
    run_until(&b, PACE_TRIES_MORE);
    assert_int_equal(b.pace.wanted, PACE_BBR_START * 5 / 4);
    run_until(&b, PACE_NO_GAIN);
    assert_int_equal(b.pace.wanted, PACE_BBR_START);
    run(&b, 55);
    assert_int_equal(b.pace.reason, PACE_NO_GAIN);
    run_until(&b, PACE_TRIES_MORE); /* after a minute */
}

/* A gain that noise can bring is measured twice. */
static void luck_is_no_gain(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, true, full_at_40);
    run_until(&b, PACE_TRIES_MORE);
    b.scale = 1.08;
    while (b.pace.move == PACE_GROW && b.pace.judged == 0) {
        sample(&b);
    }
    assert_int_equal(b.pace.move, PACE_GROW);
    b.scale = 0.93;
    while (b.pace.move == PACE_GROW) {
        sample(&b);
    }
    assert_int_equal(b.pace.reason, PACE_NO_GAIN);
    assert_int_equal(b.pace.wanted, PACE_BBR_START);
}

/* Lanes that were still at their start when the base was measured: no reason for a longer step. */
static void more_than_the_lanes_explain(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, true, full_at_40);
    run_until(&b, PACE_TRIES_MORE);
    b.scale = 1.36;
    run_until(&b, PACE_PATH_ROSE);
    assert_int_equal(b.pace.move, PACE_NO_MOVE);
    run_until(&b, PACE_NO_GAIN);
    run_until(&b, PACE_TRIMMED);
    assert_int_equal(b.pace.wanted, PACE_BBR_START);
}

/* While lanes find their rate by themselves, that would look like the gain of more. */
static void nothing_is_tried_while_goodput_rises(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, true, full_at_40);
    b.scale = 0.5;
    for (int i = 0; i < 120; i++) {
        b.scale += 0.004; /* 4 to 8 % a second */
        sample(&b);
        assert_int_equal(b.pace.move, PACE_NO_MOVE);
    }
    run_until(&b, PACE_TRIES_MORE);
}

/* What lanes lose at their start ends by itself, and with it what they gain. */
static void nothing_is_tried_while_repeats_abate(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, true, full_at_40);
    for (int i = 150; i > 0; i--) {
        b.start = 0.002 * i; /* two points less a second */
        sample(&b);
        assert_int_equal(b.pace.move, PACE_NO_MOVE);
    }
    b.start = 0;
    run_until(&b, PACE_TRIES_MORE);
}

/* Lanes of CUBIC on a path that loses come down from their slow start. */
static void nothing_is_judged_while_lanes_come_down(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, false, one_each);
    b.scale = 2.8;
    for (int i = 0; i < 32; i++) { /* to 1.06 */
        b.scale *= 0.97;
        sample(&b);
        assert_int_equal(b.pace.move, PACE_NO_MOVE);
    }
    b.scale = 1;
    run_until(&b, PACE_TRIES_MORE);
    assert_true(b.pace.base.goodput < 1.1 * PACE_OTHER_START * MB);
}

static void linear_gain_makes_long_steps(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, false, one_each);
    run(&b, 8);
    assert_int_equal(b.pace.wanted, 256);
    bench_init(&b, true, one_each);
    run(&b, 12);
    assert_int_equal(b.pace.wanted, PACE_BBR_MOST);
}

/* Memory holds no more bodies: the step is judged by the lanes that there were. */
static void a_step_is_cut_to_the_work(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, false, one_each);
    b.work = 76;
    run(&b, 60);
    assert_int_equal(b.pace.wanted, 76);
}

static void a_step_too_far_is_trimmed(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, false, up_to_20);
    run_until(&b, PACE_TRIMMED);
    run(&b, 20);
    assert_in_range(b.pace.wanted, 20, 26);
}

static void excess_shrinks(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, true, full_at_40);
    b.repeats = two_points_each;
    run(&b, 60);
    assert_int_equal(b.pace.wanted, PACE_BBR_LEAST);
    assert_true(pace_excess(&b.pace) < 0.05);
}

/* Loss that does not depend on our lanes costs one trial, and then none for long. */
static void loss_of_the_path_does_not_shrink(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, true, full_at_40);
    b.repeats = a_tenth;
    run_until(&b, PACE_PATH_LOSES);
    assert_int_equal(b.pace.wanted, PACE_BBR_START);
    for (unsigned i = 0; i < 6000; i++) {
        sample(&b);
        assert_int_not_equal(b.pace.move, PACE_SHRINK);
    }
    assert_true(pace_excess(&b.pace) < 0.01);
}

static void shrinking_that_costs_is_undone(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, true, one_each);
    b.sample.limit = PACE_BBR_START;
    b.repeats = two_points_each;
    run_until(&b, PACE_TRIES_FEWER);
    run_until(&b, PACE_NEEDED);
    assert_int_equal(b.pace.wanted, PACE_BBR_START);
}

static void peer_window_goes_past_the_limit_of_bbr(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, true, one_each);
    b.sample.held = 0.8;
    run_until(&b, PACE_PEER_WINDOW);
    assert_int_equal(b.pace.wanted, 2 * PACE_BBR_START);
    assert_true(b.pace.is_held);
    run(&b, 10);
    assert_int_equal(b.pace.wanted, 256);
}

static void starved_samples_do_not_count(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, true, full_at_40);
    b.sample.is_starved = true;
    run(&b, 60);
    assert_int_equal(b.pace.wanted, PACE_BBR_START);
    assert_int_equal(b.pace.reason, PACE_STARTED);
    b.goodput = nothing; /* and no bytes are no outage */
    run(&b, 10);
    assert_int_not_equal(b.pace.state, PACE_SILENT);
}

/* Work that ends in the middle of a move leaves the number that was proven. */
static void move_without_data_is_undone(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, true, one_each);
    run_until(&b, PACE_TRIES_MORE);
    b.sample.is_starved = true;
    run(&b, 20);
    assert_int_equal(b.pace.reason, PACE_NOT_JUDGED);
    assert_int_equal(b.pace.wanted, PACE_BBR_START);
}

/* An hour without work, and without samples, is neither an outage nor a slow path. */
static void rest_proves_nothing(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, true, full_at_40);
    run_until(&b, PACE_NO_GAIN);
    run(&b, 20);
    b.sample.now_us += 3600 * (uint64_t)1000000;
    sample(&b);
    run(&b, 2); /* the next try is due, but not before a new epoch */
    assert_int_equal(b.pace.reason, PACE_NO_GAIN);
    assert_true(b.pace.base.goodput == 40 * MB);
    run_until(&b, PACE_TRIES_MORE);
    b.sample.now_us += 3600 * (uint64_t)1000000; /* and in the middle of a move */
    sample(&b);
    assert_int_equal(b.pace.reason, PACE_NOT_JUDGED);
    assert_int_equal(b.pace.wanted, PACE_BBR_START);
}

static void outage_keeps_the_number(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, true, one_each);
    run(&b, 20);
    assert_int_equal(b.pace.wanted, 32);
    b.goodput = nothing;
    run(&b, 30);
    assert_int_equal(b.pace.state, PACE_SILENT);
    assert_int_equal(b.pace.reason, PACE_OUTAGE);
    b.goodput = one_each;
    sample(&b);
    assert_int_equal(b.pace.reason, PACE_OUTAGE_OVER);
    assert_int_equal(b.pace.wanted, 32);
}

static void outage_within_a_move_undoes_it(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, true, full_at_40);
    run_until(&b, PACE_TRIES_MORE);
    b.goodput = nothing;
    run(&b, 5);
    assert_int_equal(b.pace.wanted, PACE_BBR_START);
    assert_int_equal(b.pace.state, PACE_SILENT);
}

static double a_tenth_of_40(unsigned lanes)
{
    (void)lanes;
    return 4 * MB;
}

static double fifth_of_40(unsigned lanes)
{
    (void)lanes;
    return 8 * MB;
}

/* The fall is the path's, also in the middle of a move; when it is over, fresh lanes come. */
static void fall_and_return(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, true, full_at_40);
    run_until(&b, PACE_TRIES_MORE);
    b.goodput = a_tenth_of_40;
    run_until(&b, PACE_PATH_FELL);
    assert_int_equal(b.pace.wanted, PACE_BBR_START);
    run(&b, 15);
    assert_int_equal(b.pace.reason, PACE_NO_GAIN); /* tried again soon: that fall proved nothing */
    b.goodput = fifth_of_40;                       /* the lanes themselves are slow to find it */
    run_until(&b, PACE_PATH_IS_BACK);
    assert_int_equal(b.pace.wanted, 2 * PACE_BBR_START);
    b.goodput = full_at_40;
    run_until(&b, PACE_FRESH_OVER);
    assert_int_equal(b.pace.wanted, PACE_BBR_START);
}

/* The queue that a slower path had is gone: it has room again, unless it was lanes that went. */
static void queue_that_drains(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, true, full_at_40);
    run_until(&b, PACE_NO_GAIN);
    b.goodput = a_tenth_of_40;
    b.sample.rtt_us = 2 * RTT_US;
    run_until(&b, PACE_TRIES_MORE);
    run_until(&b, PACE_NO_GAIN);
    b.sample.rtt_us = RTT_US;
    while (b.pace.state == PACE_SETTLING) {
        sample(&b);
        assert_int_equal(b.pace.reason, PACE_NO_GAIN);
    }
    b.sample.rtt_us = 2 * RTT_US;
    run(&b, 10);
    assert_int_equal(b.pace.reason, PACE_NO_GAIN);
    b.sample.rtt_us = RTT_US;
    run(&b, 1);
    assert_int_equal(b.pace.reason, PACE_PATH_IS_BACK);
}

static void limit_holds_at_once(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, false, one_each);
    run(&b, 10);
    assert_int_equal(b.pace.wanted, 256);
    b.sample.limit = 30;
    sample(&b);
    assert_int_equal(b.pace.wanted, 30);
    assert_int_equal(b.pace.reason, PACE_LIMITED);
    b.sample.limit = 0; /* never none */
    sample(&b);
    assert_int_equal(b.pace.wanted, 1);
    b.sample.limit = 64;
    run(&b, 20);
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
        cmocka_unit_test(linear_gain_makes_long_steps),
        cmocka_unit_test(a_step_is_cut_to_the_work),
        cmocka_unit_test(a_step_too_far_is_trimmed),
        cmocka_unit_test(excess_shrinks),
        cmocka_unit_test(loss_of_the_path_does_not_shrink),
        cmocka_unit_test(shrinking_that_costs_is_undone),
        cmocka_unit_test(peer_window_goes_past_the_limit_of_bbr),
        cmocka_unit_test(starved_samples_do_not_count),
        cmocka_unit_test(move_without_data_is_undone),
        cmocka_unit_test(rest_proves_nothing),
        cmocka_unit_test(outage_keeps_the_number),
        cmocka_unit_test(outage_within_a_move_undoes_it),
        cmocka_unit_test(fall_and_return),
        cmocka_unit_test(queue_that_drains),
        cmocka_unit_test(limit_holds_at_once),
        cmocka_unit_test(reasons_have_texts),
        cmocka_unit_test(random_samples_hold_the_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
