#include "transfer/net/h2.h"

#include "transfer/net/h2_impl.h"

#include <assert.h>
#include <limits.h>

/* What the peer may send before we have said that it is used up; we always use it at once. */
#define STREAM_WINDOW     (16 * 1024 * 1024)
#define CONNECTION_WINDOW INT32_MAX
#define STREAMS_MAX       128 /* at once, whatever the peer allows */
#define STALL_DEFAULT_S   30

/* ---- life ---- */

static void greet(struct h2 *h)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
    };
    nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings,
                            sizeof(settings) / sizeof(settings[0]));
    nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW);
}

struct h2 *h2_new(h2_write_fn *write, void *arg)
{
    struct h2 *h = MEM_NEW(struct h2);
    nghttp2_session_callbacks *callbacks;
    h->write = write;
    h->write_arg = arg;
    list_init(&h->streams);
    list_init(&h->ended);
    nghttp2_session_callbacks_new(&callbacks);
    h2_stream_callbacks(callbacks);
    nghttp2_session_client_new(&h->session, callbacks, h);
    nghttp2_session_callbacks_del(callbacks);
    greet(h);
    return h;
}

void h2_free(struct h2 *h)
{
    if (h == NULL) {
        return;
    }
    LIST_FOR_SAFE (node, &h->streams) {
        struct h2_stream *st = CONTAINER_OF(node, struct h2_stream, link);
        buf_done(&st->text);
        mem_free(st);
    }
    nghttp2_session_del(h->session);
    mem_free(h);
}

/* ---- requests ---- */

/* Never in practice: nghttp2 is out of stream numbers, or of memory. */
static void refuse(struct h2_stream *st, int status)
{
    struct h2 *h = st->h2;
    fail_set(&st->request->fail, REPL_ENET, "HTTP/2 takes no request: %s",
             nghttp2_strerror(status));
    h2_stream_end(st);
    list_remove(&st->link);
    h->open--;
    mem_free(st);
}

void h2_submit(struct h2 *h, struct net_request *r, uint64_t now_us)
{
    struct h2_stream *st = MEM_NEW(struct h2_stream);
    struct arena a;
    size_t count;
    st->h2 = h;
    st->request = r;
    st->expected = ULLONG_MAX;
    st->moved_us = now_us;
    buf_init(&st->text, NET_TEXT_MAX);
    list_push_back(&h->streams, &st->link);
    h->open++;
    arena_init(&a);
    nghttp2_nv *head = h2_head_make(&a, r, &count);
    nghttp2_data_provider body = {.source.ptr = st, .read_callback = h2_stream_read};
    bool has_bytes = r->has_body && r->body.len > 0;
    st->id = nghttp2_submit_request(h->session, NULL, head, count, has_bytes ? &body : NULL, st);
    arena_done(&a);
    if (st->id < 0) {
        refuse(st, st->id);
    }
}

void h2_cancel(struct h2 *h, struct net_request *r)
{
    LIST_FOR (node, &h->streams) {
        struct h2_stream *st = CONTAINER_OF(node, struct h2_stream, link);
        if (st->request == r) {
            h2_stream_detach(st);
            nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_CANCEL);
            return;
        }
    }
    list_remove(&r->link); /* it had ended */
}

struct net_request *h2_next_ended(struct h2 *h)
{
    struct list *node = list_first(&h->ended);
    if (node == NULL) {
        return NULL;
    }
    list_remove(node);
    return CONTAINER_OF(node, struct net_request, link);
}

void h2_ping(struct h2 *h)
{
    nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL);
}

/* ---- bytes ---- */

static void break_off(struct h2 *h, const char *why)
{
    if (h->fail.code == 0) {
        fail_set(&h->fail, REPL_EPROTO, "HTTP/2 failed: %s", why);
    }
    h->is_over = true;
}

void h2_feed(struct h2 *h, struct span bytes, uint64_t now_us)
{
    h->now_us = now_us;
    if (h->fed_bytes == 0 && span_starts_with(bytes, span_str("HTTP/"))) {
        break_off(h, "server answers in HTTP/1.1");
    }
    h->fed_bytes += bytes.len;
    if (h->is_over) {
        return;
    }
    ssize_t n = nghttp2_session_mem_recv(h->session, (const uint8_t *)bytes.ptr, bytes.len);
    if (n < 0) {
        break_off(h, nghttp2_strerror((int)n));
    }
}

/* Everything is written and yet there is body left: only windows can hold it. */
static void note_held(struct h2 *h)
{
    struct h2_counts *c = &h->counts;
    bool is_held = !h->is_full && h->unsent > 0;
    if (c->held_since_us != 0) {
        c->held_us += h->now_us - c->held_since_us;
    }
    c->held_since_us = is_held ? h->now_us : 0;
    if (!is_held) {
        c->held = H2_NOT_HELD;
    } else if (nghttp2_session_get_remote_window_size(h->session) <= 0) {
        c->held = H2_HELD_BY_CONNECTION;
    } else {
        c->held = H2_HELD_BY_STREAM;
    }
}

void h2_fill(struct h2 *h, uint64_t now_us)
{
    const uint8_t *data;
    ssize_t n = 0;
    h->now_us = now_us;
    h->is_full = false;
    while (!h->is_full && (n = nghttp2_session_mem_send(h->session, &data)) > 0) {
        h->is_full = !h->write(h->write_arg, span_of((const char *)data, (size_t)n));
    }
    if (n < 0) {
        break_off(h, nghttp2_strerror((int)n));
    }
    note_held(h);
}

/* ---- ends ---- */

void h2_check_stalls(struct h2 *h, uint64_t now_us)
{
    LIST_FOR (node, &h->streams) {
        struct h2_stream *st = CONTAINER_OF(node, struct h2_stream, link);
        struct net_request *r = st->request;
        unsigned stall_s = r != NULL && r->stall_s > 0 ? r->stall_s : STALL_DEFAULT_S;
        if (r != NULL && now_us - st->moved_us >= (uint64_t)stall_s * 1000000) {
            fail_set(&r->fail, REPL_ETIMEOUT, "no byte in either direction for %u s", stall_s);
            h2_stream_give_up(st);
        }
    }
}

void h2_lose(struct h2 *h, const struct fail *f)
{
    h->is_over = true;
    LIST_FOR (node, &h->streams) {
        struct h2_stream *st = CONTAINER_OF(node, struct h2_stream, link);
        if (st->request != NULL) {
            st->request->fail = h->fail.code != 0 ? h->fail : *f;
            st->request->no_h2 = st->request->fail.code == REPL_EPROTO;
            h2_stream_end(st);
        }
    }
}

/* ---- what is known ---- */

bool h2_is_spent(const struct h2 *h)
{
    return h->is_over || h->fail.code != 0 ||
           nghttp2_session_check_request_allowed(h->session) == 0;
}

bool h2_is_over(const struct h2 *h)
{
    return h->is_over || (nghttp2_session_want_read(h->session) == 0 &&
                          nghttp2_session_want_write(h->session) == 0);
}

unsigned h2_room(const struct h2 *h)
{
    unsigned limit = h2_peer(h).max_streams;
    limit = limit < STREAMS_MAX ? limit : STREAMS_MAX;
    return h2_is_spent(h) || h->open >= limit ? 0 : limit - h->open;
}

const struct fail *h2_fail(const struct h2 *h)
{
    return &h->fail;
}

struct h2_peer h2_peer(const struct h2 *h)
{
    nghttp2_session *s = h->session;
    return (struct h2_peer){
        .is_known = h->has_peer,
        .max_streams =
            nghttp2_session_get_remote_settings(s, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS),
        .window_bytes =
            nghttp2_session_get_remote_settings(s, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE),
        .max_frame_bytes = nghttp2_session_get_remote_settings(s, NGHTTP2_SETTINGS_MAX_FRAME_SIZE),
    };
}

struct h2_counts h2_counts(const struct h2 *h, uint64_t now_us)
{
    struct h2_counts c = h->counts;
    if (c.held_since_us != 0) {
        c.held_us += now_us - c.held_since_us;
    }
    return c;
}
