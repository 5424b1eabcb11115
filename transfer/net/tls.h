/* tls: TLS sessions as bytes in and bytes out: no socket, no clock, no loop. A context belongs to
 * an endpoint: what it trusts, and the sessions that its servers let resume. A session is sticky:
 * once it has failed every call does nothing and says so; tls_fail() tells why.
 *
 * Plain bytes are copied once, into their record. Records are whole when they come out, so that
 * tls_take() hands them to a socket without a further copy. */
#ifndef REPL_NET_TLS_H
#define REPL_NET_TLS_H

#include "daemon/base/buf.h"
#include "daemon/base/fail.h"

/* Where the peer's first bytes are none of TLS, or none come. */
#define TLS_HINT_PLAIN                                                                             \
    "does the server speak TLS on this port? if it does not, the endpoint's url begins with "      \
    "http://"

struct tls_context;
struct tls;

struct tls_options {
    const char *ca_file; /* PEM; NULL: the system's authorities */
    bool insecure;       /* nothing is verified */
};

/* REPL_EBADINPUT when the CA file holds no certificate that can be read. */
int tls_context_new(const struct tls_options *options, struct tls_context **ret, struct fail *f);
/* After its sessions. */
void tls_context_free(struct tls_context *c);

/* A client's session, its hello ready to be taken. host: the name (or address, without brackets)
 * that the certificate must carry; alpn: protocols in order, "h2,http/1.1". A session that an
 * earlier one with this host and port was given is resumed where the server agrees. */
struct tls *tls_new(struct tls_context *c, const char *host, unsigned port, const char *alpn);
void tls_free(struct tls *t);

/* False: no more, the session is about to go. */
typedef bool tls_plain_fn(void *arg, struct span plain);
/* Takes all bytes that came; plain(arg) is called for what they hold. 0, or REPL_ETLS, or UV_EOF
 * when the peer has said that nothing follows. */
int tls_feed(struct tls *t, struct span bytes, tls_plain_fn *plain, void *arg);
/* To be sent; after the handshake only. Small pieces are gathered into one record, until
 * tls_flush() or a large one. */
int tls_write(struct tls *t, struct span plain);
int tls_flush(struct tls *t);
/* Says that nothing follows. */
void tls_end(struct tls *t);

/* Bytes that wait for tls_take(). */
size_t tls_pending(const struct tls *t);
/* Swaps all of them into `to`, which is empty; its memory is used for those to come. */
void tls_take(struct tls *t, struct buf *to);

bool tls_is_open(const struct tls *t); /* the handshake is done and the peer is who it should be */
const char *tls_alpn(const struct tls *t);    /* what the server chose, "" when it chose nothing */
const char *tls_version(const struct tls *t); /* "TLSv1.3" */
bool tls_is_resumed(const struct tls *t);
const struct fail *tls_fail(const struct tls *t); /* code 0: has not failed */

#endif
