/* A rule that replicates all versions, and the brake: what would hide an object
 * for good is held. */
#include "tests/unit/support/versions_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void limit_deletes(struct versions_bench *w, const char *limit)
{
    struct fail f;
    struct rule rule = versions_rule();
    assert_int_equal(brake_limit_parse(span_str(limit), &w->limits, &rule.deletes_brake, &f), 0);
    versions_put_rule(w, &rule);
}

static uint64_t held(struct versions_bench *w)
{
    return engine_bench_lag(&w->bench, VERSIONS_RULE).counts.held_objects;
}

static void test_the_brake_lets_go_what_hides_nothing(void **state)
{
    struct versions_bench *w = *state;
    limit_deletes(w, "1 in 1h");
    versions_put(w, "body");
    for (int i = 0; i < 4; i++) {
        versions_hide(w);
    }
    versions_announce(w);
    versions_assert_arrived(w, "body - - - - ");
    assert_int_equal(held(w), 0);
}

/* The one delete that the brake lets pass has gone; the destination shows "two". */
static void use_up_the_brake(struct versions_bench *w)
{
    limit_deletes(w, "1 in 1h");
    versions_put(w, "one");
    versions_hide(w);
    versions_put(w, "two");
    versions_announce(w);
    versions_assert_arrived(w, "one - two ");
}

static void assert_held(struct versions_bench *w, enum change_kind kind, uint64_t within_ms)
{
    engine_bench_append(&w->bench, kind, VERSIONS_KEY);
    loop_run_for(w->bench.loop, within_ms);
    assert_true(versions_shows(w, "two"));
    assert_int_equal(held(w), 1);
}

/* What comes after it may not come: a marker below newer versions is held as any other. */
static void test_the_brake_holds_markers_below_newer_versions(void **state)
{
    struct versions_bench *w = *state;
    use_up_the_brake(w);
    versions_hide(w);
    versions_put(w, "three");
    assert_held(w, CHANGE_PUT, 5000);
}

/* Nothing was to be seen before, and what has come with the marker is. */
static void test_the_brake_holds_a_marker_above_what_came_with_it(void **state)
{
    struct versions_bench *w = *state;
    limit_deletes(w, "1 in 1h");
    versions_put(w, "one");
    versions_hide(w);
    versions_announce(w);
    versions_put(w, "two");
    versions_hide(w);
    assert_held(w, CHANGE_DELETE, 5000);
}

/* Two markers, one above the other: the first one hides the object. */
static void test_the_brake_holds_a_marker_below_a_marker(void **state)
{
    struct versions_bench *w = *state;
    use_up_the_brake(w);
    versions_hide(w);
    versions_hide(w);
    assert_held(w, CHANGE_DELETE, 5000);
}

/* Objects that others have put there, while the source has only a marker left. */
static void test_the_brake_holds_markers_of_keys_not_known(void **state)
{
    static const char *const keys[] = {"x1", "x2", "x3"};
    struct versions_bench *w = *state;
    limit_deletes(w, "1 in 1h");
    for (size_t i = 0; i < 3; i++) {
        fake_put(w->bench.far, "dst", span_str(keys[i]), span_str("theirs"), NULL);
        fake_remove(w->bench.near, "src", span_str(keys[i]));
        engine_bench_append(&w->bench, CHANGE_DELETE, keys[i]);
        loop_run_for(w->bench.loop, 5000);
    }
    assert_int_equal(held(w), 2);
}

/* Deleted and written again, but nobody may read what was written. */
static void test_the_brake_holds_what_cannot_be_written_again(void **state)
{
    struct versions_bench *w = *state;
    use_up_the_brake(w);
    versions_hide(w);
    versions_put(w, "three");
    fake_fault(w->bench.near, &(struct fake_fault){.kind = STORE_GET,
                                                   .key = VERSIONS_KEY,
                                                   .code = REPL_EDENIED,
                                                   .http_status = 403});
    assert_held(w, CHANGE_PUT, 60000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        VERSIONS_TEST(test_the_brake_lets_go_what_hides_nothing),
        VERSIONS_TEST(test_the_brake_holds_markers_below_newer_versions),
        VERSIONS_TEST(test_the_brake_holds_a_marker_above_what_came_with_it),
        VERSIONS_TEST(test_the_brake_holds_a_marker_below_a_marker),
        VERSIONS_TEST(test_the_brake_holds_markers_of_keys_not_known),
        VERSIONS_TEST(test_the_brake_holds_what_cannot_be_written_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
