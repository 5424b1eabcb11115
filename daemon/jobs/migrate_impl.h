/* Shared by migrate.c and migrate_dry.c. */
#ifndef REPL_JOBS_MIGRATE_IMPL_H
#define REPL_JOBS_MIGRATE_IMPL_H

#include "daemon/core/engine.h"
#include "daemon/feeds/feeds.h"
#include "daemon/jobs/migrate.h"

struct migrate {
    struct loop *loop;
    struct log *log;
    struct conf conf; /* the caller's, without outboxes */
    struct arena arena;
    struct rule rule;
    bool dry_run;
    struct engine *engine;
    struct timer poll;
    uint64_t started_ms;
    uint64_t ended_ms;
    uint64_t blocked_ms;       /* monotonic, since when an endpoint takes no work; 0 = it does */
    struct rule_counts before; /* when the job began, which an earlier run may have done */
    struct rule_counts begun;  /* when this run did */
    struct migrate_progress progress;
    bool asking; /* a journal call is under way */
    bool stopping;
    struct fail result;
    struct feed *dry_feed;
    migrate_ended_fn *ended;
    void *arg;
};

/* Ends the job with this result; the first one counts. */
void migrate_end(struct migrate *m, int status, const struct fail *f);

/* migrate_dry.c: lists and compares only. */
void migrate_dry_start(struct migrate *m);
void migrate_dry_progress(struct migrate *m);
void migrate_dry_close(struct migrate *m, loop_fn *closed, void *arg);

#endif
