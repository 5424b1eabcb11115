#include "tests/unit/support/engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/support/folder.h"

#define START_WALL_MS 1790000000000

int engine_bench_store(void *bench, const struct conf_endpoint *endpoint, struct store **ret,
                       struct fail *f)
{
    struct engine_bench *b = bench;
    (void)f;
    if (strcmp(endpoint->url, "spare") == 0) {
        *ret = fake_store(b->spare);
    } else {
        *ret = fake_store(strcmp(endpoint->name, "near") == 0 ? b->near : b->far);
    }
    return 0;
}

static struct fake *make_fake(struct engine_bench *b, const char *name, uint64_t latency_ms)
{
    return fake_new(&(struct fake_options){
        .loop = b->loop, .name = name, .latency_ms = latency_ms, .jitter_ms = latency_ms});
}

void engine_bench_init(struct engine_bench *b, uint64_t seed, uint64_t latency_ms)
{
    engine_bench_init_on(b, loop_new_virtual(seed, START_WALL_MS), latency_ms);
}

void engine_bench_init_on(struct engine_bench *b, struct loop *loop, uint64_t latency_ms)
{
    memset(b, 0, sizeof(*b));
    b->loop = loop;
    test_folder(b->dir, sizeof(b->dir));
    b->near = make_fake(b, "near", latency_ms);
    b->far = make_fake(b, "far", latency_ms);
    fake_bucket(b->near, "src");
    fake_bucket(b->far, "dst");
    b->endpoints[0] = (struct conf_endpoint){.name = "near", .kind = "s3", .url = "fake"};
    b->endpoints[1] = (struct conf_endpoint){.name = "far", .kind = "s3", .url = "fake"};
    arena_init(&b->conf.arena);
    b->conf.instance = "bench";
    b->conf.journal_path = arena_printf(&b->conf.arena, "%s/journal.db", b->dir);
    b->conf.memory_bytes = 1 << 20;
    b->conf.copies = 16;
    b->conf.shares = (struct conf_shares){60, 25, 15};
    b->conf.part_max_bytes = 16 << 10;
    b->conf.endpoints = b->endpoints;
    b->conf.endpoint_count = 2;
    b->conf.shutdown_ms = 200;
    b->feeds = true;
}

static void keep_versions(struct engine_bench *b, struct fake **fake, const char *name,
                          const char *bucket, uint64_t latency_ms)
{
    fake_free(*fake);
    *fake = fake_new(&(struct fake_options){.loop = b->loop,
                                            .name = name,
                                            .versions = true,
                                            .latency_ms = latency_ms,
                                            .jitter_ms = latency_ms});
    fake_bucket(*fake, bucket);
}

void engine_bench_keep_versions(struct engine_bench *b, uint64_t latency_ms)
{
    keep_versions(b, &b->near, "near", "src", latency_ms);
    keep_versions(b, &b->far, "far", "dst", latency_ms);
}

static void remove_file(const char *path, const char *suffix)
{
    char name[128];
    snprintf(name, sizeof(name), "%s%s", path, suffix);
    unlink(name);
}

void engine_bench_done(struct engine_bench *b)
{
    if (b->engine != NULL) {
        engine_bench_stop(b);
    }
    fake_free(b->near);
    fake_free(b->far);
    loop_free(b->loop);
    remove_file(b->conf.journal_path, "");
    remove_file(b->conf.journal_path, "-wal");
    remove_file(b->conf.journal_path, "-shm");
    remove_file(b->conf.journal_path, "-lock");
    rmdir(b->dir);
    arena_done(&b->conf.arena);
}

static void journal_is_lost(void *arg)
{
    struct engine_bench *b = arg;
    b->lost = true;
}

void engine_bench_start(struct engine_bench *b)
{
    struct fail f = {0};
    b->stats = stat_set_new();
    struct engine_options options = {.loop = b->loop,
                                     .log = b->log,
                                     .stats = b->stats,
                                     .conf = &b->conf,
                                     .executor = JOURNAL_INLINE,
                                     .make_store = engine_bench_store,
                                     .make_store_arg = b,
                                     .feeds = b->feeds,
                                     .lost = journal_is_lost,
                                     .lost_arg = b};
    int status = engine_new(&options, &b->engine, &f);
    if (status != 0) {
        fail_msg("engine does not start: %s", f.text);
    }
}

static void stopped(void *arg)
{
    *(int *)arg = 0;
}

int engine_bench_wait(struct engine_bench *b, const int *status)
{
    for (int i = 0; *status == 1; i++) {
        assert_in_range(i, 0, 1000000);
        loop_run_for(b->loop, 1);
    }
    return *status;
}

void engine_bench_stop(struct engine_bench *b)
{
    int ended = 1;
    engine_stop(b->engine, stopped, &ended);
    engine_bench_wait(b, &ended);
    engine_free(b->engine);
    stat_set_free(b->stats);
    b->engine = NULL;
    b->stats = NULL;
}

struct rule engine_bench_rule(const char *name)
{
    return (struct rule){.name = name,
                         .source = {"near", "src", ""},
                         .destination = {"far", "dst", ""},
                         .deletes = RULE_DELETES_PROPAGATE,
                         .enabled = true,
                         .keep_replicas = true,
                         .marker = true,
                         .objective_ms = 600000,
                         .takeover_ms = 60000,
                         .priority = 50};
}

struct put_result {
    int status;
    struct fail *f;
};

static void rule_is_put(void *arg, int status, const struct fail *f)
{
    struct put_result *r = arg;
    r->status = status;
    if (r->f != NULL) {
        *r->f = *f;
    }
}

int engine_bench_put_rule(struct engine_bench *b, const struct rule *rule, bool no_preflight,
                          struct fail *f)
{
    struct put_result result = {.status = 1, .f = f};
    engine_rule_put(b->engine, rule, no_preflight, rule_is_put, &result);
    return engine_bench_wait(b, &result.status);
}

struct append_wait {
    int status;
    struct engine_append_result result;
};

static void appended(void *arg, int status, const struct fail *f,
                     const struct engine_append_result *result)
{
    struct append_wait *w = arg;
    (void)f;
    w->status = status;
    w->result = *result;
}

struct engine_append_result engine_bench_append(struct engine_bench *b, enum change_kind kind,
                                                const char *key)
{
    struct append_wait w = {.status = 1};
    struct change c = {.kind = kind,
                       .endpoint = span_str("near"),
                       .bucket = span_str("src"),
                       .key = span_str(key),
                       .feed = span_str("append"),
                       .size = CHANGE_SIZE_UNKNOWN,
                       .event_time_ms = loop_wall_ms(b->loop)};
    struct span none = {0};
    engine_append(b->engine, &c, 1, TASK_LIVE, none, none, appended, &w);
    assert_int_equal(engine_bench_wait(b, &w.status), 0);
    return w.result;
}

void engine_bench_write(struct engine_bench *b, const char *key, const char *body)
{
    fake_put(b->near, "src", span_str(key), span_str(body), NULL);
    engine_bench_append(b, CHANGE_PUT, key);
}

void engine_bench_write_many(struct engine_bench *b, const char *prefix, int count,
                             const char *body)
{
    for (int i = 0; i < count; i++) {
        char key[32];
        snprintf(key, sizeof(key), "%s%d", prefix, i);
        engine_bench_write(b, key, body);
    }
}

bool engine_bench_has(struct engine_bench *b, const char *key, const char *body)
{
    struct fake_object o;
    return fake_get(b->far, "dst", span_str(key), &o) && span_eq_str(o.body, body);
}

struct rule_lag engine_bench_lag(struct engine_bench *b, const char *rule)
{
    struct rule_lag lag;
    loop_run_for(b->loop, 1200);
    assert_int_equal(engine_lag(b->engine, rule, &lag), 0);
    return lag;
}

bool engine_bench_settle(struct engine_bench *b, const char *rule, uint64_t limit_ms)
{
    for (uint64_t t = 0; t <= limit_ms; t += 1200) {
        struct rule_lag lag = engine_bench_lag(b, rule);
        if (lag.known && !lag.listing &&
            lag.counts.pending_objects + lag.counts.backfill_objects == 0) {
            return true;
        }
    }
    return false;
}

void engine_bench_done_fn(void *arg, int status, const struct fail *f)
{
    (void)f;
    *(int *)arg = status;
}

int engine_bench_set_up(void **state)
{
    struct engine_bench *b = MEM_NEW(struct engine_bench);
    engine_bench_init(b, 7, 10);
    engine_bench_start(b);
    struct rule rule = engine_bench_rule(ENGINE_BENCH_RULE);
    assert_int_equal(engine_bench_put_rule(b, &rule, true, NULL), 0);
    *state = b;
    return 0;
}

int engine_bench_tear_down(void **state)
{
    engine_bench_done(*state);
    mem_free(*state);
    return 0;
}

void engine_bench_word_fn(void *arg, int status, const struct fail *f, uint64_t count)
{
    struct engine_bench_word *w = arg;
    (void)f;
    *w = (struct engine_bench_word){.status = status, .count = count};
}

uint64_t engine_bench_retry(struct engine_bench *b, const char *rule)
{
    struct engine_bench_word w = {.status = 1};
    engine_task_retry(b->engine, rule, (struct span){0}, engine_bench_word_fn, &w);
    assert_int_equal(engine_bench_wait(b, &w.status), 0);
    return w.count;
}
