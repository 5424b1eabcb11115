#include "daemon/conf/rule.h"
#include "cli/commands.h"
#include "cli/table.h"

#include <stdio.h>
#include <stdlib.h>

/* Options that are members of a rule, with the value of a flag. */
static const struct {
    const char *option;
    const char *member;
    const char *flag; /* NULL = the option's value */
} members[] = {
    {"source", "source", NULL},
    {"destination", "destination", NULL},
    {"include", "include", NULL},
    {"exclude", "exclude", NULL},
    {"watermark-prefix", "watermark_prefixes", NULL},
    {"storage-class", "storage_class", NULL},
    {"versions", "versions", NULL},
    {"deletes", "deletes", NULL},
    {"deletes-brake", "deletes_brake", NULL},
    {"deletes-foreign", "deletes_foreign", "true"},
    {"no-deletes-foreign", "deletes_foreign", "false"},
    {"two-way", "two_way", "true"},
    {"no-two-way", "two_way", "false"},
    {"existing", "existing", "true"},
    {"no-existing", "existing", "false"},
    {"scan", "scan", NULL},
    {"scan-against", "scan_against", NULL},
    {"scan-requests", "scan_requests", NULL},
    {"objective", "objective", NULL},
    {"priority", "priority", NULL},
    {"bandwidth", "bandwidth", NULL},
    {"requests", "requests", NULL},
    {"paused", "enabled", "false"},
    {"no-marker", "marker", "false"},
    {"marker", "marker", "true"},
    {"no-replicas", "keep_replicas", "false"},
    {"replicas", "keep_replicas", "true"},
    {"publish", "publish", NULL},
    {"publish-as", "publish_as", NULL},
    {"shared", "shared", "true"},
    {"no-shared", "shared", "false"},
    {"scan-host", "scan_host", NULL},
    {"takeover", "takeover", NULL},
};

static int set_member(struct rule *rule, const struct cli_given *given, struct arena *a,
                      struct fail *f)
{
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        if (strcmp(members[i].option, given->name) == 0) {
            const char *value = members[i].flag != NULL ? members[i].flag : given->value;
            return rule_set(rule, members[i].member, span_str(value), a, f);
        }
    }
    return 0;
}

/* Patterns given replace those that the rule had. */
static void clear_lists(struct rule *rule, const struct cli_args *args)
{
    if (cli_args_has(args, "include") || cli_args_has(args, "clear-include")) {
        rule->include_count = 0;
    }
    if (cli_args_has(args, "exclude") || cli_args_has(args, "clear-exclude")) {
        rule->exclude_count = 0;
    }
    if (cli_args_has(args, "watermark-prefix") || cli_args_has(args, "clear-watermark-prefix")) {
        rule->watermark_prefix_count = 0;
    }
}

/* The sentence of the refusal, NULL when the options can be a change. */
static const char *no_change(const struct cli_args *args)
{
    size_t changes = 0;
    for (size_t i = 0; i < args->given_count; i++) {
        const char *name = args->given[i].name;
        changes += strcmp(name, "socket") != 0 && strcmp(name, "json") != 0 &&
                   strcmp(name, "no-preflight") != 0;
    }
    if (changes == 0) {
        return "rule update: which option is to change?";
    }
    if (cli_args_has(args, "include") && cli_args_has(args, "clear-include")) {
        return "rule update: --include replaces the patterns; leave --clear-include out";
    }
    if (cli_args_has(args, "exclude") && cli_args_has(args, "clear-exclude")) {
        return "rule update: --exclude replaces the patterns; leave --clear-exclude out";
    }
    if (cli_args_has(args, "watermark-prefix") && cli_args_has(args, "clear-watermark-prefix")) {
        return "rule update: --watermark-prefix replaces the prefixes; leave "
               "--clear-watermark-prefix out";
    }
    return NULL;
}

static int set_members(struct rule *rule, const struct cli_args *args, struct arena *a,
                       struct fail *f)
{
    clear_lists(rule, args);
    if (cli_args_has(args, "no-storage-class")) {
        rule->storage_class = NULL;
    }
    if (cli_args_has(args, "no-scan-host")) {
        rule->scan_host = NULL;
    }
    for (size_t i = 0; i < args->given_count; i++) {
        int r = set_member(rule, &args->given[i], a, f);
        if (r != 0) {
            return r;
        }
    }
    return 0;
}

static int put(const struct cli *c, const struct rule *rule, const char *mode, bool no_preflight,
               const char *said)
{
    struct buf body = {0};
    struct buf query = {0};
    rule_to_json(rule, &body);
    cli_query(&query, "mode", mode);
    cli_query(&query, "no_preflight", no_preflight ? "1" : NULL);
    int code = cli_call(c, PROTO_RULE_PUT, buf_cstr(&query), buf_view(&body), NULL, said);
    buf_done(&query);
    buf_done(&body);
    return code;
}

int run_rule_add(struct cli *c, const struct cli_args *args)
{
    struct arena a;
    struct rule rule;
    struct fail f = {0};
    arena_init(&a);
    rule_init(&rule, &a);
    int r = rule_set(&rule, "name", span_str(args->words[0]), &a, &f);
    if (r == 0) {
        r = set_members(&rule, args, &a, &f);
    }
    int code;
    if (r != 0) {
        code = cli_misused(c, &f);
    } else if (rule.source.endpoint == NULL || rule.destination.endpoint == NULL) {
        code = cli_usage(c, "rule add: a rule needs --source and --destination");
    } else {
        code = put(c, &rule, "add", cli_args_has(args, "no-preflight"), "rule is added");
    }
    arena_done(&a);
    return code;
}

/* The rule as the daemon has it; its member "rule" in *ret_answer. */
static int fetch(const struct cli *c, const char *name, json_t **ret_answer, struct fail *f)
{
    struct buf query = {0};
    cli_query(&query, "rule", name);
    int r = cli_ask(c, PROTO_RULES, buf_cstr(&query), span_str(""), ret_answer, f);
    buf_done(&query);
    return r;
}

static int read_rule(const json_t *answer, struct arena *a, struct rule *ret, struct fail *f)
{
    json_t *row = json_array_get(json_object_get(answer, "rules"), 0);
    char *text = json_dumps(json_object_get(row, "rule"), 0);
    if (text == NULL) {
        return fail_set(f, REPL_EPROTO, "repld answered without the rule");
    }
    int r = rule_from_json(span_str(text), a, ret, f);
    free(text);
    return r;
}

int run_rule_update(struct cli *c, const struct cli_args *args)
{
    struct arena a;
    struct rule rule = {0};
    struct fail f = {0};
    json_t *answer = NULL;
    const char *refused = no_change(args);
    if (refused != NULL) {
        return cli_usage(c, "%s", refused);
    }
    arena_init(&a);
    int code;
    int r = fetch(c, args->words[0], &answer, &f);
    if (r == 0) {
        r = read_rule(answer, &a, &rule, &f);
    }
    if (r != 0) {
        code = cli_fail(c, &f);
    } else if (set_members(&rule, args, &a, &f) != 0) {
        code = cli_misused(c, &f);
    } else {
        code = put(c, &rule, "update", cli_args_has(args, "no-preflight"), "rule is changed");
    }
    json_decref(answer);
    arena_done(&a);
    return code;
}

int run_rule_list(struct cli *c, const struct cli_args *args)
{
    static const char *const headings[] = {"RULE",  "SOURCE",    "DESTINATION", "DELETES",
                                           "STATE", "OBJECTIVE", "PRIORITY",    NULL};
    (void)args;
    json_t *answer = NULL;
    int code = cli_call(c, PROTO_RULES, NULL, span_str(""), &answer, NULL);
    if (answer == NULL) {
        return code;
    }
    struct table t;
    table_init(&t, headings);
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(answer, "rules"), i, row)
    {
        char priority[24];
        const json_t *rule = json_object_get(row, "rule");
        bool enabled = cli_true(rule, "enabled");
        snprintf(priority, sizeof(priority), "%lld", cli_number(rule, "priority"));
        table_cell(&t, TABLE_PLAIN, cli_text(rule, "name"));
        table_cell(&t, TABLE_PLAIN, cli_text(rule, "source"));
        table_cell(&t, TABLE_PLAIN, cli_text(rule, "destination"));
        table_cell(&t, TABLE_PLAIN, cli_text(rule, "deletes"));
        table_cell(&t, enabled ? TABLE_GREEN : TABLE_YELLOW, enabled ? "enabled" : "paused");
        table_cell(&t, TABLE_PLAIN, cli_text(rule, "objective"));
        table_cell(&t, TABLE_PLAIN, priority);
    }
    table_print(&t, c->terminal);
    table_done(&t);
    json_decref(answer);
    return code;
}

static void show_member(const char *name, const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    bool none = json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0);
    cli_say("%-18s %s", name, none ? "-" : json_is_string(value) ? json_string_value(value) : text);
    free(text);
}

/* What a timetable makes of it, where it limits anything now. */
static void show_now(const json_t *row, const char *member, const char *title)
{
    const json_t *value = json_object_get(row, member);
    if (json_is_string(value)) {
        show_member(title, value);
    }
}

static void show_brake(const json_t *row)
{
    const char *since = cli_text(row, "brake_since");
    if (since[0] != '\0') {
        cli_say("%-18s %lld deletes are held since %s: %s", "brake",
                cli_number(row, "held_deletes"), since, cli_text(row, "brake"));
    }
}

int run_rule_show(struct cli *c, const struct cli_args *args)
{
    struct fail f = {0};
    json_t *answer = NULL;
    if (fetch(c, args->words[0], &answer, &f) != 0) {
        return cli_fail(c, &f);
    }
    const json_t *row = json_array_get(json_object_get(answer, "rules"), 0);
    json_t *rule = json_object_get(row, "rule");
    const char *name;
    json_t *value;
    if (c->json) {
        json_dumpf(row, stdout, JSON_COMPACT);
        putchar('\n');
    } else {
        json_object_foreach(rule, name, value)
        {
            show_member(name, value);
        }
        show_now(row, "bandwidth_now", "bandwidth now");
        show_now(row, "requests_now", "requests now");
        show_brake(row);
    }
    json_decref(answer);
    return CLI_DONE;
}

static int by_name(const struct cli *c, enum proto_id id, const char *name, const char *said)
{
    struct buf query = {0};
    cli_query(&query, "rule", name);
    int code = cli_call(c, id, buf_cstr(&query), span_str(""), NULL, said);
    buf_done(&query);
    return code;
}

int run_rule_pause(struct cli *c, const struct cli_args *args)
{
    return by_name(c, PROTO_RULE_PAUSE, args->words[0], "rule is paused");
}

int run_rule_resume(struct cli *c, const struct cli_args *args)
{
    return by_name(c, PROTO_RULE_RESUME, args->words[0], "rule goes on");
}

int run_rule_delete(struct cli *c, const struct cli_args *args)
{
    return by_name(c, PROTO_RULE_DELETE, args->words[0], "rule is deleted");
}
