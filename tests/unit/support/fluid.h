/* fluid: a bottleneck path and the TCP flows on it, as rates on virtual time. What flows reach and
 * repeat together is taken from measurements: BBR by number of flows and loss, CUBIC by Mathis'
 * formula; how single flows get there (start, growth by a quarter in 8 round trips, a start left
 * too early) is a model. Deterministic for a seed. */
#ifndef REPL_TEST_FLUID_H
#define REPL_TEST_FLUID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLUID_FLOWS 300

/* Share repeated beyond the path's loss while the bottleneck is full, for 1, 2, 4 … 256 BBR flows.
 * wide: 500 Mbit/s, 150 ms RTT, 100 ms queue; narrow: 50 Mbit/s, 200 ms RTT and queue. */
extern const double fluid_wide[9];
extern const double fluid_narrow[9];
extern const double fluid_policed[9];

struct fluid_path {
    double rate_bps; /* bytes a second */
    double rtt_s;
    double queue_s;
    double loss;         /* 0 … 1 */
    double noise;        /* 0.15: each sample is off by up to so much */
    double share;        /* of the rate that is ever reached; 0 = 1 */
    double window_bytes; /* of the peer, a flow; 0 = none */
    double server_bps;   /* bytes a second that the server takes of a flow; 0 = no bound */
    double busy;         /* share of its time that a flow sends; it rests between requests; 0 = 1 */
    bool is_bbr;
    const double *waste;
};

enum fluid_phase { FLUID_NONE, FLUID_CONNECT, FLUID_START, FLUID_PROBE };

struct fluid_flow {
    enum fluid_phase phase;
    double ready_s;
    double rate;        /* bytes a second that it sends at */
    double gets;        /* of that delivered, smoothed over a second */
    double stuck_at;    /* its start ends at this rate; 0 = it does not */
    uint64_t behind_us; /* of slow.h */
};

struct fluid {
    struct fluid_path path;
    double factor;   /* × rate, now */
    bool is_out;     /* nothing passes */
    bool is_starved; /* the source has nothing */
    bool may_stick;
    uint64_t random;
    double now_s;
    double rtt_now_s;
    bool is_full; /* the bottleneck, at the last step */
    struct fluid_flow flows[FLUID_FLOWS];

    /* since fluid_take() */
    double moved;
    double sent;
    double repeated;
    double held_s; /* × flows */
};

void fluid_init(struct fluid *f, const struct fluid_path *path, uint64_t seed);
void fluid_step(struct fluid *f, double step_s);
/* Opens flows, or ends the slowest, until there are n. */
void fluid_want(struct fluid *f, unsigned n);
/* Every flow begins anew. */
void fluid_renew(struct fluid *f);
void fluid_renew_flow(struct fluid *f, size_t i);
unsigned fluid_flows(const struct fluid *f);
/* Uniform in 0 … 1. */
double fluid_chance(struct fluid *f);

#endif
