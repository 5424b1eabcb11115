#include "transfer/net/conn.h"

#include "daemon/base/mem.h"
#include "transfer/net/tcp.h"

#include <sys/socket.h>
#include <uv.h>

/* Bytes of one write to the kernel: enough that its price does not matter, and few enough that a
 * fresh small object never waits behind much. */
#define WRITE_BYTES ((size_t)64 * 1024)

struct conn {
    struct tcp *tcp;
    struct tls *tls;
    struct loop *loop;
    const struct conn_events *events;
    void (*tune)(void *arg, int fd);
    void *arg;
    struct timer patience;  /* until it is ready */
    struct deferred broken; /* TLS failed while something was written */
    struct buf sending;     /* empty between two calls */
    struct fail fail;
    uint64_t opened_us;
    uint64_t connect_us;
    uint64_t came_bytes;
    uint64_t sent_bytes;
    bool is_ready;
    bool is_lost;
    bool is_closing;
    loop_fn *closed;
    void *closed_arg;
};

static void lose(struct conn *c)
{
    if (!c->is_lost && !c->is_closing) {
        c->is_lost = true;
        timer_stop(&c->patience);
        c->events->lost(c->arg);
    }
}

static void on_broken(void *arg)
{
    struct conn *c = arg;
    c->fail = *tls_fail(c->tls);
    lose(c);
}

static void on_patience(void *arg)
{
    struct conn *c = arg;
    fail_set(&c->fail, REPL_EUNREACHABLE, "no connection in time: %s",
             c->connect_us == 0 ? "no answer" : "TLS handshake did not end");
    lose(c);
}

/* ---- out ---- */

static void send_records(struct conn *c)
{
    if (c->connect_us != 0 && !c->is_lost && !tcp_is_sending(c->tcp) && tls_pending(c->tls) > 0) {
        tls_take(c->tls, &c->sending);
        c->sent_bytes += c->sending.len;
        tcp_send(c->tcp, &c->sending);
    }
}

bool conn_is_writable(const struct conn *c)
{
    return !c->is_lost && !c->is_closing && !tcp_is_sending(c->tcp) &&
           tls_pending(c->tls) < WRITE_BYTES;
}

bool conn_write(struct conn *c, struct span plain)
{
    return tls_write(c->tls, plain) == 0 && conn_is_writable(c);
}

void conn_flush(struct conn *c)
{
    if (tls_is_open(c->tls) && tls_flush(c->tls) < 0) {
        deferred_call(&c->broken);
        return;
    }
    send_records(c);
}

/* ---- events of TCP ---- */

static void on_connected(void *arg)
{
    struct conn *c = arg;
    c->connect_us = loop_now_us(c->loop) - c->opened_us + 1;
    send_records(c);
}

static void become_ready(struct conn *c)
{
    if (!c->is_ready && !c->is_closing) {
        c->is_ready = true;
        timer_stop(&c->patience);
        c->events->ready(c->arg);
    }
}

static bool on_plain(void *arg, struct span plain)
{
    struct conn *c = arg;
    become_ready(c);
    if (!c->is_closing) {
        c->events->came(c->arg, plain);
    }
    return !c->is_closing;
}

static void set_ended(struct conn *c)
{
    if (c->is_ready) {
        fail_set(&c->fail, REPL_ENET, "server closed the connection");
    } else {
        fail_set(&c->fail, REPL_ETLS, "server closed the connection during the TLS handshake");
        fail_hint(&c->fail, TLS_HINT_PLAIN);
    }
}

static void on_came(void *arg, struct span bytes)
{
    struct conn *c = arg;
    c->came_bytes += bytes.len;
    int r = tls_feed(c->tls, bytes, on_plain, c);
    if (tls_is_open(c->tls)) {
        become_ready(c);
    }
    if (c->is_closing) {
        return;
    }
    send_records(c); /* of the handshake; or the alert that tells the peer what was wrong */
    if (r == UV_EOF) {
        set_ended(c);
        lose(c);
    } else if (r < 0) {
        c->fail = *tls_fail(c->tls);
        lose(c);
    }
}

static void on_sent(void *arg)
{
    struct conn *c = arg;
    send_records(c);
    if (c->is_ready && conn_is_writable(c)) {
        c->events->writable(c->arg);
    }
}

static void on_lost(void *arg, int status)
{
    struct conn *c = arg;
    if (status == UV_EOF) {
        set_ended(c);
    } else if (c->connect_us == 0) {
        fail_set(&c->fail, REPL_EUNREACHABLE, "%s", uv_strerror(status));
    } else {
        fail_set(&c->fail, c->is_ready ? REPL_ENET : REPL_ETLS, "connection was lost: %s",
                 uv_strerror(status));
    }
    lose(c);
}

/* ---- life ---- */

static const struct tcp_events events = {
    .connected = on_connected, .came = on_came, .sent = on_sent, .lost = on_lost};

static void on_tune(void *arg, int fd)
{
    struct conn *c = arg;
    if (c->tune != NULL) {
        c->tune(c->arg, fd);
    }
}

struct conn *conn_open(const struct conn_options *o)
{
    struct conn *c = MEM_NEW(struct conn);
    union addr to = *o->address;
    if (to.any.sa_family == AF_INET6) {
        to.v6.sin6_port = htons(o->port);
    } else {
        to.v4.sin_port = htons(o->port);
    }
    c->loop = o->loop;
    c->events = o->events;
    c->arg = o->arg;
    c->tune = o->tune;
    c->opened_us = loop_now_us(o->loop);
    buf_init(&c->sending, 0);
    deferred_init(&c->broken, o->loop, on_broken, c);
    timer_init(&c->patience, o->loop, on_patience, c);
    timer_start(&c->patience, o->timeout_ms);
    c->tls = tls_new(o->tls, o->host, o->port, o->alpn);
    c->tcp = tcp_open(&(struct tcp_options){
        .loop = o->loop, .address = &to.any, .tune = on_tune, .events = &events, .arg = c});
    return c;
}

void conn_adopt(struct conn *c, const struct conn_events *events_of, void *arg)
{
    c->events = events_of;
    c->arg = arg;
}

static void on_closed(void *arg)
{
    struct conn *c = arg;
    loop_fn *closed = c->closed;
    void *closed_arg = c->closed_arg;
    tls_free(c->tls);
    buf_done(&c->sending);
    mem_free(c);
    closed(closed_arg);
}

void conn_close(struct conn *c, loop_fn *closed, void *arg)
{
    timer_stop(&c->patience);
    deferred_cancel(&c->broken);
    tls_end(c->tls);
    send_records(c);
    c->is_closing = true;
    c->closed = closed;
    c->closed_arg = arg;
    tcp_close(c->tcp, on_closed, c);
}

const struct fail *conn_fail(const struct conn *c)
{
    return &c->fail;
}

int conn_fd(const struct conn *c)
{
    return c->is_closing ? -1 : tcp_fd(c->tcp);
}

uint64_t conn_came_bytes(const struct conn *c)
{
    return c->came_bytes;
}

uint64_t conn_sent_bytes(const struct conn *c)
{
    return c->sent_bytes;
}

uint64_t conn_connect_us(const struct conn *c)
{
    return c->connect_us;
}

const struct tls *conn_tls(const struct conn *c)
{
    return c->tls;
}
