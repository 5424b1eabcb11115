/* repld: reads the configuration, builds loop, log, statistics, engine and admin, and lives between
 * systemd's READY and SIGTERM. */
#include "daemon/admin/admin.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>
#include <uv.h>

#define DEFAULT_CONFIG "/etc/repld/repld.yaml"

enum exit_code { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2, EXIT_UNREACHABLE = 3 };

struct command_line {
    const char *config;
    const char *journal;
    const char *log_level;
    bool check_config;
    bool print;
};

struct repld {
    struct command_line line;
    struct conf *conf;
    struct conf_fixed fixed;
    struct loop *loop;
    struct log *log;
    struct stat_set *stats;
    struct engine *engine;
    struct admin *admin;
    uv_signal_t signals[3];
    struct timer watchdog;
    uint64_t watchdog_ms; /* 0 = systemd asks for none */
    bool stopping;
    bool lost; /* the journal, to another program */
};

static const char usage_text[] =
    "usage: repld [--config FILE] [--journal FILE] [--log-level LEVEL]\n"
    "       repld --check-config [--print] [--config FILE]\n"
    "       repld --version | --help\n"
    "\n"
    "  --config FILE      configuration (default " DEFAULT_CONFIG ")\n"
    "  --check-config     check the configuration and end\n"
    "  --print            with --check-config: show every option with its value\n"
    "  --journal FILE     instead of journal.path\n"
    "  --log-level LEVEL  instead of log.level: error, warning, notice, info, debug, trace\n"
    "\n"
    "Signals: SIGTERM and SIGINT finish or checkpoint copies and end, SIGHUP reloads.\n"
    "Exit codes: 0 done, 1 refused or failed, 2 usage, 3 a needed peer is not reachable.\n";

static int report(const struct fail *f)
{
    fprintf(stderr, "repld: %s\n", f->text[0] != '\0' ? f->text : fail_text(f->code));
    if (f->hint[0] != '\0') {
        fprintf(stderr, "hint: %s\n", f->hint);
    }
    return f->code == REPL_EUNREACHABLE || f->code == REPL_ENET ? EXIT_UNREACHABLE : EXIT_REFUSED;
}

/* ---- configuration ---- */

static int load(const struct command_line *line, struct conf **ret, struct fail *f)
{
    struct conf *conf = NULL;
    int r = conf_load(line->config, &conf, f);
    if (r != 0) {
        return r;
    }
    if (line->journal != NULL) {
        conf->journal_path = arena_strdup(&conf->arena, line->journal);
    }
    if (line->log_level != NULL) {
        log_level_parse(line->log_level, &conf->log_level);
    }
    *ret = conf;
    return 0;
}

static void set_log_levels(struct log *log, const struct conf *conf)
{
    log_set_level(log, conf->log_level);
    log_set_levels(log, conf->log_levels != NULL ? conf->log_levels : "");
}

static int check_config(const struct command_line *line)
{
    struct fail f = {0};
    struct conf *conf = NULL;
    struct buf text = {0};
    struct conf_files files = {0};
    if (load(line, &conf, &f) != 0) {
        return report(&f);
    }
    if (conf_check_files(line->config, &files, &f) != 0) {
        conf_free(conf);
        return report(&f);
    }
    engine_check_creds(conf, &files);
    fputs(buf_cstr(&files.text), stderr);
    buf_done(&files.text);
    if (line->print) {
        conf_print(conf, &text);
        fputs(buf_cstr(&text), stdout);
        buf_done(&text);
    } else if (files.errors == 0) {
        printf("%s: good, %zu endpoint%s, %zu outbox%s", conf->file, conf->endpoint_count,
               conf->endpoint_count == 1 ? "" : "s", conf->outbox_count,
               conf->outbox_count == 1 ? "" : "es");
        printf(files.warnings == 0   ? "\n"
               : files.warnings == 1 ? ", 1 warning\n"
                                     : ", %u warnings\n",
               files.warnings);
    }
    conf_free(conf);
    return files.errors == 0 ? EXIT_DONE : EXIT_REFUSED;
}

/* systemctl status shows it, too: a reload by SIGHUP has nobody else to tell. */
static void keep_conf(const struct repld *d, bool is_missing, struct fail *f)
{
    char hint[sizeof(f->hint)];
    snprintf(hint, sizeof(hint), "%s", is_missing ? "put the file back" : f->hint);
    fail_hint(f, "%s%srepld goes on as it was configured; replctl reload tries again", hint,
              hint[0] != '\0' ? "; " : "");
    LOG_ERROR(d->log, "repld", "configuration stays as it was: %s", f->text);
    sd_notifyf(0, "STATUS=instance %s, configuration could not be read again: %s",
               d->conf->instance, f->text);
}

/* Each reload says it, until the restart. */
static void tell_fixed(const struct repld *d, struct admin_restart *restart)
{
    restart->count = conf_fixed_changed(&d->fixed, d->conf, restart->names);
    for (size_t i = 0; i < restart->count; i++) {
        LOG_WARNING(d->log, "repld", "%s changed, which needs a restart", restart->names[i]);
    }
}

static int reload(void *arg, struct admin_restart *ret_restart, struct fail *f)
{
    struct repld *d = arg;
    struct conf *conf = NULL;
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)loop_now_us(d->loop));
    int r = load(&d->line, &conf, f);
    bool is_missing = r == UV_ENOENT;
    if (r == 0) {
        r = engine_reload(d->engine, conf, f);
    }
    if (r == 0) {
        admin_set_conf(d->admin, conf);
        set_log_levels(d->log, conf);
        conf_free(d->conf);
        d->conf = conf;
        LOG_NOTICE(d->log, "repld", "configuration was read again");
        tell_fixed(d, ret_restart);
        sd_notifyf(0, "STATUS=instance %s", d->conf->instance);
    } else {
        keep_conf(d, is_missing, f);
        conf_free(conf);
    }
    sd_notify(0, "READY=1");
    return r;
}

/* ---- life ---- */

static void engine_ended(void *arg)
{
    struct repld *d = arg;
    loop_stop(d->loop);
}

static void stop(struct repld *d)
{
    if (d->stopping) {
        return;
    }
    d->stopping = true;
    sd_notify(0, "STOPPING=1");
    LOG_NOTICE(d->log, "repld", "stops, within %u ms", d->conf->shutdown_ms);
    admin_close(d->admin);
    engine_stop(d->engine, engine_ended, d);
}

static void on_lost(void *arg)
{
    struct repld *d = arg;
    d->lost = true;
    stop(d);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct repld *d = handle->data;
    struct fail f = {0};
    if (number != SIGHUP) {
        stop(d);
    } else if (!d->stopping) {
        reload(d, &(struct admin_restart){0}, &f);
    }
}

static void watch(void *arg)
{
    struct repld *d = arg;
    sd_notify(0, "WATCHDOG=1");
    timer_start(&d->watchdog, d->watchdog_ms);
}

static void start_watchdog(struct repld *d)
{
    uint64_t usec = 0;
    timer_init(&d->watchdog, d->loop, watch, d);
    if (sd_watchdog_enabled(0, &usec) > 0) {
        d->watchdog_ms = usec / 1000 / 3 + 1;
        watch(d);
    }
}

static void listen_to_signals(struct repld *d)
{
    static const int numbers[3] = {SIGTERM, SIGINT, SIGHUP};
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < 3; i++) {
        uv_signal_init(loop_uv(d->loop), &d->signals[i]);
        d->signals[i].data = d;
        uv_signal_start(&d->signals[i], on_signal, numbers[i]);
    }
}

static void forget_signals(struct repld *d)
{
    for (size_t i = 0; i < 3; i++) {
        uv_close((uv_handle_t *)&d->signals[i], NULL);
    }
    loop_run_once(d->loop);
}

static void publish_build(struct stat_set *stats)
{
    static const char *const labels[] = {"version", NULL};
    static const char *const values[] = {REPL_VERSION, NULL};
    struct stat_family *family =
        stat_family(stats, STAT_GAUGE, "repl_build_info", "1, with the version as label.", labels);
    stat_put(stat_get(family, values), 1);
}

static int open_all(struct repld *d, struct fail *f)
{
    struct engine_options engine = {
        .loop = d->loop,
        .log = d->log,
        .stats = d->stats,
        .conf = d->conf,
        .executor = JOURNAL_THREAD,
        .feeds = true,
        .lost = on_lost,
        .lost_arg = d,
    };
    int r = engine_new(&engine, &d->engine, f);
    if (r != 0) {
        return r;
    }
    struct admin_options admin = {
        .loop = d->loop,
        .log = d->log,
        .stats = d->stats,
        .engine = d->engine,
        .conf = d->conf,
        .reload = reload,
        .reload_arg = d,
    };
    return admin_open(&admin, &d->admin, f);
}

static void live(struct repld *d)
{
    start_watchdog(d);
    LOG_NOTICE(d->log, "repld", "version " REPL_VERSION " is ready, instance=%s",
               d->conf->instance);
    sd_notifyf(0, "READY=1\nSTATUS=instance %s", d->conf->instance);
    loop_run(d->loop);
    timer_stop(&d->watchdog);
}

static int run_loop(struct repld *d)
{
    struct fail f = {0};
    int code = EXIT_DONE;
    listen_to_signals(d);
    if (open_all(d, &f) == 0) {
        live(d);
        code = d->lost ? EXIT_REFUSED : EXIT_DONE;
    } else {
        code = report(&f);
        if (d->engine != NULL) {
            d->stopping = true;
            engine_stop(d->engine, engine_ended, d);
            loop_run(d->loop);
        }
    }
    if (d->engine != NULL) {
        engine_free(d->engine);
    }
    admin_free(d->admin);
    forget_signals(d);
    return code;
}

static int run(const struct command_line *line)
{
    struct fail f = {0};
    struct repld d = {.line = *line};
    if (load(line, &d.conf, &f) != 0) {
        return report(&f);
    }
    conf_fixed_init(&d.fixed, d.conf);
    d.log = log_new(d.conf->log_format, d.conf->log_level);
    set_log_levels(d.log, d.conf);
    d.loop = loop_new(0);
    d.stats = stat_set_new();
    publish_build(d.stats);
    int code = run_loop(&d);
    LOG_NOTICE(d.log, "repld", "ended");
    stat_set_free(d.stats);
    loop_free(d.loop);
    log_free(d.log);
    conf_fixed_done(&d.fixed);
    conf_free(d.conf);
    return code;
}

/* ---- command line ---- */

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"journal", required_argument, NULL, 'j'},
    {"log-level", required_argument, NULL, 'l'},
    {"check-config", no_argument, NULL, 'C'},
    {"print", no_argument, NULL, 'p'},
    {"version", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int usage(const char *sentence)
{
    fprintf(stderr, "repld: %s\nhint: repld --help\n", sentence);
    return EXIT_USAGE;
}

/* A path that holds wherever repld is started: systemd starts it in /. */
static int refuse_relative(const char *path)
{
    char folder[4096];
    fprintf(stderr, "repld: --journal: \"%s\" must be an absolute path\n", path);
    if (path[0] != '\0' && getcwd(folder, sizeof(folder)) != NULL) {
        fprintf(stderr, "hint: write --journal %s/%s\n", strcmp(folder, "/") == 0 ? "" : folder,
                strncmp(path, "./", 2) == 0 ? path + 2 : path);
    } else {
        fprintf(stderr, "hint: it begins with /, such as /var/lib/repld/journal.db\n");
    }
    return EXIT_USAGE;
}

/* written: the option as it stands there. -1: go on. */
static int take_option(struct command_line *line, int option, const char *written)
{
    enum log_level level;
    char text[160];
    switch (option) {
    case 'c':
        line->config = optarg;
        return -1;
    case 'j':
        line->journal = optarg;
        return optarg[0] == '/' ? -1 : refuse_relative(optarg);
    case 'l':
        line->log_level = optarg;
        return log_level_parse(optarg, &level) == 0
                   ? -1
                   : usage("--log-level: one of error, warning, notice, info, debug, trace");
    case 'C':
        line->check_config = true;
        return -1;
    case 'p':
        line->print = true;
        return -1;
    case 'v':
        puts("repld " REPL_VERSION);
        return EXIT_DONE;
    case 'h':
        fputs(usage_text, stdout);
        return EXIT_DONE;
    default:
        snprintf(text, sizeof(text), "%.100s is not known, or its value is missing", written);
        return usage(text);
    }
}

int main(int argc, char **argv)
{
    struct command_line line = {.config = DEFAULT_CONFIG};
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        int code = take_option(&line, option, argv[optind - 1]);
        if (code >= 0) {
            return code;
        }
    }
    if (optind < argc) {
        return usage("it takes options only");
    }
    if (line.print && !line.check_config) {
        return usage("--print goes with --check-config");
    }
    return line.check_config ? check_config(&line) : run(&line);
}
