/* What interrupts the controller proves nothing about the number of lanes: no work, outages, paths
 * that become slow and fast again. */
#include "tests/unit/support/pace_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void starved_samples_do_not_count(void **state)
{
    (void)state;
    struct pace_bench b;
    pace_bench_init(&b, true, pace_full_at_40);
    b.sample.is_starved = true;
    pace_bench_run(&b, 60);
    assert_int_equal(b.pace.wanted, PACE_BBR_START);
    assert_int_equal(b.pace.reason, PACE_STARTED);
    b.goodput = pace_nothing; /* and no bytes are no outage */
    pace_bench_run(&b, 10);
    assert_int_not_equal(b.pace.state, PACE_SILENT);
}

/* Work that ends in the middle of a move leaves the number that was proven. */
static void move_without_data_is_undone(void **state)
{
    (void)state;
    struct pace_bench b;
    pace_bench_init(&b, true, pace_one_each);
    pace_bench_run_until(&b, PACE_TRIES_MORE);
    b.sample.is_starved = true;
    pace_bench_run(&b, 20);
    assert_int_equal(b.pace.reason, PACE_NOT_JUDGED);
    assert_int_equal(b.pace.wanted, PACE_BBR_START);
}

/* An hour without work, and without samples, is neither an outage nor a slow path. */
static void rest_proves_nothing(void **state)
{
    (void)state;
    struct pace_bench b;
    pace_bench_init(&b, true, pace_full_at_40);
    pace_bench_run_until(&b, PACE_NO_GAIN);
    pace_bench_run(&b, 20);
    b.sample.now_us += 3600 * (uint64_t)1000000;
    pace_bench_sample(&b);
    pace_bench_run(&b, 2); /* the next try is due, but not before a new epoch */
    assert_int_equal(b.pace.reason, PACE_NO_GAIN);
    assert_true(b.pace.base.goodput == 40 * PACE_MB);
    pace_bench_run_until(&b, PACE_TRIES_MORE);
    b.sample.now_us += 3600 * (uint64_t)1000000; /* and in the middle of a move */
    pace_bench_sample(&b);
    assert_int_equal(b.pace.reason, PACE_NOT_JUDGED);
    assert_int_equal(b.pace.wanted, PACE_BBR_START);
}

static void outage_keeps_the_number(void **state)
{
    (void)state;
    struct pace_bench b;
    pace_bench_init(&b, true, pace_one_each);
    pace_bench_run(&b, 20);
    assert_int_equal(b.pace.wanted, 32);
    b.goodput = pace_nothing;
    pace_bench_run(&b, 30);
    assert_int_equal(b.pace.state, PACE_SILENT);
    assert_int_equal(b.pace.reason, PACE_OUTAGE);
    b.goodput = pace_one_each;
    pace_bench_sample(&b);
    assert_int_equal(b.pace.reason, PACE_OUTAGE_OVER);
    assert_int_equal(b.pace.wanted, 32);
}

static void outage_within_a_move_undoes_it(void **state)
{
    (void)state;
    struct pace_bench b;
    pace_bench_init(&b, true, pace_full_at_40);
    pace_bench_run_until(&b, PACE_TRIES_MORE);
    b.goodput = pace_nothing;
    pace_bench_run(&b, 5);
    assert_int_equal(b.pace.wanted, PACE_BBR_START);
    assert_int_equal(b.pace.state, PACE_SILENT);
}

static double a_tenth_of_40(unsigned lanes)
{
    (void)lanes;
    return 4 * PACE_MB;
}

static double fifth_of_40(unsigned lanes)
{
    (void)lanes;
    return 8 * PACE_MB;
}

/* The fall is the path's, also in the middle of a move; when it is over, fresh lanes come. */
static void fall_and_return(void **state)
{
    (void)state;
    struct pace_bench b;
    pace_bench_init(&b, true, pace_full_at_40);
    pace_bench_run_until(&b, PACE_TRIES_MORE);
    b.goodput = a_tenth_of_40;
    pace_bench_run_until(&b, PACE_PATH_FELL);
    assert_int_equal(b.pace.wanted, PACE_BBR_START);
    pace_bench_run(&b, 15);
    assert_int_equal(b.pace.reason, PACE_NO_GAIN); /* tried again soon: that fall proved nothing */
    b.goodput = fifth_of_40;                       /* the lanes themselves are slow to find it */
    pace_bench_run_until(&b, PACE_PATH_IS_BACK);
    assert_int_equal(b.pace.wanted, 2 * PACE_BBR_START);
    b.goodput = pace_full_at_40;
    pace_bench_run_until(&b, PACE_FRESH_OVER);
    assert_int_equal(b.pace.wanted, PACE_BBR_START);
}

/* The queue that a slower path had is gone: it has room again, unless it was lanes that went. */
static void queue_that_drains(void **state)
{
    (void)state;
    struct pace_bench b;
    pace_bench_init(&b, true, pace_full_at_40);
    pace_bench_run_until(&b, PACE_NO_GAIN);
    b.goodput = a_tenth_of_40;
    b.sample.rtt_us = 2 * PACE_RTT_US;
    pace_bench_run_until(&b, PACE_TRIES_MORE);
    pace_bench_run_until(&b, PACE_NO_GAIN);
    b.sample.rtt_us = PACE_RTT_US;
    while (b.pace.state == PACE_SETTLING) {
        pace_bench_sample(&b);
        assert_int_equal(b.pace.reason, PACE_NO_GAIN);
    }
    b.sample.rtt_us = 2 * PACE_RTT_US;
    pace_bench_run(&b, 10);
    assert_int_equal(b.pace.reason, PACE_NO_GAIN);
    b.sample.rtt_us = PACE_RTT_US;
    pace_bench_run(&b, 1);
    assert_int_equal(b.pace.reason, PACE_PATH_IS_BACK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starved_samples_do_not_count),
        cmocka_unit_test(move_without_data_is_undone),
        cmocka_unit_test(rest_proves_nothing),
        cmocka_unit_test(outage_keeps_the_number),
        cmocka_unit_test(outage_within_a_move_undoes_it),
        cmocka_unit_test(fall_and_return),
        cmocka_unit_test(queue_that_drains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
