#include "daemon/feeds/queue_through.h"

#include "daemon/base/loop.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

void queue_through_answer(struct queue_through *t, int64_t server_ms, int64_t visibility_ms)
{
    if (t->hidden_until_ms == 0) {
        t->hidden_until_ms = server_ms + QUEUE_OVERLAP_MS + visibility_ms;
    }
    t->seen_ms = server_ms > t->seen_ms ? server_ms : t->seen_ms;
}

void queue_through_lost(struct queue_through *t)
{
    t->hidden_until_ms = 0;
    t->empty_ms = 0;
}

void queue_through_empty(struct queue_through *t, int64_t asked_ms)
{
    t->empty_ms = asked_ms;
}

/* One whose age is not known is too old. */
void queue_through_came(struct queue_through *t, int64_t sent_ms, int64_t server_ms)
{
    int64_t age_ms = sent_ms > 0 ? server_ms - sent_ms : INT64_MAX;
    t->came++;
    t->oldest_age_ms = age_ms > t->oldest_age_ms ? age_ms : t->oldest_age_ms;
}

/* asked_ms: of what proves it. */
static void prove(struct queue_through *t, int64_t ms, int64_t asked_ms)
{
    bool began = t->hidden_until_ms != 0 && asked_ms >= t->hidden_until_ms;
    if (began && ms > t->through_ms) {
        t->through_ms = ms;
    }
}

static uint64_t beyond(uint64_t hidden, uint64_t ours)
{
    return hidden > ours ? hidden - ours : 0;
}

void queue_through_counted(struct queue_through *t, const struct queue_counts *c)
{
    t->is_counted = true;
    t->waiting = c->waiting + c->delayed;
    t->others = beyond(c->hidden, c->ours_least);
    if (t->empty_ms != 0 && c->delayed == 0 && t->others == 0) {
        prove(t, t->empty_ms, t->empty_ms);
    }
    bool young = t->came > t->waiting && t->oldest_age_ms < QUEUE_SETTLE_MS;
    if (young && beyond(c->hidden, c->ours_most) == 0) {
        prove(t, c->asked_ms - QUEUE_SETTLE_MS, c->asked_ms);
    }
    t->empty_ms = 0;
    t->came = 0;
    t->oldest_age_ms = 0;
}

int64_t queue_through_read(const struct queue_through *t, int64_t oldest_ms)
{
    return oldest_ms > 0 && oldest_ms <= t->through_ms ? oldest_ms - 1 : t->through_ms;
}

void queue_through_text(const struct queue_through *t, char *to, size_t size)
{
    char when[32];
    if (t->hidden_until_ms == 0) {
        snprintf(to, size, "it has not answered yet");
    } else if (t->seen_ms < t->hidden_until_ms) {
        time_iso(t->hidden_until_ms, when);
        snprintf(to, size, "messages whose delivery was cut off may come back until %s", when);
    } else if (t->others > 0) {
        snprintf(to, size, "about %" PRIu64 " of its messages are in the hands of somebody else",
                 t->others);
    } else if (t->waiting > 0) {
        snprintf(to, size, "about %" PRIu64 " messages wait in it", t->waiting);
    } else {
        snprintf(to, size, "its next answer without messages is due");
    }
}
