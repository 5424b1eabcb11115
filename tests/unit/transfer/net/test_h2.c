/* The HTTP/2 session against a server's session in memory: bodies go both ways, and windows are
 * kept and measured. */
#include "tests/unit/support/h2_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* ---- good ways ---- */

static void bodies_go_both_ways(void **state)
{
    struct h2_bench *b = *state;
    struct net_request *put = h2_bench_ask(b, "PUT", "/put", H2_BENCH_BYTES);
    struct net_request *empty = h2_bench_ask(b, "PUT", "/put", 0);
    struct net_request *text = h2_bench_ask(b, "GET", "/get/70000", 0);
    struct net_request *into = h2_bench_ask(b, "GET", "/get/300000", 0);
    into->into = mem_alloc(300000);
    into->into_size = 300000;
    h2_bench_settle(b);
    h2_bench_assert_put(b, put);
    h2_bench_assert_put(b, empty);
    assert_int_equal(text->fail.code, 0);
    assert_int_equal(text->text.len, 70000);
    assert_memory_equal(text->text.ptr, b->body, 70000);
    assert_int_equal(into->received, 300000);
    assert_memory_equal(into->into, b->body, 300000);
    assert_int_equal(h2_counts(b->h2, b->now_us).body_sent_bytes, H2_BENCH_BYTES);
    assert_int_equal(h2_counts(b->h2, b->now_us).body_came_bytes, 370000);
    mem_free(into->into);
}

static void a_hundred_streams(void **state)
{
    struct h2_bench *b = *state;
    h2_bench_settle(b);
    assert_int_equal(h2_room(b->h2), 100);
    for (int i = 0; i < 100; i++) {
        char path[32];
        snprintf(path, sizeof(path), "/put/%d", i);
        h2_bench_ask(b, "PUT", path, (size_t)i * 911);
    }
    assert_int_equal(h2_room(b->h2), 0);
    h2_bench_settle(b);
    for (int i = 0; i < 100; i++) {
        h2_bench_assert_put(b, &b->requests[i]);
        assert_int_equal(b->counts.times[i], 1);
    }
    assert_int_equal(b->counts.most, 100);
    assert_int_equal(h2_room(b->h2), 100);
}

static void peer_settings_are_known(void **state)
{
    struct h2_bench *b = *state;
    h2_bench_open(b, &(struct h2_far_options){.window_bytes = 100000, .max_streams = 7});
    assert_false(h2_peer(b->h2).is_known);
    h2_bench_settle(b);
    assert_true(h2_peer(b->h2).is_known);
    assert_int_equal(h2_peer(b->h2).max_streams, 7);
    assert_int_equal(h2_peer(b->h2).window_bytes, 100000);
    assert_int_equal(h2_peer(b->h2).max_frame_bytes, 16384);
    assert_int_equal(h2_room(b->h2), 7);
}

static void informational_heads_and_trailers_are_no_answer(void **state)
{
    struct h2_bench *b = *state;
    struct net_request *r = h2_bench_ask(b, "GET", "/interim", 0);
    h2_bench_settle(b);
    assert_int_equal(r->fail.code, 0);
    assert_int_equal(r->status, 200);
    assert_null(net_answer(r, "link").ptr);
    assert_null(net_answer(r, "x-trailer").ptr);
    assert_int_equal(r->text.len, 5);
}

static void answer_before_the_body_is_there(void **state)
{
    struct h2_bench *b = *state;
    h2_bench_open(b, &(struct h2_far_options){.window_bytes = 65535, .holds = true});
    struct net_request *r = h2_bench_ask(b, "PUT", "/early", H2_BENCH_BYTES);
    h2_bench_settle(b);
    assert_int_equal(h2_bench_has_ended(b, r), 1);
    assert_int_equal(r->fail.code, 0);
    assert_int_equal(r->status, 403);
    assert_true(r->wire_sent < H2_BENCH_BYTES);
    assert_int_equal(b->counts.resets, 1);
    assert_int_equal(h2_counts(b->h2, b->now_us).held, H2_NOT_HELD);
}

static void a_head_has_no_body(void **state)
{
    struct h2_bench *b = *state;
    struct net_request *r = h2_bench_ask(b, "HEAD", "/get/0", 0);
    h2_bench_settle(b);
    assert_int_equal(r->fail.code, 0);
    assert_int_equal(r->status, 200);
    assert_true(span_eq_str(net_answer(r, "content-length"), "0"));
}

/* ---- windows ---- */

static void small_windows_are_no_trouble(void **state)
{
    struct h2_bench *b = *state;
    h2_bench_open(b, &(struct h2_far_options){.window_bytes = 65535});
    struct net_request *r = h2_bench_ask(b, "PUT", "/put", H2_BENCH_BYTES);
    h2_bench_settle(b);
    h2_bench_assert_put(b, r);
    /* A window of 64 KiB comes back in halves: no more fills than that, and no crumbs. */
    assert_in_range(b->fills, H2_BENCH_BYTES / 65535, 2 * H2_BENCH_BYTES / 32768 + 10);
    assert_true(b->counts.data_frames < 3 * H2_BENCH_BYTES / 16384);
}

static void held_time_is_told(void **state)
{
    struct h2_bench *b = *state;
    h2_bench_open(b, &(struct h2_far_options){.window_bytes = 65535, .holds = true});
    h2_bench_settle(b);
    assert_int_equal(h2_counts(b->h2, b->now_us).held, H2_NOT_HELD);
    struct net_request *r = h2_bench_ask(b, "PUT", "/put", 100000);
    h2_bench_settle(b);
    struct h2_counts c = h2_counts(b->h2, b->now_us);
    assert_int_equal(c.held, H2_HELD_BY_CONNECTION);
    assert_int_equal(c.body_sent_bytes, 65535);
    assert_int_not_equal(c.held_since_us, 0);
    b->now_us += 5000;
    assert_in_range(h2_counts(b->h2, b->now_us).held_us, 5000, 5010);
    assert_int_equal(h2_bench_has_ended(b, r), 0);
    h2_far_release(b->far);
    h2_bench_settle(b);
    c = h2_counts(b->h2, b->now_us);
    h2_bench_assert_put(b, r);
    assert_int_equal(c.held, H2_NOT_HELD);
    assert_int_equal(c.held_since_us, 0);
    assert_in_range(c.held_us, 5000, 5010);
}

static void stream_window_alone_holds_too(void **state)
{
    struct h2_bench *b = *state;
    h2_bench_open(b, &(struct h2_far_options){
                         .window_bytes = 10000, .connection_bytes = 1000000, .holds = true});
    h2_bench_settle(b);
    struct net_request *large = h2_bench_ask(b, "PUT", "/put", 15000);
    h2_bench_settle(b);
    assert_int_equal(h2_counts(b->h2, b->now_us).held, H2_HELD_BY_STREAM);
    struct net_request *small = h2_bench_ask(b, "PUT", "/put", 5000);
    h2_bench_settle(b);
    h2_bench_assert_put(b, small);
    assert_int_equal(h2_counts(b->h2, b->now_us).held, H2_HELD_BY_STREAM);
    h2_bench_cancel(b, large);
    h2_bench_settle(b);
    assert_int_equal(h2_counts(b->h2, b->now_us).held, H2_NOT_HELD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        H2_TEST(bodies_go_both_ways),
        H2_TEST(a_hundred_streams),
        H2_TEST(peer_settings_are_known),
        H2_TEST(informational_heads_and_trailers_are_no_answer),
        H2_TEST(answer_before_the_body_is_there),
        H2_TEST(a_head_has_no_body),
        H2_TEST(small_windows_are_no_trouble),
        H2_TEST(held_time_is_told),
        H2_TEST(stream_window_alone_holds_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
