/* journal: the asynchronous front of the change journal. A call is a message: its run() is executed
 * with the backend by the journal's executor, many calls in one transaction (group commit: those of
 * one turn of the loop, and those that came while the last group was written), and its
 * done() on the loop after the commit, exactly once, in the order of the submits, never inside
 * journal_submit(). Whatever done() sees with status 0 is durable.
 *
 * Two executors: JOURNAL_THREAD (one writer thread, and one reader thread with a connection of its
 * own for questions) and JOURNAL_INLINE (on the loop, for simulation and one-shot tools' tests).
 *
 * When the database fails, in a call or at the commit, every call of the group gets REPL_EJOURNAL
 * and nothing of it happened. */
#ifndef REPL_JOURNAL_JOURNAL_H
#define REPL_JOURNAL_JOURNAL_H

#include "daemon/base/list.h"
#include "daemon/base/log.h"
#include "daemon/base/loop.h"
#include "journal/backend.h"

enum journal_executor { JOURNAL_THREAD, JOURNAL_INLINE };

enum journal_access {
    JOURNAL_WRITE, /* in the writer's transaction */
    JOURNAL_READ,  /* on the reader's connection; at most BACKEND_PAGE_MAX rows a call */
};

struct journal_call {
    /* Set by the caller; run() is on the executor's thread and touches nothing but the backend and
     * what the call owns. Non-zero: its effects are rolled back, the others' are not. */
    int (*run)(struct backend *b, struct journal_call *call);
    void (*done)(struct journal_call *call);
    enum journal_access access;
    /* Of a write: run() fails only when the database does. Then its whole group fails, and the
     * savepoint that would keep its effects apart is saved. */
    bool fails_with_group;
    /* Set by the journal before done(). */
    int status;
    struct fail fail;
    /* Private. */
    struct list link;
};

struct journal_options {
    struct loop *loop;
    struct log *log;
    enum journal_executor executor;
    const char *path;     /* database file; made with mode 0600 when it does not exist */
    const char *owner;    /* instance name, for the lease */
    uint32_t lease_ms;    /* 0 = 30 s; renewed by the journal itself every third of it */
    uint64_t cache_bytes; /* pages in memory, of both connections; 0 = 64 MiB */
    uint32_t queue_limit; /* calls waiting, 0 = 65,536; beyond: status REPL_ETOOBIG */
};

struct journal;

/* Opens the backend, migrates the schema and takes the lease (new epoch). On failure *ret stays
 * untouched and *f says what to do: REPL_EOWNED, REPL_ESCHEMA, errno values. Blocking. */
int journal_open(const struct journal_options *options, struct journal **ret, struct fail *f);
/* Runs what was submitted, gives the lease back, closes; closed(arg) comes from the loop. */
void journal_close(struct journal *j, loop_fn *closed, void *arg);

void journal_submit(struct journal *j, struct journal_call *call);

/* Epoch of our lease; every claim carries it. Constant after open. */
uint64_t journal_epoch(const struct journal *j);
size_t journal_queue_length(const struct journal *j);
/* True while commits fail (disk full): feeds answer "not now". */
bool journal_is_failing(const struct journal *j);

#endif
