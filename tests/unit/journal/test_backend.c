/* Conformance of a journal backend: what backend.h promises, on the SQLite one. */
#include "journal/backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define CACHE ((uint64_t)1 << 20)
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW 1700000000000

struct world {
    char folder[32];
    char path[64];
    struct backend *b;
    struct arena arena;
    uint64_t epoch;
    uint32_t rule;
};

static const struct backend_ops *ops(const struct world *w)
{
    return w->b->ops;
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

static int set_up(void **state)
{
    struct world *w = MEM_NEW(struct world);
    struct fail f;
    struct rule_record r = {.name = span_str("pages"), .text = span_str("{}")};
    strcpy(w->folder, "/tmp/repl-unit-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    snprintf(w->path, sizeof(w->path), "%s/journal.db", w->folder);
    assert_int_equal(backend_open_sqlite(w->path, BACKEND_WRITER, CACHE, &w->b, &f), 0);
    arena_init(&w->arena);
    w->epoch = take(w->b, "one", NOW);
    assert_int_equal(ops(w)->begin(w->b), 0);
    assert_int_equal(ops(w)->rule_put(w->b, &r, &w->rule), 0);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    char command[96];
    ops(w)->rollback(w->b);
    ops(w)->close(w->b);
    arena_done(&w->arena);
    snprintf(command, sizeof(command), "rm -r %s", w->folder);
    assert_int_equal(system(command), 0);
    mem_free(w);
    return 0;
}

static struct append_entry put_of(const struct world *w, const char *key, int64_t event_ms)
{
    return (struct append_entry){.rule = w->rule,
                                 .origin = TASK_LIVE,
                                 .change = {.kind = CHANGE_PUT,
                                            .key = span_str(key),
                                            .feed = span_str("append"),
                                            .size = 10,
                                            .event_time_ms = event_ms}};
}

static struct append_result append(struct world *w, const struct append_entry *e, int64_t now_ms)
{
    struct append_result r;
    assert_int_equal(ops(w)->append(w->b, e, 1, now_ms, &r), 0);
    return r;
}

static struct append_result append_put(struct world *w, const char *key, int64_t event_ms)
{
    struct append_entry e = put_of(w, key, event_ms);
    return append(w, &e, NOW);
}

static struct task_list claim(struct world *w, enum task_origin origin, size_t limit)
{
    struct task_list list;
    struct claim c = {.rule = w->rule,
                      .origin = origin,
                      .order = CLAIM_OLDEST,
                      .limit = limit,
                      .epoch = w->epoch,
                      .now_ms = NOW};
    assert_int_equal(ops(w)->claim(w->b, &c, &w->arena, &list), 0);
    return list;
}

static struct finish finish_of(const struct task *t, enum finish_outcome outcome)
{
    return (struct finish){.rule = t->rule,
                           .key = t->key,
                           .seq = t->seq,
                           .epoch = t->epoch,
                           .outcome = outcome,
                           .now_ms = NOW + 1,
                           .latency_ms = -1};
}

static int finish(struct world *w, const struct task *t, enum finish_outcome outcome)
{
    static const struct replica replica = {.source_etag = {"e1", 2}, .size = 10};
    struct finish_result r;
    struct finish f = finish_of(t, outcome);
    f.replica = outcome == FINISH_DONE ? &replica : NULL;
    f.next_try_ms = NOW + 5000;
    if (outcome == FINISH_RETRY || outcome == FINISH_FAILED) {
        fail_set(&f.fail, REPL_ESERVER, "no");
    }
    return ops(w)->finish(w->b, &f, &r);
}

static struct rule_counts counts(struct world *w)
{
    struct rule_counts c;
    assert_int_equal(ops(w)->counts(w->b, w->rule, &c), 0);
    return c;
}

static struct frontier frontier(struct world *w)
{
    struct frontier f;
    assert_int_equal(ops(w)->frontier(w->b, &w->arena, w->rule, &f), 0);
    return f;
}

/* ---- the file ---- */

static void the_file_is_private(void **state)
{
    struct world *w = *state;
    struct stat st;
    assert_int_equal(stat(w->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_newer_schema_is_refused(void **state)
{
    struct world *w = *state;
    struct backend *other;
    struct fail f;
    char command[160];
    ops(w)->rollback(w->b);
    snprintf(command, sizeof(command),
             "/usr/bin/python3 -c \"import sqlite3; sqlite3.connect('%s')"
             ".execute('PRAGMA user_version=99')\"",
             w->path);
    assert_int_equal(system(command), 0);
    assert_int_equal(backend_open_sqlite(w->path, BACKEND_WRITER, CACHE, &other, &f), REPL_ESCHEMA);
    assert_non_null(strstr(f.text, "99"));
    assert_true(f.hint[0] != '\0');
}

static void a_file_that_is_no_database(void **state)
{
    struct world *w = *state;
    struct backend *other;
    struct fail f;
    char path[80];
    snprintf(path, sizeof(path), "%s/other", w->folder);
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 300; i++) {
        fputs("this is no database ", file);
    }
    fclose(file);
    assert_int_equal(backend_open_sqlite(path, BACKEND_WRITER, CACHE, &other, &f), REPL_EJOURNAL);
    assert_true(f.text[0] != '\0');
}

/* ---- the lease ---- */

static void a_second_owner_waits_for_the_lease(void **state)
{
    struct world *w = *state;
    struct backend *other;
    struct fail f;
    uint64_t epoch;
    append_put(w, "a", NOW);
    struct task t = claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(ops(w)->commit(w->b), 0);
    assert_int_equal(backend_open_sqlite(w->path, BACKEND_WRITER, CACHE, &other, &f), 0);
    assert_int_equal(other->ops->begin(other), 0);
    assert_int_equal(other->ops->lease_take(other, span_str("two"), NOW + 29000, 30000, &epoch, &f),
                     REPL_EOWNED);
    assert_non_null(strstr(f.text, "one"));
    assert_int_equal(other->ops->lease_take(other, span_str("two"), NOW + 31000, 30000, &epoch, &f),
                     0);
    assert_true(epoch > w->epoch);
    assert_int_equal(other->ops->commit(other), 0);
    /* The first owner is refused everything that carries its epoch, and changes nothing. */
    assert_int_equal(ops(w)->begin(w->b), 0);
    assert_int_equal(ops(w)->lease_check(w->b, w->epoch), REPL_ESTALE);
    assert_int_equal(ops(w)->lease_check(w->b, epoch), 0);
    assert_int_equal(ops(w)->lease_renew(w->b, w->epoch, NOW, 1), REPL_ESTALE);
    assert_int_equal(ops(w)->lease_drop(w->b, w->epoch), REPL_ESTALE);
    assert_int_equal(finish(w, &t, FINISH_DONE), REPL_ESTALE);
    struct task_list list;
    struct claim c = {.rule = w->rule, .limit = 1, .epoch = w->epoch, .now_ms = NOW};
    assert_int_equal(ops(w)->claim(w->b, &c, &w->arena, &list), REPL_ESTALE);
    ops(w)->rollback(w->b);
    /* The claimed task is ready for the new one. */
    w->epoch = epoch;
    assert_int_equal(ops(w)->begin(w->b), 0);
    assert_int_equal(claim(w, TASK_LIVE, 5).count, 1);
    other->ops->close(other);
}

static void the_same_owner_takes_its_lease_again(void **state)
{
    struct world *w = *state;
    uint64_t epoch;
    struct fail f;
    assert_int_equal(ops(w)->lease_take(w->b, span_str("one"), NOW + 1, 30000, &epoch, &f), 0);
    assert_true(epoch > w->epoch);
    assert_int_equal(ops(w)->lease_drop(w->b, epoch), 0);
    assert_int_equal(ops(w)->lease_take(w->b, span_str("two"), NOW + 2, 30000, &epoch, &f), 0);
}

/* ---- changes ---- */

static void a_change_becomes_a_task(void **state)
{
    struct world *w = *state;
    struct append_result r = append_put(w, "a\x01\xff", NOW - 1000);
    assert_int_equal(r.created, 1);
    struct task_list list = claim(w, TASK_LIVE, 10);
    assert_int_equal(list.count, 1);
    assert_true(span_eq_str(list.tasks[0].key, "a\x01\xff"));
    assert_int_equal(list.tasks[0].event_time_ms, NOW - 1000);
    assert_int_equal(list.tasks[0].seq, r.first_seq);
    assert_null(list.tasks[0].upload);
    assert_null(list.tasks[0].replica);
    assert_int_equal(claim(w, TASK_LIVE, 10).count, 0);
}

static void the_future_is_clamped(void **state)
{
    struct world *w = *state;
    append_put(w, "a", NOW + 100000);
    append_put(w, "b", 0);
    struct task_list list = claim(w, TASK_LIVE, 10);
    assert_int_equal(list.tasks[0].event_time_ms, NOW);
    assert_int_equal(list.tasks[1].event_time_ms, NOW);
}

static void a_newer_change_supersedes_and_finishes_nothing(void **state)
{
    struct world *w = *state;
    append_put(w, "a", NOW - 5000);
    struct append_result r = append_put(w, "a", NOW - 1000);
    assert_int_equal(r.created, 0);
    assert_int_equal(r.superseded, 1);
    struct task t = claim(w, TASK_LIVE, 10).tasks[0];
    assert_int_equal(t.seq, r.first_seq);
    assert_int_equal(t.event_time_ms, NOW - 1000);
    assert_int_equal(t.oldest_ms, NOW - 5000);
    assert_int_equal(counts(w).pending_objects, 1);
}

static void a_change_during_the_copy_stays_pending(void **state)
{
    struct world *w = *state;
    append_put(w, "a", NOW - 5000);
    struct task t = claim(w, TASK_LIVE, 1).tasks[0];
    append_put(w, "a", NOW - 2000);
    append_put(w, "a", NOW - 3000);
    assert_int_equal(frontier(w).oldest_ms, NOW - 5000);
    assert_int_equal(finish(w, &t, FINISH_DONE), 0);
    /* The copy satisfied the first change; the oldest of those that came meanwhile is next. */
    assert_true(frontier(w).any);
    assert_int_equal(frontier(w).oldest_ms, NOW - 3000);
    t = claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(t.oldest_ms, NOW - 3000);
    assert_int_equal(finish(w, &t, FINISH_DONE), 0);
    assert_false(frontier(w).any);
}

static void a_failure_of_the_old_version_satisfies_nothing(void **state)
{
    struct world *w = *state;
    append_put(w, "a", NOW - 5000);
    struct task t = claim(w, TASK_LIVE, 1).tasks[0];
    append_put(w, "a", NOW - 2000);
    assert_int_equal(finish(w, &t, FINISH_FAILED), 0);
    assert_int_equal(frontier(w).oldest_ms, NOW - 5000);
    assert_int_equal(counts(w).failed_objects, 0);
    t = claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(t.attempts, 0);
}

static void an_older_sequencer_does_not_win(void **state)
{
    struct world *w = *state;
    struct append_entry e = put_of(w, "a", NOW - 1000);
    e.change.feed = span_str("webhook:a");
    e.change.sequencer = span_str("0055AED6DCD90281E5");
    e.change.etag = span_str("new");
    append(w, &e, NOW);
    e.change.sequencer = span_str("0055AED6DCD902");
    e.change.etag = span_str("old");
    e.change.event_time_ms = NOW - 2000;
    append(w, &e, NOW);
    struct task t = claim(w, TASK_LIVE, 1).tasks[0];
    assert_true(span_eq_str(t.etag, "new"));
    assert_int_equal(t.oldest_ms, NOW - 2000);
}

static void sequencers_of_other_feeds_do_not_compare(void **state)
{
    struct world *w = *state;
    struct append_entry e = put_of(w, "a", NOW - 1000);
    e.change.feed = span_str("webhook:a");
    e.change.sequencer = span_str("FF");
    append(w, &e, NOW);
    e.change.feed = span_str("outbox:a");
    e.change.sequencer = span_str("01");
    e.change.etag = span_str("second");
    append(w, &e, NOW);
    assert_true(span_eq_str(claim(w, TASK_LIVE, 1).tasks[0].etag, "second"));
}

static void sequencers_of_the_store_compare_whichever_way_they_came(void **state)
{
    struct world *w = *state;
    struct append_entry e = put_of(w, "a", NOW - 1000);
    e.change.feed = span_str("webhook:a");
    e.change.sequencer = span_str("FF");
    e.change.etag = span_str("first");
    append(w, &e, NOW);
    e.change.feed = span_str("queue:a");
    e.change.sequencer = span_str("01");
    e.change.etag = span_str("second");
    append(w, &e, NOW);
    assert_true(span_eq_str(claim(w, TASK_LIVE, 1).tasks[0].etag, "first"));
}

static void an_older_event_does_not_win(void **state)
{
    struct world *w = *state;
    struct append_entry e = put_of(w, "a", NOW - 1000);
    append(w, &e, NOW);
    e.change.kind = CHANGE_DELETE;
    e.change.event_time_ms = NOW - 2000;
    append(w, &e, NOW);
    struct task t = claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(t.kind, CHANGE_PUT);
    assert_int_equal(t.oldest_ms, NOW - 2000);
    e.change.event_time_ms = NOW - 1000; /* of the same moment: the later arrival */
    append(w, &e, NOW);
    assert_int_equal(finish(w, &t, FINISH_DONE), 0);
    assert_int_equal(claim(w, TASK_LIVE, 1).tasks[0].kind, CHANGE_DELETE);
}

/* Clocks lie: the one that copies may have looked before this happened. */
static void an_older_change_of_a_claimed_task_is_looked_at_again(void **state)
{
    struct world *w = *state;
    append_put(w, "a", NOW - 1000);
    struct task t = claim(w, TASK_LIVE, 1).tasks[0];
    append_put(w, "a", NOW - 9000);
    assert_int_equal(finish(w, &t, FINISH_DONE), 0);
    assert_int_equal(frontier(w).oldest_ms, NOW - 9000);
    t = claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(t.event_time_ms, NOW - 1000);
    assert_int_equal(finish(w, &t, FINISH_DONE), 0);
    assert_false(frontier(w).any);
}

static void replicate(struct world *w, const char *key, const struct replica *replica)
{
    append_put(w, key, NOW - 5000);
    struct task t = claim(w, TASK_LIVE, 1).tasks[0];
    struct finish_result ret;
    struct finish f = {.rule = w->rule,
                       .key = t.key,
                       .seq = t.seq,
                       .epoch = t.epoch,
                       .outcome = FINISH_DONE,
                       .now_ms = NOW,
                       .replica = replica,
                       .latency_ms = -1};
    assert_int_equal(ops(w)->finish(w->b, &f, &ret), 0);
}

static void what_the_replica_shows_makes_no_task(void **state)
{
    struct world *w = *state;
    replicate(w, "a",
              &(struct replica){.source_etag = span_str("e"),
                                .source_version = span_str("null"),
                                .sequencer = span_str("0A")});
    replicate(w, "b",
              &(struct replica){.source_etag = span_str("e"), .source_version = span_str("v1")});
    struct append_entry again = put_of(w, "a", NOW - 3000);
    again.change.etag = span_str("e");
    again.change.sequencer = span_str("0A");
    append(w, &again, NOW);
    struct append_entry version = put_of(w, "b", NOW - 3000);
    version.change.etag = span_str("e");
    version.change.version_id = span_str("v1");
    append(w, &version, NOW);
    assert_false(frontier(w).any);
    again.change.sequencer = span_str("0B"); /* the same bytes written anew */
    append(w, &again, NOW);
    version.change.version_id = span_str("v2");
    append(w, &version, NOW);
    assert_int_equal(counts(w).pending_objects, 2);
}

static void a_delete_is_never_taken_for_replicated(void **state)
{
    struct world *w = *state;
    replicate(w, "a", &(struct replica){.source_etag = span_str("e"), .sequencer = span_str("0A")});
    struct append_entry e = put_of(w, "a", NOW - 3000);
    e.change.kind = CHANGE_DELETE;
    e.change.etag = span_str("e");
    e.change.sequencer = span_str("0A");
    append(w, &e, NOW);
    assert_true(frontier(w).any);
}

/* ---- the brake ---- */

static struct brake brake(struct world *w)
{
    struct brake b;
    assert_int_equal(ops(w)->brake_get(w->b, &w->arena, w->rule, NOW - 600000, &b), 0);
    return b;
}

static void append_delete(struct world *w, const char *key)
{
    struct append_entry e = put_of(w, key, NOW - 1000);
    e.change.kind = CHANGE_DELETE;
    append(w, &e, NOW);
}

/* Whether this one has put the brake on. */
static bool hold(struct world *w, const struct task *t)
{
    struct finish_result ret;
    struct finish f = {.rule = w->rule,
                       .key = t->key,
                       .seq = t->seq,
                       .epoch = t->epoch,
                       .outcome = FINISH_HELD,
                       .now_ms = NOW,
                       .why = span_str("too many"),
                       .latency_ms = -1};
    assert_int_equal(ops(w)->finish(w->b, &f, &ret), 0);
    assert_false(ret.pending);
    return ret.brake_on;
}

static void deletes_are_counted(void **state)
{
    struct world *w = *state;
    append_delete(w, "a");
    append_delete(w, "b");
    append_put(w, "b", NOW); /* comes back before it is deleted */
    append_delete(w, "c");
    assert_int_equal(brake(w).pending, 2);
    struct task_list list = claim(w, TASK_LIVE, 10);
    assert_int_equal(brake(w).pending, 2);
    for (size_t i = 0; i < list.count; i++) {
        bool is_delete = list.tasks[i].kind == CHANGE_DELETE;
        assert_int_equal(finish(w, &list.tasks[i], is_delete ? FINISH_DELETED : FINISH_DONE), 0);
    }
    assert_int_equal(brake(w).pending, 0);
    assert_int_equal(brake(w).deleted, 2);
    assert_int_equal(brake(w).since_ms, 0);
}

static void held_deletes_wait_for_a_word(void **state)
{
    struct world *w = *state;
    append_delete(w, "a");
    append_put(w, "p", NOW - 500);
    append_put(w, "q", NOW - 500);
    struct task_list list = claim(w, TASK_LIVE, 10);
    hold(w, &list.tasks[0]);
    hold(w, &list.tasks[1]); /* its object is gone from the source */
    assert_int_equal(finish(w, &list.tasks[2], FINISH_DONE), 0);
    assert_int_equal(brake(w).since_ms, NOW);
    assert_true(span_eq_str(brake(w).why, "too many"));
    assert_int_equal(brake(w).pending, 0);
    assert_int_equal(counts(w).held_objects, 2);
    assert_int_equal(counts(w).pending_objects, 0);
    assert_int_equal(frontier(w).state, TASK_HELD);
    assert_int_equal(frontier(w).oldest_ms, NOW - 1000);
    append_delete(w, "a"); /* told again */
    assert_int_equal(claim(w, TASK_LIVE, 10).count, 0);
    append_put(w, "p", NOW); /* is there again */
    assert_int_equal(counts(w).held_objects, 1);
    struct task t = claim(w, TASK_LIVE, 10).tasks[0];
    assert_int_equal(t.kind, CHANGE_PUT);
}

static void confirmed_deletes_pass(void **state)
{
    struct world *w = *state;
    uint64_t n;
    append_delete(w, "a");
    append_delete(w, "b");
    struct task_list list = claim(w, TASK_LIVE, 10);
    hold(w, &list.tasks[0]);
    hold(w, &list.tasks[1]);
    assert_int_equal(ops(w)->held_confirm(w->b, w->rule, 1, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(brake(w).since_ms, NOW); /* until all are let go */
    assert_int_equal(ops(w)->held_confirm(w->b, w->rule, 10, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(brake(w).since_ms, 0);
    assert_int_equal(brake(w).pending, 0);
    assert_int_equal(counts(w).held_objects, 0);
    assert_int_equal(counts(w).pending_objects, 2);
    append_delete(w, "a"); /* told again: confirmed all the same */
    list = claim(w, TASK_LIVE, 10);
    assert_int_equal(list.count, 2);
    assert_true(list.tasks[0].confirmed && list.tasks[1].confirmed);
    assert_int_equal(finish(w, &list.tasks[0], FINISH_DELETED), 0);
    assert_int_equal(finish(w, &list.tasks[1], FINISH_DELETED), 0);
    assert_int_equal(brake(w).deleted, 0);
    append_put(w, "a", NOW);
    append_delete(w, "a");
    assert_false(claim(w, TASK_LIVE, 1).tasks[0].confirmed);
}

static void discarded_deletes_are_on_record(void **state)
{
    struct world *w = *state;
    uint64_t n;
    struct history_entry *h;
    size_t count;
    struct replica r;
    replicate(w, "a", &(struct replica){.source_etag = span_str("e"), .size = 7});
    append_delete(w, "a");
    struct task t = claim(w, TASK_LIVE, 1).tasks[0];
    hold(w, &t);
    assert_int_equal(ops(w)->held_discard(w->b, w->rule, span_str("an accident"), NOW, 10, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(brake(w).since_ms, 0);
    assert_false(frontier(w).any);
    assert_int_equal(counts(w).held_objects, 0);
    assert_int_equal(counts(w).replicas, 0);
    assert_int_equal(ops(w)->replica_get(w->b, &w->arena, w->rule, span_str("a"), &r),
                     REPL_ENOTFOUND);
    assert_int_equal(ops(w)->history_page(w->b, &w->arena, w->rule, span_str("a"), 1, &h, &count),
                     0);
    assert_non_null(strstr(h[0].fail.text, "an accident"));
}

static void held_deletes_come_in_pages(void **state)
{
    struct world *w = *state;
    struct task *tasks;
    size_t n;
    append_delete(w, "a");
    append_delete(w, "b");
    append_delete(w, "c");
    struct task_list list = claim(w, TASK_LIVE, 10);
    for (size_t i = 0; i < list.count; i++) {
        hold(w, &list.tasks[i]);
    }
    struct task_filter filter = {.rule = w->rule, .state = TASK_HELD, .limit = 2};
    assert_int_equal(ops(w)->task_page(w->b, &w->arena, &filter, &tasks, &n), 0);
    assert_int_equal(n, 2);
    filter.after_rule = w->rule;
    filter.after_key = tasks[1].key;
    assert_int_equal(ops(w)->task_page(w->b, &w->arena, &filter, &tasks, &n), 0);
    assert_int_equal(n, 1);
    assert_true(span_eq_str(tasks[0].key, "c"));
}

static void backfill_does_not_hold_the_frontier(void **state)
{
    struct world *w = *state;
    struct append_entry e = put_of(w, "a", NOW - 9000);
    e.origin = TASK_BACKFILL;
    append(w, &e, NOW);
    assert_false(frontier(w).any);
    assert_int_equal(counts(w).backfill_objects, 1);
    assert_int_equal(claim(w, TASK_LIVE, 1).count, 0);
    /* A live change makes it live, from its own time on. */
    append_put(w, "a", NOW - 1000);
    assert_int_equal(frontier(w).oldest_ms, NOW - 1000);
    assert_int_equal(counts(w).backfill_objects, 0);
    assert_int_equal(counts(w).pending_objects, 1);
}

/* What the backfill has seen is newer, by its clock: the live change is owed nevertheless. */
static void an_older_live_change_holds_the_frontier_of_a_backfill(void **state)
{
    struct world *w = *state;
    struct append_entry e = put_of(w, "a", NOW - 1000);
    e.origin = TASK_BACKFILL;
    append(w, &e, NOW);
    append_put(w, "a", NOW - 5000);
    assert_true(frontier(w).any);
    assert_int_equal(frontier(w).oldest_ms, NOW - 5000);
    /* The same while the backfill is in work. */
    e = put_of(w, "b", NOW - 1000);
    e.origin = TASK_BACKFILL;
    append(w, &e, NOW);
    struct task t = claim(w, TASK_BACKFILL, 1).tasks[0];
    append_put(w, "b", NOW - 7000);
    assert_int_equal(frontier(w).oldest_ms, NOW - 7000);
    assert_int_equal(finish(w, &t, FINISH_DONE), 0);
    assert_int_equal(frontier(w).oldest_ms, NOW - 7000);
}

static void backfill_of_what_is_there_makes_no_row(void **state)
{
    struct world *w = *state;
    append_put(w, "a", NOW);
    struct task t = claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(finish(w, &t, FINISH_DONE), 0);
    struct append_entry e = put_of(w, "a", NOW);
    e.origin = TASK_BACKFILL;
    e.change.etag = span_str("e1");
    assert_int_equal(append(w, &e, NOW).created, 0);
    e.change.etag = span_str("e2");
    assert_int_equal(append(w, &e, NOW).created, 1);
}

/* ---- work ---- */

static void oldest_and_newest_first(void **state)
{
    struct world *w = *state;
    append_put(w, "middle", NOW - 2000);
    append_put(w, "newest", NOW - 1000);
    append_put(w, "oldest", NOW - 3000);
    struct task_list list;
    struct claim c = {
        .rule = w->rule, .order = CLAIM_NEWEST, .limit = 1, .epoch = w->epoch, .now_ms = NOW};
    assert_int_equal(ops(w)->claim(w->b, &c, &w->arena, &list), 0);
    assert_true(span_eq_str(list.tasks[0].key, "newest"));
    assert_true(span_eq_str(claim(w, TASK_LIVE, 1).tasks[0].key, "oldest"));
}

/* Newest is whose oldest change that is not satisfied is the newest, too. */
static void claim_looks_at_a_window_of_time(void **state)
{
    struct world *w = *state;
    append_put(w, "a", NOW - 4000);
    append_put(w, "b", NOW - 3000);
    append_put(w, "c", NOW - 2000);
    append_put(w, "d", NOW - 1000);
    append_put(w, "a", NOW); /* its oldest change is the first still */
    struct task_list list;
    struct claim late = {.rule = w->rule,
                         .order = CLAIM_NEWEST,
                         .until_ms = NOW - 2000,
                         .limit = 1,
                         .epoch = w->epoch,
                         .now_ms = NOW};
    assert_int_equal(ops(w)->claim(w->b, &late, &w->arena, &list), 0);
    assert_int_equal(list.count, 1);
    assert_true(span_eq_str(list.tasks[0].key, "b"));
    struct claim fresh = late;
    fresh.order = CLAIM_OLDEST;
    fresh.from_ms = NOW - 2000;
    fresh.until_ms = 0;
    fresh.limit = 10;
    assert_int_equal(ops(w)->claim(w->b, &fresh, &w->arena, &list), 0);
    assert_int_equal(list.count, 2);
    assert_true(span_eq_str(list.tasks[0].key, "c"));
    assert_true(span_eq_str(list.tasks[1].key, "d"));
    assert_int_equal(claim(w, TASK_LIVE, 10).count, 1);
}

static void a_retry_waits_for_its_time(void **state)
{
    struct world *w = *state;
    int64_t next;
    append_put(w, "a", NOW - 1000);
    struct task t = claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(finish(w, &t, FINISH_RETRY), 0);
    assert_int_equal(ops(w)->next_try(w->b, w->rule, &next), 0);
    assert_int_equal(next, NOW + 5000);
    assert_int_equal(claim(w, TASK_LIVE, 1).count, 0);
    struct task_list list;
    struct claim c = {.rule = w->rule, .limit = 1, .epoch = w->epoch, .now_ms = NOW + 5000};
    assert_int_equal(ops(w)->claim(w->b, &c, &w->arena, &list), 0);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.tasks[0].attempts, 1);
    assert_int_equal(list.tasks[0].fail.code, REPL_ESERVER);
    assert_string_equal(list.tasks[0].fail.text, "no");
    assert_int_equal(ops(w)->next_try(w->b, w->rule, &next), 0);
    assert_true(next == INT64_MAX);
}

static void a_released_task_is_as_it_was(void **state)
{
    struct world *w = *state;
    append_put(w, "a", NOW - 1000);
    struct task t = claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(finish(w, &t, FINISH_RELEASED), 0);
    t = claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(t.attempts, 0);
    assert_int_equal(counts(w).retries, 0);
}

static void a_task_is_finished_once(void **state)
{
    struct world *w = *state;
    append_put(w, "a", NOW);
    struct task t = claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(finish(w, &t, FINISH_DONE), 0);
    assert_int_equal(finish(w, &t, FINISH_DONE), REPL_ENOTFOUND);
    assert_int_equal(counts(w).done_objects, 1);
    assert_int_equal(counts(w).replicas, 1);
}

static void dead_letters_hold_the_frontier_until_told(void **state)
{
    struct world *w = *state;
    uint64_t n;
    append_put(w, "a", NOW - 1000);
    append_put(w, "b", NOW - 500);
    for (int i = 0; i < 2; i++) {
        struct task t = claim(w, TASK_LIVE, 1).tasks[0];
        assert_int_equal(finish(w, &t, FINISH_FAILED), 0);
    }
    assert_int_equal(counts(w).failed_objects, 2);
    assert_int_equal(counts(w).pending_objects, 0);
    assert_int_equal(frontier(w).state, TASK_FAILED);
    assert_int_equal(ops(w)->task_drop(w->b, w->rule, span_str("a"), span_str("known"), NOW), 0);
    assert_int_equal(frontier(w).oldest_ms, NOW - 500);
    assert_int_equal(ops(w)->task_retry(w->b, w->rule, span_str("x"), 1, &n), REPL_ENOTFOUND);
    assert_int_equal(ops(w)->task_retry(w->b, w->rule, span_of(NULL, 0), 10, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(counts(w).failed_objects, 0);
    assert_true(span_eq_str(claim(w, TASK_LIVE, 1).tasks[0].key, "b"));
    struct history_entry *h;
    size_t count;
    assert_int_equal(ops(w)->history_page(w->b, &w->arena, w->rule, span_str("a"), 10, &h, &count),
                     0);
    assert_int_equal(count, 2);
    assert_non_null(strstr(h[0].fail.text, "known"));
}

/* ---- uploads ---- */

static void an_upload_and_its_parts(void **state)
{
    struct world *w = *state;
    struct upload u = {.rule = w->rule,
                       .key = span_str("a"),
                       .endpoint = span_str("home"),
                       .bucket = span_str("b"),
                       .dest_key = span_str("x/a"),
                       .source_etag = span_str("e"),
                       .size = 30,
                       .part_size = 10,
                       .created_ms = NOW};
    struct upload_part part = {.number = 2, .size = 10, .etag = span_str("p2"), .bytes_sent = 12};
    append_put(w, "a", NOW);
    assert_int_equal(ops(w)->upload_intend(w->b, &u), 0);
    struct task t;
    assert_int_equal(ops(w)->task_get(w->b, &w->arena, w->rule, span_str("a"), &t), 0);
    assert_int_equal(t.upload->state, UPLOAD_INTENDED);
    assert_int_equal(t.upload->upload_id.len, 0);
    u.upload_id = span_str("id");
    assert_int_equal(ops(w)->part_done(w->b, w->rule, u.key, u.upload_id, &part), REPL_ENOTFOUND);
    assert_int_equal(ops(w)->upload_open(w->b, &u), 0);
    assert_int_equal(ops(w)->part_done(w->b, w->rule, u.key, u.upload_id, &part), 0);
    assert_int_equal(counts(w).sent_bytes, 12);
    part.number = 1;
    part.etag = span_str("p1");
    assert_int_equal(ops(w)->part_done(w->b, w->rule, u.key, u.upload_id, &part), 0);
    part.etag = span_str("p1 again");
    assert_int_equal(ops(w)->part_done(w->b, w->rule, u.key, u.upload_id, &part), 0);
    assert_int_equal(counts(w).sent_bytes, 36); /* what is sent again is sent */
    t = claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(t.upload->state, UPLOAD_OPEN);
    assert_int_equal(t.upload->part_count, 2);
    assert_int_equal(t.upload->bytes_done, 20);
    assert_true(span_eq_str(t.upload->parts[0].etag, "p1 again"));
    assert_true(span_eq_str(t.upload->dest_key, "x/a"));
    assert_int_equal(
        ops(w)->upload_set(w->b, w->rule, u.key, u.upload_id, UPLOAD_ABORTING, NOW + 100, 3), 0);
    struct upload *list;
    size_t n;
    assert_int_equal(
        ops(w)->upload_page(w->b, &w->arena, UPLOAD_ABORTING, NOW, NULL, 10, &list, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(ops(w)->upload_page(w->b, &w->arena, -1, NOW + 100, NULL, 10, &list, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(list[0].attempts, 3);
    assert_int_equal(ops(w)->upload_page(w->b, &w->arena, -1, INT64_MAX, &list[0], 10, &list, &n),
                     0);
    assert_int_equal(n, 0);
    assert_int_equal(ops(w)->upload_end(w->b, w->rule, u.key, u.upload_id), 0);
    assert_int_equal(ops(w)->upload_end(w->b, w->rule, u.key, u.upload_id), 0);
    assert_int_equal(ops(w)->task_get(w->b, &w->arena, w->rule, span_str("a"), &t), 0);
    assert_null(t.upload);
}

/* ---- rules, values, lag ---- */

static void rules_have_unique_names_and_numbers_of_their_own(void **state)
{
    struct world *w = *state;
    struct rule_record *list;
    size_t n;
    uint32_t number;
    struct rule_record r = {.name = span_str("pages"), .text = span_str("{}")};
    assert_int_equal(ops(w)->rule_put(w->b, &r, &number), REPL_EEXISTS);
    r.rule = w->rule;
    r.text = span_str("{\"a\":1}");
    assert_int_equal(ops(w)->rule_put(w->b, &r, &number), 0);
    r = (struct rule_record){.rule = 77, .name = span_str("x"), .text = span_str("{}")};
    assert_int_equal(ops(w)->rule_put(w->b, &r, &number), REPL_ENOTFOUND);
    assert_int_equal(ops(w)->rule_list(w->b, &w->arena, &list, &n), 0);
    assert_int_equal(n, 1);
    assert_true(span_eq_str(list[0].text, "{\"a\":1}"));
}

static void a_recorded_upload_is_found_at_its_place(void **state)
{
    struct world *w = *state;
    struct upload u = {.rule = w->rule,
                       .key = span_str("k1"),
                       .upload_id = span_str("id"),
                       .endpoint = span_str("far"),
                       .bucket = span_str("dst")};
    struct span id = u.upload_id, other = span_str("other");
    assert_int_equal(ops(w)->upload_open(w->b, &u), 0);
    assert_int_equal(ops(w)->upload_find(w->b, u.endpoint, u.bucket, id), 0);
    assert_int_equal(ops(w)->upload_find(w->b, other, u.bucket, id), REPL_ENOTFOUND);
    assert_int_equal(ops(w)->upload_find(w->b, u.endpoint, other, id), REPL_ENOTFOUND);
    assert_int_equal(ops(w)->upload_find(w->b, u.endpoint, u.bucket, other), REPL_ENOTFOUND);
}

static void a_deleted_rule_goes_when_its_uploads_are_gone(void **state)
{
    struct world *w = *state;
    struct upload u = {.rule = w->rule, .key = span_str("k1"), .upload_id = span_str("id")};
    char key[16];
    uint32_t number;
    struct upload *list;
    size_t n;
    for (int i = 0; i < 25; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        append_put(w, key, NOW);
    }
    assert_int_equal(ops(w)->upload_open(w->b, &u), 0);
    assert_int_equal(ops(w)->rule_delete(w->b, w->rule, NOW), 0);
    assert_int_equal(ops(w)->upload_page(w->b, &w->arena, UPLOAD_ABORTING, NOW, NULL, 9, &list, &n),
                     0);
    assert_int_equal(n, 1);
    struct upload late = {.rule = w->rule, .key = span_str("k1"), .upload_id = span_str("late")};
    assert_int_equal(ops(w)->upload_open(w->b, &late), 0);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(ops(w)->rule_purge(w->b, w->rule, 10), 0);
    }
    assert_int_equal(ops(w)->upload_page(w->b, &w->arena, UPLOAD_ABORTING, NOW, NULL, 9, &list, &n),
                     0);
    assert_int_equal(n, 2);
    assert_int_equal(ops(w)->upload_end(w->b, w->rule, late.key, late.upload_id), 0);
    assert_int_equal(ops(w)->upload_end(w->b, w->rule, u.key, u.upload_id), 0);
    assert_int_equal(ops(w)->rule_purge(w->b, w->rule, 10), REPL_EDONE);
    struct rule_record r = {.name = span_str("pages"), .text = span_str("{}")};
    assert_int_equal(ops(w)->rule_put(w->b, &r, &number), 0);
    assert_true(number > w->rule);
}

static void copy_all(struct world *w, const char *prefix, int count)
{
    char key[16];
    for (int i = 0; i < count; i++) {
        snprintf(key, sizeof(key), "%s%02d", prefix, i);
        append_put(w, key, NOW);
    }
    struct task_list list = claim(w, TASK_LIVE, (size_t)count);
    for (size_t i = 0; i < list.count; i++) {
        assert_int_equal(finish(w, &list.tasks[i], FINISH_DONE), 0);
    }
}

static size_t replicas_left(struct world *w, uint32_t rule, const char *prefix, int count)
{
    char key[16];
    struct replica replica;
    size_t n = 0;
    for (int i = 0; i < count; i++) {
        snprintf(key, sizeof(key), "%s%02d", prefix, i);
        n += ops(w)->replica_get(w->b, &w->arena, rule, span_str(key), &replica) == 0;
    }
    return n;
}

/* ---- versions ---- */

static int finish_version(struct world *w, const struct task *t, enum finish_outcome outcome,
                          const char *id, bool goes_on)
{
    static const struct replica replica = {.source_etag = {"e1", 2}, .size = 10};
    struct version_mark mark = {.version_id = span_str(id), .mtime_ms = NOW};
    struct finish_result r = {0};
    struct finish f = finish_of(t, outcome);
    f.replica = outcome == FINISH_DONE ? &replica : NULL;
    f.bytes = 10;
    f.version = &mark;
    f.goes_on = goes_on;
    int status = ops(w)->finish(w->b, &f, &r);
    assert_int_equal(r.pending, goes_on && status == 0);
    return status;
}

static size_t marks_of(struct world *w, struct version_mark **ret)
{
    size_t count;
    assert_int_equal(ops(w)->version_marks(w->b, &w->arena, w->rule, span_str("a"), ret, &count),
                     0);
    return count;
}

static void assert_mark(struct world *w, const char *id)
{
    struct version_mark *marks;
    assert_true(marks_of(w, &marks) > 0);
    assert_true(span_eq_str(marks[0].version_id, id));
    assert_int_equal(marks[0].mtime_ms, NOW);
}

static void versions_are_done_one_after_the_other(void **state)
{
    struct world *w = *state;
    struct version_mark *marks;
    append_put(w, "a", NOW);
    struct task t = claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(marks_of(w, &marks), 0);
    assert_int_equal(finish_version(w, &t, FINISH_DONE, "v1", true), 0);
    assert_mark(w, "v1");
    assert_int_equal(finish_version(w, &t, FINISH_DELETED, "v2", true), 0);
    assert_mark(w, "v2");
    assert_int_equal(counts(w).pending_objects, 1);
    assert_int_equal(counts(w).replicas, 0);
    assert_int_equal(finish_version(w, &t, FINISH_DONE, "v3", false), 0);
    assert_mark(w, "v3");
    assert_int_equal(counts(w).pending_objects, 0);
    assert_int_equal(counts(w).done_objects, 2);
    assert_int_equal(counts(w).deleted_objects, 1);
    assert_int_equal(finish_version(w, &t, FINISH_DONE, "v4", true), REPL_ENOTFOUND);
    assert_mark(w, "v3");
}

static void a_failure_moves_no_mark(void **state)
{
    struct world *w = *state;
    append_put(w, "a", NOW);
    struct task t = claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(finish_version(w, &t, FINISH_SKIPPED, "v1", true), 0);
    struct version_mark mark = {.version_id = span_str("v2"), .mtime_ms = NOW};
    struct finish_result r = {0};
    struct finish f = finish_of(&t, FINISH_FAILED);
    f.version = &mark;
    f.goes_on = true;
    assert_int_equal(ops(w)->finish(w->b, &f, &r), 0);
    assert_mark(w, "v1");
    assert_int_equal(counts(w).failed_objects, 1);
}

/* In the order in which they were done; a version that is done again is the newest, and once. */
static void the_newest_marks_are_kept(void **state)
{
    struct world *w = *state;
    struct version_mark *marks;
    char id[16];
    append_put(w, "a", NOW);
    struct task t = claim(w, TASK_LIVE, 1).tasks[0];
    for (int i = 0; i < VERSION_MARKS_MAX + 10; i++) {
        snprintf(id, sizeof(id), "v%d", i);
        assert_int_equal(finish_version(w, &t, FINISH_DONE, id, true), 0);
    }
    assert_int_equal(finish_version(w, &t, FINISH_DONE, "v70", true), 0);
    size_t count = marks_of(w, &marks);
    assert_int_equal(count, VERSION_MARKS_MAX - 1);
    assert_true(span_eq_str(marks[0].version_id, "v70"));
    assert_true(span_eq_str(marks[1].version_id, "v73"));
    assert_true(span_eq_str(marks[4].version_id, "v69"));
    assert_true(span_eq_str(marks[count - 1].version_id, "v11"));
}

static void marks_go_with_the_versions_of_the_source(void **state)
{
    struct world *w = *state;
    struct version_mark *marks;
    struct finish_result r = {0};
    append_put(w, "a", NOW);
    struct task t = claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(finish_version(w, &t, FINISH_DONE, "v1", true), 0);
    struct finish f = finish_of(&t, FINISH_DELETED);
    f.no_versions = true;
    assert_int_equal(ops(w)->finish(w->b, &f, &r), 0);
    assert_int_equal(marks_of(w, &marks), 0);
}

static bool is_known_version(struct world *w, const char *id, const char *etag, int64_t mtime_ms,
                             bool *ret_has_marks)
{
    struct listed l = {.key = span_str("a"),
                       .version_id = span_str(id),
                       .etag = span_str(etag),
                       .mtime_ms = mtime_ms};
    struct compare what = {.rule = w->rule, .listed = &l, .count = 1, .versions = true};
    struct compared compared;
    assert_int_equal(ops(w)->compare(w->b, &w->arena, &what, &compared), 0);
    *ret_has_marks = l.has_marks;
    return l.known;
}

static void the_newest_version_is_what_is_compared(void **state)
{
    struct world *w = *state;
    bool has_marks;
    struct append_entry e = put_of(w, "a", NOW);
    e.change.version_id = span_str("v2");
    assert_false(is_known_version(w, "v1", "e1", NOW, &has_marks));
    assert_false(has_marks);
    append(w, &e, NOW);
    assert_true(is_known_version(w, "v2", "e1", NOW, &has_marks)); /* told */
    assert_false(is_known_version(w, "v1", "e1", NOW, &has_marks));
    struct task t = claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(finish_version(w, &t, FINISH_DONE, "v1", true), 0);
    assert_int_equal(finish_version(w, &t, FINISH_DELETED, "v2", true), 0);
    assert_int_equal(finish_version(w, &t, FINISH_SKIPPED, "null", false), 0);
    assert_false(is_known_version(w, "v1", "e1", NOW, &has_marks));
    assert_false(is_known_version(w, "v2", "", NOW, &has_marks));
    assert_true(has_marks);
    assert_true(is_known_version(w, "null", "", NOW, &has_marks));
    assert_false(is_known_version(w, "null", "", NOW + 3000, &has_marks));
    assert_false(is_known_version(w, "null", "e1", NOW, &has_marks));
}

static void marks_go_with_their_rule(void **state)
{
    struct world *w = *state;
    struct version_mark *marks;
    append_put(w, "a", NOW);
    struct task t = claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(finish_version(w, &t, FINISH_DELETED, "v1", false), 0);
    assert_int_equal(ops(w)->rule_delete(w->b, w->rule, NOW), 0);
    assert_int_equal(ops(w)->rule_purge(w->b, w->rule, 10), 0);
    assert_int_equal(marks_of(w, &marks), 0);
    assert_int_equal(ops(w)->rule_purge(w->b, w->rule, 10), REPL_EDONE);
}

static void replicas_are_purged_a_few_at_a_time(void **state)
{
    struct world *w = *state;
    struct rule_record r = {.name = span_str("other"), .text = span_str("{}")};
    uint32_t first = w->rule;
    copy_all(w, "k", 25);
    assert_int_equal(ops(w)->rule_put(w->b, &r, &w->rule), 0);
    copy_all(w, "k", 5);
    assert_int_equal(ops(w)->rule_delete(w->b, first, NOW), 0);
    assert_int_equal(ops(w)->rule_purge(w->b, first, 10), 0);
    assert_int_equal(replicas_left(w, first, "k", 25), 15);
    assert_int_equal(ops(w)->rule_purge(w->b, first, 10), 0);
    assert_int_equal(ops(w)->rule_purge(w->b, first, 10), 0);
    assert_int_equal(replicas_left(w, first, "k", 25), 0);
    assert_int_equal(ops(w)->rule_purge(w->b, first, 10), REPL_EDONE);
    assert_int_equal(replicas_left(w, w->rule, "k", 5), 5);
}

/* All pages together: rule and key of each task, each with a blank behind it. */
static void expect_failed(struct world *w, uint32_t rule, const char *want)
{
    struct task_filter filter = {.rule = rule, .state = TASK_FAILED, .limit = 2};
    struct task *page;
    size_t n;
    char have[64] = "";
    do {
        assert_int_equal(ops(w)->task_page(w->b, &w->arena, &filter, &page, &n), 0);
        for (size_t i = 0; i < n; i++) {
            snprintf(have + strlen(have), sizeof(have) - strlen(have), "%u%.*s ", page[i].rule,
                     SPAN_ARG(page[i].key));
        }
        if (n > 0) {
            filter.after_rule = page[n - 1].rule;
            filter.after_key = page[n - 1].key;
        }
    } while (n == 2);
    assert_string_equal(have, want);
}

static void fail_some(struct world *w)
{
    char key[2] = "j";
    for (; key[0] >= 'a'; key[0]--) {
        append_put(w, key, NOW);
    }
    struct task_list list = claim(w, TASK_LIVE, 10);
    for (size_t i = 0; i < list.count; i++) {
        bool odd = list.tasks[i].key.ptr[0] % 2 == 1;
        assert_int_equal(finish(w, &list.tasks[i], odd ? FINISH_FAILED : FINISH_RETRY), 0);
    }
}

static void failed_tasks_come_in_pages_by_key(void **state)
{
    struct world *w = *state;
    struct rule_record r = {.name = span_str("other"), .text = span_str("{}")};
    fail_some(w);
    expect_failed(w, 0, "1a 1c 1e 1g 1i ");
    assert_int_equal(ops(w)->rule_put(w->b, &r, &w->rule), 0);
    fail_some(w);
    expect_failed(w, 1, "1a 1c 1e 1g 1i ");
    expect_failed(w, 2, "2a 2c 2e 2g 2i ");
    expect_failed(w, 0, "1a 1c 1e 1g 1i 2a 2c 2e 2g 2i ");
}

static void values(void **state)
{
    struct world *w = *state;
    struct span v;
    struct span name = span_str("outbox:a");
    assert_int_equal(ops(w)->value_get(w->b, &w->arena, name, &v), REPL_ENOTFOUND);
    assert_int_equal(ops(w)->value_put(w->b, name, span_str("1")), 0);
    assert_int_equal(ops(w)->value_put(w->b, name, span_str("2")), 0);
    assert_int_equal(ops(w)->value_get(w->b, &w->arena, name, &v), 0);
    assert_true(span_eq_str(v, "2"));
    assert_int_equal(ops(w)->value_put(w->b, name, span_of(NULL, 0)), 0);
    assert_int_equal(ops(w)->value_get(w->b, &w->arena, name, &v), REPL_ENOTFOUND);
}

static void the_watermark_never_goes_back(void **state)
{
    struct world *w = *state;
    assert_int_equal(ops(w)->watermark_put(w->b, w->rule, NOW), 0);
    assert_int_equal(ops(w)->watermark_put(w->b, w->rule, NOW - 1), 0);
    assert_int_equal(frontier(w).watermark_ms, NOW);
}

/* ---- what came later than the watermark ---- */

static size_t late_page(struct world *w, struct late_change **ret)
{
    size_t n;
    assert_int_equal(ops(w)->late_page(w->b, &w->arena, w->rule, 10, ret, &n), 0);
    return n;
}

static void late_changes_are_counted_and_named(void **state)
{
    struct world *w = *state;
    struct late_change *late;
    assert_int_equal(ops(w)->watermark_put(w->b, w->rule, NOW - 1000), 0);
    append_put(w, "in-time", NOW - 999);
    struct append_entry e = put_of(w, "listed", NOW - 5000);
    e.origin = TASK_BACKFILL;
    append(w, &e, NOW);
    assert_int_equal(late_page(w, &late), 0);
    append_put(w, "late", NOW - 1000);
    append_put(w, "later", NOW - 3000);
    append_put(w, "later", NOW - 3000); /* told twice, pending */
    assert_int_equal(counts(w).late_changes, 2);
    assert_int_equal(late_page(w, &late), 2);
    assert_true(span_eq_str(late[0].key, "later"));
    assert_true(span_eq_str(late[0].feed, "append"));
    assert_int_equal(late[0].event_time_ms, NOW - 3000);
    assert_int_equal(late[0].accepted_ms, NOW);
    assert_int_equal(late[0].watermark_ms, NOW - 1000);
    assert_true(span_eq_str(late[1].key, "late"));
    assert_int_equal(frontier(w).oldest_ms, NOW - 3000);
}

/* The watermark passed it rightly: the destination held it. */
static void what_is_told_again_is_not_late(void **state)
{
    struct world *w = *state;
    append_put(w, "a", NOW - 3000);
    append_put(w, "b", NOW - 3000);
    struct task_list list = claim(w, TASK_LIVE, 2);
    assert_int_equal(finish(w, &list.tasks[0], FINISH_DONE), 0);
    assert_int_equal(finish(w, &list.tasks[1], FINISH_DELETED), 0);
    assert_int_equal(ops(w)->watermark_put(w->b, w->rule, NOW), 0);
    struct append_entry e = put_of(w, "a", NOW - 3000);
    e.change.etag = span_str("e1"); /* the replica's */
    append(w, &e, NOW);
    append_put(w, "b", NOW - 3000);
    assert_int_equal(counts(w).late_changes, 0);
    e = put_of(w, "a", NOW - 2000);
    e.change.etag = span_str("e2"); /* written since */
    append(w, &e, NOW);
    assert_int_equal(counts(w).late_changes, 1);
}

static void late_changes_are_bounded(void **state)
{
    struct world *w = *state;
    struct append_entry entries[100];
    struct append_result r;
    struct late_change *late;
    size_t n;
    assert_int_equal(ops(w)->watermark_put(w->b, w->rule, NOW), 0);
    for (int call = 0; call < 15; call++) {
        for (int i = 0; i < 100; i++) {
            entries[i] = put_of(w, arena_printf(&w->arena, "%d-%d", call, i), NOW - 10);
        }
        assert_int_equal(ops(w)->append(w->b, entries, 100, NOW, &r), 0);
    }
    assert_int_equal(counts(w).late_changes, 1500);
    assert_int_equal(ops(w)->late_page(w->b, &w->arena, w->rule, LATE_CHANGES_MAX + 100, &late, &n),
                     0);
    assert_int_equal(n, LATE_CHANGES_MAX);
    assert_true(span_eq_str(late[0].key, "14-99"));
}

/* ---- what a complete scan confirms ---- */

static int64_t prove(struct world *w, int64_t scan_ms, int64_t ended_ms)
{
    assert_int_equal(ops(w)->prove(w->b, w->rule, scan_ms, ended_ms), 0);
    return frontier(w).proven_ms;
}

static void a_scan_proves_when_all_is_finished(void **state)
{
    struct world *w = *state;
    struct append_entry e = put_of(w, "old", NOW - 9000);
    e.origin = TASK_BACKFILL;
    append(w, &e, NOW);
    append_put(w, "new", NOW - 500);
    assert_int_equal(prove(w, NOW - 1000, NOW - 900), 0);
    struct task t = claim(w, TASK_BACKFILL, 1).tasks[0];
    assert_int_equal(finish(w, &t, FINISH_FAILED), 0);
    assert_int_equal(prove(w, NOW - 1000, NOW - 900), 0); /* given up is not there */
    assert_int_equal(ops(w)->task_drop(w->b, w->rule, span_str("old"), span_str("x"), NOW), 0);
    assert_int_equal(prove(w, NOW - 1000, NOW - 500), 0); /* it may have found the new one */
    assert_int_equal(prove(w, NOW - 1000, NOW - 501), NOW - 1000);
    assert_int_equal(prove(w, NOW - 2000, NOW - 1900), NOW - 1000); /* never back */
}

/* ---- watermarks of prefixes ---- */

static struct prefix_list prefixes(struct world *w)
{
    struct prefix_list list;
    assert_int_equal(ops(w)->prefixes_list(w->b, &w->arena, w->rule, &list), 0);
    return list;
}

static void set_prefixes(struct world *w, const struct span *names, size_t n)
{
    assert_int_equal(ops(w)->prefixes_set(w->b, w->rule, names, n), 0);
    for (int i = 0; i < 100 && prefixes(w).sorting; i++) {
        assert_int_equal(ops(w)->prefixes_mark(w->b, w->rule, 2), 0);
    }
    assert_false(prefixes(w).sorting);
}

static void prefixes_know_their_oldest(void **state)
{
    struct world *w = *state;
    const struct span names[] = {span_str("b/"), span_str("a/x/"), span_str("a/")};
    append_put(w, "a/x/1", NOW - 300); /* before and after the prefixes are known */
    append_put(w, "a/y", NOW - 200);
    append_put(w, "c", NOW - 900);
    set_prefixes(w, names, 3);
    append_put(w, "b/1", NOW - 100);
    struct append_entry e = put_of(w, "a/x/0", NOW - 800);
    e.origin = TASK_BACKFILL;
    append(w, &e, NOW);
    struct prefix_list list = prefixes(w);
    assert_int_equal(list.count, 3);
    assert_true(span_eq_str(list.prefixes[0].prefix, "a/"));
    assert_int_equal(list.prefixes[0].oldest_ms, NOW - 300); /* of the one within it */
    assert_true(span_eq_str(list.prefixes[0].key, "a/x/1"));
    assert_int_equal(list.prefixes[0].unfinished_ms, NOW - 800);
    assert_int_equal(list.prefixes[1].oldest_ms, NOW - 300);
    assert_int_equal(list.prefixes[2].oldest_ms, NOW - 100);
    assert_int_equal(list.prefixes[2].unfinished_ms, NOW - 100);
}

static void prefixes_that_stay_keep_their_watermark(void **state)
{
    struct world *w = *state;
    const struct span first[] = {span_str("a/"), span_str("b/")};
    const struct span then[] = {span_str("a/x/"), span_str("b/")};
    append_put(w, "a/x/1", NOW - 300);
    append_put(w, "b/1", NOW - 100);
    set_prefixes(w, first, 2);
    assert_int_equal(ops(w)->prefix_put(w->b, w->rule, span_str("b/"), NOW - 101, NOW - 500), 0);
    assert_int_equal(ops(w)->prefix_put(w->b, w->rule, span_str("b/"), NOW - 200, NOW - 600), 0);
    set_prefixes(w, then, 2);
    struct prefix_list list = prefixes(w);
    assert_int_equal(list.prefixes[0].watermark_ms, 0);
    assert_int_equal(list.prefixes[0].oldest_ms, NOW - 300);
    assert_int_equal(list.prefixes[1].watermark_ms, NOW - 101);
    assert_int_equal(list.prefixes[1].proven_ms, NOW - 500);
    assert_int_equal(list.prefixes[1].oldest_ms, NOW - 100);
    assert_int_equal(ops(w)->prefixes_set(w->b, w->rule, then, 2), 0);
    assert_false(prefixes(w).sorting); /* nothing has changed */
    set_prefixes(w, NULL, 0);
    assert_int_equal(prefixes(w).count, 0);
}

static void a_change_is_late_for_its_prefix(void **state)
{
    struct world *w = *state;
    const struct span names[] = {span_str("a/")};
    set_prefixes(w, names, 1);
    assert_int_equal(ops(w)->prefix_put(w->b, w->rule, span_str("a/"), NOW - 100, 0), 0);
    append_put(w, "b/1", NOW - 100);
    assert_int_equal(counts(w).late_changes, 0);
    append_put(w, "a/1", NOW - 100);
    assert_int_equal(counts(w).late_changes, 1);
}

static void history_is_trimmed_by_age(void **state)
{
    struct world *w = *state;
    uint64_t n;
    append_put(w, "a", NOW);
    struct task t = claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(finish(w, &t, FINISH_DONE), 0);
    assert_int_equal(ops(w)->history_trim(w->b, NOW + 1, 10, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(ops(w)->history_trim(w->b, NOW + 2, 10, &n), 0);
    assert_int_equal(n, 1);
}

static void latency_is_counted(void **state)
{
    struct world *w = *state;
    struct finish_result r;
    append_put(w, "a", NOW);
    struct task t = claim(w, TASK_LIVE, 1).tasks[0];
    struct finish f = finish_of(&t, FINISH_DONE);
    f.latency_ms = 700;
    f.bytes = 10;
    f.bytes_sent = 12;
    assert_int_equal(ops(w)->finish(w->b, &f, &r), 0);
    struct rule_counts c = counts(w);
    assert_int_equal(c.latency[7], 1); /* 0.5 s < 0.7 s <= 1 s */
    assert_true(c.latency_sum_s > 0.69 && c.latency_sum_s < 0.71);
    assert_int_equal(c.sent_bytes, 12);
    assert_int_equal(c.done_bytes, 10);
}

/* ---- a random walk: the counters always agree with a count ---- */

static void recount(struct world *w, int64_t late_before_ms, struct rule_counts *ret)
{
    struct task_filter filter = {.rule = w->rule, .state = -1};
    struct task *list;
    size_t n;
    memset(ret, 0, sizeof(*ret));
    assert_int_equal(ops(w)->task_page(w->b, &w->arena, &filter, &list, &n), 0);
    for (size_t i = 0; i < n; i++) {
        if (list[i].state == TASK_FAILED) {
            ret->failed_objects++;
        } else if (list[i].origin == TASK_LIVE) {
            ret->pending_objects++;
            ret->pending_bytes += (uint64_t)list[i].size;
            ret->late_objects += list[i].oldest_ms < late_before_ms;
            ret->late_bytes += list[i].oldest_ms < late_before_ms ? (uint64_t)list[i].size : 0;
        } else {
            ret->backfill_objects++;
            ret->backfill_bytes += (uint64_t)list[i].size;
        }
    }
}

static void step(struct world *w, unsigned dice, struct task *held, size_t *held_n,
                 int64_t *late_before_ms)
{
    char key[8];
    uint64_t n;
    snprintf(key, sizeof(key), "k%u", dice / 16 % 20);
    struct append_entry e = put_of(w, key, NOW - (int64_t)(dice % 999));
    e.change.size = (int64_t)(dice / 7 % 1000);
    e.origin = dice % 3 == 0 ? TASK_BACKFILL : TASK_LIVE;
    switch (dice % 16) {
    case 0:
    case 1: {
        struct task_list list = claim(w, e.origin, 3);
        for (size_t i = 0; i < list.count && *held_n < 32; i++) {
            held[(*held_n)++] = list.tasks[i];
        }
        break;
    }
    case 2:
        ops(w)->task_retry(w->b, w->rule, span_of(NULL, 0), 2, &n);
        break;
    case 3:
        ops(w)->task_drop(w->b, w->rule, span_str(key), span_str("r"), NOW);
        break;
    case 4:
    case 5:
    case 6:
    case 7:
        if (*held_n > 0) {
            assert_int_equal(finish(w, &held[--*held_n], (enum finish_outcome)(dice / 16 % 6)), 0);
        }
        break;
    case 8:
        *late_before_ms = NOW - (int64_t)(dice / 16 % 999);
        assert_int_equal(ops(w)->late(w->b, w->rule, *late_before_ms, 1000), 0);
        break;
    default:
        append(w, &e, NOW);
    }
}

static void counters_agree_with_a_count(void **state)
{
    struct world *w = *state;
    struct task held[32];
    size_t held_n = 0;
    int64_t late_before_ms = 0;
    unsigned dice = 12345;
    for (int i = 0; i < 3000; i++) {
        dice = dice * 1103515245u + 12345u;
        step(w, dice >> 8, held, &held_n, &late_before_ms);
        struct rule_counts want;
        struct rule_counts have = counts(w);
        recount(w, late_before_ms, &want);
        assert_int_equal(have.pending_objects, want.pending_objects);
        assert_int_equal(have.pending_bytes, want.pending_bytes);
        assert_int_equal(have.late_objects, want.late_objects);
        assert_int_equal(have.late_bytes, want.late_bytes);
        assert_int_equal(have.backfill_objects, want.backfill_objects);
        assert_int_equal(have.backfill_bytes, want.backfill_bytes);
        assert_int_equal(have.failed_objects, want.failed_objects);
    }
}

/* Many that turn late at once are counted over several calls; as many at the same time as there
 * are, at once. */
static void late_moves_on_in_pieces(void **state)
{
    struct world *w = *state;
    char key[16];
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        append_put(w, key, NOW - 1000 + (i < 50 ? i : 50));
    }
    uint64_t last = 0;
    int calls = 0;
    for (; last < 100 && calls < 100; calls++) {
        assert_int_equal(ops(w)->late(w->b, w->rule, NOW, 10), 0);
        uint64_t now = counts(w).late_objects;
        assert_true(now > last && (now <= last + 10 || now == 100));
        last = now;
    }
    assert_in_range(calls, 6, 10);
    assert_int_equal(ops(w)->late(w->b, w->rule, NOW - 990, 10), 0);
    assert_int_equal(counts(w).late_objects, 10);
}

static void a_failed_call_takes_only_its_own_back(void **state)
{
    struct world *w = *state;
    struct append_result first = append_put(w, "kept 1", NOW);
    assert_int_equal(ops(w)->save(w->b), 0);
    append_put(w, "lost", NOW);
    assert_int_equal(ops(w)->rollback_to(w->b), 0);
    assert_int_equal(ops(w)->save(w->b), 0);
    append_put(w, "kept 2", NOW + 1);
    assert_int_equal(ops(w)->release(w->b), 0);
    struct append_result last = append_put(w, "kept 3", NOW + 2);
    assert_int_equal(last.last_seq, first.first_seq + 2);
    assert_int_equal(ops(w)->commit(w->b), 0);
    assert_int_equal(ops(w)->begin(w->b), 0);
    assert_int_equal(counts(w).pending_objects, 3);
    struct task_list list = claim(w, TASK_LIVE, 10);
    assert_int_equal(list.count, 3);
    assert_true(span_eq_str(list.tasks[0].key, "kept 1"));
    assert_true(span_eq_str(list.tasks[1].key, "kept 2"));
    assert_true(span_eq_str(list.tasks[2].key, "kept 3"));
}

static void numbers_and_counters_of_a_transaction_go_with_it(void **state)
{
    struct world *w = *state;
    struct append_result first = append_put(w, "a", NOW);
    assert_int_equal(ops(w)->commit(w->b), 0);
    assert_int_equal(ops(w)->begin(w->b), 0);
    append_put(w, "b", NOW);
    ops(w)->rollback(w->b);
    assert_int_equal(ops(w)->begin(w->b), 0);
    struct append_result again = append_put(w, "c", NOW);
    assert_int_equal(again.first_seq, first.last_seq + 1);
    assert_int_equal(counts(w).pending_objects, 2);
}

/* ---- events ---- */

static void add_event(struct world *w, const char *target, const char *body, bool optional,
                      bool only_newest)
{
    struct event_record rec = {.target = span_str(target),
                               .kind = span_str(only_newest ? "watermark" : "replicated"),
                               .rule = w->rule,
                               .optional = optional,
                               .only_newest = only_newest,
                               .at_ms = NOW,
                               .body = span_str(body)};
    assert_int_equal(ops(w)->event_add(w->b, &rec, 4), 0);
}

/* Bodies of those that wait, separated by blanks. */
static const char *events_of(struct world *w, const char *target, uint64_t *ret_last)
{
    static char text[256];
    struct event_record *rows;
    size_t n;
    text[0] = 0;
    assert_int_equal(
        ops(w)->event_page(w->b, &w->arena, span_str(target), BACKEND_PAGE_MAX, &rows, &n), 0);
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(text);
        snprintf(text + len, sizeof(text) - len, "%s%.*s", i > 0 ? " " : "",
                 SPAN_ARG(rows[i].body));
        assert_true(i == 0 || rows[i].number > rows[i - 1].number);
    }
    if (ret_last != NULL) {
        *ret_last = n > 0 ? rows[n - 1].number : 0;
    }
    return text;
}

static struct event_counts event_counts(struct world *w, const char *target)
{
    struct event_counts c = {0};
    assert_int_equal(ops(w)->event_counts(w->b, span_str(target), &c), 0);
    return c;
}

static void events_wait_in_order_until_told(void **state)
{
    struct world *w = *state;
    uint64_t last;
    add_event(w, "a", "1", false, false);
    add_event(w, "b", "other", false, false);
    add_event(w, "a", "2", false, false);
    assert_string_equal(events_of(w, "a", &last), "1 2");
    add_event(w, "a", "3", false, false);
    assert_int_equal(ops(w)->event_done(w->b, span_str("a"), last), 0);
    assert_int_equal(ops(w)->event_done(w->b, span_str("a"), last), 0);
    assert_string_equal(events_of(w, "a", NULL), "3");
    assert_string_equal(events_of(w, "b", NULL), "other");
    assert_int_equal(event_counts(w, "a").waiting, 1);
    assert_int_equal(event_counts(w, "a").oldest_ms, NOW);
    assert_int_equal(event_counts(w, "none").waiting, 0);
    struct span keep = span_str("b");
    assert_int_equal(ops(w)->event_keep(w->b, &keep, 1), 0);
    assert_string_equal(events_of(w, "a", NULL), "");
    assert_int_equal(event_counts(w, "a").waiting, 0);
    assert_string_equal(events_of(w, "b", NULL), "other");
}

static void too_many_events_lose_the_optional_ones_first(void **state)
{
    struct world *w = *state;
    add_event(w, "a", "must1", false, false);
    add_event(w, "a", "may1", true, false);
    add_event(w, "a", "may2", true, false);
    add_event(w, "a", "must2", false, false);
    add_event(w, "a", "must3", false, false);
    assert_string_equal(events_of(w, "a", NULL), "must1 may2 must2 must3");
    add_event(w, "a", "must4", false, false);
    add_event(w, "a", "must5", false, false);
    assert_string_equal(events_of(w, "a", NULL), "must2 must3 must4 must5");
    assert_int_equal(event_counts(w, "a").dropped, 3);
    assert_int_equal(event_counts(w, "a").waiting, 4);
}

static void only_the_newest_advance_waits(void **state)
{
    struct world *w = *state;
    add_event(w, "a", "t1", false, true);
    add_event(w, "a", "x", false, false);
    add_event(w, "a", "t2", false, true);
    assert_string_equal(events_of(w, "a", NULL), "x t2");
    assert_int_equal(event_counts(w, "a").waiting, 2);
    assert_int_equal(event_counts(w, "a").dropped, 0);
}

/* A process that ends before the commit has neither. */
static void the_brake_and_its_event_are_one_commit(void **state)
{
    struct world *w = *state;
    struct fail f;
    append_delete(w, "a");
    append_delete(w, "b");
    struct task_list list = claim(w, TASK_LIVE, 2);
    assert_int_equal(ops(w)->commit(w->b), 0);
    assert_int_equal(ops(w)->begin(w->b), 0);
    assert_true(hold(w, &list.tasks[0]));
    add_event(w, "t", "brake", false, false);
    ops(w)->close(w->b);
    assert_int_equal(backend_open_sqlite(w->path, BACKEND_WRITER, CACHE, &w->b, &f), 0);
    assert_int_equal(ops(w)->begin(w->b), 0);
    assert_int_equal(brake(w).since_ms, 0);
    assert_string_equal(events_of(w, "t", NULL), "");
    assert_true(hold(w, &list.tasks[0])); /* the next life comes to the same */
    add_event(w, "t", "brake", false, false);
    assert_int_equal(ops(w)->commit(w->b), 0);
    ops(w)->close(w->b);
    assert_int_equal(backend_open_sqlite(w->path, BACKEND_WRITER, CACHE, &w->b, &f), 0);
    assert_int_equal(ops(w)->begin(w->b), 0);
    assert_int_equal(brake(w).since_ms, NOW);
    assert_string_equal(events_of(w, "t", NULL), "brake");
    assert_false(hold(w, &list.tasks[1])); /* it is on: nothing to tell */
}

/* ---- quarantine ---- */

/* Of a feed that brings the changes of an endpoint of its own name, bucket "b". */
static void quarantine(struct world *w, const char *feed, int64_t received_ms, struct span body)
{
    struct quarantined q = {.feed = span_str(feed),
                            .received_ms = received_ms,
                            .endpoint = span_str(feed),
                            .bucket = span_str("b"),
                            .hold_ms = received_ms - 7,
                            .reason = span_str("no JSON"),
                            .body = body};
    assert_int_equal(ops(w)->quarantine_put(w->b, &q), 0);
}

static struct quarantine_counts quarantine_counts(struct world *w, const char *feed)
{
    struct quarantine_counts c = {0};
    assert_int_equal(ops(w)->quarantine_counts(w->b, span_str(feed), &c), 0);
    return c;
}

static struct quarantine_hold hold_at(struct world *w, const char *endpoint, const char *bucket,
                                      int64_t scan_ms)
{
    struct quarantine_hold hold;
    struct quarantine_place of = {
        .endpoint = span_str(endpoint), .bucket = span_str(bucket), .scan_ms = scan_ms};
    assert_int_equal(ops(w)->quarantine_hold(w->b, &w->arena, &of, &hold), 0);
    return hold;
}

/* When the body came that holds the feed's own place. */
static int64_t quarantine_oldest(struct world *w, const char *feed)
{
    struct quarantine_hold hold = hold_at(w, feed, "b", 0);
    return hold.any ? hold.hold_ms + 7 : 0;
}

static uint64_t quarantine_drop(struct world *w, const char *feed, uint64_t id, int64_t before_ms)
{
    uint64_t n = 99;
    assert_int_equal(ops(w)->quarantine_drop(w->b, span_str(feed), id, before_ms, &n), 0);
    return n;
}

static void a_body_in_quarantine_is_as_it_came(void **state)
{
    struct world *w = *state;
    struct quarantined *page, one;
    size_t n = 0;
    quarantine(w, "webhook:a", NOW + 5, span_of("a\0b", 3));
    quarantine(w, "webhook:b", NOW, span_str(""));
    assert_int_equal(ops(w)->quarantine_page(w->b, &w->arena, (struct span){0}, 0, 10, &page, &n),
                     0);
    assert_int_equal(n, 2);
    assert_true(span_eq_str(page[0].feed, "webhook:a") && span_eq_str(page[0].reason, "no JSON"));
    assert_int_equal(page[0].size, 3);
    assert_int_equal(page[0].received_ms, NOW + 5);
    assert_null(page[0].body.ptr);
    assert_int_equal(ops(w)->quarantine_get(w->b, &w->arena, page[0].id, &one), 0);
    assert_true(span_eq(one.body, span_of("a\0b", 3)));
    assert_int_equal(ops(w)->quarantine_get(w->b, &w->arena, page[1].id, &one), 0);
    assert_true(one.body.ptr != NULL && one.body.len == 0);
    assert_int_equal(ops(w)->quarantine_get(w->b, &w->arena, page[1].id + 1, &one), REPL_ENOTFOUND);
}

static void quarantine_pages_and_feeds(void **state)
{
    struct world *w = *state;
    struct quarantined *page;
    size_t n = 0;
    for (int i = 0; i < 5; i++) {
        quarantine(w, i % 2 == 0 ? "webhook:a" : "webhook:b", NOW + i, span_str("x"));
    }
    assert_int_equal(
        ops(w)->quarantine_page(w->b, &w->arena, span_str("webhook:a"), 0, 2, &page, &n), 0);
    assert_int_equal(n, 2);
    assert_int_equal(page[1].received_ms, NOW + 2);
    assert_int_equal(
        ops(w)->quarantine_page(w->b, &w->arena, span_str("webhook:a"), page[1].id, 2, &page, &n),
        0);
    assert_int_equal(n, 1);
    assert_int_equal(page[0].received_ms, NOW + 4);
    assert_int_equal(quarantine_counts(w, "webhook:b").bodies, 2);
}

static void the_oldest_in_quarantine_goes_when_it_is_dropped(void **state)
{
    struct world *w = *state;
    struct quarantined *page;
    size_t n = 0;
    assert_int_equal(quarantine_oldest(w, "webhook:a"), 0);
    for (int i = 0; i < 4; i++) {
        quarantine(w, "webhook:a", NOW + i, span_str("x"));
    }
    quarantine(w, "webhook:b", NOW - 9, span_str("x"));
    assert_int_equal(quarantine_oldest(w, "webhook:a"), NOW);
    assert_int_equal(hold_at(w, "webhook:a", "b", NOW + 2).hold_ms, NOW + 2 - 7);
    assert_false(hold_at(w, "webhook:a", "b", NOW + 4).any);
    assert_int_equal(
        ops(w)->quarantine_page(w->b, &w->arena, span_str("webhook:a"), 0, 1, &page, &n), 0);
    assert_int_equal(quarantine_drop(w, "webhook:b", page[0].id, 0), 0); /* it is another's */
    assert_int_equal(quarantine_drop(w, "webhook:a", page[0].id, 0), 1);
    assert_int_equal(quarantine_drop(w, "webhook:a", page[0].id, 0), 0);
    assert_int_equal(quarantine_oldest(w, "webhook:a"), NOW + 1);
    assert_int_equal(quarantine_drop(w, "webhook:a", 0, NOW + 3), 2);
    assert_int_equal(quarantine_oldest(w, "webhook:a"), NOW + 3);
    assert_int_equal(quarantine_drop(w, "webhook:a", 0, INT64_MAX), 1);
    assert_int_equal(quarantine_oldest(w, "webhook:a"), 0);
    assert_int_equal(quarantine_oldest(w, "webhook:b"), NOW - 9);
}

static void quarantine_is_bounded_and_says_what_it_lost(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < QUARANTINE_BODIES_MAX; i++) {
        quarantine(w, "webhook:a", NOW + i, span_str("x"));
    }
    quarantine(w, "webhook:a", NOW + 5000, span_str("x"));
    quarantine(w, "webhook:a", NOW + 6000, span_str("x"));
    struct quarantine_counts c = quarantine_counts(w, "webhook:a");
    assert_int_equal(c.bodies, QUARANTINE_BODIES_MAX);
    assert_int_equal(c.bytes, QUARANTINE_BODIES_MAX);
    assert_int_equal(c.lost, 2);
    quarantine(w, "webhook:b", NOW, span_str("x"));
    assert_int_equal(quarantine_counts(w, "webhook:b").bodies, 1);
    /* What was lost holds the watermark when all bodies are decided. */
    assert_int_equal(quarantine_drop(w, "webhook:a", 0, NOW + 5000), QUARANTINE_BODIES_MAX);
    assert_int_equal(quarantine_oldest(w, "webhook:a"), NOW + 5000);
}

/* Whatever has become of the feed: what counts is what it was when the body came. */
static void a_body_holds_its_place_and_no_other(void **state)
{
    struct world *w = *state;
    struct quarantine_feed *feeds;
    size_t n = 0;
    quarantine(w, "webhook:a", NOW, span_str("x"));
    struct quarantine_hold hold = hold_at(w, "webhook:a", "b", 0);
    assert_true(hold.any && span_eq_str(hold.feed, "webhook:a"));
    assert_false(hold_at(w, "webhook:a", "c", 0).any);
    assert_false(hold_at(w, "webhook:b", "b", 0).any);
    struct quarantined any = {.feed = span_str("queue:q"),
                              .received_ms = NOW + 1,
                              .reason = span_str("no JSON"),
                              .body = span_str("y")};
    assert_int_equal(ops(w)->quarantine_put(w->b, &any), 0);
    hold = hold_at(w, "elsewhere", "c", 0);
    assert_true(hold.any && span_eq_str(hold.feed, "queue:q"));
    assert_int_equal(hold.hold_ms, 0); /* nobody knows how old what it tells of is */
    assert_int_equal(ops(w)->quarantine_feeds(w->b, &w->arena, &feeds, &n), 0);
    assert_int_equal(n, 2);
    assert_true(span_eq_str(feeds[0].feed, "queue:q") && feeds[0].endpoint.ptr == NULL);
    assert_true(span_eq_str(feeds[1].feed, "webhook:a") && span_eq_str(feeds[1].bucket, "b"));
    assert_int_equal(feeds[1].counts.bodies, 1);
}

static void what_was_lost_holds_each_place(void **state)
{
    struct world *w = *state;
    struct quarantined q = {.feed = span_str("webhook:a"),
                            .received_ms = NOW,
                            .endpoint = span_str("old"),
                            .hold_ms = NOW,
                            .reason = span_str("no JSON"),
                            .body = span_str("x")};
    for (int i = 0; i < QUARANTINE_BODIES_MAX; i++) {
        assert_int_equal(ops(w)->quarantine_put(w->b, &q), 0);
    }
    q.endpoint = span_str("new"); /* the source was given another one */
    assert_int_equal(ops(w)->quarantine_put(w->b, &q), 0);
    q.hold_ms = NOW - 5;
    assert_int_equal(ops(w)->quarantine_put(w->b, &q), 0);
    assert_int_equal(quarantine_counts(w, "webhook:a").lost, 2);
    assert_int_equal(hold_at(w, "new", "b", NOW + 1).hold_ms, NOW - 5); /* no scan covers it */
    assert_false(hold_at(w, "old", "b", NOW + 1).any);
}

static void the_word_of_an_operator_is_kept(void **state)
{
    struct world *w = *state;
    struct quarantine_word *words;
    size_t n = 0;
    for (int i = 1; i <= QUARANTINE_WORDS_MAX + 3; i++) {
        struct quarantine_word word = {.feed = span_str("webhook:a"),
                                       .id = (uint64_t)i,
                                       .bodies = 1,
                                       .at_ms = NOW + i,
                                       .who = span_str("anna (uid 7)"),
                                       .reason = span_str("a probe of ours")};
        assert_int_equal(ops(w)->quarantine_word(w->b, &word), 0);
    }
    assert_int_equal(
        ops(w)->quarantine_words(w->b, &w->arena, span_str("webhook:a"), 1000, &words, &n), 0);
    assert_int_equal(n, QUARANTINE_WORDS_MAX);
    assert_int_equal(words[0].id, QUARANTINE_WORDS_MAX + 3);
    assert_int_equal(words[0].at_ms, NOW + QUARANTINE_WORDS_MAX + 3);
    assert_true(span_eq_str(words[0].who, "anna (uid 7)"));
    assert_true(span_eq_str(words[0].reason, "a probe of ours"));
    assert_int_equal(words[n - 1].id, 4);
    assert_int_equal(
        ops(w)->quarantine_words(w->b, &w->arena, span_str("webhook:b"), 10, &words, &n), 0);
    assert_int_equal(n, 0);
}

static void quarantine_is_bounded_in_bytes(void **state)
{
    struct world *w = *state;
    size_t half = QUARANTINE_BYTES_MAX / 2;
    char *large = mem_alloc(half + 1);
    quarantine(w, "webhook:a", NOW, span_of(large, half));
    quarantine(w, "webhook:a", NOW + 1, span_of(large, half + 1));
    quarantine(w, "webhook:a", NOW + 2, span_of(large, half));
    mem_free(large);
    struct quarantine_counts c = quarantine_counts(w, "webhook:a");
    assert_int_equal(c.bodies, 2);
    assert_int_equal(c.bytes, QUARANTINE_BYTES_MAX);
    assert_int_equal(c.lost, 1);
}

/* ---- scans ---- */

static void make_replica(struct world *w, const char *key, const char *etag, int64_t mtime_ms,
                         int64_t verified_ms)
{
    struct replica replica = {
        .source_etag = span_str(etag), .source_mtime_ms = mtime_ms, .size = 1};
    struct finish_result r;
    append_put(w, key, NOW);
    struct task_list list = claim(w, TASK_LIVE, 10);
    assert_int_equal(list.count, 1);
    struct finish f = finish_of(&list.tasks[0], FINISH_DONE);
    f.replica = &replica;
    f.now_ms = verified_ms;
    replica.verified_ms = verified_ms;
    assert_int_equal(ops(w)->finish(w->b, &f, &r), 0);
}

static bool is_known(struct world *w, const char *key, const char *etag, int64_t mtime_ms)
{
    struct listed one = {.key = span_str(key), .etag = span_str(etag), .mtime_ms = mtime_ms};
    struct compare what = {.rule = w->rule, .listed = &one, .count = 1};
    struct compared ret;
    assert_int_equal(ops(w)->compare(w->b, &w->arena, &what, &ret), 0);
    assert_int_equal(ret.missing_count, 0);
    return one.known;
}

static void what_is_replicated_as_listed_is_known(void **state)
{
    struct world *w = *state;
    make_replica(w, "a", "e1", NOW, NOW);
    assert_true(is_known(w, "a", "e1", NOW));
    assert_true(is_known(w, "a", "e1", NOW + 999)); /* the header said it in seconds */
    assert_true(is_known(w, "a", "e1", 0));
    assert_false(is_known(w, "a", "e1", NOW + 2000)); /* same bytes, written anew */
    assert_false(is_known(w, "a", "e2", NOW));
    assert_false(is_known(w, "a", NULL, NOW));
    assert_false(is_known(w, "b", "e1", NOW));
}

static void what_a_task_was_told_is_known(void **state)
{
    struct world *w = *state;
    struct append_entry e = put_of(w, "a", NOW);
    e.change.etag = span_str("e1");
    append(w, &e, NOW);
    assert_true(is_known(w, "a", "e1", NOW));
    assert_false(is_known(w, "a", "e2", NOW));
    struct task t = claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(finish(w, &t, FINISH_FAILED), 0);
    assert_true(is_known(w, "a", "e1", NOW)); /* a dead letter waits for the operator's word */
    e.change.kind = CHANGE_DELETE;
    append(w, &e, NOW);
    assert_false(is_known(w, "a", "e1", NOW));
}

/* Against a naive answer, with random keys, as dense and as sparse as the walk can meet them. */
static void comparing_a_page_agrees_with_one_by_one(void **state)
{
    struct world *w = *state;
    static char keys[400][8];
    struct listed page[400];
    unsigned dice = 4711;
    for (int i = 0; i < 400; i++) {
        snprintf(keys[i], sizeof(keys[i]), "k%03d", i);
        dice = dice * 1103515245u + 12345u;
        if ((dice >> 16) % 3 > 0) {
            make_replica(w, keys[i], (dice >> 20) % 2 ? "e1" : "e2", NOW, NOW);
        }
    }
    for (int stride = 1; stride < 60; stride += 7) {
        size_t n = 0;
        for (int i = stride / 2; i < 400; i += stride) {
            page[n++] = (struct listed){.key = span_str(keys[i]), .etag = span_str("e1")};
        }
        struct compare what = {.rule = w->rule, .listed = page, .count = n};
        struct compared ret;
        assert_int_equal(ops(w)->compare(w->b, &w->arena, &what, &ret), 0);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(page[i].known, is_known(w, page[i].key.ptr, "e1", 0));
        }
    }
}

static struct compared missing(struct world *w, const char *after, const char *until,
                               const char *listed)
{
    struct listed one = {.key = span_str(listed)};
    struct compare what = {.rule = w->rule,
                           .listed = &one,
                           .count = listed != NULL,
                           .tell_missing = true,
                           .after = span_str(after),
                           .until = span_str(until),
                           .before_ms = NOW};
    struct compared ret;
    assert_int_equal(ops(w)->compare(w->b, &w->arena, &what, &ret), 0);
    return ret;
}

static void replicas_that_are_not_listed_are_told(void **state)
{
    struct world *w = *state;
    make_replica(w, "a", "e", NOW, NOW - 1);
    make_replica(w, "b", "e", NOW, NOW - 1);
    make_replica(w, "c", "e", NOW, NOW - 1);
    make_replica(w, "d", "e", NOW, NOW); /* came while the source was listed */
    struct compared r = missing(w, NULL, NULL, "b");
    assert_int_equal(r.missing_count, 2);
    assert_true(span_eq_str(r.missing[0], "a"));
    assert_true(span_eq_str(r.missing[1], "c"));
    assert_null(r.through.ptr);
    r = missing(w, "a", "b", NULL); /* without the one end, with the other */
    assert_int_equal(r.missing_count, 1);
    assert_true(span_eq_str(r.missing[0], "b"));
    assert_int_equal(missing(w, "c", NULL, NULL).missing_count, 0);
}

static void many_missing_ones_come_in_pieces(void **state)
{
    struct world *w = *state;
    char key[16], after[16] = "";
    size_t total = 0;
    for (int i = 0; i < BACKEND_PAGE_MAX + 10; i++) {
        snprintf(key, sizeof(key), "k%05d", i);
        make_replica(w, key, "e", NOW, NOW - 1);
    }
    for (int calls = 1;; calls++) {
        struct compared r = missing(w, after, NULL, NULL);
        total += r.missing_count;
        if (r.through.ptr == NULL) {
            assert_int_equal(calls, 2);
            break;
        }
        snprintf(after, sizeof(after), "%s", r.through.ptr);
    }
    assert_int_equal(total, BACKEND_PAGE_MAX + 10);
}

static void gone_keys_are_kept_until_they_are_dropped(void **state)
{
    struct world *w = *state;
    struct span keys[] = {span_str("b"), span_str("a"), span_str("b"), span_str("c")};
    struct span *page;
    size_t n;
    assert_int_equal(ops(w)->gone_put(w->b, w->rule, keys, 4), 0);
    assert_int_equal(ops(w)->gone_page(w->b, &w->arena, w->rule, 2, &page, &n), 0);
    assert_int_equal(n, 2);
    assert_true(span_eq_str(page[0], "a") && span_eq_str(page[1], "b"));
    assert_int_equal(ops(w)->gone_drop(w->b, w->rule, page[1]), 0);
    assert_int_equal(ops(w)->gone_page(w->b, &w->arena, w->rule, 2, &page, &n), 0);
    assert_int_equal(n, 1);
    assert_true(span_eq_str(page[0], "c"));
    assert_int_equal(ops(w)->rule_purge(w->b, w->rule, 10), 0);
    assert_int_equal(ops(w)->gone_page(w->b, &w->arena, w->rule, 2, &page, &n), 0);
    assert_int_equal(n, 0);
}

static void what_is_listed_makes_no_row_where_it_is_replicated(void **state)
{
    struct world *w = *state;
    make_replica(w, "a", "e1", NOW - 5000, NOW);
    struct append_entry e = put_of(w, "a", NOW - 5000);
    e.change.etag = span_str("e1");
    e.listed = true;
    append(w, &e, NOW);
    assert_int_equal(counts(w).pending_objects, 0);
    e.change.event_time_ms = NOW - 1000; /* written anew */
    append(w, &e, NOW);
    assert_int_equal(counts(w).pending_objects, 1);
}

/* A live task that has not begun will look at the source itself; one that has may have read what
 * was there before. */
static void what_is_listed_is_not_lost_beside_a_copy(void **state)
{
    struct world *w = *state;
    struct append_entry e = put_of(w, "a", NOW - 10);
    e.listed = true;
    uint64_t seq = append_put(w, "a", NOW).last_seq;
    append(w, &e, NOW);
    struct task t = claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(t.seq, seq);
    assert_int_equal(t.oldest_ms, NOW - 10);
    append(w, &e, NOW);
    assert_int_equal(finish(w, &t, FINISH_DONE), 0);
    assert_int_equal(counts(w).pending_objects, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_file_is_private),
        TEST(a_newer_schema_is_refused),
        TEST(a_file_that_is_no_database),
        TEST(a_second_owner_waits_for_the_lease),
        TEST(the_same_owner_takes_its_lease_again),
        TEST(a_change_becomes_a_task),
        TEST(the_future_is_clamped),
        TEST(a_newer_change_supersedes_and_finishes_nothing),
        TEST(a_change_during_the_copy_stays_pending),
        TEST(a_failure_of_the_old_version_satisfies_nothing),
        TEST(an_older_sequencer_does_not_win),
        TEST(sequencers_of_other_feeds_do_not_compare),
        TEST(sequencers_of_the_store_compare_whichever_way_they_came),
        TEST(an_older_event_does_not_win),
        TEST(an_older_change_of_a_claimed_task_is_looked_at_again),
        TEST(what_the_replica_shows_makes_no_task),
        TEST(a_delete_is_never_taken_for_replicated),
        TEST(deletes_are_counted),
        TEST(held_deletes_wait_for_a_word),
        TEST(confirmed_deletes_pass),
        TEST(discarded_deletes_are_on_record),
        TEST(held_deletes_come_in_pages),
        TEST(backfill_does_not_hold_the_frontier),
        TEST(an_older_live_change_holds_the_frontier_of_a_backfill),
        TEST(backfill_of_what_is_there_makes_no_row),
        TEST(oldest_and_newest_first),
        TEST(claim_looks_at_a_window_of_time),
        TEST(a_retry_waits_for_its_time),
        TEST(a_released_task_is_as_it_was),
        TEST(a_task_is_finished_once),
        TEST(dead_letters_hold_the_frontier_until_told),
        TEST(an_upload_and_its_parts),
        TEST(rules_have_unique_names_and_numbers_of_their_own),
        TEST(a_recorded_upload_is_found_at_its_place),
        TEST(a_deleted_rule_goes_when_its_uploads_are_gone),
        TEST(replicas_are_purged_a_few_at_a_time),
        TEST(versions_are_done_one_after_the_other),
        TEST(the_newest_marks_are_kept),
        TEST(marks_go_with_the_versions_of_the_source),
        TEST(the_newest_version_is_what_is_compared),
        TEST(a_failure_moves_no_mark),
        TEST(marks_go_with_their_rule),
        TEST(failed_tasks_come_in_pages_by_key),
        TEST(values),
        TEST(the_watermark_never_goes_back),
        TEST(late_changes_are_counted_and_named),
        TEST(what_is_told_again_is_not_late),
        TEST(late_changes_are_bounded),
        TEST(a_scan_proves_when_all_is_finished),
        TEST(prefixes_know_their_oldest),
        TEST(prefixes_that_stay_keep_their_watermark),
        TEST(a_change_is_late_for_its_prefix),
        TEST(history_is_trimmed_by_age),
        TEST(latency_is_counted),
        TEST(counters_agree_with_a_count),
        TEST(late_moves_on_in_pieces),
        TEST(a_failed_call_takes_only_its_own_back),
        TEST(numbers_and_counters_of_a_transaction_go_with_it),
        TEST(events_wait_in_order_until_told),
        TEST(too_many_events_lose_the_optional_ones_first),
        TEST(only_the_newest_advance_waits),
        TEST(a_body_in_quarantine_is_as_it_came),
        TEST(quarantine_pages_and_feeds),
        TEST(the_oldest_in_quarantine_goes_when_it_is_dropped),
        TEST(quarantine_is_bounded_and_says_what_it_lost),
        TEST(the_brake_and_its_event_are_one_commit),
        TEST(quarantine_is_bounded_in_bytes),
        TEST(a_body_holds_its_place_and_no_other),
        TEST(what_was_lost_holds_each_place),
        TEST(the_word_of_an_operator_is_kept),
        TEST(what_is_replicated_as_listed_is_known),
        TEST(what_a_task_was_told_is_known),
        TEST(comparing_a_page_agrees_with_one_by_one),
        TEST(replicas_that_are_not_listed_are_told),
        TEST(many_missing_ones_come_in_pieces),
        TEST(gone_keys_are_kept_until_they_are_dropped),
        TEST(what_is_listed_makes_no_row_where_it_is_replicated),
        TEST(what_is_listed_is_not_lost_beside_a_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
