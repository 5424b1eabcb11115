#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"

#include <uv.h>

#define LOAD_CACHE_BYTES ((uint64_t)1 << 20)

/* ---- small things that all files use ---- */

struct engine_rule *engine_rule_by_number(struct engine *e, uint32_t number)
{
    LIST_FOR (link, &e->rules) {
        struct engine_rule *r = CONTAINER_OF(link, struct engine_rule, link);
        if (r->rule.number == number) {
            return r;
        }
    }
    return NULL;
}

struct engine_rule *engine_rule_by_name(struct engine *e, const char *name)
{
    LIST_FOR (link, &e->rules) {
        struct engine_rule *r = CONTAINER_OF(link, struct engine_rule, link);
        if (!r->deleting && strcmp(r->rule.name, name) == 0) {
            return r;
        }
    }
    return NULL;
}

struct engine_op *engine_op_new(struct engine *e, struct store *store)
{
    struct engine_op *o = MEM_NEW(struct engine_op);
    o->engine = e;
    o->store = store;
    arena_init(&o->arena);
    list_push_back(&e->ops, &o->link);
    return o;
}

void engine_heard(struct engine *e, struct store *store, const struct store_op *op)
{
    if (e->sched != NULL && engine_store(e, store->name) == store) {
        sched_heard(e->sched, store, op);
    }
}

static void op_done(struct store_op *op)
{
    struct engine_op *o = op->arg;
    op->arg = o->arg;
    engine_heard(o->engine, o->store, op);
    o->done(op);
}

void engine_op_submit(struct engine_op *o, store_done_fn *done, void *arg)
{
    o->done = done;
    o->arg = arg;
    o->op.done = op_done;
    o->op.arg = o;
    o->op.arena = &o->arena;
    store_submit(o->store, &o->op);
}

void engine_op_free(struct engine_op *o)
{
    list_remove(&o->link);
    arena_done(&o->arena);
    mem_free(o);
}

struct later {
    struct deferred deferred;
    engine_done_fn *done;
    void *arg;
    struct fail fail;
};

static void call_later(void *arg)
{
    struct later *l = arg;
    l->done(l->arg, l->fail.code, &l->fail);
    mem_free(l);
}

void engine_done_later(struct engine *e, engine_done_fn *done, void *arg, int status,
                       const struct fail *f)
{
    struct later *l = MEM_NEW(struct later);
    l->done = done;
    l->arg = arg;
    if (f != NULL) {
        l->fail = *f;
    }
    l->fail.code = status;
    deferred_init(&l->deferred, e->loop, call_later, l);
    deferred_call(&l->deferred);
}

/* ---- once a second ---- */

/* Works of a rule whose endpoint is out keep places that others could use: all but a few go back.
 */
static void yield_places(struct engine *e)
{
    LIST_FOR (link, &e->rules) {
        struct engine_rule *r = CONTAINER_OF(link, struct engine_rule, link);
        if (r->work_count > 8 && sched_room(e->sched) == 0 &&
            engine_endpoint_blocks(r, NULL, NULL)) {
            engine_work_cancel_rule(r, 8);
        }
    }
}

static void on_tick(void *arg)
{
    struct engine *e = arg;
    timer_start(&e->tick, 1000);
    if (!e->sched_stopping) {
        yield_places(e);
    }
    engine_limits_apply(e);
    engine_arrivals_tick(e);
    engine_claim_soon(e);
}

/* ---- opening ---- */

static void journal_is_lost(void *arg)
{
    struct engine *e = arg;
    e->lost = true;
    if (e->lost_fn != NULL) {
        e->lost_fn(e->lost_arg);
    }
}

static int open_journal(struct engine *e, enum journal_executor executor, struct fail *f)
{
    return journal_open(&(struct journal_options){.loop = e->loop,
                                                  .log = e->log,
                                                  .executor = executor,
                                                  .path = e->conf->journal_path,
                                                  .owner = e->conf->instance,
                                                  .lost = journal_is_lost,
                                                  .lost_arg = e,
                                                  .cache_bytes = conf_memory_journal(e->conf)},
                        &e->journal, f);
}

static int load_features(struct engine *e, struct backend *b, struct fail *f)
{
    struct arena a;
    int status = 0;
    arena_init(&a);
    LIST_FOR (link, &e->endpoints) {
        struct engine_endpoint *ep = CONTAINER_OF(link, struct engine_endpoint, link);
        char name[96];
        struct span value = {0};
        engine_features_name(ep->name, name);
        status = b->ops->value_get(b, &a, span_str(name), &value);
        if (status == 0) {
            engine_features_apply(ep, value);
        } else if (status != REPL_ENOTFOUND) {
            break;
        }
        engine_conditional_name(ep->name, name);
        status = b->ops->value_get(b, &a, span_str(name), &value);
        if (status == 0) {
            engine_conditional_apply(ep, value);
        } else if (status != REPL_ENOTFOUND) {
            break;
        }
        status = 0;
    }
    arena_done(&a);
    return status == 0 ? 0 : fail_set(f, status, "journal cannot be read");
}

/* What the journal knows, before anything runs: on a reader's connection, at once. */
static int load_state(struct engine *e, struct fail *f)
{
    struct backend *b;
    int status =
        backend_open_sqlite(e->conf->journal_path, BACKEND_READER, LOAD_CACHE_BYTES, &b, f);
    if (status != 0) {
        return status;
    }
    status = b->ops->begin(b);
    if (status == 0 && (status = engine_id_load(e, b)) == 0 &&
        (status = load_features(e, b, f)) == 0) {
        status = engine_rules_load(e, b, f);
    }
    if (status == REPL_EJOURNAL) {
        b->ops->failure(b, f, "reading the rules");
    }
    b->ops->rollback(b);
    b->ops->close(b);
    return status;
}

static int open_endpoints(struct engine *e, struct fail *f)
{
    for (size_t i = 0; i < e->conf->endpoint_count; i++) {
        int status = engine_endpoint_open(e, &e->conf->endpoints[i], f);
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

static void start_work(struct engine *e)
{
    engine_id_save(e);
    engine_events_start(e);
    for (size_t i = 0; e->run_feeds && i < e->conf->outbox_count; i++) {
        engine_outbox_start(e, &e->conf->outboxes[i]);
    }
    engine_queues_start(e);
    engine_leftovers_read(e);
    LIST_FOR (link, &e->rules) {
        struct engine_rule *r = CONTAINER_OF(link, struct engine_rule, link);
        if (r->deleting) {
            engine_rule_purge(r);
        } else {
            engine_scan_start(r);
            engine_notify_start(r);
        }
    }
    timer_start(&e->tick, 1000);
    engine_history_start(e);
    engine_lag_soon(e);
    engine_claim_soon(e);
    engine_uploads_soon(e);
}

static struct engine *make(const struct engine_options *options)
{
    struct engine *e = MEM_NEW(struct engine);
    e->loop = options->loop;
    e->log = options->log;
    e->stats = options->stats;
    e->conf = options->conf;
    e->make_store = options->make_store;
    e->make_store_arg = options->make_store_arg;
    e->run_feeds = options->feeds;
    e->lost_fn = options->lost;
    e->lost_arg = options->lost_arg;
    list_init(&e->endpoints);
    list_init(&e->rules);
    list_init(&e->targets);
    list_init(&e->feeds);
    list_init(&e->leftovers);
    list_init(&e->arrivals);
    list_init(&e->ops);
    list_init(&e->puts);
    list_init(&e->finishes);
    list_init(&e->retired);
    hash_init(&e->works, loop_random(e->loop, UINT64_MAX));
    timer_init(&e->tick, e->loop, on_tick, e);
    engine_stats_init(e);
    engine_claim_init(e);
    engine_lag_init(e);
    engine_uploads_init(e);
    return e;
}

static void one_less(void *arg)
{
    unsigned *open = arg;
    (*open)--;
}

/* Nothing runs yet, and whoever asked may end at once: stores and journal are waited for. */
static void undo_new(struct engine *e)
{
    unsigned open = 0;
    if (e->journal != NULL) {
        open++;
        journal_close(e->journal, one_less, &open);
    }
    LIST_FOR_SAFE (link, &e->endpoints) {
        struct engine_endpoint *ep = CONTAINER_OF(link, struct engine_endpoint, link);
        open++;
        store_close(ep->store, one_less, &open);
        list_remove(&ep->link);
        mem_free(ep->name);
        mem_free(ep);
    }
    while (open > 0) {
        loop_run_once(e->loop);
    }
    e->closing = 0;
    engine_free(e);
}

int engine_new(const struct engine_options *options, struct engine **ret, struct fail *f)
{
    struct engine *e = make(options);
    int status = open_journal(e, options->executor, f);
    if (status == 0) {
        status = open_endpoints(e, f);
    }
    if (status == 0) {
        status = load_state(e, f);
    }
    if (status == 0) {
        status = engine_webhook_start(e, f);
    }
    if (status != 0) {
        undo_new(e);
        return status;
    }
    engine_sched_start(e);
    start_work(e);
    *ret = e;
    return 0;
}

void engine_free(struct engine *e)
{
    if (e == NULL) {
        return;
    }
    timer_stop(&e->tick);
    timer_stop(&e->lag_timer);
    timer_stop(&e->upload_timer);
    engine_claim_done(e);
    engine_arrivals_free(e);
    engine_leftovers_free(e);
    LIST_FOR_SAFE (link, &e->rules) {
        engine_rule_free(CONTAINER_OF(link, struct engine_rule, link));
    }
    hash_done(&e->works);
    mem_free(e->rule_view);
    mem_free(e);
}

/* ---- questions ---- */

size_t engine_rules(struct engine *e, const struct rule *const **ret)
{
    size_t n = 0;
    LIST_FOR (link, &e->rules) {
        n++;
    }
    mem_free(e->rule_view);
    e->rule_view = mem_array(n + 1, sizeof(struct rule *));
    n = 0;
    LIST_FOR (link, &e->rules) {
        struct engine_rule *r = CONTAINER_OF(link, struct engine_rule, link);
        if (!r->deleting) {
            e->rule_view[n++] = &r->rule;
        }
    }
    *ret = e->rule_view;
    return n;
}

const struct rule *engine_rule_find(struct engine *e, const char *name)
{
    struct engine_rule *r = engine_rule_by_name(e, name);
    return r != NULL ? &r->rule : NULL;
}

struct journal *engine_journal(struct engine *e)
{
    return e->journal;
}

struct sched *engine_sched(struct engine *e)
{
    return e->sched;
}

struct store *engine_store(struct engine *e, const char *endpoint)
{
    struct engine_endpoint *ep = engine_endpoint_find(e, endpoint);
    return ep != NULL ? ep->store : NULL;
}
