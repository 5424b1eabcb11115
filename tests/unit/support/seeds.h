/* seeds: which worlds a property test runs. The environment decides: SEED=n runs that one, SEEDS=n
 * the first n, whatever the test's own number is. */
#ifndef REPL_TEST_SEEDS_H
#define REPL_TEST_SEEDS_H

#include <stdbool.h>
#include <stdint.h>

typedef void seeds_fn(void *arg, uint64_t seed);

/* Runs fn(arg, seed) for the seeds 1 to count and prints each before it runs, so that one that
 * fails or hangs is known. False when the environment chose fewer: they need not reach all that the
 * test is about. */
bool seeds_run(seeds_fn *fn, void *arg, uint64_t count);

#endif
