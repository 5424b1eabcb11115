/* Bodies that could not be read: into the journal, and what the operator decides of them. */
#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"
#include "daemon/feeds/event.h"

#include <inttypes.h>
#include <stdio.h>

/* A call about one feed's quarantine; it comes back with the counts as they are then. */
struct quarantine_call {
    struct journal_call call;
    struct engine *engine;
    struct arena arena;
    const char *feed;
    struct quarantined row;      /* put: what */
    struct quarantine_word word; /* drop: which, and whose decision it is; who absent: ours */
    uint64_t dropped;
    struct quarantine_counts counts;
    engine_done_fn *done; /* NULL: nobody waits */
    void *arg;
};

static struct quarantine_call *new_call(struct engine *e, struct span feed, engine_done_fn *done,
                                        void *arg)
{
    struct quarantine_call *c = MEM_NEW(struct quarantine_call);
    c->engine = e;
    arena_init(&c->arena);
    c->feed = arena_span(&c->arena, feed).ptr;
    c->done = done;
    c->arg = arg;
    return c;
}

void engine_quarantine_show(struct engine *e, const char *feed,
                            const struct quarantine_counts *counts)
{
    static const char *const labels[] = {"feed", NULL};
    static const struct {
        const char *name;
        const char *help;
    } gauges[] = {
        {"repl_quarantine_bodies", "Notifications that could not be read, undecided."},
        {"repl_quarantine_bytes", "Bytes of them."},
        {"repl_quarantine_lost", "Of those, too many to be kept: only counted."},
    };
    const uint64_t values[] = {counts->bodies, counts->bytes, counts->lost};
    const char *label_values[] = {feed, NULL};
    for (size_t i = 0; i < 3; i++) {
        struct stat_family *family =
            stat_family(e->stats, STAT_GAUGE, gauges[i].name, gauges[i].help, labels);
        stat_put(stat_get(family, label_values), (double)values[i]);
    }
}

static void submit(struct quarantine_call *c, int (*run)(struct backend *, struct journal_call *),
                   void (*done)(struct journal_call *))
{
    c->call.run = run;
    c->call.done = done;
    c->call.access = JOURNAL_WRITE;
    journal_submit(c->engine->journal, &c->call);
}

static void call_done(struct journal_call *call)
{
    struct quarantine_call *c = CONTAINER_OF(call, struct quarantine_call, call);
    struct engine *e = c->engine;
    struct engine_feed *ef = engine_feed_named(e, c->feed);
    if (call->status == 0) {
        engine_quarantine_show(e, c->feed, &c->counts);
        engine_lag_soon(e);
    }
    if (call->status == 0 && ef != NULL) {
        ef->quarantined = c->counts;
    } else if (call->status == 0) {
        engine_leftovers_read(e);
    }
    if (c->done != NULL) {
        c->done(c->arg, call->status, &call->fail);
    }
    arena_done(&c->arena);
    mem_free(c);
}

static int count_again(struct backend *b, struct quarantine_call *c)
{
    return b->ops->quarantine_counts(b, span_str(c->feed), &c->counts);
}

static int run_put(struct backend *b, struct journal_call *call)
{
    struct quarantine_call *c = CONTAINER_OF(call, struct quarantine_call, call);
    int status = b->ops->quarantine_put(b, &c->row);
    return status == 0 ? count_again(b, c) : status;
}

/* A body tells of changes later than what the feed had brought completely when it came: that is
 * what the feed claims. Rules stand there at the furthest. */
static int64_t hold_of(const struct engine_feed *ef)
{
    struct engine *e = ef->engine;
    int64_t hold_ms = engine_now_ms(e) - 1;
    LIST_FOR (link, &e->rules) {
        const struct engine_rule *r = CONTAINER_OF(link, struct engine_rule, link);
        if (!r->deleting && engine_feed_serves(ef, r)) {
            int64_t through_ms = engine_feed_through(ef, r);
            hold_ms = through_ms < hold_ms ? through_ms : hold_ms;
        }
    }
    return hold_ms;
}

void engine_quarantine_put(struct engine_feed *ef, struct span body, struct span reason,
                           engine_done_fn *done, void *arg)
{
    struct quarantine_call *c = new_call(ef->engine, span_str(ef->feed->name), done, arg);
    c->row = (struct quarantined){.feed = span_str(c->feed),
                                  .received_ms = engine_now_ms(ef->engine),
                                  .reason = arena_span(&c->arena, reason),
                                  .body = arena_span(&c->arena, body),
                                  .endpoint = arena_span(&c->arena, span_str(ef->feed->endpoint)),
                                  .bucket = arena_span(&c->arena, span_str(ef->feed->bucket)),
                                  .hold_ms = hold_of(ef)};
    submit(c, run_put, call_done);
}

static int run_count(struct backend *b, struct journal_call *call)
{
    return count_again(b, CONTAINER_OF(call, struct quarantine_call, call));
}

void engine_quarantine_count(struct engine_feed *ef)
{
    submit(new_call(ef->engine, span_str(ef->feed->name), NULL, NULL), run_count, call_done);
}

/* ---- drop ---- */

static int run_drop(struct backend *b, struct journal_call *call)
{
    struct quarantine_call *c = CONTAINER_OF(call, struct quarantine_call, call);
    struct quarantine_word *w = &c->word;
    int status = b->ops->quarantine_drop(b, w->feed, w->id, INT64_MAX, &c->dropped);
    if (status == 0 && c->dropped > 0 && w->who.ptr != NULL) {
        w->bodies = c->dropped;
        status = b->ops->quarantine_word(b, w);
    }
    return status == 0 ? count_again(b, c) : status;
}

static void drop_done(struct journal_call *call)
{
    struct quarantine_call *c = CONTAINER_OF(call, struct quarantine_call, call);
    if (call->status == 0 && c->dropped == 0) {
        call->status = engine_unknown_body(span_str(c->feed), c->word.id, &call->fail);
    } else if (call->status == 0 && c->word.who.ptr != NULL) {
        LOG_NOTICE(c->engine->log, ENGINE_SUBJECT,
                   "%s: %" PRIu64 " of its quarantine are dropped by %.*s: %.*s", c->feed,
                   c->dropped, SPAN_ARG(c->word.who), SPAN_ARG(c->word.reason));
    }
    call_done(call);
}

void engine_quarantine_drop(struct engine *e, const struct quarantine_word *word,
                            engine_done_fn *done, void *arg)
{
    struct quarantine_call *c = new_call(e, word->feed, done, arg);
    c->word = (struct quarantine_word){.feed = span_str(c->feed),
                                       .id = word->id,
                                       .at_ms = engine_now_ms(e),
                                       .who = arena_span(&c->arena, word->who),
                                       .reason = arena_span(&c->arena, word->reason)};
    submit(c, run_drop, drop_done);
}

/* ---- replay: one body after the other is read again, appended, then dropped ---- */

struct replay {
    struct journal_call call;
    struct engine *engine;
    char *feed;
    char *endpoint;     /* of the feed, as configured now; NULL: it is not any more */
    uint64_t only;      /* 0 = all of the feed */
    struct arena arena; /* of one body */
    struct quarantined row;
    uint64_t after; /* the id before */
    uint64_t tried;
    uint64_t good;
    struct fail first; /* of those that still cannot be read */
    engine_done_fn *done;
    void *arg;
};

static void replay_next(struct replay *p);

static void replay_end(struct replay *p, int status, const struct fail *why)
{
    struct fail f = why != NULL ? *why : (struct fail){0};
    if (status == 0 && p->tried == 0) {
        status = fail_set(&f, REPL_ENOTFOUND, "there is nothing to replay in the quarantine of %s",
                          p->feed);
        fail_hint(&f, "replctl feed show %s shows what is in it", p->feed);
    } else if (status == 0 && p->good < p->tried) {
        status = fail_set(&f, REPL_EBADINPUT, "%" PRIu64 " of %" PRIu64 " cannot be read yet: %s",
                          p->tried - p->good, p->tried, p->first.text);
        fail_hint(&f, "replctl feed show %s --id ID shows one; drop it when nothing is in it",
                  p->feed);
    }
    p->done(p->arg, status, &f);
    arena_done(&p->arena);
    mem_free(p->feed);
    mem_free(p->endpoint);
    mem_free(p);
}

static void replay_failed(struct replay *p, const struct fail *f)
{
    if (p->first.code == 0) {
        fail_set(&p->first, f->code, "id %" PRIu64 ": %s", p->row.id, f->text);
    }
    replay_next(p);
}

static void replay_dropped(void *arg, int status, const struct fail *f)
{
    struct replay *p = arg;
    if (status != 0) {
        replay_end(p, status, f);
        return;
    }
    p->good++;
    replay_next(p);
}

static void replay_appended(void *arg, int status, const struct fail *f,
                            const struct engine_append_result *result)
{
    struct replay *p = arg;
    (void)result;
    if (status == REPL_EBADINPUT) {
        replay_failed(p, f);
    } else if (status != 0) {
        replay_end(p, status, f);
    } else {
        struct quarantine_word word = {.feed = span_str(p->feed), .id = p->row.id};
        engine_quarantine_drop(p->engine, &word, replay_dropped, p);
    }
}

/* Where the feed was given another endpoint since, the body is of the one under its new name or
 * still of the old one: of any. */
static struct span endpoint_of(const struct replay *p)
{
    struct span then = p->row.endpoint, now = span_str(p->endpoint);
    if (then.ptr == NULL || now.ptr == NULL) {
        return then.ptr != NULL ? then : now;
    }
    return span_eq(then, now) ? now : (struct span){0};
}

static void replay_body(struct replay *p)
{
    struct event_options options = {.endpoint = endpoint_of(p), .feed = span_str(p->feed)};
    struct event_list events;
    struct fail f = {0};
    const struct span none = {0};
    p->tried++;
    if (p->row.body.ptr == NULL) {
        fail_set(&f, REPL_EBADINPUT, "its body was not kept; a scan finds what it was about");
        replay_failed(p, &f);
    } else if (event_parse(p->row.body, &options, &p->arena, &events, &f) != 0) {
        replay_failed(p, &f);
    } else {
        engine_append(p->engine, events.changes, events.count, TASK_LIVE, none, none,
                      replay_appended, p);
    }
}

static void replay_found(struct journal_call *call)
{
    struct replay *p = CONTAINER_OF(call, struct replay, call);
    if (call->status == REPL_ENOTFOUND) {
        replay_end(p, 0, NULL);
    } else if (call->status != 0) {
        replay_end(p, call->status, &call->fail);
    } else {
        p->after = p->row.id;
        replay_body(p);
    }
}

static int run_find(struct backend *b, struct journal_call *call)
{
    struct replay *p = CONTAINER_OF(call, struct replay, call);
    struct quarantined *page;
    size_t n = 0;
    uint64_t after = p->only != 0 ? p->only - 1 : p->after;
    int status = b->ops->quarantine_page(b, &p->arena, span_str(p->feed), after, 1, &page, &n);
    if (status != 0 || n == 0 || (p->only != 0 && page[0].id != p->only)) {
        return status != 0 ? status : REPL_ENOTFOUND;
    }
    return b->ops->quarantine_get(b, &p->arena, page[0].id, &p->row);
}

static void replay_next(struct replay *p)
{
    struct fail f;
    if (p->engine->stopping) {
        fail_set(&f, REPL_ECLOSED, "repld is stopping");
        replay_end(p, f.code, &f);
        return;
    }
    if (p->only != 0 && p->tried > 0) {
        replay_end(p, 0, NULL);
        return;
    }
    arena_done(&p->arena);
    arena_init(&p->arena);
    p->call = (struct journal_call){
        .run = run_find, .done = replay_found, .access = JOURNAL_WRITE}; /* behind a drop */
    journal_submit(p->engine->journal, &p->call);
}

void engine_quarantine_replay(struct engine *e, const char *feed, uint64_t id, engine_done_fn *done,
                              void *arg)
{
    const struct engine_feed *ef = engine_feed_named(e, feed);
    struct fail f;
    if (ef == NULL && !engine_leftover_is(e, feed)) {
        engine_done_later(e, done, arg, engine_unknown_feed(e, feed, &f), &f);
        return;
    }
    struct replay *p = MEM_NEW(struct replay);
    p->engine = e;
    p->feed = mem_strdup(feed);
    p->endpoint = ef != NULL && ef->feed->endpoint != NULL ? mem_strdup(ef->feed->endpoint) : NULL;
    p->only = id;
    p->done = done;
    p->arg = arg;
    arena_init(&p->arena);
    replay_next(p);
}
