#include "tests/unit/support/h2_far.h"

#include "daemon/base/list.h"
#include "daemon/base/mem.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>

struct h2_far {
    nghttp2_session *session;
    struct h2_far_counts *counts;
    struct list streams;
    unsigned open;
    bool wants_close;
};

struct stream {
    struct list link;
    int32_t id;
    char path[128];
    uint64_t came;
    uint64_t sum;
    uint64_t to_send;
    uint64_t sent;
    bool has_trailer;
};

char h2_far_byte(uint64_t at)
{
    return (char)(at * 7 + at / 251);
}

uint64_t h2_far_sum(uint64_t sum, struct span bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        sum = sum * 31 + (unsigned char)bytes.ptr[i];
    }
    return sum;
}

/* ---- answers ---- */

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static ssize_t on_source(nghttp2_session *session, int32_t id, uint8_t *to, size_t limit,
                         uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct stream *st = source->ptr;
    (void)arg;
    size_t n = st->to_send - st->sent < limit ? (size_t)(st->to_send - st->sent) : limit;
    for (size_t i = 0; i < n; i++) {
        to[i] = (uint8_t)h2_far_byte(st->sent + i);
    }
    st->sent += n;
    if (st->sent == st->to_send) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (st->has_trailer) {
            nghttp2_nv trailer = field("x-trailer", "late");
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            nghttp2_submit_trailer(session, id, &trailer, 1);
        }
    }
    return (ssize_t)n;
}

static void answer(struct h2_far *f, struct stream *st, const char *status, nghttp2_nv *more,
                   size_t count)
{
    nghttp2_nv *nv = mem_array(count + 1, sizeof(*nv));
    nghttp2_data_provider body = {.source.ptr = st, .read_callback = on_source};
    nv[0] = field(":status", status);
    for (size_t i = 0; i < count; i++) {
        nv[i + 1] = more[i];
    }
    nghttp2_submit_response(f->session, st->id, nv, count + 1, st->to_send > 0 ? &body : NULL);
    mem_free(nv);
}

static void answer_put(struct h2_far *f, struct stream *st)
{
    char bytes[32], sum[32];
    snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)st->came);
    snprintf(sum, sizeof(sum), "%llu", (unsigned long long)st->sum);
    nghttp2_nv more[] = {field("x-bytes", bytes), field("x-sum", sum)};
    answer(f, st, "200", more, 2);
}

static void answer_get(struct h2_far *f, struct stream *st, const char *length, uint64_t to_send)
{
    nghttp2_nv more[] = {field("content-length", length)};
    st->to_send = to_send;
    answer(f, st, "200", more, 1);
}

static void answer_heads(struct h2_far *f, struct stream *st, const char *numbers)
{
    char *rest;
    size_t count = strtoul(numbers, &rest, 10);
    size_t len = strtoul(rest + 1, NULL, 10);
    char *value = mem_alloc(len + 1);
    nghttp2_nv *nv = mem_array(count, sizeof(*nv));
    memset(value, 'v', len);
    for (size_t i = 0; i < count; i++) {
        nv[i] = field("x-field", value);
    }
    answer(f, st, "200", nv, count);
    mem_free(nv);
    mem_free(value);
}

static void answer_interim(struct h2_far *f, struct stream *st)
{
    nghttp2_nv early[] = {field(":status", "103"), field("link", "nothing")};
    nghttp2_submit_headers(f->session, NGHTTP2_FLAG_NONE, st->id, NULL, early, 2, NULL);
    st->has_trailer = true;
    answer_get(f, st, "5", 5);
}

static bool begins(const struct stream *st, const char *with)
{
    return strncmp(st->path, with, strlen(with)) == 0;
}

static void on_head(struct h2_far *f, struct stream *st)
{
    f->counts->heads++;
    if (begins(st, "/early")) {
        answer(f, st, "403", NULL, 0);
    } else if (begins(st, "/reset/")) {
        nghttp2_submit_rst_stream(f->session, 0, st->id, (uint32_t)atoi(st->path + 7));
    } else if (begins(st, "/leave/")) {
        nghttp2_submit_goaway(f->session, 0, st->id - 2, (uint32_t)atoi(st->path + 7),
                              (const uint8_t *)"bye", 3);
    } else if (begins(st, "/last/")) {
        nghttp2_submit_goaway(f->session, 0, st->id, (uint32_t)atoi(st->path + 6), NULL, 0);
    } else if (begins(st, "/close")) {
        f->wants_close = true;
    }
}

static void on_whole(struct h2_far *f, struct stream *st)
{
    f->counts->whole++;
    if (begins(st, "/put/")) {
        f->counts->times[atoi(st->path + 5) % H2_FAR_PATHS]++;
    }
    if (begins(st, "/put") || begins(st, "/last/")) {
        answer_put(f, st);
    } else if (begins(st, "/get/")) {
        answer_get(f, st, st->path + 5, strtoull(st->path + 5, NULL, 10));
    } else if (begins(st, "/head/")) {
        answer_heads(f, st, st->path + 6);
    } else if (begins(st, "/short")) {
        answer_get(f, st, "10", 5);
    } else if (begins(st, "/interim")) {
        answer_interim(f, st);
    }
}

/* ---- callbacks ---- */

static int on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2_far *f = arg;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        struct stream *st = MEM_NEW(struct stream);
        st->id = frame->hd.stream_id;
        list_push_back(&f->streams, &st->link);
        f->open++;
        f->counts->most = f->open > f->counts->most ? f->open : f->counts->most;
        nghttp2_session_set_stream_user_data(session, st->id, st);
    }
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *arg)
{
    struct stream *st = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    (void)flags;
    (void)arg;
    if (st != NULL && name_len == 5 && memcmp(name, ":path", 5) == 0) {
        snprintf(st->path, sizeof(st->path), "%.*s", (int)value_len, (const char *)value);
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *arg)
{
    struct stream *st = nghttp2_session_get_stream_user_data(session, id);
    struct h2_far *f = arg;
    (void)flags;
    f->counts->body_bytes += len;
    if (st != NULL) {
        st->came += len;
        st->sum = h2_far_sum(st->sum, span_of((const char *)data, len));
    }
    return 0;
}

static void note(struct h2_far_counts *c, const nghttp2_frame *frame)
{
    switch (frame->hd.type) {
    case NGHTTP2_DATA:
        c->data_frames++;
        break;
    case NGHTTP2_RST_STREAM:
        c->resets++;
        break;
    case NGHTTP2_PING:
        c->pings += (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0 ? 1 : 0;
        break;
    case NGHTTP2_GOAWAY:
        c->goaways += frame->goaway.error_code != NGHTTP2_NO_ERROR ? 1 : 0;
        c->goaway_code = frame->goaway.error_code;
        break;
    default:
        break;
    }
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2_far *f = arg;
    note(f->counts, frame);
    struct stream *st = frame->hd.stream_id != 0
                            ? nghttp2_session_get_stream_user_data(session, frame->hd.stream_id)
                            : NULL;
    if (st == NULL || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)) {
        return 0;
    }
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        on_head(f, st);
    }
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        on_whole(f, st);
    }
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
    struct stream *st = nghttp2_session_get_stream_user_data(session, id);
    struct h2_far *f = arg;
    (void)code;
    if (st != NULL) {
        list_remove(&st->link);
        f->open--;
        mem_free(st);
    }
    return 0;
}

/* ---- life ---- */

static void greet(struct h2_far *f, const struct h2_far_options *o)
{
    uint32_t window = o->window_bytes > 0 ? o->window_bytes : INT32_MAX;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, o->max_streams > 0 ? o->max_streams : 100},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window},
    };
    nghttp2_submit_settings(f->session, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(
        f->session, NGHTTP2_FLAG_NONE, 0,
        (int32_t)(o->connection_bytes > 0 ? o->connection_bytes : window));
}

struct h2_far *h2_far_new(const struct h2_far_options *o, struct h2_far_counts *counts)
{
    struct h2_far *f = MEM_NEW(struct h2_far);
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    f->counts = counts;
    list_init(&f->streams);
    nghttp2_option_new(&option);
    nghttp2_option_set_no_auto_window_update(option, o->holds);
    nghttp2_option_set_max_send_header_block_length(option, 1 << 20); /* for /head */
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_server_new2(&f->session, callbacks, f, option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    greet(f, o);
    return f;
}

void h2_far_free(struct h2_far *f)
{
    if (f == NULL) {
        return;
    }
    LIST_FOR_SAFE (node, &f->streams) {
        mem_free(CONTAINER_OF(node, struct stream, link));
    }
    nghttp2_session_del(f->session);
    mem_free(f);
}

bool h2_far_feed(struct h2_far *f, struct span bytes)
{
    return nghttp2_session_mem_recv(f->session, (const uint8_t *)bytes.ptr, bytes.len) ==
           (ssize_t)bytes.len;
}

void h2_far_take(struct h2_far *f, struct buf *to)
{
    const uint8_t *data;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(f->session, &data)) > 0) {
        buf_append(to, data, (size_t)n);
    }
}

bool h2_far_wants_close(const struct h2_far *f)
{
    return f->wants_close;
}

void h2_far_release(struct h2_far *f)
{
    LIST_FOR (node, &f->streams) {
        struct stream *st = CONTAINER_OF(node, struct stream, link);
        int32_t n = nghttp2_session_get_stream_effective_recv_data_length(f->session, st->id);
        nghttp2_session_consume_stream(f->session, st->id, (size_t)(n > 0 ? n : 0));
    }
    int32_t n = nghttp2_session_get_effective_recv_data_length(f->session);
    nghttp2_session_consume_connection(f->session, (size_t)(n > 0 ? n : 0));
}
