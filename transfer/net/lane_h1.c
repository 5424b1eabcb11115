/* h1: one HTTP/1.1 connection. A CURLM of its own with at most one connection, driven by libuv: a
 * shared one would choose the connection itself. */
#include "transfer/net/curl_code.h"
#include "transfer/net/net_impl.h"
#include "transfer/net/watch.h"

#include <assert.h>
#include <curl/curl.h>
#include <strings.h>
#include <unistd.h>
#include <uv.h>

#define UPLOAD_SMALL (64L * 1024)
#define UPLOAD_BULK  (512L * 1024)
#define NEAR_US      5000 /* a round trip that nobody waits for */

struct lane_h1 {
    struct lane base;
    const struct lane_common *common;
    struct net_request *request; /* NULL: idle */
    CURLM *multi;
    CURL *easy;
    struct timer timer;
    struct curl_slist *headers;
    struct curl_slist *address; /* CURLOPT_CONNECT_TO */
    size_t sent;                /* of the body, by the read function */
    bool begun;                 /* the request was handed to a connection */
    struct buf text;
    bool overflow;
    bool running;
    enum net_class tuned_for; /* the socket */
    struct watch *watch;      /* of the connection, also between requests; NULL: none */
};

static struct lane_h1 *h1_of(struct lane *l)
{
    return CONTAINER_OF(l, struct lane_h1, base);
}

/* ---- the end of a transfer ---- */

static bool is_connected(const struct lane_h1 *h)
{
    curl_off_t us = 0;
    curl_easy_getinfo(h->easy, CURLINFO_PRETRANSFER_TIME_T, &us);
    return us != 0;
}

static int code_of(CURLcode rc, const struct lane_h1 *h)
{
    if (rc == CURLE_OPERATION_TIMEDOUT) {
        return is_connected(h) ? REPL_ETIMEOUT : REPL_EUNREACHABLE;
    }
    return rc == CURLE_WRITE_ERROR && h->overflow ? REPL_ETOOBIG : curl_code(rc);
}

static void fill_result(struct lane_h1 *h, CURLcode rc)
{
    struct net_request *r = h->request;
    long request_bytes = 0;
    curl_off_t uploaded = 0;
    curl_easy_getinfo(h->easy, CURLINFO_REQUEST_SIZE, &request_bytes);
    curl_easy_getinfo(h->easy, CURLINFO_SIZE_UPLOAD_T, &uploaded);
    r->left = request_bytes > 0 || rc == CURLE_ABORTED_BY_CALLBACK;
    r->wire_sent = (uint64_t)uploaded;
    r->text = arena_span(r->arena, buf_view(&h->text));
    if (rc != CURLE_OK) {
        curl_fail(h->easy, rc, code_of(rc, h), &r->fail);
    }
}

static void detach(struct lane_h1 *h)
{
    h->running = false;
    h->request = NULL;
    curl_multi_remove_handle(h->multi, h->easy);
    if (h->watch == NULL) {
        h->base.fd = -1; /* closed without a word, see let_go(): the number may be a stranger's */
    }
    curl_slist_free_all(h->headers);
    h->headers = NULL;
}

static void check_done(struct lane_h1 *h)
{
    int left;
    CURLMsg *m;
    while (h->running && (m = curl_multi_info_read(h->multi, &left)) != NULL) {
        if (m->msg == CURLMSG_DONE) {
            CURLcode rc = m->data.result;
            struct net_request *r = h->request;
            fill_result(h, rc);
            detach(h);
            buf_reset(&h->text);
            h->base.is_spent = rc != CURLE_OK;
            net_lane_ended(&h->base, r); /* may free the lane */
            return;
        }
    }
}

/* ---- libuv drives curl ---- */

/* Between two requests: the server has closed the connection, or speaks without being asked. */
static void on_idle_event(struct lane_h1 *h, int events)
{
    if ((events & UV_READABLE) == 0) {
        watch_for(h->watch, UV_READABLE);
        return;
    }
    watch_for(h->watch, 0);
    if (!watch_is_quiet(h->watch, h->base.host->tls)) {
        net_lane_spent(&h->base); /* frees the lane */
    }
}

static void on_event(void *arg, struct watch *w, int status, int events)
{
    struct lane_h1 *h = arg;
    int running;
    if (!h->running) {
        on_idle_event(h, status < 0 ? UV_READABLE : events);
        return;
    }
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    flags |= events & UV_READABLE ? CURL_CSELECT_IN : 0;
    flags |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
    curl_multi_socket_action(h->multi, watch_fd(w), flags, &running);
    check_done(h);
}

/* Between two requests curl lets its descriptor go. That of the connection stays watched, which
 * saves six system calls a request, and tells when the server closes it. Not so before the
 * connection stands: curl 7.88 closes that descriptor without on_close_socket(). */
static void let_go(struct lane_h1 *h, curl_socket_t fd, struct watch *w)
{
    curl_multi_assign(h->multi, fd, NULL);
    if (w == NULL || (w == h->watch && h->begun)) {
        return;
    }
    h->watch = w == h->watch ? NULL : h->watch;
    watch_close(w);
}

static struct watch *take(struct lane_h1 *h, curl_socket_t fd)
{
    bool is_known = h->watch != NULL && watch_fd(h->watch) == fd;
    struct watch *w =
        is_known ? h->watch : watch_new(h->base.net, h->common->loop, fd, on_event, h);
    h->watch = fd == h->base.fd ? w : h->watch;
    curl_multi_assign(h->multi, fd, w);
    return w;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *per_socket)
{
    struct lane_h1 *h = arg;
    struct watch *w = per_socket;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        let_go(h, fd, w);
        return 0;
    }
    w = w != NULL ? w : take(h, fd);
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    return w != NULL && watch_for(w, events) >= 0 ? 0 : -1;
}

static void on_timer(void *arg)
{
    struct lane_h1 *h = arg;
    int running;
    curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    check_done(h);
}

static int on_set_timer(CURLM *multi, long timeout_ms, void *arg)
{
    struct lane_h1 *h = arg;
    (void)multi;
    if (timeout_ms < 0) {
        timer_stop(&h->timer);
    } else {
        timer_start(&h->timer, (uint64_t)timeout_ms);
    }
    return 0;
}

/* ---- bytes in and out ---- */

static size_t on_read(char *to, size_t size, size_t count, void *arg)
{
    struct lane_h1 *h = arg;
    struct span body = h->request->body;
    size_t left = body.len - h->sent;
    size_t n = size * count < left ? size * count : left;
    if (n > 0) {
        memcpy(to, body.ptr + h->sent, n);
        h->sent += n;
    }
    if (h->sent == body.len) {
        h->request->sent_us = loop_now_us(h->common->loop);
    }
    return n;
}

static int on_seek(void *arg, curl_off_t offset, int origin)
{
    struct lane_h1 *h = arg;
    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > h->request->body.len) {
        return CURL_SEEKFUNC_FAIL;
    }
    h->sent = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

static size_t on_write(char *from, size_t size, size_t count, void *arg)
{
    struct lane_h1 *h = arg;
    struct net_request *r = h->request;
    size_t n = size * count;
    if (r->into == NULL || r->status < 200 || r->status > 299) {
        buf_append(&h->text, from, n);
        h->overflow = buf_error(&h->text) != 0;
    } else if (n > r->into_size - r->received) {
        h->overflow = true;
    } else {
        memcpy(r->into + r->received, from, n);
        r->received += n;
    }
    h->base.came_bytes += n;
    return h->overflow ? 0 : n;
}

/* "HTTP/1.1 206 Partial Content": a new head, also after 100 Continue. */
static void start_head(struct net_request *r, struct span line)
{
    span_cut(&line, ' ');
    unsigned long long status = 0;
    span_to_u64(span_cut(&line, ' '), &status);
    r->status = (unsigned)status;
    r->answer_count = 0;
    if (r->answer == NULL) {
        r->answer = arena_alloc(r->arena, LANE_HEADERS_MAX * sizeof(*r->answer));
    }
}

static void add_header(struct net_request *r, struct span line)
{
    if (line.ptr == NULL || memchr(line.ptr, ':', line.len) == NULL ||
        r->answer_count == LANE_HEADERS_MAX) {
        return;
    }
    struct span name = span_cut(&line, ':');
    char *lower = arena_alloc(r->arena, name.len + 1);
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        lower[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    struct net_header *h = &r->answer[r->answer_count++];
    h->name = span_of(lower, name.len);
    h->value = arena_span(r->arena, span_trim(line));
    if (h->value.ptr == NULL) {
        h->value = span_of("", 0);
    }
}

static size_t on_header(char *from, size_t size, size_t count, void *arg)
{
    struct lane_h1 *h = arg;
    struct net_request *r = h->request;
    struct span line = span_of(from, size * count);
    while (line.len > 0 && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r')) {
        line.len--;
    }
    if (span_starts_with(line, span_str("HTTP/"))) {
        r->first_us = loop_now_us(h->common->loop);
        start_head(r, line);
    } else if (r->answer != NULL) {
        add_header(r, line);
    }
    return size * count;
}

/* ---- one request ---- */

/* curl repeats by itself what a reused connection did not answer. The server may have done it: a
 * Create repeated in silence leaves an upload that nobody knows of, so only reads are let pass. */
static int on_begin(void *arg, char *peer, char *local, int peer_port, int local_port)
{
    (void)peer;
    (void)local;
    (void)peer_port;
    (void)local_port;
    struct lane_h1 *h = arg;
    const char *method = h->request->method;
    bool is_read = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    bool repeats = h->begun;
    h->request->sent_us = loop_now_us(h->common->loop);
    h->begun = true;
    return repeats && !is_read ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* The descriptor is ours to know: curl would tell it only after the transfer. */
static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct lane_h1 *h = arg;
    (void)purpose;
    int fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
    if (fd < 0) {
        return CURL_SOCKET_BAD;
    }
    h->base.fd = fd;
    h->tuned_for = h->request->class;
    sock_tune(fd, h->common->congestion, h->request->class == NET_BULK, &h->base.grant);
    net_socket_opened(&h->base);
    return fd;
}

static int on_close_socket(void *arg, curl_socket_t fd)
{
    struct lane_h1 *h = arg;
    if (h->base.fd == fd) {
        h->base.fd = -1;
    }
    if (h->watch != NULL && watch_fd(h->watch) == fd) {
        watch_close(h->watch);
        h->watch = NULL;
    }
    return close(fd);
}

/* "::ADDRESS:": any host and port of the lane's, to this address and the same port. */
static struct curl_slist *pin(const union addr *addr)
{
    char text[INET6_ADDRSTRLEN];
    char line[INET6_ADDRSTRLEN + 8];
    addr_print(addr, text);
    snprintf(line, sizeof(line), addr->any.sa_family == AF_INET6 ? "::[%s]:" : "::%s:", text);
    return curl_slist_append(NULL, line);
}

static void set_class(struct lane_h1 *h, const struct net_request *r)
{
    if (h->tuned_for != r->class) {
        h->tuned_for = r->class;
        sock_set_bulk(h->base.fd, r->class == NET_BULK);
    }
    if (r->class == NET_SMALL && r->has_body && h->base.seen.rtt_us > NEAR_US) {
        sock_hasten(h->base.fd, &h->base.grant, r->body.len);
    }
}

/* ---- what curl is told once … ---- */

static void tell_connection(struct lane_h1 *h)
{
    const struct lane_common *c = h->common;
    CURL *e = h->easy;
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_SHARE, c->share);
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(e, CURLOPT_PROXY, "");
    curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, c->tls_insecure ? 0L : 1L);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, c->tls_insecure ? 0L : 2L);
    if (c->ca_file != NULL) {
        curl_easy_setopt(e, CURLOPT_CAINFO, c->ca_file);
        curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
    }
    curl_easy_setopt(e, CURLOPT_CONNECT_TO, h->address);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, h);
    curl_easy_setopt(e, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
    curl_easy_setopt(e, CURLOPT_CLOSESOCKETDATA, h);
}

static void tell_callbacks(struct lane_h1 *h)
{
    CURL *e = h->easy;
    curl_easy_setopt(e, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(e, CURLOPT_READDATA, h);
    curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, on_seek);
    curl_easy_setopt(e, CURLOPT_SEEKDATA, h);
    curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_begin);
    curl_easy_setopt(e, CURLOPT_PREREQDATA, h);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, h);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_write);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, h);
}

/* ---- … and with each request ---- */

static void set_message(struct lane_h1 *h, const struct net_request *r)
{
    CURL *e = h->easy;
    for (size_t i = 0; i < r->header_count; i++) {
        h->headers = curl_slist_append(h->headers, r->headers[i]);
    }
    h->headers = curl_slist_append(h->headers, "Expect:");
    curl_easy_setopt(e, CURLOPT_URL, r->url);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, h->headers);
    curl_easy_setopt(e, CURLOPT_HTTPGET, 1L); /* also: no upload, with a body */
    if (r->has_body) {
        curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->body.len);
        curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE,
                         r->body.len > (size_t)UPLOAD_BULK ? UPLOAD_BULK : UPLOAD_SMALL);
    } else if (strcmp(r->method, "HEAD") == 0) {
        curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
    }
    curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, r->method);
    curl_easy_setopt(e, CURLOPT_BUFFERSIZE, r->into_size > 65536 ? 262144L : 32768L);
    long stall_s = (long)host_stall_s(r);
    long connect_ms = (long)host_patience_ms(r->host);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS,
                     stall_s * 1000 < connect_ms ? stall_s * 1000 : connect_ms);
    curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, stall_s);
}

static void h1_start(struct lane *l, struct net_request *r)
{
    struct lane_h1 *h = h1_of(l);
    h->request = r;
    h->sent = 0;
    h->begun = false;
    h->overflow = false;
    buf_reset(&h->text);
    if (h->base.fd >= 0) {
        set_class(h, r);
    }
    set_message(h, r);
    h->running = true;
    curl_multi_add_handle(h->multi, h->easy);
}

static void h1_cancel(struct lane *l, struct net_request *r)
{
    struct lane_h1 *h = h1_of(l);
    long request_bytes = 0;
    curl_easy_getinfo(h->easy, CURLINFO_REQUEST_SIZE, &request_bytes);
    r->left = h->begun && request_bytes > 0; /* before it has begun, they are of the one before */
    detach(h); /* curl closes the connection of a transfer that was not finished */
    l->is_spent = true;
}

static unsigned h1_room(const struct lane *l)
{
    return l->active == 0 ? 1 : 0;
}

static void h1_close(struct lane *l)
{
    struct lane_h1 *h = h1_of(l);
    curl_easy_cleanup(h->easy);
    curl_multi_cleanup(h->multi); /* may set the timer */
    assert(h->watch == NULL); /* it would speak to freed memory, of a descriptor that is closed */
    timer_stop(&h->timer);
    curl_slist_free_all(h->address);
    buf_done(&h->text);
    mem_free(h);
}

struct lane *lane_h1_new(struct host *host, const struct lane_common *common,
                         const union addr *addr)
{
    static const struct lane_ops ops = {
        .kind = "h1", .start = h1_start, .cancel = h1_cancel, .room = h1_room, .close = h1_close};
    struct lane_h1 *h = MEM_NEW(struct lane_h1);
    h->base.ops = &ops;
    h->base.net = host->path->net;
    h->base.host = host;
    h->base.fd = -1;
    h->base.addr = *addr;
    h->address = pin(addr);
    h->common = common;
    buf_init(&h->text, NET_TEXT_MAX);
    timer_init(&h->timer, common->loop, on_timer, h);
    h->easy = curl_easy_init();
    tell_connection(h);
    tell_callbacks(h);
    h->multi = curl_multi_init();
    curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, 1L);
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_set_timer);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
    return &h->base;
}
