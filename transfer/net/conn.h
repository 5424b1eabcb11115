/* conn: a TLS connection over TCP: plain bytes in and out. Callbacks come from the loop; none after
 * conn_close(). */
#ifndef REPL_NET_CONN_H
#define REPL_NET_CONN_H

#include "daemon/base/fail.h"
#include "daemon/base/loop.h"
#include "transfer/net/addr.h"
#include "transfer/net/tls.h"

struct conn;

struct conn_events {
    void (*ready)(void *arg);                   /* the handshake is done */
    void (*came)(void *arg, struct span plain); /* may come in the same turn as ready() */
    void (*writable)(void *arg);                /* all that was written is with the kernel */
    /* Once; conn_fail() tells why. */
    void (*lost)(void *arg);
};

struct conn_options {
    struct loop *loop;
    struct tls_context *tls;
    const union addr *address; /* its port is that of the host, below */
    const char *host;          /* of the certificate and SNI */
    uint16_t port;
    const char *alpn;                /* "h2,http/1.1" */
    unsigned timeout_ms;             /* until ready() */
    void (*tune)(void *arg, int fd); /* the socket, before it connects */
    const struct conn_events *events;
    void *arg;
};

struct conn *conn_open(const struct conn_options *options);
/* What is written and still here is given one try. closed(arg) comes from the loop, always later.
 */
void conn_close(struct conn *c, loop_fn *closed, void *arg);

/* Another owner from now on, which gets the events to come; inside ready() the rest of its turn's.
 */
void conn_adopt(struct conn *c, const struct conn_events *events, void *arg);

/* After ready(). The bytes are copied once, into their TLS record. False: it has enough; what comes
 * before the next writable() is kept all the same. */
bool conn_write(struct conn *c, struct span plain);
/* Whether conn_write() has room. */
bool conn_is_writable(const struct conn *c);
/* Sends what was written. */
void conn_flush(struct conn *c);

const struct fail *conn_fail(const struct conn *c);
int conn_fd(const struct conn *c);              /* -1: none */
uint64_t conn_came_bytes(const struct conn *c); /* from the network */
uint64_t conn_sent_bytes(const struct conn *c); /* into it */
uint64_t
conn_connect_us(const struct conn *c); /* what connect() took: one round trip; 0: not yet */
const struct tls *conn_tls(const struct conn *c); /* version, ALPN, resumed */

#endif
