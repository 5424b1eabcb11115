/* When a connection is asked for a sign of life, and when it is given up. */
#include "transfer/net/pulse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static enum pulse_says check(struct pulse *p, uint64_t came, uint64_t acked, uint64_t now_ms)
{
    return pulse_check(p, &(struct pulse_seen){.came = came, .acked = acked, .sent = 1000}, now_ms);
}

static void signs_keep_alive(void **state)
{
    struct pulse p = {.ask_ms = 100, .dead_ms = 200};
    (void)state;
    for (uint64_t i = 1; i < 500; i++) {
        assert_int_equal(check(&p, i, 0, i * 99), PULSE_ALIVE);
    }
    for (uint64_t i = 500; i < 999; i++) { /* a slow upload, and the peer says nothing */
        assert_int_equal(check(&p, 500, i, i * 99), PULSE_ALIVE);
    }
}

static void silence_is_asked_once_and_then_given_up(void **state)
{
    struct pulse p = {.ask_ms = 100, .dead_ms = 200};
    (void)state;
    assert_int_equal(check(&p, 7, 7, 1000), PULSE_ALIVE);
    assert_int_equal(check(&p, 7, 7, 1099), PULSE_ALIVE);
    assert_int_equal(check(&p, 7, 7, 1100), PULSE_ASK);
    assert_int_equal(check(&p, 7, 7, 1299), PULSE_ALIVE);
    assert_int_equal(check(&p, 7, 7, 1300), PULSE_DEAD);
}

static void kernel_alone_is_no_answer(void **state)
{
    struct pulse p = {.ask_ms = 100, .dead_ms = 200};
    (void)state;
    check(&p, 7, 990, 1000);
    assert_int_equal(check(&p, 7, 990, 1100), PULSE_ASK);
    assert_int_equal(check(&p, 7, 1000, 1101), PULSE_ALIVE); /* our question is acknowledged */
    assert_int_equal(check(&p, 7, 1000, 1300), PULSE_DEAD);
}

static void answer_begins_anew(void **state)
{
    struct pulse p = {.ask_ms = 100, .dead_ms = 200};
    (void)state;
    check(&p, 7, 1000, 1000);
    assert_int_equal(check(&p, 7, 1000, 1150), PULSE_ASK);
    assert_int_equal(check(&p, 8, 1000, 1349), PULSE_ALIVE);
    assert_int_equal(check(&p, 8, 1000, 1448), PULSE_ALIVE);
    assert_int_equal(check(&p, 8, 1000, 1449), PULSE_ASK);
}

static void rest_does_not_count(void **state)
{
    struct pulse p = {.ask_ms = 100, .dead_ms = 200};
    (void)state;
    check(&p, 7, 7, 1000);
    pulse_rest(&p);
    assert_int_equal(check(&p, 7, 7, 90000), PULSE_ALIVE);
    assert_int_equal(check(&p, 7, 7, 90100), PULSE_ASK);
    pulse_rest(&p);
    assert_int_equal(check(&p, 7, 7, 99000), PULSE_ALIVE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_keep_alive),
        cmocka_unit_test(silence_is_asked_once_and_then_given_up),
        cmocka_unit_test(kernel_alone_is_no_answer),
        cmocka_unit_test(answer_begins_anew),
        cmocka_unit_test(rest_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
