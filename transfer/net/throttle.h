/* throttle: the rate of requests that an endpoint stands. Off until it refuses one for their rate
 * (503 SlowDown, 429); from then on a token bucket whose rate goes back to 0.7 of what was served
 * and climbs by CUBIC's curve: fast to the rate that failed, carefully past it. Pure: time is an
 * argument, monotonic microseconds. The curve, its constants and the smoothing of the served rate
 * are those of the AWS SDKs' adaptive mode. */
#ifndef REPL_NET_THROTTLE_H
#define REPL_NET_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#define THROTTLE_LEAST                                                                             \
    10.0 /* requests a second: enough to notice when the server is well again                      \
          */
#define THROTTLE_PAUSE_MS 120000 /* a server's Retry-After counts up to this */

struct throttle {
    bool is_on;
    double rate;   /* requests a second */
    double tokens; /* below 0: requests that went without asking */
    uint64_t filled_us;
    uint64_t pause_us; /* nothing before; 0 = no such wish */

    double failed_rate; /* served when it was refused: the curve's plateau */
    uint64_t failed_us;
    uint64_t refused_us; /* the newest one, counted or not */

    double served; /* answers other than refusals a second, smoothed */
    unsigned served_now;
    uint64_t served_us; /* since when they are counted; 0 = never yet */
};

void throttle_init(struct throttle *t);
/* 0: a request may go now; else microseconds until it is worth asking again. */
uint64_t throttle_wait_us(struct throttle *t, uint64_t now_us);
/* It goes. */
void throttle_sent(struct throttle *t, uint64_t now_us);
/* It was answered, by anything but a refusal. */
void throttle_served(struct throttle *t, uint64_t now_us);
/* It was refused. sent_us: when it went; of those sent before the last step back the rate has
 * taken note already. retry_after_ms: the server's wish, 0 = none. True: the rate went back. */
bool throttle_refused(struct throttle *t, uint64_t now_us, uint64_t sent_us,
                      uint32_t retry_after_ms);

#endif
