#include "cli/commands.h"
#include "cli/table.h"
#include "cli/text.h"

#include <stdio.h>

static enum table_colour lag_colour(const json_t *rule)
{
    long long lag = cli_number(rule, "lag_ms");
    long long objective = cli_number(rule, "objective_ms");
    return lag > objective ? TABLE_RED : lag > objective / 2 ? TABLE_YELLOW : TABLE_GREEN;
}

static void latency_cell(struct table *t, const json_t *rule, const char *name)
{
    struct buf text = {0};
    const json_t *latency = json_object_get(rule, "latency_s");
    double seconds = json_number_value(json_object_get(latency, name));
    if (seconds > 0) {
        text_duration((long long)(seconds * 1000), &text);
    } else {
        buf_char(&text, '-'); /* nothing measured yet */
    }
    table_buf(t, TABLE_PLAIN, &text);
    buf_done(&text);
}

static void count_cell(struct table *t, enum table_colour colour, long long n)
{
    struct buf text = {0};
    text_count((unsigned long long)n, &text);
    table_buf(t, colour, &text);
    buf_done(&text);
}

/* Of a rule or a prefix: a watermark and how far it is behind, or - where there is none yet. */
static void watermark_cells(struct table *t, enum table_colour colour, const json_t *row)
{
    struct buf lag = {0};
    const char *watermark = cli_text(row, "watermark");
    if (watermark[0] == '\0') {
        table_cell(t, TABLE_PLAIN, "-");
        table_cell(t, TABLE_PLAIN, "-");
        return;
    }
    text_duration(cli_number(row, "lag_ms"), &lag);
    table_cell(t, TABLE_PLAIN, watermark);
    table_buf(t, colour, &lag);
    buf_done(&lag);
}

static void rule_row(struct table *t, const json_t *rule)
{
    struct buf text = {0};
    long long failed = cli_number(rule, "failed_objects");
    table_cell(t, TABLE_PLAIN, cli_text(rule, "rule"));
    watermark_cells(t, lag_colour(rule), rule);
    long long pending = cli_number(rule, "pending_objects") + cli_number(rule, "backfill_objects");
    long long bytes = cli_number(rule, "pending_bytes") + cli_number(rule, "backfill_bytes");
    count_cell(t, TABLE_PLAIN, pending);
    if (pending > 0 && bytes == 0) {
        buf_char(&text, '?'); /* feeds told no sizes */
    } else {
        text_bytes((unsigned long long)bytes, &text);
    }
    table_buf(t, TABLE_PLAIN, &text);
    count_cell(t, failed > 0 ? TABLE_RED : TABLE_PLAIN, failed);
    count_cell(t, TABLE_PLAIN, cli_number(rule, "done_objects"));
    latency_cell(t, rule, "p50");
    latency_cell(t, rule, "p99");
    table_cell(t, TABLE_PLAIN, cli_text(rule, "waits_for"));
    buf_done(&text);
}

/* Existing objects do not hold the watermark: what is left of them stands by itself. */
static void print_existing(const json_t *rules)
{
    size_t i;
    json_t *rule;
    json_array_foreach(rules, i, rule)
    {
        const char *existing = cli_text(rule, "existing");
        if (existing[0] != '\0') {
            cli_say("%s: existing objects, which the watermark does not wait for: %s",
                    cli_text(rule, "rule"), existing);
        }
    }
}

/* What scans have confirmed, for rules that are scanned; and what the watermark could not know. */
static void print_proof(const json_t *rules)
{
    size_t i;
    json_t *rule;
    json_array_foreach(rules, i, rule)
    {
        if (cli_number(rule, "proven_ms") > 0) {
            cli_say("%s: proven up to %s; %s", cli_text(rule, "rule"), cli_text(rule, "proven"),
                    cli_text(rule, "proof"));
        }
        const json_t *late = json_object_get(rule, "last_late");
        if (json_is_object(late)) {
            cli_say("%s: %lld changes came later than the watermark, the last one %s, changed %s, "
                    "told %s by %s",
                    cli_text(rule, "rule"), cli_number(rule, "late_changes"), cli_text(late, "key"),
                    cli_text(late, "changed"), cli_text(late, "accepted"), cli_text(late, "feed"));
        }
    }
}

/* Objects older than a rule without `existing` are nobody's to miss, but not at the destination. */
static void print_left(const json_t *rules)
{
    size_t i;
    json_t *rule;
    json_array_foreach(rules, i, rule)
    {
        long long left = cli_number(rule, "left_objects");
        if (left > 0) {
            cli_say("%s: %lld objects are older than the rule, and left alone; replctl rule update "
                    "%s --existing copies them",
                    cli_text(rule, "rule"), left, cli_text(rule, "rule"));
        }
    }
}

/* Nothing where no rule has watermark_prefixes. */
static void print_prefixes(const struct cli *c, const json_t *rules)
{
    static const char *const headings[] = {"RULE",   "PREFIX",    "WATERMARK", "LAG",
                                           "PROVEN", "WAITS FOR", NULL};
    struct table t;
    size_t i, k;
    json_t *rule, *prefix;
    table_init(&t, headings);
    json_array_foreach(rules, i, rule)
    {
        json_array_foreach(json_object_get(rule, "prefixes"), k, prefix)
        {
            const char *proven = cli_text(prefix, "proven");
            table_cell(&t, TABLE_PLAIN, cli_text(rule, "rule"));
            table_cell(&t, TABLE_PLAIN, cli_text(prefix, "prefix"));
            watermark_cells(&t, TABLE_PLAIN, prefix);
            table_cell(&t, TABLE_PLAIN, proven[0] != '\0' ? proven : "-");
            table_cell(&t, TABLE_PLAIN, cli_text(prefix, "waits_for"));
        }
    }
    if (t.count > t.columns) {
        table_print(&t, c->terminal);
    }
    table_done(&t);
}

static void print_rules(const struct cli *c, const json_t *answer)
{
    static const char *const headings[] = {"RULE",  "WATERMARK", "LAG",  "PENDING",
                                           "BYTES", "FAILED",    "DONE", "P50",
                                           "P99",   "WAITS FOR", NULL};
    struct table t;
    size_t i;
    json_t *rule;
    table_init(&t, headings);
    json_array_foreach(json_object_get(answer, "rules"), i, rule)
    {
        rule_row(&t, rule);
    }
    table_print(&t, c->terminal);
    table_done(&t);
    print_prefixes(c, json_object_get(answer, "rules"));
    print_existing(json_object_get(answer, "rules"));
    print_left(json_object_get(answer, "rules"));
    print_proof(json_object_get(answer, "rules"));
}

static void print_endpoints(const struct cli *c, const json_t *answer)
{
    static const char *const headings[] = {"ENDPOINT", "STATE", "URL", "FAILURE", NULL};
    struct table t;
    size_t i;
    json_t *endpoint;
    table_init(&t, headings);
    json_array_foreach(json_object_get(answer, "endpoints"), i, endpoint)
    {
        const char *state = cli_text(endpoint, "state");
        bool bad = strcmp(state, "outage") == 0 || strcmp(state, "denied") == 0;
        table_cell(&t, TABLE_PLAIN, cli_text(endpoint, "name"));
        bool good = strcmp(state, "up") == 0;
        table_cell(&t, bad ? TABLE_RED : good ? TABLE_GREEN : TABLE_YELLOW, state);
        table_cell(&t, TABLE_PLAIN, cli_text(endpoint, "url"));
        table_cell(&t, TABLE_PLAIN, cli_text(json_object_get(endpoint, "failure"), "text"));
    }
    table_print(&t, c->terminal);
    table_done(&t);
}

/* Of what should be none. */
static void trouble_cell(struct table *t, const json_t *row, const char *name)
{
    long long n = cli_number(row, name);
    count_cell(t, n > 0 ? TABLE_YELLOW : TABLE_PLAIN, n);
}

/* Prints it below a blank line, when it has rows. */
static void end_list(const struct cli *c, struct table *t)
{
    if (t->count > t->columns) {
        putchar('\n');
        table_print(t, c->terminal);
    }
    table_done(t);
}

/* Nothing where there are no outboxes. */
static void print_outboxes(const struct cli *c, const json_t *answer)
{
    static const char *const headings[] = {"OUTBOX",  "STATE",   "BAD ROWS",
                                           "NO RULE", "FAILURE", NULL};
    struct table t;
    size_t i;
    json_t *outbox;
    table_init(&t, headings);
    json_array_foreach(json_object_get(answer, "outboxes"), i, outbox)
    {
        table_cell(&t, TABLE_PLAIN, cli_text(outbox, "name"));
        table_state(&t, cli_text(outbox, "state"));
        trouble_cell(&t, outbox, "bad_rows");
        trouble_cell(&t, outbox, "astray_rows");
        table_cell(&t, TABLE_PLAIN, cli_text(json_object_get(outbox, "failure"), "text"));
    }
    end_list(c, &t);
}

/* Nothing where there are no queues. */
static void print_queues(const struct cli *c, const json_t *answer)
{
    static const char *const headings[] = {"QUEUE",   "STATE",   "WAITING", "IN HAND", "BAD",
                                           "NO RULE", "THROUGH", "FAILURE", NULL};
    struct table t;
    size_t i;
    json_t *queue;
    table_init(&t, headings);
    json_array_foreach(json_object_get(answer, "queues"), i, queue)
    {
        const char *through = cli_text(queue, "complete_through");
        table_cell(&t, TABLE_PLAIN, cli_text(queue, "name"));
        table_state(&t, cli_text(queue, "state"));
        count_cell(&t, TABLE_PLAIN, cli_number(queue, "waiting_messages"));
        count_cell(&t, TABLE_PLAIN, cli_number(queue, "in_hand_messages"));
        trouble_cell(&t, queue, "bad_messages");
        trouble_cell(&t, queue, "astray_changes");
        table_cell(&t, TABLE_PLAIN, through[0] != '\0' ? through : "-");
        table_cell(&t, TABLE_PLAIN, cli_text(json_object_get(queue, "failure"), "text"));
    }
    end_list(c, &t);
}

/* What the journal does not keep. */
static void print_since(const json_t *answer)
{
    if (json_array_size(json_object_get(answer, "outboxes")) +
            json_array_size(json_object_get(answer, "queues")) +
            json_array_size(json_object_get(answer, "events")) >
        0) {
        cli_say("BAD ROWS, BAD, NO RULE and SENT count from the start of repld, %s",
                cli_text(answer, "started"));
    }
}

/* Nothing where nobody is told of events. */
static void print_events(const struct cli *c, const json_t *answer)
{
    static const char *const headings[] = {"EVENTS FOR", "WAITING", "OLDEST", "SENT",
                                           "DROPPED",    "FAILURE", NULL};
    struct table t;
    size_t i;
    json_t *target;
    table_init(&t, headings);
    json_array_foreach(json_object_get(answer, "events"), i, target)
    {
        table_cell(&t, TABLE_PLAIN, cli_text(target, "name"));
        count_cell(&t, TABLE_PLAIN, cli_number(target, "waiting"));
        table_cell(&t, TABLE_PLAIN, cli_text(target, "oldest"));
        count_cell(&t, TABLE_PLAIN, cli_number(target, "sent"));
        trouble_cell(&t, target, "dropped");
        table_cell(&t, TABLE_RED, cli_text(json_object_get(target, "failure"), "text"));
    }
    end_list(c, &t);
}

static void limit_row(struct table *t, const char *what, const char *name, const json_t *limited)
{
    const char *bandwidth = cli_text(limited, "bandwidth_now");
    const char *requests = cli_text(limited, "requests_now");
    struct buf text = {0};
    if (bandwidth[0] != '\0' || requests[0] != '\0') {
        buf_printf(&text, "%s %s", what, name);
        table_buf(t, TABLE_PLAIN, &text);
        table_cell(t, TABLE_YELLOW, bandwidth[0] != '\0' ? bandwidth : "-");
        table_cell(t, TABLE_YELLOW, requests[0] != '\0' ? requests : "-");
    }
    buf_done(&text);
}

/* Nothing where nothing is limited now. */
static void print_limits(const struct cli *c, const json_t *answer)
{
    static const char *const headings[] = {"LIMITED NOW", "BANDWIDTH", "REQUESTS", NULL};
    struct table t;
    size_t i;
    json_t *row;
    table_init(&t, headings);
    json_array_foreach(json_object_get(answer, "rules"), i, row)
    {
        limit_row(&t, "rule", cli_text(row, "rule"), row);
    }
    json_array_foreach(json_object_get(answer, "endpoints"), i, row)
    {
        limit_row(&t, "endpoint", cli_text(row, "name"), row);
    }
    end_list(c, &t);
}

static void print_daemon(const json_t *answer)
{
    struct buf text = {0};
    const json_t *journal = json_object_get(answer, "journal");
    text_bytes((unsigned long long)cli_number(answer, "memory_used_bytes"), &text);
    buf_str(&text, " of ");
    text_bytes((unsigned long long)cli_number(answer, "memory_bytes"), &text);
    printf("repld %s  instance %s  copies %lld  memory %s  journal %s%s\n",
           cli_text(answer, "version"), cli_text(answer, "instance"), cli_number(answer, "copies"),
           buf_cstr(&text), cli_text(journal, "path"),
           cli_true(journal, "failing") ? " CANNOT BE WRITTEN" : "");
    buf_done(&text);
}

int run_status(struct cli *c, const struct cli_args *args)
{
    (void)args;
    json_t *answer = NULL;
    int code = cli_call(c, PROTO_STATUS, NULL, span_str(""), &answer, NULL);
    if (answer != NULL) {
        print_daemon(answer);
        putchar('\n');
        print_rules(c, answer);
        putchar('\n');
        print_endpoints(c, answer);
        print_outboxes(c, answer);
        print_queues(c, answer);
        print_events(c, answer);
        print_since(answer);
        print_limits(c, answer);
        json_decref(answer);
    }
    return code;
}

static void late_rows(struct table *t, const json_t *answer)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(answer, "late"), i, row)
    {
        table_key(t, row, "key");
        table_cell(t, TABLE_PLAIN, cli_text(row, "changed"));
        table_cell(t, TABLE_PLAIN, cli_text(row, "accepted"));
        table_cell(t, TABLE_PLAIN, cli_text(row, "watermark"));
        table_cell(t, TABLE_PLAIN, cli_text(row, "feed"));
    }
}

static int list_late(struct cli *c, const char *rule)
{
    static const char *const headings[] = {"KEY", "CHANGED", "TOLD", "WATERMARK", "FEED", NULL};
    struct buf query = {0};
    json_t *answer = NULL;
    cli_query(&query, "rule", rule);
    int code = cli_call(c, PROTO_LATE, buf_cstr(&query), span_str(""), &answer, NULL);
    if (answer != NULL) {
        struct table t;
        table_init(&t, headings);
        late_rows(&t, answer);
        if (t.count > t.columns) {
            table_print(&t, c->terminal);
        } else {
            puts("no change came late");
        }
        table_done(&t);
        json_decref(answer);
    }
    buf_done(&query);
    return code;
}

int run_lag(struct cli *c, const struct cli_args *args)
{
    if (cli_args_has(args, "late")) {
        return args->word_count > 0 ? list_late(c, args->words[0])
                                    : cli_usage(c, "lag --late: name the rule");
    }
    struct buf query = {0};
    cli_query(&query, "rule", args->word_count > 0 ? args->words[0] : NULL);
    int code = cli_watch(c, PROTO_LAG, buf_cstr(&query), cli_args_has(args, "watch"), print_rules);
    buf_done(&query);
    return code;
}
