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
    struct arena limits;
    struct buf arrived; /* what the destination was told, in order: bodies, "-" for a delete,
                           "+" for the delete of a version */
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
    } else if (op->kind == STORE_DELETE && op->version_id.len > 0) {
        buf_str(&w->arrived, "+ ");
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
    arena_init(&w->limits);
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
    arena_done(&w->limits);
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
static void test_a_mark_that_is_gone_is_no_reason_to_begin_anew(void **state)
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

/* Both are of one second: only the listing knows which is older. */
static void test_versions_of_one_second_keep_their_order(void **state)
{
    struct world *w = *state;
    struct fake_object o;
    fake_put(w->bench.near, "src", span_str(KEY), span_str("one"), NULL);
    fake_put(w->bench.near, "src", span_str(KEY), span_str("two"), NULL);
    fake_put(w->bench.near, "src", span_str(KEY), span_str("three"), NULL);
    announce(w);
    assert_true(fake_get(w->bench.near, "src", span_str(KEY), &o));
    fake_put(w->bench.near, "src", span_str(KEY), span_str("four"), NULL);
    fake_remove_version(w->bench.near, "src", span_str(KEY), o.version_id);
    announce(w);
    assert_arrived(w, "one two three four ");
}

/* ---- what is removed by its id ---- */

static void remove_version(struct world *w, const char *id)
{
    fake_remove_version(w->bench.near, "src", span_str(KEY), span_str(id));
    loop_run_for(w->bench.loop, 1500);
    engine_bench_append(&w->bench, CHANGE_DELETE, KEY);
    assert_true(engine_bench_settle(&w->bench, RULE, 600000));
}

static bool shows(struct world *w, const char *body)
{
    struct fake_object o;
    bool is_there = fake_get(w->bench.far, "dst", span_str(KEY), &o);
    return body == NULL ? !is_there : is_there && span_eq_str(o.body, body);
}

static void test_a_marker_that_is_removed_is_taken_back(void **state)
{
    struct world *w = *state;
    put(w, "one"); /* v1 */
    put(w, "two");
    fake_remove(w->bench.near, "src", span_str(KEY));
    fake_remove(w->bench.near, "src", span_str(KEY));
    announce(w);
    assert_true(shows(w, NULL));
    remove_version(w, "v4");
    assert_true(shows(w, NULL)); /* the other one hides it */
    remove_version(w, "v3");
    assert_true(shows(w, "two"));
    assert_arrived(w, "one two - - + + ");
    assert_int_equal(fake_versions(w->bench.far, "dst", span_str(KEY)), 2);
    assert_int_equal(engine_bench_lag(&w->bench, RULE).counts.replicas, 1);
    announce(w); /* told again */
    put(w, "three");
    fake_remove(w->bench.near, "src", span_str(KEY));
    announce(w);
    assert_arrived(w, "one two - - + + three - ");
    remove_version(w, "v6");
    assert_true(shows(w, "three"));
}

/* Somebody has written and deleted at the destination: our marker was not all that hides it. */
static void test_an_object_that_stays_hidden_is_written_anew(void **state)
{
    struct world *w = *state;
    put(w, "one");
    fake_remove(w->bench.near, "src", span_str(KEY));
    announce(w);
    fake_remove(w->bench.far, "dst", span_str(KEY));
    remove_version(w, "v2");
    assert_true(shows(w, "one"));
    assert_arrived(w, "one - + one ");
}

static void test_a_removed_version_gives_way_to_the_one_before(void **state)
{
    struct world *w = *state;
    put(w, "one");
    put(w, "two");
    announce(w);
    remove_version(w, "v2");
    assert_true(shows(w, "one"));
    assert_arrived(w, "one two one ");
    announce(w);
    put(w, "three");
    announce(w);
    assert_arrived(w, "one two one three ");
    assert_int_equal(fake_versions(w->bench.far, "dst", span_str(KEY)), 4); /* nothing is lost */
}

static void test_an_old_version_that_is_removed_changes_nothing(void **state)
{
    struct world *w = *state;
    put(w, "one");
    put(w, "two");
    announce(w);
    remove_version(w, "v1");
    assert_arrived(w, "one two ");
    assert_int_equal(fake_versions(w->bench.far, "dst", span_str(KEY)), 2);
}

static void test_a_marker_is_the_newest_again(void **state)
{
    struct world *w = *state;
    put(w, "one");
    fake_remove(w->bench.near, "src", span_str(KEY));
    put(w, "two");
    announce(w);
    remove_version(w, "v3");
    assert_true(shows(w, NULL));
    assert_arrived(w, "one - two - ");
}

static void test_a_key_without_versions_is_deleted(void **state)
{
    struct world *w = *state;
    put(w, "one");
    announce(w);
    remove_version(w, "v1");
    assert_true(shows(w, NULL));
    assert_arrived(w, "one - ");
    assert_int_equal(fake_versions(w->bench.far, "dst", span_str(KEY)), 2);
    assert_int_equal(engine_bench_lag(&w->bench, RULE).counts.replicas, 0);
    put(w, "two");
    announce(w);
    assert_arrived(w, "one - two ");
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
    struct world *w = *state;
    int listings = 0;
    put(w, "one");
    announce(w);
    fake_hook(w->bench.near, list_nothing, &listings);
    engine_bench_append(&w->bench, CHANGE_DELETE, KEY);
    loop_run_for(w->bench.loop, 5000);
    assert_true(listings > 0);
    assert_arrived(w, "one ");
    fake_hook(w->bench.near, NULL, NULL);
    assert_true(engine_bench_settle(&w->bench, RULE, 600000));
    assert_arrived(w, "one ");
}

static void test_removed_versions_are_left_where_deletes_are_ignored(void **state)
{
    struct world *w = *state;
    struct rule rule = engine_bench_rule(RULE);
    rule.versions = RULE_VERSIONS_ALL;
    rule.deletes = RULE_DELETES_IGNORE;
    assert_int_equal(engine_bench_put_rule(&w->bench, &rule, true, NULL), 0);
    put(w, "one");
    put(w, "two");
    announce(w);
    fake_remove_version(w->bench.near, "src", span_str(KEY), span_str("v2"));
    announce(w);
    assert_arrived(w, "one two ");
    put(w, "three");
    announce(w);
    assert_arrived(w, "one two three ");
}

static void limit_deletes(struct world *w, const char *limit)
{
    struct fail f;
    struct rule rule = engine_bench_rule(RULE);
    rule.versions = RULE_VERSIONS_ALL;
    assert_int_equal(brake_limit_parse(span_str(limit), &w->limits, &rule.deletes_brake, &f), 0);
    assert_int_equal(engine_bench_put_rule(&w->bench, &rule, true, NULL), 0);
}

static uint64_t held(struct world *w)
{
    return engine_bench_lag(&w->bench, RULE).counts.held_objects;
}

static void test_the_brake_lets_go_what_hides_nothing(void **state)
{
    struct world *w = *state;
    limit_deletes(w, "1 in 1h");
    put(w, "body");
    for (int i = 0; i < 4; i++) {
        fake_remove(w->bench.near, "src", span_str(KEY));
    }
    announce(w);
    assert_arrived(w, "body - - - - ");
    assert_int_equal(held(w), 0);
}

/* The one delete that the brake lets pass has gone; the destination shows "two". */
static void use_up_the_brake(struct world *w)
{
    limit_deletes(w, "1 in 1h");
    put(w, "one");
    fake_remove(w->bench.near, "src", span_str(KEY));
    put(w, "two");
    announce(w);
    assert_arrived(w, "one - two ");
}

static void assert_held(struct world *w, enum change_kind kind, uint64_t within_ms)
{
    engine_bench_append(&w->bench, kind, KEY);
    loop_run_for(w->bench.loop, within_ms);
    assert_true(shows(w, "two"));
    assert_int_equal(held(w), 1);
}

/* What comes after it may not come: a marker below newer versions is held as any other. */
static void test_the_brake_holds_markers_below_newer_versions(void **state)
{
    struct world *w = *state;
    use_up_the_brake(w);
    fake_remove(w->bench.near, "src", span_str(KEY));
    put(w, "three");
    assert_held(w, CHANGE_PUT, 5000);
}

/* Nothing was to be seen before, and what has come with the marker is. */
static void test_the_brake_holds_a_marker_above_what_came_with_it(void **state)
{
    struct world *w = *state;
    limit_deletes(w, "1 in 1h");
    put(w, "one");
    fake_remove(w->bench.near, "src", span_str(KEY));
    announce(w);
    put(w, "two");
    fake_remove(w->bench.near, "src", span_str(KEY));
    assert_held(w, CHANGE_DELETE, 5000);
}

/* Two markers, one above the other: the first one hides the object. */
static void test_the_brake_holds_a_marker_below_a_marker(void **state)
{
    struct world *w = *state;
    use_up_the_brake(w);
    fake_remove(w->bench.near, "src", span_str(KEY));
    fake_remove(w->bench.near, "src", span_str(KEY));
    assert_held(w, CHANGE_DELETE, 5000);
}

/* Objects that others have put there, while the source has only a marker left. */
static void test_the_brake_holds_markers_of_keys_not_known(void **state)
{
    static const char *const keys[] = {"x1", "x2", "x3"};
    struct world *w = *state;
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
    struct world *w = *state;
    use_up_the_brake(w);
    fake_remove(w->bench.near, "src", span_str(KEY));
    put(w, "three");
    fake_fault(w->bench.near,
               &(struct fake_fault){
                   .kind = STORE_GET, .key = KEY, .code = REPL_EDENIED, .http_status = 403});
    assert_held(w, CHANGE_PUT, 60000);
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
        TEST(test_a_mark_that_is_gone_is_no_reason_to_begin_anew),
        TEST(test_versions_of_one_second_keep_their_order),
        TEST(test_a_marker_that_is_removed_is_taken_back),
        TEST(test_an_object_that_stays_hidden_is_written_anew),
        TEST(test_a_removed_version_gives_way_to_the_one_before),
        TEST(test_an_old_version_that_is_removed_changes_nothing),
        TEST(test_a_marker_is_the_newest_again),
        TEST(test_a_key_without_versions_is_deleted),
        TEST(test_an_empty_listing_deletes_nothing),
        TEST(test_removed_versions_are_left_where_deletes_are_ignored),
        TEST(test_the_brake_lets_go_what_hides_nothing),
        TEST(test_the_brake_holds_markers_below_newer_versions),
        TEST(test_the_brake_holds_a_marker_above_what_came_with_it),
        TEST(test_the_brake_holds_a_marker_below_a_marker),
        TEST(test_the_brake_holds_markers_of_keys_not_known),
        TEST(test_the_brake_holds_what_cannot_be_written_again),
        TEST(test_more_versions_than_a_page),
        TEST(test_buckets_without_versions_are_refused),
        TEST(test_a_rule_that_took_the_latest_goes_on_behind_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
