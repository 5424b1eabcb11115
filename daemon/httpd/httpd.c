#include "daemon/httpd/httpd.h"

#include "daemon/base/mem.h"
#include "daemon/httpd/httpd_internal.h"

#include <errno.h>
#include <fcntl.h>
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

unsigned httpd_connection_count(const struct httpd *h)
{
    return MHD_get_daemon_info(h->mhd, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections;
}

/* At its connection limit libmicrohttpd does not listen, and takes that up only in a run after the
 * one in which a connection ended. */
static void run(void *arg)
{
    struct httpd *h = arg;
    unsigned before = httpd_connection_count(h);
    MHD_run(h->mhd);
    httpd_connections_settle(h);
    if (httpd_connection_count(h) < before) {
        deferred_call(&h->pump);
    }
    if (h->newer != NULL && httpd_connection_count(h) == 0) {
        deferred_call(&h->gone);
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

static void keep_pem(struct httpd *h)
{
    const struct httpd_tls *tls = h->options.tls;
    if (tls != NULL) {
        h->pem[0] = mem_dup_span(tls->certificate);
        h->pem[1] = mem_dup_span(tls->key);
        h->pem[2] = mem_dup_span(tls->client_ca);
        h->tls = (struct httpd_tls){span_str(h->pem[0]), span_str(h->pem[1]), span_str(h->pem[2])};
        h->options.tls = &h->tls;
    }
}

static void drop_pem(struct httpd *h)
{
    for (size_t i = 0; i < 3; i++) {
        if (h->pem[i] != NULL) {
            explicit_bzero(h->pem[i], strlen(h->pem[i]));
            mem_free(h->pem[i]);
        }
    }
}

static int start_mhd(struct httpd *h, struct fail *f)
{
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    struct MHD_OptionItem tls[5] = {{MHD_OPTION_END, 0, NULL}};
    if (h->options.tls != NULL) {
        static const char versions[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
        flags |= MHD_USE_TLS;
        tls[0] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, h->pem[0]};
        tls[1] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, h->pem[1]};
        tls[2] =
            (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)versions};
        tls[3] = (struct MHD_OptionItem){
            h->pem[2] != NULL ? MHD_OPTION_HTTPS_MEM_TRUST : MHD_OPTION_END, 0, h->pem[2]};
    }
    /* clang-format off */
    h->mhd = MHD_start_daemon(
        flags, 0, NULL, NULL,
        httpd_request_feed, h,
        MHD_OPTION_EXTERNAL_LOGGER, log_line, h, /* first, to hear of the others */
        MHD_OPTION_LISTEN_SOCKET, h->listener.fd,
        MHD_OPTION_CONNECTION_LIMIT, h->options.connections_max,
        MHD_OPTION_CONNECTION_TIMEOUT, h->options.idle_s,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY,
        MHD_OPTION_URI_LOG_CALLBACK, httpd_request_begin, h,
        MHD_OPTION_NOTIFY_CONNECTION, httpd_connection_notify, h,
        MHD_OPTION_NOTIFY_COMPLETED, httpd_request_completed, h,
        MHD_OPTION_ARRAY, tls,
        MHD_OPTION_END);
    /* clang-format on */
    if (h->mhd == NULL && h->options.tls != NULL) {
        return fail_set(f, REPL_EBADINPUT, "listener %s: certificate or key cannot be used",
                        h->options.name);
    }
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

static void stop(struct httpd *h);

static void end_older(void *arg)
{
    struct httpd *h = arg;
    h->newer->older = h->older;
    if (h->older != NULL) {
        h->older->newer = h->newer;
    }
    stop(h);
}

static struct httpd *make(const struct httpd_options *options)
{
    struct httpd *h = MEM_NEW(struct httpd);
    h->options = *options;
    apply_defaults(&h->options);
    keep_pem(h);
    list_init(&h->requests);
    httpd_connections_init(h);
    deferred_init(&h->pump, options->loop, run, h);
    deferred_init(&h->gone, options->loop, end_older, h);
    timer_init(&h->timeout, options->loop, run, h);
    return h;
}

static void free_httpd(struct httpd *h)
{
    drop_pem(h);
    mem_free(h);
}

/* Serves what comes to the listening socket, which is the server's from now on. */
static int start(struct httpd *h, struct fail *f)
{
    int rc = start_mhd(h, f);
    if (rc != 0) {
        close(h->listener.fd);
        return rc;
    }
    rc = start_poll(h, f);
    if (rc != 0) {
        MHD_stop_daemon(h->mhd);
    }
    return rc;
}

int httpd_open(const struct httpd_options *options, struct httpd **ret, struct fail *f)
{
    if (loop_uv(options->loop) == NULL) {
        return fail_set(f, -ENOTSUP, "a virtual loop has no sockets");
    }
    struct httpd *h = make(options);
    int rc = httpd_listen(&h->options, &h->listener, f);
    if (rc == 0) {
        rc = start(h, f);
        if (rc != 0) {
            httpd_listen_remove(&h->listener);
        }
    }
    if (rc != 0) {
        free_httpd(h);
        return rc;
    }
    LOG_NOTICE(options->log, "httpd", "%s listens address=%s", h->options.name,
               h->listener.address);
    *ret = h;
    return 0;
}

int httpd_renew(struct httpd **server, const struct httpd_options *options, struct fail *f)
{
    struct httpd *old = *server;
    struct httpd *h = make(options);
    h->listener = old->listener;
    h->listener.fd = fcntl(old->listener.fd, F_DUPFD_CLOEXEC, 0);
    int rc = h->listener.fd >= 0
                 ? start(h, f)
                 : fail_set(f, -errno, "listener %s: %s", h->options.name, strerror(errno));
    if (rc != 0) {
        free_httpd(h);
        return rc;
    }
    close(MHD_quiesce_daemon(old->mhd));
    old->listener.created.st_ino = 0; /* the socket file is the new one's */
    old->newer = h;
    h->older = old;
    deferred_call(&old->pump);
    *server = h;
    return 0;
}

static void stop(struct httpd *h)
{
    httpd_listen_remove(&h->listener);
    LIST_FOR (node, &h->requests) {
        struct httpd_request *r = CONTAINER_OF(node, struct httpd_request, in_server);
        r->is_dropped = true;
        httpd_request_resume(r); /* libmicrohttpd cannot stop with suspended connections */
    }
    uv_close((uv_handle_t *)h->poll, close_done);
    MHD_stop_daemon(h->mhd);
    deferred_cancel(&h->pump);
    deferred_cancel(&h->gone);
    timer_stop(&h->timeout);
    timer_stop(&h->sweep);
    while (!list_is_empty(&h->requests)) {
        httpd_request_abandon(
            CONTAINER_OF(list_first(&h->requests), struct httpd_request, in_server));
    }
    free_httpd(h);
}

void httpd_close(struct httpd *h)
{
    while (h != NULL) {
        struct httpd *older = h->older;
        stop(h);
        h = older;
    }
}

const char *httpd_address(const struct httpd *h)
{
    return h->listener.address;
}
