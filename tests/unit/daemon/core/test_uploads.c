/* Uploads that a deleted rule leaves: gone soon, whatever the moment; others' are not touched. */
#include "daemon/base/mem.h"
#include "tests/unit/support/engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define RULE "pages"
#define SIZE 60000 /* in four parts */

static struct engine_bench *begin(void)
{
    struct engine_bench *b = mem_alloc(sizeof(*b));
    engine_bench_init(b, 7, 10);
    engine_bench_start(b);
    struct rule rule = engine_bench_rule(RULE);
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
    return b;
}

static void end(struct engine_bench *b)
{
    engine_bench_done(b);
    mem_free(b);
}

static void write_large(struct engine_bench *b)
{
    fake_put_random(b->near, "src", "k", SIZE, 1);
    engine_bench_append(b, CHANGE_PUT, "k");
}

static void delete_rule(struct engine_bench *b)
{
    int status = 1;
    engine_rule_delete(b->engine, RULE, engine_bench_done_fn, &status);
    assert_int_equal(engine_bench_wait(b, &status), 0);
}

/* The name is free again when nothing is left of the rule. */
static bool is_free(struct engine_bench *b)
{
    struct rule rule = engine_bench_rule(RULE);
    return engine_bench_put_rule(b, &rule, true, NULL) == 0;
}

static void run_until_count(struct engine_bench *b, enum store_op_kind kind, unsigned count)
{
    for (int i = 0; i < 10000 && fake_count(b->far, kind) < count; i++) {
        loop_run_for(b->loop, 1);
    }
    assert_int_equal(fake_count(b->far, kind), count);
}

static void deleted_at_any_moment_before_complete(void **state)
{
    (void)state;
    for (uint64_t at = 0; at < 60; at++) {
        struct engine_bench *b = begin();
        fake_fault(b->far, &(struct fake_fault){.kind = STORE_PART, .slow_ms = 1000});
        write_large(b);
        loop_run_for(b->loop, at);
        delete_rule(b);
        loop_run_for(b->loop, 20000);
        assert_int_equal(fake_uploads(b->far), 0);
        assert_true(is_free(b));
        end(b);
    }
}

/* Its answer names what is to be aborted, so it is waited for. */
static void create_under_way_is_waited_for(void **state)
{
    (void)state;
    struct engine_bench *b = begin();
    fake_fault(b->far, &(struct fake_fault){.kind = STORE_CREATE, .slow_ms = 5000});
    write_large(b);
    loop_run_for(b->loop, 1000);
    assert_int_equal(fake_in_flight(b->far), 1);
    delete_rule(b);
    loop_run_for(b->loop, 1000);
    assert_int_equal(fake_in_flight(b->far), 1);
    loop_run_for(b->loop, 20000);
    assert_int_equal(fake_count(b->far, STORE_ABORT), 1);
    assert_int_equal(fake_uploads(b->far), 0);
    assert_int_equal(fake_count(b->far, STORE_LIST_UPLOADS), 0);
    assert_true(is_free(b));
    end(b);
}

/* Create has no answer and did happen. Uploads of the same key are there that are not ours: one
 * from before, and one with a part. */
static void lost_create_is_found_among_others(void **state)
{
    (void)state;
    struct engine_bench *b = begin();
    struct span key = span_str("k");
    fake_create(b->far, "dst", key);
    loop_run_for(b->loop, 5000);
    fake_fault(b->far, &(struct fake_fault){
                           .kind = STORE_CREATE, .slow_ms = 1000, .lost = true, .count = 1});
    write_large(b);
    loop_run_for(b->loop, 500);
    struct span busy = fake_create(b->far, "dst", key);
    fake_part(b->far, busy, 1, span_str("theirs"));
    delete_rule(b);
    run_until_count(b, STORE_CREATE, 1);
    assert_int_equal(fake_uploads(b->far), 3);
    loop_run_for(b->loop, 300000);
    assert_int_equal(fake_count(b->far, STORE_ABORT), 1);
    assert_int_equal(fake_uploads(b->far), 2);
    assert_true(is_free(b));
    end(b);
}

/* The connection is lost, and Create happens all the same, a while later. */
static void late_create_is_found(void **state)
{
    (void)state;
    struct engine_bench *b = begin();
    fake_fault(b->far, &(struct fake_fault){
                           .kind = STORE_CREATE, .slow_ms = 1000, .in_vain = true, .count = 1});
    write_large(b);
    loop_run_for(b->loop, 500);
    delete_rule(b);
    loop_run_for(b->loop, 20000);
    fake_create(b->far, "dst", span_str("k"));
    loop_run_for(b->loop, 300000);
    assert_int_equal(fake_uploads(b->far), 0);
    assert_true(is_free(b));
    end(b);
}

static void reload(struct engine_bench *b, struct conf *conf, unsigned connections)
{
    struct fail f;
    *conf = b->conf;
    conf->endpoints = mem_array(2, sizeof(*conf->endpoints));
    memcpy(conf->endpoints, b->endpoints, sizeof(b->endpoints));
    conf->endpoints[1].connections = connections;
    assert_int_equal(engine_reload(b->engine, conf, &f), 0);
}

static void copy_is_done(struct engine_bench *b)
{
    assert_true(engine_bench_settle(b, RULE, 20000));
    assert_int_equal(fake_objects(b->far, "dst"), 1);
}

/* A reload closes the store under a Create that has left. The copy that follows looks for what it
 * made, finds nothing, and is done before the server has made it. */
/* Two reloads, each in the middle of a Create; the copy is done, and the intention stands. */
static void cut_two_creates(struct engine_bench *b, struct conf conf[2])
{
    fake_fault(b->far, &(struct fake_fault){.kind = STORE_CREATE, .slow_ms = 5000, .count = 2});
    write_large(b);
    for (unsigned i = 0; i < 2; i++) { /* the second time an intention stands already */
        loop_run_for(b->loop, 2000);
        reload(b, &conf[i], 30 + i);
    }
    copy_is_done(b);
    assert_int_equal(fake_uploads(b->far), 0);
}

static void create_cut_by_a_reload_lands_after_the_next_copy(void **state)
{
    (void)state;
    struct engine_bench *b = begin();
    struct conf conf[2];
    cut_two_creates(b, conf);
    fake_create(b->far, "dst", span_str("k"));
    fake_create(b->far, "dst", span_str("k"));
    loop_run_for(b->loop, 300000);
    assert_int_equal(fake_uploads(b->far), 0);
    fake_create(b->far, "dst", span_str("k")); /* no intention stands: it is another's */
    loop_run_for(b->loop, 900000);
    assert_int_equal(fake_uploads(b->far), 1);
    end(b);
    mem_free(conf[0].endpoints);
    mem_free(conf[1].endpoints);
}

/* The server could not be asked for long: what was begun so late is not of our Creates. */
static void upload_begun_long_after_the_intention_stays(void **state)
{
    (void)state;
    struct engine_bench *b = begin();
    struct conf conf[2];
    cut_two_creates(b, conf);
    fake_fault(b->far, &(struct fake_fault){.kind = STORE_LIST_UPLOADS, .code = REPL_ESERVER});
    fake_create(b->far, "dst", span_str("k"));
    loop_run_for(b->loop, 3600000);
    fake_create(b->far, "dst", span_str("k"));
    fake_clear_faults(b->far);
    loop_run_for(b->loop, 3600000);
    assert_int_equal(fake_uploads(b->far), 1);
    end(b);
    mem_free(conf[0].endpoints);
    mem_free(conf[1].endpoints);
}

/* A rule of another name has the same destination now. Its upload of the key is new, and empty. */
static void upload_of_the_next_rule_stays(void **state)
{
    (void)state;
    struct engine_bench *b = begin();
    fake_fault(b->far, &(struct fake_fault){
                           .kind = STORE_CREATE, .slow_ms = 1000, .in_vain = true, .count = 1});
    write_large(b);
    loop_run_for(b->loop, 500);
    delete_rule(b);
    run_until_count(b, STORE_CREATE, 1);
    struct rule next = engine_bench_rule("next");
    assert_int_equal(engine_bench_put_rule(b, &next, true, NULL), 0);
    fake_fault(b->far, &(struct fake_fault){.kind = STORE_PART, .code = REPL_ESERVER});
    write_large(b);
    run_until_count(b, STORE_CREATE, 2);
    loop_run_for(b->loop, 300000);
    assert_int_equal(fake_count(b->far, STORE_ABORT), 0);
    fake_clear_faults(b->far);
    assert_true(engine_bench_settle(b, "next", 3600000));
    assert_int_equal(fake_count(b->far, STORE_CREATE), 2);
    assert_int_equal(fake_uploads(b->far), 0);
    assert_false(is_free(b)); /* the next one has its destination */
    end(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deleted_at_any_moment_before_complete),
        cmocka_unit_test(create_under_way_is_waited_for),
        cmocka_unit_test(lost_create_is_found_among_others),
        cmocka_unit_test(late_create_is_found),
        cmocka_unit_test(create_cut_by_a_reload_lands_after_the_next_copy),
        cmocka_unit_test(upload_begun_long_after_the_intention_stays),
        cmocka_unit_test(upload_of_the_next_rule_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
