/* Whatever a server sends, the HTTP/2 session answers or ends. */
#include "tests/unit/support/h2_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One that is told off; every request under way ends, and it learns why. */
static void assert_broken_by(const void *bytes, size_t len)
{
    struct h2_bench *b;
    h2_bench_set_up((void **)&b);
    struct net_request *r = h2_bench_ask(b, "PUT", "/hang", 10);
    h2_bench_settle(b);
    h2_feed(b->h2, span_of(bytes, len), b->now_us);
    h2_fill(b->h2, b->now_us);
    assert_true(h2_is_over(b->h2));
    assert_int_equal(h2_fail(b->h2)->code, REPL_EPROTO);
    h2_far_feed(b->far, buf_view(&b->to_far));
    assert_int_equal(b->counts.goaways, 1);
    h2_bench_lose(b, "closed");
    h2_bench_assert_failed(b, r, REPL_EPROTO, true);
    h2_bench_tear_down((void **)&b);
}

#define FRAME(text) (text), sizeof(text) - 1

static void breaches_end_the_session(void **state)
{
    (void)state;
    assert_broken_by(FRAME("\x7f\xff\xff\x00\x00\x00\x00\x00\x01")); /* larger than we allow */
    assert_broken_by(FRAME("\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00")); /* window 0 */
    assert_broken_by(FRAME("\x00\x00\x04\x08\x00\x00\x00\x00\x00\x7f\xff\xff\xff")); /* overflow */
    assert_broken_by(FRAME("\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x01"));
    assert_broken_by(FRAME("\x00\x00\x05\x06\x00\x00\x00\x00\x00xxxxx")); /* short PING */
    assert_broken_by(FRAME("\x00\x00\x00\x00\x00\x00\x00\x00\x00"));      /* DATA on 0 */
    assert_broken_by(FRAME("\x00\x00\x04\x05\x04\x00\x00\x00\x01\x00\x00\x00\x02")); /* push */
    assert_broken_by(FRAME("\x00\x00\x03\x01\x04\x00\x00\x00\x01\xff\xff\xff"));     /* HPACK */
    assert_broken_by(FRAME("\x00\x00\x01\x09\x04\x00\x00\x00\x01\x88")); /* CONTINUATION of none */
}

static void first_words_must_be_http2(void **state)
{
    struct h2_bench *b = *state;
    struct net_request *r = h2_bench_ask(b, "PUT", "/put", 10);
    h2_fill(b->h2, b->now_us);
    h2_feed(b->h2, span_str("HTTP/1.1 400 Bad Request\r\n\r\n"), b->now_us);
    assert_true(h2_is_over(b->h2));
    h2_bench_lose(b, "closed");
    h2_bench_assert_failed(b, r, REPL_EPROTO, true);
    assert_non_null(strstr(r->fail.text, "HTTP/1.1"));
}

static void noise_never_hurts(void **state)
{
    (void)state;
    srand(4711);
    for (int round = 0; round < 300; round++) {
        struct h2_bench *b;
        char noise[400];
        h2_bench_set_up((void **)&b);
        h2_bench_ask(b, "PUT", "/hang", 1000);
        h2_bench_ask(b, "GET", "/hang", 0);
        h2_bench_settle(b);
        for (size_t i = 0; i < sizeof(noise); i++) {
            noise[i] = (char)rand();
        }
        noise[0] =
            0; /* a frame of a length that may be, of a kind that may be, on a stream of ours */
        noise[1] = 0;
        noise[3] = (char)(rand() % 11);
        memcpy(noise + 5, rand() % 3 == 0 ? "\0\0\0\0" : "\0\0\0\1", 4);
        h2_feed(b->h2, span_of(noise, sizeof(noise)), b->now_us);
        h2_bench_settle(b);
        h2_bench_tear_down((void **)&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(breaches_end_the_session),
        H2_TEST(first_words_must_be_http2),
        cmocka_unit_test(noise_never_hurts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
