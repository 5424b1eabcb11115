/* The outbox reader: making, opening, and getting to know the table. */
#include "journal/outbox_impl.h"

#include "daemon/base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#define BUSY_MS 200

static const char *const column_names[COLS] = {"bucket", "kind", "endpoint",  "version_id",
                                               "etag",   "size", "event_time"};

struct outbox *outbox_new(const struct outbox_options *options)
{
    struct outbox *o = MEM_NEW(struct outbox);
    o->path = mem_strdup(options->path);
    o->endpoint = mem_dup_span(options->endpoint);
    o->bucket = mem_dup_span(options->bucket);
    o->group = options->group != NULL ? mem_strdup(options->group) : NULL;
    o->create = options->create;
    return o;
}

static void close_db(struct outbox *o)
{
    sqlite3_finalize(o->data_version_stmt);
    sqlite3_finalize(o->schema_version_stmt);
    sqlite3_finalize(o->read_stmt);
    sqlite3_close_v2(o->db);
    o->data_version_stmt = NULL;
    o->schema_version_stmt = NULL;
    o->read_stmt = NULL;
    o->db = NULL;
    o->data_version = 0;
    o->schema_version = -1;
}

void outbox_free(struct outbox *o)
{
    if (o == NULL) {
        return;
    }
    close_db(o);
    mem_free(o->path);
    mem_free(o->endpoint);
    mem_free(o->bucket);
    mem_free(o->group);
    mem_free(o);
}

/* ---- errors ---- */

static int db_error(struct outbox *o, int rc, const char *doing, struct fail *f)
{
    int code = UV_EIO;
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        code = UV_EBUSY;
        fail_set(f, code, "outbox %s is locked by another program", o->path);
        fail_hint(f, "keep the crawler's write transactions short, or use journal_mode=WAL");
        return code;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        code = REPL_EBADINPUT;
        break;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
        code = UV_EACCES;
        break;
    default:
        break;
    }
    fail_set(f, code, "outbox %s: %s: %s", o->path, doing,
             o->db != NULL ? sqlite3_errmsg(o->db) : sqlite3_errstr(rc));
    if (code == UV_EACCES) {
        fail_hint(f, "repld needs to read and write the file, its -wal and -shm, and the folder");
    }
    return code;
}

/* ---- making our own ---- */

static int set_group(const struct outbox *o, struct fail *f)
{
    if (o->group == NULL) {
        return 0;
    }
    const struct group *g = getgrnam(o->group);
    if (g == NULL) {
        return fail_set(f, REPL_EBADINPUT, "outbox %s: there is no group \"%s\"", o->path,
                        o->group);
    }
    if (chown(o->path, (uid_t)-1, g->gr_gid) < 0) {
        int error = errno;
        return fail_set(f, -error, "outbox %s: changing its group: %s", o->path, strerror(error));
    }
    return 0;
}

static int make_file(struct outbox *o, struct fail *f)
{
    int fd = open(o->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0660);
    if (fd < 0) {
        int error = errno;
        return error == EEXIST ? 0 : fail_set(f, -error, "outbox %s: %s", o->path, strerror(error));
    }
    fchmod(fd, 0660);
    close(fd);
    return set_group(o, f);
}

static int make_table(struct outbox *o, struct fail *f)
{
    static const char text[] =
        "PRAGMA journal_mode=WAL;"
        "CREATE TABLE IF NOT EXISTS repl_outbox (id INTEGER PRIMARY KEY AUTOINCREMENT,"
        " bucket TEXT, key TEXT NOT NULL, kind TEXT DEFAULT 'put', endpoint TEXT, version_id TEXT,"
        " etag TEXT, size INTEGER, event_time INTEGER);";
    int rc = sqlite3_exec(o->db, text, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : db_error(o, rc, "making the table", f);
}

/* ---- opening ---- */

static int missing(const struct outbox *o, int error, struct fail *f)
{
    fail_set(f, -error, "outbox %s: %s", o->path, strerror(error));
    fail_hint(f, "it is looked for until it is there");
    return -error;
}

static int prepare_versions(struct outbox *o)
{
    int rc = sqlite3_prepare_v2(o->db, "PRAGMA data_version", -1, &o->data_version_stmt, NULL);
    return rc != SQLITE_OK ? rc
                           : sqlite3_prepare_v2(o->db, "PRAGMA schema_version", -1,
                                                &o->schema_version_stmt, NULL);
}

static int connect_db(struct outbox *o, struct fail *f)
{
    /* Readers of a WAL database write its -shm, so read-only is the second choice. */
    o->writable = access(o->path, W_OK) == 0;
    int mode = o->writable ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
    int rc = sqlite3_open_v2(o->path, &o->db, mode | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_busy_timeout(o->db, BUSY_MS);
        rc = prepare_versions(o);
    }
    return rc == SQLITE_OK ? 0 : db_error(o, rc, "opening", f);
}

/* Tells a file from one that was made later with the same inode. */
static uint64_t birth_of(const char *path)
{
    struct statx st;
    if (statx(AT_FDCWD, path, 0, STATX_BTIME, &st) < 0 || (st.stx_mask & STATX_BTIME) == 0) {
        return 0;
    }
    return (uint64_t)st.stx_btime.tv_sec * 1000000000u + st.stx_btime.tv_nsec;
}

static int open_db(struct outbox *o, struct fail *f)
{
    struct stat st;
    int r = o->create ? make_file(o, f) : 0;
    if (r < 0) {
        return r;
    }
    if (stat(o->path, &st) < 0) {
        return missing(o, errno, f);
    }
    o->dev = st.st_dev;
    o->ino = st.st_ino;
    o->born = birth_of(o->path);
    o->unread = true;
    o->schema_version = -1;
    if ((r = connect_db(o, f)) < 0 || (o->create && (r = make_table(o, f)) < 0)) {
        close_db(o);
    }
    return r;
}

bool outbox_is_replaced(const struct outbox *o)
{
    struct stat st;
    return stat(o->path, &st) < 0 || st.st_dev != o->dev || st.st_ino != o->ino;
}

/* ---- the table ---- */

int64_t outbox_version(sqlite3_stmt *s)
{
    int64_t version = -1;
    if (sqlite3_step(s) == SQLITE_ROW) {
        version = sqlite3_column_int64(s, 0);
    }
    sqlite3_reset(s);
    return version;
}

static int read_columns(struct outbox *o, bool has[COLS], struct fail *f)
{
    sqlite3_stmt *s = NULL;
    bool has_id = false;
    bool has_key = false;
    int rc = sqlite3_prepare_v2(o->db, "SELECT name FROM pragma_table_info('repl_outbox')", -1, &s,
                                NULL);
    while (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(s, 0);
        has_id = has_id || sqlite3_stricmp(name, "id") == 0;
        has_key = has_key || sqlite3_stricmp(name, "key") == 0;
        for (int i = 0; i < COLS; i++) {
            has[i] = has[i] || sqlite3_stricmp(name, column_names[i]) == 0;
        }
        rc = SQLITE_OK;
    }
    sqlite3_finalize(s);
    if (rc != SQLITE_DONE) {
        return db_error(o, rc, "reading its columns", f);
    }
    if (!has_id || !has_key) {
        fail_set(f, REPL_EBADINPUT, "outbox %s has no table repl_outbox with columns id and key",
                 o->path);
        fail_hint(f, "see repl-outbox(5) for the table, or set create: true");
        return REPL_EBADINPUT;
    }
    return 0;
}

static int prepare_read(struct outbox *o, const bool has[COLS], struct fail *f)
{
    char text[640];
    int n = snprintf(text, sizeof(text), "SELECT id, CAST(key AS BLOB)");
    for (int i = 0; i < COLS; i++) {
        n +=
            snprintf(text + n, sizeof(text) - (size_t)n, ", %s", has[i] ? column_names[i] : "NULL");
    }
    snprintf(text + n, sizeof(text) - (size_t)n,
             " FROM repl_outbox WHERE id > ? ORDER BY id LIMIT ?");
    int rc = sqlite3_prepare_v2(o->db, text, -1, &o->read_stmt, NULL);
    return rc == SQLITE_OK ? 0 : db_error(o, rc, "preparing to read", f);
}

/* Device, inode, birth and the table's definition: another file or table is another outbox. */
static int find_identity(struct outbox *o, struct fail *f)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(o->db, "SELECT sql FROM sqlite_schema WHERE name = 'repl_outbox'",
                                -1, &s, NULL);
    if (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        const uint64_t file[] = {(uint64_t)o->dev, (uint64_t)o->ino, o->born};
        uint64_t id = hash_bytes(span_of((const char *)file, sizeof(file)), 0);
        id = hash_bytes(span_str((const char *)sqlite3_column_text(s, 0)), id);
        o->identity = id != 0 ? id : 1;
    }
    sqlite3_finalize(s);
    return rc == SQLITE_ROW ? 0 : db_error(o, rc, "reading its table", f);
}

/* The table may be dropped and made again, with other columns, while the file stays open. */
static int learn_table(struct outbox *o, struct fail *f)
{
    int64_t version = outbox_version(o->schema_version_stmt);
    if (version < 0) {
        return db_error(o, sqlite3_errcode(o->db), "reading", f);
    }
    if (version == o->schema_version) {
        return 0;
    }
    bool has[COLS] = {0};
    int r;
    sqlite3_finalize(o->read_stmt);
    o->read_stmt = NULL;
    o->schema_version = -1;
    if ((r = read_columns(o, has, f)) == 0 && (r = find_identity(o, f)) == 0 &&
        (r = prepare_read(o, has, f)) == 0) {
        o->schema_version = version;
    }
    return r;
}

/* ---- transactions ---- */

static void leave_after(struct outbox *o, int r)
{
    outbox_leave(o);
    if (r != UV_EBUSY) {
        close_db(o);
    }
}

int outbox_enter(struct outbox *o, const char *begin, struct fail *f)
{
    if (o->db != NULL && outbox_is_replaced(o)) {
        close_db(o);
    }
    int r = o->db != NULL ? 0 : open_db(o, f);
    if (r < 0) {
        return r;
    }
    int rc = sqlite3_exec(o->db, begin, NULL, NULL, NULL);
    r = rc == SQLITE_OK ? learn_table(o, f) : db_error(o, rc, "beginning", f);
    if (r < 0) {
        leave_after(o, r);
    }
    return r;
}

void outbox_leave(struct outbox *o)
{
    if (!sqlite3_get_autocommit(o->db)) {
        sqlite3_exec(o->db, "ROLLBACK", NULL, NULL, NULL);
    }
}

int outbox_give_up(struct outbox *o, int rc, const char *doing, struct fail *f)
{
    int r = db_error(o, rc, doing, f);
    leave_after(o, r);
    return r;
}
