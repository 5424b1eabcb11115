#include "tests/unit/support/pace_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

double pace_full_at_40(unsigned lanes)
{
    (void)lanes;
    return 40 * PACE_MB;
}

double pace_one_each(unsigned lanes)
{
    return lanes * PACE_MB;
}

double pace_nothing(unsigned lanes)
{
    (void)lanes;
    return 0;
}

void pace_bench_init(struct pace_bench *b, bool is_bbr, pace_fn *goodput)
{
    *b = (struct pace_bench){.goodput = goodput, .repeats = pace_nothing, .scale = 1};
    b->sample = (struct pace_sample){.now_us = 1,
                                     .min_rtt_us = PACE_RTT_US,
                                     .rtt_us = PACE_RTT_US,
                                     .limit = 256,
                                     .is_bbr = is_bbr};
    pace_init(&b->pace, is_bbr, 256);
    pace_sample(&b->pace, &b->sample);
}

void pace_bench_sample(struct pace_bench *b)
{
    struct pace_sample *s = &b->sample;
    unsigned wanted = b->pace.wanted;
    unsigned lanes = b->work > 0 && b->work < wanted ? b->work : wanted;
    s->now_us += PACE_SAMPLE_US;
    s->lanes = lanes;
    s->moved_bytes = (uint64_t)(b->scale * b->goodput(lanes) * PACE_SAMPLE_US / 1e6);
    s->sent_bytes = (uint64_t)((double)s->moved_bytes / (1 - b->start - b->repeats(lanes)));
    s->retrans_bytes = s->sent_bytes - s->moved_bytes;
    pace_sample(&b->pace, s);
}

void pace_bench_run(struct pace_bench *b, unsigned seconds)
{
    for (unsigned i = 0; i < seconds * 10; i++) {
        pace_bench_sample(b);
    }
}

void pace_bench_run_until(struct pace_bench *b, enum pace_reason reason)
{
    for (unsigned i = 0; b->pace.reason != reason; i++) {
        assert_true(i < 700);
        pace_bench_sample(b);
    }
}
