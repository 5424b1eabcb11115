/* claim_plan: which tasks to ask the journal for when there is room. Every rule has a right to its
 * share by weight; what one does not use the others get. Within a rule: a share for backfill while
 * fresh work waits, the oldest first within the objective, past it newest and oldest by turns.
 * Pure. */
#ifndef REPL_CORE_CLAIM_PLAN_H
#define REPL_CORE_CLAIM_PLAN_H

#include "journal/backend.h"

#define CLAIM_BACKFILL_PERCENT 15

struct claim_rule {
    uint32_t rule;
    unsigned weight; /* > 0 */
    size_t limit;    /* at most so many */
    bool late;       /* the oldest task is past the objective */
    bool backfill;   /* backfill work is known or may be there */
    /* Kept between plans by the owner. */
    double credit;
    unsigned backfill_credit; /* hundredths of a task */
    bool newest_first;
};

struct claim_step {
    uint32_t rule;
    enum task_origin origin;
    enum claim_order order;
    size_t limit;
};

#define CLAIM_STEPS_PER_RULE 5

/* Steps in order, to be run until `room` tasks are claimed; at most CLAIM_STEPS_PER_RULE × count.
 * Sorts the rules by credit and spends nothing: the owner takes what was claimed off the credit. */
size_t claim_plan_make(struct claim_rule *rules, size_t count, size_t room,
                       struct claim_step *steps);

#endif
