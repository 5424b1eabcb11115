/* Who is asked for work, and how much: shares by weight, backfill, late tasks. */
#include "daemon/core/claim_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define RULES 3

struct pool {
    struct claim_rule rules[RULES];
    size_t has[RULES][COPY_CLASSES]; /* waiting tasks, by rule number - 1 */
    size_t got[RULES][COPY_CLASSES];
    size_t newest;
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* What the engine and the journal do with a plan. */
static size_t claim(struct pool *p, size_t count, size_t room)
{
    struct claim_part parts[CLAIM_PARTS(RULES)];
    struct claim_plan plan = {.room = room, .shares = {60, 25, 15}};
    struct claim_step step;
    claim_plan_start(&plan, p->rules, count, parts);
    for (size_t i = 0; i < count; i++) {
        p->rules[i].got = 0;
    }
    while (claim_plan_next(&plan, &step)) {
        size_t at = step.rule->rule - 1;
        size_t take = least(step.limit, p->has[at][step.class]);
        assert_in_range(step.limit, 1, least(plan.room, step.rule->limit - step.rule->got));
        p->has[at][step.class] -= take;
        p->got[at][step.class] += take;
        p->newest += step.order == CLAIM_NEWEST ? take : 0;
        claim_plan_got(&plan, &step, take);
    }
    return room - plan.room;
}

static struct pool make_pool(void)
{
    struct pool p = {0};
    for (uint32_t i = 0; i < RULES; i++) {
        p.rules[i] = (struct claim_rule){.rule = i + 1, .weight = claim_weight(50), .limit = 10000};
    }
    return p;
}

static size_t got_of(const struct pool *p, int rule)
{
    return p->got[rule][COPY_FRESH] + p->got[rule][COPY_LATE] + p->got[rule][COPY_BACKFILL];
}

static void test_equal_rules_get_the_same(void **state)
{
    (void)state;
    struct pool p = make_pool();
    for (int i = 0; i < RULES; i++) {
        p.has[i][COPY_FRESH] = 100000;
    }
    for (int i = 0; i < 300; i++) {
        assert_int_equal(claim(&p, RULES, 1 + (size_t)i % 3), 1 + (size_t)i % 3);
    }
    for (int i = 0; i < RULES; i++) {
        assert_in_range(got_of(&p, i), 195, 205);
    }
}

static void test_weight_decides(void **state)
{
    (void)state;
    assert_int_equal(claim_weight(60), 2 * claim_weight(50));
    assert_int_equal(claim_weight(100), 32 * claim_weight(50));
    assert_true(claim_weight(51) > claim_weight(50));
    assert_true(claim_weight(0) > 0);
    struct pool p = make_pool();
    p.rules[0].weight = 100;
    p.rules[1].weight = 10;
    p.has[0][COPY_FRESH] = p.has[1][COPY_FRESH] = 100000;
    for (int i = 0; i < 1000; i++) {
        claim(&p, 2, 1);
    }
    assert_in_range(got_of(&p, 0), 890, 930);
    assert_int_equal(got_of(&p, 0) + got_of(&p, 1), 1000);
}

static void test_idle_share_goes_to_others(void **state)
{
    (void)state;
    struct pool p = make_pool();
    p.has[1][COPY_FRESH] = 500;
    assert_int_equal(claim(&p, RULES, 256), 256);
    assert_int_equal(got_of(&p, 1), 256);
}

/* With room for one at a time and for many. */
static void test_classes_have_their_shares(void **state)
{
    (void)state;
    for (size_t room = 1; room <= 256; room *= 4) {
        struct pool p = make_pool();
        for (int class = 0; class < COPY_CLASSES; class ++) {
            p.has[0][class] = 100000;
        }
        for (size_t n = 0; n < 2000; n += room) {
            assert_int_equal(claim(&p, 1, room), room);
        }
        size_t all = got_of(&p, 0);
        assert_in_range(p.got[0][COPY_FRESH] * 100 / all, 59, 61);
        assert_in_range(p.got[0][COPY_LATE] * 100 / all, 24, 26);
        assert_in_range(p.got[0][COPY_BACKFILL] * 100 / all, 14, 16);
    }
}

/* The shares are of classes, whichever rules they come from: one that has only existing objects
 * does not take from the fresh work of another. */
static void test_shares_hold_over_rules(void **state)
{
    (void)state;
    struct pool p = make_pool();
    p.has[0][COPY_BACKFILL] = p.has[1][COPY_BACKFILL] = 100000;
    p.has[2][COPY_FRESH] = 100000;
    p.rules[0].weight = claim_weight(100);
    for (int i = 0; i < 8000; i++) {
        claim(&p, RULES, 1);
    }
    assert_in_range(p.got[2][COPY_FRESH], 6350, 6450); /* 60 of 75 */
    assert_in_range(p.got[1][COPY_BACKFILL], 36, 60);  /* 1 of 33 of the rest */
}

static void test_nothing_is_left_lying(void **state)
{
    (void)state;
    struct pool p = make_pool();
    p.has[0][COPY_BACKFILL] = 10;
    p.has[1][COPY_LATE] = 20;
    p.has[2][COPY_FRESH] = 3;
    assert_int_equal(claim(&p, RULES, 1000), 33);
    assert_int_equal(claim(&p, RULES, 1000), 0);
    p.has[0][COPY_BACKFILL] = 100000;
    assert_int_equal(claim(&p, RULES, 4096), 4096);
}

/* What was idle for long has no more than its share afterwards. */
static void test_nobody_saves_up(void **state)
{
    (void)state;
    struct pool p = make_pool();
    p.has[0][COPY_FRESH] = 100000;
    for (int i = 0; i < 1000; i++) {
        claim(&p, 1, 7);
    }
    assert_int_equal(p.got[0][COPY_FRESH], 7000);
    p.has[0][COPY_BACKFILL] = 100000;
    for (int i = 0; i < 100; i++) {
        claim(&p, 1, 1);
    }
    assert_in_range(p.got[0][COPY_BACKFILL], 18, 23); /* 15 of 75 */
}

static void test_late_work_goes_by_turns(void **state)
{
    (void)state;
    for (size_t room = 1; room < 5; room++) {
        struct pool p = make_pool();
        p.has[0][COPY_LATE] = 100000;
        for (int i = 0; i < 600; i++) {
            assert_int_equal(claim(&p, 1, room), room);
        }
        assert_in_range(p.newest, 299 * room, 301 * room);
    }
}

static void test_limit_holds(void **state)
{
    (void)state;
    struct pool p = make_pool();
    p.rules[0].limit = 2;
    p.has[0][COPY_LATE] = 100;
    p.has[0][COPY_FRESH] = 100;
    assert_int_equal(claim(&p, 1, 256), 2);
    p.has[1][COPY_BACKFILL] = 100;
    assert_int_equal(claim(&p, 2, 50), 50);
    assert_int_equal(got_of(&p, 0), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_rules_get_the_same),
        cmocka_unit_test(test_weight_decides),
        cmocka_unit_test(test_idle_share_goes_to_others),
        cmocka_unit_test(test_classes_have_their_shares),
        cmocka_unit_test(test_shares_hold_over_rules),
        cmocka_unit_test(test_nothing_is_left_lying),
        cmocka_unit_test(test_nobody_saves_up),
        cmocka_unit_test(test_late_work_goes_by_turns),
        cmocka_unit_test(test_limit_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
