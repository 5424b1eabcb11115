/* Inside of the outbox reader: the handle, and what its files share. */
#ifndef REPL_JOURNAL_OUTBOX_IMPL_H
#define REPL_JOURNAL_OUTBOX_IMPL_H

#include "journal/outbox.h"

#include <sqlite3.h>
#include <sys/types.h>

enum outbox_column {
    COL_BUCKET,
    COL_KIND,
    COL_ENDPOINT,
    COL_VERSION,
    COL_ETAG,
    COL_SIZE,
    COL_TIME,
    COLS,
};

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
    uint64_t born;        /* 0 where the file system does not know */
    int64_t data_version; /* at the last read */
    bool unread;          /* a read is due whatever the version says */
    sqlite3_stmt *data_version_stmt;
    sqlite3_stmt *schema_version_stmt;
    /* The table, as of schema_version (-1: not looked at yet). */
    int64_t schema_version;
    uint64_t identity;
    sqlite3_stmt *read_stmt; /* id, key, then the columns; bound: above which id, how many */
};

/* Begins a transaction with `begin` on the file that is at the path now; within it statements and
 * identity are those of the present table. On failure no transaction is open. */
int outbox_enter(struct outbox *o, const char *begin, struct fail *f);
/* Ends it; what was not committed is undone. */
void outbox_leave(struct outbox *o);
/* A failure within it: ends it, and closes what is unlikely to work the next time. */
int outbox_give_up(struct outbox *o, int rc, const char *doing, struct fail *f);

bool outbox_is_replaced(const struct outbox *o);
/* PRAGMA data_version or schema_version; -1 when it cannot be read now. */
int64_t outbox_version(sqlite3_stmt *s);

#endif
