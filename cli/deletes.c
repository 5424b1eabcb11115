#include "cli/commands.h"
#include "cli/table.h"
#include "cli/text.h"

#include <stdio.h>

static void add_rows(void *arg, json_t *answer)
{
    struct table *t = arg;
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(answer, "deletes"), i, row)
    {
        struct buf size = {0};
        if (json_object_get(row, "size_bytes") != NULL) {
            text_bytes((unsigned long long)cli_number(row, "size_bytes"), &size);
        } else {
            buf_char(&size, '-');
        }
        table_key(t, row, "key");
        table_buf(t, TABLE_PLAIN, &size);
        table_cell(t, TABLE_PLAIN, cli_text(row, "event_time"));
        buf_done(&size);
    }
}

int run_rule_deletes(struct cli *c, const struct cli_args *args)
{
    static const char *const headings[] = {"KEY", "SIZE", "DELETED AT SOURCE", NULL};
    struct table t;
    struct buf query = {0};
    table_init(&t, headings);
    cli_query(&query, "rule", args->words[0]);
    int code = cli_pages(c, PROTO_RULE_DELETES, buf_cstr(&query), add_rows, &t);
    if (code == CLI_DONE && !c->json) {
        if (t.count > t.columns) {
            table_print(&t, c->terminal);
        } else {
            puts("no deletes are held");
        }
    }
    buf_done(&query);
    table_done(&t);
    return code;
}

int run_rule_confirm_deletes(struct cli *c, const struct cli_args *args)
{
    bool discard = cli_args_has(args, "discard");
    const char *reason = cli_args_get(args, "reason");
    if (discard && (reason == NULL || reason[0] == '\0')) {
        return cli_usage(c,
                         "rule confirm-deletes: say why with --reason; it is kept in the history");
    }
    if (!discard && reason != NULL) { /* who gives a reason to keep objects must not lose them */
        return cli_usage(c, "rule confirm-deletes: --reason goes with --discard, which keeps the "
                            "objects; without both the deletes are carried out");
    }
    struct buf query = {0};
    json_t *answer = NULL;
    cli_query(&query, "rule", args->words[0]);
    cli_query(&query, "discard", discard ? "1" : NULL);
    cli_query(&query, "reason", discard ? reason : NULL);
    int code =
        cli_call(c, PROTO_RULE_DELETES_CONFIRM, buf_cstr(&query), span_str(""), &answer, NULL);
    if (answer != NULL) {
        printf("%lld deletes %s\n", cli_number(answer, "count"),
               discard ? "are discarded" : "may go");
    }
    json_decref(answer);
    buf_done(&query);
    return code;
}
