#include "daemon/core/claim_plan.h"

#include <stdlib.h>

static int by_credit(const void *a, const void *b)
{
    const struct claim_rule *x = a, *y = b;
    if (x->credit != y->credit) {
        return x->credit > y->credit ? -1 : 1;
    }
    return x->rule < y->rule ? -1 : x->rule > y->rule;
}

static void share_out(struct claim_rule *rules, size_t count, size_t room)
{
    double weights = 0;
    for (size_t i = 0; i < count; i++) {
        weights += rules[i].weight;
    }
    for (size_t i = 0; i < count; i++) {
        struct claim_rule *r = &rules[i];
        r->credit += (double)room * r->weight / weights;
        /* Nobody saves up, nobody owes for long. */
        double most = (double)room + 1;
        r->credit = r->credit > most ? most : r->credit < -most ? -most : r->credit;
    }
    qsort(rules, count, sizeof(*rules), by_credit);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void add_step(struct claim_step *steps, size_t *n, const struct claim_rule *r,
                     struct claim_step step)
{
    if (step.limit > 0) {
        step.rule = r->rule;
        step.limit = least(step.limit, BACKEND_PAGE_MAX);
        steps[(*n)++] = step;
    }
}

static void live_steps(struct claim_step *steps, size_t *n, struct claim_rule *r, size_t limit)
{
    size_t newest = r->late ? limit / 2 : 0;
    if (r->late && limit % 2 == 1) {
        newest += r->newest_first;
        r->newest_first = !r->newest_first;
    }
    add_step(steps, n, r, (struct claim_step){0, TASK_LIVE, CLAIM_NEWEST, newest});
    add_step(steps, n, r, (struct claim_step){0, TASK_LIVE, CLAIM_OLDEST, limit - newest});
}

static void own_steps(struct claim_step *steps, size_t *n, struct claim_rule *r, size_t room)
{
    size_t share = r->credit > 0 ? (size_t)r->credit : 0;
    share = least(least(share, room), r->limit);
    size_t backfill = 0;
    if (r->backfill) {
        r->backfill_credit += (unsigned)(share * CLAIM_BACKFILL_PERCENT);
        backfill = least(r->backfill_credit / 100, share);
        r->backfill_credit -= (unsigned)(backfill * 100);
    }
    add_step(steps, n, r, (struct claim_step){0, TASK_BACKFILL, CLAIM_OLDEST, backfill});
    live_steps(steps, n, r, share - backfill);
}

size_t claim_plan_make(struct claim_rule *rules, size_t count, size_t room,
                       struct claim_step *steps)
{
    size_t n = 0;
    share_out(rules, count, room);
    for (size_t i = 0; i < count; i++) {
        own_steps(steps, &n, &rules[i], room);
    }
    for (size_t i = 0; i < count; i++) {
        enum claim_order order = CLAIM_OLDEST;
        if (rules[i].late && rules[i].newest_first) {
            order = CLAIM_NEWEST;
        }
        add_step(steps, &n, &rules[i],
                 (struct claim_step){0, TASK_LIVE, order, least(room, rules[i].limit)});
    }
    for (size_t i = 0; i < count; i++) {
        size_t limit = rules[i].backfill ? least(room, rules[i].limit) : 0;
        add_step(steps, &n, &rules[i], (struct claim_step){0, TASK_BACKFILL, CLAIM_OLDEST, limit});
    }
    return n;
}
