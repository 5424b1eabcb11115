/* sample: changes as crawlers make them, with keys in random order; the same ones for the same
 * seed. */
#ifndef REPL_BENCH_SAMPLE_H
#define REPL_BENCH_SAMPLE_H

#include "journal/backend.h"

struct sample_source {
    uint64_t state; /* the seed */
};

/* The texts that a change points to. */
struct sample {
    char key[48];
    char etag[33];
};

/* The next change, ready to be appended; its spans are views of *texts. */
struct append_entry sample_next(struct sample_source *s, uint32_t rule, int64_t now_ms,
                                struct sample *texts);

#endif
