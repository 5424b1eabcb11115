#include "transfer/copy/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static enum retry_action decide(int code, unsigned attempt, uint64_t chance, uint32_t *ret_ms)
{
    struct fail f = {.code = code};
    return retry_decide(&f, attempt, chance, ret_ms);
}

static void classes_are_repeated_or_not(void **state)
{
    (void)state;
    uint32_t ms;
    assert_int_equal(decide(REPL_ENET, 1, 0, &ms), RETRY_AGAIN);
    assert_int_equal(decide(REPL_ETHROTTLED, 1, 0, &ms), RETRY_AGAIN);
    assert_int_equal(decide(REPL_ECHECKSUM, 1, 0, &ms), RETRY_AGAIN);
    assert_int_equal(decide(REPL_EDENIED, 1, 0, &ms), RETRY_AGAIN);
    assert_int_equal(decide(REPL_ENOKEY, 1, 0, &ms), RETRY_GIVE_UP);
    assert_int_equal(decide(REPL_EREFUSED, 1, 0, &ms), RETRY_GIVE_UP);
    assert_int_equal(decide(REPL_EINTERNAL, 1, 0, &ms), RETRY_GIVE_UP);
}

static void attempts_are_bounded(void **state)
{
    (void)state;
    uint32_t ms;
    for (int class = FAIL_NONE; class <= FAIL_BUG; class ++) {
        assert_true(retry_limit((enum fail_class) class) <= 16);
    }
    for (unsigned attempt = 1; attempt < 100; attempt++) {
        bool again = decide(REPL_ENET, attempt, 0, &ms) == RETRY_AGAIN;
        assert_int_equal(again, attempt < retry_limit(FAIL_RETRY));
    }
}

/* Full jitter: from nothing to base × 2^(attempt − 1), never over the cap. */
static void delay_is_jittered_and_capped(void **state)
{
    (void)state;
    for (unsigned attempt = 1; attempt < 16; attempt++) {
        uint64_t most = (uint64_t)RETRY_BASE_MS << (attempt - 1);
        most = most > RETRY_CAP_MS ? RETRY_CAP_MS : most;
        uint32_t ms, highest = 0;
        for (uint64_t chance = 0; chance <= most; chance++) {
            assert_int_equal(decide(REPL_ETHROTTLED, attempt, chance, &ms), RETRY_AGAIN);
            assert_int_equal(ms, chance);
            highest = ms > highest ? ms : highest;
        }
        assert_int_equal(highest, most);
    }
}

static void server_may_ask_for_longer(void **state)
{
    (void)state;
    uint32_t ms;
    struct fail f = {.code = REPL_ETHROTTLED, .retry_after_ms = 7000};
    retry_decide(&f, 1, 0, &ms);
    assert_int_equal(ms, 7000);
    f.retry_after_ms = 86400000;
    retry_decide(&f, 1, 0, &ms);
    assert_int_equal(ms, RETRY_AFTER_MAX_MS);
}

static void what_is_lost_has_two_round_trips_to_settle(void **state)
{
    (void)state;
    assert_int_equal(retry_settle_ms(0), RETRY_SETTLE_MS);
    assert_int_equal(retry_settle_ms(40000), RETRY_SETTLE_MS);
    assert_int_equal(retry_settle_ms(150000), 300);
    assert_int_equal(retry_settle_ms(UINT32_MAX), RETRY_CAP_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_are_repeated_or_not),
        cmocka_unit_test(attempts_are_bounded),
        cmocka_unit_test(delay_is_jittered_and_capped),
        cmocka_unit_test(server_may_ask_for_longer),
        cmocka_unit_test(what_is_lost_has_two_round_trips_to_settle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
