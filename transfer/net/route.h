/* route: which of several paths a request takes. Pure: time is an argument. A path is worth taking
 * while one request on it is not much slower than on the best; one that fails is left, and tried
 * again with one request at a time. With a single path there is nothing to choose, whatever its
 * state: an endpoint that cannot be reached at all is the scheduler's concern. */
#ifndef REPL_NET_ROUTE_H
#define REPL_NET_ROUTE_H

#include "transfer/net/net.h"

#define ROUTE_FAILURES 3     /* of the network, in a row: the path is left, or at the first … */
                             /* … where it has never brought an answer */
#define ROUTE_WORTH    0.25  /* of the best path's rate; below it the path is not taken … */
#define ROUTE_LOOK_MS  30000 /* … but for one request in so long */
#define ROUTE_BACK_MS  2000  /* first try of a path that was left; doubles … */
#define ROUTE_BACK_MAX 30000 /* … up to this */

struct route {
    enum net_use use;  /* in force */
    enum net_use wish; /* as configured */
    enum net_order order;
    unsigned under_way;
    struct {
        double rate;          /* bytes a second of one request (small: requests), smoothed */
        uint64_t measured_ms; /* 0 = never */
    } seen[NET_CLASSES];
    unsigned failures;    /* in a row */
    uint64_t down_ms;     /* since when it is left; 0 = it is not */
    uint64_t next_try_ms; /* of one that is left, or not worth it */
    uint32_t back_ms;
};

/* What one request sees of a path. */
struct route_seen {
    unsigned free_slots; /* for its class */
    bool is_shunned;     /* it was lost there a moment ago: taken only where there is no other */
};

void route_init(struct route *r, enum net_use use);
/* False, and nothing is changed, when none could be used then. */
bool route_order(struct route *const *all, size_t count, size_t which, enum net_order order);
void route_started(struct route *r, uint64_t now_ms);
/* A request has ended well after `us` microseconds. */
void route_good(struct route *r, enum net_class class, uint64_t bytes, uint64_t us,
                uint64_t now_ms);
/* A request was lost to the network. True: the path is left by this. */
bool route_lost(struct route *r, uint64_t now_ms);
/* May it be taken at all, by the operator's word? */
bool route_is_usable(const struct route *const *all, size_t count, size_t which);
/* May requests of this class be given to the path beside the others, as many as it has slots? */
bool route_is_worth(const struct route *const *all, size_t count, size_t which,
                    enum net_class class);
/* Has it brought an answer, and lost nothing since that it was left for? */
bool route_is_proven(const struct route *r);
/* Is it time for a single request, to see how the path does? */
bool route_is_due(const struct route *r, enum net_class class, uint64_t now_ms);
/* Index of the path for one request; seen[i] is of path i. Waiting for a good path is better than a
 * bad one. */
size_t route_pick(const struct route *const *all, const struct route_seen *seen, size_t count,
                  enum net_class class, uint64_t now_ms);

#endif
