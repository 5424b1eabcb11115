/* What is far behind its peers is given up and sent again elsewhere: a bulk lane that has lost its
 * way, bulk that the windows of HTTP/2 hold up, and a small request whose answer does not begin. */
#include "transfer/net/net_impl.h"
#include "transfer/net/slow.h"

#include <stdio.h>

#define LANES_MAX 256

#define STUCK_US   5000000 /* all bulk lanes of a path are given up … */
#define STUCK_RTTS 20
#define SPARE_US   600000  /* a slot is free for so long: no more work comes */
#define TAIL_US    1000000 /* a request is judged after so long … */
#define TAIL_RTTS  12 /* … and so many round trips: a new lane needs them to be at its rate */

/* ---- bulk: slow lanes ---- */

static bool has_bulk(const struct lane *l)
{
    return l->active > 0 && l->class == NET_BULK;
}

static bool has_work(const struct lane *l)
{
    return l->active > 0;
}

static size_t lanes_that(const struct path *p, bool (*is_meant)(const struct lane *l),
                         struct lane *to[LANES_MAX])
{
    size_t n = 0;
    LIST_FOR (node, &p->hosts) {
        struct host *h = CONTAINER_OF(node, struct host, link);
        LIST_FOR (at, &h->lanes) {
            struct lane *l = CONTAINER_OF(at, struct lane, link);
            if (is_meant(l) && n < LANES_MAX) {
                to[n++] = l;
            }
        }
    }
    return n;
}

/* The others' pace is the limit of time that it did not keep. */
static void say_timeout(const char *what, uint64_t waited_us, char to[128])
{
    snprintf(to, 128, "timeout after %.1f s: %s", (double)waited_us / 1e6, what);
}

static void give_up_lane(struct lane *l, const char *why)
{
    struct net *n = l->net;
    LOG_INFO(n->common.log, "net", "endpoint %s: a lane to %s is given up at %llu B/s: %s", n->name,
             l->host->name, (unsigned long long)l->rate_bps, why);
    l->is_spent = true;
    LIST_FOR_SAFE (node, &n->active) {
        struct net_request *r = CONTAINER_OF(node, struct net_request, active);
        if (r->lane == l) {
            net_give_up(n, r, REPL_ETIMEOUT, why);
        }
    }
}

static void check_lanes(struct path *p)
{
    struct lane *lanes[LANES_MAX];
    struct slow_lane seen[LANES_MAX];
    size_t n = lanes_that(p, has_bulk, lanes);
    for (size_t i = 0; i < n; i++) {
        seen[i] = (struct slow_lane){.rate_bps = lanes[i]->rate_bps,
                                     .has_work = lanes[i]->seen.at_us != 0,
                                     .since_us = lanes[i]->slow_since_us};
    }
    int found = slow_find(seen, n, p->sampled_us, p->sample.rtt_us);
    for (size_t i = 0; i < n; i++) {
        lanes[i]->slow_since_us = seen[i].since_us;
    }
    if (found >= 0) {
        char why[128];
        say_timeout("the connection was far slower than the others",
                    p->sampled_us - lanes[found]->slow_since_us, why);
        give_up_lane(lanes[found], why);
    }
}

/* ---- outages ---- */

/* TCP repeats after twice the time each time: 30 s of outage would end some 10 s later for it. The
 * failures tell the endpoint's breaker, which asks every second. What waits for an answer, or for
 * the server to read, is not given up. Where there is another path, no connection is waited for. */
static void check_stuck(struct path *p)
{
    struct lane *lanes[LANES_MAX];
    size_t n = p->net->path_count > 1         ? lanes_that(p, has_work, lanes)
               : p->pace.state == PACE_SILENT ? lanes_that(p, has_bulk, lanes)
                                              : 0;
    for (size_t i = 0; i < n; i++) {
        const struct lane *l = lanes[i];
        if (l->stuck_us >= STUCK_US && l->stuck_us >= STUCK_RTTS * (uint64_t)l->seen.rtt_us) {
            char why[128];
            say_timeout("nothing was acknowledged on any connection", l->stuck_us, why);
            give_up_lane(lanes[i], why);
        }
    }
}

/* ---- bulk: what has left HTTP/2 ---- */

/* A part would go on for a minute where the next one takes a second. */
static void check_held(struct net *n)
{
    LIST_FOR_SAFE (node, &n->active) {
        struct net_request *r = CONTAINER_OF(node, struct net_request, active);
        if (r->class == NET_BULK && r->lane->is_h2 && !host_speaks_h2(r->host, NET_BULK)) {
            net_give_up(n, r, REPL_EPROTO, "the server's HTTP/2 window held it up");
        }
    }
}

/* ---- bulk: the tail ---- */

static bool has_spare_slot(struct path *p)
{
    if (p->under_way[NET_BULK] == 0 || p->under_way[NET_BULK] >= p->pace.wanted) {
        p->spare_us = 0;
        return false;
    }
    p->spare_us = p->spare_us == 0 ? p->sampled_us : p->spare_us;
    return p->sampled_us - p->spare_us >= SPARE_US;
}

/* The best that a lane without work has done; 0: there is none. */
static uint64_t spare_bps(const struct path *p)
{
    uint64_t best = 0;
    LIST_FOR (node, &p->hosts) {
        struct host *h = CONTAINER_OF(node, struct host, link);
        LIST_FOR (at, &h->lanes) {
            struct lane *l = CONTAINER_OF(at, struct lane, link);
            best = l->active == 0 && l->done_bps > best ? l->done_bps : best;
        }
    }
    return best;
}

static bool is_better_anew(const struct net_request *r, uint64_t other_bps)
{
    const struct lane *l = r->lane;
    const struct path *p = r->host->path;
    uint64_t now_us = loop_now_us(l->net->common.loop);
    uint64_t age_us = now_us - r->started_us;
    if (age_us < TAIL_US || age_us < TAIL_RTTS * (uint64_t)p->sample.rtt_us) {
        return false;
    }
    uint64_t size = r->has_body ? r->body.len : r->into_size;
    uint64_t done = l->seen.acked_bytes + l->came_bytes - l->begun_bytes;
    uint64_t mean_bps = done * 1000000 / age_us;
    struct slow_rest rest = {.size = size,
                             .left = size > done ? size - done : 0,
                             .rate_bps = mean_bps > l->rate_bps ? mean_bps : l->rate_bps,
                             .other_bps = other_bps};
    return slow_is_sooner_anew(&rest, p->sample.rtt_us);
}

/* One at a time: its repeat is to take the idle lane. */
static void check_tail(struct path *p)
{
    uint64_t other_bps = has_spare_slot(p) ? spare_bps(p) : 0;
    LIST_FOR_SAFE (node, &p->net->active) {
        struct net_request *r = CONTAINER_OF(node, struct net_request, active);
        if (other_bps > 0 && r->class == NET_BULK && r->host->path == p &&
            is_better_anew(r, other_bps)) {
            give_up_lane(r->lane, "an idle connection brings it sooner");
            return;
        }
    }
}

/* ---- small: late answers ---- */

static bool is_late(const struct net_request *r, uint64_t now_us)
{
    uint64_t timeout_us = firstbyte_timeout_us(&r->host->path->firstbyte);
    return r->class == NET_SMALL && timeout_us != 0 && r->sent_us != 0 && r->first_us == 0 &&
           r->may_hurry && now_us - r->sent_us > timeout_us;
}

static void trace_late(const struct path *p, uint64_t waited_us)
{
    const struct firstbyte *f = &p->firstbyte;
    LOG_TRACE(p->net->common.log, "pace",
              "%s/%s first byte: late waited_ms=%.1f limit_ms=%.1f mean_ms=%.1f late=%u of=%u "
              "rtt_ms=%.1f",
              p->net->name, p->name, (double)waited_us / 1e3, (double)f->timeout_us / 1e3,
              f->mean_us / 1e3, f->timeouts + 1, f->requests + 1, p->sample.rtt_us / 1e3);
}

static void check_answers(struct net *n)
{
    uint64_t now_us = loop_now_us(n->common.loop);
    LIST_FOR_SAFE (node, &n->active) {
        struct net_request *r = CONTAINER_OF(node, struct net_request, active);
        struct path *p = r->host->path;
        if (is_late(r, now_us)) {
            char why[128];
            trace_late(p, now_us - r->sent_us);
            firstbyte_missed(&p->firstbyte, p->sample.rtt_us);
            say_timeout("the answer did not begin", now_us - r->sent_us, why);
            net_give_up(n, r, REPL_ETIMEOUT, why);
        }
    }
}

void late_check(struct net *n)
{
    for (size_t i = 0; i < n->path_count; i++) {
        check_lanes(&n->paths[i]);
        check_stuck(&n->paths[i]);
        check_tail(&n->paths[i]);
    }
    check_held(n);
    check_answers(n);
}
