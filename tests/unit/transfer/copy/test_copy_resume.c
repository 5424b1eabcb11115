/* One copy at a time: what the next life makes of an upload. */
#include "tests/unit/support/copy_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Whatever life sent them: bytes of accepted parts are recorded with the part. */
static void sent_bytes_outlive_a_crash(void **state)
{
    (void)state;
    for (uint64_t at = 0; at < 400; at += 21) {
        struct bench *b = bench_near_far();
        struct bench_job *j = bench_copy_one(b, "k", 60000);
        fake_fault(b->to, &(struct fake_fault){
                              .kind = STORE_PART, .part = 3, .count = 2, .code = REPL_ESERVER});
        bench_start(b);
        loop_run_for(b->loop, at);
        bench_crash(b);
        bench_run_to(b, COPY_DONE);
        assert_true(j->recorded_bytes + j->outcome.bytes_sent >= 60000);
        assert_int_equal(j->outcome.bytes_sent, 0); /* all were of parts */
        bench_free(b);
    }
}

static void resume_goes_on_at_any_moment(void **state)
{
    (void)state;
    for (uint64_t at = 0; at < 400; at += 7) {
        struct bench *b = bench_near_far();
        bench_copy_one(b, "k", 60000);
        bench_start(b);
        loop_run_for(b->loop, at);
        bench_crash(b);
        bench_run_to(b, COPY_DONE);
        assert_int_equal(fake_uploads(b->to), b->abandoned_count);
        bench_free(b);
    }
}

/* What the server has is not what the journal says: that part is sent again. */
static void resume_sends_a_part_that_differs(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    struct bench_job *j = bench_copy_one(b, "k", 300000);
    bench_start(b);
    loop_run_for(b->loop, 100);
    bench_crash(b);
    assert_true(j->part_count > 2);
    char body[4096] = "not ours";
    fake_part(b->to, j->upload_id, 2, span_of(body, sizeof(body)));
    assert_true(bench_run(b, BENCH_HOUR_MS, false));
    assert_int_equal(b->resent, 1);
    b->resent = 0;
    assert_int_equal(b->abandoned_count, 0);
    bench_check(b);
    bench_free(b);
}

/* Somebody else writes into the upload: Complete is refused, the upload given up. */
static void foreign_part_starts_again(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    struct bench_job *j = bench_copy_one(b, "k", 300000);
    bench_start(b);
    loop_run_for(b->loop, 100);
    assert_true(j->part_count > 2);
    fake_part(b->to, j->upload_id, 2, span_str("not ours"));
    bench_run_to(b, COPY_DONE);
    assert_int_equal(b->abandoned_count, 1);
    bench_free(b);
}

static void resume_of_a_changed_source_starts_clean(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    bench_copy_one(b, "k", 300000);
    bench_start(b);
    loop_run_for(b->loop, 100);
    bench_crash(b);
    fake_put_random(b->from, "src", "k", 300000, 77);
    bench_run_to(b, COPY_DONE);
    assert_int_equal(b->abandoned_count, 1);
    bench_free(b);
}

static void intention_aborts_only_what_can_be_ours(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    struct bench_job *j = bench_copy_one(b, "k", 30000);
    fake_create(b->to, "dst", span_str("k"));
    fake_create(b->to, "dst", span_str("k2"));
    j->intended = true;
    j->intended_ms = j->intended_last_ms = loop_wall_ms(b->loop);
    assert_true(bench_run(b, BENCH_HOUR_MS, false));
    assert_int_equal(j->outcome.end, COPY_DONE);
    assert_int_equal(fake_uploads(b->to), 1); /* of k2 */
    bench_free(b);
}

/* Nobody was there for an hour. What was begun soon after the last Create may be ours, what another
 * program has begun just now is not. */
static void upload_begun_long_after_the_intention_stays(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    struct bench_job *j = bench_copy_one(b, "k", 30000);
    j->intended = true;
    j->intended_ms = loop_wall_ms(b->loop);
    loop_run_for(b->loop, BENCH_HOUR_MS);
    fake_create(b->to, "dst", span_str("k"));
    j->intended_last_ms = loop_wall_ms(b->loop); /* there was a second one */
    loop_run_for(b->loop, 60000);
    fake_create(b->to, "dst", span_str("k"));
    loop_run_for(b->loop, BENCH_HOUR_MS);
    struct span theirs = fake_create(b->to, "dst", span_str("k"));
    assert_true(bench_run(b, BENCH_HOUR_MS, false));
    assert_int_equal(j->outcome.end, COPY_DONE);
    assert_int_equal(fake_count(b->to, STORE_ABORT), 2);
    assert_int_equal(fake_uploads(b->to), 1);
    fake_part(b->to, theirs, 1, span_str("theirs"));
    bench_free(b);
}

/* An hour passes between the intention and its Create, whose answer is lost then. It is found by
 * this life or, when that ends there, by the next. */
static void create_that_left_late_is_found(void **state)
{
    (void)state;
    for (int lives = 1; lives <= 2; lives++) {
        struct bench *b = bench_near_far();
        struct bench_job *j = bench_copy_one(b, "k", 30000);
        fake_fault(b->to, &(struct fake_fault){.kind = STORE_CREATE, .count = 1, .lost = true});
        fake_set_slots(b->to, 0);
        bench_start(b);
        loop_run_for(b->loop, BENCH_HOUR_MS);
        assert_true(j->intended);
        assert_int_equal(fake_count(b->to, STORE_CREATE), 0);
        fake_set_slots(b->to, 8);
        for (int i = 0; fake_uploads(b->to) == 0; i++) {
            assert_true(i < 10000);
            loop_run_for(b->loop, 1);
        }
        if (lives == 2) {
            bench_crash(b);
        }
        assert_true(bench_run(b, BENCH_HOUR_MS, false));
        assert_int_equal(j->outcome.end, COPY_DONE);
        assert_int_equal(fake_count(b->to, STORE_ABORT), 1);
        assert_int_equal(fake_uploads(b->to), 0);
        bench_free(b);
    }
}

/* Where a slot always takes longer than an intention lives, it would never leave. */
static void create_is_put_off_once(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    struct bench_job *j = bench_copy_one(b, "k", 30000);
    fake_set_slots(b->to, 0);
    bench_start(b);
    loop_run_for(b->loop, BENCH_HOUR_MS);
    int64_t first = j->intended_last_ms;
    fake_set_slots(b->to, 8);
    for (int i = 0; i < 120000 && !timer_is_running(&j->commit); i++) {
        loop_run_for(b->loop, 1);
    }
    assert_true(timer_is_running(&j->commit)); /* it is being intended anew */
    fake_set_slots(b->to, 0);
    loop_run_for(b->loop, BENCH_HOUR_MS);
    int64_t second = j->intended_last_ms;
    assert_true(second > first);
    assert_int_equal(fake_count(b->to, STORE_CREATE), 0);
    fake_set_slots(b->to, 8);
    assert_true(bench_run(b, BENCH_HOUR_MS, false));
    assert_int_equal(j->intended_last_ms, second);
    assert_int_equal(j->outcome.end, COPY_DONE);
    assert_int_equal(fake_count(b->to, STORE_CREATE), 1);
    bench_free(b);
}

/* Its parts no longer fit into memory, and none is needed: Complete may be at work. */
static void completing_is_asked_for_whatever_the_budget(void **state)
{
    (void)state;
    struct bench_options o = {
        .to = {.latency_ms = 20}, .part_max = 65536, .memory_bytes = 1 << 20, .commit_ms = 2};
    struct bench *b = bench_new(&o);
    struct bench_job *j = bench_copy_one(b, "k", 400000);
    fake_fault(b->to, &(struct fake_fault){.kind = STORE_COMPLETE, .count = 1, .in_vain = true});
    bench_start(b);
    while (!j->completing) {
        loop_run_for(b->loop, 1);
    }
    b->o.memory_bytes = 3 * 65536;
    bench_crash(b);
    bench_run_to(b, COPY_DONE);
    assert_int_equal(b->abandoned_count, 0);
    assert_int_equal(fake_count(b->to, STORE_CREATE), 1);
    bench_free(b);
}

static void stop_lets_parts_in_flight_end(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    struct bench_job *j = bench_copy_one(b, "k", 300000);
    bench_start(b);
    loop_run_for(b->loop, 90);
    unsigned in_flight = fake_in_flight(b->to);
    size_t before = j->part_count;
    assert_true(in_flight > 0);
    bench_restart(b, 5000);
    assert_true(j->part_count >= before + in_flight);
    bench_run_to(b, COPY_DONE);
    assert_int_equal(fake_body_bytes(b->to), 300000);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sent_bytes_outlive_a_crash),
        cmocka_unit_test(resume_goes_on_at_any_moment),
        cmocka_unit_test(resume_sends_a_part_that_differs),
        cmocka_unit_test(foreign_part_starts_again),
        cmocka_unit_test(resume_of_a_changed_source_starts_clean),
        cmocka_unit_test(intention_aborts_only_what_can_be_ours),
        cmocka_unit_test(upload_begun_long_after_the_intention_stays),
        cmocka_unit_test(create_that_left_late_is_found),
        cmocka_unit_test(create_is_put_off_once),
        cmocka_unit_test(completing_is_asked_for_whatever_the_budget),
        cmocka_unit_test(stop_lets_parts_in_flight_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
