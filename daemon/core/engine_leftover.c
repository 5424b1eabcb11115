/* Feeds that are gone from the configuration while bodies of theirs wait for an operator: these
 * hold watermarks still, so they are shown and can be decided. */
#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"

#include <stdio.h>

struct leftover {
    struct list link;
    char *feed;     /* "webhook:NAME" */
    char *kind;     /* "webhook" */
    char *endpoint; /* NULL = of any */
    char *bucket;
    struct quarantine_counts counts;
};

struct leftover_call {
    struct journal_call call;
    struct engine *engine;
    struct arena arena;
    struct quarantine_feed *feeds;
    size_t count;
};

static char *dup_or_null(struct span text)
{
    return text.ptr != NULL ? mem_dup_span(text) : NULL;
}

static void add(struct engine *e, const struct quarantine_feed *f)
{
    struct leftover *l = MEM_NEW(struct leftover);
    struct span rest = f->feed;
    l->feed = mem_dup_span(f->feed);
    l->kind = mem_dup_span(span_cut(&rest, ':'));
    l->endpoint = dup_or_null(f->endpoint);
    l->bucket = dup_or_null(f->bucket);
    l->counts = f->counts;
    list_push_back(&e->leftovers, &l->link);
    engine_quarantine_show(e, l->feed, &l->counts);
}

static int run_read(struct backend *b, struct journal_call *call)
{
    struct leftover_call *c = CONTAINER_OF(call, struct leftover_call, call);
    return b->ops->quarantine_feeds(b, &c->arena, &c->feeds, &c->count);
}

static void read_done(struct journal_call *call)
{
    struct leftover_call *c = CONTAINER_OF(call, struct leftover_call, call);
    struct engine *e = c->engine;
    if (call->status == 0) {
        engine_leftovers_free(e);
        for (size_t i = 0; i < c->count; i++) {
            const char *name = arena_span(&c->arena, c->feeds[i].feed).ptr;
            if (engine_feed_named(e, name) == NULL) {
                add(e, &c->feeds[i]);
            }
        }
    }
    arena_done(&c->arena);
    mem_free(c);
}

void engine_leftovers_read(struct engine *e)
{
    struct leftover_call *c = MEM_NEW(struct leftover_call);
    c->engine = e;
    arena_init(&c->arena);
    c->call.run = run_read;
    c->call.done = read_done;
    c->call.access = JOURNAL_WRITE; /* behind what was put or dropped */
    journal_submit(e->journal, &c->call);
}

void engine_leftovers_free(struct engine *e)
{
    LIST_FOR_SAFE (link, &e->leftovers) {
        struct leftover *l = CONTAINER_OF(link, struct leftover, link);
        list_remove(&l->link);
        mem_free(l->feed);
        mem_free(l->kind);
        mem_free(l->endpoint);
        mem_free(l->bucket);
        mem_free(l);
    }
}

bool engine_leftover_is(struct engine *e, const char *feed)
{
    LIST_FOR (link, &e->leftovers) {
        if (strcmp(CONTAINER_OF(link, struct leftover, link)->feed, feed) == 0) {
            return true;
        }
    }
    return false;
}

bool engine_leftover_report(struct engine *e, size_t at, struct feed_report *ret)
{
    LIST_FOR (link, &e->leftovers) {
        const struct leftover *l = CONTAINER_OF(link, struct leftover, link);
        if (at-- == 0) {
            *ret = (struct feed_report){.name = l->feed,
                                        .kind = l->kind,
                                        .endpoint = l->endpoint,
                                        .bucket = l->bucket,
                                        .state = "removed",
                                        .quarantined = l->counts};
            return true;
        }
    }
    return false;
}
