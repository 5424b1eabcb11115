/* pool: which lane takes a request, when one is opened, and when it goes. */
#include "transfer/net/net_impl.h"

#define IDLE_MAX_MS 60000 /* servers close idle connections after 60 s and more */

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

/* At the limit, an idle lane of another host makes room. */
static struct lane *open_lane(struct host *h, enum net_class class)
{
    struct net *n = h->path->net;
    if (n->lanes >= n->lane_limit) {
        struct lane *old = least_used(n);
        if (old == NULL) {
            return NULL;
        }
        close_lane(old);
    }
    struct lane *l = lane_h1_new(h, &n->common);
    l->class = class;
    list_push_front(&h->lanes, &l->link);
    h->path->lanes++;
    n->lanes++;
    return l;
}

static bool takes(const struct lane *l, enum net_class class)
{
    return !l->is_spent && (l->active == 0 || l->class == class) && l->ops->room(l) > 0;
}

/* An idle lane, the warmest; else a new one; else the one that has least to do. */
struct lane *pool_lane(struct host *h, enum net_class class)
{
    struct lane *least = NULL;
    LIST_FOR (node, &h->lanes) {
        struct lane *l = CONTAINER_OF(node, struct lane, link);
        if (takes(l, class) && (least == NULL || l->active < least->active)) {
            least = l;
        }
        if (least != NULL && least->active == 0) {
            least->class = class;
            return least;
        }
    }
    struct lane *fresh = open_lane(h, class);
    return fresh != NULL ? fresh : least;
}

void pool_taken(struct lane *l)
{
    l->active++;
    l->idle_ms = 0;
    list_remove(&l->link);
    list_push_back(&l->host->lanes, &l->link);
}

/* Back to the front: its connection is the warmest. */
void pool_left(struct lane *l)
{
    l->active--;
    if (l->active == 0 && l->is_spent) {
        close_lane(l);
        return;
    }
    list_remove(&l->link);
    list_push_front(&l->host->lanes, &l->link);
    l->idle_ms = l->active == 0 ? loop_now_ms(l->net->common.loop) : 0;
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
