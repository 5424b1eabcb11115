/* lanes: what the transfer engine has open, and why it has so much. */
#include "daemon/admin/command.h"

struct lanes {
    const char *endpoint; /* the one being reported */
    struct buf paths;
    struct buf lanes;
};

static const char *const uses[] = {"auto", "always", "never"};
static const char *const orders[] = {NULL, "fix", "forbid"};
static const char *const classes[] = {"small", "bulk"};

static void add_path(void *arg, const struct net_path_report *p)
{
    struct lanes *l = arg;
    struct buf *to = &l->paths;
    json_open(to, NULL, '{');
    json_str(to, "endpoint", l->endpoint);
    json_str(to, "path", p->path);
    json_str(to, "use", uses[p->use]);
    json_str(to, "order", orders[p->order]);
    json_bool(to, "up", !p->is_left);
    json_int(to, "lanes", p->lanes);
    for (int class = 0; class < NET_CLASSES; class ++) {
        json_open(to, classes[class], '{');
        json_int(to, "slots", p->slots[class]);
        json_int(to, "under_way", p->under_way[class]);
        json_close(to, '}');
    }
    json_int(to, "bytes_per_second", (int64_t)p->rate_bps);
    json_real(to, "rtt_ms", p->rtt_us / 1e3);
    json_real(to, "min_rtt_ms", p->min_rtt_us / 1e3);
    json_close(to, '}');
}

static void add_lane(void *arg, const struct net_lane_report *r)
{
    struct lanes *l = arg;
    struct buf *to = &l->lanes;
    json_open(to, NULL, '{');
    json_str(to, "endpoint", l->endpoint);
    json_str(to, "path", r->path);
    json_str(to, "kind", r->kind);
    json_str(to, "host", r->host);
    json_str(to, "address", r->address);
    json_str(to, "congestion", r->congestion[0] != '\0' ? r->congestion : NULL);
    json_str(to, "class", classes[r->class]);
    json_int(to, "active", r->active);
    json_int(to, "bytes_per_second", (int64_t)r->rate_bps);
    json_real(to, "rtt_ms", r->rtt_us / 1e3);
    json_real(to, "min_rtt_ms", r->min_rtt_us / 1e3);
    json_int(to, "cwnd_bytes", r->cwnd_bytes);
    json_int(to, "sent_bytes", (int64_t)r->sent_bytes);
    json_int(to, "retransmitted_bytes", (int64_t)r->retrans_bytes);
    json_int(to, "window_held_ms", (int64_t)(r->window_us / 1000));
    json_int(to, "idle_ms", (int64_t)r->idle_ms);
    json_close(to, '}');
}

void command_lanes(struct admin *a, struct httpd_request *r)
{
    const char *only = httpd_query(r, "endpoint");
    const struct conf *conf = a->options.conf;
    struct lanes l = {0};
    struct buf body = {0};
    struct fail f = {0};
    if (only != NULL && conf_endpoint_find(conf, only) == NULL) {
        engine_unknown_endpoint(a->options.engine, only, &f);
        reply_fail(r, &f);
        return;
    }
    for (size_t i = 0; i < conf->endpoint_count; i++) {
        const struct net_reporter to = {.path = add_path, .lane = add_lane, .arg = &l};
        l.endpoint = conf->endpoints[i].name;
        const struct store *store = engine_store(a->options.engine, l.endpoint);
        if (store != NULL && (only == NULL || strcmp(only, l.endpoint) == 0)) {
            store_report(store, &to);
        }
    }
    json_open(&body, NULL, '{');
    json_open(&body, "paths", '[');
    buf_span(&body, buf_view(&l.paths));
    json_close(&body, ']');
    json_open(&body, "lanes", '[');
    buf_span(&body, buf_view(&l.lanes));
    json_close(&body, ']');
    json_close(&body, '}');
    reply_json(r, &body);
    buf_done(&l.paths);
    buf_done(&l.lanes);
}

static void order_path(struct admin *a, struct httpd_request *r, enum net_order order)
{
    const char *endpoint = need_query(r, "endpoint");
    const char *path = endpoint != NULL ? need_query(r, "path") : NULL;
    if (path == NULL) {
        return;
    }
    struct store *store = engine_store(a->options.engine, endpoint);
    struct fail f = {0};
    int status = store == NULL ? engine_unknown_endpoint(a->options.engine, endpoint, &f)
                               : store_order(store, path, order, &f);
    if (status != 0) {
        reply_fail(r, &f);
    } else {
        struct buf body = {0};
        buf_str(&body, "{\"done\": true}");
        reply_json(r, &body);
    }
}

void command_path_fix(struct admin *a, struct httpd_request *r)
{
    order_path(a, r, NET_FIXED);
}

void command_path_forbid(struct admin *a, struct httpd_request *r)
{
    order_path(a, r, NET_FORBIDDEN);
}

void command_path_free(struct admin *a, struct httpd_request *r)
{
    order_path(a, r, NET_FREE);
}
