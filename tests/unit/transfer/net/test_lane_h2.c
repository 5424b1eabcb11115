/* HTTP/2 lanes in their pool, against a server over TLS: who is trusted, what is learnt of a host,
 * and that no request is lost, doubled or waited for without end. */
#include "tests/unit/support/h2_peer.h"
#include "transfer/net/net_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <uv.h>

#define REQUESTS   256
#define BODY_BYTES ((size_t)20 * 1024 * 1024)

struct bench {
    struct loop *loop;
    struct h2_peer *peer;
    struct net *net;
    struct arena arena;
    struct net_request requests[REQUESTS];
    size_t submitted;
    size_t done;
    unsigned turns;
    bool is_closed;
    char *body;
};

/* ---- the bench ---- */

static void on_done(struct net_request *r)
{
    ((struct bench *)r->arg)->done++;
}

static void on_closed(void *arg)
{
    ((struct bench *)arg)->is_closed = true;
}

static void turn(struct bench *b)
{
    b->turns++;
    uv_run(loop_uv(b->loop), UV_RUN_ONCE);
}

#define UNTIL(b, condition)                                                                        \
    do {                                                                                           \
        while (!(condition)) {                                                                     \
            turn(b);                                                                               \
        }                                                                                          \
    } while (0)

static void wait_all(struct bench *b)
{
    UNTIL(b, b->done == b->submitted);
}

static void open_with(struct bench *b, struct h2_peer_options peer, struct net_options net)
{
    struct fail f = {0};
    peer.loop = b->loop;
    b->peer = h2_peer_new(&peer);
    net.loop = b->loop;
    net.name = "peer";
    net.ca_file = net.ca_file == NULL && !net.tls_insecure ? h2_peer_ca(b->peer) : net.ca_file;
    assert_int_equal(net_new(&net, &b->net, &f), 0);
}

/* One connection to a server that does what it should. */
static void open_plainly(struct bench *b)
{
    open_with(b, (struct h2_peer_options){0}, (struct net_options){.lanes = 1});
}

/* Large bodies stay in HTTP/2: a server that is slow, as here under valgrind, holds them up with
 * its windows, and bulk would leave it after two seconds. */
static void open_for_bulk(struct bench *b, struct h2_far_options far)
{
    open_with(b, (struct h2_peer_options){.far = far},
              (struct net_options){.lanes = 1, .http = NET_HTTP_2});
}

static int setup(void **state)
{
    struct bench *b = MEM_NEW(struct bench);
    b->loop = loop_new(1);
    arena_init(&b->arena);
    b->body = mem_alloc(BODY_BYTES);
    for (size_t i = 0; i < BODY_BYTES; i++) {
        b->body[i] = h2_far_byte(i);
    }
    *state = b;
    return 0;
}

static void close_net(struct bench *b)
{
    net_close(b->net, on_closed, b);
    UNTIL(b, b->is_closed);
    assert_int_equal(b->done, b->submitted);
}

static int teardown(void **state)
{
    struct bench *b = *state;
    if (!b->is_closed) {
        close_net(b);
    }
    h2_peer_free(b->peer);
    loop_free(b->loop);
    arena_done(&b->arena);
    mem_free(b->body);
    mem_free(b);
    return 0;
}

static struct net_request *prepare(struct bench *b, const char *method, const char *path,
                                   size_t bytes)
{
    struct net_request *r = &b->requests[b->submitted++];
    *r = (struct net_request){
        .class = bytes >= NET_BULK_BYTES ? NET_BULK : NET_SMALL,
        .method = method,
        .url = arena_printf(&b->arena, "%s%s", h2_peer_url(b->peer), path),
        .has_body = strcmp(method, "PUT") == 0,
        .body = span_of(b->body, bytes),
        .arena = &b->arena,
        .done = on_done,
        .arg = b,
    };
    return r;
}

static struct net_request *submit(struct bench *b, const char *method, const char *path,
                                  size_t bytes)
{
    struct net_request *r = prepare(b, method, path, bytes);
    net_submit(b->net, r);
    return r;
}

static struct net_request *fetch(struct bench *b, const char *method, const char *path,
                                 size_t bytes)
{
    struct net_request *r = submit(b, method, path, bytes);
    wait_all(b);
    return r;
}

static const struct h2_peer_counts *counts(const struct bench *b)
{
    return h2_peer_counts(b->peer);
}

static struct host *the_host(const struct bench *b)
{
    return CONTAINER_OF(list_first(&b->net->paths[0].hosts), struct host, link);
}

static struct lane *the_lane(const struct bench *b)
{
    return CONTAINER_OF(list_first(&the_host(b)->lanes), struct lane, link);
}

static void assert_put(const struct net_request *r)
{
    char sum[32];
    snprintf(sum, sizeof(sum), "%llu", (unsigned long long)h2_far_sum(0, r->body));
    assert_int_equal(r->fail.code, 0);
    assert_int_equal(r->status, 200);
    assert_true(span_eq_str(net_answer(r, "x-sum"), sum));
}

/* Nothing happens until somebody does something: what waits costs no CPU time. */
static void assert_idle(struct bench *b)
{
    struct uv_loop_s *uv = loop_uv(b->loop);
    for (unsigned i = 0; i < 50; i++) {
        loop_run_once(b->loop);
    }
    struct pollfd events = {.fd = uv_backend_fd(uv), .events = POLLIN};
    assert_int_not_equal(uv_backend_timeout(uv), 0);
    assert_int_equal(poll(&events, 1, 0), 0);
}

/* ---- good ways ---- */

static void many_requests_share_a_connection(void **state)
{
    struct bench *b = *state;
    open_plainly(b);
    for (int i = 0; i < 200; i++) {
        char path[32];
        snprintf(path, sizeof(path), "/put/%d", i);
        submit(b, "PUT", path, (size_t)i * 300);
    }
    wait_all(b);
    for (int i = 0; i < 200; i++) {
        assert_put(&b->requests[i]);
        assert_int_equal(counts(b)->far.times[i], 1);
    }
    assert_int_equal(counts(b)->connections, 2); /* with the probe */
    assert_int_equal(counts(b)->far.most, 100);  /* what the server allows */
    assert_string_equal(the_lane(b)->ops->kind, "h2");
}

static void large_bodies_go_both_ways(void **state)
{
    struct bench *b = *state;
    open_for_bulk(b, (struct h2_far_options){0});
    struct net_request *put = submit(b, "PUT", "/put", BODY_BYTES);
    struct net_request *get = prepare(b, "GET", "/get/20971520", 0);
    char *into = mem_alloc(BODY_BYTES);
    get->into = into;
    get->into_size = BODY_BYTES;
    get->class = NET_BULK;
    net_submit(b->net, get);
    wait_all(b);
    assert_put(put);
    assert_int_equal(put->wire_sent, BODY_BYTES);
    assert_int_equal(get->fail.code, 0);
    assert_int_equal(get->received, BODY_BYTES);
    assert_memory_equal(into, b->body, BODY_BYTES);
    assert_int_equal(the_lane(b)->came_bytes, BODY_BYTES);
    mem_free(into);
}

static void host_is_known_after_the_probe(void **state)
{
    struct bench *b = *state;
    open_plainly(b);
    assert_put(fetch(b, "PUT", "/put", 10));
    const struct probe_result *p = &the_host(b)->probed;
    assert_string_equal(p->alpn, "h2");
    assert_string_equal(p->version, "TLSv1.3");
    assert_true(p->rtt_us > 0);
    assert_int_equal(the_host(b)->http, HOST_HTTP_2);
}

static void cancelled_request_leaves_the_connection(void **state)
{
    struct bench *b = *state;
    open_with(b, (struct h2_peer_options){.far = {.window_bytes = 65535, .holds = true}},
              (struct net_options){.lanes = 1});
    struct net_request *put = submit(b, "PUT", "/put/1", BODY_BYTES);
    UNTIL(b, counts(b)->far.body_bytes == 65535);
    net_cancel(b->net, put);
    wait_all(b);
    assert_int_equal(put->fail.code, REPL_ECANCELED);
    assert_true(put->left);
    UNTIL(b, counts(b)->far.resets == 1);
    assert_int_equal(fetch(b, "GET", "/get/10", 0)->fail.code, 0);
    assert_int_equal(counts(b)->far.times[1], 0);
    assert_int_equal(counts(b)->connections, 2);
}

/* ---- windows ---- */

static void small_windows_do_not_spin(void **state)
{
    struct bench *b = *state;
    open_for_bulk(b, (struct h2_far_options){.window_bytes = 65535});
    struct net_request *r = submit(b, "PUT", "/put", BODY_BYTES);
    wait_all(b);
    assert_put(r);
    assert_true(b->turns < 20 * BODY_BYTES / 32768); /* the window comes back in halves */
}

static void held_by_the_window_is_idle_and_told(void **state)
{
    struct bench *b = *state;
    open_with(b, (struct h2_peer_options){.far = {.window_bytes = 65535, .holds = true}},
              (struct net_options){.lanes = 1});
    struct net_request *r = submit(b, "PUT", "/put", 100000);
    UNTIL(b, counts(b)->far.body_bytes == 65535);
    assert_idle(b);
    path_sample(&b->net->paths[0]);
    uint64_t held_us = the_lane(b)->held_us;
    assert_true(held_us > 0);
    uint64_t before_us = loop_now_us(b->loop);
    UNTIL(b, loop_now_us(b->loop) > before_us); /* the ticks of the pool and the lane go on */
    path_sample(&b->net->paths[0]);
    assert_true(the_lane(b)->held_us > held_us);
    assert_true(b->net->paths[0].sample.window_us > 0);
    h2_peer_release(b->peer);
    wait_all(b);
    assert_put(r);
    held_us = the_lane(b)->held_us;
    path_sample(&b->net->paths[0]);
    assert_int_equal(the_lane(b)->held_us, held_us);
}

/* Large bodies leave HTTP/2 for it, small ones do not. */
static void held_bulk_goes_on_in_http_1_1(void **state)
{
    struct bench *b = *state;
    open_with(
        b,
        (struct h2_peer_options){.alpn = "http/1.1",
                                 .raw = span_str("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")},
        (struct net_options){.lanes = 1});
    assert_int_equal(fetch(b, "GET", "/", 0)->fail.code, 0);
    pool_close_idle(b->net); /* each connection of this server gives one answer */
    struct host *h = the_host(b);
    h->http = HOST_HTTP_2; /* as a server that knows both */
    host_held(h, 1900000, 1900000);
    assert_true(host_speaks_h2(h, NET_BULK)); /* too soon to say */
    host_held(h, 200000, 0);
    assert_false(host_speaks_h2(h, NET_BULK));
    assert_true(host_speaks_h2(h, NET_SMALL));
    struct net_request *r = prepare(b, "GET", "/", 0);
    r->class = NET_BULK;
    net_submit(b->net, r);
    wait_all(b);
    assert_int_equal(r->fail.code, 0);
    assert_true(span_eq_str(r->text, "ok"));
}

static void what_is_held_then_is_given_up(void **state)
{
    struct bench *b = *state;
    open_with(b, (struct h2_peer_options){.far = {.window_bytes = 65535, .holds = true}},
              (struct net_options){.lanes = 1});
    const struct net_request *r = submit(b, "PUT", "/put", BODY_BYTES);
    UNTIL(b, counts(b)->far.body_bytes == 65535);
    host_held(the_host(b), 3000000, 3000000);
    wait_all(b);
    assert_int_equal(r->fail.code, REPL_EPROTO);
    assert_true(r->left);
    assert_int_equal(the_host(b)->http, HOST_HTTP_2);
    UNTIL(b, counts(b)->far.resets == 1);
}

static void windows_that_hold_little_change_nothing(void **state)
{
    struct bench *b = *state;
    open_plainly(b);
    assert_put(fetch(b, "PUT", "/put", 10));
    for (int i = 0; i < 20; i++) {
        host_held(the_host(b), 1000000, i % 2 == 0 ? 900000 : 0);
    }
    assert_true(host_speaks_h2(the_host(b), NET_BULK));
}

static void bulk_stays_where_nothing_else_is_spoken(void **state)
{
    struct bench *b = *state;
    open_plainly(b);
    assert_put(fetch(b, "PUT", "/put", 10));
    host_held(the_host(b), 3000000, 3000000);
    assert_false(host_speaks_h2(the_host(b), NET_BULK));
    for (int i = 0; i < 2; i++) {
        struct net_request *r = prepare(b, "PUT", "/put", 10);
        r->class = NET_BULK;
        net_submit(b->net, r);
        wait_all(b);
        assert_int_equal(r->fail.code == 0, i == 1);
    }
    assert_int_equal(the_host(b)->bulk, HOST_BULK_STAYS);
    host_held(the_host(b), 3000000, 3000000);
    assert_true(host_speaks_h2(the_host(b), NET_BULK));
}

/* ---- ends ---- */

static void goodbye_loses_nothing_and_doubles_nothing(void **state)
{
    struct bench *b = *state;
    open_plainly(b);
    for (int i = 0; i < 60; i++) {
        char path[32];
        snprintf(path, sizeof(path), i == 30 ? "/leave/0" : "/put/%d", i);
        submit(b, "PUT", path, 30000);
    }
    wait_all(b);
    for (int i = 0; i < 60; i++) {
        struct net_request *r = &b->requests[i];
        if (r->fail.code != 0) {
            assert_int_equal(r->fail.code, REPL_ENET);
            assert_false(r->left);
            char path[32];
            snprintf(path, sizeof(path), "/put/%d", i);
            assert_put(fetch(b, "PUT", path, 30000));
        }
    }
    for (int i = 0; i < 60; i++) {
        assert_int_equal(counts(b)->far.times[i], 1);
    }
    assert_int_equal(counts(b)->connections, 3);
}

static void closed_connection_ends_its_requests(void **state)
{
    struct bench *b = *state;
    open_plainly(b);
    struct net_request *hangs = submit(b, "PUT", "/hang", 10);
    UNTIL(b, counts(b)->far.whole == 1);
    struct net_request *closes = submit(b, "PUT", "/close", 10);
    wait_all(b);
    assert_int_equal(hangs->fail.code, REPL_ENET);
    assert_true(hangs->left);
    assert_int_equal(closes->fail.code, REPL_ENET);
    assert_int_equal(b->net->lanes, 0);
    assert_put(fetch(b, "PUT", "/put", 10));
}

static void idle_lane_goes_when_the_server_closes(void **state)
{
    struct bench *b = *state;
    open_plainly(b);
    assert_put(fetch(b, "PUT", "/put", 10));
    assert_int_equal(b->net->lanes, 1);
    h2_peer_drop(b->peer);
    UNTIL(b, b->net->lanes == 0);
    assert_put(fetch(b, "PUT", "/put", 10));
}

static void dead_connection_is_given_up(void **state)
{
    struct bench *b = *state;
    open_plainly(b);
    b->net->common.ask_ms = 20;
    b->net->common.dead_ms = 200; /* long enough for its kernel to acknowledge the PING */
    struct net_request *r = submit(b, "PUT", "/hang", 10);
    UNTIL(b, counts(b)->far.whole == 1);
    h2_peer_stall(b->peer);
    wait_all(b);
    assert_int_equal(r->fail.code, REPL_ETIMEOUT);
    assert_true(r->left);
    assert_int_equal(b->net->lanes, 0);
}

static void slow_server_is_not_dead(void **state)
{
    struct bench *b = *state;
    open_plainly(b);
    b->net->common.ask_ms = 10;
    b->net->common.dead_ms = 2000;
    submit(b, "PUT", "/hang", 10);
    UNTIL(b, counts(b)->far.pings == 3);
    assert_int_equal(b->done, 0);
    net_cancel(b->net, &b->requests[0]);
    wait_all(b);
}

static void closing_in_the_middle_of_everything(void **state)
{
    struct bench *b = *state;
    open_with(b, (struct h2_peer_options){.is_mute = true}, (struct net_options){.lanes = 4});
    submit(b, "PUT", "/put", 10);
    UNTIL(b, counts(b)->connections == 1);
    net_close(b->net, on_closed, b);
    UNTIL(b, b->is_closed);
    assert_int_equal(b->requests[0].fail.code, REPL_ECANCELED);
    assert_false(b->requests[0].left);
}

static void nobody_listens(void **state)
{
    struct bench *b = *state;
    open_plainly(b);
    struct net_request *r = prepare(b, "PUT", "/put", 10);
    r->url = "https://127.0.0.1:1/put";
    net_submit(b->net, r);
    wait_all(b);
    assert_int_equal(r->fail.code, REPL_EUNREACHABLE);
    assert_false(r->left);
    assert_int_not_equal(r->failed_at, 0);
}

/* ---- trust ---- */

static struct net_request *try_with(struct bench *b, struct h2_peer_options peer,
                                    struct net_options net)
{
    net.lanes = 2;
    open_with(b, peer, net);
    struct net_request *r = fetch(b, "PUT", "/put", 10);
    if (r->fail.code != 0) {
        assert_int_equal(r->fail.code, REPL_ETLS);
        assert_false(r->left);
        assert_int_equal(counts(b)->shaken, 0);
        assert_int_equal(counts(b)->far.heads, 0);
    }
    return r;
}

static void wrong_name_is_refused(void **state)
{
    struct net_request *r =
        try_with(*state, (struct h2_peer_options){.names = "DNS:127.0.0.1,DNS:other.example"},
                 (struct net_options){0});
    assert_non_null(strstr(r->fail.text, "IP address mismatch"));
    assert_non_null(strstr(r->fail.hint, "name in the endpoint's url"));
}

static void unknown_authority_is_refused(void **state)
{
    struct bench *b = *state;
    struct h2_peer *other = h2_peer_new(&(struct h2_peer_options){.loop = b->loop});
    struct net_request *r = try_with(b, (struct h2_peer_options){0},
                                     (struct net_options){.ca_file = h2_peer_ca(other)});
    assert_int_equal(r->fail.code, REPL_ETLS);
    assert_non_null(strstr(r->fail.hint, "ca_file"));
    h2_peer_free(other);
}

static void expired_certificate_is_refused(void **state)
{
    struct net_request *r =
        try_with(*state, (struct h2_peer_options){.days = -1}, (struct net_options){0});
    assert_non_null(strstr(r->fail.text, "expired"));
    assert_non_null(strstr(r->fail.hint, "clock"));
}

static void insecure_takes_anyone(void **state)
{
    struct net_request *r =
        try_with(*state, (struct h2_peer_options){.names = "DNS:other.example", .days = -1},
                 (struct net_options){.tls_insecure = true});
    assert_put(r);
}

static struct net_request *put_to_localhost(struct bench *b, const char *names)
{
    open_with(b, (struct h2_peer_options){.names = names}, (struct net_options){.lanes = 1});
    struct net_request *r = prepare(b, "PUT", "/put", 10);
    r->url = arena_printf(&b->arena, "https://localhost:%u/put", h2_peer_port(b->peer));
    net_submit(b->net, r);
    wait_all(b);
    if (r->fail.code == REPL_EUNREACHABLE) { /* localhost is ::1 first, where nobody listens */
        r = prepare(b, "PUT", "/put", 10);
        r->avoid = b->requests[0].failed_at;
        r->url = b->requests[0].url;
        net_submit(b->net, r);
        wait_all(b);
    }
    return r;
}

static void name_is_told_and_checked(void **state)
{
    struct bench *b = *state;
    assert_put(put_to_localhost(b, "DNS:localhost"));
    assert_string_equal(h2_peer_sni(b->peer), "localhost");
}

static void other_name_is_refused(void **state)
{
    struct net_request *r = put_to_localhost(*state, "DNS:other.example,IP:127.0.0.1");
    assert_int_equal(r->fail.code, REPL_ETLS);
    assert_non_null(strstr(r->fail.text, "ostname mismatch"));
    assert_non_null(strstr(r->fail.hint, "name in the endpoint's url"));
}

static void sessions_are_resumed_in(struct bench *b, int version)
{
    open_with(b, (struct h2_peer_options){.tls_version = version},
              (struct net_options){.lanes = 1});
    assert_put(fetch(b, "PUT", "/put", 10));
    unsigned before = counts(b)->resumed;
    h2_peer_drop(b->peer);
    UNTIL(b, b->net->lanes == 0);
    assert_put(fetch(b, "PUT", "/put", 10));
    assert_int_equal(counts(b)->shaken, 3);
    assert_int_equal(counts(b)->resumed, before + 1);
}

static void sessions_are_resumed(void **state)
{
    sessions_are_resumed_in(*state, TLS1_3_VERSION);
}

static void sessions_are_resumed_in_1_2(void **state)
{
    sessions_are_resumed_in(*state, TLS1_2_VERSION);
}

static void old_tls_is_refused(void **state)
{
    struct net_request *r = try_with(
        *state, (struct h2_peer_options){.tls_version = TLS1_1_VERSION}, (struct net_options){0});
    assert_int_equal(r->fail.code, REPL_ETLS);
}

/* ---- what a host speaks ---- */

static void server_of_http_1_1(void **state)
{
    struct bench *b = *state;
    open_with(
        b,
        (struct h2_peer_options){.alpn = "http/1.1",
                                 .raw = span_str("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")},
        (struct net_options){.lanes = 1});
    struct net_request *r = fetch(b, "GET", "/", 0);
    assert_int_equal(r->fail.code, 0);
    assert_true(span_eq_str(r->text, "ok"));
    assert_int_equal(the_host(b)->http, HOST_HTTP_1);
    assert_string_equal(the_lane(b)->ops->kind, "h1");
}

static void server_without_alpn(void **state)
{
    struct bench *b = *state;
    open_with(b,
              (struct h2_peer_options){
                  .alpn = "", .raw = span_str("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")},
              (struct net_options){.lanes = 1});
    assert_int_equal(fetch(b, "GET", "/", 0)->fail.code, 0);
    assert_int_equal(the_host(b)->http, HOST_HTTP_1);
}

static void server_that_no_longer_agrees(void **state)
{
    struct bench *b = *state;
    open_with(
        b,
        (struct h2_peer_options){.alpn = "http/1.1",
                                 .raw = span_str("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")},
        (struct net_options){.lanes = 1});
    assert_int_equal(fetch(b, "GET", "/", 0)->fail.code, 0);
    pool_close_idle(b->net);
    the_host(b)->http = HOST_HTTP_2; /* as a probe may have said in the last hour */
    struct net_request *r = fetch(b, "GET", "/", 0);
    assert_int_equal(r->fail.code, REPL_EPROTO);
    assert_true(r->no_h2);
    assert_false(r->left);
    assert_int_equal(fetch(b, "GET", "/", 0)->fail.code, 0);
}

static void broken_http2_falls_back(void **state)
{
    struct bench *b = *state;
    open_with(b,
              (struct h2_peer_options){
                  .raw = span_str("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")},
              (struct net_options){.lanes = 1});
    struct net_request *r = fetch(b, "PUT", "/put", 10);
    assert_int_equal(r->fail.code, REPL_EPROTO);
    assert_true(r->no_h2);
    assert_int_equal(the_host(b)->http, HOST_HTTP_1);
    assert_int_equal(b->net->lanes, 0);
    r = fetch(b, "PUT", "/put", 10); /* now in HTTP/1.1 */
    assert_int_equal(r->fail.code, 0);
    assert_int_equal(r->status, 400);
}

static void operator_may_want_http_1_1(void **state)
{
    struct bench *b = *state;
    open_with(
        b,
        (struct h2_peer_options){.alpn = "http/1.1",
                                 .raw = span_str("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")},
        (struct net_options){.lanes = 1, .http = NET_HTTP_1});
    assert_int_equal(fetch(b, "GET", "/", 0)->fail.code, 0);
    assert_string_equal(the_lane(b)->ops->kind, "h1");
    assert_int_equal(counts(b)->connections, 1); /* nobody was asked */
}

static void operator_may_want_http_2(void **state)
{
    struct bench *b = *state;
    open_with(b, (struct h2_peer_options){0}, (struct net_options){.lanes = 1, .http = NET_HTTP_2});
    assert_put(fetch(b, "PUT", "/put", 10));
    assert_string_equal(the_lane(b)->ops->kind, "h2");
    assert_int_equal(counts(b)->connections, 1);
}

/* There is no way back: the endpoint waits, as in an outage. */
static void http_2_or_nothing(void **state)
{
    struct bench *b = *state;
    open_with(b, (struct h2_peer_options){.alpn = "http/1.1"},
              (struct net_options){.lanes = 1, .http = NET_HTTP_2});
    for (int i = 0; i < 2; i++) {
        const struct net_request *r = fetch(b, "GET", "/", 0);
        assert_int_equal(r->fail.code, REPL_ETLS);
        assert_non_null(strstr(r->fail.text, "HTTP/2"));
        assert_non_null(strstr(r->fail.hint, "http: 2"));
        assert_false(r->left);
        assert_int_equal(the_host(b)->http, HOST_HTTP_2);
    }
}

static void broken_http2_stays(void **state)
{
    struct bench *b = *state;
    open_with(b,
              (struct h2_peer_options){
                  .raw = span_str("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")},
              (struct net_options){.lanes = 1, .http = NET_HTTP_2});
    assert_int_equal(fetch(b, "PUT", "/put", 10)->fail.code, REPL_EPROTO);
    assert_int_equal(the_host(b)->http, HOST_HTTP_2);
}

static void hostile_frames_end_the_connection(void **state)
{
    struct bench *b = *state;
    const char flood[] = "\x7f\xff\xff\x04\x00\x00\x00\x00\x00";
    open_with(b, (struct h2_peer_options){.raw = span_of(flood, sizeof(flood) - 1)},
              (struct net_options){.lanes = 1});
    struct net_request *r = fetch(b, "PUT", "/put", BODY_BYTES);
    assert_int_equal(r->fail.code, REPL_EPROTO);
    UNTIL(b, counts(b)->open == 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(many_requests_share_a_connection),
        TEST(large_bodies_go_both_ways),
        TEST(host_is_known_after_the_probe),
        TEST(cancelled_request_leaves_the_connection),
        TEST(small_windows_do_not_spin),
        TEST(held_by_the_window_is_idle_and_told),
        TEST(held_bulk_goes_on_in_http_1_1),
        TEST(what_is_held_then_is_given_up),
        TEST(windows_that_hold_little_change_nothing),
        TEST(bulk_stays_where_nothing_else_is_spoken),
        TEST(goodbye_loses_nothing_and_doubles_nothing),
        TEST(closed_connection_ends_its_requests),
        TEST(idle_lane_goes_when_the_server_closes),
        TEST(dead_connection_is_given_up),
        TEST(slow_server_is_not_dead),
        TEST(closing_in_the_middle_of_everything),
        TEST(nobody_listens),
        TEST(wrong_name_is_refused),
        TEST(unknown_authority_is_refused),
        TEST(expired_certificate_is_refused),
        TEST(insecure_takes_anyone),
        TEST(name_is_told_and_checked),
        TEST(other_name_is_refused),
        TEST(sessions_are_resumed),
        TEST(sessions_are_resumed_in_1_2),
        TEST(old_tls_is_refused),
        TEST(server_of_http_1_1),
        TEST(server_without_alpn),
        TEST(server_that_no_longer_agrees),
        TEST(broken_http2_falls_back),
        TEST(operator_may_want_http_1_1),
        TEST(operator_may_want_http_2),
        TEST(http_2_or_nothing),
        TEST(broken_http2_stays),
        TEST(hostile_frames_end_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
