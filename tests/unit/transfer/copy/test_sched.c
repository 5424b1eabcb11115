/* Many copies: order, slots, memory, deletes that go together, a stop. */
#include "tests/unit/support/copy_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void small_objects_pass_a_large_one(void **state)
{
    (void)state;
    struct bench_options o = {.from = {.latency_ms = 5}, .to = {.latency_ms = 50, .slots = 4}};
    struct bench *b = bench_new(&o);
    struct bench_job *big = bench_copy_told(b, "big", 400000);
    bench_start(b);
    loop_run_for(b->loop, 200);
    bench_copy_many(b, "s", 20, 100);
    bench_run_to(b, COPY_DONE);
    LIST_FOR (node, &b->jobs) {
        struct bench_job *j = CONTAINER_OF(node, struct bench_job, link);
        assert_true(j == big || j->done_at_ms < big->done_at_ms);
    }
    bench_free(b);
}

static void earlier_deadline_goes_first(void **state)
{
    (void)state;
    struct bench_options o = {.from = {.latency_ms = 5, .slots = 1},
                              .to = {.latency_ms = 50, .slots = 1}};
    struct bench *b = bench_new(&o);
    for (int i = 0; i < 10; i++) {
        char key[8];
        snprintf(key, sizeof(key), "k%d", i);
        bench_copy_told(b, key, 10)->deadline_ms -= i;
    }
    bench_run_to(b, COPY_DONE);
    uint64_t last = 0;
    for (struct list *node = b->jobs.prev; node != &b->jobs; node = node->prev) {
        struct bench_job *j = CONTAINER_OF(node, struct bench_job, link);
        assert_true(j->done_at_ms > last);
        last = j->done_at_ms;
    }
    bench_free(b);
}

/* ---- slots and memory ---- */

/* Where a part takes a minute nobody else asks how many slots there are. */
static void a_slot_more_is_used_at_once(void **state)
{
    (void)state;
    struct bench_options o = {
        .from = {.latency_ms = 1}, .to = {.latency_ms = 60000, .slots = 2}, .copies = 100};
    struct bench *b = bench_new(&o);
    bench_copy_class(b, "o", 8, COPY_FRESH);
    bench_start(b);
    loop_run_for(b->loop, 1000);
    fake_set_slots(b->to, 8);
    store_has_more(fake_store(b->to));
    loop_run_for(b->loop, 61000);
    assert_int_equal(bench_count_done(b, ""), 8);
    bench_run_to(b, COPY_DONE);
    bench_free(b);
}

static void small_has_slots_that_bulk_does_not_take(void **state)
{
    (void)state;
    struct bench_options o = {.from = {.latency_ms = 1, .slots = 2, .rate_bps = 100000},
                              .to = {.latency_ms = 1, .slots = 2, .rate_bps = 100000},
                              .memory_bytes = 64 << 20,
                              .part_max = 3 << 19};
    struct bench *b = bench_new(&o);
    bench_copy_many(b, "bulk", 6, 3 << 20);
    bench_start(b);
    loop_run_for(b->loop, 60000);
    bench_copy_many(b, "small", 4, 1000);
    bench_start(b);
    loop_run_for(b->loop, 100);
    assert_int_equal(bench_count_done(b, "small"), 4);
    assert_int_equal(fake_most_in_flight(b->to), 4);
    bench_run_to(b, COPY_DONE);
    bench_free(b);
}

/* Memory that bulk has not got the room for is good enough for small ones. */
static void small_does_not_wait_for_the_memory_of_bulk(void **state)
{
    (void)state;
    struct bench_options o = {.from = {.latency_ms = 1, .slots = 64},
                              .to = {.latency_ms = 1, .slots = 64, .rate_bps = 100000},
                              .memory_bytes = 10 << 20,
                              .part_max = 3 << 19};
    struct bench *b = bench_new(&o);
    bench_copy_many(b, "bulk", 20, 3 << 19);
    bench_start(b);
    loop_run_for(b->loop, 1000);
    bench_copy_many(b, "small", 20, 600000); /* there is room for one beside six bulk ones */
    bench_start(b);
    loop_run_for(b->loop, 13000);
    assert_int_equal(bench_count_done(b, "small"), 2);
    assert_int_equal(bench_count_done(b, "bulk"), 0);
    bench_run_to(b, COPY_DONE);
    bench_free(b);
}

static void slots_are_used_and_not_exceeded(void **state)
{
    (void)state;
    struct bench_options o = {.from = {.latency_ms = 20, .slots = 8},
                              .to = {.latency_ms = 20, .slots = 8}};
    struct bench *b = bench_new(&o);
    bench_copy_many(b, "k", 60, 20000);
    bench_run_to(b, COPY_DONE);
    assert_int_equal(fake_most_in_flight(b->from), 8);
    assert_int_equal(fake_most_in_flight(b->to), 8);
    bench_free(b);
}

static void slots_that_come_late_are_found(void **state)
{
    (void)state;
    struct bench_options o = {.from = {.latency_ms = 20}, .to = {.latency_ms = 20}};
    struct bench *b = bench_new(&o);
    fake_set_slots(b->to, 0);
    bench_copy_many(b, "k", 10, 2000);
    assert_false(bench_run(b, 10000, false));
    fake_set_slots(b->to, 2);
    assert_true(bench_run(b, 1000, false));
    bench_check(b);
    bench_free(b);
}

static void memory_bounds_what_is_read(void **state)
{
    (void)state;
    struct bench_options o = {.from = {.latency_ms = 5, .slots = 64},
                              .to = {.latency_ms = 100, .slots = 64},
                              .memory_bytes = 64 * 1024};
    struct bench *b = bench_new(&o);
    bench_copy_many(b, "k", 50, 100000);
    bench_run_to(b, COPY_DONE);
    assert_true(b->most_memory > 48 * 1024);
    bench_free(b);
}

/* Reads that are repeated hold memory; those that wait for it must not stand before them. */
static void repeated_reads_do_not_wait_for_their_own_memory(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 30; seed++) {
        struct bench_options o = {.seed = seed,
                                  .from = {.latency_ms = 20, .jitter_ms = 20, .slots = 18},
                                  .to = {.latency_ms = 50, .slots = 2}};
        struct bench *b = bench_new(&o);
        fake_fault(b->from, &(struct fake_fault){
                                .kind = STORE_GET, .skip = 1, .count = 12, .code = REPL_ESERVER});
        bench_copy_told(b, "k", 60000);
        bench_run_to(b, COPY_DONE);
        bench_free(b);
    }
}

/* ---- deletes ---- */

static void delete_many(struct bench *b, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char key[32];
        snprintf(key, sizeof(key), "gone%03u", i);
        fake_put_random(b->to, "dst", key, 10, i);
        bench_add(b, key, COPY_DELETE);
    }
}

static void deletes_go_together(void **state)
{
    (void)state;
    struct bench_options o = {.from = {.latency_ms = 1, .slots = 64},
                              .to = {.latency_ms = 100, .slots = 4},
                              .copies = 300};
    struct bench *b = bench_new(&o);
    delete_many(b, 300);
    assert_true(bench_run(b, BENCH_HOUR_MS, false));
    bench_check(b);
    assert_int_equal(fake_objects(b->to, "dst"), 0);
    assert_true(fake_count(b->to, STORE_DELETE) + fake_count(b->to, STORE_DELETE_MANY) < 15);
    bench_free(b);
}

/* Whatever happens to the request, each delete ends once, and one that is called back or refused
 * does not take the others along. */
static void batch_of_deletes_may_fail(void **state)
{
    (void)state;
    static const int codes[] = {REPL_ENET, REPL_EBADINPUT, REPL_ETHROTTLED, REPL_ESERVER};
    for (size_t i = 0; i < 4; i++) {
        struct bench_options o = {.from = {.latency_ms = 1, .slots = 64},
                                  .to = {.latency_ms = 100, .slots = 4}};
        struct bench *b = bench_new(&o);
        fake_fault(b->to, &(struct fake_fault){.kind = STORE_DELETE_MANY,
                                               .count = codes[i] == REPL_EBADINPUT ? 0 : 3,
                                               .lost = codes[i] == REPL_ENET,
                                               .code = codes[i]});
        delete_many(b, 60);
        bench_start(b);
        loop_run_for(b->loop, 50);
        struct bench_job *j = CONTAINER_OF(b->jobs.prev, struct bench_job, link);
        sched_cancel(b->sched, j->copy);
        assert_true(bench_run(b, BENCH_HOUR_MS, true));
        bench_check(b);
        assert_int_equal(fake_objects(b->to, "dst"), 0);
        bench_free(b);
    }
}

static void stop_takes_back_a_batch(void **state)
{
    (void)state;
    struct bench_options o = {.to = {.latency_ms = 1000000}};
    struct bench *b = bench_new(&o);
    delete_many(b, 20);
    bench_start(b);
    loop_run_for(b->loop, 50);
    uint64_t from_ms = loop_now_ms(b->loop);
    bench_restart(b, 100);
    assert_true(loop_now_ms(b->loop) - from_ms < 200);
    bench_free(b);
}

/* ---- the end, and what is told ---- */

static void stop_takes_no_longer_than_allowed(void **state)
{
    (void)state;
    struct bench_options o = {.from = {.latency_ms = 5}, .to = {.latency_ms = 60000}};
    struct bench *b = bench_new(&o);
    bench_copy_many(b, "k", 30, 9000);
    bench_start(b);
    loop_run_for(b->loop, 100);
    uint64_t from_ms = loop_now_ms(b->loop);
    bench_restart(b, 2000);
    assert_in_range(loop_now_ms(b->loop) - from_ms, 1900, 2100);
    bench_run_to(b, COPY_DONE);
    bench_free(b);
}

static void metrics_are_there(void **state)
{
    (void)state;
    struct bench_options o = {.from = {.latency_ms = 5}, .to = {.latency_ms = 5}};
    struct bench *b = bench_new(&o);
    bench_copy_many(b, "k", 3, 100);
    bench_run_to(b, COPY_DONE);
    struct buf text = {0};
    stat_print(b->stats, &text);
    assert_non_null(strstr(buf_cstr(&text), "repl_endpoint_up{endpoint=\"to\"} 1"));
    assert_non_null(strstr(buf_cstr(&text), "repl_endpoint_operations_total{endpoint=\"to\","
                                            "operation=\"PutObject\",result=\"ok\"} 3"));
    assert_non_null(strstr(buf_cstr(&text), "repl_memory_used_bytes 0"));
    buf_done(&text);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_objects_pass_a_large_one),
        cmocka_unit_test(earlier_deadline_goes_first),
        cmocka_unit_test(a_slot_more_is_used_at_once),
        cmocka_unit_test(small_has_slots_that_bulk_does_not_take),
        cmocka_unit_test(small_does_not_wait_for_the_memory_of_bulk),
        cmocka_unit_test(slots_are_used_and_not_exceeded),
        cmocka_unit_test(slots_that_come_late_are_found),
        cmocka_unit_test(memory_bounds_what_is_read),
        cmocka_unit_test(repeated_reads_do_not_wait_for_their_own_memory),
        cmocka_unit_test(deletes_go_together),
        cmocka_unit_test(batch_of_deletes_may_fail),
        cmocka_unit_test(stop_takes_back_a_batch),
        cmocka_unit_test(stop_takes_no_longer_than_allowed),
        cmocka_unit_test(metrics_are_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
