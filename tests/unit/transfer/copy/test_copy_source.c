/* One copy at a time: a source that changes, goes, or is one version of many. */
#include "tests/unit/support/copy_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void named_version_is_copied(void **state)
{
    (void)state;
    for (size_t size = 1000; size < 50000; size += 40000) {
        struct bench_options o = {.from = {.latency_ms = 5, .versions = true}};
        struct bench *b = bench_new(&o);
        struct span etag = fake_put_random(b->from, "src", "k", size, 1);
        struct fake_object old, now;
        assert_true(fake_get(b->from, "src", span_str("k"), &old));
        fake_put_random(b->from, "src", "k", size, 2);
        struct bench_job *j = bench_add(b, "k", COPY_OBJECT);
        j->version_id = old.version_id;
        assert_true(bench_run(b, BENCH_HOUR_MS, false));
        assert_int_equal(j->outcome.end, COPY_DONE);
        assert_true(span_eq(j->outcome.source.etag, etag));
        assert_true(fake_get(b->to, "dst", span_str("k"), &now));
        assert_true(span_eq(now.body, old.body));
        bench_free(b);
    }
}

static void gone_source_is_skipped(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    struct bench_job *j = bench_add(b, "a", COPY_OBJECT);
    bench_run_to(b, COPY_SKIPPED);
    assert_string_equal(j->outcome.skip_reason, "object is not at the source any more");
    bench_free(b);
}

struct changer {
    struct bench *bench;
    unsigned at; /* the nth GET */
    unsigned seen;
    unsigned times;
    size_t size;
    uint64_t seed;
    bool removes;
};

static void change_source(void *arg, struct fake *f, const struct store_op *op)
{
    struct changer *c = arg;
    if (op->kind != STORE_GET || ++c->seen < c->at || c->times == 0) {
        return;
    }
    c->times--;
    c->seen = 0;
    if (c->removes) {
        fake_remove(f, "src", op->key);
    } else {
        fake_put_random(f, "src", "big", c->size, c->seed++);
    }
}

static void changed_source_is_never_mixed(void **state)
{
    (void)state;
    for (unsigned at = 1; at < 12; at++) {
        struct bench *b = bench_near_far();
        struct changer c = {.at = at, .times = 2, .size = 30000 + at, .seed = 99};
        bench_copy_one(b, "big", 40000);
        fake_hook(b->from, change_source, &c);
        bench_run_to(b, COPY_DONE);
        bench_free(b);
    }
}

static void server_without_pins_is_found_out(void **state)
{
    (void)state;
    for (unsigned at = 2; at < 12; at++) {
        struct bench_options o = {.from = {.latency_ms = 5, .ignores_pins = true}};
        struct bench *b = bench_new(&o);
        struct changer c = {.bench = b, .at = at, .times = 1, .size = 40000, .seed = 99};
        bench_copy_one(b, "big", 40000);
        fake_hook(b->from, change_source, &c);
        bench_run_to(b, COPY_DONE);
        bench_free(b);
    }
}

static void etag_that_is_no_md5_costs_only_the_md5(void **state)
{
    (void)state;
    struct bench_options o = {.from = {.odd_etags = true}};
    struct bench *b = bench_new(&o);
    bench_copy_one(b, "s", 1000);
    bench_copy_one(b, "l", 10000);
    bench_run_to(b, COPY_DONE);
    bench_free(b);
}

static void source_that_never_rests_fails(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    struct changer c = {.at = 3, .times = 1000, .size = 40000, .seed = 99};
    struct bench_job *j = bench_copy_one(b, "big", 40000);
    fake_hook(b->from, change_source, &c);
    bench_run_to(b, COPY_FAILED);
    assert_int_equal(j->outcome.fail.code, REPL_ECHANGED);
    assert_true(j->outcome.source_side);
    assert_int_equal(b->abandoned_count, 4);
    bench_free(b);
}

static void source_removed_midway_leaves_no_upload(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
    struct changer c = {.at = 4, .times = 1, .removes = true};
    bench_copy_one(b, "big", 40000);
    fake_hook(b->from, change_source, &c);
    bench_run_to(b, COPY_SKIPPED);
    assert_int_equal(b->abandoned_count, 1);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(named_version_is_copied),
        cmocka_unit_test(gone_source_is_skipped),
        cmocka_unit_test(changed_source_is_never_mixed),
        cmocka_unit_test(server_without_pins_is_found_out),
        cmocka_unit_test(etag_that_is_no_md5_costs_only_the_md5),
        cmocka_unit_test(source_that_never_rests_fails),
        cmocka_unit_test(source_removed_midway_leaves_no_upload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
