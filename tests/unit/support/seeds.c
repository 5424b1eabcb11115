#include "tests/unit/support/seeds.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void run_one(seeds_fn *fn, void *arg, uint64_t seed)
{
    print_message("seed %llu\n", (unsigned long long)seed);
    fn(arg, seed);
}

bool seeds_run(seeds_fn *fn, void *arg, uint64_t count)
{
    const char *only = getenv("SEED");
    const char *many = getenv("SEEDS");
    if (only != NULL) {
        run_one(fn, arg, strtoull(only, NULL, 10));
        return false;
    }
    uint64_t last = many != NULL ? strtoull(many, NULL, 10) : count;
    for (uint64_t seed = 1; seed <= last; seed++) {
        run_one(fn, arg, seed);
    }
    return last >= count;
}
