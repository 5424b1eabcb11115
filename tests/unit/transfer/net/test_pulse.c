/* When a connection is asked for a sign of life, and when it is given up. */
#include "transfer/net/pulse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void progress_keeps_alive(void **state)
{
    struct pulse p = {.ask_ms = 100, .dead_ms = 200};
    (void)state;
    for (uint64_t now = 1; now < 10000; now += 99) {
        assert_int_equal(pulse_check(&p, now, now), PULSE_ALIVE);
    }
}

static void silence_is_asked_once_and_then_given_up(void **state)
{
    struct pulse p = {.ask_ms = 100, .dead_ms = 200};
    (void)state;
    assert_int_equal(pulse_check(&p, 7, 1000), PULSE_ALIVE);
    assert_int_equal(pulse_check(&p, 7, 1099), PULSE_ALIVE);
    assert_int_equal(pulse_check(&p, 7, 1100), PULSE_ASK);
    assert_int_equal(pulse_check(&p, 7, 1299), PULSE_ALIVE);
    assert_int_equal(pulse_check(&p, 7, 1300), PULSE_DEAD);
}

static void answer_begins_anew(void **state)
{
    struct pulse p = {.ask_ms = 100, .dead_ms = 200};
    (void)state;
    pulse_check(&p, 7, 1000);
    assert_int_equal(pulse_check(&p, 7, 1150), PULSE_ASK);
    assert_int_equal(pulse_check(&p, 8, 1349), PULSE_ALIVE);
    assert_int_equal(pulse_check(&p, 8, 1448), PULSE_ALIVE);
    assert_int_equal(pulse_check(&p, 8, 1449), PULSE_ASK);
}

static void rest_does_not_count(void **state)
{
    struct pulse p = {.ask_ms = 100, .dead_ms = 200};
    (void)state;
    pulse_check(&p, 7, 1000);
    pulse_rest(&p);
    assert_int_equal(pulse_check(&p, 7, 90000), PULSE_ALIVE);
    assert_int_equal(pulse_check(&p, 7, 90100), PULSE_ASK);
    pulse_rest(&p);
    assert_int_equal(pulse_check(&p, 7, 99000), PULSE_ALIVE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(progress_keeps_alive),
        cmocka_unit_test(silence_is_asked_once_and_then_given_up),
        cmocka_unit_test(answer_begins_anew),
        cmocka_unit_test(rest_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
