#include "cli/commands.h"
#include "cli/table.h"
#include "cli/text.h"

#include <stdio.h>

static void place_cell(struct table *t, const json_t *feed)
{
    struct buf place = {0};
    const char *endpoint = cli_text(feed, "endpoint");
    const char *bucket = cli_text(feed, "bucket");
    buf_printf(&place, "%s/%s", endpoint[0] != '\0' ? endpoint : "*",
               bucket[0] != '\0' ? bucket : "*");
    table_buf(t, TABLE_PLAIN, &place);
    buf_done(&place);
}

static void count_cell(struct table *t, long long n)
{
    struct buf text = {0};
    text_count((unsigned long long)n, &text);
    table_buf(t, n > 0 ? TABLE_RED : TABLE_PLAIN, &text);
    buf_done(&text);
}

static void feed_row(struct table *t, const json_t *feed)
{
    table_cell(t, TABLE_PLAIN, cli_text(feed, "feed"));
    place_cell(t, feed);
    table_state(t, cli_text(feed, "state"));
    count_cell(t, cli_number(feed, "quarantined") + cli_number(feed, "lost"));
    count_cell(t, cli_number(feed, "astray"));
    table_cell(t, TABLE_RED, cli_text(json_object_get(feed, "failure"), "text"));
}

static void feed_hint(const json_t *feed)
{
    const char *hint = cli_text(json_object_get(feed, "failure"), "hint");
    if (hint[0] != '\0') {
        cli_say("hint for %s: %s", cli_text(feed, "feed"), hint);
    }
}

static const char *const feed_headings[] = {"FEED",    "OF",      "STATE", "QUARANTINE",
                                            "NO RULE", "FAILURE", NULL};

int run_feed_list(struct cli *c, const struct cli_args *args)
{
    json_t *answer = NULL;
    (void)args;
    int code = cli_call(c, PROTO_FEEDS, NULL, span_str(""), &answer, NULL);
    if (answer == NULL) {
        return code;
    }
    struct table t;
    size_t i;
    json_t *feed;
    table_init(&t, feed_headings);
    json_array_foreach(json_object_get(answer, "feeds"), i, feed)
    {
        feed_row(&t, feed);
    }
    if (t.count > t.columns) {
        table_print(&t, c->terminal);
    } else {
        puts("no feeds: changes come by replctl journal append only");
    }
    json_array_foreach(json_object_get(answer, "feeds"), i, feed)
    {
        feed_hint(feed);
    }
    if (cli_text(answer, "webhook")[0] != '\0') {
        printf("webhook listens on %s\n", cli_text(answer, "webhook"));
    }
    table_done(&t);
    json_decref(answer);
    return code;
}

/* ---- show ---- */

struct shown {
    struct table bodies;
    struct table dropped; /* by operators; comes with the first page */
};

static void dropped_row(struct table *t, const json_t *word)
{
    char which[40] = "all";
    char count[24];
    long long id = cli_number(word, "id");
    if (id > 0) {
        snprintf(which, sizeof(which), "%lld", id);
    }
    snprintf(count, sizeof(count), "%lld", cli_number(word, "bodies"));
    table_cell(t, TABLE_PLAIN, cli_text(word, "at"));
    table_cell(t, TABLE_PLAIN, cli_text(word, "who"));
    table_cell(t, TABLE_PLAIN, which);
    table_cell(t, TABLE_PLAIN, count);
    table_cell(t, TABLE_PLAIN, cli_text(word, "reason"));
}

static void show_page(void *arg, json_t *answer)
{
    struct shown *s = arg;
    struct table *t = &s->bodies;
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(answer, "quarantine"), i, row)
    {
        char text[40];
        struct buf size = {0};
        long long lost = cli_number(row, "lost");
        snprintf(text, sizeof(text), "%lld", cli_number(row, "id"));
        table_cell(t, TABLE_PLAIN, text);
        table_cell(t, TABLE_PLAIN, cli_text(row, "received"));
        if (lost > 0) {
            buf_printf(&size, "%lld lost", lost);
        } else {
            text_bytes((unsigned long long)cli_number(row, "size_bytes"), &size);
        }
        table_buf(t, lost > 0 ? TABLE_RED : TABLE_PLAIN, &size);
        table_cell(t, TABLE_PLAIN, cli_text(row, "reason"));
        buf_done(&size);
    }
    json_array_foreach(json_object_get(answer, "dropped"), i, row)
    {
        dropped_row(&s->dropped, row);
    }
}

static void print_shown(const struct cli *c, const struct shown *s)
{
    if (s->bodies.count > s->bodies.columns) {
        table_print(&s->bodies, c->terminal);
    } else {
        puts("nothing is in quarantine");
    }
    if (s->dropped.count > s->dropped.columns) {
        putchar('\n');
        table_print(&s->dropped, c->terminal);
    }
}

static int show_body(const struct cli *c, const char *query)
{
    json_t *answer = NULL;
    int code = cli_call(c, PROTO_FEED_SHOW, query, span_str(""), &answer, NULL);
    if (answer != NULL) {
        struct buf text = {0};
        cli_key(answer, "body", &text);
        puts(buf_cstr(&text));
        buf_done(&text);
        json_decref(answer);
    }
    return code;
}

int run_feed_show(struct cli *c, const struct cli_args *args)
{
    static const char *const headings[] = {"ID", "RECEIVED", "SIZE", "WHY", NULL};
    static const char *const dropped[] = {"DROPPED", "BY", "ID", "BODIES", "WHY", NULL};
    struct buf query = {0};
    struct shown s;
    cli_query(&query, "feed", args->words[0]);
    if (cli_args_get(args, "id") != NULL) {
        cli_query(&query, "id", cli_args_get(args, "id"));
        int shown = show_body(c, buf_cstr(&query));
        buf_done(&query);
        return shown;
    }
    table_init(&s.bodies, headings);
    table_init(&s.dropped, dropped);
    int code = cli_pages(c, PROTO_FEED_SHOW, buf_cstr(&query), show_page, &s);
    if (code == CLI_DONE && !c->json) {
        print_shown(c, &s);
    }
    table_done(&s.bodies);
    table_done(&s.dropped);
    buf_done(&query);
    return code;
}

/* ---- decisions ---- */

int run_feed_replay(struct cli *c, const struct cli_args *args)
{
    struct buf query = {0};
    cli_query(&query, "feed", args->words[0]);
    cli_query(&query, "id", cli_args_get(args, "id"));
    int code = cli_call(c, PROTO_FEED_REPLAY, buf_cstr(&query), span_str(""), NULL,
                        "is read and accepted");
    buf_done(&query);
    return code;
}

int run_feed_drop(struct cli *c, const struct cli_args *args)
{
    const char *reason = cli_args_get(args, "reason");
    const char *id = cli_args_get(args, "id");
    struct buf query = {0};
    if (reason == NULL || reason[0] == '\0') {
        return cli_usage(c, "feed drop: say why with --reason; it is kept on record");
    }
    if ((id != NULL) == cli_args_has(args, "all")) {
        return cli_usage(c, "feed drop: which one? --id ID, or --all");
    }
    cli_query(&query, "feed", args->words[0]);
    cli_query(&query, "id", id);
    cli_query(&query, "all", id == NULL ? "1" : NULL);
    cli_query(&query, "reason", reason);
    int code = cli_call(c, PROTO_FEED_DROP, buf_cstr(&query), span_str(""), NULL, "is dropped");
    buf_done(&query);
    return code;
}

/* ---- setup ---- */

int run_feed_setup(struct cli *c, const struct cli_args *args)
{
    bool apply = cli_args_has(args, "apply");
    struct buf query = {0};
    json_t *answer = NULL;
    cli_query(&query, "rule", args->words[0]);
    cli_query(&query, "sender", cli_args_get(args, "for"));
    cli_query(&query, "arn", cli_args_get(args, "arn"));
    int code = cli_call(c, apply ? PROTO_FEED_SETUP_APPLY : PROTO_FEED_SETUP, buf_cstr(&query),
                        span_str(""), &answer, NULL);
    if (answer != NULL && apply) {
        puts("the source bucket sends its notifications to the webhook");
        cli_say("replctl scan start %s finds what was written before", args->words[0]);
    } else if (answer != NULL) {
        fputs(cli_text(answer, "commands"), stdout);
    }
    json_decref(answer);
    buf_done(&query);
    return code;
}
