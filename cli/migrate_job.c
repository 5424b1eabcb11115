#include "cli/migrate_job.h"

#include "daemon/base/hash.h"
#include "daemon/conf/schema.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static const char *side_option(const struct cli_args *args, const char *side, const char *option)
{
    char name[64];
    snprintf(name, sizeof(name), "%s-%s", side, option);
    return cli_args_get(args, name);
}

static void yaml_value(struct buf *to, const char *indent, const char *name, const char *value)
{
    if (value != NULL) {
        buf_printf(to, "%s%s: ", indent, name);
        schema_quote(span_str(value), to);
        buf_char(to, '\n');
    }
}

static void endpoint_yaml(struct buf *to, const struct cli_args *args, const char *side)
{
    const char *profile = side_option(args, side, "profile");
    buf_printf(to, "  %s:\n", side);
    yaml_value(to, "    ", "url", side_option(args, side, "endpoint-url"));
    yaml_value(to, "    ", "region", side_option(args, side, "region"));
    yaml_value(to, "    ", "ca_file", side_option(args, side, "ca-file"));
    if (profile != NULL) {
        buf_str(to, "    credentials:\n");
        yaml_value(to, "      ", "profile", profile);
    }
}

/* The flags become a small configuration file, so that they have the same checks. */
static int conf_from_flags(struct migrate_job *job, const struct cli_args *args, struct fail *f)
{
    struct buf text = {0};
    bool source = side_option(args, "source", "endpoint-url") != NULL;
    bool destination = side_option(args, "destination", "endpoint-url") != NULL;
    yaml_value(&text, "", "memory", cli_args_get(args, "memory"));
    yaml_value(&text, "", "copies", cli_args_get(args, "copies"));
    yaml_value(&text, "", "part_max", cli_args_get(args, "part-max"));
    if (source || destination) {
        buf_str(&text, "endpoints:\n");
    }
    if (source) {
        endpoint_yaml(&text, args, "source");
    }
    if (destination) {
        endpoint_yaml(&text, args, "destination");
    }
    int r = conf_parse(buf_view(&text), "command line", &job->conf, f);
    buf_done(&text);
    return r;
}

/* "s3://BUCKET/prefix" with the endpoint of its flags, or "ENDPOINT/BUCKET/prefix". */
static int read_place(struct migrate_job *job, const struct cli_args *args, const char *side,
                      const char *text, struct rule_place *ret, struct fail *f)
{
    const char *endpoint = side_option(args, side, "endpoint-url") != NULL
                               ? side
                               : side_option(args, side, "endpoint");
    if (strncmp(text, "s3://", 5) != 0) {
        return rule_place_parse(span_str(text), &job->arena, ret, f);
    }
    if (endpoint == NULL) {
        fail_set(f, REPL_EBADINPUT, "%s: which endpoint holds it?", text);
        fail_hint(f, "--%s-endpoint NAME or --%s-endpoint-url URL", side, side);
        return REPL_EBADINPUT;
    }
    const char *place = arena_printf(&job->arena, "%s/%s", endpoint, text + 5);
    return rule_place_parse(span_str(place), &job->arena, ret, f);
}

static int read_rule(struct migrate_job *job, const struct cli_args *args, struct fail *f)
{
    struct rule *rule = &job->rule;
    rule_init(rule, &job->arena);
    int r = rule_set(rule, "name", span_str("migrate"), &job->arena, f);
    if (r == 0) {
        r = read_place(job, args, "source", args->words[0], &rule->source, f);
    }
    if (r == 0) {
        r = read_place(job, args, "destination", args->words[1], &rule->destination, f);
    }
    for (size_t i = 0; i < args->given_count && r == 0; i++) {
        const struct cli_given *given = &args->given[i];
        if (strcmp(given->name, "include") == 0 || strcmp(given->name, "exclude") == 0) {
            r = rule_set(rule, given->name, span_str(given->value), &job->arena, f);
        } else if (strcmp(given->name, "storage-class") == 0) {
            r = rule_set(rule, "storage_class", span_str(given->value), &job->arena, f);
        }
    }
    return r;
}

/* Endpoints that the flags do not describe come from the configuration file. */
static int add_configured(struct migrate_job *job, const struct cli_args *args, struct fail *f)
{
    struct conf *c = job->conf;
    const char *file = cli_args_get(args, "config");
    if (conf_endpoint_find(c, job->rule.source.endpoint) != NULL &&
        conf_endpoint_find(c, job->rule.destination.endpoint) != NULL) {
        return 0;
    }
    int r = conf_load(file != NULL ? file : "/etc/repld/repld.yaml", &job->config, f);
    if (r != 0) {
        return r;
    }
    size_t own = c->endpoint_count;
    size_t more = job->config->endpoint_count;
    struct conf_endpoint *all = arena_alloc(&job->arena, (own + more + 1) * sizeof(*all));
    for (size_t i = 0; i < own + more; i++) {
        all[i] = i < own ? c->endpoints[i] : job->config->endpoints[i - own];
    }
    c->endpoints = all;
    c->endpoint_count = own + more;
    return 0;
}

static int check_endpoint(const struct migrate_job *job, const char *name, struct fail *f)
{
    if (conf_endpoint_find(job->conf, name) != NULL) {
        return 0;
    }
    fail_set(f, REPL_EBADINPUT, "there is no endpoint \"%s\"", name);
    fail_hint(f, "name one of the configuration file, or give --…-endpoint-url");
    return REPL_EBADINPUT;
}

static int make_folders(char *path, struct fail *f)
{
    for (char *p = path + 1; *p != '\0'; p++) {
        if (*p != '/') {
            continue;
        }
        *p = '\0';
        int failed = mkdir(path, 0700) != 0 && errno != EEXIST ? -errno : 0;
        if (failed != 0) {
            return fail_set(f, failed, "%s cannot be made: %s", path, fail_text(failed));
        }
        *p = '/';
    }
    return 0;
}

/* The same job finds its journal again: the name is made from both sides. */
static int default_journal(struct migrate_job *job, struct fail *f)
{
    struct buf text = {0};
    const struct rule *rule = &job->rule;
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    buf_printf(&text, "%s\n", conf_endpoint_find(job->conf, rule->source.endpoint)->url);
    rule_place_print(&rule->source, &text);
    buf_printf(&text, "\n%s\n", conf_endpoint_find(job->conf, rule->destination.endpoint)->url);
    rule_place_print(&rule->destination, &text);
    unsigned long long hash = hash_bytes(buf_view(&text), 1);
    buf_done(&text);
    bool has_state = state != NULL && state[0] == '/';
    char *path = arena_printf(&job->arena, "%s%s/repld/migrate-%016llx.db",
                              has_state ? state : (home != NULL ? home : "/var/lib"),
                              has_state ? "" : "/.local/state", hash);
    job->conf->journal_path = path;
    return make_folders(path, f);
}

static int fill(struct migrate_job *job, const struct cli_args *args, struct fail *f)
{
    int r = conf_from_flags(job, args, f);
    if (r == 0) {
        r = read_rule(job, args, f);
    }
    if (r == 0) {
        r = add_configured(job, args, f);
    }
    if (r == 0) {
        r = check_endpoint(job, job->rule.source.endpoint, f);
    }
    if (r == 0) {
        r = check_endpoint(job, job->rule.destination.endpoint, f);
    }
    if (r != 0) {
        return r;
    }
    const char *journal = cli_args_get(args, "journal");
    if (journal != NULL) {
        job->conf->journal_path = journal;
        return 0;
    }
    return default_journal(job, f);
}

int migrate_job_init(struct migrate_job *job, const struct cli_args *args, struct fail *f)
{
    memset(job, 0, sizeof(*job));
    arena_init(&job->arena);
    int r = fill(job, args, f);
    if (r != 0) {
        migrate_job_done(job);
    }
    return r;
}

void migrate_job_done(struct migrate_job *job)
{
    conf_free(job->conf);
    conf_free(job->config);
    arena_done(&job->arena);
}
