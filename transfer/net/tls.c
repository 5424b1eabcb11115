#include "transfer/net/tls.h"

#include "daemon/base/mem.h"
#include "transfer/net/tls_impl.h"

#include <arpa/inet.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <uv.h>

/* A record costs as much as copying this many bytes: smaller pieces share one. */
#define SMALL_BYTES  ((size_t)4096)
#define RECORD_BYTES ((size_t)SSL3_RT_MAX_PLAIN_LENGTH)

/* ---- the two ends of OpenSSL ---- */

int tls_bio_read(BIO *bio, char *to, int len)
{
    struct tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    size_t n = t->in.len < (size_t)len ? t->in.len : (size_t)len;
    if (n == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(to, t->in.ptr, n);
    t->in = span_skip(t->in, n);
    return (int)n;
}

int tls_bio_write(BIO *bio, const char *data, int len)
{
    struct tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    buf_append(&t->out, data, (size_t)len);
    return buf_error(&t->out) == 0 ? len : -1;
}

/* ---- failing ---- */

static const char *verify_hint(long result)
{
    switch (result) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return "use a name in the endpoint's url that the server's certificate carries";
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "check this host's clock; if it is right the server needs a new certificate";
    default:
        return "name the CA of the server's certificate as ca_file of the endpoint";
    }
}

static int set_failed(struct tls *t)
{
    long verified = t->context->insecure ? X509_V_OK : SSL_get_verify_result(t->ssl);
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    if (verified != X509_V_OK && !t->is_open) {
        fail_set(&t->fail, REPL_ETLS, "certificate of %s is not accepted: %s", t->host,
                 X509_verify_cert_error_string(verified));
        fail_hint(&t->fail, "%s", verify_hint(verified));
    } else {
        fail_set(&t->fail, REPL_ETLS, "TLS with %s failed: %s", t->host,
                 reason != NULL ? reason : "peer broke the protocol");
        if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_WRONG_VERSION_NUMBER) {
            fail_hint(&t->fail, TLS_HINT_PLAIN); /* "HTTP/1.1 400", taken for a record's head */
        }
    }
    ERR_clear_error();
    return REPL_ETLS;
}

/* What OpenSSL says about a call that did nothing: 0, it waits for more bytes. */
static int judge(struct tls *t, int result)
{
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        t->is_ended = true;
        return UV_EOF;
    default:
        return set_failed(t);
    }
}

/* ---- making one ---- */

static bool is_address(const char *host)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

/* An address is looked for among the certificate's addresses, and is no name for SNI (RFC 6066). */
static void set_peer(struct tls *t)
{
    X509_VERIFY_PARAM *p = SSL_get0_param(t->ssl);
    if (is_address(t->host)) {
        X509_VERIFY_PARAM_set1_ip_asc(p, t->host);
        return;
    }
    X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    X509_VERIFY_PARAM_set1_host(p, t->host, 0);
    SSL_set_tlsext_host_name(t->ssl, t->host);
}

/* "h2,http/1.1" as ALPN has it: each name behind its length. */
static void set_alpn(struct tls *t, const char *names)
{
    unsigned char wire[64];
    unsigned len = 0;
    struct span rest = span_str(names);
    while (rest.len > 0) {
        struct span name = span_cut(&rest, ',');
        if (len + 1 + name.len <= sizeof(wire)) {
            wire[len++] = (unsigned char)name.len;
            memcpy(wire + len, name.ptr, name.len);
            len += (unsigned)name.len;
        }
    }
    SSL_set_alpn_protos(t->ssl, wire, len);
}

static void set_session(struct tls *t)
{
    SSL_SESSION *kept = tls_context_session(t->context, t->peer);
    if (kept != NULL) {
        SSL_set_session(t->ssl, kept);
    }
}

static int shake_hands(struct tls *t)
{
    ERR_clear_error();
    int r = SSL_do_handshake(t->ssl);
    if (r != 1) {
        return judge(t, r);
    }
    const unsigned char *alpn;
    unsigned len;
    SSL_get0_alpn_selected(t->ssl, &alpn, &len);
    len = len < sizeof(t->alpn) ? len : sizeof(t->alpn) - 1;
    memcpy(t->alpn, alpn != NULL ? alpn : (const unsigned char *)"", len);
    t->alpn[len] = '\0';
    t->is_open = true;
    return 0;
}

struct tls *tls_new(struct tls_context *c, const char *host, unsigned port, const char *alpn)
{
    struct tls *t = MEM_NEW(struct tls);
    BIO *bio = BIO_new(c->bio);
    t->context = c;
    t->host = mem_strdup(host);
    t->peer = mem_printf("%s:%u", host, port);
    buf_init(&t->out, 0);
    buf_init(&t->gather, 0);
    t->ssl = SSL_new(c->ctx);
    SSL_set_app_data(t->ssl, t);
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    set_peer(t);
    set_alpn(t, alpn);
    set_session(t);
    SSL_set_connect_state(t->ssl);
    shake_hands(t); /* leaves the hello in out; what fails is sticky */
    return t;
}

/* OpenSSL forgets the session of a connection that did not say good-bye; a lost one may be resumed
 * as well as any. */
void tls_free(struct tls *t)
{
    if (t == NULL) {
        return;
    }
    SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(t->ssl);
    buf_done(&t->out);
    buf_done(&t->gather);
    mem_free(t->host);
    mem_free(t->peer);
    mem_free(t);
}

/* ---- bytes in ---- */

static int read_plain(struct tls *t, tls_plain_fn *plain, void *arg)
{
    char block[SSL3_RT_MAX_PLAIN_LENGTH];
    for (;;) {
        ERR_clear_error();
        int n = SSL_read(t->ssl, block, sizeof(block));
        if (n <= 0) {
            return judge(t, n);
        }
        if (!plain(arg, span_of(block, (size_t)n))) {
            return 0;
        }
    }
}

int tls_feed(struct tls *t, struct span bytes, tls_plain_fn *plain, void *arg)
{
    if (t->fail.code != 0) {
        return t->fail.code;
    }
    t->in = bytes;
    int r = t->is_open ? 0 : shake_hands(t);
    if (r == 0 && t->is_open) {
        r = read_plain(t, plain, arg);
    }
    t->in = span_of(NULL, 0);
    return r;
}

/* ---- bytes out ---- */

/* Our end of the BIO takes everything, so a write is whole or has failed. */
static int write_records(struct tls *t, struct span plain)
{
    while (plain.len > 0 && t->fail.code == 0) {
        int n = plain.len > INT_MAX ? INT_MAX : (int)plain.len;
        ERR_clear_error();
        int r = SSL_write(t->ssl, plain.ptr, n);
        if (r <= 0) {
            return set_failed(t);
        }
        plain = span_skip(plain, (size_t)r);
    }
    return t->fail.code;
}

int tls_flush(struct tls *t)
{
    int r = write_records(t, buf_view(&t->gather));
    buf_reset(&t->gather);
    return r;
}

int tls_write(struct tls *t, struct span plain)
{
    if (plain.len < SMALL_BYTES && t->gather.len + plain.len <= RECORD_BYTES) {
        buf_span(&t->gather, plain);
        return t->fail.code;
    }
    int r = tls_flush(t);
    return r < 0 ? r : write_records(t, plain);
}

void tls_end(struct tls *t)
{
    if (t->is_open && t->fail.code == 0) {
        tls_flush(t);
        ERR_clear_error();
        SSL_shutdown(t->ssl);
    }
}

size_t tls_pending(const struct tls *t)
{
    return t->out.len;
}

void tls_take(struct tls *t, struct buf *to)
{
    struct buf empty = *to;
    *to = t->out;
    t->out = empty;
}

/* ---- what came of it ---- */

bool tls_is_open(const struct tls *t)
{
    return t->is_open;
}

const char *tls_alpn(const struct tls *t)
{
    return t->alpn;
}

const char *tls_version(const struct tls *t)
{
    return SSL_get_version(t->ssl);
}

bool tls_is_resumed(const struct tls *t)
{
    return SSL_session_reused(t->ssl) == 1;
}

const struct fail *tls_fail(const struct tls *t)
{
    return &t->fail;
}
