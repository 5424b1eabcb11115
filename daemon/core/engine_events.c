/* Events for others: planned on the loop, written in the transaction of what they tell of, sent by
 * the posters of the targets. Where nobody listens nothing is planned. */
#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"

#define KEEP_MAX 64 /* targets */

struct engine_target {
    struct list link;
    struct engine *engine;
    char *name;
    struct poster *poster; /* NULL: closing */
    struct event_counts counts;
    size_t calls; /* of the journal, under way */
    bool closed;  /* the poster is gone */
};

/* ---- planning ---- */

static bool is_named(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static bool wants(const struct conf_events *t, enum event_kind kind, const char *rule)
{
    bool this_kind = t->kind_count == 0 ? kind != EVENT_REPLICATED
                                        : is_named(t->kinds, t->kind_count, event_kind_name(kind));
    return this_kind && (t->rule_count == 0 || is_named(t->rules, t->rule_count, rule));
}

bool engine_event_plan(struct engine_rule *r, enum event_kind kind, struct arena *a,
                       struct event_plan *ret)
{
    struct engine *e = r->engine;
    const struct rule *rule = &r->rule;
    *ret = (struct event_plan){.rule = rule->number};
    if (e->conf->event_count == 0 || r->deleting) {
        return false;
    }
    ret->targets = arena_alloc(a, e->conf->event_count * sizeof(*ret->targets));
    ret->limits = arena_alloc(a, e->conf->event_count * sizeof(*ret->limits));
    for (size_t i = 0; i < e->conf->event_count; i++) {
        const struct conf_events *t = &e->conf->events[i];
        if (wants(t, kind, rule->name)) {
            ret->limits[ret->count] = t->queue;
            ret->targets[ret->count++] = arena_span(a, span_str(t->name));
        }
    }
    const struct conf_endpoint *from = r->from != NULL ? r->from->conf : NULL;
    ret->out = (struct event_out){
        .kind = kind,
        .at_ms = engine_now_ms(e),
        .rule = arena_strdup(a, rule->name),
        .instance = arena_strdup(a, e->conf->instance),
        .region = from != NULL ? arena_span(a, span_str(from->region)).ptr : NULL,
        .source = {.endpoint = arena_strdup(a, rule->source.endpoint),
                   .bucket = arena_strdup(a, rule->source.bucket)},
        .destination = {.endpoint = arena_strdup(a, rule->destination.endpoint),
                        .bucket = arena_strdup(a, rule->destination.bucket)},
        .size = -1,
        .latency_ms = -1};
    return ret->count > 0;
}

/* ---- on the journal's thread ---- */

int engine_event_write(struct backend *b, const struct event_plan *plan)
{
    struct buf body = {0};
    int status = 0;
    event_print(&plan->out, &body);
    for (size_t i = 0; i < plan->count && status == 0; i++) {
        struct event_record rec = {.target = plan->targets[i],
                                   .kind = span_str(event_kind_name(plan->out.kind)),
                                   .rule = plan->rule,
                                   .optional = plan->out.kind == EVENT_REPLICATED,
                                   .only_newest = plan->out.kind == EVENT_WATERMARK,
                                   .at_ms = plan->out.at_ms,
                                   .body = buf_view(&body)};
        status = b->ops->event_add(b, &rec, plan->limits[i]);
    }
    buf_done(&body);
    return status;
}

/* ---- the host of the posters ---- */

struct target_call {
    struct journal_call call;
    struct engine_target *target;
    struct arena arena;
    size_t limit;
    uint64_t number;
    struct event_record *rows;
    size_t count;
    struct event_counts counts;
};

static void drop_target(struct engine_target *t)
{
    if (t->closed && t->calls == 0) {
        t->engine->closing--;
        mem_free(t->name);
        mem_free(t);
    }
}

static struct target_call *new_call(struct engine_target *t)
{
    struct target_call *c = MEM_NEW(struct target_call);
    c->target = t;
    arena_init(&c->arena);
    t->calls++;
    return c;
}

static void free_call(struct target_call *c)
{
    struct engine_target *t = c->target;
    t->calls--;
    arena_done(&c->arena);
    mem_free(c);
    drop_target(t);
}

static int run_page(struct backend *b, struct journal_call *call)
{
    struct target_call *c = CONTAINER_OF(call, struct target_call, call);
    struct span name = span_str(c->target->name);
    int status = b->ops->event_page(b, &c->arena, name, c->limit, &c->rows, &c->count);
    return status == 0 ? b->ops->event_counts(b, name, &c->counts) : status;
}

static void page_done(struct journal_call *call)
{
    struct target_call *c = CONTAINER_OF(call, struct target_call, call);
    struct poster *poster = c->target->poster;
    if (poster != NULL) {
        struct poster_event *events = arena_alloc(&c->arena, (c->count + 1) * sizeof(*events));
        for (size_t i = 0; i < c->count; i++) {
            events[i] = (struct poster_event){c->rows[i].number, c->rows[i].body};
        }
        if (call->status == 0) {
            c->target->counts = c->counts;
        }
        poster_page(poster, call->status, events, call->status == 0 ? c->count : 0);
    }
    free_call(c);
}

/* In line with what was written: an event that was told of is in the page. */
static void host_page(void *arg, const char *name, size_t limit)
{
    struct engine_target *t = arg;
    struct target_call *c = new_call(t);
    (void)name;
    c->limit = limit;
    c->call.run = run_page;
    c->call.done = page_done;
    journal_submit(t->engine->journal, &c->call);
}

static int run_done(struct backend *b, struct journal_call *call)
{
    struct target_call *c = CONTAINER_OF(call, struct target_call, call);
    return b->ops->event_done(b, span_str(c->target->name), c->number);
}

static void done_done(struct journal_call *call)
{
    struct target_call *c = CONTAINER_OF(call, struct target_call, call);
    if (c->target->poster != NULL) {
        poster_done(c->target->poster, call->status);
    }
    free_call(c);
}

static void host_done(void *arg, const char *name, uint64_t number)
{
    struct engine_target *t = arg;
    struct target_call *c = new_call(t);
    (void)name;
    c->number = number;
    c->call.run = run_done;
    c->call.done = done_done;
    journal_submit(t->engine->journal, &c->call);
}

/* ---- life ---- */

static void start_target(struct engine *e, const struct conf_events *conf)
{
    struct fail f;
    struct poster *poster = NULL;
    struct engine_target *t = MEM_NEW(struct engine_target);
    t->engine = e;
    t->name = mem_strdup(conf->name);
    struct poster_options options = {.loop = e->loop,
                                     .log = e->log,
                                     .stats = e->stats,
                                     .conf = conf,
                                     .host = {.arg = t, .page = host_page, .done = host_done}};
    if (poster_new(&options, &poster, &f) != 0) {
        LOG_ERROR(e->log, ENGINE_SUBJECT, "events for %s wait until repld is reloaded: %s",
                  conf->name, f.text);
        mem_free(t->name);
        mem_free(t);
        return;
    }
    t->poster = poster;
    list_push_back(&e->targets, &t->link);
    poster_news(poster);
}

static void poster_is_closed(void *arg)
{
    struct engine_target *t = arg;
    t->closed = true;
    drop_target(t);
}

static void stop_target(struct engine_target *t)
{
    struct poster *poster = t->poster;
    list_remove(&t->link);
    t->engine->closing++;
    t->poster = NULL;
    poster_close(poster, poster_is_closed, t);
}

struct keep_call {
    struct journal_call call;
    struct arena arena;
    struct span names[KEEP_MAX];
    size_t count;
};

static int run_keep(struct backend *b, struct journal_call *call)
{
    struct keep_call *c = CONTAINER_OF(call, struct keep_call, call);
    return b->ops->event_keep(b, c->names, c->count);
}

static void keep_done(struct journal_call *call)
{
    struct keep_call *c = CONTAINER_OF(call, struct keep_call, call);
    arena_done(&c->arena);
    mem_free(c);
}

/* Nobody waits any more for what a target that is gone was to be told. */
static void forget_others(struct engine *e)
{
    struct keep_call *c = MEM_NEW(struct keep_call);
    arena_init(&c->arena);
    for (size_t i = 0; i < e->conf->event_count && i < KEEP_MAX; i++) {
        c->names[c->count++] = arena_span(&c->arena, span_str(e->conf->events[i].name));
    }
    c->call.run = run_keep;
    c->call.done = keep_done;
    journal_submit(e->journal, &c->call);
}

void engine_events_start(struct engine *e)
{
    if (!e->run_feeds || loop_is_virtual(e->loop)) {
        return;
    }
    forget_others(e);
    for (size_t i = 0; i < e->conf->event_count && i < KEEP_MAX; i++) {
        start_target(e, &e->conf->events[i]);
    }
}

void engine_events_stop(struct engine *e)
{
    LIST_FOR_SAFE (link, &e->targets) {
        stop_target(CONTAINER_OF(link, struct engine_target, link));
    }
}

void engine_events_news(struct engine *e)
{
    LIST_FOR (link, &e->targets) {
        poster_news(CONTAINER_OF(link, struct engine_target, link)->poster);
    }
}

bool engine_event_status(struct engine *e, size_t at, struct event_status *ret)
{
    LIST_FOR (link, &e->targets) {
        const struct engine_target *t = CONTAINER_OF(link, struct engine_target, link);
        if (at-- == 0) {
            struct poster_status s;
            poster_status(t->poster, &s);
            *ret = (struct event_status){.name = t->name,
                                         .waiting = t->counts.waiting,
                                         .dropped = t->counts.dropped,
                                         .oldest_ms = t->counts.oldest_ms,
                                         .sent = s.sent,
                                         .failures = s.failures,
                                         .fail = s.fail};
            return true;
        }
    }
    return false;
}
