/* migrate_job: the command line of `replctl migrate` as configuration and rule. */
#ifndef REPL_CLI_MIGRATE_JOB_H
#define REPL_CLI_MIGRATE_JOB_H

#include "cli/args.h"
#include "daemon/conf/conf.h"
#include "daemon/conf/rule.h"

struct migrate_job {
    struct arena arena;
    struct conf *conf;   /* what the job runs with */
    struct conf *config; /* the configuration file, when it was needed */
    struct rule rule;
};

/* REPL_EBADINPUT and what conf_load() says. */
int migrate_job_init(struct migrate_job *job, const struct cli_args *args, struct fail *f);
void migrate_job_done(struct migrate_job *job);

#endif
