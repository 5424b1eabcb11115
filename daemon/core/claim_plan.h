/* claim_plan: which tasks to ask the journal for when there is room. The room is shared by the
 * classes of work, and that of a class by its rules, by weight; what one has not got the others
 * get. Credits carry fractions over from plan to plan, so that the shares hold when there is room
 * for one task at a time too; who has nothing saves nothing up. Late tasks are taken from both ends
 * by turns: users want the newest, the watermark needs the oldest. Pure. */
#ifndef REPL_CORE_CLAIM_PLAN_H
#define REPL_CORE_CLAIM_PLAN_H

#include "journal/backend.h"
#include "transfer/copy/copy.h"

struct claim_rule {
    uint32_t rule;
    unsigned weight; /* > 0, see claim_weight() */
    size_t limit;    /* at most so many now, of all classes */
    size_t got;      /* … and so many there were */
    /* Kept between plans by the owner. */
    double credit[COPY_CLASSES];
    bool newest_first;
};

/* Ten points of priority (0 … 100) double the weight: 100 against 50 is 32 to 1, which is as good
 * as "first" and starves nobody. */
unsigned claim_weight(int priority);

/* One class of one rule. */
struct claim_part {
    struct claim_rule *rule;
    enum copy_class class;
    size_t ask;     /* of this round, not yet asked for */
    bool is_out;    /* has no more, or its rule may not have more */
    bool is_halved; /* late: one end was asked for its half, `first` … */
    enum claim_order first;
};

struct claim_plan {
    struct claim_rule *rules;
    size_t rule_count;
    size_t room; /* left */
    unsigned shares[COPY_CLASSES];
    struct claim_part *parts; /* of the round, in the order of their credits */
    size_t part_count;
    size_t next;
};

struct claim_step {
    struct claim_rule *rule;
    enum copy_class class;
    enum claim_order order;
    size_t limit; /* > 0 */
    struct claim_part *part;
};

#define CLAIM_PARTS(rules) ((rules)*COPY_CLASSES)

/* parts: memory for CLAIM_PARTS(count) of them; it and the rules live as long as the plan. */
void claim_plan_start(struct claim_plan *p, struct claim_rule *rules, size_t count,
                      struct claim_part *parts);
/* What to ask for next; false at the end. Every step is answered by claim_plan_got(). */
bool claim_plan_next(struct claim_plan *p, struct claim_step *ret);
void claim_plan_got(struct claim_plan *p, const struct claim_step *step, size_t got);

#endif
