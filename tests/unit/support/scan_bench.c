#include "tests/unit/support/scan_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

int scan_bench_set_up(void **state)
{
    struct engine_bench *b = mem_alloc(sizeof(*b));
    engine_bench_init(b, 11, 10);
    fake_listing(b->near, 20, false);
    fake_listing(b->far, 50, false);
    b->feeds = true;
    engine_bench_start(b);
    *state = b;
    return 0;
}

int scan_bench_tear_down(void **state)
{
    struct engine_bench *b = *state;
    assert_string_equal(fake_violations(b->near), "");
    assert_string_equal(fake_violations(b->far), "");
    engine_bench_done(b);
    mem_free(b);
    return 0;
}

void scan_bench_put(struct engine_bench *b, int i, const char *suffix)
{
    char key[64];
    snprintf(key, sizeof(key), "k/%05d%s", i, suffix);
    fake_put(b->near, "src", span_str(key), span_str(key), NULL);
}

void scan_bench_fill(struct engine_bench *b, int count)
{
    for (int i = 0; i < count; i++) {
        scan_bench_put(b, i, "");
    }
}

void scan_bench_remove(struct engine_bench *b, int from, int to)
{
    for (int i = from; i < to; i++) {
        char key[64];
        snprintf(key, sizeof(key), "k/%05d", i);
        fake_remove(b->near, "src", span_str(key));
    }
}

struct scan_report scan_bench_report(struct engine_bench *b)
{
    struct scan_report r;
    struct fail f;
    assert_int_equal(engine_scan_report(b->engine, SCAN_RULE, &r, &f), 0);
    return r;
}

void scan_bench_put_rule(struct engine_bench *b, const struct rule *rule)
{
    assert_int_equal(engine_bench_put_rule(b, rule, true, NULL), 0);
}

bool scan_bench_run_pass(struct engine_bench *b, uint64_t limit_ms)
{
    for (uint64_t ms = 0; ms < limit_ms; ms += 100) {
        loop_run_for(b->loop, 100);
        struct scan_report r = scan_bench_report(b);
        if (r.state.phase == SCAN_IDLE && !r.state.is_asked && r.state.ended_ms != 0) {
            return true;
        }
    }
    return false;
}

void scan_bench_scan(struct engine_bench *b)
{
    struct fail f;
    loop_run_for(b->loop, 1000);
    assert_int_equal(engine_scan_begin(b->engine, SCAN_RULE, &f), 0);
    assert_true(scan_bench_run_pass(b, 600000));
}

void scan_bench_start_with(struct engine_bench *b, int count, enum rule_deletes deletes)
{
    struct rule rule = engine_bench_rule(SCAN_RULE);
    rule.existing = true;
    rule.deletes = deletes;
    scan_bench_fill(b, count);
    scan_bench_put_rule(b, &rule);
    assert_true(scan_bench_run_pass(b, 600000));
    assert_true(engine_bench_settle(b, SCAN_RULE, 600000));
    assert_int_equal(fake_objects(b->far, "dst"), count);
}
