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

/* Each rule that is refused, by its line. */
static int print_refusals(const struct cli *c, const char *path, const struct rule_file *file,
                          json_t *root)
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
    if (c->json) {
        cli_print(root);
    }
    return CLI_FAILED;
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
    if (r != 0 && json_object_get(json_object_get(answer, "error"), "errors") != NULL) {
        code = print_refusals(c, path, file, answer);
    } else if (r != 0) {
        code = cli_fail(c, &f);
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
    struct rule_file file;
    struct fail f = {0};
    if (path == NULL) {
        return cli_usage(c, "apply: which file? -f FILE");
    }
    arena_init(&a);
    int r = rule_file_load(path, &a, &file, &f);
    if (r != 0 && f.hint[0] == '\0') {
        fail_hint(&f, "--file names the rules as YAML; replctl(1) has an example");
    }
    int code = r != 0 ? cli_fail(c, &f) : send_rules(c, path, &file, args);
    arena_done(&a);
    return code;
}
