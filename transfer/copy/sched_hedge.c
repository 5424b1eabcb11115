/* The tail of an object: when nothing of it is left to be given out and a part takes more than
 * twice as long as parts do there, a second attempt goes out beside it. The first one that is
 * accepted wins, the other is called back, and the part counts when both have ended. Only at
 * endpoints whose profile says that this does no harm (reupload_safe), only into slots that nobody
 * else wants, and at most 2 % of what is sent there. */
#include "transfer/copy/sched_impl.h"

#include <stdlib.h>

#define SLOW_FACTOR   2
#define EXTRA_SHARE   0.02
#define LOOK_LEAST_MS 50

/* ---- how long parts take ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Median of the last ones in ms a byte; 0 while too few are known. */
static double median_pace(const struct pace_log *log)
{
    double sorted[PACE_LOG];
    if (log->count < PACE_LOG) {
        return 0;
    }
    memcpy(sorted, log->ms_a_byte, sizeof(sorted));
    qsort(sorted, PACE_LOG, sizeof(sorted[0]), by_value);
    return sorted[PACE_LOG / 2];
}

static void note_pace(struct pace_log *log, uint64_t ms, uint64_t bytes)
{
    log->ms_a_byte[log->next] = (double)ms / (double)bytes;
    log->next = (log->next + 1) % PACE_LOG;
    log->count += log->count < PACE_LOG ? 1 : 0;
}

/* A last, shorter part may take as long as any: most of it may be the way there and back. */
static uint64_t slow_ms(const struct copy_op *o)
{
    const struct copy *c = o->copy;
    double pace = median_pace(&c->at[COPY_DEST]->pace);
    return (uint64_t)(SLOW_FACTOR * pace * (double)c->plan.part_size);
}

/* ---- may it? ---- */

static size_t length_of(const struct list *list)
{
    size_t n = 0;
    LIST_FOR (node, list) {
        n++;
    }
    return n;
}

/* Fewer parts are left than there are slots, and all of them are on their way. */
static bool is_near_the_end(const struct copy *c, unsigned slots)
{
    return c->parts_todo == 0 && list_is_empty(&c->queue[COPY_SOURCE]) &&
           list_is_empty(&c->queue[COPY_DEST]) &&
           length_of(&c->running) + length_of(&c->delayed) < slots;
}

static bool is_within_share(const struct endpoint *e, uint64_t bytes)
{
    return (double)(e->extra_bytes + bytes) <= EXTRA_SHARE * (double)e->sent_bytes;
}

static bool may_hedge(const struct copy_op *o)
{
    const struct copy *c = o->copy;
    struct endpoint *e = c->at[COPY_DEST];
    return !c->sched->is_stopping && is_near_the_end(c, store_slots(e->store, o->size)) &&
           endpoint_room(e, o->size) > 0 && queue_top(&e->ready, 1u << o->size) == NULL &&
           is_within_share(e, copy_op_bytes(o)) && valves_closed(o) == NULL;
}

/* ---- two attempts ---- */

static void look_again(void *arg)
{
    struct copy_op *o = arg;
    struct copy *c = o->copy;
    if (o->twin != NULL || o->is_cancelled || c->after != AFTER_NOTHING) {
        return;
    }
    if (!may_hedge(o)) {
        uint64_t wait_ms = slow_ms(o) / 4;
        timer_start(&o->slow, wait_ms > LOOK_LEAST_MS ? wait_ms : LOOK_LEAST_MS);
        return;
    }
    struct copy_op *twin = copy_twin(o);
    c->at[COPY_DEST]->extra_bytes += copy_op_bytes(o);
    valves_pass(twin);
    sched_start(c->at[COPY_DEST], twin);
}

void hedge_watch(struct copy_op *o)
{
    const struct endpoint *e = o->copy->at[COPY_DEST];
    o->started_ms = loop_now_ms(o->copy->sched->o.loop);
    if (o->step == STEP_SEND_PART && o->twin == NULL && e->store->features.reupload_safe &&
        e->pace.count == PACE_LOG) {
        timer_init(&o->slow, o->copy->sched->o.loop, look_again, o);
        timer_start(&o->slow, slow_ms(o));
    }
}

/* Of a pair, what is not used is extra: one that fails while the other goes on, or comes too late.
 */
static void count_extra(struct endpoint *e, const struct copy_op *o)
{
    uint64_t reserved = copy_op_bytes(o), sent = o->op.wire_sent;
    e->extra_bytes -= reserved > sent ? reserved - sent : 0;
    if (e->hedged_bytes != NULL) {
        stat_add(e->hedged_bytes, (double)sent);
    }
}

void hedge_ended(struct copy_op *o)
{
    struct endpoint *e = o->copy->at[COPY_DEST];
    bool failed = o->op.fail.code != 0;
    timer_stop(&o->slow);
    if (copy_side(o->step) == COPY_DEST) {
        e->sent_bytes += o->op.wire_sent;
    }
    if (o->step == STEP_SEND_PART && (o->is_surplus || (o->twin != NULL && failed))) {
        count_extra(e, o);
    } else if (o->step == STEP_SEND_PART && !failed) {
        uint64_t now_ms = loop_now_ms(o->copy->sched->o.loop);
        note_pace(&e->pace, now_ms - o->started_ms, copy_op_bytes(o));
    }
}
