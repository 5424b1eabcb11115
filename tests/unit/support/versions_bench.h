/* versions_bench: an engine between two buckets that keep versions, with a rule that takes them
 * all, and what becomes of one key, VERSIONS_KEY, at the destination. */
#ifndef REPL_TEST_VERSIONS_BENCH_H
#define REPL_TEST_VERSIONS_BENCH_H

#include "tests/unit/support/engine_bench.h"

#define VERSIONS_RULE "all"
#define VERSIONS_KEY  "k"

struct versions_bench {
    struct engine_bench bench;
    struct arena limits; /* of the rules of the test */
    struct buf arrived;  /* what the destination was told of the key, in order: bodies, "-" for a
                            delete, "+" for the delete of a version */
};

int versions_set_up(void **state);
int versions_tear_down(void **state);
#define VERSIONS_TEST(name)                                                                        \
    cmocka_unit_test_setup_teardown(name, versions_set_up, versions_tear_down)

/* The rule, all its versions and deletes. */

struct rule versions_rule(void);
void versions_put_rule(struct versions_bench *w, const struct rule *rule);
/* Writes the key at the source, tells nobody, and lets its second pass. */
void versions_put(struct versions_bench *w, const char *body);
/* Deletes it, which leaves a marker, and tells nobody. */
void versions_hide(struct versions_bench *w);
/* Tells of a write of the key, and runs until nothing is pending. */
void versions_announce(struct versions_bench *w);
void versions_assert_arrived(struct versions_bench *w, const char *want);
/* The destination shows this body, or with NULL nothing, at the key. */
bool versions_shows(struct versions_bench *w, const char *body);

#endif
