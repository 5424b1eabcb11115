#include "transfer/net/firstbyte.h"

#include <stdlib.h>
#include <string.h>

/* The runtime's own figures; round trips are added since it runs beside its servers. */
#define LEAST_US  1000000
#define MOST_US   5000000
#define OFFSET_US 700000
#define NEEDED    10
#define LATELY    2000  /* requests; then both counts are halved */
#define RARE      0.001 /* share of timeouts: more than that, and the limit grows … */
#define RARE_US   100000
#define OFTEN     0.01 /* … a lot */
#define OFTEN_US  1000000

void firstbyte_init(struct firstbyte *f, unsigned lanes)
{
    *f = (struct firstbyte){0};
    f->needed = lanes > NEEDED ? lanes : NEEDED;
    f->needed = f->needed < FIRSTBYTE_LEARN ? f->needed : FIRSTBYTE_LEARN;
}

uint64_t firstbyte_timeout_us(const struct firstbyte *f)
{
    return f->timeout_us;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Later than this it gives no help: what is slow is the server or the path. */
static uint64_t most_us(uint32_t rtt_us)
{
    return MOST_US + 2 * (uint64_t)rtt_us;
}

static void forget(struct firstbyte *f)
{
    f->timeout_us = 0;
    f->count = 0;
    f->requests = 0;
    f->timeouts = 0;
}

static void learn(struct firstbyte *f, uint32_t rtt_us)
{
    qsort(f->kept_us, f->count, sizeof(*f->kept_us), compare);
    uint64_t most = f->kept_us[(f->count * 9 - 1) / 10];
    uint64_t least = LEAST_US + 2 * (uint64_t)rtt_us;
    forget(f);
    if (f->mean_us < (double)most_us(rtt_us) && most < most_us(rtt_us)) {
        f->timeout_us = most > least ? most : least;
    }
}

static void count_request(struct firstbyte *f)
{
    if (++f->requests >= LATELY) {
        f->requests /= 2;
        f->timeouts /= 2;
    }
}

void firstbyte_came(struct firstbyte *f, uint32_t latency_us, uint32_t rtt_us)
{
    double weight = f->mean_us == 0 ? 1 : 0.05;
    f->mean_us += (latency_us - f->mean_us) * weight;
    if (f->timeout_us == 0) {
        f->kept_us[f->count++] = latency_us;
        if (f->count >= f->needed) {
            learn(f, rtt_us);
        }
        return;
    }
    count_request(f);
    double goal = f->mean_us + OFFSET_US;
    f->timeout_us = (uint64_t)(0.99 * (double)f->timeout_us + 0.01 * goal);
}

void firstbyte_missed(struct firstbyte *f, uint32_t rtt_us)
{
    if (f->timeout_us == 0) {
        return;
    }
    count_request(f);
    f->timeouts++;
    double share = (double)f->timeouts / f->requests;
    if (share > OFTEN) {
        f->timeout_us += OFTEN_US;
    } else if (share > RARE) {
        f->timeout_us += RARE_US;
    }
    if (f->timeout_us > most_us(rtt_us)) {
        forget(f);
    }
}
