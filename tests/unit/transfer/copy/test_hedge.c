/* The tail of an object: a slow part is sent a second time, where that does no harm. */
#include "tests/unit/support/copy_bench.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define PARTS     100
#define PART      4096
#define SLOW_MS   60000
#define NORMAL_MS 50

static struct bench *hedge_bench(bool reupload_safe)
{
    struct bench_options o = {
        .from = {.latency_ms = 1, .slots = 16},
        .to = {.latency_ms = NORMAL_MS, .slots = 16, .reupload_safe = reupload_safe}};
    struct bench *b = bench_new(&o);
    fake_put_random(b->from, "src", "k", PARTS * PART, 1);
    bench_add(b, "k", COPY_OBJECT)->size_hint = PARTS * PART;
    return b;
}

/* The last part's attempt number `attempt` (from 0) is slow. */
static void slow(struct bench *b, unsigned attempt, uint64_t slow_ms)
{
    fake_fault(
        b->to,
        &(struct fake_fault){
            .kind = STORE_PART, .part = PARTS, .skip = attempt, .count = 1, .slow_ms = slow_ms});
}

static const struct bench_job *run(struct bench *b)
{
    assert_true(bench_run(b, 10 * SLOW_MS, false));
    const struct bench_job *j = CONTAINER_OF(b->jobs.next, struct bench_job, link);
    assert_int_equal(j->outcome.end, COPY_DONE);
    bench_check(b);
    return j;
}

static double hedged_bytes(struct bench *b)
{
    static const char *const by_endpoint[] = {"endpoint", NULL};
    const char *labels[] = {"to"};
    return stat_value(stat_get(
        stat_family(b->stats, STAT_COUNTER, "repl_endpoint_hedged_bytes_total", "", by_endpoint),
        labels));
}

static void second_attempt_wins(void **state)
{
    (void)state;
    struct bench *b = hedge_bench(true);
    slow(b, 0, SLOW_MS);
    uint64_t from_ms = loop_now_ms(b->loop);
    const struct bench_job *j = run(b);
    assert_true(j->done_at_ms - from_ms < 2000);
    assert_int_equal(fake_count(b->to, STORE_PART), PARTS + 1);
    assert_true(hedged_bytes(b) == PART);
    bench_free(b);
}

static void first_attempt_wins(void **state)
{
    (void)state;
    struct bench *b = hedge_bench(true);
    slow(b, 0, 3 * NORMAL_MS);
    slow(b, 0, SLOW_MS);
    uint64_t from_ms = loop_now_ms(b->loop);
    const struct bench_job *j = run(b);
    assert_true(j->done_at_ms - from_ms < 2000);
    assert_int_equal(fake_count(b->to, STORE_PART), PARTS + 1);
    assert_true(hedged_bytes(b) == PART);
    bench_free(b);
}

/* The one that is left decides; when it fails too the part is sent again as ever. */
static void attempts_that_fail_leave_the_other(void **state)
{
    (void)state;
    for (int failing = 1; failing <= 3; failing++) {
        struct bench *b = hedge_bench(true);
        for (unsigned i = 0; i < 2; i++) {
            struct fake_fault f = {.kind = STORE_PART,
                                   .part = PARTS,
                                   .skip = 0,
                                   .count = 1,
                                   .slow_ms = (4 + i) * NORMAL_MS,
                                   .code = failing & (1 << i) ? REPL_ESERVER : 0};
            fake_fault(b->to, &f);
        }
        run(b);
        assert_int_equal(fake_count(b->to, STORE_PART), failing == 3 ? PARTS + 2 : PARTS + 1);
        bench_free(b);
    }
}

static void never_without_the_flag(void **state)
{
    (void)state;
    struct bench *b = hedge_bench(false);
    slow(b, 0, SLOW_MS);
    uint64_t from_ms = loop_now_ms(b->loop);
    const struct bench_job *j = run(b); /* which finds no part twice in flight */
    assert_true(j->done_at_ms - from_ms >= SLOW_MS);
    assert_int_equal(fake_count(b->to, STORE_PART), PARTS);
    bench_free(b);
}

/* A part of 1/20 of what was sent is more than 2 %. */
static void never_beyond_its_share(void **state)
{
    (void)state;
    struct bench *b = hedge_bench(true);
    fake_put_random(b->from, "src", "k", 20 * PART, 1);
    CONTAINER_OF(b->jobs.next, struct bench_job, link)->size_hint = 20 * PART;
    fake_fault(b->to, &(struct fake_fault){
                          .kind = STORE_PART, .part = 20, .count = 1, .slow_ms = SLOW_MS});
    run(b);
    assert_int_equal(fake_count(b->to, STORE_PART), 20);
    bench_free(b);
}

/* Parts that wait for a slot need it more. */
static void never_in_the_middle(void **state)
{
    (void)state;
    struct bench *b = hedge_bench(true);
    fake_fault(b->to, &(struct fake_fault){
                          .kind = STORE_PART, .part = 20, .count = 1, .slow_ms = 4 * NORMAL_MS});
    run(b);
    assert_int_equal(fake_count(b->to, STORE_PART), PARTS);
    bench_free(b);
}

/* Whoever is called back, the body outlives the attempt that is longest under way. */
static void ends_with_two_attempts_in_flight(void **state)
{
    (void)state;
    for (int crash = 0; crash < 2; crash++) {
        struct bench *b = hedge_bench(true);
        slow(b, 0, SLOW_MS);
        slow(b, 0, SLOW_MS);
        bench_start(b);
        loop_run_for(b->loop, 2000);
        assert_int_equal(fake_in_flight(b->to), 2);
        if (crash) {
            bench_crash(b);
        } else {
            bench_restart(b, 100);
        }
        run(b);
        bench_free(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(second_attempt_wins),
        cmocka_unit_test(first_attempt_wins),
        cmocka_unit_test(attempts_that_fail_leave_the_other),
        cmocka_unit_test(never_without_the_flag),
        cmocka_unit_test(never_beyond_its_share),
        cmocka_unit_test(never_in_the_middle),
        cmocka_unit_test(ends_with_two_attempts_in_flight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
