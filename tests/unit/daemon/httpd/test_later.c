/* Answers that come later, in pieces or never, and the end of the server. */
#include "fixture.h"

/* ---- answers that come later ---- */

static void test_answer_comes_later(void **state)
{
    struct fixture *fx = *state;
    client_say(&fx->client, "GET /hold?q=7 HTTP/1.1\r\nHost: a\r\n\r\n");
    CLIENT_UNTIL(&fx->client, fx->held != NULL);
    assert_alive(fx); /* others are served meanwhile */
    assert_idle(fx);
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
    assert_idle(fx);
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
    assert_idle(fx);
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

static void test_stream_to_http_1_0_ends_with_the_connection(void **state)
{
    struct fixture *fx = *state;
    stream_start(fx, "GET /hold HTTP/1.0\r\n\r\n");
    assert_true(httpd_stream_write(fx->held, span_str("one")));
    httpd_stream_end(fx->held);
    CLIENT_UNTIL(&fx->client, fx->client.is_eof);
    assert_string_equal(client_body(&fx->client), "one");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
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
        TEST(stream_to_http_1_0_ends_with_the_connection),
        TEST(head_of_a_stream),
        TEST(close_tells_who_waits),
        TEST(close_with_a_stream),
        TEST(request_outlives_the_server),
        TEST(close_before_the_handler_ran),
        TEST(close_by_a_handler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
