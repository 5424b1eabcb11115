#include "journal/outbox_impl.h"

#include "daemon/base/hash.h"
#include "daemon/base/loop.h"

#include <stdio.h>
#include <uv.h>

/* ---- news ---- */

bool outbox_has_news(struct outbox *o)
{
    if (o->db == NULL || outbox_is_replaced(o) || o->unread) {
        return true;
    }
    return outbox_version(o->data_version_stmt) != o->data_version;
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

/* ---- the cursor: does it fit what is there now? ---- */

/* Of all that is read of a row. */
static uint64_t mark_of_row(sqlite3_stmt *s)
{
    uint64_t mark = 0;
    for (int i = 0; i < sqlite3_column_count(s); i++) {
        const char *bytes = sqlite3_column_blob(s, i);
        mark = hash_bytes(span_of(bytes, (size_t)sqlite3_column_bytes(s, i)), mark);
    }
    return mark;
}

static void select_rows(struct outbox *o, int64_t above, size_t limit)
{
    sqlite3_bind_int64(o->read_stmt, 1, above);
    sqlite3_bind_int64(o->read_stmt, 2, (int64_t)limit);
}

/* *ret: an id up to this one will not be given out again. With AUTOINCREMENT the database remembers
 * the ids of rows that are gone. */
static int check_highest(struct outbox *o, int64_t id, bool *ret)
{
    static const char of_rows[] = "SELECT coalesce(max(id), 0) FROM repl_outbox";
    static const char remembered[] =
        "SELECT max((SELECT coalesce(max(id), 0) FROM repl_outbox), (SELECT coalesce(max(seq), 0)"
        " FROM sqlite_sequence WHERE name = 'repl_outbox'))";
    sqlite3_stmt *s = NULL;
    bool remembers = sqlite3_table_column_metadata(o->db, NULL, "sqlite_sequence", "seq", NULL,
                                                   NULL, NULL, NULL, NULL) == SQLITE_OK;
    int rc = sqlite3_prepare_v2(o->db, remembers ? remembered : of_rows, -1, &s, NULL);
    if (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        *ret = sqlite3_column_int64(s, 0) >= id;
        rc = SQLITE_OK;
    }
    sqlite3_finalize(s);
    return rc;
}

/* Within a transaction. *ret: the rows up to the cursor are those that were taken. */
static int check_cursor(struct outbox *o, const struct outbox_cursor *c, bool *ret)
{
    *ret = c->identity == o->identity;
    if (!*ret || c->id == 0) {
        return SQLITE_OK;
    }
    select_rows(o, c->id - 1, 1);
    int rc = sqlite3_step(o->read_stmt);
    bool is_there = rc == SQLITE_ROW && sqlite3_column_int64(o->read_stmt, 0) == c->id;
    *ret = is_there && mark_of_row(o->read_stmt) == c->mark;
    sqlite3_reset(o->read_stmt);
    if (is_there) {
        return SQLITE_OK;
    }
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? check_highest(o, c->id, ret) : rc;
}

/* ---- read ---- */

/* Rows with id > above into *ret. */
static int read_rows(struct outbox *o, int64_t above, size_t limit, struct arena *a,
                     struct outbox_batch *ret)
{
    struct fail f;
    size_t seen = 0;
    int rc;
    select_rows(o, above, limit);
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
        ret->cursor.id = id;
        ret->cursor.mark = mark_of_row(o->read_stmt);
        seen++;
    }
    sqlite3_reset(o->read_stmt);
    ret->more = seen == limit;
    return rc;
}

int outbox_read(struct outbox *o, const struct outbox_cursor *from, size_t limit, struct arena *a,
                struct outbox_batch *ret, struct fail *f)
{
    int r = outbox_enter(o, "BEGIN", f);
    if (r < 0) {
        return r;
    }
    /* Of what this transaction sees: what is written later makes the version differ. */
    int64_t version = outbox_version(o->data_version_stmt);
    struct outbox_batch batch = {.cursor = {.identity = o->identity},
                                 .changes = arena_alloc(a, limit * sizeof(struct change))};
    bool fits = false;
    int rc = check_cursor(o, from, &fits);
    if (rc == SQLITE_OK) {
        batch.begins_anew = !fits && from->identity != 0;
        batch.cursor = fits ? *from : batch.cursor;
        rc = read_rows(o, batch.cursor.id, limit, a, &batch);
    }
    if (rc != SQLITE_DONE) {
        return outbox_give_up(o, rc, "reading", f);
    }
    outbox_leave(o);
    o->data_version = version;
    o->unread = batch.more;
    *ret = batch;
    return 0;
}

/* ---- trim ---- */

static int delete_rows(struct outbox *o, int64_t below, size_t limit)
{
    char text[200];
    snprintf(text, sizeof(text),
             "DELETE FROM repl_outbox WHERE id IN (SELECT id FROM repl_outbox WHERE id < %lld"
             " ORDER BY id LIMIT %zu); COMMIT",
             (long long)below, limit);
    return sqlite3_exec(o->db, text, NULL, NULL, NULL);
}

int outbox_trim(struct outbox *o, const struct outbox_cursor *taken, size_t limit, struct fail *f)
{
    bool fits = false;
    int r = outbox_enter(o, "BEGIN IMMEDIATE", f);
    if (r < 0) {
        return r;
    }
    int rc = check_cursor(o, taken, &fits);
    if (rc == SQLITE_OK && !fits) {
        outbox_leave(o);
        return fail_set(f, REPL_ESTALE, "outbox %s has begun anew: its rows are not taken yet",
                        o->path);
    }
    if (rc == SQLITE_OK) {
        rc = delete_rows(o, taken->id, limit);
    }
    return rc == SQLITE_OK ? 0 : outbox_give_up(o, rc, "trimming", f);
}
