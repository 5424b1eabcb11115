/* The engine as the host of its feeds. */
#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"

#include <inttypes.h>

#define QUEUE_AHEAD    1000 /* journal calls that may wait */
#define OUTBOX_AT_ONCE 1000

/* ---- host: append ---- */

struct host_append {
    struct engine_feed *feed;
    feed_done_fn *done;
    void *arg;
};

/* A sender or crawler that names a bucket or endpoint otherwise than the rules do would never hear
 * of it. */
static void tell_astray(struct engine_feed *ef, const struct engine_append_result *result)
{
    ef->astray += result->astray;
    stat_add(ef->astray_stat, (double)result->astray);
    const char *kind = feed_kind_name(ef->feed->kind);
    LOG_WARNING(ef->engine->log, kind,
                "%s %s: no rule copies from %s, %s are passed over rows=%" PRIu64, kind, ef->name,
                result->astray_place, ef->feed->kind == FEED_OUTBOX ? "rows" : "changes",
                result->astray);
}

static void host_appended(void *arg, int status, const struct fail *f,
                          const struct engine_append_result *result)
{
    struct host_append *h = arg;
    if (status == 0 && result->astray > 0 && h->feed->astray_stat != NULL) {
        tell_astray(h->feed, result);
    }
    h->done(h->arg, status, f);
    mem_free(h);
}

static void host_append(void *arg, const struct change *changes, size_t count,
                        struct span cursor_name, struct span cursor, feed_done_fn *done,
                        void *done_arg)
{
    struct engine_feed *ef = arg;
    struct engine *e = ef->engine;
    struct host_append *h = MEM_NEW(struct host_append);
    h->feed = ef;
    h->done = done;
    h->arg = done_arg;
    if (ef->feed->kind == FEED_WEBHOOK) {
        engine_arrivals_events(ef, changes, count);
    }
    engine_append(e, changes, count, TASK_LIVE, cursor_name, cursor, host_appended, h);
}

/* ---- host: load ---- */

struct load_call {
    struct journal_call call;
    struct arena arena;
    struct span name;
    struct span value;
    feed_value_fn *done;
    void *arg;
};

static int run_load(struct backend *b, struct journal_call *call)
{
    struct load_call *c = CONTAINER_OF(call, struct load_call, call);
    return b->ops->value_get(b, &c->arena, c->name, &c->value);
}

static void load_done(struct journal_call *call)
{
    struct load_call *c = CONTAINER_OF(call, struct load_call, call);
    struct span value = call->status == 0 ? c->value : (struct span){0};
    c->done(c->arg, call->status, value);
    arena_done(&c->arena);
    mem_free(c);
}

static void host_load(void *arg, struct span cursor_name, feed_value_fn *done, void *done_arg)
{
    struct engine_feed *ef = arg;
    struct load_call *c = MEM_NEW(struct load_call);
    arena_init(&c->arena);
    c->name = arena_span(&c->arena, cursor_name);
    c->done = done;
    c->arg = done_arg;
    c->call.access = JOURNAL_WRITE; /* in line with what was appended before */
    c->call.run = run_load;
    c->call.done = load_done;
    journal_submit(ef->engine->journal, &c->call);
}

/* ---- host: the rest ---- */

static size_t host_room(void *arg)
{
    struct engine_feed *ef = arg;
    struct engine *e = ef->engine;
    if (e->stopping || journal_is_failing(e->journal) ||
        journal_queue_length(e->journal) > QUEUE_AHEAD) {
        return 0;
    }
    return OUTBOX_AT_ONCE;
}

static int64_t host_now_ms(void *arg)
{
    struct engine_feed *ef = arg;
    return engine_now_ms(ef->engine);
}

static void host_news(void *arg)
{
    struct engine_feed *ef = arg;
    engine_lag_soon(ef->engine);
}

static void host_quarantine(void *arg, struct span body, struct span reason, feed_done_fn *done,
                            void *done_arg)
{
    engine_quarantine_put(arg, body, reason, done, done_arg);
}

static void host_own(void *arg, const struct change *change)
{
    engine_arrivals_canary(arg, change);
}

struct feed_host engine_feed_host(struct engine_feed *ef)
{
    return (struct feed_host){.arg = ef,
                              .append = host_append,
                              .quarantine = host_quarantine,
                              .load = host_load,
                              .room = host_room,
                              .now_ms = host_now_ms,
                              .news = host_news,
                              .own = host_own};
}

/* ---- life ---- */

struct engine_feed *engine_feed_new(struct engine *e, uint32_t rule, const char *name)
{
    struct engine_feed *ef = MEM_NEW(struct engine_feed);
    ef->engine = e;
    ef->rule = rule;
    ef->name = mem_strdup(name);
    return ef;
}

void engine_feed_start(struct engine_feed *ef, struct feed *feed)
{
    ef->feed = feed;
    list_push_back(&ef->engine->feeds, &ef->link);
}

static void feed_is_closed(void *arg)
{
    struct engine_feed *ef = arg;
    struct engine *e = ef->engine;
    struct engine_rule *r = ef->rule != 0 ? engine_rule_by_number(e, ef->rule) : NULL;
    if (r != NULL && r->scan == ef) {
        r->scan = NULL;
        if (r->deleting) {
            engine_rule_purge(r);
        } else {
            engine_scan_start(r); /* it may be wanted again by now */
        }
    }
    e->closing--;
    mem_free(ef->name);
    mem_free(ef);
}

void engine_feed_stop(struct engine_feed *ef)
{
    if (ef->closing) {
        return;
    }
    ef->closing = true;
    list_remove(&ef->link);
    ef->engine->closing++;
    feed_close(ef->feed, feed_is_closed, ef);
}

void engine_outbox_start(struct engine *e, const struct conf_outbox *conf)
{
    static const char *const labels[] = {"outbox", NULL};
    const char *values[] = {conf->name, NULL};
    struct engine_feed *ef = engine_feed_new(e, 0, conf->name);
    ef->astray_stat =
        stat_get(stat_family(e->stats, STAT_COUNTER, "repl_outbox_astray_rows_total",
                             "Rows of an endpoint and bucket that no rule copies from.", labels),
                 values);
    engine_feed_start(ef,
                      outbox_feed_new(&(struct outbox_feed_options){.loop = e->loop,
                                                                    .log = e->log,
                                                                    .stats = e->stats,
                                                                    .conf = conf,
                                                                    .host = engine_feed_host(ef)}));
}

bool engine_outbox_status(struct engine *e, size_t at, struct outbox_status *ret)
{
    LIST_FOR (link, &e->feeds) {
        const struct engine_feed *ef = CONTAINER_OF(link, struct engine_feed, link);
        if (ef->feed->kind == FEED_OUTBOX && at-- == 0) {
            const struct feed_status *s = &ef->feed->status;
            *ret = (struct outbox_status){.name = ef->name,
                                          .state = feed_state_name(s->state),
                                          .is_read = s->state == FEED_UP,
                                          .bad_rows = s->bad_rows,
                                          .astray_rows = ef->astray,
                                          .fail = s->fail};
            return true;
        }
    }
    return false;
}

struct engine_feed *engine_feed_named(struct engine *e, const char *name)
{
    LIST_FOR (link, &e->feeds) {
        struct engine_feed *ef = CONTAINER_OF(link, struct engine_feed, link);
        if (strcmp(ef->feed->name, name) == 0) {
            return ef;
        }
    }
    return NULL;
}

bool engine_feed_report(struct engine *e, size_t at, struct feed_report *ret)
{
    LIST_FOR (link, &e->feeds) {
        const struct engine_feed *ef = CONTAINER_OF(link, struct engine_feed, link);
        if (at-- == 0) {
            *ret = (struct feed_report){.name = ef->feed->name,
                                        .kind = feed_kind_name(ef->feed->kind),
                                        .endpoint = ef->feed->endpoint,
                                        .bucket = ef->feed->bucket,
                                        .state = feed_state_name(ef->feed->status.state),
                                        .is_up = ef->feed->status.state == FEED_UP,
                                        .fail = ef->feed->status.fail,
                                        .astray = ef->astray,
                                        .quarantined = ef->quarantined};
            if (ef->feed->kind == FEED_WEBHOOK && ret->is_up &&
                engine_arrivals_deaf(ef, &ret->fail)) {
                ret->state = "deaf";
                ret->is_up = false;
            }
            return true;
        }
    }
    return engine_leftover_report(e, at, ret);
}

static bool meets(const char *of_feed, const char *of_rule)
{
    return of_feed == NULL || strcmp(of_feed, of_rule) == 0;
}

bool engine_feed_serves(const struct engine_feed *ef, const struct engine_rule *r)
{
    return meets(ef->feed->endpoint, r->rule.source.endpoint) &&
           meets(ef->feed->bucket, r->rule.source.bucket);
}

/* Whether it tells of all changes of the rule's source, and not only of some that strayed. */
static bool is_at_home(const struct engine_feed *ef, const struct engine_rule *r)
{
    return engine_feed_serves(ef, r) && meets(ef->feed->home_endpoint, r->rule.source.endpoint) &&
           meets(ef->feed->home_bucket, r->rule.source.bucket);
}

int64_t engine_feed_through(const struct engine_feed *ef, const struct engine_rule *r)
{
    return ef->feed->kind == FEED_WEBHOOK ? engine_arrivals_through(ef, r)
                                          : ef->feed->status.complete_through_ms;
}

static bool is_scan_read(const struct engine_rule *r)
{
    return r->scan != NULL && !r->scan->closing && r->scan->feed != NULL &&
           r->scan->feed->status.state != FEED_STARTING;
}

static bool is_scanned_again(const struct engine_rule *r)
{
    return r->rule.scan.mode == RULE_SCAN_EVERY || r->rule.scan.mode == RULE_SCAN_CONTINUOUS ||
           (is_scan_read(r) && r->scan->feed->status.is_fed);
}

/* Whether the rule lives by scans, or has: while its cursor is not read that cannot be ruled out.
 */
static bool is_scanned(const struct engine_rule *r)
{
    return is_scanned_again(r) || !is_scan_read(r);
}

/* Where nothing else tells of changes, all is known that the last complete scan saw; and no more
 * than that when scans are switched off. */
static bool is_only_scanned(const struct engine *e, const struct engine_rule *r)
{
    LIST_FOR (link, &e->feeds) {
        if (is_at_home(CONTAINER_OF(link, struct engine_feed, link), r)) {
            return false;
        }
    }
    return e->run_feeds && is_scanned(r);
}

bool engine_is_served(const struct engine *e, const struct engine_rule *r)
{
    LIST_FOR (link, &e->feeds) {
        if (engine_feed_serves(CONTAINER_OF(link, struct engine_feed, link), r)) {
            return true;
        }
    }
    return r->is_told || is_scanned_again(r);
}

int64_t engine_complete_through(struct engine *e, const struct engine_rule *r,
                                const struct engine_feed **ret_feed)
{
    /* What is appended now is given this very millisecond at the earliest. */
    int64_t through = engine_now_ms(e) - 1;
    if (is_only_scanned(e, r)) {
        /* While its scan is being opened anew nothing is known. */
        bool is_there = r->scan != NULL && !r->scan->closing;
        if (ret_feed != NULL) {
            *ret_feed = is_there ? r->scan : NULL;
        }
        through = is_there ? r->scan->feed->status.complete_through_ms : 0;
    }
    LIST_FOR (link, &e->feeds) {
        const struct engine_feed *ef = CONTAINER_OF(link, struct engine_feed, link);
        int64_t of_feed = engine_feed_serves(ef, r) ? engine_feed_through(ef, r) : through;
        if (of_feed < through) {
            through = of_feed;
            if (ret_feed != NULL) {
                *ret_feed = ef;
            }
        }
    }
    return through;
}
