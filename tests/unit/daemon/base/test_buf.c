#include "daemon/base/buf.h"
#include "daemon/base/fail.h"
#include "daemon/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>

static void test_zeroed_is_valid(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_string_equal(buf_cstr(&b), "");
    assert_int_equal(buf_view(&b).len, 0);
    assert_non_null(buf_view(&b).ptr);
    assert_int_equal(buf_error(&b), 0);
    buf_reset(&b);
    char *text = buf_take(&b);
    assert_string_equal(text, "");
    mem_free(text);
    buf_done(&b);
}

static void test_every_writer(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 0);
    buf_str(&b, "a");
    buf_char(&b, 'b');
    buf_span(&b, span_of("c\0d", 3));
    buf_span(&b, span_of(NULL, 0));
    buf_append(&b, NULL, 0);
    buf_printf(&b, "%d-%s", 17, "x");
    buf_printf(&b, "%s", "");
    buf_hex(&b, "\x00\x9f\xff", 3);
    assert_true(span_eq(buf_view(&b), span_of("abc\0d17-x009fff", 15)));
    assert_int_equal(b.data[b.len], 0);
    buf_done(&b);
    assert_int_equal(b.len, 0);
}

static void test_grows_by_bytes_and_by_blocks(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 0);
    for (unsigned i = 0; i < 100000; i++) {
        buf_char(&b, (char)('a' + i % 26));
    }
    assert_int_equal(b.len, 100000);
    for (unsigned i = 0; i < 100000; i++) {
        assert_int_equal(b.data[i], 'a' + (int)(i % 26));
    }
    buf_printf(&b, "%0200000d", 0);
    assert_int_equal(b.len, 300000);
    assert_int_equal(buf_error(&b), 0);
    buf_done(&b);
}

static void test_limit_is_exact_and_sticky(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 8);
    buf_str(&b, "1234567");
    buf_char(&b, '8');
    assert_int_equal(buf_error(&b), 0);
    buf_str(&b, "");
    assert_int_equal(buf_error(&b), 0);
    buf_char(&b, '9');
    assert_int_equal(buf_error(&b), REPL_ETOOBIG);
    buf_reset(&b);
    buf_str(&b, "123");
    buf_printf(&b, "%s", "456789");
    assert_int_equal(buf_error(&b), REPL_ETOOBIG);
    buf_char(&b, 'x');
    assert_string_equal(buf_cstr(&b), "123");
    buf_reset(&b);
    assert_int_equal(buf_error(&b), 0);
    assert_string_equal(buf_cstr(&b), "");
    buf_append(&b, "x", SIZE_MAX);
    assert_int_equal(buf_error(&b), REPL_ETOOBIG);
    buf_done(&b);
}

static void test_take_leaves_an_empty_one(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4);
    buf_str(&b, "abcd");
    char *text = buf_take(&b);
    assert_string_equal(text, "abcd");
    assert_int_equal(b.len, 0);
    buf_str(&b, "efgh");
    assert_string_equal(buf_cstr(&b), "efgh");
    buf_str(&b, "i");
    assert_int_equal(buf_error(&b), REPL_ETOOBIG); /* the limit stayed */
    mem_free(text);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zeroed_is_valid),
        cmocka_unit_test(test_every_writer),
        cmocka_unit_test(test_grows_by_bytes_and_by_blocks),
        cmocka_unit_test(test_limit_is_exact_and_sticky),
        cmocka_unit_test(test_take_leaves_an_empty_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
