/* Which lane takes a request, how many there are, and when one goes. */
#include "transfer/net/path.h"

#include <string.h>

#define TICK_MS     1000
#define IDLE_MAX_MS 60000 /* servers close idle connections after 60 s and more */
#define HTTPS_PORT  443
#define HTTP_PORT   80

/* ---- hosts ---- */

/* "https://name:port/…" and "http://[address]:port/…" */
static bool split_url(struct span url, bool *tls, struct span *name, uint16_t *port)
{
    unsigned long long number;
    *tls = span_starts_with(url, span_str("https://"));
    if (!*tls && !span_starts_with(url, span_str("http://"))) {
        return false;
    }
    url = span_skip(url, *tls ? 8 : 7);
    struct span rest = span_cut(&url, '/');
    if (rest.len > 0 && rest.ptr[0] == '[') {
        rest = span_skip(rest, 1);
        *name = span_cut(&rest, ']');
        rest = rest.len > 0 ? span_skip(rest, 1) : rest;
    } else {
        *name = span_cut(&rest, ':');
    }
    number = *tls ? HTTPS_PORT : HTTP_PORT;
    if (rest.len > 0 && (span_to_u64(rest, &number) < 0 || number == 0 || number > UINT16_MAX)) {
        return false;
    }
    *port = (uint16_t)number;
    return name->len > 0;
}

struct host *path_host(struct path *p, const char *url)
{
    struct span name;
    uint16_t port;
    bool tls;
    if (!split_url(span_str(url), &tls, &name, &port)) {
        return NULL;
    }
    LIST_FOR (node, &p->hosts) {
        struct host *h = CONTAINER_OF(node, struct host, link);
        if (h->port == port && h->tls == tls && span_eq_str(name, h->name)) {
            return h;
        }
    }
    struct host *h = MEM_NEW(struct host);
    h->path = p;
    h->name = mem_dup_span(name);
    h->port = port;
    h->tls = tls;
    list_init(&h->lanes);
    resolve_init(&h->names, h, p->common->loop);
    list_push_back(&p->hosts, &h->link);
    return h;
}

/* ---- lanes ---- */

static void close_lane(struct lane *l)
{
    list_remove(&l->link);
    l->host->path->lanes--;
    l->ops->close(l);
}

static struct lane *oldest_idle(const struct path *p)
{
    struct lane *oldest = NULL;
    LIST_FOR (node, &p->hosts) {
        struct host *h = CONTAINER_OF(node, struct host, link);
        LIST_FOR (at, &h->lanes) {
            struct lane *l = CONTAINER_OF(at, struct lane, link);
            if (l->active == 0 && (oldest == NULL || l->idle_ms < oldest->idle_ms)) {
                oldest = l;
            }
        }
    }
    return oldest;
}

/* An idle lane, of another host perhaps, makes room for one that is needed. */
static struct lane *open_lane(struct host *h, enum net_class class, uint64_t avoid)
{
    struct path *p = h->path;
    struct lane *in_the_way = p->lanes >= p->lane_limit ? oldest_idle(p) : NULL;
    if (p->lanes >= p->lane_limit && in_the_way == NULL) {
        return NULL;
    }
    const union addr *addr = resolve_take(&h->names, avoid);
    if (addr == NULL) {
        return NULL;
    }
    if (in_the_way != NULL) {
        close_lane(in_the_way);
    }
    struct lane *l = lane_h1_new(h, p->common, addr);
    l->class = class;
    list_push_front(&h->lanes, &l->link);
    p->lanes++;
    return l;
}

static bool takes(const struct lane *l, enum net_class class, uint64_t avoid)
{
    return !l->is_spent && (l->active == 0 || l->class == class) && l->ops->room(l) > 0 &&
           (avoid == 0 || addr_tag(&l->addr) != avoid);
}

struct lane *path_lane(const struct net_request *r)
{
    struct host *h = r->host;
    enum net_class class = r->class;
    uint64_t avoid = addr_has_other(&h->names.set, r->avoid) ? r->avoid : 0;
    struct lane *least = NULL;
    LIST_FOR (node, &h->lanes) {
        struct lane *l = CONTAINER_OF(node, struct lane, link);
        if (takes(l, class, avoid) && (least == NULL || l->active < least->active)) {
            least = l;
        }
        if (least != NULL && least->active == 0) {
            break;
        }
    }
    if (least != NULL && least->active == 0) {
        least->class = class;
        return least;
    }
    struct lane *fresh = open_lane(h, class, avoid);
    return fresh != NULL ? fresh : least;
}

void path_lane_taken(struct lane *l, const struct net_request *r)
{
    l->active++;
    l->host->path->under_way[r->class]++;
    l->idle_ms = 0;
    list_remove(&l->link);
    list_push_back(&l->host->lanes, &l->link);
}

/* A connection that has brought answers may break because a server tidies up; one that never did,
 * or that fell silent, speaks against the address. */
static bool is_fault_of_address(const struct lane *l, int code)
{
    switch (code) {
    case REPL_EUNREACHABLE:
    case REPL_ETLS:
    case REPL_ETIMEOUT:
        return true;
    case REPL_ENET:
    case REPL_ESHORT:
    case REPL_EPROTO:
        return !l->is_proven;
    default:
        return false;
    }
}

static void judge_address(struct lane *l, const struct net_request *r)
{
    if (is_fault_of_address(l, r->fail.code)) {
        addr_failed(&l->host->names.set, &l->addr, loop_now_ms(l->host->path->common->loop));
    }
    l->is_proven = l->is_proven || (r->fail.code == 0 && r->status != 0);
}

/* Back to the front: its connection is the warmest. */
void path_lane_left(struct lane *l, const struct net_request *r)
{
    struct path *p = l->host->path;
    l->active--;
    p->under_way[r->class]--;
    judge_address(l, r);
    list_remove(&l->link);
    list_push_front(&l->host->lanes, &l->link);
    if (l->active > 0) {
        return;
    }
    if (l->is_spent) {
        close_lane(l);
        return;
    }
    l->idle_ms = loop_now_ms(p->common->loop);
    if (!timer_is_running(&p->tick)) {
        timer_start(&p->tick, TICK_MS);
    }
}

/* ---- once a second ---- */

static void close_old_lanes(struct host *h, uint64_t now_ms)
{
    LIST_FOR_SAFE (node, &h->lanes) {
        struct lane *l = CONTAINER_OF(node, struct lane, link);
        if (l->active == 0 && now_ms - l->idle_ms >= IDLE_MAX_MS) {
            close_lane(l);
        }
    }
}

static void tick(void *arg)
{
    struct path *p = arg;
    LIST_FOR (node, &p->hosts) {
        struct host *h = CONTAINER_OF(node, struct host, link);
        close_old_lanes(h, loop_now_ms(p->common->loop));
        if (!list_is_empty(&h->lanes)) {
            resolve_refresh(&h->names);
        }
    }
    if (p->lanes > 0) {
        timer_start(&p->tick, TICK_MS);
    }
}

unsigned path_slots(const struct path *p, enum net_class class)
{
    (void)class;
    return p->lane_limit;
}

/* ---- life ---- */

void path_init(struct path *p, struct net *n, const struct lane_common *common, unsigned lanes)
{
    p->net = n;
    p->common = common;
    p->lane_limit = lanes > 0 ? lanes : 1;
    list_init(&p->hosts);
    timer_init(&p->tick, common->loop, tick, p);
}

void path_close_lanes(struct path *p)
{
    struct lane *l;
    timer_stop(&p->tick);
    while ((l = oldest_idle(p)) != NULL) {
        close_lane(l);
    }
    LIST_FOR (node, &p->hosts) {
        resolve_cancel(&CONTAINER_OF(node, struct host, link)->names);
    }
}

void path_done(struct path *p)
{
    struct list *node;
    while ((node = list_first(&p->hosts)) != NULL) {
        struct host *h = CONTAINER_OF(node, struct host, link);
        list_remove(node);
        resolve_done(&h->names);
        mem_free(h->name);
        mem_free(h);
    }
}
