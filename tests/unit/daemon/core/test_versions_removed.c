/* A rule that replicates all versions, whose source removes some by their ids: the destination
 * shows what the source does. */
#include "tests/unit/support/versions_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void remove_version(struct versions_bench *w, const char *id)
{
    fake_remove_version(w->bench.near, "src", span_str(VERSIONS_KEY), span_str(id));
    loop_run_for(w->bench.loop, 1500);
    engine_bench_append(&w->bench, CHANGE_DELETE, VERSIONS_KEY);
    assert_true(engine_bench_settle(&w->bench, VERSIONS_RULE, 600000));
}

static void test_a_marker_that_is_removed_is_taken_back(void **state)
{
    struct versions_bench *w = *state;
    versions_put(w, "one"); /* v1 */
    versions_put(w, "two");
    versions_hide(w);
    versions_hide(w);
    versions_announce(w);
    assert_true(versions_shows(w, NULL));
    remove_version(w, "v4");
    assert_true(versions_shows(w, NULL)); /* the other one hides it */
    remove_version(w, "v3");
    assert_true(versions_shows(w, "two"));
    versions_assert_arrived(w, "one two - - + + ");
    assert_int_equal(fake_versions(w->bench.far, "dst", span_str(VERSIONS_KEY)), 2);
    assert_int_equal(engine_bench_lag(&w->bench, VERSIONS_RULE).counts.replicas, 1);
    versions_announce(w); /* told again */
    versions_put(w, "three");
    versions_hide(w);
    versions_announce(w);
    versions_assert_arrived(w, "one two - - + + three - ");
    remove_version(w, "v6");
    assert_true(versions_shows(w, "three"));
}

/* Somebody has written and deleted at the destination: our marker was not all that hides it. */
static void test_an_object_that_stays_hidden_is_written_anew(void **state)
{
    struct versions_bench *w = *state;
    versions_put(w, "one");
    versions_hide(w);
    versions_announce(w);
    fake_remove(w->bench.far, "dst", span_str(VERSIONS_KEY));
    remove_version(w, "v2");
    assert_true(versions_shows(w, "one"));
    versions_assert_arrived(w, "one - + one ");
}

static void test_a_removed_version_gives_way_to_the_one_before(void **state)
{
    struct versions_bench *w = *state;
    versions_put(w, "one");
    versions_put(w, "two");
    versions_announce(w);
    remove_version(w, "v2");
    assert_true(versions_shows(w, "one"));
    versions_assert_arrived(w, "one two one ");
    versions_announce(w);
    versions_put(w, "three");
    versions_announce(w);
    versions_assert_arrived(w, "one two one three ");
    assert_int_equal(fake_versions(w->bench.far, "dst", span_str(VERSIONS_KEY)),
                     4); /* nothing is lost */
}

static void test_an_old_version_that_is_removed_changes_nothing(void **state)
{
    struct versions_bench *w = *state;
    versions_put(w, "one");
    versions_put(w, "two");
    versions_announce(w);
    remove_version(w, "v1");
    versions_assert_arrived(w, "one two ");
    assert_int_equal(fake_versions(w->bench.far, "dst", span_str(VERSIONS_KEY)), 2);
}

static void test_a_marker_is_the_newest_again(void **state)
{
    struct versions_bench *w = *state;
    versions_put(w, "one");
    versions_hide(w);
    versions_put(w, "two");
    versions_announce(w);
    remove_version(w, "v3");
    assert_true(versions_shows(w, NULL));
    versions_assert_arrived(w, "one - two - ");
}

static void test_a_key_without_versions_is_deleted(void **state)
{
    struct versions_bench *w = *state;
    versions_put(w, "one");
    versions_announce(w);
    remove_version(w, "v1");
    assert_true(versions_shows(w, NULL));
    versions_assert_arrived(w, "one - ");
    assert_int_equal(fake_versions(w->bench.far, "dst", span_str(VERSIONS_KEY)), 2);
    assert_int_equal(engine_bench_lag(&w->bench, VERSIONS_RULE).counts.replicas, 0);
    versions_put(w, "two");
    versions_announce(w);
    versions_assert_arrived(w, "one - two ");
}

static void list_nothing(void *arg, struct fake *f, const struct store_op *op)
{
    (void)f;
    if (op->kind == STORE_LIST_VERSIONS) {
        ((struct store_op *)(uintptr_t)op)->key = span_str("nothing");
        ++*(int *)arg;
    }
}

static void test_an_empty_listing_deletes_nothing(void **state)
{
    struct versions_bench *w = *state;
    int listings = 0;
    versions_put(w, "one");
    versions_announce(w);
    fake_hook(w->bench.near, list_nothing, &listings);
    engine_bench_append(&w->bench, CHANGE_DELETE, VERSIONS_KEY);
    loop_run_for(w->bench.loop, 5000);
    assert_true(listings > 0);
    versions_assert_arrived(w, "one ");
    fake_hook(w->bench.near, NULL, NULL);
    assert_true(engine_bench_settle(&w->bench, VERSIONS_RULE, 600000));
    versions_assert_arrived(w, "one ");
}

static void test_removed_versions_are_left_where_deletes_are_ignored(void **state)
{
    struct versions_bench *w = *state;
    struct rule rule = versions_rule();
    rule.deletes = RULE_DELETES_IGNORE;
    versions_put_rule(w, &rule);
    versions_put(w, "one");
    versions_put(w, "two");
    versions_announce(w);
    fake_remove_version(w->bench.near, "src", span_str(VERSIONS_KEY), span_str("v2"));
    versions_announce(w);
    versions_assert_arrived(w, "one two ");
    versions_put(w, "three");
    versions_announce(w);
    versions_assert_arrived(w, "one two three ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        VERSIONS_TEST(test_a_marker_that_is_removed_is_taken_back),
        VERSIONS_TEST(test_an_object_that_stays_hidden_is_written_anew),
        VERSIONS_TEST(test_a_removed_version_gives_way_to_the_one_before),
        VERSIONS_TEST(test_an_old_version_that_is_removed_changes_nothing),
        VERSIONS_TEST(test_a_marker_is_the_newest_again),
        VERSIONS_TEST(test_a_key_without_versions_is_deleted),
        VERSIONS_TEST(test_an_empty_listing_deletes_nothing),
        VERSIONS_TEST(test_removed_versions_are_left_where_deletes_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
