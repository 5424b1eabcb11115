/* Whole worlds by seed: random objects, faults on every operation, lost answers, outages, sources
 * that change and vanish, crashes and stops. When the faults end, everything must be at the
 * destination, and no promise may have been broken on the way (copy_bench.h). */
#include "tests/unit/support/copy_bench.h"
#include "tests/unit/support/seeds.h"

#include "daemon/base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define SEEDS 200
#define KEYS  14

struct world {
    struct bench *b;
    struct loop *dice;
    bool changes;
};

static uint64_t roll(struct world *w, uint64_t bound)
{
    return loop_random(w->dice, bound);
}

static size_t random_size(struct world *w)
{
    static const size_t edges[] = {0, 1, 4095, 4096, 4097, 8192};
    return roll(w, 3) == 0 ? edges[roll(w, 6)] : roll(w, (uint64_t)1 << roll(w, 18));
}

static void add_faults(struct world *w, struct fake *f)
{
    static const int codes[] = {REPL_ENET,       REPL_ESERVER, REPL_ETIMEOUT,
                                REPL_ETHROTTLED, REPL_ESHORT,  REPL_ECHECKSUM};
    for (uint64_t n = roll(w, 6); n > 0; n--) {
        struct fake_fault fault = {.kind = (int)roll(w, FAKE_KINDS),
                                   .permille = 10 + (unsigned)roll(w, 200),
                                   .code = codes[roll(w, 6)],
                                   .lost = roll(w, 2),
                                   .in_vain = roll(w, 4) == 0,
                                   .slow_ms = roll(w, 2) ? roll(w, 3000) : 0};
        fault.lost = fault.lost && fault.code != REPL_ETHROTTLED && fault.code != REPL_ECHECKSUM;
        fault.in_vain = fault.in_vain && fault.lost;
        fake_fault(f, &fault);
    }
}

static void change_something(void *arg, struct fake *f, const struct store_op *op)
{
    struct world *w = arg;
    if (!w->changes || op->kind != STORE_GET || roll(w, 40) != 0) {
        return;
    }
    char key[16];
    snprintf(key, sizeof(key), "k%02u", (unsigned)roll(w, KEYS));
    fake_put_random(f, "src", key, random_size(w), roll(w, 1000000));
}

static struct bench *world_new(struct world *w, uint64_t seed)
{
    w->dice = loop_new_virtual(seed + 1000, 0);
    struct bench_options o = {
        .seed = seed,
        .from = {.latency_ms = 1 + roll(w, 50), .jitter_ms = roll(w, 50)},
        .to = {.latency_ms = 1 + roll(w, 200), .jitter_ms = roll(w, 300)},
        .memory_bytes = (uint64_t)32768 << roll(w, 5),
        .copies = 1 + (uint32_t)roll(w, 20),
        .part_max = 4096,
        .commit_ms = roll(w, 20),
        .no_marker = roll(w, 4) == 0,
    };
    o.from.versions = roll(w, 2);
    o.to.versions = roll(w, 2);
    o.from.slots = 1 + (unsigned)roll(w, 20);
    o.to.slots = 1 + (unsigned)roll(w, 20);
    o.to.no_put_etag = roll(w, 2);
    o.to.throttles = roll(w, 4) == 0;
    o.to.reupload_safe = roll(w, 3) == 0;
    o.from.rate_bps = roll(w, 2) ? 0 : 20000 + roll(w, 200000);
    w->b = bench_new(&o);
    for (unsigned i = 0; i < KEYS; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%02u", i);
        size_t size = random_size(w);
        fake_put_random(w->b->from, "src", key, size, seed * 100 + i);
        struct bench_job *j = bench_add(w->b, key, COPY_OBJECT);
        j->size_hint = roll(w, 2) ? (int64_t)size : (int64_t)roll(w, 9000) - 1;
        j->backfill = roll(w, 3) == 0;
    }
    fake_hook(w->b->from, change_something, w);
    return w->b;
}

static struct bench_job *random_job(struct world *w)
{
    struct list *node = w->b->jobs.next;
    for (uint64_t n = roll(w, KEYS); n > 0; n--) {
        node = node->next;
    }
    return CONTAINER_OF(node, struct bench_job, link);
}

/* A delete supersedes whatever is going on with a key. */
static void delete_one(struct world *w)
{
    struct bench_job *j = random_job(w);
    fake_remove(w->b->from, "src", span_str(j->key));
    j->kind = COPY_DELETE;
    j->is_done = false;
    if (j->copy != NULL) {
        sched_cancel(w->b->sched, j->copy);
    }
}

static void cancel_one(struct world *w)
{
    struct bench_job *j = random_job(w);
    if (j->copy != NULL) {
        sched_cancel(w->b->sched, j->copy);
    }
}

static void disturb(struct world *w)
{
    struct bench *b = w->b;
    uint64_t now_ms = loop_now_ms(b->loop);
    struct fake *f = roll(w, 2) ? b->from : b->to;
    switch (roll(w, 7)) {
    case 0:
        fake_outage(f, now_ms, now_ms + 1 + roll(w, 20000));
        break;
    case 1:
        bench_crash(b);
        break;
    case 2:
        bench_restart(b, roll(w, 500));
        break;
    case 3:
        fake_deny(f, true);
        loop_run_for(b->loop, roll(w, 3000));
        fake_deny(f, false);
        break;
    case 4:
        cancel_one(w);
        break;
    case 5:
        delete_one(w);
        break;
    default:
        break;
    }
}

/* A change ends a copy that was done: it has to be done again, as the engine would. */
static void reopen_outdated(struct bench *b)
{
    LIST_FOR (node, &b->jobs) {
        struct bench_job *j = CONTAINER_OF(node, struct bench_job, link);
        struct fake_object from = {0}, to = {0};
        bool has_from = fake_get(b->from, "src", span_str(j->key), &from);
        bool has_to = fake_get(b->to, "dst", span_str(j->key), &to);
        if (j->copy == NULL && (has_from != has_to || !span_eq(from.body, to.body))) {
            j->is_done = false;
            j->kind = has_from ? COPY_OBJECT : COPY_DELETE;
        }
    }
}

static void run_world(void *arg, uint64_t seed)
{
    (void)arg;
    struct world w = {.changes = seed % 3 == 0};
    struct bench *b = world_new(&w, seed);
    add_faults(&w, b->from);
    add_faults(&w, b->to);
    bench_start(b);
    for (int i = 0; i < 12; i++) {
        bench_run(b, roll(&w, 4000), true);
        disturb(&w);
    }
    w.changes = false;
    fake_clear_faults(b->from);
    fake_clear_faults(b->to);
    assert_true(bench_run(b, 24 * 3600000, true));
    reopen_outdated(b);
    assert_true(bench_run(b, 24 * 3600000, true));
    bench_check(b);
    assert_int_equal(fake_objects(b->to, "dst"), fake_objects(b->from, "src"));
    assert_int_equal(sched_memory_used(b->sched), 0);
    bench_free(b);
    loop_free(w.dice);
}

static void worlds_come_to_rest(void **state)
{
    (void)state;
    seeds_run(run_world, NULL, SEEDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worlds_come_to_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
