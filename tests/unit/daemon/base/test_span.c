#include "daemon/base/span.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka needs those above first */
#include <cmocka.h>

#define S(text) span_of(text, sizeof(text) - 1)

static int sign(int n)
{
    return (n > 0) - (n < 0);
}

static void test_cmp_is_byte_order(void **state)
{
    (void)state;
    const struct span ordered[] = {span_of(NULL, 0), S("\x01"),     S("A"),   S("a"),
                                   S("a\0"),         S("a\0b"),     S("aa"),  S("b"),
                                   S("\x7f"),        S("\xc3\xa4"), S("\xff")};
    const size_t count = sizeof(ordered) / sizeof(ordered[0]);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < count; k++) {
            assert_int_equal(sign(span_cmp(ordered[i], ordered[k])), sign((int)i - (int)k));
            assert_int_equal(span_eq(ordered[i], ordered[k]), i == k);
        }
    }
    assert_int_equal(span_cmp(span_of(NULL, 0), S("")), 0);
    assert_true(span_eq(span_of(NULL, 0), S("")));
}

static void test_prefix_and_suffix(void **state)
{
    (void)state;
    assert_true(span_starts_with(S("logs/2026"), S("logs/")));
    assert_true(span_starts_with(S("logs"), S("logs")));
    assert_true(span_starts_with(S("logs"), span_of(NULL, 0)));
    assert_true(span_starts_with(span_of(NULL, 0), S("")));
    assert_false(span_starts_with(S("log"), S("logs")));
    assert_false(span_starts_with(S("xlogs"), S("logs")));
    assert_true(span_ends_with(S("a.tmp"), S(".tmp")));
    assert_true(span_ends_with(S("a"), S("")));
    assert_true(span_ends_with(span_of(NULL, 0), span_of(NULL, 0)));
    assert_false(span_ends_with(S("tmp"), S(".tmp")));
    assert_false(span_ends_with(S("a.tmp1"), S(".tmp")));
}

static void test_eq_with_text(void **state)
{
    (void)state;
    assert_true(span_eq_str(S("etag"), "etag"));
    assert_false(span_eq_str(S("etag\0"), "etag"));
    assert_true(span_eq_nocase(S("ETag"), "etag"));
    assert_false(span_eq_nocase(S("ETags"), "etag"));
    assert_true(span_eq_nocase(span_of(NULL, 0), ""));
    assert_true(span_str(NULL).ptr == NULL);
    assert_true(span_is_empty(span_str("")));
}

static void test_trim(void **state)
{
    (void)state;
    assert_true(span_eq_str(span_trim(S(" \t a b\t ")), "a b"));
    assert_true(span_eq_str(span_trim(S(" \t ")), ""));
    assert_true(span_eq_str(span_trim(S("")), ""));
    assert_true(span_trim(span_of(NULL, 0)).ptr == NULL);
    assert_true(span_eq_str(span_trim(S("\na\n")), "\na\n"));
}

/* Every cut but the last leaves a span that is present, even when it is empty. */
static void test_cut_finds_every_field(void **state)
{
    (void)state;
    struct span rest = S("a,,bc,");
    const char *const want[] = {"a", "", "bc", ""};
    unsigned count = 0;
    while (rest.ptr != NULL) {
        assert_true(count < 4);
        assert_true(span_eq_str(span_cut(&rest, ','), want[count++]));
    }
    assert_int_equal(count, 4);
    assert_true(span_is_empty(span_cut(&rest, ',')));
    struct span binary = S("a\0b");
    assert_true(span_eq_str(span_cut(&binary, '\0'), "a"));
    assert_true(span_eq_str(binary, "b"));
}

static void test_numbers(void **state)
{
    (void)state;
    unsigned long long n = 7;
    const char *const bad[] = {"", " 1", "1 ", "-1", "+1", "0x1", "1.0", "1a"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(span_to_u64(span_str(bad[i]), &n), -EINVAL);
    }
    assert_int_equal(span_to_u64(span_of(NULL, 0), &n), -EINVAL);
    assert_int_equal(span_to_u64(S("18446744073709551616"), &n), -ERANGE);
    assert_int_equal(span_to_u64(S("99999999999999999999999"), &n), -ERANGE);
    assert_true(n == 7);
    assert_int_equal(span_to_u64(S("18446744073709551615"), &n), 0);
    assert_true(n == UINT64_MAX);
    assert_int_equal(span_to_u64(S("00012"), &n), 0);
    assert_true(n == 12);
    assert_int_equal(span_to_u64(S("0"), &n), 0);
    assert_true(n == 0);
}

static void test_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
    } rows[] = {
        {"", 0},
        {"a", 1},
        {"\x7f", 1},
        {"\x80", 0},
        {"\xc1\xbf", 0},
        {"\xc2\x80", 2},
        {"\xc3", 0},
        {"\xc3z", 0},
        {"\xe0\x9f\x80", 0},
        {"\xe0\xa0\x80", 3},
        {"\xe2\x82\xac!", 3},
        {"\xed\x9f\xbf", 3},
        {"\xed\xa0\x80", 0},
        {"\xe2\x82", 0},
        {"\xe2\x82z", 0},
        {"\xf0\x8f\x80\x80", 0},
        {"\xf0\x9f\x98\x80", 4},
        {"\xf4\x8f\xbf\xbf", 4},
        {"\xf4\x90\x80\x80", 0},
        {"\xf5\x80\x80\x80", 0},
        {"\xff", 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(span_utf8(span_str(rows[i].text)), rows[i].len);
    }
    assert_true(span_is_utf8(S("")));
    assert_true(span_is_utf8(S("a\xe2\x82\xac!")));
    assert_false(span_is_utf8(S("a\xe2\x82")));
    assert_false(span_is_utf8(S("\xff"
                                "a")));
}

static void test_print(void **state)
{
    (void)state;
    char text[32];
    snprintf(text, sizeof(text), "<%.*s>", SPAN_ARG(span_of(NULL, 0)));
    assert_string_equal(text, "<>");
    snprintf(text, sizeof(text), "<%.*s>", SPAN_ARG(span_of("abcdef", 3)));
    assert_string_equal(text, "<abc>");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cmp_is_byte_order),
        cmocka_unit_test(test_prefix_and_suffix),
        cmocka_unit_test(test_eq_with_text),
        cmocka_unit_test(test_trim),
        cmocka_unit_test(test_cut_finds_every_field),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_print),
        cmocka_unit_test(test_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
