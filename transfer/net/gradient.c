#include "transfer/net/gradient.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TOLERANCE  1.5
#define QUEUE      4
#define SMOOTH     0.2
#define LONG       600    /* windows in the usual latency … */
#define FEW        10     /* … or so many, when what is seen is surely not of our making */
#define SAMPLES    10     /* a window has at least so many … */
#define WINDOW_US  100000 /* … and lasts so long, or as long as a request */
#define FLAT_AGAIN 4      /* windows without a rise: longer steps again */

void gradient_init(struct gradient *g, unsigned most)
{
    *g = (struct gradient){.is_calm = true};
    g->most = most < GRADIENT_MOST ? most : GRADIENT_MOST;
    g->limit = fmin(GRADIENT_START, g->most);
}

unsigned gradient_limit(const struct gradient *g)
{
    return (unsigned)g->limit;
}

void gradient_forget(struct gradient *g)
{
    g->usual_us = 0;
    g->count = 0;
    g->window_us = 0;
    g->in_flight = 0;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double median_us(const struct gradient *g)
{
    uint32_t sorted[GRADIENT_KEPT];
    size_t count = g->count < GRADIENT_KEPT ? g->count : GRADIENT_KEPT;
    memcpy(sorted, g->kept_us, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), compare);
    uint32_t median = sorted[count / 2];
    return median > 0 ? median : 1;
}

/* A rise is believed at once only while few are under way: else it may be of our making. */
static void update_usual(struct gradient *g, double now_us)
{
    bool is_risen = now_us > TOLERANCE * g->usual_us;
    if (g->usual_us == 0 || (g->is_calm && now_us < g->usual_us)) {
        g->usual_us = now_us;
    } else if (now_us < g->usual_us || g->limit <= 2 * GRADIENT_LEAST) {
        g->usual_us += (now_us - g->usual_us) / FEW;
    } else if (!is_risen) {
        g->usual_us += (now_us - g->usual_us) / LONG;
    }
}

/* Longer steps while nothing rises: a burst lasts seconds, and Gradient2 adds one a window. */
static double grown(const struct gradient *g)
{
    if (g->is_calm) {
        return g->limit; /* has grown with each answer */
    }
    if (g->flat >= FLAT_AGAIN) {
        return 1.25 * g->limit;
    }
    return g->limit + QUEUE * SMOOTH;
}

static void window_ends(struct gradient *g)
{
    double now_us = median_us(g);
    g->seen_us = now_us;
    g->windows++;
    bool is_used = g->in_flight >= g->limit / 2;
    if (g->is_ours && now_us > g->usual_us) {
        return;
    }
    update_usual(g, now_us);
    double slope = fmax(0.5, fmin(1, TOLERANCE * g->usual_us / now_us));
    if (slope < 1) {
        g->is_calm = false;
        g->flat = 0;
        g->limit = (1 - SMOOTH) * g->limit + SMOOTH * (g->limit * slope + QUEUE);
    } else if (is_used) {
        g->flat++;
        g->limit = grown(g);
    }
    g->limit = fmax(fmin(GRADIENT_LEAST, g->most), fmin(g->limit, g->most));
}

void gradient_answered(struct gradient *g, unsigned in_flight)
{
    if (g->is_calm && in_flight >= g->limit / 2) {
        g->limit = fmin(g->limit + 1, g->most);
    }
}

void gradient_was_busy(struct gradient *g)
{
    g->is_ours = true;
}

unsigned gradient_add(struct gradient *g, uint64_t now_us, uint32_t latency_us, unsigned in_flight)
{
    if (g->window_us == 0) {
        g->window_us = now_us;
    }
    gradient_answered(g, in_flight);
    g->kept_us[g->count++ % GRADIENT_KEPT] = latency_us;
    g->in_flight = in_flight > g->in_flight ? in_flight : g->in_flight;
    double span_us = fmax(WINDOW_US, fmax(g->usual_us, latency_us));
    if (g->count >= SAMPLES && (double)(now_us - g->window_us) >= span_us) {
        window_ends(g);
        g->count = 0;
        g->in_flight = 0;
        g->is_ours = false;
        g->window_us = now_us;
    }
    return gradient_limit(g);
}
