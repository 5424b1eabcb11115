/* Scans through a whole engine on virtual time: what events missed is found, what is there makes no
 * work, a listing that cannot be believed deletes nothing, and a pass goes on where it was. */
#include "tests/unit/support/engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define RULE "pages"
#define MANY 1500
#define HOUR ((uint64_t)3600000)

static int set_up(void **state)
{
    struct engine_bench *b = mem_alloc(sizeof(*b));
    engine_bench_init(b, 11, 10);
    fake_listing(b->near, 20, false);
    fake_listing(b->far, 50, false);
    b->feeds = true;
    engine_bench_start(b);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct engine_bench *b = *state;
    assert_string_equal(fake_violations(b->near), "");
    assert_string_equal(fake_violations(b->far), "");
    engine_bench_done(b);
    mem_free(b);
    return 0;
}

static void put(struct engine_bench *b, int i, const char *suffix)
{
    char key[64];
    snprintf(key, sizeof(key), "k/%05d%s", i, suffix);
    fake_put(b->near, "src", span_str(key), span_str(key), NULL);
}

static void fill(struct engine_bench *b, int count)
{
    for (int i = 0; i < count; i++) {
        put(b, i, "");
    }
}

static void remove_at_source(struct engine_bench *b, int from, int to)
{
    for (int i = from; i < to; i++) {
        char key[64];
        snprintf(key, sizeof(key), "k/%05d", i);
        fake_remove(b->near, "src", span_str(key));
    }
}

static struct scan_report report(struct engine_bench *b)
{
    struct scan_report r;
    struct fail f;
    assert_int_equal(engine_scan_report(b->engine, RULE, &r, &f), 0);
    return r;
}

static void put_rule(struct engine_bench *b, const struct rule *rule)
{
    assert_int_equal(engine_bench_put_rule(b, rule, true, NULL), 0);
}

/* Until no pass goes on; false when that did not come. */
static bool run_pass(struct engine_bench *b, uint64_t limit_ms)
{
    for (uint64_t ms = 0; ms < limit_ms; ms += 100) {
        loop_run_for(b->loop, 100);
        struct scan_report r = report(b);
        if (r.state.phase == SCAN_IDLE && !r.state.is_asked && r.state.ended_ms != 0) {
            return true;
        }
    }
    return false;
}

static void scan_now(struct engine_bench *b)
{
    struct fail f;
    loop_run_for(b->loop, 1000);
    assert_int_equal(engine_scan_begin(b->engine, RULE, &f), 0);
    assert_true(run_pass(b, 600000));
}

/* A rule whose source is copied, and scanned once. */
static void start_with(struct engine_bench *b, int count, enum rule_deletes deletes)
{
    struct rule rule = engine_bench_rule(RULE);
    rule.existing = true;
    rule.deletes = deletes;
    fill(b, count);
    put_rule(b, &rule);
    assert_true(run_pass(b, 600000));
    assert_true(engine_bench_settle(b, RULE, 600000));
    assert_int_equal(fake_objects(b->far, "dst"), count);
}

/* ---- whole listings ---- */

static void ranges_are_listed_at_a_time(void **state)
{
    struct engine_bench *b = *state;
    unsigned before = fake_count(b->near, STORE_LIST);
    start_with(b, MANY, RULE_DELETES_PROPAGATE);
    struct scan_report r = report(b);
    assert_int_equal(r.state.seen, MANY); /* every key once */
    assert_int_equal(r.state.found, MANY);
    assert_int_equal(r.state.missing, 0);
    assert_true(fake_most_in_flight(b->near) > 8);
    assert_in_range(fake_count(b->near, STORE_LIST) - before, MANY / 20, MANY / 20 * 2 + 64);
}

static void what_is_replicated_makes_no_work(void **state)
{
    struct engine_bench *b = *state;
    start_with(b, MANY, RULE_DELETES_PROPAGATE);
    unsigned gets = fake_count(b->near, STORE_GET), heads = fake_count(b->near, STORE_HEAD);
    uint64_t before = engine_bench_append(b, CHANGE_PUT, "_repl/none").last_seq;
    scan_now(b);
    struct scan_report r = report(b);
    assert_int_equal(r.state.seen, MANY);
    assert_int_equal(r.state.equal, MANY);
    assert_int_equal(r.state.found, 0);
    assert_int_equal(fake_count(b->near, STORE_GET), gets);
    assert_int_equal(fake_count(b->near, STORE_HEAD), heads);
    put(b, MANY, "");
    uint64_t after = engine_bench_append(b, CHANGE_PUT, "k/01500").last_seq;
    assert_int_equal(after, before == 0 ? MANY + 1 : before + 1);
}

static void every_so_often(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(RULE);
    rule.scan = (struct rule_scan){.mode = RULE_SCAN_EVERY, .every_ms = HOUR};
    fake_put(b->near, "src", span_str("old"), span_str("1"), NULL);
    loop_run_for(b->loop, 10 * 60000);
    put_rule(b, &rule);
    assert_true(run_pass(b, 10000));
    fake_put(b->near, "src", span_str("missed"), span_str("1"), NULL);
    loop_run_for(b->loop, HOUR / 2);
    assert_false(engine_bench_has(b, "missed", "1"));
    loop_run_for(b->loop, HOUR / 2 + 10000);
    assert_true(engine_bench_has(b, "missed", "1"));
    assert_false(engine_bench_has(b, "old", "1")); /* existing objects were not asked for */
    assert_int_equal(report(b).state.left, 1);
    assert_int_equal(engine_bench_lag(b, RULE).counts.done_objects, 1);
}

static void on_and_on_at_a_low_rate(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(RULE);
    rule.scan.mode = RULE_SCAN_CONTINUOUS;
    fill(b, 200);
    put_rule(b, &rule);
    unsigned before = fake_count(b->near, STORE_LIST);
    loop_run_for(b->loop, 100000);
    assert_in_range(fake_count(b->near, STORE_LIST) - before, 100, 201);
    fake_put(b->near, "src", span_str("missed"), span_str("1"), NULL);
    loop_run_for(b->loop, 100000);
    assert_true(engine_bench_has(b, "missed", "1"));
}

static void requests_are_limited(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(RULE);
    struct arena a;
    struct fail f;
    arena_init(&a);
    rule.existing = true;
    assert_int_equal(limit_parse_requests(span_str("5/s"), &a, &rule.scan_requests, &f), 0);
    fill(b, MANY);
    unsigned before = fake_count(b->near, STORE_LIST);
    put_rule(b, &rule);
    loop_run_for(b->loop, 10000);
    assert_in_range(fake_count(b->near, STORE_LIST) - before, 40, 52);
    arena_done(&a);
}

/* ---- beside the events ---- */

/* Objects that are written while the source is listed are announced and listed, and copied once. */
static void nothing_is_lost_or_copied_twice_beside_events(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(RULE);
    rule.existing = true;
    fill(b, MANY);
    put_rule(b, &rule);
    for (int i = 0; i < 200; i++) {
        char key[32];
        snprintf(key, sizeof(key), "k/%05d-new", i * 7);
        engine_bench_write(b, key, "new");
    }
    assert_true(run_pass(b, 600000));
    assert_true(engine_bench_settle(b, RULE, 600000));
    assert_int_equal(fake_objects(b->far, "dst"), MANY + 200);
    assert_int_equal(fake_count(b->far, STORE_PUT), MANY + 200);
    assert_true(engine_bench_lag(b, RULE).lag_ms < 3000);
}

static void a_paused_rule_is_not_listed(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(RULE);
    rule.existing = true;
    rule.enabled = false;
    fill(b, 100);
    put_rule(b, &rule);
    unsigned before = fake_count(b->near, STORE_LIST);
    loop_run_for(b->loop, 10000);
    assert_int_equal(fake_count(b->near, STORE_LIST), before);
    assert_non_null(strstr(report(b).waits, "paused"));
    rule.enabled = true;
    put_rule(b, &rule);
    assert_true(run_pass(b, 600000));
    assert_true(engine_bench_settle(b, RULE, 600000));
    assert_int_equal(fake_objects(b->far, "dst"), 100);
}

static void a_stopped_scan_is_at_rest(void **state)
{
    struct engine_bench *b = *state;
    struct fail f;
    start_with(b, MANY, RULE_DELETES_PROPAGATE);
    assert_int_equal(engine_scan_end(b->engine, RULE, &f), REPL_ENOTFOUND);
    assert_int_equal(engine_scan_begin(b->engine, RULE, &f), 0);
    loop_run_for(b->loop, 25);
    assert_int_equal(engine_scan_begin(b->engine, RULE, &f), REPL_ECONFLICT);
    assert_int_equal(engine_scan_end(b->engine, RULE, &f), 0);
    loop_run_for(b->loop, 1000);
    struct scan_report r = report(b);
    assert_int_equal(r.state.phase, SCAN_IDLE);
    assert_int_equal(r.ranges, 0);
    assert_true(r.state.seen < MANY);
    scan_now(b);
    assert_int_equal(report(b).state.seen, MANY);
}

/* ---- restarts ---- */

static void a_pass_goes_on_after_a_restart(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(RULE);
    unsigned restarts = 0;
    rule.existing = true;
    fill(b, MANY);
    put_rule(b, &rule);
    unsigned before = fake_count(b->near, STORE_LIST);
    for (; restarts < 50 && report(b).state.phase != SCAN_IDLE; restarts++) {
        loop_run_for(b->loop, 30 + 7 * restarts);
        engine_bench_stop(b);
        engine_bench_start(b);
        loop_run_for(b->loop, 20);
    }
    assert_in_range(restarts, 2, 49);
    assert_true(run_pass(b, 600000));
    assert_true(engine_bench_settle(b, RULE, 600000));
    assert_int_equal(report(b).state.seen, MANY);
    assert_int_equal(fake_objects(b->far, "dst"), MANY);
    assert_int_equal(fake_count(b->far, STORE_PUT), MANY);
    /* What was under way is listed again, not all. */
    assert_true(fake_count(b->near, STORE_LIST) - before < MANY / 20 * 2 + 64 + 40 * restarts);
}

/* ---- what vanished ---- */

static void a_missed_delete_is_found(void **state)
{
    struct engine_bench *b = *state;
    start_with(b, MANY, RULE_DELETES_PROPAGATE);
    remove_at_source(b, 100, 140);
    scan_now(b);
    assert_true(engine_bench_settle(b, RULE, 600000));
    assert_int_equal(report(b).state.missing, 40);
    assert_int_equal(fake_objects(b->far, "dst"), MANY - 40);
    assert_int_equal(engine_bench_lag(b, RULE).counts.deleted_objects, 40);
    scan_now(b);
    assert_int_equal(report(b).state.missing, 0);
}

static void no_deletes_where_they_are_ignored(void **state)
{
    struct engine_bench *b = *state;
    start_with(b, 100, RULE_DELETES_IGNORE);
    remove_at_source(b, 10, 20);
    scan_now(b);
    assert_true(engine_bench_settle(b, RULE, 600000));
    assert_int_equal(report(b).state.missing, 0);
    assert_int_equal(fake_objects(b->far, "dst"), 100);
}

/* It came back while the scan went on: the source is asked for each. */
static void bring_back(void *arg, struct fake *f, const struct store_op *op)
{
    if (op->kind == STORE_HEAD) {
        fake_put(f, "src", op->key, span_str("back"), NULL);
    }
    (void)arg;
}

static void what_is_there_again_is_not_deleted(void **state)
{
    struct engine_bench *b = *state;
    start_with(b, 100, RULE_DELETES_PROPAGATE);
    remove_at_source(b, 10, 12);
    fake_hook(b->near, bring_back, NULL);
    scan_now(b);
    assert_true(engine_bench_settle(b, RULE, 600000));
    fake_hook(b->near, NULL, NULL);
    assert_int_equal(fake_objects(b->far, "dst"), 100);
    assert_true(engine_bench_has(b, "k/00010", "back"));
}

static void an_empty_listing_deletes_nothing(void **state)
{
    struct engine_bench *b = *state;
    start_with(b, MANY, RULE_DELETES_PROPAGATE);
    remove_at_source(b, 0, MANY);
    for (int i = 0; i < 3; i++) { /* however often it is said */
        scan_now(b);
        assert_true(engine_bench_settle(b, RULE, 600000));
        assert_int_equal(fake_objects(b->far, "dst"), MANY);
    }
}

static void a_listing_that_shrank_is_not_believed_at_once(void **state)
{
    struct engine_bench *b = *state;
    start_with(b, MANY, RULE_DELETES_PROPAGATE);
    uint64_t proven = report(b).state.proven_ms;
    remove_at_source(b, 200, MANY);
    scan_now(b);
    assert_non_null(strstr(report(b).doubt, "less than half"));
    assert_int_equal(report(b).state.proven_ms, proven);
    assert_true(engine_bench_settle(b, RULE, 600000));
    assert_int_equal(fake_objects(b->far, "dst"), MANY);
    scan_now(b); /* says the same */
    assert_string_equal(report(b).doubt, "");
    assert_true(report(b).state.proven_ms > proven);
    assert_true(engine_bench_settle(b, RULE, 600000));
    assert_int_equal(fake_objects(b->far, "dst"), 200);
}

/* ---- servers that fail ---- */

static void check_fault(struct engine_bench *b, const struct fake_fault *fault)
{
    start_with(b, MANY, RULE_DELETES_PROPAGATE);
    put(b, 3, "-missed");
    remove_at_source(b, 30, 33);
    fake_fault(b->near, fault);
    scan_now(b);
    assert_true(engine_bench_settle(b, RULE, 600000));
    assert_int_equal(report(b).state.seen, MANY - 2);
    assert_int_equal(report(b).state.missing, 3);
    assert_int_equal(fake_objects(b->far, "dst"), MANY - 2);
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
    start_with(b, MANY, RULE_DELETES_PROPAGATE);
    remove_at_source(b, 0, 10);
    fake_fault(b->near, &fault);
    assert_int_equal(engine_scan_begin(b->engine, RULE, &f), 0);
    assert_false(run_pass(b, 300000));
    assert_int_equal(fake_objects(b->far, "dst"), MANY);
    assert_int_equal(engine_bench_lag(b, RULE).listing_fail.code, code);
    fake_clear_faults(b->near);
    assert_true(run_pass(b, 600000));
    assert_true(engine_bench_settle(b, RULE, 600000));
    assert_int_equal(fake_objects(b->far, "dst"), MANY - 10);
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
    start_with(b, MANY, RULE_DELETES_PROPAGATE);
    fake_hook(b->near, repeat_page, &r);
    remove_at_source(b, 50, 60);
    scan_now(b);
    assert_true(engine_bench_settle(b, RULE, 600000));
    fake_hook(b->near, NULL, NULL);
    assert_int_equal(report(b).state.seen, MANY - 10);
    assert_int_equal(fake_objects(b->far, "dst"), MANY - 10);
}

static void without_an_order_all_is_copied_and_nothing_deleted(void **state)
{
    struct engine_bench *b = *state;
    start_with(b, 200, RULE_DELETES_PROPAGATE);
    fake_listing(b->near, 20, true);
    put(b, 3, "-missed");
    remove_at_source(b, 50, 60);
    scan_now(b);
    assert_true(engine_bench_settle(b, RULE, 600000));
    assert_int_equal(report(b).state.seen, 191);
    assert_non_null(strstr(report(b).doubt, "order"));
    assert_int_equal(fake_objects(b->far, "dst"), 201);
}

/* It says that it is whole, and what is behind its end is at the source all the same. */
static void check_cut(struct engine_bench *b, enum rule_deletes deletes)
{
    start_with(b, 100, deletes);
    loop_run_for(b->loop, 5000);
    uint64_t proven = report(b).state.proven_ms;
    put(b, 90, "-untold");
    fake_cut_listing(b->near, 60);
    for (int i = 0; i < 3; i++) { /* however often it is said */
        scan_now(b);
        assert_int_equal(report(b).state.proven_ms, proven);
        assert_true(report(b).state.unlisted > 0);
        assert_non_null(strstr(report(b).doubt, "not complete"));
        assert_non_null(strstr(report(b).doubt, "k/000"));
        assert_true(engine_bench_settle(b, RULE, 600000));
        loop_run_for(b->loop, 10000);
        assert_true(engine_bench_lag(b, RULE).proven_ms <= (int64_t)proven);
        assert_int_equal(fake_objects(b->far, "dst"), 100);
    }
    fake_cut_listing(b->near, 0);
    scan_now(b);
    assert_true(report(b).state.proven_ms > proven);
    assert_true(engine_bench_settle(b, RULE, 600000));
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
    start_with(b, 100, RULE_DELETES_PROPAGATE);
    loop_run_for(b->loop, 5000);
    uint64_t proven = report(b).state.proven_ms;
    fake_cut_listing(b->near, 60);
    fake_fault(b->near, &(struct fake_fault){.kind = STORE_HEAD, .slow_ms = 60000});
    assert_int_equal(engine_scan_begin(b->engine, RULE, &f), 0);
    loop_run_for(b->loop, 15000);
    assert_int_equal(report(b).state.phase, SCAN_LIST); /* listed, and the first is asked for */
    assert_int_equal(report(b).state.offered, 40);
    restart(b);
    assert_true(run_pass(b, 600000));
    assert_int_equal(report(b).state.proven_ms, proven);
    assert_true(report(b).state.unlisted > 0);
    assert_true(engine_bench_settle(b, RULE, 600000));
    assert_int_equal(fake_objects(b->far, "dst"), 100);
}

/* Pages that hid something are durable already, and the rest shows all. */
static void a_restart_in_the_list_begins_the_pass_anew(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(RULE);
    struct arena a;
    struct fail f;
    arena_init(&a);
    start_with(b, 100, RULE_DELETES_PROPAGATE);
    loop_run_for(b->loop, 5000);
    for (int i = 0; i < 100; i++) {
        put(b, i, "-untold");
    }
    rule.existing = true;
    assert_int_equal(limit_parse_requests(span_str("1/s"), &a, &rule.scan_requests, &f), 0);
    put_rule(b, &rule);
    fake_cut_listing(b->near, 60);
    assert_int_equal(engine_scan_begin(b->engine, RULE, &f), 0);
    for (int i = 0; i < 10000 && report(b).state.missing == 0; i++) {
        loop_run_for(b->loop, 10);
    }
    loop_run_for(b->loop, 100); /* durable */
    assert_int_equal(report(b).state.phase, SCAN_LIST);
    assert_in_range(report(b).ranges, 1, SCAN_PIECES_MAX);
    fake_cut_listing(b->near, 0);
    restart(b);
    assert_true(run_pass(b, 600000));
    assert_int_equal(report(b).state.seen, 200);
    assert_int_equal(report(b).state.missing, 0);
    assert_true(engine_bench_settle(b, RULE, 600000));
    assert_int_equal(fake_objects(b->far, "dst"), 200);
    arena_done(&a);
}

static void what_was_not_shown_is_asked_for_at_the_rules_pace(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(RULE);
    struct arena a;
    struct fail f;
    arena_init(&a);
    start_with(b, 100, RULE_DELETES_PROPAGATE);
    loop_run_for(b->loop, 5000);
    rule.existing = true;
    assert_int_equal(limit_parse_requests(span_str("2/s"), &a, &rule.scan_requests, &f), 0);
    put_rule(b, &rule);
    fake_cut_listing(b->near, 60);
    uint64_t before = loop_now_ms(b->loop);
    scan_now(b);
    assert_int_equal(report(b).state.unlisted, 32);
    assert_true(loop_now_ms(b->loop) - before >= (report(b).state.requests - 1) * 500);
    arena_done(&a);
}

/* ---- a rule that asks for more while it is scanned ---- */

static const char *few[] = {"k/*[02468]"}; /* of every page some */
static const char *many[] = {"k/*"};
static const char *less[] = {"k/*[048]"};

static void take(struct engine_bench *b, const char **include, bool existing)
{
    struct rule rule = engine_bench_rule(RULE);
    rule.existing = existing;
    rule.include = include;
    rule.include_count = 1;
    put_rule(b, &rule);
}

static void wait_until_seen(struct engine_bench *b, uint64_t count)
{
    struct scan_report r = report(b);
    for (int i = 0; i < 10000 && (r.state.phase != SCAN_LIST || r.state.seen < count); i++) {
        loop_run_for(b->loop, 1);
        r = report(b);
    }
    assert_int_equal(r.state.phase, SCAN_LIST);
    assert_in_range(r.state.seen, count, MANY - 1);
}

/* Some of what it takes now was passed over. */
static void a_wider_filter_begins_the_pass_anew(void **state)
{
    struct engine_bench *b = *state;
    fill(b, MANY);
    take(b, few, true);
    wait_until_seen(b, 200);
    uint64_t first = report(b).state.started_ms;
    loop_run_for(b->loop, 1);
    take(b, many, true);
    assert_true(run_pass(b, 600000));
    assert_true(report(b).state.started_ms > first);
    assert_int_equal(report(b).state.seen, MANY);
    assert_true(engine_bench_settle(b, RULE, 600000));
    assert_int_equal(fake_objects(b->far, "dst"), MANY);
}

/* What was proven before was so of less; nothing more is until a pass has listed it all. */
static void a_wider_filter_proves_nothing_by_itself(void **state)
{
    struct engine_bench *b = *state;
    struct fake_fault slow = {.kind = STORE_LIST, .slow_ms = 60000};
    fill(b, MANY);
    take(b, few, true);
    assert_true(run_pass(b, 600000));
    assert_true(engine_bench_settle(b, RULE, 600000));
    loop_run_for(b->loop, 5000);
    int64_t proven = engine_bench_lag(b, RULE).proven_ms;
    int64_t changed = loop_wall_ms(b->loop);
    assert_int_equal(proven, report(b).state.started_ms);
    fake_fault(b->near, &slow);
    take(b, many, true);
    loop_run_for(b->loop, 20000);
    assert_int_equal(engine_bench_lag(b, RULE).proven_ms, proven);
    assert_int_equal(report(b).state.proven_ms, 0);
    fake_clear_faults(b->near);
    assert_true(run_pass(b, 600000));
    assert_true(engine_bench_settle(b, RULE, 600000));
    loop_run_for(b->loop, 5000);
    assert_int_equal(fake_objects(b->far, "dst"), MANY);
    assert_true(engine_bench_lag(b, RULE).proven_ms >= changed);
}

/* A proof that only waits for copies is void, too. */
static void a_wider_filter_voids_the_proof_that_is_due(void **state)
{
    struct engine_bench *b = *state;
    fill(b, MANY);
    fake_outage(b->far, loop_now_ms(b->loop) + 2000, loop_now_ms(b->loop) + 300000);
    take(b, few, true);
    loop_run_for(b->loop, 1500);
    fake_put(b->near, "src", span_str("k/new-0"), span_str("new"), NULL);
    loop_run_for(b->loop, 1000);
    engine_bench_append(b, CHANGE_PUT, "k/new-0");
    scan_now(b);
    uint64_t narrow = report(b).state.proven_ms;
    assert_true(engine_bench_lag(b, RULE).proven_ms < (int64_t)narrow);
    fake_fault(b->near, &(struct fake_fault){.kind = STORE_LIST, .slow_ms = HOUR});
    take(b, many, true);
    loop_run_for(b->loop, 600000);
    assert_int_equal(engine_bench_lag(b, RULE).counts.pending_objects, 0);
    assert_true(engine_bench_lag(b, RULE).proven_ms < (int64_t)narrow);
}

static void a_wider_filter_is_remembered_over_a_crash(void **state)
{
    struct engine_bench *b = *state;
    fill(b, MANY);
    take(b, few, true);
    wait_until_seen(b, 200);
    fake_fault(b->near, &(struct fake_fault){.kind = STORE_LIST, .slow_ms = 60000});
    take(b, many, true);
    engine_bench_stop(b);
    engine_bench_start(b);
    fake_clear_faults(b->near);
    assert_true(run_pass(b, 600000));
    assert_int_equal(report(b).state.seen, MANY);
    assert_true(engine_bench_settle(b, RULE, 600000));
    assert_int_equal(fake_objects(b->far, "dst"), MANY);
}

static void a_narrower_filter_needs_no_pass(void **state)
{
    struct engine_bench *b = *state;
    const char *out[] = {"k/*5"};
    fill(b, MANY);
    take(b, few, true);
    assert_true(run_pass(b, 600000));
    assert_true(engine_bench_settle(b, RULE, 600000));
    uint64_t proven = report(b).state.proven_ms;
    unsigned before = fake_count(b->near, STORE_LIST);
    struct rule rule = engine_bench_rule(RULE);
    rule.existing = true;
    rule.include = few;
    rule.include_count = 1;
    rule.exclude = out;
    rule.exclude_count = 1;
    put_rule(b, &rule);
    loop_run_for(b->loop, 10000);
    assert_int_equal(fake_count(b->near, STORE_LIST), before);
    assert_int_equal(report(b).state.proven_ms, proven);
    engine_bench_stop(b);
    engine_bench_start(b);
    loop_run_for(b->loop, 10000);
    assert_int_equal(fake_count(b->near, STORE_LIST), before);
    take(b, less, true); /* not known to be narrower: it is another pattern */
    assert_true(run_pass(b, 600000));
    assert_true(fake_count(b->near, STORE_LIST) > before);
}

/* Ranges that were done before deletes mattered were not looked through for them. */
static void deletes_that_begin_to_matter_begin_the_pass_anew(void **state)
{
    struct engine_bench *b = *state;
    struct fail f;
    start_with(b, MANY, RULE_DELETES_IGNORE);
    remove_at_source(b, 10, 20);
    loop_run_for(b->loop, 1000);
    fake_fault(b->near, &(struct fake_fault){.kind = STORE_LIST, .skip = 15, .slow_ms = 5000});
    assert_int_equal(engine_scan_begin(b->engine, RULE, &f), 0);
    wait_until_seen(b, 200);
    struct rule rule = engine_bench_rule(RULE);
    rule.existing = true;
    put_rule(b, &rule);
    assert_true(run_pass(b, 600000));
    assert_true(engine_bench_settle(b, RULE, 600000));
    assert_int_equal(report(b).state.missing, 10);
    assert_int_equal(fake_objects(b->far, "dst"), MANY - 10);
}

/* Where only scans tell of changes, what was written between two of them is no existing object. */
static void a_wider_filter_lets_no_change_pass_as_existing(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(RULE);
    rule.existing = true;
    rule.include = few;
    rule.include_count = 1;
    rule.scan = (struct rule_scan){.mode = RULE_SCAN_EVERY, .every_ms = HOUR};
    fill(b, 200);
    put_rule(b, &rule);
    assert_true(run_pass(b, 600000));
    assert_true(engine_bench_settle(b, RULE, 600000));
    loop_run_for(b->loop, 60000);
    int64_t written = loop_wall_ms(b->loop);
    fake_put(b->near, "src", span_str("k/new-0"), span_str("new"), NULL);
    loop_run_for(b->loop, 60000);
    fake_fault(b->far, &(struct fake_fault){.kind = STORE_PUT, .slow_ms = 300000});
    rule.include = many;
    put_rule(b, &rule);
    assert_true(run_pass(b, 600000));
    loop_run_for(b->loop, 20000);
    assert_true(engine_bench_lag(b, RULE).watermark_ms < written);
    fake_clear_faults(b->far);
    assert_true(engine_bench_settle(b, RULE, 600000));
    loop_run_for(b->loop, 5000);
    assert_true(engine_bench_lag(b, RULE).watermark_ms > written);
}

/* ---- who knows of changes ---- */

/* Without scans nothing tells of changes: the watermark stands, over restarts, and says why. */
static void without_scans_the_watermark_stands(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(RULE);
    rule.scan = (struct rule_scan){.mode = RULE_SCAN_EVERY, .every_ms = HOUR};
    put_rule(b, &rule);
    assert_true(run_pass(b, 10000));
    loop_run_for(b->loop, 10000);
    int64_t watermark = engine_bench_lag(b, RULE).watermark_ms;
    assert_int_equal(watermark, report(b).state.started_ms);
    fake_put(b->near, "src", span_str("untold"), span_str("1"), NULL);
    rule.scan.mode = RULE_SCAN_OFF;
    put_rule(b, &rule);
    loop_run_for(b->loop, 60000);
    assert_int_equal(engine_bench_lag(b, RULE).watermark_ms, watermark);
    assert_non_null(strstr(engine_bench_lag(b, RULE).waits_for, "scans are off"));
    engine_bench_stop(b);
    engine_bench_start(b);
    loop_run_for(b->loop, 60000);
    assert_int_equal(engine_bench_lag(b, RULE).watermark_ms, watermark);
    int64_t began = loop_wall_ms(b->loop);
    scan_now(b);
    loop_run_for(b->loop, 10000);
    assert_true(engine_bench_has(b, "untold", "1"));
    assert_true(engine_bench_lag(b, RULE).watermark_ms >= began);
}

static void another_host_is_named(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(RULE);
    struct fail f;
    rule.shared = true;
    rule.scan_host = "elsewhere";
    rule.scan = (struct rule_scan){.mode = RULE_SCAN_EVERY, .every_ms = HOUR};
    put_rule(b, &rule);
    loop_run_for(b->loop, 20000);
    assert_int_equal(report(b).next_ms, 0);
    assert_non_null(strstr(report(b).waits, "elsewhere"));
    assert_non_null(strstr(engine_bench_lag(b, RULE).waits_for, "elsewhere"));
    assert_int_equal(engine_scan_begin(b->engine, RULE, &f), REPL_ECONFLICT);
    assert_non_null(strstr(f.text, "elsewhere"));
}

/* ---- against the destination ---- */

static void what_is_gone_from_the_destination_is_counted(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(RULE);
    start_with(b, 300, RULE_DELETES_PROPAGATE);
    rule.existing = true;
    rule.scan_against = RULE_SCAN_DESTINATION;
    put_rule(b, &rule);
    fake_remove(b->far, "dst", span_str("k/00007"));
    scan_now(b);
    assert_int_equal(report(b).state.away, 1);
    assert_int_equal(report(b).state.found, 0); /* consumers delete what they have processed */
}

/* ---- everything at once ---- */

struct both {
    struct engine_bench *b;
    size_t differing;
};

static void compare_one(void *arg, struct span key, const struct fake_object *o)
{
    struct both *both = arg;
    struct fake_object copy;
    both->differing += !fake_get(both->b->far, "dst", key, &copy) || !span_eq(copy.body, o->body);
}

/* Random writes and deletes, half of which nobody tells of, while scans come and go, the server
 * fails and the engine is restarted. */
static void check_seed(struct engine_bench *b, uint64_t seed)
{
    struct rule rule = engine_bench_rule(RULE);
    struct fake_fault fault = {
        .kind = STORE_LIST, .permille = 50, .count = 100, .code = REPL_ESERVER};
    rule.existing = true;
    rule.scan = (struct rule_scan){.mode = RULE_SCAN_EVERY, .every_ms = 60000};
    fill(b, 400);
    put_rule(b, &rule);
    fake_fault(b->near, &fault);
    for (int i = 0; i < 600; i++) {
        char key[64], body[32];
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        unsigned dice = (unsigned)(seed >> 33);
        bool removes = dice % 5 == 0;
        snprintf(key, sizeof(key), "k/%05u", dice / 16 % 500);
        snprintf(body, sizeof(body), "%d", i);
        if (removes) {
            fake_remove(b->near, "src", span_str(key));
        } else {
            fake_put(b->near, "src", span_str(key), span_str(body), NULL);
        }
        if (dice % 2) {
            engine_bench_append(b, removes ? CHANGE_DELETE : CHANGE_PUT, key);
        }
        loop_run_for(b->loop, dice % 700);
        if (dice % 97 == 0) {
            engine_bench_stop(b);
            engine_bench_start(b);
        }
    }
    fake_clear_faults(b->near);
    loop_run_for(b->loop, 200000);
    assert_true(engine_bench_settle(b, RULE, 600000));
    struct both both = {.b = b};
    fake_each(b->near, "src", compare_one, &both);
    if (both.differing > 0 || fake_objects(b->near, "src") != fake_objects(b->far, "dst")) {
        fail_msg("%zu differ, %zu and %zu objects", both.differing, fake_objects(b->near, "src"),
                 fake_objects(b->far, "dst"));
    }
}

static void the_destination_ends_equal(void **state)
{
    check_seed(*state, 1);
}

static void the_destination_ends_equal_again(void **state)
{
    check_seed(*state, 20261124);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ranges_are_listed_at_a_time),
        TEST(what_is_replicated_makes_no_work),
        TEST(every_so_often),
        TEST(on_and_on_at_a_low_rate),
        TEST(requests_are_limited),
        TEST(nothing_is_lost_or_copied_twice_beside_events),
        TEST(a_paused_rule_is_not_listed),
        TEST(a_stopped_scan_is_at_rest),
        TEST(a_pass_goes_on_after_a_restart),
        TEST(a_missed_delete_is_found),
        TEST(no_deletes_where_they_are_ignored),
        TEST(what_is_there_again_is_not_deleted),
        TEST(an_empty_listing_deletes_nothing),
        TEST(a_listing_that_shrank_is_not_believed_at_once),
        TEST(busy_servers_are_asked_again),
        TEST(cut_off_pages_are_asked_again),
        TEST(a_refused_listing_waits),
        TEST(a_missing_bucket_deletes_nothing),
        TEST(a_page_that_comes_twice_is_asked_for_again),
        TEST(without_an_order_all_is_copied_and_nothing_deleted),
        TEST(a_cut_listing_proves_nothing),
        TEST(a_cut_listing_deletes_nothing),
        TEST(a_restart_in_the_check_begins_the_pass_anew),
        TEST(a_restart_in_the_list_begins_the_pass_anew),
        TEST(what_was_not_shown_is_asked_for_at_the_rules_pace),
        TEST(a_wider_filter_begins_the_pass_anew),
        TEST(a_wider_filter_proves_nothing_by_itself),
        TEST(a_wider_filter_voids_the_proof_that_is_due),
        TEST(a_wider_filter_is_remembered_over_a_crash),
        TEST(a_narrower_filter_needs_no_pass),
        TEST(deletes_that_begin_to_matter_begin_the_pass_anew),
        TEST(a_wider_filter_lets_no_change_pass_as_existing),
        TEST(without_scans_the_watermark_stands),
        TEST(another_host_is_named),
        TEST(what_is_gone_from_the_destination_is_counted),
        TEST(the_destination_ends_equal),
        TEST(the_destination_ends_equal_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
