/* Conformance of a journal backend: the brake on deletes, and the events that tell of it. */
#include "tests/unit/support/backend_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* ---- the brake ---- */

static struct brake brake(struct world *w)
{
    struct brake b;
    assert_int_equal(w->ops->brake_get(w->b, &w->arena, w->rule, NOW - 600000, &b), 0);
    return b;
}

static void append_delete(struct world *w, const char *key)
{
    struct append_entry e = world_put_of(w, key, NOW - 1000);
    e.change.kind = CHANGE_DELETE;
    world_append(w, &e, NOW);
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
    assert_int_equal(w->ops->finish(w->b, &f, &ret), 0);
    assert_false(ret.pending);
    return ret.brake_on;
}

static void deletes_are_counted(void **state)
{
    struct world *w = *state;
    append_delete(w, "a");
    append_delete(w, "b");
    world_append_put(w, "b", NOW); /* comes back before it is deleted */
    append_delete(w, "c");
    assert_int_equal(brake(w).pending, 2);
    struct task_list list = world_claim(w, TASK_LIVE, 10);
    assert_int_equal(brake(w).pending, 2);
    for (size_t i = 0; i < list.count; i++) {
        bool is_delete = list.tasks[i].kind == CHANGE_DELETE;
        assert_int_equal(world_finish(w, &list.tasks[i], is_delete ? FINISH_DELETED : FINISH_DONE),
                         0);
    }
    assert_int_equal(brake(w).pending, 0);
    assert_int_equal(brake(w).deleted, 2);
    assert_int_equal(brake(w).since_ms, 0);
}

static void held_deletes_wait_for_a_word(void **state)
{
    struct world *w = *state;
    append_delete(w, "a");
    world_append_put(w, "p", NOW - 500);
    world_append_put(w, "q", NOW - 500);
    struct task_list list = world_claim(w, TASK_LIVE, 10);
    hold(w, &list.tasks[0]);
    hold(w, &list.tasks[1]); /* its object is gone from the source */
    assert_int_equal(world_finish(w, &list.tasks[2], FINISH_DONE), 0);
    assert_int_equal(brake(w).since_ms, NOW);
    assert_true(span_eq_str(brake(w).why, "too many"));
    assert_int_equal(brake(w).pending, 0);
    assert_int_equal(world_counts(w).held_objects, 2);
    assert_int_equal(world_counts(w).pending_objects, 0);
    assert_int_equal(world_frontier(w).state, TASK_HELD);
    assert_int_equal(world_frontier(w).oldest_ms, NOW - 1000);
    append_delete(w, "a"); /* told again */
    assert_int_equal(world_claim(w, TASK_LIVE, 10).count, 0);
    world_append_put(w, "p", NOW); /* is there again */
    assert_int_equal(world_counts(w).held_objects, 1);
    struct task t = world_claim(w, TASK_LIVE, 10).tasks[0];
    assert_int_equal(t.kind, CHANGE_PUT);
}

static void confirmed_deletes_pass(void **state)
{
    struct world *w = *state;
    uint64_t n;
    append_delete(w, "a");
    append_delete(w, "b");
    struct task_list list = world_claim(w, TASK_LIVE, 10);
    hold(w, &list.tasks[0]);
    hold(w, &list.tasks[1]);
    assert_int_equal(w->ops->held_confirm(w->b, w->rule, 1, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(brake(w).since_ms, NOW); /* until all are let go */
    assert_int_equal(w->ops->held_confirm(w->b, w->rule, 10, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(brake(w).since_ms, 0);
    assert_int_equal(brake(w).pending, 0);
    assert_int_equal(world_counts(w).held_objects, 0);
    assert_int_equal(world_counts(w).pending_objects, 2);
    append_delete(w, "a"); /* told again: confirmed all the same */
    list = world_claim(w, TASK_LIVE, 10);
    assert_int_equal(list.count, 2);
    assert_true(list.tasks[0].confirmed && list.tasks[1].confirmed);
    assert_int_equal(world_finish(w, &list.tasks[0], FINISH_DELETED), 0);
    assert_int_equal(world_finish(w, &list.tasks[1], FINISH_DELETED), 0);
    assert_int_equal(brake(w).deleted, 0);
    world_append_put(w, "a", NOW);
    append_delete(w, "a");
    assert_false(world_claim(w, TASK_LIVE, 1).tasks[0].confirmed);
}

static void discarded_deletes_are_on_record(void **state)
{
    struct world *w = *state;
    uint64_t n;
    struct history_entry *h;
    size_t count;
    struct replica r;
    world_replicate(w, "a", &(struct replica){.source_etag = span_str("e"), .size = 7});
    append_delete(w, "a");
    struct task t = world_claim(w, TASK_LIVE, 1).tasks[0];
    hold(w, &t);
    assert_int_equal(w->ops->held_discard(w->b, w->rule, span_str("an accident"), NOW, 10, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(brake(w).since_ms, 0);
    assert_false(world_frontier(w).any);
    assert_int_equal(world_counts(w).held_objects, 0);
    assert_int_equal(world_counts(w).replicas, 0);
    assert_int_equal(w->ops->replica_get(w->b, &w->arena, w->rule, span_str("a"), &r),
                     REPL_ENOTFOUND);
    assert_int_equal(w->ops->history_page(w->b, &w->arena, w->rule, span_str("a"), 1, &h, &count),
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
    struct task_list list = world_claim(w, TASK_LIVE, 10);
    for (size_t i = 0; i < list.count; i++) {
        hold(w, &list.tasks[i]);
    }
    struct task_filter filter = {.rule = w->rule, .state = TASK_HELD, .limit = 2};
    assert_int_equal(w->ops->task_page(w->b, &w->arena, &filter, &tasks, &n), 0);
    assert_int_equal(n, 2);
    filter.after_rule = w->rule;
    filter.after_key = tasks[1].key;
    assert_int_equal(w->ops->task_page(w->b, &w->arena, &filter, &tasks, &n), 0);
    assert_int_equal(n, 1);
    assert_true(span_eq_str(tasks[0].key, "c"));
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
    assert_int_equal(w->ops->event_add(w->b, &rec, 4), 0);
}

/* Bodies of those that wait, separated by blanks. */
static const char *events_of(struct world *w, const char *target, uint64_t *ret_last)
{
    static char text[256];
    struct event_record *rows;
    size_t n;
    text[0] = 0;
    assert_int_equal(
        w->ops->event_page(w->b, &w->arena, span_str(target), BACKEND_PAGE_MAX, &rows, &n), 0);
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
    assert_int_equal(w->ops->event_counts(w->b, span_str(target), &c), 0);
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
    assert_int_equal(w->ops->event_done(w->b, span_str("a"), last), 0);
    assert_int_equal(w->ops->event_done(w->b, span_str("a"), last), 0);
    assert_string_equal(events_of(w, "a", NULL), "3");
    assert_string_equal(events_of(w, "b", NULL), "other");
    assert_int_equal(event_counts(w, "a").waiting, 1);
    assert_int_equal(event_counts(w, "a").oldest_ms, NOW);
    assert_int_equal(event_counts(w, "none").waiting, 0);
    struct span keep = span_str("b");
    assert_int_equal(w->ops->event_keep(w->b, &keep, 1), 0);
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
    append_delete(w, "a");
    append_delete(w, "b");
    struct task_list list = world_claim(w, TASK_LIVE, 2);
    assert_int_equal(w->ops->commit(w->b), 0);
    assert_int_equal(w->ops->begin(w->b), 0);
    assert_true(hold(w, &list.tasks[0]));
    add_event(w, "t", "brake", false, false);
    w->ops->close(w->b);
    w->b = world_open(w);
    assert_int_equal(w->ops->begin(w->b), 0);
    assert_int_equal(brake(w).since_ms, 0);
    assert_string_equal(events_of(w, "t", NULL), "");
    assert_true(hold(w, &list.tasks[0])); /* the next life comes to the same */
    add_event(w, "t", "brake", false, false);
    assert_int_equal(w->ops->commit(w->b), 0);
    w->ops->close(w->b);
    w->b = world_open(w);
    assert_int_equal(w->ops->begin(w->b), 0);
    assert_int_equal(brake(w).since_ms, NOW);
    assert_string_equal(events_of(w, "t", NULL), "brake");
    assert_false(hold(w, &list.tasks[1])); /* it is on: nothing to tell */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(deletes_are_counted),
        WORLD_TEST(held_deletes_wait_for_a_word),
        WORLD_TEST(confirmed_deletes_pass),
        WORLD_TEST(discarded_deletes_are_on_record),
        WORLD_TEST(held_deletes_come_in_pages),
        WORLD_TEST(events_wait_in_order_until_told),
        WORLD_TEST(too_many_events_lose_the_optional_ones_first),
        WORLD_TEST(only_the_newest_advance_waits),
        WORLD_TEST(the_brake_and_its_event_are_one_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
