#include "transfer/net/slow.h"

/* Lanes at work whose rate is lower; those of the same rate count by place. */
static size_t rank_of(const struct slow_lane *lanes, size_t count, size_t which)
{
    size_t rank = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_lower = lanes[i].rate_bps < lanes[which].rate_bps ||
                        (lanes[i].rate_bps == lanes[which].rate_bps && i < which);
        rank += lanes[i].has_work && is_lower;
    }
    return rank;
}

static size_t at_work(const struct slow_lane *lanes, size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        n += lanes[i].has_work;
    }
    return n;
}

/* The upper one of two, so that half of the lanes being slow is still half too many. */
static uint64_t median_bps(const struct slow_lane *lanes, size_t count, size_t working)
{
    for (size_t i = 0; i < count; i++) {
        if (lanes[i].has_work && rank_of(lanes, count, i) == working / 2) {
            return lanes[i].rate_bps;
        }
    }
    return 0;
}

/* Where the peers themselves stay below the floor, the path is slow and not the lane. */
static uint64_t least_bps(uint64_t median)
{
    uint64_t least = median / SLOW_SHARE;
    return median > SLOW_FLOOR_BPS && least < SLOW_FLOOR_BPS ? SLOW_FLOOR_BPS : least;
}

int slow_find(struct slow_lane *lanes, size_t count, uint64_t now_us, uint32_t rtt_us)
{
    size_t working = at_work(lanes, count);
    uint64_t least = working >= SLOW_PEERS ? least_bps(median_bps(lanes, count, working)) : 0;
    uint64_t patience = SLOW_RTTS * (uint64_t)rtt_us;
    patience = patience > SLOW_US ? patience : SLOW_US;
    int found = -1;
    for (size_t i = 0; i < count; i++) {
        struct slow_lane *l = &lanes[i];
        if (!l->has_work || l->rate_bps >= least) {
            l->since_us = 0;
            continue;
        }
        l->since_us = l->since_us == 0 ? now_us : l->since_us;
        if (now_us - l->since_us >= patience &&
            (found < 0 || l->rate_bps < lanes[found].rate_bps)) {
            found = (int)i;
        }
    }
    return found;
}

bool slow_is_sooner_anew(const struct slow_rest *r, uint32_t rtt_us)
{
    if (r->other_bps == 0) {
        return false;
    }
    double anew_s = (double)r->size / (double)r->other_bps + SLOW_ANEW_RTTS * rtt_us / 1e6;
    return (double)r->left > SLOW_SOONER * anew_s * (double)r->rate_bps;
}
