#include "cli/commands.h"
#include "cli/inventory.h"
#include "cli/text.h"
#include "daemon/base/base64.h"
#include "daemon/conf/rule.h"
#include "daemon/conf/schema.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define BATCH_KEYS 1000

/* ---- status ---- */

static void print_count(const char *title, long long n)
{
    struct buf text = {0};
    text_count((unsigned long long)n, &text);
    printf("%-12s %s\n", title, buf_cstr(&text));
    buf_done(&text);
}

static void print_text(const json_t *answer, const char *member, const char *title)
{
    const char *text = cli_text(answer, member);
    if (text[0] != '\0') {
        cli_say("%-12s %s", title, text);
    }
}

static void print_counts(const json_t *answer, bool goes_on)
{
    struct buf bytes = {0};
    text_bytes((unsigned long long)cli_number(answer, "listed_bytes"), &bytes);
    printf("%-12s %s%lld objects, %s\n", "listed", goes_on ? "not complete: at least " : "",
           cli_number(answer, "listed_objects"), buf_cstr(&bytes));
    buf_done(&bytes);
    if (goes_on && cli_number(answer, "last_seen_objects") > 0) {
        print_count("last time", cli_number(answer, "last_seen_objects"));
    }
    print_count("equal", cli_number(answer, "equal_objects"));
    print_count("found", cli_number(answer, "found_objects"));
    print_count("missing", cli_number(answer, "missing_objects"));
    print_count("away", cli_number(answer, "away_objects"));
    if (cli_number(answer, "left_objects") > 0) {
        print_count("left alone", cli_number(answer, "left_objects"));
    }
    if (cli_number(answer, "unlisted_objects") > 0) {
        print_count("unlisted", cli_number(answer, "unlisted_objects"));
    }
    print_count("requests", cli_number(answer, "requests"));
}

static void print_scan(const struct cli *c, const json_t *answer)
{
    const char *phase = cli_text(answer, "phase");
    (void)c;
    printf("%-12s %s\n", cli_text(answer, "rule"), phase);
    print_text(answer, "started", "started");
    print_text(answer, "ended", "ended");
    print_text(answer, "next", "next");
    print_text(answer, "proven", "proven");
    print_counts(answer, strcmp(phase, "idle") != 0);
    print_text(answer, "waits", "waits");
    print_text(answer, "doubt", "in doubt");
}

int run_scan_status(struct cli *c, const struct cli_args *args)
{
    struct buf query = {0};
    cli_query(&query, "rule", args->words[0]);
    int code = cli_watch(c, PROTO_SCAN, buf_cstr(&query), cli_args_has(args, "watch"), print_scan);
    buf_done(&query);
    return code;
}

/* ---- start and stop ---- */

static int call(struct cli *c, enum proto_id id, const char *rule, const char *said)
{
    struct buf query = {0};
    cli_query(&query, "rule", rule);
    int code = cli_call(c, id, buf_cstr(&query), span_str(""), NULL, said);
    buf_done(&query);
    return code;
}

int run_scan_stop(struct cli *c, const struct cli_args *args)
{
    return call(c, PROTO_SCAN_STOP, args->words[0], "scan ends");
}

/* ---- a list instead of a listing: each key is told as a change ---- */

struct teller {
    struct cli *cli;
    struct arena arena;
    struct rule_place place; /* the rule's source */
    struct buf lines;
    unsigned long long keys;
    unsigned long long unmatched; /* that no rule takes */
    struct fail fail;
};

static int find_place(struct teller *t, const char *name)
{
    json_t *answer = NULL;
    struct buf query = {0};
    cli_query(&query, "rule", name);
    int r = cli_ask(t->cli, PROTO_RULES, buf_cstr(&query), span_str(""), &answer, &t->fail);
    buf_done(&query);
    if (r == 0) {
        const json_t *row = json_array_get(json_object_get(answer, "rules"), 0);
        const char *source = cli_text(json_object_get(row, "rule"), "source");
        r = rule_place_parse(span_str(source), &t->arena, &t->place, &t->fail);
    }
    json_decref(answer);
    return r;
}

static void put_text(struct buf *to, const char *name, struct span text)
{
    if (text.ptr != NULL) {
        buf_printf(to, ",\"%s\":", name);
        schema_quote(text, to);
    }
}

static void put_key(struct teller *t, struct span key)
{
    buf_printf(&t->lines, "{\"endpoint\":\"%s\",\"bucket\":\"%s\"", t->place.endpoint,
               t->place.bucket);
    if (span_is_utf8(key)) {
        put_text(&t->lines, "key", key);
    } else {
        buf_str(&t->lines, ",\"key_base64\":\"");
        base64_encode(key, &t->lines);
        buf_char(&t->lines, '"');
    }
}

static int send_lines(struct teller *t)
{
    json_t *answer = NULL;
    int r = t->lines.len > 0
                ? cli_ask(t->cli, PROTO_APPEND, NULL, buf_view(&t->lines), &answer, &t->fail)
                : 0;
    t->unmatched += (unsigned long long)cli_number(answer, "unmatched");
    json_decref(answer);
    buf_reset(&t->lines);
    return r;
}

static int tell(void *arg, const struct inventory_row *row)
{
    struct teller *t = arg;
    unsigned long long size;
    put_key(t, row->key);
    put_text(&t->lines, "etag", row->etag);
    put_text(&t->lines, "version_id", row->version_id);
    if (span_to_u64(row->size, &size) == 0) {
        buf_printf(&t->lines, ",\"size\":%llu", size);
    }
    buf_str(&t->lines, "}\n");
    return ++t->keys % BATCH_KEYS == 0 ? send_lines(t) : 0;
}

static int read_keys(struct teller *t, const char *path)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    int r = 0;
    if (file == NULL) {
        int failed = -errno;
        fail_set(&t->fail, failed, "%.160s: %s", path, fail_text(failed));
        fail_hint(&t->fail, "--keys names a file with one key a line; - is standard input");
        return failed;
    }
    while (r == 0 && (n = getline(&line, &room, file)) >= 0) {
        struct inventory_row row = {.key = span_of(line, (size_t)n)};
        row.key.len -= row.key.len > 0 && row.key.ptr[row.key.len - 1] == '\n';
        r = row.key.len > 0 ? tell(t, &row) : 0;
    }
    free(line);
    if (file != stdin) {
        fclose(file);
    }
    return r;
}

static int tell_list(struct cli *c, const char *rule, const char *keys, const char *inventory)
{
    struct teller t = {.cli = c};
    arena_init(&t.arena);
    int r = find_place(&t, rule);
    if (r == 0) {
        r = keys != NULL ? read_keys(&t, keys)
                         : inventory_read(inventory, t.place.bucket, tell, &t, &t.fail);
    }
    r = r == 0 ? send_lines(&t) : r;
    if (r == 0 && t.keys > 0 && t.unmatched == t.keys) {
        r = fail_set(&t.fail, REPL_EBADINPUT, "the rule takes none of the %llu keys", t.keys);
        fail_hint(&t.fail, "keys are whole, with the prefix of the source; replctl rule show %s",
                  rule);
    }
    if (r == 0) {
        printf(c->json ? "{\"keys\":%llu,\"unmatched\":%llu}\n"
                       : "%llu keys will be looked at; %llu more are none that the rule takes\n",
               c->json ? t.keys : t.keys - t.unmatched, t.unmatched);
    }
    buf_done(&t.lines);
    arena_done(&t.arena);
    return r == 0 ? CLI_DONE : cli_fail(c, &t.fail);
}

int run_scan_start(struct cli *c, const struct cli_args *args)
{
    const char *keys = cli_args_get(args, "keys");
    const char *inventory = cli_args_get(args, "inventory");
    if (keys != NULL && inventory != NULL) {
        return cli_usage(c, "scan start: --keys and --inventory exclude each other");
    }
    return keys != NULL || inventory != NULL
               ? tell_list(c, args->words[0], keys, inventory)
               : call(c, PROTO_SCAN_START, args->words[0], "scan begins");
}
