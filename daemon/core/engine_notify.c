/* The engine as the host of what others are told of its rules. */
#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"

/* ---- the published watermark ---- */

static struct store *destination(void *arg)
{
    const struct engine_rule *r = arg;
    return r->to != NULL ? r->to->store : NULL;
}

static void fill_watermark(void *arg, struct watermark_doc *doc)
{
    static const char *const states[] = {
        [LAG_NONE] = "ok",   [LAG_TASK] = "copying",  [LAG_FAILED_TASK] = "failed_object",
        [LAG_FEED] = "feed", [LAG_PAUSED] = "paused", [LAG_ENDPOINT] = "endpoint"};
    struct engine_rule *r = arg;
    struct rule_lag lag;
    engine_lag(r->engine, r->rule.name, &lag);
    doc->watermark_ms = lag.watermark_ms;
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

/* ---- all of it ---- */

void engine_notify_start(struct engine_rule *r)
{
    if (!r->engine->stopping && !r->deleting) {
        start_watermark(r);
    }
}

void engine_notify_stop(struct engine_rule *r, bool for_good)
{
    stop_watermark(r, for_good);
}

void engine_notify_change(struct engine_rule *r, const struct rule *old)
{
    bool same_key = strcmp(old->publish_as, r->rule.publish_as) == 0;
    if (!same_key || old->publish_ms != r->rule.publish_ms) {
        stop_watermark(r, !same_key || r->rule.publish_ms == 0);
    }
    engine_notify_start(r);
}
