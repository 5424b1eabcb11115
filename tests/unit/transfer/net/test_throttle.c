/* The rate controller against servers that refuse what is over their rate. */
#include "transfer/net/throttle.h"

#include "daemon/base/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define MS     ((uint64_t)1000)
#define SECOND ((uint64_t)1000000)
#define RTT_US (100 * MS)
#define QUEUE  65536

/* Takes `capacity` requests a second with a tenth of a second's burst, and refuses others. */
struct server {
    double capacity;
    double tokens;
    uint64_t at_us;
};

static bool takes(struct server *s, uint64_t now_us)
{
    s->tokens += s->capacity * (double)(now_us - s->at_us) / 1e6;
    s->tokens = s->tokens > s->capacity / 10 ? s->capacity / 10 : s->tokens;
    s->at_us = now_us;
    if (s->tokens < 1) {
        return false;
    }
    s->tokens -= 1;
    return true;
}

struct bench {
    struct throttle throttle;
    struct server server;
    uint64_t now_us;
    unsigned in_flight_most;
    uint64_t sent_us[QUEUE]; /* requests under way, in order */
    unsigned head, tail;
    unsigned served, refused;
    uint32_t retry_after_ms;
};

static void bench_init(struct bench *b, double capacity)
{
    *b = (struct bench){.now_us = SECOND, .in_flight_most = 256};
    b->server = (struct server){.capacity = capacity, .at_us = SECOND};
    throttle_init(&b->throttle);
}

static void answers(struct bench *b)
{
    while (b->head != b->tail && b->sent_us[b->head % QUEUE] + RTT_US <= b->now_us) {
        uint64_t sent_us = b->sent_us[b->head++ % QUEUE];
        if (takes(&b->server, b->now_us)) {
            throttle_served(&b->throttle, b->now_us);
            b->served++;
        } else {
            throttle_refused(&b->throttle, b->now_us, sent_us, b->retry_after_ms);
            b->refused++;
        }
    }
}

static void run(struct bench *b, unsigned seconds)
{
    b->served = b->refused = 0;
    for (unsigned i = 0; i < seconds * 1000; i++) {
        b->now_us += MS;
        answers(b);
        while (b->tail - b->head < b->in_flight_most &&
               throttle_wait_us(&b->throttle, b->now_us) == 0) {
            throttle_sent(&b->throttle, b->now_us);
            b->sent_us[b->tail++ % QUEUE] = b->now_us;
        }
    }
}

static void is_off_until_refused(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1e6);
    run(&b, 10);
    assert_false(b.throttle.is_on);
    assert_int_equal(b.refused, 0);
    assert_in_range(b.served, 25000, 25700); /* 256 at a time, nothing else bounds it */
}

/* 2,560 a second are offered; whatever the server takes, nearly all of it is used. */
static void finds_the_rate(void **state)
{
    (void)state;
    static const double rates[] = {20, 100, 300, 1000};
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        struct bench b;
        bench_init(&b, rates[i]);
        run(&b, 30);
        run(&b, 120);
        printf("server takes %4.0f/s: served %3.0f %%, refused %4.1f %% of requests\n", rates[i],
               b.served / rates[i] / 1.2, 100.0 * b.refused / (b.served + b.refused));
        assert_true(b.served >= 0.85 * rates[i] * 120);
        assert_true(b.refused <= 0.08 * b.served);
    }
}

/* 256 refusals of one moment are one step back. */
static void refusals_of_one_moment_count_once(void **state)
{
    (void)state;
    struct throttle t;
    throttle_init(&t);
    uint64_t now_us = SECOND;
    for (int i = 0; i < 1000; i++) {
        throttle_served(&t, now_us += MS);
    }
    uint64_t sent_us = now_us - RTT_US;
    assert_true(throttle_refused(&t, now_us, sent_us, 0));
    double rate = t.rate;
    assert_in_range((int)rate, 690, 710);
    for (uint64_t i = 1; i < 256; i++) {
        assert_false(throttle_refused(&t, now_us + i, sent_us, 0));
    }
    assert_true(t.rate == rate);
    assert_true(throttle_refused(&t, now_us + 3 * RTT_US, now_us + 2 * RTT_US, 0));
    assert_true(t.rate < rate);
}

static void retry_after_is_a_pause(void **state)
{
    (void)state;
    struct throttle t;
    throttle_init(&t);
    throttle_refused(&t, SECOND, SECOND - RTT_US, 3000);
    assert_int_equal(throttle_wait_us(&t, SECOND), 3 * SECOND);
    assert_int_equal(throttle_wait_us(&t, 4 * SECOND - 1), 1);
    throttle_refused(&t, 2 * SECOND, SECOND - RTT_US, 500); /* a shorter one changes nothing */
    assert_int_equal(throttle_wait_us(&t, 2 * SECOND), 2 * SECOND);
    throttle_refused(&t, 4 * SECOND, SECOND - RTT_US, UINT32_MAX); /* nor is it for ever */
    assert_int_equal(throttle_wait_us(&t, 4 * SECOND), THROTTLE_PAUSE_MS * MS);
}

/* A server that takes nothing is asked ten times a second, and found again. */
static void goes_on_at_the_least_rate(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 0);
    run(&b, 20);
    run(&b, 60);
    assert_in_range(b.refused, 540, 660);
    b.server.capacity = 500;
    run(&b, 60);
    run(&b, 10);
    assert_true(b.served >= 3500);
}

static void follows_a_server_that_takes_more(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 100);
    run(&b, 60);
    b.server.capacity = 1000;
    run(&b, 30);
    run(&b, 10);
    assert_true(b.served >= 8000);
}

static void idle_time_keeps_the_rate(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 300);
    run(&b, 60);
    double rate = b.throttle.rate;
    b.in_flight_most = 0;
    run(&b, 60);
    b.in_flight_most = 256;
    run(&b, 2);
    assert_true(b.throttle.rate >= 0.6 * rate);
    assert_true(b.served >= 350);
}

static void is_off_again_after_long_peace(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 300);
    run(&b, 5);
    assert_true(b.throttle.is_on);
    b.server.capacity = 1e6;
    b.in_flight_most = 1;
    run(&b, 605);
    assert_false(b.throttle.is_on);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_off_until_refused),
        cmocka_unit_test(finds_the_rate),
        cmocka_unit_test(refusals_of_one_moment_count_once),
        cmocka_unit_test(retry_after_is_a_pause),
        cmocka_unit_test(goes_on_at_the_least_rate),
        cmocka_unit_test(follows_a_server_that_takes_more),
        cmocka_unit_test(idle_time_keeps_the_rate),
        cmocka_unit_test(is_off_again_after_long_peace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
