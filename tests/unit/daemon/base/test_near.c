#include "daemon/base/near.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_distance(void **state)
{
    (void)state;
    char longest[65];
    memset(longest, 'a', sizeof(longest));
    longest[64] = '\0';
    assert_int_equal(near_distance("", ""), 0);
    assert_int_equal(near_distance("pages", "pages"), 0);
    assert_int_equal(near_distance("pages", "page"), 1);
    assert_int_equal(near_distance("page", "pages"), 1);
    assert_int_equal(near_distance("pages", "pagse"), 2);
    assert_int_equal(near_distance("kitten", "sitting"), 3);
    assert_int_equal(near_distance("", "abc"), 3);
    assert_int_equal(near_distance(longest, "a"), 64);
    assert_int_equal(near_distance(longest + 1, "a"), 62);
}

static const char *meant(const char *written)
{
    static const char *const names[] = {"pages", "images", "image", "ab"};
    struct near n;
    near_start(&n, written, NEAR_NAME);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        near_offer(&n, names[i]);
    }
    return n.best != NULL ? n.best : "";
}

static void test_the_nearest_is_meant(void **state)
{
    (void)state;
    assert_string_equal(meant("pagse"), "pages");
    assert_string_equal(meant("imag"), "image");
    assert_string_equal(meant("imagess"), "images");
    assert_string_equal(meant("videos"), "");
    assert_string_equal(meant("xages"), "pages");
    /* As many wrong letters as there are say nothing. */
    assert_string_equal(meant("xy"), "");
    assert_string_equal(meant("b"), "");
    assert_string_equal(meant(""), "");
}

static void test_hint(void **state)
{
    (void)state;
    struct near n;
    struct fail f = {0};
    fail_set(&f, REPL_ENOTFOUND, "there is none");
    near_start(&n, "pagse", NEAR_NAME);
    near_hint(&n, "list shows all", &f);
    assert_string_equal(f.hint, "list shows all");
    near_offer(&n, "pages");
    near_hint(&n, "list shows all", &f);
    assert_string_equal(f.hint, "did you mean \"pages\"? list shows all");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distance),
        cmocka_unit_test(test_the_nearest_is_meant),
        cmocka_unit_test(test_hint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
