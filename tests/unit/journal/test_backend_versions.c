/* Conformance of a journal backend: all versions of a key, and the marks of those that are done. */
#include "tests/unit/support/backend_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static int finish_version(struct world *w, const struct task *t, enum finish_outcome outcome,
                          const char *id, bool goes_on)
{
    static const struct replica replica = {.source_etag = {"e1", 2}, .size = 10};
    struct version_mark mark = {.version_id = span_str(id), .mtime_ms = NOW};
    struct finish_result r = {0};
    struct finish f = world_finish_of(t, outcome);
    f.replica = outcome == FINISH_DONE ? &replica : NULL;
    f.bytes = 10;
    f.version = &mark;
    f.goes_on = goes_on;
    int status = w->ops->finish(w->b, &f, &r);
    assert_int_equal(r.pending, goes_on && status == 0);
    return status;
}

static size_t marks_of(struct world *w, struct version_mark **ret)
{
    size_t count;
    assert_int_equal(w->ops->version_marks(w->b, &w->arena, w->rule, span_str("a"), ret, &count),
                     0);
    return count;
}

static void assert_mark(struct world *w, const char *id)
{
    struct version_mark *marks;
    assert_true(marks_of(w, &marks) > 0);
    assert_true(span_eq_str(marks[0].version_id, id));
    assert_int_equal(marks[0].mtime_ms, NOW);
}

static void versions_are_done_one_after_the_other(void **state)
{
    struct world *w = *state;
    struct version_mark *marks;
    world_append_put(w, "a", NOW);
    struct task t = world_claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(marks_of(w, &marks), 0);
    assert_int_equal(finish_version(w, &t, FINISH_DONE, "v1", true), 0);
    assert_mark(w, "v1");
    assert_int_equal(finish_version(w, &t, FINISH_DELETED, "v2", true), 0);
    assert_mark(w, "v2");
    assert_int_equal(world_counts(w).pending_objects, 1);
    assert_int_equal(world_counts(w).replicas, 0);
    assert_int_equal(finish_version(w, &t, FINISH_DONE, "v3", false), 0);
    assert_mark(w, "v3");
    assert_int_equal(world_counts(w).pending_objects, 0);
    assert_int_equal(world_counts(w).done_objects, 2);
    assert_int_equal(world_counts(w).deleted_objects, 1);
    assert_int_equal(finish_version(w, &t, FINISH_DONE, "v4", true), REPL_ENOTFOUND);
    assert_mark(w, "v3");
}

static void a_failure_moves_no_mark(void **state)
{
    struct world *w = *state;
    world_append_put(w, "a", NOW);
    struct task t = world_claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(finish_version(w, &t, FINISH_SKIPPED, "v1", true), 0);
    struct version_mark mark = {.version_id = span_str("v2"), .mtime_ms = NOW};
    struct finish_result r = {0};
    struct finish f = world_finish_of(&t, FINISH_FAILED);
    f.version = &mark;
    f.goes_on = true;
    assert_int_equal(w->ops->finish(w->b, &f, &r), 0);
    assert_mark(w, "v1");
    assert_int_equal(world_counts(w).failed_objects, 1);
}

/* In the order in which they were done; a version that is done again is the newest, and once. */
static void the_newest_marks_are_kept(void **state)
{
    struct world *w = *state;
    struct version_mark *marks;
    char id[16];
    world_append_put(w, "a", NOW);
    struct task t = world_claim(w, TASK_LIVE, 1).tasks[0];
    for (int i = 0; i < VERSION_MARKS_MAX + 10; i++) {
        snprintf(id, sizeof(id), "v%d", i);
        assert_int_equal(finish_version(w, &t, FINISH_DONE, id, true), 0);
    }
    assert_int_equal(finish_version(w, &t, FINISH_DONE, "v70", true), 0);
    size_t count = marks_of(w, &marks);
    assert_int_equal(count, VERSION_MARKS_MAX - 1);
    assert_true(span_eq_str(marks[0].version_id, "v70"));
    assert_true(span_eq_str(marks[1].version_id, "v73"));
    assert_true(span_eq_str(marks[4].version_id, "v69"));
    assert_true(span_eq_str(marks[count - 1].version_id, "v11"));
}

static void marks_go_with_the_versions_of_the_source(void **state)
{
    struct world *w = *state;
    struct version_mark *marks;
    struct finish_result r = {0};
    world_append_put(w, "a", NOW);
    struct task t = world_claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(finish_version(w, &t, FINISH_DONE, "v1", true), 0);
    struct finish f = world_finish_of(&t, FINISH_DELETED);
    f.no_versions = true;
    assert_int_equal(w->ops->finish(w->b, &f, &r), 0);
    assert_int_equal(marks_of(w, &marks), 0);
}

static bool is_known_version(struct world *w, const char *id, const char *etag, int64_t mtime_ms,
                             bool *ret_has_marks)
{
    struct listed l = {.key = span_str("a"),
                       .version_id = span_str(id),
                       .etag = span_str(etag),
                       .mtime_ms = mtime_ms};
    struct compare what = {.rule = w->rule, .listed = &l, .count = 1, .versions = true};
    struct compared compared;
    assert_int_equal(w->ops->compare(w->b, &w->arena, &what, &compared), 0);
    *ret_has_marks = l.has_marks;
    return l.known;
}

static void the_newest_version_is_what_is_compared(void **state)
{
    struct world *w = *state;
    bool has_marks;
    struct append_entry e = world_put_of(w, "a", NOW);
    e.change.version_id = span_str("v2");
    assert_false(is_known_version(w, "v1", "e1", NOW, &has_marks));
    assert_false(has_marks);
    world_append(w, &e, NOW);
    assert_true(is_known_version(w, "v2", "e1", NOW, &has_marks)); /* told */
    assert_false(is_known_version(w, "v1", "e1", NOW, &has_marks));
    struct task t = world_claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(finish_version(w, &t, FINISH_DONE, "v1", true), 0);
    assert_int_equal(finish_version(w, &t, FINISH_DELETED, "v2", true), 0);
    assert_int_equal(finish_version(w, &t, FINISH_SKIPPED, "null", false), 0);
    assert_false(is_known_version(w, "v1", "e1", NOW, &has_marks));
    assert_false(is_known_version(w, "v2", "", NOW, &has_marks));
    assert_true(has_marks);
    assert_true(is_known_version(w, "null", "", NOW, &has_marks));
    assert_false(is_known_version(w, "null", "", NOW + 3000, &has_marks));
    assert_false(is_known_version(w, "null", "e1", NOW, &has_marks));
}

static void marks_go_with_their_rule(void **state)
{
    struct world *w = *state;
    struct version_mark *marks;
    world_append_put(w, "a", NOW);
    struct task t = world_claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(finish_version(w, &t, FINISH_DELETED, "v1", false), 0);
    assert_int_equal(w->ops->rule_delete(w->b, w->rule, NOW), 0);
    assert_int_equal(w->ops->rule_purge(w->b, w->rule, 10), 0);
    assert_int_equal(marks_of(w, &marks), 0);
    assert_int_equal(w->ops->rule_purge(w->b, w->rule, 10), REPL_EDONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(versions_are_done_one_after_the_other),
        WORLD_TEST(a_failure_moves_no_mark),
        WORLD_TEST(the_newest_marks_are_kept),
        WORLD_TEST(marks_go_with_the_versions_of_the_source),
        WORLD_TEST(the_newest_version_is_what_is_compared),
        WORLD_TEST(marks_go_with_their_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
