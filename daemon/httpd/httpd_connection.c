/* Connections as such: who takes for ever to say what he wants is sent away, and what
 * libmicrohttpd has lost sight of is shown to it again. */
#include "daemon/base/mem.h"
#include "daemon/httpd/httpd_internal.h"

#include <gnutls/x509.h>
#include <poll.h>
#include <sys/socket.h>

/* A request must be complete within this many idle timeouts: the idle timeout of libmicrohttpd
 * begins anew with every byte. */
#define PATIENCE 3
/* How often to look: at connections that have just come or been answered, and at idle ones. */
#define FRESH_MS       2000
#define SWEEP_FRESH_MS 100
#define SWEEP_IDLE_MS  1000

struct httpd_connection {
    struct list in_server;
    struct httpd *server;
    struct MHD_Connection *connection;
    uint64_t since_ms; /* it owes us a request since then; 0 = it does not */
    int fd;
    bool is_ended;   /* its last answer may have closed it */
    bool is_trusted; /* its certificate was looked at */
};

/* Makes libmicrohttpd look at a connection that is not suspended, whatever it knows of its socket.
 * 0.9.75 needs that in two cases. It takes a short read for an empty socket, and with
 * edge-triggered events misses the end that came together with the data. And a connection closed by
 * a stream's end or failure stays until its idle timeout. */
static void kick(struct httpd_connection *c)
{
    MHD_suspend_connection(c->connection);
    MHD_resume_connection(c->connection);
    deferred_call(&c->server->pump);
}

static uint64_t age_ms(const struct httpd_connection *c)
{
    return loop_now_ms(c->server->options.loop) - c->since_ms;
}

/* libmicrohttpd reads at once what comes, so what can be read now was missed. */
static void check(struct httpd_connection *c)
{
    struct pollfd state = {.fd = c->fd, .events = POLLIN | POLLRDHUP};
    if (c->since_ms == 0) {
        return;
    }
    if (age_ms(c) >= (uint64_t)c->server->options.idle_s * 1000 * PATIENCE) {
        shutdown(c->fd, SHUT_RDWR);
    }
    if (poll(&state, 1, 0) > 0) {
        kick(c);
    }
}

static void sweep(void *arg)
{
    struct httpd *h = arg;
    uint64_t next_ms = SWEEP_IDLE_MS;
    LIST_FOR (node, &h->connections) {
        struct httpd_connection *c = CONTAINER_OF(node, struct httpd_connection, in_server);
        check(c);
        if (c->since_ms != 0 && age_ms(c) < FRESH_MS) {
            next_ms = SWEEP_FRESH_MS;
        }
    }
    if (!list_is_empty(&h->connections)) {
        timer_start(&h->sweep, next_ms);
    }
}

void httpd_connections_init(struct httpd *h)
{
    list_init(&h->connections);
    timer_init(&h->sweep, h->options.loop, sweep, h);
}

void httpd_connections_settle(struct httpd *h)
{
    if (!h->has_ended) {
        return;
    }
    h->has_ended = false;
    LIST_FOR (node, &h->connections) {
        struct httpd_connection *c = CONTAINER_OF(node, struct httpd_connection, in_server);
        if (c->is_ended && c->since_ms != 0) { /* else it goes on with the next request */
            kick(c);
        }
        c->is_ended = false;
    }
}

void httpd_connection_notify(void *cls, struct MHD_Connection *connection, void **context,
                             enum MHD_ConnectionNotificationCode code)
{
    struct httpd *h = cls;
    struct httpd_connection *c = *context;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (c != NULL) {
            list_remove(&c->in_server);
            mem_free(c);
        }
        return;
    }
    c = MEM_NEW(struct httpd_connection);
    c->server = h;
    c->connection = connection;
    c->since_ms = loop_now_ms(h->options.loop);
    c->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    *context = c;
    list_push_back(&h->connections, &c->in_server);
    if (!timer_is_running(&h->sweep) || h->sweep.due_ms > c->since_ms + SWEEP_FRESH_MS) {
        timer_start(&h->sweep, SWEEP_FRESH_MS);
    }
}

static struct httpd_connection *connection_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

void httpd_connection_owes(struct MHD_Connection *connection)
{
    struct httpd_connection *c = connection_of(connection);
    if (c != NULL) {
        c->since_ms = loop_now_ms(c->server->options.loop);
    }
}

void httpd_connection_paid(struct MHD_Connection *connection)
{
    struct httpd_connection *c = connection_of(connection);
    if (c != NULL) {
        c->since_ms = 0;
    }
}

void httpd_connection_ended(struct MHD_Connection *connection)
{
    struct httpd_connection *c = connection_of(connection);
    if (c != NULL) {
        c->is_ended = true;
        c->server->has_ended = true;
    }
}

static bool has_good_certificate(struct MHD_Connection *connection)
{
    unsigned status = 0;
    gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
                                     .data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT};
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    return info != NULL &&
           gnutls_certificate_verify_peers(info->tls_session, &purpose, 1, &status) == 0 &&
           status == 0;
}

bool httpd_connection_is_trusted(struct MHD_Connection *connection)
{
    struct httpd_connection *c = connection_of(connection);
    const struct httpd_tls *tls = c->server->options.tls;
    if (tls == NULL || tls->client_ca.ptr == NULL) {
        return true;
    }
    if (!c->is_trusted) {
        c->is_trusted = has_good_certificate(connection);
    }
    return c->is_trusted;
}
