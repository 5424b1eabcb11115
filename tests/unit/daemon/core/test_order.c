/* Order and truth, by seed on virtual time: keys are put, overwritten, deleted and made again while
 * the events that tell of it are doubled, reordered, late, or carry the numbers of a gateway whose
 * clock is behind; requests fail, the engine stops and starts. In the end the destination is as the
 * source. Where events are lost too, a scan (a simple listing) tells of the rest.
 *
 * With two rules in opposite directions both sides are written, what repld writes makes events as
 * well, and in the end both sides are alike and at rest.
 *
 * SEED=n runs one world, SEEDS=n so many of each kind. */
#include "tests/unit/support/engine_bench.h"
#include "tests/unit/support/seeds.h"

#include "daemon/base/hash.h"
#include "daemon/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEEDS     10
#define KEYS      10
#define CHANGES   150
#define BEHIND_MS 4000 /* the slow gateway's clock */

enum kind { WORLD_WHOLE, WORLD_LOSSY, WORLD_TWO_WAY, WORLD_KINDS };

static const char *const kind_names[] = {"whole", "lossy", "two-way"};

struct event {
    struct list link;
    struct world *w;
    struct timer timer;
    enum change_kind kind;
    bool is_far;
    int key;
    int64_t time_ms;
    char sequencer[24];
};

struct world {
    struct engine_bench b;
    struct loop *dice;
    uint64_t seed;
    enum kind kind;
    uint64_t number;    /* of the next write */
    struct list events; /* on their way */
};

static uint64_t roll(struct world *w, uint64_t bound)
{
    return loop_random(w->dice, bound);
}

static const char *key_name(int key)
{
    static char name[8];
    snprintf(name, sizeof(name), "k%d", key);
    return name;
}

/* ---- events ---- */

static void event_free(struct event *ev)
{
    list_remove(&ev->link);
    timer_stop(&ev->timer);
    mem_free(ev);
}

static void schedule(struct event *ev);

/* The sender comes again until it is told that the event is durable. */
static void appended(void *arg, int status, const struct fail *f,
                     const struct engine_append_result *result)
{
    struct event *ev = arg;
    (void)f;
    (void)result;
    if (status == 0) {
        event_free(ev);
    } else {
        schedule(ev);
    }
}

static void deliver(void *arg)
{
    struct event *ev = arg;
    if (ev->w->b.engine == NULL) {
        schedule(ev);
        return;
    }
    struct span none = {0};
    struct change c = {.kind = ev->kind,
                       .endpoint = span_str(ev->is_far ? "far" : "near"),
                       .bucket = span_str(ev->is_far ? "dst" : "src"),
                       .key = span_str(key_name(ev->key)),
                       .sequencer = span_str(ev->sequencer),
                       .feed = span_str("webhook:a"),
                       .size = CHANGE_SIZE_UNKNOWN,
                       .event_time_ms = ev->time_ms};
    engine_append(ev->w->b.engine, &c, 1, TASK_LIVE, none, none, appended, ev);
}

static void schedule(struct event *ev)
{
    uint64_t most[] = {5, 50, 500, 8000};
    timer_start(&ev->timer, 1 + roll(ev->w, most[roll(ev->w, 4)]));
}

static void send(struct world *w, enum change_kind kind, bool is_far, int key)
{
    bool is_slow = roll(w, 5) == 0;
    int64_t time_ms = loop_wall_ms(w->b.loop) - (is_slow ? BEHIND_MS : 0);
    unsigned copies = roll(w, 6) == 0 ? 2 + (unsigned)roll(w, 3) : 1;
    if (w->kind == WORLD_LOSSY && roll(w, 3) == 0) {
        copies = 0;
    }
    w->number++;
    for (unsigned i = 0; i < copies; i++) {
        struct event *ev = MEM_NEW(struct event);
        ev->w = w;
        ev->kind = kind;
        ev->is_far = is_far;
        ev->key = key;
        ev->time_ms = time_ms;
        snprintf(ev->sequencer, sizeof(ev->sequencer), "%011llX%05llX", (unsigned long long)time_ms,
                 (unsigned long long)w->number);
        timer_init(&ev->timer, w->b.loop, deliver, ev);
        list_push_back(&w->events, &ev->link);
        schedule(ev);
    }
}

/* ---- what happens ---- */

static void change_key(struct world *w)
{
    bool is_far = w->kind == WORLD_TWO_WAY && roll(w, 2);
    struct fake *f = is_far ? w->b.far : w->b.near;
    const char *bucket = is_far ? "dst" : "src";
    int key = (int)roll(w, KEYS);
    struct fake_object o;
    bool exists = fake_get(f, bucket, span_str(key_name(key)), &o);
    if (exists && roll(w, 3) == 0) {
        fake_remove(f, bucket, span_str(key_name(key)));
        send(w, CHANGE_DELETE, is_far, key);
    } else {
        size_t size = roll(w, 12) == 0 ? 20000 + roll(w, 40000) : roll(w, 400);
        fake_put_random(f, bucket, key_name(key), size, roll(w, 1000000));
        send(w, CHANGE_PUT, is_far, key);
    }
}

/* What the engine writes makes events, too. */
static void on_write(void *arg, struct fake *f, const struct store_op *op)
{
    struct world *w = arg;
    bool is_far = f == w->b.far;
    if (w->kind != WORLD_TWO_WAY) {
        return;
    }
    if (op->kind == STORE_PUT || op->kind == STORE_COMPLETE) {
        send(w, CHANGE_PUT, is_far, atoi(op->key.ptr + 1));
    } else if (op->kind == STORE_DELETE) {
        send(w, CHANGE_DELETE, is_far, atoi(op->key.ptr + 1));
    }
    for (size_t i = 0; op->kind == STORE_DELETE_MANY && i < op->key_count; i++) {
        send(w, CHANGE_DELETE, is_far, atoi(op->keys[i].ptr + 1));
    }
}

/* A listing beside the other side's. */
static void scan(struct world *w)
{
    for (int key = 0; key < KEYS; key++) {
        struct fake_object o;
        bool here = fake_get(w->b.near, "src", span_str(key_name(key)), &o);
        bool there = fake_get(w->b.far, "dst", span_str(key_name(key)), &o);
        if (here || there) {
            struct span none = {0};
            struct change c = {.kind = here ? CHANGE_PUT : CHANGE_DELETE,
                               .endpoint = span_str("near"),
                               .bucket = span_str("src"),
                               .key = span_str(key_name(key)),
                               .feed = span_str("scan:1"),
                               .size = CHANGE_SIZE_UNKNOWN};
            struct event *ev = MEM_NEW(struct event); /* appended() frees it */
            ev->w = w;
            timer_init(&ev->timer, w->b.loop, deliver, ev);
            list_push_back(&w->events, &ev->link);
            ev->kind = c.kind;
            ev->key = key;
            engine_append(w->b.engine, &c, 1, TASK_LIVE, none, none, appended, ev);
        }
    }
}

static void disturb(struct world *w)
{
    uint64_t what = roll(w, 60);
    uint64_t now = loop_now_ms(w->b.loop);
    if (what == 0) {
        engine_bench_stop(&w->b);
        loop_run_for(w->b.loop, roll(w, 2000));
        engine_bench_start(&w->b);
    } else if (what == 1) {
        fake_outage(roll(w, 2) ? w->b.far : w->b.near, now, now + roll(w, 20000));
    } else if (what == 2 && w->kind != WORLD_TWO_WAY) {
        scan(w);
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

/* ---- the end ---- */

static bool is_at_rest(struct world *w)
{
    static const char *const names[] = {"there", "back"};
    if (!list_is_empty(&w->events) || fake_uploads(w->b.far) + fake_uploads(w->b.near) > 0) {
        return false;
    }
    for (int i = 0; i < 1 + (w->kind == WORLD_TWO_WAY); i++) {
        struct rule_lag lag = engine_bench_lag(&w->b, names[i]);
        if (lag.counts.failed_objects > 0) {
            engine_bench_retry(&w->b, names[i]);
        }
        if (!lag.known || lag.counts.pending_objects + lag.counts.failed_objects > 0) {
            return false;
        }
    }
    return list_is_empty(&w->events);
}

static void settle(struct world *w)
{
    fake_clear_faults(w->b.near);
    fake_clear_faults(w->b.far);
    loop_run_for(w->b.loop, 60000);
    for (int i = 0; i < 3000; i++) {
        if (is_at_rest(w)) {
            return;
        }
        loop_run_for(w->b.loop, 1000);
    }
    fail_msg("%s world, seed %llu: does not come to rest", kind_names[w->kind],
             (unsigned long long)w->seed);
}

static void check_equal(struct world *w)
{
    for (int key = 0; key < KEYS; key++) {
        struct fake_object near = {0}, far = {0};
        bool here = fake_get(w->b.near, "src", span_str(key_name(key)), &near);
        bool there = fake_get(w->b.far, "dst", span_str(key_name(key)), &far);
        if (here != there || !span_eq(near.body, far.body)) {
            fail_msg("%s world, seed %llu: %s %s, %s", kind_names[w->kind],
                     (unsigned long long)w->seed, key_name(key),
                     here ? "is at the source" : "is not at the source",
                     !there ? "not at the destination"
                     : here ? "and another one at the destination"
                            : "but at the destination");
        }
    }
}

static void add_rule(struct world *w, const char *name, bool back)
{
    struct rule rule = engine_bench_rule(name);
    rule.two_way = w->kind == WORLD_TWO_WAY;
    if (back) {
        rule.source = (struct rule_place){"far", "dst", ""};
        rule.destination = (struct rule_place){"near", "src", ""};
    }
    assert_int_equal(engine_bench_put_rule(&w->b, &rule, true, NULL), 0);
}

static void run_world(enum kind kind, uint64_t seed)
{
    struct world *w = MEM_NEW(struct world);
    w->kind = kind;
    w->seed = seed;
    w->dice = loop_new_virtual(seed * 104729 + (uint64_t)kind, 0);
    list_init(&w->events);
    engine_bench_init(&w->b, seed, 1 + roll(w, 40));
    engine_bench_start(&w->b);
    add_rule(w, "there", false);
    if (kind == WORLD_TWO_WAY) {
        add_rule(w, "back", true);
    }
    fake_hook(w->b.near, on_write, w);
    fake_hook(w->b.far, on_write, w);
    add_faults(w, w->b.near);
    add_faults(w, w->b.far);
    for (int i = 0; i < CHANGES; i++) {
        change_key(w);
        disturb(w);
        loop_run_for(w->b.loop, roll(w, roll(w, 8) == 0 ? 6000 : 60));
    }
    settle(w);
    if (kind == WORLD_LOSSY) {
        scan(w);
        settle(w);
    }
    check_equal(w);
    fake_hook(w->b.near, NULL, NULL);
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

static void test_events_alone(void **state)
{
    (void)state;
    run_worlds(WORLD_WHOLE);
}

static void test_lost_events_and_scans(void **state)
{
    (void)state;
    run_worlds(WORLD_LOSSY);
}

static void test_two_ways(void **state)
{
    (void)state;
    run_worlds(WORLD_TWO_WAY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_alone),
        cmocka_unit_test(test_lost_events_and_scans),
        cmocka_unit_test(test_two_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
