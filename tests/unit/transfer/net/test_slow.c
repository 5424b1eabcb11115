#include "transfer/net/slow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define KIB    ((uint64_t)1024)
#define MIB    (1024 * KIB)
#define SECOND ((uint64_t)1000000)
#define RTT_US 150000

static void set(struct slow_lane *lanes, size_t count, uint64_t rate_bps)
{
    memset(lanes, 0, count * sizeof(*lanes));
    for (size_t i = 0; i < count; i++) {
        lanes[i] = (struct slow_lane){.rate_bps = rate_bps, .has_work = true};
    }
}

/* Looks twice a second for so long; the last answer. */
static int watch(struct slow_lane *lanes, size_t count, uint64_t *now_us, unsigned seconds,
                 uint32_t rtt_us)
{
    int found = -1;
    for (unsigned i = 0; i <= 2 * seconds; i++) {
        found = slow_find(lanes, count, *now_us, rtt_us);
        *now_us += SECOND / 2;
    }
    return found;
}

static void one_far_behind_for_long(void **state)
{
    (void)state;
    struct slow_lane lanes[8];
    uint64_t now_us = SECOND;
    set(lanes, 8, 7 * MIB);
    assert_int_equal(watch(lanes, 8, &now_us, 20, RTT_US), -1);
    lanes[3].rate_bps = MIB / 2;
    assert_int_equal(watch(lanes, 8, &now_us, 4, RTT_US), -1);
    assert_int_equal(watch(lanes, 8, &now_us, 1, RTT_US), 3);
}

static void a_moment_of_speed_begins_anew(void **state)
{
    (void)state;
    struct slow_lane lanes[8];
    uint64_t now_us = SECOND;
    set(lanes, 8, 7 * MIB);
    lanes[3].rate_bps = MIB / 2;
    assert_int_equal(watch(lanes, 8, &now_us, 4, RTT_US), -1);
    lanes[3].rate_bps = 7 * MIB;
    assert_int_equal(slow_find(lanes, 8, now_us, RTT_US), -1);
    lanes[3].rate_bps = MIB / 2;
    assert_int_equal(watch(lanes, 8, &now_us, 4, RTT_US), -1);
}

static void a_long_way_has_more_patience(void **state)
{
    (void)state;
    struct slow_lane lanes[4];
    uint64_t now_us = SECOND;
    set(lanes, 4, 7 * MIB);
    lanes[0].rate_bps = 0;
    assert_int_equal(watch(lanes, 4, &now_us, 9, 500000), -1);
    assert_int_equal(watch(lanes, 4, &now_us, 1, 500000), 0);
}

static void idle_lanes_are_no_peers(void **state)
{
    (void)state;
    struct slow_lane lanes[8];
    uint64_t now_us = SECOND;
    set(lanes, 8, 7 * MIB);
    for (size_t i = 2; i < 8; i++) {
        lanes[i].has_work = false;
    }
    lanes[0].rate_bps = 0; /* two at work: which of them is wrong? */
    assert_int_equal(watch(lanes, 8, &now_us, 20, RTT_US), -1);
    lanes[2].has_work = true;
    assert_int_equal(watch(lanes, 8, &now_us, 20, RTT_US), 0);
    lanes[0].has_work = false; /* and one that waits for work is not slow */
    lanes[3].has_work = true;
    assert_int_equal(watch(lanes, 8, &now_us, 20, RTT_US), -1);
}

static void the_slowest_goes_first(void **state)
{
    (void)state;
    struct slow_lane lanes[8];
    uint64_t now_us = SECOND;
    set(lanes, 8, 7 * MIB);
    lanes[2].rate_bps = MIB;
    lanes[5].rate_bps = MIB / 2;
    assert_int_equal(watch(lanes, 8, &now_us, 6, RTT_US), 5);
}

/* Half of them fresh and fast, half of them old and slow: the old ones go. */
static void half_of_them_can_be_slow(void **state)
{
    (void)state;
    struct slow_lane lanes[8];
    uint64_t now_us = SECOND;
    set(lanes, 8, 7 * MIB);
    for (size_t i = 0; i < 4; i++) {
        lanes[i].rate_bps = MIB / 2;
    }
    assert_in_range(watch(lanes, 8, &now_us, 6, RTT_US), 0, 3);
}

/* The floor is for lanes that lag, not for paths that are slow: 256 CUBIC lanes at 1 % loss have
 * 12 KiB/s each. */
static void the_floor_needs_peers_above_it(void **state)
{
    (void)state;
    struct slow_lane lanes[8];
    uint64_t now_us = SECOND;
    set(lanes, 8, 12 * KIB);
    lanes[0].rate_bps = 8 * KIB;
    assert_int_equal(watch(lanes, 8, &now_us, 20, RTT_US), -1);
    set(lanes, 8, 60 * KIB);
    lanes[0].rate_bps = 20 * KIB; /* a third, but below the floor */
    assert_int_equal(watch(lanes, 8, &now_us, 20, RTT_US), 0);
}

static void none_at_all(void **state)
{
    (void)state;
    struct slow_lane lanes[1] = {{0}};
    assert_int_equal(slow_find(lanes, 0, SECOND, 0), -1);
    assert_int_equal(slow_find(lanes, 1, SECOND, 0), -1);
}

/* 16 MiB of which most are left. */
static struct slow_rest rest(uint64_t rate_bps, uint64_t other_bps)
{
    return (struct slow_rest){
        .size = 16 * MIB, .left = 12 * MIB, .rate_bps = rate_bps, .other_bps = other_bps};
}

static void what_is_sooner_anew(void **state)
{
    (void)state;
    struct slow_rest r = rest(2 * MIB, 8 * MIB); /* 6 s, or 2.6 */
    assert_true(slow_is_sooner_anew(&r, RTT_US));
    r = rest(3 * MIB, 8 * MIB); /* 4 s */
    assert_false(slow_is_sooner_anew(&r, RTT_US));
    r = rest(0, 8 * MIB);
    assert_true(slow_is_sooner_anew(&r, RTT_US));
    r.left = 0; /* only the answer is missing */
    assert_false(slow_is_sooner_anew(&r, RTT_US));
    r = rest(2 * MIB, 0);
    assert_false(slow_is_sooner_anew(&r, RTT_US));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_far_behind_for_long),
        cmocka_unit_test(a_moment_of_speed_begins_anew),
        cmocka_unit_test(a_long_way_has_more_patience),
        cmocka_unit_test(idle_lanes_are_no_peers),
        cmocka_unit_test(the_slowest_goes_first),
        cmocka_unit_test(half_of_them_can_be_slow),
        cmocka_unit_test(the_floor_needs_peers_above_it),
        cmocka_unit_test(none_at_all),
        cmocka_unit_test(what_is_sooner_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
