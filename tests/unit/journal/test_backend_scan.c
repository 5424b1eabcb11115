/* Conformance of a journal backend: what a scan compares with. */
#include "tests/unit/support/backend_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* ---- what is known ---- */

static void make_replica(struct world *w, const char *key, const char *etag, int64_t mtime_ms,
                         int64_t verified_ms)
{
    struct replica replica = {
        .source_etag = span_str(etag), .source_mtime_ms = mtime_ms, .size = 1};
    struct finish_result r;
    world_append_put(w, key, NOW);
    struct task_list list = world_claim(w, TASK_LIVE, 10);
    assert_int_equal(list.count, 1);
    struct finish f = world_finish_of(&list.tasks[0], FINISH_DONE);
    f.replica = &replica;
    f.now_ms = verified_ms;
    replica.verified_ms = verified_ms;
    assert_int_equal(w->ops->finish(w->b, &f, &r), 0);
}

static bool is_known(struct world *w, const char *key, const char *etag, int64_t mtime_ms)
{
    struct listed one = {.key = span_str(key), .etag = span_str(etag), .mtime_ms = mtime_ms};
    struct compare what = {.rule = w->rule, .listed = &one, .count = 1};
    struct compared ret;
    assert_int_equal(w->ops->compare(w->b, &w->arena, &what, &ret), 0);
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
    struct append_entry e = world_put_of(w, "a", NOW);
    e.change.etag = span_str("e1");
    world_append(w, &e, NOW);
    assert_true(is_known(w, "a", "e1", NOW));
    assert_false(is_known(w, "a", "e2", NOW));
    struct task t = world_claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(world_finish(w, &t, FINISH_FAILED), 0);
    assert_true(is_known(w, "a", "e1", NOW)); /* a dead letter waits for the operator's word */
    e.change.kind = CHANGE_DELETE;
    world_append(w, &e, NOW);
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
        assert_int_equal(w->ops->compare(w->b, &w->arena, &what, &ret), 0);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(page[i].known, is_known(w, page[i].key.ptr, "e1", 0));
        }
    }
}

/* ---- what is missing ---- */

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
    assert_int_equal(w->ops->compare(w->b, &w->arena, &what, &ret), 0);
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
    assert_int_equal(w->ops->gone_put(w->b, w->rule, keys, 4), 0);
    assert_int_equal(w->ops->gone_page(w->b, &w->arena, w->rule, 2, &page, &n), 0);
    assert_int_equal(n, 2);
    assert_true(span_eq_str(page[0], "a") && span_eq_str(page[1], "b"));
    assert_int_equal(w->ops->gone_drop(w->b, w->rule, page[1]), 0);
    assert_int_equal(w->ops->gone_page(w->b, &w->arena, w->rule, 2, &page, &n), 0);
    assert_int_equal(n, 1);
    assert_true(span_eq_str(page[0], "c"));
    assert_int_equal(w->ops->rule_purge(w->b, w->rule, 10), 0);
    assert_int_equal(w->ops->gone_page(w->b, &w->arena, w->rule, 2, &page, &n), 0);
    assert_int_equal(n, 0);
}

/* ---- what is listed ---- */

static void what_is_listed_makes_no_row_where_it_is_replicated(void **state)
{
    struct world *w = *state;
    make_replica(w, "a", "e1", NOW - 5000, NOW);
    struct append_entry e = world_put_of(w, "a", NOW - 5000);
    e.change.etag = span_str("e1");
    e.listed = true;
    world_append(w, &e, NOW);
    assert_int_equal(world_counts(w).pending_objects, 0);
    e.change.event_time_ms = NOW - 1000; /* written anew */
    world_append(w, &e, NOW);
    assert_int_equal(world_counts(w).pending_objects, 1);
}

/* A live task that has not begun will look at the source itself; one that has may have read what
 * was there before. */
static void what_is_listed_is_not_lost_beside_a_copy(void **state)
{
    struct world *w = *state;
    struct append_entry e = world_put_of(w, "a", NOW - 10);
    e.listed = true;
    uint64_t seq = world_append_put(w, "a", NOW).last_seq;
    world_append(w, &e, NOW);
    struct task t = world_claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(t.seq, seq);
    assert_int_equal(t.oldest_ms, NOW - 10);
    world_append(w, &e, NOW);
    assert_int_equal(world_finish(w, &t, FINISH_DONE), 0);
    assert_int_equal(world_counts(w).pending_objects, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(what_is_replicated_as_listed_is_known),
        WORLD_TEST(what_a_task_was_told_is_known),
        WORLD_TEST(comparing_a_page_agrees_with_one_by_one),
        WORLD_TEST(replicas_that_are_not_listed_are_told),
        WORLD_TEST(many_missing_ones_come_in_pieces),
        WORLD_TEST(gone_keys_are_kept_until_they_are_dropped),
        WORLD_TEST(what_is_listed_makes_no_row_where_it_is_replicated),
        WORLD_TEST(what_is_listed_is_not_lost_beside_a_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
