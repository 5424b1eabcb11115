/* Many copies: order, fairness, memory, outages, throttling. */
#include "tests/unit/support/copy_bench.h"

#include "daemon/base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define HOUR 3600000

static struct bench_job *copy_one(struct bench *b, const char *key, size_t size)
{
    fake_put_random(b->from, "src", key, size, size + 1);
    struct bench_job *j = bench_add(b, key, COPY_OBJECT);
    j->size_hint = (int64_t)size;
    return j;
}

static void copy_many(struct bench *b, const char *prefix, unsigned count, size_t size)
{
    for (unsigned i = 0; i < count; i++) {
        char key[32];
        snprintf(key, sizeof(key), "%s%03u", prefix, i);
        copy_one(b, key, size);
    }
}

static void run(struct bench *b)
{
    assert_true(bench_run(b, HOUR, false));
    LIST_FOR (node, &b->jobs) {
        struct bench_job *j = CONTAINER_OF(node, struct bench_job, link);
        assert_int_equal(j->outcome.end, COPY_DONE);
    }
    bench_check(b);
}

static void small_objects_pass_a_large_one(void **state)
{
    (void)state;
    struct bench_options o = {.from = {.latency_ms = 5}, .to = {.latency_ms = 50, .slots = 4}};
    struct bench *b = bench_new(&o);
    struct bench_job *big = copy_one(b, "big", 400000);
    bench_start(b);
    loop_run_for(b->loop, 200);
    copy_many(b, "s", 20, 100);
    run(b);
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
        copy_one(b, key, 10)->deadline_ms -= i;
    }
    run(b);
    uint64_t last = 0;
    for (struct list *node = b->jobs.prev; node != &b->jobs; node = node->prev) {
        struct bench_job *j = CONTAINER_OF(node, struct bench_job, link);
        assert_true(j->done_at_ms > last);
        last = j->done_at_ms;
    }
    bench_free(b);
}

/* ---- classes ---- */

static void copy_class(struct bench *b, const char *prefix, unsigned count, enum copy_class class)
{
    for (unsigned i = 0; i < count; i++) {
        char key[32];
        snprintf(key, sizeof(key), "%s%03u", prefix, i);
        struct bench_job *j = copy_one(b, key, 10);
        j->backfill = class == COPY_BACKFILL;
        if (class == COPY_LATE) {
            j->deadline_ms = loop_wall_ms(b->loop) - 100000 + i;
        }
    }
}

static unsigned count_done(struct bench *b, const char *prefix)
{
    unsigned n = 0;
    LIST_FOR (node, &b->jobs) {
        struct bench_job *j = CONTAINER_OF(node, struct bench_job, link);
        n += j->is_done && strncmp(j->key, prefix, strlen(prefix)) == 0;
    }
    return n;
}

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
    copy_class(b, "backfill", 200, COPY_BACKFILL);
    copy_class(b, "late", 200, COPY_LATE);
    copy_class(b, "fresh", 200, COPY_FRESH);
    bench_start(b);
    loop_run_for(b->loop, 2020);
    assert_in_range(count_done(b, "fresh"), 117, 123);
    assert_in_range(count_done(b, "late"), 47, 53);
    assert_in_range(count_done(b, "backfill"), 27, 33);
    run(b);
    bench_free(b);
}

/* Where a part takes a minute nobody else asks how many slots there are. */
static void a_slot_more_is_used_at_once(void **state)
{
    (void)state;
    struct bench_options o = {
        .from = {.latency_ms = 1}, .to = {.latency_ms = 60000, .slots = 2}, .copies = 100};
    struct bench *b = bench_new(&o);
    copy_class(b, "o", 8, COPY_FRESH);
    bench_start(b);
    loop_run_for(b->loop, 1000);
    fake_set_slots(b->to, 8);
    store_has_more(fake_store(b->to));
    loop_run_for(b->loop, 61000);
    assert_int_equal(count_done(b, ""), 8);
    run(b);
    bench_free(b);
}

/* Without fresh work the others have all of it, in the same proportion; and who was idle has not
 * saved anything up. */
static void idle_share_goes_to_the_others(void **state)
{
    (void)state;
    struct bench *b = narrow_bench();
    copy_class(b, "backfill", 300, COPY_BACKFILL);
    copy_class(b, "late", 300, COPY_LATE);
    bench_start(b);
    loop_run_for(b->loop, 1620);
    assert_in_range(count_done(b, "late"), 97, 103);
    assert_in_range(count_done(b, "backfill"), 57, 63);
    unsigned before = count_done(b, "");
    copy_class(b, "fresh", 200, COPY_FRESH);
    bench_start(b);
    loop_run_for(b->loop, 1000);
    assert_in_range(count_done(b, "fresh"), 57, 63);
    assert_in_range(count_done(b, "") - before, 98, 102);
    run(b);
    bench_free(b);
}

static void late_goes_by_turns_from_both_ends(void **state)
{
    (void)state;
    struct bench *b = narrow_bench();
    copy_class(b, "late", 100, COPY_LATE);
    bench_start(b);
    loop_run_for(b->loop, 425);
    assert_in_range(count_done(b, ""), 39, 42);
    unsigned oldest = count_done(b, "late00") + count_done(b, "late01");
    unsigned newest = count_done(b, "late08") + count_done(b, "late09");
    assert_in_range(oldest, 19, 20);
    assert_in_range(newest, 19, 20);
    assert_int_equal(count_done(b, "late05"), 0);
    run(b);
    bench_free(b);
}

static void waiting_work_turns_late(void **state)
{
    (void)state;
    struct bench *b = narrow_bench();
    copy_class(b, "fresh", 400, COPY_FRESH);
    copy_class(b, "soon", 400, COPY_FRESH);
    LIST_FOR (node, &b->jobs) {
        struct bench_job *j = CONTAINER_OF(node, struct bench_job, link);
        if (j->key[0] == 's') {
            j->deadline_ms = loop_wall_ms(b->loop) + 1000;
        }
    }
    bench_start(b);
    loop_run_for(b->loop, 1000);
    assert_in_range(count_done(b, "soon"), 96, 101); /* the earliest deadline goes first */
    unsigned before = count_done(b, "soon");
    loop_run_for(b->loop, 1000);
    assert_in_range(count_done(b, "soon") - before, 27, 33); /* 25 of 85 */
    run(b);
    bench_free(b);
}

/* A higher priority goes first, but not for ever before one that has waited longer. */
static void priority_goes_first_and_starves_nobody(void **state)
{
    (void)state;
    struct bench *b = narrow_bench();
    copy_class(b, "low", 50, COPY_FRESH);
    copy_class(b, "old", 10, COPY_FRESH);
    copy_class(b, "high", 50, COPY_FRESH);
    LIST_FOR (node, &b->jobs) {
        struct bench_job *j = CONTAINER_OF(node, struct bench_job, link);
        j->priority = j->key[0] == 'h' ? 60 : 50;
        j->deadline_ms -= j->key[0] == 'o' ? 10 * SCHED_PRIORITY_MS + 1000 : 0;
    }
    bench_start(b);
    loop_run_for(b->loop, 120);
    assert_int_equal(count_done(b, "old"), 10);
    loop_run_for(b->loop, 495);
    assert_in_range(count_done(b, "high"), 49, 50);
    assert_in_range(count_done(b, "low"), 0, 1);
    run(b);
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
    copy_many(b, "bulk", 6, 3 << 20);
    bench_start(b);
    loop_run_for(b->loop, 60000);
    copy_many(b, "small", 4, 1000);
    bench_start(b);
    loop_run_for(b->loop, 100);
    assert_int_equal(count_done(b, "small"), 4);
    assert_int_equal(fake_most_in_flight(b->to), 4);
    run(b);
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
    copy_many(b, "bulk", 20, 3 << 19);
    bench_start(b);
    loop_run_for(b->loop, 1000);
    copy_many(b, "small", 20, 600000); /* there is room for one beside six bulk ones */
    bench_start(b);
    loop_run_for(b->loop, 13000);
    assert_int_equal(count_done(b, "small"), 2);
    assert_int_equal(count_done(b, "bulk"), 0);
    run(b);
    bench_free(b);
}

static void slots_are_used_and_not_exceeded(void **state)
{
    (void)state;
    struct bench_options o = {.from = {.latency_ms = 20, .slots = 8},
                              .to = {.latency_ms = 20, .slots = 8}};
    struct bench *b = bench_new(&o);
    copy_many(b, "k", 60, 20000);
    run(b);
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
    copy_many(b, "k", 10, 2000);
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
    copy_many(b, "k", 50, 100000);
    run(b);
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
        copy_one(b, "k", 60000);
        run(b);
        bench_free(b);
    }
}

/* ---- limits ---- */

static void copy_group(struct bench *b, const char *prefix, unsigned count, size_t size,
                       uint32_t group)
{
    struct list *last = b->jobs.prev;
    copy_many(b, prefix, count, size);
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
        assert_int_equal(count_done(b, "fast"), 500);
        run(b);
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
    run(b);
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
    run(b);
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
    assert_in_range(count_done(b, ""), 1, 2);
    sched_limit_group(b->sched, 7, &(struct sched_limit){.bytes = 100000});
    loop_run_for(b->loop, 5000);
    assert_in_range(count_done(b, ""), 490, 510);
    sched_limit_group(b->sched, 7, &(struct sched_limit){0});
    loop_run_for(b->loop, 3000);
    assert_int_equal(count_done(b, ""), 1500);
    run(b);
    bench_free(b);
}

/* Where the limit is what is scarce, its bytes are shared by class too. */
static void limit_is_shared_by_class(void **state)
{
    (void)state;
    struct bench *b = limit_bench();
    sched_limit_endpoint(b->sched, fake_store(b->to), &(struct sched_limit){.requests = 100});
    copy_class(b, "backfill", 500, COPY_BACKFILL);
    copy_class(b, "late", 500, COPY_LATE);
    copy_class(b, "fresh", 500, COPY_FRESH);
    bench_start(b);
    loop_run_for(b->loop, 6000);
    assert_in_range(count_done(b, "fresh"), 325, 395);
    assert_in_range(count_done(b, "late"), 125, 175);
    assert_in_range(count_done(b, "backfill"), 70, 110);
    run(b);
    bench_free(b);
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
    assert_true(bench_run(b, HOUR, false));
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
        assert_true(bench_run(b, HOUR, true));
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

/* ---- outages ---- */

static void outage(bool at_source)
{
    struct bench_options o = {.from = {.latency_ms = 5}, .to = {.latency_ms = 30}};
    struct bench *b = bench_new(&o);
    struct fake *out = at_source ? b->from : b->to;
    copy_many(b, "s", 30, 500);
    copy_many(b, "l", 5, 200000);
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
    run(b);
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
    copy_many(b, "l", 5, 200000);
    bench_start(b);
    loop_run_for(b->loop, 150);
    uint64_t now_ms = loop_now_ms(b->loop);
    fake_outage(b->to, now_ms, now_ms + 60000);
    run(b);
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
    copy_many(b, "k", 20, 100000);
    bench_start(b);
    loop_run_for(b->loop, 200);
    uint64_t now_ms = loop_now_ms(b->loop);
    fake_outage(b->to, now_ms, now_ms + HOUR);
    loop_run_for(b->loop, 5000);
    struct fake *first = b->to;
    b->to = second;
    fake_put_random(b->from, "src", "x", 4000, 5);
    struct bench_job *x = bench_add(b, "x", COPY_OBJECT);
    bench_start(b);
    loop_run_for(b->loop, 3000);
    assert_true(x->is_done);
    b->to = first;
    loop_run_for(b->loop, HOUR);
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
    copy_many(b, "k", 20, 100000);
    bench_start(b);
    b->to = fast;
    struct bench_job *x = copy_one(b, "x", 400000);
    bench_start(b);
    loop_run_for(b->loop, 40000); /* two bodies at a time of the slow one */
    assert_true(x->is_done);
    b->to = slow;
    loop_run_for(b->loop, 24 * HOUR);
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
    copy_many(b, "k", 30, 9000);
    bench_start(b);
    loop_run_for(b->loop, 30 * 60000);
    struct fail f;
    assert_int_equal(sched_endpoint(b->sched, fake_store(b->to), &f), SCHED_DENIED);
    assert_true(fake_count(b->to, STORE_HEAD_BUCKET) < 60);
    fake_deny(b->to, false);
    loop_run_for(b->loop, 2 * 60000);
    run(b);
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
    copy_many(b, "k", 10, 9000);
    bench_start(b);
    loop_run_for(b->loop, 10 * 60000);
    struct fail f;
    assert_int_equal(sched_endpoint(b->sched, fake_store(b->to), &f), SCHED_DENIED);
    fake_deny(b->to, false);
    loop_run_for(b->loop, 5 * 60000);
    assert_int_equal(sched_endpoint(b->sched, fake_store(b->to), &f), SCHED_UP);
    run(b);
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
    copy_many(b, "k", 30, 900);
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
    copy_many(b, "k", 300, 9000);
    run(b);
    struct stat_family *family =
        stat_family(b->stats, STAT_COUNTER, "repl_endpoint_throttled_total", "", NULL);
    const char *labels[] = {"to"};
    unsigned writes = fake_count(b->to, STORE_PUT) + fake_count(b->to, STORE_PART);
    assert_true(stat_value(stat_get(family, labels)) < writes / 4.0);
    bench_free(b);
}

static void stop_takes_no_longer_than_allowed(void **state)
{
    (void)state;
    struct bench_options o = {.from = {.latency_ms = 5}, .to = {.latency_ms = 60000}};
    struct bench *b = bench_new(&o);
    copy_many(b, "k", 30, 9000);
    bench_start(b);
    loop_run_for(b->loop, 100);
    uint64_t from_ms = loop_now_ms(b->loop);
    bench_restart(b, 2000);
    assert_in_range(loop_now_ms(b->loop) - from_ms, 1900, 2100);
    run(b);
    bench_free(b);
}

static void metrics_are_there(void **state)
{
    (void)state;
    struct bench_options o = {.from = {.latency_ms = 5}, .to = {.latency_ms = 5}};
    struct bench *b = bench_new(&o);
    copy_many(b, "k", 3, 100);
    run(b);
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
        cmocka_unit_test(classes_have_their_shares),
        cmocka_unit_test(a_slot_more_is_used_at_once),
        cmocka_unit_test(idle_share_goes_to_the_others),
        cmocka_unit_test(late_goes_by_turns_from_both_ends),
        cmocka_unit_test(waiting_work_turns_late),
        cmocka_unit_test(priority_goes_first_and_starves_nobody),
        cmocka_unit_test(small_has_slots_that_bulk_does_not_take),
        cmocka_unit_test(small_does_not_wait_for_the_memory_of_bulk),
        cmocka_unit_test(bytes_of_a_group_are_limited),
        cmocka_unit_test(bytes_to_an_endpoint_are_limited),
        cmocka_unit_test(requests_are_limited),
        cmocka_unit_test(limit_changes_at_once),
        cmocka_unit_test(limit_is_shared_by_class),
        cmocka_unit_test(slots_are_used_and_not_exceeded),
        cmocka_unit_test(slots_that_come_late_are_found),
        cmocka_unit_test(memory_bounds_what_is_read),
        cmocka_unit_test(repeated_reads_do_not_wait_for_their_own_memory),
        cmocka_unit_test(deletes_go_together),
        cmocka_unit_test(batch_of_deletes_may_fail),
        cmocka_unit_test(stop_takes_back_a_batch),
        cmocka_unit_test(outage_gives_nothing_up),
        cmocka_unit_test(probes_become_patient),
        cmocka_unit_test(outage_of_one_destination_leaves_the_other),
        cmocka_unit_test(slow_destination_leaves_memory_to_the_other),
        cmocka_unit_test(denial_pauses_and_comes_back),
        cmocka_unit_test(denial_ends_without_a_good_probe),
        cmocka_unit_test(denied_object_fails_alone),
        cmocka_unit_test(throttling_lowers_the_concurrency),
        cmocka_unit_test(stop_takes_no_longer_than_allowed),
        cmocka_unit_test(metrics_are_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
