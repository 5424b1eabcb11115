/* fixture: a server on a loop, handlers of every kind and one client, for the tests of httpd. */
#ifndef REPL_TESTS_HTTPD_FIXTURE_H
#define REPL_TESTS_HTTPD_FIXTURE_H

#include "daemon/base/mem.h"
#include "daemon/httpd/httpd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka needs those above first */
#include <cmocka.h>

#include "client.h"

#define BODY_MAX 1000

struct fixture {
    struct loop *loop;
    struct httpd *server;
    struct client client;
    struct httpd_request *held; /* of /hold and /stream */
    unsigned held_count;
    unsigned gone_count;
};

static inline void on_gone(void *arg)
{
    struct fixture *fx = arg;
    fx->gone_count++;
    fx->held = NULL;
}

/* ---- handlers ---- */

static inline void handle_echo(void *arg, struct httpd_request *r)
{
    struct fixture *fx = arg;
    const char *q = httpd_query(r, "q");
    const char *header = httpd_header(r, "x-test");
    char text[4096];
    assert_ptr_equal(httpd_arg(r), fx);
    int n = snprintf(text, sizeof(text), "%s %s q=%s h=%s b=%.*s", httpd_method(r), httpd_path(r),
                     q != NULL ? q : "(none)", header != NULL ? header : "(none)",
                     SPAN_ARG(httpd_body(r)));
    httpd_reply(r, 200, "text/plain", span_of(text, (size_t)n));
}

static inline void handle_hold(void *arg, struct httpd_request *r)
{
    struct fixture *fx = arg;
    fx->held = r;
    fx->held_count++;
}

static inline void handle_hold_watched(void *arg, struct httpd_request *r)
{
    handle_hold(arg, r);
    httpd_on_gone(r, on_gone, arg);
}

static inline void handle_empty(void *arg, struct httpd_request *r)
{
    (void)arg;
    httpd_reply(r, 204, NULL, span_of(NULL, 0));
}

static inline void handle_big(void *arg, struct httpd_request *r)
{
    (void)arg;
    char *data = mem_alloc(8u << 20);
    for (size_t i = 0; i < 8u << 20; i++) {
        data[i] = (char)('a' + i % 23);
    }
    httpd_reply(r, 200, "application/octet-stream", span_of(data, 8u << 20));
    mem_free(data);
}

static inline void handle_close(void *arg, struct httpd_request *r)
{
    struct fixture *fx = arg;
    httpd_reply(r, 200, NULL, span_str("{}"));
    httpd_close(fx->server);
    fx->server = NULL;
}

static inline void handle_peer(void *arg, struct httpd_request *r)
{
    struct httpd_peer peer = {0};
    bool known = httpd_peer(r, &peer);
    (void)arg;
    char *text = mem_printf("%d %d %u %u", known, (int)peer.pid, peer.uid, peer.gid);
    httpd_reply(r, 200, "text/plain", span_str(text));
    mem_free(text);
}

static const struct httpd_route routes[] = {
    {"GET", "/echo", handle_echo},
    {"POST", "/echo", handle_echo},
    {"GET", "/tree/", handle_echo},
    {"PUT", "/only-put", handle_echo},
    {"DELETE", "/only-put", handle_echo},
    {"GET", "/hold", handle_hold},
    {"GET", "/watched", handle_hold_watched},
    {"GET", "/empty", handle_empty},
    {"GET", "/big", handle_big},
    {"GET", "/close", handle_close},
    {"GET", "/peer", handle_peer},
};

/* ---- fixture ---- */

static inline struct httpd_options options_of(struct fixture *fx)
{
    return (struct httpd_options){
        .loop = fx->loop,
        .name = "test",
        .tcp_listen = "127.0.0.1:0",
        .routes = routes,
        .route_count = sizeof(routes) / sizeof(routes[0]),
        .arg = fx,
        .body_max = BODY_MAX,
    };
}

static inline void open_with(struct fixture *fx, const struct httpd_options *options)
{
    struct fail f;
    assert_int_equal(httpd_open(options, &fx->server, &f), 0);
}

static inline int setup(void **state)
{
    struct fixture *fx = MEM_NEW(struct fixture);
    fx->loop = loop_new(1);
    fx->client.fd = -1;
    struct httpd_options options = options_of(fx);
    open_with(fx, &options);
    client_open(&fx->client, fx->loop, httpd_address(fx->server));
    *state = fx;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *fx = *state;
    httpd_close(fx->server);
    client_close(&fx->client);
    loop_free(fx->loop);
    mem_free(fx);
    return 0;
}

static inline void reconnect(struct fixture *fx)
{
    client_close(&fx->client);
    client_open(&fx->client, fx->loop, httpd_address(fx->server));
}

/* The loop has nothing to do: waiting for a client costs no CPU time. */
static inline void assert_idle(struct fixture *fx)
{
    struct uv_loop_s *uv = loop_uv(fx->loop);
    for (unsigned turns = 0; turns < 20; turns++) {
        loop_run_once(fx->loop);
    }
    struct pollfd events = {.fd = uv_backend_fd(uv), .events = POLLIN};
    assert_int_not_equal(uv_backend_timeout(uv), 0);
    assert_int_equal(poll(&events, 1, 0), 0);
}

/* The server is well: a client that has just come gets an answer. */
static inline void assert_alive(struct fixture *fx)
{
    struct client c;
    client_open(&c, fx->loop, httpd_address(fx->server));
    assert_int_equal(client_ask(&c, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
    client_close(&c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

#endif
