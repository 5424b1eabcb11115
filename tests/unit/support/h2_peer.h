/* h2_peer: an HTTP/2 server over TLS on the loop of the test, see h2_far.h for what it does. */
#ifndef REPL_TEST_H2_PEER_H
#define REPL_TEST_H2_PEER_H

#include "daemon/base/loop.h"
#include "tests/unit/support/h2_far.h"

#include <netinet/in.h>

struct h2_peer;

struct h2_peer_options {
    struct loop *loop;
    const char *names; /* of the certificate; NULL: "IP:127.0.0.1,DNS:localhost" */
    int days;          /* until it expires; 0: 10 */
    const char *alpn;  /* the one protocol it knows; NULL: "h2", "": knows no ALPN */
    int tls_version;   /* at most; 0: 1.3 */
    struct h2_far_options far;
    struct span raw; /* what is sent to each client instead of HTTP/2; absent: HTTP/2 */
    bool is_mute;    /* accepts connections and says nothing, not even TLS */
};

struct h2_peer_counts {
    unsigned connections; /* accepted */
    unsigned open;
    unsigned shaken;  /* handshakes that ended well */
    unsigned resumed; /* of them */
    struct h2_far_counts far;
};

struct h2_peer *h2_peer_new(const struct h2_peer_options *options);
void h2_peer_free(struct h2_peer *p); /* runs the loop until its handles are closed */
const char *h2_peer_ca(const struct h2_peer *p);
const char *h2_peer_url(const struct h2_peer *p); /* "https://127.0.0.1:PORT" */
uint16_t h2_peer_port(const struct h2_peer *p);
const struct h2_peer_counts *h2_peer_counts(const struct h2_peer *p);
/* Name that the client asked for in the newest handshake; "" when it asked for none. */
const char *h2_peer_sni(const struct h2_peer *p);
/* Reads no more from any connection. */
void h2_peer_stall(struct h2_peer *p);
void h2_peer_drop(struct h2_peer *p);    /* closes all connections */
void h2_peer_release(struct h2_peer *p); /* see h2_far_release() */

#endif
