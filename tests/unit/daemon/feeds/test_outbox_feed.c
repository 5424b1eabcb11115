/* An outbox of a crawler through a whole engine: rows become objects, the cursor survives restarts,
 * what is missing, replaced or malformed is said and holds the watermark, and ends by itself. */
#include "tests/unit/support/engine_bench.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define RULE "pages"

struct outbox_bench {
    struct engine_bench b;
    struct conf_outbox outbox;
    char path[96];
    sqlite3 *db;
};

static void sql(struct outbox_bench *o, const char *format, const char *key)
{
    char *error = NULL;
    char *text = sqlite3_mprintf(format, key);
    if (sqlite3_exec(o->db, text, NULL, NULL, &error) != SQLITE_OK) {
        fail_msg("%s", error);
    }
    sqlite3_free(text);
}

static void open_db(struct outbox_bench *o)
{
    assert_int_equal(sqlite3_open(o->path, &o->db), SQLITE_OK);
    sql(o, "PRAGMA journal_mode=WAL", NULL);
    sql(o,
        "CREATE TABLE repl_outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL,"
        " kind TEXT DEFAULT 'put')",
        NULL);
}

static void remove_db(struct outbox_bench *o)
{
    char name[128];
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    sqlite3_close(o->db);
    o->db = NULL;
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof(name), "%s%s", o->path, suffixes[i]);
        unlink(name);
    }
}

static void announce(struct outbox_bench *o, const char *key)
{
    fake_put(o->b.near, "src", span_str(key), span_str("1"), NULL);
    sql(o, "INSERT INTO repl_outbox (key) VALUES (%Q)", key);
}

static int set_up(void **state)
{
    struct outbox_bench *o = mem_alloc(sizeof(*o));
    engine_bench_init(&o->b, 3, 5);
    snprintf(o->path, sizeof(o->path), "%s/crawler.db", o->b.dir);
    o->outbox = (struct conf_outbox){
        .name = "crawler", .path = o->path, .endpoint = "near", .bucket = "src"};
    o->b.conf.outboxes = &o->outbox;
    o->b.conf.outbox_count = 1;
    open_db(o);
    engine_bench_start(&o->b);
    struct rule rule = engine_bench_rule(RULE);
    assert_int_equal(engine_bench_put_rule(&o->b, &rule, true, NULL), 0);
    *state = o;
    return 0;
}

static int tear_down(void **state)
{
    struct outbox_bench *o = *state;
    engine_bench_stop(&o->b);
    remove_db(o);
    engine_bench_done(&o->b);
    mem_free(o);
    return 0;
}

static void run(struct outbox_bench *o, uint64_t ms)
{
    loop_run_for(o->b.loop, ms);
}

static void test_rows_become_objects(void **state)
{
    struct outbox_bench *o = *state;
    run(o, 1000);
    announce(o, "a");
    announce(o, "b");
    run(o, 400); /* noticed within 200 ms, then two round trips */
    assert_int_equal(fake_objects(o->b.far, "dst"), 2);
    assert_true(engine_bench_lag(&o->b, RULE).lag_ms < 3000);
}

static void test_cursor_survives_restart(void **state)
{
    struct outbox_bench *o = *state;
    announce(o, "a");
    run(o, 2000);
    engine_bench_stop(&o->b);
    unsigned puts = fake_count(o->b.far, STORE_PUT);
    announce(o, "b");
    engine_bench_start(&o->b);
    run(o, 2000);
    assert_int_equal(fake_objects(o->b.far, "dst"), 2);
    assert_int_equal(fake_count(o->b.far, STORE_PUT), puts + 1);
}

static void test_large_backlog_is_read_to_its_end(void **state)
{
    struct outbox_bench *o = *state;
    char key[32];
    sql(o, "BEGIN", NULL);
    for (int i = 0; i < 3500; i++) {
        snprintf(key, sizeof(key), "k%04d", i);
        announce(o, key);
    }
    sql(o, "COMMIT", NULL);
    run(o, 1500);
    assert_true(engine_bench_settle(&o->b, RULE, 120000));
    assert_int_equal(fake_objects(o->b.far, "dst"), 3500);
}

/* As the outbox keeps to its place, a rule of another bucket has no business with it; once a row
 * has named that bucket it has, in the next life too. */
static void test_outbox_belongs_to_its_place(void **state)
{
    struct outbox_bench *o = *state;
    struct rule other = engine_bench_rule("other");
    other.source.bucket = "elsewhere";
    other.destination.bucket = "dst2";
    assert_int_equal(engine_bench_put_rule(&o->b, &other, true, NULL), 0);
    sql(o, "ALTER TABLE repl_outbox ADD COLUMN bucket TEXT", NULL);
    run(o, 2000);
    sql(o, "ALTER TABLE repl_outbox RENAME TO away", NULL);
    run(o, 30000);
    assert_true(engine_bench_lag(&o->b, RULE).lag_ms > 20000);
    assert_in_range(engine_bench_lag(&o->b, "other").lag_ms, 0, 3000);
    sql(o, "ALTER TABLE away RENAME TO repl_outbox", NULL);
    sql(o, "INSERT INTO repl_outbox (key, bucket, kind) VALUES ('k', 'elsewhere', 'put')", NULL);
    run(o, 5000);
    sql(o, "ALTER TABLE repl_outbox RENAME TO away", NULL);
    run(o, 30000);
    assert_true(engine_bench_lag(&o->b, "other").lag_ms > 20000);
    engine_bench_stop(&o->b);
    engine_bench_start(&o->b);
    run(o, 60000);
    assert_true(engine_bench_lag(&o->b, "other").lag_ms > 80000);
    assert_non_null(strstr(engine_bench_lag(&o->b, "other").waits_for, "outbox crawler"));
}

/* A row that strayed says nothing of what was not told of: there the last scan is what is known. */
static void test_stray_row_stands_for_no_scan(void **state)
{
    struct outbox_bench *o = *state;
    struct rule other = engine_bench_rule("other");
    other.source.bucket = "elsewhere";
    other.destination.bucket = "dst2";
    other.scan = (struct rule_scan){.mode = RULE_SCAN_EVERY, .every_ms = 3600000};
    fake_bucket(o->b.near, "elsewhere");
    fake_bucket(o->b.far, "dst2");
    assert_int_equal(engine_bench_put_rule(&o->b, &other, true, NULL), 0);
    run(o, 5000);
    fake_put(o->b.near, "elsewhere", span_str("untold"), span_str("1"), NULL);
    sql(o, "ALTER TABLE repl_outbox ADD COLUMN bucket TEXT", NULL);
    sql(o, "INSERT INTO repl_outbox (key, bucket, kind) VALUES ('k', 'nobody', 'put')", NULL);
    run(o, 60000);
    assert_true(engine_bench_lag(&o->b, "other").lag_ms > 55000);
    assert_int_equal(fake_objects(o->b.far, "dst2"), 0);
}

static void test_late_change_names_its_outbox(void **state)
{
    struct outbox_bench *o = *state;
    sql(o, "ALTER TABLE repl_outbox ADD COLUMN event_time INTEGER", NULL);
    run(o, 5000);
    fake_put(o->b.near, "src", span_str("k"), span_str("1"), NULL);
    sql(o, "INSERT INTO repl_outbox (key, event_time) VALUES ('k', 1000)", NULL);
    run(o, 5000);
    assert_int_equal(engine_bench_lag(&o->b, RULE).counts.late_changes, 1);
    assert_string_equal(engine_bench_lag(&o->b, RULE).last_late.feed, "outbox:crawler");
}

static void test_missing_outbox_holds_the_watermark(void **state)
{
    struct outbox_bench *o = *state;
    run(o, 2000);
    remove_db(o);
    run(o, 2000);
    int64_t before = engine_bench_lag(&o->b, RULE).watermark_ms;
    run(o, 30000);
    struct rule_lag lag = engine_bench_lag(&o->b, RULE);
    assert_int_equal(lag.watermark_ms, before);
    assert_int_equal(lag.blocker, LAG_FEED);
    assert_non_null(strstr(lag.waits_for, "crawler"));
    open_db(o);
    announce(o, "after");
    run(o, 3000);
    assert_int_equal(fake_objects(o->b.far, "dst"), 1);
    assert_int_equal(engine_bench_lag(&o->b, RULE).blocker, LAG_NONE);
}

static void test_replaced_outbox_is_read_from_its_start(void **state)
{
    struct outbox_bench *o = *state;
    announce(o, "a");
    announce(o, "b");
    run(o, 2000);
    remove_db(o);
    open_db(o);
    announce(o, "c"); /* id 1 again */
    run(o, 3000);
    assert_int_equal(fake_objects(o->b.far, "dst"), 3);
}

static void test_bad_rows_are_passed_over(void **state)
{
    struct outbox_bench *o = *state;
    sql(o, "INSERT INTO repl_outbox (key, kind) VALUES ('x', 'sing')", NULL);
    announce(o, "good");
    run(o, 2000);
    assert_int_equal(fake_objects(o->b.far, "dst"), 1);
    struct buf text = {0};
    stat_print(o->b.stats, &text);
    assert_non_null(strstr(buf_cstr(&text), "repl_outbox_bad_rows_total{outbox=\"crawler\"} 1"));
    assert_non_null(strstr(buf_cstr(&text), "repl_outbox_up{outbox=\"crawler\"} 1"));
    buf_done(&text);
}

static int count_rows(struct outbox_bench *o)
{
    sqlite3_stmt *q;
    sqlite3_prepare_v2(o->db, "SELECT count(*) FROM repl_outbox", -1, &q, NULL);
    sqlite3_step(q);
    int n = sqlite3_column_int(q, 0);
    sqlite3_finalize(q);
    return n;
}

static void test_trims_only_when_told(void **state)
{
    struct outbox_bench *o = *state;
    announce(o, "a");
    run(o, 20000);
    assert_int_equal(count_rows(o), 1);
    engine_bench_stop(&o->b);
    o->outbox.trim = true;
    engine_bench_start(&o->b);
    announce(o, "b");
    run(o, 20000);
    assert_int_equal(count_rows(o), 1); /* the last one stays */
    announce(o, "c");
    run(o, 3000);
    assert_int_equal(fake_objects(o->b.far, "dst"), 3);
}

#define OUTBOX_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OUTBOX_TEST(test_rows_become_objects),
        OUTBOX_TEST(test_cursor_survives_restart),
        OUTBOX_TEST(test_large_backlog_is_read_to_its_end),
        OUTBOX_TEST(test_outbox_belongs_to_its_place),
        OUTBOX_TEST(test_stray_row_stands_for_no_scan),
        OUTBOX_TEST(test_late_change_names_its_outbox),
        OUTBOX_TEST(test_missing_outbox_holds_the_watermark),
        OUTBOX_TEST(test_replaced_outbox_is_read_from_its_start),
        OUTBOX_TEST(test_bad_rows_are_passed_over),
        OUTBOX_TEST(test_trims_only_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
