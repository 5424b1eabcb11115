/* net: HTTP requests to one endpoint over lanes. A lane is one connection with what is measured of
 * it; a host is a name with its addresses and lanes; a path is a way to the endpoint, and the place
 * where the number of lanes is decided. A request takes a lane that has room, the warmest first,
 * before a new one is opened. Nothing is repeated and no redirect is followed here. Loop thread. */
#ifndef REPL_NET_NET_H
#define REPL_NET_NET_H

#include "daemon/base/buf.h"
#include "daemon/base/fail.h"
#include "daemon/base/list.h"
#include "daemon/base/log.h"
#include "daemon/base/loop.h"
#include "daemon/base/mem.h"

struct net;
struct path;
struct lane;
struct host;

#define NET_PATHS_MAX 4

/* What the operator says of a path. */
enum net_use { NET_USE_AUTO, NET_USE_ALWAYS, NET_USE_NEVER };

/* What he says of it while the daemon runs: nothing, only this one, or not this one. */
enum net_order { NET_FREE, NET_FIXED, NET_FORBIDDEN };

/* What is spoken over TLS: what the host offers, with a way back to HTTP/1.1; or one and nothing
 * else, without a question. Without TLS it is HTTP/1.1. */
enum net_http { NET_HTTP_AUTO, NET_HTTP_1, NET_HTTP_2 };

struct net_path_options {
    const char *name; /* "direct" */
    enum net_use use;
    const char *cost; /* class its bytes are counted under */
};

struct net_options {
    struct loop *loop; /* a real one */
    struct log *log;
    struct stat_set *stats; /* NULL: none */
    const char *name;       /* of the endpoint, for logs and metrics */
    const char *ca_file;    /* NULL: the system's */
    bool tls_insecure;
    unsigned lanes;         /* at most, over all paths; at least 1 */
    const char *congestion; /* "auto" (also NULL): bbr where it is allowed; or one by name */
    enum net_http http;
    loop_fn *more; /* net_slots() of bulk has grown, though no request has ended; NULL: not told */
    void *more_arg;
    const struct net_path_options *paths;
    size_t path_count; /* 1 … NET_PATHS_MAX */
};

/* Bulk is what moves a body of NET_BULK_BYTES or more in either direction. The two have limits of
 * their own, so that bulk which fills its share of the link does not hold small objects up. */
enum net_class { NET_SMALL, NET_BULK, NET_CLASSES };
#define NET_BULK_BYTES ((size_t)1024 * 1024)

struct net_header {
    struct span name; /* lower case */
    struct span value;
};

struct net_request;
typedef void net_done_fn(struct net_request *r);

#define NET_TEXT_MAX ((size_t)16 * 1024 * 1024) /* bytes of an answer without `into` */

/* Of a lane. YOUNG: its congestion window is still smaller than what it is given. */
enum net_age { NET_AGE_NEW, NET_AGE_YOUNG, NET_AGE_GROWN };

struct net_request {
    /* In: unchanged until done. */
    enum net_class class;
    size_t path; /* as net_pick() said */
    const char *method;
    const char *url;            /* encoded, sent as it is */
    const char *const *headers; /* "Name: value" */
    size_t header_count;
    bool has_body; /* PUT and POST: `body` is sent, even when empty */
    struct span body;
    char *into; /* body of a 2xx answer goes here; NULL: into text */
    size_t into_size;
    uint64_t avoid;      /* failed_at of an earlier try: elsewhere, if another address is known */
    unsigned stall_s;    /* no byte in either direction for so long: REPL_ETIMEOUT; 0 = 30 */
    bool may_hurry;      /* a read: one that is late by the measure of others is given up */
    struct arena *arena; /* answer headers and text live here */
    net_done_fn *done;   /* from the loop, once, never inside net_submit() */
    void *arg;

    /* Out: valid in done(). */
    struct fail fail; /* code 0: an answer came completely, whatever its status */
    unsigned status;
    struct net_header *answer;
    size_t answer_count;
    struct span text;
    size_t received;    /* bytes in `into` */
    bool left;          /* the server may have seen it */
    uint64_t wire_sent; /* body bytes that left */
    bool no_h2;         /* REPL_EPROTO: this host does better in HTTP/1.1 */
    uint64_t sent_us;   /* monotonic: bytes went last; 0: none did */
    uint64_t first_us;  /* the first byte of the answer came; 0: not yet */
    uint64_t failed_at; /* stands for the address where the connection failed; 0: it did not */
    uint32_t rtt_us;    /* of that connection, or of its path; 0: not known */

    /* Private to net. */
    struct net *net;
    struct list link;   /* waiting, or failed without a lane */
    struct list active; /* in a lane */
    struct host *host;
    struct lane *lane;
    uint64_t started_us; /* into the lane */
    enum net_age age;    /* of the lane then */
    struct deferred failed;
};

/* REPL_EBADINPUT when the CA file cannot be read. */
int net_new(const struct net_options *options, struct net **ret, struct fail *f);
/* Cancels what waits for a lane; what is in one ends first. closed(arg) from the loop after every
 * done(). */
void net_close(struct net *n, loop_fn *closed, void *arg);
/* The path that a request takes best now, by its class and `avoid`: not one whose only address that
 * is, while there is another path. Its URL is the caller's to make. */
size_t net_pick(const struct net *n, const struct net_request *r);
/* Whether the path has never brought an answer, or is left for others, and there are others. A read
 * that is lost there only costs time; what may not be sent twice does
 * not go there before a read has come back. */
bool net_is_on_trial(const struct net *n, size_t path);
/* Of a request that was lost to the network: whether another path or address is known. */
bool net_has_other(const struct net *n, const struct net_request *r);
void net_submit(struct net *n, struct net_request *r);
/* done() comes with REPL_ECANCELED. */
void net_cancel(struct net *n, struct net_request *r);
/* Of a request that was submitted and is not done: it waits for a lane, or for the lane's
 * connection to stand. */
bool net_waits(const struct net_request *r);
/* Requests of a class that the endpoint is worth now, those under way included. More may be
 * submitted; they wait for a lane. */
unsigned net_slots(const struct net *n, enum net_class class);

/* The operator's word on a path, until it is freed: requests that begin from now on obey. path NULL
 * with NET_FREE: all of them. A path that is fixed frees another one that was. REPL_ENOTFOUND;
 * REPL_ECONFLICT when no path could be used. */
int net_order(struct net *n, const char *path, enum net_order order, struct fail *f);

/* What is measured, for people and metrics. Views valid during the call. */
struct net_path_report {
    const char *path;
    enum net_use use; /* as configured */
    enum net_order order;
    bool is_left;                /* for others; it is tried now and then */
    unsigned lanes;              /* open */
    unsigned slots[NET_CLASSES]; /* requests that it is worth */
    unsigned under_way[NET_CLASSES];
    uint64_t rate_bps; /* bytes a second, both ways, a moment ago */
    uint32_t rtt_us;
    uint32_t min_rtt_us;
};

struct net_lane_report {
    const char *path;
    const char *kind; /* "h1", "h2" */
    const char *host;
    const char *address;
    const char *congestion; /* control, as the kernel says; "" before the first connection */
    enum net_class class;
    unsigned active;   /* requests */
    uint64_t rate_bps; /* bytes a second, both ways, a moment ago */
    uint32_t rtt_us;
    uint32_t min_rtt_us;
    uint32_t cwnd_bytes;
    uint64_t sent_bytes; /* by TCP, repeats included */
    uint64_t retrans_bytes;
    uint64_t window_us; /* sending was held by the peer's window, of TCP or HTTP/2 */
    uint64_t idle_ms;
};

struct net_reporter {
    void (*path)(void *arg, const struct net_path_report *report);
    void (*lane)(void *arg, const struct net_lane_report *report);
    void *arg;
};

/* Each path, and behind it each of its lanes. */
void net_report(const struct net *n, const struct net_reporter *to);

/* Congestion control of the newest connection, as the kernel says; "" before the first one. */
const char *net_congestion(const struct net *n);

/* Value of an answer header (name in lower case); the absent span when there is none. */
struct span net_answer(const struct net_request *r, const char *name);

#endif
