/* The HTTP/2 session against a server's session in memory: every request ends once, with what the
 * server may have seen of it told truthfully; windows are kept and measured; and whatever a server
 * sends, the session answers or ends. */
#include "tests/unit/support/h2_far.h"
#include "transfer/net/h2.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define REQUESTS   512
#define ENOUGH     ((size_t)64 * 1024) /* bytes of one fill */
#define BODY_BYTES ((size_t)3 * 1024 * 1024 + 17)

struct bench {
    struct h2 *h2;
    struct h2_far *far;
    struct h2_far_counts counts;
    struct buf to_far;
    struct buf to_h2;
    struct arena arena;
    struct net_request requests[REQUESTS];
    size_t count;
    size_t ended[REQUESTS];
    uint64_t now_us;
    unsigned fills; /* that wrote something */
    char *body;
};

/* ---- the two ends ---- */

static bool on_write(void *arg, struct span bytes)
{
    struct bench *b = arg;
    buf_span(&b->to_far, bytes);
    return b->to_far.len < ENOUGH;
}

static void collect(struct bench *b)
{
    struct net_request *r;
    while ((r = h2_next_ended(b->h2)) != NULL) {
        b->ended[r - b->requests]++;
    }
}

/* What is on the way arrives; false when nothing was. */
static bool turn(struct bench *b)
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
    collect(b);
    return any;
}

static void settle(struct bench *b)
{
    unsigned turns = 0;
    while (turn(b)) {
        assert_true(++turns < 100000);
    }
}

static void open_far(struct bench *b, const struct h2_far_options *o)
{
    h2_far_free(b->far);
    b->far = h2_far_new(o, &b->counts);
}

static int setup(void **state)
{
    struct bench *b = MEM_NEW(struct bench);
    b->now_us = 1;
    arena_init(&b->arena);
    buf_init(&b->to_far, 0);
    buf_init(&b->to_h2, 0);
    b->h2 = h2_new(on_write, b);
    open_far(b, &(struct h2_far_options){0});
    b->body = mem_alloc(BODY_BYTES);
    for (size_t i = 0; i < BODY_BYTES; i++) {
        b->body[i] = h2_far_byte(i);
    }
    *state = b;
    return 0;
}

/* None is lost and none comes twice. */
static int teardown(void **state)
{
    struct bench *b = *state;
    struct fail f;
    fail_set(&f, REPL_ENET, "the test is over");
    h2_lose(b->h2, &f);
    collect(b);
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

static struct net_request *ask(struct bench *b, const char *method, const char *path, size_t bytes)
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

static size_t has_ended(const struct bench *b, const struct net_request *r)
{
    return b->ended[r - b->requests];
}

/* Cancelled ones do not come out: arg says so to teardown(). */
static void cancel(struct bench *b, struct net_request *r)
{
    h2_cancel(b->h2, r);
    r->arg = b;
}

static void assert_put(const struct bench *b, const struct net_request *r)
{
    char sum[32];
    snprintf(sum, sizeof(sum), "%llu", (unsigned long long)h2_far_sum(0, r->body));
    assert_int_equal(has_ended(b, r), 1);
    assert_int_equal(r->fail.code, 0);
    assert_int_equal(r->status, 200);
    assert_true(span_eq_str(net_answer(r, "x-sum"), sum));
    assert_int_equal(r->wire_sent, r->body.len);
    assert_true(r->left);
}

static void assert_failed(const struct bench *b, const struct net_request *r, int code, bool left)
{
    assert_int_equal(has_ended(b, r), 1);
    assert_int_equal(r->fail.code, code);
    assert_int_equal(r->left, left);
    assert_int_equal(r->no_h2, code == REPL_EPROTO);
}

/* ---- good ways ---- */

static void bodies_go_both_ways(void **state)
{
    struct bench *b = *state;
    struct net_request *put = ask(b, "PUT", "/put", BODY_BYTES);
    struct net_request *empty = ask(b, "PUT", "/put", 0);
    struct net_request *text = ask(b, "GET", "/get/70000", 0);
    struct net_request *into = ask(b, "GET", "/get/300000", 0);
    into->into = mem_alloc(300000);
    into->into_size = 300000;
    settle(b);
    assert_put(b, put);
    assert_put(b, empty);
    assert_int_equal(text->fail.code, 0);
    assert_int_equal(text->text.len, 70000);
    assert_memory_equal(text->text.ptr, b->body, 70000);
    assert_int_equal(into->received, 300000);
    assert_memory_equal(into->into, b->body, 300000);
    assert_int_equal(h2_counts(b->h2, b->now_us).body_sent_bytes, BODY_BYTES);
    assert_int_equal(h2_counts(b->h2, b->now_us).body_came_bytes, 370000);
    mem_free(into->into);
}

static void a_hundred_streams(void **state)
{
    struct bench *b = *state;
    settle(b);
    assert_int_equal(h2_room(b->h2), 100);
    for (int i = 0; i < 100; i++) {
        char path[32];
        snprintf(path, sizeof(path), "/put/%d", i);
        ask(b, "PUT", path, (size_t)i * 911);
    }
    assert_int_equal(h2_room(b->h2), 0);
    settle(b);
    for (int i = 0; i < 100; i++) {
        assert_put(b, &b->requests[i]);
        assert_int_equal(b->counts.times[i], 1);
    }
    assert_int_equal(b->counts.most, 100);
    assert_int_equal(h2_room(b->h2), 100);
}

static void peer_settings_are_known(void **state)
{
    struct bench *b = *state;
    open_far(b, &(struct h2_far_options){.window_bytes = 100000, .max_streams = 7});
    assert_false(h2_peer(b->h2).is_known);
    settle(b);
    assert_true(h2_peer(b->h2).is_known);
    assert_int_equal(h2_peer(b->h2).max_streams, 7);
    assert_int_equal(h2_peer(b->h2).window_bytes, 100000);
    assert_int_equal(h2_peer(b->h2).max_frame_bytes, 16384);
    assert_int_equal(h2_room(b->h2), 7);
}

static void informational_heads_and_trailers_are_no_answer(void **state)
{
    struct bench *b = *state;
    struct net_request *r = ask(b, "GET", "/interim", 0);
    settle(b);
    assert_int_equal(r->fail.code, 0);
    assert_int_equal(r->status, 200);
    assert_null(net_answer(r, "link").ptr);
    assert_null(net_answer(r, "x-trailer").ptr);
    assert_int_equal(r->text.len, 5);
}

static void answer_before_the_body_is_there(void **state)
{
    struct bench *b = *state;
    open_far(b, &(struct h2_far_options){.window_bytes = 65535, .holds = true});
    struct net_request *r = ask(b, "PUT", "/early", BODY_BYTES);
    settle(b);
    assert_int_equal(has_ended(b, r), 1);
    assert_int_equal(r->fail.code, 0);
    assert_int_equal(r->status, 403);
    assert_true(r->wire_sent < BODY_BYTES);
    assert_int_equal(b->counts.resets, 1);
    assert_int_equal(h2_counts(b->h2, b->now_us).held, H2_NOT_HELD);
}

static void a_head_has_no_body(void **state)
{
    struct bench *b = *state;
    struct net_request *r = ask(b, "HEAD", "/get/0", 0);
    settle(b);
    assert_int_equal(r->fail.code, 0);
    assert_int_equal(r->status, 200);
    assert_true(span_eq_str(net_answer(r, "content-length"), "0"));
}

/* ---- windows ---- */

static void small_windows_are_no_trouble(void **state)
{
    struct bench *b = *state;
    open_far(b, &(struct h2_far_options){.window_bytes = 65535});
    struct net_request *r = ask(b, "PUT", "/put", BODY_BYTES);
    settle(b);
    assert_put(b, r);
    /* A window of 64 KiB comes back in halves: no more fills than that, and no crumbs. */
    assert_in_range(b->fills, BODY_BYTES / 65535, 2 * BODY_BYTES / 32768 + 10);
    assert_true(b->counts.data_frames < 3 * BODY_BYTES / 16384);
}

static void held_time_is_told(void **state)
{
    struct bench *b = *state;
    open_far(b, &(struct h2_far_options){.window_bytes = 65535, .holds = true});
    settle(b);
    assert_int_equal(h2_counts(b->h2, b->now_us).held, H2_NOT_HELD);
    struct net_request *r = ask(b, "PUT", "/put", 100000);
    settle(b);
    struct h2_counts c = h2_counts(b->h2, b->now_us);
    assert_int_equal(c.held, H2_HELD_BY_CONNECTION);
    assert_int_equal(c.body_sent_bytes, 65535);
    assert_int_not_equal(c.held_since_us, 0);
    b->now_us += 5000;
    assert_in_range(h2_counts(b->h2, b->now_us).held_us, 5000, 5010);
    assert_int_equal(has_ended(b, r), 0);
    h2_far_release(b->far);
    settle(b);
    c = h2_counts(b->h2, b->now_us);
    assert_put(b, r);
    assert_int_equal(c.held, H2_NOT_HELD);
    assert_int_equal(c.held_since_us, 0);
    assert_in_range(c.held_us, 5000, 5010);
}

static void stream_window_alone_holds_too(void **state)
{
    struct bench *b = *state;
    open_far(b, &(struct h2_far_options){
                    .window_bytes = 10000, .connection_bytes = 1000000, .holds = true});
    settle(b);
    struct net_request *large = ask(b, "PUT", "/put", 15000);
    settle(b);
    assert_int_equal(h2_counts(b->h2, b->now_us).held, H2_HELD_BY_STREAM);
    struct net_request *small = ask(b, "PUT", "/put", 5000);
    settle(b);
    assert_put(b, small);
    assert_int_equal(h2_counts(b->h2, b->now_us).held, H2_HELD_BY_STREAM);
    cancel(b, large);
    settle(b);
    assert_int_equal(h2_counts(b->h2, b->now_us).held, H2_NOT_HELD);
}

/* ---- bad ways ---- */

static void refused_streams_were_not_seen(void **state)
{
    struct bench *b = *state;
    struct net_request *r = ask(b, "PUT", "/reset/7", 100000);
    struct net_request *other = ask(b, "PUT", "/put", 100000);
    settle(b);
    assert_failed(b, r, REPL_ENET, false);
    assert_put(b, other);
    assert_false(h2_is_spent(b->h2));
}

static void resets_tell_what_is_wrong(void **state)
{
    static const struct {
        const char *path;
        int code;
        bool left;
    } cases[] = {
        {"/reset/0", REPL_ENET, true},    /* NO_ERROR without an answer */
        {"/reset/1", REPL_EPROTO, true},  /* PROTOCOL_ERROR */
        {"/reset/2", REPL_ENET, true},    /* INTERNAL_ERROR */
        {"/reset/8", REPL_ENET, true},    /* CANCEL */
        {"/reset/11", REPL_EPROTO, true}, /* ENHANCE_YOUR_CALM */
        {"/reset/13", REPL_EPROTO, false} /* HTTP_1_1_REQUIRED */
    };
    struct bench *b = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct net_request *r = ask(b, "PUT", cases[i].path, 10);
        settle(b);
        assert_failed(b, r, cases[i].code, cases[i].left);
    }
}

static void goodbye_neither_loses_nor_doubles(void **state)
{
    struct bench *b = *state;
    struct net_request *puts[20];
    for (int i = 0; i < 20; i++) {
        char path[32];
        snprintf(path, sizeof(path), i == 10 ? "/leave/0" : "/put/%d", i);
        puts[i] = ask(b, "PUT", path, 100000);
    }
    settle(b);
    assert_true(h2_is_spent(b->h2));
    assert_int_equal(h2_room(b->h2), 0);
    for (int i = 0; i < 20; i++) {
        if (i < 10) {
            assert_put(b, puts[i]);
            assert_int_equal(b->counts.times[i], 1);
        } else {
            assert_failed(b, puts[i], REPL_ENET, false);
            assert_int_equal(b->counts.times[i], 0);
        }
    }
}

static void request_behind_a_goodbye_never_leaves(void **state)
{
    struct bench *b = *state;
    struct net_request *last = ask(b, "PUT", "/last/0", 10);
    settle(b);
    assert_put(b, last);
    assert_true(h2_is_spent(b->h2));
    unsigned heads = b->counts.heads;
    struct net_request *late = ask(b, "PUT", "/put", 10);
    settle(b);
    assert_failed(b, late, REPL_ENET, false);
    assert_int_equal(b->counts.heads, heads);
}

static void goodbye_in_anger_means_no_http2(void **state)
{
    struct bench *b = *state;
    struct net_request *hangs = ask(b, "PUT", "/hang", 10);
    struct net_request *leaves = ask(b, "PUT", "/leave/11", 10); /* ENHANCE_YOUR_CALM */
    settle(b);
    assert_failed(b, leaves, REPL_EPROTO, false);
    assert_non_null(strstr(leaves->fail.text, "ENHANCE_YOUR_CALM (bye)"));
    assert_int_equal(has_ended(b, hangs), 0); /* may still be answered */
    struct fail f;
    fail_set(&f, REPL_ENET, "closed");
    h2_lose(b->h2, &f);
    collect(b);
    assert_failed(b, hangs, REPL_EPROTO, true);
}

static void lost_connection_ends_all(void **state)
{
    struct bench *b = *state;
    struct net_request *sent = ask(b, "PUT", "/hang", 10);
    settle(b);
    struct net_request *fresh = ask(b, "PUT", "/put", 10);
    struct fail f;
    fail_set(&f, REPL_ENET, "cable is cut");
    h2_lose(b->h2, &f);
    collect(b);
    assert_failed(b, sent, REPL_ENET, true);
    assert_string_equal(sent->fail.text, "cable is cut");
    assert_failed(b, fresh, REPL_ENET, false);
    assert_true(h2_is_over(b->h2));
}

static void short_answer_is_told(void **state)
{
    struct bench *b = *state;
    struct net_request *r = ask(b, "GET", "/short", 0);
    settle(b);
    assert_failed(b, r, REPL_ESHORT, true);
    assert_false(h2_is_spent(b->h2));
}

static void cancelled_requests_are_forgotten(void **state)
{
    struct bench *b = *state;
    struct net_request *fresh = ask(b, "PUT", "/put/1", 10);
    cancel(b, fresh);
    assert_false(fresh->left);
    struct net_request *waits = ask(b, "PUT", "/hang", 10);
    struct net_request *half = ask(b, "PUT", "/put/2", BODY_BYTES);
    turn(b);
    cancel(b, half);
    assert_true(half->left);
    assert_in_range(half->wire_sent, 1, BODY_BYTES - 1);
    half->body = span_of(NULL, 0); /* its memory is somebody else's now */
    settle(b);
    cancel(b, waits);
    struct net_request *after = ask(b, "PUT", "/put/3", 1000);
    settle(b);
    assert_put(b, after);
    assert_int_equal(b->counts.resets, 2);
    assert_int_equal(b->counts.times[1] + b->counts.times[2], 0);
    assert_int_equal(h2_room(b->h2), 100);
}

static void ended_request_may_be_cancelled_before_it_is_told(void **state)
{
    struct bench *b = *state;
    struct net_request *r = ask(b, "PUT", "/put", 10);
    struct fail f;
    fail_set(&f, REPL_ENET, "lost");
    h2_lose(b->h2, &f);
    cancel(b, r);
    assert_null(h2_next_ended(b->h2));
}

static void large_answers_are_cut_off(void **state)
{
    struct bench *b = *state;
    struct net_request *into = ask(b, "GET", "/get/100000", 0);
    char small[1000];
    into->into = small;
    into->into_size = sizeof(small);
    settle(b);
    assert_failed(b, into, REPL_ETOOBIG, true);
    assert_true(into->received <= sizeof(small));
    struct net_request *text = ask(b, "GET", "/get/17000000", 0);
    settle(b);
    assert_failed(b, text, REPL_ETOOBIG, true);
    assert_int_equal(b->counts.resets, 2);
}

static void large_heads_are_cut_off(void **state)
{
    struct bench *b = *state;
    struct net_request *many = ask(b, "GET", "/head/1000/10", 0);
    struct net_request *large = ask(b, "GET", "/head/200/2000", 0);
    settle(b);
    assert_int_equal(many->fail.code, 0);
    assert_int_equal(many->answer_count, 128); /* what HTTP/1.1 lanes keep, too */
    assert_failed(b, large, REPL_ETOOBIG, true);
    assert_false(h2_is_spent(b->h2));
}

static void silence_ends_a_request_and_no_other(void **state)
{
    struct bench *b = *state;
    struct net_request *r = ask(b, "PUT", "/hang", 10);
    struct net_request *patient = ask(b, "PUT", "/hang", 10);
    r->stall_s = 5;
    settle(b);
    h2_check_stalls(b->h2, b->now_us + 4999000);
    collect(b);
    assert_int_equal(has_ended(b, r), 0);
    b->now_us += 5000001;
    h2_check_stalls(b->h2, b->now_us);
    settle(b);
    assert_failed(b, r, REPL_ETIMEOUT, true);
    assert_int_equal(has_ended(b, patient), 0);
    assert_int_equal(b->counts.resets, 1);
    cancel(b, patient);
}

static void ping_is_answered(void **state)
{
    struct bench *b = *state;
    settle(b);
    h2_ping(b->h2);
    assert_true(turn(b));
    assert_int_equal(b->counts.pings, 1);
    assert_false(turn(b));
}

/* ---- hostile peers ---- */

/* One that is told off; every request under way ends, and it learns why. */
static void assert_broken_by(const void *bytes, size_t len)
{
    struct bench *b;
    setup((void **)&b);
    struct net_request *r = ask(b, "PUT", "/hang", 10);
    settle(b);
    h2_feed(b->h2, span_of(bytes, len), b->now_us);
    h2_fill(b->h2, b->now_us);
    assert_true(h2_is_over(b->h2));
    assert_int_equal(h2_fail(b->h2)->code, REPL_EPROTO);
    h2_far_feed(b->far, buf_view(&b->to_far));
    assert_int_equal(b->counts.goaways, 1);
    struct fail f;
    fail_set(&f, REPL_ENET, "closed");
    h2_lose(b->h2, &f);
    collect(b);
    assert_failed(b, r, REPL_EPROTO, true);
    teardown((void **)&b);
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
    struct bench *b = *state;
    struct net_request *r = ask(b, "PUT", "/put", 10);
    h2_fill(b->h2, b->now_us);
    h2_feed(b->h2, span_str("HTTP/1.1 400 Bad Request\r\n\r\n"), b->now_us);
    assert_true(h2_is_over(b->h2));
    struct fail f;
    fail_set(&f, REPL_ENET, "closed");
    h2_lose(b->h2, &f);
    collect(b);
    assert_failed(b, r, REPL_EPROTO, true);
    assert_non_null(strstr(r->fail.text, "HTTP/1.1"));
}

static void noise_never_hurts(void **state)
{
    (void)state;
    srand(4711);
    for (int round = 0; round < 300; round++) {
        struct bench *b;
        char noise[400];
        setup((void **)&b);
        ask(b, "PUT", "/hang", 1000);
        ask(b, "GET", "/hang", 0);
        settle(b);
        for (size_t i = 0; i < sizeof(noise); i++) {
            noise[i] = (char)rand();
        }
        noise[0] =
            0; /* a frame of a length that may be, of a kind that may be, on a stream of ours */
        noise[1] = 0;
        noise[3] = (char)(rand() % 11);
        memcpy(noise + 5, rand() % 3 == 0 ? "\0\0\0\0" : "\0\0\0\1", 4);
        h2_feed(b->h2, span_of(noise, sizeof(noise)), b->now_us);
        settle(b);
        teardown((void **)&b);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(bodies_go_both_ways),
        TEST(a_hundred_streams),
        TEST(peer_settings_are_known),
        TEST(informational_heads_and_trailers_are_no_answer),
        TEST(answer_before_the_body_is_there),
        TEST(a_head_has_no_body),
        TEST(small_windows_are_no_trouble),
        TEST(held_time_is_told),
        TEST(stream_window_alone_holds_too),
        TEST(refused_streams_were_not_seen),
        TEST(resets_tell_what_is_wrong),
        TEST(goodbye_neither_loses_nor_doubles),
        TEST(request_behind_a_goodbye_never_leaves),
        TEST(goodbye_in_anger_means_no_http2),
        TEST(lost_connection_ends_all),
        TEST(short_answer_is_told),
        TEST(cancelled_requests_are_forgotten),
        TEST(ended_request_may_be_cancelled_before_it_is_told),
        TEST(large_answers_are_cut_off),
        TEST(large_heads_are_cut_off),
        TEST(silence_ends_a_request_and_no_other),
        TEST(ping_is_answered),
        cmocka_unit_test(breaches_end_the_session),
        TEST(first_words_must_be_http2),
        cmocka_unit_test(noise_never_hurts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
