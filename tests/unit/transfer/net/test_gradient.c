/* The latency limiter against servers of different capacity, over a path of 150 ms. */
#include "transfer/net/gradient.h"

#include "daemon/base/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define MS     ((uint64_t)1000)
#define RTT_US (150 * MS)
#define MOST   512

/* One queue: a request is answered a round trip after the server has worked on it. */
struct bench {
    struct gradient gradient;
    struct loop *loop;
    double work_us; /* of the server, a request */
    bool is_ours;   /* what waits, waits for our own CPU, and we know */
    unsigned lossy; /* one in so many waits for a repeat; 0 = none */
    double busy_until_us;
    uint64_t now_us;
    uint64_t done_us[MOST]; /* requests under way; 0 = free */
    uint64_t sent_us[MOST];
    unsigned in_flight;
    uint64_t done;
};

static void bench_init(struct bench *b, double per_second, unsigned most)
{
    *b = (struct bench){.work_us = 1e6 / per_second, .now_us = MS};
    b->loop = loop_new_virtual(20261124, 0);
    gradient_init(&b->gradient, most);
}

static void send(struct bench *b, size_t i)
{
    double starts_us = b->busy_until_us > (double)b->now_us ? b->busy_until_us : (double)b->now_us;
    b->busy_until_us = starts_us + b->work_us;
    b->sent_us[i] = b->now_us;
    b->done_us[i] = (uint64_t)b->busy_until_us + RTT_US + loop_random(b->loop, 10 * MS);
    if (b->lossy > 0 && loop_random(b->loop, b->lossy) == 0) {
        b->done_us[i] += RTT_US + loop_random(b->loop, 300 * MS);
    }
    b->in_flight++;
}

static void step(struct bench *b)
{
    b->now_us += MS;
    for (size_t i = 0; i < MOST; i++) {
        if (b->done_us[i] != 0 && b->done_us[i] <= b->now_us) {
            if (b->is_ours) {
                gradient_was_busy(&b->gradient);
            }
            gradient_add(&b->gradient, b->now_us, (uint32_t)(b->now_us - b->sent_us[i]),
                         b->in_flight);
            b->done_us[i] = 0;
            b->in_flight--;
            b->done++;
        }
    }
    for (size_t i = 0; i < MOST && b->in_flight < gradient_limit(&b->gradient); i++) {
        if (b->done_us[i] == 0) {
            send(b, i);
        }
    }
}

static double run(struct bench *b, unsigned ms)
{
    uint64_t before = b->done;
    for (unsigned i = 0; i < ms; i++) {
        step(b);
    }
    return (double)(b->done - before) * 1000 / ms;
}

/* 20,000 objects over 256 lanes: at least 80 % of lanes ÷ RTT, the climb included, with 1 % of
 * packets lost (one request in ten is touched). */
static void a_burst_has_all_lanes_soon(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 50000, 256);
    b.lossy = 10;
    unsigned ms = 0;
    while (b.done < 20000) {
        step(&b);
        ms++;
    }
    double least = (double)RTT_US / 1e6 + 0.005;
    double slow = 0.1 * 0.3; /* what repeats add to the mean */
    printf("20,000 over 256 lanes: %u ms, %.0f %% of lanes / latency, limit %u\n", ms,
           20000.0 * 1000 / ms / (256 / (least + slow)) * 100, gradient_limit(&b.gradient));
    assert_true(20000.0 * 1000 / ms >= 0.8 * 256 / (least + slow));
    assert_int_equal(gradient_limit(&b.gradient), 256);
    loop_free(b.loop);
}

/* A server that does 500 a second needs 75 under way; more only wait there. */
static void a_slow_server_is_not_flooded(void **state)
{
    (void)state;
    static const double rates[] = {100, 500, 1000};
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        struct bench b;
        bench_init(&b, rates[i], 512);
        run(&b, 20000);
        double rate = run(&b, 40000);
        double needed = rates[i] * (double)RTT_US / 1e6;
        printf("server of %4.0f/s: %4.0f/s, limit %u, needed %.0f\n", rates[i], rate,
               gradient_limit(&b.gradient), needed);
        assert_true(rate >= 0.95 * rates[i]);
        assert_true(gradient_limit(&b.gradient) <= 2.5 * needed + 16);
        loop_free(b.loop);
    }
}

static void comes_down_and_up_again(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 50000, 256);
    run(&b, 3000);
    assert_int_equal(gradient_limit(&b.gradient), 256);
    b.work_us = 1e6 / 200; /* the server has become slow, and stays so */
    run(&b, 300000);
    unsigned low = gradient_limit(&b.gradient);
    assert_true(low <= 100);
    b.work_us = 1e6 / 50000;
    run(&b, 10000);
    assert_true(gradient_limit(&b.gradient) >= 200);
    loop_free(b.loop);
}

/* 256 under way come to 1,600 a second; we have CPU for 800 for a while. As a queue of the server
 * that would take the limit to a half, and after it the rate is to be found again. */
static void our_own_cpu_is_no_queue(void **state)
{
    (void)state;
    unsigned limits[2];
    double rates[2];
    for (int is_known = 0; is_known < 2; is_known++) {
        struct bench b;
        bench_init(&b, 50000, 256);
        run(&b, 3000);
        b.work_us = 1e6 / 800;
        b.is_ours = is_known;
        run(&b, 10000);
        limits[is_known] = gradient_limit(&b.gradient);
        b.work_us = 1e6 / 50000;
        b.is_ours = false;
        rates[is_known] = run(&b, 1000);
        loop_free(b.loop);
    }
    printf("short of CPU, taken for a queue: limit %u, then %.0f/s; known: limit %u, then %.0f/s\n",
           limits[0], rates[0], limits[1], rates[1]);
    assert_true(limits[0] < 200);
    assert_int_equal(limits[1], 256);
    assert_true(rates[1] > 1.1 * rates[0]);
}

/* What is not made use of proves nothing. */
static void does_not_grow_unused(void **state)
{
    (void)state;
    struct gradient g;
    gradient_init(&g, 512);
    uint64_t now_us = MS;
    for (int i = 0; i < 10000; i++) {
        gradient_add(&g, now_us += 10 * MS, RTT_US, 20);
    }
    assert_int_equal(gradient_limit(&g), 41); /* the step beyond twice as many as were used */
}

/* The first answers of connections are no latencies, but they let it grow. */
static void first_answers_count_without_their_time(void **state)
{
    (void)state;
    struct gradient g;
    gradient_init(&g, 256);
    uint64_t now_us = MS;
    for (int i = 0; i < 20; i++) {
        gradient_add(&g, now_us += 10 * MS, RTT_US, 32);
    }
    for (int i = 0; i < 500; i++) {
        gradient_answered(&g, gradient_limit(&g));
    }
    assert_int_equal(gradient_limit(&g), 256);
    assert_true(g.is_calm);
    for (int i = 0; i < 1000; i++) { /* once it has risen, they do not matter */
        gradient_add(&g, now_us += 10 * MS, 10 * RTT_US, 256);
    }
    unsigned limit = gradient_limit(&g);
    assert_true(limit < 256);
    gradient_answered(&g, limit);
    assert_int_equal(gradient_limit(&g), limit);
}

static void stays_within_its_bounds(void **state)
{
    (void)state;
    struct loop *loop = loop_new_virtual(20261124, 0);
    for (int round = 0; round < 100; round++) {
        struct gradient g;
        unsigned most = 1 + (unsigned)loop_random(loop, 600);
        gradient_init(&g, most);
        uint64_t now_us = MS;
        for (int i = 0; i < 5000; i++) {
            now_us += loop_random(loop, 20 * MS);
            uint32_t latency_us = (uint32_t)loop_random(loop, (uint64_t)1 << loop_random(loop, 31));
            unsigned limit = gradient_add(&g, now_us, latency_us, (unsigned)loop_random(loop, 600));
            assert_true(limit >= (most < GRADIENT_LEAST ? most : GRADIENT_LEAST));
            assert_true(limit <= most && limit <= GRADIENT_MOST);
        }
    }
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_has_all_lanes_soon),
        cmocka_unit_test(a_slow_server_is_not_flooded),
        cmocka_unit_test(comes_down_and_up_again),
        cmocka_unit_test(our_own_cpu_is_no_queue),
        cmocka_unit_test(does_not_grow_unused),
        cmocka_unit_test(first_answers_count_without_their_time),
        cmocka_unit_test(stays_within_its_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
