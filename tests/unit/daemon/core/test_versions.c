/* A rule that replicates all versions: each arrives once, oldest first, whatever comes between. */
#include "daemon/base/mem.h"
#include "tests/unit/support/engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define RULE "all"
#define KEY  "k"

struct world {
    struct engine_bench bench;
    struct buf arrived; /* what the destination was told, in order: bodies, "-" for a delete */
};

static void note(void *arg, struct fake *f, const struct store_op *op)
{
    struct world *w = arg;
    (void)f;
    if (!span_eq_str(op->key, KEY)) {
        return;
    }
    if (op->kind == STORE_PUT) {
        buf_printf(&w->arrived, "%.*s ", SPAN_ARG(op->body));
    } else if (op->kind == STORE_DELETE || op->kind == STORE_DELETE_MANY) {
        buf_str(&w->arrived, "- ");
    }
}

static void with_versions(struct engine_bench *b, struct fake **fake, const char *name,
                          const char *bucket)
{
    fake_free(*fake);
    *fake = fake_new(
        &(struct fake_options){.loop = b->loop, .name = name, .versions = true, .latency_ms = 10});
    fake_bucket(*fake, bucket);
}

static void start(struct world *w, enum rule_deletes deletes)
{
    struct engine_bench *b = &w->bench;
    engine_bench_start(b);
    struct rule rule = engine_bench_rule(RULE);
    rule.versions = RULE_VERSIONS_ALL;
    rule.deletes = deletes;
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
}

static int set_up(void **state)
{
    struct world *w = mem_alloc(sizeof(*w));
    memset(w, 0, sizeof(*w));
    engine_bench_init(&w->bench, 7, 10);
    with_versions(&w->bench, &w->bench.near, "near", "src");
    with_versions(&w->bench, &w->bench.far, "far", "dst");
    fake_hook(w->bench.far, note, w);
    start(w, RULE_DELETES_PROPAGATE);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    engine_bench_done(&w->bench);
    buf_done(&w->arrived);
    mem_free(w);
    return 0;
}

static void put(struct world *w, const char *body)
{
    fake_put(w->bench.near, "src", span_str(KEY), span_str(body), NULL);
    loop_run_for(w->bench.loop, 1500); /* Last-Modified has seconds */
}

static void announce(struct world *w)
{
    engine_bench_append(&w->bench, CHANGE_PUT, KEY);
    assert_true(engine_bench_settle(&w->bench, RULE, 600000));
}

static void assert_arrived(struct world *w, const char *want)
{
    assert_string_equal(buf_cstr(&w->arrived), want);
}

static void test_every_version_arrives_oldest_first(void **state)
{
    struct world *w = *state;
    put(w, "one");
    put(w, "two");
    put(w, "three");
    announce(w);
    assert_arrived(w, "one two three ");
    struct rule_counts n = engine_bench_lag(&w->bench, RULE).counts;
    assert_int_equal(n.done_objects, 3);
    assert_int_equal(n.done_bytes, 11);
    assert_int_equal(n.replicas, 1);
}

static void test_what_is_done_is_not_done_again(void **state)
{
    struct world *w = *state;
    put(w, "one");
    announce(w);
    announce(w); /* told twice */
    put(w, "two");
    announce(w);
    assert_arrived(w, "one two ");
}

static void test_delete_markers_stand_in_their_place(void **state)
{
    struct world *w = *state;
    put(w, "one");
    fake_remove(w->bench.near, "src", span_str(KEY));
    put(w, "two");
    fake_remove(w->bench.near, "src", span_str(KEY));
    announce(w);
    announce(w);
    assert_arrived(w, "one - two - ");
    assert_int_equal(fake_objects(w->bench.far, "dst"), 0);
    assert_int_equal(fake_versions(w->bench.far, "dst", span_str(KEY)), 4);
    put(w, "three");
    announce(w);
    assert_arrived(w, "one - two - three ");
}

static void test_deletes_are_left_out_where_they_are_ignored(void **state)
{
    struct world *w = *state;
    struct rule rule = engine_bench_rule(RULE);
    rule.versions = RULE_VERSIONS_ALL;
    rule.deletes = RULE_DELETES_IGNORE;
    assert_int_equal(engine_bench_put_rule(&w->bench, &rule, true, NULL), 0);
    put(w, "one");
    fake_remove(w->bench.near, "src", span_str(KEY));
    put(w, "two");
    announce(w);
    assert_arrived(w, "one two ");
}

/* After a failure, as after a crash, the key goes on where its mark is. */
static void test_a_failure_repeats_no_version(void **state)
{
    struct world *w = *state;
    put(w, "one");
    put(w, "two");
    put(w, "three");
    fake_fault(w->bench.far, &(struct fake_fault){.kind = STORE_PUT,
                                                  .key = KEY,
                                                  .skip = 1,
                                                  .count = 12,
                                                  .code = REPL_ESERVER,
                                                  .http_status = 500});
    announce(w);
    assert_int_equal(fake_versions(w->bench.far, "dst", span_str(KEY)), 3);
    assert_null(strstr(buf_cstr(&w->arrived) + 1, "one")); /* refused ones are among them */
}

static void test_a_restart_goes_on_at_the_mark(void **state)
{
    struct world *w = *state;
    put(w, "one");
    announce(w);
    engine_bench_stop(&w->bench);
    put(w, "two");
    engine_bench_start(&w->bench);
    announce(w);
    assert_arrived(w, "one two ");
}

/* The source has dropped the version of the mark, as lifecycle rules do. */
static void test_a_mark_that_is_gone_counts_by_its_time(void **state)
{
    struct world *w = *state;
    struct fake_object o;
    put(w, "one");
    put(w, "two");
    announce(w);
    assert_true(fake_get(w->bench.near, "src", span_str(KEY), &o));
    fake_remove_version(w->bench.near, "src", span_str(KEY), o.version_id);
    put(w, "three");
    announce(w);
    assert_arrived(w, "one two three ");
}

static void test_more_versions_than_a_page(void **state)
{
    struct world *w = *state;
    struct buf want = {0};
    for (int i = 0; i < 1100; i++) {
        char body[16];
        snprintf(body, sizeof(body), "%d", i);
        fake_put(w->bench.near, "src", span_str(KEY), span_str(body), NULL);
        buf_printf(&want, "%d ", i);
    }
    announce(w);
    assert_arrived(w, buf_cstr(&want));
    buf_done(&want);
}

/* A rule that begins to take all versions has the latest one of before already. */
static void test_a_rule_that_took_the_latest_goes_on_behind_it(void **state)
{
    struct world *w = *state;
    struct rule rule = engine_bench_rule(RULE);
    assert_int_equal(engine_bench_put_rule(&w->bench, &rule, true, NULL), 0);
    put(w, "one");
    put(w, "two");
    announce(w);
    assert_arrived(w, "two ");
    rule.versions = RULE_VERSIONS_ALL;
    assert_int_equal(engine_bench_put_rule(&w->bench, &rule, true, NULL), 0);
    put(w, "three");
    put(w, "four");
    announce(w);
    assert_arrived(w, "two three four ");
    rule.versions = RULE_VERSIONS_LATEST;
    assert_int_equal(engine_bench_put_rule(&w->bench, &rule, true, NULL), 0);
    put(w, "five");
    put(w, "six");
    announce(w);
    rule.versions = RULE_VERSIONS_ALL;
    assert_int_equal(engine_bench_put_rule(&w->bench, &rule, true, NULL), 0);
    put(w, "seven");
    announce(w);
    assert_arrived(w, "two three four six seven ");
}

static int preflight(struct engine_bench *b, struct fail *f)
{
    struct rule rule = engine_bench_rule(RULE);
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
    rule.versions = RULE_VERSIONS_ALL;
    return engine_bench_put_rule(b, &rule, false, f);
}

static void test_buckets_without_versions_are_refused(void **state)
{
    struct world *w = *state;
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_every_version_arrives_oldest_first),
        TEST(test_what_is_done_is_not_done_again),
        TEST(test_delete_markers_stand_in_their_place),
        TEST(test_deletes_are_left_out_where_they_are_ignored),
        TEST(test_a_failure_repeats_no_version),
        TEST(test_a_restart_goes_on_at_the_mark),
        TEST(test_a_mark_that_is_gone_counts_by_its_time),
        TEST(test_more_versions_than_a_page),
        TEST(test_buckets_without_versions_are_refused),
        TEST(test_a_rule_that_took_the_latest_goes_on_behind_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
