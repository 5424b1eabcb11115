/* Properties of plans over many random inputs, and the cases that have names. */
#include "transfer/copy/plan.h"

#include "daemon/base/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

static const struct store_features s3 = {
    .part_min = 5 * MIB, .part_max = 5 * GIB, .put_max = 5 * GIB, .parts_max = 10000};

static struct plan_input input(uint64_t size, uint64_t rate_bps)
{
    return (struct plan_input){
        .size = size, .rate_bps = rate_bps, .memory_bytes = 512 * MIB, .to = &s3};
}

static struct plan plan_of(struct plan_input in)
{
    struct plan plan;
    struct fail f;
    assert_int_equal(plan_make(&in, &plan, &f), 0);
    return plan;
}

static void part_follows_the_rate(void **state)
{
    (void)state;
    assert_int_equal(plan_of(input(GIB, 0)).part_size, 8 * MIB);
    assert_int_equal(plan_of(input(GIB, MIB / 10)).part_size, 5 * MIB);
    assert_int_equal(plan_of(input(GIB, 5 * MIB)).part_size, 20 * MIB);
    assert_int_equal(plan_of(input(GIB, 500 * MIB)).part_size, 64 * MIB);
}

static void part_count_raises_the_part(void **state)
{
    (void)state;
    struct plan plan = plan_of(input(1024 * GIB, 0));
    assert_int_equal(plan.part_size, 105 * MIB);
    assert_true(plan.part_count <= 10000);
}

static void part_over_a_quarter_of_memory_is_refused(void **state)
{
    (void)state;
    struct plan_input in = input(1024 * GIB, 0);
    in.memory_bytes = 256 * MIB;
    struct plan plan;
    struct fail f;
    assert_int_equal(plan_make(&in, &plan, &f), REPL_ENOMEMORY);
    assert_non_null(strstr(f.hint, "420 MiB"));
    in.size = 10 * GIB; /* the rate's wish gives way to the memory instead */
    in.rate_bps = GIB;
    assert_int_equal(plan_of(in).part_size, 64 * MIB);
    in.memory_bytes = 64 * MIB;
    assert_int_equal(plan_of(in).part_size, 16 * MIB);
}

static void first_read(void **state)
{
    (void)state;
    struct plan_input in = input(0, 0);
    assert_int_equal(plan_first_read(&in, 0), 0);
    assert_int_equal(plan_first_read(&in, 1), 1);
    assert_int_equal(plan_first_read(&in, (int64_t)(8 * MIB)), 8 * MIB);
    assert_int_equal(plan_first_read(&in, (int64_t)(9 * MIB)), 8 * MIB);
    assert_int_equal(plan_first_read(&in, -1), 8 * MIB);
    assert_int_equal(plan_first_read(&in, (int64_t)(1024 * GIB)), 105 * MIB);
}

/* What was read already is used, unless it was read by a wrong size. */
static void preferred_part(void **state)
{
    (void)state;
    struct plan_input in = input(GIB, 0);
    in.preferred = 6 * MIB;
    assert_int_equal(plan_of(in).part_size, 6 * MIB);
    in.preferred = 1000;
    assert_int_equal(plan_of(in).part_size, 8 * MIB);
}

static void check_plan(const struct plan_input *in, const struct plan *plan)
{
    uint64_t sum = 0;
    if (plan->single) {
        assert_true(in->size <= in->to->put_max);
        assert_true(in->size <= plan->part_size);
        return;
    }
    assert_true(plan->part_count >= 1 && plan->part_count <= in->to->parts_max);
    assert_true(plan->part_size <= in->memory_bytes / 4);
    assert_true(plan->part_size <= in->to->part_max);
    for (uint32_t i = 0; i < plan->part_count; i++) {
        uint64_t length = plan_part_length(in->size, plan->part_size, i);
        assert_true(length > 0);
        assert_true(i + 1 == plan->part_count || length == plan->part_size);
        assert_true(i + 1 == plan->part_count || length >= in->to->part_min);
        sum += length;
    }
    assert_int_equal(sum, in->size);
}

static void random_plans_hold_the_limits(void **state)
{
    (void)state;
    struct loop *loop = loop_new_virtual(20261124, 0);
    unsigned good = 0;
    for (int i = 0; i < 20000; i++) {
        struct plan_input in = input(loop_random(loop, (uint64_t)1 << loop_random(loop, 46)),
                                     loop_random(loop, (uint64_t)1 << loop_random(loop, 32)));
        in.memory_bytes = MIB << (6 + loop_random(loop, 8));
        in.part_max = loop_random(loop, 2) ? 0 : 5 * MIB + loop_random(loop, GIB);
        in.preferred = loop_random(loop, 2) ? 0 : loop_random(loop, 128 * MIB);
        struct plan plan;
        struct fail f;
        int status = plan_make(&in, &plan, &f);
        assert_true(status == 0 || status == REPL_ENOMEMORY || status == REPL_ETOOBIG);
        if (status == 0) {
            good++;
            check_plan(&in, &plan);
        }
    }
    assert_true(good > 10000);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(part_follows_the_rate),
        cmocka_unit_test(part_count_raises_the_part),
        cmocka_unit_test(part_over_a_quarter_of_memory_is_refused),
        cmocka_unit_test(first_read),
        cmocka_unit_test(preferred_part),
        cmocka_unit_test(random_plans_hold_the_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
