/* Scans through a whole engine on virtual time: what events missed is found, what is there makes no
 * work, and a pass goes on where it was. */
#include "tests/unit/support/scan_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define HOUR ((uint64_t)3600000)

/* ---- whole listings ---- */

static void ranges_are_listed_at_a_time(void **state)
{
    struct engine_bench *b = *state;
    unsigned before = fake_count(b->near, STORE_LIST);
    scan_bench_start_with(b, SCAN_MANY, RULE_DELETES_PROPAGATE);
    struct scan_report r = scan_bench_report(b);
    assert_int_equal(r.state.seen, SCAN_MANY); /* every key once */
    assert_int_equal(r.state.found, SCAN_MANY);
    assert_int_equal(r.state.missing, 0);
    assert_true(fake_most_in_flight(b->near) > 8);
    assert_in_range(fake_count(b->near, STORE_LIST) - before, SCAN_MANY / 20,
                    SCAN_MANY / 20 * 2 + 64);
}

static void what_is_replicated_makes_no_work(void **state)
{
    struct engine_bench *b = *state;
    scan_bench_start_with(b, SCAN_MANY, RULE_DELETES_PROPAGATE);
    unsigned gets = fake_count(b->near, STORE_GET), heads = fake_count(b->near, STORE_HEAD);
    uint64_t before = engine_bench_append(b, CHANGE_PUT, "_repl/none").last_seq;
    scan_bench_scan(b);
    struct scan_report r = scan_bench_report(b);
    assert_int_equal(r.state.seen, SCAN_MANY);
    assert_int_equal(r.state.equal, SCAN_MANY);
    assert_int_equal(r.state.found, 0);
    assert_int_equal(fake_count(b->near, STORE_GET), gets);
    assert_int_equal(fake_count(b->near, STORE_HEAD), heads);
    scan_bench_put(b, SCAN_MANY, "");
    uint64_t after = engine_bench_append(b, CHANGE_PUT, "k/01500").last_seq;
    assert_int_equal(after, before == 0 ? SCAN_MANY + 1 : before + 1);
}

static void every_so_often(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(SCAN_RULE);
    rule.scan = (struct rule_scan){.mode = RULE_SCAN_EVERY, .every_ms = HOUR};
    fake_put(b->near, "src", span_str("old"), span_str("1"), NULL);
    loop_run_for(b->loop, 10 * 60000);
    scan_bench_put_rule(b, &rule);
    assert_true(scan_bench_run_pass(b, 10000));
    fake_put(b->near, "src", span_str("missed"), span_str("1"), NULL);
    loop_run_for(b->loop, HOUR / 2);
    assert_false(engine_bench_has(b, "missed", "1"));
    loop_run_for(b->loop, HOUR / 2 + 10000);
    assert_true(engine_bench_has(b, "missed", "1"));
    assert_false(engine_bench_has(b, "old", "1")); /* existing objects were not asked for */
    assert_int_equal(scan_bench_report(b).state.left, 1);
    assert_int_equal(engine_bench_lag(b, SCAN_RULE).counts.done_objects, 1);
}

static void on_and_on_at_a_low_rate(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(SCAN_RULE);
    rule.scan.mode = RULE_SCAN_CONTINUOUS;
    scan_bench_fill(b, 200);
    scan_bench_put_rule(b, &rule);
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
    struct rule rule = engine_bench_rule(SCAN_RULE);
    struct arena a;
    struct fail f;
    arena_init(&a);
    rule.existing = true;
    assert_int_equal(limit_parse_requests(span_str("5/s"), &a, &rule.scan_requests, &f), 0);
    scan_bench_fill(b, SCAN_MANY);
    unsigned before = fake_count(b->near, STORE_LIST);
    scan_bench_put_rule(b, &rule);
    loop_run_for(b->loop, 10000);
    assert_in_range(fake_count(b->near, STORE_LIST) - before, 40, 52);
    arena_done(&a);
}

/* ---- beside the events ---- */

/* Objects that are written while the source is listed are announced and listed, and copied once. */
static void nothing_is_lost_or_copied_twice_beside_events(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(SCAN_RULE);
    rule.existing = true;
    scan_bench_fill(b, SCAN_MANY);
    scan_bench_put_rule(b, &rule);
    for (int i = 0; i < 200; i++) {
        char key[32];
        snprintf(key, sizeof(key), "k/%05d-new", i * 7);
        engine_bench_write(b, key, "new");
    }
    assert_true(scan_bench_run_pass(b, 600000));
    assert_true(engine_bench_settle(b, SCAN_RULE, 600000));
    assert_int_equal(fake_objects(b->far, "dst"), SCAN_MANY + 200);
    assert_int_equal(fake_count(b->far, STORE_PUT), SCAN_MANY + 200);
    assert_true(engine_bench_lag(b, SCAN_RULE).lag_ms < 3000);
}

static void a_paused_rule_is_not_listed(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(SCAN_RULE);
    rule.existing = true;
    rule.enabled = false;
    scan_bench_fill(b, 100);
    scan_bench_put_rule(b, &rule);
    unsigned before = fake_count(b->near, STORE_LIST);
    loop_run_for(b->loop, 10000);
    assert_int_equal(fake_count(b->near, STORE_LIST), before);
    assert_non_null(strstr(scan_bench_report(b).waits, "paused"));
    rule.enabled = true;
    scan_bench_put_rule(b, &rule);
    assert_true(scan_bench_run_pass(b, 600000));
    assert_true(engine_bench_settle(b, SCAN_RULE, 600000));
    assert_int_equal(fake_objects(b->far, "dst"), 100);
}

static void a_stopped_scan_is_at_rest(void **state)
{
    struct engine_bench *b = *state;
    struct fail f;
    scan_bench_start_with(b, SCAN_MANY, RULE_DELETES_PROPAGATE);
    assert_int_equal(engine_scan_end(b->engine, SCAN_RULE, &f), REPL_ENOTFOUND);
    assert_int_equal(engine_scan_begin(b->engine, SCAN_RULE, &f), 0);
    loop_run_for(b->loop, 25);
    assert_int_equal(engine_scan_begin(b->engine, SCAN_RULE, &f), REPL_ECONFLICT);
    assert_int_equal(engine_scan_end(b->engine, SCAN_RULE, &f), 0);
    loop_run_for(b->loop, 1000);
    struct scan_report r = scan_bench_report(b);
    assert_int_equal(r.state.phase, SCAN_IDLE);
    assert_int_equal(r.ranges, 0);
    assert_true(r.state.seen < SCAN_MANY);
    scan_bench_scan(b);
    assert_int_equal(scan_bench_report(b).state.seen, SCAN_MANY);
}

/* ---- restarts ---- */

static void a_pass_goes_on_after_a_restart(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(SCAN_RULE);
    unsigned restarts = 0;
    rule.existing = true;
    scan_bench_fill(b, SCAN_MANY);
    scan_bench_put_rule(b, &rule);
    unsigned before = fake_count(b->near, STORE_LIST);
    for (; restarts < 50 && scan_bench_report(b).state.phase != SCAN_IDLE; restarts++) {
        loop_run_for(b->loop, 30 + 7 * restarts);
        engine_bench_stop(b);
        engine_bench_start(b);
        loop_run_for(b->loop, 20);
    }
    assert_in_range(restarts, 2, 49);
    assert_true(scan_bench_run_pass(b, 600000));
    assert_true(engine_bench_settle(b, SCAN_RULE, 600000));
    assert_int_equal(scan_bench_report(b).state.seen, SCAN_MANY);
    assert_int_equal(fake_objects(b->far, "dst"), SCAN_MANY);
    assert_int_equal(fake_count(b->far, STORE_PUT), SCAN_MANY);
    /* What was under way is listed again, not all. */
    assert_true(fake_count(b->near, STORE_LIST) - before < SCAN_MANY / 20 * 2 + 64 + 40 * restarts);
}

/* ---- who knows of changes ---- */

/* Without scans nothing tells of changes: the watermark stands, over restarts, and says why. */
static void without_scans_the_watermark_stands(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(SCAN_RULE);
    rule.scan = (struct rule_scan){.mode = RULE_SCAN_EVERY, .every_ms = HOUR};
    scan_bench_put_rule(b, &rule);
    assert_true(scan_bench_run_pass(b, 10000));
    loop_run_for(b->loop, 10000);
    int64_t watermark = engine_bench_lag(b, SCAN_RULE).watermark_ms;
    assert_int_equal(watermark, scan_bench_report(b).state.started_ms);
    fake_put(b->near, "src", span_str("untold"), span_str("1"), NULL);
    rule.scan.mode = RULE_SCAN_OFF;
    scan_bench_put_rule(b, &rule);
    loop_run_for(b->loop, 60000);
    assert_int_equal(engine_bench_lag(b, SCAN_RULE).watermark_ms, watermark);
    assert_non_null(strstr(engine_bench_lag(b, SCAN_RULE).waits_for, "scans are off"));
    engine_bench_stop(b);
    engine_bench_start(b);
    loop_run_for(b->loop, 60000);
    assert_int_equal(engine_bench_lag(b, SCAN_RULE).watermark_ms, watermark);
    int64_t began = loop_wall_ms(b->loop);
    scan_bench_scan(b);
    loop_run_for(b->loop, 10000);
    assert_true(engine_bench_has(b, "untold", "1"));
    assert_true(engine_bench_lag(b, SCAN_RULE).watermark_ms >= began);
}

static void another_host_is_named(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(SCAN_RULE);
    struct fail f;
    rule.shared = true;
    rule.scan_host = "elsewhere";
    rule.scan = (struct rule_scan){.mode = RULE_SCAN_EVERY, .every_ms = HOUR};
    scan_bench_put_rule(b, &rule);
    loop_run_for(b->loop, 20000);
    assert_int_equal(scan_bench_report(b).next_ms, 0);
    assert_non_null(strstr(scan_bench_report(b).waits, "elsewhere"));
    assert_non_null(strstr(engine_bench_lag(b, SCAN_RULE).waits_for, "elsewhere"));
    assert_int_equal(engine_scan_begin(b->engine, SCAN_RULE, &f), REPL_ECONFLICT);
    assert_non_null(strstr(f.text, "elsewhere"));
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
    struct rule rule = engine_bench_rule(SCAN_RULE);
    struct fake_fault fault = {
        .kind = STORE_LIST, .permille = 50, .count = 100, .code = REPL_ESERVER};
    rule.existing = true;
    rule.scan = (struct rule_scan){.mode = RULE_SCAN_EVERY, .every_ms = 60000};
    scan_bench_fill(b, 400);
    scan_bench_put_rule(b, &rule);
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
    assert_true(engine_bench_settle(b, SCAN_RULE, 600000));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCAN_TEST(ranges_are_listed_at_a_time),
        SCAN_TEST(what_is_replicated_makes_no_work),
        SCAN_TEST(every_so_often),
        SCAN_TEST(on_and_on_at_a_low_rate),
        SCAN_TEST(requests_are_limited),
        SCAN_TEST(nothing_is_lost_or_copied_twice_beside_events),
        SCAN_TEST(a_paused_rule_is_not_listed),
        SCAN_TEST(a_stopped_scan_is_at_rest),
        SCAN_TEST(a_pass_goes_on_after_a_restart),
        SCAN_TEST(without_scans_the_watermark_stands),
        SCAN_TEST(another_host_is_named),
        SCAN_TEST(the_destination_ends_equal),
        SCAN_TEST(the_destination_ends_equal_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
