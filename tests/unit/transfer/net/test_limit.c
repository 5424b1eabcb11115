#include "transfer/net/limit.h"

#include "daemon/base/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SECOND ((uint64_t)1000000)
#define MS     ((uint64_t)1000)
#define NOON   720u

/* "08:00-20:00 12.5 MB/s, 22:00-06:00 nothing, else 50 MB/s" */
static const struct limit_table day = {
    .periods = {{480, 1200, 12500000}, {1320, 360, 0}}, .count = 2, .rate = 50000000};

static void timetable(void **state)
{
    (void)state;
    assert_int_equal(limit_rate(&day, 480), 12500000);
    assert_int_equal(limit_rate(&day, 1199), 12500000);
    assert_int_equal(limit_rate(&day, 1200), 50000000);
    assert_int_equal(limit_rate(&day, 479), 50000000);
    assert_int_equal(limit_rate(&day, 1320), 0);
    assert_int_equal(limit_rate(&day, 1439), 0);
    assert_int_equal(limit_rate(&day, 0), 0);
    assert_int_equal(limit_rate(&day, 359), 0);
    assert_int_equal(limit_rate(&day, 360), 50000000);
    struct limit_table whole = {.periods = {{60, 60, 7}}, .count = 1, .rate = 8};
    assert_int_equal(limit_rate(&whole, 0), 7);
    struct limit_table first = {.periods = {{0, 10, 1}, {0, 20, 2}}, .count = 2, .rate = 3};
    assert_int_equal(limit_rate(&first, 5), 1);
    assert_int_equal(limit_rate(&first, 15), 2);
}

/* Sends units of `amount` whenever it may; what went in so many seconds. */
static uint64_t send(struct limit *l, uint64_t *now_us, unsigned seconds, uint64_t amount,
                     unsigned minute)
{
    uint64_t sum = 0;
    uint64_t until_us = *now_us + seconds * SECOND;
    while (*now_us < until_us) {
        uint64_t wait_us = limit_wait_us(l, *now_us, minute);
        assert_true(wait_us <= LIMIT_ASK_US);
        if (wait_us == 0) {
            limit_sent(l, amount);
            sum += amount;
            wait_us =
                sum < UINT64_C(1) << 40 ? 0 : SECOND; /* no bound: time goes on all the same */
        }
        *now_us += wait_us;
    }
    return sum;
}

/* Whatever the size of what goes at one time, the rate is the rate. */
static void holds_the_rate(void **state)
{
    (void)state;
    static const uint64_t amounts[] = {1000, 65536, 1000000, 64000000};
    for (size_t i = 0; i < sizeof(amounts) / sizeof(amounts[0]); i++) {
        struct limit l;
        uint64_t now_us = SECOND;
        limit_init(&l, &day);
        send(&l, &now_us, 5, amounts[i], NOON);
        uint64_t sum = send(&l, &now_us, 100, amounts[i], NOON);
        assert_in_range(sum, 1225000000 - amounts[i], 1275000000 + amounts[i]);
    }
}

static void requests_too(void **state)
{
    (void)state;
    struct limit_table table = {.rate = 3};
    struct limit l;
    uint64_t now_us = SECOND;
    limit_init(&l, &table);
    assert_in_range(send(&l, &now_us, 100, 1, NOON), 298, 302);
}

static void idle_time_is_saved_up_for_a_moment_only(void **state)
{
    (void)state;
    struct limit l;
    uint64_t now_us = SECOND;
    limit_init(&l, &day);
    send(&l, &now_us, 5, 1000, NOON);
    now_us += 3600 * SECOND;
    assert_true(send(&l, &now_us, 1, 1000, NOON) <= 14000000);
}

static void nothing_goes_and_it_is_asked_again(void **state)
{
    (void)state;
    struct limit l;
    limit_init(&l, &day);
    assert_int_equal(limit_wait_us(&l, SECOND, 0), LIMIT_ASK_US);
    assert_int_equal(limit_wait_us(&l, 2 * SECOND, 0), LIMIT_ASK_US);
    assert_true(limit_wait_us(&l, 3 * SECOND, 0) > 0);
    limit_wait_us(&l, 4 * SECOND, NOON);
    assert_int_equal(limit_wait_us(&l, 5 * SECOND, NOON), 0);
}

static void no_bound(void **state)
{
    (void)state;
    struct limit l;
    limit_init(&l, NULL);
    for (uint64_t i = 0; i < 1000; i++) {
        assert_int_equal(limit_wait_us(&l, SECOND, NOON), 0);
        limit_sent(&l, (uint64_t)1 << 40);
    }
}

static void changes_live(void **state)
{
    (void)state;
    struct limit l;
    uint64_t now_us = SECOND;
    limit_init(&l, NULL);
    assert_int_equal(limit_wait_us(&l, now_us, NOON), 0);
    limit_sent(&l, 64000000); /* owed to nobody */
    limit_change(&l, &day);
    now_us += 100 * MS;
    assert_int_equal(limit_wait_us(&l, now_us, NOON), 0);
    limit_sent(&l, 64000000); /* five seconds at this rate, of which it has waited one … */
    now_us += SECOND;
    assert_true(limit_wait_us(&l, now_us, NOON) > 0);
    struct limit_table slow = {.rate = 1000000};
    limit_change(&l, &slow); /* … and not 50 at this one */
    limit_wait_us(&l, now_us, NOON);
    now_us += SECOND + MS;
    assert_int_equal(limit_wait_us(&l, now_us, NOON), 0);
    limit_sent(&l, 64000000);
    limit_change(&l, NULL);
    assert_int_equal(limit_wait_us(&l, now_us, NOON), 0);
}

static void random_tables_hold_their_rate(void **state)
{
    (void)state;
    struct loop *loop = loop_new_virtual(20261124, 0);
    for (int round = 0; round < 200; round++) {
        uint64_t rate = 1 + loop_random(loop, (uint64_t)1 << loop_random(loop, 33));
        uint64_t amount = 1 + loop_random(loop, rate);
        struct limit_table table = {.rate = rate};
        struct limit l;
        uint64_t now_us = SECOND;
        limit_init(&l, &table);
        uint64_t sum = send(&l, &now_us, 20, amount, (unsigned)loop_random(loop, 1440));
        assert_true((double)sum <= 20.2 * (double)rate + 2 * (double)amount + 2);
        assert_true((double)sum >= 19.5 * (double)rate - 2 * (double)amount - 2);
    }
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timetable),
        cmocka_unit_test(holds_the_rate),
        cmocka_unit_test(requests_too),
        cmocka_unit_test(idle_time_is_saved_up_for_a_moment_only),
        cmocka_unit_test(nothing_goes_and_it_is_asked_again),
        cmocka_unit_test(no_bound),
        cmocka_unit_test(changes_live),
        cmocka_unit_test(random_tables_hold_their_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
