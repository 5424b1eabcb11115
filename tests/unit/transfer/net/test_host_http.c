/* Which HTTP a host speaks: what is asked of it, what the operator wants, and what becomes of a
 * server that does not keep its word. */
#include "tests/unit/support/net_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void server_of_http_1_1(void **state)
{
    struct net_bench *b = *state;
    net_bench_open_http_1(b, NET_HTTP_AUTO);
    struct net_request *r = net_bench_fetch(b, "GET", "/", 0);
    assert_int_equal(r->fail.code, 0);
    assert_true(span_eq_str(r->text, "ok"));
    assert_int_equal(net_bench_host(b)->http, HOST_HTTP_1);
    assert_string_equal(net_bench_lane(b)->ops->kind, "h1");
}

static void server_without_alpn(void **state)
{
    struct net_bench *b = *state;
    net_bench_open(b, (struct h2_peer_options){.alpn = "", .raw = span_str(NET_BENCH_HTTP_1)},
                   (struct net_options){.lanes = 1});
    assert_int_equal(net_bench_fetch(b, "GET", "/", 0)->fail.code, 0);
    assert_int_equal(net_bench_host(b)->http, HOST_HTTP_1);
}

static void server_that_no_longer_agrees(void **state)
{
    struct net_bench *b = *state;
    net_bench_open_http_1(b, NET_HTTP_AUTO);
    assert_int_equal(net_bench_fetch(b, "GET", "/", 0)->fail.code, 0);
    pool_close_idle(b->net);
    net_bench_host(b)->http = HOST_HTTP_2; /* as a probe may have said in the last hour */
    struct net_request *r = net_bench_fetch(b, "GET", "/", 0);
    assert_int_equal(r->fail.code, REPL_EPROTO);
    assert_true(r->no_h2);
    assert_false(r->left);
    assert_int_equal(net_bench_fetch(b, "GET", "/", 0)->fail.code, 0);
}

static void broken_http2_falls_back(void **state)
{
    struct net_bench *b = *state;
    net_bench_open(b,
                   (struct h2_peer_options){
                       .raw = span_str("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")},
                   (struct net_options){.lanes = 1});
    struct net_request *r = net_bench_fetch(b, "PUT", "/put", 10);
    assert_int_equal(r->fail.code, REPL_EPROTO);
    assert_true(r->no_h2);
    assert_int_equal(net_bench_host(b)->http, HOST_HTTP_1);
    assert_int_equal(b->net->lanes, 0);
    r = net_bench_fetch(b, "PUT", "/put", 10); /* now in HTTP/1.1 */
    assert_int_equal(r->fail.code, 0);
    assert_int_equal(r->status, 400);
}

static void operator_may_want_http_1_1(void **state)
{
    struct net_bench *b = *state;
    net_bench_open_http_1(b, NET_HTTP_1);
    assert_int_equal(net_bench_fetch(b, "GET", "/", 0)->fail.code, 0);
    assert_string_equal(net_bench_lane(b)->ops->kind, "h1");
    assert_int_equal(net_bench_counts(b)->connections, 1); /* nobody was asked */
}

static void operator_may_want_http_2(void **state)
{
    struct net_bench *b = *state;
    net_bench_open(b, (struct h2_peer_options){0},
                   (struct net_options){.lanes = 1, .http = NET_HTTP_2});
    net_bench_assert_put(net_bench_fetch(b, "PUT", "/put", 10));
    assert_string_equal(net_bench_lane(b)->ops->kind, "h2");
    assert_int_equal(net_bench_counts(b)->connections, 1);
}

/* There is no way back: the endpoint waits, as in an outage. */
static void http_2_or_nothing(void **state)
{
    struct net_bench *b = *state;
    net_bench_open(b, (struct h2_peer_options){.alpn = "http/1.1"},
                   (struct net_options){.lanes = 1, .http = NET_HTTP_2});
    for (int i = 0; i < 2; i++) {
        const struct net_request *r = net_bench_fetch(b, "GET", "/", 0);
        assert_int_equal(r->fail.code, REPL_ETLS);
        assert_non_null(strstr(r->fail.text, "HTTP/2"));
        assert_non_null(strstr(r->fail.hint, "http: 2"));
        assert_false(r->left);
        assert_int_equal(net_bench_host(b)->http, HOST_HTTP_2);
    }
}

static void broken_http2_stays(void **state)
{
    struct net_bench *b = *state;
    net_bench_open(b,
                   (struct h2_peer_options){
                       .raw = span_str("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")},
                   (struct net_options){.lanes = 1, .http = NET_HTTP_2});
    assert_int_equal(net_bench_fetch(b, "PUT", "/put", 10)->fail.code, REPL_EPROTO);
    assert_int_equal(net_bench_host(b)->http, HOST_HTTP_2);
}

static void hostile_frames_end_the_connection(void **state)
{
    struct net_bench *b = *state;
    const char flood[] = "\x7f\xff\xff\x04\x00\x00\x00\x00\x00";
    net_bench_open(b, (struct h2_peer_options){.raw = span_of(flood, sizeof(flood) - 1)},
                   (struct net_options){.lanes = 1});
    struct net_request *r = net_bench_fetch(b, "PUT", "/put", NET_BENCH_BYTES);
    assert_int_equal(r->fail.code, REPL_EPROTO);
    NET_UNTIL(b, net_bench_counts(b)->open == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NET_TEST(server_of_http_1_1),
        NET_TEST(server_without_alpn),
        NET_TEST(server_that_no_longer_agrees),
        NET_TEST(broken_http2_falls_back),
        NET_TEST(operator_may_want_http_1_1),
        NET_TEST(operator_may_want_http_2),
        NET_TEST(http_2_or_nothing),
        NET_TEST(broken_http2_stays),
        NET_TEST(hostile_frames_end_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
