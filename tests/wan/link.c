#include "tests/wan/link.h"

#include <math.h>

/* The jitter takes a new random target this often, and moves there evenly: a path whose delay jumps
 * from packet to packet without reordering would only have a longer delay. */
#define JITTER_PERIODS  2.0 /* × jitter_ns: the delay falls by at most half a second a second */
#define JITTER_LEAST_NS 10e6

#define PACKET_BYTES 1500 /* a policer's bucket holds at least one */

void link_init(struct link *link, uint64_t seed)
{
    *link = (struct link){.random = seed};
}

/* splitmix64 */
static double draw(struct link *link)
{
    uint64_t z = link->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static double wire_ns(double bytes, double rate_bps)
{
    return bytes * 8e9 / rate_bps;
}

int64_t link_queue_ns(const struct link *link, int64_t now_ns)
{
    return link->free_ns > now_ns ? link->free_ns - now_ns : 0;
}

void link_set(struct link *link, const struct link_settings *settings, int64_t now_ns)
{
    double waiting_ns = (double)link_queue_ns(link, now_ns);
    if (settings->rate_bps > 0 && waiting_ns > 0) {
        waiting_ns *= link->settings.rate_bps / settings->rate_bps;
        link->free_ns = now_ns + (int64_t)waiting_ns;
    }
    if (settings->policer_bps != link->settings.policer_bps) {
        link->tokens_bytes = INFINITY; /* the bucket is cut to its depth when it is used */
        link->tokens_at_ns = now_ns;
    }
    link->settings = *settings;
}

static bool police(struct link *link, int64_t now_ns, uint32_t bytes)
{
    const struct link_settings *s = &link->settings;
    double bytes_per_ns = s->policer_bps / 8e9;
    if (bytes_per_ns <= 0) {
        return true;
    }
    double depth = s->bucket_bytes > 0 ? s->bucket_bytes : s->bucket_ns * bytes_per_ns;
    link->tokens_bytes += (double)(now_ns - link->tokens_at_ns) * bytes_per_ns;
    link->tokens_bytes = fmin(link->tokens_bytes, fmax(depth, PACKET_BYTES));
    link->tokens_at_ns = now_ns;
    if (link->tokens_bytes < bytes) {
        return false;
    }
    link->tokens_bytes -= bytes;
    return true;
}

static bool enqueue(struct link *link, int64_t now_ns, uint32_t bytes)
{
    const struct link_settings *s = &link->settings;
    if (s->rate_bps <= 0) {
        link->free_ns = now_ns;
        return true;
    }
    double limit_ns = s->queue_bytes > 0 ? wire_ns(s->queue_bytes, s->rate_bps) : s->queue_ns;
    int64_t waiting_ns = link_queue_ns(link, now_ns);
    if ((double)waiting_ns > limit_ns) {
        return false;
    }
    link->free_ns = now_ns + waiting_ns + (int64_t)wire_ns(bytes, s->rate_bps);
    return true;
}

/* Gilbert: in a burst every packet is lost; bursts end and begin so that their mean length and the
 * share of lost packets are as set. A share that needs longer bursts than set gets them. */
static bool lose(struct link *link)
{
    double loss = link->settings.loss, burst = link->settings.burst;
    if (burst <= 1 || loss <= 0 || loss >= 1) {
        link->is_losing = draw(link) < loss;
        return link->is_losing;
    }
    double end = 1 / fmax(burst, loss / (1 - loss)), begin = loss * end / (1 - loss);
    link->is_losing = link->is_losing ? draw(link) >= end : draw(link) < begin;
    return link->is_losing;
}

static double jitter_ns(struct link *link, int64_t at_ns)
{
    double limit = link->settings.jitter_ns;
    if (limit <= 0) {
        return 0;
    }
    double period = fmax(JITTER_PERIODS * limit, JITTER_LEAST_NS);
    double part = fmax((double)(at_ns - link->jitter_begin_ns) / period, 0);
    if (part >= 1) {
        link->jitter_from_ns = part >= 2 ? draw(link) * limit : link->jitter_to_ns;
        link->jitter_to_ns = draw(link) * limit;
        link->jitter_begin_ns = at_ns;
        part = 0;
    }
    return link->jitter_from_ns + part * (link->jitter_to_ns - link->jitter_from_ns);
}

static int64_t due_ns(struct link *link, int64_t now_ns)
{
    int64_t sent_ns = now_ns + link_queue_ns(link, now_ns);
    int64_t due = sent_ns + (int64_t)(link->settings.delay_ns + jitter_ns(link, sent_ns));
    if (due < link->last_due_ns) {
        due = link->last_due_ns;
    }
    link->last_due_ns = due;
    return due;
}

enum link_fate link_take(struct link *link, int64_t now_ns, uint32_t bytes, int64_t *ret_due_ns)
{
    enum link_fate fate = LINK_passed;
    if (now_ns < link->outage_ns) {
        fate = LINK_outage;
    } else if (!police(link, now_ns, bytes)) {
        fate = LINK_policer;
    } else if (!enqueue(link, now_ns, bytes)) {
        fate = LINK_queue;
    } else if (lose(link)) {
        fate = LINK_loss;
    } else {
        *ret_due_ns = due_ns(link, now_ns);
    }
    link->counts[fate].packets++;
    link->counts[fate].bytes += bytes;
    return fate;
}

void link_give_up(struct link *link, uint32_t bytes)
{
    link->counts[LINK_passed].packets--;
    link->counts[LINK_passed].bytes -= bytes;
    link->counts[LINK_overflow].packets++;
    link->counts[LINK_overflow].bytes += bytes;
}

const char *link_fate_name(enum link_fate fate)
{
#define LINK_NAME(name) #name,
    static const char *const names[] = {LINK_FATES(LINK_NAME)};
#undef LINK_NAME
    return names[fate];
}
