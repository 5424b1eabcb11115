/* The dry run: a scan whose host knows nothing and stores nothing. */
#include "daemon/base/mem.h"
#include "daemon/feeds/scan_feed.h"
#include "daemon/jobs/migrate_impl.h"
#include "daemon/rules/rules.h"

struct dry_answer {
    struct deferred deferred;
    feed_done_fn *appended;
    feed_value_fn *loaded;
    scan_compared_fn *compared;
    scan_keys_fn *gone;
    void *arg;
};

static void answer(void *arg)
{
    struct dry_answer *a = arg;
    struct fail none = {0};
    if (a->appended != NULL) {
        a->appended(a->arg, 0, &none);
    } else if (a->loaded != NULL) {
        a->loaded(a->arg, REPL_ENOTFOUND, (struct span){0});
    } else if (a->compared != NULL) {
        a->compared(a->arg, 0, &none, NULL, 0, (struct span){0});
    } else {
        a->gone(a->arg, 0, &none, NULL, 0);
    }
    mem_free(a);
}

static struct dry_answer *answer_later(struct migrate *m, void *arg)
{
    struct dry_answer *a = MEM_NEW(struct dry_answer);
    a->arg = arg;
    deferred_init(&a->deferred, m->loop, answer, a);
    deferred_call(&a->deferred);
    return a;
}

static void dry_append(void *arg, const struct scan_batch *batch, feed_done_fn *done,
                       void *done_arg)
{
    struct migrate *m = arg;
    m->progress.pending += batch->change_count;
    answer_later(m, done_arg)->appended = done;
}

static void dry_load(void *arg, struct span cursor_name, feed_value_fn *done, void *done_arg)
{
    (void)cursor_name;
    answer_later(arg, done_arg)->loaded = done;
}

static void dry_compare(void *arg, const struct scan_compare *what, scan_compared_fn *done,
                        void *done_arg)
{
    (void)what;
    answer_later(arg, done_arg)->compared = done;
}

static void dry_gone(void *arg, size_t limit, scan_keys_fn *done, void *done_arg)
{
    (void)limit;
    answer_later(arg, done_arg)->gone = done;
}

static const struct rule *dry_rule(void *arg)
{
    const struct migrate *m = arg;
    return &m->rule;
}

static const char *dry_waits(void *arg)
{
    const struct migrate *m = arg;
    return m->stopping ? "the job ends" : NULL;
}

static size_t dry_room(void *arg)
{
    const struct migrate *m = arg;
    return m->stopping ? 0 : 1000;
}

static uint64_t dry_rate(void *arg)
{
    (void)arg;
    return 0;
}

static int64_t dry_now_ms(void *arg)
{
    const struct migrate *m = arg;
    return loop_wall_ms(m->loop);
}

static void dry_news(void *arg)
{
    struct migrate *m = arg;
    timer_start(&m->poll, 0);
}

static bool dry_takes(void *arg, struct span key)
{
    const struct migrate *m = arg;
    return rules_takes_key(&m->rule, key);
}

static struct span dry_map(void *arg, struct span key, struct arena *a)
{
    const struct migrate *m = arg;
    return rules_map_key(&m->rule, key, a);
}

void migrate_dry_start(struct migrate *m)
{
    struct scan_host host = {.arg = m,
                             .append = dry_append,
                             .load = dry_load,
                             .compare = dry_compare,
                             .gone = dry_gone,
                             .rule = dry_rule,
                             .waits = dry_waits,
                             .room = dry_room,
                             .rate = dry_rate,
                             .now_ms = dry_now_ms,
                             .news = dry_news,
                             .takes = dry_takes,
                             .map = dry_map};
    m->dry_feed = scan_feed_new(
        &(struct scan_feed_options){.loop = m->loop,
                                    .log = m->log,
                                    .from = engine_store(m->engine, m->rule.source.endpoint),
                                    .to = engine_store(m->engine, m->rule.destination.endpoint),
                                    .rule = &m->rule,
                                    .host = host});
}

void migrate_dry_progress(struct migrate *m)
{
    const struct feed_status *s = &m->dry_feed->status;
    struct scan_report report;
    scan_feed_report(m->dry_feed, &report);
    m->progress.listing = !report.state.was_whole;
    m->progress.listed = s->listed;
    m->progress.listed_bytes = s->listed_bytes;
    m->progress.skipped = s->equal;
    if (report.state.was_whole) {
        migrate_end(m, 0, NULL);
    } else if (s->state == FEED_DOWN && fail_class(s->fail.code) != FAIL_THROTTLE) {
        migrate_end(m, s->fail.code, &s->fail);
    }
}

void migrate_dry_close(struct migrate *m, loop_fn *closed, void *arg)
{
    struct feed *feed = m->dry_feed;
    m->dry_feed = NULL;
    feed_close(feed, closed, arg);
}
