#include "transfer/net/watch.h"

#include "daemon/base/mem.h"
#include "transfer/net/lane.h"

#include <errno.h>
#include <sys/socket.h>
#include <uv.h>

struct watch {
    uv_poll_t poll;
    struct net *net;
    int fd;
    int events; /* asked of it */
    watch_fn *fn;
    void *arg;
};

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct watch *w = poll->data;
    w->fn(w->arg, w, status, events);
}

struct watch *watch_new(struct net *n, struct loop *loop, int fd, watch_fn *fn, void *arg)
{
    struct watch *w = MEM_NEW(struct watch);
    w->net = n;
    w->fd = fd;
    w->fn = fn;
    w->arg = arg;
    w->poll.data = w;
    if (uv_poll_init_socket(loop_uv(loop), &w->poll, fd) < 0) {
        mem_free(w);
        return NULL;
    }
    net_handle_opened(n);
    return w;
}

int watch_fd(const struct watch *w)
{
    return w->fd;
}

int watch_for(struct watch *w, int events)
{
    if (w->events == events) {
        return 0;
    }
    w->events = events;
    return events != 0 ? uv_poll_start(&w->poll, events, on_poll) : uv_poll_stop(&w->poll);
}

bool watch_is_quiet(const struct watch *w, bool is_tls)
{
    char byte;
    ssize_t n = recv(w->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n > 0 ? is_tls : n < 0 && errno == EAGAIN;
}

static void on_closed(uv_handle_t *handle)
{
    struct watch *w = handle->data;
    struct net *n = w->net;
    mem_free(w);
    net_handle_closed(n);
}

void watch_close(struct watch *w)
{
    uv_poll_stop(&w->poll);
    uv_close((uv_handle_t *)&w->poll, on_closed);
}
