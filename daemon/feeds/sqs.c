#include "daemon/feeds/sqs.h"

#include "daemon/base/list.h"
#include "transfer/net/net.h"
#include "transfer/store/errors.h"
#include "transfer/store/sign.h"

#include <stdio.h>

#define CREDS_FRESH_MS 10000
#define SKEW_WORTH_MS  60000
#define ANSWER_S       20 /* beyond what a receive may wait for messages */
#define HEADERS        6

struct queue {
    struct sqs base;
    struct loop *loop;
    struct log *log;
    struct net *net;    /* NULL: the CA file could not be read yet */
    struct arena arena; /* of strings */
    const char *name;
    const char *url;
    struct span host; /* as it is sent and signed */
    struct span path;
    const char *region;
    const char *ca_file;
    bool tls_insecure;
    unsigned requests;
    struct creds_source source;
    struct creds creds;
    uint64_t creds_loaded_ms; /* 0 = never */
    int64_t skew_ms;          /* server − ours */
    loop_fn *closed;
    void *closed_arg;
    struct deferred closing; /* without net */
};

struct call {
    struct queue *queue;
    struct sqs_op *op;
    struct arena arena; /* of the request being sent */
    struct net_request net;
    struct deferred failed; /* before it was sent */
    int64_t asked_ms;       /* wall */
    int64_t signed_ms;      /* server's time of the signature */
    bool corrected_skew;
    bool corrected_creds;
};

static struct queue *queue_of(struct sqs *q)
{
    return CONTAINER_OF(q, struct queue, base);
}

static void send_call(struct call *c);

static void end_call(struct call *c)
{
    struct sqs_op *op = c->op;
    arena_done(&c->arena);
    mem_free(c);
    op->impl = NULL;
    op->done(op);
}

static void end_later(void *arg)
{
    end_call(arg);
}

/* ---- corrections ---- */

/* True when the keys are others than before. */
static bool load_creds(struct queue *q, struct fail *f)
{
    struct creds fresh;
    bool changed = false;
    if (creds_load(&q->source, &fresh, f) == 0) {
        changed = memcmp(&fresh, &q->creds, sizeof(fresh)) != 0;
        q->creds = fresh;
        q->creds_loaded_ms = loop_now_ms(q->loop);
    }
    creds_wipe(&fresh);
    return changed;
}

static bool correct_creds(struct call *c)
{
    struct fail ignored;
    bool refused = fail_class(c->op->fail.code) == FAIL_AUTH;
    if (c->corrected_creds || !refused) {
        return false;
    }
    c->corrected_creds = true;
    return load_creds(c->queue, &ignored);
}

static bool correct_skew(struct call *c, int64_t server_ms)
{
    struct queue *q = c->queue;
    int64_t off_ms = server_ms - c->signed_ms;
    bool refused = fail_class(c->op->fail.code) == FAIL_AUTH || c->op->fail.code == REPL_ESKEW;
    if (c->corrected_skew || !refused || server_ms == 0 ||
        (off_ms < SKEW_WORTH_MS && off_ms > -SKEW_WORTH_MS)) {
        return false;
    }
    c->corrected_skew = true;
    q->skew_ms = server_ms - loop_wall_ms(q->loop);
    LOG_WARNING(q->log, "queue", "queue %s: its clock differs from ours by %lld s; corrected",
                q->name, (long long)(q->skew_ms / 1000));
    return true;
}

/* ---- the answer ---- */

/* Its Date, unless a cache kept it; 0 = not said. */
static int64_t server_time(const struct net_request *r)
{
    struct span date = net_answer(r, "date");
    int64_t ms = 0;
    bool cached = net_answer(r, "age").ptr != NULL;
    return !cached && date.len > 0 && time_parse(date.ptr, date.len, &ms) == 0 ? ms : 0;
}

static void answered(struct net_request *r)
{
    struct call *c = r->arg;
    struct sqs_op *op = c->op;
    int64_t now_ms = loop_wall_ms(c->queue->loop);
    int64_t server_ms = server_time(r);
    op->fail = r->fail;
    op->server_ms = server_ms != 0 ? server_ms - (now_ms - c->asked_ms) : c->asked_ms;
    if (r->fail.code == 0 && r->status == 200) {
        sqs_read(r->text, op);
    } else if (r->fail.code == 0) {
        sqs_read_failure(r->status, r->text, op);
        op->fail.retry_after_ms = errors_retry_after(net_answer(r, "retry-after"), now_ms);
    }
    if (r->fail.code == 0 && (correct_skew(c, server_ms) || correct_creds(c))) {
        send_call(c);
    } else {
        end_call(c);
    }
}

/* ---- the request ---- */

static const char *authorize(struct call *c, struct span body, const char *stamp)
{
    struct queue *q = c->queue;
    char hash[SIGN_HEX_BYTES];
    struct sign_header headers[] = {
        {span_str("content-type"), span_str("application/x-amz-json-1.0")},
        {span_str("host"), q->host},
        {span_str("x-amz-date"), span_str(stamp)},
        {span_str("x-amz-security-token"), span_str(q->creds.session_token)},
        {span_str("x-amz-target"), span_str(sqs_target(c->op->kind))},
    };
    size_t count = sizeof(headers) / sizeof(headers[0]);
    if (q->creds.session_token[0] == '\0') {
        headers[3] = headers[4];
        count--;
    }
    sign_sha256_hex(body, hash);
    struct sign_request r = {.method = "POST",
                             .path = q->path,
                             .headers = headers,
                             .header_count = count,
                             .payload = hash};
    struct sign_scope scope;
    struct buf line = {0};
    sign_scope_init(&scope, &q->creds, stamp, q->region, "sqs");
    buf_str(&line, "authorization: ");
    sign_authorization(&scope, &q->creds, &r, stamp, &line);
    const char *text = arena_strdup(&c->arena, buf_cstr(&line));
    buf_done(&line);
    return text;
}

static void set_headers(struct call *c, struct span body)
{
    struct queue *q = c->queue;
    const char **lines = arena_alloc(&c->arena, HEADERS * sizeof(*lines));
    char stamp[32];
    size_t n = 0;
    c->asked_ms = loop_wall_ms(q->loop);
    c->signed_ms = c->asked_ms + q->skew_ms;
    time_iso_basic(c->signed_ms, stamp);
    lines[n++] = "content-type: application/x-amz-json-1.0";
    lines[n++] = "accept-encoding: identity";
    lines[n++] = arena_printf(&c->arena, "x-amz-date: %s", stamp);
    lines[n++] = arena_printf(&c->arena, "x-amz-target: %s", sqs_target(c->op->kind));
    if (q->creds.session_token[0] != '\0') {
        lines[n++] = arena_printf(&c->arena, "x-amz-security-token: %s", q->creds.session_token);
    }
    if (q->source.kind != CREDS_ANONYMOUS) {
        lines[n++] = authorize(c, body, stamp);
    }
    c->net.headers = lines;
    c->net.header_count = n;
}

static struct span write_body(struct call *c)
{
    struct buf text = {0};
    sqs_write(c->op, c->queue->url, &text);
    struct span body = arena_span(&c->arena, buf_view(&text));
    buf_done(&text);
    return body;
}

static void open_net(struct queue *q, struct fail *f)
{
    static const struct net_path_options direct = {.name = "direct", .cost = "default"};
    net_new(&(struct net_options){.loop = q->loop,
                                  .log = q->log,
                                  .name = q->name,
                                  .ca_file = q->ca_file,
                                  .tls_insecure = q->tls_insecure,
                                  .http = NET_HTTP_1,
                                  .lanes = q->requests,
                                  .paths = &direct,
                                  .path_count = 1},
            &q->net, f);
}

static bool has_stale_creds(const struct queue *q)
{
    return q->creds_loaded_ms == 0 || loop_now_ms(q->loop) - q->creds_loaded_ms >= CREDS_FRESH_MS;
}

static void send_call(struct call *c)
{
    struct queue *q = c->queue;
    struct sqs_op *op = c->op;
    arena_done(&c->arena);
    fail_clear(&op->fail);
    op->message_count = 0;
    op->refused = 0;
    if (q->net == NULL) {
        open_net(q, &op->fail);
    }
    if (op->fail.code == 0 && has_stale_creds(q)) {
        load_creds(q, &op->fail);
    }
    if (op->fail.code != 0) {
        deferred_call(&c->failed);
        return;
    }
    struct span body = write_body(c);
    c->net = (struct net_request){.class = NET_SMALL,
                                  .path = 0,
                                  .method = "POST",
                                  .url = q->url,
                                  .has_body = true,
                                  .body = body,
                                  .stall_s = ANSWER_S + op->wait_s,
                                  .arena = op->arena,
                                  .done = answered,
                                  .arg = c};
    set_headers(c, body);
    net_submit(q->net, &c->net);
}

/* ---- the vtable ---- */

static void submit(struct sqs *base, struct sqs_op *op)
{
    struct call *c = MEM_NEW(struct call);
    c->queue = queue_of(base);
    c->op = op;
    arena_init(&c->arena);
    deferred_init(&c->failed, c->queue->loop, end_later, c);
    op->impl = c;
    send_call(c);
}

static void cancel(struct sqs *base, struct sqs_op *op)
{
    struct call *c = op->impl;
    if (c != NULL && !c->failed.queued) {
        net_cancel(queue_of(base)->net, &c->net);
    }
}

static void net_is_closed(void *arg)
{
    struct queue *q = arg;
    loop_fn *closed = q->closed;
    void *closed_arg = q->closed_arg;
    creds_wipe(&q->creds);
    arena_done(&q->arena);
    mem_free(q);
    closed(closed_arg);
}

static void close_queue(struct sqs *base, loop_fn *closed, void *arg)
{
    struct queue *q = queue_of(base);
    q->closed = closed;
    q->closed_arg = arg;
    if (q->net != NULL) {
        net_close(q->net, net_is_closed, q);
    } else {
        deferred_call(&q->closing);
    }
}

static void set_place(struct queue *q, const char *url)
{
    q->url = arena_strdup(&q->arena, url);
    struct span rest = span_str(strstr(q->url, "//") + 2);
    struct span standard = span_str(strncmp(q->url, "https", 5) == 0 ? ":443" : ":80");
    q->host = span_of(rest.ptr, strcspn(rest.ptr, "/"));
    q->path = span_skip(rest, q->host.len);
    if (span_ends_with(q->host, standard)) {
        q->host.len -= standard.len;
    }
}

struct sqs *sqs_new(const struct sqs_options *o)
{
    static const struct sqs_ops ops = {.submit = submit, .cancel = cancel, .close = close_queue};
    struct queue *q = MEM_NEW(struct queue);
    q->base.ops = &ops;
    q->loop = o->loop;
    q->log = o->log;
    arena_init(&q->arena);
    q->name = arena_strdup(&q->arena, o->name);
    q->region = arena_strdup(&q->arena, o->region);
    q->ca_file = arena_strdup_or_null(&q->arena, o->ca_file);
    q->tls_insecure = o->tls_insecure;
    q->requests = o->requests;
    q->source = o->creds;
    q->source.name = arena_strdup_or_null(&q->arena, o->creds.name);
    q->source.path = arena_strdup_or_null(&q->arena, o->creds.path);
    set_place(q, o->url);
    deferred_init(&q->closing, q->loop, net_is_closed, q);
    return &q->base;
}
