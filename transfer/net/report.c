/* What is measured, in the form that is shown. */
#include "transfer/net/net_impl.h"

static void report_lane(const struct lane *l, const struct net_reporter *to)
{
    struct tcpinfo now = {0};
    const struct tcpinfo *t = l->fd >= 0 && tcpinfo_read(l->fd, 0, &now) == 0 ? &now : &l->seen;
    char address[INET6_ADDRSTRLEN];
    addr_print(&l->addr, address);
    struct net_lane_report report = {
        .path = l->host->path->name,
        .kind = l->ops->kind,
        .host = l->host->name,
        .address = address,
        .congestion = l->grant.congestion,
        .class = l->class,
        .active = l->active,
        .rate_bps = l->rate_bps,
        .rtt_us = t->rtt_us,
        .min_rtt_us = t->min_rtt_us,
        .cwnd_bytes = t->cwnd_bytes,
        .sent_bytes = t->sent_bytes,
        .retrans_bytes = t->retrans_bytes,
        .window_us = t->rwnd_limited_us > l->held_us ? t->rwnd_limited_us : l->held_us,
        .idle_ms = l->idle_ms != 0 ? loop_now_ms(l->net->common.loop) - l->idle_ms : 0,
    };
    to->lane(to->arg, &report);
}

static void report_path(const struct path *p, const struct net_reporter *to)
{
    const struct path_sample *s = &p->sample;
    struct net_path_report report = {
        .path = p->name,
        .use = p->route.wish,
        .order = p->route.order,
        .is_left = p->route.down_ms != 0,
        .lanes = p->lanes,
        .rate_bps = s->span_us > 0 ? s->moved_bytes * 1000000 / s->span_us : 0,
        .rtt_us = s->rtt_us,
        .min_rtt_us = s->min_rtt_us,
    };
    for (unsigned i = 0; i < NET_CLASSES; i++) {
        report.slots[i] = path_slots(p, (enum net_class)i);
        report.under_way[i] = p->under_way[i];
    }
    to->path(to->arg, &report);
}

void net_report(const struct net *n, const struct net_reporter *to)
{
    for (size_t i = 0; i < n->path_count; i++) {
        const struct path *p = &n->paths[i];
        report_path(p, to);
        LIST_FOR (node, &p->hosts) {
            const struct host *h = CONTAINER_OF(node, struct host, link);
            LIST_FOR (at, &h->lanes) {
                report_lane(CONTAINER_OF(at, struct lane, link), to);
            }
        }
    }
}
