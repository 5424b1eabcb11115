/* Canaries and what webhooks told, through a whole engine: the watermark goes as far as the newest
 * canary that was heard and no further, says why it stands, and remembers over a restart. */
#include "tests/unit/support/engine_bench.h"
#include "tests/unit/support/hand_feed.h"

#include "daemon/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define RULE   "pages"
#define CANARY "_repl/canary/bench/hand"

struct arrivals_bench {
    struct engine_bench b;
    struct hand_feed *feed;
    bool relay; /* the source tells of canaries as they are written */
    int deaf;   /* lines of the log */
    int heard;
    char line[400]; /* the last one of deaf */
};

static void log_line(void *arg, enum log_level level, const char *subject, const char *text)
{
    struct arrivals_bench *a = arg;
    (void)subject;
    if (strstr(text, "no longer thought deaf") != NULL) {
        assert_int_equal(level, LOG_LEVEL_NOTICE);
        a->heard++;
    } else if (strstr(text, "thought deaf") != NULL) {
        assert_int_equal(level, LOG_LEVEL_WARNING);
        a->deaf++;
        snprintf(a->line, sizeof(a->line), "%s", text);
    }
}

static void at_source(void *arg, struct fake *f, const struct store_op *op)
{
    struct arrivals_bench *a = arg;
    (void)f;
    if (a->relay && op->kind == STORE_PUT && span_eq_str(op->key, CANARY)) {
        hand_feed_canary(a->feed, loop_wall_ms(a->b.loop));
    }
}

static void start(struct arrivals_bench *a, bool canary, int64_t late_ms)
{
    engine_bench_start(&a->b);
    a->feed = hand_feed_start(a->b.engine, "hand", canary, late_ms);
}

static struct arrivals_bench *make(void **state, bool canary, int64_t late_ms)
{
    struct arrivals_bench *a = *state;
    a->relay = true;
    start(a, canary, late_ms);
    struct rule rule = engine_bench_rule(RULE);
    assert_int_equal(engine_bench_put_rule(&a->b, &rule, true, NULL), 0);
    return a;
}

static int set_up(void **state)
{
    struct arrivals_bench *a = MEM_NEW(struct arrivals_bench);
    engine_bench_init(&a->b, 7, 5);
    a->b.log = log_new(LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
    log_set_sink(a->b.log, log_line, a);
    fake_hook(a->b.near, at_source, a);
    *state = a;
    return 0;
}

static int tear_down(void **state)
{
    struct arrivals_bench *a = *state;
    engine_bench_done(&a->b);
    log_free(a->b.log);
    mem_free(a);
    return 0;
}

static int64_t watermark(struct arrivals_bench *a)
{
    return engine_bench_lag(&a->b, RULE).watermark_ms;
}

static bool waits_for(struct arrivals_bench *a, const char *what)
{
    struct rule_lag lag = engine_bench_lag(&a->b, RULE);
    if (strstr(lag.waits_for, what) == NULL) {
        print_message("waits for: %s\n", lag.waits_for);
        return false;
    }
    return true;
}

static void test_watermark_follows_canaries(void **state)
{
    struct arrivals_bench *a = make(state, true, 0);
    loop_run_for(a->b.loop, 120000);
    struct rule_lag lag = engine_bench_lag(&a->b, RULE);
    assert_in_range(lag.lag_ms, LATENESS_LEAST_MS, LATENESS_LEAST_MS + 17000);
    assert_int_equal(lag.blocker, LAG_NONE);
    assert_int_equal(fake_objects(a->b.far, "dst"), 0); /* ours is no change */
    struct fake_object o;
    assert_true(fake_get(a->b.near, "src", span_str(CANARY), &o));
}

static void test_deaf_webhook_holds(void **state)
{
    struct arrivals_bench *a = make(state, true, 0);
    loop_run_for(a->b.loop, 60000);
    a->relay = false;
    loop_run_for(a->b.loop, 10000);
    int64_t before = watermark(a);
    loop_run_for(a->b.loop, 300000);
    assert_int_equal(watermark(a), before);
    assert_int_equal(engine_bench_lag(&a->b, RULE).blocker, LAG_FEED);
    assert_true(waits_for(a, "webhook hand: thought deaf"));
    a->relay = true;
    loop_run_for(a->b.loop, 20000);
    assert_true(watermark(a) > before + 270000);
}

static struct feed_report report(struct arrivals_bench *a)
{
    struct feed_report r;
    assert_true(engine_feed_report(a->b.engine, 0, &r));
    return r;
}

static void test_deaf_webhook_is_told(void **state)
{
    struct arrivals_bench *a = make(state, true, 0);
    struct rule again = engine_bench_rule("again"); /* of the same bucket: nothing is told twice */
    again.destination.bucket = "dst2";
    fake_bucket(a->b.far, "dst2");
    assert_int_equal(engine_bench_put_rule(&a->b, &again, true, NULL), 0);
    loop_run_for(a->b.loop, 60000);
    assert_string_equal(report(a).state, "up");
    a->relay = false;
    loop_run_for(a->b.loop, 300000);
    struct feed_report r = report(a);
    assert_string_equal(r.state, "deaf");
    assert_false(r.is_up);
    assert_non_null(strstr(r.fail.text, "bucket src: thought deaf"));
    assert_non_null(strstr(r.fail.hint, "replctl feed setup pages "));
    assert_non_null(strstr(r.fail.hint, "_repl/canary/"));
    struct rule_lag lag = engine_bench_lag(&a->b, "again");
    assert_non_null(strstr(lag.hint, "replctl feed setup again "));
    assert_int_equal(a->deaf, 1);
    assert_non_null(strstr(a->line, "webhook:hand: bucket src: thought deaf"));
    assert_non_null(strstr(a->line, r.fail.hint));
    a->relay = true;
    loop_run_for(a->b.loop, 120000);
    r = report(a);
    assert_string_equal(r.state, "up");
    assert_int_equal(r.fail.code, 0);
    assert_int_equal(engine_bench_lag(&a->b, RULE).hint[0], 0);
    assert_int_equal(a->deaf, 1);
    assert_int_equal(a->heard, 1);
}

static void test_webhook_that_is_down_says_only_that(void **state)
{
    struct arrivals_bench *a = make(state, true, 0);
    a->relay = false;
    a->feed->feed.status.state = FEED_DOWN;
    fail_set(&a->feed->feed.status.fail, REPL_EDENIED, "no token");
    loop_run_for(a->b.loop, 120000);
    assert_string_equal(report(a).state, "down");
    assert_string_equal(report(a).fail.text, "no token");
    assert_int_equal(a->deaf, 0);
}

static void test_refused_canary_is_said(void **state)
{
    struct arrivals_bench *a = *state;
    fake_fault(a->b.near, &(struct fake_fault){.kind = STORE_PUT, .code = REPL_EDENIED});
    make(state, true, 0);
    a->relay = false;
    loop_run_for(a->b.loop, 60000);
    assert_int_equal(watermark(a), 0);
    assert_true(waits_for(a, "no canary can be written to bucket src"));
}

static void test_rule_of_another_bucket_is_not_held(void **state)
{
    struct arrivals_bench *a = make(state, true, 0);
    a->relay = false;
    a->feed->feed.bucket = "other";
    loop_run_for(a->b.loop, 5000);
    assert_true(engine_bench_lag(&a->b, RULE).lag_ms < 3000);
}

static void test_late_needs_events(void **state)
{
    struct arrivals_bench *a = make(state, false, 60000);
    loop_run_for(a->b.loop, 5000);
    assert_true(waits_for(a, "no event has come yet"));
    assert_string_equal(report(a).state, "up"); /* it may be quiet */
    assert_non_null(strstr(engine_bench_lag(&a->b, RULE).hint, "replctl feed setup pages "));
    assert_null(strstr(engine_bench_lag(&a->b, RULE).hint, "_repl/"));
    fake_put(a->b.near, "src", span_str("k"), span_str("1"), NULL);
    hand_feed_tell(a->feed, CHANGE_PUT, "k", loop_wall_ms(a->b.loop));
    int64_t told = loop_wall_ms(a->b.loop);
    loop_run_for(a->b.loop, 10000);
    assert_in_range(engine_bench_lag(&a->b, RULE).lag_ms, 60000, 63000);
    loop_run_for(a->b.loop, 120000);
    assert_in_range(watermark(a), told - 1500, told);
    assert_true(waits_for(a, "thought deaf: no event has come since"));
    assert_string_equal(report(a).state, "deaf");
    assert_int_equal(a->deaf, 1);
    assert_int_equal(fake_count(a->b.near, STORE_PUT), 0); /* no canary */
}

static void test_lateness_outlives_a_restart(void **state)
{
    struct arrivals_bench *a = make(state, true, 0);
    loop_run_for(a->b.loop, 60000);
    hand_feed_tell(a->feed, CHANGE_PUT, "gone", loop_wall_ms(a->b.loop) - 40000);
    loop_run_for(a->b.loop, 60000);
    int64_t before = watermark(a);
    engine_bench_stop(&a->b);
    loop_run_for(a->b.loop, 600000);
    start(a, true, 0);
    loop_run_for(a->b.loop, 20000);
    assert_in_range(watermark(a), before, before + 16000); /* others may still come */
    assert_true(waits_for(a, "nobody listened"));
    loop_run_for(a->b.loop, 30000);
    assert_in_range(engine_bench_lag(&a->b, RULE).lag_ms, 25000, 60000);
    assert_true(watermark(a) > before + 500000);
}

static void test_versions_of_canaries_are_deleted(void **state)
{
    struct arrivals_bench *a = *state;
    fake_free(a->b.near);
    a->b.near = fake_new(&(struct fake_options){
        .loop = a->b.loop, .name = "near", .versions = true, .latency_ms = 5});
    fake_bucket(a->b.near, "src");
    make(state, true, 0);
    loop_run_for(a->b.loop, 100000);
    assert_true(fake_count(a->b.near, STORE_PUT) >= 6);
    assert_int_equal(fake_versions(a->b.near, "src", span_str(CANARY)), 1);
    engine_bench_stop(&a->b);
    start(a, true, 0);
    loop_run_for(a->b.loop, 20000);
    assert_int_equal(fake_versions(a->b.near, "src", span_str(CANARY)), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_watermark_follows_canaries),
        TEST(test_deaf_webhook_holds),
        TEST(test_deaf_webhook_is_told),
        TEST(test_webhook_that_is_down_says_only_that),
        TEST(test_refused_canary_is_said),
        TEST(test_rule_of_another_bucket_is_not_held),
        TEST(test_late_needs_events),
        TEST(test_lateness_outlives_a_restart),
        TEST(test_versions_of_canaries_are_deleted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
