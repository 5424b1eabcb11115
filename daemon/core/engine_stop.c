/* The end: feeds, copies, the engine's own operations, stores, journal, in this order. */
#include "daemon/core/engine_impl.h"

#define LOOK_MS 5

enum stop_stage { STOP_NOT, STOP_COPIES, STOP_STORES, STOP_JOURNAL, STOP_ENDED };

static void journal_is_closed(void *arg)
{
    struct engine *e = arg;
    e->stop_stage = STOP_ENDED;
    e->stopped(e->stopped_arg);
}

static void sched_is_stopped(void *arg)
{
    struct engine *e = arg;
    sched_free(e->sched);
    e->sched = NULL;
}

static void close_stores(struct engine *e)
{
    struct list *lists[] = {&e->endpoints, &e->retired};
    for (int i = 0; i < 2; i++) {
        LIST_FOR_SAFE (link, lists[i]) {
            engine_endpoint_close(CONTAINER_OF(link, struct engine_endpoint, link));
        }
    }
}

/* Nothing that could still ask a store or the journal for something. */
static bool is_quiet(const struct engine *e)
{
    return e->sched == NULL && e->closing == 0 && !e->claiming && !e->lag_running &&
           !e->uploads_running && list_is_empty(&e->ops) && list_is_empty(&e->puts) &&
           e->works.count == 0;
}

static void look(void *arg)
{
    struct engine *e = arg;
    if (e->stop_stage == STOP_COPIES && is_quiet(e)) {
        e->stop_stage = STOP_STORES;
        close_stores(e);
    }
    if (e->stop_stage == STOP_STORES && e->closing == 0) {
        e->stop_stage = STOP_JOURNAL;
        timer_stop(&e->stop_timer);
        journal_close(e->journal, journal_is_closed, e);
        return;
    }
    timer_start(&e->stop_timer, LOOK_MS);
}

static void stop_feeds(struct engine *e)
{
    engine_webhook_stop(e);
    LIST_FOR_SAFE (link, &e->feeds) {
        engine_feed_stop(CONTAINER_OF(link, struct engine_feed, link));
    }
    LIST_FOR (link, &e->rules) {
        struct engine_rule *r = CONTAINER_OF(link, struct engine_rule, link);
        engine_listing_stop(r);
        engine_notify_stop(r, false);
        timer_stop(&r->purge_timer);
    }
}

static void cancel_ops(struct engine *e)
{
    LIST_FOR_SAFE (link, &e->ops) {
        struct engine_op *o = CONTAINER_OF(link, struct engine_op, link);
        store_cancel(o->store, &o->op);
    }
}

void engine_stop(struct engine *e, loop_fn *stopped, void *arg)
{
    e->stopping = true;
    e->stopped = stopped;
    e->stopped_arg = arg;
    e->stop_stage = STOP_COPIES;
    timer_stop(&e->tick);
    timer_stop(&e->lag_timer);
    timer_stop(&e->upload_timer);
    timer_stop(&e->history_timer);
    engine_waits_end(e, NULL, REPL_ECLOSED, "repld is stopping");
    stop_feeds(e);
    engine_events_stop(e);
    cancel_ops(e);
    engine_finish_stop(e);
    if (!e->sched_stopping) {
        e->sched_stopping = true;
        sched_stop(e->sched, e->lost ? 0 : e->conf->shutdown_ms, sched_is_stopped, e);
    }
    timer_init(&e->stop_timer, e->loop, look, e);
    timer_start(&e->stop_timer, 0);
}
