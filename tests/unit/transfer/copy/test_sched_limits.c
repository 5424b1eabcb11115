/* Many copies: limits in bytes and requests, of a group and of an endpoint. */
#include "tests/unit/support/copy_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void copy_group(struct bench *b, const char *prefix, unsigned count, size_t size,
                       uint32_t group)
{
    struct list *last = b->jobs.prev;
    bench_copy_many(b, prefix, count, size);
    for (struct list *node = last->next; node != &b->jobs; node = node->next) {
        CONTAINER_OF(node, struct bench_job, link)->group = group;
    }
}

static struct bench *limit_bench(void)
{
    struct bench_options o = {.from = {.latency_ms = 5, .slots = 32},
                              .to = {.latency_ms = 20, .slots = 32, .part_min = 2048},
                              .copies = 2000};
    return bench_new(&o);
}

/* For small objects and for parts, and only of the group that is limited. */
static void bytes_of_a_group_are_limited(void **state)
{
    (void)state;
    static const size_t sizes[] = {1000, 100000};
    for (int i = 0; i < 2; i++) {
        struct bench *b = limit_bench();
        sched_limit_group(b->sched, 7, &(struct sched_limit){.bytes = 50000});
        copy_group(b, "slow", (unsigned)(1200000 / sizes[i]), sizes[i], 7);
        bench_start(b);
        loop_run_for(b->loop, 2000);
        uint64_t before = fake_body_bytes(b->to);
        loop_run_for(b->loop, 10000);
        assert_in_range(fake_body_bytes(b->to) - before, 490000, 510000);
        copy_group(b, "fast", 500, 1000, 8);
        bench_start(b);
        loop_run_for(b->loop, 2000);
        assert_int_equal(bench_count_done(b, "fast"), 500);
        bench_run_to(b, COPY_DONE);
        bench_free(b);
    }
}

static void bytes_to_an_endpoint_are_limited(void **state)
{
    (void)state;
    struct bench *b = limit_bench();
    sched_limit_endpoint(b->sched, fake_store(b->to), &(struct sched_limit){.bytes = 50000});
    copy_group(b, "a", 600, 1000, 1);
    copy_group(b, "b", 600, 1000, 2);
    bench_start(b);
    loop_run_for(b->loop, 10000);
    assert_in_range(fake_body_bytes(b->to), 490000, 510000);
    bench_run_to(b, COPY_DONE);
    bench_free(b);
}

static void requests_are_limited(void **state)
{
    (void)state;
    struct bench *b = limit_bench();
    sched_limit_group(b->sched, 7, &(struct sched_limit){.requests = 100});
    copy_group(b, "a", 700, 10, 7);
    bench_start(b);
    loop_run_for(b->loop, 10000);
    unsigned requests = fake_count(b->from, STORE_GET) + fake_count(b->to, STORE_PUT);
    assert_in_range(requests, 980, 1020);
    sched_limit_group(b->sched, 7, &(struct sched_limit){0});
    sched_limit_endpoint(b->sched, fake_store(b->from), &(struct sched_limit){.requests = 20});
    unsigned before = fake_count(b->from, STORE_GET);
    loop_run_for(b->loop, 5000);
    assert_in_range(fake_count(b->from, STORE_GET) - before, 95, 135); /* those in flight too */
    bench_run_to(b, COPY_DONE);
    bench_free(b);
}

static void limit_changes_at_once(void **state)
{
    (void)state;
    struct bench *b = limit_bench();
    sched_limit_group(b->sched, 7, &(struct sched_limit){.bytes = 10});
    copy_group(b, "a", 1500, 1000, 7);
    bench_start(b);
    loop_run_for(b->loop, 60000);
    assert_in_range(bench_count_done(b, ""), 1, 2);
    sched_limit_group(b->sched, 7, &(struct sched_limit){.bytes = 100000});
    loop_run_for(b->loop, 5000);
    assert_in_range(bench_count_done(b, ""), 490, 510);
    sched_limit_group(b->sched, 7, &(struct sched_limit){0});
    loop_run_for(b->loop, 3000);
    assert_int_equal(bench_count_done(b, ""), 1500);
    bench_run_to(b, COPY_DONE);
    bench_free(b);
}

/* Where the limit is what is scarce, its bytes are shared by class too. */
static void limit_is_shared_by_class(void **state)
{
    (void)state;
    struct bench *b = limit_bench();
    sched_limit_endpoint(b->sched, fake_store(b->to), &(struct sched_limit){.requests = 100});
    bench_copy_class(b, "backfill", 500, COPY_BACKFILL);
    bench_copy_class(b, "late", 500, COPY_LATE);
    bench_copy_class(b, "fresh", 500, COPY_FRESH);
    bench_start(b);
    loop_run_for(b->loop, 6000);
    assert_in_range(bench_count_done(b, "fresh"), 325, 395);
    assert_in_range(bench_count_done(b, "late"), 125, 175);
    assert_in_range(bench_count_done(b, "backfill"), 70, 110);
    bench_run_to(b, COPY_DONE);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_of_a_group_are_limited),
        cmocka_unit_test(bytes_to_an_endpoint_are_limited),
        cmocka_unit_test(requests_are_limited),
        cmocka_unit_test(limit_changes_at_once),
        cmocka_unit_test(limit_is_shared_by_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
