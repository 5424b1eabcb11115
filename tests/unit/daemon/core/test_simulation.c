/* Whole worlds by seed on virtual time: thousands of overwrites and deletes, faults on every
 * operation, outages of minutes, stops and crashes with a new engine on the same journal. After
 * every step the watermark must not have gone back nor passed an unfinished change, by the fakes'
 * truth; in the end both sides are equal, nothing is pending and no upload is left. */
#include "tests/unit/support/engine_bench.h"
#include "tests/unit/support/seeds.h"

#include "daemon/base/hash.h"
#include "daemon/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define SEEDS        12
#define KEYS         24
#define CHANGES      900
#define VERSIONS_MAX 1000
#define RULE         "pages"

/* One state that a key had at the source. */
struct version {
    bool is_delete;
    uint64_t body; /* its hash */
    int64_t time_ms;
    bool is_accepted;
    bool is_lost; /* not acknowledged: the feed brings it again */
};

struct key_truth {
    char name[32];
    struct version versions[VERSIONS_MAX];
    size_t count;
};

struct world {
    struct engine_bench b;
    struct loop *dice;
    uint64_t seed;
    struct key_truth keys[KEYS];
    int64_t watermark_ms;
    size_t changes;
    size_t running_appends;
    unsigned lives;
    bool crashing; /* what is answered now is not in the journal that goes on */
};

struct ticket {
    struct world *w;
    size_t key;
    size_t version;
};

static uint64_t roll(struct world *w, uint64_t bound)
{
    return loop_random(w->dice, bound);
}

/* ---- changes ---- */

static void appended(void *arg, int status, const struct fail *f,
                     const struct engine_append_result *result)
{
    struct ticket *t = arg;
    struct version *v = &t->w->keys[t->key].versions[t->version];
    (void)f;
    t->w->running_appends--;
    v->is_accepted = status == 0 && !t->w->crashing;
    v->is_lost = !v->is_accepted;
    if (status == 0) {
        assert_int_equal(result->accepted, 1);
    }
    mem_free(t);
}

static void append(struct world *w, size_t key, size_t version)
{
    struct version *v = &w->keys[key].versions[version];
    struct ticket *t = MEM_NEW(struct ticket);
    struct span none = {0};
    *t = (struct ticket){w, key, version};
    v->time_ms = loop_wall_ms(w->b.loop);
    v->is_lost = false;
    struct change c = {.kind = v->is_delete ? CHANGE_DELETE : CHANGE_PUT,
                       .endpoint = span_str("near"),
                       .bucket = span_str("src"),
                       .key = span_str(w->keys[key].name),
                       .feed = span_str("append"),
                       .size = CHANGE_SIZE_UNKNOWN,
                       .event_time_ms = v->time_ms};
    w->running_appends++;
    engine_append(w->b.engine, &c, 1, TASK_LIVE, none, none, appended, t);
}

static size_t random_size(struct world *w)
{
    static const size_t edges[] = {0, 1, 16383, 16384, 16385, 49152};
    return roll(w, 4) == 0 ? edges[roll(w, 6)] : roll(w, roll(w, 5) == 0 ? 100000 : 3000);
}

static void change_key(struct world *w)
{
    size_t at = roll(w, KEYS);
    struct key_truth *k = &w->keys[at];
    struct fake_object o;
    bool exists = fake_get(w->b.near, "src", span_str(k->name), &o);
    assert_true(k->count < VERSIONS_MAX);
    struct version *v = &k->versions[k->count];
    v->is_delete = exists && roll(w, 4) == 0;
    if (v->is_delete) {
        fake_remove(w->b.near, "src", span_str(k->name));
    } else {
        uint64_t size = random_size(w); /* arguments have no order */
        fake_put_random(w->b.near, "src", k->name, size, roll(w, 1000000));
        assert_true(fake_get(w->b.near, "src", span_str(k->name), &o));
        v->body = hash_bytes(o.body, 1);
    }
    w->changes++;
    k->count++;
    append(w, at, k->count - 1);
}

/* What no answer came for is brought again by the feed, in order. */
static void append_lost(struct world *w)
{
    for (size_t i = 0; i < KEYS; i++) {
        for (size_t n = 0; n < w->keys[i].count; n++) {
            if (w->keys[i].versions[n].is_lost) {
                append(w, i, n);
            }
        }
    }
}

/* ---- truth ---- */

/* Whether the destination is as the source was at this version or a later one. */
static bool holds_version(struct world *w, const struct key_truth *k, size_t from)
{
    struct fake_object far;
    bool exists = fake_get(w->b.far, "dst", span_str(k->name), &far);
    uint64_t body = exists ? hash_bytes(far.body, 1) : 0;
    for (size_t n = from; n < k->count; n++) {
        const struct version *v = &k->versions[n];
        if (v->is_delete && !exists) {
            return true;
        }
        if (!v->is_delete && exists && body == v->body) {
            return true;
        }
    }
    return false;
}

static void check_key(struct world *w, const struct key_truth *k)
{
    size_t last = SIZE_MAX;
    for (size_t n = 0; n < k->count; n++) {
        const struct version *v = &k->versions[n];
        if (v->is_accepted && v->time_ms <= w->watermark_ms) {
            last = n;
        }
    }
    if (last != SIZE_MAX && !holds_version(w, k, last)) {
        fail_msg("seed %llu: watermark %lld passed version %zu of %s, changed %lld",
                 (unsigned long long)w->seed, (long long)w->watermark_ms, last, k->name,
                 (long long)k->versions[last].time_ms);
    }
}

static void check_world(struct world *w)
{
    struct rule_lag lag;
    assert_int_equal(engine_lag(w->b.engine, RULE, &lag), 0);
    if (!lag.known) {
        return;
    }
    if (lag.watermark_ms < w->watermark_ms) {
        fail_msg("seed %llu: watermark went back by %lld ms", (unsigned long long)w->seed,
                 (long long)(w->watermark_ms - lag.watermark_ms));
    }
    w->watermark_ms = lag.watermark_ms;
    for (size_t i = 0; i < KEYS; i++) {
        check_key(w, &w->keys[i]);
    }
}

/* ---- the world ---- */

static void add_faults(struct world *w, struct fake *f)
{
    static const int codes[] = {REPL_ENET,       REPL_ESERVER, REPL_ETIMEOUT,
                                REPL_ETHROTTLED, REPL_ESHORT,  REPL_ECHECKSUM};
    for (uint64_t n = 1 + roll(w, 6); n > 0; n--) {
        struct fake_fault fault = {.kind = (int)roll(w, FAKE_KINDS),
                                   .permille = 10 + (unsigned)roll(w, 150),
                                   .code = codes[roll(w, 6)],
                                   .lost = roll(w, 2),
                                   .slow_ms = roll(w, 2) ? roll(w, 3000) : 0};
        fault.lost = fault.lost && fault.code != REPL_ETHROTTLED && fault.code != REPL_ECHECKSUM;
        fake_fault(f, &fault);
    }
}

static void restart(struct world *w)
{
    engine_bench_stop(&w->b);
    loop_run_for(w->b.loop, roll(w, 5000));
    engine_bench_start(&w->b);
    append_lost(w);
}

static void copy_file(const char *from, const char *to, const char *suffix)
{
    char name[128], buffer[65536];
    snprintf(name, sizeof(name), "%s%s", from, suffix);
    FILE *in = fopen(name, "rb");
    snprintf(name, sizeof(name), "%s%s", to, suffix);
    FILE *out = in != NULL ? fopen(name, "wb") : NULL;
    size_t n;
    while (in != NULL && (n = fread(buffer, 1, sizeof(buffer), in)) > 0) {
        assert_int_equal(fwrite(buffer, 1, n, out), n);
    }
    if (in != NULL) {
        fclose(in);
        fclose(out);
    }
}

static void remove_journal(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-lock"};
    for (int i = 0; i < 4; i++) {
        char name[128];
        snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        unlink(name);
    }
}

/* kill -9: the journal goes on as it is on the disk now. What the dying engine still does reaches
 * neither it nor the servers; what was in flight may have happened or not. */
static void crash(struct world *w)
{
    const char *old = w->b.conf.journal_path;
    uint64_t now = loop_now_ms(w->b.loop);
    const char *path = arena_printf(&w->b.conf.arena, "%s/journal-%u.db", w->b.dir, ++w->lives);
    copy_file(old, path, "");
    copy_file(old, path, "-wal");
    fake_outage(w->b.near, now, now + 2000);
    fake_outage(w->b.far, now, now + 2000);
    w->crashing = true;
    engine_bench_stop(&w->b);
    w->crashing = false;
    remove_journal(old);
    assert_true(loop_now_ms(w->b.loop) < now + 2000);
    loop_run_for(w->b.loop, roll(w, 5000));
    w->b.conf.journal_path = path;
    engine_bench_start(&w->b);
    append_lost(w);
}

static void step(struct world *w)
{
    uint64_t what = roll(w, 400);
    if (what == 0) {
        restart(w);
    } else if (what < 4) {
        crash(w);
    } else if (what == 4) {
        uint64_t now = loop_now_ms(w->b.loop);
        fake_outage(roll(w, 2) ? w->b.far : w->b.near, now, now + 1000 + roll(w, 240000));
    } else {
        for (uint64_t n = 1 + roll(w, 4); n > 0; n--) {
            change_key(w);
        }
    }
    loop_run_for(w->b.loop, roll(w, roll(w, 20) == 0 ? 30000 : 400));
    append_lost(w);
    check_world(w);
}

static void check_equal(void *arg, struct span key, const struct fake_object *o)
{
    struct world *w = arg;
    struct fake_object far;
    assert_true(fake_get(w->b.far, "dst", key, &far));
    assert_true(span_eq(o->body, far.body));
}

static void settle(struct world *w)
{
    fake_clear_faults(w->b.near);
    fake_clear_faults(w->b.far);
    loop_run_for(w->b.loop, 300000); /* outages end */
    append_lost(w);
    for (int i = 0; i < 2000; i++) {
        struct rule_lag lag;
        loop_run_for(w->b.loop, 1000);
        check_world(w);
        engine_lag(w->b.engine, RULE, &lag);
        if (lag.counts.failed_objects > 0) {
            engine_bench_retry(&w->b, RULE);
        } else if (lag.counts.pending_objects == 0 && fake_uploads(w->b.far) == 0) {
            return;
        }
    }
    fail_msg("seed %llu: does not come to rest, %zu uploads", (unsigned long long)w->seed,
             fake_uploads(w->b.far));
}

/* The engine's own operations, aborts above all, come on top of the scheduler's. */
static void check_manners(struct fake *f)
{
    struct span all = span_str(fake_violations(f));
    while (!span_is_empty(all)) {
        struct span line = span_cut(&all, '\n');
        if (!span_starts_with(line, span_str("more operations than slots"))) {
            fail_msg("violation: %.*s", SPAN_ARG(line));
        }
    }
}

static void check_end(struct world *w)
{
    int64_t now = loop_wall_ms(w->b.loop);
    fake_each(w->b.near, "src", check_equal, w);
    assert_int_equal(fake_objects(w->b.far, "dst"), fake_objects(w->b.near, "src"));
    assert_int_equal(fake_uploads(w->b.far), 0);
    assert_true(w->watermark_ms >= now - 3000);
    check_manners(w->b.near);
    check_manners(w->b.far);
}

static void run_world(void *arg, uint64_t seed)
{
    (void)arg;
    struct world *w = MEM_NEW(struct world);
    w->seed = seed;
    w->dice = loop_new_virtual(seed * 7919 + 1, 0);
    engine_bench_init(&w->b, seed, 20);
    for (size_t i = 0; i < KEYS; i++) {
        snprintf(w->keys[i].name, sizeof(w->keys[i].name), "pages/%02zu", i);
    }
    engine_bench_start(&w->b);
    struct rule rule = engine_bench_rule(RULE);
    assert_int_equal(engine_bench_put_rule(&w->b, &rule, true, NULL), 0);
    add_faults(w, w->b.near);
    add_faults(w, w->b.far);
    while (w->changes < CHANGES) {
        step(w);
    }
    settle(w);
    check_end(w);
    engine_bench_done(&w->b);
    loop_free(w->dice);
    mem_free(w);
}

static void test_worlds(void **state)
{
    (void)state;
    seeds_run(run_world, NULL, SEEDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_worlds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
