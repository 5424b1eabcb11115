#include "transfer/copy/bucket.h"

static double level_at(const struct bucket *b, uint64_t now_ms)
{
    double most = b->rate * BUCKET_BURST_MS / 1000;
    double level = b->level + b->rate * (double)(now_ms - b->at_ms) / 1000;
    return level < most ? level : most;
}

void bucket_set(struct bucket *b, double rate, uint64_t now_ms)
{
    double level = b->rate > 0 ? level_at(b, now_ms) : 0;
    b->rate = rate;
    b->level = rate > 0 ? level : 0;
    b->at_ms = now_ms;
}

uint64_t bucket_wait_ms(const struct bucket *b, uint64_t now_ms)
{
    double level = level_at(b, now_ms);
    if (b->rate == 0 || level >= 0) {
        return 0;
    }
    return (uint64_t)(-level * 1000 / b->rate) + 1;
}

void bucket_take(struct bucket *b, double amount, uint64_t now_ms)
{
    if (b->rate > 0) {
        b->level = level_at(b, now_ms) - amount;
        b->at_ms = now_ms;
    }
}
