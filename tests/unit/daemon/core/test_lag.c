/* What holds a watermark besides tasks and deaf feeds, what a scan proves, and what came late. */
#include "tests/unit/support/engine_bench.h"
#include "tests/unit/support/hand_feed.h"

#include "daemon/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <uv.h>

#include <cmocka.h>

#define RULE "pages"

struct lag_bench {
    struct engine_bench b;
    struct hand_feed *feed;
};

static void at_source(void *arg, struct fake *f, const struct store_op *op)
{
    struct lag_bench *l = arg;
    (void)f;
    if (op->kind == STORE_PUT) {
        hand_feed_canary(l->feed, loop_wall_ms(l->b.loop));
    }
}

static void start(struct lag_bench *l)
{
    engine_bench_start(&l->b);
    l->feed = hand_feed_start(l->b.engine, "hand", true, 0);
}

static int set_up(void **state)
{
    struct lag_bench *l = MEM_NEW(struct lag_bench);
    engine_bench_init(&l->b, 11, 5);
    fake_hook(l->b.near, at_source, l);
    start(l);
    struct rule rule = engine_bench_rule(RULE);
    assert_int_equal(engine_bench_put_rule(&l->b, &rule, true, NULL), 0);
    *state = l;
    return 0;
}

static int tear_down(void **state)
{
    struct lag_bench *l = *state;
    engine_bench_done(&l->b);
    mem_free(l);
    return 0;
}

static struct rule_lag lag(struct lag_bench *l)
{
    return engine_bench_lag(&l->b, RULE);
}

static int64_t now(struct lag_bench *l)
{
    return loop_wall_ms(l->b.loop);
}

/* ---- quarantine ---- */

static void quarantine(struct lag_bench *l)
{
    int status = 1;
    l->feed->host.quarantine(l->feed->host.arg, span_str("{"), span_str("not JSON"),
                             engine_bench_done_fn, &status);
    assert_int_equal(engine_bench_wait(&l->b, &status), 0);
}

static void drop_all(struct lag_bench *l)
{
    int status = 1;
    struct quarantine_word word = {.feed = span_str("webhook:hand"),
                                   .who = span_str("anna (uid 7)"),
                                   .reason = span_str("a probe of ours")};
    engine_quarantine_drop(l->b.engine, &word, engine_bench_done_fn, &status);
    assert_int_equal(engine_bench_wait(&l->b, &status), 0);
}

static void assert_held(struct lag_bench *l, int64_t at_ms)
{
    loop_run_for(l->b.loop, 120000);
    assert_int_equal(lag(l).watermark_ms, at_ms);
    assert_int_equal(lag(l).blocker, LAG_FEED);
    assert_non_null(strstr(lag(l).waits_for, "webhook:hand in quarantine"));
}

static void test_body_in_quarantine_holds(void **state)
{
    struct lag_bench *l = *state;
    loop_run_for(l->b.loop, 120000);
    int64_t before = lag(l).watermark_ms, received = now(l);
    assert_in_range(received - before, LATENESS_LEAST_MS, 22000);
    quarantine(l);
    assert_held(l, before);
    drop_all(l);
    loop_run_for(l->b.loop, 20000);
    assert_true(lag(l).watermark_ms > received + 100000);
}

/* The feed is of another endpoint in the next life, and then there is none at all. */
static void test_body_holds_when_its_feed_is_another_or_gone(void **state)
{
    struct lag_bench *l = *state;
    struct feed_report report;
    loop_run_for(l->b.loop, 120000);
    int64_t before = lag(l).watermark_ms;
    quarantine(l);
    engine_bench_stop(&l->b);
    start(l);
    l->feed->feed.endpoint = "far";
    assert_held(l, before);
    engine_bench_stop(&l->b);
    engine_bench_start(&l->b);
    assert_held(l, before);
    assert_true(engine_feed_report(l->b.engine, 0, &report));
    assert_string_equal(report.name, "webhook:hand");
    assert_string_equal(report.state, "removed");
    assert_string_equal(report.endpoint, "near");
    assert_int_equal(report.quarantined.bodies, 1);
    drop_all(l);
    loop_run_for(l->b.loop, 5000);
    assert_in_range(lag(l).lag_ms, 0, 3000);
    assert_false(engine_feed_report(l->b.engine, 0, &report));
}

/* ---- proven ---- */

static void scanned(struct lag_bench *l, int64_t scan_ms)
{
    struct engine_rule *r = engine_rule_by_name(l->b.engine, RULE);
    assert_non_null(r->scan);
    r->scan->feed->status.proven_ms = scan_ms;
    loop_run_for(l->b.loop, 2000);
}

/* A scan that does not end by itself: the source is not listed. */
static void list_existing(struct lag_bench *l)
{
    static const struct fake_fault fault = {.kind = STORE_LIST, .code = REPL_ESERVER};
    struct rule rule = engine_bench_rule(RULE);
    fake_fault(l->b.near, &fault);
    rule.existing = true;
    assert_int_equal(engine_bench_put_rule(&l->b, &rule, true, NULL), 0);
    loop_run_for(l->b.loop, 1000);
}

static bool is_exported(struct lag_bench *l, const char *name)
{
    struct buf text = {0}, sample = {0};
    stat_print(l->b.stats, &text);
    buf_printf(&sample, "\n%s{rule=\"%s\"} ", name, RULE);
    bool found = strstr(buf_cstr(&text), buf_cstr(&sample)) != NULL;
    buf_done(&text);
    buf_done(&sample);
    return found;
}

/* A lag of 56 years would wake somebody. */
static void test_metrics_of_a_watermark_come_with_it(void **state)
{
    struct lag_bench *l = *state;
    static const char *const names[] = {
        "repl_rule_watermark_timestamp_seconds", "repl_rule_lag_seconds",
        "repl_rule_proven_timestamp_seconds", "repl_rule_scan_start_timestamp_seconds"};
    fake_hook(l->b.near, NULL, NULL);
    list_existing(l);
    loop_run_for(l->b.loop, 60000);
    assert_int_equal(lag(l).watermark_ms, 0);
    assert_true(is_exported(l, "repl_rule_pending_objects"));
    for (size_t i = 0; i < 4; i++) {
        assert_false(is_exported(l, names[i]));
    }
    scanned(l, now(l) - 5000);
    for (size_t i = 0; i < 3; i++) {
        assert_true(is_exported(l, names[i]));
    }
}

static void test_scan_proves_and_stands_in_for_a_deaf_feed(void **state)
{
    struct lag_bench *l = *state;
    fake_hook(l->b.near, NULL, NULL);
    list_existing(l);
    loop_run_for(l->b.loop, 60000);
    assert_int_equal(lag(l).watermark_ms, 0);
    assert_int_equal(lag(l).proven_ms, 0);
    int64_t scan = now(l) - 5000;
    scanned(l, scan);
    assert_int_equal(lag(l).proven_ms, scan);
    assert_int_equal(lag(l).watermark_ms, scan);
    assert_non_null(strstr(lag(l).proof, "a scan that begins later"));
    engine_bench_stop(&l->b);
    start(l);
    loop_run_for(l->b.loop, 1000);
    assert_int_equal(lag(l).proven_ms, scan);
}

static void test_scan_covers_quarantine(void **state)
{
    struct lag_bench *l = *state;
    list_existing(l);
    loop_run_for(l->b.loop, 60000);
    quarantine(l);
    loop_run_for(l->b.loop, 60000);
    scanned(l, now(l));
    loop_run_for(l->b.loop, 60000);
    assert_in_range(lag(l).lag_ms, 0, 25000);
    assert_int_equal(lag(l).blocker, LAG_NONE);
}

static void test_proof_waits_for_what_was_found(void **state)
{
    struct lag_bench *l = *state;
    list_existing(l);
    fake_deny(l->b.far, true);
    int64_t written = now(l) - 60000;
    hand_feed_tell(l->feed, CHANGE_PUT, "k", written);
    fake_put(l->b.near, "src", span_str("k"), span_str("1"), NULL);
    loop_run_for(l->b.loop, 1000);
    scanned(l, now(l));
    assert_int_equal(lag(l).proven_ms, 0);
    assert_non_null(strstr(lag(l).proof, "not everything up to the scan"));
    fake_deny(l->b.far, false);
    loop_run_for(l->b.loop, 120000);
    assert_true(lag(l).proven_ms > written);
}

/* That scan has listed the latest versions only. */
static void test_a_waiting_proof_is_void_when_all_versions_are_asked_for(void **state)
{
    struct lag_bench *l = *state;
    struct rule rule = engine_bench_rule(RULE);
    list_existing(l);
    fake_deny(l->b.far, true);
    hand_feed_tell(l->feed, CHANGE_PUT, "k", now(l) - 60000);
    fake_put(l->b.near, "src", span_str("k"), span_str("1"), NULL);
    loop_run_for(l->b.loop, 1000);
    scanned(l, now(l));
    assert_true(engine_rule_by_name(l->b.engine, RULE)->proof_ms > 0);
    rule.existing = true;
    rule.versions = RULE_VERSIONS_ALL;
    assert_int_equal(engine_bench_put_rule(&l->b, &rule, true, NULL), 0);
    assert_int_equal(engine_rule_by_name(l->b.engine, RULE)->proof_ms, 0);
}

static void wait_ended(void *arg, int status, const struct fail *f)
{
    (void)f;
    *(int *)arg = status;
}

static void test_wait_for_proof(void **state)
{
    struct lag_bench *l = *state;
    list_existing(l);
    loop_run_for(l->b.loop, 60000);
    int status = 1;
    struct engine_wait_options what = {
        .rule = RULE, .until_ms = now(l) - 30000, .proven = true, .timeout_ms = 5000};
    engine_wait(l->b.engine, &what, wait_ended, &status);
    assert_int_equal(engine_bench_wait(&l->b, &status), UV_ETIMEDOUT); /* the watermark is there */
    status = 1;
    engine_wait(l->b.engine, &what, wait_ended, &status);
    scanned(l, what.until_ms);
    assert_int_equal(engine_bench_wait(&l->b, &status), 0);
}

struct ended {
    int status;
    char text[400];
};

static void keep_text(void *arg, int status, const struct fail *f)
{
    struct ended *w = arg;
    w->status = status;
    snprintf(w->text, sizeof(w->text), "%s", f->text);
}

/* Nothing is wrong with the feed: it is only not there yet. */
static void test_wait_names_what_is_missing(void **state)
{
    struct lag_bench *l = *state;
    struct ended w = {.status = 1};
    loop_run_for(l->b.loop, 60000);
    assert_string_equal(lag(l).waits_for, "");
    engine_wait(l->b.engine, &(struct engine_wait_options){.rule = RULE, .timeout_ms = 2000},
                keep_text, &w);
    assert_int_equal(engine_bench_wait(&l->b, &w.status), UV_ETIMEDOUT);
    assert_non_null(strstr(w.text, "rule \"pages\" is not there yet: webhook hand: "));
    assert_non_null(strstr(w.text, "waits for the event of a newer canary"));
    fake_hook(l->b.near, NULL, NULL); /* no event of a canary comes any more */
    loop_run_for(l->b.loop, 600000);
    w.status = 1;
    engine_wait(l->b.engine, &(struct engine_wait_options){.rule = RULE, .timeout_ms = 2000},
                keep_text, &w);
    assert_int_equal(engine_bench_wait(&l->b, &w.status), UV_ETIMEDOUT);
    assert_non_null(strstr(w.text, "thought deaf"));
    assert_non_null(strstr(w.text, "no event of one has come"));
}

/* ---- late ---- */

static void test_late_change_is_named_and_holds(void **state)
{
    struct lag_bench *l = *state;
    loop_run_for(l->b.loop, 120000);
    int64_t before = lag(l).watermark_ms;
    fake_deny(l->b.far, true);
    fake_put(l->b.near, "src", span_str("k"), span_str("1"), NULL);
    hand_feed_tell(l->feed, CHANGE_PUT, "k", before - 10000);
    loop_run_for(l->b.loop, 60000);
    struct rule_lag held = lag(l);
    assert_in_range(held.watermark_ms, before, before + 1100);
    assert_int_equal(held.counts.late_changes, 1);
    assert_string_equal(held.last_late.key, "k");
    assert_string_equal(held.last_late.feed, "webhook:hand");
    assert_int_equal(held.last_late.event_time_ms, before - 10000);
    fake_deny(l->b.far, false);
    loop_run_for(l->b.loop, 120000);
    assert_true(lag(l).watermark_ms > before + 60000);
    struct fake_object o;
    assert_true(fake_get(l->b.near, "src", span_str("k"), &o));
    hand_feed_tell(l->feed, CHANGE_PUT, "k", before - 20000); /* told late, of an older version */
    loop_run_for(l->b.loop, 1000);
    assert_int_equal(lag(l).counts.late_changes, 1);
}

/* ---- prefixes ---- */

static struct prefix_status prefix(struct lag_bench *l, size_t at)
{
    struct prefix_status p;
    assert_true(engine_prefix_status(l->b.engine, RULE, at, &p));
    return p;
}

static void tell_at(struct lag_bench *l, const char *key)
{
    fake_put(l->b.near, "src", span_str(key), span_str("1"), NULL);
    hand_feed_tell(l->feed, CHANGE_PUT, key, now(l));
}

static void test_prefixes_go_on_by_themselves(void **state)
{
    struct lag_bench *l = *state;
    const char *names[] = {"a/", "b/"};
    struct rule rule = engine_bench_rule(RULE);
    loop_run_for(l->b.loop, 60000);
    fake_fault(l->b.far, &(struct fake_fault){.kind = STORE_PUT, .key = "a/1", .code = REPL_ENET});
    int64_t told = now(l);
    tell_at(l, "a/1");
    tell_at(l, "b/1");
    loop_run_for(l->b.loop, 1000);
    rule.watermark_prefixes = names;
    rule.watermark_prefix_count = 2;
    assert_int_equal(engine_bench_put_rule(&l->b, &rule, true, NULL), 0);
    loop_run_for(l->b.loop, 60000);
    assert_int_equal(lag(l).watermark_ms, told - 1);
    assert_int_equal(prefix(l, 0).watermark_ms, told - 1);
    assert_non_null(strstr(prefix(l, 0).waits_for, "object a/1"));
    assert_true(prefix(l, 1).watermark_ms > told + 30000);
    assert_string_equal(prefix(l, 1).waits_for, "");
    int64_t before = prefix(l, 1).watermark_ms;
    engine_bench_stop(&l->b);
    start(l);
    loop_run_for(l->b.loop, 1000);
    assert_int_equal(prefix(l, 1).watermark_ms, before);
    fake_clear_faults(l->b.far);
    int status = 1;
    engine_wait(l->b.engine,
                &(struct engine_wait_options){.rule = RULE, .until_ms = told, .prefix = "a/"},
                wait_ended, &status);
    assert_int_equal(engine_bench_wait(&l->b, &status), 0);
    status = 1;
    engine_wait(l->b.engine, &(struct engine_wait_options){.rule = RULE, .prefix = "c/"},
                wait_ended, &status);
    loop_run_for(l->b.loop, 2000);
    assert_int_equal(engine_bench_wait(&l->b, &status), REPL_ENOTFOUND);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_body_in_quarantine_holds),
        TEST(test_body_holds_when_its_feed_is_another_or_gone),
        TEST(test_metrics_of_a_watermark_come_with_it),
        TEST(test_scan_proves_and_stands_in_for_a_deaf_feed),
        TEST(test_scan_covers_quarantine),
        TEST(test_proof_waits_for_what_was_found),
        TEST(test_a_waiting_proof_is_void_when_all_versions_are_asked_for),
        TEST(test_wait_for_proof),
        TEST(test_wait_names_what_is_missing),
        TEST(test_late_change_is_named_and_holds),
        TEST(test_prefixes_go_on_by_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
