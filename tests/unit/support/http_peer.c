#include "tests/unit/support/http_peer.h"

#include "daemon/base/buf.h"
#include "daemon/base/list.h"
#include "daemon/base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

struct http_peer {
    uv_tcp_t listener;
    struct loop *loop;
    char url[64];
    enum http_peer_does what;
    struct span body;
    struct list connections;
    struct http_peer_counts counts;
    unsigned handles;
};

struct connection {
    uv_tcp_t tcp;
    struct list link;
    struct http_peer *peer;
    struct buf in;
    bool hangs; /* a request waits for its answer */
    char chunk[65536];
};

struct answer {
    uv_write_t write;
    struct buf bytes;
};

static void on_closed(uv_handle_t *h)
{
    struct connection *c = h->data;
    c->peer->handles--;
    buf_done(&c->in);
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

static void on_written(uv_write_t *w, int status)
{
    struct answer *a = CONTAINER_OF(w, struct answer, write);
    (void)status;
    buf_done(&a->bytes);
    mem_free(a);
}

static void answer(struct connection *c)
{
    struct answer *a = MEM_NEW(struct answer);
    buf_init(&a->bytes, 0);
    buf_printf(&a->bytes, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", c->peer->body.len);
    buf_span(&a->bytes, c->peer->body);
    uv_buf_t out = uv_buf_init(a->bytes.data, (unsigned)a->bytes.len);
    uv_write(&a->write, (uv_stream_t *)&c->tcp, &out, 1, on_written);
}

static void respond(struct connection *c)
{
    c->peer->counts.requests++;
    if (c->peer->what == HTTP_PEER_ANSWERS) {
        answer(c);
    } else if (c->peer->what == HTTP_PEER_DROPS) {
        drop(c);
    } else {
        c->hangs = true;
    }
}

/* Bytes of the first request in `in` when it is complete, else 0. */
static size_t request_length(struct connection *c)
{
    const char *text = buf_cstr(&c->in);
    const char *end = strstr(text, "\r\n\r\n");
    const char *length = strstr(text, "Content-Length: ");
    if (end == NULL) {
        return 0;
    }
    size_t need = (size_t)(end - text) + 4;
    if (length != NULL && length < end) {
        need += strtoul(length + 16, NULL, 10);
    }
    return c->in.len >= need ? need : 0;
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *to)
{
    struct connection *c = h->data;
    (void)suggested;
    *to = uv_buf_init(c->chunk, sizeof(c->chunk));
}

static void on_bytes(uv_stream_t *stream, ssize_t n, const uv_buf_t *from)
{
    struct connection *c = stream->data;
    if (n < 0) {
        drop(c);
        return;
    }
    buf_append(&c->in, from->base, (size_t)n);
    size_t length = request_length(c);
    if (length > 0) {
        assert(length == c->in.len); /* no pipelining */
        buf_reset(&c->in);
        respond(c);
    }
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct http_peer *p = listener->data;
    assert(status == 0);
    struct connection *c = MEM_NEW(struct connection);
    c->peer = p;
    buf_init(&c->in, 0);
    uv_tcp_init(listener->loop, &c->tcp);
    c->tcp.data = c;
    list_push_back(&p->connections, &c->link);
    p->handles++;
    p->counts.connections++;
    p->counts.open++;
    p->counts.most_open =
        p->counts.open > p->counts.most_open ? p->counts.open : p->counts.most_open;
    uv_accept(listener, (uv_stream_t *)&c->tcp);
    uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_bytes);
}

struct http_peer *http_peer_new(struct loop *loop)
{
    struct http_peer *p = MEM_NEW(struct http_peer);
    struct sockaddr_in at;
    int len = sizeof(at);
    p->loop = loop;
    list_init(&p->connections);
    uv_tcp_init(loop_uv(loop), &p->listener);
    p->listener.data = p;
    p->handles = 1;
    uv_ip4_addr("127.0.0.1", 0, &at);
    uv_tcp_bind(&p->listener, (struct sockaddr *)&at, 0);
    int status = uv_listen((uv_stream_t *)&p->listener, 128, on_connection);
    assert(status == 0);
    (void)status;
    uv_tcp_getsockname(&p->listener, (struct sockaddr *)&at, &len);
    snprintf(p->url, sizeof(p->url), "http://127.0.0.1:%d", ntohs(at.sin_port));
    return p;
}

static void on_listener_closed(uv_handle_t *h)
{
    struct http_peer *p = h->data;
    p->handles--;
}

void http_peer_free(struct http_peer *p)
{
    LIST_FOR_SAFE (node, &p->connections) {
        drop(CONTAINER_OF(node, struct connection, link));
    }
    uv_close((uv_handle_t *)&p->listener, on_listener_closed);
    while (p->handles > 0) {
        loop_run_once(p->loop);
    }
    mem_free(p);
}

const char *http_peer_url(const struct http_peer *p)
{
    return p->url;
}

void http_peer_does(struct http_peer *p, enum http_peer_does what, struct span body)
{
    p->what = what;
    p->body = body;
}

void http_peer_release(struct http_peer *p)
{
    LIST_FOR_SAFE (node, &p->connections) {
        struct connection *c = CONTAINER_OF(node, struct connection, link);
        if (c->hangs) {
            c->hangs = false;
            answer(c);
        }
    }
}

struct http_peer_counts http_peer_counts(const struct http_peer *p)
{
    return p->counts;
}
