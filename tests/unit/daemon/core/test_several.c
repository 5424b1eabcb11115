/* Several hosts with one rule between the same buckets: whatever each of them is told, and in which
 * order, the destination ends as the source is; and one of them looks at the whole bucket. */
#include "daemon/base/mem.h"
#include "tests/unit/support/engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define RULE     "pages"
#define START_MS 1790000000000
#define KEYS     6

struct pair {
    struct engine_bench a;
    struct engine_bench b;
    struct fake *spare_near;
    struct fake *spare_far;
};

static void add_rule(struct engine_bench *b, bool existing)
{
    struct rule rule = engine_bench_rule(RULE);
    rule.shared = true;
    rule.existing = existing;
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
}

static uint64_t latency_ms = 20;

static struct pair *make(uint64_t seed, enum store_conditional conditional, bool existing)
{
    struct pair *p = MEM_NEW(struct pair);
    struct loop *loop = loop_new_virtual(seed, START_MS);
    engine_bench_init_on(&p->a, loop, latency_ms);
    engine_bench_init_on(&p->b, loop, latency_ms);
    p->spare_near = p->b.near;
    p->spare_far = p->b.far;
    p->b.near = p->a.near;
    p->b.far = p->a.far;
    p->a.conf.instance = "host-a";
    p->b.conf.instance = "host-b";
    fake_store(p->a.far)->features.conditional = conditional;
    engine_bench_start(&p->a);
    engine_bench_start(&p->b);
    add_rule(&p->a, existing);
    add_rule(&p->b, existing);
    return p;
}

static void drop(struct pair *p)
{
    engine_bench_stop(&p->a);
    engine_bench_stop(&p->b);
    fake_free(p->a.near);
    fake_free(p->a.far);
    p->a.near = p->spare_near; /* the benches free two pairs and one loop */
    p->a.far = p->spare_far;
    p->b.near = NULL;
    p->b.far = NULL;
    struct loop *loop = p->b.loop;
    p->b.loop = NULL;
    engine_bench_done(&p->b);
    p->a.loop = loop;
    engine_bench_done(&p->a);
    mem_free(p);
}

static struct engine_bench *one_of(struct pair *p)
{
    return loop_random(p->a.loop, 2) == 0 ? &p->a : &p->b;
}

static void tell(struct engine_bench *b, enum change_kind kind, const char *key)
{
    engine_bench_append(b, kind, key);
}

static void change(struct pair *p, unsigned n)
{
    char key[8], body[32];
    struct loop *loop = p->a.loop;
    snprintf(key, sizeof(key), "k%u", (unsigned)loop_random(loop, KEYS));
    snprintf(body, sizeof(body), "body %u", n);
    enum change_kind kind = loop_random(loop, 4) == 0 ? CHANGE_DELETE : CHANGE_PUT;
    if (kind == CHANGE_DELETE) {
        fake_remove(p->a.near, "src", span_str(key));
    } else if (loop_random(loop, 6) == 0) {
        fake_put_random(p->a.near, "src", key, 40000, n); /* in parts */
    } else {
        fake_put(p->a.near, "src", span_str(key), span_str(body), NULL);
    }
    tell(one_of(p), kind, key);
    if (loop_random(loop, 3) == 0) {
        tell(one_of(p), kind, key);
    }
    loop_run_for(loop, loop_random(loop, 120));
}

struct comparison {
    struct fake *other;
    const char *bucket;
    unsigned differing;
};

static void look(void *arg, struct span key, const struct fake_object *o)
{
    struct comparison *c = arg;
    struct fake_object other;
    if (span_starts_with(key, span_str("_repl/"))) {
        return;
    }
    c->differing += !fake_get(c->other, c->bucket, key, &other) || !span_eq(other.body, o->body);
}

static unsigned differing(struct pair *p)
{
    struct comparison there = {.other = p->a.far, .bucket = "dst"};
    struct comparison back = {.other = p->a.near, .bucket = "src"};
    fake_each(p->a.near, "src", look, &there);
    fake_each(p->a.far, "dst", look, &back);
    return there.differing + back.differing;
}

static void one_run(uint64_t seed, enum store_conditional conditional)
{
    struct pair *p = make(seed, conditional, false);
    struct fake_fault slow = {.kind = STORE_PUT, .permille = 300, .slow_ms = 3000};
    fake_fault(p->a.far, &slow);
    for (unsigned n = 0; n < 150; n++) {
        change(p, n);
    }
    assert_true(engine_bench_settle(&p->a, RULE, 600000));
    assert_true(engine_bench_settle(&p->b, RULE, 600000));
    unsigned wrong = differing(p);
    const char *violations = fake_violations(p->a.far);
    if (wrong != 0 || violations[0] != '\0') {
        fail_msg("seed %llu: %u keys differ %s", (unsigned long long)seed, wrong, violations);
    }
    drop(p);
}

static void test_destination_ends_as_the_source(void **state)
{
    (void)state;
    latency_ms = 300; /* much is under way when the next change comes */
    for (uint64_t seed = 1; seed <= 20; seed++) {
        one_run(seed, STORE_CONDITIONAL_QUOTED);
    }
    latency_ms = 20;
}

/* What it costs: one request for a new object, and one for the next version of it. */
static void test_small_objects_cost_one_request_each(void **state)
{
    (void)state;
    struct pair *p = make(77, STORE_CONDITIONAL_QUOTED, false);
    loop_run_for(p->a.loop, 5000); /* who looks at the whole bucket is settled */
    unsigned heads = fake_count(p->a.far, STORE_HEAD), puts = fake_count(p->a.far, STORE_PUT);
    for (int i = 0; i < 3; i++) {
        char body[16];
        snprintf(body, sizeof(body), "%d", i);
        engine_bench_write(&p->a, "k", body);
        assert_true(engine_bench_settle(&p->a, RULE, 60000));
    }
    assert_int_equal(fake_count(p->a.far, STORE_HEAD), heads);
    assert_in_range(fake_count(p->a.far, STORE_PUT), puts + 3, puts + 4); /* one sign of life */
    drop(p);
}

/* Slow to write what it has read, while the other host brings the next version. */
static void test_older_version_does_not_go_over_a_newer_one(void **state)
{
    enum store_conditional conditional = *(enum store_conditional *)*state;
    struct pair *p = make(5, conditional, false);
    struct fake_fault slow = {.kind =
                                  conditional == STORE_CONDITIONAL_NONE ? STORE_HEAD : STORE_PUT,
                              .key = "k",
                              .count = 1,
                              .slow_ms = 5000};
    fake_fault(p->a.far, &slow);
    fake_put(p->a.near, "src", span_str("k"), span_str("old"), NULL);
    tell(&p->a, CHANGE_PUT, "k");
    loop_run_for(p->a.loop, 1500);
    fake_put(p->a.near, "src", span_str("k"), span_str("new"), NULL);
    tell(&p->b, CHANGE_PUT, "k");
    assert_true(engine_bench_settle(&p->b, RULE, 60000));
    assert_true(engine_bench_has(&p->b, "k", "new"));
    assert_true(engine_bench_settle(&p->a, RULE, 60000));
    assert_true(engine_bench_has(&p->a, "k", "new"));
    drop(p);
}

static void test_one_lists_and_the_other_takes_over(void **state)
{
    (void)state;
    struct pair *p = make(9, STORE_CONDITIONAL_UNKNOWN, true);
    for (int i = 0; i < 50; i++) {
        char key[16];
        snprintf(key, sizeof(key), "old/%02d", i);
        fake_put(p->a.near, "src", span_str(key), span_str(key), NULL);
    }
    loop_run_for(p->a.loop, 60000);
    bool first_is_a = engine_owns(p->a.engine, RULE);
    struct engine_bench *first = first_is_a ? &p->a : &p->b, *second = first_is_a ? &p->b : &p->a;
    assert_true(engine_owns(first->engine, RULE));
    assert_false(engine_owns(second->engine, RULE));
    assert_int_equal(differing(p), 0);
    assert_int_equal(engine_bench_lag(first, RULE).listed, 50);
    assert_int_equal(engine_bench_lag(second, RULE).listed, 0);
    const char *trouble;
    assert_string_equal(engine_owner(second->engine, RULE, &trouble), first->conf.instance);

    engine_bench_stop(first);
    loop_run_for(p->a.loop, 60000);
    assert_true(engine_owns(second->engine, RULE));
    assert_int_equal(engine_bench_lag(second, RULE).listed, 50);
    assert_int_equal(engine_bench_lag(second, RULE).listed_equal, 50);
    engine_bench_start(first);
    drop(p);
}

static void test_operator_names_the_host(void **state)
{
    (void)state;
    struct pair *p = make(10, STORE_CONDITIONAL_NONE, false);
    struct rule rule = engine_bench_rule(RULE);
    rule.shared = true;
    rule.scan_host = "host-b";
    assert_int_equal(engine_bench_put_rule(&p->a, &rule, true, NULL), 0);
    assert_int_equal(engine_bench_put_rule(&p->b, &rule, true, NULL), 0);
    assert_false(engine_owns(p->a.engine, RULE));
    assert_true(engine_owns(p->b.engine, RULE));
    drop(p);
}

static enum store_conditional with = STORE_CONDITIONAL_QUOTED, without = STORE_CONDITIONAL_NONE;

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_destination_ends_as_the_source),
        cmocka_unit_test(test_small_objects_cost_one_request_each),
        cmocka_unit_test_prestate(test_older_version_does_not_go_over_a_newer_one, &with),
        cmocka_unit_test_prestate(test_older_version_does_not_go_over_a_newer_one, &without),
        cmocka_unit_test(test_one_lists_and_the_other_takes_over),
        cmocka_unit_test(test_operator_names_the_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
