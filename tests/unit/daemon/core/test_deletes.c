/* What becomes of deletes: the brake, what it costs to hear something twice, rules that change. */
#include "daemon/base/mem.h"
#include "tests/unit/support/engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define RULE  "pages"
#define COUNT 60

static struct arena limits; /* of the rules of one test */

static struct rule braked_rule(const char *brake)
{
    struct fail f;
    struct rule rule = engine_bench_rule(RULE);
    assert_int_equal(brake_limit_parse(span_str(brake), &limits, &rule.deletes_brake, &f), 0);
    return rule;
}

static void put_rule(struct engine_bench *b, const char *brake)
{
    struct rule rule = braked_rule(brake);
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
}

static int set_up(void **state)
{
    struct engine_bench *b = mem_alloc(sizeof(*b));
    arena_init(&limits);
    engine_bench_init(b, 11, 10);
    engine_bench_start(b);
    put_rule(b, "1000 or 10% in 10min");
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    engine_bench_done(*state);
    arena_done(&limits);
    mem_free(*state);
    return 0;
}

static const char *name_of(int i)
{
    static char name[16];
    snprintf(name, sizeof(name), "k/%03d", i);
    return name;
}

static void write_all(struct engine_bench *b)
{
    for (int i = 0; i < COUNT; i++) {
        engine_bench_write(b, name_of(i), "body");
    }
    assert_true(engine_bench_settle(b, RULE, 60000));
    assert_int_equal(fake_objects(b->far, "dst"), COUNT);
}

static void told(void *arg, int status, const struct fail *f,
                 const struct engine_append_result *result)
{
    (void)f;
    (void)result;
    *(int *)arg = status;
}

/* Announced in one breath, as `kind`. */
static void remove_some(struct engine_bench *b, int count, enum change_kind kind)
{
    static char names[COUNT][16];
    struct change changes[COUNT];
    int status = 1;
    for (int i = 0; i < count; i++) {
        snprintf(names[i], sizeof(names[i]), "k/%03d", i);
        fake_remove(b->near, "src", span_str(names[i]));
        changes[i] = (struct change){.kind = kind,
                                     .bucket = span_str("src"),
                                     .key = span_str(names[i]),
                                     .feed = span_str("append"),
                                     .size = CHANGE_SIZE_UNKNOWN,
                                     .event_time_ms = loop_wall_ms(b->loop)};
    }
    struct span none = {0};
    engine_append(b->engine, changes, (size_t)count, TASK_LIVE, none, none, told, &status);
    assert_int_equal(engine_bench_wait(b, &status), 0);
}

static uint64_t say(struct engine_bench *b, const char *reason)
{
    struct engine_bench_word w = {.status = 1};
    engine_held_word(b->engine, RULE, span_str(reason), engine_bench_word_fn, &w);
    assert_int_equal(engine_bench_wait(b, &w.status), 0);
    return w.count;
}

static void is_held(struct engine_bench *b, uint64_t count)
{
    struct rule_lag lag = engine_bench_lag(b, RULE);
    assert_int_equal(lag.counts.held_objects, count);
    assert_int_not_equal(lag.brake_since_ms, 0);
    assert_non_null(strstr(lag.brake_why, "10% in 10min allows"));
    assert_int_equal(lag.blocker, LAG_BRAKE);
    assert_non_null(strstr(lag.waits_for, "deletes are held"));
    assert_non_null(strstr(lag.waits_for, "confirm-deletes"));
}

static void test_mass_deletes_are_held_before_the_first(void **state)
{
    struct engine_bench *b = *state;
    write_all(b);
    remove_some(b, 30, CHANGE_DELETE);
    is_held(b, 30);
    assert_int_equal(fake_objects(b->far, "dst"), COUNT);
    int64_t watermark_ms = engine_bench_lag(b, RULE).watermark_ms;
    engine_bench_write(b, "fresh", "puts go on");
    loop_run_for(b->loop, 5000);
    assert_true(engine_bench_has(b, "fresh", "puts go on"));
    assert_int_equal(engine_bench_lag(b, RULE).watermark_ms, watermark_ms);
    struct buf metrics = {0};
    stat_print(b->stats, &metrics);
    assert_non_null(strstr(buf_cstr(&metrics), "repl_rule_delete_brake{rule=\"pages\"} 1"));
    assert_non_null(strstr(buf_cstr(&metrics), "repl_rule_held_deletes{rule=\"pages\"} 30"));
    buf_done(&metrics);
}

struct events_call {
    struct journal_call call;
    struct arena arena;
    size_t count;
    int status;
};

static int run_events(struct backend *b, struct journal_call *call)
{
    struct events_call *c = CONTAINER_OF(call, struct events_call, call);
    struct event_record *rows;
    return b->ops->event_page(b, &c->arena, span_str("ops"), 100, &rows, &c->count);
}

static void events_read(struct journal_call *call)
{
    CONTAINER_OF(call, struct events_call, call)->status = call->status;
}

static size_t brake_events(struct engine_bench *b)
{
    struct events_call c = {.status = 1};
    arena_init(&c.arena);
    c.call.access = JOURNAL_WRITE;
    c.call.run = run_events;
    c.call.done = events_read;
    journal_submit(engine_journal(b->engine), &c.call);
    assert_int_equal(engine_bench_wait(b, &c.status), 0);
    arena_done(&c.arena);
    return c.count;
}

static void test_a_brake_is_told_once(void **state)
{
    static const char *kinds[] = {"brake"};
    struct conf_events target = {.name = "ops",
                                 .url = "http://127.0.0.1:9/",
                                 .kinds = kinds,
                                 .kind_count = 1,
                                 .batch = 10,
                                 .queue = 100};
    struct engine_bench *b = *state;
    b->conf.events = &target;
    b->conf.event_count = 1;
    write_all(b);
    assert_int_equal(brake_events(b), 0);
    remove_some(b, 30, CHANGE_DELETE);
    is_held(b, 30);
    assert_int_equal(brake_events(b), 1);
    engine_bench_stop(b);
    engine_bench_start(b);
    is_held(b, 30);
    assert_int_equal(brake_events(b), 1);
    assert_int_equal(say(b, NULL), 30);
    engine_bench_stop(b);
    b->conf.event_count = 0;
    engine_bench_start(b);
}

static void test_the_brake_survives_a_restart(void **state)
{
    struct engine_bench *b = *state;
    write_all(b);
    remove_some(b, 30, CHANGE_DELETE);
    is_held(b, 30);
    engine_bench_stop(b);
    loop_run_for(b->loop, 3600000); /* longer than its window */
    engine_bench_start(b);
    is_held(b, 30);
    fake_remove(b->near, "src", span_str(name_of(40)));
    engine_bench_append(b, CHANGE_DELETE, name_of(40));
    is_held(b, 31);
    assert_int_equal(fake_objects(b->far, "dst"), COUNT);
    assert_int_equal(say(b, NULL), 31);
    assert_true(engine_bench_settle(b, RULE, 60000));
    assert_int_equal(fake_objects(b->far, "dst"), COUNT - 31);
    struct rule_lag lag = engine_bench_lag(b, RULE);
    assert_int_equal(lag.brake_since_ms, 0);
    assert_int_equal(lag.counts.held_objects, 0);
    assert_int_equal(lag.blocker, LAG_NONE);
    fake_remove(b->near, "src", span_str(name_of(50))); /* the window counts from zero */
    engine_bench_append(b, CHANGE_DELETE, name_of(50));
    assert_true(engine_bench_settle(b, RULE, 60000));
    assert_int_equal(fake_objects(b->far, "dst"), COUNT - 32);
}

static void test_discarded_deletes_stay(void **state)
{
    struct engine_bench *b = *state;
    write_all(b);
    remove_some(b, 30, CHANGE_DELETE);
    is_held(b, 30);
    assert_int_equal(say(b, "an accident"), 30);
    assert_true(engine_bench_settle(b, RULE, 60000));
    assert_int_equal(fake_objects(b->far, "dst"), COUNT);
    struct rule_lag lag = engine_bench_lag(b, RULE);
    assert_int_equal(lag.brake_since_ms, 0);
    assert_true(lag.watermark_ms >= loop_wall_ms(b->loop) - 2000);
    engine_bench_write(b, name_of(3), "again");
    assert_true(engine_bench_settle(b, RULE, 60000));
    assert_true(engine_bench_has(b, name_of(3), "again"));
}

/* One by one, each done before the next. */
static void test_a_trickle_is_counted_within_the_window(void **state)
{
    struct engine_bench *b = *state;
    write_all(b);
    for (int i = 0; i < 25; i++) {
        fake_remove(b->near, "src", span_str(name_of(i)));
        engine_bench_append(b, CHANGE_DELETE, name_of(i));
        loop_run_for(b->loop, 10000);
    }
    is_held(b, 5);
    assert_int_equal(fake_objects(b->far, "dst"), COUNT - BRAKE_SHARE_LEAST);
}

static void test_a_slow_trickle_is_let_through(void **state)
{
    struct engine_bench *b = *state;
    write_all(b);
    for (int i = 0; i < 40; i++) {
        fake_remove(b->near, "src", span_str(name_of(i)));
        engine_bench_append(b, CHANGE_DELETE, name_of(i));
        loop_run_for(b->loop, 60000);
    }
    assert_true(engine_bench_settle(b, RULE, 60000));
    assert_int_equal(fake_objects(b->far, "dst"), COUNT - 40);
}

/* Events of puts whose objects have gone meanwhile are deletes all the same. */
static void test_puts_that_turn_out_to_be_deletes_are_held(void **state)
{
    struct engine_bench *b = *state;
    write_all(b);
    remove_some(b, 30, CHANGE_PUT);
    loop_run_for(b->loop, 5000);
    assert_true(fake_objects(b->far, "dst") >= COUNT - BRAKE_SHARE_LEAST);
    struct rule_lag lag = engine_bench_lag(b, RULE);
    assert_int_equal(lag.counts.held_objects, 30 - (COUNT - fake_objects(b->far, "dst")));
    assert_int_equal(lag.blocker, LAG_BRAKE);
    say(b, NULL);
    assert_true(engine_bench_settle(b, RULE, 60000));
    assert_int_equal(fake_objects(b->far, "dst"), COUNT - 30);
}

static void test_other_rules_go_on(void **state)
{
    struct engine_bench *b = *state;
    struct rule other = braked_rule("1000 or 10% in 10min");
    fake_bucket(b->near, "src2");
    fake_bucket(b->far, "dst2");
    other.name = "other";
    other.source.bucket = "src2";
    other.destination.bucket = "dst2";
    assert_int_equal(engine_bench_put_rule(b, &other, true, NULL), 0);
    write_all(b);
    remove_some(b, 30, CHANGE_DELETE);
    is_held(b, 30);
    struct rule_lag lag = engine_bench_lag(b, "other");
    assert_int_equal(lag.brake_since_ms, 0);
    assert_int_equal(lag.blocker, LAG_NONE);
}

/* What was accepted while the rule propagated deletes. */
static void test_a_rule_that_ignores_deletes_now_makes_none(void **state)
{
    struct engine_bench *b = *state;
    struct rule rule = braked_rule("off");
    write_all(b);
    rule.enabled = false;
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
    remove_some(b, 30, CHANGE_DELETE);
    rule.enabled = true;
    rule.deletes = RULE_DELETES_IGNORE;
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
    assert_true(engine_bench_settle(b, RULE, 60000));
    assert_int_equal(fake_objects(b->far, "dst"), COUNT);
}

static void test_delete_markers_need_versions(void **state)
{
    struct engine_bench *b = *state;
    struct fail f = {0};
    struct rule rule = braked_rule("off");
    rule.deletes = RULE_DELETES_MARKER;
    assert_int_equal(engine_bench_put_rule(b, &rule, false, &f), REPL_EREFUSED);
    assert_non_null(strstr(f.text, "keeps no versions"));
    rule.name = "new";
    rule.destination.bucket = "other";
    fake_bucket(b->far, "other");
    assert_int_equal(engine_bench_put_rule(b, &rule, false, &f), REPL_EREFUSED);
}

/* ---- what it costs ---- */

/* All within the time of one copy. */
static void test_a_thousand_overwrites_cost_two_copies(void **state)
{
    struct engine_bench *b = *state;
    static int statuses[1000];
    for (int i = 0; i < 1000; i++) {
        char body[16];
        struct span none = {0};
        struct change c = {.kind = CHANGE_PUT,
                           .bucket = span_str("src"),
                           .key = span_str("hot"),
                           .feed = span_str("append"),
                           .size = CHANGE_SIZE_UNKNOWN,
                           .event_time_ms = loop_wall_ms(b->loop)};
        snprintf(body, sizeof(body), "version %d", i);
        fake_put(b->near, "src", span_str("hot"), span_str(body), NULL);
        statuses[i] = 1;
        engine_append(b->engine, &c, 1, TASK_LIVE, none, none, told, &statuses[i]);
        loop_run_for(b->loop, i % 100 == 0);
    }
    assert_true(engine_bench_settle(b, RULE, 60000));
    assert_true(engine_bench_has(b, "hot", "version 999"));
    loop_run_for(b->loop, 10000);
    unsigned copies = fake_count(b->far, STORE_PUT);
    assert_true(copies >= 1 && copies <= 2);
    assert_true(fake_count(b->near, STORE_GET) <= 2);
}

static void tell(struct engine_bench *b, enum change_kind kind, const char *key,
                 const char *sequencer, int64_t event_ms)
{
    int status = 1;
    struct fake_object o = {0};
    fake_get(b->near, "src", span_str(key), &o);
    struct change c = {.kind = kind,
                       .bucket = span_str("src"),
                       .key = span_str(key),
                       .etag = kind == CHANGE_PUT ? o.etag : (struct span){0},
                       .sequencer = span_str(sequencer),
                       .feed = span_str("webhook:a"),
                       .size = CHANGE_SIZE_UNKNOWN,
                       .event_time_ms = event_ms};
    struct span none = {0};
    engine_append(b->engine, &c, 1, TASK_LIVE, none, none, told, &status);
    assert_int_equal(engine_bench_wait(b, &status), 0);
}

static unsigned asked(struct engine_bench *b)
{
    unsigned n = 0;
    for (int kind = 0; kind < FAKE_KINDS; kind++) {
        n += fake_count(b->near, (enum store_op_kind)kind);
        n += fake_count(b->far, (enum store_op_kind)kind);
    }
    return n;
}

/* How many requests one more event costs when everything is at rest. */
static unsigned cost_of(struct engine_bench *b, enum change_kind kind, const char *sequencer,
                        int64_t event_ms)
{
    unsigned before = asked(b);
    tell(b, kind, "k", sequencer, event_ms);
    assert_true(engine_bench_settle(b, RULE, 60000));
    return asked(b) - before;
}

static void test_what_is_told_late_costs_a_question_at_most(void **state)
{
    struct engine_bench *b = *state;
    int64_t now = loop_wall_ms(b->loop);
    fake_put(b->near, "src", span_str("k"), span_str("body"), NULL);
    loop_run_for(b->loop, 5000); /* or times of whole seconds do not tell */
    tell(b, CHANGE_PUT, "k", "0a5", now);
    assert_true(engine_bench_settle(b, RULE, 60000));
    assert_int_equal(cost_of(b, CHANGE_PUT, "0A5", now), 0);           /* the same again */
    assert_int_equal(cost_of(b, CHANGE_PUT, "0A50", now), 0);          /* zeros mean nothing */
    assert_int_equal(cost_of(b, CHANGE_PUT, "04", now - 60000), 1);    /* an older one */
    assert_int_equal(cost_of(b, CHANGE_DELETE, "03", now - 90000), 1); /* older still */
    assert_true(engine_bench_has(b, "k", "body"));
    assert_int_equal(fake_count(b->far, STORE_PUT), 1);
    assert_int_equal(fake_count(b->far, STORE_DELETE), 0);
    fake_remove(b->near, "src", span_str("k"));
    tell(b, CHANGE_DELETE, "k", "0B", loop_wall_ms(b->loop));
    assert_true(engine_bench_settle(b, RULE, 60000));
    assert_int_equal(fake_objects(b->far, "dst"), 0);
    unsigned again = cost_of(b, CHANGE_DELETE, "0B", loop_wall_ms(b->loop));
    assert_int_equal(again, 2); /* whether anything is there, and here */
}

#define DELETES_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DELETES_TEST(test_mass_deletes_are_held_before_the_first),
        DELETES_TEST(test_a_brake_is_told_once),
        DELETES_TEST(test_the_brake_survives_a_restart),
        DELETES_TEST(test_discarded_deletes_stay),
        DELETES_TEST(test_a_trickle_is_counted_within_the_window),
        DELETES_TEST(test_a_slow_trickle_is_let_through),
        DELETES_TEST(test_puts_that_turn_out_to_be_deletes_are_held),
        DELETES_TEST(test_other_rules_go_on),
        DELETES_TEST(test_a_rule_that_ignores_deletes_now_makes_none),
        DELETES_TEST(test_delete_markers_need_versions),
        DELETES_TEST(test_a_thousand_overwrites_cost_two_copies),
        DELETES_TEST(test_what_is_told_late_costs_a_question_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
