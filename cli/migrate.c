#include "daemon/jobs/migrate.h"
#include "cli/commands.h"
#include "cli/migrate_job.h"
#include "cli/text.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include <uv.h>

struct run {
    const struct cli *cli;
    const struct rule *rule;
    struct loop *loop;
    struct migrate *job;
    struct timer tick;
    uv_signal_t signals[2];
    bool stopping;
    bool line_is_open; /* a progress line stands on the terminal */
    bool dry_run;
    int status;
    struct fail fail;
};

static void figures(const struct migrate_progress *p, bool dry_run, struct buf *to)
{
    double seconds = (double)p->elapsed_ms / 1000;
    buf_str(to, p->listing ? "listing, " : "");
    text_count(p->listed, to);
    buf_str(to, " listed, ");
    text_count(p->skipped, to);
    buf_str(to, " equal, ");
    text_count(dry_run ? p->pending : p->copied, to);
    buf_str(to, dry_run ? " to copy" : " copied (");
    if (!dry_run) {
        text_bytes(p->copied_bytes, to);
        if (p->earlier > 0) {
            buf_str(to, "; ");
            text_count(p->earlier, to);
            buf_str(to, p->earlier == 1 ? " object" : " objects");
            buf_str(to, " of them by earlier runs");
        }
        buf_str(to, "), ");
        text_count(p->pending, to);
        buf_str(to, " pending");
    }
    if (p->failed > 0) {
        buf_str(to, ", ");
        text_count(p->failed, to);
        buf_str(to, " failed");
    }
    if (seconds > 0.5 && !dry_run) {
        buf_str(to, ", ");
        text_bytes((unsigned long long)((double)p->run_bytes / seconds), to);
        buf_str(to, "/s");
    }
}

static void print_json(const struct migrate_progress *p, const struct run *r, bool ended)
{
    json_t *o = json_pack(
        "{s:b,s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:s}", "ended", ended, "listing",
        p->listing, "listed_objects", (json_int_t)p->listed, "listed_bytes",
        (json_int_t)p->listed_bytes, "skipped_objects", (json_int_t)p->skipped, "copied_objects",
        (json_int_t)p->copied, "copied_bytes", (json_int_t)p->copied_bytes, "failed_objects",
        (json_int_t)p->failed, "pending_objects", (json_int_t)p->pending, "sent_bytes",
        (json_int_t)p->sent_bytes, "earlier_objects", (json_int_t)p->earlier, "run_sent_bytes",
        (json_int_t)p->run_bytes, "elapsed_ms", (json_int_t)p->elapsed_ms, "failure", p->failure);
    if (o != NULL && ended) {
        json_object_set_new(o, "status", json_string(fail_name(r->status)));
    }
    if (o != NULL) {
        json_dumpf(o, stdout, JSON_COMPACT);
        putchar('\n');
        fflush(stdout);
        json_decref(o);
    }
}

static void show(void *arg)
{
    struct run *r = arg;
    struct migrate_progress p = {0};
    migrate_progress(r->job, &p);
    if (r->cli->json) {
        print_json(&p, r, false);
    } else if (r->cli->terminal) {
        struct buf text = {0};
        figures(&p, r->dry_run, &text);
        printf("\r\033[K%s%s", r->stopping ? "stopping, " : "", buf_cstr(&text));
        fflush(stdout);
        r->line_is_open = true;
        buf_done(&text);
    }
    timer_start(&r->tick, r->cli->json ? 5000 : 500);
}

static void ended(void *arg, int status, const struct fail *f)
{
    struct run *r = arg;
    r->status = status;
    if (f != NULL) {
        r->fail = *f;
    }
    loop_stop(r->loop);
}

static void interrupted(uv_signal_t *handle, int number)
{
    struct run *r = handle->data;
    if (r->stopping) {
        _exit(128 + number);
    }
    r->stopping = true;
    migrate_stop(r->job);
}

/* An empty source is no failure; a prefix with a slip in it looks the same. */
static void warn_of_nothing(const struct run *r)
{
    struct buf place = {0};
    bool filtered = r->rule->include_count + r->rule->exclude_count > 0;
    rule_place_print(&r->rule->source, &place);
    cli_warn_that("a prefix is taken as it is written, and is not a pattern",
                  "nothing is below %s%s", buf_cstr(&place),
                  filtered ? " that --include and --exclude let through" : "");
    buf_done(&place);
}

static int report(struct run *r)
{
    struct migrate_progress p = {0};
    struct buf text = {0};
    migrate_progress(r->job, &p);
    if (r->line_is_open) {
        fputs("\r\033[K", stdout);
    }
    if (r->cli->json) {
        print_json(&p, r, true);
    } else {
        figures(&p, r->dry_run, &text);
        puts(buf_cstr(&text));
        buf_done(&text);
    }
    if (r->status == 0) {
        if (p.listed == 0) {
            warn_of_nothing(r);
        }
        return CLI_DONE;
    }
    struct fail f = r->fail;
    if (r->status == REPL_ECANCELED) {
        fail_set(&f, REPL_ECANCELED, "stopped before the end");
        fail_hint(&f, "the same command goes on where it was");
    } else if (f.code == 0) {
        fail_set(&f, r->status, "%.200s", p.failure[0] ? p.failure : fail_text(r->status));
    }
    struct cli quiet = *r->cli;
    quiet.json = false; /* the last line of figures has the status */
    return cli_fail(&quiet, &f);
}

static void watch_signals(struct run *r)
{
    static const int numbers[2] = {SIGINT, SIGTERM};
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < 2; i++) {
        uv_signal_init(loop_uv(r->loop), &r->signals[i]);
        r->signals[i].data = r;
        uv_signal_start(&r->signals[i], interrupted, numbers[i]);
    }
}

static void forget_signals(struct run *r)
{
    for (size_t i = 0; i < 2; i++) {
        uv_close((uv_handle_t *)&r->signals[i], NULL);
    }
    loop_run_once(r->loop);
}

static int run_job(struct run *r, const struct migrate_options *options)
{
    int code;
    struct fail f = {0};
    if (migrate_start(options, ended, r, &r->job, &f) != 0) {
        return cli_fail(r->cli, &f);
    }
    watch_signals(r);
    timer_init(&r->tick, r->loop, show, r);
    timer_start(&r->tick, r->cli->json ? 5000 : 500);
    loop_run(r->loop);
    timer_stop(&r->tick);
    code = report(r);
    migrate_free(r->job);
    forget_signals(r);
    return code;
}

static int run_with(const struct cli *c, const struct migrate_job *job, bool dry_run,
                    enum log_level level)
{
    struct run r = {.cli = c, .rule = &job->rule, .dry_run = dry_run};
    r.loop = loop_new(0);
    struct migrate_options options = {
        .loop = r.loop,
        .log = log_new(LOG_FORMAT_AUTO, level),
        .stats = stat_set_new(),
        .conf = job->conf,
        .rule = &job->rule,
        .dry_run = dry_run,
    };
    int code = run_job(&r, &options);
    stat_set_free(options.stats);
    loop_free(r.loop);
    log_free(options.log);
    return code;
}

int run_migrate(struct cli *c, const struct cli_args *args)
{
    struct migrate_job job;
    struct fail f = {0};
    enum log_level level = LOG_LEVEL_WARNING;
    const char *level_text = cli_args_get(args, "log-level");
    if (level_text != NULL && log_level_parse(level_text, &level) != 0) {
        return cli_usage(c, "--log-level: one of error, warning, notice, info, debug, trace");
    }
    if (migrate_job_init(&job, args, &f) != 0) {
        return f.code == REPL_EBADINPUT ? cli_misused(c, &f) : cli_fail(c, &f);
    }
    int code = run_with(c, &job, cli_args_has(args, "dry-run"), level);
    migrate_job_done(&job);
    return code;
}
