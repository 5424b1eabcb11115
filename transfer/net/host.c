/* What a host speaks: asked once by a probe, and remembered for an hour. */
#include "transfer/net/net_impl.h"

#include <stdio.h>

#define KNOWN_FOR_MS  3600000
#define PATIENCE_MS   10000
#define STALL_S       30
#define STALL_TRIAL_S 5
#define HURRY_MS      5000    /* the SYN is sent three times in it, after 1 and 3 s */
#define VERDICT_US    2000000 /* of bulk */
#define HELD          0.5     /* of that: windows are what bulk waits for */

static enum net_http said(const struct host *h)
{
    return h->path->net->common.http;
}

void host_init(struct host *h)
{
    static const enum host_http known[] = {[NET_HTTP_AUTO] = HOST_HTTP_UNKNOWN,
                                           [NET_HTTP_1] = HOST_HTTP_1,
                                           [NET_HTTP_2] = HOST_HTTP_2};
    h->http = h->tls ? known[said(h)] : HOST_HTTP_1;
}

bool host_is_known(const struct host *h)
{
    uint64_t now_ms = loop_now_ms(h->path->net->common.loop);
    return !h->tls || said(h) != NET_HTTP_AUTO ||
           (h->http != HOST_HTTP_UNKNOWN && now_ms - h->probed_ms < KNOWN_FOR_MS);
}

uint32_t host_patience_ms(const struct host *h)
{
    return h->path->net->path_count > 1 || h->names.set.count > 1 ? HURRY_MS : PATIENCE_MS;
}

unsigned host_stall_s(const struct net_request *r)
{
    bool is_trial = r->may_hurry && net_is_on_trial(r->net, r->path);
    unsigned stall_s = r->stall_s > 0 ? r->stall_s : STALL_S;
    return is_trial && stall_s > STALL_TRIAL_S ? STALL_TRIAL_S : stall_s;
}

static void learn(struct host *h, enum host_http http)
{
    h->http = http;
    h->bulk = HOST_BULK_HTTP_2;
    h->probed_ms = loop_now_ms(h->path->net->common.loop);
}

static bool on_done(void *arg, const struct probe_result *r)
{
    struct host *h = arg;
    struct net *n = h->path->net;
    h->probe = NULL;
    h->probed = *r;
    h->probed.conn = NULL;
    if (r->fail.code != 0) {
        addr_failed(&h->names.set, &r->addr, loop_now_ms(n->common.loop));
        host_name_failure(h, &h->probed.fail);
        net_host_failed(h, &h->probed.fail, addr_tag(&r->addr));
        return false;
    }
    bool is_h2 = strcmp(r->alpn, "h2") == 0;
    learn(h, is_h2 ? HOST_HTTP_2 : HOST_HTTP_1);
    LOG_INFO(n->common.log, "net", "endpoint %s: %s speaks HTTP/%s over %s, round trip %.1f ms",
             n->name, h->name, is_h2 ? "2" : "1.1", r->version, (double)r->rtt_us / 1000);
    bool is_taken = is_h2 && pool_adopt(h, r);
    net_host_known(h);
    return is_taken;
}

static void on_closed(void *arg)
{
    struct host *h = arg;
    net_handle_closed(h->path->net);
}

void host_ask(struct host *h, const union addr *addr)
{
    struct net *n = h->path->net;
    net_handle_opened(n);
    h->probe = probe_start(&(struct probe_options){.loop = n->common.loop,
                                                   .tls = net_tls(n),
                                                   .address = addr,
                                                   .host = h->name,
                                                   .port = h->port,
                                                   .timeout_ms = host_patience_ms(h),
                                                   .done = on_done,
                                                   .closed = on_closed,
                                                   .arg = h});
}

void host_stop(struct host *h)
{
    if (h->probe != NULL) {
        probe_cancel(h->probe);
        h->probe = NULL;
    }
}

/* ---- bulk and the windows of HTTP/2 ---- */

bool host_speaks_h2(const struct host *h, enum net_class class)
{
    return h->http == HOST_HTTP_2 && (class == NET_SMALL || h->bulk != HOST_BULK_HTTP_1);
}

static void move_bulk(struct host *h)
{
    const struct net *n = h->path->net;
    h->bulk = HOST_BULK_HTTP_1;
    LOG_NOTICE(n->common.log, "net",
               "endpoint %s: peer window holds large bodies up in HTTP/2, they go on in HTTP/1.1 "
               "to %s held=%.2f",
               n->name, h->name, (double)h->held_us / (double)h->bulk_us);
}

void host_held(struct host *h, uint64_t bulk_us, uint64_t held_us)
{
    if (h->bulk != HOST_BULK_HTTP_2 || said(h) != NET_HTTP_AUTO) {
        return;
    }
    h->bulk_us += bulk_us;
    h->held_us += held_us;
    if (h->bulk_us < VERDICT_US) {
        return;
    }
    if ((double)h->held_us > HELD * (double)h->bulk_us) {
        move_bulk(h);
    }
    h->bulk_us = 0;
    h->held_us = 0;
}

void host_refuses_h1(struct host *h, const struct fail *why)
{
    const struct net *n = h->path->net;
    h->bulk = HOST_BULK_STAYS;
    LOG_NOTICE(n->common.log, "net", "endpoint %s: large bodies stay in HTTP/2 to %s: %s", n->name,
               h->name, why->text);
}

void host_fall_back(struct host *h, const struct fail *why)
{
    struct net *n = h->path->net;
    if (h->http != HOST_HTTP_2 || said(h) != NET_HTTP_AUTO) {
        return;
    }
    learn(h, HOST_HTTP_1);
    LOG_WARNING(n->common.log, "net", "endpoint %s: going on with HTTP/1.1 to %s: %s", n->name,
                h->name, why->text);
    LIST_FOR (node, &h->lanes) {
        CONTAINER_OF(node, struct lane, link)->is_spent = true;
    }
}

void host_name_failure(const struct host *h, struct fail *f)
{
    char why[200];
    bool is_v6 = strchr(h->name, ':') != NULL;
    if (f->code != REPL_EUNREACHABLE || f->hint[0] != '\0') {
        return;
    }
    snprintf(why, sizeof(why), "%s", f->text);
    fail_set(f, f->code, "cannot connect to %s://%s%.120s%s:%u: %s", h->tls ? "https" : "http",
             is_v6 ? "[" : "", h->name, is_v6 ? "]" : "", h->port, why);
    fail_hint(
        f, "check host and port in the url, and that the server runs and may be reached from here");
}
