#include "daemon/base/mem.h"
#include "daemon/httpd/httpd_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

/* A refused body is read to its end, so that the client gets to see the answer: closing with
 * bytes unread resets the connection. Beyond this many times the limit it is reset. */
#define DISCARD_FACTOR 8

static void drop_body(struct httpd_request *r)
{
    if (r->server != NULL) {
        r->server->bodies -= r->body.len;
    }
    buf_done(&r->body);
}

static void request_free(struct httpd_request *r)
{
    list_remove(&r->in_server);
    deferred_cancel(&r->hand);
    deferred_cancel(&r->lost);
    if (r->response != NULL) {
        MHD_destroy_response(r->response);
    }
    drop_body(r);
    buf_done(&r->queue);
    mem_free(r->method);
    mem_free(r->path);
    mem_free(r);
}

static bool is_users(const struct httpd_request *r)
{
    return r->is_handed && !r->is_ended;
}

static void hand_over(void *arg)
{
    struct httpd_request *r = arg;
    r->is_handed = true;
    r->route->handler(r->server->options.arg, r);
}

static void tell_gone(void *arg)
{
    struct httpd_request *r = arg;
    loop_fn *gone = r->gone;
    void *gone_arg = r->gone_arg;
    request_free(r);
    gone(gone_arg);
}

void *httpd_request_begin(void *cls, const char *uri, struct MHD_Connection *connection)
{
    struct httpd *h = cls;
    struct httpd_request *r = MEM_NEW(struct httpd_request);
    r->server = h;
    r->connection = connection;
    list_push_back(&h->requests, &r->in_server);
    deferred_init(&r->hand, h->options.loop, hand_over, r);
    deferred_init(&r->lost, h->options.loop, tell_gone, r);
    buf_init(&r->body, h->options.body_max);
    buf_init(&r->queue, 4 * HTTPD_STREAM_MAX);
    /* Decoding would cut the path there. */
    if (strstr(uri, "%00") != NULL) {
        r->refused = MHD_HTTP_BAD_REQUEST;
    }
    return r;
}

static bool route_has_path(const struct httpd_route *route, const char *path)
{
    size_t len = strlen(route->path);
    bool is_prefix = len > 0 && route->path[len - 1] == '/';
    return is_prefix ? strncmp(path, route->path, len) == 0 : strcmp(path, route->path) == 0;
}

/* HEAD is GET whose body libmicrohttpd leaves out. */
static bool route_has_method(const struct httpd_route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

static void allow_method(struct httpd_request *r, const char *method)
{
    size_t len = strlen(r->allow);
    if (strstr(r->allow, method) == NULL) {
        snprintf(r->allow + len, sizeof(r->allow) - len, "%s%s", len > 0 ? ", " : "", method);
    }
}

static void find_route(struct httpd_request *r)
{
    const struct httpd_options *options = &r->server->options;
    for (size_t i = 0; i < options->route_count; i++) {
        const struct httpd_route *route = &options->routes[i];
        if (!route_has_path(route, r->path)) {
            continue;
        }
        if (route_has_method(route, r->method)) {
            r->route = route;
            return;
        }
        allow_method(r, route->method);
    }
    r->refused = r->allow[0] != '\0' ? MHD_HTTP_METHOD_NOT_ALLOWED : MHD_HTTP_NOT_FOUND;
}

static unsigned admit(struct httpd_request *r)
{
    const struct httpd_options *options = &r->server->options;
    unsigned long long length = 0;
    const char *announced = httpd_header(r, MHD_HTTP_HEADER_CONTENT_LENGTH);
    if (!httpd_connection_is_trusted(r->connection)) {
        return MHD_HTTP_FORBIDDEN;
    }
    unsigned status = options->admit != NULL ? options->admit(options->arg, r) : 0;
    if (status == 0 && announced != NULL && span_to_u64(span_str(announced), &length) == 0 &&
        length > options->body_max) {
        status = MHD_HTTP_CONTENT_TOO_LARGE;
    }
    return status;
}

/* The head is complete. A client that asks before it sends a body gets its refusal now. */
static enum MHD_Result take_head(struct httpd_request *r, const char *url, const char *method)
{
    r->method = mem_strdup(method);
    r->path = mem_strdup(url);
    if (r->refused == 0) {
        find_route(r);
    }
    if (r->refused == 0) {
        r->refused = admit(r);
    }
    bool asks = httpd_header(r, MHD_HTTP_HEADER_EXPECT) != NULL;
    return r->refused != 0 && asks ? httpd_refuse(r) : MHD_YES;
}

static enum MHD_Result take_body(struct httpd_request *r, const char *data, size_t size)
{
    struct httpd *h = r->server;
    if (r->refused == 0 && h->options.bodies_max > 0 && size > h->options.bodies_max - h->bodies) {
        r->refused = MHD_HTTP_SERVICE_UNAVAILABLE;
        r->retry_after_s = 1;
        drop_body(r);
    }
    if (r->refused == 0) {
        buf_append(&r->body, data, size);
        if (buf_error(&r->body) == 0) {
            h->bodies += size;
            return MHD_YES;
        }
        drop_body(r);
        r->refused = MHD_HTTP_CONTENT_TOO_LARGE;
    }
    r->discarded += size;
    return r->discarded / DISCARD_FACTOR > r->server->options.body_max ? MHD_NO : MHD_YES;
}

/* Comes at the end of the body, and again after each resume. */
static enum MHD_Result take_end(struct httpd_request *r)
{
    httpd_connection_paid(r->connection);
    if (r->refused != 0) {
        return httpd_refuse(r);
    }
    if (r->is_dropped) {
        return MHD_NO;
    }
    if (r->response != NULL) {
        struct MHD_Response *response = r->response;
        r->response = NULL;
        enum MHD_Result rc = MHD_queue_response(r->connection, r->status, response);
        MHD_destroy_response(response);
        return rc;
    }
    if (!r->is_waiting) {
        r->is_waiting = true;
        MHD_suspend_connection(r->connection);
        deferred_call(&r->hand);
    }
    return MHD_YES;
}

enum MHD_Result httpd_request_feed(void *cls, struct MHD_Connection *connection, const char *url,
                                   const char *method, const char *version, const char *data,
                                   size_t *data_size, void **context)
{
    struct httpd_request *r = *context;
    (void)cls;
    (void)connection;
    (void)version;
    if (r->path == NULL) {
        return take_head(r, url, method);
    }
    if (*data_size > 0) {
        size_t size = *data_size;
        *data_size = 0;
        return take_body(r, data, size);
    }
    return take_end(r);
}

static void watch_closed(uv_handle_t *handle)
{
    mem_free(handle);
}

static void watch_stop(struct httpd_request *r)
{
    if (r->watch != NULL) {
        uv_close((uv_handle_t *)r->watch, watch_closed);
        r->watch = NULL;
    }
}

static int socket_of(const struct httpd_request *r)
{
    return MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

/* The client closed. libmicrohttpd finds that out when it goes on with the connection. */
static void on_disconnect(uv_poll_t *watch, int status, int events)
{
    struct httpd_request *r = watch->data;
    (void)status;
    (void)events;
    watch_stop(r);
    r->is_dropped = true;
    shutdown(socket_of(r), SHUT_RDWR);
    httpd_request_resume(r);
}

static void watch_start(struct httpd_request *r)
{
    r->watch = MEM_NEW(uv_poll_t);
    if (uv_poll_init(loop_uv(r->server->options.loop), r->watch, socket_of(r)) != 0) {
        mem_free(r->watch);
        r->watch = NULL;
        return;
    }
    r->watch->data = r;
    uv_poll_start(r->watch, UV_DISCONNECT, on_disconnect);
}

void httpd_request_completed(void *cls, struct MHD_Connection *connection, void **context,
                             enum MHD_RequestTerminationCode code)
{
    struct httpd_request *r = *context;
    (void)cls;
    if (r == NULL) {
        return;
    }
    httpd_connection_owes(connection);
    if (r->is_stream || code != MHD_REQUEST_TERMINATED_COMPLETED_OK) {
        httpd_connection_ended(connection);
    }
    *context = NULL;
    watch_stop(r);
    r->connection = NULL;
    r->is_waiting = false;
    if (!is_users(r)) {
        request_free(r);
    } else if (r->gone != NULL) {
        deferred_call(&r->lost);
    }
}

void httpd_request_resume(struct httpd_request *r)
{
    if (r->is_waiting) {
        r->is_waiting = false;
        MHD_resume_connection(r->connection);
        deferred_call(&r->server->pump);
    }
}

void httpd_request_abandon(struct httpd_request *r)
{
    assert(r->connection == NULL && is_users(r));
    list_remove(&r->in_server);
    r->server = NULL;
    if (r->gone != NULL) {
        tell_gone(r);
    }
}

void httpd_request_end(struct httpd_request *r)
{
    r->is_ended = true;
    watch_stop(r);
    if (r->connection == NULL) {
        request_free(r);
    }
}

void httpd_on_gone(struct httpd_request *r, loop_fn *gone, void *arg)
{
    r->gone = gone;
    r->gone_arg = arg;
    deferred_cancel(&r->lost);
    if (gone == NULL) {
        watch_stop(r);
    } else if (r->connection == NULL) {
        deferred_call(&r->lost);
    } else if (r->watch == NULL) {
        watch_start(r);
    }
}

const char *httpd_method(const struct httpd_request *r)
{
    return r->method;
}

const char *httpd_path(const struct httpd_request *r)
{
    return r->path;
}

/* NULL when it is not there, "" when it has no value. */
static const char *value_of(const struct httpd_request *r, enum MHD_ValueKind kind,
                            const char *name)
{
    const char *value = NULL;
    size_t size = 0;
    if (r->connection == NULL ||
        MHD_lookup_connection_value_n(r->connection, kind, name, strlen(name), &value, &size) !=
            MHD_YES) {
        return NULL;
    }
    return value != NULL ? value : "";
}

const char *httpd_query(const struct httpd_request *r, const char *name)
{
    return value_of(r, MHD_GET_ARGUMENT_KIND, name);
}

const char *httpd_header(const struct httpd_request *r, const char *name)
{
    return value_of(r, MHD_HEADER_KIND, name);
}

struct each_header {
    httpd_header_fn *fn;
    void *arg;
};

static enum MHD_Result give_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                   size_t name_size, const char *value, size_t value_size)
{
    const struct each_header *each = cls;
    (void)kind;
    each->fn(each->arg, span_of(name, name_size), span_of(value != NULL ? value : "", value_size));
    return MHD_YES;
}

void httpd_headers(const struct httpd_request *r, httpd_header_fn *each, void *arg)
{
    struct each_header e = {each, arg};
    if (r->connection != NULL) {
        MHD_get_connection_values_n(r->connection, MHD_HEADER_KIND, give_header, &e);
    }
}

struct span httpd_body(const struct httpd_request *r)
{
    return buf_view(&r->body);
}

void *httpd_arg(const struct httpd_request *r)
{
    return r->server != NULL ? r->server->options.arg : NULL;
}

bool httpd_peer(const struct httpd_request *r, struct httpd_peer *ret)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);
    if (r->connection == NULL || r->server->options.unix_path == NULL ||
        getsockopt(socket_of(r), SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0) {
        return false;
    }
    *ret = (struct httpd_peer){.pid = cred.pid, .uid = cred.uid, .gid = cred.gid};
    return true;
}
