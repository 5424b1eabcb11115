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
    unsigned close_in_handler;
    char seen[256];
};

static void on_gone(void *arg)
{
    struct fixture *fx = arg;
    fx->gone_count++;
    fx->held = NULL;
}

/* ---- handlers ---- */

static void handle_echo(void *arg, struct httpd_request *r)
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

static void handle_hold(void *arg, struct httpd_request *r)
{
    struct fixture *fx = arg;
    fx->held = r;
    fx->held_count++;
}

static void handle_hold_watched(void *arg, struct httpd_request *r)
{
    handle_hold(arg, r);
    httpd_on_gone(r, on_gone, arg);
}

static void handle_empty(void *arg, struct httpd_request *r)
{
    (void)arg;
    httpd_reply(r, 204, NULL, span_of(NULL, 0));
}

static void handle_big(void *arg, struct httpd_request *r)
{
    (void)arg;
    char *data = mem_alloc(8u << 20);
    for (size_t i = 0; i < 8u << 20; i++) {
        data[i] = (char)('a' + i % 23);
    }
    httpd_reply(r, 200, "application/octet-stream", span_of(data, 8u << 20));
    mem_free(data);
}

static void handle_close(void *arg, struct httpd_request *r)
{
    struct fixture *fx = arg;
    httpd_reply(r, 200, NULL, span_str("{}"));
    httpd_close(fx->server);
    fx->server = NULL;
}

static void handle_peer(void *arg, struct httpd_request *r)
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

static struct httpd_options options_of(struct fixture *fx)
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

static void open_with(struct fixture *fx, const struct httpd_options *options)
{
    struct fail f;
    assert_int_equal(httpd_open(options, &fx->server, &f), 0);
}

static int setup(void **state)
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

static int teardown(void **state)
{
    struct fixture *fx = *state;
    httpd_close(fx->server);
    client_close(&fx->client);
    loop_free(fx->loop);
    mem_free(fx);
    return 0;
}

static void reconnect(struct fixture *fx)
{
    client_close(&fx->client);
    client_open(&fx->client, fx->loop, httpd_address(fx->server));
}

/* The server is well: a client that has just come gets an answer. */
static void assert_alive(struct fixture *fx)
{
    struct client c;
    client_open(&c, fx->loop, httpd_address(fx->server));
    assert_int_equal(client_ask(&c, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
    client_close(&c);
}

/* ---- answers at once ---- */

static void test_request_is_taken_apart(void **state)
{
    struct fixture *fx = *state;
    assert_int_equal(client_ask(&fx->client, "GET /tree/a%20b%2Fc?x=1&q=p%26q+r HTTP/1.1\r\n"
                                             "Host: a\r\nX-Test: yes\r\n\r\n"),
                     200);
    assert_string_equal(client_body(&fx->client), "GET /tree/a b/c q=p&q r h=yes b=");
    assert_true(client_has(&fx->client, "Content-Type: text/plain\r\n"));
    assert_int_equal(client_ask(&fx->client, "GET /echo?q HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
    assert_string_equal(client_body(&fx->client), "GET /echo q= h=(none) b=");
}

static void test_connection_is_kept(void **state)
{
    struct fixture *fx = *state;
    for (unsigned i = 0; i < 50; i++) {
        char request[128];
        snprintf(request, sizeof(request), "GET /echo?q=%u HTTP/1.1\r\nHost: a\r\n\r\n", i);
        assert_int_equal(client_ask(&fx->client, request), 200);
        snprintf(request, sizeof(request), "GET /echo q=%u h=(none) b=", i);
        assert_string_equal(client_body(&fx->client), request);
    }
    assert_false(fx->client.is_eof);
}

static void test_pipelined_requests_are_answered_in_order(void **state)
{
    struct fixture *fx = *state;
    client_say(&fx->client, "GET /echo?q=1 HTTP/1.1\r\nHost: a\r\n\r\n"
                            "POST /echo?q=2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
                            "GET /echo?q=3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    CLIENT_UNTIL(&fx->client, fx->client.is_eof);
    const char *first = strstr(buf_cstr(&fx->client.in), "q=1");
    const char *second = strstr(buf_cstr(&fx->client.in), "q=2 h=(none) b=abc");
    const char *third = strstr(buf_cstr(&fx->client.in), "q=3");
    assert_true(first != NULL && second > first && third > second);
}

static void test_request_in_single_bytes(void **state)
{
    struct fixture *fx = *state;
    const char *text = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    for (const char *c = text; *c != '\0'; c++) {
        client_send(&fx->client, c, 1);
        client_turn(&fx->client);
    }
    size_t body;
    CLIENT_UNTIL(&fx->client, client_answer(&fx->client, &body) > 0);
    assert_string_equal(client_body(&fx->client), "POST /echo q=(none) h=(none) b=abcde");
}

static void test_empty_answer(void **state)
{
    struct fixture *fx = *state;
    client_say(&fx->client, "GET /empty HTTP/1.1\r\nHost: a\r\n\r\n");
    CLIENT_UNTIL(&fx->client, strstr(buf_cstr(&fx->client.in), "\r\n\r\n") != NULL);
    assert_int_equal(client_status(&fx->client), 204);
    assert_int_equal(client_ask(&fx->client, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
}

static void test_head_is_get_without_body(void **state)
{
    struct fixture *fx = *state;
    client_say(&fx->client, "HEAD /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    CLIENT_UNTIL(&fx->client, fx->client.is_eof);
    assert_int_equal(client_status(&fx->client), 200);
    assert_string_equal(client_body(&fx->client), "");
    assert_true(client_has(&fx->client, "Content-Length: 31\r\n"));
}

static void test_big_answer_arrives_whole(void **state)
{
    struct fixture *fx = *state;
    assert_int_equal(client_ask(&fx->client, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
    const char *body = client_body(&fx->client);
    assert_int_equal(fx->client.in.len - (size_t)(body - fx->client.in.data), 8u << 20);
    for (size_t i = 0; i < 8u << 20; i++) {
        if (body[i] != (char)('a' + i % 23)) {
            fail_msg("byte %zu differs", i);
        }
    }
}

/* ---- refusals ---- */

static void test_unknown_path(void **state)
{
    struct fixture *fx = *state;
    const char *const paths[] = {"/", "/nothing", "/echo/", "/echox", "/tree", "/only-pu"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        char request[128];
        snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", paths[i]);
        assert_int_equal(client_ask(&fx->client, request), 404);
        assert_true(client_has(&fx->client, "{\"error\":{\"code\":\"not_found\",\"text\":\""));
        assert_true(client_has(&fx->client, "Content-Type: application/json\r\n"));
    }
}

static void test_wrong_method(void **state)
{
    struct fixture *fx = *state;
    assert_int_equal(client_ask(&fx->client, "POST /only-put HTTP/1.1\r\nHost: a\r\n"
                                             "Content-Length: 3\r\n\r\nabc"),
                     405);
    assert_true(client_has(&fx->client, "Allow: PUT, DELETE\r\n"));
    assert_true(client_has(&fx->client, "\"code\":\"method_not_allowed\""));
    /* the body was read, the connection goes on */
    assert_int_equal(client_ask(&fx->client, "PUT /only-put HTTP/1.1\r\nHost: a\r\n"
                                             "Content-Length: 3\r\n\r\nabc"),
                     200);
}

static void test_nul_in_path(void **state)
{
    struct fixture *fx = *state;
    assert_int_equal(client_ask(&fx->client, "GET /echo%00.html HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
    assert_true(client_has(&fx->client, "\"code\":\"bad_request\""));
}

static int post(struct fixture *fx, size_t size, const char *extra)
{
    struct buf b = {0};
    buf_printf(&b, "POST /echo HTTP/1.1\r\nHost: a\r\n%sContent-Length: %zu\r\n\r\n", extra, size);
    for (size_t i = 0; i < size; i++) {
        buf_char(&b, 'x');
    }
    int status = client_ask(&fx->client, buf_cstr(&b));
    buf_done(&b);
    return status;
}

static void test_body_limit_is_exact(void **state)
{
    struct fixture *fx = *state;
    assert_int_equal(post(fx, BODY_MAX, ""), 200);
    assert_int_equal(post(fx, BODY_MAX + 1, ""), 413);
    assert_true(client_has(&fx->client, "\"code\":\"too_large\""));
    assert_int_equal(post(fx, 5 * BODY_MAX, ""), 413);
    assert_int_equal(post(fx, 10, ""), 200);
}

static void test_chunked_body_is_limited_too(void **state)
{
    struct fixture *fx = *state;
    struct buf b = {0};
    buf_str(&b, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (unsigned i = 0; i < 30; i++) {
        buf_printf(&b, "64\r\n%0100d\r\n", 0);
    }
    buf_str(&b, "0\r\n\r\n");
    assert_int_equal(client_ask(&fx->client, buf_cstr(&b)), 413);
    buf_done(&b);
    assert_int_equal(post(fx, 10, ""), 200);
}

/* Nobody may feed us for ever: far beyond the limit the connection ends. */
static void test_endless_body_is_cut_off(void **state)
{
    struct fixture *fx = *state;
    client_say(&fx->client,
               "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n");
    char block[4096] = {0};
    for (unsigned i = 0; i < 1000 && !fx->client.is_eof; i++) {
        client_send(&fx->client, block, sizeof(block));
        client_turn(&fx->client);
    }
    assert_true(fx->client.is_eof);
    assert_alive(fx);
}

static void test_client_that_asks_first_is_refused_at_once(void **state)
{
    struct fixture *fx = *state;
    assert_int_equal(client_ask(&fx->client,
                                "POST /echo HTTP/1.1\r\nHost: a\r\n"
                                "Expect: 100-continue\r\nContent-Length: 5000\r\n\r\n"),
                     413);
    reconnect(fx);
    client_say(&fx->client, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                            "Content-Length: 3\r\n\r\n");
    CLIENT_UNTIL(&fx->client, client_has(&fx->client, "100 Continue\r\n\r\n"));
    assert_int_equal(client_ask(&fx->client, "abc"), 200);
    assert_true(client_has(&fx->client, "b=abc"));
}

static void test_head_of_request_is_limited(void **state)
{
    struct fixture *fx = *state;
    struct buf b = {0};
    buf_str(&b, "GET /echo HTTP/1.1\r\nHost: a\r\n");
    for (unsigned i = 0; i < 100; i++) {
        buf_printf(&b, "X-%u: %01000d\r\n", i, 0);
    }
    buf_str(&b, "\r\n");
    int status = client_ask(&fx->client, buf_cstr(&b));
    assert_true(status == 431 || status == 413 || (status == 0 && fx->client.is_eof));
    buf_done(&b);
    assert_alive(fx);
}

/* ---- answers that come later ---- */

static void test_answer_comes_later(void **state)
{
    struct fixture *fx = *state;
    client_say(&fx->client, "GET /hold?q=7 HTTP/1.1\r\nHost: a\r\n\r\n");
    CLIENT_UNTIL(&fx->client, fx->held != NULL);
    assert_alive(fx); /* others are served meanwhile */
    assert_int_equal(fx->client.in.len, 0);
    assert_string_equal(httpd_query(fx->held, "q"), "7");
    httpd_reply(fx->held, 202, NULL, span_str("{\"a\":1}"));
    size_t body;
    CLIENT_UNTIL(&fx->client, client_answer(&fx->client, &body) > 0);
    assert_int_equal(client_status(&fx->client), 202);
    assert_string_equal(client_body(&fx->client), "{\"a\":1}");
    assert_int_equal(client_ask(&fx->client, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
    assert_int_equal(fx->held_count, 1);
}

static void test_gone_is_told_once(void **state)
{
    struct fixture *fx = *state;
    client_say(&fx->client, "GET /watched HTTP/1.1\r\nHost: a\r\n\r\n");
    CLIENT_UNTIL(&fx->client, fx->held != NULL);
    close(fx->client.fd);
    fx->client.fd = -1;
    CLIENT_UNTIL(&fx->client, fx->gone_count > 0);
    assert_alive(fx);
    assert_int_equal(fx->gone_count, 1);
}

static void test_gone_is_not_told_after_the_answer(void **state)
{
    struct fixture *fx = *state;
    client_say(&fx->client, "GET /watched HTTP/1.1\r\nHost: a\r\n\r\n");
    CLIENT_UNTIL(&fx->client, fx->held != NULL);
    close(fx->client.fd);
    fx->client.fd = -1;
    httpd_reply(fx->held, 200, NULL, span_str("{}"));
    assert_alive(fx);
    assert_alive(fx);
    assert_int_equal(fx->gone_count, 0);
}

static void test_answer_to_nobody_is_harmless(void **state)
{
    struct fixture *fx = *state;
    client_say(&fx->client, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    CLIENT_UNTIL(&fx->client, fx->held != NULL);
    close(fx->client.fd);
    fx->client.fd = -1;
    assert_alive(fx);
    httpd_reply(fx->held, 200, NULL, span_str("{}"));
    assert_alive(fx);
}

/* ---- streams ---- */

static void stream_start(struct fixture *fx, const char *request)
{
    client_say(&fx->client, request);
    CLIENT_UNTIL(&fx->client, fx->held != NULL);
    httpd_stream(fx->held, 200, "application/x-ndjson");
}

static void test_stream_pieces_arrive_as_they_come(void **state)
{
    struct fixture *fx = *state;
    stream_start(fx, "GET /watched HTTP/1.1\r\nHost: a\r\n\r\n");
    CLIENT_UNTIL(&fx->client, client_has(&fx->client, "Transfer-Encoding: chunked\r\n"));
    for (unsigned i = 0; i < 20; i++) {
        char piece[16];
        snprintf(piece, sizeof(piece), "line-%u\n", i);
        assert_true(httpd_stream_write(fx->held, span_str(piece)));
        CLIENT_UNTIL(&fx->client, client_has(&fx->client, piece));
    }
    httpd_stream_end(fx->held);
    size_t body;
    CLIENT_UNTIL(&fx->client, client_answer(&fx->client, &body) > 0);
    struct buf text = {0};
    client_unchunk(&fx->client, &text);
    assert_true(span_starts_with(buf_view(&text), span_str("line-0\nline-1\n")));
    assert_true(span_ends_with(buf_view(&text), span_str("line-18\nline-19\n")));
    buf_done(&text);
    /* the connection lives on, and nobody is gone */
    assert_int_equal(client_ask(&fx->client, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
    assert_int_equal(fx->gone_count, 0);
}

static void test_stream_written_before_it_is_sent(void **state)
{
    struct fixture *fx = *state;
    stream_start(fx, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(httpd_stream_write(fx->held, span_str("one")));
    assert_true(httpd_stream_write(fx->held, span_of(NULL, 0)));
    assert_true(httpd_stream_write(fx->held, span_str("two")));
    httpd_stream_end(fx->held);
    size_t body;
    CLIENT_UNTIL(&fx->client, client_answer(&fx->client, &body) > 0);
    struct buf text = {0};
    client_unchunk(&fx->client, &text);
    assert_string_equal(buf_cstr(&text), "onetwo");
    buf_done(&text);
}

static void test_empty_stream(void **state)
{
    struct fixture *fx = *state;
    stream_start(fx, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    httpd_stream_end(fx->held);
    size_t body;
    CLIENT_UNTIL(&fx->client, client_answer(&fx->client, &body) > 0);
    assert_true(client_has(&fx->client, "\r\n\r\n0\r\n\r\n"));
}

/* A client that does not read fills the queue, and nothing else suffers; what was accepted
 * arrives when he reads again. */
static void test_slow_reader_of_a_stream(void **state)
{
    struct fixture *fx = *state;
    static char piece[10000];
    size_t accepted = 0;
    memset(piece, 'p', sizeof(piece));
    stream_start(fx, "GET /watched HTTP/1.1\r\nHost: a\r\n\r\n");
    fx->client.is_paused = true;
    for (unsigned refusals = 0; refusals < 20;) {
        if (httpd_stream_write(fx->held, span_of(piece, sizeof(piece)))) {
            accepted += sizeof(piece);
            assert_true(accepted < 100u << 20);
        } else {
            refusals++;
            assert_alive(fx);
        }
    }
    httpd_stream_end(fx->held);
    assert_alive(fx);
    fx->client.is_paused = false;
    size_t body;
    CLIENT_UNTIL(&fx->client, client_answer(&fx->client, &body) > 0);
    struct buf text = {0};
    client_unchunk(&fx->client, &text);
    assert_int_equal(text.len, accepted);
    buf_done(&text);
    assert_int_equal(fx->gone_count, 0);
}

static void test_stream_of_a_client_that_leaves(void **state)
{
    struct fixture *fx = *state;
    stream_start(fx, "GET /watched HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(httpd_stream_write(fx->held, span_str("x")));
    CLIENT_UNTIL(&fx->client, client_has(&fx->client, "x"));
    close(fx->client.fd);
    fx->client.fd = -1;
    CLIENT_UNTIL(&fx->client, fx->gone_count > 0);
    assert_alive(fx);
    assert_int_equal(fx->gone_count, 1);
}

/* Without a gone callback the request stays valid until its end, and says that it is useless. */
static void test_stream_to_nobody(void **state)
{
    struct fixture *fx = *state;
    stream_start(fx, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(httpd_stream_write(fx->held, span_str("x")));
    CLIENT_UNTIL(&fx->client, client_has(&fx->client, "x"));
    close(fx->client.fd);
    fx->client.fd = -1;
    CLIENT_UNTIL(&fx->client, !httpd_stream_write(fx->held, span_str("y")));
    assert_false(httpd_stream_write(fx->held, span_str("z")));
    assert_string_equal(httpd_path(fx->held), "/hold");
    assert_null(httpd_header(fx->held, "host"));
    httpd_on_gone(fx->held, on_gone, fx);
    CLIENT_UNTIL(&fx->client, fx->gone_count == 1);
}

static void test_head_of_a_stream(void **state)
{
    struct fixture *fx = *state;
    stream_start(fx, "HEAD /watched HTTP/1.1\r\nHost: a\r\n\r\n");
    CLIENT_UNTIL(&fx->client, fx->gone_count == 1);
    CLIENT_UNTIL(&fx->client, client_has(&fx->client, "\r\n\r\n"));
    assert_string_equal(client_body(&fx->client), "");
}

/* ---- closing ---- */

static void test_close_tells_who_waits(void **state)
{
    struct fixture *fx = *state;
    client_say(&fx->client, "GET /watched HTTP/1.1\r\nHost: a\r\n\r\n");
    CLIENT_UNTIL(&fx->client, fx->held != NULL);
    httpd_close(fx->server);
    fx->server = NULL;
    assert_int_equal(fx->gone_count, 1);
    CLIENT_UNTIL(&fx->client, fx->client.is_eof);
}

static void test_close_with_a_stream(void **state)
{
    struct fixture *fx = *state;
    stream_start(fx, "GET /watched HTTP/1.1\r\nHost: a\r\n\r\n");
    httpd_stream_write(fx->held, span_str("x"));
    CLIENT_UNTIL(&fx->client, client_has(&fx->client, "x"));
    httpd_stream_write(fx->held, span_str("y"));
    httpd_close(fx->server);
    fx->server = NULL;
    assert_int_equal(fx->gone_count, 1);
}

static void test_request_outlives_the_server(void **state)
{
    struct fixture *fx = *state;
    client_say(&fx->client, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    CLIENT_UNTIL(&fx->client, fx->held != NULL);
    httpd_close(fx->server);
    fx->server = NULL;
    assert_string_equal(httpd_path(fx->held), "/hold");
    assert_null(httpd_query(fx->held, "q"));
    assert_null(httpd_arg(fx->held));
    assert_false(httpd_stream_write(fx->held, span_str("x")));
    httpd_reply(fx->held, 200, NULL, span_str("{}"));
}

static void test_close_before_the_handler_ran(void **state)
{
    struct fixture *fx = *state;
    client_say(&fx->client, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"); /* in the kernel */
    for (unsigned turns = 0; turns < 3; turns++) {
        loop_run_once(fx->loop);
    }
    httpd_close(fx->server);
    fx->server = NULL;
    if (fx->held != NULL) {
        httpd_reply(fx->held, 200, NULL, span_str("{}"));
    }
}

static void test_close_by_a_handler(void **state)
{
    struct fixture *fx = *state;
    client_say(&fx->client, "GET /close HTTP/1.1\r\nHost: a\r\n\r\n");
    CLIENT_UNTIL(&fx->client, fx->client.is_eof);
    assert_null(fx->server);
}

/* ---- hostile and slow clients ---- */

/* Valid requests, damaged and cut at random; then the server still answers. */
static void test_damaged_requests(void **state)
{
    struct fixture *fx = *state;
    const char *const seeds[] = {
        "GET /echo?q=1 HTTP/1.1\r\nHost: a\r\nX-Test: y\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
        "chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
        "PUT /only-put HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: "
        "5\r\n\r\nabcde",
    };
    for (unsigned i = 0; i < 400; i++) {
        char text[256];
        snprintf(text, sizeof(text), "%s", seeds[i % 4]);
        size_t len = strlen(text);
        for (uint64_t n = loop_random(fx->loop, 4); n > 0; n--) {
            text[loop_random(fx->loop, len)] = (char)loop_random(fx->loop, 256);
        }
        reconnect(fx);
        client_send(&fx->client, text, loop_random(fx->loop, len + 1));
        client_turn(&fx->client);
        if (i % 3 == 0) {
            shutdown(fx->client.fd, SHUT_WR);
            client_turn(&fx->client);
        }
    }
    assert_alive(fx);
}

static void test_connections_are_limited(void **state)
{
    struct fixture *fx = *state;
    struct httpd_options options = options_of(fx);
    struct client other[3];
    size_t body;
    httpd_close(fx->server);
    options.connections_max = 2;
    open_with(fx, &options);
    for (unsigned i = 0; i < 3; i++) {
        client_open(&other[i], fx->loop, httpd_address(fx->server));
        client_say(&other[i], "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    CLIENT_UNTIL(&other[0], client_answer(&other[0], &body) > 0);
    CLIENT_UNTIL(&other[1], client_answer(&other[1], &body) > 0);
    for (unsigned i = 0; i < 5; i++) {
        client_turn(&other[2]);
    }
    assert_int_equal(other[2].in.len, 0);
    client_close(&other[0]);
    CLIENT_UNTIL(&other[2], client_answer(&other[2], &body) > 0);
    client_close(&other[1]);
    client_close(&other[2]);
}

static void test_idle_connection_is_closed(void **state)
{
    struct fixture *fx = *state;
    struct httpd_options options = options_of(fx);
    httpd_close(fx->server);
    options.idle_s = 1;
    open_with(fx, &options);
    reconnect(fx);
    client_say(&fx->client, "GET /echo HTT");
    CLIENT_UNTIL(&fx->client, fx->client.is_eof);
    assert_alive(fx);
}

/* An answer that is still being made is not idle. */
static void test_waiting_is_not_idle(void **state)
{
    struct fixture *fx = *state;
    struct httpd_options options = options_of(fx);
    struct client idle;
    httpd_close(fx->server);
    options.idle_s = 1;
    open_with(fx, &options);
    reconnect(fx);
    client_say(&fx->client, "GET /watched HTTP/1.1\r\nHost: a\r\n\r\n");
    CLIENT_UNTIL(&fx->client, fx->held != NULL);
    client_open(&idle, fx->loop, httpd_address(fx->server));
    CLIENT_UNTIL(&idle, idle.is_eof);
    client_close(&idle);
    client_read(&fx->client);
    assert_false(fx->client.is_eof);
    assert_int_equal(fx->gone_count, 0);
    httpd_reply(fx->held, 200, NULL, span_str("{}"));
    size_t body;
    CLIENT_UNTIL(&fx->client, client_answer(&fx->client, &body) > 0);
}

static void test_peer_is_unknown_on_tcp(void **state)
{
    struct fixture *fx = *state;
    assert_int_equal(client_ask(&fx->client, "GET /peer HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
    assert_string_equal(client_body(&fx->client), "0 0 0 0");
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(request_is_taken_apart),
        TEST(connection_is_kept),
        TEST(pipelined_requests_are_answered_in_order),
        TEST(request_in_single_bytes),
        TEST(empty_answer),
        TEST(head_is_get_without_body),
        TEST(big_answer_arrives_whole),
        TEST(unknown_path),
        TEST(wrong_method),
        TEST(nul_in_path),
        TEST(body_limit_is_exact),
        TEST(chunked_body_is_limited_too),
        TEST(endless_body_is_cut_off),
        TEST(client_that_asks_first_is_refused_at_once),
        TEST(head_of_request_is_limited),
        TEST(answer_comes_later),
        TEST(gone_is_told_once),
        TEST(gone_is_not_told_after_the_answer),
        TEST(answer_to_nobody_is_harmless),
        TEST(stream_pieces_arrive_as_they_come),
        TEST(stream_written_before_it_is_sent),
        TEST(empty_stream),
        TEST(slow_reader_of_a_stream),
        TEST(stream_of_a_client_that_leaves),
        TEST(stream_to_nobody),
        TEST(head_of_a_stream),
        TEST(close_tells_who_waits),
        TEST(close_with_a_stream),
        TEST(request_outlives_the_server),
        TEST(close_before_the_handler_ran),
        TEST(close_by_a_handler),
        TEST(damaged_requests),
        TEST(connections_are_limited),
        TEST(idle_connection_is_closed),
        TEST(waiting_is_not_idle),
        TEST(peer_is_unknown_on_tcp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
