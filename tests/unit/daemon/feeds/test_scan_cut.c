/* Scans of servers that fail, or whose listings are not what they say: nothing is deleted or proven
 * by what cannot be believed. */
#include "tests/unit/support/scan_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void check_fault(struct engine_bench *b, const struct fake_fault *fault)
{
    scan_bench_start_with(b, SCAN_MANY, RULE_DELETES_PROPAGATE);
    scan_bench_put(b, 3, "-missed");
    scan_bench_remove(b, 30, 33);
    fake_fault(b->near, fault);
    scan_bench_scan(b);
    assert_true(engine_bench_settle(b, SCAN_RULE, 600000));
    assert_int_equal(scan_bench_report(b).state.seen, SCAN_MANY - 2);
    assert_int_equal(scan_bench_report(b).state.missing, 3);
    assert_int_equal(fake_objects(b->far, "dst"), SCAN_MANY - 2);
}

static void busy_servers_are_asked_again(void **state)
{
    static const struct fake_fault fault = {.kind = STORE_LIST,
                                            .permille = 300,
                                            .count = 60,
                                            .code = REPL_ETHROTTLED,
                                            .http_status = 503};
    check_fault(*state, &fault);
}

static void cut_off_pages_are_asked_again(void **state)
{
    static const struct fake_fault fault = {
        .kind = STORE_LIST, .permille = 300, .count = 40, .code = REPL_EPROTO};
    check_fault(*state, &fault);
}

/* While it lasts, nothing is deleted and the reason is told. */
static void check_refusal(struct engine_bench *b, int code)
{
    struct fail f;
    struct fake_fault fault = {.kind = STORE_LIST, .skip = 5, .code = code, .http_status = 403};
    scan_bench_start_with(b, SCAN_MANY, RULE_DELETES_PROPAGATE);
    scan_bench_remove(b, 0, 10);
    fake_fault(b->near, &fault);
    assert_int_equal(engine_scan_begin(b->engine, SCAN_RULE, &f), 0);
    assert_false(scan_bench_run_pass(b, 300000));
    assert_int_equal(fake_objects(b->far, "dst"), SCAN_MANY);
    assert_int_equal(engine_bench_lag(b, SCAN_RULE).listing_fail.code, code);
    fake_clear_faults(b->near);
    assert_true(scan_bench_run_pass(b, 600000));
    assert_true(engine_bench_settle(b, SCAN_RULE, 600000));
    assert_int_equal(fake_objects(b->far, "dst"), SCAN_MANY - 10);
}

static void a_refused_listing_waits(void **state)
{
    check_refusal(*state, REPL_EDENIED);
}

static void a_missing_bucket_deletes_nothing(void **state)
{
    check_refusal(*state, REPL_ENOBUCKET);
}

/* The page before is given again, as a cache on the way would. */
struct repeater {
    unsigned every, seen;
};

static void repeat_page(void *arg, struct fake *f, const struct store_op *op)
{
    struct repeater *r = arg;
    (void)f;
    if (op->kind == STORE_LIST && ++r->seen % r->every == 0) {
        ((struct store_op *)(uintptr_t)op)->start_after = span_str("k/");
    }
}

static void a_page_that_comes_twice_is_asked_for_again(void **state)
{
    struct engine_bench *b = *state;
    struct repeater r = {.every = 11};
    scan_bench_start_with(b, SCAN_MANY, RULE_DELETES_PROPAGATE);
    fake_hook(b->near, repeat_page, &r);
    scan_bench_remove(b, 50, 60);
    scan_bench_scan(b);
    assert_true(engine_bench_settle(b, SCAN_RULE, 600000));
    fake_hook(b->near, NULL, NULL);
    assert_int_equal(scan_bench_report(b).state.seen, SCAN_MANY - 10);
    assert_int_equal(fake_objects(b->far, "dst"), SCAN_MANY - 10);
}

static void without_an_order_all_is_copied_and_nothing_deleted(void **state)
{
    struct engine_bench *b = *state;
    scan_bench_start_with(b, 200, RULE_DELETES_PROPAGATE);
    fake_listing(b->near, 20, true);
    scan_bench_put(b, 3, "-missed");
    scan_bench_remove(b, 50, 60);
    scan_bench_scan(b);
    assert_true(engine_bench_settle(b, SCAN_RULE, 600000));
    assert_int_equal(scan_bench_report(b).state.seen, 191);
    assert_non_null(strstr(scan_bench_report(b).doubt, "order"));
    assert_int_equal(fake_objects(b->far, "dst"), 201);
}

/* It says that it is whole, and what is behind its end is at the source all the same. */
static void check_cut(struct engine_bench *b, enum rule_deletes deletes)
{
    scan_bench_start_with(b, 100, deletes);
    loop_run_for(b->loop, 5000);
    uint64_t proven = scan_bench_report(b).state.proven_ms;
    scan_bench_put(b, 90, "-untold");
    fake_cut_listing(b->near, 60);
    for (int i = 0; i < 3; i++) { /* however often it is said */
        scan_bench_scan(b);
        assert_int_equal(scan_bench_report(b).state.proven_ms, proven);
        assert_true(scan_bench_report(b).state.unlisted > 0);
        assert_non_null(strstr(scan_bench_report(b).doubt, "not complete"));
        assert_non_null(strstr(scan_bench_report(b).doubt, "k/000"));
        assert_true(engine_bench_settle(b, SCAN_RULE, 600000));
        loop_run_for(b->loop, 10000);
        assert_true(engine_bench_lag(b, SCAN_RULE).proven_ms <= (int64_t)proven);
        assert_int_equal(fake_objects(b->far, "dst"), 100);
    }
    fake_cut_listing(b->near, 0);
    scan_bench_scan(b);
    assert_true(scan_bench_report(b).state.proven_ms > proven);
    assert_true(engine_bench_settle(b, SCAN_RULE, 600000));
    assert_true(engine_bench_has(b, "k/00090-untold", "k/00090-untold"));
}

static void a_cut_listing_proves_nothing(void **state)
{
    check_cut(*state, RULE_DELETES_IGNORE);
}

static void a_cut_listing_deletes_nothing(void **state)
{
    check_cut(*state, RULE_DELETES_PROPAGATE);
}

static void restart(struct engine_bench *b)
{
    engine_bench_stop(b);
    fake_clear_faults(b->near);
    engine_bench_start(b);
}

/* The replicas that were to be asked for are forgotten: then nothing is proven without them. */
static void a_restart_in_the_check_begins_the_pass_anew(void **state)
{
    struct engine_bench *b = *state;
    struct fail f;
    scan_bench_start_with(b, 100, RULE_DELETES_PROPAGATE);
    loop_run_for(b->loop, 5000);
    uint64_t proven = scan_bench_report(b).state.proven_ms;
    fake_cut_listing(b->near, 60);
    fake_fault(b->near, &(struct fake_fault){.kind = STORE_HEAD, .slow_ms = 60000});
    assert_int_equal(engine_scan_begin(b->engine, SCAN_RULE, &f), 0);
    loop_run_for(b->loop, 15000);
    assert_int_equal(scan_bench_report(b).state.phase,
                     SCAN_LIST); /* listed, and the first is asked for */
    assert_int_equal(scan_bench_report(b).state.offered, 40);
    restart(b);
    assert_true(scan_bench_run_pass(b, 600000));
    assert_int_equal(scan_bench_report(b).state.proven_ms, proven);
    assert_true(scan_bench_report(b).state.unlisted > 0);
    assert_true(engine_bench_settle(b, SCAN_RULE, 600000));
    assert_int_equal(fake_objects(b->far, "dst"), 100);
}

/* Pages that hid something are durable already, and the rest shows all. */
static void a_restart_in_the_list_begins_the_pass_anew(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(SCAN_RULE);
    struct arena a;
    struct fail f;
    arena_init(&a);
    scan_bench_start_with(b, 100, RULE_DELETES_PROPAGATE);
    loop_run_for(b->loop, 5000);
    for (int i = 0; i < 100; i++) {
        scan_bench_put(b, i, "-untold");
    }
    rule.existing = true;
    assert_int_equal(limit_parse_requests(span_str("1/s"), &a, &rule.scan_requests, &f), 0);
    scan_bench_put_rule(b, &rule);
    fake_cut_listing(b->near, 60);
    assert_int_equal(engine_scan_begin(b->engine, SCAN_RULE, &f), 0);
    for (int i = 0; i < 10000 && scan_bench_report(b).state.missing == 0; i++) {
        loop_run_for(b->loop, 10);
    }
    loop_run_for(b->loop, 100); /* durable */
    assert_int_equal(scan_bench_report(b).state.phase, SCAN_LIST);
    assert_in_range(scan_bench_report(b).ranges, 1, SCAN_PIECES_MAX);
    fake_cut_listing(b->near, 0);
    restart(b);
    assert_true(scan_bench_run_pass(b, 600000));
    assert_int_equal(scan_bench_report(b).state.seen, 200);
    assert_int_equal(scan_bench_report(b).state.missing, 0);
    assert_true(engine_bench_settle(b, SCAN_RULE, 600000));
    assert_int_equal(fake_objects(b->far, "dst"), 200);
    arena_done(&a);
}

static void what_was_not_shown_is_asked_for_at_the_rules_pace(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(SCAN_RULE);
    struct arena a;
    struct fail f;
    arena_init(&a);
    scan_bench_start_with(b, 100, RULE_DELETES_PROPAGATE);
    loop_run_for(b->loop, 5000);
    rule.existing = true;
    assert_int_equal(limit_parse_requests(span_str("2/s"), &a, &rule.scan_requests, &f), 0);
    scan_bench_put_rule(b, &rule);
    fake_cut_listing(b->near, 60);
    uint64_t before = loop_now_ms(b->loop);
    scan_bench_scan(b);
    assert_int_equal(scan_bench_report(b).state.unlisted, 32);
    assert_true(loop_now_ms(b->loop) - before >= (scan_bench_report(b).state.requests - 1) * 500);
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCAN_TEST(busy_servers_are_asked_again),
        SCAN_TEST(cut_off_pages_are_asked_again),
        SCAN_TEST(a_refused_listing_waits),
        SCAN_TEST(a_missing_bucket_deletes_nothing),
        SCAN_TEST(a_page_that_comes_twice_is_asked_for_again),
        SCAN_TEST(without_an_order_all_is_copied_and_nothing_deleted),
        SCAN_TEST(a_cut_listing_proves_nothing),
        SCAN_TEST(a_cut_listing_deletes_nothing),
        SCAN_TEST(a_restart_in_the_check_begins_the_pass_anew),
        SCAN_TEST(a_restart_in_the_list_begins_the_pass_anew),
        SCAN_TEST(what_was_not_shown_is_asked_for_at_the_rules_pace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
