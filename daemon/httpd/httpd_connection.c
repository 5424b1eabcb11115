/* Connections as such: who takes for ever to say what he wants is sent away. The idle timeout of
 * libmicrohttpd does not see a client that sends a byte now and then. */
#include "daemon/base/mem.h"
#include "daemon/httpd/httpd_internal.h"

#include <sys/socket.h>

/* A request must be complete within this many idle timeouts. */
#define PATIENCE 3

struct httpd_connection {
    struct list in_server;
    struct httpd *server;
    uint64_t since_ms; /* it owes us a request since then; 0 = it does not */
    int fd;
};

static uint64_t patience_ms(const struct httpd *h)
{
    return (uint64_t)h->options.idle_s * 1000 * PATIENCE;
}

/* Looks again when the oldest of those that are left may be due. */
static void sweep(void *arg)
{
    struct httpd *h = arg;
    uint64_t now = loop_now_ms(h->options.loop);
    LIST_FOR (node, &h->connections) {
        struct httpd_connection *c = CONTAINER_OF(node, struct httpd_connection, in_server);
        if (c->since_ms != 0 && now - c->since_ms >= patience_ms(h)) {
            shutdown(c->fd, SHUT_RDWR); /* libmicrohttpd sees that and closes it */
        }
    }
    if (!list_is_empty(&h->connections)) {
        timer_start(&h->sweep, patience_ms(h) / 4);
    }
}

void httpd_connections_init(struct httpd *h)
{
    list_init(&h->connections);
    timer_init(&h->sweep, h->options.loop, sweep, h);
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
    c->since_ms = loop_now_ms(h->options.loop);
    c->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    *context = c;
    list_push_back(&h->connections, &c->in_server);
    if (!timer_is_running(&h->sweep)) {
        timer_start(&h->sweep, patience_ms(h) / 4);
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
