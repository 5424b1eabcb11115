#include "cli/commands.h"
#include "cli/table.h"

#include <stdio.h>

static void add_rows(void *arg, json_t *answer)
{
    struct table *t = arg;
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(answer, "failures"), i, row)
    {
        const json_t *failure = json_object_get(row, "failure");
        table_cell(t, TABLE_PLAIN, cli_text(row, "rule"));
        table_key(t, row, "key");
        table_cell(t, TABLE_PLAIN, cli_text(row, "kind"));
        table_cell(t, TABLE_PLAIN, cli_text(row, "event_time"));
        table_cell(t, TABLE_RED, cli_text(failure, "text"));
        table_cell(t, TABLE_PLAIN, cli_text(failure, "hint"));
    }
}

int run_failures_list(struct cli *c, const struct cli_args *args)
{
    static const char *const headings[] = {"RULE", "KEY",  "KIND", "EVENT TIME",
                                           "WHY",  "HINT", NULL};
    struct table t;
    struct buf query = {0};
    table_init(&t, headings);
    cli_query(&query, "rule", args->word_count > 0 ? args->words[0] : NULL);
    int code = cli_pages(c, PROTO_FAILURES, buf_cstr(&query), add_rows, &t);
    if (code == CLI_DONE && !c->json) {
        if (t.count > t.columns) {
            table_print(&t, c->terminal);
        } else {
            puts("no failures");
        }
    }
    buf_done(&query);
    table_done(&t);
    return code;
}

int run_failures_retry(struct cli *c, const struct cli_args *args)
{
    struct buf query = {0};
    json_t *answer = NULL;
    cli_query(&query, "rule", args->words[0]);
    cli_query(&query, "key", cli_args_get(args, "key"));
    int code = cli_call(c, PROTO_FAILURES_RETRY, buf_cstr(&query), span_str(""), &answer, NULL);
    long long count = cli_number(answer, "count");
    if (answer != NULL && count == 0) {
        puts("no failures: there is nothing to try again");
    } else if (answer != NULL) {
        printf("%lld %s will be tried again\n", count, count == 1 ? "object" : "objects");
    }
    json_decref(answer);
    buf_done(&query);
    return code;
}

int run_failures_drop(struct cli *c, const struct cli_args *args)
{
    const char *reason = cli_args_get(args, "reason");
    struct buf query = {0};
    if (reason == NULL || reason[0] == '\0') {
        return cli_usage(c, "failures drop: say why with --reason; it is kept in the history");
    }
    cli_query(&query, "rule", args->words[0]);
    cli_query(&query, "key", args->words[1]);
    cli_query(&query, "reason", reason);
    int code = cli_call(c, PROTO_FAILURES_DROP, buf_cstr(&query), span_str(""), NULL, "is dropped");
    buf_done(&query);
    return code;
}
