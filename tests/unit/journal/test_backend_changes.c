/* Conformance of a journal backend: what changes, told one after the other, make of a task. */
#include "tests/unit/support/backend_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* ---- live changes ---- */

static void a_change_becomes_a_task(void **state)
{
    struct world *w = *state;
    struct append_result r = world_append_put(w, "a\x01\xff", NOW - 1000);
    assert_int_equal(r.created, 1);
    struct task_list list = world_claim(w, TASK_LIVE, 10);
    assert_int_equal(list.count, 1);
    assert_true(span_eq_str(list.tasks[0].key, "a\x01\xff"));
    assert_int_equal(list.tasks[0].event_time_ms, NOW - 1000);
    assert_int_equal(list.tasks[0].seq, r.first_seq);
    assert_null(list.tasks[0].upload);
    assert_null(list.tasks[0].replica);
    assert_int_equal(world_claim(w, TASK_LIVE, 10).count, 0);
}

static void the_future_is_clamped(void **state)
{
    struct world *w = *state;
    world_append_put(w, "a", NOW + 100000);
    world_append_put(w, "b", 0);
    struct task_list list = world_claim(w, TASK_LIVE, 10);
    assert_int_equal(list.tasks[0].event_time_ms, NOW);
    assert_int_equal(list.tasks[1].event_time_ms, NOW);
}

static void a_newer_change_supersedes_and_finishes_nothing(void **state)
{
    struct world *w = *state;
    world_append_put(w, "a", NOW - 5000);
    struct append_result r = world_append_put(w, "a", NOW - 1000);
    assert_int_equal(r.created, 0);
    assert_int_equal(r.superseded, 1);
    struct task t = world_claim(w, TASK_LIVE, 10).tasks[0];
    assert_int_equal(t.seq, r.first_seq);
    assert_int_equal(t.event_time_ms, NOW - 1000);
    assert_int_equal(t.oldest_ms, NOW - 5000);
    assert_int_equal(world_counts(w).pending_objects, 1);
}

static void a_change_during_the_copy_stays_pending(void **state)
{
    struct world *w = *state;
    world_append_put(w, "a", NOW - 5000);
    struct task t = world_claim(w, TASK_LIVE, 1).tasks[0];
    world_append_put(w, "a", NOW - 2000);
    world_append_put(w, "a", NOW - 3000);
    assert_int_equal(world_frontier(w).oldest_ms, NOW - 5000);
    assert_int_equal(world_finish(w, &t, FINISH_DONE), 0);
    /* The copy satisfied the first change; the oldest of those that came meanwhile is next. */
    assert_true(world_frontier(w).any);
    assert_int_equal(world_frontier(w).oldest_ms, NOW - 3000);
    t = world_claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(t.oldest_ms, NOW - 3000);
    assert_int_equal(world_finish(w, &t, FINISH_DONE), 0);
    assert_false(world_frontier(w).any);
}

static void a_failure_of_the_old_version_satisfies_nothing(void **state)
{
    struct world *w = *state;
    world_append_put(w, "a", NOW - 5000);
    struct task t = world_claim(w, TASK_LIVE, 1).tasks[0];
    world_append_put(w, "a", NOW - 2000);
    assert_int_equal(world_finish(w, &t, FINISH_FAILED), 0);
    assert_int_equal(world_frontier(w).oldest_ms, NOW - 5000);
    assert_int_equal(world_counts(w).failed_objects, 0);
    t = world_claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(t.attempts, 0);
}

static void an_older_sequencer_does_not_win(void **state)
{
    struct world *w = *state;
    struct append_entry e = world_put_of(w, "a", NOW - 1000);
    e.change.feed = span_str("webhook:a");
    e.change.sequencer = span_str("0055AED6DCD90281E5");
    e.change.etag = span_str("new");
    world_append(w, &e, NOW);
    e.change.sequencer = span_str("0055AED6DCD902");
    e.change.etag = span_str("old");
    e.change.event_time_ms = NOW - 2000;
    world_append(w, &e, NOW);
    struct task t = world_claim(w, TASK_LIVE, 1).tasks[0];
    assert_true(span_eq_str(t.etag, "new"));
    assert_int_equal(t.oldest_ms, NOW - 2000);
}

static void sequencers_of_other_feeds_do_not_compare(void **state)
{
    struct world *w = *state;
    struct append_entry e = world_put_of(w, "a", NOW - 1000);
    e.change.feed = span_str("webhook:a");
    e.change.sequencer = span_str("FF");
    world_append(w, &e, NOW);
    e.change.feed = span_str("outbox:a");
    e.change.sequencer = span_str("01");
    e.change.etag = span_str("second");
    world_append(w, &e, NOW);
    assert_true(span_eq_str(world_claim(w, TASK_LIVE, 1).tasks[0].etag, "second"));
}

static void sequencers_of_the_store_compare_whichever_way_they_came(void **state)
{
    struct world *w = *state;
    struct append_entry e = world_put_of(w, "a", NOW - 1000);
    e.change.feed = span_str("webhook:a");
    e.change.sequencer = span_str("FF");
    e.change.etag = span_str("first");
    world_append(w, &e, NOW);
    e.change.feed = span_str("queue:a");
    e.change.sequencer = span_str("01");
    e.change.etag = span_str("second");
    world_append(w, &e, NOW);
    assert_true(span_eq_str(world_claim(w, TASK_LIVE, 1).tasks[0].etag, "first"));
}

static void an_older_event_does_not_win(void **state)
{
    struct world *w = *state;
    struct append_entry e = world_put_of(w, "a", NOW - 1000);
    world_append(w, &e, NOW);
    e.change.kind = CHANGE_DELETE;
    e.change.event_time_ms = NOW - 2000;
    world_append(w, &e, NOW);
    struct task t = world_claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(t.kind, CHANGE_PUT);
    assert_int_equal(t.oldest_ms, NOW - 2000);
    e.change.event_time_ms = NOW - 1000; /* of the same moment: the later arrival */
    world_append(w, &e, NOW);
    assert_int_equal(world_finish(w, &t, FINISH_DONE), 0);
    assert_int_equal(world_claim(w, TASK_LIVE, 1).tasks[0].kind, CHANGE_DELETE);
}

/* Clocks lie: the one that copies may have looked before this happened. */
static void an_older_change_of_a_claimed_task_is_looked_at_again(void **state)
{
    struct world *w = *state;
    world_append_put(w, "a", NOW - 1000);
    struct task t = world_claim(w, TASK_LIVE, 1).tasks[0];
    world_append_put(w, "a", NOW - 9000);
    assert_int_equal(world_finish(w, &t, FINISH_DONE), 0);
    assert_int_equal(world_frontier(w).oldest_ms, NOW - 9000);
    t = world_claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(t.event_time_ms, NOW - 1000);
    assert_int_equal(world_finish(w, &t, FINISH_DONE), 0);
    assert_false(world_frontier(w).any);
}

static void what_the_replica_shows_makes_no_task(void **state)
{
    struct world *w = *state;
    world_replicate(w, "a",
                    &(struct replica){.source_etag = span_str("e"),
                                      .source_version = span_str("null"),
                                      .sequencer = span_str("0A")});
    world_replicate(
        w, "b", &(struct replica){.source_etag = span_str("e"), .source_version = span_str("v1")});
    struct append_entry again = world_put_of(w, "a", NOW - 3000);
    again.change.etag = span_str("e");
    again.change.sequencer = span_str("0A");
    world_append(w, &again, NOW);
    struct append_entry version = world_put_of(w, "b", NOW - 3000);
    version.change.etag = span_str("e");
    version.change.version_id = span_str("v1");
    world_append(w, &version, NOW);
    assert_false(world_frontier(w).any);
    again.change.sequencer = span_str("0B"); /* the same bytes written anew */
    world_append(w, &again, NOW);
    version.change.version_id = span_str("v2");
    world_append(w, &version, NOW);
    assert_int_equal(world_counts(w).pending_objects, 2);
}

static void a_delete_is_never_taken_for_replicated(void **state)
{
    struct world *w = *state;
    world_replicate(w, "a",
                    &(struct replica){.source_etag = span_str("e"), .sequencer = span_str("0A")});
    struct append_entry e = world_put_of(w, "a", NOW - 3000);
    e.change.kind = CHANGE_DELETE;
    e.change.etag = span_str("e");
    e.change.sequencer = span_str("0A");
    world_append(w, &e, NOW);
    assert_true(world_frontier(w).any);
}

/* ---- backfill ---- */

static void backfill_does_not_hold_the_frontier(void **state)
{
    struct world *w = *state;
    struct append_entry e = world_put_of(w, "a", NOW - 9000);
    e.origin = TASK_BACKFILL;
    world_append(w, &e, NOW);
    assert_false(world_frontier(w).any);
    assert_int_equal(world_counts(w).backfill_objects, 1);
    assert_int_equal(world_claim(w, TASK_LIVE, 1).count, 0);
    /* A live change makes it live, from its own time on. */
    world_append_put(w, "a", NOW - 1000);
    assert_int_equal(world_frontier(w).oldest_ms, NOW - 1000);
    assert_int_equal(world_counts(w).backfill_objects, 0);
    assert_int_equal(world_counts(w).pending_objects, 1);
}

/* What the backfill has seen is newer, by its clock: the live change is owed nevertheless. */
static void an_older_live_change_holds_the_frontier_of_a_backfill(void **state)
{
    struct world *w = *state;
    struct append_entry e = world_put_of(w, "a", NOW - 1000);
    e.origin = TASK_BACKFILL;
    world_append(w, &e, NOW);
    world_append_put(w, "a", NOW - 5000);
    assert_true(world_frontier(w).any);
    assert_int_equal(world_frontier(w).oldest_ms, NOW - 5000);
    /* The same while the backfill is in work. */
    e = world_put_of(w, "b", NOW - 1000);
    e.origin = TASK_BACKFILL;
    world_append(w, &e, NOW);
    struct task t = world_claim(w, TASK_BACKFILL, 1).tasks[0];
    world_append_put(w, "b", NOW - 7000);
    assert_int_equal(world_frontier(w).oldest_ms, NOW - 7000);
    assert_int_equal(world_finish(w, &t, FINISH_DONE), 0);
    assert_int_equal(world_frontier(w).oldest_ms, NOW - 7000);
}

static void backfill_of_what_is_there_makes_no_row(void **state)
{
    struct world *w = *state;
    world_append_put(w, "a", NOW);
    struct task t = world_claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(world_finish(w, &t, FINISH_DONE), 0);
    struct append_entry e = world_put_of(w, "a", NOW);
    e.origin = TASK_BACKFILL;
    e.change.etag = span_str("e1");
    assert_int_equal(world_append(w, &e, NOW).created, 0);
    e.change.etag = span_str("e2");
    assert_int_equal(world_append(w, &e, NOW).created, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_change_becomes_a_task),
        WORLD_TEST(the_future_is_clamped),
        WORLD_TEST(a_newer_change_supersedes_and_finishes_nothing),
        WORLD_TEST(a_change_during_the_copy_stays_pending),
        WORLD_TEST(a_failure_of_the_old_version_satisfies_nothing),
        WORLD_TEST(an_older_sequencer_does_not_win),
        WORLD_TEST(sequencers_of_other_feeds_do_not_compare),
        WORLD_TEST(sequencers_of_the_store_compare_whichever_way_they_came),
        WORLD_TEST(an_older_event_does_not_win),
        WORLD_TEST(an_older_change_of_a_claimed_task_is_looked_at_again),
        WORLD_TEST(what_the_replica_shows_makes_no_task),
        WORLD_TEST(a_delete_is_never_taken_for_replicated),
        WORLD_TEST(backfill_does_not_hold_the_frontier),
        WORLD_TEST(an_older_live_change_holds_the_frontier_of_a_backfill),
        WORLD_TEST(backfill_of_what_is_there_makes_no_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
