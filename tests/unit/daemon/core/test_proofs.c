/* No proof is ever wrong, by seed on virtual time: half of all changes are told by no event, the
 * rule's filter changes, listings end early as if that were all, requests fail, the engine stops
 * and starts. Whenever `proven` or the watermark advances, the destination must have what the
 * source had then, or something newer, by the fakes' truth. In the end it is as the source; of a
 * rule with all versions each one has arrived, in order, whichever events were lost.
 *
 * SEED=n runs one world, SEEDS=n so many of each kind. */
#include "tests/unit/support/engine_bench.h"
#include "tests/unit/support/seeds.h"

#include "daemon/base/hash.h"
#include "daemon/base/mem.h"
#include "daemon/rules/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define SEEDS      6
#define KEYS       24
#define STEPS      200
#define STATES_MAX (STEPS + 1)
#define RULE       "pages"
/* It is written first, stands last in every listing and never changes: what a cut listing does not
 * show can be known from it. */
#define LAST "z0"

enum kind { WORLD_LATEST, WORLD_VERSIONS, WORLD_KINDS };

static const char *const kind_names[] = {"latest", "all versions"};

/* All take LAST. */
static const char *filters[] = {"*", "*[02468]", "*[0-4]", "[kz]0*"};

/* What a key was at the source from a time on. */
struct state {
    int64_t time_ms;
    bool is_delete;
    bool has_arrived;
    uint64_t body; /* its hash */
};

struct key_truth {
    char name[8];
    struct state states[STATES_MAX];
    size_t count;
    size_t arrived; /* the state that was written last at the destination */
};

struct world {
    struct engine_bench b;
    struct loop *dice;
    uint64_t seed;
    enum kind kind;
    struct rule rule;
    const char *filter; /* include[0] */
    struct key_truth keys[KEYS];
    int64_t proven_ms, watermark_ms;
    unsigned proofs, doubts;
};

static uint64_t roll(struct world *w, uint64_t bound)
{
    return loop_random(w->dice, bound);
}

static struct scan_state scan_state(struct world *w)
{
    struct scan_report r;
    struct fail f;
    assert_int_equal(engine_scan_report(w->b.engine, RULE, &r, &f), 0);
    return r.state;
}

/* ---- changes ---- */

/* An event that is not taken at once is lost. */
static void appended(void *arg, int status, const struct fail *f,
                     const struct engine_append_result *result)
{
    (void)arg;
    (void)status;
    (void)f;
    (void)result;
}

static void tell(struct world *w, const struct key_truth *k, const struct state *s)
{
    struct span none = {0};
    struct change c = {.kind = s->is_delete ? CHANGE_DELETE : CHANGE_PUT,
                       .endpoint = span_str("near"),
                       .bucket = span_str("src"),
                       .key = span_str(k->name),
                       .feed = span_str("webhook:a"),
                       .size = CHANGE_SIZE_UNKNOWN,
                       .event_time_ms = s->time_ms};
    engine_append(w->b.engine, &c, 1, TASK_LIVE, none, none, appended, NULL);
}

static void change_key(struct world *w)
{
    struct key_truth *k = &w->keys[roll(w, KEYS)];
    struct state *s = &k->states[k->count++];
    struct fake_object o;
    bool exists = fake_get(w->b.near, "src", span_str(k->name), &o);
    *s = (struct state){.time_ms = loop_wall_ms(w->b.loop), .is_delete = exists && roll(w, 3) == 0};
    if (s->is_delete) {
        fake_remove(w->b.near, "src", span_str(k->name));
    } else {
        bool is_large = w->kind == WORLD_LATEST && roll(w, 12) == 0;
        uint64_t size = is_large ? 40000 : 1 + roll(w, 400); /* arguments have no order */
        fake_put_random(w->b.near, "src", k->name, size, roll(w, UINT32_MAX));
        assert_true(fake_get(w->b.near, "src", span_str(k->name), &o));
        s->body = hash_bytes(o.body, 1);
    }
    if (roll(w, 2)) {
        tell(w, k, s);
    }
    loop_run_for(w->b.loop, 1 + roll(w, roll(w, 8) == 0 ? 6000 : 60));
}

static void put_rule(struct world *w)
{
    w->rule.include = &w->filter;
    w->rule.include_count = 1;
    assert_int_equal(engine_bench_put_rule(&w->b, &w->rule, true, NULL), 0);
}

/* A pass sees only whole listings, or only cut ones. */
static void cut_listings(struct world *w)
{
    size_t most = fake_objects(w->b.near, "src");
    if (scan_state(w).phase == SCAN_IDLE) {
        fake_cut_listing(w->b.near, roll(w, 2) && most > 1 ? 1 + roll(w, most - 1) : 0);
    }
}

static void add_faults(struct world *w, struct fake *f)
{
    static const int codes[] = {REPL_ENET, REPL_ESERVER, REPL_ETIMEOUT, REPL_ETHROTTLED};
    for (uint64_t n = roll(w, 4); n > 0; n--) {
        struct fake_fault fault = {.kind = (int)roll(w, FAKE_KINDS),
                                   .permille = 10 + (unsigned)roll(w, 100),
                                   .code = codes[roll(w, 4)],
                                   .slow_ms = roll(w, 2) ? roll(w, 2000) : 0};
        fake_fault(f, &fault);
    }
}

/* ---- what arrives ---- */

static struct key_truth *find_key(struct world *w, struct span name)
{
    for (size_t i = 0; i < KEYS; i++) {
        if (span_eq_str(name, w->keys[i].name)) {
            return &w->keys[i];
        }
    }
    return NULL;
}

/* Before its effect: refused ones are among them, and come again. */
static void at_destination(void *arg, struct fake *f, const struct store_op *op)
{
    struct world *w = arg;
    struct key_truth *k = op->kind == STORE_PUT ? find_key(w, op->key) : NULL;
    (void)f;
    if (k == NULL) {
        return;
    }
    size_t n = k->count - 1;
    while (n > 0 && (k->states[n].is_delete || k->states[n].body != hash_bytes(op->body, 1))) {
        n--;
    }
    if (w->kind == WORLD_VERSIONS && n < k->arrived) {
        fail_msg("%s world, seed %llu: %s: version %zu comes after version %zu",
                 kind_names[w->kind], (unsigned long long)w->seed, k->name, n, k->arrived);
    }
    k->arrived = n;
    k->states[n].has_arrived = true;
}

/* ---- truth ---- */

/* Whether the destination is as the source was in this state or a later one. */
static bool holds(struct world *w, const struct key_truth *k, size_t from)
{
    struct fake_object o;
    bool exists = fake_get(w->b.far, "dst", span_str(k->name), &o);
    uint64_t body = exists ? hash_bytes(o.body, 1) : 0;
    for (size_t n = from; n < k->count; n++) {
        const struct state *s = &k->states[n];
        if (s->is_delete ? !exists || w->rule.deletes == RULE_DELETES_IGNORE
                         : exists && body == s->body) {
            return true;
        }
    }
    return false;
}

static void check_state(struct world *w, const struct key_truth *k, size_t n, const char *what,
                        int64_t until_ms)
{
    const struct state *s = &k->states[n];
    if (rules_takes_key(&w->rule, span_str(k->name)) && !holds(w, k, n)) {
        fail_msg("%s world, seed %llu: %s %lld passed the %s of %s at %lld", kind_names[w->kind],
                 (unsigned long long)w->seed, what, (long long)until_ms,
                 s->is_delete ? "delete" : "put", k->name, (long long)s->time_ms);
    }
}

static void check_proof(struct world *w, int64_t proven_ms)
{
    for (size_t i = 0; i < KEYS; i++) {
        const struct key_truth *k = &w->keys[i];
        size_t n = k->count;
        while (n > 0 && k->states[n - 1].time_ms >= proven_ms) {
            n--;
        }
        if (n > 0) {
            check_state(w, k, n - 1, "proof", proven_ms);
        }
    }
}

/* It speaks of changes that were accepted: where events are lost, of each key's last one, which a
 * scan finds. Existing objects do not hold it, and Last-Modified has seconds. */
static void check_watermark(struct world *w, int64_t watermark_ms)
{
    struct scan_state scan = scan_state(w);
    for (size_t i = 0; i < KEYS; i++) {
        const struct key_truth *k = &w->keys[i];
        const struct state *s = k->count > 0 ? &k->states[k->count - 1] : NULL;
        if (s != NULL && s->time_ms < watermark_ms &&
            s->time_ms / 1000 * 1000 > scan_existing_until(&scan)) {
            check_state(w, k, k->count - 1, "watermark", watermark_ms);
        }
    }
}

static void check_world(struct world *w)
{
    struct rule_lag lag = engine_bench_lag(&w->b, RULE);
    struct fake_object o;
    if (!lag.known) {
        return;
    }
    assert_true(lag.proven_ms >= w->proven_ms && lag.watermark_ms >= w->watermark_ms);
    if (lag.proven_ms > w->proven_ms) {
        check_proof(w, lag.proven_ms);
        w->proofs++;
    }
    if (lag.watermark_ms > w->watermark_ms && w->rule.scan.mode == RULE_SCAN_EVERY) {
        check_watermark(w, lag.watermark_ms);
    }
    w->proven_ms = lag.proven_ms;
    w->watermark_ms = lag.watermark_ms;
    w->doubts += scan_state(w).doubted_seen != 0;
    assert_true(w->proofs == 0 || fake_get(w->b.far, "dst", span_str(LAST), &o));
}

/* ---- disturbances ---- */

/* Often while a pass goes on. */
static void change_filter(struct world *w)
{
    struct fail f;
    if (roll(w, 2) && engine_scan_begin(w->b.engine, RULE, &f) == 0) {
        loop_run_for(w->b.loop, roll(w, 400));
    }
    check_world(w); /* what is proven until now was by the filter until now */
    w->filter = filters[roll(w, 4)];
    put_rule(w);
}

static void disturb(struct world *w)
{
    uint64_t what = roll(w, 40);
    uint64_t now = loop_now_ms(w->b.loop);
    struct fail f;
    if (what == 0) {
        engine_bench_stop(&w->b);
        loop_run_for(w->b.loop, roll(w, 2000));
        engine_bench_start(&w->b);
        loop_run_for(w->b.loop, 100);
    } else if (what == 1) {
        fake_outage(roll(w, 2) ? w->b.far : w->b.near, now, now + roll(w, 20000));
    } else if (what < 5) {
        change_filter(w);
    } else if (what < 10) {
        cut_listings(w);
    } else if (what < 16) { /* the only ones where the rule repeats none */
        engine_scan_begin(w->b.engine, RULE, &f);
    }
}

/* ---- the end ---- */

static void retry_failed(struct world *w)
{
    if (engine_bench_lag(&w->b, RULE).counts.failed_objects > 0) {
        engine_bench_retry(&w->b, RULE);
    }
}

static void run_until_proven(struct world *w)
{
    int64_t now_ms = loop_wall_ms(w->b.loop);
    struct fail f;
    for (int i = 0; w->proven_ms <= now_ms; i++) {
        if (i == 3000) {
            fail_msg("%s world, seed %llu: nothing is proven any more", kind_names[w->kind],
                     (unsigned long long)w->seed);
        }
        retry_failed(w);
        if (i % 60 == 0) {
            engine_scan_begin(w->b.engine, RULE, &f);
        }
        loop_run_for(w->b.loop, 1000);
        check_world(w);
    }
}

static void settle(struct world *w)
{
    fake_clear_faults(w->b.near);
    fake_clear_faults(w->b.far);
    fake_cut_listing(w->b.near, 0);
    w->filter = filters[0];
    put_rule(w);
    run_until_proven(w);
}

static void check_versions(struct world *w, const struct key_truth *k)
{
    for (size_t n = 0; n < k->count; n++) {
        if (!k->states[n].is_delete && !k->states[n].has_arrived) {
            fail_msg("%s world, seed %llu: version %zu of %s has not arrived", kind_names[w->kind],
                     (unsigned long long)w->seed, n, k->name);
        }
    }
}

static void run_world(enum kind kind, uint64_t seed)
{
    struct world *w = MEM_NEW(struct world);
    w->kind = kind;
    w->seed = seed;
    w->dice = loop_new_virtual(seed * 104729 + (uint64_t)kind, 0);
    for (size_t i = 0; i < KEYS; i++) {
        snprintf(w->keys[i].name, sizeof(w->keys[i].name), "k%zu", i);
    }
    uint64_t latency_ms = 1 + roll(w, 40);
    engine_bench_init(&w->b, seed, latency_ms);
    if (kind == WORLD_VERSIONS) {
        engine_bench_keep_versions(&w->b, latency_ms);
    }
    fake_listing(w->b.near, 5, false);
    fake_hook(w->b.far, at_destination, w);
    fake_put(w->b.near, "src", span_str(LAST), span_str("last"), NULL);
    engine_bench_start(&w->b);
    w->rule = engine_bench_rule(RULE);
    w->rule.existing = true;
    w->rule.deletes = roll(w, 2) ? RULE_DELETES_PROPAGATE : RULE_DELETES_IGNORE;
    w->rule.versions = kind == WORLD_VERSIONS ? RULE_VERSIONS_ALL : RULE_VERSIONS_LATEST;
    w->rule.scan =
        (struct rule_scan){.mode = roll(w, 2) ? RULE_SCAN_EVERY : RULE_SCAN_OFF, .every_ms = 60000};
    w->filter = filters[0];
    put_rule(w);
    loop_run_for(w->b.loop, 10000);
    run_until_proven(w);
    add_faults(w, w->b.near);
    add_faults(w, w->b.far);
    for (int i = 0; i < STEPS; i++) {
        change_key(w);
        check_world(w);
        disturb(w);
        check_world(w);
    }
    settle(w);
    for (size_t i = 0; kind == WORLD_VERSIONS && i < KEYS; i++) {
        check_versions(w, &w->keys[i]);
    }
    print_message("%s world, seed %llu: proofs %u, steps in doubt %u\n", kind_names[kind],
                  (unsigned long long)seed, w->proofs, w->doubts);
    fake_hook(w->b.far, NULL, NULL);
    engine_bench_done(&w->b);
    loop_free(w->dice);
    mem_free(w);
}

static void run_one(void *kind, uint64_t seed)
{
    run_world(*(enum kind *)kind, seed);
}

static void run_worlds(enum kind kind)
{
    print_message("%s worlds\n", kind_names[kind]);
    seeds_run(run_one, &kind, SEEDS);
}

static void test_latest_versions(void **state)
{
    (void)state;
    run_worlds(WORLD_LATEST);
}

static void test_all_versions(void **state)
{
    (void)state;
    run_worlds(WORLD_VERSIONS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_latest_versions),
        cmocka_unit_test(test_all_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
