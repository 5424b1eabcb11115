/* tls_impl: what tls.c and tls_context.c share. */
#ifndef REPL_NET_TLS_IMPL_H
#define REPL_NET_TLS_IMPL_H

#include "daemon/base/list.h"
#include "transfer/net/tls.h"

#include <openssl/ssl.h>

struct tls_context {
    SSL_CTX *ctx;
    BIO_METHOD *bio; /* between a session and its two buffers */
    bool insecure;
    struct list kept; /* sessions, the newest first */
    unsigned kept_count;
};

struct tls {
    struct tls_context *context;
    SSL *ssl;
    char *host;
    char *peer;        /* "host:port" */
    struct span in;    /* what tls_feed() was given and OpenSSL has not read yet */
    struct buf out;    /* records */
    struct buf gather; /* small pieces of plain text */
    char alpn[16];
    bool is_open;
    bool is_ended; /* the peer has */
    struct fail fail;
};

/* Of tls.c: the two ends of a session's BIO. */
int tls_bio_read(BIO *bio, char *to, int len);
int tls_bio_write(BIO *bio, const char *data, int len);
/* Of tls_context.c: the session kept for a peer, NULL when there is none. Still the context's. */
SSL_SESSION *tls_context_session(const struct tls_context *c, const char *peer);

#endif
