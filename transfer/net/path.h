/* path: a way to the endpoint, its hosts and their lanes. Private to net. */
#ifndef REPL_NET_PATH_H
#define REPL_NET_PATH_H

#include "transfer/net/lane.h"
#include "transfer/net/resolve.h"

struct path {
    struct net *net;
    const struct lane_common *common;
    struct list hosts;
    unsigned lane_limit; /* over all hosts */
    unsigned lanes;
    unsigned under_way[NET_CLASSES];
    struct timer tick;
};

/* A name and port, with all connections to it. A bucket that is part of the name has its own. */
struct host {
    struct list link;
    struct path *path;
    char *name; /* without brackets */
    uint16_t port;
    bool tls;
    struct list lanes;
    struct resolve names;
};

void path_init(struct path *p, struct net *n, const struct lane_common *common, unsigned lanes);
/* Closes every lane: none has a request. Questions for addresses end soon. */
void path_close_lanes(struct path *p);
void path_done(struct path *p);
unsigned path_slots(const struct path *p, enum net_class class);

/* The host of a URL, made when first asked for; NULL: the URL names none. */
struct host *path_host(struct path *p, const char *url);
/* A lane that takes the request now, opened where it must be; NULL: none for now. */
struct lane *path_lane(const struct net_request *r);
/* The lane has this request more, or less: the latter may close it. */
void path_lane_taken(struct lane *l, const struct net_request *r);
void path_lane_left(struct lane *l, const struct net_request *r);

#endif
