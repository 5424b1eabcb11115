#include "daemon/conf/brake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct brake_limit parsed(struct arena *a, const char *text)
{
    struct brake_limit l = {0};
    struct fail f = {0};
    if (brake_limit_parse(span_str(text), a, &l, &f) != 0) {
        fail_msg("%s: %s", text, f.text);
    }
    return l;
}

static void test_what_is_written(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        struct brake_limit is;
    } cases[] = {{"1000 or 10% in 10min", {.count = 1000, .percent = 10, .window_ms = 600000}},
                 {"10% or 1000 in 10min", {.count = 1000, .percent = 10, .window_ms = 600000}},
                 {"200 in 1h", {.count = 200, .window_ms = 3600000}},
                 {" 5%  in 1d", {.percent = 5, .window_ms = 86400000}},
                 {"off", {0}}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena a;
        struct buf printed = {0};
        arena_init(&a);
        struct brake_limit l = parsed(&a, cases[i].text);
        assert_int_equal(l.count, cases[i].is.count);
        assert_int_equal(l.percent, cases[i].is.percent);
        assert_int_equal(l.window_ms, cases[i].is.window_ms);
        brake_limit_print(&l, &printed);
        assert_true(span_eq(buf_view(&printed), span_trim(span_str(cases[i].text))));
        buf_done(&printed);
        arena_done(&a);
    }
}

static void test_what_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "1000",
                                      "in 10min",
                                      "0 in 10min",
                                      "x in 10min",
                                      "101% in 10min",
                                      "1000 in 10s",
                                      "1000 in 2d",
                                      "1000 in x",
                                      "1 or 2 in 1h",
                                      "5% or 6% in 1h",
                                      "1 or in 1h",
                                      "-1 in 1h",
                                      "1000 or off in 1h"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct arena a;
        struct brake_limit l = {0};
        struct fail f = {0};
        arena_init(&a);
        if (brake_limit_parse(span_str(bad[i]), &a, &l, &f) != REPL_EBADINPUT) {
            fail_msg("\"%s\" is taken", bad[i]);
        }
        assert_true(f.text[0] != '\0' && f.hint[0] != '\0');
        arena_done(&a);
    }
}

static void test_when_it_is_passed(void **state)
{
    (void)state;
    struct arena a;
    struct buf why = {0};
    arena_init(&a);
    struct brake_limit l = parsed(&a, "1000 or 10% in 10min");
    assert_false(brake_limit_is_passed(&l, 1000, 1000000, &why));
    assert_int_equal(why.len, 0);
    assert_true(brake_limit_is_passed(&l, 1001, 1000000, &why));
    assert_string_equal(buf_cstr(&why), "1001 deletes are more than 1000 or 10% in 10min allows");
    assert_false(brake_limit_is_passed(&l, 100, 1000, NULL));
    buf_reset(&why);
    assert_true(brake_limit_is_passed(&l, 101, 1000, &why));
    assert_string_equal(buf_cstr(&why),
                        "101 deletes of 1000 objects are more than 1000 or 10% in 10min allows");
    assert_false(brake_limit_is_passed(&l, 20, 20, NULL)); /* the share says nothing of so few */
    assert_true(brake_limit_is_passed(&l, 21, 21, NULL));
    l = parsed(&a, "off");
    assert_false(brake_limit_is_passed(&l, 1000000, 10, NULL));
    buf_done(&why);
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_when_it_is_passed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
