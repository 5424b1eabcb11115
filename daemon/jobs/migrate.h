/* migrate: copies a whole bucket or prefix once, with an engine and a journal file of its own; no
 * daemon needed. Lists the source page by page while copying, skips what is equal at the
 * destination, verifies, and goes on where it was when it is run again. Loop thread. */
#ifndef REPL_JOBS_MIGRATE_H
#define REPL_JOBS_MIGRATE_H

#include "daemon/base/log.h"
#include "daemon/base/loop.h"
#include "daemon/base/stat.h"
#include "daemon/conf/conf.h"
#include "daemon/conf/rule.h"

struct migrate;
struct store;

struct migrate_options {
    struct loop *loop;
    struct log *log;
    struct stat_set *stats;
    const struct conf *conf; /* endpoints, memory, copies; journal_path names the job's own file */
    const struct rule *rule; /* source, destination, filters; existing and deletes are ignored */
    bool dry_run;            /* lists and compares, copies nothing */
    /* Makes the store of an endpoint; NULL: s3 by conf. */
    int (*make_store)(void *arg, const struct conf_endpoint *endpoint, struct store **ret,
                      struct fail *f);
    void *make_store_arg;
};

/* Of the whole job: runs that were interrupted, and the one that goes on. */
struct migrate_progress {
    bool listing;    /* the source's listing goes on */
    uint64_t listed; /* objects of the source that the filters let through */
    uint64_t listed_bytes;
    uint64_t skipped; /* equal at the destination already */
    uint64_t copied;
    uint64_t earlier; /* of those, by earlier runs */
    uint64_t copied_bytes;
    uint64_t failed;
    uint64_t pending;
    uint64_t sent_bytes; /* on the wire, repeats included */
    uint64_t run_bytes;  /* of those, in this run */
    uint64_t elapsed_ms; /* of this run */
    char failure[320];   /* of the first failed object or the endpoint that does not answer */
};

/* ended(arg, status, f): 0 = all that was listed is verified at the destination; REPL_EUNREACHABLE
 * when an endpoint did not answer for long, else the first failure. From the loop, once. */
typedef void migrate_ended_fn(void *arg, int status, const struct fail *f);

int migrate_start(const struct migrate_options *options, migrate_ended_fn *ended, void *arg,
                  struct migrate **ret, struct fail *f);
/* Checkpoints and ends early with REPL_ECANCELED; the same job run again goes on. */
void migrate_stop(struct migrate *m);
void migrate_progress(struct migrate *m, struct migrate_progress *ret);
/* After ended(). */
void migrate_free(struct migrate *m);

#endif
