/* A rule that replicates all versions: each arrives once, oldest first, whatever comes between. */
#include "tests/unit/support/versions_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_every_version_arrives_oldest_first(void **state)
{
    struct versions_bench *w = *state;
    versions_put(w, "one");
    versions_put(w, "two");
    versions_put(w, "three");
    versions_announce(w);
    versions_assert_arrived(w, "one two three ");
    struct rule_counts n = engine_bench_lag(&w->bench, VERSIONS_RULE).counts;
    assert_int_equal(n.done_objects, 3);
    assert_int_equal(n.done_bytes, 11);
    assert_int_equal(n.replicas, 1);
}

static void test_what_is_done_is_not_done_again(void **state)
{
    struct versions_bench *w = *state;
    versions_put(w, "one");
    versions_announce(w);
    versions_announce(w); /* told twice */
    versions_put(w, "two");
    versions_announce(w);
    versions_assert_arrived(w, "one two ");
}

static void test_delete_markers_stand_in_their_place(void **state)
{
    struct versions_bench *w = *state;
    versions_put(w, "one");
    versions_hide(w);
    versions_put(w, "two");
    versions_hide(w);
    versions_announce(w);
    versions_announce(w);
    versions_assert_arrived(w, "one - two - ");
    assert_int_equal(fake_objects(w->bench.far, "dst"), 0);
    assert_int_equal(fake_versions(w->bench.far, "dst", span_str(VERSIONS_KEY)), 4);
    versions_put(w, "three");
    versions_announce(w);
    versions_assert_arrived(w, "one - two - three ");
}

static void test_deletes_are_left_out_where_they_are_ignored(void **state)
{
    struct versions_bench *w = *state;
    struct rule rule = versions_rule();
    rule.deletes = RULE_DELETES_IGNORE;
    versions_put_rule(w, &rule);
    versions_put(w, "one");
    versions_hide(w);
    versions_put(w, "two");
    versions_announce(w);
    versions_assert_arrived(w, "one two ");
}

/* After a failure, as after a crash, the key goes on where its mark is. */
static void test_a_failure_repeats_no_version(void **state)
{
    struct versions_bench *w = *state;
    versions_put(w, "one");
    versions_put(w, "two");
    versions_put(w, "three");
    fake_fault(w->bench.far, &(struct fake_fault){.kind = STORE_PUT,
                                                  .key = VERSIONS_KEY,
                                                  .skip = 1,
                                                  .count = 12,
                                                  .code = REPL_ESERVER,
                                                  .http_status = 500});
    versions_announce(w);
    assert_int_equal(fake_versions(w->bench.far, "dst", span_str(VERSIONS_KEY)), 3);
    assert_null(strstr(buf_cstr(&w->arrived) + 1, "one")); /* refused ones are among them */
}

static void test_a_restart_goes_on_at_the_mark(void **state)
{
    struct versions_bench *w = *state;
    versions_put(w, "one");
    versions_announce(w);
    engine_bench_stop(&w->bench);
    versions_put(w, "two");
    engine_bench_start(&w->bench);
    versions_announce(w);
    versions_assert_arrived(w, "one two ");
}

/* The source has dropped the version of the mark, as lifecycle rules do. */
static void test_a_mark_that_is_gone_is_no_reason_to_begin_anew(void **state)
{
    struct versions_bench *w = *state;
    struct fake_object o;
    versions_put(w, "one");
    versions_put(w, "two");
    versions_announce(w);
    assert_true(fake_get(w->bench.near, "src", span_str(VERSIONS_KEY), &o));
    fake_remove_version(w->bench.near, "src", span_str(VERSIONS_KEY), o.version_id);
    versions_put(w, "three");
    versions_announce(w);
    versions_assert_arrived(w, "one two three ");
}

/* Both are of one second: only the listing knows which is older. */
static void test_versions_of_one_second_keep_their_order(void **state)
{
    struct versions_bench *w = *state;
    struct fake_object o;
    fake_put(w->bench.near, "src", span_str(VERSIONS_KEY), span_str("one"), NULL);
    fake_put(w->bench.near, "src", span_str(VERSIONS_KEY), span_str("two"), NULL);
    fake_put(w->bench.near, "src", span_str(VERSIONS_KEY), span_str("three"), NULL);
    versions_announce(w);
    assert_true(fake_get(w->bench.near, "src", span_str(VERSIONS_KEY), &o));
    fake_put(w->bench.near, "src", span_str(VERSIONS_KEY), span_str("four"), NULL);
    fake_remove_version(w->bench.near, "src", span_str(VERSIONS_KEY), o.version_id);
    versions_announce(w);
    versions_assert_arrived(w, "one two three four ");
}

static void test_more_versions_than_a_page(void **state)
{
    struct versions_bench *w = *state;
    struct buf want = {0};
    for (int i = 0; i < 1100; i++) {
        char body[16];
        snprintf(body, sizeof(body), "%d", i);
        fake_put(w->bench.near, "src", span_str(VERSIONS_KEY), span_str(body), NULL);
        buf_printf(&want, "%d ", i);
    }
    versions_announce(w);
    versions_assert_arrived(w, buf_cstr(&want));
    buf_done(&want);
}

/* A rule that begins to take all versions has the latest one of before already. */
static void test_a_rule_that_took_the_latest_goes_on_behind_it(void **state)
{
    struct versions_bench *w = *state;
    struct rule rule = engine_bench_rule(VERSIONS_RULE);
    versions_put_rule(w, &rule);
    versions_put(w, "one");
    versions_put(w, "two");
    versions_announce(w);
    versions_assert_arrived(w, "two ");
    rule.versions = RULE_VERSIONS_ALL;
    versions_put_rule(w, &rule);
    versions_put(w, "three");
    versions_put(w, "four");
    versions_announce(w);
    versions_assert_arrived(w, "two three four ");
    rule.versions = RULE_VERSIONS_LATEST;
    versions_put_rule(w, &rule);
    versions_put(w, "five");
    versions_put(w, "six");
    versions_announce(w);
    rule.versions = RULE_VERSIONS_ALL;
    versions_put_rule(w, &rule);
    versions_put(w, "seven");
    versions_announce(w);
    versions_assert_arrived(w, "two three four six seven ");
}

static int preflight(struct engine_bench *b, struct fail *f)
{
    struct rule rule = engine_bench_rule(VERSIONS_RULE);
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
    rule.versions = RULE_VERSIONS_ALL;
    return engine_bench_put_rule(b, &rule, false, f);
}

static void test_buckets_without_versions_are_refused(void **state)
{
    struct versions_bench *w = *state;
    struct fail f;
    engine_bench_stop(&w->bench);
    fake_free(w->bench.far);
    w->bench.far = fake_new(&(struct fake_options){.loop = w->bench.loop, .name = "far"});
    fake_bucket(w->bench.far, "dst");
    engine_bench_start(&w->bench);
    assert_int_equal(preflight(&w->bench, &f), REPL_EREFUSED);
    assert_non_null(strstr(f.text, "far/dst: it keeps no versions, which versions: all relies on"));
    assert_null(strstr(f.text, "near/src"));
    engine_bench_stop(&w->bench);
    fake_free(w->bench.near);
    w->bench.near = fake_new(&(struct fake_options){.loop = w->bench.loop, .name = "near"});
    fake_bucket(w->bench.near, "src");
    engine_bench_start(&w->bench);
    assert_int_equal(preflight(&w->bench, &f), REPL_EREFUSED);
    assert_non_null(strstr(f.text, "near/src: it keeps no versions"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        VERSIONS_TEST(test_every_version_arrives_oldest_first),
        VERSIONS_TEST(test_what_is_done_is_not_done_again),
        VERSIONS_TEST(test_delete_markers_stand_in_their_place),
        VERSIONS_TEST(test_deletes_are_left_out_where_they_are_ignored),
        VERSIONS_TEST(test_a_failure_repeats_no_version),
        VERSIONS_TEST(test_a_restart_goes_on_at_the_mark),
        VERSIONS_TEST(test_a_mark_that_is_gone_is_no_reason_to_begin_anew),
        VERSIONS_TEST(test_versions_of_one_second_keep_their_order),
        VERSIONS_TEST(test_more_versions_than_a_page),
        VERSIONS_TEST(test_buckets_without_versions_are_refused),
        VERSIONS_TEST(test_a_rule_that_took_the_latest_goes_on_behind_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
