#include "daemon/admin/append_json.h"
#include "daemon/admin/command.h"

#include <stdio.h>

#define CHUNK 1000 /* changes a commit */

struct append {
    struct later later;
    struct append_lines lines;
    size_t sent;                    /* lines handed to the engine */
    uint64_t durable;               /* lines that are in the journal or that no rule takes */
    const struct change *unmatched; /* the first that no rule takes; NULL = none */
    struct engine_append_result sum;
};

static void send_chunk(struct append *p);

/* What is durable stays so; the caller sends the rest again. */
static void fail_rest(struct append *p, int status, const struct fail *f)
{
    struct fail copy = f != NULL ? *f : (struct fail){0};
    struct fail told = {0};
    fail_set(&told, status, "%.160s; %llu of %zu lines were accepted",
             copy.text[0] != '\0' ? copy.text : fail_text(status), (unsigned long long)p->durable,
             p->lines.count);
    fail_hint(&told, "send the lines after number %llu again", (unsigned long long)p->durable);
    later_fail(&p->later, status, &told);
}

static void reply_sum(struct append *p)
{
    struct buf body = {0};
    json_open(&body, NULL, '{');
    json_int(&body, "lines", (int64_t)p->lines.count);
    json_int(&body, "accepted", (int64_t)p->sum.accepted);
    json_int(&body, "unmatched", (int64_t)p->sum.unmatched);
    json_int(&body, "last_seq", (int64_t)p->sum.last_seq);
    if (p->unmatched != NULL) {
        json_open(&body, "first_unmatched", '{');
        json_text(&body, "endpoint", p->unmatched->endpoint);
        json_text(&body, "bucket", p->unmatched->bucket);
        json_key(&body, "key", p->unmatched->key);
        json_close(&body, '}');
    }
    json_close(&body, '}');
    later_reply(&p->later, &body);
}

static void chunk_done(void *arg, int status, const struct fail *f,
                       const struct engine_append_result *result)
{
    struct append *p = arg;
    if (status != 0) {
        fail_rest(p, status, f);
        return;
    }
    if (p->unmatched == NULL && result->unmatched > 0) {
        p->unmatched = &p->lines.changes[p->durable + result->unmatched_at];
    }
    p->durable = p->sent;
    p->sum.accepted += result->accepted;
    p->sum.unmatched += result->unmatched;
    p->sum.last_seq = result->last_seq > 0 ? result->last_seq : p->sum.last_seq;
    if (p->sent < p->lines.count) {
        send_chunk(p);
    } else {
        reply_sum(p);
    }
}

static void send_chunk(struct append *p)
{
    struct span none = {0};
    size_t left = p->lines.count - p->sent;
    size_t n = left < CHUNK ? left : CHUNK;
    const struct change *from = p->lines.changes + p->sent;
    p->sent += n;
    engine_append(p->later.admin->options.engine, from, n, TASK_LIVE, none, none, chunk_done, p);
}

static bool is_configured(const struct conf *conf, struct span endpoint)
{
    for (size_t i = 0; i < conf->endpoint_count; i++) {
        if (span_eq_str(endpoint, conf->endpoints[i].name)) {
            return true;
        }
    }
    return false;
}

/* No rule takes what an unknown endpoint tells of, now or later: a slip, which must not pass as
 * accepted. */
static int check_endpoints(struct admin *a, const struct append_lines *lines, struct fail *f)
{
    for (size_t i = 0; i < lines->count; i++) {
        char name[80];
        struct fail unknown;
        struct span endpoint = lines->changes[i].endpoint;
        if (endpoint.ptr != NULL && !is_configured(a->options.conf, endpoint)) {
            snprintf(name, sizeof(name), "%.*s", SPAN_ARG(endpoint));
            engine_unknown_endpoint(a->options.engine, name, &unknown);
            fail_set(f, REPL_EBADINPUT, "change %zu of the request: %s", i + 1, unknown.text);
            fail_hint(f, "%s", unknown.hint);
            return f->code;
        }
    }
    return 0;
}

void command_append(struct admin *a, struct httpd_request *r)
{
    struct fail f = {0};
    struct append *p = later_new(a, r, sizeof(*p));
    /* The changes are views into the body, which lives as long as the caller stays: copied. */
    struct span body = arena_span(&p->later.arena, httpd_body(r));
    int status = append_json_parse(body, &p->later.arena, &p->lines, &f);
    if (status == 0) {
        status = check_endpoints(a, &p->lines, &f);
    }
    if (status != 0) {
        later_fail(&p->later, status, &f);
    } else if (p->lines.count == 0) {
        reply_sum(p);
    } else {
        send_chunk(p);
    }
}
