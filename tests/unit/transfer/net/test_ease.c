#include "transfer/net/ease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define TICK_US 200000
#define RTT_US  150000
#define SECOND  1000000

/* A link with a queue: what is sent beyond its rate waits, and makes round trips longer. */
struct link {
    struct ease ease;
    uint64_t now_us;
    double rate_bps;
    double queue_bytes;
    double queue_most;  /* bytes; the rest is lost */
    double wish_bps;    /* what bulk would send without a limit */
    uint64_t others_us; /* a queue that is not of our making */
    uint64_t limit;
    double least_bps; /* least that passed in a tick */
};

static struct link make_link(void)
{
    return (struct link){
        .now_us = SECOND, .rate_bps = 60e6, .queue_most = 6e6, .wish_bps = 70e6, .least_bps = 1e12};
}

static void tick(struct link *l, bool has_small, bool has_bulk)
{
    double seconds = (double)TICK_US / 1e6;
    double sent_bps =
        l->limit > 0 && (double)l->limit < l->wish_bps ? (double)l->limit : l->wish_bps;
    double comes = (has_bulk ? sent_bps : 0) * seconds + l->queue_bytes;
    double passes = comes < l->rate_bps * seconds ? comes : l->rate_bps * seconds;
    l->queue_bytes = comes - passes < l->queue_most ? comes - passes : l->queue_most;
    l->now_us += TICK_US;
    l->least_bps = passes / seconds < l->least_bps ? passes / seconds : l->least_bps;
    uint64_t waits_us = (uint64_t)(l->queue_bytes * 1e6 / l->rate_bps) + l->others_us;
    struct ease_sample s = {.now_us = l->now_us,
                            .span_us = TICK_US,
                            .passed_bytes = (uint64_t)passes,
                            .min_rtt_us = RTT_US,
                            .rtt_us = (uint32_t)(RTT_US + waits_us),
                            .has_small = has_small,
                            .has_bulk = has_bulk};
    l->limit = ease_sample(&l->ease, &s);
}

static void run(struct link *l, double seconds, bool has_small)
{
    for (int left = (int)(seconds * 1e6); left > 0; left -= TICK_US) {
        tick(l, has_small, true);
    }
}

static void bulk_alone_has_no_limit(void **state)
{
    (void)state;
    struct link l = make_link();
    run(&l, 30, false);
    assert_int_equal(l.limit, 0);
    assert_true(l.queue_bytes == l.queue_most);
}

static void queue_is_short_beside_small_objects_and_the_link_is_full(void **state)
{
    (void)state;
    struct link l = make_link();
    run(&l, 10, false);
    run(&l, 20, true);
    l.least_bps = 1e12;
    for (int i = 0; i < 300; i++) {
        tick(&l, i % 5 == 0, true);
        assert_true(l.queue_bytes < 0.8 * l.queue_most);
    }
    assert_true(l.least_bps > 0.9 * l.rate_bps);
}

static void limit_goes_some_seconds_after_the_last_small_one(void **state)
{
    (void)state;
    struct link l = make_link();
    run(&l, 10, true);
    assert_true(l.limit > 0);
    run(&l, 4, false);
    assert_true(l.limit > 0);
    run(&l, 1.4, false);
    assert_int_equal(l.limit, 0);
}

static void no_limit_where_there_is_no_queue(void **state)
{
    (void)state;
    struct link l = make_link();
    l.wish_bps = 0.8 * l.rate_bps;
    run(&l, 30, true);
    assert_int_equal(l.limit, 0);
}

static void queue_of_others_is_no_reason(void **state)
{
    (void)state;
    struct link l = make_link();
    l.wish_bps = 0.5 * l.rate_bps;
    l.others_us = 80000;
    run(&l, 10, false);
    run(&l, 20, true);
    assert_int_equal(l.limit, 0); /* given up, and … */
    l.least_bps = 1e12;
    run(&l, 40, true);
    assert_int_equal(l.limit, 0); /* … not tried again for a minute */
    assert_true(l.least_bps > 0.49 * l.rate_bps);
    for (int i = 0; i < 100 && l.limit == 0; i++) {
        tick(&l, true, true);
    }
    assert_true(l.limit > 0);
}

static void follows_a_link_that_becomes_faster(void **state)
{
    (void)state;
    struct link l = make_link();
    run(&l, 20, true);
    l.rate_bps *= 2;
    l.wish_bps *= 2;
    run(&l, 30, true);
    l.least_bps = 1e12;
    run(&l, 10, true);
    assert_true(l.least_bps > 0.9 * l.rate_bps);
}

static void nothing_without_figures_of_the_kernel(void **state)
{
    (void)state;
    struct ease e = {0};
    for (uint64_t i = 1; i < 100; i++) {
        struct ease_sample s = {.now_us = i * TICK_US,
                                .span_us = TICK_US,
                                .min_rtt_us = RTT_US,
                                .rtt_us = 2 * RTT_US,
                                .has_small = true,
                                .has_bulk = true};
        assert_int_equal(ease_sample(&e, &s), 0);
    }
}

static void limit_goes_where_bulk_makes_no_use_of_it(void **state)
{
    (void)state;
    struct link l = make_link();
    run(&l, 20, true);
    l.wish_bps = 10e6;
    run(&l, 5, true);
    assert_int_equal(l.limit, 0);
    l.wish_bps = 70e6;
    run(&l, 2, true);
    l.least_bps = 1e12;
    run(&l, 20, true);
    assert_true(l.least_bps > 0.9 * l.rate_bps);
}

static void limit_goes_with_bulk(void **state)
{
    (void)state;
    struct link l = make_link();
    run(&l, 20, true);
    assert_true(l.limit > 0);
    tick(&l, true, false);
    assert_int_equal(l.limit, 0);
}

static void a_rate_that_still_rises_is_no_limit(void **state)
{
    (void)state;
    struct link l = make_link();
    l.wish_bps = 1e6;
    run(&l, 1, true);
    l.wish_bps = 3 * l.rate_bps;
    for (int i = 0; i < 50 && l.limit == 0; i++) {
        tick(&l, true, true);
    }
    assert_true((double)l.limit > 0.9 * l.rate_bps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bulk_alone_has_no_limit),
        cmocka_unit_test(queue_is_short_beside_small_objects_and_the_link_is_full),
        cmocka_unit_test(limit_goes_some_seconds_after_the_last_small_one),
        cmocka_unit_test(no_limit_where_there_is_no_queue),
        cmocka_unit_test(queue_of_others_is_no_reason),
        cmocka_unit_test(follows_a_link_that_becomes_faster),
        cmocka_unit_test(nothing_without_figures_of_the_kernel),
        cmocka_unit_test(limit_goes_where_bulk_makes_no_use_of_it),
        cmocka_unit_test(limit_goes_with_bulk),
        cmocka_unit_test(a_rate_that_still_rises_is_no_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
