/* A path's bulk beside small objects: what ease decides becomes a limit of its lanes. */
#include "transfer/net/net_impl.h"

static void pace_lanes(struct path *p, uint64_t lane_bps)
{
    LIST_FOR (node, &p->hosts) {
        struct host *h = CONTAINER_OF(node, struct host, link);
        LIST_FOR (at, &h->lanes) {
            struct lane *l = CONTAINER_OF(at, struct lane, link);
            uint64_t bps = l->class == NET_BULK ? lane_bps : 0;
            if (l->fd >= 0 && l->paced_bps != bps) {
                sock_pace(l->fd, bps);
                l->paced_bps = bps;
            }
        }
    }
}

/* The limit is for all lanes; those that rest between two parts use nothing of it. */
void path_ease(struct path *p, bool is_bbr)
{
    const struct path_sample *s = &p->sample;
    unsigned lanes = p->under_way[NET_BULK];
    double before = p->ease.limit_bps;
    struct ease_sample in = {.now_us = p->sampled_us,
                             .span_us = s->span_us,
                             .passed_bytes = s->sent_bytes - s->retrans_bytes,
                             .min_rtt_us = s->min_rtt_us,
                             .rtt_us = s->rtt_us,
                             .has_small = p->under_way[NET_SMALL] > 0,
                             .has_bulk = lanes > 0 && is_bbr};
    uint64_t limit = ease_sample(&p->ease, &in);
    pace_lanes(p, lanes > 0 ? limit / lanes : 0);
    if (p->ease.limit_bps != before) {
        LOG_TRACE(p->net->common.log, "pace",
                  "%s/%s bulk beside small: MB/s=%.2f before=%.2f passed=%.2f lanes=%u "
                  "min_rtt_ms=%.1f rtt_ms=%.1f",
                  p->net->name, p->name, p->ease.limit_bps / 1e6, before / 1e6,
                  p->ease.passed_bps / 1e6, lanes, s->min_rtt_us / 1e3, s->rtt_us / 1e3);
    }
}
