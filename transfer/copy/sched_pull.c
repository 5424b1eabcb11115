/* Picking: which copy gets the free slot of an endpoint, and what it must have before. */
#include "transfer/copy/sched_impl.h"

/* ---- where an entry stands ---- */

enum store_class sched_size(uint64_t body_bytes)
{
    return body_bytes < STORE_BULK_BYTES ? STORE_SMALL : STORE_BULK;
}

static enum copy_class class_of(const struct copy *c)
{
    return c->job.backfill ? COPY_BACKFILL : c->is_late ? COPY_LATE : COPY_FRESH;
}

static void enter(struct entry *e, struct queue *q, enum entry_place place)
{
    struct copy *c = e->copy;
    e->place = place;
    e->busy = c->in_flight[e->side] > 0;
    e->class = class_of(c);
    e->size = sched_size(copy_op_bytes(copy_peek(c, e->side)));
    queue_push(q, e);
}

void entry_leave(struct entry *e)
{
    if (e->queue != NULL) {
        queue_remove(e);
    }
    e->place = ENTRY_NOWHERE;
}

static void entry_ready(struct entry *e)
{
    enter(e, &e->copy->at[e->side]->ready, ENTRY_READY);
    sched_pump_soon(e->copy->sched);
}

static bool stands_wrong(const struct entry *e)
{
    struct copy *c = e->copy;
    return e->queue != NULL && (e->class != class_of(c) || e->busy != (c->in_flight[e->side] > 0) ||
                                e->size != sched_size(copy_op_bytes(copy_peek(c, e->side))));
}

/* In a wait for memory, but what is first in the queue now needs none. */
static bool waits_in_vain(struct entry *e)
{
    if (e->place != ENTRY_PARKED && e->place != ENTRY_BUDGET) {
        return false;
    }
    struct copy_op *o = copy_peek(e->copy, e->side);
    return o->ticket.state == TICKET_HELD || o->need == 0;
}

static void update_side(struct copy *c, enum copy_side side)
{
    struct entry *e = &c->entry[side];
    if (!copy_wants(c, side)) {
        entry_leave(e);
        return;
    }
    if (waits_in_vain(e) || stands_wrong(e)) {
        entry_leave(e); /* ready again, it is soon where it has to wait */
    }
    if (e->place == ENTRY_NOWHERE) {
        entry_ready(e);
    }
}

void sched_update(struct copy *c)
{
    update_side(c, COPY_SOURCE);
    update_side(c, COPY_DEST);
}

/* ---- memory ---- */

void sched_release(struct copy_op *o)
{
    struct copy *c = o->copy;
    valves_refund(o);
    if (o->ticket.state == TICKET_HELD) {
        struct bodies *held = &c->at[COPY_DEST]->held;
        held->count[sched_size(o->ticket.bytes)]--;
        held->bytes -= o->ticket.bytes;
        sched_pump_soon(c->sched);
    }
    budget_give(&c->sched->budget, &o->ticket);
}

static void count_body(struct bodies *held, uint64_t bytes)
{
    held->count[sched_size(bytes)]++;
    held->bytes += bytes;
}

void sched_granted(void *arg, struct ticket *ticket)
{
    (void)arg;
    struct copy_op *o = CONTAINER_OF(ticket, struct copy_op, ticket);
    struct copy *c = o->copy;
    count_body(&c->at[COPY_DEST]->held, ticket->bytes);
    if (c->entry[COPY_SOURCE].place == ENTRY_BUDGET) {
        update_side(c, COPY_SOURCE);
    }
}

/* As many as would be let in now, counted as if they were; a small one does not wait for the room
 * that a bulk one needs. */
void sched_unpark(struct endpoint *to)
{
    struct bodies held = to->held;
    unsigned sizes = QUEUE_SMALL | QUEUE_BULK;
    struct entry *e;
    while (to->state == SCHED_UP && (e = queue_top(&to->parked, sizes)) != NULL) {
        uint64_t need = copy_peek(e->copy, e->side)->need;
        if (!endpoint_takes_body(to, &held, need)) {
            sizes &= ~(1u << e->size);
            continue;
        }
        count_body(&held, need);
        queue_serve(&to->parked, e, need);
        entry_leave(e);
        entry_ready(e);
    }
}

static void park(struct entry *e, struct endpoint *to)
{
    entry_leave(e);
    enter(e, &to->parked, ENTRY_PARKED);
}

/* Has o the memory it needs? Else its entry waits elsewhere now. A body is read only for a
 * destination that is up and not behind with what was read for it before. */
static bool has_memory(struct entry *e, struct copy_op *o)
{
    struct endpoint *to = o->copy->at[COPY_DEST];
    struct ticket *t = &o->ticket;
    if (o->need == 0 || e->side == COPY_DEST) {
        return true;
    }
    if (to->state != SCHED_UP ||
        (t->state != TICKET_HELD && !endpoint_takes_body(to, &to->held, o->need))) {
        sched_release(o);
        park(e, to);
        return false;
    }
    if (t->state == TICKET_NONE && budget_take(&o->copy->sched->budget, t, o->need)) {
        count_body(&to->held, t->bytes);
    }
    if (t->state == TICKET_HELD) {
        return true;
    }
    entry_leave(e);
    e->place = ENTRY_BUDGET;
    return false;
}

/* ---- limits ---- */

static bool passes(struct entry *e, const struct copy_op *o)
{
    struct valve *closed = valves_closed(o);
    if (closed != NULL) {
        entry_leave(e);
        enter(e, &closed->waiting, ENTRY_LIMITED);
        valve_wait(closed);
    }
    return closed == NULL;
}

/* ---- starting ---- */

static void on_done(struct store_op *op)
{
    struct copy_op *o = op->arg;
    struct copy *c = o->copy;
    struct sched *s = c->sched;
    enum copy_side side = copy_side(o->step);
    struct endpoint *e = c->at[side];
    e->in_flight[o->size]--;
    c->in_flight[side]--;
    o->counts = endpoint_result(e, op);
    hedge_ended(o);
    copy_result(o);
    sched_pump_soon(s);
}

void sched_start(struct endpoint *at, struct copy_op *o)
{
    struct copy *c = o->copy;
    struct entry *e = &c->entry[copy_side(o->step)];
    uint64_t bytes = copy_op_bytes(o);
    copy_fill(o);
    o->op.done = on_done;
    o->op.arg = o;
    o->size = store_op_class(&o->op);
    at->in_flight[o->size]++;
    queue_serve(&at->ready, e, bytes);
    c->in_flight[e->side]++;
    endpoint_started(at);
    hedge_watch(o);
    store_submit(at->store, &o->op);
    sched_update(c);
}

bool sched_is_stale(const struct copy_op *o)
{
    const struct copy *c = o->copy;
    const struct endpoint *to = c->at[COPY_DEST];
    uint64_t age_ms = loop_now_ms(c->sched->o.loop) - c->evidence_ms;
    return o->step == STEP_DELETE && (c->evidence_ms < to->up_ms || age_ms > SCHED_EVIDENCE_MAX_MS);
}

static void try_start(struct entry *e, struct endpoint *at)
{
    struct copy_op *o = copy_peek(e->copy, e->side);
    if (sched_is_stale(o)) {
        copy_queue(o, STEP_DELETE_EVIDENCE);
        sched_update(e->copy);
        return;
    }
    if (!passes(e, o) || !has_memory(e, o)) {
        return;
    }
    if (copy_create_is_late(o)) {
        copy_create_anew(o);
        return;
    }
    if (o->need > 0 && budget_buffer(&e->copy->sched->budget, &o->ticket) == NULL) {
        fail_set(&o->op.fail, -12, "no memory for a part"); /* ENOMEM */
        o->counts = false;
        copy_delay(o, o->step, SCHED_OUTAGE_MS);
        sched_update(e->copy);
        return;
    }
    entry_leave(e);
    valves_pass(o);
    if (!sched_start_batch(at, o)) {
        sched_start(at, o);
    }
}

static struct entry *pick(struct endpoint *at)
{
    unsigned sizes = (endpoint_room(at, STORE_SMALL) > 0 ? QUEUE_SMALL : 0) |
                     (endpoint_room(at, STORE_BULK) > 0 ? QUEUE_BULK : 0);
    return queue_top(&at->ready, sizes);
}

static bool may_start(const struct sched *s, const struct entry *e)
{
    return !s->is_stopping || e->side == COPY_DEST;
}

void sched_pull(struct endpoint *at)
{
    for (;;) {
        struct entry *e = pick(at);
        if (e == NULL) {
            return;
        }
        if (may_start(at->sched, e)) {
            try_start(e, at);
        } else {
            entry_leave(e);
        }
    }
}
