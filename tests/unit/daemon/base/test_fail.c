#include "daemon/base/fail.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <uv.h>
/* cmocka needs those above first */
#include <cmocka.h>

static void test_codes_are_distinct_and_named(void **state)
{
    (void)state;
#define ROW(name, number, class, text) {name, #name},
    const struct {
        int code;
        const char *name;
    } rows[] = {REPL_ERRORS(ROW)};
#undef ROW
    const size_t count = sizeof(rows) / sizeof(rows[0]);
    for (size_t i = 0; i < count; i++) {
        assert_true(rows[i].code <= -20000);
        assert_string_equal(fail_name(rows[i].code), rows[i].name);
        assert_true(strlen(fail_text(rows[i].code)) > 0);
        for (size_t k = 0; k < i; k++) {
            assert_int_not_equal(rows[i].code, rows[k].code);
        }
    }
}

static void test_foreign_codes(void **state)
{
    (void)state;
    assert_string_equal(fail_name(0), "OK");
    assert_string_equal(fail_name(UV_ECONNREFUSED), "ECONNREFUSED");
    assert_string_equal(fail_name(UV_EOF), "EOF");
    assert_string_equal(fail_name(UV_EAI_NONAME), "EAI_NONAME");
    assert_string_equal(fail_text(-EACCES), "permission denied");
    /* Not known to libuv, which would allocate a name at each call. */
    assert_string_equal(fail_name(-EOWNERDEAD), "EOWNERDEAD");
    assert_string_equal(fail_name(-19999), "UNKNOWN");
    assert_string_equal(fail_text(-19999), "unknown error");
    assert_string_equal(fail_name(-20098), "UNKNOWN");
    assert_string_equal(fail_name(5), "UNKNOWN");
}

static void test_classes(void **state)
{
    (void)state;
    assert_int_equal(fail_class(0), FAIL_NONE);
    assert_int_equal(fail_class(REPL_ETHROTTLED), FAIL_THROTTLE);
    assert_int_equal(fail_class(REPL_EDENIED), FAIL_AUTH);
    assert_int_equal(fail_class(REPL_ECHECKSUM), FAIL_CORRUPT);
    assert_int_equal(fail_class(UV_ECONNRESET), FAIL_RETRY);
    assert_int_equal(fail_class(UV_EINVAL), FAIL_BUG);
    assert_string_equal(fail_class_name(FAIL_NONE), "none");
    assert_string_equal(fail_class_name(FAIL_PERMANENT), "permanent");
    assert_string_equal(fail_class_name(FAIL_BUG), "bug");
}

static void test_print_shows_what_is_there(void **state)
{
    (void)state;
    struct fail f;
    char text[512];
    assert_int_equal(fail_set(&f, REPL_ETHROTTLED, "bucket %s is busy", "b"), REPL_ETHROTTLED);
    assert_string_equal(fail_print(&f, text, sizeof(text)), "bucket b is busy");
    f.http_status = 503;
    assert_string_equal(fail_print(&f, text, sizeof(text)), "bucket b is busy (HTTP 503)");
    strcpy(f.server_code, "SlowDown");
    strcpy(f.request_id, "4Y7");
    fail_hint(&f, "lower the %s", "rate");
    assert_string_equal(fail_print(&f, text, sizeof(text)),
                        "bucket b is busy (code SlowDown, HTTP 503, request id 4Y7)"
                        "; hint: lower the rate");
    fail_set(&f, REPL_ENOKEY, "%s", "");
    assert_string_equal(fail_print(&f, text, sizeof(text)), "object does not exist");
    fail_clear(&f);
    assert_int_equal(f.code, 0);
    assert_string_equal(fail_print(&f, text, sizeof(text)), "success");
}

static void test_setting_again_clears_the_rest(void **state)
{
    (void)state;
    struct fail f;
    fail_set(&f, REPL_EDENIED, "x");
    f.http_status = 403;
    f.retry_after_ms = 5;
    fail_hint(&f, "y");
    fail_set(&f, REPL_ENET, "z");
    assert_int_equal(f.http_status, 0);
    assert_int_equal(f.retry_after_ms, 0);
    assert_string_equal(f.hint, "");
}

/* Callers add their own words to a text that is there already. */
static void test_own_text_may_be_an_argument(void **state)
{
    (void)state;
    struct fail f;
    fail_set(&f, REPL_ENET, "connection reset");
    fail_hint(&f, "try later");
    fail_set(&f, f.code, "part 3: %s (%s)", f.text, f.hint);
    assert_string_equal(f.text, "part 3: connection reset (try later)");
    fail_hint(&f, "wait");
    fail_hint(&f, "%s, then try", f.hint);
    assert_string_equal(f.hint, "wait, then try");
}

static void test_print_fits_any_buffer(void **state)
{
    (void)state;
    struct fail f;
    char text[600];
    fail_set(&f, REPL_EDENIED, "%0500d", 1); /* longer than the record */
    memset(f.server_code, 'c', sizeof(f.server_code) - 1);
    memset(f.request_id, 'r', sizeof(f.request_id) - 1);
    fail_hint(&f, "%0500d", 2);
    f.http_status = 403;
    assert_int_equal(strlen(f.text), sizeof(f.text) - 1);
    for (unsigned long size = 0; size < sizeof(text); size++) {
        memset(text, '#', sizeof(text));
        fail_print(&f, text, size);
        if (size > 0) {
            assert_true(memchr(text, '\0', size) != NULL);
        }
        assert_int_equal(text[size], '#');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes_are_distinct_and_named),
        cmocka_unit_test(test_foreign_codes),
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_print_shows_what_is_there),
        cmocka_unit_test(test_setting_again_clears_the_rest),
        cmocka_unit_test(test_own_text_may_be_an_argument),
        cmocka_unit_test(test_print_fits_any_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
