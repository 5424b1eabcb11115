#include "cli/commands.h"
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
        printf("%-12s %s\n", title, text);
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

/* ---- a list of keys instead of a listing: each is told as a change ---- */

static int find_place(const struct cli *c, const char *name, struct arena *a,
                      struct rule_place *ret, struct fail *f)
{
    json_t *answer = NULL;
    struct buf query = {0};
    cli_query(&query, "rule", name);
    int r = cli_ask(c, PROTO_RULES, buf_cstr(&query), span_str(""), &answer, f);
    buf_done(&query);
    if (r == 0) {
        const json_t *row = json_array_get(json_object_get(answer, "rules"), 0);
        const char *source = cli_text(json_object_get(row, "rule"), "source");
        r = rule_place_parse(span_str(source), a, ret, f);
    }
    json_decref(answer);
    return r;
}

static void put_key(struct buf *to, const struct rule_place *place, struct span key)
{
    buf_printf(to, "{\"endpoint\":\"%s\",\"bucket\":\"%s\",", place->endpoint, place->bucket);
    if (span_is_utf8(key)) {
        buf_str(to, "\"key\":");
        schema_quote(key, to);
    } else {
        buf_str(to, "\"key_base64\":\"");
        base64_encode(key, to);
        buf_char(to, '"');
    }
    buf_str(to, "}\n");
}

static int send_keys(const struct cli *c, struct buf *lines)
{
    struct fail f = {0};
    json_t *answer = NULL;
    int r = lines->len > 0 ? cli_ask(c, PROTO_APPEND, NULL, buf_view(lines), &answer, &f) : 0;
    json_decref(answer);
    buf_reset(lines);
    return r == 0 ? CLI_DONE : cli_fail(c, &f);
}

static int read_keys(const struct cli *c, FILE *file, const struct rule_place *place,
                     unsigned long long *ret_keys)
{
    struct buf lines = {0};
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    int code = CLI_DONE;
    while (code == CLI_DONE && (n = getline(&line, &room, file)) >= 0) {
        struct span key = span_of(line, (size_t)n);
        key.len -= key.len > 0 && key.ptr[key.len - 1] == '\n';
        if (key.len == 0) {
            continue;
        }
        put_key(&lines, place, key);
        if (++*ret_keys % BATCH_KEYS == 0) {
            code = send_keys(c, &lines);
        }
    }
    code = code == CLI_DONE ? send_keys(c, &lines) : code;
    free(line);
    buf_done(&lines);
    return code;
}

static int tell_keys(struct cli *c, const char *rule, const char *path)
{
    struct arena a;
    struct rule_place place;
    struct fail f = {0};
    unsigned long long keys = 0;
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    int code = CLI_DONE;
    arena_init(&a);
    if (file == NULL) {
        fail_set(&f, -errno, "%s: %s", path, strerror(errno));
        code = cli_fail(c, &f);
    } else if (find_place(c, rule, &a, &place, &f) != 0) {
        code = cli_fail(c, &f);
    } else {
        code = read_keys(c, file, &place, &keys);
    }
    if (code == CLI_DONE) {
        printf(c->json ? "{\"keys\":%llu}\n" : "%llu keys will be looked at\n", keys);
    }
    if (file != NULL && file != stdin) {
        fclose(file);
    }
    arena_done(&a);
    return code;
}

int run_scan_start(struct cli *c, const struct cli_args *args)
{
    const char *keys = cli_args_get(args, "keys");
    return keys != NULL ? tell_keys(c, args->words[0], keys)
                        : call(c, PROTO_SCAN_START, args->words[0], "scan begins");
}
