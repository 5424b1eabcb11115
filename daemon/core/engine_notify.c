/* The engine as the host of what others are told of its rules. */
#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"

#include <assert.h>
#include <stdio.h>

/* ---- the published watermark ---- */

static struct store *destination(void *arg)
{
    const struct engine_rule *r = arg;
    return r->to != NULL ? r->to->store : NULL;
}

static void fill_watermark(void *arg, struct watermark_doc *doc)
{
    static const char *const states[] = {
        [LAG_NONE] = "ok",    [LAG_TASK] = "copying",  [LAG_FAILED_TASK] = "failed_object",
        [LAG_FEED] = "feed",  [LAG_PAUSED] = "paused", [LAG_ENDPOINT] = "endpoint",
        [LAG_BRAKE] = "brake"};
    static_assert(sizeof(states) / sizeof(states[0]) == LAG_BRAKE + 1, "every blocker has a word");
    struct engine_rule *r = arg;
    struct rule_lag lag;
    engine_lag(r->engine, r->rule.name, &lag);
    doc->watermark_ms = lag.watermark_ms;
    doc->proven_ms = lag.proven_ms;
    doc->state = states[lag.blocker];
    memcpy(doc->waits_for, lag.waits_for, sizeof(doc->waits_for));
    doc->pending_objects = lag.counts.pending_objects;
    doc->pending_bytes = lag.counts.pending_bytes;
    doc->failed_objects = lag.counts.failed_objects;
    doc->done_objects = lag.counts.done_objects;
    doc->done_bytes = lag.counts.done_bytes;
}

static void start_watermark(struct engine_rule *r)
{
    struct engine *e = r->engine;
    if (r->rule.publish_ms == 0 || r->watermark != NULL) {
        return;
    }
    r->watermark = watermark_new(&(struct watermark_options){
        .loop = e->loop,
        .log = e->log,
        .stats = e->stats,
        .rule = r->rule.name,
        .instance = e->conf->instance,
        .pattern = r->rule.publish_as,
        .bucket = r->rule.destination.bucket,
        .interval_ms = r->rule.publish_ms,
        .host = {.arg = r, .store = destination, .fill = fill_watermark}});
}

void engine_notify_lag(struct engine_rule *r)
{
    if (r->watermark != NULL) {
        watermark_news(r->watermark);
    }
}

static void is_closed(void *arg)
{
    struct engine *e = arg;
    e->closing--;
}

static void stop_watermark(struct engine_rule *r, bool remove)
{
    if (r->watermark != NULL) {
        r->engine->closing++;
        watermark_close(r->watermark, remove, is_closed, r->engine);
        r->watermark = NULL;
    }
}

/* ---- who looks at the whole bucket ---- */

static bool is_agreed(const struct rule *rule)
{
    return rule->shared && rule->scan_host == NULL;
}

static void owner_found(void *arg, const struct store *store)
{
    struct engine_rule *r = arg;
    engine_conditional_save(r->engine, store);
}

/* A listing asks by itself; what waits for its turn asks sooner. */
static void owner_news(void *arg)
{
    const struct engine_rule *r = arg;
    engine_lag_soon(r->engine);
}

static void start_owner(struct engine_rule *r)
{
    struct engine *e = r->engine;
    if (!is_agreed(&r->rule) || r->owner != NULL) {
        return;
    }
    r->owner = owner_new(&(struct owner_options){
        .loop = e->loop,
        .log = e->log,
        .rule = r->rule.name,
        .bucket = r->rule.destination.bucket,
        .instance = e->conf->instance,
        .id = e->id,
        .takeover_ms = r->rule.takeover_ms,
        .host = {.arg = r, .store = destination, .found = owner_found, .news = owner_news}});
}

static void stop_owner(struct engine_rule *r)
{
    if (r->owner != NULL) {
        r->engine->closing++;
        owner_close(r->owner, is_closed, r->engine);
        r->owner = NULL;
    }
}

static uint64_t epoch_of(const struct engine_rule *r)
{
    if (is_agreed(&r->rule)) {
        return r->owner != NULL ? owner_epoch(r->owner) : 0;
    }
    return r->rule.scan_host == NULL || strcmp(r->rule.scan_host, r->engine->conf->instance) == 0;
}

uint64_t engine_owner_epoch(struct engine *e, const char *rule)
{
    const struct engine_rule *r = engine_rule_by_name(e, rule);
    return r != NULL ? epoch_of(r) : 0;
}

bool engine_owns(struct engine *e, const char *rule)
{
    return engine_owner_epoch(e, rule) != 0;
}

const char *engine_owner(struct engine *e, const char *rule, const char **ret_trouble)
{
    const struct engine_rule *r = engine_rule_by_name(e, rule);
    *ret_trouble = r != NULL && r->owner != NULL ? owner_trouble(r->owner) : "";
    if (r == NULL) {
        return "";
    }
    if (r->owner != NULL) {
        return owner_holder(r->owner);
    }
    return r->rule.scan_host != NULL ? r->rule.scan_host : e->conf->instance;
}

/* ---- the journal's id: what a restart has in common with the life before ---- */

#define ID_NAME "instance-id"

int engine_id_load(struct engine *e, struct backend *b)
{
    struct arena a;
    struct span value = {0};
    arena_init(&a);
    int status = b->ops->value_get(b, &a, span_str(ID_NAME), &value);
    if (status == 0 && value.len < sizeof(e->id)) {
        snprintf(e->id, sizeof(e->id), "%.*s", SPAN_ARG(value));
    } else if (status == REPL_ENOTFOUND) {
        snprintf(e->id, sizeof(e->id), "%016llx%016llx",
                 (unsigned long long)loop_random(e->loop, UINT64_MAX),
                 (unsigned long long)loop_random(e->loop, UINT64_MAX));
        e->id_is_new = true;
        status = 0;
    }
    arena_done(&a);
    return status;
}

struct id_call {
    struct journal_call call;
    char id[40];
};

static int run_id(struct backend *b, struct journal_call *call)
{
    struct id_call *c = CONTAINER_OF(call, struct id_call, call);
    return b->ops->value_put(b, span_str(ID_NAME), span_str(c->id));
}

static void id_done(struct journal_call *call)
{
    mem_free(CONTAINER_OF(call, struct id_call, call));
}

void engine_id_save(struct engine *e)
{
    if (!e->id_is_new) {
        return;
    }
    struct id_call *c = MEM_NEW(struct id_call);
    memcpy(c->id, e->id, sizeof(c->id));
    c->call.run = run_id;
    c->call.done = id_done;
    journal_submit(e->journal, &c->call);
}

/* ---- all of it ---- */

void engine_notify_start(struct engine_rule *r)
{
    if (!r->engine->stopping && !r->deleting && r->engine->run_feeds) {
        start_watermark(r);
        start_owner(r);
    }
}

void engine_notify_stop(struct engine_rule *r, bool for_good)
{
    stop_watermark(r, for_good);
    stop_owner(r);
}

void engine_notify_change(struct engine_rule *r, const struct rule *old)
{
    bool same_key = strcmp(old->publish_as, r->rule.publish_as) == 0;
    if (!same_key || old->publish_ms != r->rule.publish_ms) {
        stop_watermark(r, !same_key || r->rule.publish_ms == 0);
    }
    if (is_agreed(old) != is_agreed(&r->rule) || old->takeover_ms != r->rule.takeover_ms) {
        stop_owner(r);
    }
    engine_notify_start(r);
}
