/* One copy at a time: deletes, and the evidence that they need. */
#include "tests/unit/support/copy_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void delete_needs_evidence(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    fake_put_random(b->to, "dst", "gone", 10, 1);
    fake_put_random(b->to, "dst", "kept", 10, 1);
    fake_put_random(b->from, "src", "kept", 10, 1);
    struct bench_job *gone = bench_add(b, "gone", COPY_DELETE);
    struct bench_job *kept = bench_add(b, "kept", COPY_DELETE);
    struct bench_job *never = bench_add(b, "never", COPY_DELETE);
    assert_true(bench_run(b, BENCH_HOUR_MS, false));
    assert_int_equal(gone->outcome.end, COPY_DELETED);
    assert_int_equal(kept->outcome.end, COPY_SKIPPED);
    assert_int_equal(never->outcome.end, COPY_DELETED);
    assert_int_equal(fake_objects(b->to, "dst"), 1);
    bench_free(b);
}

/* HEAD says 404 for a missing bucket as for a missing key. */
static void missing_source_bucket_deletes_nothing(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    fake_put_random(b->to, "dst", "a", 10, 1);
    fake_drop_bucket(b->from, "src");
    bench_add(b, "a", COPY_DELETE);
    bench_run_to(b, COPY_FAILED);
    assert_int_equal(fake_objects(b->to, "dst"), 1);
    bench_free(b);
}

static void denied_source_deletes_nothing(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    fake_put_random(b->to, "dst", "a", 10, 1);
    fake_deny(b->from, true);
    bench_add(b, "a", COPY_DELETE);
    assert_false(bench_run(b, 10 * 60000, false));
    assert_int_equal(fake_objects(b->to, "dst"), 1);
    struct fail f;
    assert_int_equal(sched_endpoint(b->sched, fake_store(b->from), &f), SCHED_DENIED);
    assert_int_equal(f.code, REPL_EDENIED);
    fake_deny(b->from, false);
    bench_run_to(b, COPY_DELETED);
    bench_free(b);
}

struct returner {
    struct fake *from;
    enum store_op_kind at; /* the key is there again when the destination gets this */
};

static void put_again(void *arg, struct fake *f, const struct store_op *op)
{
    struct returner *r = arg;
    (void)f;
    if (op->kind == r->at) {
        fake_put_random(r->from, "src", "a", 10, 1);
    }
}

/* The key is there again when the delete, which has failed once, goes out again. */
static void evidence_does_not_outlive_a_failure(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    struct returner r = {.from = b->from, .at = STORE_DELETE};
    fake_put_random(b->to, "dst", "a", 10, 1);
    fake_fault(b->to, &(struct fake_fault){.kind = STORE_DELETE, .count = 1, .in_vain = true});
    fake_hook(b->to, put_again, &r);
    bench_add(b, "a", COPY_DELETE);
    bench_run_to(b, COPY_SKIPPED);
    assert_int_equal(fake_objects(b->to, "dst"), 1);
    bench_free(b);
}

/* It waits in an outage of the destination, the probe that ends it brings the key back. */
static void evidence_does_not_outlive_an_outage(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    struct returner r = {.from = b->from, .at = STORE_HEAD_BUCKET};
    uint64_t now_ms = loop_now_ms(b->loop);
    fake_put_random(b->to, "dst", "a", 10, 1);
    fake_put_random(b->to, "dst", "b", 10, 1);
    fake_outage(b->to, now_ms, now_ms + 1500);
    fake_hook(b->to, put_again, &r);
    struct bench_job *a = bench_add(b, "a", COPY_DELETE);
    struct bench_job *other = bench_add(b, "b", COPY_DELETE);
    assert_true(bench_run(b, BENCH_HOUR_MS, false));
    assert_int_equal(a->outcome.end, COPY_SKIPPED);
    assert_int_equal(other->outcome.end, COPY_DELETED);
    assert_int_equal(fake_objects(b->to, "dst"), 1);
    bench_free(b);
}

/* Nor a long wait for a slot. */
static void evidence_does_not_outlive_a_wait(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    fake_put_random(b->to, "dst", "a", 10, 1);
    fake_set_slots(b->to, 0);
    bench_add(b, "a", COPY_DELETE);
    bench_start(b);
    loop_run_for(b->loop, 60000);
    fake_put_random(b->from, "src", "a", 10, 1);
    fake_set_slots(b->to, 4);
    bench_run_to(b, COPY_SKIPPED);
    assert_int_equal(fake_objects(b->to, "dst"), 1);
    bench_free(b);
}

/* The object of an upload in work is deleted: the upload must not outlive it. */
static void delete_ends_what_a_copy_began(void **state)
{
    (void)state;
    for (uint64_t at = 0; at < 420; at += 7) {
        struct bench *b = bench_near_far();
        struct bench_job *j = bench_copy_one(b, "k", 60000);
        bench_start(b);
        loop_run_for(b->loop, at);
        fake_remove(b->from, "src", span_str("k"));
        j->kind = COPY_DELETE;
        j->is_done = false;
        bench_crash(b);
        bench_run_to(b, COPY_DELETED);
        assert_int_equal(fake_objects(b->to, "dst"), 0);
        bench_free(b);
    }
}

/* Complete was sent and never received: the upload is gone when the delete has ended, but is not
 * aborted before a Complete at work had its time. */
static void delete_outlasts_a_complete(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    struct bench_job *j = bench_copy_one(b, "k", 60000);
    fake_fault(b->to, &(struct fake_fault){.kind = STORE_COMPLETE, .in_vain = true});
    bench_start(b);
    while (!j->completing) {
        loop_run_for(b->loop, 1);
    }
    fake_remove(b->from, "src", span_str("k"));
    j->kind = COPY_DELETE;
    bench_crash(b);
    assert_int_equal(fake_uploads(b->to), 1);
    uint64_t begun_ms = loop_now_ms(b->loop);
    bench_run_to(b, COPY_DELETED);
    assert_int_equal(fake_uploads(b->to), 0);
    assert_int_equal(fake_objects(b->to, "dst"), 0);
    assert_true(loop_now_ms(b->loop) - begun_ms >= 20000);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delete_needs_evidence),
        cmocka_unit_test(missing_source_bucket_deletes_nothing),
        cmocka_unit_test(denied_source_deletes_nothing),
        cmocka_unit_test(evidence_does_not_outlive_a_failure),
        cmocka_unit_test(evidence_does_not_outlive_an_outage),
        cmocka_unit_test(evidence_does_not_outlive_a_wait),
        cmocka_unit_test(delete_ends_what_a_copy_began),
        cmocka_unit_test(delete_outlasts_a_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
