/* Limits as operators write them: rates, timetables, and what is refused. */
#include "daemon/conf/limit.h"

#include "daemon/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct limit bandwidth(struct arena *a, const char *text)
{
    struct limit l = {0};
    struct fail f = {0};
    if (limit_parse_bandwidth(span_str(text), a, &l, &f) != 0) {
        fail_msg("%s: %s", text, f.text);
    }
    return l;
}

static uint64_t rate_at(const struct limit *l, unsigned hour, unsigned minute)
{
    const struct limit_entry *e = limit_at(l, hour * 60 + minute);
    return e != NULL ? e->rate : 0;
}

static void test_bits_and_bytes_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t rate;
    } cases[] = {
        {"200mbit", 25000000}, {"200mbit/s", 25000000}, {"1.5gbit", 187500000},   {"64kbit", 8000},
        {"25MB/s", 25000000},  {"1MiB/s", 1048576},     {" 2048KiB/s ", 2097152}, {"off", 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena a;
        arena_init(&a);
        struct limit l = bandwidth(&a, cases[i].text);
        assert_int_equal(rate_at(&l, 0, 0), cases[i].rate);
        assert_int_equal(rate_at(&l, 23, 59), cases[i].rate);
        arena_done(&a);
    }
}

static void test_timetable(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a);
    struct limit l = bandwidth(&a, "08:00-20:00 100mbit, 22:30-01:00 off, 400mbit");
    assert_int_equal(rate_at(&l, 7, 59), 50000000);
    assert_int_equal(rate_at(&l, 8, 0), 12500000);
    assert_int_equal(rate_at(&l, 19, 59), 12500000);
    assert_int_equal(rate_at(&l, 20, 0), 50000000);
    assert_int_equal(rate_at(&l, 23, 0), 0);
    assert_int_equal(rate_at(&l, 0, 59), 0);
    assert_int_equal(rate_at(&l, 1, 0), 50000000);
    assert_string_equal(limit_at(&l, 600)->text, "100mbit");
    l = bandwidth(&a, "00:00-12:00 1MB/s,12:00-24:00 2MB/s");
    assert_int_equal(rate_at(&l, 11, 59), 1000000);
    assert_int_equal(rate_at(&l, 12, 0), 2000000);
    l = bandwidth(&a, "09:00-17:00 1MB/s");
    assert_int_equal(rate_at(&l, 17, 0), 0);
    arena_done(&a);
}

static void test_requests(void **state)
{
    (void)state;
    struct arena a;
    struct limit l = {0};
    struct fail f = {0};
    arena_init(&a);
    assert_int_equal(limit_parse_requests(span_str("08:00-20:00 100/s, 500/s"), &a, &l, &f), 0);
    assert_int_equal(rate_at(&l, 9, 0), 100);
    assert_int_equal(rate_at(&l, 21, 0), 500);
    static const char *const bad[] = {"500", "0/s", "5mbit", "1.5/s", "-1/s", "/s", "2000000/s"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(limit_parse_requests(span_str(bad[i]), &a, &l, &f), REPL_EBADINPUT);
        assert_non_null(strstr(f.text, bad[i]));
        assert_non_null(strstr(f.hint, "500/s"));
    }
    arena_done(&a);
}

static void test_what_is_not_clear_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "200",
                                      "200m",
                                      "25MB", /* a size, not a rate */
                                      "200Mbit",
                                      "200 mbit fast",
                                      "0mbit",
                                      "7kbit",
                                      "9000gbit",
                                      "100mbit,",
                                      "100mbit, 200mbit",
                                      "08:00-20:00",
                                      "08:00-20:00100mbit",
                                      "8:00-20:00 100mbit",
                                      "08:00-24:01 100mbit",
                                      "08:60-20:00 100mbit",
                                      "24:00-08:00 1mbit",
                                      "08:00-08:00 100mbit",
                                      "20:00-20:00 100mbit",
                                      "100mbit, 08:00-20:00 200mbit",
                                      "08:00-20:00 1mbit, 19:00-21:00 2mbit",
                                      "22:00-06:00 1mbit, 05:59-07:00 2mbit",
                                      "08:00-20:00 1mbit, 00:00-24:00 2mbit"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct arena a;
        struct limit l = {0};
        struct fail f = {0};
        arena_init(&a);
        if (limit_parse_bandwidth(span_str(bad[i]), &a, &l, &f) != REPL_EBADINPUT) {
            fail_msg("\"%s\" is taken", bad[i]);
        }
        assert_true(f.text[0] != '\0' && f.hint[0] != '\0');
        assert_null(l.text);
        arena_done(&a);
    }
}

static void test_printed_is_read_back(void **state)
{
    (void)state;
    static const char *const texts[] = {"off", "200mbit", "25MB/s",
                                        "08:00-20:00 100mbit, 22:00-06:00 off, 400mbit/s"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct arena a;
        struct buf printed = {0};
        arena_init(&a);
        struct limit l = bandwidth(&a, texts[i]);
        limit_print(&l, &printed);
        assert_string_equal(buf_cstr(&printed), texts[i]);
        buf_done(&printed);
        arena_done(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits_and_bytes_are_told_apart),
        cmocka_unit_test(test_timetable),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_what_is_not_clear_is_refused),
        cmocka_unit_test(test_printed_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
