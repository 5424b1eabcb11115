/* client: a raw HTTP client on the loop's own thread for the tests of httpd. Waiting runs the loop
 * under test until something happens on its descriptors or on ours. */
#ifndef REPL_TESTS_HTTPD_CLIENT_H
#define REPL_TESTS_HTTPD_CLIENT_H

#include "daemon/base/buf.h"
#include "daemon/base/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#define CLIENT_PATIENCE_MS 30000

struct client {
    struct loop *loop;
    int fd;
    bool is_paused; /* does not read */
    bool is_eof;
    struct buf in;
};

/* address: "127.0.0.1:port", "[::1]:port" or a path. */
static inline int client_socket(const char *address)
{
    struct sockaddr_storage ss = {0};
    socklen_t len;
    if (address[0] == '/') {
        struct sockaddr_un *un = (struct sockaddr_un *)&ss;
        un->sun_family = AF_UNIX;
        strcpy(un->sun_path, address);
        len = sizeof(*un);
    } else if (address[0] == '[') {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ss;
        in6->sin6_family = AF_INET6;
        in6->sin6_addr = (struct in6_addr)IN6ADDR_LOOPBACK_INIT;
        in6->sin6_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
        len = sizeof(*in6);
    } else {
        struct sockaddr_in *in = (struct sockaddr_in *)&ss;
        in->sin_family = AF_INET;
        in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        in->sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
        len = sizeof(*in);
    }
    int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&ss, len) != 0 && errno != EINPROGRESS) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

static inline void client_open(struct client *c, struct loop *loop, const char *address)
{
    *c = (struct client){.loop = loop, .fd = client_socket(address)};
    assert_true(c->fd >= 0);
}

static inline void client_close(struct client *c)
{
    if (c->fd >= 0) {
        close(c->fd);
    }
    c->fd = -1;
    buf_done(&c->in);
}

static inline void client_read(struct client *c)
{
    char block[16384];
    ssize_t n = 0;
    while (!c->is_paused && !c->is_eof && (n = read(c->fd, block, sizeof(block))) > 0) {
        buf_append(&c->in, block, (size_t)n);
    }
    if (n == 0 && !c->is_paused) {
        c->is_eof = true;
    } else if (n < 0 && errno != EAGAIN) {
        c->is_eof = true;
    }
}

/* Lets the loop do what it has to do. */
static inline void client_turn(struct client *c)
{
    loop_run_once(c->loop); /* callbacks may start handles that only the next turn knows */
    loop_run_once(c->loop);
    client_read(c);
}

/* Waits for an event of either side. */
static inline void client_wait(const struct client *c, bool wants_write)
{
    struct uv_loop_s *uv = loop_uv(c->loop);
    int wait_ms = uv_backend_timeout(uv);
    short events = (short)((c->is_paused || c->is_eof ? 0 : POLLIN) | (wants_write ? POLLOUT : 0));
    struct pollfd fds[2] = {{.fd = uv_backend_fd(uv), .events = POLLIN},
                            {.fd = events != 0 ? c->fd : -1, .events = events}};
    poll(fds, 2, wait_ms < 0 || wait_ms > 20 ? 20 : wait_ms);
}

static inline void client_send(struct client *c, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        ssize_t n = send(c->fd, at, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) {
            return; /* the server closed; the test looks at what it said */
        }
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        } else {
            client_wait(c, true);
            client_turn(c);
        }
    }
}

static inline void client_say(struct client *c, const char *text)
{
    client_send(c, text, strlen(text));
}

#define CLIENT_UNTIL(c, condition)                                                                 \
    do {                                                                                           \
        uint64_t until_ = loop_now_us((c)->loop) / 1000 + CLIENT_PATIENCE_MS;                      \
        for (client_turn(c); !(condition); client_turn(c)) {                                       \
            client_wait((c), false);                                                               \
            assert_true(loop_now_us((c)->loop) / 1000 < until_);                                   \
        }                                                                                          \
    } while (0)

/* Length of the first complete answer in `in`, 0 when it is not complete; *ret_body is where its
 * body begins. Knows Content-Length and chunked, and answers without body. */
static inline size_t client_answer(const struct client *c, size_t *ret_body)
{
    const char *text = buf_cstr(&c->in);
    const char *head_end = strstr(text, "\r\n\r\n");
    if (head_end == NULL) {
        return 0;
    }
    *ret_body = (size_t)(head_end + 4 - text);
    const char *length = strcasestr(text, "\r\nContent-Length:");
    if (length != NULL && length < head_end) {
        size_t total = *ret_body + (size_t)atol(length + 17);
        return c->in.len >= total ? total : 0;
    }
    const char *last = memmem(text, c->in.len, "\r\n0\r\n\r\n", 7);
    return last != NULL ? (size_t)(last + 7 - text) : c->is_eof ? c->in.len : 0;
}

static inline int client_status(const struct client *c)
{
    return c->in.len > 12 ? atoi(buf_cstr(&c->in) + 9) : 0;
}

static inline const char *client_body(const struct client *c)
{
    const char *head_end = strstr(buf_cstr(&c->in), "\r\n\r\n");
    return head_end != NULL ? head_end + 4 : "";
}

static inline bool client_has(const struct client *c, const char *text)
{
    return memmem(buf_cstr(&c->in), c->in.len, text, strlen(text)) != NULL;
}

/* Says it, and waits for the answer; returns the status. */
static inline int client_ask(struct client *c, const char *text)
{
    size_t body;
    buf_reset(&c->in);
    client_say(c, text);
    CLIENT_UNTIL(c, client_answer(c, &body) > 0 || c->is_eof);
    return client_status(c);
}

/* The body of a chunked answer, put together. */
static inline void client_unchunk(const struct client *c, struct buf *to)
{
    const char *at = client_body(c);
    for (;;) {
        char *end;
        unsigned long size = strtoul(at, &end, 16);
        assert_true(end != at);
        end = strstr(end, "\r\n");
        assert_non_null(end);
        if (size == 0) {
            return;
        }
        buf_append(to, end + 2, size);
        at = end + 2 + size + 2;
    }
}

#endif
