/* Rules that ask for more, or for less, while they are scanned: what was passed over before is
 * listed, and nothing counts as proven until then. */
#include "tests/unit/support/scan_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define HOUR ((uint64_t)3600000)

static const char *few[] = {"k/*[02468]"}; /* of every page some */
static const char *many[] = {"k/*"};
static const char *less[] = {"k/*[048]"};

static void take(struct engine_bench *b, const char **include, bool existing)
{
    struct rule rule = engine_bench_rule(SCAN_RULE);
    rule.existing = existing;
    rule.include = include;
    rule.include_count = 1;
    scan_bench_put_rule(b, &rule);
}

static void wait_until_seen(struct engine_bench *b, uint64_t count)
{
    struct scan_report r = scan_bench_report(b);
    for (int i = 0; i < 10000 && (r.state.phase != SCAN_LIST || r.state.seen < count); i++) {
        loop_run_for(b->loop, 1);
        r = scan_bench_report(b);
    }
    assert_int_equal(r.state.phase, SCAN_LIST);
    assert_in_range(r.state.seen, count, SCAN_MANY - 1);
}

/* Some of what it takes now was passed over. */
static void a_wider_filter_begins_the_pass_anew(void **state)
{
    struct engine_bench *b = *state;
    scan_bench_fill(b, SCAN_MANY);
    take(b, few, true);
    wait_until_seen(b, 200);
    uint64_t first = scan_bench_report(b).state.started_ms;
    loop_run_for(b->loop, 1);
    take(b, many, true);
    assert_true(scan_bench_run_pass(b, 600000));
    assert_true(scan_bench_report(b).state.started_ms > first);
    assert_int_equal(scan_bench_report(b).state.seen, SCAN_MANY);
    assert_true(engine_bench_settle(b, SCAN_RULE, 600000));
    assert_int_equal(fake_objects(b->far, "dst"), SCAN_MANY);
}

/* What was proven before was so of less; nothing more is until a pass has listed it all. */
static void a_wider_filter_proves_nothing_by_itself(void **state)
{
    struct engine_bench *b = *state;
    struct fake_fault slow = {.kind = STORE_LIST, .slow_ms = 60000};
    scan_bench_fill(b, SCAN_MANY);
    take(b, few, true);
    assert_true(scan_bench_run_pass(b, 600000));
    assert_true(engine_bench_settle(b, SCAN_RULE, 600000));
    loop_run_for(b->loop, 5000);
    int64_t proven = engine_bench_lag(b, SCAN_RULE).proven_ms;
    int64_t changed = loop_wall_ms(b->loop);
    assert_int_equal(proven, scan_bench_report(b).state.started_ms);
    fake_fault(b->near, &slow);
    take(b, many, true);
    loop_run_for(b->loop, 20000);
    assert_int_equal(engine_bench_lag(b, SCAN_RULE).proven_ms, proven);
    assert_int_equal(scan_bench_report(b).state.proven_ms, 0);
    fake_clear_faults(b->near);
    assert_true(scan_bench_run_pass(b, 600000));
    assert_true(engine_bench_settle(b, SCAN_RULE, 600000));
    loop_run_for(b->loop, 5000);
    assert_int_equal(fake_objects(b->far, "dst"), SCAN_MANY);
    assert_true(engine_bench_lag(b, SCAN_RULE).proven_ms >= changed);
}

/* A proof that only waits for copies is void, too. */
static void a_wider_filter_voids_the_proof_that_is_due(void **state)
{
    struct engine_bench *b = *state;
    scan_bench_fill(b, SCAN_MANY);
    fake_outage(b->far, loop_now_ms(b->loop) + 2000, loop_now_ms(b->loop) + 300000);
    take(b, few, true);
    loop_run_for(b->loop, 1500);
    fake_put(b->near, "src", span_str("k/new-0"), span_str("new"), NULL);
    loop_run_for(b->loop, 1000);
    engine_bench_append(b, CHANGE_PUT, "k/new-0");
    scan_bench_scan(b);
    uint64_t narrow = scan_bench_report(b).state.proven_ms;
    assert_true(engine_bench_lag(b, SCAN_RULE).proven_ms < (int64_t)narrow);
    fake_fault(b->near, &(struct fake_fault){.kind = STORE_LIST, .slow_ms = HOUR});
    take(b, many, true);
    loop_run_for(b->loop, 600000);
    assert_int_equal(engine_bench_lag(b, SCAN_RULE).counts.pending_objects, 0);
    assert_true(engine_bench_lag(b, SCAN_RULE).proven_ms < (int64_t)narrow);
}

static void a_wider_filter_is_remembered_over_a_crash(void **state)
{
    struct engine_bench *b = *state;
    scan_bench_fill(b, SCAN_MANY);
    take(b, few, true);
    wait_until_seen(b, 200);
    fake_fault(b->near, &(struct fake_fault){.kind = STORE_LIST, .slow_ms = 60000});
    take(b, many, true);
    engine_bench_stop(b);
    engine_bench_start(b);
    fake_clear_faults(b->near);
    assert_true(scan_bench_run_pass(b, 600000));
    assert_int_equal(scan_bench_report(b).state.seen, SCAN_MANY);
    assert_true(engine_bench_settle(b, SCAN_RULE, 600000));
    assert_int_equal(fake_objects(b->far, "dst"), SCAN_MANY);
}

static void a_narrower_filter_needs_no_pass(void **state)
{
    struct engine_bench *b = *state;
    const char *out[] = {"k/*5"};
    scan_bench_fill(b, SCAN_MANY);
    take(b, few, true);
    assert_true(scan_bench_run_pass(b, 600000));
    assert_true(engine_bench_settle(b, SCAN_RULE, 600000));
    uint64_t proven = scan_bench_report(b).state.proven_ms;
    unsigned before = fake_count(b->near, STORE_LIST);
    struct rule rule = engine_bench_rule(SCAN_RULE);
    rule.existing = true;
    rule.include = few;
    rule.include_count = 1;
    rule.exclude = out;
    rule.exclude_count = 1;
    scan_bench_put_rule(b, &rule);
    loop_run_for(b->loop, 10000);
    assert_int_equal(fake_count(b->near, STORE_LIST), before);
    assert_int_equal(scan_bench_report(b).state.proven_ms, proven);
    engine_bench_stop(b);
    engine_bench_start(b);
    loop_run_for(b->loop, 10000);
    assert_int_equal(fake_count(b->near, STORE_LIST), before);
    take(b, less, true); /* not known to be narrower: it is another pattern */
    assert_true(scan_bench_run_pass(b, 600000));
    assert_true(fake_count(b->near, STORE_LIST) > before);
}

/* Ranges that were done before deletes mattered were not looked through for them. */
static void deletes_that_begin_to_matter_begin_the_pass_anew(void **state)
{
    struct engine_bench *b = *state;
    struct fail f;
    scan_bench_start_with(b, SCAN_MANY, RULE_DELETES_IGNORE);
    scan_bench_remove(b, 10, 20);
    loop_run_for(b->loop, 1000);
    fake_fault(b->near, &(struct fake_fault){.kind = STORE_LIST, .skip = 15, .slow_ms = 5000});
    assert_int_equal(engine_scan_begin(b->engine, SCAN_RULE, &f), 0);
    wait_until_seen(b, 200);
    struct rule rule = engine_bench_rule(SCAN_RULE);
    rule.existing = true;
    scan_bench_put_rule(b, &rule);
    assert_true(scan_bench_run_pass(b, 600000));
    assert_true(engine_bench_settle(b, SCAN_RULE, 600000));
    assert_int_equal(scan_bench_report(b).state.missing, 10);
    assert_int_equal(fake_objects(b->far, "dst"), SCAN_MANY - 10);
}

/* Where only scans tell of changes, what was written between two of them is no existing object. */
static void a_wider_filter_lets_no_change_pass_as_existing(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(SCAN_RULE);
    rule.existing = true;
    rule.include = few;
    rule.include_count = 1;
    rule.scan = (struct rule_scan){.mode = RULE_SCAN_EVERY, .every_ms = HOUR};
    scan_bench_fill(b, 200);
    scan_bench_put_rule(b, &rule);
    assert_true(scan_bench_run_pass(b, 600000));
    assert_true(engine_bench_settle(b, SCAN_RULE, 600000));
    loop_run_for(b->loop, 60000);
    int64_t written = loop_wall_ms(b->loop);
    fake_put(b->near, "src", span_str("k/new-0"), span_str("new"), NULL);
    loop_run_for(b->loop, 60000);
    fake_fault(b->far, &(struct fake_fault){.kind = STORE_PUT, .slow_ms = 300000});
    rule.include = many;
    scan_bench_put_rule(b, &rule);
    assert_true(scan_bench_run_pass(b, 600000));
    loop_run_for(b->loop, 20000);
    assert_true(engine_bench_lag(b, SCAN_RULE).watermark_ms < written);
    fake_clear_faults(b->far);
    assert_true(engine_bench_settle(b, SCAN_RULE, 600000));
    loop_run_for(b->loop, 5000);
    assert_true(engine_bench_lag(b, SCAN_RULE).watermark_ms > written);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCAN_TEST(a_wider_filter_begins_the_pass_anew),
        SCAN_TEST(a_wider_filter_proves_nothing_by_itself),
        SCAN_TEST(a_wider_filter_voids_the_proof_that_is_due),
        SCAN_TEST(a_wider_filter_is_remembered_over_a_crash),
        SCAN_TEST(a_narrower_filter_needs_no_pass),
        SCAN_TEST(deletes_that_begin_to_matter_begin_the_pass_anew),
        SCAN_TEST(a_wider_filter_lets_no_change_pass_as_existing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
