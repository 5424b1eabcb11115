#include "transfer/net/throttle.h"

#include <math.h>

#define BETA      0.7
#define SCALE     0.4
#define SMOOTH    0.8
#define BUCKET_US 500000
#define IDLE_US   (12 * BUCKET_US) /* thrice as long as between two requests at the least rate */
#define BURST_S   0.1              /* tokens of so much time may be saved up, at least one */
/* Without a refusal for so long it is off again. */
#define OFF_US ((uint64_t)600 * 1000000)

void throttle_init(struct throttle *t)
{
    *t = (struct throttle){0};
}

static double seconds(uint64_t from_us, uint64_t to_us)
{
    return to_us > from_us ? (double)(to_us - from_us) / 1e6 : 0;
}

/* ---- what is served ---- */

static void roll(struct throttle *t, uint64_t now_us)
{
    if (t->served_us == 0 || now_us >= t->served_us + IDLE_US) {
        t->served_us = now_us; /* a rest says nothing of what the server stands */
        t->served_now = 0;
    }
    if (now_us < t->served_us + BUCKET_US) {
        return;
    }
    double rate = t->served_now / seconds(t->served_us, now_us);
    t->served = t->served == 0 ? rate : SMOOTH * rate + (1 - SMOOTH) * t->served;
    t->served_now = 0;
    t->served_us = now_us;
}

/* Before the first bucket is full, what there is of it. */
static double served_rate(const struct throttle *t, uint64_t now_us)
{
    double s = seconds(t->served_us, now_us);
    return t->served == 0 && s >= 0.1 ? t->served_now / s : t->served;
}

/* ---- the rate ---- */

/* W(t) = C (t − K)³ + Wmax, with K such that W(0) = beta × Wmax. Growth beyond twice what is asked
 * for would say nothing; a rate that was proven stays while little is asked for. */
static void climb(struct throttle *t, uint64_t now_us)
{
    double k = cbrt(t->failed_rate * (1 - BETA) / SCALE);
    double rate = SCALE * pow(seconds(t->failed_us, now_us) - k, 3) + t->failed_rate;
    double most = fmax(2 * served_rate(t, now_us), t->rate);
    t->rate = fmax(fmin(rate, most), THROTTLE_LEAST);
}

static void fill(struct throttle *t, uint64_t now_us)
{
    double most = fmax(1, t->rate * BURST_S);
    t->tokens = fmin(most, t->tokens + t->rate * seconds(t->filled_us, now_us));
    t->filled_us = now_us;
}

uint64_t throttle_wait_us(struct throttle *t, uint64_t now_us)
{
    if (now_us < t->pause_us) {
        return t->pause_us - now_us;
    }
    if (!t->is_on) {
        return 0;
    }
    fill(t, now_us);
    return t->tokens >= 1 ? 0 : (uint64_t)ceil((1 - t->tokens) / t->rate * 1e6);
}

void throttle_sent(struct throttle *t, uint64_t now_us)
{
    if (t->is_on) {
        fill(t, now_us);
        t->tokens -= 1;
    }
}

void throttle_served(struct throttle *t, uint64_t now_us)
{
    roll(t, now_us);
    t->served_now++;
    if (!t->is_on) {
        return;
    }
    if (now_us >= t->refused_us + OFF_US) {
        t->is_on = false;
        return;
    }
    fill(t, now_us);
    climb(t, now_us);
}

static void pause(struct throttle *t, uint64_t now_us, uint32_t retry_after_ms)
{
    uint64_t ms = retry_after_ms < THROTTLE_PAUSE_MS ? retry_after_ms : THROTTLE_PAUSE_MS;
    uint64_t until_us = now_us + ms * 1000;
    t->pause_us = ms > 0 && until_us > t->pause_us ? until_us : t->pause_us;
}

bool throttle_refused(struct throttle *t, uint64_t now_us, uint64_t sent_us,
                      uint32_t retry_after_ms)
{
    roll(t, now_us);
    pause(t, now_us, retry_after_ms);
    t->refused_us = now_us;
    if (t->is_on && sent_us <= t->failed_us) {
        return false;
    }
    double rate = served_rate(t, now_us);
    rate = t->is_on ? fmin(rate, t->rate) : rate;
    if (!t->is_on) {
        t->is_on = true;
        t->tokens = 0;
    }
    t->failed_rate = fmax(rate, THROTTLE_LEAST);
    t->rate = fmax(BETA * t->failed_rate, THROTTLE_LEAST);
    t->failed_us = now_us;
    t->filled_us = now_us;
    return true;
}
