/* The end of a scheduler: what is under way is waited for, what would have to wait is not. */
#include "tests/unit/support/copy_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define LIMIT_MS 20000
#define SOON_MS  1000

/* Milliseconds that a stop takes that may take LIMIT_MS; the next life has not begun. */
static uint64_t stop(struct bench *b)
{
    uint64_t from_ms = loop_now_ms(b->loop);
    bench_stop(b, LIMIT_MS);
    return loop_now_ms(b->loop) - from_ms;
}

static void out(struct bench *b, struct fake *which, uint64_t for_ms)
{
    uint64_t now_ms = loop_now_ms(b->loop);
    fake_outage(which, now_ms, now_ms + for_ms);
}

/* Nothing was lost, and nothing that was accepted has been sent again. */
static void live_again(struct bench *b)
{
    out(b, b->to, 0);
    out(b, b->from, 0);
    bench_begin(b);
    bench_run_to(b, COPY_DONE);
    bench_free(b);
}

static struct bench *small_and_large(void)
{
    struct bench *b = bench_near_far();
    bench_copy_many(b, "s", 50, 500);
    bench_copy_many(b, "l", 5, 200000);
    bench_start(b);
    return b;
}

static size_t parts_of_all(struct bench *b)
{
    size_t n = 0;
    LIST_FOR (node, &b->jobs) {
        n += CONTAINER_OF(node, struct bench_job, link)->part_count;
    }
    return n;
}

/* At any moment before and in the outage, its first requests included. */
static void stop_in_an_outage_is_short(void **state)
{
    (void)state;
    for (uint64_t at_ms = 10; at_ms < 3000; at_ms += at_ms < 200 ? 10 : 700) {
        for (int at_source = 0; at_source < 2; at_source++) {
            struct bench *b = small_and_large();
            loop_run_for(b->loop, 90);
            out(b, at_source ? b->from : b->to, BENCH_HOUR_MS);
            loop_run_for(b->loop, at_ms);
            assert_in_range(stop(b), 0, SOON_MS);
            live_again(b);
        }
    }
}

/* What was accepted before is recorded, and the upload goes on. */
static void uploads_are_kept_over_an_outage(void **state)
{
    (void)state;
    struct bench *b = small_and_large();
    while (parts_of_all(b) < 20) {
        loop_run_for(b->loop, 1);
    }
    out(b, b->to, BENCH_HOUR_MS);
    loop_run_for(b->loop, 5000);
    size_t before = parts_of_all(b);
    assert_in_range(stop(b), 0, SOON_MS);
    assert_true(parts_of_all(b) >= before);
    LIST_FOR (node, &b->jobs) {
        struct bench_job *j = CONTAINER_OF(node, struct bench_job, link);
        assert_true(j->is_done || j->outcome.end == COPY_STOPPED);
    }
    live_again(b);
}

/* The endpoint is down, and its answers take their time: one that is under way is waited for, and
 * so is what it leads to; what waits for a connection is not. */
static void answer_is_waited_for_and_a_connection_is_not(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    bench_copy_many(b, "k", 10, 500);
    fake_fault(b->to, &(struct fake_fault){.kind = STORE_PUT, .key = "k009", .slow_ms = 6000});
    struct bench_job *slow = CONTAINER_OF(b->jobs.prev, struct bench_job, link);
    bench_start(b);
    while (bench_count_done(b, "k") < 9) {
        loop_run_for(b->loop, 1);
    }
    bench_copy_many(b, "z", 10, 500);
    fake_fault(b->to, &(struct fake_fault){.kind = STORE_PUT, .key = "z009", .slow_ms = 100000});
    out(b, b->to, 4000); /* it answers again before that PUT does */
    bench_start(b);
    loop_run_for(b->loop, 500);
    struct fail f;
    assert_int_equal(sched_endpoint(b->sched, fake_store(b->to), &f), SCHED_OUTAGE);
    assert_in_range(stop(b), 5000, 6500);
    assert_true(slow->is_done);
    assert_int_equal(bench_count_done(b, "z"), 0);
    fake_clear_faults(b->to);
    live_again(b);
}

/* A read for a destination that is down would be for nothing. */
static void read_for_nothing_is_called_back(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    bench_copy_many(b, "k", 20, 500);
    fake_fault(b->from, &(struct fake_fault){.kind = STORE_GET, .key = "k019", .slow_ms = 100000});
    out(b, b->to, BENCH_HOUR_MS);
    bench_start(b);
    loop_run_for(b->loop, 3000);
    assert_int_equal(fake_in_flight(b->from), 1);
    assert_in_range(stop(b), 0, SOON_MS);
    fake_clear_faults(b->from);
    live_again(b);
}

static void denial_is_not_waited_for(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    fake_deny(b->to, true);
    bench_copy_many(b, "k", 30, 9000);
    bench_start(b);
    loop_run_for(b->loop, 60000);
    assert_in_range(stop(b), 0, SOON_MS);
    fake_deny(b->to, false);
    live_again(b);
}

/* A try that was asked to come again much later, beside one that is under way. */
static void next_try_is_not_waited_for(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    struct bench_job *j = bench_copy_told(b, "k", 40000);
    fake_fault(b->to, &(struct fake_fault){.kind = STORE_PART,
                                           .part = 2,
                                           .code = REPL_ESERVER,
                                           .http_status = 500,
                                           .retry_after_ms = 2000});
    fake_fault(b->to, &(struct fake_fault){.kind = STORE_PART, .part = 3, .slow_ms = 5000});
    bench_start(b);
    while (j->part_count < 8) {
        loop_run_for(b->loop, 1);
    }
    loop_run_for(b->loop, 200);
    unsigned tries = fake_count(b->to, STORE_PART);
    assert_in_range(stop(b), 4000, 5500);
    assert_int_equal(fake_count(b->to, STORE_PART), tries + 1);
    assert_true(j->outcome.end == COPY_STOPPED && j->part_count >= 9);
    fake_clear_faults(b->to);
    live_again(b);
}

/* Many seconds of work wait for the limit: none of it is sent. */
static void limit_is_not_waited_for(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    sched_limit_endpoint(b->sched, fake_store(b->to), &(struct sched_limit){.requests = 2});
    bench_copy_many(b, "k", 60, 500);
    bench_start(b);
    loop_run_for(b->loop, 3000);
    assert_in_range(bench_count_done(b, "k"), 1, 30);
    assert_in_range(stop(b), 0, SOON_MS);
    assert_in_range(bench_count_done(b, "k"), 1, 31);
    live_again(b);
}

/* The server wants no request for a while, and bodies are there that have not been tried yet. */
static void throttling_is_not_waited_for(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    fake_fault(b->to, &(struct fake_fault){.kind = STORE_PUT,
                                           .code = REPL_ETHROTTLED,
                                           .http_status = 503,
                                           .retry_after_ms = 15000});
    bench_copy_many(b, "k", 40, 500);
    bench_start(b);
    loop_run_for(b->loop, 300);
    assert_in_range(fake_count(b->to, STORE_PUT), 1, 16);
    assert_in_range(stop(b), 0, SOON_MS);
    fake_clear_faults(b->to);
    live_again(b);
}

/* Bodies that are read go out, also those that have no slot yet. */
static void what_is_read_is_sent(void **state)
{
    (void)state;
    struct bench_options o = {.from = {.latency_ms = 5}, .to = {.latency_ms = 500, .slots = 4}};
    struct bench *b = bench_new(&o);
    bench_copy_many(b, "k", 30, 500);
    bench_start(b);
    loop_run_for(b->loop, 600);
    unsigned before = bench_count_done(b, "k");
    assert_in_range(stop(b), 400, 2500);
    assert_true(bench_count_done(b, "k") >= before + 8);
    live_again(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stop_in_an_outage_is_short),
        cmocka_unit_test(uploads_are_kept_over_an_outage),
        cmocka_unit_test(answer_is_waited_for_and_a_connection_is_not),
        cmocka_unit_test(read_for_nothing_is_called_back),
        cmocka_unit_test(denial_is_not_waited_for),
        cmocka_unit_test(next_try_is_not_waited_for),
        cmocka_unit_test(limit_is_not_waited_for),
        cmocka_unit_test(throttling_is_not_waited_for),
        cmocka_unit_test(what_is_read_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
