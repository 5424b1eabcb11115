/* The engine's rules, on virtual time: conflicts, preflight, existing objects, and a reload under
 * them. */
#include "tests/unit/support/engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_rule_conflicts(void **state)
{
    struct engine_bench *b = *state;
    struct rule other = engine_bench_rule("other");
    struct fail f = {0};
    assert_int_equal(engine_bench_put_rule(b, &other, true, &f), REPL_ECONFLICT);
    other.destination.endpoint = "nowhere";
    assert_int_equal(engine_bench_put_rule(b, &other, true, &f), REPL_EBADINPUT);
    assert_non_null(strstr(f.text, "nowhere"));
    struct rule moved = engine_bench_rule(ENGINE_BENCH_RULE);
    moved.destination.prefix = "else/";
    assert_int_equal(engine_bench_put_rule(b, &moved, true, &f), REPL_ECONFLICT);
    const struct rule *const *rules;
    assert_int_equal(engine_rules(b->engine, &rules), 1);
}

static void test_rule_is_deleted_and_comes_again(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(ENGINE_BENCH_RULE);
    engine_bench_write(b, "a", "1");
    int status = 1;
    engine_rule_delete(b->engine, ENGINE_BENCH_RULE, engine_bench_done_fn, &status);
    assert_int_equal(engine_bench_wait(b, &status), 0);
    assert_null(engine_rule_find(b->engine, ENGINE_BENCH_RULE));
    loop_run_for(b->loop, 20000);
    assert_int_equal(fake_uploads(b->far), 0);
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
    assert_int_equal(engine_bench_lag(b, ENGINE_BENCH_RULE).counts.pending_objects, 0);
}

static void test_preflight_names_what_is_missing(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule("tried");
    struct fail f = {0};
    rule.source.prefix = "t/";
    rule.destination.bucket = "other";
    fake_bucket(b->far, "other");
    assert_int_equal(engine_bench_put_rule(b, &rule, false, &f), 0);
    assert_int_equal(fake_objects(b->far, "other"), 0);
    assert_int_equal(fake_uploads(b->far), 0);
    rule.name = "refused";
    rule.destination.bucket = "third";
    fake_bucket(b->far, "third");
    fake_deny(b->far, true);
    assert_int_equal(engine_bench_put_rule(b, &rule, false, &f), REPL_EDENIED);
    assert_non_null(strstr(f.text, "write"));
    assert_null(engine_rule_find(b->engine, "refused"));
    fake_deny(b->far, false);
}

static void test_existing_objects_are_listed(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(ENGINE_BENCH_RULE);
    for (int i = 0; i < 2500; i++) {
        char key[32];
        snprintf(key, sizeof(key), "old/%04d", i);
        fake_put(b->near, "src", span_str(key), span_str(key), NULL);
        if (i % 5 == 0) {
            fake_put(b->far, "dst", span_str(key), span_str(key), NULL);
        }
    }
    fake_put(b->near, "src", span_str("_repl/x"), span_str("ours"), NULL);
    rule.existing = true;
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
    assert_true(engine_bench_settle(b, ENGINE_BENCH_RULE, 600000));
    struct rule_lag lag = engine_bench_lag(b, ENGINE_BENCH_RULE);
    assert_int_equal(lag.listed, 2500);
    assert_int_equal(lag.listed_equal, 500);
    assert_int_equal(lag.counts.done_objects, 2000);
    assert_int_equal(fake_objects(b->far, "dst"), 2500);
    assert_true(lag.lag_ms < 3000); /* backfill does not hold the watermark */
}

/* They hold nothing, so it must be said elsewhere, and who waits for them must hear of it. */
static void test_existing_objects_that_failed_are_told(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(ENGINE_BENCH_RULE);
    struct fake_fault fault = {
        .kind = STORE_PUT, .key = "bad", .code = REPL_EREFUSED, .http_status = 400};
    struct engine_wait_options what = {.rule = ENGINE_BENCH_RULE, .until_ms = 1, .existing = true};
    int status = 1;
    fake_fault(b->far, &fault);
    fake_put(b->near, "src", span_str("bad"), span_str("1"), NULL);
    fake_put(b->near, "src", span_str("good"), span_str("1"), NULL);
    rule.existing = true;
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
    engine_wait(b->engine, &what, engine_bench_done_fn, &status);
    assert_int_equal(engine_bench_wait(b, &status), REPL_ECONFLICT);
    struct rule_lag lag = engine_bench_lag(b, ENGINE_BENCH_RULE);
    assert_true(engine_bench_has(b, "good", "1"));
    assert_int_equal(lag.blocker, LAG_NONE);
    assert_true(lag.existing_done);
    assert_int_equal(lag.existing_failed, 1);
    assert_non_null(strstr(lag.existing, "1 failed"));
}

static void test_reload(void **state)
{
    struct engine_bench *b = *state;
    struct conf conf = b->conf;
    struct conf_endpoint endpoints[2] = {b->endpoints[0], b->endpoints[1]};
    struct fail f = {0};
    conf.endpoints = endpoints;
    conf.endpoint_count = 1;
    assert_int_equal(engine_reload(b->engine, &conf, &f), REPL_ECONFLICT);
    assert_non_null(strstr(f.text, "far"));
    conf.endpoint_count = 2;
    conf.copies = 4;
    for (int i = 0; i < 30; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        fake_put(b->near, "src", span_str(key), span_str("1"), NULL);
        engine_bench_append(b, CHANGE_PUT, key);
    }
    assert_int_equal(engine_reload(b->engine, &conf, &f), 0);
    assert_true(engine_bench_settle(b, ENGINE_BENCH_RULE, 20000));
    assert_int_equal(fake_objects(b->far, "dst"), 30);
    assert_int_equal(engine_bench_lag(b, ENGINE_BENCH_RULE).counts.failed_objects, 0);
    engine_bench_stop(b); /* before conf goes */
    engine_bench_start(b);
}

/* The endpoint's address changes while copies run: they begin again at the new one. */
static void test_reload_moves_an_endpoint(void **state)
{
    struct engine_bench *b = *state;
    struct conf conf = b->conf;
    struct conf_endpoint endpoints[2] = {b->endpoints[0], b->endpoints[1]};
    struct fail f = {0};
    uint64_t now = loop_now_ms(b->loop);
    b->spare = fake_new(&(struct fake_options){.loop = b->loop, .name = "far", .latency_ms = 10});
    fake_bucket(b->spare, "dst");
    fake_outage(b->far, now, now + 3600000);
    for (int i = 0; i < 30; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        engine_bench_write(b, key, "1");
    }
    endpoints[1].url = "spare";
    conf.endpoints = endpoints;
    assert_int_equal(engine_reload(b->engine, &conf, &f), 0);
    assert_true(engine_bench_settle(b, ENGINE_BENCH_RULE, 20000));
    assert_int_equal(fake_objects(b->spare, "dst"), 30);
    engine_bench_stop(b);
    fake_free(b->spare);
    engine_bench_start(b);
}

/* A fake does not look at checks; this one refuses wrong CRC-32C values only. */
static const struct store_ops *fake_ops;
static struct store_ops checking_ops;

static void checking_submit(struct store *s, struct store_op *op)
{
    if (op->kind == STORE_PUT && op->spoil_check && s->features.check == STORE_CHECK_CRC32C) {
        op->if_none_match = true; /* the trial object is there: refused */
    }
    fake_ops->submit(s, op);
}

static void test_preflight_finds_the_check(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule("tried");
    struct store *far = fake_store(b->far);
    far->features.check = STORE_CHECK_AUTO;
    engine_bench_stop(b);
    fake_ops = far->ops;
    checking_ops = *far->ops;
    checking_ops.submit = checking_submit;
    far->ops = &checking_ops;
    b->endpoints[1].url = "https://far.example";
    fake_bucket(b->far, "other");
    rule.source.prefix = "t/";
    rule.destination.bucket = "other";
    engine_bench_start(b);
    assert_int_equal(engine_bench_put_rule(b, &rule, false, NULL), 0);
    assert_int_equal(far->features.check, STORE_CHECK_CRC32C);
    assert_int_equal(fake_objects(b->far, "other"), 0);
    engine_bench_stop(b);
    far->features.check = STORE_CHECK_AUTO;
    engine_bench_start(b);
    assert_int_equal(far->features.check, STORE_CHECK_CRC32C); /* the journal knows it */
    engine_bench_stop(b);
    far->features.check = STORE_CHECK_AUTO;
    b->endpoints[1].url = "https://elsewhere.example";
    engine_bench_start(b);
    assert_int_equal(far->features.check, STORE_CHECK_AUTO);
}

/* Refused before anything is asked of the source: the callback comes later all the same. */
static void test_setup_without_its_token(void **state)
{
    struct engine_bench *b = *state;
    struct conf_source source = {
        .name = "s", .endpoint = "near", .path = "/s", .token = {.file = "/nowhere/token"}};
    struct engine_setup what = {.rule = ENGINE_BENCH_RULE, .sender = SETUP_RGW};
    int status = 1;
    b->conf.webhook = (struct conf_webhook){
        .url = "http://repld.example:8443", .sources = &source, .source_count = 1};
    engine_setup_apply(b->engine, &what, engine_bench_done_fn, &status);
    assert_int_equal(status, 1);
    assert_int_equal(engine_bench_wait(b, &status), REPL_ECREDENTIALS);
    b->conf.webhook = (struct conf_webhook){0};
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENGINE_BENCH_TEST(test_rule_conflicts),
        ENGINE_BENCH_TEST(test_rule_is_deleted_and_comes_again),
        ENGINE_BENCH_TEST(test_preflight_names_what_is_missing),
        ENGINE_BENCH_TEST(test_preflight_finds_the_check),
        ENGINE_BENCH_TEST(test_existing_objects_are_listed),
        ENGINE_BENCH_TEST(test_existing_objects_that_failed_are_told),
        ENGINE_BENCH_TEST(test_reload),
        ENGINE_BENCH_TEST(test_reload_moves_an_endpoint),
        ENGINE_BENCH_TEST(test_setup_without_its_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
