/* HTTP/2 lanes that their server's windows hold up: that costs no CPU time, is told, and large
 * bodies leave HTTP/2 for it. */
#include "tests/unit/support/net_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <poll.h>
#include <uv.h>

/* Nothing happens until somebody does something: what waits costs no CPU time. */
static void assert_idle(struct net_bench *b)
{
    struct uv_loop_s *uv = loop_uv(b->loop);
    for (unsigned i = 0; i < 50; i++) {
        loop_run_once(b->loop);
    }
    struct pollfd events = {.fd = uv_backend_fd(uv), .events = POLLIN};
    assert_int_not_equal(uv_backend_timeout(uv), 0);
    assert_int_equal(poll(&events, 1, 0), 0);
}

static void small_windows_do_not_spin(void **state)
{
    struct net_bench *b = *state;
    net_bench_open_for_bulk(b, (struct h2_far_options){.window_bytes = 65535});
    struct net_request *r = net_bench_submit(b, "PUT", "/put", NET_BENCH_BYTES);
    net_bench_wait(b);
    net_bench_assert_put(r);
    assert_true(b->turns < 20 * NET_BENCH_BYTES / 32768); /* the window comes back in halves */
}

static void held_by_the_window_is_idle_and_told(void **state)
{
    struct net_bench *b = *state;
    net_bench_open(b, (struct h2_peer_options){.far = {.window_bytes = 65535, .holds = true}},
                   (struct net_options){.lanes = 1});
    struct net_request *r = net_bench_submit(b, "PUT", "/put", 100000);
    NET_UNTIL(b, net_bench_counts(b)->far.body_bytes == 65535);
    assert_idle(b);
    path_sample(&b->net->paths[0]);
    uint64_t held_us = net_bench_lane(b)->held_us;
    assert_true(held_us > 0);
    uint64_t before_us = loop_now_us(b->loop);
    NET_UNTIL(b, loop_now_us(b->loop) > before_us); /* the ticks of the pool and the lane go on */
    path_sample(&b->net->paths[0]);
    assert_true(net_bench_lane(b)->held_us > held_us);
    assert_true(b->net->paths[0].sample.window_us > 0);
    h2_peer_release(b->peer);
    net_bench_wait(b);
    net_bench_assert_put(r);
    held_us = net_bench_lane(b)->held_us;
    path_sample(&b->net->paths[0]);
    assert_int_equal(net_bench_lane(b)->held_us, held_us);
}

/* Large bodies leave HTTP/2 for it, small ones do not. */
static void held_bulk_goes_on_in_http_1_1(void **state)
{
    struct net_bench *b = *state;
    net_bench_open_http_1(b, NET_HTTP_AUTO);
    assert_int_equal(net_bench_fetch(b, "GET", "/", 0)->fail.code, 0);
    pool_close_idle(b->net); /* each connection of this server gives one answer */
    struct host *h = net_bench_host(b);
    h->http = HOST_HTTP_2; /* as a server that knows both */
    host_held(h, 1900000, 1900000);
    assert_true(host_speaks_h2(h, NET_BULK)); /* too soon to say */
    host_held(h, 200000, 0);
    assert_false(host_speaks_h2(h, NET_BULK));
    assert_true(host_speaks_h2(h, NET_SMALL));
    struct net_request *r = net_bench_prepare(b, "GET", "/", 0);
    r->class = NET_BULK;
    net_submit(b->net, r);
    net_bench_wait(b);
    assert_int_equal(r->fail.code, 0);
    assert_true(span_eq_str(r->text, "ok"));
}

static void what_is_held_then_is_given_up(void **state)
{
    struct net_bench *b = *state;
    net_bench_open(b, (struct h2_peer_options){.far = {.window_bytes = 65535, .holds = true}},
                   (struct net_options){.lanes = 1});
    const struct net_request *r = net_bench_submit(b, "PUT", "/put", NET_BENCH_BYTES);
    NET_UNTIL(b, net_bench_counts(b)->far.body_bytes == 65535);
    host_held(net_bench_host(b), 3000000, 3000000);
    net_bench_wait(b);
    assert_int_equal(r->fail.code, REPL_EPROTO);
    assert_true(r->left);
    assert_int_equal(net_bench_host(b)->http, HOST_HTTP_2);
    NET_UNTIL(b, net_bench_counts(b)->far.resets == 1);
}

static void windows_that_hold_little_change_nothing(void **state)
{
    struct net_bench *b = *state;
    net_bench_open_plainly(b);
    net_bench_assert_put(net_bench_fetch(b, "PUT", "/put", 10));
    for (int i = 0; i < 20; i++) {
        host_held(net_bench_host(b), 1000000, i % 2 == 0 ? 900000 : 0);
    }
    assert_true(host_speaks_h2(net_bench_host(b), NET_BULK));
}

static void bulk_stays_where_nothing_else_is_spoken(void **state)
{
    struct net_bench *b = *state;
    net_bench_open_plainly(b);
    net_bench_assert_put(net_bench_fetch(b, "PUT", "/put", 10));
    host_held(net_bench_host(b), 3000000, 3000000);
    assert_false(host_speaks_h2(net_bench_host(b), NET_BULK));
    for (int i = 0; i < 2; i++) {
        struct net_request *r = net_bench_prepare(b, "PUT", "/put", 10);
        r->class = NET_BULK;
        net_submit(b->net, r);
        net_bench_wait(b);
        assert_int_equal(r->fail.code == 0, i == 1);
    }
    assert_int_equal(net_bench_host(b)->bulk, HOST_BULK_STAYS);
    host_held(net_bench_host(b), 3000000, 3000000);
    assert_true(host_speaks_h2(net_bench_host(b), NET_BULK));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NET_TEST(small_windows_do_not_spin),
        NET_TEST(held_by_the_window_is_idle_and_told),
        NET_TEST(held_bulk_goes_on_in_http_1_1),
        NET_TEST(what_is_held_then_is_given_up),
        NET_TEST(windows_that_hold_little_change_nothing),
        NET_TEST(bulk_stays_where_nothing_else_is_spoken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
