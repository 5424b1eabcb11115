/* HTTP/2 lanes in their pool, against a server over TLS: no request is lost, doubled or waited for
 * without end. */
#include "tests/unit/support/net_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* ---- good ways ---- */

static void many_requests_share_a_connection(void **state)
{
    struct net_bench *b = *state;
    net_bench_open_plainly(b);
    for (int i = 0; i < 200; i++) {
        char path[32];
        snprintf(path, sizeof(path), "/put/%d", i);
        net_bench_submit(b, "PUT", path, (size_t)i * 300);
    }
    net_bench_wait(b);
    for (int i = 0; i < 200; i++) {
        net_bench_assert_put(&b->requests[i]);
        assert_int_equal(net_bench_counts(b)->far.times[i], 1);
    }
    assert_int_equal(net_bench_counts(b)->connections, 1); /* the probe's */
    assert_int_equal(net_bench_counts(b)->far.most, 100);  /* what the server allows */
    assert_string_equal(net_bench_lane(b)->ops->kind, "h2");
}

static void large_bodies_go_both_ways(void **state)
{
    struct net_bench *b = *state;
    net_bench_open_for_bulk(b, (struct h2_far_options){0});
    struct net_request *put = net_bench_submit(b, "PUT", "/put", NET_BENCH_BYTES);
    struct net_request *get = net_bench_prepare(b, "GET", "/get/20971520", 0);
    char *into = mem_alloc(NET_BENCH_BYTES);
    get->into = into;
    get->into_size = NET_BENCH_BYTES;
    get->class = NET_BULK;
    net_submit(b->net, get);
    net_bench_wait(b);
    net_bench_assert_put(put);
    assert_int_equal(put->wire_sent, NET_BENCH_BYTES);
    assert_int_equal(get->fail.code, 0);
    assert_int_equal(get->received, NET_BENCH_BYTES);
    assert_memory_equal(into, b->body, NET_BENCH_BYTES);
    assert_int_equal(net_bench_lane(b)->came_bytes, NET_BENCH_BYTES);
    mem_free(into);
}

static void host_is_known_after_the_probe(void **state)
{
    struct net_bench *b = *state;
    net_bench_open_plainly(b);
    net_bench_assert_put(net_bench_fetch(b, "PUT", "/put", 10));
    const struct probe_result *p = &net_bench_host(b)->probed;
    assert_string_equal(p->alpn, "h2");
    assert_string_equal(p->version, "TLSv1.3");
    assert_true(p->rtt_us > 0);
    assert_int_equal(net_bench_host(b)->http, HOST_HTTP_2);
}

/* What the probe has opened is a lane like others, whoever comes first. */
static void lane_of_the_probe_waits_for_requests(void **state)
{
    struct net_bench *b = *state;
    net_bench_open_plainly(b);
    struct net_request *r = net_bench_submit(b, "PUT", "/put", 10);
    NET_UNTIL(b, net_bench_host(b)->probe != NULL);
    net_cancel(b->net, r);
    NET_UNTIL(b, net_bench_host(b)->http == HOST_HTTP_2);
    assert_int_equal(b->net->lanes, 1);
    struct lane *l = net_bench_lane(b);
    assert_int_equal(l->active, 0);
    assert_true(l->idle_ms > 0);
    assert_true(l->fd >= 0);
    assert_string_not_equal(l->grant.congestion, "");
    assert_true(timer_is_running(&b->net->tick)); /* it would be closed some time */
    net_bench_assert_put(net_bench_fetch(b, "PUT", "/put", 10));
    assert_ptr_equal(net_bench_lane(b), l);
    assert_int_equal(net_bench_counts(b)->connections, 1);
}

static void latency_of_a_young_connection_is_its_window(void **state)
{
    struct net_bench *b = *state;
    net_bench_open_plainly(b);
    for (int i = 0; i < 8; i++) {
        net_bench_assert_put(net_bench_fetch(b, "PUT", "/put", 10));
        assert_int_equal(b->requests[i].age, i == 0 ? NET_AGE_NEW : NET_AGE_YOUNG);
    }
    net_bench_assert_put(net_bench_fetch(b, "PUT", "/put", 10));
    assert_int_equal(b->requests[8].age, NET_AGE_GROWN);
    struct net_request r = {.sent_us = 1000, .first_us = 300999, .age = NET_AGE_YOUNG};
    assert_true(path_is_slow_start(&r, 100000));
    r.first_us = 301000; /* the server's */
    assert_false(path_is_slow_start(&r, 100000));
    assert_false(path_is_slow_start(&r, 0));
    r.age = NET_AGE_NEW;
    assert_true(path_is_slow_start(&r, 100000));
    r = (struct net_request){.sent_us = 1000, .first_us = 2000, .age = NET_AGE_GROWN};
    assert_false(path_is_slow_start(&r, 100000));
}

static void cancelled_request_leaves_the_connection(void **state)
{
    struct net_bench *b = *state;
    net_bench_open(b, (struct h2_peer_options){.far = {.window_bytes = 65535, .holds = true}},
                   (struct net_options){.lanes = 1});
    struct net_request *put = net_bench_submit(b, "PUT", "/put/1", NET_BENCH_BYTES);
    NET_UNTIL(b, net_bench_counts(b)->far.body_bytes == 65535);
    net_cancel(b->net, put);
    net_bench_wait(b);
    assert_int_equal(put->fail.code, REPL_ECANCELED);
    assert_true(put->left);
    NET_UNTIL(b, net_bench_counts(b)->far.resets == 1);
    assert_int_equal(net_bench_fetch(b, "GET", "/get/10", 0)->fail.code, 0);
    assert_int_equal(net_bench_counts(b)->far.times[1], 0);
    assert_int_equal(net_bench_counts(b)->connections, 1);
}

/* ---- ends ---- */

static void goodbye_loses_nothing_and_doubles_nothing(void **state)
{
    struct net_bench *b = *state;
    net_bench_open_plainly(b);
    for (int i = 0; i < 60; i++) {
        char path[32];
        snprintf(path, sizeof(path), i == 30 ? "/leave/0" : "/put/%d", i);
        net_bench_submit(b, "PUT", path, 30000);
    }
    net_bench_wait(b);
    for (int i = 0; i < 60; i++) {
        struct net_request *r = &b->requests[i];
        if (r->fail.code != 0) {
            assert_int_equal(r->fail.code, REPL_ENET);
            assert_false(r->left);
            char path[32];
            snprintf(path, sizeof(path), "/put/%d", i);
            net_bench_assert_put(net_bench_fetch(b, "PUT", path, 30000));
        }
    }
    for (int i = 0; i < 60; i++) {
        assert_int_equal(net_bench_counts(b)->far.times[i], 1);
    }
    assert_int_equal(net_bench_counts(b)->connections, 2);
}

static void closed_connection_ends_its_requests(void **state)
{
    struct net_bench *b = *state;
    net_bench_open_plainly(b);
    struct net_request *hangs = net_bench_submit(b, "PUT", "/hang", 10);
    NET_UNTIL(b, net_bench_counts(b)->far.whole == 1);
    struct net_request *closes = net_bench_submit(b, "PUT", "/close", 10);
    net_bench_wait(b);
    assert_int_equal(hangs->fail.code, REPL_ENET);
    assert_true(hangs->left);
    assert_int_equal(closes->fail.code, REPL_ENET);
    assert_int_equal(b->net->lanes, 0);
    net_bench_assert_put(net_bench_fetch(b, "PUT", "/put", 10));
}

static void idle_lane_goes_when_the_server_closes(void **state)
{
    struct net_bench *b = *state;
    net_bench_open_plainly(b);
    net_bench_assert_put(net_bench_fetch(b, "PUT", "/put", 10));
    assert_int_equal(b->net->lanes, 1);
    h2_peer_drop(b->peer);
    NET_UNTIL(b, b->net->lanes == 0);
    net_bench_assert_put(net_bench_fetch(b, "PUT", "/put", 10));
}

static void dead_connection_is_given_up(void **state)
{
    struct net_bench *b = *state;
    net_bench_open_plainly(b);
    b->net->common.ask_ms = 20;
    b->net->common.dead_ms = 200; /* long enough for its kernel to acknowledge the PING */
    struct net_request *r = net_bench_submit(b, "PUT", "/hang", 10);
    NET_UNTIL(b, net_bench_counts(b)->far.whole == 1);
    h2_peer_stall(b->peer);
    net_bench_wait(b);
    assert_int_equal(r->fail.code, REPL_ETIMEOUT);
    assert_true(r->left);
    assert_int_equal(b->net->lanes, 0);
}

static void slow_server_is_not_dead(void **state)
{
    struct net_bench *b = *state;
    net_bench_open_plainly(b);
    b->net->common.ask_ms = 10;
    b->net->common.dead_ms = 2000;
    net_bench_submit(b, "PUT", "/hang", 10);
    NET_UNTIL(b, net_bench_counts(b)->far.pings == 3);
    assert_int_equal(b->done, 0);
    net_cancel(b->net, &b->requests[0]);
    net_bench_wait(b);
}

static void closing_in_the_middle_of_everything(void **state)
{
    struct net_bench *b = *state;
    net_bench_open(b, (struct h2_peer_options){.is_mute = true}, (struct net_options){.lanes = 4});
    net_bench_submit(b, "PUT", "/put", 10);
    NET_UNTIL(b, net_bench_counts(b)->connections == 1);
    net_bench_close(b);
    assert_int_equal(b->requests[0].fail.code, REPL_ECANCELED);
    assert_false(b->requests[0].left);
}

static void nobody_listens(void **state)
{
    struct net_bench *b = *state;
    net_bench_open_plainly(b);
    struct net_request *r = net_bench_prepare(b, "PUT", "/put", 10);
    r->url = "https://127.0.0.1:1/put";
    net_submit(b->net, r);
    net_bench_wait(b);
    assert_int_equal(r->fail.code, REPL_EUNREACHABLE);
    assert_string_equal(r->fail.text, "cannot connect to https://127.0.0.1:1: connection refused");
    assert_non_null(strstr(r->fail.hint, "check host and port"));
    assert_false(r->left);
    assert_int_not_equal(r->failed_at, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NET_TEST(many_requests_share_a_connection),
        NET_TEST(large_bodies_go_both_ways),
        NET_TEST(host_is_known_after_the_probe),
        NET_TEST(lane_of_the_probe_waits_for_requests),
        NET_TEST(latency_of_a_young_connection_is_its_window),
        NET_TEST(cancelled_request_leaves_the_connection),
        NET_TEST(goodbye_loses_nothing_and_doubles_nothing),
        NET_TEST(closed_connection_ends_its_requests),
        NET_TEST(idle_lane_goes_when_the_server_closes),
        NET_TEST(dead_connection_is_given_up),
        NET_TEST(slow_server_is_not_dead),
        NET_TEST(closing_in_the_middle_of_everything),
        NET_TEST(nobody_listens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
