#include "cli/commands.h"
#include "cli/table.h"
#include "cli/text.h"

#include <stdio.h>

static void add_rows(void *arg, json_t *answer)
{
    struct table *t = arg;
    struct buf text = {0};
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(answer, "uploads"), i, row)
    {
        bool orphaned = cli_true(row, "orphaned");
        table_cell(t, TABLE_PLAIN, cli_text(row, "rule"));
        table_key(t, row, "key");
        table_cell(t, orphaned ? TABLE_YELLOW : TABLE_PLAIN, cli_text(row, "state"));
        text_bytes((unsigned long long)cli_number(row, "done_bytes"), &text);
        buf_str(&text, " of ");
        text_bytes((unsigned long long)cli_number(row, "size_bytes"), &text);
        table_buf(t, TABLE_PLAIN, &text);
        table_cell(t, TABLE_PLAIN, cli_text(row, "created"));
        table_cell(t, TABLE_PLAIN, cli_text(row, "upload_id"));
    }
    buf_done(&text);
}

static int list_own(struct cli *c)
{
    static const char *const headings[] = {"RULE",    "KEY",    "STATE", "BYTES",
                                           "CREATED", "UPLOAD", NULL};
    struct table t;
    table_init(&t, headings);
    int code = cli_pages(c, PROTO_UPLOADS, "", add_rows, &t);
    if (code == CLI_DONE && !c->json) {
        if (t.count > t.columns) {
            table_print(&t, c->terminal);
        } else {
            puts("no uploads");
        }
    }
    table_done(&t);
    return code;
}

static int list_foreign_of(struct cli *c, const char *rule, size_t *shown)
{
    struct buf query = {0};
    json_t *answer = NULL;
    cli_query(&query, "rule", rule);
    int code = cli_call(c, PROTO_FOREIGN, buf_cstr(&query), span_str(""), &answer, NULL);
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(answer, "foreign"), i, row)
    {
        struct buf key = {0};
        cli_key(row, "key", &key);
        cli_say("%s  %s  %s  since %s", rule, buf_cstr(&key), cli_text(row, "upload_id"),
                cli_text(row, "initiated"));
        buf_done(&key);
        ++*shown;
    }
    json_decref(answer);
    buf_done(&query);
    return code;
}

static int say_none(const struct cli *c, int code, size_t shown)
{
    if (code == CLI_DONE && shown == 0 && !c->json) {
        puts("no foreign uploads");
    }
    return code;
}

static int list_foreign(struct cli *c, const char *rule)
{
    size_t shown = 0;
    struct fail f = {0};
    json_t *rules = NULL;
    size_t i;
    json_t *row;
    int code = CLI_DONE;
    if (rule != NULL) {
        code = list_foreign_of(c, rule, &shown);
        return say_none(c, code, shown);
    }
    if (cli_ask(c, PROTO_RULES, NULL, span_str(""), &rules, &f) != 0) {
        return cli_fail(c, &f);
    }
    json_array_foreach(json_object_get(rules, "rules"), i, row)
    {
        int one = list_foreign_of(c, cli_text(json_object_get(row, "rule"), "name"), &shown);
        code = one != CLI_DONE ? one : code;
    }
    json_decref(rules);
    return say_none(c, code, shown);
}

int run_uploads(struct cli *c, const struct cli_args *args)
{
    const char *rule = cli_args_get(args, "rule");
    if (rule != NULL && !cli_args_has(args, "foreign")) {
        return cli_usage(c, "uploads: --rule goes with --foreign");
    }
    return cli_args_has(args, "foreign") ? list_foreign(c, rule) : list_own(c);
}
