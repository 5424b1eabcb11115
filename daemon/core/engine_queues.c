/* The queues of the configuration as feeds. */
#include "daemon/core/engine_impl.h"
#include "daemon/feeds/sqs.h"

/* A receive and a delete of each receiver, and a count. */
#define REQUESTS_OF(receivers) (2 * (receivers) + 1)

static struct sqs *open_sqs(struct engine *e, const struct conf_queue *conf)
{
    return sqs_new(&(struct sqs_options){
        .loop = e->loop,
        .log = e->log,
        .name = conf->name,
        .url = conf->url,
        .region = conf->region,
        .ca_file = conf->ca_file,
        .tls_insecure = conf->tls_insecure,
        .requests = REQUESTS_OF(conf->receivers),
        .creds = engine_creds(conf->credentials, conf->credentials_name, conf->credentials_file)});
}

static void start(struct engine *e, const struct conf_queue *conf)
{
    static const char *const labels[] = {"queue", NULL};
    const char *values[] = {conf->name, NULL};
    struct engine_feed *ef = engine_feed_new(e, 0, conf->name);
    ef->astray_stat =
        stat_get(stat_family(e->stats, STAT_COUNTER, "repl_queue_astray_changes_total",
                             "Changes of an endpoint and bucket that no rule copies from.", labels),
                 values);
    engine_feed_start(ef,
                      queue_feed_new(&(struct queue_feed_options){.loop = e->loop,
                                                                  .log = e->log,
                                                                  .stats = e->stats,
                                                                  .conf = conf,
                                                                  .sqs = open_sqs(e, conf),
                                                                  .host = engine_feed_host(ef)}));
    engine_quarantine_count(ef);
}

void engine_queues_start(struct engine *e)
{
    for (size_t i = 0; e->run_feeds && i < e->conf->queue_count; i++) {
        start(e, &e->conf->queues[i]);
    }
}

/* ---- a new configuration ---- */

static const struct conf_queue *find(const struct conf *conf, const char *name)
{
    for (size_t i = 0; i < conf->queue_count; i++) {
        if (strcmp(conf->queues[i].name, name) == 0) {
            return &conf->queues[i];
        }
    }
    return NULL;
}

static bool same_queue(const struct conf_queue *a, const struct conf_queue *b)
{
    return a != NULL && b != NULL && engine_same_text(a->endpoint, b->endpoint) &&
           engine_same_text(a->bucket, b->bucket) && engine_same_text(a->url, b->url) &&
           engine_same_text(a->region, b->region) && engine_same_text(a->ca_file, b->ca_file) &&
           a->tls_insecure == b->tls_insecure && a->credentials == b->credentials &&
           engine_same_text(a->credentials_name, b->credentials_name) &&
           engine_same_text(a->credentials_file, b->credentials_file) &&
           a->receivers == b->receivers && a->visibility_ms == b->visibility_ms;
}

void engine_queues_change(struct engine *e, const struct conf *conf)
{
    LIST_FOR_SAFE (link, &e->feeds) {
        struct engine_feed *ef = CONTAINER_OF(link, struct engine_feed, link);
        bool is_queue = ef->feed->kind == FEED_QUEUE;
        if (is_queue && !same_queue(find(e->conf, ef->name), find(conf, ef->name))) {
            engine_feed_stop(ef);
        }
    }
    for (size_t i = 0; e->run_feeds && i < conf->queue_count; i++) {
        if (!same_queue(find(e->conf, conf->queues[i].name), &conf->queues[i])) {
            start(e, &conf->queues[i]);
        }
    }
}

/* ---- status ---- */

bool engine_queue_status(struct engine *e, size_t at, struct queue_status *ret)
{
    LIST_FOR (link, &e->feeds) {
        const struct engine_feed *ef = CONTAINER_OF(link, struct engine_feed, link);
        if (ef->feed->kind == FEED_QUEUE && at-- == 0) {
            const struct feed_status *s = &ef->feed->status;
            *ret = (struct queue_status){.name = ef->name,
                                         .state = feed_state_name(s->state),
                                         .is_read = s->state == FEED_UP,
                                         .waiting = s->waiting,
                                         .in_hand = s->in_hand,
                                         .bad_messages = s->bad_rows,
                                         .astray_changes = ef->astray,
                                         .complete_through_ms = s->complete_through_ms,
                                         .fail = s->fail};
            return true;
        }
    }
    return false;
}
