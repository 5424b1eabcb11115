/* Many copies: what is fresh, late or backfill has its share, and priorities. */
#include "tests/unit/support/copy_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* One read at a time, a hundred a second. */
static struct bench *narrow_bench(void)
{
    struct bench_options o = {.from = {.latency_ms = 10, .slots = 1},
                              .to = {.latency_ms = 1, .slots = 4},
                              .copies = 1000};
    return bench_new(&o);
}

static void classes_have_their_shares(void **state)
{
    (void)state;
    struct bench *b = narrow_bench();
    bench_copy_class(b, "backfill", 200, COPY_BACKFILL);
    bench_copy_class(b, "late", 200, COPY_LATE);
    bench_copy_class(b, "fresh", 200, COPY_FRESH);
    bench_start(b);
    loop_run_for(b->loop, 2020);
    assert_in_range(bench_count_done(b, "fresh"), 117, 123);
    assert_in_range(bench_count_done(b, "late"), 47, 53);
    assert_in_range(bench_count_done(b, "backfill"), 27, 33);
    bench_run_to(b, COPY_DONE);
    bench_free(b);
}

/* Without fresh work the others have all of it, in the same proportion; and who was idle has not
 * saved anything up. */
static void idle_share_goes_to_the_others(void **state)
{
    (void)state;
    struct bench *b = narrow_bench();
    bench_copy_class(b, "backfill", 300, COPY_BACKFILL);
    bench_copy_class(b, "late", 300, COPY_LATE);
    bench_start(b);
    loop_run_for(b->loop, 1620);
    assert_in_range(bench_count_done(b, "late"), 97, 103);
    assert_in_range(bench_count_done(b, "backfill"), 57, 63);
    unsigned before = bench_count_done(b, "");
    bench_copy_class(b, "fresh", 200, COPY_FRESH);
    bench_start(b);
    loop_run_for(b->loop, 1000);
    assert_in_range(bench_count_done(b, "fresh"), 57, 63);
    assert_in_range(bench_count_done(b, "") - before, 98, 102);
    bench_run_to(b, COPY_DONE);
    bench_free(b);
}

static void late_goes_by_turns_from_both_ends(void **state)
{
    (void)state;
    struct bench *b = narrow_bench();
    bench_copy_class(b, "late", 100, COPY_LATE);
    bench_start(b);
    loop_run_for(b->loop, 425);
    assert_in_range(bench_count_done(b, ""), 39, 42);
    unsigned oldest = bench_count_done(b, "late00") + bench_count_done(b, "late01");
    unsigned newest = bench_count_done(b, "late08") + bench_count_done(b, "late09");
    assert_in_range(oldest, 19, 20);
    assert_in_range(newest, 19, 20);
    assert_int_equal(bench_count_done(b, "late05"), 0);
    bench_run_to(b, COPY_DONE);
    bench_free(b);
}

static void waiting_work_turns_late(void **state)
{
    (void)state;
    struct bench *b = narrow_bench();
    bench_copy_class(b, "fresh", 400, COPY_FRESH);
    bench_copy_class(b, "soon", 400, COPY_FRESH);
    LIST_FOR (node, &b->jobs) {
        struct bench_job *j = CONTAINER_OF(node, struct bench_job, link);
        if (j->key[0] == 's') {
            j->deadline_ms = loop_wall_ms(b->loop) + 1000;
        }
    }
    bench_start(b);
    loop_run_for(b->loop, 1000);
    assert_in_range(bench_count_done(b, "soon"), 96, 101); /* the earliest deadline goes first */
    unsigned before = bench_count_done(b, "soon");
    loop_run_for(b->loop, 1000);
    assert_in_range(bench_count_done(b, "soon") - before, 27, 33); /* 25 of 85 */
    bench_run_to(b, COPY_DONE);
    bench_free(b);
}

/* A higher priority goes first, but not for ever before one that has waited longer. */
static void priority_goes_first_and_starves_nobody(void **state)
{
    (void)state;
    struct bench *b = narrow_bench();
    bench_copy_class(b, "low", 50, COPY_FRESH);
    bench_copy_class(b, "old", 10, COPY_FRESH);
    bench_copy_class(b, "high", 50, COPY_FRESH);
    LIST_FOR (node, &b->jobs) {
        struct bench_job *j = CONTAINER_OF(node, struct bench_job, link);
        j->priority = j->key[0] == 'h' ? 60 : 50;
        j->deadline_ms -= j->key[0] == 'o' ? 10 * SCHED_PRIORITY_MS + 1000 : 0;
    }
    bench_start(b);
    loop_run_for(b->loop, 120);
    assert_int_equal(bench_count_done(b, "old"), 10);
    loop_run_for(b->loop, 495);
    assert_in_range(bench_count_done(b, "high"), 49, 50);
    assert_in_range(bench_count_done(b, "low"), 0, 1);
    bench_run_to(b, COPY_DONE);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_have_their_shares),
        cmocka_unit_test(idle_share_goes_to_the_others),
        cmocka_unit_test(late_goes_by_turns_from_both_ends),
        cmocka_unit_test(waiting_work_turns_late),
        cmocka_unit_test(priority_goes_first_and_starves_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
