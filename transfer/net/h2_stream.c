/* One request on its stream: the body out, the answer in, and how it ends. */
#include "transfer/net/h2_impl.h"
#include "transfer/net/lane.h"

#include <limits.h>
#include <stdio.h>

#define HEAD_MAX ((size_t)256 * 1024) /* bytes of names and values of an answer */

static struct h2_stream *stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

/* ---- ends ---- */

static bool is_unsent(const struct h2_stream *st)
{
    return st->is_sent && st->request != NULL && st->request->has_body &&
           st->sent < st->request->body.len;
}

struct net_request *h2_stream_detach(struct h2_stream *st)
{
    struct net_request *r = st->request;
    st->h2->unsent -= is_unsent(st) ? 1 : 0;
    r->left = st->is_sent;
    r->wire_sent = st->sent;
    st->request = NULL;
    return r;
}

void h2_stream_end(struct h2_stream *st)
{
    struct net_request *r = h2_stream_detach(st);
    r->text = arena_span(r->arena, buf_view(&st->text));
    list_push_back(&st->h2->ended, &r->link);
}

void h2_stream_give_up(struct h2_stream *st)
{
    h2_stream_end(st);
    nghttp2_submit_rst_stream(st->h2->session, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_CANCEL);
}

static void end_with_answer(struct h2_stream *st)
{
    bool is_whole = !is_unsent(st); /* a server may answer before it has all of a body */
    if (is_whole) {
        h2_stream_end(st);
    } else {
        h2_stream_give_up(st);
    }
}

/* Whether an error code says that the two sides do not understand each other's HTTP/2. */
static bool is_breach(uint32_t code)
{
    switch (code) {
    case NGHTTP2_NO_ERROR:
    case NGHTTP2_INTERNAL_ERROR:
    case NGHTTP2_STREAM_CLOSED:
    case NGHTTP2_REFUSED_STREAM:
    case NGHTTP2_CANCEL:
    case NGHTTP2_CONNECT_ERROR:
        return false;
    default:
        return true;
    }
}

static bool is_short(const struct h2_stream *st)
{
    return st->is_answered && st->expected != ULLONG_MAX && st->came < st->expected;
}

/* The stream ends without the end of an answer: the peer has reset it, or nghttp2 did because of
 * what came, or the peer's GOAWAY says that it never looked at it. */
static void end_without_answer(struct h2_stream *st, uint32_t code)
{
    struct net_request *r = st->request;
    const struct fail *known = &st->h2->fail;
    bool was_refused = code == NGHTTP2_REFUSED_STREAM || code == NGHTTP2_HTTP_1_1_REQUIRED;
    if (known->code != 0) {
        r->fail = *known;
    } else if (is_short(st)) {
        fail_set(&r->fail, REPL_ESHORT, "answer ended after %zu of %llu bytes", st->came,
                 st->expected);
    } else {
        fail_set(&r->fail, is_breach(code) ? REPL_EPROTO : REPL_ENET,
                 "HTTP/2 stream was closed without an answer: %s", nghttp2_http2_strerror(code));
    }
    r->no_h2 = r->fail.code == REPL_EPROTO;
    h2_stream_end(st);
    r->left = r->left && !was_refused;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
    struct h2_stream *st = stream_of(session, id);
    (void)arg;
    if (st == NULL) {
        return 0;
    }
    if (st->request != NULL) {
        end_without_answer(st, code);
    }
    list_remove(&st->link);
    st->h2->open--;
    buf_done(&st->text);
    mem_free(st);
    return 0;
}

/* ---- the body out ---- */

ssize_t h2_stream_read(nghttp2_session *session, int32_t id, uint8_t *to, size_t limit,
                       uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct h2_stream *st = source->ptr;
    (void)session;
    (void)id;
    (void)to;
    (void)arg;
    if (st->request == NULL) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* is being reset */
    }
    size_t left = st->request->body.len - st->sent;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY | (left <= limit ? NGHTTP2_DATA_FLAG_EOF : 0U);
    return (ssize_t)(left <= limit ? left : limit);
}

static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                        size_t len, nghttp2_data_source *source, void *arg)
{
    struct h2_stream *st = source->ptr;
    struct h2 *h = arg;
    (void)session;
    (void)frame;
    h->write(h->write_arg, span_of((const char *)head, 9));
    h->is_full = !h->write(h->write_arg, span_of(st->request->body.ptr + st->sent, len));
    st->sent += len;
    st->moved_us = h->now_us;
    h->counts.body_sent_bytes += len;
    st->request->sent_us = h->now_us;
    h->unsent -= st->sent == st->request->body.len ? 1 : 0;
    return h->is_full ? NGHTTP2_ERR_PAUSE : 0;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2 *h = arg;
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR) {
        fail_set(&h->fail, REPL_EPROTO, "server violates HTTP/2: %s (%.*s)",
                 nghttp2_http2_strerror(frame->goaway.error_code),
                 (int)frame->goaway.opaque_data_len, (const char *)frame->goaway.opaque_data);
        h->is_over = true;
    }
    if (frame->hd.type != NGHTTP2_HEADERS) {
        return 0;
    }
    struct h2_stream *st = stream_of(session, frame->hd.stream_id);
    if (st != NULL && !st->is_sent) {
        st->is_sent = true;
        if (st->request != NULL) {
            st->request->sent_us = h->now_us;
        }
        h->unsent += is_unsent(st) ? 1 : 0;
    }
    return 0;
}

/* ---- the answer in ---- */

static void start_head(struct net_request *r, struct span value)
{
    unsigned long long status = 0;
    span_to_u64(value, &status);
    r->status = (unsigned)status;
    r->answer_count = 0;
    if (r->answer == NULL) {
        r->answer = arena_alloc(r->arena, LANE_HEADERS_MAX * sizeof(*r->answer));
    }
}

static void add_header(struct h2_stream *st, struct span name, struct span value)
{
    struct net_request *r = st->request;
    if (r->answer == NULL || r->answer_count == LANE_HEADERS_MAX) {
        return;
    }
    struct net_header *h = &r->answer[r->answer_count++];
    h->name = arena_span(r->arena, name);
    h->value = arena_span(r->arena, value);
    if (span_eq_str(name, "content-length")) {
        span_to_u64(value, &st->expected);
    }
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *arg)
{
    struct h2_stream *st = stream_of(session, frame->hd.stream_id);
    const struct h2 *h = arg;
    struct span n = span_of((const char *)name, name_len);
    struct span v = span_of((const char *)value, value_len);
    (void)flags;
    if (st == NULL || st->request == NULL || st->is_answered) {
        return 0; /* of no interest, or a trailer */
    }
    st->head_bytes += name_len + value_len;
    if (st->head_bytes > HEAD_MAX) {
        fail_set(&st->request->fail, REPL_ETOOBIG, "head of the answer is larger than %zu bytes",
                 HEAD_MAX);
        h2_stream_give_up(st);
    } else if (span_eq_str(n, ":status")) {
        start_head(st->request, v);
        st->request->first_us = h->now_us;
    } else {
        add_header(st, n, v);
    }
    return 0;
}

static void take_body(struct h2_stream *st, struct span data)
{
    struct net_request *r = st->request;
    bool has_room = true;
    if (r->into == NULL || r->status < 200 || r->status > 299) {
        buf_span(&st->text, data);
        has_room = buf_error(&st->text) == 0;
    } else if (data.len > r->into_size - r->received) {
        has_room = false;
    } else {
        memcpy(r->into + r->received, data.ptr, data.len);
        r->received += data.len;
    }
    if (!has_room) {
        buf_reset(&st->text);
        fail_set(&r->fail, REPL_ETOOBIG, "answer is larger than it may be");
        h2_stream_give_up(st);
    }
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *arg)
{
    struct h2_stream *st = stream_of(session, id);
    struct h2 *h = arg;
    (void)flags;
    h->counts.body_came_bytes += len;
    if (st != NULL && st->request != NULL) {
        st->came += len;
        st->moved_us = h->now_us;
        take_body(st, span_of((const char *)data, len));
    }
    return 0;
}

static void peer_leaves(struct h2 *h, const nghttp2_goaway *g)
{
    if (is_breach(g->error_code)) {
        fail_set(&h->fail, REPL_EPROTO, "server gives HTTP/2 up: %s (%.*s)",
                 nghttp2_http2_strerror(g->error_code),
                 (int)(g->opaque_data_len < 80 ? g->opaque_data_len : 80),
                 (const char *)g->opaque_data);
    }
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2 *h = arg;
    if (frame->hd.type == NGHTTP2_SETTINGS) {
        h->has_peer = true;
    } else if (frame->hd.type == NGHTTP2_GOAWAY) {
        peer_leaves(h, &frame->goaway);
    }
    struct h2_stream *st =
        frame->hd.stream_id != 0 ? stream_of(session, frame->hd.stream_id) : NULL;
    if (st == NULL || st->request == NULL) {
        return 0;
    }
    st->moved_us = h->now_us;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) {
        return 0;
    }
    st->is_answered = st->is_answered || st->request->status >= 200;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        end_with_answer(st);
    }
    return 0;
}

void h2_stream_callbacks(nghttp2_session_callbacks *to)
{
    nghttp2_session_callbacks_set_send_data_callback(to, on_send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(to, on_frame_send);
    nghttp2_session_callbacks_set_on_header_callback(to, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(to, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(to, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(to, on_stream_close);
}
