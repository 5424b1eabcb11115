#include "daemon/core/claim_plan.h"

#include <stdlib.h>

unsigned claim_weight(int priority)
{
    unsigned points = priority < 0 ? 0 : priority > 100 ? 100 : (unsigned)priority;
    return (10 + points % 10) << (points / 10);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static double *credit_of(const struct claim_part *part)
{
    return &part->rule->credit[part->class];
}

static int by_credit(const void *a, const void *b)
{
    const struct claim_part *x = a, *y = b;
    double x_credit = *credit_of(x), y_credit = *credit_of(y);
    if (x_credit != y_credit) {
        return x_credit > y_credit ? -1 : 1;
    }
    if (x->class != y->class) {
        return x->class < y->class ? -1 : 1;
    }
    return x->rule->rule < y->rule->rule ? -1 : x->rule->rule > y->rule->rule;
}

/* ---- a round: the room that is left, among those that are not out ---- */

static double weight_of(const struct claim_plan *p, enum copy_class class)
{
    double weight = 0;
    for (size_t i = 0; i < p->part_count; i++) {
        const struct claim_part *part = &p->parts[i];
        weight += part->class == class && !part->is_out ? part->rule->weight : 0;
    }
    return weight;
}

static void give_credit(struct claim_plan *p, enum copy_class class, double credit)
{
    double weight = weight_of(p, class);
    for (size_t i = 0; i < p->part_count; i++) {
        const struct claim_part *part = &p->parts[i];
        if (part->class == class && !part->is_out) {
            *credit_of(part) += credit * part->rule->weight / weight;
        }
    }
}

/* It has nothing more: what it had a right to is the others' of its class. */
static void drop_out(struct claim_plan *p, struct claim_part *part)
{
    double credit = *credit_of(part);
    part->is_out = true;
    part->is_halved = false;
    part->ask = 0;
    if (credit > 0) {
        *credit_of(part) = 0;
        give_credit(p, part->class, credit);
    }
}

/* Room is credit, for the classes that may have something. */
static void give_room(struct claim_plan *p)
{
    double shares[COPY_CLASSES] = {0};
    double sum = 0;
    for (enum copy_class class = 0; class < COPY_CLASSES; class ++) {
        shares[class] = weight_of(p, class) > 0 ? p->shares[class] : 0;
        sum += shares[class];
    }
    for (enum copy_class class = 0; class < COPY_CLASSES; class ++) {
        give_credit(p, class, (double)p->room * shares[class] / sum);
    }
}

/* Whole tasks by credit, and one more each for the largest fractions until the room is used. */
static void share_out(struct claim_plan *p)
{
    size_t left = p->room;
    for (size_t i = 0; i < p->part_count; i++) {
        struct claim_part *part = &p->parts[i];
        double credit = *credit_of(part);
        part->ask = part->is_out || credit < 1 ? 0 : least((size_t)credit, left);
        left -= part->ask;
    }
    for (size_t i = 0; left > 0 && i < p->part_count; i++) {
        struct claim_part *part = &p->parts[i];
        if (!part->is_out) {
            part->ask++;
            left--;
        }
    }
}

static bool start_round(struct claim_plan *p)
{
    bool any = false;
    for (size_t i = 0; i < p->part_count; i++) {
        struct claim_part *part = &p->parts[i];
        if (!part->is_out && part->rule->got >= part->rule->limit) {
            drop_out(p, part);
        }
        any = any || !part->is_out;
    }
    if (!any || p->room == 0) {
        return false;
    }
    give_room(p);
    qsort(p->parts, p->part_count, sizeof(*p->parts), by_credit);
    share_out(p);
    p->next = 0;
    return true;
}

/* ---- steps ---- */

void claim_plan_start(struct claim_plan *p, struct claim_rule *rules, size_t count,
                      struct claim_part *parts)
{
    p->rules = rules;
    p->rule_count = count;
    p->parts = parts;
    p->part_count = CLAIM_PARTS(count);
    p->next = p->part_count;
    for (size_t i = 0; i < p->part_count; i++) {
        parts[i] = (struct claim_part){.rule = &rules[i / COPY_CLASSES],
                                       .class = (enum copy_class)(i % COPY_CLASSES)};
    }
}

/* Half of it from each end, in two steps; the odd one goes to whose turn it is. */
static void take_turns(struct claim_part *part, struct claim_step *step)
{
    struct claim_rule *r = part->rule;
    if (part->is_halved) {
        step->order = part->first == CLAIM_NEWEST ? CLAIM_OLDEST : CLAIM_NEWEST;
        part->is_halved = false;
        return;
    }
    step->order = part->first = r->newest_first ? CLAIM_NEWEST : CLAIM_OLDEST;
    step->limit = part->ask - part->ask / 2;
    part->is_halved = part->ask > 1;
    r->newest_first ^= part->ask % 2 == 1;
}

bool claim_plan_next(struct claim_plan *p, struct claim_step *ret)
{
    for (;;) {
        while (p->next < p->part_count && p->parts[p->next].ask == 0) {
            p->next++;
        }
        if (p->next == p->part_count) {
            if (!start_round(p)) {
                return false;
            }
            continue;
        }
        struct claim_part *part = &p->parts[p->next];
        size_t allowed = part->rule->limit - part->rule->got;
        part->ask = least(part->ask, least(allowed, BACKEND_PAGE_MAX));
        if (part->ask > 0) {
            *ret = (struct claim_step){.rule = part->rule,
                                       .class = part->class,
                                       .order = CLAIM_OLDEST,
                                       .limit = part->ask,
                                       .part = part};
            if (part->class == COPY_LATE) {
                take_turns(part, ret);
            }
            return true;
        }
    }
}

void claim_plan_got(struct claim_plan *p, const struct claim_step *step, size_t got)
{
    struct claim_part *part = step->part;
    part->ask -= step->limit;
    part->rule->got += got;
    p->room -= got;
    *credit_of(part) -= (double)got;
    if (got < step->limit) {
        drop_out(p, part);
    }
}
