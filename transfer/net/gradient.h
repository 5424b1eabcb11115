/* gradient: how many small requests shall be under way at a time, by their latency: from the last
 * byte sent to the first byte received, so that sizes do not count. While it is flat each answer
 * adds one, which doubles the number with each latency; once it has risen, Gradient2 of Netflix's
 * concurrency-limits decides. A window is judged by its median: on a lossy path one request in ten
 * waits for a repeat, and that says nothing of the server. Pure: time is an argument, monotonic
 * microseconds. */
#ifndef REPL_NET_GRADIENT_H
#define REPL_NET_GRADIENT_H

#include <stdbool.h>
#include <stdint.h>

#define GRADIENT_START 32 /* few enough to see what latency is without us */
#define GRADIENT_LEAST 8
#define GRADIENT_MOST  512 /* streams; an HTTP/1.1 endpoint has 256 lanes */

#define GRADIENT_KEPT 128 /* latencies of a window that count: the last so many */

struct gradient {
    double limit;
    double most;
    double usual_us; /* long mean */
    bool is_calm;    /* latency has never risen: it doubles */
    unsigned flat;   /* windows in a row without a rise, made use of */

    bool is_ours; /* in this window we were short of CPU: its latency says little */

    unsigned windows; /* judged so far */
    double seen_us;   /* median of the last one */

    uint64_t window_us; /* since when; 0 = not begun */
    unsigned count;     /* of the window */
    unsigned in_flight; /* most in the window */
    uint32_t kept_us[GRADIENT_KEPT];
};

/* most: requests at a time, GRADIENT_MOST or less. */
void gradient_init(struct gradient *g, unsigned most);
/* A request was answered; in_flight: requests under way, this one included. Refusals and failures
 * are not latencies: they are left out. Returns the limit. */
unsigned gradient_add(struct gradient *g, uint64_t now_us, uint32_t latency_us, unsigned in_flight);
/* Answers of this window have waited for us as well: a rise in it lowers nothing. Nothing is gained
 * by more then, either. */
void gradient_was_busy(struct gradient *g);
/* A request was answered whose latency says nothing: it was one of the first of its connection,
 * whose congestion window is still small. */
void gradient_answered(struct gradient *g, unsigned in_flight);
unsigned gradient_limit(const struct gradient *g);
/* The path is another, or was away: the usual latency is to be learnt anew. */
void gradient_forget(struct gradient *g);

#endif
