/* Picking: which copy gets the free slot of an endpoint, and what it must have before. */
#include "transfer/copy/sched_impl.h"

/* ---- where an entry stands ---- */

static void entry_ready(struct entry *e)
{
    struct copy *c = e->copy;
    e->busy = c->in_flight[e->side] > 0;
    e->place = ENTRY_READY;
    heap_push(&c->at[e->side]->ready[c->job.backfill ? 1 : 0], e);
    sched_pump_soon(c->sched);
}

void entry_leave(struct entry *e)
{
    if (e->heap != NULL) {
        heap_remove(e->heap, e);
    }
    e->place = ENTRY_NOWHERE;
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
    bool busy = c->in_flight[side] > 0;
    if (waits_in_vain(e) || (e->place == ENTRY_READY && e->busy != busy)) {
        entry_leave(e);
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
    if (o->ticket.state == TICKET_HELD) {
        c->at[COPY_DEST]->held--;
        c->at[COPY_DEST]->held_bytes -= o->ticket.bytes;
        sched_pump_soon(c->sched);
    }
    budget_give(&c->sched->budget, &o->ticket);
}

static void count_held(struct endpoint *to, const struct copy_op *o)
{
    to->held++;
    to->held_bytes += o->ticket.bytes;
}

void sched_granted(void *arg, struct ticket *ticket)
{
    (void)arg;
    struct copy_op *o = CONTAINER_OF(ticket, struct copy_op, ticket);
    struct copy *c = o->copy;
    count_held(c->at[COPY_DEST], o);
    struct entry *e = &c->entry[COPY_SOURCE];
    if (e->place == ENTRY_BUDGET) {
        entry_leave(e);
        entry_ready(e);
    }
}

/* As many as would be let in now, counted as if they were. */
void sched_unpark(struct endpoint *to)
{
    unsigned held = to->held;
    uint64_t bytes = to->held_bytes;
    while (to->parked.count > 0 && to->state == SCHED_UP) {
        struct entry *e = heap_top(&to->parked);
        uint64_t need = copy_peek(e->copy, e->side)->need;
        if (!endpoint_takes_body(to, held, bytes, need)) {
            return;
        }
        held++;
        bytes += need;
        entry_leave(e);
        entry_ready(e);
    }
}

static void park(struct entry *e, struct endpoint *to)
{
    entry_leave(e);
    e->busy = e->copy->in_flight[e->side] > 0;
    e->place = ENTRY_PARKED;
    heap_push(&to->parked, e);
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
        (t->state != TICKET_HELD && !endpoint_takes_body(to, to->held, to->held_bytes, o->need))) {
        sched_release(o);
        park(e, to);
        return false;
    }
    if (t->state == TICKET_NONE && budget_take(&o->copy->sched->budget, t, o->need)) {
        count_held(to, o);
    }
    if (t->state == TICKET_HELD) {
        return true;
    }
    entry_leave(e);
    e->place = ENTRY_BUDGET;
    return false;
}

/* ---- starting ---- */

static void on_done(struct store_op *op)
{
    struct copy_op *o = op->arg;
    struct copy *c = o->copy;
    struct sched *s = c->sched;
    enum copy_side side = copy_side(o->step);
    struct endpoint *e = c->at[side];
    e->in_flight--;
    c->in_flight[side]--;
    o->counts = endpoint_result(e, op);
    copy_result(o);
    sched_pump_soon(s);
}

static void start(struct entry *e, struct endpoint *at, struct copy_op *o)
{
    struct copy *c = e->copy;
    copy_fill(o);
    o->op.done = on_done;
    o->op.arg = o;
    at->in_flight++;
    c->in_flight[e->side]++;
    endpoint_started(at);
    store_submit(at->store, &o->op);
    sched_update(c);
}

static void try_start(struct entry *e, struct endpoint *at)
{
    struct copy_op *o = copy_peek(e->copy, e->side);
    if (!has_memory(e, o)) {
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
    if (!sched_start_batch(at, o)) {
        start(e, at, o);
    }
}

/* Fresh before backfill by shares, none idle while the other wants. */
static struct entry *pick(struct endpoint *at)
{
    struct entry *fresh = heap_top(&at->ready[0]), *backfill = heap_top(&at->ready[1]);
    if (fresh == NULL || backfill == NULL) {
        return fresh != NULL ? fresh : backfill;
    }
    if (at->credit >= SCHED_FRESH_SHARE) {
        at->credit -= SCHED_FRESH_SHARE;
        return backfill;
    }
    at->credit += 100 - SCHED_FRESH_SHARE;
    return fresh;
}

static bool may_start(const struct sched *s, const struct entry *e)
{
    return !s->is_stopping || e->side == COPY_DEST;
}

void sched_pull(struct endpoint *at)
{
    for (;;) {
        struct entry *e = endpoint_room(at) > 0 ? pick(at) : NULL;
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
