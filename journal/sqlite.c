/* SQLite backend: open and close, transactions, statements. */
#include "journal/sqlite_impl.h"

#include <stdio.h>

/* For the operator: what is lost with the file, and how to get it back. */
#define DAMAGED                                                                                    \
    "move it away with its -wal and -shm files, or restore a backup of it; repld then makes a new" \
    " journal, which has no rules and does not know what was waiting or is copied: add the rules"  \
    " again, with --existing, which copies what is missing (replctl migrate compares anew)"

int sqlite_error(sqlite3 *db, const char *path, int rc, struct fail *f, const char *doing)
{
    int code = REPL_EJOURNAL;
    fail_set(f, code, "journal %s: %s: %s", path, doing,
             db != NULL && sqlite3_errcode(db) != SQLITE_OK ? sqlite3_errmsg(db)
                                                            : sqlite3_errstr(rc));
    switch (rc & 0xff) {
    case SQLITE_FULL:
        fail_hint(f, "free space on the journal's file system");
        break;
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        fail_hint(f, "check owner and rights of the file and its folder");
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        fail_hint(f, DAMAGED);
        break;
    default:
        break;
    }
    return code;
}

int sqlite_read_int(sqlite3 *db, const char *text, int *ret)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, text, -1, &stmt, NULL);
    if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        *ret = sqlite3_column_int(stmt, 0);
        rc = SQLITE_OK;
    }
    sqlite3_finalize(stmt);
    return rc;
}

/* ---- statements ---- */

static size_t slot_of(const struct sqlite_backend *s, const char *text)
{
    size_t at = ((uintptr_t)text * 0x9e3779b97f4a7c15u >> 40) & (SQLITE_STATEMENTS - 1);
    while (s->texts[at] != NULL && s->texts[at] != text) {
        at = (at + 1) & (SQLITE_STATEMENTS - 1);
    }
    return at;
}

struct sql sql_start(struct backend *b, const char *text)
{
    struct sqlite_backend *s = sqlite_of(b);
    struct sql q = {0};
    size_t at = slot_of(s, text);
    if (s->texts[at] == NULL) {
        int rc = sqlite3_prepare_v3(s->db, text, -1, SQLITE_PREPARE_PERSISTENT, &s->statements[at],
                                    NULL);
        if (rc != SQLITE_OK) {
            q.error = REPL_EJOURNAL;
            return q;
        }
        s->texts[at] = text;
    }
    q.stmt = s->statements[at];
    return q;
}

static void bound(struct sql *q, int rc)
{
    if (rc != SQLITE_OK && q->error == 0) {
        q->error = REPL_EJOURNAL;
    }
}

void sql_int(struct sql *q, int64_t value)
{
    if (q->error == 0) {
        bound(q, sqlite3_bind_int64(q->stmt, ++q->at, value));
    }
}

void sql_u64(struct sql *q, uint64_t value)
{
    sql_int(q, (int64_t)value);
}

void sql_double(struct sql *q, double value)
{
    if (q->error == 0) {
        bound(q, sqlite3_bind_double(q->stmt, ++q->at, value));
    }
}

void sql_span(struct sql *q, struct span value)
{
    if (q->error != 0) {
        return;
    }
    if (value.ptr == NULL) {
        bound(q, sqlite3_bind_null(q->stmt, ++q->at));
    } else {
        bound(q, sqlite3_bind_blob64(q->stmt, ++q->at, value.ptr, value.len, SQLITE_STATIC));
    }
}

int sql_step(struct sql *q)
{
    if (q->error != 0) {
        return q->error;
    }
    int rc = sqlite3_step(q->stmt);
    q->at = 0;
    if (rc == SQLITE_ROW) {
        return 1;
    }
    if (rc != SQLITE_DONE) {
        q->error = REPL_EJOURNAL;
        return q->error;
    }
    return 0;
}

int64_t sql_get_int(struct sql *q)
{
    return sqlite3_column_int64(q->stmt, q->at++);
}

uint64_t sql_get_u64(struct sql *q)
{
    return (uint64_t)sql_get_int(q);
}

double sql_get_double(struct sql *q)
{
    return sqlite3_column_double(q->stmt, q->at++);
}

struct span sql_get_span(struct sql *q, struct arena *a)
{
    int at = q->at++;
    if (sqlite3_column_type(q->stmt, at) == SQLITE_NULL) {
        return span_of(NULL, 0);
    }
    const char *ptr = sqlite3_column_blob(q->stmt, at);
    struct span s = span_of(ptr != NULL ? ptr : "", (size_t)sqlite3_column_bytes(q->stmt, at));
    return a != NULL ? arena_span(a, s) : s;
}

int sql_done(struct sql *q)
{
    if (q->stmt != NULL) {
        sqlite3_reset(q->stmt);
        sqlite3_clear_bindings(q->stmt);
    }
    return q->error;
}

int sql_run(struct sql *q)
{
    sql_step(q);
    return sql_done(q);
}

int sqlite_run_each(struct backend *b, const char *const *texts, size_t count, uint32_t rule)
{
    int r = 0;
    for (size_t i = 0; i < count && r >= 0; i++) {
        struct sql q = sql_start(b, texts[i]);
        sql_int(&q, rule);
        r = sql_run(&q);
    }
    return r;
}

uint64_t sqlite_changes(struct backend *b)
{
    return (uint64_t)sqlite3_changes64(sqlite_of(b)->db);
}

/* ---- transactions ---- */

static int exec(struct backend *b, const char *text)
{
    struct sql q = sql_start(b, text);
    return sql_run(&q);
}

static void forget_unwritten(struct backend *b)
{
    memset(&sqlite_of(b)->unwritten, 0, sizeof(struct unwritten));
}

static int begin(struct backend *b)
{
    return exec(b, sqlite_of(b)->mode == BACKEND_WRITER ? "BEGIN IMMEDIATE" : "BEGIN");
}

static int flush(struct backend *b)
{
    int r = sequence_flush(b);
    return r < 0 ? r : counts_flush(b);
}

static int commit(struct backend *b)
{
    int r = flush(b);
    return r < 0 ? r : exec(b, "COMMIT");
}

/* SQLite may have rolled back by itself (disk full). */
static void rollback(struct backend *b)
{
    forget_unwritten(b);
    if (!sqlite3_get_autocommit(sqlite_of(b)->db)) {
        exec(b, "ROLLBACK");
    }
}

/* A savepoint where no transaction is left would begin one. */
static int save(struct backend *b)
{
    if (sqlite3_get_autocommit(sqlite_of(b)->db)) {
        return REPL_EJOURNAL;
    }
    int r = flush(b);
    return r < 0 ? r : exec(b, "SAVEPOINT one_call");
}

static int release(struct backend *b)
{
    return exec(b, "RELEASE one_call");
}

static int rollback_to(struct backend *b)
{
    forget_unwritten(b);
    int r = exec(b, "ROLLBACK TO one_call");
    return r < 0 ? r : exec(b, "RELEASE one_call");
}

/* ---- open and close ---- */

static void close_sqlite(struct backend *b)
{
    struct sqlite_backend *s = sqlite_of(b);
    for (size_t i = 0; i < SQLITE_STATEMENTS; i++) {
        sqlite3_finalize(s->statements[i]);
    }
    sqlite3_close_v2(s->db);
    mem_free(s->path);
    mem_free(s);
}

static int failure(struct backend *b, struct fail *f, const char *doing)
{
    struct sqlite_backend *s = sqlite_of(b);
    int rc = sqlite3_errcode(s->db);
    return sqlite_error(s->db, s->path, rc != SQLITE_OK ? rc : SQLITE_ERROR, f, doing);
}

static const struct backend_ops sqlite_ops = {
    .name = "sqlite",
    .close = close_sqlite,
    .failure = failure,
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .save = save,
    .release = release,
    .rollback_to = rollback_to,
    .lease_take = sqlite_lease_take,
    .lease_check = sqlite_lease_check,
    .lease_renew = sqlite_lease_renew,
    .lease_drop = sqlite_lease_drop,
    .rule_put = sqlite_rule_put,
    .rule_delete = sqlite_rule_delete,
    .rule_purge = sqlite_rule_purge,
    .rule_list = sqlite_rule_list,
    .append = sqlite_append,
    .compare = sqlite_compare,
    .gone_put = sqlite_gone_put,
    .gone_page = sqlite_gone_page,
    .gone_drop = sqlite_gone_drop,
    .look_again = sqlite_look_again,
    .value_put = sqlite_value_put,
    .value_get = sqlite_value_get,
    .claim = sqlite_claim,
    .next_try = sqlite_next_try,
    .finish = sqlite_finish,
    .task_retry = sqlite_task_retry,
    .brake_get = sqlite_brake_get,
    .held_confirm = sqlite_held_confirm,
    .held_discard = sqlite_held_discard,
    .task_drop = sqlite_task_drop,
    .upload_intend = sqlite_upload_intend,
    .upload_open = sqlite_upload_open,
    .part_done = sqlite_part_done,
    .upload_set = sqlite_upload_set,
    .upload_end = sqlite_upload_end,
    .intent_end = sqlite_intent_end,
    .upload_find = sqlite_upload_find,
    .upload_page = sqlite_upload_page,
    .frontier = sqlite_frontier,
    .watermark_put = sqlite_watermark_put,
    .counts = sqlite_counts,
    .late = sqlite_late,
    .prove = sqlite_prove,
    .late_page = sqlite_late_page,
    .prefixes_set = sqlite_prefixes_set,
    .prefixes_mark = sqlite_prefixes_mark,
    .prefixes_list = sqlite_prefixes_list,
    .prefix_put = sqlite_prefix_put,
    .task_get = sqlite_task_get,
    .version_marks = sqlite_version_marks,
    .replica_get = sqlite_replica_get,
    .task_page = sqlite_task_page,
    .history_page = sqlite_history_page,
    .history_trim = sqlite_history_trim,
    .event_add = sqlite_event_add,
    .event_page = sqlite_event_page,
    .event_done = sqlite_event_done,
    .event_counts = sqlite_event_counts,
    .event_keep = sqlite_event_keep,
    .late_next = sqlite_late_next,
    .quarantine_put = sqlite_quarantine_put,
    .quarantine_page = sqlite_quarantine_page,
    .quarantine_get = sqlite_quarantine_get,
    .quarantine_drop = sqlite_quarantine_drop,
    .quarantine_hold = sqlite_quarantine_hold,
    .quarantine_counts = sqlite_quarantine_counts,
    .quarantine_feeds = sqlite_quarantine_feeds,
    .quarantine_word = sqlite_quarantine_word,
    .quarantine_words = sqlite_quarantine_words,
};

static int configure(struct sqlite_backend *s, uint64_t cache_bytes)
{
    char cache[64];
    snprintf(cache, sizeof(cache), "PRAGMA cache_size=-%llu",
             (unsigned long long)cache_bytes / 1024);
    sqlite3_busy_timeout(s->db, SQLITE_BUSY_MS);
    int rc = sqlite3_exec(s->db, cache, NULL, NULL, NULL);
    return rc != SQLITE_OK ? rc
                           : sqlite3_exec(s->db,
                                          s->mode == BACKEND_WRITER ? SQLITE_WRITER_PRAGMAS
                                                                    : "PRAGMA query_only=1",
                                          NULL, NULL, NULL);
}

/* A new file is marked before it has a log, so that its header tells from the first moment what it
 * is; one from before there were marks, when it is known that this program can read it. */
static int set_up(struct sqlite_backend *s, enum sqlite_file file, uint64_t cache_bytes,
                  struct fail *f)
{
    int rc = file == SQLITE_FILE_NEW ? sqlite_file_mark(s->db) : SQLITE_OK;
    if (rc == SQLITE_OK) {
        rc = configure(s, cache_bytes);
    }
    if (rc != SQLITE_OK) {
        return sqlite_error(s->db, s->path, rc, f, "opening it");
    }
    int r = sqlite_migrate(s->db, s->path, s->mode, f);
    if (r == 0 && file == SQLITE_FILE_UNMARKED && (rc = sqlite_file_mark(s->db)) != SQLITE_OK) {
        r = sqlite_error(s->db, s->path, rc, f, "marking it");
    }
    return r;
}

int backend_open_sqlite(const char *path, enum backend_mode mode, uint64_t cache_bytes,
                        struct backend **ret, struct fail *f)
{
    enum sqlite_file file = SQLITE_FILE_MARKED;
    int r = 0;
    if (mode == BACKEND_WRITER &&
        ((r = sqlite_file_look(path, &file, f)) < 0 || (r = sqlite_file_make(path, f)) < 0)) {
        return r;
    }
    struct sqlite_backend *s = MEM_NEW(struct sqlite_backend);
    s->base.ops = &sqlite_ops;
    s->path = mem_strdup(path);
    s->mode = mode;
    int rc = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    r = rc == SQLITE_OK ? set_up(s, file, cache_bytes, f)
                        : sqlite_error(s->db, path, rc, f, "opening it");
    if (r < 0) {
        close_sqlite(&s->base);
        return r;
    }
    *ret = &s->base;
    return 0;
}
