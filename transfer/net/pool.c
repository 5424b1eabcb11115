/* pool: which lane takes a request, when one is opened, and when it goes. */
#include "transfer/net/net_impl.h"

/* Of a lane, before another one is opened; bulk has one to itself. A window of ten packets is soon
 * used up, and a lost packet holds up all streams of its connection: 32 lanes with 4 streams and
 * more were faster from the first second on than lanes with 16 (150 ms, 1 % loss). */
#define STREAMS_SMALL 4
#define IDLE_MAX_MS   60000 /* servers close idle connections after 60 s and more */

static void close_lane(struct lane *l)
{
    list_remove(&l->link);
    l->host->path->lanes--;
    l->net->lanes--;
    l->ops->close(l);
}

static struct lane *least_used(struct net *n)
{
    struct lane *oldest = NULL;
    for (size_t i = 0; i < n->path_count; i++) {
        LIST_FOR (node, &n->paths[i].hosts) {
            struct host *h = CONTAINER_OF(node, struct host, link);
            LIST_FOR (at, &h->lanes) {
                struct lane *l = CONTAINER_OF(at, struct lane, link);
                if (l->active == 0 && (oldest == NULL || l->idle_ms < oldest->idle_ms)) {
                    oldest = l;
                }
            }
        }
    }
    return oldest;
}

static struct lane *add_lane(struct host *h, struct lane *l, bool is_h2, enum net_class class)
{
    l->is_h2 = is_h2;
    l->class = class;
    list_push_front(&h->lanes, &l->link);
    h->path->lanes++;
    h->path->net->lanes++;
    return l;
}

bool pool_adopt(struct host *h, const struct probe_result *r)
{
    struct net *n = h->path->net;
    if (n->closing || n->lanes >= n->lane_limit) {
        return false;
    }
    struct lane *l = lane_h2_adopt(h, &n->common, &r->addr, r->conn);
    l->idle_ms = loop_now_ms(n->common.loop);
    add_lane(h, l, true, NET_SMALL);
    net_watch(n);
    return true;
}

/* At the limit, an idle lane, of another host perhaps, makes room. */
static struct lane *open_lane(struct host *h, enum net_class class, uint64_t avoid)
{
    struct net *n = h->path->net;
    struct lane *in_the_way = n->lanes >= n->lane_limit ? least_used(n) : NULL;
    if ((n->lanes >= n->lane_limit && in_the_way == NULL) || h->probe != NULL) {
        return NULL;
    }
    const union addr *addr = resolve_take(&h->names, avoid);
    if (addr == NULL) {
        return NULL;
    }
    if (!host_is_known(h)) {
        host_ask(h, addr);
        return NULL;
    }
    if (in_the_way != NULL) {
        close_lane(in_the_way);
    }
    bool is_h2 = host_speaks_h2(h, class);
    return add_lane(h, is_h2 ? lane_h2_new(h, &n->common, addr) : lane_h1_new(h, &n->common, addr),
                    is_h2, class);
}

static bool takes(const struct lane *l, enum net_class class, uint64_t avoid)
{
    return !l->is_spent && (l->active == 0 || l->class == class) && l->ops->room(l) > 0 &&
           l->is_h2 == host_speaks_h2(l->host, class) &&
           (avoid == 0 || addr_tag(&l->addr) != avoid);
}

/* Of idle lanes small requests take the warmest; bulk takes what was fastest, so that slow ones are
 * what is left over where there are more than are wanted, and are closed in the end. */
static bool is_better(const struct lane *l, const struct lane *than, enum net_class class)
{
    if (than == NULL || l->active != than->active) {
        return than == NULL || l->active < than->active;
    }
    return class == NET_BULK && l->done_bps > than->done_bps;
}

/* An idle lane; else one with few streams; else a new one; else the one that has least to do. */
struct lane *pool_lane(const struct net_request *r)
{
    struct host *h = r->host;
    uint64_t avoid = addr_has_other(&h->names.set, r->avoid) ? r->avoid : 0;
    struct lane *least = NULL;
    LIST_FOR (node, &h->lanes) {
        struct lane *l = CONTAINER_OF(node, struct lane, link);
        if (takes(l, r->class, avoid) && is_better(l, least, r->class)) {
            least = l;
        }
        if (r->class == NET_SMALL && least != NULL && least->active == 0) {
            break;
        }
    }
    if (least != NULL && least->active == 0) {
        least->class = r->class;
        return least;
    }
    if (least != NULL && r->class == NET_SMALL && least->active < STREAMS_SMALL) {
        return least;
    }
    struct lane *fresh = open_lane(h, r->class, avoid);
    return fresh != NULL ? fresh : least;
}

void pool_taken(struct lane *l)
{
    l->active++;
    l->idle_ms = 0;
    l->begun_bytes = l->seen.acked_bytes + l->came_bytes;
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
        return l->answers == 0;
    default:
        return false;
    }
}

/* Of HTTP/2 two turns of its streams: the first window is ten packets, less than one object, and
 * four of those come at once. Over 150 ms, where the second turn was taken for a rise of latency,
 * 32 lanes had 406 requests under way 4 s after the first; now after 2. */
enum net_age pool_age(const struct lane *l)
{
    unsigned grown = l->is_h2 ? 2 * STREAMS_SMALL : 1;
    return l->answers == 0 ? NET_AGE_NEW : l->answers < grown ? NET_AGE_YOUNG : NET_AGE_GROWN;
}

static void judge_address(struct lane *l, const struct net_request *r)
{
    if (is_fault_of_address(l, r->fail.code)) {
        addr_failed(&l->host->names.set, &l->addr, loop_now_ms(l->net->common.loop));
    }
    l->answers += r->fail.code == 0 && r->status != 0 && pool_age(l) != NET_AGE_GROWN ? 1 : 0;
}

static void note_rate(struct lane *l, const struct net_request *r)
{
    uint64_t us = loop_now_us(l->net->common.loop) - r->started_us;
    if (r->class == NET_BULK && r->fail.code == 0 && us > 0) {
        l->done_bps = (r->wire_sent + r->received) * 1000000 / us;
    }
}

/* Back to the front: its connection is the warmest. */
void pool_left(struct lane *l, const struct net_request *r)
{
    l->active--;
    judge_address(l, r);
    note_rate(l, r);
    if (l->active == 0 && l->is_spent) {
        close_lane(l);
        return;
    }
    list_remove(&l->link);
    list_push_front(&l->host->lanes, &l->link);
    l->idle_ms = l->active == 0 ? loop_now_ms(l->net->common.loop) : 0;
}

void pool_spent(struct lane *l)
{
    l->is_spent = true;
    if (l->active == 0) {
        close_lane(l);
    }
}

void pool_close_idle(struct net *n)
{
    struct lane *l;
    while ((l = least_used(n)) != NULL) {
        close_lane(l);
    }
}

void pool_close_old(struct net *n)
{
    uint64_t now_ms = loop_now_ms(n->common.loop);
    struct lane *l;
    while ((l = least_used(n)) != NULL && now_ms - l->idle_ms >= IDLE_MAX_MS) {
        close_lane(l);
    }
}
