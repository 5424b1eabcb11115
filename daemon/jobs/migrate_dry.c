/* The dry run: a listing feed whose host stores nothing. */
#include "daemon/base/mem.h"
#include "daemon/jobs/migrate_impl.h"
#include "daemon/rules/rules.h"

struct dry_answer {
    struct deferred deferred;
    feed_done_fn *appended;
    feed_value_fn *loaded;
    void *arg;
};

static void answer(void *arg)
{
    struct dry_answer *a = arg;
    struct fail none = {0};
    if (a->appended != NULL) {
        a->appended(a->arg, 0, &none);
    } else {
        a->loaded(a->arg, REPL_ENOTFOUND, (struct span){0});
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

static void dry_append(void *arg, const struct change *changes, size_t count,
                       struct span cursor_name, struct span cursor, feed_done_fn *done,
                       void *done_arg)
{
    struct migrate *m = arg;
    (void)changes;
    (void)cursor_name;
    (void)cursor;
    m->progress.pending += count;
    answer_later(m, done_arg)->appended = done;
}

static void dry_load(void *arg, struct span cursor_name, feed_value_fn *done, void *done_arg)
{
    (void)cursor_name;
    answer_later(arg, done_arg)->loaded = done;
}

static size_t dry_room(void *arg)
{
    const struct migrate *m = arg;
    return m->stopping ? 0 : 1000;
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
    struct feed_host host = {.arg = m,
                             .append = dry_append,
                             .load = dry_load,
                             .room = dry_room,
                             .news = dry_news,
                             .takes = dry_takes,
                             .map = dry_map};
    m->dry_feed = listing_feed_new(
        &(struct listing_feed_options){.loop = m->loop,
                                       .log = m->log,
                                       .from = engine_store(m->engine, m->rule.source.endpoint),
                                       .to = engine_store(m->engine, m->rule.destination.endpoint),
                                       .rule = &m->rule,
                                       .host = host});
}

void migrate_dry_progress(struct migrate *m)
{
    const struct feed_status *s = &m->dry_feed->status;
    m->progress.listing = s->state != FEED_ENDED;
    m->progress.listed = s->listed;
    m->progress.listed_bytes = s->listed_bytes;
    m->progress.skipped = s->equal;
    if (s->state == FEED_ENDED) {
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
