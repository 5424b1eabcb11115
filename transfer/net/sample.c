/* What the kernel and the lanes tell of a path, between two looks. */
#include "transfer/net/net_impl.h"

static uint32_t least_known(uint32_t a, uint32_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* A lane that was opened since the last look counts from its beginning. */
static void add_lane(struct path_sample *s, struct lane *l, uint64_t now_us)
{
    struct tcpinfo now = {0};
    struct tcpinfo_delta d = {0};
    if (l->ops->sample != NULL) {
        l->ops->sample(l);
    }
    if (l->fd < 0 || tcpinfo_read(l->fd, now_us, &now) != 0) {
        return;
    }
    tcpinfo_between(&l->seen, &now, &d);
    uint64_t came = l->came_bytes - l->seen_came_bytes;
    uint64_t held = l->held_us - l->seen_held_us;
    if (l->is_h2 && l->active > 0 && l->class == NET_BULK) {
        host_held(l->host, d.span_us, held);
    }
    s->moved_bytes += d.acked_bytes + came;
    s->sent_bytes += d.sent_bytes;
    s->retrans_bytes += d.retrans_bytes;
    s->busy_us += d.busy_us > held ? d.busy_us : held;
    s->window_us += d.rwnd_limited_us > held ? d.rwnd_limited_us : held;
    s->min_rtt_us = least_known(s->min_rtt_us, now.min_rtt_us);
    if (l->active > 0) {
        s->rtt_us += (uint32_t)(((int64_t)now.rtt_us - s->rtt_us) / (int64_t)(s->lanes + 1));
        s->lanes++;
    }
    bool stuck = d.busy_us > 0 && d.rwnd_limited_us == 0 && held == 0 && d.acked_bytes + came == 0;
    l->stuck_us = stuck ? l->stuck_us + d.span_us : 0;
    uint64_t rate = d.span_us > 0 ? (d.acked_bytes + came) * 1000000 / d.span_us : 0;
    l->rate_bps = l->seen.at_us == 0 ? rate : (4 * l->rate_bps + rate) / 5;
    l->seen = now;
    l->seen_came_bytes = l->came_bytes;
    l->seen_held_us = l->held_us;
}

static void show(const struct path *p)
{
    const struct path_sample *s = &p->sample;
    if (p->tcp_sent != NULL) {
        stat_add(p->tcp_sent, (double)s->sent_bytes);
        stat_add(p->tcp_retrans, (double)s->retrans_bytes);
        if (s->rtt_us > 0) {
            stat_put(p->rtt, (double)s->rtt_us / 1e6);
        } else {
            stat_unset(p->rtt);
        }
        stat_put(p->lanes_open, p->lanes);
    }
}

void path_sample(struct path *p)
{
    uint64_t now_us = loop_now_us(p->net->common.loop);
    struct path_sample *s = &p->sample;
    *s = (struct path_sample){.span_us = p->sampled_us != 0 ? now_us - p->sampled_us : 0};
    LIST_FOR (node, &p->hosts) {
        struct host *h = CONTAINER_OF(node, struct host, link);
        LIST_FOR (at, &h->lanes) {
            add_lane(s, CONTAINER_OF(at, struct lane, link), now_us);
        }
    }
    p->sampled_us = now_us;
    show(p);
}
