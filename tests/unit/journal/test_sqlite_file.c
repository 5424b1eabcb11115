/* Whose file it is: journals are opened, whatever their age; what is not one stays as it is. */
#include "tests/unit/support/backend_world.h"

#include "daemon/base/loop.h"
#include "journal/journal.h"
#include "tests/unit/support/folder.h"

#include <errno.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define CACHE  ((uint64_t)1 << 20)
#define OURS   0x7265706c
#define NOBODY 65534

struct place {
    char folder[64];
    char path[96];
    struct fail f;
};

static int set_up(void **state)
{
    struct place *p = MEM_NEW(struct place);
    test_folder(p->folder, sizeof(p->folder));
    snprintf(p->path, sizeof(p->path), "%s/a b%%3f?#.db", p->folder);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;
    char command[96];
    snprintf(command, sizeof(command), "rm -r %s", p->folder);
    assert_int_equal(system(command), 0);
    mem_free(p);
    return 0;
}

/* ---- files and what they hold ---- */

static void execute(const struct place *p, const char *text)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static int number(const struct place *p, const char *text)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, text, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int n = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return n;
}

static struct span content(const char *path)
{
    struct stat st;
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fstat(fileno(file), &st), 0);
    char *data = mem_alloc((size_t)st.st_size + 1);
    assert_int_equal(fread(data, 1, (size_t)st.st_size, file), st.st_size);
    fclose(file);
    return span_of(data, (size_t)st.st_size);
}

static void free_content(struct span s)
{
    mem_free((void *)(uintptr_t)s.ptr);
}

static int in_folder(const struct place *p)
{
    char command[96];
    int n = 0;
    snprintf(command, sizeof(command), "ls -A %s | wc -l", p->folder);
    FILE *pipe = popen(command, "re");
    assert_int_equal(fscanf(pipe, "%d", &n), 1);
    pclose(pipe);
    return n;
}

static void open_and_close(struct place *p)
{
    struct backend *b;
    int r = backend_open_sqlite(p->path, BACKEND_WRITER, CACHE, &b, &p->f);
    if (r < 0) {
        fail_msg("%s", p->f.text);
    }
    b->ops->close(b);
}

static int try_journal(struct place *p)
{
    struct journal *j = NULL;
    struct loop *loop = loop_new_virtual(1, 1700000000000);
    struct journal_options o = {
        .loop = loop, .executor = JOURNAL_INLINE, .path = p->path, .owner = "test"};
    int r = journal_open(&o, &j, &p->f);
    assert_int_not_equal(r, 0);
    loop_free(loop);
    return r;
}

/* Neither the front nor the backend takes it, and nothing of it, nor beside it, changes. */
static void stays_another_programs(struct place *p)
{
    struct stat before;
    struct stat after;
    struct backend *b;
    struct span old = content(p->path);
    int files = in_folder(p);
    assert_int_equal(stat(p->path, &before), 0);
    assert_int_equal(try_journal(p), REPL_EBADINPUT);
    assert_int_equal(backend_open_sqlite(p->path, BACKEND_WRITER, CACHE, &b, &p->f),
                     REPL_EBADINPUT);
    assert_non_null(strstr(p->f.text, p->path));
    assert_non_null(strstr(p->f.text, "another program"));
    assert_non_null(strstr(p->f.hint, "--journal"));
    assert_int_equal(stat(p->path, &after), 0);
    assert_int_equal(after.st_mode, before.st_mode);
    assert_int_equal(in_folder(p), files);
    struct span new = content(p->path);
    assert_true(span_eq(old, new));
    free_content(old);
    free_content(new);
}

/* ---- whose it is ---- */

static void a_new_journal_is_marked(void **state)
{
    struct place *p = *state;
    open_and_close(p);
    assert_int_equal(number(p, "PRAGMA application_id"), OURS);
    open_and_close(p);
}

/* The mark is in the file itself, not only in its log, before there is anything else. */
static void a_new_journal_is_marked_before_all_else(void **state)
{
    struct place *p = *state;
    struct backend *b;
    assert_int_equal(backend_open_sqlite(p->path, BACKEND_WRITER, CACHE, &b, &p->f), 0);
    struct span now = content(p->path);
    assert_true(now.len >= 100);
    assert_memory_equal(now.ptr + 68, "repl", 4);
    free_content(now);
    b->ops->close(b);
}

static void an_empty_file_becomes_a_journal(void **state)
{
    struct place *p = *state;
    struct stat st;
    fclose(fopen(p->path, "we"));
    open_and_close(p);
    assert_int_equal(stat(p->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(number(p, "PRAGMA application_id"), OURS);
}

/* As a program of before the mark leaves it when it is killed at its first start. */
static void a_database_without_content_becomes_a_journal(void **state)
{
    struct place *p = *state;
    execute(p, "PRAGMA journal_mode=WAL; CREATE TABLE t (a); DROP TABLE t;");
    open_and_close(p);
    assert_int_equal(number(p, "PRAGMA application_id"), OURS);
}

static void a_journal_from_before_the_mark_gets_it(void **state)
{
    struct place *p = *state;
    open_and_close(p);
    execute(p, "PRAGMA application_id = 0; INSERT INTO vals VALUES ('kept', 'x');");
    int version = number(p, "PRAGMA user_version");
    open_and_close(p);
    assert_int_equal(number(p, "PRAGMA application_id"), OURS);
    assert_int_equal(number(p, "PRAGMA user_version"), version);
    assert_int_equal(number(p, "SELECT count(*) FROM vals"), 1);
}

/* Its program was killed: all that it has is in the log, and the file's header knows nothing. That
 * it was read is told by what is wrong with it: a schema from the future. */
static void an_unmarked_journal_that_is_all_in_its_log(void **state)
{
    struct place *p = *state;
    struct backend *b;
    sqlite3 *db;
    assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    assert_int_equal(
        sqlite3_exec(db,
                     "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; BEGIN;"
                     "CREATE TABLE lease (a); CREATE TABLE sequence (a); CREATE TABLE vals (a);"
                     "CREATE TABLE rules (a); CREATE TABLE counts (a); CREATE TABLE tasks (a);"
                     "CREATE TABLE uploads (a); CREATE TABLE parts (a); CREATE TABLE replicas (a);"
                     "PRAGMA user_version = 99; COMMIT;",
                     NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
    struct span file = content(p->path);
    assert_int_equal(file.len, 4096);
    free_content(file);
    assert_int_equal(backend_open_sqlite(p->path, BACKEND_WRITER, CACHE, &b, &p->f), REPL_ESCHEMA);
    assert_int_equal(number(p, "PRAGMA application_id"), 0);
}

#define CRAWLERS                                                                                   \
    "CREATE TABLE pages (url TEXT, at INTEGER); CREATE TABLE lease (host TEXT);"                   \
    "INSERT INTO pages VALUES ('http://example.com/', 1);"

static void a_database_of_another_program_stays(void **state)
{
    struct place *p = *state;
    execute(p, CRAWLERS);
    chmod(p->path, 0644);
    stays_another_programs(p);
}

static void so_does_one_in_wal_mode(void **state)
{
    struct place *p = *state;
    execute(p, "PRAGMA journal_mode=WAL;" CRAWLERS);
    chmod(p->path, 0664);
    stays_another_programs(p);
}

/* While its program writes, and has told of all only in the log. */
static void so_does_one_that_is_in_use(void **state)
{
    struct place *p = *state;
    sqlite3 *db;
    assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;" CRAWLERS
                                  "BEGIN IMMEDIATE; DELETE FROM pages;",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    stays_another_programs(p);
    assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void so_does_one_with_a_version(void **state)
{
    struct place *p = *state;
    execute(p, CRAWLERS "PRAGMA user_version = 7;");
    stays_another_programs(p);
}

/* A version is content as well. */
static void so_does_one_with_nothing_but_a_version(void **state)
{
    struct place *p = *state;
    execute(p, "PRAGMA user_version = 7;");
    stays_another_programs(p);
}

static void so_does_one_with_another_mark(void **state)
{
    struct place *p = *state;
    open_and_close(p);
    execute(p, "PRAGMA application_id = 1196444487;");
    chmod(p->path, 0644);
    stays_another_programs(p);
}

/* ---- what is broken ---- */

static void a_file_that_is_no_database_stays(void **state)
{
    struct place *p = *state;
    struct stat st;
    FILE *file = fopen(p->path, "we");
    for (int i = 0; i < 300; i++) {
        fputs("this is no database ", file);
    }
    fclose(file);
    chmod(p->path, 0644);
    assert_int_equal(try_journal(p), REPL_EJOURNAL);
    assert_non_null(strstr(p->f.text, p->path));
    assert_non_null(strstr(p->f.text, "not a database"));
    assert_non_null(strstr(p->f.hint, "restore a backup"));
    assert_int_equal(stat(p->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644);
    assert_int_equal(in_folder(p), 1);
}

static void damage(const struct place *p, const char *table)
{
    char text[96];
    snprintf(text, sizeof(text), "SELECT rootpage FROM sqlite_master WHERE name = '%s'", table);
    int page = number(p, text);
    FILE *file = fopen(p->path, "r+e");
    fseek(file, (long)(page - 1) * 4096, SEEK_SET);
    for (int i = 0; i < 4096; i++) {
        fputc(0xa5, file);
    }
    fclose(file);
}

static void a_damaged_page_names_the_file(void **state)
{
    static const char *const tables[] = {"lease", "counts"};
    struct place *p = *state;
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        unlink(p->path);
        open_and_close(p);
        execute(p, "INSERT INTO counts (rule) VALUES (1); INSERT INTO tasks (rule, key, state,"
                   " origin, kind, size, event_ms, oldest_ms, accepted_ms, seq)"
                   " VALUES (1, 'k', 1, 0, 1, 1, 1, 1, 1, 1);");
        damage(p, tables[i]);
        assert_int_equal(try_journal(p), REPL_EJOURNAL);
        assert_non_null(strstr(p->f.text, p->path));
        assert_non_null(strstr(p->f.text, "malformed"));
        assert_non_null(strstr(p->f.hint, "restore a backup"));
        assert_non_null(strstr(p->f.hint, "--existing"));
    }
}

/* The table is whole and its one row is not there. */
static void a_journal_without_its_lease(void **state)
{
    struct place *p = *state;
    open_and_close(p);
    execute(p, "DELETE FROM lease");
    assert_int_equal(try_journal(p), REPL_EJOURNAL);
    assert_non_null(strstr(p->f.text, p->path));
    assert_non_null(strstr(p->f.text, "malformed"));
    assert_non_null(strstr(p->f.hint, "restore a backup"));
}

/* ---- what cannot be opened ---- */

static void a_directory_is_named_as_one(void **state)
{
    struct place *p = *state;
    char inside[112];
    snprintf(inside, sizeof(inside), "%s/journal.db", p->path);
    assert_int_equal(mkdir(p->path, 0700), 0);
    assert_int_equal(try_journal(p), -EISDIR);
    assert_non_null(strstr(p->f.text, p->path));
    assert_non_null(strstr(p->f.text, "is a directory"));
    assert_non_null(strstr(p->f.hint, inside));
    assert_int_equal(in_folder(p), 1);
}

static void a_link_is_named_as_one(void **state)
{
    struct place *p = *state;
    assert_int_equal(symlink("/nowhere", p->path), 0);
    assert_int_equal(try_journal(p), -ELOOP);
    assert_non_null(strstr(p->f.text, "symbolic link"));
    assert_int_equal(in_folder(p), 1);
}

static void a_folder_that_is_not_there(void **state)
{
    struct place *p = *state;
    snprintf(p->path, sizeof(p->path), "%s/none/journal.db", p->folder);
    assert_int_equal(try_journal(p), -ENOENT);
    assert_non_null(strstr(p->f.text, p->path));
    assert_non_null(strstr(p->f.hint, "folder must exist"));
}

static int try_as_nobody(struct place *p)
{
    assert_int_equal(seteuid(NOBODY), 0);
    int r = try_journal(p);
    assert_int_equal(seteuid(0), 0);
    return r;
}

static void a_journal_of_another_user(void **state)
{
    struct place *p = *state;
    if (geteuid() != 0) {
        skip(); /* nobody else can become another user */
    }
    open_and_close(p);
    chmod(p->folder, 0755);
    assert_int_equal(try_as_nobody(p), -EACCES);
    assert_non_null(strstr(p->f.text, p->path));
    assert_non_null(strstr(p->f.text, "belongs to user root"));
    assert_non_null(strstr(p->f.text, "runs as user nobody"));
    assert_non_null(strstr(p->f.hint, "give that to user nobody"));
    assert_null(strstr(p->f.hint, "run it as")); /* root */
}

/* The journal may be opened and its lock may not; or nothing is there, in another user's folder. */
static void a_lock_and_a_folder_of_another_user(void **state)
{
    struct place *p = *state;
    char lock[112];
    if (geteuid() != 0) {
        skip();
    }
    chmod(p->folder, 0755);
    assert_int_equal(try_as_nobody(p), -EACCES);
    assert_non_null(strstr(p->f.text, "its folder"));
    assert_non_null(strstr(p->f.text, "belongs to user root"));
    snprintf(lock, sizeof(lock), "%s-lock", p->path);
    fclose(fopen(lock, "we"));
    chmod(lock, 0600);
    assert_int_equal(try_as_nobody(p), -EACCES);
    assert_non_null(strstr(p->f.text, lock));
    assert_non_null(strstr(p->f.text, "belongs to user root"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_journal_is_marked),
        TEST(a_new_journal_is_marked_before_all_else),
        TEST(an_empty_file_becomes_a_journal),
        TEST(a_database_without_content_becomes_a_journal),
        TEST(a_journal_from_before_the_mark_gets_it),
        TEST(an_unmarked_journal_that_is_all_in_its_log),
        TEST(a_database_of_another_program_stays),
        TEST(so_does_one_in_wal_mode),
        TEST(so_does_one_that_is_in_use),
        TEST(so_does_one_with_a_version),
        TEST(so_does_one_with_nothing_but_a_version),
        TEST(so_does_one_with_another_mark),
        TEST(a_file_that_is_no_database_stays),
        TEST(a_damaged_page_names_the_file),
        TEST(a_journal_without_its_lease),
        TEST(a_directory_is_named_as_one),
        TEST(a_link_is_named_as_one),
        TEST(a_folder_that_is_not_there),
        TEST(a_journal_of_another_user),
        TEST(a_lock_and_a_folder_of_another_user),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
