/* The pool: which lane takes which request. */
#include "transfer/net/net.h"

#include "transfer/net/lane.h"

#include <curl/curl.h>
#include <unistd.h>

struct net {
    struct lane_common common;
    char *name;
    unsigned lane_limit;
    unsigned lane_count;
    unsigned busy;
    unsigned handles;    /* of lanes, open or closing */
    struct list idle;    /* lane.link, last used first */
    struct list waiting; /* net_request.link */
    struct list canceling;
    bool closing;
    struct deferred finish;
    loop_fn *closed;
    void *closed_arg;
};

static void finish_close(void *arg);

int net_new(const struct net_options *o, struct net **ret, struct fail *f)
{
    if (o->ca_file != NULL && access(o->ca_file, R_OK) < 0) {
        fail_set(f, REPL_EBADINPUT, "CA file %s of endpoint %s cannot be read", o->ca_file,
                 o->name);
        fail_hint(f, "name a PEM file that the user running repld may read");
        return REPL_EBADINPUT;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    struct net *n = MEM_NEW(struct net);
    n->common.loop = o->loop;
    n->common.log = o->log;
    n->common.ca_file = o->ca_file != NULL ? mem_strdup(o->ca_file) : NULL;
    n->common.tls_insecure = o->tls_insecure;
    n->common.share = curl_share_init();
    curl_share_setopt(n->common.share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    curl_share_setopt(n->common.share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
    n->name = mem_strdup(o->name);
    n->lane_limit = o->lanes > 0 ? o->lanes : 1;
    list_init(&n->idle);
    list_init(&n->waiting);
    list_init(&n->canceling);
    deferred_init(&n->finish, o->loop, finish_close, n);
    *ret = n;
    return 0;
}

unsigned net_lanes(const struct net *n)
{
    return n->lane_limit;
}

static struct lane *idle_lane(struct net *n)
{
    struct list *node = list_first(&n->idle);
    if (node != NULL) {
        list_remove(node);
        return CONTAINER_OF(node, struct lane, link);
    }
    if (n->lane_count == n->lane_limit) {
        return NULL;
    }
    n->lane_count++;
    return lane_h1_new(n, &n->common);
}

static void start_waiting(struct net *n)
{
    while (!list_is_empty(&n->waiting)) {
        struct lane *l = idle_lane(n);
        if (l == NULL) {
            return;
        }
        struct list *node = list_first(&n->waiting);
        list_remove(node);
        l->request = CONTAINER_OF(node, struct net_request, link);
        l->request->lane = l;
        n->busy++;
        l->ops->start(l, l->request);
    }
}

void net_submit(struct net *n, struct net_request *r)
{
    fail_clear(&r->fail);
    r->status = 0;
    r->answer = NULL;
    r->answer_count = 0;
    r->text = span_of(NULL, 0);
    r->received = 0;
    r->left = false;
    r->wire_sent = 0;
    r->lane = NULL;
    r->link = (struct list){NULL, NULL};
    list_push_back(&n->waiting, &r->link);
    start_waiting(n);
}

/* Back to the front of the idle list: its connection is the warmest. */
static void release_lane(struct net *n, struct lane *l)
{
    l->request->lane = NULL;
    l->request = NULL;
    n->busy--;
    list_push_front(&n->idle, &l->link);
}

static void check_closed(struct net *n)
{
    if (n->closing && n->busy == 0 && list_is_empty(&n->canceling)) {
        deferred_call(&n->finish);
    }
}

void net_lane_ended(struct lane *l)
{
    struct net *n = l->net;
    struct net_request *r = l->request;
    release_lane(n, l);
    r->done(r);
    start_waiting(n);
    check_closed(n);
}

struct cancel_arg {
    struct net *net;
    struct net_request *request;
};

static void deliver_canceled(void *arg)
{
    struct cancel_arg *c = arg;
    struct net *n = c->net;
    struct net_request *r = c->request;
    mem_free(c);
    list_remove(&r->link);
    r->done(r);
    check_closed(n);
}

void net_cancel(struct net *n, struct net_request *r)
{
    if (r->fail.code == REPL_ECANCELED) {
        return;
    }
    list_remove(&r->link);
    if (r->lane != NULL) {
        struct lane *l = r->lane;
        l->ops->cancel(l);
        release_lane(n, l);
    }
    fail_set(&r->fail, REPL_ECANCELED, "cancelled");
    list_push_back(&n->canceling, &r->link);
    struct cancel_arg *c = MEM_NEW(struct cancel_arg);
    c->net = n;
    c->request = r;
    deferred_init(&r->canceled, n->common.loop, deliver_canceled, c);
    deferred_call(&r->canceled);
    start_waiting(n);
}

/* ---- closing ---- */

void net_handle_opened(struct net *n)
{
    n->handles++;
}

void net_handle_closed(struct net *n)
{
    n->handles--;
    check_closed(n);
}

static void close_lanes(struct net *n)
{
    struct list *node;
    while ((node = list_first(&n->idle)) != NULL) {
        struct lane *l = CONTAINER_OF(node, struct lane, link);
        list_remove(node);
        l->ops->close(l);
    }
}

static void finish_close(void *arg)
{
    struct net *n = arg;
    close_lanes(n);
    if (n->handles > 0) {
        return; /* the last one comes back here */
    }
    loop_fn *closed = n->closed;
    void *closed_arg = n->closed_arg;
    deferred_cancel(&n->finish);
    curl_share_cleanup(n->common.share);
    mem_free(n->common.ca_file);
    mem_free(n->name);
    mem_free(n);
    closed(closed_arg);
}

void net_close(struct net *n, loop_fn *closed, void *arg)
{
    n->closing = true;
    n->closed = closed;
    n->closed_arg = arg;
    while (!list_is_empty(&n->waiting)) {
        net_cancel(n, CONTAINER_OF(list_first(&n->waiting), struct net_request, link));
    }
    check_closed(n);
}

struct span net_answer(const struct net_request *r, const char *name)
{
    for (size_t i = 0; i < r->answer_count; i++) {
        if (span_eq_str(r->answer[i].name, name)) {
            return r->answer[i].value;
        }
    }
    return span_of(NULL, 0);
}
