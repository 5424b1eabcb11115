/* outbox: reads the table repl_outbox of somebody else's SQLite file (the crawler's own database,
 * or a shared one that we make). Synchronous and bounded; used on the journal's side of a feed, on
 * a worker thread. Holds no read transaction between calls and never writes unless told to trim.
 *
 *   CREATE TABLE repl_outbox (
 *     id INTEGER PRIMARY KEY AUTOINCREMENT,
 *     bucket TEXT, key TEXT NOT NULL, kind TEXT DEFAULT 'put',      -- or 'delete'
 *     endpoint TEXT, version_id TEXT, etag TEXT, size INTEGER, event_time TEXT or INTEGER (ms));
 *
 * Only id and key must exist; other columns are used when they are there. */
#ifndef REPL_JOURNAL_OUTBOX_H
#define REPL_JOURNAL_OUTBOX_H

#include "daemon/base/mem.h"
#include "journal/change.h"

struct outbox;

struct outbox_options {
    const char *path;
    struct span endpoint; /* default for rows that name none; may be absent */
    struct span bucket;   /* likewise */
    bool create;          /* make file and table when missing (mode 0660) */
    const char *group;    /* of a file that we make; NULL = unchanged */
};

/* How far an outbox was taken. All zero: not at all. */
struct outbox_cursor {
    uint64_t identity; /* of file and table: a cursor of others is worth nothing here */
    int64_t id;        /* of the last row taken */
    uint64_t mark;     /* what that row said: ids may be given out again */
};

/* A row that cannot be a change (no key, too long, not UTF-8, unknown kind) is passed over; one
 * whose size or event_time cannot be read is taken without it. Both are reported. */
struct outbox_bad_row {
    int64_t id;
    bool taken;
    char text[160];
};

#define OUTBOX_BAD_MAX 16

struct outbox_batch {
    struct change *changes; /* in the arena */
    size_t count;
    struct outbox_cursor cursor; /* behind this batch */
    bool begins_anew;            /* the old cursor does not fit: read from the start */
    bool more;                   /* the limit was reached */
    struct outbox_bad_row bad[OUTBOX_BAD_MAX];
    size_t bad_count; /* may exceed OUTBOX_BAD_MAX: then only the first are kept */
};

/* Never fails for a reason that time may mend: missing files are looked for at every read. */
struct outbox *outbox_new(const struct outbox_options *options);
void outbox_free(struct outbox *o);

/* True when there may be something new since the last read (PRAGMA data_version, a replaced file by
 * device and inode); cheap enough for every 100 ms. */
bool outbox_has_news(struct outbox *o);

/* Reads up to limit rows behind the cursor. It begins anew where the cursor belongs to another file
 * or table, where its row says something else by now, and where its row is gone and ids up to it
 * can be given out again. Errors: UV_ENOENT missing, UV_EBUSY locked,
 * REPL_EBADINPUT malformed or no such table; all reported in *f, all may pass. */
int outbox_read(struct outbox *o, const struct outbox_cursor *from, size_t limit, struct arena *a,
                struct outbox_batch *ret, struct fail *f);
/* Deletes rows before the one that the cursor names, which stays as its proof; at most limit.
 * REPL_ESTALE, and nothing is deleted, when the
 * cursor does not fit what is there now. */
int outbox_trim(struct outbox *o, const struct outbox_cursor *taken, size_t limit, struct fail *f);

#endif
