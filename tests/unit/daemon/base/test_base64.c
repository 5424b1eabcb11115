#include "daemon/base/base64.h"

#include "daemon/base/fail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_round_trip(void **state)
{
    (void)state;
    static const char *const vectors[][2] = {{"", ""},
                                             {"f", "Zg=="},
                                             {"fo", "Zm8="},
                                             {"foo", "Zm9v"},
                                             {"foob", "Zm9vYg=="},
                                             {"fooba", "Zm9vYmE="},
                                             {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct buf text = {0};
        base64_encode(span_str(vectors[i][0]), &text);
        assert_string_equal(buf_cstr(&text), vectors[i][1]);
        buf_reset(&text);
        assert_int_equal(base64_decode(span_str(vectors[i][1]), &text), 0);
        assert_string_equal(buf_cstr(&text), vectors[i][0]);
        buf_done(&text);
    }
    struct buf none = {0};
    assert_int_equal(base64_decode(span_str("Zg==Zg=="), &none), REPL_EBADINPUT);
    assert_int_equal(base64_decode(span_str("Z-=="), &none), REPL_EBADINPUT);
    buf_done(&none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
