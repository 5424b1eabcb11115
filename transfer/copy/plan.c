#include "transfer/copy/plan.h"

#include <assert.h>

#define MIB ((uint64_t)1024 * 1024)

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t parts_of(uint64_t size, uint64_t part)
{
    assert(part > 0);
    return size / part + (size % part != 0);
}

/* What the lane, the operator and the memory ask for, before the part count is looked at. */
static uint64_t wished_part(const struct plan_input *in)
{
    uint64_t part = in->rate_bps == 0 ? PLAN_PART_DEFAULT : in->rate_bps * PLAN_PART_SECONDS;
    part = smaller(part, in->part_max == 0 ? PLAN_PART_LIMIT : in->part_max);
    part = smaller(part, in->memory_bytes / 4);
    return larger(part, larger(in->to->part_min, 1));
}

/* The smallest equal part size with which the destination takes so many parts, in whole MiB. */
static uint64_t least_part(const struct plan_input *in)
{
    uint64_t least = parts_of(in->size, larger(in->to->parts_max, 1));
    return least > MIB ? parts_of(least, MIB) * MIB : least;
}

/* Near enough to what is wished: a first read that was short for a wrong size is no part size. */
static bool is_preferred_good(const struct plan_input *in)
{
    uint64_t wished = smaller(wished_part(in) / 2, PLAN_PART_DEFAULT);
    return in->preferred >= wished && in->preferred >= in->to->part_min && in->preferred > 0 &&
           in->preferred >= least_part(in) && in->preferred <= in->to->part_max &&
           in->preferred <= in->memory_bytes / 4 &&
           (in->part_max == 0 || in->preferred <= in->part_max);
}

int plan_make(const struct plan_input *in, struct plan *ret, struct fail *f)
{
    uint64_t part = is_preferred_good(in) ? in->preferred : wished_part(in);
    if (in->size <= part && in->size <= in->to->put_max) {
        *ret = (struct plan){.single = true, .part_size = part, .part_count = 1};
        return 0;
    }
    part = larger(part, least_part(in));
    if (part > in->to->part_max) {
        return fail_set(f, REPL_ETOOBIG, "object of %llu bytes does not fit into %u parts",
                        (unsigned long long)in->size, in->to->parts_max);
    }
    if (part > in->memory_bytes / 4) {
        fail_set(f, REPL_ENOMEMORY, "object of %llu bytes needs parts of %llu MiB",
                 (unsigned long long)in->size, (unsigned long long)parts_of(part, MIB));
        fail_hint(f, "it needs a budget with %llu MiB for bodies",
                  (unsigned long long)parts_of(part * 4, MIB));
        return REPL_ENOMEMORY;
    }
    *ret = (struct plan){.part_size = part, .part_count = (uint32_t)parts_of(in->size, part)};
    return 0;
}

uint64_t plan_first_read(const struct plan_input *in, int64_t size_hint)
{
    if (size_hint < 0) { /* most objects are small: no more memory than that for a guess */
        return smaller(wished_part(in), larger(PLAN_PART_DEFAULT, in->to->part_min));
    }
    struct plan_input sized = *in;
    sized.size = (uint64_t)size_hint;
    struct plan plan;
    struct fail ignored;
    if (plan_make(&sized, &plan, &ignored) != 0) {
        return wished_part(in);
    }
    return smaller(sized.size, plan.part_size);
}

uint64_t plan_part_length(uint64_t size, uint64_t part_size, uint32_t index)
{
    return smaller(part_size, size - index * part_size);
}
