/* lane: one connection to an endpoint, seen by the pool. h1 is one HTTP/1.1 connection through
 * libcurl; another kind needs no more than these operations. */
#ifndef REPL_NET_LANE_H
#define REPL_NET_LANE_H

#include "transfer/net/net.h"

struct lane;

struct lane_ops {
    const char *kind; /* "h1" */
    /* The lane must be idle. The end comes through net_lane_ended() from the loop. */
    void (*start)(struct lane *l, struct net_request *r);
    /* Drops the request and its connection; nothing comes back. */
    void (*cancel)(struct lane *l);
    /* Idle lanes only. Frees the lane, now or when its handles are closed. */
    void (*close)(struct lane *l);
};

struct lane {
    const struct lane_ops *ops;
    struct net *net;
    struct list link; /* idle lanes of the pool */
    struct net_request *request;
};

/* What lanes share: TLS sessions, resolved names, verification. */
struct lane_common {
    struct loop *loop;
    struct log *log;
    void *share; /* CURLSH */
    char *ca_file;
    bool tls_insecure;
};

struct lane *lane_h1_new(struct net *n, const struct lane_common *common);

/* Of the pool, for lanes: the request has ended, its out members are filled. A lane that closes its
 * handles in the background says so, so that net_close() can wait. */
void net_lane_ended(struct lane *l);
void net_handle_opened(struct net *n);
void net_handle_closed(struct net *n);

#endif
