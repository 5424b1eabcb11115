#include "transfer/store/s3.h"

#include "transfer/store/s3_impl.h"

#include <stdio.h>

#define HASH_INLINE_MAX ((size_t)256 * 1024)
#define CREDS_FRESH_MS  10000
#define MOVES_MAX       NET_PATHS_MAX

static const struct s3_verb *const verbs[] = {
    [STORE_GET] = &s3_verb_get,
    [STORE_HEAD] = &s3_verb_head,
    [STORE_PUT] = &s3_verb_put,
    [STORE_CREATE] = &s3_verb_create,
    [STORE_PART] = &s3_verb_part,
    [STORE_COMPLETE] = &s3_verb_complete,
    [STORE_ABORT] = &s3_verb_abort,
    [STORE_LIST_PARTS] = &s3_verb_list_parts,
    [STORE_DELETE] = &s3_verb_delete,
    [STORE_DELETE_MANY] = &s3_verb_delete_many,
    [STORE_LIST] = &s3_verb_list,
    [STORE_LIST_VERSIONS] = &s3_verb_list_versions,
    [STORE_LIST_UPLOADS] = &s3_verb_list_uploads,
    [STORE_GET_TAGS] = &s3_verb_get_tags,
    [STORE_PUT_TAGS] = &s3_verb_put_tags,
    [STORE_GET_NOTIFICATION] = &s3_verb_get_notification,
    [STORE_PUT_NOTIFICATION] = &s3_verb_put_notification,
    [STORE_CREATE_TOPIC] = &s3_verb_create_topic,
    [STORE_HEAD_BUCKET] = &s3_verb_head_bucket,
    [STORE_GET_VERSIONING] = &s3_verb_get_versioning,
};

/* ---- one operation ---- */

static void check_closed(struct s3 *s)
{
    if (s->closing && list_is_empty(&s->calls)) {
        deferred_call(&s->finish);
    }
}

void s3_end(struct s3_call *c)
{
    struct s3 *s = c->s3;
    struct store_op *op = c->op;
    op->ended_us = loop_now_us(s->loop);
    op->impl = NULL;
    list_remove(&c->link);
    deferred_cancel(&c->start);
    arena_done(&c->arena);
    buf_done(&c->xml);
    mem_free(c);
    op->done(op);
    check_closed(s);
}

static void end_canceled(struct s3_call *c, bool left)
{
    fail_set(&c->op->fail, REPL_ECANCELED, "cancelled");
    c->op->ambiguous = c->verb->write && left;
    s3_end(c);
}

static bool load_creds(struct s3_call *c)
{
    struct s3 *s = c->s3;
    uint64_t now = loop_now_ms(s->loop);
    if (s->creds_loaded_ms != 0 && now - s->creds_loaded_ms < CREDS_FRESH_MS) {
        return true;
    }
    struct creds fresh;
    if (creds_load(&s->creds_source, &fresh, &c->op->fail) < 0) {
        return false;
    }
    if (memcmp(&fresh, &s->creds, sizeof(fresh)) != 0) {
        s->creds = fresh;
        s->scope_valid = false;
    }
    creds_wipe(&fresh);
    s->creds_loaded_ms = now;
    return true;
}

/* ---- other ways ---- */

/* What never left, and a small read, is sent again at once where another path or address is known:
 * nobody else has to know that one of them is dead. The rest is the caller's to repeat. */
static bool goes_elsewhere(struct s3_call *c)
{
    const struct net_request *r = &c->net;
    bool is_harmless = !r->left || (!c->verb->write && r->class == NET_SMALL);
    if (!is_harmless || c->moves == MOVES_MAX || !net_has_other(c->s3->net, r)) {
        return false;
    }
    c->moves++;
    c->avoid = r->failed_at;
    LOG_DEBUG(c->s3->log, "store", "endpoint %s: %s is sent another way: %s", c->s3->name,
              store_op_name(c->op->kind), r->fail.text);
    return true;
}

/* Whatever came of it, the next choice of a path knows. */
static void has_looked(struct net_request *r)
{
    struct s3_call *c = r->arg;
    if (c->canceled) {
        end_canceled(c, false);
    } else {
        s3_send(c);
    }
}

/* A write that is lost leaves its outcome open, and some may not be repeated: it is not what finds
 * out that a path is dead. */
static bool looks_first(const struct s3_call *c)
{
    return c->verb->write && c->looks < MOVES_MAX && net_is_on_trial(c->s3->net, c->net.path);
}

/* ---- answers ---- */

static void answered(struct net_request *r)
{
    struct s3_call *c = r->arg;
    struct store_op *op = c->op;
    op->wire_sent += r->wire_sent;
    op->failed_at = r->failed_at;
    op->rtt_us = r->rtt_us;
    if (c->canceled) {
        end_canceled(c, r->left);
        return;
    }
    int again = 0;
    if (r->fail.code != 0) {
        again = goes_elsewhere(c);
        op->fail = r->fail;
        op->ambiguous = c->verb->write && r->left;
    } else if (r->status >= 200 && r->status < 300) {
        again = c->verb->parse(c);
    } else {
        s3_read_failure(c);
        /* A server error says nothing about whether it happened. */
        op->ambiguous = c->verb->write && r->status >= 500 && op->fail.code == REPL_ESERVER;
        again = s3_correct(c) || (c->verb->refused != NULL && c->verb->refused(c) == 1);
    }
    if (again) {
        fail_clear(&op->fail);
        op->ambiguous = false;
        s3_send(c);
    } else {
        s3_end(c);
    }
}

void s3_send(struct s3_call *c)
{
    arena_done(&c->arena);
    arena_init(&c->arena);
    c->method = c->verb->method;
    c->bucket_only = false;
    c->param_count = 0;
    c->header_count = 0;
    c->has_body = false;
    c->body = span_of(NULL, 0);
    c->net =
        (struct net_request){.class = store_op_class(c->op) == STORE_BULK ? NET_BULK : NET_SMALL,
                             .avoid = c->avoid,
                             .may_hurry = !c->verb->write,
                             .done = answered,
                             .arg = c,
                             .arena = c->op->arena};
    c->net.path = net_pick(c->s3->net, &c->net);
    if (looks_first(c)) {
        c->looks++;
        c->net.done = has_looked;
        s3_submit_look(c);
    } else if (!load_creds(c) || c->verb->build(c) < 0 || s3_submit_request(c) < 0) {
        s3_end(c);
    }
}

static void hash_work(void *arg)
{
    s3_check_body(arg);
}

static void hash_done(void *arg)
{
    struct s3_call *c = arg;
    c->hashing = false;
    if (c->canceled) {
        end_canceled(c, false);
    } else {
        s3_send(c);
    }
}

static void start_call(void *arg)
{
    struct s3_call *c = arg;
    struct store_op *op = c->op;
    if (c->canceled) {
        end_canceled(c, false);
        return;
    }
    if (op->kind != STORE_PUT && op->kind != STORE_PART) {
        s3_send(c);
        return;
    }
    c->check = s3_effective_check(c);
    if (op->body.len > HASH_INLINE_MAX) {
        c->hashing = true;
        loop_work(c->s3->loop, hash_work, hash_done, c);
    } else {
        s3_check_body(c);
        s3_send(c);
    }
}

static void clear_result(struct store_op *op)
{
    fail_clear(&op->fail);
    op->ambiguous = false;
    memset(&op->object, 0, sizeof(op->object));
    op->received = 0;
    op->ret_upload_id = span_of(NULL, 0);
    memset(&op->part, 0, sizeof(op->part));
    op->ret_parts = NULL;
    op->ret_part_count = 0;
    op->entries = NULL;
    op->entry_count = 0;
    op->next_token = span_of(NULL, 0);
    op->uploads = NULL;
    op->upload_count = 0;
    op->key_fails = NULL;
    op->tags = NULL;
    op->ret_text = span_of(NULL, 0);
    op->tag_count = 0;
    op->wire_sent = 0;
}

static void submit(struct store *store, struct store_op *op)
{
    struct s3 *s = s3_of(store);
    struct s3_call *c = MEM_NEW(struct s3_call);
    clear_result(op);
    op->impl = c;
    op->started_us = loop_now_us(s->loop);
    c->s3 = s;
    c->op = op;
    c->verb = verbs[op->kind];
    c->avoid = op->avoid;
    arena_init(&c->arena);
    buf_init(&c->xml, 0);
    deferred_init(&c->start, s->loop, start_call, c);
    list_push_back(&s->calls, &c->link);
    deferred_call(&c->start);
}

static void cancel(struct store *store, struct store_op *op)
{
    struct s3 *s = s3_of(store);
    struct s3_call *c = op->impl;
    if (c == NULL || c->canceled) {
        return;
    }
    c->canceled = true;
    if (!c->start.queued && !c->hashing) {
        net_cancel(s->net, &c->net);
    }
}

static bool waits(const struct store *store, const struct store_op *op)
{
    const struct s3_call *c = op->impl;
    (void)store;
    return c != NULL && !c->start.queued && !c->hashing && net_waits(&c->net);
}

static unsigned slots(const struct store *store, enum store_class class)
{
    const struct s3 *s = (const struct s3 *)(const void *)store; /* base comes first */
    return net_slots(s->net, class == STORE_BULK ? NET_BULK : NET_SMALL);
}

static const char *congestion(const struct store *store)
{
    const struct s3 *s = (const struct s3 *)(const void *)store; /* base comes first */
    return net_congestion(s->net);
}

static int order(struct store *store, const char *path, enum net_order order, struct fail *f)
{
    return net_order(s3_of(store)->net, path, order, f);
}

static void report(const struct store *store, const struct net_reporter *to)
{
    const struct s3 *s = (const struct s3 *)(const void *)store; /* base comes first */
    net_report(s->net, to);
}

/* ---- life cycle ---- */

static void free_s3(struct s3 *s)
{
    creds_wipe(&s->creds);
    mem_free(s->name);
    for (size_t i = 0; i < s->way_count; i++) {
        mem_free(s->ways[i].host);
    }
    mem_free(s->creds_name);
    mem_free(s->creds_path);
    mem_free(s);
}

static void net_closed(void *arg)
{
    struct s3 *s = arg;
    void (*closed)(void *) = s->closed;
    void *closed_arg = s->closed_arg;
    free_s3(s);
    closed(closed_arg);
}

static void finish_close(void *arg)
{
    struct s3 *s = arg;
    net_close(s->net, net_closed, s);
}

static void close_s3(struct store *store, void (*closed)(void *arg), void *arg)
{
    struct s3 *s = s3_of(store);
    s->closing = true;
    s->closed = closed;
    s->closed_arg = arg;
    LIST_FOR_SAFE (node, &s->calls) {
        cancel(store, CONTAINER_OF(node, struct s3_call, link)->op);
    }
    check_closed(s);
}

static int refuse_url(const struct s3 *s, const char *url, const char *why, struct fail *f)
{
    fail_set(f, REPL_EBADINPUT, "endpoint %s: url %s %s", s->name, url, why);
    fail_hint(f, "write it like https://s3.eu-central-1.amazonaws.com, without user or bucket");
    return f->code;
}

/* "https://host:port/…" into scheme and authority. */
static int add_way(struct s3 *s, const struct s3_path *path, struct fail *f)
{
    struct span rest = span_str(path->url);
    bool tls = span_starts_with(rest, span_str("https://"));
    if (!tls && !span_starts_with(rest, span_str("http://"))) {
        return refuse_url(s, path->url, "must start with https:// or http://", f);
    }
    if (s->way_count > 0 && tls != s->tls) {
        return refuse_url(s, path->url, "must be https:// or http:// as the endpoint's own", f);
    }
    rest = span_skip(rest, tls ? 8 : 7);
    struct span host = span_cut(&rest, '/');
    struct span standard = span_str(tls ? ":443" : ":80");
    if (span_ends_with(host, standard)) {
        host.len -= standard.len;
    }
    if (host.len == 0 || memchr(host.ptr, '@', host.len) != NULL ||
        memchr(host.ptr, ' ', host.len) != NULL) {
        return refuse_url(s, path->url, "names no host", f);
    }
    s->tls = tls;
    s->ways[s->way_count++] =
        (struct s3_way){.host = mem_dup_span(host), .virtual_host = path->virtual_host};
    return 0;
}

static void has_more(void *arg)
{
    struct s3 *s = arg;
    store_has_more(&s->base);
}

static int open_net(struct s3 *s, const struct s3_options *o, struct stat_set *stats,
                    struct fail *f)
{
    struct net_path_options paths[NET_PATHS_MAX];
    for (size_t i = 0; i < o->path_count; i++) {
        if (add_way(s, &o->paths[i], f) < 0) {
            return f->code;
        }
        paths[i] = (struct net_path_options){
            .name = o->paths[i].name, .use = o->paths[i].use, .cost = o->paths[i].cost};
    }
    struct net_options net = {.loop = s->loop,
                              .log = s->log,
                              .stats = stats,
                              .name = o->name,
                              .ca_file = o->ca_file,
                              .tls_insecure = o->tls_insecure,
                              .congestion = o->congestion,
                              .http = o->http,
                              .lanes = o->connections > 0 ? o->connections : 256,
                              .more = has_more,
                              .more_arg = s,
                              .paths = paths,
                              .path_count = o->path_count};
    return net_new(&net, &s->net, f);
}

static void set_features(struct s3 *s, const struct s3_options *o)
{
    s->base.features = (struct store_features){
        .check = o->check,
        .put_etag_is_md5 = true,
        .delete_many = true,
        .tags = true,
        .list_v2 = true,
        .reupload_safe = o->reupload_safe,
        .part_min = (uint64_t)5 << 20,
        .part_max = (uint64_t)5 << 30,
        .put_max = (uint64_t)5 << 30,
        .parts_max = 10000,
    };
}

int s3_new(struct loop *loop, struct log *log, struct stat_set *stats, const struct s3_options *o,
           struct store **ret, struct fail *f)
{
    static const struct store_ops ops = {.kind = "s3",
                                         .submit = submit,
                                         .cancel = cancel,
                                         .waits = waits,
                                         .slots = slots,
                                         .congestion = congestion,
                                         .order = order,
                                         .report = report,
                                         .close = close_s3};
    struct s3 *s = MEM_NEW(struct s3);
    s->base.ops = &ops;
    s->loop = loop;
    s->log = log;
    s->name = mem_strdup(o->name);
    s->base.name = s->name;
    s->creds_source = *o->creds;
    s->creds_name = o->creds->name != NULL ? mem_strdup(o->creds->name) : NULL;
    s->creds_path = o->creds->path != NULL ? mem_strdup(o->creds->path) : NULL;
    s->creds_source.name = s->creds_name;
    s->creds_source.path = s->creds_path;
    snprintf(s->region, sizeof(s->region), "%s", o->region != NULL ? o->region : "us-east-1");
    list_init(&s->calls);
    deferred_init(&s->finish, loop, finish_close, s);
    set_features(s, o);
    int r = open_net(s, o, stats, f);
    if (r < 0) {
        free_s3(s);
        return r;
    }
    *ret = &s->base;
    return 0;
}
