/* plan: how an object is cut into parts. Pure: takes sizes, limits and a rate, does no I/O. */
#ifndef REPL_COPY_PLAN_H
#define REPL_COPY_PLAN_H

#include "transfer/store/store.h"

#define PLAN_PART_DEFAULT ((uint64_t)8 * 1024 * 1024)  /* bytes, while no rate is known */
#define PLAN_PART_LIMIT   ((uint64_t)64 * 1024 * 1024) /* bytes, unless the part count needs more */
#define PLAN_RATE_OTHER   ((uint64_t)1024 * 1024)      /* bytes a second: a guess, without BBR */
#define PLAN_PART_SECONDS 4                            /* a part is so long on one lane */

struct plan_input {
    uint64_t size;         /* bytes of the object */
    uint64_t rate_bps;     /* bytes per second of one lane; 0 = not known */
    uint64_t part_max;     /* bytes, the operator's; 0 = PLAN_PART_LIMIT */
    uint64_t memory_bytes; /* of bodies: a part is at most a quarter of it */
    uint64_t preferred;    /* a part size already read with; taken where it fits; 0 = none */
    const struct store_features *to;
};

struct plan {
    bool single; /* one PUT */
    uint64_t part_size;
    uint32_t part_count;
};

/* REPL_ETOOBIG when the destination cannot hold it, REPL_ENOMEMORY (with the budget it needs) when
 * its parts would be larger than a quarter of the budget. */
int plan_make(const struct plan_input *in, struct plan *ret, struct fail *f);
/* Bytes of the first read of an object whose size is size_hint or, when < 0, not known. in->size is
 * not looked at. 0 = read it plainly (an empty object has no ranges). */
uint64_t plan_first_read(const struct plan_input *in, int64_t size_hint);
/* Bytes of part `index` (from 0). */
uint64_t plan_part_length(uint64_t size, uint64_t part_size, uint32_t index);

#endif
