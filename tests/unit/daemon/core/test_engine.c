/* The engine's promises one by one, on virtual time: append to verified object, deletes, the
 * watermark and its reasons, pause, restart, clocks that go back, who owns the journal. */
#include "tests/unit/support/engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <uv.h>

#define CACHE ((uint64_t)1 << 20)

static void test_change_becomes_object(void **state)
{
    struct engine_bench *b = *state;
    engine_bench_write(b, "a/b", "hello");
    assert_true(engine_bench_settle(b, ENGINE_BENCH_RULE, 5000));
    assert_true(engine_bench_has(b, "a/b", "hello"));
    struct rule_lag lag = engine_bench_lag(b, ENGINE_BENCH_RULE);
    assert_int_equal(lag.counts.done_objects, 1);
    assert_int_equal(lag.counts.done_bytes, 5);
    assert_int_equal(lag.blocker, LAG_NONE);
    assert_true(lag.watermark_ms >= loop_wall_ms(b->loop) - 2000);
}

static void test_unmatched_is_counted_and_not_kept(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(ENGINE_BENCH_RULE);
    const char *include[] = {"keep/**"};
    rule.include = include;
    rule.include_count = 1;
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
    struct engine_append_result r = engine_bench_append(b, CHANGE_PUT, "drop/x");
    assert_int_equal(r.unmatched, 1);
    assert_int_equal(r.accepted, 0);
    assert_int_equal(engine_bench_append(b, CHANGE_PUT, "_repl/x").unmatched, 1);
    assert_int_equal(engine_bench_lag(b, ENGINE_BENCH_RULE).counts.pending_objects, 0);
}

static void test_delete_is_propagated(void **state)
{
    struct engine_bench *b = *state;
    engine_bench_write(b, "a", "1");
    assert_true(engine_bench_settle(b, ENGINE_BENCH_RULE, 5000));
    fake_remove(b->near, "src", span_str("a"));
    engine_bench_append(b, CHANGE_DELETE, "a");
    assert_true(engine_bench_settle(b, ENGINE_BENCH_RULE, 5000));
    assert_int_equal(fake_objects(b->far, "dst"), 0);
    assert_int_equal(engine_bench_lag(b, ENGINE_BENCH_RULE).counts.deleted_objects, 1);
}

static void test_delete_is_ignored_where_told(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(ENGINE_BENCH_RULE);
    rule.deletes = RULE_DELETES_IGNORE;
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
    engine_bench_write(b, "a", "1");
    assert_true(engine_bench_settle(b, ENGINE_BENCH_RULE, 5000));
    fake_remove(b->near, "src", span_str("a"));
    struct engine_append_result r = engine_bench_append(b, CHANGE_DELETE, "a");
    assert_int_equal(r.accepted, 1);
    assert_true(engine_bench_settle(b, ENGINE_BENCH_RULE, 5000));
    assert_true(engine_bench_has(b, "a", "1"));
    assert_int_equal(engine_bench_lag(b, ENGINE_BENCH_RULE).counts.skipped_objects, 1);
}

/* A delete that the source contradicts brings the object instead: what the delete superseded may
 * not count as done while the destination has something older. */
static void test_delete_without_evidence_copies(void **state)
{
    struct engine_bench *b = *state;
    engine_bench_write(b, "a", "old");
    assert_true(engine_bench_settle(b, ENGINE_BENCH_RULE, 5000));
    fake_put(b->near, "src", span_str("a"), span_str("new"), NULL);
    engine_bench_append(b, CHANGE_DELETE, "a");
    assert_true(engine_bench_settle(b, ENGINE_BENCH_RULE, 5000));
    assert_true(engine_bench_has(b, "a", "new"));
}

static void test_paused_rule_freezes_and_says_so(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(ENGINE_BENCH_RULE);
    rule.enabled = false;
    engine_bench_lag(b, ENGINE_BENCH_RULE);
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
    int64_t before = engine_bench_lag(b, ENGINE_BENCH_RULE).watermark_ms;
    engine_bench_write(b, "a", "1");
    struct rule_lag lag = engine_bench_lag(b, ENGINE_BENCH_RULE);
    assert_int_equal(lag.watermark_ms, before);
    assert_int_equal(lag.blocker, LAG_PAUSED);
    assert_non_null(strstr(lag.waits_for, "paused"));
    assert_int_equal(fake_objects(b->far, "dst"), 0);
    rule.enabled = true;
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
    assert_true(engine_bench_settle(b, ENGINE_BENCH_RULE, 5000));
    assert_true(engine_bench_lag(b, ENGINE_BENCH_RULE).watermark_ms > before);
}

static void test_restart_keeps_everything(void **state)
{
    struct engine_bench *b = *state;
    uint64_t now = loop_now_ms(b->loop);
    fake_outage(b->far, now, now + 20000);
    engine_bench_write(b, "a", "1");
    engine_bench_stop(b);
    engine_bench_start(b);
    assert_non_null(engine_rule_find(b->engine, ENGINE_BENCH_RULE));
    assert_true(engine_bench_settle(b, ENGINE_BENCH_RULE, 60000));
    assert_true(engine_bench_has(b, "a", "1"));
    int64_t before = engine_bench_lag(b, ENGINE_BENCH_RULE).watermark_ms;
    engine_bench_stop(b);
    engine_bench_start(b);
    assert_true(engine_bench_lag(b, ENGINE_BENCH_RULE).watermark_ms >= before);
    assert_int_equal(engine_bench_lag(b, ENGINE_BENCH_RULE).counts.done_objects, 1);
}

static void test_wait(void **state)
{
    struct engine_bench *b = *state;
    int status = 1, gone = 1, late = 1;
    struct engine_wait_options what = {.rule = ENGINE_BENCH_RULE,
                                       .until_ms = loop_wall_ms(b->loop)};
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
    int64_t before_ms = engine_bench_lag(b, ENGINE_BENCH_RULE).watermark_ms;
    engine_bench_write(b, key, "1");
    struct engine_wait_options what = {.rule = ENGINE_BENCH_RULE};
    engine_wait(b->engine, &what, engine_bench_done_fn, &status);
    assert_int_equal(engine_bench_wait(b, &status), 0);
    assert_true(engine_bench_has(b, key, "1"));
    struct rule_lag lag = engine_bench_lag(b, ENGINE_BENCH_RULE);
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
    assert_true(engine_bench_settle(b, ENGINE_BENCH_RULE, 10000));
    assert_true(engine_bench_has(b, "a", "1"));
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
    assert_true(engine_bench_settle(b, ENGINE_BENCH_RULE, 5000));
    loop_run_for(b->loop, 400000);
    engine_bench_write(b, "b", "1");
    assert_true(engine_bench_settle(b, ENGINE_BENCH_RULE, 5000));
    uint32_t rule = engine_rule_find(b->engine, ENGINE_BENCH_RULE)->number;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENGINE_BENCH_TEST(test_change_becomes_object),
        ENGINE_BENCH_TEST(test_unmatched_is_counted_and_not_kept),
        ENGINE_BENCH_TEST(test_delete_is_propagated),
        ENGINE_BENCH_TEST(test_delete_is_ignored_where_told),
        ENGINE_BENCH_TEST(test_delete_without_evidence_copies),
        ENGINE_BENCH_TEST(test_paused_rule_freezes_and_says_so),
        ENGINE_BENCH_TEST(test_restart_keeps_everything),
        ENGINE_BENCH_TEST(test_wait),
        ENGINE_BENCH_TEST(test_a_clock_that_goes_back),
        ENGINE_BENCH_TEST(test_retries_do_not_wait_for_the_clock),
        ENGINE_BENCH_TEST(test_journal_has_one_owner),
        ENGINE_BENCH_TEST(test_a_lost_journal_ends_all_work),
        ENGINE_BENCH_TEST(test_history_is_trimmed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
