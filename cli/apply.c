#include "cli/commands.h"
#include "daemon/conf/rule.h"

#include <stdio.h>
#include <stdlib.h>

static void print_member(char sign, const char *name, const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    printf("  %c %s: %s\n", sign, name, text != NULL ? text : "");
    free(text);
}

/* Members that differ; all of them when one side is missing. */
static void print_diff(json_t *before, json_t *after)
{
    const char *name;
    json_t *value;
    json_object_foreach(json_is_object(before) ? before : after, name, value)
    {
        const json_t *old = json_object_get(before, name);
        const json_t *new = json_object_get(after, name);
        if (old != NULL && new != NULL && json_equal(old, new)) {
            continue;
        }
        if (old != NULL) {
            print_member('-', name, old);
        }
        if (new != NULL) {
            print_member('+', name, new);
        }
    }
}

static void print_changes(const json_t *answer)
{
    size_t i;
    json_t *change;
    size_t changes = 0;
    json_array_foreach(json_object_get(answer, "changes"), i, change)
    {
        const char *action = cli_text(change, "action");
        if (strcmp(action, "none") == 0) {
            continue;
        }
        changes++;
        printf("%s %s\n", action, cli_text(change, "rule"));
        if (strcmp(action, "delete") != 0) {
            print_diff(json_object_get(change, "before"), json_object_get(change, "after"));
        }
    }
    printf("%zu %s%s\n", changes, changes == 1 ? "rule" : "rules",
           cli_true(answer, "dry_run") ? " would change; no server was asked" : " changed");
}

static unsigned line_of(const struct rule_file *file, const char *rule)
{
    for (size_t i = 0; i < file->count; i++) {
        if (strcmp(file->rules[i].name, rule) == 0) {
            return file->lines[i];
        }
    }
    return 0;
}

static void print_refusal(const char *text, const char *hint)
{
    fprintf(stderr, "replctl: %s\n", text);
    if (hint[0] != '\0') {
        fprintf(stderr, "hint: %s\n", hint);
    }
}

/* Each entry of the file that is wrong. */
static int print_faults(const struct cli *c, const struct rule_file *file)
{
    char text[80];
    json_t *errors = json_array();
    for (const struct rule_fault *fault = file->faults; fault != NULL; fault = fault->next) {
        print_refusal(fault->fail.text, fault->fail.hint);
        json_array_append_new(
            errors, json_pack("{s:s,s:s}", "text", fault->fail.text, "hint", fault->fail.hint));
    }
    snprintf(text, sizeof(text), "%zu entries of the file are wrong, nothing was changed",
             file->fault_count);
    fprintf(stderr, "replctl: %s\n", text);
    json_t *root = json_pack("{s:{s:s,s:s,s:s,s:o}}", "error", "code", fail_name(REPL_EBADINPUT),
                             "text", text, "hint", "mend them and apply again", "errors", errors);
    if (c->json) {
        cli_print(root);
    }
    json_decref(root);
    return CLI_FAILED;
}

static void print_names(const char *what, const json_t *names)
{
    size_t i;
    json_t *name;
    json_array_foreach(names, i, name)
    {
        fprintf(stderr, "%s %s", i == 0 ? what : ",", json_string_value(name));
    }
    if (json_array_size(names) > 0) {
        fputc('\n', stderr);
    }
}

/* It ended half way. */
static int print_half(const struct cli *c, const json_t *root, const struct fail *f)
{
    const json_t *error = json_object_get(root, "error");
    print_refusal(f->text, f->hint);
    print_names("changed:", json_object_get(error, "changed"));
    print_names("not changed:", json_object_get(error, "not_changed"));
    if (c->json) {
        cli_print(root);
    }
    return f->http_status == 502 ? CLI_UNREACHABLE : CLI_FAILED;
}

/* Each rule that is refused, by its line. */
static int print_refusals(const struct cli *c, const char *path, const struct rule_file *file,
                          json_t *root, const struct fail *f)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(json_object_get(root, "error"), "errors"), i, row)
    {
        unsigned line = line_of(file, cli_text(row, "rule"));
        json_object_set_new(row, "line", json_integer(line));
        fprintf(stderr, "replctl: %s:%u: %s\n", path, line, cli_text(row, "text"));
        if (cli_text(row, "hint")[0] != '\0') {
            fprintf(stderr, "hint: %s\n", cli_text(row, "hint"));
        }
    }
    fputs("replctl: nothing was changed\n", stderr);
    if (c->json) {
        cli_print(root);
    }
    return f->http_status == 502 ? CLI_UNREACHABLE : CLI_FAILED;
}

static int tell_failure(const struct cli *c, const char *path, const struct rule_file *file,
                        json_t *answer, const struct fail *f)
{
    const json_t *error = json_object_get(answer, "error");
    if (json_object_get(error, "errors") != NULL) {
        return print_refusals(c, path, file, answer, f);
    }
    return json_object_get(error, "changed") != NULL ? print_half(c, answer, f) : cli_fail(c, f);
}

static int send_rules(const struct cli *c, const char *path, const struct rule_file *file,
                      const struct cli_args *args)
{
    struct buf body = {0};
    struct buf query = {0};
    struct fail f = {0};
    json_t *answer = NULL;
    int code = CLI_DONE;
    buf_str(&body, "{\"rules\": [");
    for (size_t i = 0; i < file->count; i++) {
        buf_str(&body, i == 0 ? "" : ", ");
        rule_to_json(&file->rules[i], &body);
    }
    buf_str(&body, "]}");
    cli_query(&query, "dry_run", cli_args_has(args, "dry-run") ? "1" : NULL);
    cli_query(&query, "prune", cli_args_has(args, "prune") ? "1" : NULL);
    cli_query(&query, "no_preflight", cli_args_has(args, "no-preflight") ? "1" : NULL);
    int r = cli_ask_all(c, PROTO_APPLY, buf_cstr(&query), buf_view(&body), &answer, &f);
    if (r != 0) {
        code = tell_failure(c, path, file, answer, &f);
    } else if (c->json) {
        cli_print(answer);
    } else {
        print_changes(answer);
    }
    json_decref(answer);
    buf_done(&query);
    buf_done(&body);
    return code;
}

int run_apply(struct cli *c, const struct cli_args *args)
{
    const char *path = cli_args_get(args, "file");
    struct arena a;
    struct rule_file file = {0};
    struct fail f = {0};
    if (path == NULL) {
        return cli_usage(c, "apply: which file? -f FILE");
    }
    arena_init(&a);
    int r = rule_file_load(path, &a, &file, &f);
    if (r != 0 && f.hint[0] == '\0') {
        fail_hint(&f, "--file names the rules as YAML; replctl(1) has an example");
    }
    int code = file.fault_count > 1 ? print_faults(c, &file)
               : r != 0             ? cli_fail(c, &f)
                                    : send_rules(c, path, &file, args);
    arena_done(&a);
    return code;
}
