/* Up to what moment a queue has told everything: both proofs, and what takes them away. */
#include "daemon/feeds/queue_through.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define HIDDEN 60000
#define BEGIN  1000000
#define CALM   (BEGIN + HIDDEN + QUEUE_OVERLAP_MS)

static struct queue_through begun(void)
{
    struct queue_through t = {0};
    queue_through_answer(&t, BEGIN, HIDDEN);
    return t;
}

static void quiet(struct queue_through *t, int64_t asked_ms, uint64_t hidden, uint64_t ours)
{
    queue_through_empty(t, asked_ms);
    queue_through_counted(t, &(struct queue_counts){.asked_ms = asked_ms + 10000,
                                                    .hidden = hidden,
                                                    .ours_least = ours,
                                                    .ours_most = ours + 10});
}

static void quiet_proves_the_question(void **state)
{
    (void)state;
    struct queue_through t = begun();
    quiet(&t, CALM - 1, 0, 0);
    assert_int_equal(queue_through_read(&t, 0), 0);
    quiet(&t, CALM + 5, 0, 0);
    assert_int_equal(queue_through_read(&t, 0), CALM + 5);
    quiet(&t, CALM + 7, 1, 0); /* hidden by somebody else */
    assert_int_equal(queue_through_read(&t, 0), CALM + 5);
    assert_int_equal(t.others, 1);
    quiet(&t, CALM + 9, 1, 1);
    assert_int_equal(queue_through_read(&t, 0), CALM + 9);
    quiet(&t, CALM + 2, 0, 0);
    assert_int_equal(queue_through_read(&t, 0), CALM + 9); /* never back */
}

static void a_count_alone_proves_nothing(void **state)
{
    (void)state;
    struct queue_through t = begun();
    queue_through_counted(&t, &(struct queue_counts){.asked_ms = CALM + HIDDEN});
    queue_through_counted(&t, &(struct queue_counts){.asked_ms = CALM + 2 * HIDDEN});
    assert_int_equal(queue_through_read(&t, 0), 0);
}

static void delayed_messages_are_not_told(void **state)
{
    (void)state;
    struct queue_through t = begun();
    queue_through_empty(&t, CALM + 1);
    queue_through_counted(&t, &(struct queue_counts){.asked_ms = CALM + 2, .delayed = 1});
    assert_int_equal(queue_through_read(&t, 0), 0);
}

static void busy(struct queue_through *t, int64_t asked_ms, uint64_t came, int64_t age_ms,
                 uint64_t waiting)
{
    for (uint64_t i = 0; i < came; i++) {
        queue_through_came(t, asked_ms - age_ms, asked_ms);
    }
    queue_through_counted(
        t, &(struct queue_counts){
               .asked_ms = asked_ms, .waiting = waiting, .hidden = 15, .ours_most = 20});
}

static void busy_proves_a_minute_before(void **state)
{
    (void)state;
    struct queue_through t = begun();
    int64_t at = CALM + 600000;
    busy(&t, at, 10, 500, 10); /* as many wait as came: a backlog perhaps */
    assert_int_equal(queue_through_read(&t, 0), 0);
    busy(&t, at, 11, QUEUE_SETTLE_MS, 10); /* too old */
    assert_int_equal(queue_through_read(&t, 0), 0);
    busy(&t, at, 11, 500, 10);
    assert_int_equal(queue_through_read(&t, 0), at - QUEUE_SETTLE_MS);
    at += 10000;
    queue_through_came(&t, 0, at); /* of no known age */
    busy(&t, at, 100, 500, 0);
    assert_int_equal(queue_through_read(&t, 0), at - 10000 - QUEUE_SETTLE_MS);
}

static void a_lost_answer_takes_proofs_away_for_a_while(void **state)
{
    (void)state;
    struct queue_through t = begun();
    queue_through_empty(&t, CALM + 1);
    queue_through_lost(&t);
    queue_through_counted(&t, &(struct queue_counts){.asked_ms = CALM + 2});
    assert_int_equal(queue_through_read(&t, 0), 0);
    queue_through_answer(&t, CALM + 10, HIDDEN);
    quiet(&t, CALM + 10 + HIDDEN, 0, 0);
    assert_int_equal(queue_through_read(&t, 0), 0);
    quiet(&t, CALM + 10 + HIDDEN + QUEUE_OVERLAP_MS, 0, 0);
    assert_int_equal(queue_through_read(&t, 0), CALM + 10 + HIDDEN + QUEUE_OVERLAP_MS);
}

static void messages_in_hand_hold_it(void **state)
{
    (void)state;
    struct queue_through t = begun();
    quiet(&t, CALM + 100, 0, 0);
    assert_int_equal(queue_through_read(&t, CALM + 101), CALM + 100);
    assert_int_equal(queue_through_read(&t, CALM + 100), CALM + 99);
    assert_int_equal(queue_through_read(&t, 5), 4);
}

static void assert_text(const struct queue_through *t, const char *text)
{
    char said[160];
    queue_through_text(t, said, sizeof(said));
    if (strstr(said, text) == NULL) {
        fail_msg("\"%s\" says nothing of \"%s\"", said, text);
    }
}

static void what_it_waits_for(void **state)
{
    (void)state;
    struct queue_through t = {0};
    assert_text(&t, "not answered yet");
    queue_through_answer(&t, BEGIN, HIDDEN);
    assert_text(&t, "may come back until 1970-01-01T00:18:00Z");
    queue_through_answer(&t, CALM, HIDDEN);
    assert_text(&t, "next answer");
    queue_through_counted(&t, &(struct queue_counts){.asked_ms = CALM, .waiting = 3, .delayed = 4});
    assert_text(&t, "about 7 messages wait");
    queue_through_counted(&t, &(struct queue_counts){.asked_ms = CALM, .hidden = 2});
    assert_text(&t, "about 2 of its messages are in the hands");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quiet_proves_the_question),
        cmocka_unit_test(a_count_alone_proves_nothing),
        cmocka_unit_test(delayed_messages_are_not_told),
        cmocka_unit_test(busy_proves_a_minute_before),
        cmocka_unit_test(a_lost_answer_takes_proofs_away_for_a_while),
        cmocka_unit_test(messages_in_hand_hold_it),
        cmocka_unit_test(what_it_waits_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
