/* Conformance of a journal backend: claims, their ends, dead letters, and what is counted. */
#include "tests/unit/support/backend_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* ---- work ---- */

static void oldest_and_newest_first(void **state)
{
    struct world *w = *state;
    world_append_put(w, "middle", NOW - 2000);
    world_append_put(w, "newest", NOW - 1000);
    world_append_put(w, "oldest", NOW - 3000);
    struct task_list list;
    struct claim c = {
        .rule = w->rule, .order = CLAIM_NEWEST, .limit = 1, .epoch = w->epoch, .now_ms = NOW};
    assert_int_equal(w->ops->claim(w->b, &c, &w->arena, &list), 0);
    assert_true(span_eq_str(list.tasks[0].key, "newest"));
    assert_true(span_eq_str(world_claim(w, TASK_LIVE, 1).tasks[0].key, "oldest"));
}

/* Newest is whose oldest change that is not satisfied is the newest, too. */
static void claim_looks_at_a_window_of_time(void **state)
{
    struct world *w = *state;
    world_append_put(w, "a", NOW - 4000);
    world_append_put(w, "b", NOW - 3000);
    world_append_put(w, "c", NOW - 2000);
    world_append_put(w, "d", NOW - 1000);
    world_append_put(w, "a", NOW); /* its oldest change is the first still */
    struct task_list list;
    struct claim late = {.rule = w->rule,
                         .order = CLAIM_NEWEST,
                         .until_ms = NOW - 2000,
                         .limit = 1,
                         .epoch = w->epoch,
                         .now_ms = NOW};
    assert_int_equal(w->ops->claim(w->b, &late, &w->arena, &list), 0);
    assert_int_equal(list.count, 1);
    assert_true(span_eq_str(list.tasks[0].key, "b"));
    struct claim fresh = late;
    fresh.order = CLAIM_OLDEST;
    fresh.from_ms = NOW - 2000;
    fresh.until_ms = 0;
    fresh.limit = 10;
    assert_int_equal(w->ops->claim(w->b, &fresh, &w->arena, &list), 0);
    assert_int_equal(list.count, 2);
    assert_true(span_eq_str(list.tasks[0].key, "c"));
    assert_true(span_eq_str(list.tasks[1].key, "d"));
    assert_int_equal(world_claim(w, TASK_LIVE, 10).count, 1);
}

static void a_retry_waits_for_its_time(void **state)
{
    struct world *w = *state;
    int64_t next;
    world_append_put(w, "a", NOW - 1000);
    struct task t = world_claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(world_finish(w, &t, FINISH_RETRY), 0);
    assert_int_equal(w->ops->next_try(w->b, w->rule, &next), 0);
    assert_int_equal(next, NOW + 5000);
    assert_int_equal(world_claim(w, TASK_LIVE, 1).count, 0);
    struct task_list list;
    struct claim c = {.rule = w->rule, .limit = 1, .epoch = w->epoch, .now_ms = NOW + 5000};
    assert_int_equal(w->ops->claim(w->b, &c, &w->arena, &list), 0);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.tasks[0].attempts, 1);
    assert_int_equal(list.tasks[0].fail.code, REPL_ESERVER);
    assert_string_equal(list.tasks[0].fail.text, "no");
    assert_int_equal(w->ops->next_try(w->b, w->rule, &next), 0);
    assert_true(next == INT64_MAX);
}

/* As long as nothing newer has come. */
static void the_frontier_says_why_its_task_is_not_done(void **state)
{
    struct world *w = *state;
    world_append_put(w, "a", NOW - 1000);
    assert_int_equal(world_frontier(w).why.len, 0);
    struct task t = world_claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(world_finish(w, &t, FINISH_RETRY), 0);
    assert_true(span_eq_str(world_frontier(w).why, "no"));
    world_append_put(w, "a", NOW - 500);
    assert_true(world_frontier(w).any);
    assert_int_equal(world_frontier(w).why.len, 0);
}

static void a_released_task_is_as_it_was(void **state)
{
    struct world *w = *state;
    world_append_put(w, "a", NOW - 1000);
    struct task t = world_claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(world_finish(w, &t, FINISH_RELEASED), 0);
    t = world_claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(t.attempts, 0);
    assert_int_equal(world_counts(w).retries, 0);
}

static void a_task_is_finished_once(void **state)
{
    struct world *w = *state;
    world_append_put(w, "a", NOW);
    struct task t = world_claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(world_finish(w, &t, FINISH_DONE), 0);
    assert_int_equal(world_finish(w, &t, FINISH_DONE), REPL_ENOTFOUND);
    assert_int_equal(world_counts(w).done_objects, 1);
    assert_int_equal(world_counts(w).replicas, 1);
}

/* ---- dead letters ---- */

static void dead_letters_hold_the_frontier_until_told(void **state)
{
    struct world *w = *state;
    uint64_t n;
    world_append_put(w, "a", NOW - 1000);
    world_append_put(w, "b", NOW - 500);
    for (int i = 0; i < 2; i++) {
        struct task t = world_claim(w, TASK_LIVE, 1).tasks[0];
        assert_int_equal(world_finish(w, &t, FINISH_FAILED), 0);
    }
    assert_int_equal(world_counts(w).failed_objects, 2);
    assert_int_equal(world_counts(w).pending_objects, 0);
    assert_int_equal(world_frontier(w).state, TASK_FAILED);
    assert_int_equal(w->ops->task_drop(w->b, w->rule, span_str("a"), span_str("known"), NOW), 0);
    assert_int_equal(world_frontier(w).oldest_ms, NOW - 500);
    assert_int_equal(w->ops->task_retry(w->b, w->rule, span_str("x"), 1, &n), REPL_ENOTFOUND);
    assert_int_equal(w->ops->task_retry(w->b, w->rule, span_of(NULL, 0), 10, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(world_counts(w).failed_objects, 0);
    assert_true(span_eq_str(world_claim(w, TASK_LIVE, 1).tasks[0].key, "b"));
    struct history_entry *h;
    size_t count;
    assert_int_equal(w->ops->history_page(w->b, &w->arena, w->rule, span_str("a"), 10, &h, &count),
                     0);
    assert_int_equal(count, 2);
    assert_non_null(strstr(h[0].fail.text, "known"));
}

/* All pages together: rule and key of each task, each with a blank behind it. */
static void expect_failed(struct world *w, uint32_t rule, const char *want)
{
    struct task_filter filter = {.rule = rule, .state = TASK_FAILED, .limit = 2};
    struct task *page;
    size_t n;
    char have[64] = "";
    do {
        assert_int_equal(w->ops->task_page(w->b, &w->arena, &filter, &page, &n), 0);
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
        world_append_put(w, key, NOW);
    }
    struct task_list list = world_claim(w, TASK_LIVE, 10);
    for (size_t i = 0; i < list.count; i++) {
        bool odd = list.tasks[i].key.ptr[0] % 2 == 1;
        assert_int_equal(world_finish(w, &list.tasks[i], odd ? FINISH_FAILED : FINISH_RETRY), 0);
    }
}

static void failed_tasks_come_in_pages_by_key(void **state)
{
    struct world *w = *state;
    struct rule_record r = {.name = span_str("other"), .text = span_str("{}")};
    fail_some(w);
    expect_failed(w, 0, "1a 1c 1e 1g 1i ");
    assert_int_equal(w->ops->rule_put(w->b, &r, &w->rule), 0);
    fail_some(w);
    expect_failed(w, 1, "1a 1c 1e 1g 1i ");
    expect_failed(w, 2, "2a 2c 2e 2g 2i ");
    expect_failed(w, 0, "1a 1c 1e 1g 1i 2a 2c 2e 2g 2i ");
}

/* ---- history and latency ---- */

static void history_is_trimmed_by_age(void **state)
{
    struct world *w = *state;
    uint64_t n;
    world_append_put(w, "a", NOW);
    struct task t = world_claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(world_finish(w, &t, FINISH_DONE), 0);
    assert_int_equal(w->ops->history_trim(w->b, NOW + 1, 10, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(w->ops->history_trim(w->b, NOW + 2, 10, &n), 0);
    assert_int_equal(n, 1);
}

static void latency_is_counted(void **state)
{
    struct world *w = *state;
    struct finish_result r;
    world_append_put(w, "a", NOW);
    struct task t = world_claim(w, TASK_LIVE, 1).tasks[0];
    struct finish f = world_finish_of(&t, FINISH_DONE);
    f.latency_ms = 700;
    f.bytes = 10;
    f.bytes_sent = 12;
    assert_int_equal(w->ops->finish(w->b, &f, &r), 0);
    struct rule_counts c = world_counts(w);
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
    assert_int_equal(w->ops->task_page(w->b, &w->arena, &filter, &list, &n), 0);
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
    struct append_entry e = world_put_of(w, key, NOW - (int64_t)(dice % 999));
    e.change.size = (int64_t)(dice / 7 % 1000);
    e.origin = dice % 3 == 0 ? TASK_BACKFILL : TASK_LIVE;
    switch (dice % 16) {
    case 0:
    case 1: {
        struct task_list list = world_claim(w, e.origin, 3);
        for (size_t i = 0; i < list.count && *held_n < 32; i++) {
            held[(*held_n)++] = list.tasks[i];
        }
        break;
    }
    case 2:
        w->ops->task_retry(w->b, w->rule, span_of(NULL, 0), 2, &n);
        break;
    case 3:
        w->ops->task_drop(w->b, w->rule, span_str(key), span_str("r"), NOW);
        break;
    case 4:
    case 5:
    case 6:
    case 7:
        if (*held_n > 0) {
            assert_int_equal(
                world_finish(w, &held[--*held_n], (enum finish_outcome)(dice / 16 % 6)), 0);
        }
        break;
    case 8:
        *late_before_ms = NOW - (int64_t)(dice / 16 % 999);
        assert_int_equal(w->ops->late(w->b, w->rule, *late_before_ms, 1000), 0);
        break;
    default:
        world_append(w, &e, NOW);
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
        struct rule_counts have = world_counts(w);
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
        world_append_put(w, key, NOW - 1000 + (i < 50 ? i : 50));
    }
    uint64_t last = 0;
    int calls = 0;
    for (; last < 100 && calls < 100; calls++) {
        assert_int_equal(w->ops->late(w->b, w->rule, NOW, 10), 0);
        uint64_t now = world_counts(w).late_objects;
        assert_true(now > last && (now <= last + 10 || now == 100));
        last = now;
    }
    assert_in_range(calls, 6, 10);
    assert_int_equal(w->ops->late(w->b, w->rule, NOW - 990, 10), 0);
    assert_int_equal(world_counts(w).late_objects, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(oldest_and_newest_first),
        WORLD_TEST(claim_looks_at_a_window_of_time),
        WORLD_TEST(a_retry_waits_for_its_time),
        WORLD_TEST(the_frontier_says_why_its_task_is_not_done),
        WORLD_TEST(a_released_task_is_as_it_was),
        WORLD_TEST(a_task_is_finished_once),
        WORLD_TEST(dead_letters_hold_the_frontier_until_told),
        WORLD_TEST(failed_tasks_come_in_pages_by_key),
        WORLD_TEST(history_is_trimmed_by_age),
        WORLD_TEST(latency_is_counted),
        WORLD_TEST(counters_agree_with_a_count),
        WORLD_TEST(late_moves_on_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
