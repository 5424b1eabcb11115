/* A delivery from request to answer, and the end of its source: nothing is answered with 2xx before
 * it is kept. */
#include "daemon/base/mem.h"

#include "tests/unit/support/hook.h"

static int setup(void **state)
{
    struct hook *h = MEM_NEW(struct hook);
    hook_init(h);
    *state = h;
    return 0;
}

static int teardown(void **state)
{
    hook_done(*state);
    mem_free(*state);
    return 0;
}

static void test_answered_when_it_is_kept(void **state)
{
    struct hook *h = *state;
    hook_post(h, "", HOOK_BODY(HOOK_RECORD("k")));
    hook_until_host_waits(h, 1);
    hook_host_ends(h, 0);
    assert_int_equal(hook_answer(h), 200);
    assert_string_equal(buf_cstr(&h->kept), "k\n");
}

static bool has_metric(struct hook *h, const char *name)
{
    struct buf text = {0};
    stat_print(h->stats, &text);
    bool found = strstr(buf_cstr(&text), name) != NULL;
    buf_done(&text);
    return found;
}

static void test_moments_that_are_not_known_are_no_metrics(void **state)
{
    struct hook *h = *state;
    assert_true(has_metric(h, "repl_webhook_changes_total"));
    assert_false(has_metric(h, "repl_webhook_certificate_expiry_timestamp_seconds"));
    assert_false(has_metric(h, "repl_webhook_heard_timestamp_seconds"));
    hook_post(h, "", HOOK_BODY(HOOK_RECORD("k")));
    hook_until_host_waits(h, 1);
    hook_host_ends(h, 0);
    assert_int_equal(hook_answer(h), 200);
    assert_true(has_metric(h, "repl_webhook_heard_timestamp_seconds{source=\"a\"} "));
}

static void test_what_is_not_kept_is_not_accepted(void **state)
{
    struct hook *h = *state;
    hook_post(h, "", HOOK_BODY(HOOK_RECORD("k")));
    hook_until_host_waits(h, 1);
    hook_host_ends(h, REPL_EJOURNAL);
    assert_int_equal(hook_answer(h), 503);
    assert_true(client_has(&h->client, "Retry-After: "));
    h->room = 0;
    hook_post(h, "", HOOK_BODY(HOOK_RECORD("k")));
    assert_int_equal(hook_answer(h), 503);
    assert_int_equal(h->waiting_count, 0);
}

static void test_both_halves_must_be_kept(void **state)
{
    struct hook *h = *state;
    for (int i = 0; i < 2; i++) {
        hook_post(h, "", HOOK_BODY(HOOK_RECORD("k") ",{}"));
        hook_until_host_waits(h, 2);
        hook_host_ends(h, i == 0 ? 0 : REPL_EJOURNAL);
        assert_int_equal(hook_answer(h), i == 0 ? 200 : 503);
    }
    assert_int_equal(h->quarantined, 2);
}

static void test_a_change_that_nobody_can_keep_goes_to_quarantine(void **state)
{
    struct hook *h = *state;
    hook_post(h, "", HOOK_BODY(HOOK_RECORD("k")));
    hook_until_host_waits(h, 1);
    hook_host_ends(h, REPL_EBADINPUT);
    hook_until_host_waits(h, 1);
    assert_int_equal(h->quarantined, 1);
    hook_host_ends(h, 0);
    assert_int_equal(hook_answer(h), 200);
}

static void test_canaries_are_told_when_the_rest_is_kept(void **state)
{
    struct hook *h = *state;
    hook_post(h, "", HOOK_BODY(HOOK_RECORD("k") "," HOOK_RECORD("_repl/canary/x")));
    hook_until_host_waits(h, 1);
    assert_int_equal(h->own, 0);
    hook_host_ends(h, 0);
    assert_int_equal(hook_answer(h), 200);
    assert_int_equal(h->own, 1);
    assert_string_equal(buf_cstr(&h->kept), "k\n");
}

/* ---- the end ---- */

static void note(void *arg)
{
    (*(int *)arg)++;
}

static void test_what_is_under_way_is_answered_before_the_end(void **state)
{
    struct hook *h = *state;
    int closed = 0;
    hook_post(h, "", HOOK_BODY(HOOK_RECORD("k")));
    hook_until_host_waits(h, 1);
    feed_close(h->feed, note, &closed);
    for (int i = 0; i < 5; i++) {
        client_turn(&h->client);
    }
    assert_int_equal(closed, 0);
    hook_host_ends(h, 0);
    assert_int_equal(hook_answer(h), 200);
    assert_int_equal(closed, 1);
    /* For teardown: another one at its place. */
    hook_open_source(h, "b", "/b");
    hook_post(h, "", HOOK_BODY(HOOK_RECORD("k")));
    assert_int_equal(hook_answer(h), 404);
}

static void turn(struct hook *h, int count)
{
    for (int i = 0; i < count; i++) {
        loop_run_once(h->loop);
    }
}

/* Whatever turn of the loop it closes in, nobody waits for a journal on behalf of a source that is
 * gone. */
static void test_a_request_in_the_moment_of_the_end(void **state)
{
    struct hook *h = *state;
    int refused = 0;
    for (int turns = 0; turns < 8; turns++) {
        int closed = 0;
        hook_post(h, "", HOOK_BODY(HOOK_RECORD("k")));
        turn(h, turns);
        feed_close(h->feed, note, &closed);
        turn(h, 8);
        assert_true(closed == 0 || h->waiting_count == 0);
        hook_host_ends(h, 0);
        refused += hook_answer(h) == 200 ? 0 : 1;
        turn(h, 8);
        assert_int_equal(closed, 1);
        hook_open_source(h, "a", "/a");
    }
    assert_in_range(refused, 1, 7);
}

/* Its head was admitted, its body comes too late: the sender keeps it. */
static void test_a_body_that_comes_after_the_end_has_begun(void **state)
{
    struct hook *h = *state;
    struct client late;
    int closed = 0;
    client_open(&late, h->loop, webhook_address(h->webhook));
    client_say(&late, "POST /a/" HOOK_TOKEN " HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{");
    hook_post(h, "", HOOK_BODY(HOOK_RECORD("k")));
    hook_until_host_waits(h, 1);
    feed_close(h->feed, note, &closed);
    client_say(&late, "}");
    CLIENT_UNTIL(&late, strstr(buf_cstr(&late.in), "\r\n\r\n") != NULL);
    assert_int_equal(client_status(&late), 503);
    assert_int_equal(h->quarantined, 0);
    assert_int_equal(closed, 0);
    hook_host_ends(h, 0);
    assert_int_equal(hook_answer(h), 200);
    turn(h, 8);
    assert_int_equal(closed, 1);
    client_close(&late);
    hook_open_source(h, "a", "/a");
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answered_when_it_is_kept),
        TEST(moments_that_are_not_known_are_no_metrics),
        TEST(what_is_not_kept_is_not_accepted),
        TEST(both_halves_must_be_kept),
        TEST(a_change_that_nobody_can_keep_goes_to_quarantine),
        TEST(canaries_are_told_when_the_rest_is_kept),
        TEST(what_is_under_way_is_answered_before_the_end),
        TEST(a_request_in_the_moment_of_the_end),
        TEST(a_body_that_comes_after_the_end_has_begun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
