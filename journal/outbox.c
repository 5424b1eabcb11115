#include "journal/outbox.h"

#include "daemon/base/hash.h"
#include "daemon/base/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#define BUSY_MS 200

enum column { COL_BUCKET, COL_KIND, COL_ENDPOINT, COL_VERSION, COL_ETAG, COL_SIZE, COL_TIME, COLS };

static const char *const column_names[COLS] = {"bucket", "kind", "endpoint",  "version_id",
                                               "etag",   "size", "event_time"};

struct outbox {
    char *path;
    char *endpoint;
    char *bucket;
    char *group;
    bool create;
    sqlite3 *db; /* NULL: not open */
    bool writable;
    dev_t dev;
    ino_t ino;
    uint64_t identity;
    int64_t data_version; /* at the last read */
    bool unread;          /* a read is due whatever the version says */
    bool has[COLS];
    sqlite3_stmt *version_stmt;
    sqlite3_stmt *read_stmt;
};

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
    sqlite3_finalize(o->version_stmt);
    sqlite3_finalize(o->read_stmt);
    sqlite3_close_v2(o->db);
    o->version_stmt = NULL;
    o->read_stmt = NULL;
    o->db = NULL;
    o->data_version = 0;
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

static int read_columns(struct outbox *o, struct fail *f)
{
    sqlite3_stmt *s = NULL;
    bool has_id = false;
    bool has_key = false;
    int rc = sqlite3_prepare_v2(o->db, "SELECT name FROM pragma_table_info('repl_outbox')", -1, &s,
                                NULL);
    memset(o->has, 0, sizeof(o->has));
    while (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(s, 0);
        has_id = has_id || sqlite3_stricmp(name, "id") == 0;
        has_key = has_key || sqlite3_stricmp(name, "key") == 0;
        for (int i = 0; i < COLS; i++) {
            o->has[i] = o->has[i] || sqlite3_stricmp(name, column_names[i]) == 0;
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

static int prepare(struct outbox *o, struct fail *f)
{
    char text[640];
    int n = snprintf(text, sizeof(text), "SELECT id, CAST(key AS BLOB)");
    for (int i = 0; i < COLS; i++) {
        n += snprintf(text + n, sizeof(text) - (size_t)n, ", %s",
                      o->has[i] ? column_names[i] : "NULL");
    }
    snprintf(text + n, sizeof(text) - (size_t)n,
             " FROM repl_outbox WHERE id > ? ORDER BY id LIMIT ?");
    int rc = sqlite3_prepare_v2(o->db, text, -1, &o->read_stmt, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_prepare_v2(o->db, "PRAGMA data_version", -1, &o->version_stmt, NULL);
    }
    return rc == SQLITE_OK ? 0 : db_error(o, rc, "preparing to read", f);
}

/* Device, inode and the table's definition: another file or another table is another outbox. */
static int find_identity(struct outbox *o, struct fail *f)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(o->db, "SELECT sql FROM sqlite_schema WHERE name = 'repl_outbox'",
                                -1, &s, NULL);
    if (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        uint64_t id = hash_bytes(span_str((const char *)sqlite3_column_text(s, 0)),
                                 (uint64_t)o->ino * 0x9e3779b97f4a7c15u + (uint64_t)o->dev);
        o->identity = id != 0 ? id : 1;
    }
    sqlite3_finalize(s);
    return rc == SQLITE_ROW ? 0 : db_error(o, rc, "reading its table", f);
}

static int missing(const struct outbox *o, int error, struct fail *f)
{
    fail_set(f, -error, "outbox %s: %s", o->path, strerror(error));
    fail_hint(f, "it is looked for until it is there");
    return -error;
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
    /* Readers of a WAL database write its -shm, so read-only is the second choice. */
    o->writable = access(o->path, W_OK) == 0;
    int rc = sqlite3_open_v2(
        o->path, &o->db,
        (o->writable ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK) {
        r = db_error(o, rc, "opening", f);
        close_db(o);
        return r;
    }
    sqlite3_busy_timeout(o->db, BUSY_MS);
    o->dev = st.st_dev;
    o->ino = st.st_ino;
    o->unread = true;
    if ((o->create && (r = make_table(o, f)) < 0) || (r = read_columns(o, f)) < 0 ||
        (r = find_identity(o, f)) < 0 || (r = prepare(o, f)) < 0) {
        close_db(o);
    }
    return r;
}

static bool is_replaced(const struct outbox *o)
{
    struct stat st;
    return stat(o->path, &st) < 0 || st.st_dev != o->dev || st.st_ino != o->ino;
}

static int ensure_open(struct outbox *o, struct fail *f)
{
    if (o->db != NULL && is_replaced(o)) {
        close_db(o);
    }
    return o->db != NULL ? 0 : open_db(o, f);
}

/* ---- news ---- */

/* -1 when it cannot be read now. */
static int64_t read_data_version(struct outbox *o)
{
    int64_t version = -1;
    if (sqlite3_step(o->version_stmt) == SQLITE_ROW) {
        version = sqlite3_column_int64(o->version_stmt, 0);
    }
    sqlite3_reset(o->version_stmt);
    return version;
}

bool outbox_has_news(struct outbox *o)
{
    if (o->db == NULL || is_replaced(o) || o->unread) {
        return true;
    }
    return read_data_version(o) != o->data_version;
}

uint64_t outbox_identity(struct outbox *o)
{
    struct fail ignored;
    ensure_open(o, &ignored);
    return o->identity;
}

/* ---- rows ---- */

static struct span column_span(sqlite3_stmt *s, int at, struct arena *a)
{
    if (sqlite3_column_type(s, at) == SQLITE_NULL) {
        return span_of(NULL, 0);
    }
    const char *ptr = sqlite3_column_blob(s, at);
    return arena_span(a, span_of(ptr != NULL ? ptr : "", (size_t)sqlite3_column_bytes(s, at)));
}

/* A date, or digits where the column made text of them. */
static int parse_time(struct span text, int64_t *ret)
{
    unsigned long long ms;
    if (text.len > 8 && span_to_u64(text, &ms) == 0 && ms <= INT64_MAX) {
        *ret = (int64_t)ms;
        return 0;
    }
    return time_parse(text.ptr, text.len, ret);
}

/* An integer is Unix milliseconds; text a date. */
static int read_time(sqlite3_stmt *s, int at, int64_t *ret)
{
    switch (sqlite3_column_type(s, at)) {
    case SQLITE_NULL:
        *ret = 0;
        return 0;
    case SQLITE_INTEGER:
        *ret = sqlite3_column_int64(s, at);
        return *ret < 0 ? REPL_EBADINPUT : 0;
    case SQLITE_TEXT:
        return parse_time(
            span_of((const char *)sqlite3_column_text(s, at), (size_t)sqlite3_column_bytes(s, at)),
            ret);
    default:
        return REPL_EBADINPUT;
    }
}

static struct span or_default(struct span value, const char *fallback, struct arena *a)
{
    return value.len > 0 ? value : arena_span(a, span_str(fallback));
}

/* A key cut in the middle of a character, or one that no request can name, would be a task that
 * fails for ever. */
static int check_key(struct span key, struct fail *f)
{
    if (key.len > 0 && memchr(key.ptr, '\0', key.len) != NULL) {
        return fail_set(f, REPL_EBADINPUT, "key holds a NUL byte");
    }
    return span_is_utf8(key) ? 0 : fail_set(f, REPL_EBADINPUT, "key is not UTF-8");
}

/* What a copy can do without: size unknown and time now, where the column cannot be read. */
static void read_hints(sqlite3_stmt *s, int first, struct change *c, struct fail *hints)
{
    int type = sqlite3_column_type(s, first + COL_SIZE);
    if (type == SQLITE_INTEGER && sqlite3_column_int64(s, first + COL_SIZE) >= 0) {
        c->size = sqlite3_column_int64(s, first + COL_SIZE);
    } else if (type != SQLITE_NULL) {
        fail_set(hints, REPL_EBADINPUT, "size is not a whole number");
    }
    if (read_time(s, first + COL_TIME, &c->event_time_ms) < 0) {
        c->event_time_ms = 0;
        fail_set(hints, REPL_EBADINPUT, "event_time is neither whole milliseconds nor a date");
    }
}

/* hints: of columns that the change goes without. */
static int read_row(struct outbox *o, struct arena *a, struct change *c, struct fail *hints,
                    struct fail *f)
{
    sqlite3_stmt *s = o->read_stmt;
    const int first = 2;
    memset(c, 0, sizeof(*c));
    c->kind = CHANGE_PUT;
    c->key = column_span(s, 1, a);
    c->bucket = or_default(column_span(s, first + COL_BUCKET, a), o->bucket, a);
    c->endpoint = or_default(column_span(s, first + COL_ENDPOINT, a), o->endpoint, a);
    c->version_id = column_span(s, first + COL_VERSION, a);
    c->etag = column_span(s, first + COL_ETAG, a);
    c->size = CHANGE_SIZE_UNKNOWN;
    struct span kind = column_span(s, first + COL_KIND, a);
    if (kind.len > 0 && change_kind_parse(kind, &c->kind) < 0) {
        return fail_set(f, REPL_EBADINPUT, "kind \"%.32s\" is neither put nor delete", kind.ptr);
    }
    read_hints(s, first, c, hints);
    if (c->etag.len >= 2 && c->etag.ptr[0] == '"' && c->etag.ptr[c->etag.len - 1] == '"') {
        c->etag = span_of(c->etag.ptr + 1, c->etag.len - 2);
    }
    int r = check_key(c->key, f);
    return r == 0 ? change_check(c, f) : r;
}

static void note_bad_row(struct outbox_batch *batch, int64_t id, bool taken, const struct fail *f)
{
    if (batch->bad_count < OUTBOX_BAD_MAX) {
        struct outbox_bad_row *bad = &batch->bad[batch->bad_count];
        bad->id = id;
        bad->taken = taken;
        snprintf(bad->text, sizeof(bad->text), "%.159s", f->text);
    }
    batch->bad_count++;
}

static int read_rows(struct outbox *o, int64_t cursor, size_t limit, struct arena *a,
                     struct outbox_batch *ret)
{
    struct fail f;
    size_t seen = 0;
    int rc;
    sqlite3_bind_int64(o->read_stmt, 1, cursor);
    sqlite3_bind_int64(o->read_stmt, 2, (int64_t)limit);
    while ((rc = sqlite3_step(o->read_stmt)) == SQLITE_ROW) {
        int64_t id = sqlite3_column_int64(o->read_stmt, 0);
        struct fail hints = {0};
        if (read_row(o, a, &ret->changes[ret->count], &hints, &f) != 0) {
            note_bad_row(ret, id, false, &f);
        } else {
            ret->count++;
            if (hints.code != 0) {
                note_bad_row(ret, id, true, &hints);
            }
        }
        ret->last_id = id;
        seen++;
    }
    sqlite3_reset(o->read_stmt);
    ret->more = seen == limit;
    return rc;
}

int outbox_read(struct outbox *o, int64_t cursor, size_t limit, struct arena *a,
                struct outbox_batch *ret, struct fail *f)
{
    memset(ret, 0, sizeof(*ret));
    ret->last_id = cursor;
    int r = ensure_open(o, f);
    if (r < 0) {
        return r;
    }
    /* Before the rows: what is written in between makes the version differ next time. */
    int64_t version = read_data_version(o);
    ret->changes = arena_alloc(a, limit * sizeof(struct change));
    int rc = read_rows(o, cursor, limit, a, ret);
    if (rc != SQLITE_DONE) {
        memset(ret, 0, sizeof(*ret));
        ret->last_id = cursor;
        r = db_error(o, rc, "reading", f);
        if ((rc & 0xff) != SQLITE_BUSY && (rc & 0xff) != SQLITE_LOCKED) {
            close_db(o);
        }
        return r;
    }
    o->data_version = version;
    o->unread = ret->more;
    return 0;
}

int outbox_trim(struct outbox *o, int64_t cursor, size_t limit, struct fail *f)
{
    char text[200];
    int r = ensure_open(o, f);
    if (r < 0) {
        return r;
    }
    snprintf(text, sizeof(text),
             "DELETE FROM repl_outbox WHERE id IN (SELECT id FROM repl_outbox WHERE id <= %lld"
             " ORDER BY id LIMIT %zu)",
             (long long)cursor, limit);
    int rc = sqlite3_exec(o->db, text, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : db_error(o, rc, "trimming", f);
}
