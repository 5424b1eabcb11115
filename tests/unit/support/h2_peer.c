#include "tests/unit/support/h2_peer.h"

#include "daemon/base/list.h"
#include "daemon/base/mem.h"
#include "tests/unit/support/certificate.h"

#include <assert.h>
#include <stdio.h>
#include <uv.h>

struct h2_peer {
    uv_tcp_t listener;
    struct h2_peer_options options;
    struct certificate certificate;
    SSL_CTX *ctx;
    unsigned char alpn[32];
    uint16_t port;
    char url[64];
    char sni[64];
    struct list connections;
    struct h2_peer_counts counts;
    unsigned handles;
};

struct connection {
    uv_tcp_t tcp;
    struct list link;
    struct h2_peer *peer;
    SSL *ssl; /* between two memory BIOs */
    struct h2_far *far;
    struct buf out; /* plain */
    bool is_shaken;
    char chunk[65536];
};

struct piece {
    uv_write_t write;
    struct connection *connection;
    char *bytes;
};

/* ---- connections ---- */

static void on_closed(uv_handle_t *handle)
{
    struct connection *c = handle->data;
    c->peer->handles--;
    h2_far_free(c->far);
    SSL_free(c->ssl);
    buf_done(&c->out);
    mem_free(c);
}

static void drop(struct connection *c)
{
    if (!uv_is_closing((uv_handle_t *)&c->tcp)) {
        list_remove(&c->link);
        c->peer->counts.open--;
        uv_close((uv_handle_t *)&c->tcp, on_closed);
    }
}

static void pump(struct connection *c);

static void on_written(uv_write_t *write, int status)
{
    struct piece *p = CONTAINER_OF(write, struct piece, write);
    struct connection *c = p->connection;
    mem_free(p->bytes);
    mem_free(p);
    if (status == 0) {
        pump(c);
    }
}

static void send_records(struct connection *c)
{
    BIO *bio = SSL_get_wbio(c->ssl);
    size_t pending = BIO_ctrl_pending(bio);
    if (pending == 0 || uv_is_closing((uv_handle_t *)&c->tcp)) {
        return;
    }
    struct piece *p = MEM_NEW(struct piece);
    p->connection = c;
    p->bytes = mem_alloc(pending);
    BIO_read(bio, p->bytes, (int)pending);
    uv_buf_t b = uv_buf_init(p->bytes, (unsigned)pending);
    uv_write(&p->write, (uv_stream_t *)&c->tcp, &b, 1, on_written);
}

/* As much as the client takes: one piece is on the way at a time. */
static void pump(struct connection *c)
{
    if (uv_is_closing((uv_handle_t *)&c->tcp)) {
        return;
    }
    if (c->far != NULL && c->tcp.write_queue_size == 0) {
        h2_far_take(c->far, &c->out);
    }
    if (c->is_shaken && c->out.len > 0) {
        SSL_write(c->ssl, c->out.data, (int)c->out.len);
        buf_reset(&c->out);
    }
    send_records(c);
    if (c->far != NULL && h2_far_wants_close(c->far)) {
        drop(c);
    }
}

static void become_shaken(struct connection *c)
{
    struct h2_peer *p = c->peer;
    c->is_shaken = true;
    p->counts.shaken++;
    p->counts.resumed += SSL_session_reused(c->ssl) ? 1 : 0;
    const char *name = SSL_get_servername(c->ssl, TLSEXT_NAMETYPE_host_name);
    snprintf(p->sni, sizeof(p->sni), "%s", name != NULL ? name : "");
    if (p->options.raw.ptr != NULL) {
        buf_span(&c->out, p->options.raw);
    } else {
        c->far = h2_far_new(&p->options.far, &p->counts.far);
    }
}

static bool read_plain(struct connection *c)
{
    char block[16384];
    int n;
    while ((n = SSL_read(c->ssl, block, sizeof(block))) > 0) {
        if (c->far != NULL && !h2_far_feed(c->far, span_of(block, (size_t)n))) {
            return false;
        }
    }
    return SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ;
}

static void on_bytes(struct connection *c)
{
    bool is_good = true;
    if (!c->is_shaken) {
        int r = SSL_do_handshake(c->ssl);
        if (r == 1) {
            become_shaken(c);
        } else {
            is_good = SSL_get_error(c->ssl, r) == SSL_ERROR_WANT_READ;
        }
    }
    if (is_good && c->is_shaken) {
        is_good = read_plain(c);
    }
    pump(c);
    if (!is_good) {
        drop(c);
    }
}

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *ret)
{
    struct connection *c = handle->data;
    (void)hint;
    *ret = uv_buf_init(c->chunk, sizeof(c->chunk));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
    struct connection *c = stream->data;
    if (n < 0) {
        drop(c);
    } else if (n > 0 && !c->peer->options.is_mute) {
        BIO_write(SSL_get_rbio(c->ssl), b->base, (int)n);
        on_bytes(c);
    }
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct h2_peer *p = listener->data;
    struct connection *c = MEM_NEW(struct connection);
    assert(status == 0);
    c->peer = p;
    c->ssl = SSL_new(p->ctx);
    SSL_set_bio(c->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(c->ssl);
    uv_tcp_init(loop_uv(p->options.loop), &c->tcp);
    c->tcp.data = c;
    p->handles++;
    p->counts.connections++;
    p->counts.open++;
    list_push_back(&p->connections, &c->link);
    if (uv_accept(listener, (uv_stream_t *)&c->tcp) == 0) {
        uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
    } else {
        drop(c);
    }
}

/* ---- the server ---- */

static int on_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_len,
                   const unsigned char *in, unsigned in_len, void *arg)
{
    struct h2_peer *p = arg;
    (void)ssl;
    if (SSL_select_next_proto((unsigned char **)(uintptr_t)ret, ret_len, p->alpn, p->alpn[0] + 1U,
                              in, in_len) == OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_NOACK;
}

static void make_context(struct h2_peer *p)
{
    const char *alpn = p->options.alpn != NULL ? p->options.alpn : "h2";
    p->ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(p->ctx, p->certificate.cert);
    SSL_CTX_use_PrivateKey(p->ctx, p->certificate.key);
    SSL_CTX_set_session_id_context(p->ctx, (const unsigned char *)"peer", 4);
    if (p->options.tls_version != 0) {
        SSL_CTX_set_max_proto_version(p->ctx, p->options.tls_version);
    }
    p->alpn[0] = (unsigned char)strlen(alpn);
    memcpy(p->alpn + 1, alpn, strlen(alpn));
    if (alpn[0] != '\0') {
        SSL_CTX_set_alpn_select_cb(p->ctx, on_alpn, p);
    }
}

static void listen_anywhere(struct h2_peer *p)
{
    struct sockaddr_in address;
    int len = sizeof(address);
    uv_tcp_init(loop_uv(p->options.loop), &p->listener);
    p->listener.data = p;
    p->handles++;
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_bind(&p->listener, (const struct sockaddr *)&address, 0);
    uv_listen((uv_stream_t *)&p->listener, 128, on_connection);
    uv_tcp_getsockname(&p->listener, (struct sockaddr *)&address, &len);
    p->port = ntohs(address.sin_port);
    snprintf(p->url, sizeof(p->url), "https://127.0.0.1:%u", p->port);
}

struct h2_peer *h2_peer_new(const struct h2_peer_options *o)
{
    struct h2_peer *p = MEM_NEW(struct h2_peer);
    const char *names = o->names != NULL ? o->names : "IP:127.0.0.1,DNS:localhost";
    p->options = *o;
    list_init(&p->connections);
    certificate_init(&p->certificate, names, o->days != 0 ? o->days : 10);
    make_context(p);
    listen_anywhere(p);
    return p;
}

static void on_listener_closed(uv_handle_t *handle)
{
    ((struct h2_peer *)handle->data)->handles--;
}

void h2_peer_drop(struct h2_peer *p)
{
    LIST_FOR_SAFE (node, &p->connections) {
        drop(CONTAINER_OF(node, struct connection, link));
    }
}

void h2_peer_free(struct h2_peer *p)
{
    h2_peer_drop(p);
    uv_close((uv_handle_t *)&p->listener, on_listener_closed);
    while (p->handles > 0) {
        loop_run_once(p->options.loop);
    }
    SSL_CTX_free(p->ctx);
    certificate_done(&p->certificate);
    mem_free(p);
}

void h2_peer_stall(struct h2_peer *p)
{
    LIST_FOR (node, &p->connections) {
        uv_read_stop((uv_stream_t *)&CONTAINER_OF(node, struct connection, link)->tcp);
    }
}

void h2_peer_release(struct h2_peer *p)
{
    LIST_FOR (node, &p->connections) {
        struct connection *c = CONTAINER_OF(node, struct connection, link);
        h2_far_release(c->far);
        pump(c);
    }
}

const char *h2_peer_ca(const struct h2_peer *p)
{
    return p->certificate.ca_file;
}

const char *h2_peer_url(const struct h2_peer *p)
{
    return p->url;
}

uint16_t h2_peer_port(const struct h2_peer *p)
{
    return p->port;
}

const char *h2_peer_sni(const struct h2_peer *p)
{
    return p->sni;
}

const struct h2_peer_counts *h2_peer_counts(const struct h2_peer *p)
{
    return &p->counts;
}
