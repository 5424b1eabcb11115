/* The outbox reader on somebody else's SQLite file, in whatever state that is. */
#include "journal/outbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "tests/unit/support/folder.h"

#define TABLE                                                                                      \
    "CREATE TABLE repl_outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, bucket TEXT,"                 \
    " key TEXT NOT NULL, kind TEXT DEFAULT 'put', endpoint TEXT, version_id TEXT, etag TEXT,"      \
    " size INTEGER, event_time TEXT);"

#define PLAIN "CREATE TABLE repl_outbox (id INTEGER PRIMARY KEY, key TEXT NOT NULL);"

struct world {
    char folder[32];
    char path[64];
    sqlite3 *db; /* the crawler's */
    struct outbox *o;
    struct arena arena;
};

static void run(struct world *w, const char *text)
{
    assert_int_equal(sqlite3_exec(w->db, text, NULL, NULL, NULL), SQLITE_OK);
}

static void open_crawler(struct world *w)
{
    assert_int_equal(sqlite3_open(w->path, &w->db), SQLITE_OK);
}

static int set_up(void **state)
{
    struct world *w = MEM_NEW(struct world);
    test_folder(w->folder, sizeof(w->folder));
    snprintf(w->path, sizeof(w->path), "%s/crawler.db", w->folder);
    struct outbox_options o = {
        .path = w->path, .endpoint = span_str("overseas"), .bucket = span_str("crawl")};
    w->o = outbox_new(&o);
    arena_init(&w->arena);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    char command[96];
    outbox_free(w->o);
    sqlite3_close(w->db);
    arena_done(&w->arena);
    snprintf(command, sizeof(command), "rm -r %s", w->folder);
    assert_int_equal(system(command), 0);
    mem_free(w);
    return 0;
}

static const struct outbox_cursor start;

static struct outbox_batch read_ok(struct world *w, struct outbox_cursor from, size_t limit)
{
    struct outbox_batch batch;
    struct fail f;
    assert_int_equal(outbox_read(w->o, &from, limit, &w->arena, &batch, &f), 0);
    return batch;
}

static int read_code(struct world *w)
{
    struct outbox_batch batch;
    struct fail f = {0};
    int r = outbox_read(w->o, &start, 10, &w->arena, &batch, &f);
    assert_true(r == 0 || (f.code == r && strstr(f.text, w->path) != NULL));
    return r;
}

static void rows_become_changes(void **state)
{
    struct world *w = *state;
    open_crawler(w);
    run(w, "PRAGMA journal_mode=WAL;" TABLE);
    run(w, "INSERT INTO repl_outbox (key) VALUES ('a')");
    run(w, "INSERT INTO repl_outbox (bucket, key, kind, endpoint, version_id, etag, size,"
           " event_time) VALUES ('b', x'c3a9', 'delete', 'e', 'v', '\"t\"', 5, 1700000000123)");
    run(w, "INSERT INTO repl_outbox (key, event_time) VALUES (7, '2023-11-14T22:13:20Z')");
    struct outbox_batch batch = read_ok(w, start, 10);
    assert_int_equal(batch.count, 3);
    assert_int_equal(batch.cursor.id, 3);
    assert_false(batch.more);
    const struct change *c = batch.changes;
    assert_true(span_eq_str(c[0].key, "a"));
    assert_true(span_eq_str(c[0].bucket, "crawl"));
    assert_true(span_eq_str(c[0].endpoint, "overseas"));
    assert_int_equal(c[0].kind, CHANGE_PUT);
    assert_int_equal(c[0].size, CHANGE_SIZE_UNKNOWN);
    assert_true(span_eq(c[1].key, span_of("\xc3\xa9", 2)));
    assert_int_equal(c[1].kind, CHANGE_DELETE);
    assert_true(span_eq_str(c[1].bucket, "b"));
    assert_true(span_eq_str(c[1].etag, "t"));
    assert_int_equal(c[1].size, 5);
    assert_int_equal(c[2].event_time_ms, 1700000000000);
    assert_true(span_eq_str(c[2].key, "7"));
}

static void the_cursor_goes_on_and_news_are_noticed(void **state)
{
    struct world *w = *state;
    open_crawler(w);
    run(w, TABLE "INSERT INTO repl_outbox (key) VALUES ('a'), ('b'), ('c')");
    assert_true(outbox_has_news(w->o));
    struct outbox_batch batch = read_ok(w, start, 2);
    assert_int_equal(batch.count, 2);
    assert_true(batch.more);
    assert_true(outbox_has_news(w->o));
    batch = read_ok(w, batch.cursor, 2);
    assert_int_equal(batch.count, 1);
    assert_int_equal(batch.cursor.id, 3);
    assert_false(outbox_has_news(w->o));
    run(w, "INSERT INTO repl_outbox (key) VALUES ('d')");
    assert_true(outbox_has_news(w->o));
    batch = read_ok(w, batch.cursor, 10);
    assert_int_equal(batch.count, 1);
    assert_false(outbox_has_news(w->o));
}

static void bad_rows_are_passed_over_and_named(void **state)
{
    struct world *w = *state;
    open_crawler(w);
    run(w, TABLE "INSERT INTO repl_outbox (key) VALUES ('good'), ('')");
    run(w, "INSERT INTO repl_outbox (key, kind) VALUES ('x', 'rename')");
    run(w, "INSERT INTO repl_outbox (key) VALUES (hex(zeroblob(600)))");
    run(w, "INSERT INTO repl_outbox (key) VALUES (x'610062'), (CAST(x'61c3' AS TEXT))");
    run(w, "INSERT INTO repl_outbox (key) VALUES ('last')");
    struct outbox_batch batch = read_ok(w, start, 100);
    assert_int_equal(batch.count, 2);
    assert_int_equal(batch.bad_count, 5);
    assert_int_equal(batch.bad[1].id, 3);
    assert_non_null(strstr(batch.bad[1].text, "rename"));
    assert_false(batch.bad[1].taken);
    assert_non_null(strstr(batch.bad[3].text, "NUL"));
    assert_non_null(strstr(batch.bad[4].text, "UTF-8"));
    assert_int_equal(batch.cursor.id, 7);
}

/* The key is what matters: a crawler that writes time.time() * 1000 loses nothing. */
static void rows_with_bad_hints_are_taken_without(void **state)
{
    struct world *w = *state;
    open_crawler(w);
    run(w, TABLE "INSERT INTO repl_outbox (key, size) VALUES ('a', 'big'), ('b', -1)");
    run(w, "INSERT INTO repl_outbox (key, event_time) VALUES ('c', 'yesterday')");
    run(w, "INSERT INTO repl_outbox (key, size, event_time) VALUES ('d', 7, 1764000000000.25)");
    struct outbox_batch batch = read_ok(w, start, 100);
    assert_int_equal(batch.count, 4);
    assert_int_equal(batch.bad_count, 4);
    for (int i = 0; i < 4; i++) {
        assert_true(batch.bad[i].taken);
        assert_int_equal(batch.changes[i].size, i == 3 ? 7 : CHANGE_SIZE_UNKNOWN);
        assert_int_equal(batch.changes[i].event_time_ms, 0);
    }
}

static void missing_then_there(void **state)
{
    struct world *w = *state;
    assert_true(outbox_has_news(w->o));
    assert_int_equal(read_code(w), UV_ENOENT);
    open_crawler(w);
    run(w, "CREATE TABLE other (x)");
    assert_int_equal(read_code(w), REPL_EBADINPUT);
    run(w, TABLE "INSERT INTO repl_outbox (key) VALUES ('a')");
    assert_int_equal(read_ok(w, start, 10).count, 1);
}

static void only_id_and_key_are_needed(void **state)
{
    struct world *w = *state;
    open_crawler(w);
    run(w, "CREATE TABLE repl_outbox (id INTEGER PRIMARY KEY, key TEXT);"
           "INSERT INTO repl_outbox (key) VALUES ('a')");
    struct outbox_batch batch = read_ok(w, start, 10);
    assert_int_equal(batch.count, 1);
    assert_true(span_eq_str(batch.changes[0].bucket, "crawl"));
}

static void a_locked_file_is_busy_and_passes(void **state)
{
    struct world *w = *state;
    open_crawler(w);
    run(w, TABLE "INSERT INTO repl_outbox (key) VALUES ('a')");
    run(w, "BEGIN EXCLUSIVE");
    assert_int_equal(read_code(w), UV_EBUSY);
    run(w, "COMMIT");
    assert_int_equal(read_ok(w, start, 10).count, 1);
}

static void no_transaction_is_left_open(void **state)
{
    struct world *w = *state;
    open_crawler(w);
    run(w, TABLE "INSERT INTO repl_outbox (key) VALUES ('a')");
    read_ok(w, start, 10);
    run(w, "BEGIN EXCLUSIVE"); /* would fail while a reader is inside */
    run(w, "COMMIT");
}

/* Another file at the path; the old one keeps its inode. */
static void replace_file(struct world *w, const char *text)
{
    char kept[80];
    sqlite3_close(w->db);
    snprintf(kept, sizeof(kept), "%s.old", w->path);
    assert_int_equal(rename(w->path, kept), 0);
    open_crawler(w);
    run(w, text);
}

static void a_replaced_file_is_another_outbox(void **state)
{
    struct world *w = *state;
    open_crawler(w);
    run(w, TABLE "INSERT INTO repl_outbox (key) VALUES ('a')");
    struct outbox_batch before = read_ok(w, start, 10);
    assert_true(before.cursor.identity != 0);
    assert_false(before.begins_anew);
    replace_file(w, TABLE "INSERT INTO repl_outbox (key) VALUES ('new')");
    assert_true(outbox_has_news(w->o));
    struct outbox_batch after = read_ok(w, before.cursor, 10);
    assert_true(after.begins_anew);
    assert_true(after.cursor.identity != before.cursor.identity);
    assert_true(span_eq_str(after.changes[0].key, "new"));
}

static void another_table_in_the_open_file_is_read_by_its_columns(void **state)
{
    struct world *w = *state;
    open_crawler(w);
    run(w, "CREATE TABLE repl_outbox (id INTEGER PRIMARY KEY, key TEXT);"
           "INSERT INTO repl_outbox (key) VALUES ('a')");
    struct outbox_batch batch = read_ok(w, start, 10);
    run(w, "DROP TABLE repl_outbox;" TABLE
           "INSERT INTO repl_outbox (key, kind) VALUES ('a', 'delete'), ('b', 'put')");
    batch = read_ok(w, batch.cursor, 10);
    assert_true(batch.begins_anew);
    assert_int_equal(batch.count, 2);
    assert_int_equal(batch.changes[0].kind, CHANGE_DELETE);
}

static void garbage_is_reported(void **state)
{
    struct world *w = *state;
    FILE *file = fopen(w->path, "w");
    for (int i = 0; i < 300; i++) {
        fputs("no database, really ", file);
    }
    fclose(file);
    assert_int_equal(read_code(w), REPL_EBADINPUT);
}

static void made_when_told_and_trimmed_when_told(void **state)
{
    struct world *w = *state;
    struct stat st;
    struct fail f;
    struct outbox_options o = {.path = w->path, .bucket = span_str("b"), .create = true};
    outbox_free(w->o);
    w->o = outbox_new(&o);
    assert_int_equal(read_ok(w, start, 10).count, 0);
    assert_int_equal(stat(w->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    open_crawler(w);
    run(w, "INSERT INTO repl_outbox (key) VALUES ('a'), ('b'), ('c')");
    struct outbox_batch batch = read_ok(w, start, 2);
    assert_int_equal(outbox_trim(w->o, &batch.cursor, 100, &f), 0);
    struct outbox_batch left = read_ok(w, start, 10);
    assert_int_equal(left.count, 2);
    assert_true(span_eq_str(left.changes[0].key, "b")); /* the proof of the cursor */
    assert_false(read_ok(w, batch.cursor, 10).begins_anew);
}

/* Between the look for news and the trim another file may have come to this path. */
static void rows_of_another_file_are_not_trimmed(void **state)
{
    struct world *w = *state;
    struct fail f;
    open_crawler(w);
    run(w, TABLE "INSERT INTO repl_outbox (key) VALUES ('a'), ('b')");
    struct outbox_cursor taken = read_ok(w, start, 10).cursor;
    replace_file(w, TABLE "INSERT INTO repl_outbox (key) VALUES ('unread'), ('unread too')");
    assert_int_equal(outbox_trim(w->o, &taken, 100, &f), REPL_ESTALE);
    assert_int_equal(read_ok(w, start, 10).count, 2);
}

/* What happened to the outbox between two reads, and how many rows must be read then. */
static const struct {
    const char *table;
    const char *then;
    bool begins_anew;
    size_t count;
} changed[] = {
    /* Nothing that gives an id out again. */
    {TABLE, "INSERT INTO repl_outbox (key) VALUES ('d')", false, 1},
    {TABLE, "DELETE FROM repl_outbox", false, 0},
    {TABLE, "DELETE FROM repl_outbox; INSERT INTO repl_outbox (key) VALUES ('d')", false, 1},
    {TABLE, "CREATE INDEX by_key ON repl_outbox (key); VACUUM", false, 0},
    {PLAIN, "DELETE FROM repl_outbox WHERE key <> 'c'", false, 0},
    /* The sequence begins again: fewer ids than were taken, as many, more. */
    {TABLE,
     "DELETE FROM repl_outbox; DELETE FROM sqlite_sequence;"
     "INSERT INTO repl_outbox (key) VALUES ('d')",
     true, 1},
    {TABLE,
     "DELETE FROM repl_outbox; DELETE FROM sqlite_sequence;"
     "INSERT INTO repl_outbox (key) VALUES ('d'), ('e'), ('f')",
     true, 3},
    {TABLE,
     "DROP TABLE repl_outbox;" TABLE
     "INSERT INTO repl_outbox (key) VALUES ('d'), ('e'), ('f'), ('g')",
     true, 4},
    {TABLE, "DROP TABLE repl_outbox;" TABLE, true, 0},
    /* The database remembers nothing of rows that are gone. */
    {PLAIN, "DELETE FROM repl_outbox WHERE key = 'c'", true, 2},
    {PLAIN, "DELETE FROM repl_outbox WHERE key = 'c'; INSERT INTO repl_outbox (key) VALUES ('d')",
     true, 3},
    /* The same keys, of another moment. */
    {TABLE,
     "DELETE FROM repl_outbox; DELETE FROM sqlite_sequence;"
     "INSERT INTO repl_outbox (key, event_time) VALUES ('a', 1700000000001), ('b', 1700000000002),"
     " ('c', 1700000000003)",
     true, 3},
};

static void an_outbox_that_begins_anew_is_read_from_its_start(void **state)
{
    struct world *w = *state;
    open_crawler(w);
    for (size_t i = 0; i < sizeof(changed) / sizeof(changed[0]); i++) {
        run(w, "DROP TABLE IF EXISTS repl_outbox");
        run(w, changed[i].table);
        run(w, "INSERT INTO repl_outbox (key) VALUES ('a'), ('b'), ('c')");
        struct outbox_cursor cursor = read_ok(w, start, 10).cursor;
        run(w, changed[i].then);
        struct outbox_batch batch = read_ok(w, cursor, 10);
        if (batch.begins_anew != changed[i].begins_anew || batch.count != changed[i].count) {
            fail_msg("%s: %s, %zu rows", changed[i].then, batch.begins_anew ? "anew" : "on",
                     batch.count);
        }
        batch = read_ok(w, batch.cursor, 10);
        assert_false(batch.begins_anew);
        assert_int_equal(batch.count, 0);
    }
}

/* The same rows in a file that was made later, whatever inode it was given. */
static void a_file_made_later_is_another_outbox(void **state)
{
    struct world *w = *state;
    open_crawler(w);
    run(w, TABLE "INSERT INTO repl_outbox (key) VALUES ('a'), ('b')");
    struct outbox_cursor cursor = read_ok(w, start, 10).cursor;
    sqlite3_close(w->db);
    outbox_free(w->o); /* which has the inode open */
    assert_int_equal(unlink(w->path), 0);
    open_crawler(w);
    run(w, TABLE "INSERT INTO repl_outbox (key) VALUES ('a'), ('b')");
    w->o = outbox_new(&(struct outbox_options){.path = w->path, .bucket = span_str("crawl")});
    struct outbox_batch batch = read_ok(w, cursor, 10);
    assert_true(batch.begins_anew);
    assert_int_equal(batch.count, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rows_become_changes),
        TEST(the_cursor_goes_on_and_news_are_noticed),
        TEST(bad_rows_are_passed_over_and_named),
        TEST(rows_with_bad_hints_are_taken_without),
        TEST(missing_then_there),
        TEST(only_id_and_key_are_needed),
        TEST(a_locked_file_is_busy_and_passes),
        TEST(no_transaction_is_left_open),
        TEST(a_replaced_file_is_another_outbox),
        TEST(another_table_in_the_open_file_is_read_by_its_columns),
        TEST(an_outbox_that_begins_anew_is_read_from_its_start),
        TEST(a_file_made_later_is_another_outbox),
        TEST(garbage_is_reported),
        TEST(made_when_told_and_trimmed_when_told),
        TEST(rows_of_another_file_are_not_trimmed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
