/* Conformance of a journal backend: its lease, its transactions, rules and values. */
#include "tests/unit/support/backend_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* ---- the lease ---- */

static void a_second_owner_waits_for_the_lease(void **state)
{
    struct world *w = *state;
    struct fail f;
    uint64_t epoch;
    world_append_put(w, "a", NOW);
    struct task t = world_claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(w->ops->commit(w->b), 0);
    struct backend *other = world_open(w);
    assert_int_equal(other->ops->begin(other), 0);
    assert_int_equal(other->ops->lease_take(other, span_str("two"), NOW + 29000, 30000, &epoch, &f),
                     REPL_EOWNED);
    assert_non_null(strstr(f.text, "one"));
    assert_int_equal(other->ops->lease_take(other, span_str("two"), NOW + 31000, 30000, &epoch, &f),
                     0);
    assert_true(epoch > w->epoch);
    assert_int_equal(other->ops->commit(other), 0);
    /* The first owner is refused everything that carries its epoch, and changes nothing. */
    assert_int_equal(w->ops->begin(w->b), 0);
    assert_int_equal(w->ops->lease_check(w->b, w->epoch), REPL_ESTALE);
    assert_int_equal(w->ops->lease_check(w->b, epoch), 0);
    assert_int_equal(w->ops->lease_renew(w->b, w->epoch, NOW, 1), REPL_ESTALE);
    assert_int_equal(w->ops->lease_drop(w->b, w->epoch), REPL_ESTALE);
    assert_int_equal(world_finish(w, &t, FINISH_DONE), REPL_ESTALE);
    struct task_list list;
    struct claim c = {.rule = w->rule, .limit = 1, .epoch = w->epoch, .now_ms = NOW};
    assert_int_equal(w->ops->claim(w->b, &c, &w->arena, &list), REPL_ESTALE);
    w->ops->rollback(w->b);
    /* The claimed task is ready for the new one. */
    w->epoch = epoch;
    assert_int_equal(w->ops->begin(w->b), 0);
    assert_int_equal(world_claim(w, TASK_LIVE, 5).count, 1);
    other->ops->close(other);
}

static void the_same_owner_takes_its_lease_again(void **state)
{
    struct world *w = *state;
    uint64_t epoch;
    struct fail f;
    assert_int_equal(w->ops->lease_take(w->b, span_str("one"), NOW + 1, 30000, &epoch, &f), 0);
    assert_true(epoch > w->epoch);
    assert_int_equal(w->ops->lease_drop(w->b, epoch), 0);
    assert_int_equal(w->ops->lease_take(w->b, span_str("two"), NOW + 2, 30000, &epoch, &f), 0);
}

/* ---- transactions ---- */

static void a_failed_call_takes_only_its_own_back(void **state)
{
    struct world *w = *state;
    struct append_result first = world_append_put(w, "kept 1", NOW);
    assert_int_equal(w->ops->save(w->b), 0);
    world_append_put(w, "lost", NOW);
    assert_int_equal(w->ops->rollback_to(w->b), 0);
    assert_int_equal(w->ops->save(w->b), 0);
    world_append_put(w, "kept 2", NOW + 1);
    assert_int_equal(w->ops->release(w->b), 0);
    struct append_result last = world_append_put(w, "kept 3", NOW + 2);
    assert_int_equal(last.last_seq, first.first_seq + 2);
    assert_int_equal(w->ops->commit(w->b), 0);
    assert_int_equal(w->ops->begin(w->b), 0);
    assert_int_equal(world_counts(w).pending_objects, 3);
    struct task_list list = world_claim(w, TASK_LIVE, 10);
    assert_int_equal(list.count, 3);
    assert_true(span_eq_str(list.tasks[0].key, "kept 1"));
    assert_true(span_eq_str(list.tasks[1].key, "kept 2"));
    assert_true(span_eq_str(list.tasks[2].key, "kept 3"));
}

static void numbers_and_counters_of_a_transaction_go_with_it(void **state)
{
    struct world *w = *state;
    struct append_result first = world_append_put(w, "a", NOW);
    assert_int_equal(w->ops->commit(w->b), 0);
    assert_int_equal(w->ops->begin(w->b), 0);
    world_append_put(w, "b", NOW);
    w->ops->rollback(w->b);
    assert_int_equal(w->ops->begin(w->b), 0);
    struct append_result again = world_append_put(w, "c", NOW);
    assert_int_equal(again.first_seq, first.last_seq + 1);
    assert_int_equal(world_counts(w).pending_objects, 2);
}

/* ---- rules and values ---- */

static void rules_have_unique_names_and_numbers_of_their_own(void **state)
{
    struct world *w = *state;
    struct rule_record *list;
    size_t n;
    uint32_t number;
    struct rule_record r = {.name = span_str("pages"), .text = span_str("{}")};
    assert_int_equal(w->ops->rule_put(w->b, &r, &number), REPL_EEXISTS);
    r.rule = w->rule;
    r.text = span_str("{\"a\":1}");
    assert_int_equal(w->ops->rule_put(w->b, &r, &number), 0);
    r = (struct rule_record){.rule = 77, .name = span_str("x"), .text = span_str("{}")};
    assert_int_equal(w->ops->rule_put(w->b, &r, &number), REPL_ENOTFOUND);
    assert_int_equal(w->ops->rule_list(w->b, &w->arena, &list, &n), 0);
    assert_int_equal(n, 1);
    assert_true(span_eq_str(list[0].text, "{\"a\":1}"));
}

static void copy_all(struct world *w, const char *prefix, int count)
{
    char key[16];
    for (int i = 0; i < count; i++) {
        snprintf(key, sizeof(key), "%s%02d", prefix, i);
        world_append_put(w, key, NOW);
    }
    struct task_list list = world_claim(w, TASK_LIVE, (size_t)count);
    for (size_t i = 0; i < list.count; i++) {
        assert_int_equal(world_finish(w, &list.tasks[i], FINISH_DONE), 0);
    }
}

static size_t replicas_left(struct world *w, uint32_t rule, const char *prefix, int count)
{
    char key[16];
    struct replica replica;
    size_t n = 0;
    for (int i = 0; i < count; i++) {
        snprintf(key, sizeof(key), "%s%02d", prefix, i);
        n += w->ops->replica_get(w->b, &w->arena, rule, span_str(key), &replica) == 0;
    }
    return n;
}

static void replicas_are_purged_a_few_at_a_time(void **state)
{
    struct world *w = *state;
    struct rule_record r = {.name = span_str("other"), .text = span_str("{}")};
    uint32_t first = w->rule;
    copy_all(w, "k", 25);
    assert_int_equal(w->ops->rule_put(w->b, &r, &w->rule), 0);
    copy_all(w, "k", 5);
    assert_int_equal(w->ops->rule_delete(w->b, first, NOW), 0);
    assert_int_equal(w->ops->rule_purge(w->b, first, 10), 0);
    assert_int_equal(replicas_left(w, first, "k", 25), 15);
    assert_int_equal(w->ops->rule_purge(w->b, first, 10), 0);
    assert_int_equal(w->ops->rule_purge(w->b, first, 10), 0);
    assert_int_equal(replicas_left(w, first, "k", 25), 0);
    assert_int_equal(w->ops->rule_purge(w->b, first, 10), REPL_EDONE);
    assert_int_equal(replicas_left(w, w->rule, "k", 5), 5);
}

static void values(void **state)
{
    struct world *w = *state;
    struct span v;
    struct span name = span_str("outbox:a");
    assert_int_equal(w->ops->value_get(w->b, &w->arena, name, &v), REPL_ENOTFOUND);
    assert_int_equal(w->ops->value_put(w->b, name, span_str("1")), 0);
    assert_int_equal(w->ops->value_put(w->b, name, span_str("2")), 0);
    assert_int_equal(w->ops->value_get(w->b, &w->arena, name, &v), 0);
    assert_true(span_eq_str(v, "2"));
    assert_int_equal(w->ops->value_put(w->b, name, span_of(NULL, 0)), 0);
    assert_int_equal(w->ops->value_get(w->b, &w->arena, name, &v), REPL_ENOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_second_owner_waits_for_the_lease),
        WORLD_TEST(the_same_owner_takes_its_lease_again),
        WORLD_TEST(a_failed_call_takes_only_its_own_back),
        WORLD_TEST(numbers_and_counters_of_a_transaction_go_with_it),
        WORLD_TEST(rules_have_unique_names_and_numbers_of_their_own),
        WORLD_TEST(replicas_are_purged_a_few_at_a_time),
        WORLD_TEST(values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
