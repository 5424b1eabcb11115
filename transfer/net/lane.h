/* lane: one connection to a host, seen by the pool. Two kinds: h1, an HTTP/1.1 connection through
 * libcurl, carries one request at a time; h2, an HTTP/2 connection of our own, several. */
#ifndef REPL_NET_LANE_H
#define REPL_NET_LANE_H

#include "transfer/net/addr.h"
#include "transfer/net/net.h"
#include "transfer/net/sock.h"
#include "transfer/net/tcpinfo.h"

struct conn;
struct lane;
struct tls_context;

struct lane_ops {
    const char *kind; /* "h1", "h2" */
    /* There is room. The end comes through net_lane_ended() from the loop. */
    void (*start)(struct lane *l, struct net_request *r);
    /* Drops the request (h1: and its connection); nothing comes back. */
    void (*cancel)(struct lane *l, struct net_request *r);
    /* Requests that it takes now besides those it has. */
    unsigned (*room)(const struct lane *l);
    /* Brings came_bytes and held_us up to date; NULL: they always are. */
    void (*sample)(struct lane *l);
    /* Lanes without a request only. Frees the lane, now or when its handles are closed. */
    void (*close)(struct lane *l);
};

struct lane {
    const struct lane_ops *ops;
    struct net *net;
    struct host *host;
    struct list link;     /* of the host, those with room first, the warmest before others */
    enum net_class class; /* of what it carries: streams of both on one connection would compete */
    unsigned active;      /* requests */
    bool is_h2;
    bool is_spent;           /* takes no more: closed when its requests have ended */
    unsigned answers;        /* to requests; see pool_age() */
    union addr addr;         /* with port: where its connection goes */
    int fd;                  /* of its connection; -1: none */
    struct sock_grant grant; /* what that socket was given */
    uint64_t paced_bps;      /* no faster than this; 0: no limit */
    uint64_t idle_ms;        /* monotonic, since when it has none; 0 = busy */
    uint64_t came_bytes;     /* of bodies, counted by the lane as they come */
    uint64_t held_us;        /* sending stood still for the peer's HTTP/2 window, counted by it */

    /* ---- of the sampler ---- */
    struct tcpinfo seen; /* the newest one */
    uint64_t seen_came_bytes;
    uint64_t seen_held_us;
    uint64_t rate_bps;      /* bytes a second, both ways, over the last second or so */
    uint64_t slow_since_us; /* see slow.h */
    uint64_t stuck_us;      /* bytes are out, and none of them was acknowledged for so long */
    uint64_t begun_bytes;   /* acknowledged and come when its newest request began */
    uint64_t done_bps;      /* rate of its last bulk request, answer included; 0: none yet */
};

#define LANE_HEADERS_MAX 128 /* of an answer; more are left out */

/* What lanes share: TLS sessions, resolved names, verification. */
struct lane_common {
    struct loop *loop;
    struct log *log;
    void *share;             /* CURLSH */
    struct tls_context *tls; /* of lanes of our own */
    uint32_t ask_ms;         /* see lane_h2.c; 0: its defaults */
    uint32_t dead_ms;
    char *ca_file;
    bool tls_insecure;
    char *congestion; /* the wish, see sock.h */
    enum net_http http;
};

struct lane *lane_h1_new(struct host *h, const struct lane_common *common, const union addr *addr);

struct lane *lane_h2_new(struct host *h, const struct lane_common *common, const union addr *addr);
/* Over a connection that stands, and that speaks h2. */
struct lane *lane_h2_adopt(struct host *h, const struct lane_common *common, const union addr *addr,
                           struct conn *conn);

/* Of the pool, for hosts and lanes. There are addresses now, or the failure to find any. */
void net_resolved(struct host *h);
/* A socket was set up; its grant is in the lane. */
void net_socket_opened(struct lane *l);
/* The request has ended, its out members are filled. A lane that closes its handles in the
 * background says so, so that net_close() can wait. */
void net_lane_ended(struct lane *l, struct net_request *r);
/* The lane takes no more: without a request it is closed by this call. */
void net_lane_spent(struct lane *l);
void net_handle_opened(struct net *n);
void net_handle_closed(struct net *n);

#endif
