#include "transfer/net/tcp.h"

#include "daemon/base/list.h"
#include "daemon/base/mem.h"

#include <uv.h>

#define READ_BYTES ((size_t)64 * 1024)

struct tcp {
    uv_tcp_t handle;
    uv_connect_t connecting;
    uv_write_t writing;
    struct deferred refused; /* no socket, or no address: known before the first turn */
    int refused_status;
    const struct tcp_events *events;
    void *arg;
    struct buf flight; /* of the write under way */
    char *block;       /* what came, READ_BYTES */
    int fd;
    bool is_sending;
    bool is_closing;
    bool is_lost;
    loop_fn *closed;
    void *closed_arg;
};

static void lose(struct tcp *t, int status)
{
    if (!t->is_closing && !t->is_lost) {
        t->is_lost = true;
        uv_read_stop((uv_stream_t *)&t->handle);
        t->events->lost(t->arg, status);
    }
}

static void on_refused(void *arg)
{
    struct tcp *t = arg;
    lose(t, t->refused_status);
}

/* ---- in ---- */

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *ret)
{
    struct tcp *t = handle->data;
    (void)hint;
    if (t->block == NULL) {
        t->block = mem_alloc(READ_BYTES);
    }
    *ret = uv_buf_init(t->block, READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
    struct tcp *t = stream->data;
    if (n > 0) {
        t->events->came(t->arg, span_of(b->base, (size_t)n));
    } else if (n < 0) {
        lose(t, (int)n);
    }
}

static void on_connected(uv_connect_t *connecting, int status)
{
    struct tcp *t = connecting->data;
    if (t->is_closing) {
        return;
    }
    if (status == 0) {
        status = uv_read_start((uv_stream_t *)&t->handle, on_alloc, on_read);
    }
    if (status < 0) {
        lose(t, status);
        return;
    }
    t->events->connected(t->arg);
}

/* ---- out ---- */

static void on_written(uv_write_t *writing, int status)
{
    struct tcp *t = writing->data;
    t->is_sending = false;
    buf_reset(&t->flight);
    if (t->is_closing || t->is_lost) {
        return;
    }
    if (status < 0) {
        lose(t, status);
        return;
    }
    t->events->sent(t->arg);
}

void tcp_send(struct tcp *t, struct buf *b)
{
    struct buf empty = t->flight;
    t->flight = *b;
    *b = empty;
    t->is_sending = true;
    uv_buf_t bytes = uv_buf_init(t->flight.data, (unsigned)t->flight.len);
    int r = uv_write(&t->writing, (uv_stream_t *)&t->handle, &bytes, 1, on_written);
    if (r < 0) {
        t->is_sending = false;
        t->refused_status = r;
        deferred_call(&t->refused);
    }
}

bool tcp_is_sending(const struct tcp *t)
{
    return t->is_sending;
}

int tcp_fd(const struct tcp *t)
{
    return t->fd;
}

/* ---- life ---- */

static int start(struct tcp *t, const struct tcp_options *o)
{
    int r = uv_tcp_init_ex(loop_uv(o->loop), &t->handle, o->address->sa_family);
    if (r < 0) {
        /* A handle all the same, so that there is one to close. */
        uv_tcp_init(loop_uv(o->loop), &t->handle);
        return r;
    }
    r = uv_fileno((uv_handle_t *)&t->handle, &t->fd);
    if (r < 0) {
        return r;
    }
    if (o->tune != NULL) {
        o->tune(o->arg, t->fd);
    }
    return uv_tcp_connect(&t->connecting, &t->handle, o->address, on_connected);
}

struct tcp *tcp_open(const struct tcp_options *o)
{
    struct tcp *t = MEM_NEW(struct tcp);
    t->events = o->events;
    t->arg = o->arg;
    t->fd = -1;
    t->connecting.data = t;
    t->writing.data = t;
    deferred_init(&t->refused, o->loop, on_refused, t);
    t->refused_status = start(t, o);
    t->handle.data = t;
    if (t->refused_status < 0) {
        deferred_call(&t->refused);
    }
    return t;
}

static void on_closed(uv_handle_t *handle)
{
    struct tcp *t = handle->data;
    loop_fn *closed = t->closed;
    void *arg = t->closed_arg;
    buf_done(&t->flight);
    mem_free(t->block);
    mem_free(t);
    closed(arg);
}

void tcp_close(struct tcp *t, loop_fn *closed, void *arg)
{
    t->is_closing = true;
    t->fd = -1;
    t->closed = closed;
    t->closed_arg = arg;
    deferred_cancel(&t->refused);
    uv_close((uv_handle_t *)&t->handle, on_closed);
}
