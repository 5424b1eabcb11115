#include "tests/unit/support/net_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <uv.h>

static void on_done(struct net_request *r)
{
    ((struct net_bench *)r->arg)->done++;
}

static void on_closed(void *arg)
{
    ((struct net_bench *)arg)->is_closed = true;
}

void net_bench_turn(struct net_bench *b)
{
    b->turns++;
    uv_run(loop_uv(b->loop), UV_RUN_ONCE);
}

void net_bench_wait(struct net_bench *b)
{
    NET_UNTIL(b, b->done == b->submitted);
}

void net_bench_open(struct net_bench *b, struct h2_peer_options peer, struct net_options net)
{
    struct fail f = {0};
    peer.loop = b->loop;
    b->peer = h2_peer_new(&peer);
    net.loop = b->loop;
    net.name = "peer";
    net.ca_file = net.ca_file == NULL && !net.tls_insecure ? h2_peer_ca(b->peer) : net.ca_file;
    assert_int_equal(net_new(&net, &b->net, &f), 0);
}

void net_bench_open_plainly(struct net_bench *b)
{
    net_bench_open(b, (struct h2_peer_options){0}, (struct net_options){.lanes = 1});
}

void net_bench_open_for_bulk(struct net_bench *b, struct h2_far_options far)
{
    net_bench_open(b, (struct h2_peer_options){.far = far},
                   (struct net_options){.lanes = 1, .http = NET_HTTP_2});
}

void net_bench_open_http_1(struct net_bench *b, enum net_http http)
{
    net_bench_open(b,
                   (struct h2_peer_options){.alpn = "http/1.1", .raw = span_str(NET_BENCH_HTTP_1)},
                   (struct net_options){.lanes = 1, .http = http});
}

int net_bench_set_up(void **state)
{
    struct net_bench *b = MEM_NEW(struct net_bench);
    b->loop = loop_new(1);
    arena_init(&b->arena);
    b->body = mem_alloc(NET_BENCH_BYTES);
    for (size_t i = 0; i < NET_BENCH_BYTES; i++) {
        b->body[i] = h2_far_byte(i);
    }
    *state = b;
    return 0;
}

void net_bench_close(struct net_bench *b)
{
    net_close(b->net, on_closed, b);
    NET_UNTIL(b, b->is_closed);
    assert_int_equal(b->done, b->submitted);
}

int net_bench_tear_down(void **state)
{
    struct net_bench *b = *state;
    if (!b->is_closed) {
        net_bench_close(b);
    }
    h2_peer_free(b->peer);
    loop_free(b->loop);
    arena_done(&b->arena);
    mem_free(b->body);
    mem_free(b);
    return 0;
}

struct net_request *net_bench_prepare(struct net_bench *b, const char *method, const char *path,
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

struct net_request *net_bench_submit(struct net_bench *b, const char *method, const char *path,
                                     size_t bytes)
{
    struct net_request *r = net_bench_prepare(b, method, path, bytes);
    net_submit(b->net, r);
    return r;
}

struct net_request *net_bench_fetch(struct net_bench *b, const char *method, const char *path,
                                    size_t bytes)
{
    struct net_request *r = net_bench_submit(b, method, path, bytes);
    net_bench_wait(b);
    return r;
}

void net_bench_assert_put(const struct net_request *r)
{
    char sum[32];
    snprintf(sum, sizeof(sum), "%llu", (unsigned long long)h2_far_sum(0, r->body));
    assert_int_equal(r->fail.code, 0);
    assert_int_equal(r->status, 200);
    assert_true(span_eq_str(net_answer(r, "x-sum"), sum));
}

const struct h2_peer_counts *net_bench_counts(const struct net_bench *b)
{
    return h2_peer_counts(b->peer);
}

struct host *net_bench_host(const struct net_bench *b)
{
    return CONTAINER_OF(list_first(&b->net->paths[0].hosts), struct host, link);
}

struct lane *net_bench_lane(const struct net_bench *b)
{
    return CONTAINER_OF(list_first(&net_bench_host(b)->lanes), struct lane, link);
}
