/* One copy at a time: what is asked for or sent again when an answer does not come. */
#include "tests/unit/support/copy_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* ---- where repeats go ---- */

struct witness {
    uint64_t avoided[8];
    size_t count;
};

static void see_avoided(void *arg, struct fake *f, const struct store_op *op)
{
    struct witness *w = arg;
    (void)f;
    assert_true(w->count < 8);
    w->avoided[w->count++] = op->avoid;
}

static void repeats_avoid_the_address_that_failed(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    struct witness from = {.count = 0};
    struct witness to = {.count = 0};
    fake_fault(b->from, &(struct fake_fault){.kind = STORE_GET, .count = 2, .code = REPL_ENET});
    fake_fault(b->to, &(struct fake_fault){
                          .kind = STORE_PUT, .count = 1, .code = REPL_ESERVER, .http_status = 500});
    fake_hook(b->from, see_avoided, &from);
    fake_hook(b->to, see_avoided, &to);
    bench_copy_one(b, "k", 1000);
    bench_run_to(b, COPY_DONE);
    assert_int_equal(from.count, 3);
    assert_int_equal(from.avoided[0], 0);
    assert_int_equal(from.avoided[1], FAKE_ADDRESS);
    assert_int_equal(from.avoided[2], FAKE_ADDRESS);
    for (size_t i = 0; i < to.count; i++) { /* an answer is no failure of an address */
        assert_int_equal(to.avoided[i], 0);
    }
    bench_free(b);
}

/* ---- lost answers ---- */

struct repeats {
    struct loop *loop;
    int kind;
    uint64_t at_ms[4]; /* they reached the server, or were lost */
    size_t count;
};

static void see_repeats(void *arg, struct fake *f, const struct store_op *op)
{
    struct repeats *r = arg;
    (void)f;
    if ((int)op->kind == r->kind && op->part_number <= 1) {
        assert_true(r->count < 4);
        r->at_ms[r->count++] = loop_now_ms(r->loop);
    }
}

/* The bytes of the first one may arrive still: it is not sent again before two round trips. */
static void write_without_an_answer_settles_first(void **state)
{
    (void)state;
    static const int kinds[] = {STORE_PUT, STORE_PART, STORE_CREATE, STORE_DELETE};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct bench_options o = {.from = {.latency_ms = 1}, .to = {.latency_ms = 300}};
        struct bench *b = bench_new(&o);
        struct repeats seen = {.loop = b->loop, .kind = kinds[i]};
        bool deletes = kinds[i] == STORE_DELETE;
        fake_fault(b->to, &(struct fake_fault){.kind = kinds[i], .count = 1, .in_vain = true});
        fake_hook(b->to, see_repeats, &seen);
        bench_copy_one(b, "k", kinds[i] == STORE_PUT ? 1000 : 4096 * 3)->kind =
            deletes ? COPY_DELETE : COPY_OBJECT;
        if (deletes) {
            fake_remove(b->from, "src", span_str("k"));
        }
        bench_run_to(b, deletes ? COPY_DELETED : COPY_DONE);
        assert_int_equal(seen.count, 2);
        assert_true(seen.at_ms[1] - seen.at_ms[0] >= 600 + 300);
        bench_free(b);
    }
}

static void lost_answer(int kind, bool marker, size_t size, bool lost)
{
    struct bench_options o = {
        .from = {.latency_ms = 5}, .to = {.latency_ms = 20}, .commit_ms = 2, .no_marker = !marker};
    struct bench *b = bench_new(&o);
    fake_fault(b->to, &(struct fake_fault){.kind = kind,
                                           .count = 1,
                                           .lost = lost,
                                           .code = lost ? REPL_ENET : REPL_ESERVER});
    bench_copy_one(b, "k", size);
    bench_run_to(b, COPY_DONE);
    assert_int_equal(fake_uploads(b->to), 0);
    if (lost && kind == STORE_PUT) {
        assert_int_equal(fake_count(b->to, STORE_PUT), 1);
    }
    if (lost && kind == STORE_COMPLETE) {
        assert_int_equal(fake_count(b->to, STORE_COMPLETE), 1);
        assert_int_equal(fake_count(b->to, STORE_GET), 1); /* the last byte */
    }
    bench_free(b);
}

static void lost_answers_are_asked_for(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        bool marker = i & 1, lost = i & 2;
        lost_answer(STORE_PUT, marker, 1000, lost);
        lost_answer(STORE_CREATE, marker, 30000, lost);
        lost_answer(STORE_PART, marker, 30000, lost);
        lost_answer(STORE_COMPLETE, marker, 30000, lost);
        lost_answer(STORE_HEAD, marker, 30000, lost);
    }
}

/* The same version is there from before: it does not prove that this Complete happened. */
static void older_copy_is_no_proof(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    struct bench_job *j = bench_copy_one(b, "k", 30000);
    bench_run_to(b, COPY_DONE);
    fake_fault(b->to,
               &(struct fake_fault){.kind = STORE_COMPLETE, .count = 1, .code = REPL_ESERVER});
    j->is_done = false;
    bench_run_to(b, COPY_DONE);
    assert_int_equal(j->runs, 2);
    assert_int_equal(fake_uploads(b->to), 0);
    bench_free(b);
}

/* What is there carries a marker of ours and has the right size, but is an older version. */
static void older_version_is_not_taken_for_the_new_one(void **state)
{
    (void)state;
    for (size_t size = 1000; size < 40000; size += 38000) {
        struct bench *b = bench_near_far();
        struct bench_job *j = bench_copy_one(b, "k", size);
        bench_run_to(b, COPY_DONE);
        fake_put_random(b->from, "src", "k", size, 4711);
        fake_fault(b->to, &(struct fake_fault){.kind = STORE_PUT, .count = 1, .in_vain = true});
        fake_fault(b->to,
                   &(struct fake_fault){.kind = STORE_COMPLETE, .count = 1, .in_vain = true});
        j->is_done = false;
        bench_run_to(b, COPY_DONE);
        assert_int_equal(fake_uploads(b->to), 0);
        bench_free(b);
    }
}

/* Create never gets an answer: whatever it made is found in the next life. */
static void intention_outlives_a_failed_create(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    fake_fault(b->to,
               &(struct fake_fault){.kind = STORE_CREATE, .lost = true, .code = REPL_ESERVER});
    struct bench_job *j = bench_copy_one(b, "k", 30000);
    assert_true(bench_run(b, BENCH_HOUR_MS, false));
    assert_int_equal(j->outcome.end, COPY_FAILED);
    assert_true(j->intended);
    assert_int_equal(fake_uploads(b->to), 1);
    fake_clear_faults(b->to);
    bench_run_to(b, COPY_DONE);
    assert_int_equal(fake_uploads(b->to), 0);
    bench_free(b);
}

/* A server that lists neither uploads nor parts is worked with all the same. */
static void mute_server_is_no_obstacle(void **state)
{
    (void)state;
    for (uint64_t at = 0; at < 400; at += 21) {
        struct bench *b = bench_near_far();
        fake_fault(b->to,
                   &(struct fake_fault){.kind = STORE_LIST_PARTS, .code = REPL_EUNSUPPORTED});
        fake_fault(b->to,
                   &(struct fake_fault){.kind = STORE_LIST_UPLOADS, .code = REPL_EUNSUPPORTED});
        struct bench_job *j = bench_copy_one(b, "k", 60000);
        bench_start(b);
        loop_run_for(b->loop, at);
        bench_crash(b);
        assert_true(bench_run(b, BENCH_HOUR_MS, false));
        assert_int_equal(j->outcome.end, COPY_DONE);
        bench_free(b);
    }
}

static void vanished_upload_starts_again(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    fake_fault(b->to, &(struct fake_fault){
                          .kind = STORE_PART, .skip = 3, .count = 1, .code = REPL_ENOUPLOAD});
    struct bench_job *j = bench_copy_one(b, "k", 30000);
    assert_true(bench_run(b, BENCH_HOUR_MS, false));
    assert_int_equal(j->outcome.end, COPY_DONE);
    assert_int_equal(fake_count(b->to, STORE_CREATE), 2);
    bench_free(b);
}

static void short_body_is_read_again(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    fake_fault(b->from, &(struct fake_fault){.kind = STORE_GET, .count = 3, .shorten = true});
    bench_copy_one(b, "s", 100);
    bench_copy_one(b, "l", 30000);
    bench_run_to(b, COPY_DONE);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(repeats_avoid_the_address_that_failed),
        cmocka_unit_test(write_without_an_answer_settles_first),
        cmocka_unit_test(lost_answers_are_asked_for),
        cmocka_unit_test(older_copy_is_no_proof),
        cmocka_unit_test(older_version_is_not_taken_for_the_new_one),
        cmocka_unit_test(intention_outlives_a_failed_create),
        cmocka_unit_test(mute_server_is_no_obstacle),
        cmocka_unit_test(vanished_upload_starts_again),
        cmocka_unit_test(short_body_is_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
