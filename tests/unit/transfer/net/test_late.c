/* What is given up because it is far behind, and what is not: with lanes of the test's own, that do
 * nothing, on virtual time. */
#include "transfer/net/net_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define LANES 8
#define MIB   ((uint64_t)1 << 20)

struct bench {
    struct loop *loop;
    struct log *log;
    struct net *net;
    struct path *path;
    struct host *host;
    struct lane lanes[LANES];
    struct net_request requests[LANES];
    size_t count; /* of lanes */
    unsigned closed;
    unsigned ended;
    bool is_net_closed;
};

static struct bench *of(struct lane *l)
{
    return l->net->more_arg;
}

static void on_cancel(struct lane *l, struct net_request *r)
{
    (void)r;
    l->is_spent = true;
}

static void on_close(struct lane *l)
{
    of(l)->closed++;
}

static void on_done(struct net_request *r)
{
    ((struct bench *)r->arg)->ended++;
}

static void on_net_closed(void *arg)
{
    ((struct bench *)arg)->is_net_closed = true;
}

static void open_net(struct bench *b, size_t path_count)
{
    static const struct net_path_options paths[] = {{.name = "direct"}, {.name = "other"}};
    struct fail f = {0};
    struct net_options o = {.loop = b->loop,
                            .log = b->log,
                            .name = "far",
                            .lanes = LANES,
                            .more_arg = b,
                            .paths = paths,
                            .path_count = path_count};
    assert_int_equal(net_new(&o, &b->net, &f), 0);
    b->path = &b->net->paths[0];
    b->host = path_host(b->path, "http://192.0.2.1/");
    b->path->sampled_us = loop_now_us(b->loop);
    b->path->sample.rtt_us = 100000;
}

static int setup(void **state)
{
    struct bench *b = MEM_NEW(struct bench);
    b->loop = loop_new_virtual(1, 1000000);
    b->log = log_new(LOG_FORMAT_TEXT, LOG_LEVEL_ERROR);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    for (size_t i = 0; i < b->count; i++) {
        if (b->requests[i].lane != NULL) {
            net_cancel(b->net, &b->requests[i]);
        }
    }
    net_close(b->net, on_net_closed, b);
    loop_run_for(b->loop, 10);
    assert_true(b->is_net_closed);
    loop_free(b->loop);
    log_free(b->log);
    mem_free(b);
    return 0;
}

static struct lane *add_lane(struct bench *b)
{
    static const struct lane_ops ops = {.kind = "test", .cancel = on_cancel, .close = on_close};
    struct lane *l = &b->lanes[b->count++];
    l->ops = &ops;
    l->net = b->net;
    l->host = b->host;
    l->fd = -1;
    l->class = NET_BULK;
    l->idle_ms = loop_now_ms(b->loop);
    l->seen.at_us = 1;
    l->seen.rtt_us = 100000;
    list_push_back(&b->host->lanes, &l->link);
    b->path->lanes++;
    b->net->lanes++;
    return l;
}

/* A lane with a request that begins now. */
static struct net_request *add_request(struct bench *b, enum net_class class)
{
    struct lane *l = add_lane(b);
    struct net_request *r = &b->requests[b->count - 1];
    *r = (struct net_request){.class = class,
                              .has_body = true,
                              .body = span_of(NULL, 8 * MIB),
                              .net = b->net,
                              .host = b->host,
                              .lane = l,
                              .started_us = loop_now_us(b->loop),
                              .done = on_done,
                              .arg = b};
    l->class = class;
    l->active = 1;
    b->net->busy++;
    path_started(b->path, r);
    list_push_back(&b->net->active, &r->active);
    return r;
}

static void check_after(struct bench *b, uint64_t ms)
{
    loop_run_for(b->loop, ms);
    b->path->sampled_us = loop_now_us(b->loop);
    late_check(b->net);
    loop_run_for(b->loop, 1); /* done() comes later */
}

/* ---- outages ---- */

static void stuck_connections_go_in_an_outage(void **state)
{
    struct bench *b = *state;
    open_net(b, 1);
    struct net_request *stuck = add_request(b, NET_BULK);
    struct net_request *waits = add_request(b, NET_BULK); /* for the server, all is acknowledged */
    stuck->lane->stuck_us = 4999999;
    b->path->pace.state = PACE_SILENT;
    check_after(b, 10);
    assert_int_equal(b->ended, 0);
    stuck->lane->stuck_us = 5000000;
    b->path->pace.state = PACE_MEASURING; /* others move: it is slow.h's to judge */
    check_after(b, 10);
    assert_int_equal(b->ended, 0);
    b->path->pace.state = PACE_SILENT;
    check_after(b, 10);
    assert_int_equal(b->ended, 1);
    assert_int_equal(b->closed, 1); /* what follows is sent over a new connection */
    assert_int_equal(stuck->fail.code, REPL_ETIMEOUT);
    assert_non_null(strstr(stuck->fail.text, "timeout after 5.0 s: nothing was acknowledged"));
    assert_null(stuck->lane);
    assert_non_null(waits->lane);
}

static void a_long_way_is_waited_for_longer(void **state)
{
    struct bench *b = *state;
    open_net(b, 1);
    struct net_request *r = add_request(b, NET_BULK);
    r->lane->seen.rtt_us = 600000;
    r->lane->stuck_us = 11999999;
    b->path->pace.state = PACE_SILENT;
    check_after(b, 10);
    assert_int_equal(b->ended, 0);
    r->lane->stuck_us = 12000000;
    check_after(b, 10);
    assert_int_equal(b->ended, 1);
}

static void small_ones_go_only_where_there_is_another_path(void **state)
{
    struct bench *b = *state;
    open_net(b, 2);
    add_request(b, NET_SMALL)->lane->stuck_us = 5000000;
    check_after(b, 10);
    assert_int_equal(b->ended, 1);
    b->net->path_count = 1;
    add_request(b, NET_SMALL)->lane->stuck_us = 5000000;
    b->path->pace.state = PACE_SILENT;
    check_after(b, 10);
    assert_int_equal(b->ended, 1);
    b->net->path_count = 2;
}

/* ---- slow lanes and the tail ---- */

static void one_far_behind_its_peers_is_replaced(void **state)
{
    struct bench *b = *state;
    open_net(b, 1);
    for (int i = 0; i < 4; i++) {
        add_request(b, NET_BULK)->lane->rate_bps = i == 2 ? MIB / 20 : MIB;
    }
    check_after(b, 10);
    check_after(b, 4900);
    assert_int_equal(b->ended, 0);
    check_after(b, 200);
    assert_int_equal(b->ended, 1);
    assert_int_equal(b->requests[2].fail.code, REPL_ETIMEOUT);
    assert_non_null(
        strstr(b->requests[2].fail.text, "timeout after 5.1 s: the connection was far"));
}

/* 8 MiB each; an idle lane has done 8 MiB a second. */
static void begin_tail(struct bench *b)
{
    open_net(b, 1);
    b->path->pace.wanted = 4;
    for (int i = 0; i < 2; i++) {
        add_request(b, NET_BULK)->lane->rate_bps = MIB / 4;
    }
    add_lane(b)->done_bps = 8 * MIB;
}

static void the_tail_goes_to_an_idle_lane_one_at_a_time(void **state)
{
    struct bench *b = *state;
    begin_tail(b);
    check_after(b, 10);
    check_after(b, 1100); /* a slot is spare for long; the requests are young */
    assert_int_equal(b->ended, 0);
    check_after(b, 200);
    assert_int_equal(b->ended, 1);
    check_after(b, 10);
    assert_int_equal(b->ended, 2);
}

static void what_is_nearly_done_is_let_end(void **state)
{
    struct bench *b = *state;
    begin_tail(b);
    for (int i = 0; i < 2; i++) {
        b->requests[i].lane->seen.acked_bytes = 8 * MIB - MIB / 8;
    }
    check_after(b, 10);
    check_after(b, 5000);
    assert_int_equal(b->ended, 0);
}

static void in_the_middle_of_a_job_nothing_is_sent_twice(void **state)
{
    struct bench *b = *state;
    begin_tail(b);
    b->path->pace.wanted = 2; /* no slot is spare */
    check_after(b, 10);
    check_after(b, 5000);
    assert_int_equal(b->ended, 0);
}

/* ---- first bytes ---- */

static void only_a_late_read_is_given_up(void **state)
{
    struct bench *b = *state;
    open_net(b, 1);
    b->path->firstbyte.timeout_us = 1000000;
    for (int i = 0; i < 3; i++) {
        struct net_request *r = add_request(b, NET_SMALL);
        r->sent_us = loop_now_us(b->loop);
        r->may_hurry = i > 0;
        r->first_us = i == 2 ? r->sent_us + 1 : 0;
    }
    check_after(b, 1000);
    assert_int_equal(b->ended, 0);
    check_after(b, 1);
    assert_int_equal(b->ended, 1);
    assert_int_equal(b->requests[1].fail.code, REPL_ETIMEOUT);
    assert_non_null(strstr(b->requests[1].fail.text, "timeout after 1.0 s: the answer did not"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(stuck_connections_go_in_an_outage),
        TEST(a_long_way_is_waited_for_longer),
        TEST(small_ones_go_only_where_there_is_another_path),
        TEST(one_far_behind_its_peers_is_replaced),
        TEST(the_tail_goes_to_an_idle_lane_one_at_a_time),
        TEST(what_is_nearly_done_is_let_end),
        TEST(in_the_middle_of_a_job_nothing_is_sent_twice),
        TEST(only_a_late_read_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
