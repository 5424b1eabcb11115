/* engine_bench: an engine with an inline journal in a folder of its own and two fake stores, "near"
 * and "far", on a virtual loop. The engine may be stopped and started again on the same journal. */
#ifndef REPL_TEST_ENGINE_BENCH_H
#define REPL_TEST_ENGINE_BENCH_H

#include "daemon/core/engine.h"
#include "tests/unit/support/fake_store.h"

struct engine_bench {
    struct loop *loop;
    struct stat_set *stats; /* of the present engine */
    char dir[64];
    struct conf conf;
    struct conf_endpoint endpoints[2];
    struct fake *near;
    struct fake *far;
    struct fake *spare; /* of endpoints with the URL "spare"; the test's own */
    struct engine *engine;
    struct log *log; /* NULL = none */
    bool feeds;
    bool lost; /* the journal, to another owner */
};

/* Fakes with `latency_ms`; buckets "src" at near and "dst" at far. No engine yet. */
void engine_bench_init(struct engine_bench *b, uint64_t seed, uint64_t latency_ms);
/* The same on a loop of the caller's, which becomes the bench's. */
void engine_bench_init_on(struct engine_bench *b, struct loop *loop, uint64_t latency_ms);
/* Before the first start: new fakes, whose buckets keep versions. */
void engine_bench_keep_versions(struct engine_bench *b, uint64_t latency_ms);
void engine_bench_done(struct engine_bench *b);
void engine_bench_start(struct engine_bench *b);
void engine_bench_stop(struct engine_bench *b);
/* Makes a store of the bench's fakes: for engine_options and migrate_options. */
int engine_bench_store(void *bench, const struct conf_endpoint *endpoint, struct store **ret,
                       struct fail *f);
/* near/src → far/dst, deletes propagated, everything else as by default. */
struct rule engine_bench_rule(const char *name);
/* Stores the rule and waits; the result's code, *f as it was given (may be NULL). */
int engine_bench_put_rule(struct engine_bench *b, const struct rule *rule, bool no_preflight,
                          struct fail *f);
/* Appends a change of near/src now and waits until it is durable. */
struct engine_append_result engine_bench_append(struct engine_bench *b, enum change_kind kind,
                                                const char *key);
/* Puts an object at near/src and appends it. */
void engine_bench_write(struct engine_bench *b, const char *key, const char *body);
/* As many objects, "PREFIX0" and so on, one after another. */
void engine_bench_write_many(struct engine_bench *b, const char *prefix, int count,
                             const char *body);
bool engine_bench_has(struct engine_bench *b, const char *key, const char *body);
struct rule_lag engine_bench_lag(struct engine_bench *b, const char *rule);
/* Runs until nothing is pending for the rule, at most limit_ms; false when it did not come. */
bool engine_bench_settle(struct engine_bench *b, const char *rule, uint64_t limit_ms);
/* For callbacks that only have to come: sets *(int *)arg to the status, which starts as 1. */
void engine_bench_done_fn(void *arg, int status, const struct fail *f);
int engine_bench_wait(struct engine_bench *b, const int *status);
/* The same for engine_word_fn. */
struct engine_bench_word {
    int status; /* starts as 1 */
    uint64_t count;
};
void engine_bench_word_fn(void *arg, int status, const struct fail *f, uint64_t count);
/* All that failed of the rule is tried again; how many. */
uint64_t engine_bench_retry(struct engine_bench *b, const char *rule);

/* Fixture of tests that begin with an engine that runs and has
 * engine_bench_rule(ENGINE_BENCH_RULE): *state is the bench. */
#define ENGINE_BENCH_RULE "pages"
int engine_bench_set_up(void **state);
int engine_bench_tear_down(void **state);
#define ENGINE_BENCH_TEST(name)                                                                    \
    cmocka_unit_test_setup_teardown(name, engine_bench_set_up, engine_bench_tear_down)

#endif
