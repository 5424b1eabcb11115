/* finish: how an attempt at a task ended, as it is told to the journal (backend.h). */
#ifndef REPL_JOURNAL_FINISH_H
#define REPL_JOURNAL_FINISH_H

#include "daemon/base/fail.h"
#include "daemon/base/span.h"

#include <stdbool.h>
#include <stdint.h>

struct replica;
struct version_mark;

/* How an attempt ended. `seq` is that of the claim: when another change has joined since, the task
 * stays pending with the oldest event time of those, whatever the outcome. */
enum finish_outcome {
    FINISH_DONE,     /* verified at the destination; replica is stored */
    FINISH_DELETED,  /* deleted at the destination; replica is removed */
    FINISH_SKIPPED,  /* nothing to do (already there, filtered, deletes ignored) */
    FINISH_RETRY,    /* again at next_try_ms; attempts + 1 */
    FINISH_RELEASED, /* given back as it was, attempts unchanged (shutdown, outage, pause) */
    FINISH_FAILED,   /* dead letter */
    FINISH_HELD,     /* a delete that must wait for an operator's word: the brake is on from now */
};

struct finish {
    uint32_t rule;
    struct span key;
    uint64_t seq;
    uint64_t epoch;
    enum finish_outcome outcome;
    int64_t now_ms;
    int64_t next_try_ms;           /* FINISH_RETRY */
    struct fail fail;              /* FINISH_RETRY, FINISH_FAILED; FINISH_SKIPPED: why */
    const struct replica *replica; /* FINISH_DONE; FINISH_SKIPPED: what was found there, or NULL */
    bool no_replica;               /* FINISH_SKIPPED: nothing of ours is there (any more) */
    uint32_t mirror_rule;          /* goes the other way, 0 = none: it knows the same of … */
    struct span mirror_key;        /* … this key of its source … */
    const struct replica *mirror;  /* … when there is a replica */
    struct span why;               /* FINISH_HELD: why the brake is on; the first one stays */
    /* Successes: */
    const struct version_mark *version; /* the newest mark of the key from now on; or NULL */
    bool no_versions;                   /* the source has none of them any more: the marks go */
    bool goes_on;        /* this was one version of several: the task stays claimed */
    bool takes_nothing;  /* FINISH_DELETED: nothing that was to be seen; no brake counts it */
    uint64_t bytes;      /* delivered */
    uint64_t bytes_sent; /* on the wire, repeats included, without those of part_done() */
    int64_t latency_ms;  /* event time -> verified; < 0: not measured */
};

struct finish_result {
    bool pending;  /* the task goes on: a newer change waits, or a retry */
    bool brake_on; /* FINISH_HELD: this one has put the brake on */
};

#endif
