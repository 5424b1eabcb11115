/* The webhook of the configuration and its sources as feeds. */
#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"

static void start_source(struct engine *e, const struct conf_source *conf)
{
    static const char *const labels[] = {"source", NULL};
    const char *values[] = {conf->name, NULL};
    struct engine_feed *ef = engine_feed_new(e, 0, conf->name);
    ef->astray_stat =
        stat_get(stat_family(e->stats, STAT_COUNTER, "repl_webhook_astray_changes_total",
                             "Changes of an endpoint and bucket that no rule copies from.", labels),
                 values);
    struct webhook_feed_options options = {.conf = conf, .host = engine_feed_host(ef)};
    engine_feed_start(ef, webhook_feed_new(e->webhook, &options));
    engine_quarantine_count(ef);
}

static void start_sources(struct engine *e, const struct conf *conf)
{
    for (size_t i = 0; i < conf->webhook.source_count; i++) {
        start_source(e, &conf->webhook.sources[i]);
    }
}

static int open_webhook(struct engine *e, const struct conf *conf, struct webhook **ret,
                        struct fail *f)
{
    struct webhook_options options = {.loop = e->loop,
                                      .log = e->log,
                                      .stats = e->stats,
                                      .conf = &conf->webhook,
                                      .memory_bytes = conf->memory_bytes};
    return webhook_open(&options, ret, f);
}

int engine_webhook_start(struct engine *e, struct fail *f)
{
    if (!e->run_feeds || e->conf->webhook.listen == NULL) {
        return 0;
    }
    int status = open_webhook(e, e->conf, &e->webhook, f);
    if (status == 0) {
        start_sources(e, e->conf);
    }
    return status;
}

static void webhook_closed(void *arg)
{
    struct engine *e = arg;
    e->closing--;
}

static void stop_sources(struct engine *e)
{
    LIST_FOR_SAFE (link, &e->feeds) {
        struct engine_feed *ef = CONTAINER_OF(link, struct engine_feed, link);
        if (ef->feed->kind == FEED_WEBHOOK) {
            engine_feed_stop(ef);
        }
    }
}

void engine_webhook_stop(struct engine *e)
{
    if (e->webhook != NULL) {
        stop_sources(e);
        e->closing++;
        webhook_close(e->webhook, webhook_closed, e);
        e->webhook = NULL;
    }
}

/* All sources are opened anew: their tokens may be others, and nobody notices. */
int engine_webhook_reload(struct engine *e, const struct conf *conf, struct fail *f)
{
    struct webhook *opened = NULL;
    int status = 0;
    if (!e->run_feeds) {
        return 0;
    }
    if (e->webhook != NULL && engine_same_text(e->conf->webhook.listen, conf->webhook.listen)) {
        status = webhook_renew(e->webhook, &conf->webhook, f);
        if (status == 0) {
            stop_sources(e);
            start_sources(e, conf);
        }
        return status;
    }
    if (conf->webhook.listen != NULL) {
        status = open_webhook(e, conf, &opened, f);
    }
    if (status == 0) {
        engine_webhook_stop(e);
        e->webhook = opened;
        start_sources(e, conf);
    }
    return status;
}

const char *engine_webhook_address(const struct engine *e)
{
    return e->webhook != NULL ? webhook_address(e->webhook) : NULL;
}
