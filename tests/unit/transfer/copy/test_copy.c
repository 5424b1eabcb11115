/* One copy at a time: each path of the state machine, and each end. */
#include "tests/unit/support/copy_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void small_costs_one_get_and_one_put(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    struct bench_job *j = bench_copy_one(b, "a", 1000);
    j->size_hint = 1000;
    bench_run_to(b, COPY_DONE);
    assert_int_equal(fake_count(b->from, STORE_GET), 1);
    assert_int_equal(fake_count(b->from, STORE_HEAD), 0);
    assert_int_equal(fake_count(b->to, STORE_PUT), 1);
    assert_int_equal(fake_count(b->to, STORE_HEAD), 0);
    assert_int_equal(j->outcome.bytes, 1000);
    assert_int_equal(j->outcome.bytes_sent, 1000);
    bench_free(b);
}

static void sizes_around_the_part_arrive(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 8192, 8193, 50000};
    static const int64_t hints[] = {-1, 0, 1, 4096, 9000, 100000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct bench *b = bench_near_far();
        for (size_t k = 0; k < sizeof(hints) / sizeof(hints[0]); k++) {
            char key[16];
            snprintf(key, sizeof(key), "k%zu", k);
            bench_copy_one(b, key, sizes[i])->size_hint = hints[k];
        }
        bench_run_to(b, COPY_DONE);
        bench_free(b);
    }
}

static void large_reads_each_byte_once(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    bench_copy_one(b, "big", 100000)->size_hint = 100000;
    bench_run_to(b, COPY_DONE);
    assert_int_equal(fake_count(b->from, STORE_GET), 25);
    assert_int_equal(fake_count(b->to, STORE_PART), 25);
    assert_int_equal(fake_count(b->to, STORE_COMPLETE), 1);
    assert_int_equal(fake_body_bytes(b->to), 100000);
    assert_int_equal(fake_uploads(b->to), 0);
    bench_free(b);
}

/* ---- failures ---- */

static void permanent_failure_abandons(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    fake_fault(b->to, &(struct fake_fault){.kind = STORE_PART, .skip = 2, .code = REPL_EREFUSED});
    struct bench_job *j = bench_copy_one(b, "k", 30000);
    bench_run_to(b, COPY_FAILED);
    assert_int_equal(j->outcome.fail.code, REPL_EREFUSED);
    assert_false(j->outcome.source_side);
    assert_int_equal(b->abandoned_count, 1);
    bench_free(b);
}

static void transient_failure_keeps_the_upload(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    fake_fault(b->to, &(struct fake_fault){.kind = STORE_PART, .part = 3, .code = REPL_ESERVER});
    struct bench_job *j = bench_copy_one(b, "k", 30000);
    bench_run_to(b, COPY_FAILED);
    assert_int_equal(j->outcome.fail.code, REPL_ESERVER);
    assert_true(j->open);
    size_t kept = j->part_count;
    unsigned sent = fake_count(b->to, STORE_PART);
    assert_true(kept > 0);
    fake_clear_faults(b->to);
    bench_run_to(b, COPY_DONE);
    assert_int_equal(fake_count(b->to, STORE_PART), sent + 8 - kept);
    assert_int_equal(fake_count(b->to, STORE_CREATE), 1);
    bench_free(b);
}

static void too_large_for_the_budget_says_what_it_needs(void **state)
{
    (void)state;
    struct bench_options o = {
        .memory_bytes = 1 << 20, .part_max = 1 << 20, .to = {.part_min = 512 * 1024}};
    struct bench *b = bench_new(&o);
    struct bench_job *j = bench_copy_one(b, "k", 3 << 20);
    bench_run_to(b, COPY_FAILED);
    assert_int_equal(j->outcome.fail.code, REPL_ENOMEMORY);
    assert_non_null(strstr(j->outcome.fail.hint, "MiB"));
    bench_free(b);
}

static void bucket_that_is_missing_fails_the_copy_only(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    fake_drop_bucket(b->to, "dst");
    struct bench_job *j = bench_copy_one(b, "k", 100);
    assert_true(bench_run(b, BENCH_HOUR_MS, false));
    assert_int_equal(j->outcome.fail.code, REPL_ENOBUCKET);
    struct fail f;
    assert_int_equal(sched_endpoint(b->sched, fake_store(b->to), &f), SCHED_UP);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_costs_one_get_and_one_put),
        cmocka_unit_test(sizes_around_the_part_arrive),
        cmocka_unit_test(large_reads_each_byte_once),
        cmocka_unit_test(permanent_failure_abandons),
        cmocka_unit_test(transient_failure_keeps_the_upload),
        cmocka_unit_test(too_large_for_the_budget_says_what_it_needs),
        cmocka_unit_test(bucket_that_is_missing_fails_the_copy_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
