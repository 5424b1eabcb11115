/* The engine as repld runs it: a real loop, the journal on its own threads. What the simulation
 * cannot show: messages between threads, stopping in the middle, the thread sanitizer's opinion. */
#include "tests/unit/support/engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define OBJECTS 300
#define RULE    "pages"

struct live {
    struct engine_bench b; /* its loop is a real one here */
    struct timer watch;
    size_t appended;
    bool (*is_over)(struct live *);
    bool stopped;
};

static void watch(void *arg)
{
    struct live *t = arg;
    if (t->is_over(t)) {
        loop_stop(t->b.loop);
    } else {
        timer_start(&t->watch, 5);
    }
}

static void run_until(struct live *t, bool (*is_over)(struct live *))
{
    t->is_over = is_over;
    timer_start(&t->watch, 0);
    loop_run(t->b.loop);
}

static void start(struct live *t)
{
    struct fail f = {0};
    t->b.stats = stat_set_new();
    struct engine_options options = {.loop = t->b.loop,
                                     .stats = t->b.stats,
                                     .conf = &t->b.conf,
                                     .executor = JOURNAL_THREAD,
                                     .make_store = engine_bench_store,
                                     .make_store_arg = &t->b,
                                     .feeds = true};
    assert_int_equal(engine_new(&options, &t->b.engine, &f), 0);
}

static void is_stopped(void *arg)
{
    ((struct live *)arg)->stopped = true;
}

static bool has_stopped(struct live *t)
{
    return t->stopped;
}

static void stop(struct live *t)
{
    t->stopped = false;
    engine_stop(t->b.engine, is_stopped, t);
    run_until(t, has_stopped);
    engine_free(t->b.engine);
    stat_set_free(t->b.stats);
    t->b.engine = NULL;
}

static bool has_rule(struct live *t)
{
    return engine_rule_find(t->b.engine, RULE) != NULL;
}

static bool has_some(struct live *t)
{
    return fake_objects(t->b.far, "dst") >= OBJECTS / 10;
}

static bool has_all(struct live *t)
{
    struct rule_lag lag;
    return fake_objects(t->b.far, "dst") == OBJECTS && engine_lag(t->b.engine, RULE, &lag) == 0 &&
           lag.known && lag.counts.pending_objects == 0;
}

static void appended(void *arg, int status, const struct fail *f,
                     const struct engine_append_result *result)
{
    struct live *t = arg;
    (void)f;
    (void)result;
    assert_int_equal(status, 0);
    t->appended++;
}

static bool has_appended(struct live *t)
{
    return t->appended == OBJECTS;
}

static void append_all(struct live *t)
{
    struct span none = {0};
    for (unsigned i = 0; i < OBJECTS; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%u", i);
        fake_put_random(t->b.near, "src", key, i % 20 == 0 ? 50000 : 500, i);
        struct change c = {.kind = CHANGE_PUT,
                           .bucket = span_str("src"),
                           .key = span_str(key),
                           .feed = span_str("append"),
                           .size = CHANGE_SIZE_UNKNOWN};
        engine_append(t->b.engine, &c, 1, TASK_LIVE, none, none, appended, t);
    }
}

static void ignore(void *arg, int status, const struct fail *f)
{
    (void)arg;
    (void)f;
    assert_int_equal(status, 0);
}

static void test_copies_stops_and_goes_on(void **state)
{
    (void)state;
    struct live t = {0};
    engine_bench_init_on(&t.b, loop_new(1), 1);
    timer_init(&t.watch, t.b.loop, watch, &t);
    start(&t);
    struct rule rule = engine_bench_rule(RULE);
    engine_rule_put(t.b.engine, &rule, false, ignore, NULL);
    run_until(&t, has_rule);
    append_all(&t);
    run_until(&t, has_appended);
    run_until(&t, has_some);
    stop(&t);
    start(&t);
    run_until(&t, has_all);
    stop(&t);
    assert_int_equal(fake_uploads(t.b.far), 0);
    engine_bench_done(&t.b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_copies_stops_and_goes_on)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
