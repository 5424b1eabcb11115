/* Who gets how much, through a whole engine on virtual time: classes of work, and limits. */
#include "tests/unit/support/engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- classes ---- */

static size_t count_prefix(struct engine_bench *b, const char *prefix, int count)
{
    size_t n = 0;
    for (int i = 0; i < count; i++) {
        char key[32];
        struct fake_object o;
        snprintf(key, sizeof(key), "%s%d", prefix, i);
        n += fake_get(b->far, "dst", span_str(key), &o);
    }
    return n;
}

static void set_paused(struct engine_bench *b, bool paused)
{
    struct rule rule = engine_bench_rule(ENGINE_BENCH_RULE);
    rule.enabled = !paused;
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
}

/* Behind a backlog that is past its objective fresh work has its share, and the backlog is counted
 * and taken from both ends. */
static void test_fresh_work_passes_a_late_backlog(void **state)
{
    struct engine_bench *b = *state;
    set_paused(b, true);
    for (int i = 0; i < 300; i++) {
        char key[32];
        snprintf(key, sizeof(key), "late%d", i);
        engine_bench_write(b, key, "1");
    }
    loop_run_for(b->loop, 660000);
    for (int i = 0; i < 40; i++) {
        char key[32];
        snprintf(key, sizeof(key), "fresh%d", i);
        engine_bench_write(b, key, "1");
    }
    assert_int_equal(engine_bench_lag(b, ENGINE_BENCH_RULE).counts.late_objects, 300);
    assert_int_equal(engine_bench_lag(b, ENGINE_BENCH_RULE).counts.pending_objects, 340);
    set_paused(b, false);
    for (int i = 0; i < 1000 && count_prefix(b, "fresh", 40) < 40; i++) {
        loop_run_for(b->loop, 1);
    }
    size_t late = count_prefix(b, "late", 300);
    assert_int_equal(count_prefix(b, "fresh", 40), 40);
    assert_in_range(late, 5, 60);
    assert_in_range(count_prefix(b, "late", 150), late / 2 - 2, late / 2 + 2);
    assert_true(engine_bench_settle(b, ENGINE_BENCH_RULE, 20000));
    struct rule_lag lag = engine_bench_lag(b, ENGINE_BENCH_RULE);
    assert_int_equal(lag.counts.late_objects, 0);
    assert_int_equal(lag.counts.late_bytes, 0);
}

/* ---- limits ---- */

static void write_many(struct engine_bench *b, const char *prefix, int count)
{
    char body[1000];
    memset(body, 'x', sizeof(body) - 1);
    body[sizeof(body) - 1] = 0;
    engine_bench_write_many(b, prefix, count, body);
}

static uint64_t sent_in(struct engine_bench *b, uint64_t ms)
{
    uint64_t before = fake_body_bytes(b->far);
    loop_run_for(b->loop, ms);
    return fake_body_bytes(b->far) - before;
}

/* The limit of the minutes to come, from one minute to the next. */
static struct limit next_minutes(struct engine_bench *b, unsigned from, unsigned to,
                                 struct arena *a)
{
    struct fail f;
    struct limit l;
    unsigned now = time_minute_of_day(loop_wall_ms(b->loop));
    unsigned x = (now + from) % 1440, y = (now + to) % 1440;
    const char *text =
        arena_printf(a, "%02u:%02u-%02u:%02u 2kB/s, 4kB/s", x / 60, x % 60, y / 60, y % 60);
    assert_int_equal(limit_parse_bandwidth(span_str(text), a, &l, &f), 0);
    return l;
}

static void test_limit_follows_its_timetable(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = engine_bench_rule(ENGINE_BENCH_RULE);
    rule.enabled = false;
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
    write_many(b, "k", 800);
    rule.enabled = true;
    rule.bandwidth = next_minutes(b, 2, 4, &b->conf.arena);
    loop_run_for(b->loop, 60000 - (uint64_t)(loop_wall_ms(b->loop) % 60000));
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
    loop_run_for(b->loop, 2000);
    assert_in_range(sent_in(b, 56000), 215000, 233000); /* 4 kB/s */
    assert_string_equal(engine_limit_now(b->engine, &rule.bandwidth), "4kB/s");
    loop_run_for(b->loop, 4000);
    assert_in_range(sent_in(b, 56000), 105000, 119000); /* 2 kB/s */
    assert_string_equal(engine_limit_now(b->engine, &rule.bandwidth), "2kB/s");
    loop_run_for(b->loop, 64000);
    assert_in_range(sent_in(b, 56000), 215000, 233000);
    rule.bandwidth = (struct limit){0};
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
    assert_true(engine_bench_settle(b, ENGINE_BENCH_RULE, 20000));
    assert_int_equal(fake_objects(b->far, "dst"), 800);
}

/* A reload changes the limit of an endpoint without touching the work. */
static void test_reload_changes_a_limit(void **state)
{
    struct engine_bench *b = *state;
    struct conf conf = b->conf;
    struct conf_endpoint endpoints[2] = {b->endpoints[0], b->endpoints[1]};
    struct fail f = {0};
    conf.endpoints = endpoints;
    assert_int_equal(
        limit_parse_requests(span_str("5/s"), &b->conf.arena, &endpoints[1].requests, &f), 0);
    assert_int_equal(engine_reload(b->engine, &conf, &f), 0);
    write_many(b, "k", 100);
    unsigned before = fake_count(b->far, STORE_PUT);
    loop_run_for(b->loop, 10000);
    assert_in_range(fake_count(b->far, STORE_PUT) - before, 45, 52);
    assert_int_equal(engine_reload(b->engine, &b->conf, &f), 0);
    assert_true(engine_bench_settle(b, ENGINE_BENCH_RULE, 5000));
    assert_int_equal(fake_objects(b->far, "dst"), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENGINE_BENCH_TEST(test_fresh_work_passes_a_late_backlog),
        ENGINE_BENCH_TEST(test_limit_follows_its_timetable),
        ENGINE_BENCH_TEST(test_reload_changes_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
