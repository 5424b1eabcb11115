/* A queue feed between a queue and a host of the test's, on virtual time. Two things hold whatever
 * fails: nothing is deleted that is not durable (the fake checks it), and what the feed says it has
 * brought it has brought (checked all the time). */
#include "daemon/feeds/feeds.h"
#include "tests/unit/support/fake_sqs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define START_MS   1795429230000
#define CHECK_MS   50
#define VISIBILITY 60000

struct bench {
    struct loop *loop;
    struct stat_set *stats;
    struct fake_sqs *queue;
    struct feed *feed; /* NULL: there is none now */
    struct conf_queue conf;
    struct timer check;
    int64_t said_ms; /* the most that was ever said */
    /* The host. */
    uint64_t store_ms;    /* how long it takes to make changes durable */
    unsigned store_fails; /* of the next ones, so many */
    bool has_room;
    unsigned appended;    /* changes */
    unsigned quarantined; /* bodies */
    char reason[200];
    bool ended;
    size_t puts;
};

/* ---- the host ---- */

struct storing {
    struct bench *b;
    struct timer timer;
    feed_done_fn *done;
    void *done_arg;
    size_t messages[200];
    size_t count;
    unsigned changes;
    bool quarantine;
};

static void stored(void *arg)
{
    struct storing *s = arg;
    struct bench *b = s->b;
    struct fail f = {0};
    int status = 0;
    if (b->store_fails > 0) {
        b->store_fails--;
        status = fail_set(&f, REPL_EJOURNAL, "the test's journal fails");
    } else {
        b->appended += s->changes;
        b->quarantined += s->quarantine;
        for (size_t i = 0; i < s->count; i++) {
            fake_sqs_is_durable(b->queue, s->messages[i]);
        }
    }
    s->done(s->done_arg, status, &f);
    mem_free(s);
}

static struct storing *store(struct bench *b, feed_done_fn *done, void *done_arg)
{
    struct storing *s = MEM_NEW(struct storing);
    s->b = b;
    s->done = done;
    s->done_arg = done_arg;
    timer_init(&s->timer, b->loop, stored, s);
    timer_start(&s->timer, b->store_ms);
    return s;
}

/* Keys end with the number of their message. */
static void host_append(void *arg, const struct change *changes, size_t count,
                        struct span cursor_name, struct span cursor, feed_done_fn *done,
                        void *done_arg)
{
    struct storing *s = store(arg, done, done_arg);
    (void)cursor;
    assert_null(cursor_name.ptr);
    for (size_t i = 0; i < count; i++) {
        assert_true(span_eq_str(changes[i].endpoint, "near"));
        assert_true(span_eq_str(changes[i].feed, "queue:events"));
        s->messages[s->count++] = strtoul(changes[i].key.ptr + 4, NULL, 10);
        s->changes++;
    }
}

static void host_quarantine(void *arg, struct span body, struct span reason, feed_done_fn *done,
                            void *done_arg)
{
    struct storing *s = store(arg, done, done_arg);
    snprintf(s->b->reason, sizeof(s->b->reason), "%.*s", SPAN_ARG(reason));
    s->quarantine = true;
    s->messages[s->count++] = strtoul(body.ptr + strcspn(body.ptr, "0123456789"), NULL, 10);
}

static size_t host_room(void *arg)
{
    const struct bench *b = arg;
    return b->has_room ? 1000 : 0;
}

static int64_t host_now_ms(void *arg)
{
    const struct bench *b = arg;
    return loop_wall_ms(b->loop);
}

static void host_news(void *arg)
{
    (void)arg;
}

/* ---- the bench ---- */

static void check(void *arg)
{
    struct bench *b = arg;
    int64_t says = b->feed != NULL ? b->feed->status.complete_through_ms : 0;
    if (says > b->said_ms && says >= fake_sqs_oldest(b->queue)) {
        fail_msg("says %lld, but a message sent %lld is not durable", (long long)says,
                 (long long)fake_sqs_oldest(b->queue));
    }
    b->said_ms = says > b->said_ms ? says : b->said_ms;
    timer_start(&b->check, CHECK_MS);
}

static void start_feed(struct bench *b)
{
    b->feed = queue_feed_new(&(struct queue_feed_options){.loop = b->loop,
                                                          .stats = b->stats,
                                                          .conf = &b->conf,
                                                          .sqs = fake_sqs_open(b->queue),
                                                          .host = {.arg = b,
                                                                   .append = host_append,
                                                                   .quarantine = host_quarantine,
                                                                   .room = host_room,
                                                                   .now_ms = host_now_ms,
                                                                   .news = host_news}});
}

static void feed_ended(void *arg)
{
    struct bench *b = arg;
    b->ended = true;
}

static void stop_feed(struct bench *b)
{
    b->ended = false;
    feed_close(b->feed, feed_ended, b);
    b->feed = NULL;
    for (int i = 0; i < 600 && !b->ended; i++) {
        loop_run_for(b->loop, 100);
    }
    assert_true(b->ended);
}

static struct bench *bench_new(uint64_t seed)
{
    struct bench *b = MEM_NEW(struct bench);
    b->loop = loop_new_virtual(seed, START_MS);
    b->stats = stat_set_new();
    b->queue = fake_sqs_new(b->loop);
    b->conf = (struct conf_queue){.name = "events",
                                  .url = "https://sqs.x/1/events",
                                  .endpoint = "near",
                                  .receivers = 4,
                                  .visibility_ms = VISIBILITY};
    b->store_ms = 5;
    b->has_room = true;
    timer_init(&b->check, b->loop, check, b);
    timer_start(&b->check, CHECK_MS);
    start_feed(b);
    return b;
}

static int set_up(void **state)
{
    *state = bench_new(7);
    return 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    if (b->feed != NULL) {
        stop_feed(b);
    }
    timer_stop(&b->check);
    fake_sqs_free(b->queue);
    stat_set_free(b->stats);
    loop_free(b->loop);
    mem_free(b);
    return 0;
}

static void run(struct bench *b, uint64_t ms)
{
    loop_run_for(b->loop, ms);
}

__attribute__((format(printf, 2, 3))) static size_t put(struct bench *b, const char *format, ...)
{
    struct buf body = {0};
    va_list args;
    va_start(args, format);
    buf_vprintf(&body, format, args);
    va_end(args);
    assert_int_equal(fake_sqs_put(b->queue, buf_view(&body)), b->puts);
    buf_done(&body);
    return b->puts++;
}

#define RECORD                                                                                     \
    "{\"eventSource\":\"aws:s3\",\"eventName\":\"ObjectCreated:Put\",\"s3\":{\"bucket\":{"         \
    "\"name\":\"src\"},\"object\":{\"key\":\"key-%zu\"}}}"

static size_t put_event(struct bench *b)
{
    return put(b, "{\"Records\":[" RECORD "]}", b->puts);
}

static void put_events(struct bench *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        put_event(b);
    }
}

/* An event every so many ms, for so many of them. */
static void run_busy(struct bench *b, uint64_t every_ms, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        put_event(b);
        run(b, every_ms);
    }
}

static int64_t behind_ms(const struct bench *b)
{
    return loop_wall_ms(b->loop) - b->feed->status.complete_through_ms;
}

/* ---- tests ---- */

static void messages_become_changes_and_go(void **state)
{
    struct bench *b = *state;
    put_events(b, 3);
    put(b, "{\"Service\":\"Amazon S3\",\"Event\":\"s3:TestEvent\"}");
    fake_sqs_is_durable(b->queue, 3);
    run(b, 1000);
    assert_int_equal(b->appended, 3);
    assert_int_equal(b->quarantined, 0);
    assert_int_equal(fake_sqs_left(b->queue), 0);
    assert_int_equal(b->feed->status.state, FEED_UP);
    assert_int_equal(b->feed->status.in_hand, 0);
}

static void a_quiet_queue_is_complete_up_to_its_last_empty_answer(void **state)
{
    struct bench *b = *state;
    run(b, VISIBILITY - 1000);
    assert_int_equal(b->feed->status.complete_through_ms, 0);
    assert_non_null(strstr(b->feed->status.waiting_for, "may come back until"));
    run(b, 45000);
    for (int i = 0; i < 100; i++) {
        run(b, 1000);
        assert_true(behind_ms(b) < 21000);
    }
    unsigned requests = fake_sqs_requests(b->queue, SQS_RECEIVE);
    run(b, 60000);
    assert_in_range(fake_sqs_requests(b->queue, SQS_RECEIVE) - requests, 5, 7);
}

static void a_busy_queue_is_complete_up_to_a_minute_ago(void **state)
{
    struct bench *b = *state;
    run_busy(b, 50, 3000);
    assert_true(behind_ms(b) < 60000 + 25000);
    assert_true(b->feed->status.complete_through_ms > START_MS);
}

static void a_backlog_holds_it_until_it_is_read(void **state)
{
    struct bench *b = *state;
    run(b, VISIBILITY + 50000);
    int64_t before = b->feed->status.complete_through_ms;
    b->has_room = false;
    run(b, 12000); /* what was asked for ends */
    put_events(b, 2000);
    run(b, 200000);
    assert_true(b->feed->status.complete_through_ms < before + 30000);
    assert_int_equal(b->feed->status.waiting, 2000);
    assert_int_equal(strcmp(b->feed->status.waiting_for, "about 2000 messages wait in it"), 0);
    assert_int_equal(b->appended, 0);
    b->has_room = true;
    run(b, 60000);
    assert_int_equal(fake_sqs_left(b->queue), 0);
    assert_int_equal(b->appended, 2000);
    assert_int_equal(fake_sqs_most_receives(b->queue), 4);
    assert_true(behind_ms(b) < 25000);
}

static void others_hands_hold_it(void **state)
{
    struct bench *b = *state;
    b->has_room = false;
    run(b, VISIBILITY + 50000);
    fake_sqs_take_away(b->queue, put_event(b), 100000);
    b->has_room = true;
    int64_t sent_ms = loop_wall_ms(b->loop);
    run(b, 90000);
    assert_true(b->feed->status.complete_through_ms < sent_ms);
    assert_non_null(strstr(b->feed->status.waiting_for, "somebody else"));
    run(b, 40000);
    assert_int_equal(b->appended, 1);
    assert_true(behind_ms(b) < 25000);
}

static void a_slow_journal_keeps_its_messages(void **state)
{
    struct bench *b = *state;
    b->store_ms = 10 * VISIBILITY;
    put_events(b, 3);
    run(b, 10 * VISIBILITY + 1000);
    assert_int_equal(b->appended, 3); /* none of them was given out twice */
    assert_int_equal(fake_sqs_left(b->queue), 0);
    assert_true(fake_sqs_requests(b->queue, SQS_HIDE) >= 30);
    b->store_ms = 5;
}

static void a_failing_journal_is_tried_again(void **state)
{
    struct bench *b = *state;
    b->store_fails = 3;
    put_event(b);
    run(b, 1500);
    assert_int_equal(b->feed->status.state, FEED_DOWN);
    assert_int_equal(b->feed->status.fail.code, REPL_EJOURNAL);
    assert_int_equal(fake_sqs_left(b->queue), 1);
    run(b, 15000);
    assert_int_equal(b->feed->status.state, FEED_UP);
    assert_int_equal(fake_sqs_left(b->queue), 0);
    assert_int_equal(b->appended, 1);
}

static void what_cannot_be_read_goes_to_quarantine(void **state)
{
    struct bench *b = *state;
    put(b, "bad %zu", b->puts);
    put(b, "{\"Records\":[" RECORD ",{\"eventSource\":\"0\"}]}", b->puts);
    put(b, "{\"MessageId\":\"%zu\",\"Type\":\"SubscriptionConfirmation\",\"TopicArn\":\"t\"}",
        b->puts);
    put_event(b);
    run(b, 1000);
    assert_int_equal(b->appended, 2);
    assert_int_equal(b->quarantined, 3);
    assert_int_equal(b->feed->status.bad_rows, 3);
    assert_int_equal(fake_sqs_left(b->queue), 0);
}

static void quarantine_is_tried_again_too(void **state)
{
    struct bench *b = *state;
    b->store_fails = 2;
    put(b, "bad %zu", b->puts);
    run(b, 5000);
    assert_int_equal(b->quarantined, 1);
    assert_int_equal(fake_sqs_left(b->queue), 0);
    assert_non_null(strstr(b->reason, "neither JSON"));
}

static void a_queue_that_does_not_answer_is_asked_seldom(void **state)
{
    struct bench *b = *state;
    fake_sqs_fails(b->queue, 1);
    put_event(b);
    run(b, 300000);
    assert_int_equal(b->feed->status.state, FEED_DOWN);
    assert_int_equal(b->feed->status.fail.code, REPL_ENET);
    assert_int_equal(b->feed->status.complete_through_ms, 0);
    assert_in_range(fake_sqs_requests(b->queue, SQS_RECEIVE), 10, 60);
    fake_sqs_fails(b->queue, 0);
    run(b, 40000);
    assert_int_equal(b->feed->status.state, FEED_UP);
    run(b, VISIBILITY);
    assert_int_equal(b->appended, 1);
    assert_int_equal(fake_sqs_left(b->queue), 0);
}

static void its_clock_counts(void **state)
{
    struct bench *b = *state;
    fake_sqs_skew(b->queue, 3600000);
    run(b, VISIBILITY - 1000);
    assert_int_equal(b->feed->status.complete_through_ms, 0);
    run(b, 60000);
    assert_true(behind_ms(b) < 25000 - 3600000);
}

static void closing_deletes_what_is_durable(void **state)
{
    struct bench *b = *state;
    fake_sqs_latency(b->queue, 500);
    put_events(b, 5);
    run(b, 510); /* received and stored, the delete is on its way */
    assert_int_equal(b->appended, 5);
    stop_feed(b);
    assert_int_equal(fake_sqs_left(b->queue), 0);
}

static void closing_leaves_what_is_not(void **state)
{
    struct bench *b = *state;
    put_events(b, 5);
    b->store_fails = 1;
    b->store_ms = 5000;
    run(b, 1000);
    stop_feed(b);
    assert_int_equal(fake_sqs_left(b->queue), 5);
    b->store_ms = 5;
    start_feed(b);
    run(b, VISIBILITY + 1000);
    assert_int_equal(b->appended, 5);
    assert_int_equal(fake_sqs_left(b->queue), 0);
}

/* Whatever is lost on the way, and however often the feed begins anew. */
static void stormy(uint64_t seed)
{
    struct bench *b = bench_new(seed);
    uint64_t r = seed;
    fake_sqs_fails(b->queue, 5);
    for (int turn = 0; turn < 300; turn++) {
        r = r * 6364136223846793005u + 1442695040888963407u;
        put_events(b, r >> 60);
        b->store_ms = r >> 40 & 1023;
        b->store_fails = (r >> 50 & 15) == 0 ? 2 : b->store_fails;
        run(b, r >> 30 & 4095);
        if ((r >> 56 & 15) == 0) {
            stop_feed(b);
            start_feed(b);
        }
    }
    fake_sqs_fails(b->queue, 0);
    run(b, 4 * VISIBILITY);
    if (fake_sqs_left(b->queue) > 0 || fake_sqs_oldest(b->queue) != INT64_MAX) {
        fail_msg("seed %llu: %zu messages are left", (unsigned long long)seed,
                 fake_sqs_left(b->queue));
    }
    assert_true(behind_ms(b) < 25000);
    void *state = b;
    tear_down(&state);
}

static void nothing_is_lost(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        stormy(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_become_changes_and_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_quiet_queue_is_complete_up_to_its_last_empty_answer,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_busy_queue_is_complete_up_to_a_minute_ago, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_backlog_holds_it_until_it_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(others_hands_hold_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_slow_journal_keeps_its_messages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failing_journal_is_tried_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_goes_to_quarantine, set_up, tear_down),
        cmocka_unit_test_setup_teardown(quarantine_is_tried_again_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_queue_that_does_not_answer_is_asked_seldom, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(its_clock_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(closing_deletes_what_is_durable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(closing_leaves_what_is_not, set_up, tear_down),
        cmocka_unit_test(nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
