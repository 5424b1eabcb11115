/* Who is asked for work, and how much: shares by weight, backfill, late tasks. */
#include "daemon/core/claim_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define RULES 3

struct pool {
    struct claim_rule rules[RULES];
    size_t live[RULES]; /* waiting tasks, by rule number - 1 */
    size_t backfill[RULES];
    size_t got[RULES];
    size_t got_backfill[RULES];
    size_t newest;
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* What the engine and the journal do with a plan. */
static size_t claim(struct pool *p, size_t count, size_t room)
{
    struct claim_step steps[RULES * CLAIM_STEPS_PER_RULE];
    size_t n = claim_plan_make(p->rules, count, room, steps);
    size_t claimed = 0;
    assert_in_range(n, 0, count * CLAIM_STEPS_PER_RULE);
    for (size_t i = 0; i < n && claimed < room; i++) {
        size_t at = steps[i].rule - 1;
        bool backfill = steps[i].origin == TASK_BACKFILL;
        size_t *from = backfill ? &p->backfill[at] : &p->live[at];
        size_t take = least(least(steps[i].limit, room - claimed), *from);
        *from -= take;
        claimed += take;
        p->got[at] += take;
        p->got_backfill[at] += backfill ? take : 0;
        p->newest += steps[i].order == CLAIM_NEWEST ? take : 0;
        for (size_t k = 0; k < count; k++) {
            p->rules[k].credit -= p->rules[k].rule == steps[i].rule ? (double)take : 0;
        }
    }
    return claimed;
}

static struct pool make_pool(void)
{
    struct pool p = {0};
    for (uint32_t i = 0; i < RULES; i++) {
        p.rules[i] =
            (struct claim_rule){.rule = i + 1, .weight = 50, .limit = 1000, .backfill = true};
    }
    return p;
}

static void test_equal_rules_get_the_same(void **state)
{
    (void)state;
    struct pool p = make_pool();
    p.live[0] = p.live[1] = p.live[2] = 100000;
    for (int i = 0; i < 300; i++) {
        assert_int_equal(claim(&p, RULES, 1 + (size_t)i % 3), 1 + (size_t)i % 3);
    }
    for (int i = 0; i < RULES; i++) {
        assert_in_range(p.got[i], 195, 205);
    }
}

static void test_weight_decides(void **state)
{
    (void)state;
    struct pool p = make_pool();
    p.rules[0].weight = 100;
    p.rules[1].weight = 10;
    p.live[0] = p.live[1] = 100000;
    for (int i = 0; i < 1000; i++) {
        claim(&p, 2, 1);
    }
    assert_in_range(p.got[0], 890, 930);
    assert_int_equal(p.got[0] + p.got[1], 1000);
}

static void test_idle_share_goes_to_others(void **state)
{
    (void)state;
    struct pool p = make_pool();
    p.live[1] = 500;
    assert_int_equal(claim(&p, RULES, 256), 256);
    assert_int_equal(p.got[1], 256);
}

static void test_backfill_has_its_share_and_all_when_alone(void **state)
{
    (void)state;
    struct pool p = make_pool();
    p.live[0] = p.backfill[0] = 100000;
    for (int i = 0; i < 2000; i++) {
        claim(&p, 1, 1);
    }
    assert_in_range(p.got_backfill[0], 280, 320);
    p.live[0] = 0;
    assert_int_equal(claim(&p, 1, 64), 64);
}

static void test_late_work_goes_by_turns(void **state)
{
    (void)state;
    struct pool p = make_pool();
    p.rules[0].late = true;
    p.rules[0].backfill = false;
    p.live[0] = 100000;
    for (int i = 0; i < 1000; i++) {
        claim(&p, 1, 1);
    }
    assert_in_range(p.newest, 480, 520);
}

static void test_limit_holds(void **state)
{
    (void)state;
    struct pool p = make_pool();
    struct claim_step steps[RULES * CLAIM_STEPS_PER_RULE];
    p.rules[0].limit = 1;
    size_t n = claim_plan_make(p.rules, 1, 256, steps);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(steps[i].limit, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_rules_get_the_same),
        cmocka_unit_test(test_weight_decides),
        cmocka_unit_test(test_idle_share_goes_to_others),
        cmocka_unit_test(test_backfill_has_its_share_and_all_when_alone),
        cmocka_unit_test(test_late_work_goes_by_turns),
        cmocka_unit_test(test_limit_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
