/* A way to the endpoint: its hosts, what it is worth, and what is counted of it. */
#include "transfer/net/net_impl.h"

#define FIRST_ANSWERS   32 /* to learn from how long an answer takes */
#define SLOW_START_RTTS 3  /* what a window that doubles needs for four objects of 16 KiB */
#define HTTPS_PORT      443
#define HTTP_PORT       80

/* ---- hosts ---- */

/* "https://name:port/…" and "http://[address]:port/…" */
static bool split_url(struct span url, bool *tls, struct span *name, uint16_t *port)
{
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
    unsigned long long number = *tls ? HTTPS_PORT : HTTP_PORT;
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
    host_init(h);
    list_init(&h->lanes);
    resolve_init(&h->names, h, p->net->common.loop);
    list_push_back(&p->hosts, &h->link);
    return h;
}

bool path_is_only(const struct path *p, uint64_t tag)
{
    LIST_FOR (node, &p->hosts) {
        const struct addr_set *known = &CONTAINER_OF(node, struct host, link)->names.set;
        if (known->count > 0 && !addr_has_other(known, tag)) {
            return true;
        }
    }
    return false;
}

void path_refresh(struct path *p)
{
    LIST_FOR (node, &p->hosts) {
        struct host *h = CONTAINER_OF(node, struct host, link);
        if (!list_is_empty(&h->lanes)) {
            resolve_refresh(&h->names);
        }
    }
}

void path_stop(struct path *p)
{
    LIST_FOR (node, &p->hosts) {
        struct host *h = CONTAINER_OF(node, struct host, link);
        resolve_cancel(&h->names);
        host_stop(h);
    }
}

/* ---- what it is worth ---- */

unsigned path_slots(const struct path *p, enum net_class class)
{
    return class == NET_BULK ? p->pace.wanted : gradient_limit(&p->gradient);
}

/* Small requests of HTTP/1.1 have a connection each, of HTTP/2 a stream. */
static unsigned small_most(const struct path *p)
{
    LIST_FOR (node, &p->hosts) {
        if (CONTAINER_OF(node, struct host, link)->http == HOST_HTTP_2) {
            return GRADIENT_MOST;
        }
    }
    return p->net->lane_limit;
}

static void show_decision(const struct path *p)
{
    if (p->bulk_slots != NULL) {
        stat_put(p->bulk_slots, p->pace.wanted);
        stat_put(p->small_slots, gradient_limit(&p->gradient));
    }
}

/* Much less is under way than allowed: the source, the memory or the work is the limit. */
static bool is_starved(const struct path *p)
{
    return p->under_way[NET_BULK] * 5 < p->pace.wanted * 4;
}

/* What pace has decided, and from what: the goodput, repeats and holding that it had seen before.
 */
static void trace_bulk(const struct path *p, const struct pace *before,
                       const struct pace_sample *in)
{
    const struct pace *now = &p->pace;
    if (now->reason == before->reason && now->wanted == before->wanted) {
        return;
    }
    LOG_TRACE(p->net->common.log, "pace",
              "%s/%s bulk: %s wanted=%u before=%u lanes=%u limit=%u MB/s=%.2f repeats=%.4f "
              "held=%.2f own_loss=%.4f min_rtt_ms=%.1f rtt_ms=%.1f starved=%d",
              p->net->name, p->name, pace_reason_text(now->reason), now->wanted, before->wanted,
              in->lanes, in->limit, now->base.goodput / 1e6, now->base.repeats, now->base.held,
              now->own_loss, in->min_rtt_us / 1e3, in->rtt_us / 1e3, in->is_starved);
}

static void trace_small(const struct path *p, unsigned before, unsigned in_flight)
{
    const struct gradient *g = &p->gradient;
    LOG_TRACE(p->net->common.log, "pace",
              "%s/%s small: wanted=%u before=%u in_flight=%u median_ms=%.1f usual_ms=%.1f calm=%d "
              "most=%.0f lanes=%u short_of_cpu=%d",
              p->net->name, p->name, gradient_limit(g), before, in_flight, g->seen_us / 1e3,
              g->usual_us / 1e3, g->is_calm, g->most, p->lanes, p->net->is_short_of_cpu);
}

void path_steer(struct path *p)
{
    const struct path_sample *s = &p->sample;
    struct pace before = p->pace;
    p->gradient.most = small_most(p);
    struct pace_sample in = {
        .now_us = p->sampled_us,
        .moved_bytes = s->moved_bytes,
        .sent_bytes = s->sent_bytes,
        .retrans_bytes = s->retrans_bytes,
        .min_rtt_us = s->min_rtt_us,
        .rtt_us = s->rtt_us,
        .lanes = p->under_way[NET_BULK],
        .limit = p->net->lane_limit,
        .is_bbr = strcmp(p->net->grant.congestion, "bbr") == 0,
        .is_starved = is_starved(p) || p->ease.limit_bps > 0,
        .held = s->busy_us > 0 ? (double)s->window_us / (double)s->busy_us : 0,
    };
    if (p->under_way[NET_BULK] > 0) {
        pace_sample(&p->pace, &in);
    }
    path_ease(p, in.is_bbr);
    show_decision(p);
    trace_bulk(p, &before, &in);
    if (p->pace.reason != before.reason) {
        LOG_DEBUG(p->net->common.log, "path", "%s/%s: %u bulk requests at a time: %s, %.1f MB/s",
                  p->net->name, p->name, p->pace.wanted, pace_reason_text(p->pace.reason),
                  p->pace.base.goodput / 1e6);
    }
}

bool path_is_loss(const struct net_request *r)
{
    int code = r->fail.code;
    return code == REPL_ENET || code == REPL_EUNREACHABLE || code == REPL_ETIMEOUT ||
           code == REPL_ETLS;
}

static void set_up(struct path *p, bool is_up)
{
    if (p->up != NULL) {
        stat_put(p->up, is_up);
    }
}

static void was_good(struct path *p, const struct net_request *r, uint64_t us)
{
    bool was_down = p->route.down_ms != 0;
    uint64_t bytes = r->wire_sent + r->received;
    route_good(&p->route, r->class, bytes, us, loop_now_ms(p->net->common.loop));
    if (was_down) {
        set_up(p, true);
        LOG_NOTICE(p->net->common.log, "path", "%s/%s is back", p->net->name, p->name);
    }
}

static void was_lost(struct path *p, const struct net_request *r)
{
    if (!route_lost(&p->route, loop_now_ms(p->net->common.loop))) {
        return;
    }
    set_up(p, false);
    if (p->net->path_count > 1) {
        LOG_WARNING(p->net->common.log, "path", "%s/%s is left for others: %s", p->net->name,
                    p->name, r->fail.text);
    }
}

static void trace_limit(const struct path *p)
{
    const struct firstbyte *f = &p->firstbyte;
    LOG_TRACE(p->net->common.log, "pace",
              "%s/%s first byte: learnt limit_ms=%.1f mean_ms=%.1f answers=%u rtt_ms=%.1f",
              p->net->name, p->name, (double)f->timeout_us / 1e3, f->mean_us / 1e3, f->needed,
              p->sample.rtt_us / 1e3);
}

/* More than a small window explains is the server's, however young the connection is. */
bool path_is_slow_start(const struct net_request *r, uint32_t min_rtt_us)
{
    uint64_t latency = r->first_us - r->sent_us;
    return r->age == NET_AGE_NEW ||
           (r->age == NET_AGE_YOUNG && latency < SLOW_START_RTTS * (uint64_t)min_rtt_us);
}

/* Refusals come faster than answers: they say nothing. */
static void learn_latency(struct path *p, const struct net_request *r)
{
    unsigned in_flight = p->under_way[NET_SMALL] + 1;
    if (r->class != NET_SMALL || r->status >= 400 || r->sent_us == 0 || r->first_us <= r->sent_us) {
        return;
    }
    uint64_t latency = r->first_us - r->sent_us;
    if (path_is_slow_start(r, p->sample.min_rtt_us)) {
        gradient_answered(&p->gradient, in_flight);
        return;
    }
    uint32_t us = latency < UINT32_MAX ? (uint32_t)latency : UINT32_MAX;
    unsigned before = gradient_limit(&p->gradient), windows = p->gradient.windows;
    if (p->net->is_short_of_cpu) {
        gradient_was_busy(&p->gradient);
    }
    gradient_add(&p->gradient, loop_now_us(p->net->common.loop), us, in_flight);
    if (p->gradient.windows != windows) {
        trace_small(p, before, in_flight);
    }
    bool was_limited = firstbyte_timeout_us(&p->firstbyte) != 0;
    firstbyte_came(&p->firstbyte, us, p->sample.rtt_us);
    if (!was_limited && firstbyte_timeout_us(&p->firstbyte) != 0) {
        trace_limit(p);
    }
}

/* Of two that are as good requests go by turns: each turn is told. */
static void trace_route(const struct path *p, const struct net_request *r)
{
    struct net *n = p->net;
    size_t before = n->taken[r->class];
    const struct route *now = &p->route, *was = n->routes[before];
    n->taken[r->class] = (size_t)(p - n->paths);
    if (n->path_count == 1 || now == was) {
        return;
    }
    LOG_TRACE(n->common.log, "pace",
              "%s/%s route: takes %s before=%s rate=%.0f before_rate=%.0f slots=%u under_way=%u "
              "trial=%d avoided=%d before_left=%d failures=%u",
              n->name, p->name, r->class == NET_BULK ? "bulk" : "small", n->paths[before].name,
              now->seen[r->class].rate, was->seen[r->class].rate, path_slots(p, r->class),
              p->under_way[r->class], net_is_on_trial(n, r->path), r->avoid != 0, was->down_ms != 0,
              was->failures);
}

void path_started(struct path *p, const struct net_request *r)
{
    trace_route(p, r);
    p->under_way[r->class]++;
    route_started(&p->route, loop_now_ms(p->net->common.loop));
}

void path_ended(struct path *p, const struct net_request *r)
{
    p->under_way[r->class]--;
    p->route.under_way--;
    if (p->sent != NULL) {
        stat_add(p->sent, (double)r->wire_sent);
        stat_add(p->received, (double)r->received);
    }
    if (path_is_loss(r)) {
        was_lost(p, r);
    } else if (r->fail.code == 0) {
        learn_latency(p, r);
        was_good(p, r, loop_now_us(p->net->common.loop) - r->started_us);
    }
}

/* ---- life ---- */

void path_stats(struct path *p, struct stat_set *set, const char *cost)
{
    static const char *const costed[] = {"endpoint", "path", "cost", NULL};
    static const char *const plain[] = {"endpoint", "path", NULL};
    const char *labels[] = {p->net->name, p->name, cost};
    p->sent = stat_get(stat_family(set, STAT_COUNTER, "repl_path_sent_bytes_total",
                                   "Body bytes that left over this path.", costed),
                       labels);
    p->received = stat_get(stat_family(set, STAT_COUNTER, "repl_path_received_bytes_total",
                                       "Body bytes that came over this path.", costed),
                           labels);
    p->up = stat_get(stat_family(set, STAT_GAUGE, "repl_path_up",
                                 "Path is in use; 0 while it is left for others.", plain),
                     labels);
    p->lanes_open = stat_get(
        stat_family(set, STAT_GAUGE, "repl_path_lanes", "Open connections.", plain), labels);
    p->tcp_sent = stat_get(stat_family(set, STAT_COUNTER, "repl_path_tcp_sent_bytes_total",
                                       "Bytes that TCP sent, repeats included.", plain),
                           labels);
    p->tcp_retrans =
        stat_get(stat_family(set, STAT_COUNTER, "repl_path_tcp_retransmitted_bytes_total",
                             "Bytes of them that were repeats.", plain),
                 labels);
    p->rtt = stat_get(stat_family(set, STAT_GAUGE, "repl_path_rtt_seconds",
                                  "Round trip time, mean of busy connections.", plain),
                      labels);
    p->bulk_slots = stat_get(stat_family(set, STAT_GAUGE, "repl_path_bulk_slots",
                                         "Bulk requests at a time that are worth it.", plain),
                             labels);
    p->small_slots = stat_get(stat_family(set, STAT_GAUGE, "repl_path_small_slots",
                                          "Small requests at a time that are worth it.", plain),
                              labels);
    stat_put(p->up, 1);
}

void path_init(struct path *p, struct net *n, const struct net_path_options *o)
{
    p->net = n;
    p->name = mem_strdup(o->name);
    route_init(&p->route, o->use);
    pace_init(&p->pace, true, n->lane_limit);
    gradient_init(&p->gradient, n->lane_limit);
    firstbyte_init(&p->firstbyte, FIRST_ANSWERS);
    list_init(&p->hosts);
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
    mem_free(p->name);
}
