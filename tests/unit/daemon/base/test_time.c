#include "daemon/base/fail.h"
#include "daemon/base/loop.h"
#include "daemon/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
/* cmocka needs those above first */
#include <cmocka.h>

#define DAY_MS 86400000LL

static const struct {
    const char *text;
    int64_t ms;
} good[] = {
    {"1970-01-01T00:00:00Z", 0},
    {"1970-01-01", 0},
    {"1969-12-31T23:59:59.999Z", -1},
    {"2026-11-23T10:20:30Z", 1795429230000},
    {"2026-11-23t10:20:30z", 1795429230000},
    {"2026-11-23 10:20:30", 1795429230000},
    {"2026-11-23T10:20:30", 1795429230000},
    {"2026-11-23T10:20Z", 1795429200000},
    {"2026-11-23T10:20:30.5Z", 1795429230500},
    {"2026-11-23T10:20:30.000Z", 1795429230000},
    {"2026-11-23T10:20:30.123456789Z", 1795429230123},
    {"2026-11-23T10:20:30,25Z", 1795429230250},
    {"2026-11-23T12:20:30+02:00", 1795429230000},
    {"2026-11-23T04:50:30-0530", 1795429230000},
    {"2026-11-23 12:20:30.5+02", 1795429230500},
    {"20261123T102030Z", 1795429230000},
    {"20261123T102030.25Z", 1795429230250},
    {"Mon, 23 Nov 2026 10:20:30 GMT", 1795429230000},
    {"mon, 23 nov 2026 10:20:30 GMT", 1795429230000},
    {"Mon, 23 Nov 2026 10:20:30 +0000", 1795429230000},
    {"Monday, 23-Nov-26 10:20:30 GMT", 1795429230000},
    {"Mon Nov 23 10:20:30 2026", 1795429230000},
    {"Sun Nov  1 10:20:30 2026", 1793528430000},
    {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777000},
    {"2024-02-29T00:00:00Z", 1709164800000},
    {"2000-02-29T00:00:00Z", 951782400000},
    {"2016-12-31T23:59:60Z", 1483228800000},
    {"9999-12-31T23:59:59Z", 253402300799000},
    {"0001-01-01T00:00:00Z", -62135596800000},
};

static const char *const bad[] = {
    "",
    " ",
    "x",
    "2026",
    "2026-11",
    "2026-1-23",
    "2026-11-23T",
    "2026-11-23T1",
    "2026-11-23T10",
    "2026-11-23T10:",
    "2026-11-23T10:20:",
    "2026-11-23T10:20:3",
    "2026-11-23T10:20:30.",
    "2026-11-23T10:20:30.Z",
    "2026-11-23T10:20:30ZZ",
    "2026-11-23T10:20:30 Z",
    "2026-11-23T10:20:30+",
    "2026-11-23T10:20:30+2",
    "2026-11-23T10:20:30+02:",
    "2026-11-23T10:20:30+02:0",
    "2026-11-23T10:20:30+24:00",
    "2026-11-23T10:20:30+02:60",
    "2026-13-01",
    "2026-00-01",
    "2026-01-00",
    "2026-01-32",
    "2026-02-29",
    "1900-02-29",
    "2026-04-31",
    "2026-11-23T24:00:00Z",
    "2026-11-23T10:60:00Z",
    "2026-11-23T10:20:61Z",
    "2026-1123",
    "202611-23",
    "-2026-11-23",
    "12026-11-23",
    "Mon",
    "Mon,",
    "Mon, 23",
    "Mon, 23 Nov 2026",
    "Mon, 23 Nov 2026 10:20:30",
    "Mon, 23 Nov 2026 10:20:30 CET",
    "Mon, 31 Feb 2026 10:20:30 GMT",
    "Mon, 23 Foo 2026 10:20:30 GMT",
    "Mon Nov 23 10:20:30",
    "Mon Nov 31 10:20:30 2026",
    "Monday, 23-Nov-26 10:20:30",
    "2026-11-23T10:20:30Z\n",
};

/* Copied to the end of a block of its own, where the address sanitizer sees one byte too many. */
static int parse(const char *text, size_t len, int64_t *ret)
{
    char *exact = len > 0 ? memcpy(mem_alloc(len), text, len) : NULL;
    int rc = time_parse(exact, len, ret);
    mem_free(exact);
    return rc;
}

static void test_reads_what_servers_write(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        int64_t ms = 77;
        if (parse(good[i].text, strlen(good[i].text), &ms) != 0 || ms != good[i].ms) {
            fail_msg("%s: %lld instead of %lld", good[i].text, (long long)ms,
                     (long long)good[i].ms);
        }
    }
}

static void test_refuses_the_rest(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t ms = 77;
        if (parse(bad[i], strlen(bad[i]), &ms) != REPL_EBADINPUT || ms != 77) {
            fail_msg("%s was read", bad[i]);
        }
    }
}

static void test_every_prefix_stays_inside(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        for (size_t len = 0; len < strlen(good[i].text); len++) {
            int64_t ms;
            parse(good[i].text, len, &ms);
        }
    }
}

/* Against the C library, on each day of 900 years and at odd times of it. */
static void test_agrees_with_the_library(void **state)
{
    (void)state;
    for (int64_t day = -200000; day < 130000; day++) {
        int64_t ms = day * DAY_MS + (day * 7919 % DAY_MS + DAY_MS) % DAY_MS / 1000 * 1000;
        time_t seconds = (time_t)(ms / 1000);
        struct tm tm;
        char want[32];
        char got[32];
        int64_t back = 0;
        gmtime_r(&seconds, &tm);
        strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%SZ", &tm);
        time_iso(ms, got);
        assert_string_equal(got, want);
        assert_int_equal(time_parse(got, strlen(got), &back), 0);
        assert_true(back == ms);
        time_iso_basic(ms, got);
        strftime(want, sizeof(want), "%Y%m%dT%H%M%SZ", &tm);
        assert_string_equal(got, want);
        assert_int_equal(time_parse(got, strlen(got), &back), 0);
        assert_true(back == ms);
        strftime(want, sizeof(want), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        assert_int_equal(time_parse(want, strlen(want), &back), 0);
        assert_true(back == ms);
    }
}

static void test_milliseconds_are_cut_off(void **state)
{
    (void)state;
    char text[32];
    time_iso(1795429230999, text);
    assert_string_equal(text, "2026-11-23T10:20:30Z");
    time_iso(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59Z");
}

static void test_any_number_fits(void **state)
{
    (void)state;
    const int64_t extremes[] = {INT64_MIN, INT64_MIN + 1, INT64_MAX, INT64_MAX - 1};
    for (size_t i = 0; i < sizeof(extremes) / sizeof(extremes[0]); i++) {
        char text[32];
        time_iso(extremes[i], text);
        assert_true(memchr(text, '\0', sizeof(text)) != NULL);
        time_iso_basic(extremes[i], text);
        assert_true(memchr(text, '\0', sizeof(text)) != NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_what_servers_write),
        cmocka_unit_test(test_refuses_the_rest),
        cmocka_unit_test(test_every_prefix_stays_inside),
        cmocka_unit_test(test_agrees_with_the_library),
        cmocka_unit_test(test_milliseconds_are_cut_off),
        cmocka_unit_test(test_any_number_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
