#include "transfer/net/firstbyte.h"

#include "daemon/base/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define RTT_US 150000
#define MS     1000

static void came(struct firstbyte *f, unsigned count, uint32_t latency_us)
{
    for (unsigned i = 0; i < count; i++) {
        firstbyte_came(f, latency_us, RTT_US);
    }
}

static void learns_from_as_many_as_there_are_lanes(void **state)
{
    (void)state;
    struct firstbyte f;
    firstbyte_init(&f, 32);
    came(&f, 31, 350 * MS);
    assert_int_equal(firstbyte_timeout_us(&f), 0);
    came(&f, 1, 350 * MS);
    assert_int_equal(firstbyte_timeout_us(&f), 1300 * MS); /* 1 s and two round trips */
    firstbyte_init(&f, 1);
    came(&f, 9, 350 * MS);
    assert_int_equal(firstbyte_timeout_us(&f), 0);
    came(&f, 1, 350 * MS);
    assert_int_equal(firstbyte_timeout_us(&f), 1300 * MS);
}

static void ninth_of_ten_counts_where_it_is_later(void **state)
{
    (void)state;
    struct firstbyte f;
    firstbyte_init(&f, 20);
    came(&f, 17, 400 * MS);
    came(&f, 3, 2000 * MS);
    assert_int_equal(firstbyte_timeout_us(&f), 2000 * MS);
    firstbyte_init(&f, 20);
    came(&f, 18, 400 * MS);
    came(&f, 2, 2000 * MS);
    assert_int_equal(firstbyte_timeout_us(&f), 1300 * MS);
}

static void follows_the_latency(void **state)
{
    (void)state;
    struct firstbyte f;
    firstbyte_init(&f, 10);
    came(&f, 10, 350 * MS);
    came(&f, 2000, 350 * MS);
    assert_in_range(firstbyte_timeout_us(&f), 1040 * MS, 1060 * MS);
    came(&f, 2000, 900 * MS);
    assert_in_range(firstbyte_timeout_us(&f), 1590 * MS, 1610 * MS);
}

/* One in a thousand is what it is for; more of them make it longer. */
static void grows_when_it_is_met_too_often(void **state)
{
    (void)state;
    struct firstbyte f;
    firstbyte_init(&f, 10);
    came(&f, 10, 350 * MS);
    came(&f, 1500, 350 * MS);
    uint64_t before_us = firstbyte_timeout_us(&f);
    firstbyte_missed(&f, RTT_US); /* 1 of 1,501 */
    assert_int_equal(firstbyte_timeout_us(&f), before_us);
    firstbyte_missed(&f, RTT_US); /* 2 of 1,502 */
    assert_int_equal(firstbyte_timeout_us(&f), before_us + 100 * MS);
    for (int i = 0; i < 13; i++) {
        firstbyte_missed(&f, RTT_US);
    }
    before_us = firstbyte_timeout_us(&f);
    firstbyte_missed(&f, RTT_US); /* 16 of 1,516 */
    assert_int_equal(firstbyte_timeout_us(&f), before_us + 1000 * MS);
}

/* A server that is slow throughout is waited for, and learnt anew. */
static void gives_up_and_learns_anew(void **state)
{
    (void)state;
    struct firstbyte f;
    firstbyte_init(&f, 10);
    came(&f, 10, 350 * MS);
    for (int i = 0; i < 10; i++) {
        firstbyte_missed(&f, RTT_US);
    }
    assert_int_equal(firstbyte_timeout_us(&f), 0);
    came(&f, 50, 6000 * MS);
    assert_int_equal(firstbyte_timeout_us(&f), 0);
    came(&f, 100, 350 * MS);
    assert_in_range(firstbyte_timeout_us(&f), 1000 * MS, 1500 * MS);
}

static void is_none_or_within_bounds(void **state)
{
    (void)state;
    struct loop *loop = loop_new_virtual(20261124, 0);
    for (int round = 0; round < 200; round++) {
        struct firstbyte f;
        firstbyte_init(&f, (unsigned)loop_random(loop, 1000));
        uint32_t scale = (uint32_t)1 << (10 + loop_random(loop, 16));
        for (int i = 0; i < 3000; i++) {
            if (loop_random(loop, 100) > 0) {
                firstbyte_came(&f, (uint32_t)loop_random(loop, scale), RTT_US);
            } else {
                firstbyte_missed(&f, RTT_US);
            }
            uint64_t timeout_us = firstbyte_timeout_us(&f);
            assert_true(timeout_us == 0 || timeout_us >= 690 * MS);
            assert_true(timeout_us <= 60000 * MS);
        }
    }
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learns_from_as_many_as_there_are_lanes),
        cmocka_unit_test(ninth_of_ten_counts_where_it_is_later),
        cmocka_unit_test(follows_the_latency),
        cmocka_unit_test(grows_when_it_is_met_too_often),
        cmocka_unit_test(gives_up_and_learns_anew),
        cmocka_unit_test(is_none_or_within_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
