#include "transfer/net/probe.h"

#include "daemon/base/mem.h"
#include "transfer/net/conn.h"

#include <stdio.h>

struct probe {
    struct conn *conn;
    struct probe_result result;
    void (*tune)(void *arg, int fd);
    probe_done_fn *done;
    loop_fn *closed;
    void *arg;
};

static void on_closed(void *arg)
{
    struct probe *p = arg;
    loop_fn *closed = p->closed;
    void *closed_arg = p->arg;
    mem_free(p);
    closed(closed_arg);
}

void probe_cancel(struct probe *p)
{
    conn_close(p->conn, on_closed, p);
}

static void finish(struct probe *p)
{
    const struct tls *t = conn_tls(p->conn);
    struct probe_result *r = &p->result;
    r->fail = *conn_fail(p->conn);
    r->rtt_us = conn_connect_us(p->conn);
    snprintf(r->alpn, sizeof(r->alpn), "%s", tls_alpn(t));
    snprintf(r->version, sizeof(r->version), "%s", tls_version(t));
    r->conn = r->fail.code == 0 ? p->conn : NULL;
    if (p->done(p->arg, r)) {
        on_closed(p);
    } else {
        conn_close(p->conn, on_closed, p);
    }
}

static void on_ready(void *arg)
{
    finish(arg);
}

static void on_lost(void *arg)
{
    finish(arg);
}

static void on_came(void *arg, struct span plain)
{
    (void)arg;
    (void)plain;
}

static void on_writable(void *arg)
{
    (void)arg;
}

static void on_tune(void *arg, int fd)
{
    struct probe *p = arg;
    if (p->tune != NULL) {
        p->tune(p->arg, fd);
    }
}

static const struct conn_events events = {
    .ready = on_ready, .came = on_came, .writable = on_writable, .lost = on_lost};

struct probe *probe_start(const struct probe_options *o)
{
    struct probe *p = MEM_NEW(struct probe);
    p->tune = o->tune;
    p->done = o->done;
    p->closed = o->closed;
    p->arg = o->arg;
    p->result.addr = *o->address;
    p->conn = conn_open(&(struct conn_options){.loop = o->loop,
                                               .tls = o->tls,
                                               .address = o->address,
                                               .host = o->host,
                                               .port = o->port,
                                               .alpn = "h2,http/1.1",
                                               .timeout_ms = o->timeout_ms,
                                               .tune = on_tune,
                                               .events = &events,
                                               .arg = p});
    return p;
}
