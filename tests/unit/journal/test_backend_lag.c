/* Conformance of a journal backend: watermarks, and what they are made of. */
#include "tests/unit/support/backend_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* ---- what came later than the watermark ---- */

static void the_watermark_never_goes_back(void **state)
{
    struct world *w = *state;
    assert_int_equal(w->ops->watermark_put(w->b, w->rule, NOW), 0);
    assert_int_equal(w->ops->watermark_put(w->b, w->rule, NOW - 1), 0);
    assert_int_equal(world_frontier(w).watermark_ms, NOW);
}

static size_t late_page(struct world *w, struct late_change **ret)
{
    size_t n;
    assert_int_equal(w->ops->late_page(w->b, &w->arena, w->rule, 10, ret, &n), 0);
    return n;
}

static void late_changes_are_counted_and_named(void **state)
{
    struct world *w = *state;
    struct late_change *late;
    assert_int_equal(w->ops->watermark_put(w->b, w->rule, NOW - 1000), 0);
    world_append_put(w, "in-time", NOW - 999);
    struct append_entry e = world_put_of(w, "listed", NOW - 5000);
    e.origin = TASK_BACKFILL;
    world_append(w, &e, NOW);
    assert_int_equal(late_page(w, &late), 0);
    world_append_put(w, "late", NOW - 1000);
    world_append_put(w, "later", NOW - 3000);
    world_append_put(w, "later", NOW - 3000); /* told twice, pending */
    assert_int_equal(world_counts(w).late_changes, 2);
    assert_int_equal(late_page(w, &late), 2);
    assert_true(span_eq_str(late[0].key, "later"));
    assert_true(span_eq_str(late[0].feed, "append"));
    assert_int_equal(late[0].event_time_ms, NOW - 3000);
    assert_int_equal(late[0].accepted_ms, NOW);
    assert_int_equal(late[0].watermark_ms, NOW - 1000);
    assert_true(span_eq_str(late[1].key, "late"));
    assert_int_equal(world_frontier(w).oldest_ms, NOW - 3000);
}

/* The watermark passed it rightly: the destination held it. */
static void what_is_told_again_is_not_late(void **state)
{
    struct world *w = *state;
    world_append_put(w, "a", NOW - 3000);
    world_append_put(w, "b", NOW - 3000);
    struct task_list list = world_claim(w, TASK_LIVE, 2);
    assert_int_equal(world_finish(w, &list.tasks[0], FINISH_DONE), 0);
    assert_int_equal(world_finish(w, &list.tasks[1], FINISH_DELETED), 0);
    assert_int_equal(w->ops->watermark_put(w->b, w->rule, NOW), 0);
    struct append_entry e = world_put_of(w, "a", NOW - 3000);
    e.change.etag = span_str("e1"); /* the replica's */
    world_append(w, &e, NOW);
    world_append_put(w, "b", NOW - 3000);
    assert_int_equal(world_counts(w).late_changes, 0);
    e = world_put_of(w, "a", NOW - 2000);
    e.change.etag = span_str("e2"); /* written since */
    world_append(w, &e, NOW);
    assert_int_equal(world_counts(w).late_changes, 1);
}

static void late_changes_are_bounded(void **state)
{
    struct world *w = *state;
    struct append_entry entries[100];
    struct append_result r;
    struct late_change *late;
    size_t n;
    assert_int_equal(w->ops->watermark_put(w->b, w->rule, NOW), 0);
    for (int call = 0; call < 15; call++) {
        for (int i = 0; i < 100; i++) {
            entries[i] = world_put_of(w, arena_printf(&w->arena, "%d-%d", call, i), NOW - 10);
        }
        assert_int_equal(w->ops->append(w->b, entries, 100, NOW, &r), 0);
    }
    assert_int_equal(world_counts(w).late_changes, 1500);
    assert_int_equal(w->ops->late_page(w->b, &w->arena, w->rule, LATE_CHANGES_MAX + 100, &late, &n),
                     0);
    assert_int_equal(n, LATE_CHANGES_MAX);
    assert_true(span_eq_str(late[0].key, "14-99"));
}

/* ---- what a complete scan confirms ---- */

static int64_t prove(struct world *w, int64_t scan_ms, int64_t ended_ms)
{
    assert_int_equal(w->ops->prove(w->b, w->rule, scan_ms, ended_ms), 0);
    return world_frontier(w).proven_ms;
}

static void a_scan_proves_when_all_is_finished(void **state)
{
    struct world *w = *state;
    struct append_entry e = world_put_of(w, "old", NOW - 9000);
    e.origin = TASK_BACKFILL;
    world_append(w, &e, NOW);
    world_append_put(w, "new", NOW - 500);
    assert_int_equal(prove(w, NOW - 1000, NOW - 900), 0);
    struct task t = world_claim(w, TASK_BACKFILL, 1).tasks[0];
    assert_int_equal(world_finish(w, &t, FINISH_FAILED), 0);
    assert_int_equal(prove(w, NOW - 1000, NOW - 900), 0); /* given up is not there */
    assert_int_equal(w->ops->task_drop(w->b, w->rule, span_str("old"), span_str("x"), NOW), 0);
    assert_int_equal(prove(w, NOW - 1000, NOW - 500), 0); /* it may have found the new one */
    assert_int_equal(prove(w, NOW - 1000, NOW - 501), NOW - 1000);
    assert_int_equal(prove(w, NOW - 2000, NOW - 1900), NOW - 1000); /* never back */
}

/* ---- watermarks of prefixes ---- */

static struct prefix_list prefixes(struct world *w)
{
    struct prefix_list list;
    assert_int_equal(w->ops->prefixes_list(w->b, &w->arena, w->rule, &list), 0);
    return list;
}

static void set_prefixes(struct world *w, const struct span *names, size_t n)
{
    assert_int_equal(w->ops->prefixes_set(w->b, w->rule, names, n), 0);
    for (int i = 0; i < 100 && prefixes(w).sorting; i++) {
        assert_int_equal(w->ops->prefixes_mark(w->b, w->rule, 2), 0);
    }
    assert_false(prefixes(w).sorting);
}

static void prefixes_know_their_oldest(void **state)
{
    struct world *w = *state;
    const struct span names[] = {span_str("b/"), span_str("a/x/"), span_str("a/")};
    world_append_put(w, "a/x/1", NOW - 300); /* before and after the prefixes are known */
    world_append_put(w, "a/y", NOW - 200);
    world_append_put(w, "c", NOW - 900);
    set_prefixes(w, names, 3);
    world_append_put(w, "b/1", NOW - 100);
    struct append_entry e = world_put_of(w, "a/x/0", NOW - 800);
    e.origin = TASK_BACKFILL;
    world_append(w, &e, NOW);
    struct prefix_list list = prefixes(w);
    assert_int_equal(list.count, 3);
    assert_true(span_eq_str(list.prefixes[0].prefix, "a/"));
    assert_int_equal(list.prefixes[0].oldest_ms, NOW - 300); /* of the one within it */
    assert_true(span_eq_str(list.prefixes[0].key, "a/x/1"));
    assert_int_equal(list.prefixes[0].unfinished_ms, NOW - 800);
    assert_int_equal(list.prefixes[1].oldest_ms, NOW - 300);
    assert_int_equal(list.prefixes[2].oldest_ms, NOW - 100);
    assert_int_equal(list.prefixes[2].unfinished_ms, NOW - 100);
    struct task t = world_claim(w, TASK_LIVE, 2).tasks[1];
    assert_int_equal(world_finish(w, &t, FINISH_RETRY), 0);
    list = prefixes(w);
    assert_true(span_eq_str(list.prefixes[0].why, "no"));
    assert_true(span_eq_str(list.prefixes[1].why, "no"));
    assert_int_equal(list.prefixes[2].why.len, 0);
}

static void prefixes_that_stay_keep_their_watermark(void **state)
{
    struct world *w = *state;
    const struct span first[] = {span_str("a/"), span_str("b/")};
    const struct span then[] = {span_str("a/x/"), span_str("b/")};
    world_append_put(w, "a/x/1", NOW - 300);
    world_append_put(w, "b/1", NOW - 100);
    set_prefixes(w, first, 2);
    assert_int_equal(w->ops->prefix_put(w->b, w->rule, span_str("b/"), NOW - 101, NOW - 500), 0);
    assert_int_equal(w->ops->prefix_put(w->b, w->rule, span_str("b/"), NOW - 200, NOW - 600), 0);
    set_prefixes(w, then, 2);
    struct prefix_list list = prefixes(w);
    assert_int_equal(list.prefixes[0].watermark_ms, 0);
    assert_int_equal(list.prefixes[0].oldest_ms, NOW - 300);
    assert_int_equal(list.prefixes[1].watermark_ms, NOW - 101);
    assert_int_equal(list.prefixes[1].proven_ms, NOW - 500);
    assert_int_equal(list.prefixes[1].oldest_ms, NOW - 100);
    assert_int_equal(w->ops->prefixes_set(w->b, w->rule, then, 2), 0);
    assert_false(prefixes(w).sorting); /* nothing has changed */
    set_prefixes(w, NULL, 0);
    assert_int_equal(prefixes(w).count, 0);
}

static void a_change_is_late_for_its_prefix(void **state)
{
    struct world *w = *state;
    const struct span names[] = {span_str("a/")};
    set_prefixes(w, names, 1);
    assert_int_equal(w->ops->prefix_put(w->b, w->rule, span_str("a/"), NOW - 100, 0), 0);
    world_append_put(w, "b/1", NOW - 100);
    assert_int_equal(world_counts(w).late_changes, 0);
    world_append_put(w, "a/1", NOW - 100);
    assert_int_equal(world_counts(w).late_changes, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(the_watermark_never_goes_back),
        WORLD_TEST(late_changes_are_counted_and_named),
        WORLD_TEST(what_is_told_again_is_not_late),
        WORLD_TEST(late_changes_are_bounded),
        WORLD_TEST(a_scan_proves_when_all_is_finished),
        WORLD_TEST(prefixes_know_their_oldest),
        WORLD_TEST(prefixes_that_stay_keep_their_watermark),
        WORLD_TEST(a_change_is_late_for_its_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
