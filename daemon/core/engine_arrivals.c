/* What webhooks told about the source buckets of rules, and the canaries that are written there to
 * know it: one record for each webhook and bucket. It outlives a webhook that is opened anew, and
 * its state a restart. */
#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"

#include <stdio.h>

#define CANARY_PREFIX RULES_RESERVED_PREFIX "canary/"
#define SAVE_MS       LATENESS_CANARY_MS

struct engine_arrivals {
    struct list link; /* in engine.arrivals */
    struct engine *engine;
    char *feed; /* "webhook:minio" */
    char *bucket;
    char *canary_key;
    struct lateness lateness;
    bool wanted;      /* a rule has this source and the webhook is open */
    bool loaded;      /* the state of the life before */
    bool busy;        /* with the journal */
    bool writing;     /* a canary, or deleting the version before */
    char *version;    /* of the last canary, where the bucket keeps versions; NULL = none */
    struct fail fail; /* why the last canary could not be written */
    uint64_t next_ms; /* canary; monotonic */
    bool unsaved;     /* another version */
    bool deaf;        /* which the log was told */
    int64_t saved_ms;
};

static struct engine_arrivals *find(struct engine *e, const char *feed, struct span bucket)
{
    LIST_FOR (link, &e->arrivals) {
        struct engine_arrivals *a = CONTAINER_OF(link, struct engine_arrivals, link);
        if (strcmp(a->feed, feed) == 0 && span_eq_str(bucket, a->bucket)) {
            return a;
        }
    }
    return NULL;
}

static void free_arrivals(struct engine_arrivals *a)
{
    list_remove(&a->link);
    mem_free(a->feed);
    mem_free(a->bucket);
    mem_free(a->canary_key);
    mem_free(a->version);
    mem_free(a);
}

/* ---- state in the journal: a line of lateness, then the version of the last canary ---- */

struct arrivals_call {
    struct journal_call call;
    struct engine_arrivals *arrivals;
    struct arena arena;
    struct span name;
    struct span value;
};

static struct arrivals_call *new_call(struct engine_arrivals *a)
{
    struct arrivals_call *c = MEM_NEW(struct arrivals_call);
    arena_init(&c->arena);
    c->arrivals = a;
    c->name = span_str(arena_printf(&c->arena, "lateness:%s:%s", a->feed, a->bucket));
    a->busy = true;
    return c;
}

static void end_call(struct arrivals_call *c)
{
    c->arrivals->busy = false;
    arena_done(&c->arena);
    mem_free(c);
}

static int run_load(struct backend *b, struct journal_call *call)
{
    struct arrivals_call *c = CONTAINER_OF(call, struct arrivals_call, call);
    return b->ops->value_get(b, &c->arena, c->name, &c->value);
}

static void take_state(struct engine_arrivals *a, struct span value)
{
    struct span line = span_cut(&value, '\n');
    if (lateness_load(&a->lateness, line, engine_now_ms(a->engine)) != 0) {
        LOG_ERROR(a->engine->log, ENGINE_SUBJECT, "%s: stored lateness of bucket %s is unreadable",
                  a->feed, a->bucket);
    } else if (!span_is_empty(value)) {
        a->version = mem_printf("%.*s", SPAN_ARG(value));
    }
}

static void load_done(struct journal_call *call)
{
    struct arrivals_call *c = CONTAINER_OF(call, struct arrivals_call, call);
    struct engine_arrivals *a = c->arrivals;
    a->loaded = call->status == 0 || call->status == REPL_ENOTFOUND;
    if (call->status == 0) {
        take_state(a, c->value);
    }
    end_call(c);
}

static void load(struct engine_arrivals *a)
{
    struct arrivals_call *c = new_call(a);
    c->call.access = JOURNAL_WRITE; /* behind a save */
    c->call.run = run_load;
    c->call.done = load_done;
    journal_submit(a->engine->journal, &c->call);
}

static int run_save(struct backend *b, struct journal_call *call)
{
    struct arrivals_call *c = CONTAINER_OF(call, struct arrivals_call, call);
    return b->ops->value_put(b, c->name, c->value);
}

static void save_done(struct journal_call *call)
{
    end_call(CONTAINER_OF(call, struct arrivals_call, call));
}

static void save(struct engine_arrivals *a, int64_t now_ms)
{
    struct buf text;
    struct arrivals_call *c = new_call(a);
    buf_init(&text, 8192);
    lateness_print(&a->lateness, now_ms, &text);
    buf_printf(&text, "\n%s", a->version != NULL ? a->version : "");
    c->value = arena_span(&c->arena, buf_view(&text));
    buf_done(&text);
    c->call.access = JOURNAL_WRITE;
    c->call.run = run_save;
    c->call.done = save_done;
    a->saved_ms = now_ms;
    a->unsaved = false;
    journal_submit(a->engine->journal, &c->call);
}

/* ---- canaries ---- */

static void version_deleted(struct store_op *op)
{
    struct engine_op *o = op->arg;
    struct engine_arrivals *a = o->owner;
    a->writing = false;
    engine_op_free(o);
}

/* A bucket with versions would keep every canary. */
static void delete_version(struct engine_arrivals *a, struct store *store)
{
    struct engine_op *o = engine_op_new(a->engine, store);
    o->owner = a;
    o->op.kind = STORE_DELETE;
    o->op.bucket = span_str(a->bucket);
    o->op.key = span_str(a->canary_key);
    o->op.version_id = arena_span(&o->arena, span_str(a->version));
    a->writing = true;
    engine_op_submit(o, version_deleted, o);
}

static void keep_version(struct engine_arrivals *a, struct store *store, struct span version)
{
    bool is_open = engine_store(a->engine, store->name) == store; /* not being replaced */
    if (a->version != NULL && is_open) {
        delete_version(a, store);
        mem_free(a->version);
        a->version = NULL;
    }
    if (!span_is_empty(version) && !span_eq_str(version, "null")) {
        a->version = mem_printf("%.*s", SPAN_ARG(version));
        a->unsaved = true;
    }
}

static void canary_written(struct store_op *op)
{
    struct engine_op *o = op->arg;
    struct engine_arrivals *a = o->owner;
    struct engine *e = a->engine;
    char text[400];
    a->writing = false;
    if (op->fail.code == 0) {
        lateness_written(&a->lateness, engine_now_ms(e));
        keep_version(a, o->store, op->object.version_id);
    } else if (a->fail.code != op->fail.code && !e->stopping) {
        LOG_WARNING(e->log, ENGINE_SUBJECT,
                    "%s: no canary can be written to bucket %s, the watermark waits for one: %s",
                    a->feed, a->bucket, fail_print(&op->fail, text, sizeof(text)));
    }
    a->fail = op->fail;
    engine_op_free(o);
}

static void write_canary(struct engine_arrivals *a, struct store *store)
{
    struct engine *e = a->engine;
    struct engine_op *o = engine_op_new(e, store);
    char when[32];
    time_iso(engine_now_ms(e), when);
    o->owner = a;
    o->op.kind = STORE_PUT;
    o->op.bucket = span_str(a->bucket);
    o->op.key = span_str(a->canary_key);
    o->op.body = span_str(arena_printf(
        &o->arena, "repld sees by the notification of this object how far others have come: %s\n",
        when));
    a->writing = true;
    a->next_ms = loop_now_ms(e->loop) + LATENESS_CANARY_MS;
    engine_op_submit(o, canary_written, o);
}

/* ---- once a second ---- */

static struct engine_arrivals *new_arrivals(const struct engine_feed *ef, const char *bucket)
{
    struct engine *e = ef->engine;
    struct engine_arrivals *a = MEM_NEW(struct engine_arrivals);
    a->engine = e;
    a->feed = mem_strdup(ef->feed->name);
    a->bucket = mem_strdup(bucket);
    a->canary_key = mem_printf(CANARY_PREFIX "%s/%s", e->conf->instance, ef->name);
    lateness_init(&a->lateness, ef->feed->canary, ef->feed->late_ms, engine_now_ms(e));
    list_push_back(&e->arrivals, &a->link);
    return a;
}

static void look_after(struct engine_arrivals *a, const struct engine_feed *ef, struct store *store)
{
    struct engine *e = a->engine;
    int64_t now_ms = engine_now_ms(e);
    a->lateness.canary = ef->feed->canary; /* as configured now */
    a->lateness.late_ms = ef->feed->late_ms;
    if (a->busy) {
        return;
    }
    if (!a->loaded) {
        load(a);
        return;
    }
    bool heard = a->lateness.heard_ms > a->saved_ms && now_ms - a->saved_ms >= SAVE_MS;
    if (heard || a->unsaved) {
        save(a, now_ms);
    }
    if (ef->feed->canary && !a->writing && loop_now_ms(e->loop) >= a->next_ms) {
        write_canary(a, store);
    }
}

static void print_hint(const struct engine_arrivals *a, const struct engine_rule *r, char *to,
                       size_t size)
{
    snprintf(to, size, "replctl feed setup %s shows what the sender's side needs%s", r->rule.name,
             a->lateness.canary
                 ? ", do it again: the notification must cover " CANARY_PREFIX " too"
                 : "; canary: true would tell a webhook that is deaf from a bucket that is quiet");
}

/* Once when it begins, once when it ends. A webhook that is down has said so. */
static void tell_deaf(struct engine_arrivals *a, const struct engine_feed *ef,
                      const struct engine_rule *r)
{
    struct engine *e = a->engine;
    int64_t now_ms = engine_now_ms(e);
    bool deaf = lateness_is_deaf(&a->lateness, now_ms);
    char why[160], hint[ENGINE_HINT_MAX];
    if (deaf == a->deaf || (deaf && ef->feed->status.state == FEED_DOWN)) {
        return;
    }
    a->deaf = deaf;
    if (deaf) {
        lateness_why(&a->lateness, now_ms, why, sizeof(why));
        print_hint(a, r, hint, sizeof(hint));
        LOG_WARNING(e->log, ENGINE_SUBJECT, "%s: bucket %s: %s, the watermark stands; hint: %s",
                    a->feed, a->bucket, why, hint);
    } else {
        LOG_NOTICE(e->log, ENGINE_SUBJECT, "%s: bucket %s: no longer thought deaf", a->feed,
                   a->bucket);
    }
}

void engine_arrivals_tick(struct engine *e)
{
    LIST_FOR (feed_link, &e->feeds) {
        const struct engine_feed *ef = CONTAINER_OF(feed_link, struct engine_feed, link);
        LIST_FOR (link, &e->rules) {
            struct engine_rule *r = CONTAINER_OF(link, struct engine_rule, link);
            if (ef->feed->kind != FEED_WEBHOOK || r->deleting || r->from == NULL ||
                !engine_feed_serves(ef, r)) {
                continue;
            }
            struct engine_arrivals *a = find(e, ef->feed->name, span_str(r->rule.source.bucket));
            a = a != NULL ? a : new_arrivals(ef, r->rule.source.bucket);
            if (!a->wanted) {
                a->wanted = true;
                look_after(a, ef, r->from->store);
                tell_deaf(a, ef, r);
            }
        }
    }
    LIST_FOR_SAFE (link, &e->arrivals) {
        struct engine_arrivals *a = CONTAINER_OF(link, struct engine_arrivals, link);
        if (!a->wanted && !a->busy && !a->writing) {
            free_arrivals(a);
        } else {
            a->wanted = false;
        }
    }
}

void engine_arrivals_free(struct engine *e)
{
    LIST_FOR_SAFE (link, &e->arrivals) {
        free_arrivals(CONTAINER_OF(link, struct engine_arrivals, link));
    }
}

/* ---- what the feeds hear ---- */

void engine_arrivals_events(const struct engine_feed *ef, const struct change *changes,
                            size_t count)
{
    struct engine *e = ef->engine;
    struct engine_arrivals *a = NULL;
    for (size_t i = 0; i < count; i++) {
        if (a == NULL || !span_eq_str(changes[i].bucket, a->bucket)) {
            a = find(e, ef->feed->name, changes[i].bucket);
        }
        if (a != NULL) {
            lateness_event(&a->lateness, changes[i].event_time_ms, engine_now_ms(e));
        }
    }
}

void engine_arrivals_canary(const struct engine_feed *ef, const struct change *own)
{
    struct engine *e = ef->engine;
    struct engine_arrivals *a = find(e, ef->feed->name, own->bucket);
    if (a != NULL && own->kind == CHANGE_PUT && own->event_time_ms > 0 &&
        span_starts_with(own->key, span_str(CANARY_PREFIX))) {
        lateness_canary(&a->lateness, own->event_time_ms, engine_now_ms(e));
        engine_lag_soon(e);
    }
}

/* ---- what the watermark asks ---- */

static struct engine_arrivals *of_rule(const struct engine_feed *ef, const struct engine_rule *r)
{
    struct engine_arrivals *a = find(ef->engine, ef->feed->name, span_str(r->rule.source.bucket));
    return a != NULL && a->loaded ? a : NULL;
}

int64_t engine_arrivals_through(const struct engine_feed *ef, const struct engine_rule *r)
{
    const struct engine_arrivals *a = of_rule(ef, r);
    return a != NULL ? lateness_through(&a->lateness, engine_now_ms(ef->engine)) : 0;
}

int64_t engine_arrivals_usual(const struct engine_feed *ef, const struct engine_rule *r)
{
    const struct engine_arrivals *a = of_rule(ef, r);
    return a != NULL ? lateness_usual(&a->lateness, engine_now_ms(ef->engine)) : 0;
}

void engine_arrivals_why(const struct engine_feed *ef, const struct engine_rule *r, char *to,
                         size_t size)
{
    const struct engine_arrivals *a = of_rule(ef, r);
    if (a == NULL) {
        snprintf(to, size, "has only just begun to listen");
    } else if (a->lateness.canary && a->fail.code != 0) {
        snprintf(to, size, "no canary can be written to bucket %s: %s", a->bucket, a->fail.text);
    } else {
        lateness_why(&a->lateness, engine_now_ms(ef->engine), to, size);
    }
}

void engine_arrivals_hint(const struct engine_feed *ef, const struct engine_rule *r, char *to,
                          size_t size)
{
    const struct engine_arrivals *a = of_rule(ef, r);
    to[0] = 0;
    if (a != NULL && lateness_is_unheard(&a->lateness, engine_now_ms(ef->engine))) {
        print_hint(a, r, to, size);
    }
}

bool engine_arrivals_deaf(const struct engine_feed *ef, struct fail *ret)
{
    struct engine *e = ef->engine;
    char why[160], hint[ENGINE_HINT_MAX];
    LIST_FOR (link, &e->rules) {
        const struct engine_rule *r = CONTAINER_OF(link, struct engine_rule, link);
        const struct engine_arrivals *a = engine_feed_serves(ef, r) ? of_rule(ef, r) : NULL;
        if (a == NULL || r->deleting || !lateness_is_deaf(&a->lateness, engine_now_ms(e))) {
            continue;
        }
        lateness_why(&a->lateness, engine_now_ms(e), why, sizeof(why));
        print_hint(a, r, hint, sizeof(hint));
        fail_set(ret, REPL_ETIMEOUT, "bucket %s: %s", a->bucket, why);
        fail_hint(ret, "%s", hint);
        return true;
    }
    return false;
}
