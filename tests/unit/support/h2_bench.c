#include "tests/unit/support/h2_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ENOUGH ((size_t)64 * 1024) /* bytes of one fill */

/* ---- the two ends ---- */

static bool on_write(void *arg, struct span bytes)
{
    struct h2_bench *b = arg;
    buf_span(&b->to_far, bytes);
    return b->to_far.len < ENOUGH;
}

void h2_bench_collect(struct h2_bench *b)
{
    struct net_request *r;
    while ((r = h2_next_ended(b->h2)) != NULL) {
        b->ended[r - b->requests]++;
    }
}

bool h2_bench_turn(struct h2_bench *b)
{
    b->now_us++;
    h2_fill(b->h2, b->now_us);
    b->fills += b->to_far.len > 0 ? 1 : 0;
    bool any = b->to_far.len > 0;
    h2_far_feed(b->far, buf_view(&b->to_far));
    buf_reset(&b->to_far);
    h2_far_take(b->far, &b->to_h2);
    any = any || b->to_h2.len > 0;
    if (b->to_h2.len > 0) {
        h2_feed(b->h2, buf_view(&b->to_h2), b->now_us);
        buf_reset(&b->to_h2);
    }
    h2_bench_collect(b);
    return any;
}

void h2_bench_settle(struct h2_bench *b)
{
    unsigned turns = 0;
    while (h2_bench_turn(b)) {
        assert_true(++turns < 100000);
    }
}

void h2_bench_open(struct h2_bench *b, const struct h2_far_options *o)
{
    h2_far_free(b->far);
    b->far = h2_far_new(o, &b->counts);
}

void h2_bench_lose(struct h2_bench *b, const char *why)
{
    struct fail f;
    fail_set(&f, REPL_ENET, "%s", why);
    h2_lose(b->h2, &f);
    h2_bench_collect(b);
}

int h2_bench_set_up(void **state)
{
    struct h2_bench *b = MEM_NEW(struct h2_bench);
    b->now_us = 1;
    arena_init(&b->arena);
    buf_init(&b->to_far, 0);
    buf_init(&b->to_h2, 0);
    b->h2 = h2_new(on_write, b);
    h2_bench_open(b, &(struct h2_far_options){0});
    b->body = mem_alloc(H2_BENCH_BYTES);
    for (size_t i = 0; i < H2_BENCH_BYTES; i++) {
        b->body[i] = h2_far_byte(i);
    }
    *state = b;
    return 0;
}

/* None is lost and none comes twice. */
int h2_bench_tear_down(void **state)
{
    struct h2_bench *b = *state;
    h2_bench_lose(b, "the test is over");
    for (size_t i = 0; i < b->count; i++) {
        assert_int_equal(b->ended[i], b->requests[i].arg == NULL ? 1 : 0);
    }
    h2_free(b->h2);
    h2_far_free(b->far);
    buf_done(&b->to_far);
    buf_done(&b->to_h2);
    arena_done(&b->arena);
    mem_free(b->body);
    mem_free(b);
    return 0;
}

/* ---- requests ---- */

struct net_request *h2_bench_ask(struct h2_bench *b, const char *method, const char *path,
                                 size_t bytes)
{
    struct net_request *r = &b->requests[b->count++];
    *r = (struct net_request){.method = method,
                              .url = arena_printf(&b->arena, "https://far.example%s", path),
                              .has_body = strcmp(method, "PUT") == 0,
                              .body = span_of(b->body, bytes),
                              .arena = &b->arena};
    h2_submit(b->h2, r, b->now_us);
    return r;
}

size_t h2_bench_has_ended(const struct h2_bench *b, const struct net_request *r)
{
    return b->ended[r - b->requests];
}

/* arg says so to the tear-down. */
void h2_bench_cancel(struct h2_bench *b, struct net_request *r)
{
    h2_cancel(b->h2, r);
    r->arg = b;
}

void h2_bench_assert_put(const struct h2_bench *b, const struct net_request *r)
{
    char sum[32];
    snprintf(sum, sizeof(sum), "%llu", (unsigned long long)h2_far_sum(0, r->body));
    assert_int_equal(h2_bench_has_ended(b, r), 1);
    assert_int_equal(r->fail.code, 0);
    assert_int_equal(r->status, 200);
    assert_true(span_eq_str(net_answer(r, "x-sum"), sum));
    assert_int_equal(r->wire_sent, r->body.len);
    assert_true(r->left);
}

void h2_bench_assert_failed(const struct h2_bench *b, const struct net_request *r, int code,
                            bool left)
{
    assert_int_equal(h2_bench_has_ended(b, r), 1);
    assert_int_equal(r->fail.code, code);
    assert_int_equal(r->left, left);
    assert_int_equal(r->no_h2, code == REPL_EPROTO);
}
