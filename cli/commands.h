/* commands: the commands of replctl and their options. */
#ifndef REPL_CLI_COMMANDS_H
#define REPL_CLI_COMMANDS_H

#include "cli/cli.h"

typedef int cli_run_fn(struct cli *c, const struct cli_args *args);
cli_run_fn run_rule_add, run_rule_list, run_rule_show, run_rule_update, run_rule_pause,
    run_rule_resume, run_rule_delete, run_apply, run_status, run_lag, run_explain, run_wait,
    run_failures_list, run_failures_retry, run_failures_drop, run_uploads, run_lanes, run_path_fix,
    run_path_forbid, run_path_free, run_doctor, run_append, run_reload, run_migrate, run_feed_list,
    run_feed_show, run_feed_replay, run_feed_drop, run_feed_setup, run_rule_deletes, run_complete,
    run_rule_confirm_deletes, run_scan_start, run_scan_status, run_scan_stop;

#endif
