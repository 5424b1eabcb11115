/* The end of a scheduler: what is under way may end, what would have to wait does not begin. */
#include "transfer/copy/sched_impl.h"

/* Its next operation at the destination would have to wait. */
static bool is_held_up(const struct copy *c)
{
    struct endpoint *to = c->at[COPY_DEST];
    if (to->state != SCHED_UP) {
        return true;
    }
    bool has_next = !list_is_empty(&c->queue[COPY_DEST]);
    return has_next && (c->entry[COPY_DEST].place == ENTRY_LIMITED || endpoint_pause_ms(to) > 0);
}

/* It waits for a connection to an endpoint that is down, or reads what cannot be sent. */
static bool is_in_vain(const struct copy_op *o)
{
    const struct copy *c = o->copy;
    enum copy_side side = copy_side(o->step);
    bool is_body = side == COPY_SOURCE && o->need > 0;
    return (is_body && c->is_put_back) || (c->at[side]->state != SCHED_UP && !sched_has_left(o));
}

static void call_back(struct copy *c)
{
    LIST_FOR_SAFE (node, &c->running) {
        struct copy_op *o = copy_op_of(node);
        if (!o->is_cancelled && is_in_vain(o)) {
            o->is_cancelled = true;
            sched_call_back(o);
        }
    }
}

static void end_stop(struct sched *s)
{
    loop_fn *stopped = s->stopped;
    s->stopped = NULL;
    timer_stop(&s->stop_timer);
    stopped(s->stopped_arg);
}

void sched_stop_look(struct sched *s)
{
    LIST_FOR_SAFE (node, &s->copies) {
        struct copy *c = CONTAINER_OF(node, struct copy, all);
        bool is_news = !c->is_put_back && is_held_up(c);
        c->is_put_back |= is_news;
        call_back(c);
        if (is_news) {
            copy_settle(c); /* may free it */
        }
    }
    if (s->stopped != NULL && s->count == 0 && s->probes == 0) {
        end_stop(s);
    }
}

void sched_stop_now(void *arg)
{
    struct sched *s = arg;
    LIST_FOR (node, &s->copies) {
        sched_cancel(s, CONTAINER_OF(node, struct copy, all));
    }
}

void sched_stop(struct sched *s, uint64_t limit_ms, loop_fn *stopped, void *arg)
{
    s->is_stopping = true;
    s->stopped = stopped;
    s->stopped_arg = arg;
    timer_start(&s->stop_timer, limit_ms);
    LIST_FOR (node, &s->endpoints) {
        struct endpoint *e = CONTAINER_OF(node, struct endpoint, link);
        e->passes = 0;
        timer_stop(&e->probe_timer);
        if (e->probe != NULL) {
            store_cancel(e->store, &e->probe->op);
        }
    }
    LIST_FOR (node, &s->copies) {
        sched_wake(CONTAINER_OF(node, struct copy, all));
    }
    sched_pump_soon(s);
}
