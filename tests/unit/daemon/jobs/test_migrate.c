/* One bucket once: everything arrives, what is equal is passed over, a stopped job goes on,
 * failures and silent endpoints are named, a dry run touches nothing. */
#include "daemon/jobs/migrate.h"
#include "tests/unit/support/engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define OBJECTS 1500

struct job {
    struct migrate *m;
    int ended; /* 1 = not yet */
    struct fail fail;
    struct migrate_progress progress;
};

static int set_up(void **state)
{
    struct engine_bench *b = mem_alloc(sizeof(*b));
    engine_bench_init(b, 11, 5);
    for (int i = 0; i < OBJECTS; i++) {
        char key[32];
        snprintf(key, sizeof(key), "data/%05d", i);
        fake_put_random(b->near, "src", key, i % 100 == 0 ? 60000 : 100, (uint64_t)i);
    }
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    engine_bench_done(*state);
    mem_free(*state);
    return 0;
}

static void ended(void *arg, int status, const struct fail *f)
{
    struct job *j = arg;
    j->ended = status;
    j->fail = *f;
}

static void start(struct engine_bench *b, struct job *j, bool dry_run)
{
    struct rule rule = engine_bench_rule("migrate");
    struct fail f = {0};
    rule.source.prefix = "data/";
    rule.destination.prefix = "copy/";
    b->stats = stat_set_new();
    j->ended = 1;
    struct migrate_options options = {.loop = b->loop,
                                      .stats = b->stats,
                                      .conf = &b->conf,
                                      .rule = &rule,
                                      .dry_run = dry_run,
                                      .make_store = engine_bench_store,
                                      .make_store_arg = b};
    assert_int_equal(migrate_start(&options, ended, j, &j->m, &f), 0);
}

static int end(struct engine_bench *b, struct job *j)
{
    engine_bench_wait(b, &j->ended);
    migrate_progress(j->m, &j->progress);
    migrate_free(j->m);
    stat_set_free(b->stats);
    b->stats = NULL;
    return j->ended;
}

static void check_copied(struct engine_bench *b)
{
    assert_int_equal(fake_objects(b->far, "dst"), OBJECTS);
    assert_int_equal(fake_uploads(b->far), 0);
    for (int i = 0; i < OBJECTS; i++) {
        char from[32], to[32];
        struct fake_object x, y;
        snprintf(from, sizeof(from), "data/%05d", i);
        snprintf(to, sizeof(to), "copy/%05d", i);
        assert_true(fake_get(b->near, "src", span_str(from), &x));
        assert_true(fake_get(b->far, "dst", span_str(to), &y));
        assert_true(span_eq(x.body, y.body));
    }
}

static void test_copies_everything(void **state)
{
    struct engine_bench *b = *state;
    struct job j;
    start(b, &j, false);
    assert_int_equal(end(b, &j), 0);
    check_copied(b);
    assert_int_equal(j.progress.listed, OBJECTS);
    assert_int_equal(j.progress.copied, OBJECTS);
    assert_int_equal(j.progress.pending, 0);
    assert_int_equal(j.progress.failed, 0);
}

static void test_second_run_copies_only_what_changed(void **state)
{
    struct engine_bench *b = *state;
    struct job j;
    start(b, &j, false);
    assert_int_equal(end(b, &j), 0);
    unsigned before = fake_count(b->far, STORE_PUT);
    loop_run_for(b->loop, 10000);
    fake_put_random(b->near, "src", "data/00007", 100, 4711);
    start(b, &j, false);
    assert_int_equal(end(b, &j), 0);
    assert_int_equal(fake_count(b->far, STORE_PUT), before + 1);
    assert_int_equal(j.progress.listed, OBJECTS);
    assert_int_equal(j.progress.copied, 1); /* the first job had ended */
    assert_int_equal(j.progress.skipped, OBJECTS - 1);
    assert_int_equal(j.progress.earlier, 0);
    check_copied(b);
}

static void test_equal_objects_are_passed_over(void **state)
{
    struct engine_bench *b = *state;
    struct job j;
    for (int i = 0; i < OBJECTS; i += 2) {
        char key[32];
        snprintf(key, sizeof(key), "copy/%05d", i);
        fake_put_random(b->far, "dst", key, i % 100 == 0 ? 60000 : 100, (uint64_t)i);
    }
    start(b, &j, false);
    assert_int_equal(end(b, &j), 0);
    check_copied(b);
    assert_int_equal(j.progress.skipped, OBJECTS / 2);
    assert_int_equal(j.progress.copied, OBJECTS / 2);
}

static void test_stopped_job_goes_on(void **state)
{
    struct engine_bench *b = *state;
    struct job j;
    start(b, &j, false);
    loop_run_for(b->loop, 700);
    migrate_stop(j.m);
    assert_int_equal(end(b, &j), REPL_ECANCELED);
    size_t first = fake_objects(b->far, "dst");
    assert_in_range(first, 1, OBJECTS - 1);
    start(b, &j, false);
    assert_int_equal(end(b, &j), 0);
    check_copied(b);
    assert_int_equal(j.progress.copied, OBJECTS); /* of the whole job */
    assert_int_equal(j.progress.skipped, 0);
    assert_in_range(j.progress.earlier, first, OBJECTS - 1);
    assert_in_range(j.progress.run_bytes, 1, j.progress.sent_bytes - 1);
    assert_in_range(fake_count(b->far, STORE_PUT), OBJECTS - 15, OBJECTS + 40);
}

static void test_dry_run_touches_nothing(void **state)
{
    struct engine_bench *b = *state;
    struct job j;
    start(b, &j, true);
    assert_int_equal(end(b, &j), 0);
    assert_int_equal(fake_objects(b->far, "dst"), 0);
    assert_int_equal(j.progress.listed, OBJECTS);
    assert_int_equal(j.progress.pending, OBJECTS);
}

static void test_failed_object_is_named(void **state)
{
    struct engine_bench *b = *state;
    struct job j;
    fake_fault(b->far, &(struct fake_fault){.kind = STORE_PUT,
                                            .key = "copy/00042",
                                            .code = REPL_EREFUSED,
                                            .http_status = 400});
    start(b, &j, false);
    assert_int_equal(end(b, &j), REPL_EREFUSED);
    assert_int_equal(j.progress.failed, 1);
    assert_non_null(strstr(j.fail.text, "data/00042"));
    assert_non_null(strstr(j.progress.failure, fail_text(REPL_EREFUSED)));
    assert_int_equal(fake_objects(b->far, "dst"), OBJECTS - 1);
    fake_clear_faults(b->far);
    start(b, &j, false);
    assert_int_equal(end(b, &j), 0);
    check_copied(b);
    assert_int_equal(j.progress.copied, 1); /* the run before came to its end */
    assert_int_equal(j.progress.skipped, OBJECTS - 1);
}

static void test_silent_endpoint_ends_it(void **state)
{
    struct engine_bench *b = *state;
    struct job j;
    start(b, &j, false);
    loop_run_for(b->loop, 400);
    uint64_t now = loop_now_ms(b->loop);
    fake_outage(b->far, now, now + 36000000);
    assert_int_equal(end(b, &j), REPL_EUNREACHABLE);
}

#define MIGRATE_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MIGRATE_TEST(test_copies_everything),
        MIGRATE_TEST(test_second_run_copies_only_what_changed),
        MIGRATE_TEST(test_equal_objects_are_passed_over),
        MIGRATE_TEST(test_stopped_job_goes_on),
        MIGRATE_TEST(test_dry_run_touches_nothing),
        MIGRATE_TEST(test_failed_object_is_named),
        MIGRATE_TEST(test_silent_endpoint_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
