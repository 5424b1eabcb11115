/* Requests on their way into lanes and out again. */
#include "transfer/net/net.h"

#include "daemon/base/near.h"
#include "transfer/net/net_impl.h"

#include <curl/curl.h>
#include <stdio.h>
#include <unistd.h>

#define TICK_MS  200  /* while something is under way … */
#define QUIET_MS 1000 /* … and while lanes are idle */

#define CPU_SHORT 0.85 /* share of a tick that the loop worked */

static void finish_close(void *arg);

static void start_waiting(struct net *n);

/* Where a part takes a minute, nothing may end for long. */
static void steer(struct net *n)
{
    unsigned before = net_slots(n, NET_BULK);
    for (size_t i = 0; i < n->path_count; i++) {
        path_sample(&n->paths[i]);
        path_steer(&n->paths[i]);
    }
    if (n->more != NULL && net_slots(n, NET_BULK) > before) {
        n->more(n->more_arg);
    }
}

/* Answers that wait for us look like answers that wait in the network. */
static void look_at_cpu(struct net *n)
{
    uint64_t now_us = loop_now_us(n->common.loop);
    uint64_t cpu_us = loop_cpu_us(n->common.loop);
    n->is_short_of_cpu = n->ticked_us != 0 && (double)(cpu_us - n->cpu_us) >=
                                                  CPU_SHORT * (double)(now_us - n->ticked_us);
    n->ticked_us = now_us;
    n->cpu_us = cpu_us;
}

static void tick(void *arg)
{
    struct net *n = arg;
    look_at_cpu(n);
    pool_close_old(n);
    for (size_t i = 0; i < n->path_count; i++) {
        path_refresh(&n->paths[i]);
    }
    steer(n);
    late_check(n);
    start_waiting(n);
    if (n->lanes > 0) {
        timer_start(&n->tick, n->busy > 0 ? TICK_MS : QUIET_MS);
    }
}

static void make_paths(struct net *n, const struct net_options *o)
{
    static const struct net_path_options direct = {.name = "direct", .cost = "default"};
    const struct net_path_options *paths = o->path_count > 0 ? o->paths : &direct;
    n->path_count = o->path_count > 0 ? o->path_count : 1;
    for (size_t i = 0; i < n->path_count; i++) {
        path_init(&n->paths[i], n, &paths[i]);
        n->routes[i] = &n->paths[i].route;
        if (o->stats != NULL) {
            path_stats(&n->paths[i], o->stats, paths[i].cost);
        }
    }
}

void net_watch(struct net *n)
{
    if (!timer_is_running(&n->tick)) {
        timer_start(&n->tick, QUIET_MS);
    }
}

/* Without a CA file nothing can fail, and an endpoint without TLS need not read the system's. */
struct tls_context *net_tls(struct net *n)
{
    if (n->common.tls == NULL) {
        struct tls_options o = {.insecure = n->common.tls_insecure};
        struct fail f;
        tls_context_new(&o, &n->common.tls, &f);
    }
    return n->common.tls;
}

int net_new(const struct net_options *o, struct net **ret, struct fail *f)
{
    if (o->ca_file != NULL && access(o->ca_file, R_OK) < 0) {
        fail_set(f, REPL_EBADINPUT, "CA file %s of endpoint %s cannot be read", o->ca_file,
                 o->name);
        fail_hint(f, "name a PEM file that the user running repld may read");
        return REPL_EBADINPUT;
    }
    struct tls_options trust = {.ca_file = o->ca_file, .insecure = o->tls_insecure};
    struct tls_context *tls = NULL;
    if (o->ca_file != NULL && tls_context_new(&trust, &tls, f) < 0) {
        return f->code;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    struct net *n = MEM_NEW(struct net);
    n->common.tls = tls;
    n->common.loop = o->loop;
    n->common.log = o->log;
    n->common.ca_file = o->ca_file != NULL ? mem_strdup(o->ca_file) : NULL;
    n->common.tls_insecure = o->tls_insecure;
    n->common.congestion = mem_strdup(o->congestion != NULL ? o->congestion : "auto");
    n->common.http = o->http;
    n->common.share = curl_share_init();
    curl_share_setopt(n->common.share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    curl_share_setopt(n->common.share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
    n->name = mem_strdup(o->name);
    n->more = o->more;
    n->more_arg = o->more_arg;
    n->lane_limit = o->lanes > 0 ? o->lanes : 1;
    make_paths(n, o);
    timer_init(&n->tick, o->loop, tick, n);
    list_init(&n->active);
    list_init(&n->waiting);
    list_init(&n->failed);
    deferred_init(&n->finish, o->loop, finish_close, n);
    *ret = n;
    return 0;
}

/* ---- what is worth while ---- */

unsigned net_slots(const struct net *n, enum net_class class)
{
    unsigned sum = 0;
    for (size_t i = 0; i < n->path_count; i++) {
        if (n->path_count == 1 || route_is_worth(n->routes, n->path_count, i, class)) {
            sum += path_slots(&n->paths[i], class);
        }
    }
    return sum > 0 ? sum : 1; /* all paths are left: one is tried */
}

size_t net_pick(const struct net *n, const struct net_request *r)
{
    struct route_seen seen[NET_PATHS_MAX];
    bool has_other = false;
    for (size_t i = 0; i < n->path_count; i++) {
        unsigned slots = path_slots(&n->paths[i], r->class);
        unsigned used = n->paths[i].under_way[r->class];
        seen[i].free_slots = slots > used ? slots - used : 0;
        seen[i].is_shunned = r->avoid != 0 && path_is_only(&n->paths[i], r->avoid);
        has_other =
            has_other || (!seen[i].is_shunned && route_is_usable(n->routes, n->path_count, i));
    }
    for (size_t i = 0; i < n->path_count && !has_other; i++) {
        seen[i].is_shunned = false;
    }
    return route_pick(n->routes, seen, n->path_count, r->class, loop_now_ms(n->common.loop));
}

static size_t usable_paths(const struct net *n)
{
    size_t count = 0;
    for (size_t i = 0; i < n->path_count; i++) {
        count += route_is_usable(n->routes, n->path_count, i);
    }
    return count;
}

bool net_is_on_trial(const struct net *n, size_t path)
{
    return usable_paths(n) > 1 && !route_is_proven(n->routes[path]);
}

bool net_has_other(const struct net *n, const struct net_request *r)
{
    if (!path_is_loss(r)) {
        return false;
    }
    bool has_address = r->failed_at != 0 && addr_has_other(&r->host->names.set, r->failed_at);
    return has_address || usable_paths(n) > 1;
}

static void order_all(struct net *n, size_t which, enum net_order order, struct fail *f)
{
    static const char *const said[] = {"free", "fixed", "forbidden"};
    struct route *all[NET_PATHS_MAX];
    for (size_t i = 0; i < n->path_count; i++) {
        all[i] = &n->paths[i].route;
    }
    if (!route_order(all, n->path_count, which, order)) {
        fail_set(f, REPL_ECONFLICT, "endpoint %s would have no path left", n->name);
        fail_hint(f, "free another path first; replctl lanes %s shows them", n->name);
        return;
    }
    LOG_NOTICE(n->common.log, "path", "%s/%s is %s", n->name, n->paths[which].name, said[order]);
}

int net_order(struct net *n, const char *path, enum net_order order, struct fail *f)
{
    bool is_found = path == NULL;
    struct near near;
    near_start(&near, path != NULL ? path : "", NEAR_NAME);
    fail_clear(f);
    for (size_t i = 0; i < n->path_count; i++) {
        bool is_meant = path != NULL ? strcmp(path, n->paths[i].name) == 0
                                     : n->paths[i].route.order != NET_FREE;
        near_offer(&near, n->paths[i].name);
        is_found = is_found || is_meant;
        if (is_meant) {
            order_all(n, i, order, f);
        }
    }
    if (!is_found) {
        char otherwise[120];
        snprintf(otherwise, sizeof(otherwise), "replctl lanes %.64s shows its paths", n->name);
        fail_set(f, REPL_ENOTFOUND, "endpoint %s has no path \"%.64s\"", n->name, path);
        near_hint(&near, otherwise, f);
    }
    return f->code;
}

const char *net_congestion(const struct net *n)
{
    return n->grant.congestion;
}

/* ---- into lanes and out ---- */

static void enter_lane(struct net *n, struct lane *l, struct net_request *r)
{
    list_remove(&r->link);
    r->lane = l;
    r->started_us = loop_now_us(n->common.loop);
    r->age = pool_age(l);
    if (n->busy++ == 0) {
        timer_start(&n->tick, TICK_MS);
    }
    list_push_back(&n->active, &r->active);
    pool_taken(l);
    l->ops->start(l, r);
}

static void leave_lane(struct net *n, struct net_request *r)
{
    struct lane *l = r->lane;
    r->lane = NULL;
    n->busy--;
    list_remove(&r->active);
    path_ended(r->host->path, r);
    pool_left(l, r);
}

/* In their order, but none waits for the lanes of another host or class. */
static void start_waiting(struct net *n)
{
    LIST_FOR_SAFE (node, &n->waiting) {
        struct net_request *r = CONTAINER_OF(node, struct net_request, link);
        struct lane *l = pool_lane(r);
        if (l != NULL) {
            enter_lane(n, l, r);
        }
    }
}

static void check_closed(struct net *n)
{
    if (n->closing && n->busy == 0 && list_is_empty(&n->failed)) {
        deferred_call(&n->finish);
    }
}

/* Where the request was lost, and how far that is. */
static void note_loss(struct net_request *r, const struct lane *l)
{
    r->failed_at = addr_tag(&l->addr);
    r->rtt_us = l->seen.rtt_us > 0 ? l->seen.rtt_us : l->host->path->sample.rtt_us;
}

/* Bulk has left HTTP/2, and the host speaks nothing else. */
static bool is_refusal_of_h1(const struct lane *l, const struct fail *f)
{
    bool is_first = !l->is_h2 && pool_age(l) == NET_AGE_NEW && l->host->http == HOST_HTTP_2;
    return is_first && (f->code == REPL_ETLS || f->code == REPL_EPROTO || f->code == REPL_ENET);
}

void net_lane_ended(struct lane *l, struct net_request *r)
{
    struct net *n = l->net;
    host_name_failure(l->host, &r->fail);
    if (r->no_h2) {
        host_fall_back(l->host, &r->fail);
    } else if (is_refusal_of_h1(l, &r->fail)) {
        host_refuses_h1(l->host, &r->fail);
    } else if (fail_class(r->fail.code) == FAIL_RETRY) {
        note_loss(r, l);
    }
    leave_lane(n, r);
    r->done(r);
    start_waiting(n);
    check_closed(n);
}

/* ---- those that end without a lane ---- */

static void deliver_failed(void *arg)
{
    struct net_request *r = arg;
    struct net *n = r->net;
    list_remove(&r->link);
    r->done(r);
    check_closed(n);
}

/* done() is never called inside net_submit() and net_cancel(). */
static void fail_later(struct net *n, struct net_request *r)
{
    list_push_back(&n->failed, &r->link);
    deferred_init(&r->failed, n->common.loop, deliver_failed, r);
    deferred_call(&r->failed);
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
    r->no_h2 = false;
    r->sent_us = 0;
    r->first_us = 0;
    r->failed_at = 0;
    r->rtt_us = 0;
    r->net = n;
    r->lane = NULL;
    r->link = (struct list){NULL, NULL};
    r->active = (struct list){NULL, NULL};
    r->host = path_host(&n->paths[r->path], r->url);
    if (r->host == NULL) {
        fail_set(&r->fail, REPL_EBADINPUT, "%s is no URL of a host", r->url);
        fail_later(n, r);
        return;
    }
    path_started(r->host->path, r);
    list_push_back(&n->waiting, &r->link);
    start_waiting(n);
}

void net_cancel(struct net *n, struct net_request *r)
{
    bool has_failed = r->fail.code != 0;
    fail_set(&r->fail, REPL_ECANCELED, "cancelled");
    if (has_failed) {
        return; /* it is on its way back */
    }
    list_remove(&r->link);
    if (r->lane != NULL) {
        r->lane->ops->cancel(r->lane, r);
        leave_lane(n, r);
    } else if (r->host != NULL) {
        path_ended(r->host->path, r);
    }
    fail_later(n, r);
    start_waiting(n);
}

bool net_waits(const struct net_request *r)
{
    return r->fail.code == 0 && r->sent_us == 0;
}

void net_give_up(struct net *n, struct net_request *r, int code, const char *why)
{
    struct lane *l = r->lane;
    fail_set(&r->fail, code, "%s", why);
    note_loss(r, l);
    l->ops->cancel(l, r);
    leave_lane(n, r);
    fail_later(n, r);
}

/* ---- what hosts and lanes tell ---- */

void net_host_failed(struct host *h, const struct fail *f, uint64_t failed_at)
{
    struct net *n = h->path->net;
    LIST_FOR_SAFE (node, &n->waiting) {
        struct net_request *r = CONTAINER_OF(node, struct net_request, link);
        if (r->host == h) {
            list_remove(node);
            r->fail = *f;
            r->failed_at = failed_at;
            path_ended(h->path, r);
            fail_later(n, r);
        }
    }
    start_waiting(n);
}

void net_host_known(struct host *h)
{
    start_waiting(h->path->net);
}

void net_resolved(struct host *h)
{
    if (h->names.set.count == 0) {
        net_host_failed(h, &h->names.fail, 0);
    } else {
        start_waiting(h->path->net);
    }
}

void net_lane_spent(struct lane *l)
{
    pool_spent(l);
}

/* Once for each answer that differs: a host without BBR would say it for every connection. */
void net_socket_opened(struct lane *l)
{
    struct net *n = l->net;
    const struct sock_grant *g = &l->grant;
    bool is_news = g->refused != n->grant.refused || n->grant.congestion[0] == '\0';
    n->grant = *g;
    l->paced_bps = 0;
    if (is_news && g->refused != 0) {
        LOG_WARNING(n->common.log, "net",
                    "endpoint %s: congestion control %s is not to be had (%s), going on with %s; "
                    "hint: replctl doctor says what the host lacks",
                    n->name, sock_congestion(n->common.congestion), fail_name(g->refused),
                    g->congestion);
    }
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

static void finish_close(void *arg)
{
    struct net *n = arg;
    pool_close_idle(n);
    for (size_t i = 0; i < n->path_count; i++) {
        path_stop(&n->paths[i]);
    }
    if (n->handles > 0) {
        return; /* the last one comes back here */
    }
    loop_fn *closed = n->closed;
    void *closed_arg = n->closed_arg;
    deferred_cancel(&n->finish);
    timer_stop(&n->tick);
    for (size_t i = 0; i < n->path_count; i++) {
        path_done(&n->paths[i]);
    }
    curl_share_cleanup(n->common.share);
    tls_context_free(n->common.tls);
    mem_free(n->common.ca_file);
    mem_free(n->common.congestion);
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
