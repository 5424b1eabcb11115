/* scan_bench: an engine_bench whose scans run, on servers that list small pages, and what tests of
 * scans do with it. Objects are "k/NNNNN", each its own key as a body; the rule is SCAN_RULE. */
#ifndef REPL_TEST_SCAN_BENCH_H
#define REPL_TEST_SCAN_BENCH_H

#include "tests/unit/support/engine_bench.h"

#define SCAN_RULE "pages"
#define SCAN_MANY 1500 /* objects, more than ranges and pages hold */

/* A fixture: *state becomes an engine_bench without a rule. No fake may have been misused. */
int scan_bench_set_up(void **state);
int scan_bench_tear_down(void **state);
#define SCAN_TEST(name)                                                                            \
    cmocka_unit_test_setup_teardown(name, scan_bench_set_up, scan_bench_tear_down)

/* Writes object i of the source, its key with this suffix; nobody tells of it. */
void scan_bench_put(struct engine_bench *b, int i, const char *suffix);
/* Objects 0 to count - 1. */
void scan_bench_fill(struct engine_bench *b, int count);
/* Objects from to to - 1 of the source; nobody tells of it. */
void scan_bench_remove(struct engine_bench *b, int from, int to);

void scan_bench_put_rule(struct engine_bench *b, const struct rule *rule);
struct scan_report scan_bench_report(struct engine_bench *b);
/* Until no pass goes on; false when that did not come within limit_ms. */
bool scan_bench_run_pass(struct engine_bench *b, uint64_t limit_ms);
/* Asks for a pass, and runs to its end. */
void scan_bench_scan(struct engine_bench *b);
/* A rule whose source, filled with count objects, is copied and scanned once. */
void scan_bench_start_with(struct engine_bench *b, int count, enum rule_deletes deletes);

#endif
