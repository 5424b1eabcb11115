#include "cli/commands.h"
#include "daemon/conf/schema.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#define BATCH_LINES    10000
#define BATCH_BYTES    ((size_t)4 * 1024 * 1024)
#define LINE_MAX_BYTES ((size_t)64 * 1024)
#define REST_MS        20 /* the rest of a line that was begun comes within so long, or later */

/* Lines from standard input to requests. What has come is sent when no more is there, so that a
 * writer that keeps the pipe open need not wait. */
struct feed {
    const struct cli *cli;
    struct buf lines; /* whole ones, and the start of the last */
    size_t whole;     /* bytes of whole lines */
    size_t whole_count;
    uint64_t sent; /* lines that are in the journal */
    uint64_t accepted;
    uint64_t unmatched;
    json_t *first_unmatched; /* NULL = none */
    bool ended;
};

static void drop_front(struct buf *b, size_t n)
{
    memmove(b->data, b->data + n, b->len - n + 1);
    b->len -= n;
}

static int refuse(const struct feed *feed, struct fail *f)
{
    struct fail told = *f;
    fail_set(&told, f->code, "%.150s (behind %llu lines that were sent before)", f->text,
             (unsigned long long)feed->sent);
    told.http_status = f->http_status;
    snprintf(told.server_code, sizeof(told.server_code), "%s", f->server_code);
    if (f->hint[0] != '\0') {
        fail_hint(&told, "%s", f->hint);
    }
    return cli_fail(feed->cli, feed->sent > 0 ? &told : f);
}

static int send_lines(struct feed *feed)
{
    struct fail f = {0};
    json_t *answer = NULL;
    if (feed->whole == 0) {
        return CLI_DONE;
    }
    struct span body = span_of(feed->lines.data, feed->whole);
    if (cli_ask(feed->cli, PROTO_APPEND, NULL, body, &answer, &f) != 0) {
        return refuse(feed, &f);
    }
    feed->sent += feed->whole_count;
    feed->accepted += (uint64_t)cli_number(answer, "accepted");
    feed->unmatched += (uint64_t)cli_number(answer, "unmatched");
    if (feed->first_unmatched == NULL) {
        feed->first_unmatched = json_incref(json_object_get(answer, "first_unmatched"));
    }
    json_decref(answer);
    drop_front(&feed->lines, feed->whole);
    feed->whole = 0;
    feed->whole_count = 0;
    return CLI_DONE;
}

/* Counts what came; false when a line is longer than any change can be. */
static bool find_lines(struct feed *feed)
{
    while (feed->whole_count < BATCH_LINES) {
        const char *line = feed->lines.data + feed->whole;
        size_t left = feed->lines.len - feed->whole;
        const char *end = memchr(line, '\n', left);
        size_t length = end != NULL ? (size_t)(end - line) : left;
        if (length >= LINE_MAX_BYTES) {
            return false;
        }
        if (end == NULL) {
            return true;
        }
        feed->whole += length + 1;
        feed->whole_count++;
    }
    return true;
}

static bool more_is_there(const struct feed *feed)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&input, 1, feed->lines.len > feed->whole ? REST_MS : 0) > 0;
}

static int read_some(struct feed *feed)
{
    char block[65536];
    ssize_t n = read(STDIN_FILENO, block, sizeof(block));
    if (n < 0) {
        return errno == EINTR ? 0 : -errno;
    }
    buf_append(&feed->lines, block, (size_t)n);
    feed->ended = n == 0;
    if (feed->ended && feed->lines.len > 0 && feed->lines.data[feed->lines.len - 1] != '\n') {
        buf_char(&feed->lines, '\n');
    }
    return 0;
}

static int send_what_came(struct feed *feed)
{
    for (;;) {
        if (feed->lines.len > 0 && !find_lines(feed)) {
            struct fail f = {0};
            fail_set(&f, REPL_ETOOBIG, "line %llu is longer than 64 KiB",
                     (unsigned long long)(feed->sent + feed->whole_count + 1));
            return cli_fail(feed->cli, &f);
        }
        bool full = feed->whole_count == BATCH_LINES || feed->whole >= BATCH_BYTES;
        if (!full && !feed->ended && more_is_there(feed)) {
            return CLI_DONE;
        }
        int code = send_lines(feed);
        if (code != CLI_DONE || !full) {
            return code;
        }
    }
}

static void print_json(const struct feed *feed)
{
    json_t *root = json_pack("{s:I,s:I,s:I,s:O*}", "lines", (json_int_t)feed->sent, "accepted",
                             (json_int_t)feed->accepted, "unmatched", (json_int_t)feed->unmatched,
                             "first_unmatched", feed->first_unmatched);
    cli_print(root);
    json_decref(root);
}

/* Perhaps a slip of who told of them: the bucket's name, or a prefix. */
static void warn_of_unmatched(const struct feed *feed)
{
    struct buf key = {0};
    cli_key(feed->first_unmatched, "key", &key);
    cli_warn_that("replctl rule list shows what rules take",
                  "no rule takes %llu of %llu change%s, the first: %s/%s",
                  (unsigned long long)feed->unmatched, (unsigned long long)feed->sent,
                  feed->sent == 1 ? "" : "s", cli_text(feed->first_unmatched, "bucket"),
                  buf_cstr(&key));
    buf_done(&key);
}

/* Nothing accepted of something is a failure: a script that sends to a wrong bucket must notice. */
static int report(const struct feed *feed)
{
    if (feed->cli->json) {
        print_json(feed);
    } else {
        printf("%llu accepted", (unsigned long long)feed->accepted);
        if (feed->unmatched > 0) {
            printf(", %llu that no rule takes", (unsigned long long)feed->unmatched);
        }
        putchar('\n');
    }
    if (feed->unmatched > 0) {
        warn_of_unmatched(feed);
    }
    return feed->accepted == 0 && feed->unmatched > 0 ? CLI_FAILED : CLI_DONE;
}

/* What was sent before a failure stays sent; that is told by the failure. */
static int finish(struct feed *feed, int code)
{
    code = code == CLI_DONE ? report(feed) : code;
    buf_done(&feed->lines);
    json_decref(feed->first_unmatched);
    return code;
}

static int from_stdin(struct cli *c)
{
    struct feed feed = {.cli = c};
    int code = CLI_DONE;
    while (!feed.ended && code == CLI_DONE) {
        int r = read_some(&feed);
        if (r != 0) {
            struct fail f = {0};
            fail_set(&f, r, "standard input cannot be read: %s", fail_text(r));
            code = cli_fail(c, &f);
        } else {
            code = send_what_came(&feed);
        }
    }
    return finish(&feed, code);
}

static int add_member(struct feed *feed, const char *name, const char *value)
{
    if (!span_is_utf8(span_str(value))) {
        return cli_usage(feed->cli,
                         "journal append: --%s is not UTF-8; send key_base64 as a JSON line", name);
    }
    buf_printf(&feed->lines, "%s\"%s\":", feed->lines.len == 0 ? "{" : ",", name);
    schema_quote(span_str(value), &feed->lines);
    return CLI_DONE;
}

static int from_flags(struct cli *c, const struct cli_args *args)
{
    static const char *const names[][2] = {
        {"bucket", "bucket"},         {"kind", "kind"}, {"endpoint", "endpoint"},
        {"version-id", "version_id"}, {"etag", "etag"}, {"size", "size"},
        {"event-time", "event_time"}, {"key", "key"},
    };
    struct feed feed = {.cli = c, .ended = true};
    if (!cli_args_has(args, "bucket") || !cli_args_has(args, "key")) {
        return cli_usage(c, "journal append: --bucket and --key go together");
    }
    int code = CLI_DONE;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && code == CLI_DONE; i++) {
        const char *value = cli_args_get(args, names[i][0]);
        code = value != NULL ? add_member(&feed, names[i][1], value) : CLI_DONE;
    }
    buf_str(&feed.lines, "}\n");
    feed.whole = feed.lines.len;
    feed.whole_count = 1;
    code = code == CLI_DONE ? send_lines(&feed) : code;
    return finish(&feed, code);
}

int run_append(struct cli *c, const struct cli_args *args)
{
    bool flags = false;
    for (size_t i = 0; i < args->given_count; i++) {
        const char *name = args->given[i].name;
        flags = flags || (strcmp(name, "socket") != 0 && strcmp(name, "json") != 0);
    }
    return flags ? from_flags(c, args) : from_stdin(c);
}
