/* net_impl: what the files of net share. An endpoint has paths, a path hosts, a host lanes. */
#ifndef REPL_NET_NET_IMPL_H
#define REPL_NET_NET_IMPL_H

#include "daemon/base/stat.h"
#include "transfer/net/ease.h"
#include "transfer/net/firstbyte.h"
#include "transfer/net/gradient.h"
#include "transfer/net/lane.h"
#include "transfer/net/pace.h"
#include "transfer/net/probe.h"
#include "transfer/net/resolve.h"
#include "transfer/net/route.h"

/* What all lanes of a path did between two samples. */
struct path_sample {
    uint64_t span_us;
    uint64_t moved_bytes; /* acknowledged by peers, and received */
    uint64_t sent_bytes;  /* by TCP, repeats included */
    uint64_t retrans_bytes;
    uint64_t busy_us;    /* sum over lanes: there was something to send */
    uint64_t window_us;  /* of that: held by the peer's window, of TCP or HTTP/2 */
    uint32_t min_rtt_us; /* least of all lanes; 0 = not known */
    uint32_t rtt_us;     /* mean of the busy ones, smoothed by the kernel */
    unsigned lanes;      /* with requests */
};

/* A way to the endpoint: the place where the number of lanes is decided. */
struct path {
    struct net *net;
    char *name;
    struct route route;
    struct list hosts;
    unsigned lanes; /* open */
    unsigned under_way[NET_CLASSES];
    struct path_sample sample; /* the newest one */
    uint64_t sampled_us;
    uint64_t spare_us;        /* less bulk than slots since then; 0 = as much, or none */
    struct pace pace;         /* of bulk */
    struct ease ease;         /* … beside small requests */
    struct gradient gradient; /* of small requests */
    struct firstbyte firstbyte;

    struct stat *sent; /* NULL without statistics, as the others */
    struct stat *received;
    struct stat *up;
    struct stat *lanes_open;
    struct stat *tcp_sent;
    struct stat *tcp_retrans;
    struct stat *rtt;
    struct stat *bulk_slots;
    struct stat *small_slots;
};

enum host_http { HOST_HTTP_UNKNOWN, HOST_HTTP_1, HOST_HTTP_2 };

/* What bulk speaks with a host of HTTP/2. It gains nothing by streams, and loses where the host's
 * windows hold it up: then HTTP/1.1, unless the host does not know that either. */
enum host_bulk { HOST_BULK_HTTP_2, HOST_BULK_HTTP_1, HOST_BULK_STAYS };

/* A name and port, with all connections to it. A bucket that is part of the name has its own. */
struct host {
    struct list link;
    struct path *path;
    char *name; /* without brackets */
    uint16_t port;
    bool tls;
    struct list lanes;
    struct resolve names;
    enum host_http http;
    enum host_bulk bulk;
    uint64_t
        bulk_us; /* lanes of HTTP/2 had bulk for so long, all together, since the last verdict */
    uint64_t held_us;           /* of that: held by the host's window */
    uint64_t probed_ms;         /* when that was learnt */
    struct probe *probe;        /* under way, or NULL */
    struct probe_result probed; /* the newest; its connection has gone, or is a lane's */
};

struct net {
    struct lane_common common;
    char *name;
    struct path paths[NET_PATHS_MAX];
    size_t path_count;
    const struct route *routes[NET_PATHS_MAX];
    size_t taken[NET_CLASSES]; /* the newest request's path */
    unsigned lane_limit;       /* over all paths */
    unsigned lanes;            /* open */
    unsigned busy;             /* requests in lanes */
    struct list active;        /* they: net_request.active */
    unsigned handles;          /* of lanes, open or closing */
    struct timer tick;
    struct list waiting;     /* net_request.link */
    struct list failed;      /* before they had a lane; or cancelled */
    struct sock_grant grant; /* of the newest connection */
    uint64_t cpu_us;         /* of the loop's thread, at the last tick … */
    uint64_t ticked_us;      /* … which was then */
    bool is_short_of_cpu;    /* the loop hardly rested between the last two */
    loop_fn *more;
    void *more_arg;
    bool closing;
    struct deferred finish;
    loop_fn *closed;
    void *closed_arg;
};

/* ---- net.c ---- */

/* Takes a request out of its lane; it ends with this failure. */
void net_give_up(struct net *n, struct net_request *r, int code, const char *why);
/* A lane was opened without a request: it is looked after. */
void net_watch(struct net *n);
/* What the TLS connections of the endpoint share. */
struct tls_context *net_tls(struct net *n);
/* It is known what the host speaks; or it cannot be reached, and those that wait for it fail. */
void net_host_known(struct host *h);
void net_host_failed(struct host *h, const struct fail *f, uint64_t failed_at);

/* ---- path.c ---- */

void path_init(struct path *p, struct net *n, const struct net_path_options *options);
void path_done(struct path *p); /* without lanes */
void path_stats(struct path *p, struct stat_set *set, const char *cost);
/* Requests of a class that it is worth to have under way on this path alone. */
unsigned path_slots(const struct path *p, enum net_class class);
/* After path_sample(): lets pace decide. */
void path_steer(struct path *p);
/* Holds bulk back beside small requests, see ease.h: path_ease.c. */
void path_ease(struct path *p, bool is_bbr);
/* Whether the network has lost the request, and not the server refused it. */
bool path_is_loss(const struct net_request *r);
/* Whether all that the path, or a host of it, knows is this one address. */
bool path_is_only(const struct path *p, uint64_t tag);
/* Whether the latency of an answer is that of its connection's window, which is still small. */
bool path_is_slow_start(const struct net_request *r, uint32_t min_rtt_us);
/* A request goes, or has ended. */
void path_started(struct path *p, const struct net_request *r);
void path_ended(struct path *p, const struct net_request *r);
/* The host of a URL, made when first asked for; NULL: the URL names none. */
struct host *path_host(struct path *p, const char *url);

/* ---- host.c ---- */

/* When its name and TLS are set: what the operator has said that it speaks. */
void host_init(struct host *h);
/* How long a connection to it may take to stand, TLS included: less where there is another way. */
uint32_t host_patience_ms(const struct host *h);
/* How long a request may be without a byte in either direction: a read on a path that has shown
 * nothing yet not for long. */
unsigned host_stall_s(const struct net_request *r);
/* Whether it is known what the host speaks; if not, host_ask() finds out, once at a time. */
bool host_is_known(const struct host *h);
void host_ask(struct host *h, const union addr *addr);
void host_stop(struct host *h);
/* What a new lane for this class is of. */
bool host_speaks_h2(const struct host *h, enum net_class class);
/* A failure to connect says where to, and how that is mended. */
void host_name_failure(const struct host *h, struct fail *f);
/* A lane of HTTP/2 had bulk for so long, and was held by the host's window. */
void host_held(struct host *h, uint64_t bulk_us, uint64_t held_us);
/* A new lane of HTTP/1.1 was of no use. */
void host_refuses_h1(struct host *h, const struct fail *why);
/* HTTP/2 with it has failed: new lanes are of the other kind, unless the operator wants this one.
 */
void host_fall_back(struct host *h, const struct fail *why);

/* ---- sample.c ---- */

/* Asks the kernel about every lane of the path; what happened since the last time is in p->sample.
 */
void path_sample(struct path *p);

/* ---- slow lanes and late answers: late.c ---- */

/* Gives up what is far behind its peers, the connection with it, and what is held up. */
void late_check(struct net *n);

/* ---- pool.c ---- */

/* A lane that takes the request now, opened where it must be; NULL: none for now. */
struct lane *pool_lane(const struct net_request *r);
/* What a probe has opened becomes a lane; false: there is no room for it. */
bool pool_adopt(struct host *h, const struct probe_result *r);
enum net_age pool_age(const struct lane *l);
/* The lane has this request more, or less: the latter may close it. */
void pool_taken(struct lane *l);
void pool_left(struct lane *l, const struct net_request *r);
/* The lane takes no more requests. */
void pool_spent(struct lane *l);
/* Those without a request: all, or those that were idle for long. */
void pool_close_idle(struct net *n);
void pool_close_old(struct net *n);
/* Asks for the addresses of hosts in use again, when it is time. */
void path_refresh(struct path *p);
/* Questions for addresses end soon. */
void path_stop(struct path *p);

#endif
