/* SQLite backend: whose file it is. A journal is told by its application_id; what is another
 * program's is refused before anything of it changes. */
#include "daemon/base/buf.h"
#include "journal/place.h"
#include "journal/sqlite_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* The tables that every version of the journal has had. */
#define OUR_TABLES       "'lease','sequence','vals','rules','counts','tasks','uploads','parts','replicas'"
#define OUR_TABLES_COUNT 9

#define TO_TEXT_(x) #x
#define TO_TEXT(x)  TO_TEXT_(x)

/* ---- looking ---- */

/* An immutable file is read without locks, and nothing is made beside it; what is only in its -wal
 * is not seen. */
static char *immutable_uri(const char *path)
{
    struct buf uri = {0};
    buf_str(&uri, path[0] == '/' ? "file://" : "file:");
    for (const char *c = path; *c != '\0'; c++) {
        if (*c == '%' || *c == '?' || *c == '#') {
            buf_printf(&uri, "%%%02X", (unsigned)*c);
        } else {
            buf_char(&uri, *c);
        }
    }
    buf_str(&uri, "?immutable=1");
    return buf_take(&uri);
}

static bool has_log(const char *path)
{
    struct stat st;
    char *name = mem_printf("%s-wal", path);
    bool has = stat(name, &st) == 0 && st.st_size > 0;
    mem_free(name);
    return has;
}

static int open_to_look(const char *path, bool immutable, sqlite3 **ret)
{
    char *name = immutable ? immutable_uri(path) : mem_strdup(path);
    int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | (immutable ? SQLITE_OPEN_URI : 0);
    int rc = sqlite3_open_v2(name, ret, flags, NULL);
    mem_free(name);
    if (rc == SQLITE_OK) {
        sqlite3_busy_timeout(*ret, SQLITE_BUSY_MS);
        sqlite3_db_config(*ret, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    }
    return rc;
}

/* ---- judging ---- */

static int refuse_foreign(const char *path, struct fail *f)
{
    fail_set(f, REPL_EBADINPUT,
             "%s is a SQLite database of another program, not a journal of repld", path);
    fail_hint(f, "name another file (journal.path or --journal)");
    return REPL_EBADINPUT;
}

/* Nobody has put anything into it yet, as into the file of a program that was killed at its
 * first start; or a journal of the time when they had no application_id. */
static int judge_unmarked(sqlite3 *db, bool *ret_ours)
{
    int version = 0;
    int things = 0;
    int tables = 0;
    int rc = sqlite_read_int(db, "PRAGMA user_version", &version);
    if (rc == SQLITE_OK) {
        rc = sqlite_read_int(db, "SELECT count(*) FROM sqlite_master", &things);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite_read_int(db,
                             "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN"
                             " (" OUR_TABLES ")",
                             &tables);
    }
    *ret_ours = (version == 0 && things == 0) || (version >= 1 && tables == OUR_TABLES_COUNT);
    return rc;
}

/* One page is read, and no lock taken. 0 when there is none, or when it cannot be read. */
static int id_in_header(const char *path)
{
    sqlite3 *db = NULL;
    int id = 0;
    if (open_to_look(path, true, &db) == SQLITE_OK) {
        sqlite_read_int(db, "PRAGMA application_id", &id);
    }
    sqlite3_close_v2(db);
    return id;
}

/* The header may be older than the log, and the file torn where the log is whole. */
static int look_into(const char *path, enum sqlite_file *ret, struct fail *f)
{
    sqlite3 *db = NULL;
    int id = 0;
    bool ours = false;
    int rc = open_to_look(path, !has_log(path), &db);
    if (rc == SQLITE_OK) {
        rc = sqlite_read_int(db, "PRAGMA application_id", &id);
    }
    if (rc == SQLITE_OK && id == 0) {
        rc = judge_unmarked(db, &ours);
    }
    int r = rc == SQLITE_OK ? 0 : sqlite_error(db, path, rc, f, "reading it");
    sqlite3_close_v2(db);
    if (r == 0 && id != SQLITE_APPLICATION_ID && !ours) {
        r = refuse_foreign(path, f);
    }
    *ret = id == SQLITE_APPLICATION_ID ? SQLITE_FILE_MARKED : SQLITE_FILE_UNMARKED;
    return r;
}

int sqlite_file_look(const char *path, enum sqlite_file *ret, struct fail *f)
{
    uint64_t size = 0;
    int r = place_look(path, &size, f);
    *ret = SQLITE_FILE_NEW;
    if (r == REPL_ENOTFOUND || (r == 0 && size == 0)) {
        return 0;
    }
    if (r < 0) {
        return r;
    }
    int id = id_in_header(path);
    if (id == SQLITE_APPLICATION_ID) {
        *ret = SQLITE_FILE_MARKED;
        return 0;
    }
    return id != 0 ? refuse_foreign(path, f) : look_into(path, ret, f);
}

int backend_look_sqlite(const char *path, struct fail *f)
{
    enum sqlite_file file;
    return sqlite_file_look(path, &file, f);
}

/* ---- making it ours ---- */

/* SQLite gives its -wal and -shm files the mode of the database, so it is enough to make that. */
int sqlite_file_make(const char *path, struct fail *f)
{
    struct stat st;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || fstat(fd, &st) < 0) {
        int r = place_fail(path, path, errno, f);
        if (fd >= 0) {
            close(fd);
        }
        return r;
    }
    if ((st.st_mode & 077) != 0) {
        fchmod(fd, 0600);
    }
    close(fd);
    return 0;
}

int sqlite_file_mark(sqlite3 *db)
{
    return sqlite3_exec(db, "PRAGMA application_id = " TO_TEXT(SQLITE_APPLICATION_ID), NULL, NULL,
                        NULL);
}
