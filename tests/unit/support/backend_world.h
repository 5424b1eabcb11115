/* backend_world: a journal of its own for each test of the conformance suite
 * (journal/test_backend*.c), with the lease taken, one rule, and a transaction open. world_open
 * alone names the implementation. Whatever goes wrong in here fails the test; lists live in the
 * world's arena. */
#ifndef REPL_TEST_BACKEND_WORLD_H
#define REPL_TEST_BACKEND_WORLD_H

#include "journal/backend.h"

#define NOW 1700000000000 /* the wall clock of these tests, Unix milliseconds */

struct world {
    char folder[32];
    char path[64]; /* of the journal, in folder */
    struct backend *b;
    const struct backend_ops *ops; /* b's */
    struct arena arena;
    uint64_t epoch; /* of owner "one", from NOW on for 30 s */
    uint32_t rule;  /* "pages" */
};

/* Another handle on the world's journal, for the caller to close. */
struct backend *world_open(const struct world *w);

int world_set_up(void **state);
/* Takes back what is not committed, removes the folder. */
int world_tear_down(void **state);
#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

/* A live put of 10 bytes for the rule, told by feed "append"; views key. */
struct append_entry world_put_of(const struct world *w, const char *key, int64_t event_ms);
struct append_result world_append(struct world *w, const struct append_entry *e, int64_t now_ms);
/* world_append of world_put_of, at NOW. */
struct append_result world_append_put(struct world *w, const char *key, int64_t event_ms);

/* Tasks of the rule, the oldest first, at NOW. */
struct task_list world_claim(struct world *w, enum task_origin origin, size_t limit);
/* For a claimed task, a millisecond after NOW, with all else empty; views t. */
struct finish world_finish_of(const struct task *t, enum finish_outcome outcome);
/* What the backend answers: FINISH_DONE leaves a replica with ETag "e1", FINISH_RETRY waits until
 * NOW + 5 s, and it and FINISH_FAILED are of REPL_ESERVER, "no". */
int world_finish(struct world *w, const struct task *t, enum finish_outcome outcome);
/* A put of key, 5 s before NOW, claimed as the oldest task and done with this replica. */
void world_replicate(struct world *w, const char *key, const struct replica *replica);

struct rule_counts world_counts(struct world *w);
struct frontier world_frontier(struct world *w);

#endif
