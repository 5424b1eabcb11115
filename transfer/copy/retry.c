#include "transfer/copy/retry.h"

unsigned retry_limit(enum fail_class class)
{
    switch (class) {
    case FAIL_NONE: /* cancelled by somebody else: as good as lost */
    case FAIL_RETRY:
        return 8;
    case FAIL_THROTTLE:
        return 16;
    case FAIL_AUTH: /* of one object; that of an endpoint is not counted (sched_endpoint.c) */
    case FAIL_CORRUPT:
        return 3;
    case FAIL_GONE:
    case FAIL_PERMANENT:
    case FAIL_BUG:
        break;
    }
    return 0;
}

static uint32_t base_ms(enum fail_class class)
{
    return class == FAIL_AUTH ? 5000 : RETRY_BASE_MS;
}

/* Full jitter: anything up to base × 2^(attempt − 1), capped. */
static uint32_t jitter_ms(enum fail_class class, unsigned attempt, uint64_t chance)
{
    unsigned doublings = attempt > 16 ? 16 : attempt - 1;
    uint64_t most = (uint64_t)base_ms(class) << doublings;
    most = most > RETRY_CAP_MS ? RETRY_CAP_MS : most;
    return (uint32_t)(chance % (most + 1));
}

enum retry_action retry_decide(const struct fail *f, unsigned attempt, uint64_t chance,
                               uint32_t *ret_delay_ms)
{
    enum fail_class class = fail_class(f->code);
    *ret_delay_ms = 0;
    if (attempt >= retry_limit(class)) {
        return RETRY_GIVE_UP;
    }
    uint32_t delay = jitter_ms(class, attempt, chance);
    uint32_t asked = f->retry_after_ms > 0 ? (uint32_t)f->retry_after_ms : 0;
    asked = asked > RETRY_AFTER_MAX_MS ? RETRY_AFTER_MAX_MS : asked;
    *ret_delay_ms = asked > delay ? asked : delay;
    return RETRY_AGAIN;
}

uint32_t retry_settle_ms(uint32_t rtt_us)
{
    uint32_t trips_ms = rtt_us / 500; /* two */
    trips_ms = trips_ms > RETRY_CAP_MS ? RETRY_CAP_MS : trips_ms;
    return trips_ms > RETRY_SETTLE_MS ? trips_ms : RETRY_SETTLE_MS;
}
