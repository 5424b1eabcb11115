/* What scans make of objects that are no longer listed: deletes that nobody told of are found, and
 * what is doubtful deletes nothing. */
#include "tests/unit/support/scan_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define HOUR ((uint64_t)3600000)

/* ---- what vanished ---- */

static void a_missed_delete_is_found(void **state)
{
    struct engine_bench *b = *state;
    scan_bench_start_with(b, SCAN_MANY, RULE_DELETES_PROPAGATE);
    scan_bench_remove(b, 100, 140);
    scan_bench_scan(b);
    assert_true(engine_bench_settle(b, SCAN_RULE, 600000));
    assert_int_equal(scan_bench_report(b).state.missing, 40);
    assert_int_equal(fake_objects(b->far, "dst"), SCAN_MANY - 40);
    assert_int_equal(engine_bench_lag(b, SCAN_RULE).counts.deleted_objects, 40);
    scan_bench_scan(b);
    assert_int_equal(scan_bench_report(b).state.missing, 0);
}

/* When it went nobody knows, but that the pass before has still seen it. */
static void a_delete_that_is_found_holds_the_watermark(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(SCAN_RULE);
    rule.existing = true;
    rule.scan = (struct rule_scan){.mode = RULE_SCAN_EVERY, .every_ms = HOUR};
    scan_bench_fill(b, 20);
    scan_bench_put_rule(b, &rule);
    assert_true(scan_bench_run_pass(b, 600000));
    assert_true(engine_bench_settle(b, SCAN_RULE, 600000));
    int64_t gone_ms = loop_wall_ms(b->loop);
    scan_bench_remove(b, 3, 4);
    loop_run_for(b->loop, 60000);
    fake_outage(b->far, loop_now_ms(b->loop), loop_now_ms(b->loop) + HOUR);
    scan_bench_scan(b);
    struct rule_lag lag = engine_bench_lag(b, SCAN_RULE);
    assert_int_equal(lag.counts.pending_objects, 1);
    assert_true(lag.watermark_ms <= gone_ms);
    assert_true(engine_bench_settle(b, SCAN_RULE, 2 * HOUR));
    assert_true(engine_bench_lag(b, SCAN_RULE).watermark_ms > gone_ms);
}

/* The source was read before the delete, which no event tells; the listing does not show the key,
 * and no replica is known yet that it would miss. */
static void what_went_during_its_copy_is_deleted_before_the_proof(void **state)
{
    struct engine_bench *b = *state;
    scan_bench_start_with(b, 5, RULE_DELETES_PROPAGATE);
    fake_fault(b->far, &(struct fake_fault){.kind = STORE_PUT, .slow_ms = 20000});
    engine_bench_write(b, "k/late", "late");
    loop_run_for(b->loop, 1000);
    assert_int_equal(fake_in_flight(b->far), 1); /* the object is on its way */
    fake_remove(b->near, "src", span_str("k/late"));
    int64_t gone_ms = loop_wall_ms(b->loop);
    scan_bench_scan(b);
    for (int i = 0; i < 100 && engine_bench_lag(b, SCAN_RULE).proven_ms <= gone_ms; i++) {
    }
    assert_true(engine_bench_lag(b, SCAN_RULE).proven_ms > gone_ms);
    assert_false(engine_bench_has(b, "k/late", "late"));
}

/* One object, whose every copy takes longer than a pass of the scan, which never rests. */
static struct rule_counts copy_slowly(struct engine_bench *b, bool keeps_replicas, int code)
{
    struct rule rule = engine_bench_rule(SCAN_RULE);
    rule.existing = true;
    rule.keep_replicas = keeps_replicas;
    rule.scan.mode = RULE_SCAN_CONTINUOUS;
    scan_bench_put_rule(b, &rule);
    loop_run_for(b->loop, 3000);
    fake_fault(b->far, &(struct fake_fault){.kind = STORE_PUT, .code = code, .slow_ms = 5000});
    engine_bench_write(b, "k/slow", "slow");
    loop_run_for(b->loop, 300000);
    return engine_bench_lag(b, SCAN_RULE).counts;
}

static void a_copy_longer_than_a_pass_ends(void **state)
{
    struct engine_bench *b = *state;
    struct rule_counts counts = copy_slowly(b, true, 0);
    assert_int_equal(counts.pending_objects, 0);
    assert_int_equal(fake_count(b->far, STORE_PUT), 1);
}

/* The destination's listing says what is there. Once more, as the first listing that shows the
 * object meets it in work, and nobody knows whether that has read this very one. */
static void without_replicas_a_copy_is_not_repeated_for_ever(void **state)
{
    struct engine_bench *b = *state;
    struct rule_counts counts = copy_slowly(b, false, 0);
    assert_int_equal(counts.pending_objects, 0);
    assert_int_equal(fake_count(b->far, STORE_PUT), 2);
}

static void a_copy_longer_than_a_pass_fails(void **state)
{
    struct engine_bench *b = *state;
    struct rule_counts counts = copy_slowly(b, true, REPL_EBADINPUT);
    assert_int_equal(counts.failed_objects, 1);
}

static void no_deletes_where_they_are_ignored(void **state)
{
    struct engine_bench *b = *state;
    scan_bench_start_with(b, 100, RULE_DELETES_IGNORE);
    scan_bench_remove(b, 10, 20);
    scan_bench_scan(b);
    assert_true(engine_bench_settle(b, SCAN_RULE, 600000));
    assert_int_equal(scan_bench_report(b).state.missing, 0);
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
    scan_bench_start_with(b, 100, RULE_DELETES_PROPAGATE);
    scan_bench_remove(b, 10, 12);
    fake_hook(b->near, bring_back, NULL);
    scan_bench_scan(b);
    assert_true(engine_bench_settle(b, SCAN_RULE, 600000));
    fake_hook(b->near, NULL, NULL);
    assert_int_equal(fake_objects(b->far, "dst"), 100);
    assert_true(engine_bench_has(b, "k/00010", "back"));
}

static void an_empty_listing_deletes_nothing(void **state)
{
    struct engine_bench *b = *state;
    scan_bench_start_with(b, SCAN_MANY, RULE_DELETES_PROPAGATE);
    scan_bench_remove(b, 0, SCAN_MANY);
    for (int i = 0; i < 3; i++) { /* however often it is said */
        scan_bench_scan(b);
        assert_true(engine_bench_settle(b, SCAN_RULE, 600000));
        assert_int_equal(fake_objects(b->far, "dst"), SCAN_MANY);
    }
}

static void a_listing_that_shrank_is_not_believed_at_once(void **state)
{
    struct engine_bench *b = *state;
    scan_bench_start_with(b, SCAN_MANY, RULE_DELETES_PROPAGATE);
    uint64_t proven = scan_bench_report(b).state.proven_ms;
    scan_bench_remove(b, 200, SCAN_MANY);
    scan_bench_scan(b);
    assert_non_null(strstr(scan_bench_report(b).doubt, "less than half"));
    assert_int_equal(scan_bench_report(b).state.proven_ms, proven);
    assert_true(engine_bench_settle(b, SCAN_RULE, 600000));
    assert_int_equal(fake_objects(b->far, "dst"), SCAN_MANY);
    scan_bench_scan(b); /* says the same */
    assert_string_equal(scan_bench_report(b).doubt, "");
    assert_true(scan_bench_report(b).state.proven_ms > proven);
    assert_true(engine_bench_settle(b, SCAN_RULE, 600000));
    assert_int_equal(fake_objects(b->far, "dst"), 200);
}

/* ---- against the destination ---- */

static void what_is_gone_from_the_destination_is_counted(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(SCAN_RULE);
    scan_bench_start_with(b, 300, RULE_DELETES_PROPAGATE);
    rule.existing = true;
    rule.scan_against = RULE_SCAN_DESTINATION;
    scan_bench_put_rule(b, &rule);
    fake_remove(b->far, "dst", span_str("k/00007"));
    scan_bench_scan(b);
    assert_int_equal(scan_bench_report(b).state.away, 1);
    assert_int_equal(scan_bench_report(b).state.found,
                     0); /* consumers delete what they have processed */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCAN_TEST(a_missed_delete_is_found),
        SCAN_TEST(a_delete_that_is_found_holds_the_watermark),
        SCAN_TEST(what_went_during_its_copy_is_deleted_before_the_proof),
        SCAN_TEST(a_copy_longer_than_a_pass_ends),
        SCAN_TEST(without_replicas_a_copy_is_not_repeated_for_ever),
        SCAN_TEST(a_copy_longer_than_a_pass_fails),
        SCAN_TEST(no_deletes_where_they_are_ignored),
        SCAN_TEST(what_is_there_again_is_not_deleted),
        SCAN_TEST(an_empty_listing_deletes_nothing),
        SCAN_TEST(a_listing_that_shrank_is_not_believed_at_once),
        SCAN_TEST(what_is_gone_from_the_destination_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
