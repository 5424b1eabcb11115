#include "daemon/notify/watermark.h"

#include "daemon/base/mem.h"
#include "daemon/notify/former.h"

#include <stdio.h>

#define SUBJECT      "notify"
#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 60000

struct watermark {
    struct loop *loop;
    struct log *log;
    struct watermark_host host;
    char *rule;
    char *instance;
    char *bucket;
    char *key;
    uint64_t interval_ms;
    struct timer timer;
    bool is_news; /* since the last PUT began */

    /* The PUT under way, or the DELETE at the end. */
    struct store *store; /* NULL: none */
    struct store_op op;
    struct arena arena;
    struct buf body;
    int64_t sent_ms; /* the watermark in it … */
    int64_t sent_proven_ms;
    char sent_state[24];
    struct former former; /* the version that it replaced */

    /* … and in the last one that went well; -1: none in this life. */
    int64_t published_ms;
    int64_t published_proven_ms;
    char published_state[24];
    unsigned failures; /* in a row */
    struct stat_family *failed_family;
    struct stat_family *published_family;
    struct stat *failed;
    struct stat *published;

    bool closing;
    struct store *remove_from; /* NULL: it stays */
    loop_fn *closed;
    void *closed_arg;
};

/* ---- the PUT ---- */

static void arm(struct watermark *w, uint64_t delay_ms)
{
    if (!w->closing && !timer_is_running(&w->timer)) {
        timer_start(&w->timer, delay_ms);
    }
}

static bool is_worth_it(const struct watermark *w, const struct watermark_doc *doc)
{
    return w->published_ms != doc->watermark_ms || w->published_proven_ms != doc->proven_ms ||
           strcmp(w->published_state, doc->state) != 0;
}

static void submit(struct watermark *w, struct store *store, enum store_op_kind kind,
                   store_done_fn *done)
{
    w->store = store;
    arena_init(&w->arena);
    w->op = (struct store_op){.kind = kind,
                              .bucket = span_str(w->bucket),
                              .key = span_str(w->key),
                              .done = done,
                              .arg = w,
                              .arena = &w->arena};
    if (kind == STORE_PUT) {
        w->op.body = buf_view(&w->body);
        w->op.meta.content_type = span_str("application/json");
        w->op.meta.cache_control = span_str("no-cache");
    }
    store_submit(store, &w->op);
}

static void remove_or_end(struct watermark *w);

static uint64_t retry_ms(const struct watermark *w)
{
    uint64_t most = w->interval_ms > RETRY_MAX_MS ? w->interval_ms : RETRY_MAX_MS;
    uint64_t wait = w->failures < 16 ? (uint64_t)RETRY_MIN_MS << w->failures : most;
    wait = wait < most ? wait : most;
    return wait / 2 + loop_random(w->loop, wait / 2 + 1);
}

static void tell_failed(struct watermark *w, const struct fail *f)
{
    char text[400];
    stat_add(w->failed, 1);
    if (w->failures++ == 0) {
        LOG_WARNING(w->log, SUBJECT,
                    "rule %s: watermark was not published, will try again, copies go on: %s",
                    w->rule, fail_print(f, text, sizeof(text)));
    }
}

static void tell_good(struct watermark *w)
{
    if (w->failures > 0) {
        LOG_NOTICE(w->log, SUBJECT, "rule %s: watermark is published again", w->rule);
    }
    w->failures = 0;
    w->published_ms = w->sent_ms;
    w->published_proven_ms = w->sent_proven_ms;
    memcpy(w->published_state, w->sent_state, sizeof(w->published_state));
    stat_put_ms(w->published, w->sent_ms);
}

static void put_done(struct store_op *op)
{
    struct watermark *w = op->arg;
    struct fail f = op->fail;
    if (f.code == 0) {
        former_written(&w->former, w->store, op->object.version_id);
    }
    w->store = NULL;
    arena_done(&w->arena);
    if (w->closing) {
        remove_or_end(w);
    } else if (f.code != 0) {
        tell_failed(w, &f);
        w->is_news = true;
        arm(w, retry_ms(w));
    } else {
        tell_good(w);
        arm(w, w->interval_ms);
    }
}

static void publish(void *arg)
{
    struct watermark *w = arg;
    struct watermark_doc doc = {
        .rule = w->rule, .instance = w->instance, .published_ms = loop_wall_ms(w->loop)};
    struct store *store = w->host.store(w->host.arg);
    if (!w->is_news || w->store != NULL) {
        return;
    }
    if (store == NULL) {
        arm(w, RETRY_MIN_MS);
        return;
    }
    w->is_news = false;
    w->host.fill(w->host.arg, &doc);
    if (!is_worth_it(w, &doc)) {
        return;
    }
    w->sent_ms = doc.watermark_ms;
    w->sent_proven_ms = doc.proven_ms;
    snprintf(w->sent_state, sizeof(w->sent_state), "%s", doc.state);
    buf_reset(&w->body);
    watermark_print(&doc, &w->body);
    submit(w, store, STORE_PUT, put_done);
}

void watermark_news(struct watermark *w)
{
    w->is_news = true;
    if (w->store == NULL) {
        arm(w, 0);
    }
}

/* ---- life ---- */

struct watermark *watermark_new(const struct watermark_options *o)
{
    static const char *const labels[] = {"rule", NULL};
    const char *values[] = {o->rule, NULL};
    struct watermark *w = MEM_NEW(struct watermark);
    struct buf key = {0};
    w->loop = o->loop;
    w->log = o->log;
    w->host = o->host;
    w->rule = mem_strdup(o->rule);
    w->instance = mem_strdup(o->instance);
    w->bucket = mem_strdup(o->bucket);
    w->interval_ms = o->interval_ms;
    w->published_ms = -1;
    watermark_key(o->pattern, o->rule, o->instance, &key);
    w->key = buf_take(&key);
    w->failed_family = stat_family(o->stats, STAT_COUNTER, "repl_watermark_publish_failures_total",
                                   "Writes of the published watermark that failed.", labels);
    w->published_family =
        stat_family(o->stats, STAT_GAUGE, "repl_watermark_published_timestamp_seconds",
                    "The watermark as it stands in the destination bucket.", labels);
    w->failed = stat_get(w->failed_family, values);
    w->published = stat_get(w->published_family, values);
    timer_init(&w->timer, o->loop, publish, w);
    former_init(&w->former, o->loop, o->log, w->bucket, w->key);
    return w;
}

static void end(void *arg)
{
    struct watermark *w = arg;
    loop_fn *closed = w->closed;
    void *closed_arg = w->closed_arg;
    buf_done(&w->body);
    mem_free(w->rule);
    mem_free(w->instance);
    mem_free(w->bucket);
    mem_free(w->key);
    mem_free(w);
    closed(closed_arg);
}

static void removed(struct store_op *op)
{
    struct watermark *w = op->arg;
    w->store = NULL;
    if (op->fail.code != 0) {
        LOG_WARNING(w->log, SUBJECT, "rule %s: published watermark could not be removed: %s key=%s",
                    w->rule, op->fail.text, w->key);
    }
    arena_done(&w->arena);
    former_close(&w->former, end, w);
}

static void remove_or_end(struct watermark *w)
{
    if (w->remove_from != NULL) {
        submit(w, w->remove_from, STORE_DELETE, removed);
    } else {
        former_close(&w->former, end, w);
    }
}

void watermark_close(struct watermark *w, bool remove, loop_fn *closed, void *arg)
{
    w->closing = true;
    w->remove_from = remove ? w->host.store(w->host.arg) : NULL;
    w->closed = closed;
    w->closed_arg = arg;
    timer_stop(&w->timer);
    if (remove) {
        stat_drop(w->failed_family, w->rule);
        stat_drop(w->published_family, w->rule);
    }
    if (w->store != NULL) {
        store_cancel(w->store, &w->op);
    } else {
        remove_or_end(w);
    }
}
