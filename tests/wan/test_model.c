/* What the WAN does to packets, on a time of the test's own: exact where the numbers are. */
#include "tests/wan/line.h"
#include "tests/wan/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS     INT64_C(1000000)
#define S      (1000 * MS)
#define PACKET 1500
#define SEED   20240607

static struct link make_link(struct link_settings settings)
{
    struct link link;
    link_init(&link, SEED);
    link_set(&link, &settings, 0);
    return link;
}

static uint64_t packets(const struct link *link, enum link_fate fate)
{
    return link->counts[fate].packets;
}

/* Offers count packets, one every step_ns from start_ns on; returns when the next one would be. */
static int64_t offer(struct link *link, int64_t start_ns, int64_t step_ns, int count)
{
    int64_t due;
    for (int i = 0; i < count; i++) {
        link_take(link, start_ns, PACKET, &due);
        start_ns += step_ns;
    }
    return start_ns;
}

static void test_rate_and_delay_give_the_time_of_arrival(void **state)
{
    (void)state;
    struct link link =
        make_link((struct link_settings){.rate_bps = 12e6, .queue_ns = 10e9, .delay_ns = 75e6});
    for (int i = 1; i <= 1000; i++) { /* 1500 bytes at 12 Mbit/s: 1 ms */
        int64_t due = 0;
        assert_int_equal(link_take(&link, 0, PACKET, &due), LINK_passed);
        assert_int_equal(due, 75 * MS + i * MS);
    }
    assert_int_equal(link_queue_ns(&link, 0), 1000 * MS);
    assert_int_equal(link_queue_ns(&link, 400 * MS), 600 * MS);
    assert_int_equal(link_queue_ns(&link, 2 * S), 0);
}

static void test_queue_holds_its_limit(void **state)
{
    (void)state;
    struct link by_time = make_link((struct link_settings){.rate_bps = 12e6, .queue_ns = 100e6});
    offer(&by_time, 0, 0, 500);
    assert_int_equal(packets(&by_time, LINK_passed), 101); /* 100 wait, one is being sent */
    assert_int_equal(packets(&by_time, LINK_queue), 399);
    struct link by_size =
        make_link((struct link_settings){.rate_bps = 120e6, .queue_ns = 1, .queue_bytes = 150e3});
    offer(&by_size, 0, 0, 500);
    assert_int_equal(packets(&by_size, LINK_passed), 101);
}

static void test_no_more_than_the_rate_passes(void **state)
{
    (void)state;
    struct link link = make_link((struct link_settings){.rate_bps = 12e6, .queue_ns = 50e6});
    offer(&link, 0, MS / 3, 30000); /* three times too fast for 10 s */
    assert_in_range(packets(&link, LINK_passed), 10000, 10051);
    assert_int_equal(packets(&link, LINK_passed) + packets(&link, LINK_queue), 30000);
}

static void test_what_waits_leaves_at_the_new_rate(void **state)
{
    (void)state;
    struct link_settings settings = {.rate_bps = 120e6, .queue_ns = 10e9};
    struct link link = make_link(settings);
    offer(&link, 0, 0, 1000);
    assert_int_equal(link_queue_ns(&link, 0), 100 * MS);
    settings.rate_bps = 12e6;
    link_set(&link, &settings, 50 * MS);
    assert_int_equal(link_queue_ns(&link, 50 * MS), 500 * MS);
}

static void test_policer_passes_its_rate_and_its_bucket(void **state)
{
    (void)state;
    struct link link = make_link((struct link_settings){.policer_bps = 12e6, .bucket_bytes = 30e3});
    offer(&link, 0, 0, 100);
    assert_int_equal(packets(&link, LINK_passed), 20);
    offer(&link, 0, MS / 2, 20000); /* twice too fast for 10 s */
    assert_in_range(packets(&link, LINK_passed), 10018, 10020);
    struct link idle = make_link((struct link_settings){.policer_bps = 12e6, .bucket_ns = 20e6});
    offer(&idle, 100 * S, 0, 100); /* a bucket does not grow over its depth */
    assert_int_equal(packets(&idle, LINK_passed), 20);
    struct link slow = make_link((struct link_settings){.policer_bps = 12e6, .bucket_bytes = 10});
    offer(&slow, 0, 2 * MS, 100); /* nor is it so small that nothing can pass */
    assert_int_equal(packets(&slow, LINK_passed), 100);
}

/* Share of losses and mean length of their runs. */
static void measure_loss(struct link *link, double *ret_share, double *ret_run)
{
    const int count = 1000000;
    int lost = 0, runs = 0;
    bool was_lost = false;
    for (int i = 0; i < count; i++) {
        int64_t due;
        bool is_lost = link_take(link, i * MS, PACKET, &due) == LINK_loss;
        lost += is_lost;
        runs += is_lost && !was_lost;
        was_lost = is_lost;
    }
    *ret_share = (double)lost / count;
    *ret_run = runs > 0 ? (double)lost / runs : 0;
}

static void assert_near(double found, double wanted, double tolerance)
{
    if (found < wanted * (1 - tolerance) || found > wanted * (1 + tolerance)) {
        fail_msg("%g is not %g within %g", found, wanted, tolerance);
    }
}

static void test_losses_have_their_share_and_length(void **state)
{
    (void)state;
    static const struct {
        double loss, burst, run; /* run: what mean length to expect */
    } rows[] = {{.001, 0, 1.001}, {.05, 0, 1 / .95}, {.3, 1, 1 / .7}, {.01, 2, 2},
                {.01, 20, 20},    {.05, 5, 5},       {.5, 50, 50},    {.9, 2, 9}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct link link =
            make_link((struct link_settings){.loss = rows[i].loss, .burst = rows[i].burst});
        double share, run;
        measure_loss(&link, &share, &run);
        assert_near(share, rows[i].loss, 0.1);
        assert_near(run, rows[i].run, 0.1);
    }
}

static void test_no_loss_loses_nothing_also_after_a_burst(void **state)
{
    (void)state;
    struct link_settings settings = {.loss = 1, .burst = 1000};
    struct link link = make_link(settings);
    int64_t now = offer(&link, 0, MS, 100);
    assert_int_equal(packets(&link, LINK_loss), 100);
    settings.loss = 0;
    link_set(&link, &settings, now);
    offer(&link, now, MS, 1000);
    assert_int_equal(packets(&link, LINK_loss), 100);
}

static void test_lost_packets_have_used_the_link(void **state)
{
    (void)state;
    struct link link =
        make_link((struct link_settings){.rate_bps = 12e6, .queue_ns = 10e9, .loss = 1});
    offer(&link, 0, 0, 100);
    assert_int_equal(link_queue_ns(&link, 0), 100 * MS);
}

static void test_jitter_wanders_within_its_bounds_in_order(void **state)
{
    (void)state;
    struct link link = make_link((struct link_settings){.delay_ns = 75e6, .jitter_ns = 50e6});
    int64_t last = 0, least = INT64_MAX, most = 0;
    for (int64_t now = 0; now < 100 * S; now += MS) {
        int64_t due = 0;
        link_take(&link, now, PACKET, &due);
        assert_true(due >= last);
        assert_true(now == 0 || due - last <= 3 * MS / 2 + 1); /* a slope of at most a half */
        last = due;
        least = due - now < least ? due - now : least;
        most = due - now > most ? due - now : most;
    }
    assert_in_range(least, 75 * MS, 80 * MS);
    assert_in_range(most, 120 * MS, 125 * MS);
}

static void test_order_is_kept_when_the_delay_falls(void **state)
{
    (void)state;
    struct link_settings settings = {.delay_ns = 100e6};
    struct link link = make_link(settings);
    int64_t first = 0, second = 0;
    link_take(&link, 0, PACKET, &first);
    settings.delay_ns = 10e6;
    link_set(&link, &settings, MS);
    link_take(&link, MS, PACKET, &second);
    assert_int_equal(second, first);
}

static void test_outage_comes_before_all_else(void **state)
{
    (void)state;
    struct link link = make_link((struct link_settings){.rate_bps = 12e6, .loss = 1});
    link.outage_ns = 10 * MS;
    offer(&link, 0, MS, 20);
    assert_int_equal(packets(&link, LINK_outage), 10);
    assert_int_equal(packets(&link, LINK_loss), 10);
}

/* Random packets through a small ring: each comes out once, whole, in order. */
static void test_line_keeps_every_packet(void **state)
{
    (void)state;
    enum { MOST = 1510, RING = 16384 };
    struct line line;
    struct link dice = make_link((struct link_settings){.loss = 0.5});
    uint64_t in = 0, out = 0;
    int full = 0;
    assert_true(line_init(&line, RING));
    while (out < 100000) {
        size_t bytes;
        int64_t due;
        if (link_take(&dice, 0, 1, &due) == LINK_passed) {
            uint8_t *room = line_room(&line, MOST);
            size_t size = 1 + (size_t)((in * 7919) % MOST);
            full += room == NULL;
            if (room != NULL) {
                memset(room, (int)(in & 0xff), size);
                line_push(&line, size, (int64_t)in++);
            }
            continue;
        }
        const uint8_t *packet = line_first(&line, &bytes, &due);
        assert_true((packet == NULL) == (in == out));
        if (packet != NULL) {
            assert_int_equal(due, out);
            assert_int_equal(bytes, 1 + (out * 7919) % MOST);
            assert_int_equal(packet[0], out & 0xff);
            assert_int_equal(packet[bytes - 1], out & 0xff);
            line_pop(&line);
            out++;
        }
    }
    assert_true(full > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate_and_delay_give_the_time_of_arrival),
        cmocka_unit_test(test_queue_holds_its_limit),
        cmocka_unit_test(test_no_more_than_the_rate_passes),
        cmocka_unit_test(test_what_waits_leaves_at_the_new_rate),
        cmocka_unit_test(test_policer_passes_its_rate_and_its_bucket),
        cmocka_unit_test(test_losses_have_their_share_and_length),
        cmocka_unit_test(test_no_loss_loses_nothing_also_after_a_burst),
        cmocka_unit_test(test_lost_packets_have_used_the_link),
        cmocka_unit_test(test_jitter_wanders_within_its_bounds_in_order),
        cmocka_unit_test(test_order_is_kept_when_the_delay_falls),
        cmocka_unit_test(test_outage_comes_before_all_else),
        cmocka_unit_test(test_line_keeps_every_packet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
