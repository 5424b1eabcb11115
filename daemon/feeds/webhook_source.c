/* One source as a feed: it reads nothing, it is told. */
#include "daemon/feeds/webhook_impl.h"

#include <inttypes.h>

#define CREDIT_FULL 1e18 /* whatever the rate is, it is cut to it */

void webhook_count(struct webhook_source *s, enum webhook_outcome outcome)
{
    stat_add(s->requests[outcome], 1);
}

static void make_stats(struct webhook_source *s)
{
    static const char *const labels[] = {"source", NULL};
    static const char *const outcome_labels[] = {"source", "outcome", NULL};
#define WEBHOOK_OUTCOME_TEXT(id, text) text,
    static const char *const outcomes[] = {WEBHOOK_OUTCOMES(WEBHOOK_OUTCOME_TEXT)};
#undef WEBHOOK_OUTCOME_TEXT
    struct stat_set *stats = s->webhook->stats;
    const char *values[] = {s->conf.name, NULL, NULL};
    struct stat_family *requests =
        stat_family(stats, STAT_COUNTER, "repl_webhook_requests_total",
                    "Requests of a source, by how they ended.", outcome_labels);
    for (size_t i = 0; i < WEBHOOK_OUTCOME_COUNT; i++) {
        values[1] = outcomes[i];
        s->requests[i] = stat_get(requests, values);
    }
    s->changes = stat_get(stat_family(stats, STAT_COUNTER, "repl_webhook_changes_total",
                                      "Changes that notifications told.", labels),
                          values);
    s->answer_time =
        stat_get(stat_family(stats, STAT_HISTOGRAM, "repl_webhook_answer_seconds",
                             "From the end of a request to its durable answer.", labels),
                 values);
    s->heard = stat_get(stat_family(stats, STAT_GAUGE, "repl_webhook_heard_timestamp_seconds",
                                    "When the last good request came; absent before one.", labels),
                        values);
}

static void copy_conf(struct webhook_source *s, const struct conf_source *conf)
{
    struct arena *a = &s->arena;
    s->conf = *conf;
    s->conf.name = arena_strdup(a, conf->name);
    s->conf.endpoint = arena_strdup(a, conf->endpoint);
    s->conf.bucket = arena_span(a, span_str(conf->bucket)).ptr;
    s->conf.path = arena_strdup(a, conf->path);
    s->conf.token.environment = arena_span(a, span_str(conf->token.environment)).ptr;
    s->conf.token.file = arena_span(a, span_str(conf->token.file)).ptr;
    s->conf.token.systemd = arena_span(a, span_str(conf->token.systemd)).ptr;
}

/* A source without its token refuses all: nobody gets in because of a missing file. */
static void load_tokens(struct webhook_source *s)
{
    struct feed_status *status = &s->feed.status;
    status->state = FEED_UP;
    if (webhook_tokens_load(&s->conf.token, &s->tokens, &status->fail) != 0) {
        char text[400];
        status->state = FEED_DOWN;
        LOG_ERROR(s->webhook->log, WEBHOOK_SUBJECT, "webhook %s refuses every request: %s",
                  s->conf.name, fail_print(&status->fail, text, sizeof(text)));
    }
}

static void close_now(void *arg)
{
    struct webhook_source *s = arg;
    loop_fn *closed = s->closed;
    void *closed_arg = s->closed_arg;
    struct webhook *w = s->webhook;
    list_remove(&s->link);
    explicit_bzero(&s->tokens, sizeof(s->tokens));
    arena_done(&s->arena);
    mem_free(s);
    closed(closed_arg);
    if (w->closed != NULL && list_is_empty(&w->sources)) {
        webhook_end(w);
    }
}

/* What is on its way to the journal is answered first. */
static void source_close(struct feed *feed, loop_fn *closed, void *arg)
{
    struct webhook_source *s = CONTAINER_OF(feed, struct webhook_source, feed);
    s->closed = closed;
    s->closed_arg = arg;
    if (s->open == 0) {
        deferred_call(&s->closing);
    }
}

void webhook_source_left(struct webhook_source *s)
{
    s->open--;
    if (s->open == 0 && s->closed != NULL) {
        deferred_call(&s->closing);
    }
}

struct feed *webhook_feed_new(struct webhook *w, const struct webhook_feed_options *options)
{
    static const struct feed_ops ops = {.close = source_close};
    struct webhook_source *s = MEM_NEW(struct webhook_source);
    s->webhook = w;
    s->host = options->host;
    arena_init(&s->arena);
    copy_conf(s, options->conf);
    s->feed.ops = &ops;
    s->feed.kind = FEED_WEBHOOK;
    s->feed.name = arena_printf(&s->arena, "webhook:%s", s->conf.name);
    s->feed.endpoint = s->conf.endpoint;
    s->feed.bucket = s->conf.bucket;
    s->feed.canary = s->conf.canary;
    s->feed.late_ms = (int64_t)s->conf.late_ms;
    s->credit = CREDIT_FULL;
    s->credit_at_ms = loop_now_ms(w->loop);
    make_stats(s);
    load_tokens(s);
    deferred_init(&s->closing, w->loop, close_now, s);
    /* Before one that is being closed and has the same path. */
    list_push_front(&w->sources, &s->link);
    return &s->feed;
}
