/* Scans of a rule that replicates all versions: what events missed of a key's versions is found,
 * hidden keys too, and brought over oldest first. */
#include "tests/unit/support/engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define RULE "all"

struct world {
    struct engine_bench bench;
    struct buf arrived; /* "key=body " or "key- " for a delete, in order */
};

static void note(void *arg, struct fake *f, const struct store_op *op)
{
    struct world *w = arg;
    (void)f;
    if (span_starts_with(op->key, span_str("_repl/"))) {
        return;
    }
    if (op->kind == STORE_PUT) {
        buf_printf(&w->arrived, "%.*s=%.*s ", SPAN_ARG(op->key), SPAN_ARG(op->body));
    } else if (op->kind == STORE_DELETE) {
        buf_printf(&w->arrived, "%.*s%s ", SPAN_ARG(op->key), op->version_id.len > 0 ? "+" : "-");
    }
}

static int set_up(void **state)
{
    struct world *w = mem_alloc(sizeof(*w));
    memset(w, 0, sizeof(*w));
    engine_bench_init(&w->bench, 13, 10);
    engine_bench_keep_versions(&w->bench, 10);
    fake_hook(w->bench.far, note, w);
    w->bench.feeds = true;
    engine_bench_start(&w->bench);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    assert_string_equal(fake_violations(w->bench.near), "");
    assert_string_equal(fake_violations(w->bench.far), "");
    engine_bench_done(&w->bench);
    buf_done(&w->arrived);
    mem_free(w);
    return 0;
}

static void put(struct world *w, const char *key, const char *body)
{
    fake_put(w->bench.near, "src", span_str(key), span_str(body), NULL);
}

static void hide(struct world *w, const char *key)
{
    fake_remove(w->bench.near, "src", span_str(key));
}

static struct scan_report report(struct world *w)
{
    struct scan_report r;
    struct fail f;
    assert_int_equal(engine_scan_report(w->bench.engine, RULE, &r, &f), 0);
    return r;
}

static void wait_for_pass(struct world *w)
{
    struct scan_report r = report(w);
    for (int i = 0;
         i < 6000 && (r.state.phase != SCAN_IDLE || r.state.is_asked != 0 || r.state.ended_ms == 0);
         i++) {
        loop_run_for(w->bench.loop, 100);
        r = report(w);
    }
    assert_int_equal(r.state.phase, SCAN_IDLE);
    assert_true(engine_bench_settle(&w->bench, RULE, 600000));
}

static void put_rule(struct world *w, bool existing, enum rule_deletes deletes)
{
    struct rule rule = engine_bench_rule(RULE);
    rule.versions = RULE_VERSIONS_ALL;
    rule.existing = existing;
    rule.deletes = deletes;
    assert_int_equal(engine_bench_put_rule(&w->bench, &rule, true, NULL), 0);
}

static void scan(struct world *w)
{
    struct fail f;
    loop_run_for(w->bench.loop, 2000);
    buf_reset(&w->arrived);
    assert_int_equal(engine_scan_begin(w->bench.engine, RULE, &f), 0);
    wait_for_pass(w);
}

static void assert_arrived(struct world *w, const char *want)
{
    assert_string_equal(buf_cstr(&w->arrived), want);
}

/* Hidden keys have versions, too. */
static void existing_versions_are_copied_oldest_first(void **state)
{
    struct world *w = *state;
    put(w, "a", "1");
    put(w, "a", "2");
    put(w, "a", "3");
    put(w, "b", "1");
    hide(w, "b");
    loop_run_for(w->bench.loop, 3000);
    put_rule(w, true, RULE_DELETES_PROPAGATE);
    loop_run_for(w->bench.loop, 100);
    wait_for_pass(w);
    assert_int_equal(fake_versions(w->bench.far, "dst", span_str("a")), 3);
    assert_int_equal(fake_versions(w->bench.far, "dst", span_str("b")), 2);
    assert_int_equal(fake_objects(w->bench.far, "dst"), 1);
    assert_non_null(strstr(buf_cstr(&w->arrived), "a=1 "));
    assert_true(strstr(buf_cstr(&w->arrived), "a=1 ") < strstr(buf_cstr(&w->arrived), "a=2 "));
    assert_true(strstr(buf_cstr(&w->arrived), "a=2 ") < strstr(buf_cstr(&w->arrived), "a=3 "));
    assert_true(strstr(buf_cstr(&w->arrived), "b=1 ") < strstr(buf_cstr(&w->arrived), "b- "));
    scan(w); /* nothing is left to do */
    assert_arrived(w, "");
    assert_int_equal(report(w).state.equal, 2);
    assert_true(report(w).state.proven_ms > 0);
}

static void a_lost_version_is_found_below_a_lost_marker(void **state)
{
    struct world *w = *state;
    put_rule(w, false, RULE_DELETES_PROPAGATE);
    put(w, "a", "1");
    scan(w);
    assert_arrived(w, "a=1 ");
    put(w, "a", "2");
    hide(w, "a");
    scan(w);
    assert_arrived(w, "a=2 a- ");
    scan(w);
    assert_arrived(w, "");
}

static void a_lost_version_is_found_where_deletes_are_ignored(void **state)
{
    struct world *w = *state;
    put_rule(w, false, RULE_DELETES_IGNORE);
    put(w, "a", "1");
    scan(w);
    put(w, "a", "2");
    hide(w, "a");
    scan(w);
    assert_arrived(w, "a=2 ");
    scan(w);
    assert_arrived(w, "");
    assert_int_equal(report(w).state.found, 0);
}

/* Same bytes within a second: only the version ids tell that there is something new. */
static void a_lost_version_of_the_same_bytes_is_found(void **state)
{
    struct world *w = *state;
    put_rule(w, false, RULE_DELETES_PROPAGATE);
    put(w, "a", "x");
    engine_bench_append(&w->bench, CHANGE_PUT, "a");
    assert_true(engine_bench_settle(&w->bench, RULE, 600000));
    put(w, "a", "y");
    put(w, "a", "x");
    scan(w);
    assert_arrived(w, "a=y a=x ");
}

static void what_was_removed_by_its_id_is_found(void **state)
{
    struct world *w = *state;
    put_rule(w, false, RULE_DELETES_PROPAGATE);
    put(w, "a", "1"); /* v1 */
    hide(w, "a");
    put(w, "b", "1"); /* v3 */
    put(w, "b", "2");
    put(w, "c", "1"); /* v5 */
    scan(w);
    fake_remove_version(w->bench.near, "src", span_str("a"), span_str("v2"));
    fake_remove_version(w->bench.near, "src", span_str("b"), span_str("v4"));
    fake_remove_version(w->bench.near, "src", span_str("c"), span_str("v5"));
    loop_run_for(w->bench.loop, 120000); /* they are older than the listing by more than a clock */
    scan(w);
    assert_non_null(strstr(buf_cstr(&w->arrived), "a+ "));
    assert_non_null(strstr(buf_cstr(&w->arrived), "b=1 "));
    assert_non_null(strstr(buf_cstr(&w->arrived), "c- "));
    assert_int_equal(fake_objects(w->bench.far, "dst"), 2);
    scan(w);
    assert_arrived(w, "");
}

/* Pages that end within a key, and pages that are all of one key. */
static void many_keys_of_many_versions(void **state)
{
    struct world *w = *state;
    fake_listing(w->bench.near, 7, false);
    for (int i = 0; i < 300; i++) {
        char key[32];
        snprintf(key, sizeof(key), "k/%03d", i);
        for (int n = i % 20; n >= 0; n--) {
            put(w, key, n == 0 ? "last" : "before");
        }
    }
    loop_run_for(w->bench.loop, 3000);
    put_rule(w, true, RULE_DELETES_PROPAGATE);
    loop_run_for(w->bench.loop, 100);
    wait_for_pass(w);
    assert_int_equal(report(w).state.listed, 300);
    assert_int_equal(fake_objects(w->bench.far, "dst"), 300);
    assert_int_equal(fake_versions(w->bench.far, "dst", span_str("k/019")), 20);
    assert_int_equal(fake_versions(w->bench.far, "dst", span_str("k/140")), 1);
    assert_int_equal(engine_bench_lag(&w->bench, RULE).counts.done_objects, 300 / 20 * 210);
    assert_true(fake_most_in_flight(w->bench.near) > 4);
    scan(w);
    assert_arrived(w, "");
    assert_int_equal(report(w).state.seen, 300);
}

/* A server that begins with the marker's own key again, as some do. */
static void repeat_the_key(void *arg, struct fake *f, const struct store_op *op)
{
    (void)arg;
    (void)f;
    struct store_op *o = (struct store_op *)(uintptr_t)op;
    if (op->kind == STORE_LIST_VERSIONS && op->start_after.len > 0 && op->token.len == 0) {
        o->start_after.len--;
    }
}

static void a_server_may_repeat_the_key_it_is_asked_to_go_on_behind(void **state)
{
    struct world *w = *state;
    fake_listing(w->bench.near, 5, false);
    fake_hook(w->bench.near, repeat_the_key, NULL);
    for (int n = 0; n < 23; n++) {
        put(w, "a", "body");
    }
    put(w, "b", "body");
    put(w, "c", "body");
    loop_run_for(w->bench.loop, 3000);
    put_rule(w, true, RULE_DELETES_PROPAGATE);
    loop_run_for(w->bench.loop, 100);
    wait_for_pass(w);
    assert_int_equal(report(w).state.seen, 3);
    assert_int_equal(engine_bench_lag(&w->bench, RULE).counts.done_objects, 25);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(existing_versions_are_copied_oldest_first),
        TEST(a_lost_version_is_found_below_a_lost_marker),
        TEST(a_lost_version_is_found_where_deletes_are_ignored),
        TEST(a_lost_version_of_the_same_bytes_is_found),
        TEST(what_was_removed_by_its_id_is_found),
        TEST(many_keys_of_many_versions),
        TEST(a_server_may_repeat_the_key_it_is_asked_to_go_on_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
