/* What the TLS sessions of an endpoint share: trust, ciphers, and sessions to resume. */
#include "daemon/base/mem.h"
#include "transfer/net/tls_impl.h"

#include <openssl/err.h>

#define KEPT_MAX 64 /* peers; a bucket that is part of the name is one of its own */

/* AES-128 first: as safe here as AES-256, at two thirds of its price. */
#define SUITES                                                                                     \
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"                                               \
    "TLS_CHACHA20_POLY1305_SHA256"

struct kept {
    struct list link;
    char *peer;
    SSL_SESSION *session;
};

/* ---- sessions to resume ---- */

static struct kept *find_kept(const struct tls_context *c, const char *peer)
{
    LIST_FOR (node, &c->kept) {
        struct kept *k = CONTAINER_OF(node, struct kept, link);
        if (strcmp(k->peer, peer) == 0) {
            return k;
        }
    }
    return NULL;
}

static void drop_kept(struct tls_context *c, struct kept *k)
{
    list_remove(&k->link);
    c->kept_count--;
    SSL_SESSION_free(k->session);
    mem_free(k->peer);
    mem_free(k);
}

/* The newest is kept: a server that changes its keys hands out new sessions. One is resumed by
 * many connections: lanes are opened several at a time. */
static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls *t = SSL_get_app_data(ssl);
    struct tls_context *c = t->context;
    struct kept *k = find_kept(c, t->peer);
    if (k != NULL) {
        drop_kept(c, k);
    } else if (c->kept_count == KEPT_MAX) {
        drop_kept(c, CONTAINER_OF(c->kept.prev, struct kept, link));
    }
    k = MEM_NEW(struct kept);
    k->peer = mem_strdup(t->peer);
    k->session = session;
    list_push_front(&c->kept, &k->link);
    c->kept_count++;
    return 1; /* the reference is ours now */
}

SSL_SESSION *tls_context_session(const struct tls_context *c, const char *peer)
{
    struct kept *k = find_kept(c, peer);
    return k != NULL && SSL_SESSION_is_resumable(k->session) ? k->session : NULL;
}

/* ---- making one ---- */

static int load_trust(SSL_CTX *ctx, const struct tls_options *o, struct fail *f)
{
    if (o->insecure) {
        return 0;
    }
    if (o->ca_file == NULL) {
        SSL_CTX_set_default_verify_paths(ctx);
        return 0;
    }
    if (SSL_CTX_load_verify_file(ctx, o->ca_file) == 1) {
        return 0;
    }
    fail_set(f, REPL_EBADINPUT, "CA file %s cannot be used: %s", o->ca_file,
             ERR_reason_error_string(ERR_peek_error()));
    fail_hint(f, "name a PEM file with the certificate of the server's CA");
    ERR_clear_error();
    return f->code;
}

static long bio_control(BIO *bio, int what, long number, void *arg)
{
    (void)bio;
    (void)number;
    (void)arg;
    return what == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *make_bio(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "repl tls");
    BIO_meth_set_read(m, tls_bio_read);
    BIO_meth_set_write(m, tls_bio_write);
    BIO_meth_set_ctrl(m, bio_control);
    return m;
}

int tls_context_new(const struct tls_options *o, struct tls_context **ret, struct fail *f)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    int r = load_trust(ctx, o, f);
    if (r < 0) {
        SSL_CTX_free(ctx);
        return r;
    }
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_ciphersuites(ctx, SUITES);
    SSL_CTX_set_verify(ctx, o->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_new_session);
    struct tls_context *c = MEM_NEW(struct tls_context);
    c->ctx = ctx;
    c->bio = make_bio();
    c->insecure = o->insecure;
    list_init(&c->kept);
    *ret = c;
    return 0;
}

void tls_context_free(struct tls_context *c)
{
    if (c == NULL) {
        return;
    }
    while (!list_is_empty(&c->kept)) {
        drop_kept(c, CONTAINER_OF(list_first(&c->kept), struct kept, link));
    }
    SSL_CTX_free(c->ctx);
    BIO_meth_free(c->bio);
    mem_free(c);
}
