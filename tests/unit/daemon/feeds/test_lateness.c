/* Lateness: cases by hand, then senders by seed that lose, delay, double and reorder: what counts
 * as complete is never later than a canary that came, a change behind it is answered for from then
 * on, and a sender in good order never makes one late. */
#include "daemon/base/fail.h"
#include "daemon/base/loop.h"
#include "daemon/base/mem.h"
#include "daemon/feeds/lateness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define T0    1795000000000
#define MIN   60000
#define HOUR  3600000
#define SEEDS 200

static bool says(const struct lateness *l, int64_t now_ms, const char *what)
{
    char why[160];
    lateness_why(l, now_ms, why, sizeof(why));
    return what[0] != 0 ? strstr(why, what) != NULL : why[0] == 0;
}

/* ---- canaries ---- */

static void test_canary_is_complete_less_five_seconds(void **state)
{
    (void)state;
    struct lateness l;
    lateness_init(&l, true, 0, T0);
    assert_int_equal(lateness_through(&l, T0), 0);
    assert_true(says(&l, T0, "first canary"));
    lateness_written(&l, T0);
    lateness_canary(&l, T0 + 10, T0 + 300);
    assert_int_equal(lateness_through(&l, T0 + 300), T0 + 10 - 5000);
    assert_true(says(&l, T0 + 300, ""));
}

static void test_overtaken_change_counts_for_a_day(void **state)
{
    (void)state;
    struct lateness l;
    lateness_init(&l, true, 0, T0);
    lateness_canary(&l, T0, T0);
    lateness_event(&l, T0 - 2 * MIN, T0 + 1000);
    lateness_event(&l, T0 - 1 * MIN, T0 + 2000);
    assert_int_equal(lateness_through(&l, T0 + 3000), T0 - 2 * MIN);
    lateness_canary(&l, T0 + 23 * HOUR, T0 + 23 * HOUR);
    assert_int_equal(lateness_through(&l, T0 + 23 * HOUR), T0 + 23 * HOUR - 2 * MIN);
    assert_int_equal(lateness_usual(&l, T0 + 23 * HOUR), 2 * MIN + 2 * LATENESS_CANARY_MS);
    assert_int_equal(lateness_through(&l, T0 + 26 * HOUR), T0 + 23 * HOUR - LATENESS_LEAST_MS);
    assert_int_equal(lateness_usual(&l, T0 + 26 * HOUR),
                     LATENESS_LEAST_MS + 2 * LATENESS_CANARY_MS);
}

static void test_canaries_that_nobody_hears(void **state)
{
    (void)state;
    struct lateness l;
    lateness_init(&l, true, 0, T0);
    lateness_canary(&l, T0, T0);
    for (int i = 1; i <= 4; i++) {
        assert_true(says(&l, T0, ""));
        lateness_written(&l, T0 + i * LATENESS_CANARY_MS);
    }
    assert_true(says(&l, T0 + MIN, "thought deaf: 4 canaries"));
    assert_true(lateness_is_deaf(&l, T0 + MIN));
    assert_int_equal(lateness_through(&l, T0 + MIN), T0 - 5000);
    lateness_canary(&l, T0 + 15000, T0 + 2 * MIN); /* one of them is enough */
    assert_true(says(&l, T0 + 2 * MIN, ""));
}

static void test_old_canary_takes_nothing_back(void **state)
{
    (void)state;
    struct lateness l;
    lateness_init(&l, true, 0, T0);
    lateness_canary(&l, T0 + 30000, T0 + 30000);
    lateness_canary(&l, T0, T0 + 31000);
    assert_int_equal(lateness_through(&l, T0 + 31000), T0 + 25000);
}

static void test_clock_of_the_source_may_differ(void **state)
{
    (void)state;
    struct lateness l;
    lateness_init(&l, true, 0, T0);
    lateness_canary(&l, T0 - HOUR, T0); /* behind: its own time counts */
    lateness_event(&l, T0 - HOUR + 10, T0 + 10);
    assert_int_equal(lateness_through(&l, T0), T0 - HOUR - 5000);
    lateness_init(&l, true, 0, T0);
    lateness_canary(&l, T0 + HOUR, T0); /* ahead: never the future */
    assert_int_equal(lateness_through(&l, T0), T0 - 5000);
}

/* ---- without ---- */

static void test_late_while_events_come(void **state)
{
    (void)state;
    struct lateness l;
    lateness_init(&l, false, 5 * MIN, T0);
    assert_int_equal(lateness_through(&l, T0), 0);
    assert_true(says(&l, T0, "no event has come yet"));
    lateness_event(&l, T0, T0);
    assert_int_equal(lateness_through(&l, T0 + 2 * MIN), T0 - 3 * MIN);
    assert_true(says(&l, T0 + 5 * MIN, ""));
    assert_true(says(&l, T0 + 5 * MIN + 1, "thought deaf"));
    assert_int_equal(lateness_through(&l, T0 + 5 * MIN), T0);
    assert_int_equal(lateness_through(&l, T0 + HOUR), T0);
}

/* ---- lives ---- */

static struct lateness reborn(const struct lateness *old, int64_t now_ms)
{
    struct lateness l;
    struct buf text;
    buf_init(&text, 4096);
    lateness_print(old, now_ms, &text);
    lateness_init(&l, old->canary, old->late_ms, now_ms);
    assert_int_equal(lateness_load(&l, buf_view(&text), now_ms), 0);
    buf_done(&text);
    return l;
}

static void test_next_life_waits_for_what_was_kept_for_it(void **state)
{
    (void)state;
    struct lateness l;
    lateness_init(&l, true, 0, T0);
    lateness_canary(&l, T0, T0);
    lateness_event(&l, T0 - 6000, T0 + 10);
    l = reborn(&l, T0 + 10 * MIN);
    int64_t now = T0 + 10 * MIN, held = T0 - 6000;
    lateness_canary(&l, now + 100, now + 200);
    assert_int_equal(lateness_through(&l, now + 200), held);
    assert_true(says(&l, now + 200, "nobody listened"));
    lateness_event(&l, T0 + 3 * MIN, now + 20000); /* of the time before: held on, not late */
    lateness_canary(&l, now + 45000, now + 45000);
    assert_int_equal(lateness_through(&l, now + 45000), held);
    assert_int_equal(lateness_through(&l, now + 50001), now + 45000 - 6000);
}

static void test_hold_has_an_end(void **state)
{
    (void)state;
    struct lateness l;
    lateness_init(&l, true, 0, T0);
    lateness_canary(&l, T0, T0);
    int64_t now = T0 + MIN;
    l = reborn(&l, now);
    for (int64_t ms = now; ms < now + HOUR; ms += 20000) {
        lateness_canary(&l, ms, ms);
        lateness_event(&l, T0 + 1, ms);
    }
    assert_true(lateness_through(&l, now + HOUR) > T0 - HOUR);
    assert_true(l.canary_ms - lateness_through(&l, now + HOUR) > 50 * MIN); /* late, after all */
    assert_true(lateness_usual(&l, now + HOUR) > 50 * MIN + 2 * LATENESS_CANARY_MS);
}

static void test_unreadable_state_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "1", "a b", "1 2 3", "1 2 3=", "1 2 -3=4", "99999999999999999999 1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct lateness l, before;
        lateness_init(&l, true, 0, T0);
        before = l;
        assert_int_equal(lateness_load(&l, span_str(bad[i]), T0), REPL_EBADINPUT);
        assert_memory_equal(&l, &before, sizeof(l));
    }
}

/* ---- senders by seed ---- */

#define WRITES 600

struct event {
    int64_t written_ms; /* by the source's clock */
    int64_t arrives_ms; /* by ours */
    bool canary;
};

struct sender {
    struct loop *dice;
    int64_t skew_ms;   /* the source's clock less ours */
    unsigned disorder; /* ‰ of events that are kept back */
    unsigned lost, doubled;
    struct event events[2 * WRITES];
    size_t count;
};

static uint64_t roll(struct sender *s, uint64_t bound)
{
    return loop_random(s->dice, bound);
}

static int by_arrival(const void *a, const void *b)
{
    const struct event *x = a, *y = b;
    return x->arrives_ms < y->arrives_ms ? -1 : x->arrives_ms > y->arrives_ms;
}

/* The queue moves with a delay of its own that comes and goes: alone it reorders nothing. */
static void make_events(struct sender *s)
{
    int64_t now = T0, next_canary = T0, free_ms = T0;
    for (size_t i = 0; i < WRITES; i++) {
        now += (int64_t)roll(s, 4000);
        int64_t arrives = now + (int64_t)roll(s, roll(s, 30) == 0 ? 300000 : 100);
        free_ms = arrives > free_ms ? arrives : free_ms + 1;
        struct event e = {.written_ms = now + s->skew_ms, .canary = now >= next_canary};
        next_canary = e.canary ? now + LATENESS_CANARY_MS : next_canary;
        e.arrives_ms = free_ms;
        if (roll(s, 1000) < s->disorder) {
            e.arrives_ms += (int64_t)roll(s, 120000);
        }
        if (roll(s, 1000) >= s->lost) {
            s->events[s->count++] = e;
        }
        if (roll(s, 1000) < s->doubled && s->count < 2 * WRITES) {
            e.arrives_ms += (int64_t)roll(s, 60000);
            s->events[s->count++] = e;
        }
    }
    qsort(s->events, s->count, sizeof(s->events[0]), by_arrival);
}

static int64_t complete_before(const struct sender *s, size_t at)
{
    int64_t newest = 0;
    for (size_t i = 0; i < at; i++) {
        if (s->events[i].canary && s->events[i].written_ms > newest) {
            newest = s->events[i].written_ms;
        }
    }
    return newest;
}

/* Returns how many changes came late: at or before what had counted as complete. */
static unsigned hear(struct sender *s, uint64_t seed)
{
    struct lateness l;
    unsigned late = 0;
    lateness_init(&l, true, 0, T0);
    for (size_t i = 0; i < s->count; i++) {
        const struct event *e = &s->events[i];
        int64_t now = e->arrives_ms, before = lateness_through(&l, now);
        int64_t newest = complete_before(s, i);
        if (before > 0 && before > newest - LATENESS_LEAST_MS) {
            fail_msg("seed %llu: %lld is claimed, the newest canary is %lld",
                     (unsigned long long)seed, (long long)before, (long long)newest);
        }
        if (roll(s, 100) == 0) {
            l = reborn(&l, now);
            assert_true(lateness_through(&l, now) <= before);
        }
        if (e->canary) {
            lateness_canary(&l, e->written_ms, now);
            continue;
        }
        before = lateness_through(&l, now);
        bool held = now < l.hold_until_ms;
        late += e->written_ms <= before;
        lateness_event(&l, e->written_ms, now);
        if (!held && lateness_through(&l, now) > e->written_ms) {
            fail_msg("seed %llu: a change that came late moves nothing", (unsigned long long)seed);
        }
    }
    return late;
}

static unsigned run_sender(uint64_t seed, bool good)
{
    struct sender *s = MEM_NEW(struct sender);
    s->dice = loop_new_virtual(seed, T0);
    s->skew_ms = -(int64_t)roll(s, 2 * HOUR);
    if (!good) {
        s->disorder = (unsigned)roll(s, 100);
        s->lost = (unsigned)roll(s, 100);
        s->doubled = (unsigned)roll(s, 100);
    }
    make_events(s);
    unsigned late = hear(s, seed);
    loop_free(s->dice);
    mem_free(s);
    return late;
}

static void test_senders(void **state)
{
    (void)state;
    unsigned late = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        unsigned of_good = run_sender(seed, true);
        if (of_good > 0) {
            fail_msg("seed %llu: %u late of a sender in order", (unsigned long long)seed, of_good);
        }
        late += run_sender(seed, false);
    }
    assert_true(late > 0); /* the test reaches what it is about */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canary_is_complete_less_five_seconds),
        cmocka_unit_test(test_overtaken_change_counts_for_a_day),
        cmocka_unit_test(test_canaries_that_nobody_hears),
        cmocka_unit_test(test_old_canary_takes_nothing_back),
        cmocka_unit_test(test_clock_of_the_source_may_differ),
        cmocka_unit_test(test_late_while_events_come),
        cmocka_unit_test(test_next_life_waits_for_what_was_kept_for_it),
        cmocka_unit_test(test_hold_has_an_end),
        cmocka_unit_test(test_unreadable_state_is_refused),
        cmocka_unit_test(test_senders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
