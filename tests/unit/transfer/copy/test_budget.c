#include "transfer/copy/budget.h"

#include "daemon/base/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MIB ((uint64_t)1 << 20)

struct grants {
    struct ticket *order[64];
    size_t count;
};

static void granted(void *arg, struct ticket *t)
{
    struct grants *g = arg;
    g->order[g->count++] = t;
}

static void waiters_are_served_in_order(void **state)
{
    (void)state;
    struct budget b;
    struct grants g = {0};
    struct ticket t[4] = {0};
    budget_init(&b, 4 * MIB, granted, &g);
    assert_true(budget_take(&b, &t[0], 3 * MIB));
    assert_false(budget_take(&b, &t[1], 2 * MIB));
    assert_false(budget_take(&b, &t[2], MIB)); /* it would fit, but was later */
    assert_true(budget_is_short(&b));
    budget_give(&b, &t[0]);
    assert_int_equal(g.count, 2);
    assert_ptr_equal(g.order[0], &t[1]);
    assert_false(budget_take(&b, &t[3], 2 * MIB));
    budget_give(&b, &t[3]); /* leaves the queue */
    assert_false(budget_is_short(&b));
    budget_give(&b, &t[1]);
    budget_give(&b, &t[2]);
    assert_int_equal(b.used, 0);
    budget_done(&b);
}

static void leaving_the_head_of_the_queue_lets_the_next_in(void **state)
{
    (void)state;
    struct budget b;
    struct grants g = {0};
    struct ticket t[3] = {0};
    budget_init(&b, 4 * MIB, granted, &g);
    assert_true(budget_take(&b, &t[0], 3 * MIB));
    assert_false(budget_take(&b, &t[1], 2 * MIB));
    assert_false(budget_take(&b, &t[2], MIB));
    budget_give(&b, &t[1]);
    assert_int_equal(g.count, 1);
    assert_ptr_equal(g.order[0], &t[2]);
    budget_give(&b, &t[2]);
    budget_give(&b, &t[0]);
    budget_done(&b);
}

/* A fresh mapping would be zeroes, and its pages would cost as much as the copying into it. */
static void with_all_memory_in_use_a_buffer_goes_from_ticket_to_ticket(void **state)
{
    (void)state;
    struct budget b;
    struct grants g = {0};
    struct ticket t[5] = {0};
    budget_init(&b, 4 * MIB, granted, &g);
    for (size_t i = 0; i < 4; i++) {
        assert_true(budget_take(&b, &t[i], MIB));
        budget_buffer(&b, &t[i])[MIB - 1] = 'x';
    }
    assert_false(budget_take(&b, &t[4], MIB));
    budget_give(&b, &t[0]);
    assert_int_equal(t[4].state, TICKET_HELD);
    assert_int_equal(budget_buffer(&b, &t[4])[MIB - 1], 'x');
    assert_int_equal(b.pooled, 0);
    for (size_t i = 1; i < 5; i++) {
        budget_give(&b, &t[i]);
    }
    budget_done(&b);
}

/* Used and kept memory together never pass the limit, and buffers do not overlap. */
static void random_use_stays_within_the_limit(void **state)
{
    (void)state;
    struct loop *loop = loop_new_virtual(7, 0);
    struct budget b;
    struct ticket t[40] = {0};
    struct grants g = {0};
    budget_init(&b, 16 * MIB, granted, &g);
    for (int step = 0; step < 20000; step++) {
        size_t i = loop_random(loop, 40);
        g.count = 0;
        if (t[i].state == TICKET_NONE) {
            uint64_t bytes = loop_random(loop, 4) ? MIB : 1 + loop_random(loop, 3 * MIB);
            (void)budget_take(&b, &t[i], bytes);
        } else {
            if (t[i].buffer != NULL) {
                assert_int_equal(t[i].buffer[0], (char)i);
                assert_int_equal(t[i].buffer[t[i].bytes - 1], (char)i);
            }
            budget_give(&b, &t[i]);
        }
        if (t[i].state == TICKET_HELD) {
            char *buffer = budget_buffer(&b, &t[i]);
            assert_non_null(buffer);
            buffer[0] = (char)i;
            buffer[t[i].bytes - 1] = (char)i;
        }
        assert_true(b.used <= b.limit && b.buffers + b.pooled <= b.limit);
    }
    for (size_t i = 0; i < 40; i++) {
        budget_give(&b, &t[i]);
    }
    g.count = 0;
    for (size_t i = 0; i < 40; i++) {
        budget_give(&b, &t[i]);
    }
    assert_int_equal(b.used, 0);
    budget_done(&b);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiters_are_served_in_order),
        cmocka_unit_test(leaving_the_head_of_the_queue_lets_the_next_in),
        cmocka_unit_test(with_all_memory_in_use_a_buffer_goes_from_ticket_to_ticket),
        cmocka_unit_test(random_use_stays_within_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
