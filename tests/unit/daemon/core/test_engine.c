/* The engine's promises one by one, on virtual time: append to verified object, watermark and its
 * reasons, pause, deletes, dead letters, rules, preflight, outages, reload. */
#include "daemon/base/mem.h"
#include "tests/unit/support/engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include <cmocka.h>

#define CACHE ((uint64_t)1 << 20)

#define RULE "pages"

static int set_up(void **state)
{
    struct engine_bench *b = mem_alloc(sizeof(*b));
    engine_bench_init(b, 7, 10);
    engine_bench_start(b);
    struct rule rule = engine_bench_rule(RULE);
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    engine_bench_done(*state);
    mem_free(*state);
    return 0;
}

static void test_change_becomes_object(void **state)
{
    struct engine_bench *b = *state;
    engine_bench_write(b, "a/b", "hello");
    assert_true(engine_bench_settle(b, RULE, 5000));
    assert_true(engine_bench_has(b, "a/b", "hello"));
    struct rule_lag lag = engine_bench_lag(b, RULE);
    assert_int_equal(lag.counts.done_objects, 1);
    assert_int_equal(lag.counts.done_bytes, 5);
    assert_int_equal(lag.blocker, LAG_NONE);
    assert_true(lag.watermark_ms >= loop_wall_ms(b->loop) - 2000);
}

static void test_unmatched_is_counted_and_not_kept(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(RULE);
    const char *include[] = {"keep/**"};
    rule.include = include;
    rule.include_count = 1;
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
    struct engine_append_result r = engine_bench_append(b, CHANGE_PUT, "drop/x");
    assert_int_equal(r.unmatched, 1);
    assert_int_equal(r.accepted, 0);
    assert_int_equal(engine_bench_append(b, CHANGE_PUT, "_repl/x").unmatched, 1);
    assert_int_equal(engine_bench_lag(b, RULE).counts.pending_objects, 0);
}

static void test_delete_is_propagated(void **state)
{
    struct engine_bench *b = *state;
    engine_bench_write(b, "a", "1");
    assert_true(engine_bench_settle(b, RULE, 5000));
    fake_remove(b->near, "src", span_str("a"));
    engine_bench_append(b, CHANGE_DELETE, "a");
    assert_true(engine_bench_settle(b, RULE, 5000));
    assert_int_equal(fake_objects(b->far, "dst"), 0);
    assert_int_equal(engine_bench_lag(b, RULE).counts.deleted_objects, 1);
}

static void test_delete_is_ignored_where_told(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(RULE);
    rule.deletes = RULE_DELETES_IGNORE;
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
    engine_bench_write(b, "a", "1");
    assert_true(engine_bench_settle(b, RULE, 5000));
    fake_remove(b->near, "src", span_str("a"));
    struct engine_append_result r = engine_bench_append(b, CHANGE_DELETE, "a");
    assert_int_equal(r.accepted, 1);
    assert_true(engine_bench_settle(b, RULE, 5000));
    assert_true(engine_bench_has(b, "a", "1"));
    assert_int_equal(engine_bench_lag(b, RULE).counts.skipped_objects, 1);
}

/* A delete that the source contradicts brings the object instead: what the delete superseded may
 * not count as done while the destination has something older. */
static void test_delete_without_evidence_copies(void **state)
{
    struct engine_bench *b = *state;
    engine_bench_write(b, "a", "old");
    assert_true(engine_bench_settle(b, RULE, 5000));
    fake_put(b->near, "src", span_str("a"), span_str("new"), NULL);
    engine_bench_append(b, CHANGE_DELETE, "a");
    assert_true(engine_bench_settle(b, RULE, 5000));
    assert_true(engine_bench_has(b, "a", "new"));
}

static void test_paused_rule_freezes_and_says_so(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(RULE);
    rule.enabled = false;
    engine_bench_lag(b, RULE);
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
    int64_t before = engine_bench_lag(b, RULE).watermark_ms;
    engine_bench_write(b, "a", "1");
    struct rule_lag lag = engine_bench_lag(b, RULE);
    assert_int_equal(lag.watermark_ms, before);
    assert_int_equal(lag.blocker, LAG_PAUSED);
    assert_non_null(strstr(lag.waits_for, "paused"));
    assert_int_equal(fake_objects(b->far, "dst"), 0);
    rule.enabled = true;
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
    assert_true(engine_bench_settle(b, RULE, 5000));
    assert_true(engine_bench_lag(b, RULE).watermark_ms > before);
}

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
    struct rule_lag lag = engine_bench_lag(b, RULE);
    assert_int_equal(lag.counts.failed_objects, 1);
    assert_int_equal(lag.blocker, LAG_FAILED_TASK);
    assert_non_null(strstr(lag.waits_for, "bad"));
    assert_true(lag.lag_ms > 60000);
    struct engine_bench_word w = {.status = 1};
    engine_task_drop(b->engine, RULE, span_str("bad"), span_str("not wanted"), engine_bench_word_fn,
                     &w);
    assert_int_equal(engine_bench_wait(b, &w.status), 0);
    assert_int_equal(w.count, 1);
    lag = engine_bench_lag(b, RULE);
    assert_int_equal(lag.counts.failed_objects, 0);
    assert_true(lag.lag_ms < 3000);
}

static void test_dead_letter_is_retried(void **state)
{
    struct engine_bench *b = *state;
    make_dead_letter(b);
    fake_clear_faults(b->far);
    assert_int_equal(engine_bench_retry(b, RULE), 1);
    assert_true(engine_bench_settle(b, RULE, 5000));
    assert_true(engine_bench_has(b, "bad", "1"));
    assert_int_equal(engine_bench_retry(b, RULE), 0);
}

static void test_outage_spends_no_attempts(void **state)
{
    struct engine_bench *b = *state;
    uint64_t now = loop_now_ms(b->loop);
    fake_outage(b->far, now, now + 600000);
    for (int i = 0; i < 50; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        engine_bench_write(b, key, "1");
    }
    loop_run_for(b->loop, 300000);
    struct rule_lag lag = engine_bench_lag(b, RULE);
    assert_int_equal(lag.counts.pending_objects, 50);
    assert_int_equal(lag.counts.failed_objects, 0);
    assert_int_equal(lag.blocker, LAG_ENDPOINT);
    assert_int_not_equal(lag.endpoint_fail.code, 0);
    loop_run_for(b->loop, 320000);
    assert_true(engine_bench_settle(b, RULE, 5000));
    assert_int_equal(fake_objects(b->far, "dst"), 50);
}

static void test_denied_endpoint_drains_nothing(void **state)
{
    struct engine_bench *b = *state;
    fake_deny(b->far, true);
    engine_bench_write(b, "a", "1");
    engine_bench_write(b, "b", "1");
    loop_run_for(b->loop, 600000);
    struct rule_lag lag = engine_bench_lag(b, RULE);
    assert_int_equal(lag.counts.failed_objects, 0);
    assert_int_equal(lag.counts.pending_objects, 2);
    assert_int_equal(lag.blocker, LAG_ENDPOINT);
    fake_deny(b->far, false);
    assert_true(engine_bench_settle(b, RULE, 180000));
    assert_int_equal(fake_objects(b->far, "dst"), 2);
}

static void test_restart_keeps_everything(void **state)
{
    struct engine_bench *b = *state;
    uint64_t now = loop_now_ms(b->loop);
    fake_outage(b->far, now, now + 20000);
    engine_bench_write(b, "a", "1");
    engine_bench_stop(b);
    engine_bench_start(b);
    assert_non_null(engine_rule_find(b->engine, RULE));
    assert_true(engine_bench_settle(b, RULE, 60000));
    assert_true(engine_bench_has(b, "a", "1"));
    int64_t before = engine_bench_lag(b, RULE).watermark_ms;
    engine_bench_stop(b);
    engine_bench_start(b);
    assert_true(engine_bench_lag(b, RULE).watermark_ms >= before);
    assert_int_equal(engine_bench_lag(b, RULE).counts.done_objects, 1);
}

static void test_wait(void **state)
{
    struct engine_bench *b = *state;
    int status = 1, gone = 1, late = 1;
    struct engine_wait_options what = {.rule = RULE, .until_ms = loop_wall_ms(b->loop)};
    engine_wait(b->engine, &what, engine_bench_done_fn, &status);
    assert_int_equal(status, 1);
    assert_int_equal(engine_bench_wait(b, &status), 0);
    struct engine_wait_options nobody = {.rule = "nobody"};
    engine_wait(b->engine, &nobody, engine_bench_done_fn, &gone);
    assert_int_equal(engine_bench_wait(b, &gone), REPL_ENOTFOUND);
    what.until_ms += 3600000;
    what.timeout_ms = 5000;
    engine_wait(b->engine, &what, engine_bench_done_fn, &late);
    assert_int_equal(engine_bench_wait(b, &late), UV_ETIMEDOUT);
}

/* The destination is slow: has what was appended arrived when the wait for "now" ends? */
static void check_wait_for_now(struct engine_bench *b, const char *key)
{
    int status = 1;
    int64_t before_ms = engine_bench_lag(b, RULE).watermark_ms;
    engine_bench_write(b, key, "1");
    struct engine_wait_options what = {.rule = RULE};
    engine_wait(b->engine, &what, engine_bench_done_fn, &status);
    assert_int_equal(engine_bench_wait(b, &status), 0);
    assert_true(engine_bench_has(b, key, "1"));
    struct rule_lag lag = engine_bench_lag(b, RULE);
    assert_true(lag.watermark_ms > before_ms);
    assert_true(lag.lag_ms >= 0);
}

static void test_a_clock_that_goes_back(void **state)
{
    struct engine_bench *b = *state;
    fake_fault(b->far, &(struct fake_fault){.kind = STORE_PUT, .slow_ms = 4000});
    check_wait_for_now(b, "a");
    loop_set_wall_ms(b->loop, loop_wall_ms(b->loop) - 600000);
    check_wait_for_now(b, "b");
    engine_bench_stop(b);
    loop_set_wall_ms(b->loop, loop_wall_ms(b->loop) - 600000);
    engine_bench_start(b);
    check_wait_for_now(b, "c");
    loop_run_for(b->loop, 3 * 1200000); /* the clock has caught up */
    assert_int_equal(engine_now_ms(b->engine), loop_wall_ms(b->loop));
    check_wait_for_now(b, "d");
}

/* A retry that was due in a second is not due in ten minutes. */
static void test_retries_do_not_wait_for_the_clock(void **state)
{
    struct engine_bench *b = *state;
    fake_fault(b->far,
               &(struct fake_fault){
                   .kind = STORE_PUT, .count = 1, .code = REPL_EREFUSED, .http_status = 400});
    engine_bench_write(b, "a", "1");
    loop_run_for(b->loop, 200);
    loop_set_wall_ms(b->loop, loop_wall_ms(b->loop) - 600000);
    assert_true(engine_bench_settle(b, RULE, 10000));
    assert_true(engine_bench_has(b, "a", "1"));
}

static void test_rule_conflicts(void **state)
{
    struct engine_bench *b = *state;
    struct rule other = engine_bench_rule("other");
    struct fail f = {0};
    assert_int_equal(engine_bench_put_rule(b, &other, true, &f), REPL_ECONFLICT);
    other.destination.endpoint = "nowhere";
    assert_int_equal(engine_bench_put_rule(b, &other, true, &f), REPL_EBADINPUT);
    assert_non_null(strstr(f.text, "nowhere"));
    struct rule moved = engine_bench_rule(RULE);
    moved.destination.prefix = "else/";
    assert_int_equal(engine_bench_put_rule(b, &moved, true, &f), REPL_ECONFLICT);
    const struct rule *const *rules;
    assert_int_equal(engine_rules(b->engine, &rules), 1);
}

static void test_rule_is_deleted_and_comes_again(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(RULE);
    engine_bench_write(b, "a", "1");
    int status = 1;
    engine_rule_delete(b->engine, RULE, engine_bench_done_fn, &status);
    assert_int_equal(engine_bench_wait(b, &status), 0);
    assert_null(engine_rule_find(b->engine, RULE));
    loop_run_for(b->loop, 20000);
    assert_int_equal(fake_uploads(b->far), 0);
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
    assert_int_equal(engine_bench_lag(b, RULE).counts.pending_objects, 0);
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
    struct rule rule = engine_bench_rule(RULE);
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
    assert_true(engine_bench_settle(b, RULE, 600000));
    struct rule_lag lag = engine_bench_lag(b, RULE);
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
    struct rule rule = engine_bench_rule(RULE);
    struct fake_fault fault = {
        .kind = STORE_PUT, .key = "bad", .code = REPL_EREFUSED, .http_status = 400};
    struct engine_wait_options what = {.rule = RULE, .until_ms = 1, .existing = true};
    int status = 1;
    fake_fault(b->far, &fault);
    fake_put(b->near, "src", span_str("bad"), span_str("1"), NULL);
    fake_put(b->near, "src", span_str("good"), span_str("1"), NULL);
    rule.existing = true;
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
    engine_wait(b->engine, &what, engine_bench_done_fn, &status);
    assert_int_equal(engine_bench_wait(b, &status), REPL_ECONFLICT);
    struct rule_lag lag = engine_bench_lag(b, RULE);
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
    assert_true(engine_bench_settle(b, RULE, 20000));
    assert_int_equal(fake_objects(b->far, "dst"), 30);
    assert_int_equal(engine_bench_lag(b, RULE).counts.failed_objects, 0);
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
    assert_true(engine_bench_settle(b, RULE, 20000));
    assert_int_equal(fake_objects(b->spare, "dst"), 30);
    engine_bench_stop(b);
    fake_free(b->spare);
    engine_bench_start(b);
}

/* One rule's endpoint is out, with more work than there are places: another rule goes on. */
static void test_outage_of_one_rule_leaves_others_alone(void **state)
{
    struct engine_bench *b = *state;
    struct rule other = engine_bench_rule("other");
    const char *exclude[] = {"b/**"};
    struct rule first = engine_bench_rule(RULE);
    first.exclude = exclude;
    first.exclude_count = 1;
    assert_int_equal(engine_bench_put_rule(b, &first, true, NULL), 0);
    fake_bucket(b->near, "else");
    other.source.prefix = "b/";
    other.destination = (struct rule_place){"near", "else", "b/"};
    assert_int_equal(engine_bench_put_rule(b, &other, true, NULL), 0);
    uint64_t now = loop_now_ms(b->loop);
    fake_outage(b->far, now, now + 3600000);
    for (int i = 0; i < 60; i++) {
        char key[16];
        snprintf(key, sizeof(key), "a/%d", i);
        engine_bench_write(b, key, "1");
    }
    loop_run_for(b->loop, 20000);
    for (int i = 0; i < 60; i++) {
        char key[16];
        snprintf(key, sizeof(key), "b/%d", i);
        engine_bench_write(b, key, "1");
    }
    assert_true(engine_bench_settle(b, "other", 20000));
    assert_int_equal(fake_objects(b->near, "else"), 60);
    assert_int_equal(engine_bench_lag(b, RULE).counts.pending_objects, 60);
}

/* One object that may not be read is its own failure, not its endpoint's. */
static void test_forbidden_object_blocks_nobody(void **state)
{
    struct engine_bench *b = *state;
    fake_fault(b->near,
               &(struct fake_fault){
                   .kind = STORE_GET, .key = "secret", .code = REPL_EDENIED, .http_status = 403});
    engine_bench_write(b, "before", "1");
    assert_true(engine_bench_settle(b, RULE, 5000));
    engine_bench_write(b, "secret", "1");
    for (int i = 0; i < 20; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        engine_bench_write(b, key, "1");
        loop_run_for(b->loop, 500);
    }
    loop_run_for(b->loop, 120000);
    assert_int_equal(fake_objects(b->far, "dst"), 21);
    assert_true(engine_bench_lag(b, RULE).lag_ms > 100000);
}

static void count_puts(void *arg, struct fake *f, const struct store_op *op)
{
    (void)f;
    *(unsigned *)arg += op->kind == STORE_PUT;
}

static void append_ended(void *arg, int status, const struct fail *f,
                         const struct engine_append_result *result)
{
    (void)f;
    (void)result;
    *(int *)arg = status;
}

static void test_journal_has_one_owner(void **state)
{
    struct engine_bench *b = *state;
    struct conf conf = b->conf;
    struct engine *second = NULL;
    struct stat_set *stats = stat_set_new();
    struct fail f = {0};
    conf.instance = "somebody-else";
    struct engine_options options = {.loop = b->loop,
                                     .stats = stats,
                                     .conf = &conf,
                                     .executor = JOURNAL_INLINE,
                                     .make_store = engine_bench_store,
                                     .make_store_arg = b};
    assert_int_equal(engine_new(&options, &second, &f), REPL_EOWNED);
    assert_null(second);
    assert_non_null(strstr(f.text, "bench"));
    stat_set_free(stats);
}

/* A PUT is on its way: the new owner may do something else with its key. */
static void test_a_lost_journal_ends_all_work(void **state)
{
    struct engine_bench *b = *state;
    struct backend *other;
    struct fail f;
    uint64_t epoch;
    unsigned carried_out = 0; /* what was cancelled may have happened, or not */
    b->conf.shutdown_ms = 30000;
    fake_fault(b->far, &(struct fake_fault){.kind = STORE_PUT, .slow_ms = 60000});
    fake_hook(b->far, count_puts, &carried_out);
    engine_bench_write(b, "a", "1");
    loop_run_for(b->loop, 1000);
    assert_int_equal(fake_in_flight(b->far), 1);
    assert_int_equal(backend_open_sqlite(b->conf.journal_path, BACKEND_WRITER, CACHE, &other, &f),
                     0);
    assert_int_equal(other->ops->begin(other), 0);
    assert_int_equal(other->ops->lease_take(other, span_str("other"), loop_wall_ms(b->loop) + 60000,
                                            1000, &epoch, &f),
                     0);
    assert_int_equal(other->ops->commit(other), 0);
    other->ops->close(other);
    int refused = 1;
    struct change c = {.kind = CHANGE_PUT, .bucket = span_str("src"), .key = span_str("b")};
    engine_append(b->engine, &c, 1, TASK_LIVE, (struct span){0}, (struct span){0}, append_ended,
                  &refused);
    assert_int_equal(engine_bench_wait(b, &refused), REPL_ESTALE);
    assert_true(b->lost);
    uint64_t before_ms = loop_now_ms(b->loop);
    engine_bench_stop(b);
    assert_true(loop_now_ms(b->loop) - before_ms < 1000);
    assert_int_equal(fake_in_flight(b->far), 0);
    assert_int_equal(carried_out, 0);
}

static void test_history_is_trimmed(void **state)
{
    struct engine_bench *b = *state;
    struct backend *reader;
    struct arena a;
    struct history_entry *entries;
    struct fail f;
    size_t count = 0;
    b->conf.history_ms = 300000;
    engine_bench_write(b, "a", "1");
    assert_true(engine_bench_settle(b, RULE, 5000));
    loop_run_for(b->loop, 400000);
    engine_bench_write(b, "b", "1");
    assert_true(engine_bench_settle(b, RULE, 5000));
    uint32_t rule = engine_rule_find(b->engine, RULE)->number;
    assert_int_equal(backend_open_sqlite(b->conf.journal_path, BACKEND_READER, CACHE, &reader, &f),
                     0);
    arena_init(&a);
    reader->ops->begin(reader);
    reader->ops->history_page(reader, &a, rule, (struct span){0}, 10, &entries, &count);
    assert_int_equal(count, 1);
    assert_true(span_eq_str(entries[0].key, "b"));
    reader->ops->rollback(reader);
    reader->ops->close(reader);
    arena_done(&a);
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

#define ENGINE_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

/* ---- classes ---- */

static size_t count_prefix(struct engine_bench *b, const char *prefix, int count)
{
    size_t n = 0;
    for (int i = 0; i < count; i++) {
        char key[32];
        struct fake_object o;
        snprintf(key, sizeof(key), "%s%d", prefix, i);
        n += fake_get(b->far, "dst", span_str(key), &o);
    }
    return n;
}

static void set_paused(struct engine_bench *b, bool paused)
{
    struct rule rule = engine_bench_rule(RULE);
    rule.enabled = !paused;
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
}

/* Behind a backlog that is past its objective fresh work has its share, and the backlog is counted
 * and taken from both ends. */
static void test_fresh_work_passes_a_late_backlog(void **state)
{
    struct engine_bench *b = *state;
    set_paused(b, true);
    for (int i = 0; i < 300; i++) {
        char key[32];
        snprintf(key, sizeof(key), "late%d", i);
        engine_bench_write(b, key, "1");
    }
    loop_run_for(b->loop, 660000);
    for (int i = 0; i < 40; i++) {
        char key[32];
        snprintf(key, sizeof(key), "fresh%d", i);
        engine_bench_write(b, key, "1");
    }
    assert_int_equal(engine_bench_lag(b, RULE).counts.late_objects, 300);
    assert_int_equal(engine_bench_lag(b, RULE).counts.pending_objects, 340);
    set_paused(b, false);
    for (int i = 0; i < 1000 && count_prefix(b, "fresh", 40) < 40; i++) {
        loop_run_for(b->loop, 1);
    }
    size_t late = count_prefix(b, "late", 300);
    assert_int_equal(count_prefix(b, "fresh", 40), 40);
    assert_in_range(late, 5, 60);
    assert_in_range(count_prefix(b, "late", 150), late / 2 - 2, late / 2 + 2);
    assert_true(engine_bench_settle(b, RULE, 20000));
    struct rule_lag lag = engine_bench_lag(b, RULE);
    assert_int_equal(lag.counts.late_objects, 0);
    assert_int_equal(lag.counts.late_bytes, 0);
}

/* ---- limits ---- */

static void write_many(struct engine_bench *b, const char *prefix, int count)
{
    char body[1000];
    memset(body, 'x', sizeof(body) - 1);
    body[sizeof(body) - 1] = 0;
    for (int i = 0; i < count; i++) {
        char key[32];
        snprintf(key, sizeof(key), "%s%d", prefix, i);
        engine_bench_write(b, key, body);
    }
}

static uint64_t sent_in(struct engine_bench *b, uint64_t ms)
{
    uint64_t before = fake_body_bytes(b->far);
    loop_run_for(b->loop, ms);
    return fake_body_bytes(b->far) - before;
}

/* The limit of the minutes to come, from one minute to the next. */
static struct limit next_minutes(struct engine_bench *b, unsigned from, unsigned to,
                                 struct arena *a)
{
    struct fail f;
    struct limit l;
    unsigned now = time_minute_of_day(loop_wall_ms(b->loop));
    unsigned x = (now + from) % 1440, y = (now + to) % 1440;
    const char *text =
        arena_printf(a, "%02u:%02u-%02u:%02u 2kB/s, 4kB/s", x / 60, x % 60, y / 60, y % 60);
    assert_int_equal(limit_parse_bandwidth(span_str(text), a, &l, &f), 0);
    return l;
}

static void test_limit_follows_its_timetable(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(RULE);
    rule.enabled = false;
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
    write_many(b, "k", 800);
    rule.enabled = true;
    rule.bandwidth = next_minutes(b, 2, 4, &b->conf.arena);
    loop_run_for(b->loop, 60000 - (uint64_t)(loop_wall_ms(b->loop) % 60000));
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
    loop_run_for(b->loop, 2000);
    assert_in_range(sent_in(b, 56000), 215000, 233000); /* 4 kB/s */
    assert_string_equal(engine_limit_now(b->engine, &rule.bandwidth), "4kB/s");
    loop_run_for(b->loop, 4000);
    assert_in_range(sent_in(b, 56000), 105000, 119000); /* 2 kB/s */
    assert_string_equal(engine_limit_now(b->engine, &rule.bandwidth), "2kB/s");
    loop_run_for(b->loop, 64000);
    assert_in_range(sent_in(b, 56000), 215000, 233000);
    rule.bandwidth = (struct limit){0};
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
    assert_true(engine_bench_settle(b, RULE, 20000));
    assert_int_equal(fake_objects(b->far, "dst"), 800);
}

/* More than the journal takes at a time. */
static void test_many_dead_letters_are_retried(void **state)
{
    struct engine_bench *b = *state;
    struct fake_fault refused = {.kind = STORE_PUT, .code = REPL_EREFUSED, .http_status = 400};
    fake_fault(b->far, &refused);
    write_many(b, "k", 2100);
    for (int i = 0; engine_bench_lag(b, RULE).counts.failed_objects < 2100; i++) {
        assert_true(i < 600);
        loop_run_for(b->loop, 1000);
    }
    fake_clear_faults(b->far);
    assert_int_equal(engine_bench_retry(b, RULE), 2100);
    assert_true(engine_bench_settle(b, RULE, 60000));
    assert_int_equal(fake_objects(b->far, "dst"), 2100);
}

/* A reload changes the limit of an endpoint without touching the work. */
static void test_reload_changes_a_limit(void **state)
{
    struct engine_bench *b = *state;
    struct conf conf = b->conf;
    struct conf_endpoint endpoints[2] = {b->endpoints[0], b->endpoints[1]};
    struct fail f = {0};
    conf.endpoints = endpoints;
    assert_int_equal(
        limit_parse_requests(span_str("5/s"), &b->conf.arena, &endpoints[1].requests, &f), 0);
    assert_int_equal(engine_reload(b->engine, &conf, &f), 0);
    write_many(b, "k", 100);
    unsigned before = fake_count(b->far, STORE_PUT);
    loop_run_for(b->loop, 10000);
    assert_in_range(fake_count(b->far, STORE_PUT) - before, 45, 52);
    assert_int_equal(engine_reload(b->engine, &b->conf, &f), 0);
    assert_true(engine_bench_settle(b, RULE, 5000));
    assert_int_equal(fake_objects(b->far, "dst"), 100);
}

/* Refused before anything is asked of the source: the callback comes later all the same. */
static void test_setup_without_its_token(void **state)
{
    struct engine_bench *b = *state;
    struct conf_source source = {
        .name = "s", .endpoint = "near", .path = "/s", .token = {.file = "/nowhere/token"}};
    struct engine_setup what = {.rule = RULE, .sender = SETUP_RGW};
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
        ENGINE_TEST(test_change_becomes_object),
        ENGINE_TEST(test_unmatched_is_counted_and_not_kept),
        ENGINE_TEST(test_delete_is_propagated),
        ENGINE_TEST(test_delete_is_ignored_where_told),
        ENGINE_TEST(test_delete_without_evidence_copies),
        ENGINE_TEST(test_paused_rule_freezes_and_says_so),
        ENGINE_TEST(test_dead_letter_holds_watermark_until_dropped),
        ENGINE_TEST(test_dead_letter_is_retried),
        ENGINE_TEST(test_outage_spends_no_attempts),
        ENGINE_TEST(test_denied_endpoint_drains_nothing),
        ENGINE_TEST(test_restart_keeps_everything),
        ENGINE_TEST(test_wait),
        ENGINE_TEST(test_a_clock_that_goes_back),
        ENGINE_TEST(test_retries_do_not_wait_for_the_clock),
        ENGINE_TEST(test_rule_conflicts),
        ENGINE_TEST(test_rule_is_deleted_and_comes_again),
        ENGINE_TEST(test_preflight_names_what_is_missing),
        ENGINE_TEST(test_preflight_finds_the_check),
        ENGINE_TEST(test_existing_objects_are_listed),
        ENGINE_TEST(test_existing_objects_that_failed_are_told),
        ENGINE_TEST(test_reload),
        ENGINE_TEST(test_reload_moves_an_endpoint),
        ENGINE_TEST(test_outage_of_one_rule_leaves_others_alone),
        ENGINE_TEST(test_forbidden_object_blocks_nobody),
        ENGINE_TEST(test_journal_has_one_owner),
        ENGINE_TEST(test_a_lost_journal_ends_all_work),
        ENGINE_TEST(test_history_is_trimmed),
        ENGINE_TEST(test_fresh_work_passes_a_late_backlog),
        ENGINE_TEST(test_limit_follows_its_timetable),
        ENGINE_TEST(test_many_dead_letters_are_retried),
        ENGINE_TEST(test_reload_changes_a_limit),
        ENGINE_TEST(test_setup_without_its_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
