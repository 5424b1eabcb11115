#include "cli/commands.h"
#include "cli/table.h"
#include "cli/text.h"

#include <stdio.h>
#include <string.h>

static void rate_cell(struct table *t, const json_t *row)
{
    struct buf text = {0};
    text_bytes((unsigned long long)cli_number(row, "bytes_per_second"), &text);
    buf_str(&text, "/s");
    table_buf(t, TABLE_PLAIN, &text);
    buf_done(&text);
}

static void ms_cell(struct table *t, const json_t *row, const char *name)
{
    struct buf text = {0};
    buf_printf(&text, "%.1f ms", json_number_value(json_object_get(row, name)));
    table_buf(t, TABLE_PLAIN, &text);
    buf_done(&text);
}

static void share_cell(struct table *t, long long part, long long whole)
{
    struct buf text = {0};
    buf_printf(&text, "%.1f %%", whole > 0 ? 100.0 * (double)part / (double)whole : 0.0);
    table_buf(t, TABLE_PLAIN, &text);
    buf_done(&text);
}

/* "3 of 8": requests under way, and how many are worth it. */
static void slots_cell(struct table *t, const json_t *row, const char *class)
{
    const json_t *c = json_object_get(row, class);
    struct buf text = {0};
    buf_printf(&text, "%lld of %lld", cli_number(c, "under_way"), cli_number(c, "slots"));
    table_buf(t, TABLE_PLAIN, &text);
    buf_done(&text);
}

static void number_cell(struct table *t, long long n)
{
    struct buf text = {0};
    text_count((unsigned long long)n, &text);
    table_buf(t, TABLE_PLAIN, &text);
    buf_done(&text);
}

/* What holds a path: the operator's word, then how it does, then the configuration. */
static const char *state_of(const json_t *path)
{
    const char *order = cli_text(path, "order");
    if (order[0] != '\0') {
        return strcmp(order, "fix") == 0 ? "fixed" : "forbidden";
    }
    return cli_true(path, "up") ? cli_text(path, "use") : "left";
}

static void print_paths(const struct cli *c, const json_t *paths)
{
    static const char *const headings[] = {"ENDPOINT", "PATH", "STATE", "LANES",   "BULK",
                                           "SMALL",    "RATE", "RTT",   "MIN RTT", NULL};
    struct table t;
    size_t i;
    json_t *row;
    table_init(&t, headings);
    json_array_foreach(paths, i, row)
    {
        bool up = cli_true(row, "up");
        table_cell(&t, TABLE_PLAIN, cli_text(row, "endpoint"));
        table_cell(&t, TABLE_PLAIN, cli_text(row, "path"));
        table_cell(&t, up ? TABLE_PLAIN : TABLE_YELLOW, state_of(row));
        number_cell(&t, cli_number(row, "lanes"));
        slots_cell(&t, row, "bulk");
        slots_cell(&t, row, "small");
        rate_cell(&t, row);
        ms_cell(&t, row, "rtt_ms");
        ms_cell(&t, row, "min_rtt_ms");
    }
    table_print(&t, c->terminal);
    table_done(&t);
}

static void print_lanes(const struct cli *c, const json_t *lanes)
{
    static const char *const headings[] = {"ENDPOINT", "PATH", "KIND", "ADDRESS", "CONTROL",
                                           "CLASS",    "HAS",  "RATE", "RTT",     "RESENT",
                                           "HELD",     "IDLE", NULL};
    struct table t;
    struct buf text = {0};
    size_t i;
    json_t *row;
    table_init(&t, headings);
    json_array_foreach(lanes, i, row)
    {
        table_cell(&t, TABLE_PLAIN, cli_text(row, "endpoint"));
        table_cell(&t, TABLE_PLAIN, cli_text(row, "path"));
        table_cell(&t, TABLE_PLAIN, cli_text(row, "kind"));
        table_cell(&t, TABLE_PLAIN, cli_text(row, "address"));
        table_cell(&t, TABLE_PLAIN, cli_text(row, "congestion"));
        table_cell(&t, TABLE_PLAIN, cli_text(row, "class"));
        number_cell(&t, cli_number(row, "active"));
        rate_cell(&t, row);
        ms_cell(&t, row, "rtt_ms");
        share_cell(&t, cli_number(row, "retransmitted_bytes"), cli_number(row, "sent_bytes"));
        text_duration(cli_number(row, "window_held_ms"), &text);
        table_buf(&t, TABLE_PLAIN, &text);
        text_duration(cli_number(row, "idle_ms"), &text);
        table_buf(&t, TABLE_PLAIN, &text);
    }
    table_print(&t, c->terminal);
    table_done(&t);
    buf_done(&text);
}

static void print(const struct cli *c, const json_t *answer)
{
    const json_t *lanes = json_object_get(answer, "lanes");
    print_paths(c, json_object_get(answer, "paths"));
    if (json_array_size(lanes) > 0) {
        putchar('\n');
        print_lanes(c, lanes);
    }
}

int run_lanes(struct cli *c, const struct cli_args *args)
{
    struct buf query = {0};
    cli_query(&query, "endpoint", args->word_count > 0 ? args->words[0] : NULL);
    int code = cli_watch(c, PROTO_LANES, buf_cstr(&query), cli_args_has(args, "watch"), print);
    buf_done(&query);
    return code;
}

static int order_path(const struct cli *c, enum proto_id id, const struct cli_args *args,
                      const char *said)
{
    struct buf query = {0};
    cli_query(&query, "endpoint", args->words[0]);
    cli_query(&query, "path", args->words[1]);
    int code = cli_call(c, id, buf_cstr(&query), span_str(""), NULL, said);
    buf_done(&query);
    return code;
}

int run_path_fix(struct cli *c, const struct cli_args *args)
{
    return order_path(c, PROTO_PATH_FIX, args, "path is fixed");
}

int run_path_forbid(struct cli *c, const struct cli_args *args)
{
    return order_path(c, PROTO_PATH_FORBID, args, "path is forbidden");
}

int run_path_free(struct cli *c, const struct cli_args *args)
{
    return order_path(c, PROTO_PATH_FREE, args, "path is free");
}
