#include "transfer/net/limit.h"

#include <math.h>
#include <stdbool.h>

#define BURST_S 0.1 /* tokens of so much time may be saved up, at least one */

void limit_init(struct limit *l, const struct limit_table *table)
{
    *l = (struct limit){.rate = LIMIT_NONE};
    l->table.rate = LIMIT_NONE;
    if (table != NULL) {
        l->table = *table;
    }
}

void limit_change(struct limit *l, const struct limit_table *table)
{
    if (table != NULL) {
        l->table = *table;
    } else {
        l->table = (struct limit_table){.rate = LIMIT_NONE};
    }
}

static bool is_within(const struct limit_period *p, unsigned minute)
{
    if (p->from_min == p->to_min) {
        return true;
    }
    if (p->from_min < p->to_min) {
        return minute >= p->from_min && minute < p->to_min;
    }
    return minute >= p->from_min || minute < p->to_min;
}

uint64_t limit_rate(const struct limit_table *table, unsigned minute)
{
    for (size_t i = 0; i < table->count; i++) {
        if (is_within(&table->periods[i], minute)) {
            return table->periods[i].rate;
        }
    }
    return table->rate;
}

/* A part sent while the rate was high would be owed for minutes at a low one. */
static void set_rate(struct limit *l, uint64_t rate)
{
    if (rate != l->rate && rate != LIMIT_NONE) {
        l->tokens = fmax(l->tokens, -(double)rate);
    }
    l->rate = rate;
}

static void fill(struct limit *l, uint64_t now_us)
{
    double passed = now_us > l->filled_us ? (double)(now_us - l->filled_us) / 1e6 : 0;
    double rate = (double)l->rate;
    l->tokens = fmin(fmax(1, rate * BURST_S), l->tokens + rate * passed);
    l->filled_us = now_us;
}

uint64_t limit_wait_us(struct limit *l, uint64_t now_us, unsigned minute)
{
    set_rate(l, limit_rate(&l->table, minute));
    if (l->rate == LIMIT_NONE) {
        l->tokens = 0;
        l->filled_us = now_us;
        return 0;
    }
    fill(l, now_us);
    if (l->rate == 0) {
        return LIMIT_ASK_US;
    }
    if (l->tokens > 0) {
        return 0;
    }
    double wait = (1 - l->tokens) / (double)l->rate * 1e6;
    return wait < (double)LIMIT_ASK_US ? (uint64_t)ceil(wait) : LIMIT_ASK_US;
}

void limit_sent(struct limit *l, uint64_t amount)
{
    if (l->rate != LIMIT_NONE) {
        l->tokens -= (double)amount;
    }
}
