/* Steady rates for pieces of any size. */
#include "transfer/copy/bucket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Takes as much as it may for `ms`, in steps of a millisecond. */
static double take_all(struct bucket *b, double piece, uint64_t *now_ms, uint64_t ms)
{
    double taken = 0;
    for (uint64_t end = *now_ms + ms; *now_ms < end; ++*now_ms) {
        while (bucket_wait_ms(b, *now_ms) == 0) {
            bucket_take(b, piece, *now_ms);
            taken += piece;
        }
    }
    return taken;
}

static void test_rate_holds_for_pieces_of_any_size(void **state)
{
    (void)state;
    static const double pieces[] = {1, 1000, 64e6};
    for (int i = 0; i < 3; i++) {
        struct bucket b = {0};
        uint64_t now = 5;
        bucket_set(&b, 1e6, now);
        double taken = take_all(&b, pieces[i], &now, 640000);
        assert_true(taken > 640e6 - 1000 - pieces[i] && taken < 640.2e6 + pieces[i]);
    }
}

static void test_no_limit_never_waits(void **state)
{
    (void)state;
    struct bucket b = {0};
    bucket_take(&b, 1e12, 7);
    assert_int_equal(bucket_wait_ms(&b, 7), 0);
}

static void test_idle_time_is_not_saved_up(void **state)
{
    (void)state;
    struct bucket b = {0};
    uint64_t now = 1;
    bucket_set(&b, 1000, now);
    now += 3600000;
    double taken = take_all(&b, 1, &now, 1000);
    assert_true(taken > 1000 && taken < 1000 + 1.1 * BUCKET_BURST_MS);
}

static void test_debt_is_paid_at_the_new_rate(void **state)
{
    (void)state;
    struct bucket b = {0};
    bucket_set(&b, 10, 1);
    bucket_take(&b, 1000, 1);
    assert_int_equal(bucket_wait_ms(&b, 1), 100001);
    bucket_set(&b, 1000, 1001);
    assert_in_range(bucket_wait_ms(&b, 1001), 990, 991);
    bucket_set(&b, 0, 1001);
    assert_int_equal(bucket_wait_ms(&b, 1001), 0);
    bucket_set(&b, 5, 1001);
    assert_int_equal(bucket_wait_ms(&b, 1001), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate_holds_for_pieces_of_any_size),
        cmocka_unit_test(test_no_limit_never_waits),
        cmocka_unit_test(test_idle_time_is_not_saved_up),
        cmocka_unit_test(test_debt_is_paid_at_the_new_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
