/* No watermark is ever ahead of what the destination holds. Worlds by seed on virtual time: a
 * source whose notifications are lost, delayed, doubled and reordered, with canaries or with
 * `late`; faults and outages at both ends, restarts, complete scans. After every step, by the
 * fakes' truth:
 *
 *   proven     every change up to it is at the destination, whether anybody told of it or not;
 *   watermark  (of the rule and of its prefixes) every change up to it is there, but for those that
 *              nobody has told of yet, and for those that are named as late;
 *   neither goes back.
 *
 * A change that comes when the watermark has passed it and the destination does not hold it must be
 * among the late ones at once. Each world says its seed when it fails; SEED=n runs one. */
#include "tests/unit/support/engine_bench.h"
#include "tests/unit/support/hand_feed.h"
#include "tests/unit/support/seeds.h"

#include "daemon/base/hash.h"
#include "daemon/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define SEEDS    6
#define KEYS     12
#define CHANGES  200
#define TOLD_MAX (CHANGES * 4)
#define LATE_MS  60000
#define RULE     "pages"

static const char *const prefix_names[] = {"0/", "1/"};
#define PREFIXES 2

struct version {
    bool is_delete;
    bool accepted; /* somebody told of it */
    uint64_t body; /* its hash */
    int64_t time_ms;
};

struct key_truth {
    char name[16];
    struct version versions[CHANGES];
    size_t count;
};

/* Underway from the source to the webhook. */
struct told {
    bool canary;
    size_t key, version;
    int64_t time_ms;
    uint64_t arrives_ms; /* of the loop */
};

struct world {
    struct engine_bench b;
    struct hand_feed *feed;
    struct loop *dice;
    uint64_t seed;
    bool canary;
    unsigned lost, doubled, delayed; /* ‰ */
    struct key_truth keys[KEYS];
    struct told told[TOLD_MAX];
    size_t told_count;
    size_t changes;
    int64_t watermark_ms, proven_ms, prefix_ms[PREFIXES];
    uint64_t late; /* in all */
};

static uint64_t roll(struct world *w, uint64_t bound)
{
    return loop_random(w->dice, bound);
}

/* ---- the source and its notifications ---- */

static void send(struct world *w, struct told t)
{
    uint64_t delay = 20 + roll(w, 200);
    if (roll(w, 1000) < w->delayed) {
        delay += roll(w, 300000);
    }
    if (w->told_count < TOLD_MAX) {
        t.arrives_ms = loop_now_ms(w->b.loop) + delay;
        w->told[w->told_count++] = t;
    }
}

static void notify(struct world *w, struct told t)
{
    if (roll(w, 1000) >= w->lost) {
        send(w, t);
    }
    if (roll(w, 1000) < w->doubled) {
        send(w, t);
    }
}

static void at_source(void *arg, struct fake *f, const struct store_op *op)
{
    struct world *w = arg;
    (void)f;
    if (op->kind == STORE_PUT && span_starts_with(op->key, span_str("_repl/canary/"))) {
        notify(w, (struct told){.canary = true, .time_ms = loop_wall_ms(w->b.loop)});
    }
}

static void change_key(struct world *w)
{
    size_t at = roll(w, KEYS);
    struct key_truth *k = &w->keys[at];
    struct version *v = &k->versions[k->count];
    struct fake_object o;
    v->is_delete = k->count > 0 && !k->versions[k->count - 1].is_delete && roll(w, 4) == 0;
    v->time_ms = loop_wall_ms(w->b.loop);
    if (v->is_delete) {
        fake_remove(w->b.near, "src", span_str(k->name));
    } else {
        uint64_t size = 1 + roll(w, 4000); /* arguments have no order */
        fake_put_random(w->b.near, "src", k->name, size, roll(w, 1000000));
        assert_true(fake_get(w->b.near, "src", span_str(k->name), &o));
        v->body = hash_bytes(o.body, 1);
    }
    w->changes++;
    notify(w, (struct told){.key = at, .version = k->count++, .time_ms = v->time_ms});
}

/* ---- truth ---- */

static bool holds_version(struct world *w, const struct key_truth *k, size_t from)
{
    struct fake_object far;
    bool exists = fake_get(w->b.far, "dst", span_str(k->name), &far);
    uint64_t body = exists ? hash_bytes(far.body, 1) : 0;
    for (size_t n = from; n < k->count; n++) {
        const struct version *v = &k->versions[n];
        if (v->is_delete ? !exists : exists && body == v->body) {
            return true;
        }
    }
    return false;
}

struct find_late {
    struct journal_call call;
    struct arena arena;
    struct late_change *late;
    size_t count;
    int status;
};

static int run_find_late(struct backend *b, struct journal_call *call)
{
    struct find_late *c = CONTAINER_OF(call, struct find_late, call);
    return b->ops->late_page(b, &c->arena, 1, LATE_CHANGES_MAX, &c->late, &c->count);
}

static void found_late(struct journal_call *call)
{
    CONTAINER_OF(call, struct find_late, call)->status = call->status;
}

static bool is_named(const struct find_late *late, const struct key_truth *k,
                     const struct version *v)
{
    for (size_t i = 0; i < late->count; i++) {
        if (span_eq_str(late->late[i].key, k->name) && late->late[i].event_time_ms == v->time_ms) {
            return true;
        }
    }
    return false;
}

/* The last version up to this time that counts must be held, or a later one. */
static void check_key(struct world *w, const struct key_truth *k, int64_t until_ms,
                      const struct find_late *late, const char *what)
{
    for (size_t n = 0; n < k->count && k->versions[n].time_ms <= until_ms; n++) {
        const struct version *v = &k->versions[n];
        bool counts = late == NULL || (v->accepted && !is_named(late, k, v));
        if (counts && !holds_version(w, k, n)) {
            fail_msg("seed %llu: %s %lld has passed version %zu of %s, changed %lld",
                     (unsigned long long)w->seed, what, (long long)until_ms, n, k->name,
                     (long long)v->time_ms);
        }
    }
}

static void never_back(struct world *w, const char *what, int64_t *before, int64_t now)
{
    if (now < *before) {
        fail_msg("seed %llu: %s went back by %lld ms", (unsigned long long)w->seed, what,
                 (long long)(*before - now));
    }
    *before = now;
}

static void check_prefixes(struct world *w, const struct find_late *late)
{
    struct prefix_status p;
    for (size_t at = 0; engine_prefix_status(w->b.engine, RULE, at, &p); at++) {
        never_back(w, "watermark of a prefix", &w->prefix_ms[at], p.watermark_ms);
        for (size_t i = 0; i < KEYS; i++) {
            if (span_starts_with(span_str(w->keys[i].name), span_str(p.prefix))) {
                check_key(w, &w->keys[i], p.watermark_ms, late, "watermark of its prefix");
                check_key(w, &w->keys[i], p.proven_ms, NULL, "proven of its prefix");
            }
        }
    }
}

static void check_world(struct world *w)
{
    struct find_late late = {.status = 1};
    struct rule_lag lag;
    arena_init(&late.arena);
    late.call.run = run_find_late;
    late.call.done = found_late;
    late.call.access = JOURNAL_WRITE; /* behind all appends */
    journal_submit(engine_journal(w->b.engine), &late.call);
    assert_int_equal(engine_bench_wait(&w->b, &late.status), 0);
    assert_int_equal(engine_lag(w->b.engine, RULE, &lag), 0);
    if (lag.known) {
        never_back(w, "watermark", &w->watermark_ms, lag.watermark_ms);
        never_back(w, "proven", &w->proven_ms, lag.proven_ms);
        for (size_t i = 0; i < KEYS; i++) {
            check_key(w, &w->keys[i], lag.watermark_ms, &late, "watermark");
            check_key(w, &w->keys[i], lag.proven_ms, NULL, "proven");
        }
        check_prefixes(w, &late);
        w->late = lag.counts.late_changes;
    }
    arena_done(&late.arena);
}

/* ---- arrivals ---- */

static void deliver(struct world *w, const struct told *t)
{
    if (t->canary) {
        hand_feed_canary(w->feed, t->time_ms);
        return;
    }
    struct version *v = &w->keys[t->key].versions[t->version];
    v->accepted = true; /* the journal is inline: durable with the next turn */
    hand_feed_tell(w->feed, v->is_delete ? CHANGE_DELETE : CHANGE_PUT, w->keys[t->key].name,
                   t->time_ms);
}

/* Whether changes came. */
static bool deliver_due(struct world *w)
{
    bool changes = false;
    for (size_t i = 0; i < w->told_count;) {
        if (w->told[i].arrives_ms > loop_now_ms(w->b.loop)) {
            i++;
            continue;
        }
        struct told t = w->told[i];
        w->told[i] = w->told[--w->told_count];
        deliver(w, &t);
        changes = changes || !t.canary;
    }
    return changes;
}

static void run(struct world *w, uint64_t ms)
{
    for (uint64_t done = 0; done < ms; done += 50) {
        loop_run_for(w->b.loop, 50);
        if (deliver_due(w)) {
            check_world(w); /* before it can have been copied */
        }
    }
}

/* ---- scans: what differs is handed over, then the scan is complete ---- */

static void scan(struct world *w)
{
    int64_t began = loop_wall_ms(w->b.loop);
    struct engine_rule *r = engine_rule_by_name(w->b.engine, RULE);
    for (size_t i = 0; i < KEYS; i++) {
        struct key_truth *k = &w->keys[i];
        if (k->count == 0) {
            continue;
        }
        struct version *v = &k->versions[k->count - 1];
        if (!holds_version(w, k, k->count - 1)) {
            v->accepted = true;
            hand_feed_tell(w->feed, v->is_delete ? CHANGE_DELETE : CHANGE_PUT, k->name, v->time_ms);
        }
    }
    if (r->scan != NULL && r->scan->feed != NULL) {
        r->scan->feed->status.proven_ms = began - 1;
    }
}

/* ---- the world ---- */

static void start(struct world *w)
{
    engine_bench_start(&w->b);
    w->feed = hand_feed_start(w->b.engine, "hand", w->canary, LATE_MS);
}

static void add_faults(struct world *w, struct fake *f)
{
    static const int codes[] = {REPL_ENET, REPL_ESERVER, REPL_ETIMEOUT, REPL_ETHROTTLED};
    for (uint64_t n = roll(w, 4); n > 0; n--) {
        fake_fault(f, &(struct fake_fault){.kind = (int)roll(w, FAKE_KINDS),
                                           .permille = 10 + (unsigned)roll(w, 200),
                                           .code = codes[roll(w, 4)],
                                           .slow_ms = roll(w, 2) ? roll(w, 3000) : 0});
    }
}

static void step(struct world *w)
{
    uint64_t what = roll(w, 120);
    uint64_t now = loop_now_ms(w->b.loop);
    if (what == 0) {
        engine_bench_stop(&w->b);
        loop_run_for(w->b.loop, roll(w, 60000));
        start(w);
    } else if (what < 3) {
        fake_outage(roll(w, 2) ? w->b.far : w->b.near, now, now + 1000 + roll(w, 120000));
    } else if (what < 8) {
        scan(w);
    } else {
        change_key(w);
    }
    run(w, 50 + roll(w, roll(w, 10) == 0 ? 40000 : 2000));
    check_world(w);
}

static void settle(struct world *w)
{
    fake_clear_faults(w->b.near);
    fake_clear_faults(w->b.far);
    run(w, 700000); /* outages and holds end, everything that was sent has come */
    scan(w);
    run(w, 100000);
    scan(w);
    run(w, 20000);
    check_world(w);
    for (size_t i = 0; i < KEYS; i++) {
        assert_true(w->keys[i].count == 0 || holds_version(w, &w->keys[i], w->keys[i].count - 1));
    }
    assert_true(w->proven_ms > loop_wall_ms(w->b.loop) - 60000);
}

/* *late: adds its changes that came late. */
static void run_world(void *late, uint64_t seed)
{
    struct world *w = MEM_NEW(struct world);
    w->seed = seed;
    w->dice = loop_new_virtual(seed * 6271 + 1, 0);
    w->canary = roll(w, 3) > 0;
    w->lost = roll(w, 2) ? (unsigned)roll(w, 100) : 0;
    w->doubled = (unsigned)roll(w, 100);
    w->delayed = roll(w, 4) ? 20 + (unsigned)roll(w, 200) : 0;
    engine_bench_init(&w->b, seed, 20);
    for (size_t i = 0; i < KEYS; i++) {
        snprintf(w->keys[i].name, sizeof(w->keys[i].name), "%zu/%zu", i % 3, i);
    }
    fake_hook(w->b.near, at_source, w);
    start(w);
    struct rule rule = engine_bench_rule(RULE);
    const char *names[] = {prefix_names[0], prefix_names[1]};
    rule.existing = true; /* a listing that scan() speaks for */
    rule.watermark_prefixes = names;
    rule.watermark_prefix_count = PREFIXES;
    assert_int_equal(engine_bench_put_rule(&w->b, &rule, true, NULL), 0);
    run(w, 1000);
    add_faults(w, w->b.near);
    add_faults(w, w->b.far);
    while (w->changes < CHANGES) {
        step(w);
    }
    settle(w);
    *(uint64_t *)late += w->late;
    engine_bench_done(&w->b);
    loop_free(w->dice);
    mem_free(w);
}

static void test_worlds(void **state)
{
    (void)state;
    uint64_t late = 0;
    bool all = seeds_run(run_world, &late, SEEDS);
    print_message("late: %llu\n", (unsigned long long)late);
    assert_true(late > 0 || !all); /* the worlds are bad enough */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_worlds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
