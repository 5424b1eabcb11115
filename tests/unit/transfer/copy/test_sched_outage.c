/* Many copies, and an endpoint that is out, denies, or throttles. */
#include "tests/unit/support/copy_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void outage(bool at_source)
{
    struct bench_options o = {.from = {.latency_ms = 5}, .to = {.latency_ms = 30}};
    struct bench *b = bench_new(&o);
    struct fake *out = at_source ? b->from : b->to;
    bench_copy_many(b, "s", 30, 500);
    bench_copy_many(b, "l", 5, 200000);
    bench_start(b);
    loop_run_for(b->loop, 150);
    uint64_t now_ms = loop_now_ms(b->loop);
    fake_outage(out, now_ms, now_ms + 20 * 60000);
    loop_run_for(b->loop, 19 * 60000);
    struct fail f;
    assert_int_equal(sched_endpoint(b->sched, fake_store(out), &f), SCHED_OUTAGE);
    assert_true(f.code == REPL_ENET || f.code == REPL_EUNREACHABLE);
    assert_in_range(fake_count(out, STORE_HEAD_BUCKET), 1000, 1140); /* a probe a second */
    loop_run_for(b->loop, 2 * 60000);
    assert_int_equal(sched_endpoint(b->sched, fake_store(out), &f), SCHED_UP);
    bench_run_to(b, COPY_DONE);
    LIST_FOR (node, &b->jobs) {
        assert_int_equal(CONTAINER_OF(node, struct bench_job, link)->runs, 1);
    }
    bench_free(b);
}

static void outage_gives_nothing_up(void **state)
{
    (void)state;
    outage(false);
    outage(true);
}

static const struct store_ops *real_ops;
static unsigned stalls_s[64];
static size_t probes;

static void note_patience(struct store *s, struct store_op *op)
{
    if (op->kind == STORE_HEAD_BUCKET && probes < 64) {
        stalls_s[probes++] = op->stall_s;
    }
    real_ops->submit(s, op);
}

/* A probe begins impatient, and has more with each that failed: the path may have become slow. */
static void probes_become_patient(void **state)
{
    (void)state;
    struct bench_options o = {.from = {.latency_ms = 5}, .to = {.latency_ms = 30}};
    struct bench *b = bench_new(&o);
    struct store *to = fake_store(b->to);
    real_ops = to->ops;
    struct store_ops ops = *real_ops;
    ops.submit = note_patience;
    to->ops = &ops;
    bench_copy_many(b, "l", 5, 200000);
    bench_start(b);
    loop_run_for(b->loop, 150);
    uint64_t now_ms = loop_now_ms(b->loop);
    fake_outage(b->to, now_ms, now_ms + 60000);
    bench_run_to(b, COPY_DONE);
    assert_true(probes > 30);
    for (size_t i = 0; i < probes; i++) {
        assert_int_equal(stalls_s[i], i < 27 ? 3 + i : 30);
    }
    to->ops = real_ops;
    bench_free(b);
}

/* Bodies waiting for a destination that is down do not keep the memory from another. */
static void outage_of_one_destination_leaves_the_other(void **state)
{
    (void)state;
    struct bench_options o = {.from = {.latency_ms = 1, .slots = 64},
                              .to = {.latency_ms = 50, .slots = 16},
                              .memory_bytes = 64 * 1024};
    struct bench *b = bench_new(&o);
    struct fake_options other = {.loop = b->loop, .name = "other", .latency_ms = 10};
    struct fake *second = fake_new(&other);
    fake_bucket(second, "dst");
    bench_copy_many(b, "k", 20, 100000);
    bench_start(b);
    loop_run_for(b->loop, 200);
    uint64_t now_ms = loop_now_ms(b->loop);
    fake_outage(b->to, now_ms, now_ms + BENCH_HOUR_MS);
    loop_run_for(b->loop, 5000);
    struct fake *first = b->to;
    b->to = second;
    fake_put_random(b->from, "src", "x", 4000, 5);
    struct bench_job *x = bench_add(b, "x", COPY_OBJECT);
    bench_start(b);
    loop_run_for(b->loop, 3000);
    assert_true(x->is_done);
    b->to = first;
    loop_run_for(b->loop, BENCH_HOUR_MS);
    LIST_FOR (node, &b->jobs) {
        assert_int_equal(CONTAINER_OF(node, struct bench_job, link)->outcome.end, COPY_DONE);
    }
    sched_forget(b->sched, fake_store(second));
    fake_free(second);
    bench_free(b);
}

/* Half of the memory, at least, is for the other one. */
static void slow_destination_leaves_memory_to_the_other(void **state)
{
    (void)state;
    struct bench_options o = {.from = {.latency_ms = 1, .slots = 64},
                              .to = {.latency_ms = 20000, .slots = 64},
                              .memory_bytes = 64 * 1024};
    struct bench *b = bench_new(&o);
    struct fake_options other = {.loop = b->loop, .name = "other", .latency_ms = 10};
    struct fake *fast = fake_new(&other), *slow = b->to;
    fake_bucket(fast, "dst");
    bench_copy_many(b, "k", 20, 100000);
    bench_start(b);
    b->to = fast;
    struct bench_job *x = bench_copy_told(b, "x", 400000);
    bench_start(b);
    loop_run_for(b->loop, 40000); /* two bodies at a time of the slow one */
    assert_true(x->is_done);
    b->to = slow;
    loop_run_for(b->loop, 24 * BENCH_HOUR_MS);
    assert_int_equal(fake_objects(slow, "dst"), 20);
    sched_forget(b->sched, fake_store(fast));
    fake_free(fast);
    bench_free(b);
}

static void denial_pauses_and_comes_back(void **state)
{
    (void)state;
    struct bench_options o = {.from = {.latency_ms = 5}, .to = {.latency_ms = 30}};
    struct bench *b = bench_new(&o);
    fake_deny(b->to, true);
    bench_copy_many(b, "k", 30, 9000);
    bench_start(b);
    loop_run_for(b->loop, 30 * 60000);
    struct fail f;
    assert_int_equal(sched_endpoint(b->sched, fake_store(b->to), &f), SCHED_DENIED);
    assert_true(fake_count(b->to, STORE_HEAD_BUCKET) < 60);
    fake_deny(b->to, false);
    loop_run_for(b->loop, 2 * 60000);
    bench_run_to(b, COPY_DONE);
    bench_free(b);
}

/* Rights that do not include asking for the bucket: a real operation is the probe. */
static void denial_ends_without_a_good_probe(void **state)
{
    (void)state;
    struct bench_options o = {.from = {.latency_ms = 5}, .to = {.latency_ms = 30}};
    struct bench *b = bench_new(&o);
    fake_fault(b->to, &(struct fake_fault){.kind = STORE_HEAD_BUCKET, .code = REPL_EDENIED});
    fake_deny(b->to, true);
    bench_copy_many(b, "k", 10, 9000);
    bench_start(b);
    loop_run_for(b->loop, 10 * 60000);
    struct fail f;
    assert_int_equal(sched_endpoint(b->sched, fake_store(b->to), &f), SCHED_DENIED);
    fake_deny(b->to, false);
    loop_run_for(b->loop, 5 * 60000);
    assert_int_equal(sched_endpoint(b->sched, fake_store(b->to), &f), SCHED_UP);
    bench_run_to(b, COPY_DONE);
    bench_free(b);
}

/* One object that is denied, among others that are not, pauses nobody. */
static void denied_object_fails_alone(void **state)
{
    (void)state;
    struct bench_options o = {.from = {.latency_ms = 5}, .to = {.latency_ms = 30}};
    struct bench *b = bench_new(&o);
    fake_fault(b->from,
               &(struct fake_fault){.kind = STORE_GET, .key = "k005", .code = REPL_EDENIED});
    bench_copy_many(b, "k", 30, 900);
    assert_true(bench_run(b, 10 * 60000, false));
    LIST_FOR (node, &b->jobs) {
        struct bench_job *j = CONTAINER_OF(node, struct bench_job, link);
        bool denied = strcmp(j->key, "k005") == 0;
        assert_int_equal(j->outcome.end, denied ? COPY_FAILED : COPY_DONE);
        assert_true(!denied || (j->outcome.source_side && j->outcome.fail.code == REPL_EDENIED));
    }
    bench_free(b);
}

static void throttling_lowers_the_concurrency(void **state)
{
    (void)state;
    struct bench_options o = {.from = {.latency_ms = 5},
                              .to = {.latency_ms = 30, .slots = 32, .throttles = true},
                              .copies = 300};
    struct bench *b = bench_new(&o);
    bench_copy_many(b, "k", 300, 9000);
    bench_run_to(b, COPY_DONE);
    struct stat_family *family =
        stat_family(b->stats, STAT_COUNTER, "repl_endpoint_throttled_total", "", NULL);
    const char *labels[] = {"to"};
    unsigned writes = fake_count(b->to, STORE_PUT) + fake_count(b->to, STORE_PART);
    assert_true(stat_value(stat_get(family, labels)) < writes / 4.0);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outage_gives_nothing_up),
        cmocka_unit_test(probes_become_patient),
        cmocka_unit_test(outage_of_one_destination_leaves_the_other),
        cmocka_unit_test(slow_destination_leaves_memory_to_the_other),
        cmocka_unit_test(denial_pauses_and_comes_back),
        cmocka_unit_test(denial_ends_without_a_good_probe),
        cmocka_unit_test(denied_object_fails_alone),
        cmocka_unit_test(throttling_lowers_the_concurrency),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
