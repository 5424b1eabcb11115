/* Requests over lanes to a server of the test's own: connections are kept and bounded, nothing is
 * repeated that may have been done, and a path that fails is left. */
#include "tests/unit/support/http_peer.h"
#include "transfer/net/net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUESTS 64

struct bench {
    struct loop *loop;
    struct log *log;
    struct http_peer *peer;
    struct net *net;
    struct arena arena;
    struct net_request requests[REQUESTS];
    size_t submitted;
    size_t done;
    bool is_closed;
};

static void on_closed(void *arg)
{
    ((struct bench *)arg)->is_closed = true;
}

static void on_done(struct net_request *r)
{
    ((struct bench *)r->arg)->done++;
}

static void open_net(struct bench *b, unsigned lanes, size_t path_count)
{
    const struct net_path_options paths[] = {{.name = "direct", .cost = "default"},
                                             {.name = "other", .cost = "default"}};
    struct fail f = {0};
    struct net_options o = {.loop = b->loop,
                            .log = b->log,
                            .name = "peer",
                            .lanes = lanes,
                            .paths = paths,
                            .path_count = path_count};
    assert_int_equal(net_new(&o, &b->net, &f), 0);
}

static int setup(void **state)
{
    struct bench *b = MEM_NEW(struct bench);
    b->loop = loop_new(1);
    b->log = log_new(LOG_FORMAT_TEXT, LOG_LEVEL_ERROR);
    b->peer = http_peer_new(b->loop);
    arena_init(&b->arena);
    http_peer_does(b->peer, HTTP_PEER_ANSWERS, span_str("hello"));
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    net_close(b->net, on_closed, b);
    while (!b->is_closed) {
        loop_run_once(b->loop);
    }
    assert_int_equal(b->done, b->submitted);
    http_peer_free(b->peer);
    arena_done(&b->arena);
    loop_free(b->loop);
    log_free(b->log);
    mem_free(b);
    return 0;
}

static struct net_request *submit_to(struct bench *b, size_t path, const char *url,
                                     const char *method)
{
    struct net_request *r = &b->requests[b->submitted++];
    *r = (struct net_request){.class = NET_SMALL,
                              .path = path,
                              .method = method,
                              .url = url,
                              .has_body = strcmp(method, "GET") != 0,
                              .body = span_str("body"),
                              .arena = &b->arena,
                              .done = on_done,
                              .arg = b};
    net_submit(b->net, r);
    return r;
}

static struct net_request *submit(struct bench *b, const char *method)
{
    return submit_to(b, 0, http_peer_url(b->peer), method);
}

static void wait_all(struct bench *b)
{
    while (b->done < b->submitted) {
        loop_run_once(b->loop);
    }
}

static void wait_requests(struct bench *b, unsigned count)
{
    while (http_peer_counts(b->peer).requests < count) {
        loop_run_once(b->loop);
    }
}

/* ---- tests ---- */

static void connection_is_kept(void **state)
{
    struct bench *b = *state;
    open_net(b, 8, 1);
    for (int i = 0; i < 5; i++) {
        struct net_request *r = submit(b, i % 2 == 0 ? "PUT" : "GET");
        wait_all(b);
        assert_int_equal(r->fail.code, 0);
        assert_int_equal(r->status, 200);
        assert_true(span_eq_str(r->text, "hello"));
    }
    assert_int_equal(http_peer_counts(b->peer).connections, 1);
}

static void lanes_are_bounded(void **state)
{
    struct bench *b = *state;
    open_net(b, 3, 1);
    http_peer_does(b->peer, HTTP_PEER_HANGS, span_str("late"));
    for (int i = 0; i < 10; i++) {
        submit(b, "GET");
    }
    wait_requests(b, 3);
    http_peer_does(b->peer, HTTP_PEER_ANSWERS, span_str("late"));
    http_peer_release(b->peer);
    wait_all(b);
    assert_int_equal(http_peer_counts(b->peer).requests, 10);
    assert_int_equal(http_peer_counts(b->peer).most_open, 3);
}

static void urls_without_a_host_fail(void **state)
{
    static const char *const bad[] = {"ftp://x/",    "http://",         "http://:80/",
                                      "http://x:0/", "http://x:99999/", "http://x:y/"};
    struct bench *b = *state;
    open_net(b, 1, 1);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct net_request *r = submit_to(b, 0, bad[i], "GET");
        assert_int_equal(b->done, i); /* never inside net_submit() */
        wait_all(b);
        assert_int_equal(r->fail.code, REPL_EBADINPUT);
    }
}

/* curl would send it again on a new connection; an upload created twice is an orphan. */
static void write_without_an_answer_is_not_repeated(void **state)
{
    struct bench *b = *state;
    open_net(b, 1, 1);
    submit(b, "PUT");
    wait_all(b);
    http_peer_does(b->peer, HTTP_PEER_DROPS, span_str(""));
    struct net_request *r = submit(b, "POST");
    wait_all(b);
    assert_int_equal(r->fail.code, REPL_ENET);
    assert_true(r->left);
    assert_int_equal(http_peer_counts(b->peer).requests, 2);
    http_peer_does(b->peer, HTTP_PEER_ANSWERS, span_str("again"));
    r = submit(b, "POST");
    wait_all(b);
    assert_int_equal(r->fail.code, 0);
}

static void refused_connection_did_not_leave(void **state)
{
    struct bench *b = *state;
    open_net(b, 1, 1);
    struct net_request *r = submit_to(b, 0, "http://127.0.0.1:1/", "PUT");
    wait_all(b);
    assert_int_equal(r->fail.code, REPL_EUNREACHABLE);
    assert_string_equal(r->fail.text, "cannot connect to http://127.0.0.1:1: connection refused");
    assert_non_null(strstr(r->fail.hint, "check host and port"));
    assert_false(r->left);
}

static void cancelled_ones_end_and_others_go_on(void **state)
{
    struct bench *b = *state;
    open_net(b, 1, 1);
    http_peer_does(b->peer, HTTP_PEER_HANGS, span_str("x"));
    struct net_request *first = submit(b, "PUT");
    struct net_request *second = submit(b, "PUT");
    struct net_request *third = submit(b, "PUT");
    wait_requests(b, 1);
    assert_false(net_waits(first));
    assert_true(net_waits(second)); /* for the lane */
    http_peer_does(b->peer, HTTP_PEER_ANSWERS, span_str("x"));
    net_cancel(b->net, first);
    net_cancel(b->net, third);
    net_cancel(b->net, third);
    assert_int_equal(b->done, 0); /* never inside net_cancel() */
    wait_all(b);
    assert_int_equal(first->fail.code, REPL_ECANCELED);
    assert_true(first->left);
    assert_int_equal(third->fail.code, REPL_ECANCELED);
    assert_false(third->left);
    assert_int_equal(second->fail.code, 0);
}

/* Listens, and has one connection that nobody accepts: the next one gets no answer to its SYN. */
static void open_full(int *listener, int *first, char *url, size_t size)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    *listener = socket(AF_INET, SOCK_STREAM, 0);
    *first = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(*listener, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(*listener, 0), 0);
    assert_int_equal(getsockname(*listener, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(connect(*first, (struct sockaddr *)&at, len), 0);
    snprintf(url, size, "http://127.0.0.1:%u/", ntohs(at.sin_port));
}

/* curl closes the descriptor of a connection that does not stand yet without a word; one that
 * were still watched then would keep the net from closing. */
static void cancelled_while_connecting_leaves_nothing(void **state)
{
    struct bench *b = *state;
    int listener;
    int first;
    char url[40];
    open_full(&listener, &first, url, sizeof(url));
    open_net(b, 1, 1);
    struct net_request *r = submit_to(b, 0, url, "PUT");
    while (r->lane == NULL) {
        loop_run_once(b->loop);
    }
    loop_run_once(b->loop); /* curl begins … */
    loop_run_once(b->loop); /* … and the tick finds it connecting */
    assert_true(net_waits(r));
    net_cancel(b->net, r);
    assert_false(net_waits(r)); /* it is on its way back */
    wait_all(b);
    assert_int_equal(r->fail.code, REPL_ECANCELED);
    assert_false(r->left);
    close(first);
    close(listener);
}

/* Once it is known how long answers take, a read that gets none is given up; a write is not. */
static void late_read_is_given_up(void **state)
{
    struct bench *b = *state;
    open_net(b, 4, 1);
    for (int i = 0; i < 40; i++) {
        submit(b, "GET");
        wait_all(b);
    }
    http_peer_does(b->peer, HTTP_PEER_HANGS, span_str("late"));
    struct net_request *write = submit(b, "PUT");
    struct net_request *read = &b->requests[b->submitted++];
    *read = (struct net_request){.method = "GET",
                                 .url = http_peer_url(b->peer),
                                 .may_hurry = true,
                                 .arena = &b->arena,
                                 .done = on_done,
                                 .arg = b};
    net_submit(b->net, read);
    while (b->done < 41) {
        loop_run_once(b->loop);
    }
    assert_int_equal(read->fail.code, REPL_ETIMEOUT);
    assert_true(read->left);
    http_peer_release(b->peer);
    wait_all(b);
    assert_int_equal(write->fail.code, 0);
}

static void closing_cancels_what_is_left(void **state)
{
    struct bench *b = *state;
    open_net(b, 2, 1);
    http_peer_does(b->peer, HTTP_PEER_HANGS, span_str("x"));
    for (int i = 0; i < 5; i++) {
        submit(b, "PUT");
    }
    wait_requests(b, 2);
    net_cancel(b->net, &b->requests[0]);
    net_cancel(b->net, &b->requests[1]);
    while (b->done < 2) {
        loop_run_once(b->loop);
    }
    for (size_t i = 2; i < 5; i++) {
        net_cancel(b->net, &b->requests[i]);
    }
}

static size_t pick_small(const struct net *n, uint64_t avoid)
{
    return net_pick(n, &(struct net_request){.class = NET_SMALL, .avoid = avoid});
}

static void dead_path_is_left(void **state)
{
    struct bench *b = *state;
    open_net(b, 4, 2);
    for (int i = 0; i < 20; i++) {
        size_t path = pick_small(b->net, 0);
        submit_to(b, path, path == 0 ? "http://127.0.0.1:1/" : http_peer_url(b->peer), "GET");
        wait_all(b);
    }
    unsigned lost = 0;
    for (int i = 0; i < 20; i++) {
        lost += b->requests[i].fail.code != 0 ? 1 : 0;
    }
    assert_in_range(lost, 1, 3);
    assert_int_equal(pick_small(b->net, 0), 1);
    assert_true(net_slots(b->net, NET_SMALL) >= 1);
}

/* One loss does not make a path that has worked be left, but what was lost there goes elsewhere,
 * even to one that was left. */
static void what_was_lost_on_a_path_takes_another(void **state)
{
    struct bench *b = *state;
    open_net(b, 4, 2);
    submit_to(b, 0, http_peer_url(b->peer), "GET");
    submit_to(b, 1, "http://127.0.0.2:1/", "GET");
    wait_all(b);
    assert_true(net_is_on_trial(b->net, 1));
    assert_false(net_is_on_trial(b->net, 0));
    http_peer_does(b->peer, HTTP_PEER_DROPS, span_str(""));
    struct net_request *lost = submit(b, "PUT");
    wait_all(b);
    assert_int_equal(lost->fail.code, REPL_ENET);
    assert_true(net_has_other(b->net, lost));
    assert_int_equal(pick_small(b->net, 0), 0);
    assert_int_equal(pick_small(b->net, lost->failed_at), 1);
    struct fail f = {0};
    assert_int_equal(net_order(b->net, "direct", NET_FIXED, &f), 0);
    assert_int_equal(pick_small(b->net, lost->failed_at), 0);
    assert_false(net_has_other(b->net, lost));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(connection_is_kept),
        TEST(lanes_are_bounded),
        TEST(urls_without_a_host_fail),
        TEST(what_was_lost_on_a_path_takes_another),
        TEST(write_without_an_answer_is_not_repeated),
        TEST(refused_connection_did_not_leave),
        TEST(cancelled_ones_end_and_others_go_on),
        TEST(cancelled_while_connecting_leaves_nothing),
        TEST(late_read_is_given_up),
        TEST(closing_cancels_what_is_left),
        TEST(dead_path_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
