#include "tests/unit/support/backend_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/support/folder.h"

#define CACHE ((uint64_t)1 << 20)

struct backend *world_open(const struct world *w)
{
    struct backend *b;
    struct fail f;
    assert_int_equal(backend_open_sqlite(w->path, BACKEND_WRITER, CACHE, &b, &f), 0);
    return b;
}

static uint64_t take(struct backend *b, const char *owner, int64_t now_ms)
{
    uint64_t epoch = 0;
    struct fail f;
    assert_int_equal(b->ops->begin(b), 0);
    assert_int_equal(b->ops->lease_take(b, span_str(owner), now_ms, 30000, &epoch, &f), 0);
    assert_int_equal(b->ops->commit(b), 0);
    return epoch;
}

int world_set_up(void **state)
{
    struct world *w = MEM_NEW(struct world);
    struct rule_record r = {.name = span_str("pages"), .text = span_str("{}")};
    test_folder(w->folder, sizeof(w->folder));
    snprintf(w->path, sizeof(w->path), "%s/journal.db", w->folder);
    w->b = world_open(w);
    w->ops = w->b->ops;
    arena_init(&w->arena);
    w->epoch = take(w->b, "one", NOW);
    assert_int_equal(w->ops->begin(w->b), 0);
    assert_int_equal(w->ops->rule_put(w->b, &r, &w->rule), 0);
    *state = w;
    return 0;
}

int world_tear_down(void **state)
{
    struct world *w = *state;
    char command[96];
    w->ops->rollback(w->b);
    w->ops->close(w->b);
    arena_done(&w->arena);
    snprintf(command, sizeof(command), "rm -r %s", w->folder);
    assert_int_equal(system(command), 0);
    mem_free(w);
    return 0;
}

struct append_entry world_put_of(const struct world *w, const char *key, int64_t event_ms)
{
    return (struct append_entry){.rule = w->rule,
                                 .origin = TASK_LIVE,
                                 .change = {.kind = CHANGE_PUT,
                                            .key = span_str(key),
                                            .feed = span_str("append"),
                                            .size = 10,
                                            .event_time_ms = event_ms}};
}

struct append_result world_append(struct world *w, const struct append_entry *e, int64_t now_ms)
{
    struct append_result r;
    assert_int_equal(w->ops->append(w->b, e, 1, now_ms, &r), 0);
    return r;
}

struct append_result world_append_put(struct world *w, const char *key, int64_t event_ms)
{
    struct append_entry e = world_put_of(w, key, event_ms);
    return world_append(w, &e, NOW);
}

struct task_list world_claim(struct world *w, enum task_origin origin, size_t limit)
{
    struct task_list list;
    struct claim c = {.rule = w->rule,
                      .origin = origin,
                      .order = CLAIM_OLDEST,
                      .limit = limit,
                      .epoch = w->epoch,
                      .now_ms = NOW};
    assert_int_equal(w->ops->claim(w->b, &c, &w->arena, &list), 0);
    return list;
}

struct finish world_finish_of(const struct task *t, enum finish_outcome outcome)
{
    return (struct finish){.rule = t->rule,
                           .key = t->key,
                           .seq = t->seq,
                           .epoch = t->epoch,
                           .outcome = outcome,
                           .now_ms = NOW + 1,
                           .latency_ms = -1};
}

int world_finish(struct world *w, const struct task *t, enum finish_outcome outcome)
{
    static const struct replica replica = {.source_etag = {"e1", 2}, .size = 10};
    struct finish_result r;
    struct finish f = world_finish_of(t, outcome);
    f.replica = outcome == FINISH_DONE ? &replica : NULL;
    f.next_try_ms = NOW + 5000;
    if (outcome == FINISH_RETRY || outcome == FINISH_FAILED) {
        fail_set(&f.fail, REPL_ESERVER, "no");
    }
    return w->ops->finish(w->b, &f, &r);
}

void world_replicate(struct world *w, const char *key, const struct replica *replica)
{
    world_append_put(w, key, NOW - 5000);
    struct task t = world_claim(w, TASK_LIVE, 1).tasks[0];
    struct finish_result ret;
    struct finish f = {.rule = w->rule,
                       .key = t.key,
                       .seq = t.seq,
                       .epoch = t.epoch,
                       .outcome = FINISH_DONE,
                       .now_ms = NOW,
                       .replica = replica,
                       .latency_ms = -1};
    assert_int_equal(w->ops->finish(w->b, &f, &ret), 0);
}

struct rule_counts world_counts(struct world *w)
{
    struct rule_counts c;
    assert_int_equal(w->ops->counts(w->b, w->rule, &c), 0);
    return c;
}

struct frontier world_frontier(struct world *w)
{
    struct frontier f;
    assert_int_equal(w->ops->frontier(w->b, &w->arena, w->rule, &f), 0);
    return f;
}
