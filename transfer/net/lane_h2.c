/* h2: one HTTP/2 connection with several requests. Bytes go from the session into the connection
 * only when the kernel has taken those before, so that little waits in between. */
#include "transfer/net/conn.h"
#include "transfer/net/h2.h"
#include "transfer/net/net_impl.h"
#include "transfer/net/pulse.h"

#define TICK_MS 1000 /* how often stalls are looked for, at most */

/* A connection with requests that has not moved for 5 s is asked by PING, and given up 10 s later:
 * TCP alone would wait for minutes, and after an outage its next try may be 20 s away. */
#define ASK_MS  5000
#define DEAD_MS 10000

struct lane_h2 {
    struct lane base;
    const struct lane_common *common;
    struct conn *conn;
    struct h2 *h2;
    struct pulse pulse;
    struct timer tick;
    struct deferred ended; /* requests that ended in a call of the pool */
    bool is_ready;
    bool is_lost;
    bool is_closed; /* by the pool: nothing is told any more */
};

static struct lane_h2 *h2_of(struct lane *l)
{
    return CONTAINER_OF(l, struct lane_h2, base);
}

static uint64_t now_us(const struct lane_h2 *l)
{
    return loop_now_us(l->common->loop);
}

/* ---- requests that have ended ---- */

static void count(struct lane_h2 *l)
{
    struct h2_counts c = h2_counts(l->h2, now_us(l));
    l->base.came_bytes = c.body_came_bytes;
    l->base.held_us = c.held_us;
}

/* The pool may close the lane in any of these calls; its memory lasts until the connection's
 * handle is closed. */
static void tell_ended(struct lane_h2 *l)
{
    struct net_request *r;
    count(l);
    l->base.is_spent = l->base.is_spent || h2_is_spent(l->h2);
    while (!l->is_closed && (r = h2_next_ended(l->h2)) != NULL) {
        net_lane_ended(&l->base, r);
    }
    if (!l->is_closed && l->base.is_spent) {
        net_lane_spent(&l->base);
    }
}

static void on_ended(void *arg)
{
    tell_ended(arg);
}

/* A server that tidies up idle connections is no news. */
static void log_end(const struct lane_h2 *l, const struct fail *f)
{
    char address[INET6_ADDRSTRLEN];
    struct log *log = l->common->log;
    addr_print(&l->base.addr, address);
    if (l->base.active > 0 || h2_fail(l->h2)->code != 0) {
        LOG_INFO(log, "lane", "HTTP/2 connection to %s at %s is closed: %s", l->base.host->name,
                 address, f->text);
    } else {
        LOG_DEBUG(log, "lane", "HTTP/2 connection to %s at %s is closed: %s", l->base.host->name,
                  address, f->text);
    }
}

static void lose(struct lane_h2 *l, const struct fail *f)
{
    if (l->is_lost) {
        return;
    }
    l->is_lost = true;
    log_end(l, h2_fail(l->h2)->code != 0 ? h2_fail(l->h2) : f);
    l->base.is_spent = true;
    l->base.fd = -1;
    timer_stop(&l->tick);
    h2_lose(l->h2, f);
}

/* ---- bytes ---- */

static bool on_h2_write(void *arg, struct span bytes)
{
    struct lane_h2 *l = arg;
    return conn_write(l->conn, bytes);
}

/* Writes what there is, if the kernel has taken what was written before. */
static void pump(struct lane_h2 *l)
{
    static const struct fail over = {.code = REPL_ENET, .text = "server has closed the session"};
    if (l->is_ready && !l->is_lost && !h2_is_over(l->h2) && conn_is_writable(l->conn)) {
        h2_fill(l->h2, now_us(l));
        conn_flush(l->conn);
    }
    if (h2_is_over(l->h2)) {
        lose(l, &over);
    }
}

/* Where HTTP/2 is all that may be spoken, nothing goes until the server agrees. */
static void refuse(const struct lane_h2 *l, struct fail *f)
{
    bool is_wanted = l->common->http == NET_HTTP_2;
    fail_set(f, is_wanted ? REPL_ETLS : REPL_EPROTO, "server does not agree to HTTP/2");
    if (is_wanted) {
        fail_hint(f, "leave `http: 2` out of the endpoint's configuration");
    }
}

static void on_ready(void *arg)
{
    struct lane_h2 *l = arg;
    l->is_ready = true;
    if (strcmp(tls_alpn(conn_tls(l->conn)), "h2") != 0) {
        struct fail f;
        refuse(l, &f);
        lose(l, &f);
        tell_ended(l);
        return;
    }
    pump(l);
    tell_ended(l);
}

static void on_came(void *arg, struct span plain)
{
    struct lane_h2 *l = arg;
    h2_feed(l->h2, plain, now_us(l));
    pump(l);
    tell_ended(l);
}

static void on_writable(void *arg)
{
    struct lane_h2 *l = arg;
    pump(l);
    tell_ended(l);
}

static void on_lost(void *arg)
{
    struct lane_h2 *l = arg;
    lose(l, conn_fail(l->conn));
    tell_ended(l);
}

/* ---- silence ---- */

static struct pulse_seen look(const struct lane_h2 *l)
{
    struct tcpinfo t = {0};
    tcpinfo_read(conn_fd(l->conn), now_us(l), &t);
    return (struct pulse_seen){.came = conn_came_bytes(l->conn),
                               .acked = t.acked_bytes > 0 ? t.acked_bytes - 1 : 0, /* the SYN */
                               .sent = conn_sent_bytes(l->conn)};
}

static void watch(struct lane_h2 *l)
{
    static const struct fail dead = {.code = REPL_ETIMEOUT,
                                     .text = "connection is dead: no answer to a PING"};
    if (!l->is_ready) {
        return; /* the connection has a time limit of its own */
    }
    struct pulse_seen seen = look(l);
    switch (pulse_check(&l->pulse, &seen, loop_now_ms(l->common->loop))) {
    case PULSE_ALIVE:
        break;
    case PULSE_ASK:
        h2_ping(l->h2);
        break;
    case PULSE_DEAD:
        lose(l, &dead);
        break;
    }
}

static void start_tick(struct lane_h2 *l)
{
    uint32_t every = l->pulse.ask_ms < TICK_MS ? l->pulse.ask_ms : TICK_MS;
    if (!timer_is_running(&l->tick) && !l->base.is_spent) {
        timer_start(&l->tick, every);
    }
}

static void on_tick(void *arg)
{
    struct lane_h2 *l = arg;
    if (l->base.active == 0) {
        pulse_rest(&l->pulse);
        return;
    }
    h2_check_stalls(l->h2, now_us(l));
    watch(l);
    pump(l);
    start_tick(l);
    tell_ended(l);
}

/* ---- operations ---- */

static void h2_start(struct lane *base, struct net_request *r)
{
    struct lane_h2 *l = h2_of(base);
    if (base->fd >= 0) {
        sock_set_bulk(base->fd, r->class == NET_BULK);
    }
    h2_submit(l->h2, r, now_us(l));
    pump(l);
    start_tick(l);
    deferred_call(&l->ended);
}

static void h2_stop(struct lane *base, struct net_request *r)
{
    struct lane_h2 *l = h2_of(base);
    h2_cancel(l->h2, r);
    pump(l);
    deferred_call(&l->ended);
}

static unsigned h2_free_slots(const struct lane *base)
{
    const struct lane_h2 *l = (const struct lane_h2 *)base; /* its first member */
    return base->is_spent ? 0 : h2_room(l->h2);
}

static void h2_sample(struct lane *base)
{
    count(h2_of(base));
}

static void on_closed(void *arg)
{
    struct lane_h2 *l = arg;
    struct net *n = l->base.net;
    h2_free(l->h2);
    mem_free(l);
    net_handle_closed(n);
}

static void h2_close(struct lane *base)
{
    struct lane_h2 *l = h2_of(base);
    l->is_closed = true;
    base->fd = -1;
    timer_stop(&l->tick);
    deferred_cancel(&l->ended);
    conn_close(l->conn, on_closed, l);
}

static void on_tune(void *arg, int fd)
{
    struct lane_h2 *l = arg;
    l->base.fd = fd;
    sock_tune(fd, l->common->congestion, l->base.class == NET_BULK, &l->base.grant);
    net_socket_opened(&l->base);
}

static const struct conn_events events = {
    .ready = on_ready, .came = on_came, .writable = on_writable, .lost = on_lost};

/* Without its connection. */
static struct lane_h2 *new_lane(struct host *host, const struct lane_common *common,
                                const union addr *addr)
{
    static const struct lane_ops ops = {.kind = "h2",
                                        .start = h2_start,
                                        .cancel = h2_stop,
                                        .room = h2_free_slots,
                                        .sample = h2_sample,
                                        .close = h2_close};
    struct lane_h2 *l = MEM_NEW(struct lane_h2);
    l->base.ops = &ops;
    l->base.net = host->path->net;
    l->base.host = host;
    l->base.fd = -1;
    l->base.addr = *addr;
    l->common = common;
    l->pulse.ask_ms = common->ask_ms > 0 ? common->ask_ms : ASK_MS;
    l->pulse.dead_ms = common->dead_ms > 0 ? common->dead_ms : DEAD_MS;
    l->h2 = h2_new(on_h2_write, l);
    timer_init(&l->tick, common->loop, on_tick, l);
    deferred_init(&l->ended, common->loop, on_ended, l);
    net_handle_opened(l->base.net);
    return l;
}

struct lane *lane_h2_adopt(struct host *host, const struct lane_common *common,
                           const union addr *addr, struct conn *conn)
{
    struct lane_h2 *l = new_lane(host, common, addr);
    l->conn = conn;
    l->is_ready = true;
    l->base.fd = conn_fd(conn);
    conn_adopt(conn, &events, l);
    sock_tune(l->base.fd, common->congestion, false, &l->base.grant);
    net_socket_opened(&l->base);
    pump(l);
    return &l->base;
}

struct lane *lane_h2_new(struct host *host, const struct lane_common *common,
                         const union addr *addr)
{
    struct lane_h2 *l = new_lane(host, common, addr);
    l->conn = conn_open(&(struct conn_options){.loop = common->loop,
                                               .tls = net_tls(host->path->net),
                                               .address = addr,
                                               .host = host->name,
                                               .port = host->port,
                                               .alpn = "h2",
                                               .timeout_ms = host_patience_ms(host),
                                               .tune = on_tune,
                                               .events = &events,
                                               .arg = l});
    return &l->base;
}
