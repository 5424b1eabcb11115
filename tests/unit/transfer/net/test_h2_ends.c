/* The HTTP/2 session where things go wrong: every request ends once, with what the server may have
 * seen of it told truthfully. */
#include "tests/unit/support/h2_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void refused_streams_were_not_seen(void **state)
{
    struct h2_bench *b = *state;
    struct net_request *r = h2_bench_ask(b, "PUT", "/reset/7", 100000);
    struct net_request *other = h2_bench_ask(b, "PUT", "/put", 100000);
    h2_bench_settle(b);
    h2_bench_assert_failed(b, r, REPL_ENET, false);
    h2_bench_assert_put(b, other);
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
    struct h2_bench *b = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct net_request *r = h2_bench_ask(b, "PUT", cases[i].path, 10);
        h2_bench_settle(b);
        h2_bench_assert_failed(b, r, cases[i].code, cases[i].left);
    }
}

static void goodbye_neither_loses_nor_doubles(void **state)
{
    struct h2_bench *b = *state;
    struct net_request *puts[20];
    for (int i = 0; i < 20; i++) {
        char path[32];
        snprintf(path, sizeof(path), i == 10 ? "/leave/0" : "/put/%d", i);
        puts[i] = h2_bench_ask(b, "PUT", path, 100000);
    }
    h2_bench_settle(b);
    assert_true(h2_is_spent(b->h2));
    assert_int_equal(h2_room(b->h2), 0);
    for (int i = 0; i < 20; i++) {
        if (i < 10) {
            h2_bench_assert_put(b, puts[i]);
            assert_int_equal(b->counts.times[i], 1);
        } else {
            h2_bench_assert_failed(b, puts[i], REPL_ENET, false);
            assert_int_equal(b->counts.times[i], 0);
        }
    }
}

static void request_behind_a_goodbye_never_leaves(void **state)
{
    struct h2_bench *b = *state;
    struct net_request *last = h2_bench_ask(b, "PUT", "/last/0", 10);
    h2_bench_settle(b);
    h2_bench_assert_put(b, last);
    assert_true(h2_is_spent(b->h2));
    unsigned heads = b->counts.heads;
    struct net_request *late = h2_bench_ask(b, "PUT", "/put", 10);
    h2_bench_settle(b);
    h2_bench_assert_failed(b, late, REPL_ENET, false);
    assert_int_equal(b->counts.heads, heads);
}

static void goodbye_in_anger_means_no_http2(void **state)
{
    struct h2_bench *b = *state;
    struct net_request *hangs = h2_bench_ask(b, "PUT", "/hang", 10);
    struct net_request *leaves = h2_bench_ask(b, "PUT", "/leave/11", 10); /* ENHANCE_YOUR_CALM */
    h2_bench_settle(b);
    h2_bench_assert_failed(b, leaves, REPL_EPROTO, false);
    assert_non_null(strstr(leaves->fail.text, "ENHANCE_YOUR_CALM (bye)"));
    assert_int_equal(h2_bench_has_ended(b, hangs), 0); /* may still be answered */
    h2_bench_lose(b, "closed");
    h2_bench_assert_failed(b, hangs, REPL_EPROTO, true);
}

static void lost_connection_ends_all(void **state)
{
    struct h2_bench *b = *state;
    struct net_request *sent = h2_bench_ask(b, "PUT", "/hang", 10);
    h2_bench_settle(b);
    struct net_request *fresh = h2_bench_ask(b, "PUT", "/put", 10);
    h2_bench_lose(b, "cable is cut");
    h2_bench_assert_failed(b, sent, REPL_ENET, true);
    assert_string_equal(sent->fail.text, "cable is cut");
    h2_bench_assert_failed(b, fresh, REPL_ENET, false);
    assert_true(h2_is_over(b->h2));
}

static void short_answer_is_told(void **state)
{
    struct h2_bench *b = *state;
    struct net_request *r = h2_bench_ask(b, "GET", "/short", 0);
    h2_bench_settle(b);
    h2_bench_assert_failed(b, r, REPL_ESHORT, true);
    assert_false(h2_is_spent(b->h2));
}

static void cancelled_requests_are_forgotten(void **state)
{
    struct h2_bench *b = *state;
    struct net_request *fresh = h2_bench_ask(b, "PUT", "/put/1", 10);
    h2_bench_cancel(b, fresh);
    assert_false(fresh->left);
    struct net_request *waits = h2_bench_ask(b, "PUT", "/hang", 10);
    struct net_request *half = h2_bench_ask(b, "PUT", "/put/2", H2_BENCH_BYTES);
    h2_bench_turn(b);
    h2_bench_cancel(b, half);
    assert_true(half->left);
    assert_in_range(half->wire_sent, 1, H2_BENCH_BYTES - 1);
    half->body = span_of(NULL, 0); /* its memory is somebody else's now */
    h2_bench_settle(b);
    h2_bench_cancel(b, waits);
    struct net_request *after = h2_bench_ask(b, "PUT", "/put/3", 1000);
    h2_bench_settle(b);
    h2_bench_assert_put(b, after);
    assert_int_equal(b->counts.resets, 2);
    assert_int_equal(b->counts.times[1] + b->counts.times[2], 0);
    assert_int_equal(h2_room(b->h2), 100);
}

static void ended_request_may_be_cancelled_before_it_is_told(void **state)
{
    struct h2_bench *b = *state;
    struct net_request *r = h2_bench_ask(b, "PUT", "/put", 10);
    struct fail f;
    fail_set(&f, REPL_ENET, "lost");
    h2_lose(b->h2, &f);
    h2_bench_cancel(b, r);
    assert_null(h2_next_ended(b->h2));
}

static void large_answers_are_cut_off(void **state)
{
    struct h2_bench *b = *state;
    struct net_request *into = h2_bench_ask(b, "GET", "/get/100000", 0);
    char small[1000];
    into->into = small;
    into->into_size = sizeof(small);
    h2_bench_settle(b);
    h2_bench_assert_failed(b, into, REPL_ETOOBIG, true);
    assert_true(into->received <= sizeof(small));
    struct net_request *text = h2_bench_ask(b, "GET", "/get/17000000", 0);
    h2_bench_settle(b);
    h2_bench_assert_failed(b, text, REPL_ETOOBIG, true);
    assert_int_equal(b->counts.resets, 2);
}

static void large_heads_are_cut_off(void **state)
{
    struct h2_bench *b = *state;
    struct net_request *many = h2_bench_ask(b, "GET", "/head/1000/10", 0);
    struct net_request *large = h2_bench_ask(b, "GET", "/head/200/2000", 0);
    h2_bench_settle(b);
    assert_int_equal(many->fail.code, 0);
    assert_int_equal(many->answer_count, 128); /* what HTTP/1.1 lanes keep, too */
    h2_bench_assert_failed(b, large, REPL_ETOOBIG, true);
    assert_false(h2_is_spent(b->h2));
}

static void silence_ends_a_request_and_no_other(void **state)
{
    struct h2_bench *b = *state;
    struct net_request *r = h2_bench_ask(b, "PUT", "/hang", 10);
    struct net_request *patient = h2_bench_ask(b, "PUT", "/hang", 10);
    r->stall_s = 5;
    h2_bench_settle(b);
    h2_check_stalls(b->h2, b->now_us + 4999000);
    h2_bench_collect(b);
    assert_int_equal(h2_bench_has_ended(b, r), 0);
    b->now_us += 5000001;
    h2_check_stalls(b->h2, b->now_us);
    h2_bench_settle(b);
    h2_bench_assert_failed(b, r, REPL_ETIMEOUT, true);
    assert_int_equal(h2_bench_has_ended(b, patient), 0);
    assert_int_equal(b->counts.resets, 1);
    h2_bench_cancel(b, patient);
}

static void ping_is_answered(void **state)
{
    struct h2_bench *b = *state;
    h2_bench_settle(b);
    h2_ping(b->h2);
    assert_true(h2_bench_turn(b));
    assert_int_equal(b->counts.pings, 1);
    assert_false(h2_bench_turn(b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        H2_TEST(refused_streams_were_not_seen),
        H2_TEST(resets_tell_what_is_wrong),
        H2_TEST(goodbye_neither_loses_nor_doubles),
        H2_TEST(request_behind_a_goodbye_never_leaves),
        H2_TEST(goodbye_in_anger_means_no_http2),
        H2_TEST(lost_connection_ends_all),
        H2_TEST(short_answer_is_told),
        H2_TEST(cancelled_requests_are_forgotten),
        H2_TEST(ended_request_may_be_cancelled_before_it_is_told),
        H2_TEST(large_answers_are_cut_off),
        H2_TEST(large_heads_are_cut_off),
        H2_TEST(silence_ends_a_request_and_no_other),
        H2_TEST(ping_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
