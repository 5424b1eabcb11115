/* Choosing between paths: the fast one, the one that lives, and how others are looked at. */
#include "transfer/net/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MB ((uint64_t)1000 * 1000)

static struct route a, b;
static const struct route *const both[] = {&a, &b};

static int begin(void **state)
{
    (void)state;
    route_init(&a, NET_USE_AUTO);
    route_init(&b, NET_USE_AUTO);
    return 0;
}

/* Measured with bulk of 10 MB that took so long. */
static void measure(struct route *r, uint64_t ms, uint64_t now_ms)
{
    route_started(r, now_ms);
    r->under_way--;
    route_good(r, NET_BULK, 10 * MB, ms * 1000, now_ms);
}

static size_t pick(unsigned free_a, unsigned free_b, uint64_t now_ms)
{
    const struct route_seen seen[] = {{.free_slots = free_a}, {.free_slots = free_b}};
    return route_pick(both, seen, 2, NET_BULK, now_ms);
}

static void unknown_paths_are_both_tried(void **state)
{
    (void)state;
    assert_int_equal(pick(4, 4, 1000), 0);
    route_started(&a, 1000);
    assert_true(route_is_worth(both, 2, 1, NET_BULK));
    measure(&a, 1000, 1000);
    assert_int_equal(pick(4, 4, 1001), 1);
}

static void faster_path_goes_first_and_the_other_fills_up(void **state)
{
    (void)state;
    measure(&a, 2000, 1000);
    measure(&b, 1000, 1000);
    assert_int_equal(pick(4, 4, 1001), 1);
    assert_int_equal(pick(4, 0, 1001), 0);
    assert_int_equal(pick(0, 0, 1001), 1);
}

static void slow_path_is_looked_at_now_and_then(void **state)
{
    (void)state;
    measure(&a, 1000, 1000);
    measure(&b, 10000, 1000);
    assert_false(route_is_worth(both, 2, 1, NET_BULK));
    assert_int_equal(pick(0, 4, 1001), 0);
    assert_int_equal(pick(4, 4, 1000 + ROUTE_LOOK_MS), 1);
    route_started(&b, 1000 + ROUTE_LOOK_MS);
    assert_int_equal(pick(4, 4, 1000 + ROUTE_LOOK_MS), 0);
}

static void slow_path_that_recovers_is_taken(void **state)
{
    (void)state;
    measure(&a, 1000, 1000);
    measure(&b, 10000, 1000);
    for (uint64_t i = 1; i < 8; i++) {
        measure(&b, 500, 1000 + i * ROUTE_LOOK_MS);
    }
    assert_true(route_is_worth(both, 2, 1, NET_BULK));
    assert_int_equal(pick(4, 4, 1001), 1);
}

static void dead_path_is_left_and_tried_less_and_less(void **state)
{
    (void)state;
    measure(&a, 1000, 1000);
    measure(&b, 1000, 1000);
    assert_false(route_lost(&a, 2000));
    assert_false(route_lost(&a, 2000));
    assert_true(route_lost(&a, 2000));
    assert_int_equal(pick(4, 4, 2001), 1);
    assert_int_equal(pick(4, 0, 2001), 1);
    assert_int_equal(pick(4, 4, 2000 + ROUTE_BACK_MS), 0);
    route_started(&a, 2000 + ROUTE_BACK_MS);
    assert_false(route_lost(&a, 4000));
    a.under_way--;
    assert_int_equal(pick(4, 4, 4000 + 2 * ROUTE_BACK_MS - 1), 1);
    assert_int_equal(pick(4, 4, 4000 + 2 * ROUTE_BACK_MS), 0);
    measure(&a, 1000, 9000);
    assert_true(route_is_worth(both, 2, 0, NET_BULK));
}

static void path_that_never_answered_is_left_at_the_first_loss(void **state)
{
    (void)state;
    assert_true(route_lost(&a, 1000));
    assert_false(route_is_proven(&a));
    assert_int_equal(pick(4, 4, 1001), 1);
    assert_int_equal(pick(4, 0, 1001), 1);
    measure(&a, 1000, 1000 + ROUTE_BACK_MS);
    assert_true(route_is_proven(&a));
    assert_false(route_lost(&a, 2000 + ROUTE_BACK_MS));
}

static void path_where_it_was_lost_is_not_taken_again(void **state)
{
    (void)state;
    measure(&a, 100, 1000);
    measure(&b, 10000, 1000);
    const struct route_seen seen[] = {{.free_slots = 4, .is_shunned = true}, {.free_slots = 0}};
    assert_int_equal(route_pick(both, seen, 2, NET_BULK, 1001), 1);
    a.down_ms = 1002;
    assert_int_equal(route_pick(both, seen, 2, NET_BULK, 1000 + 2 * ROUTE_LOOK_MS), 1);
    b.down_ms = 1002;
    b.next_try_ms = UINT64_MAX;
    assert_int_equal(route_pick(both, seen, 2, NET_BULK, 1003), 1);
}

static void one_success_forgives_failures(void **state)
{
    (void)state;
    measure(&a, 1000, 1000);
    route_lost(&a, 2000);
    route_lost(&a, 2000);
    measure(&a, 1000, 2000);
    assert_false(route_lost(&a, 2000));
}

static void last_path_is_used_whatever_its_state(void **state)
{
    (void)state;
    for (int i = 0; i < ROUTE_FAILURES; i++) {
        route_lost(&a, 2000);
        route_lost(&b, 1000);
    }
    assert_int_equal(pick(4, 4, 2001), 1);
    const struct route_seen seen[] = {{.free_slots = 0}};
    assert_int_equal(route_pick(both, seen, 1, NET_BULK, 2001), 0);
}

static void operators_word_counts(void **state)
{
    (void)state;
    measure(&a, 1000, 1000);
    measure(&b, 10000, 1000);
    b.use = NET_USE_ALWAYS;
    assert_int_equal(pick(4, 4, 1001), 1);
    assert_false(route_is_worth(both, 2, 0, NET_BULK));
    b.use = NET_USE_NEVER;
    assert_int_equal(pick(0, 4, 1000 + 2 * ROUTE_LOOK_MS), 0);
    for (int i = 0; i < ROUTE_FAILURES; i++) {
        route_lost(&a, 2000);
    }
    assert_int_equal(pick(0, 4, 2001), 0);
}

static void classes_are_measured_apart(void **state)
{
    (void)state;
    measure(&a, 1000, 1000);
    measure(&b, 10000, 1000);
    route_good(&a, NET_SMALL, 0, 200000, 1000);
    route_good(&b, NET_SMALL, 0, 100000, 1000);
    const struct route_seen seen[] = {{.free_slots = 4}, {.free_slots = 4}};
    assert_int_equal(route_pick(both, seen, 2, NET_SMALL, 1001), 1);
    assert_int_equal(route_pick(both, seen, 2, NET_BULK, 1001), 0);
}

/* ---- the operator's word ---- */

static struct route *const ordered[] = {&a, &b};

static void fixed_path_is_the_only_one(void **state)
{
    (void)state;
    measure(&a, 100, 1000);
    measure(&b, 10000, 1000);
    assert_true(route_order(ordered, 2, 1, NET_FIXED));
    assert_int_equal(pick(4, 0, 1001), 1);
    assert_false(route_is_worth(both, 2, 0, NET_BULK));
    assert_true(route_order(ordered, 2, 0, NET_FIXED)); /* another one: the first is free */
    assert_int_equal(b.order, NET_FREE);
    assert_int_equal(pick(0, 4, 1001), 0);
    assert_true(route_order(ordered, 2, 0, NET_FREE));
    assert_int_equal(pick(0, 4, ROUTE_LOOK_MS + 2000), 1);
}

static void forbidden_path_is_not_even_tried(void **state)
{
    (void)state;
    measure(&a, 100, 1000);
    assert_true(route_order(ordered, 2, 0, NET_FORBIDDEN));
    assert_int_equal(pick(4, 0, 1001), 1);
    assert_int_equal(pick(4, 0, ROUTE_LOOK_MS * 2), 1);
    assert_false(route_order(ordered, 2, 1, NET_FORBIDDEN)); /* none would be left */
    assert_int_equal(b.order, NET_FREE);
    assert_int_equal(pick(4, 4, 1001), 1);
}

static void orders_go_before_the_configuration(void **state)
{
    (void)state;
    route_init(&a, NET_USE_ALWAYS);
    route_init(&b, NET_USE_NEVER);
    assert_false(route_order(ordered, 2, 0, NET_FORBIDDEN));
    assert_true(route_order(ordered, 2, 1, NET_FIXED));
    assert_int_equal(pick(4, 4, 1001), 1);
    assert_true(route_order(ordered, 2, 0, NET_FORBIDDEN));
    assert_false(route_order(ordered, 2, 1, NET_FREE)); /* it would be "never" again */
    assert_true(route_order(ordered, 2, 0, NET_FREE));
    assert_true(route_order(ordered, 2, 1, NET_FREE));
    assert_int_equal(a.use, NET_USE_ALWAYS);
    assert_int_equal(b.use, NET_USE_NEVER);
    assert_int_equal(pick(0, 4, 1001), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(unknown_paths_are_both_tried, begin),
        cmocka_unit_test_setup(faster_path_goes_first_and_the_other_fills_up, begin),
        cmocka_unit_test_setup(slow_path_is_looked_at_now_and_then, begin),
        cmocka_unit_test_setup(slow_path_that_recovers_is_taken, begin),
        cmocka_unit_test_setup(dead_path_is_left_and_tried_less_and_less, begin),
        cmocka_unit_test_setup(path_that_never_answered_is_left_at_the_first_loss, begin),
        cmocka_unit_test_setup(path_where_it_was_lost_is_not_taken_again, begin),
        cmocka_unit_test_setup(one_success_forgives_failures, begin),
        cmocka_unit_test_setup(last_path_is_used_whatever_its_state, begin),
        cmocka_unit_test_setup(operators_word_counts, begin),
        cmocka_unit_test_setup(fixed_path_is_the_only_one, begin),
        cmocka_unit_test_setup(forbidden_path_is_not_even_tried, begin),
        cmocka_unit_test_setup(orders_go_before_the_configuration, begin),
        cmocka_unit_test_setup(classes_are_measured_apart, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
