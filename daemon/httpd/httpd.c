#include "daemon/httpd/httpd.h"

#include "daemon/base/mem.h"
#include "daemon/httpd/httpd_internal.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define BODY_MAX_DEFAULT        ((size_t)1024 * 1024)
#define CONNECTIONS_MAX_DEFAULT 256u
#define IDLE_DEFAULT_S          60u
/* Head of a request and of its answer; a longer head is refused with 431. */
#define CONNECTION_MEMORY ((size_t)32 * 1024)

/* Plans the next look at libmicrohttpd: what it has left over now, or its nearest timeout. */
static void schedule(struct httpd *h)
{
    MHD_UNSIGNED_LONG_LONG wait_ms;
    if (MHD_get_timeout(h->mhd, &wait_ms) != MHD_YES) {
        timer_stop(&h->timeout);
    } else if (wait_ms == 0) {
        deferred_call(&h->pump);
    } else {
        timer_start(&h->timeout, wait_ms);
    }
}

static unsigned connection_count(const struct httpd *h)
{
    return MHD_get_daemon_info(h->mhd, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections;
}

/* At its connection limit libmicrohttpd does not listen, and takes that up only in a run after the
 * one in which a connection ended. */
static void run(void *arg)
{
    struct httpd *h = arg;
    unsigned before = connection_count(h);
    MHD_run(h->mhd);
    httpd_connections_settle(h);
    if (connection_count(h) < before) {
        deferred_call(&h->pump);
    }
    schedule(h);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    run(poll->data);
}

__attribute__((format(printf, 2, 0))) static void log_line(void *cls, const char *format,
                                                           va_list args)
{
    const struct httpd *h = cls;
    char text[256];
    vsnprintf(text, sizeof(text), format, args);
    text[strcspn(text, "\r\n")] = '\0';
    LOG_INFO(h->options.log, "httpd", "%s: %s", h->options.name, text);
}

static void apply_defaults(struct httpd_options *options)
{
    if (options->body_max == 0) {
        options->body_max = BODY_MAX_DEFAULT;
    }
    if (options->connections_max == 0) {
        options->connections_max = CONNECTIONS_MAX_DEFAULT;
    }
    if (options->idle_s == 0) {
        options->idle_s = IDLE_DEFAULT_S;
    }
    if (options->name == NULL) {
        options->name = "httpd";
    }
}

static int start_mhd(struct httpd *h, struct fail *f)
{
    /* clang-format off */
    h->mhd = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        httpd_request_feed, h,
        MHD_OPTION_EXTERNAL_LOGGER, log_line, h, /* first, to hear of the others */
        MHD_OPTION_LISTEN_SOCKET, h->listener.fd,
        MHD_OPTION_CONNECTION_LIMIT, h->options.connections_max,
        MHD_OPTION_CONNECTION_TIMEOUT, h->options.idle_s,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY,
        MHD_OPTION_URI_LOG_CALLBACK, httpd_request_begin, h,
        MHD_OPTION_NOTIFY_CONNECTION, httpd_connection_notify, h,
        MHD_OPTION_NOTIFY_COMPLETED, httpd_request_completed, h,
        MHD_OPTION_END);
    /* clang-format on */
    return h->mhd != NULL ? 0
                          : fail_set(f, REPL_EINTERNAL, "listener %s: the server does not start",
                                     h->options.name);
}

static void close_done(uv_handle_t *handle)
{
    mem_free(handle);
}

static int start_poll(struct httpd *h, struct fail *f)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->mhd, MHD_DAEMON_INFO_EPOLL_FD);
    h->poll = MEM_NEW(uv_poll_t);
    int rc = uv_poll_init(loop_uv(h->options.loop), h->poll, info->epoll_fd);
    if (rc != 0) {
        mem_free(h->poll);
        return fail_set(f, rc, "listener %s: %s", h->options.name, uv_strerror(rc));
    }
    h->poll->data = h;
    rc = uv_poll_start(h->poll, UV_READABLE, on_readable);
    if (rc != 0) {
        uv_close((uv_handle_t *)h->poll, close_done);
        return fail_set(f, rc, "listener %s: %s", h->options.name, uv_strerror(rc));
    }
    return 0;
}

int httpd_open(const struct httpd_options *options, struct httpd **ret, struct fail *f)
{
    if (loop_uv(options->loop) == NULL) {
        return fail_set(f, -ENOTSUP, "a virtual loop has no sockets");
    }
    struct httpd *h = MEM_NEW(struct httpd);
    h->options = *options;
    apply_defaults(&h->options);
    list_init(&h->requests);
    httpd_connections_init(h);
    deferred_init(&h->pump, options->loop, run, h);
    timer_init(&h->timeout, options->loop, run, h);
    int rc = httpd_listen(&h->options, &h->listener, f);
    if (rc != 0) {
        goto out;
    }
    rc = start_mhd(h, f);
    if (rc != 0) {
        close(h->listener.fd);
        httpd_listen_remove(&h->listener);
        goto out;
    }
    rc = start_poll(h, f);
    if (rc != 0) {
        MHD_stop_daemon(h->mhd);
        httpd_listen_remove(&h->listener);
        goto out;
    }
    LOG_NOTICE(options->log, "httpd", "%s listens address=%s", h->options.name,
               h->listener.address);
    *ret = h;
out:
    if (rc != 0) {
        mem_free(h);
    }
    return rc;
}

void httpd_close(struct httpd *h)
{
    if (h == NULL) {
        return;
    }
    httpd_listen_remove(&h->listener);
    LIST_FOR (node, &h->requests) {
        struct httpd_request *r = CONTAINER_OF(node, struct httpd_request, in_server);
        r->is_dropped = true;
        httpd_request_resume(r); /* libmicrohttpd cannot stop with suspended connections */
    }
    uv_close((uv_handle_t *)h->poll, close_done);
    MHD_stop_daemon(h->mhd);
    deferred_cancel(&h->pump);
    timer_stop(&h->timeout);
    timer_stop(&h->sweep);
    while (!list_is_empty(&h->requests)) {
        httpd_request_abandon(
            CONTAINER_OF(list_first(&h->requests), struct httpd_request, in_server));
    }
    mem_free(h);
}

const char *httpd_address(const struct httpd *h)
{
    return h->listener.address;
}
