/* Requests as they come in, and how the server stands up to bad ones. */
#include "fixture.h"

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
    assert_idle(fx);
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

/* Clients that stay when they have their answer keep nobody out: only the first three may. */
static void test_near_the_limit_connections_are_not_kept(void **state)
{
    struct fixture *fx = *state;
    struct httpd_options options = options_of(fx);
    struct client stay[12];
    httpd_close(fx->server);
    options.connections_max = 4;
    open_with(fx, &options);
    for (unsigned i = 0; i < 12; i++) {
        client_open(&stay[i], fx->loop, httpd_address(fx->server));
        assert_int_equal(client_ask(&stay[i], "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
        assert_int_equal(client_has(&stay[i], "Connection: close"), i >= 3);
    }
    for (unsigned i = 0; i < 12; i++) {
        client_turn(&stay[i]);
        assert_int_equal(stay[i].is_eof, i >= 3);
        client_close(&stay[i]);
    }
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

/* Half a request and the end of it in one go: the connection is not kept until it is idle. */
static void test_half_a_request_does_not_block_others(void **state)
{
    struct fixture *fx = *state;
    struct httpd_options options = options_of(fx);
    httpd_close(fx->server);
    options.connections_max = 1;
    open_with(fx, &options);
    for (unsigned i = 0; i < 3; i++) {
        reconnect(fx);
        client_say(&fx->client, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Le");
        client_close(&fx->client);
        client_turn(&fx->client);
    }
    uint64_t start_ms = loop_now_us(fx->loop) / 1000;
    assert_alive(fx);
    assert_true(loop_now_us(fx->loop) / 1000 - start_ms < 10000); /* idle would be 60 s */
}

/* A byte now and then keeps a connection from being idle, but not for ever. */
static void test_trickling_request_is_cut_off(void **state)
{
    struct fixture *fx = *state;
    struct httpd_options options = options_of(fx);
    httpd_close(fx->server);
    options.idle_s = 1;
    open_with(fx, &options);
    reconnect(fx);
    client_say(&fx->client, "GET /echo HTTP/1.1\r\nX-Test: ");
    uint64_t start_ms = loop_now_us(fx->loop) / 1000;
    uint64_t now_ms = start_ms;
    for (uint64_t said_ms = 0; !fx->client.is_eof; now_ms = loop_now_us(fx->loop) / 1000) {
        if (now_ms - said_ms > 100) {
            client_say(&fx->client, "x");
            said_ms = now_ms;
        }
        client_wait(&fx->client, false);
        client_turn(&fx->client);
        assert_true(now_ms - start_ms < CLIENT_PATIENCE_MS);
    }
    assert_int_equal(fx->client.in.len, 0);
    assert_true(now_ms - start_ms > 2500);
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
        TEST(damaged_requests),
        TEST(connections_are_limited),
        TEST(near_the_limit_connections_are_not_kept),
        TEST(idle_connection_is_closed),
        TEST(half_a_request_does_not_block_others),
        TEST(trickling_request_is_cut_off),
        TEST(waiting_is_not_idle),
        TEST(peer_is_unknown_on_tcp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
