/* What fails, through a whole engine on virtual time: dead letters hold the watermark, outages
 * spend nothing, and one failure leaves everything else alone. */
#include "tests/unit/support/engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void make_dead_letter(struct engine_bench *b)
{
    struct fake_fault fault = {
        .kind = STORE_PUT, .key = "bad", .code = REPL_EREFUSED, .http_status = 400};
    fake_fault(b->far, &fault);
    engine_bench_write(b, "bad", "1");
    engine_bench_write(b, "good", "1");
    loop_run_for(b->loop, 120000);
}

static void test_dead_letter_holds_watermark_until_dropped(void **state)
{
    struct engine_bench *b = *state;
    make_dead_letter(b);
    assert_true(engine_bench_has(b, "good", "1"));
    struct rule_lag lag = engine_bench_lag(b, ENGINE_BENCH_RULE);
    assert_int_equal(lag.counts.failed_objects, 1);
    assert_int_equal(lag.blocker, LAG_FAILED_TASK);
    assert_non_null(strstr(lag.waits_for, "bad"));
    assert_true(lag.lag_ms > 60000);
    struct engine_bench_word w = {.status = 1};
    engine_task_drop(b->engine, ENGINE_BENCH_RULE, span_str("bad"), span_str("not wanted"),
                     engine_bench_word_fn, &w);
    assert_int_equal(engine_bench_wait(b, &w.status), 0);
    assert_int_equal(w.count, 1);
    lag = engine_bench_lag(b, ENGINE_BENCH_RULE);
    assert_int_equal(lag.counts.failed_objects, 0);
    assert_true(lag.lag_ms < 3000);
}

static void test_dead_letter_is_retried(void **state)
{
    struct engine_bench *b = *state;
    make_dead_letter(b);
    fake_clear_faults(b->far);
    assert_int_equal(engine_bench_retry(b, ENGINE_BENCH_RULE), 1);
    assert_true(engine_bench_settle(b, ENGINE_BENCH_RULE, 5000));
    assert_true(engine_bench_has(b, "bad", "1"));
    assert_int_equal(engine_bench_retry(b, ENGINE_BENCH_RULE), 0);
}

/* More than the journal takes at a time. */
static void test_many_dead_letters_are_retried(void **state)
{
    struct engine_bench *b = *state;
    struct fake_fault refused = {.kind = STORE_PUT, .code = REPL_EREFUSED, .http_status = 400};
    fake_fault(b->far, &refused);
    engine_bench_write_many(b, "k", 2100, "1");
    for (int i = 0; engine_bench_lag(b, ENGINE_BENCH_RULE).counts.failed_objects < 2100; i++) {
        assert_true(i < 600);
        loop_run_for(b->loop, 1000);
    }
    fake_clear_faults(b->far);
    assert_int_equal(engine_bench_retry(b, ENGINE_BENCH_RULE), 2100);
    assert_true(engine_bench_settle(b, ENGINE_BENCH_RULE, 60000));
    assert_int_equal(fake_objects(b->far, "dst"), 2100);
}

static void test_outage_spends_no_attempts(void **state)
{
    struct engine_bench *b = *state;
    uint64_t now = loop_now_ms(b->loop);
    fake_outage(b->far, now, now + 600000);
    engine_bench_write_many(b, "k", 50, "1");
    loop_run_for(b->loop, 300000);
    struct rule_lag lag = engine_bench_lag(b, ENGINE_BENCH_RULE);
    assert_int_equal(lag.counts.pending_objects, 50);
    assert_int_equal(lag.counts.failed_objects, 0);
    assert_int_equal(lag.blocker, LAG_ENDPOINT);
    assert_int_not_equal(lag.endpoint_fail.code, 0);
    loop_run_for(b->loop, 320000);
    assert_true(engine_bench_settle(b, ENGINE_BENCH_RULE, 5000));
    assert_int_equal(fake_objects(b->far, "dst"), 50);
}

static void test_denied_endpoint_drains_nothing(void **state)
{
    struct engine_bench *b = *state;
    fake_deny(b->far, true);
    engine_bench_write(b, "a", "1");
    engine_bench_write(b, "b", "1");
    loop_run_for(b->loop, 600000);
    struct rule_lag lag = engine_bench_lag(b, ENGINE_BENCH_RULE);
    assert_int_equal(lag.counts.failed_objects, 0);
    assert_int_equal(lag.counts.pending_objects, 2);
    assert_int_equal(lag.blocker, LAG_ENDPOINT);
    fake_deny(b->far, false);
    assert_true(engine_bench_settle(b, ENGINE_BENCH_RULE, 180000));
    assert_int_equal(fake_objects(b->far, "dst"), 2);
}

/* One rule's endpoint is out, with more work than there are places: another rule goes on. */
static void test_outage_of_one_rule_leaves_others_alone(void **state)
{
    struct engine_bench *b = *state;
    struct rule other = engine_bench_rule("other");
    const char *exclude[] = {"b/**"};
    struct rule first = engine_bench_rule(ENGINE_BENCH_RULE);
    first.exclude = exclude;
    first.exclude_count = 1;
    assert_int_equal(engine_bench_put_rule(b, &first, true, NULL), 0);
    fake_bucket(b->near, "else");
    other.source.prefix = "b/";
    other.destination = (struct rule_place){"near", "else", "b/"};
    assert_int_equal(engine_bench_put_rule(b, &other, true, NULL), 0);
    uint64_t now = loop_now_ms(b->loop);
    fake_outage(b->far, now, now + 3600000);
    engine_bench_write_many(b, "a/", 60, "1");
    loop_run_for(b->loop, 20000);
    engine_bench_write_many(b, "b/", 60, "1");
    assert_true(engine_bench_settle(b, "other", 20000));
    assert_int_equal(fake_objects(b->near, "else"), 60);
    assert_int_equal(engine_bench_lag(b, ENGINE_BENCH_RULE).counts.pending_objects, 60);
}

static bool is_said(struct engine_bench *b, const char *what)
{
    for (int i = 0; i < 600; i++) {
        struct rule_lag lag = engine_bench_lag(b, ENGINE_BENCH_RULE);
        if (strstr(lag.waits_for, what) != NULL) {
            return true;
        }
        loop_run_for(b->loop, 100);
    }
    return false;
}

/* Whether it is being tried or waits: what the watermark waits for has its last failure. */
static void test_reason_of_the_last_try_is_said(void **state)
{
    struct engine_bench *b = *state;
    engine_bench_write(b, "before", "1");
    assert_true(engine_bench_settle(b, ENGINE_BENCH_RULE, 5000));
    fake_fault(b->far,
               &(struct fake_fault){
                   .kind = STORE_PUT, .key = "secret", .code = REPL_ESERVER, .http_status = 500});
    engine_bench_write(b, "secret", "1");
    assert_true(is_said(b, ": waiting for its next try after: programmed: "));
    assert_true(is_said(b, ": sending, tried again after: programmed: "));
    fake_clear_faults(b->far);
    assert_true(engine_bench_settle(b, ENGINE_BENCH_RULE, 3600000));
    assert_string_equal(engine_bench_lag(b, ENGINE_BENCH_RULE).waits_for, "");
}

/* One object that may not be read is its own failure, not its endpoint's. */
static void test_forbidden_object_blocks_nobody(void **state)
{
    struct engine_bench *b = *state;
    fake_fault(b->near,
               &(struct fake_fault){
                   .kind = STORE_GET, .key = "secret", .code = REPL_EDENIED, .http_status = 403});
    engine_bench_write(b, "before", "1");
    assert_true(engine_bench_settle(b, ENGINE_BENCH_RULE, 5000));
    engine_bench_write(b, "secret", "1");
    for (int i = 0; i < 20; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        engine_bench_write(b, key, "1");
        loop_run_for(b->loop, 500);
    }
    loop_run_for(b->loop, 120000);
    assert_int_equal(fake_objects(b->far, "dst"), 21);
    assert_true(engine_bench_lag(b, ENGINE_BENCH_RULE).lag_ms > 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENGINE_BENCH_TEST(test_dead_letter_holds_watermark_until_dropped),
        ENGINE_BENCH_TEST(test_dead_letter_is_retried),
        ENGINE_BENCH_TEST(test_many_dead_letters_are_retried),
        ENGINE_BENCH_TEST(test_outage_spends_no_attempts),
        ENGINE_BENCH_TEST(test_denied_endpoint_drains_nothing),
        ENGINE_BENCH_TEST(test_outage_of_one_rule_leaves_others_alone),
        ENGINE_BENCH_TEST(test_reason_of_the_last_try_is_said),
        ENGINE_BENCH_TEST(test_forbidden_object_blocks_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
