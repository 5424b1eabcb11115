/* pace_bench: the controller on a path that is a function of the number of lanes. What it makes of
 * whole paths with flows on them is for fluid.h. */
#ifndef REPL_TEST_PACE_BENCH_H
#define REPL_TEST_PACE_BENCH_H

#include "transfer/net/pace.h"

#define PACE_RTT_US    100000
#define PACE_SAMPLE_US 100000
#define PACE_MB        1000000.0

/* What the path gives for a number of lanes: bytes a second, or the share of what is sent that is
 * sent twice. */
typedef double pace_fn(unsigned lanes);

struct pace_bench {
    struct pace pace;
    struct pace_sample sample; /* as a template */
    pace_fn *goodput;
    pace_fn *repeats; /* none to begin with */
    double scale;     /* × goodput */
    double start;     /* repeated besides, by lanes that have just begun */
    unsigned work;    /* lanes that there is work for; 0: any number */
};

/* With up to 256 lanes. */
void pace_bench_init(struct pace_bench *b, bool is_bbr, pace_fn *goodput);
void pace_bench_sample(struct pace_bench *b);
void pace_bench_run(struct pace_bench *b, unsigned seconds);
/* Until the reason is this; fails the test after a minute. */
void pace_bench_run_until(struct pace_bench *b, enum pace_reason reason);

double pace_full_at_40(unsigned lanes); /* 40 MB/s whatever the number */
double pace_one_each(unsigned lanes);   /* 1 MB/s a lane */
double pace_nothing(unsigned lanes);

#endif
