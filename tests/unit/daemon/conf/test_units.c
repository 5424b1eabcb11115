/* Sizes and durations: what is read, what is refused, and that printing reads back. */
#include "daemon/conf/conf.h"
#include "daemon/conf/units.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct vector {
    const char *text;
    uint64_t value; /* UINT64_MAX: refused */
};

static void check_all(const struct vector *v, int (*parse)(struct span, uint64_t *, struct fail *))
{
    for (; v->text != NULL; v++) {
        struct fail f = {0};
        uint64_t got = 7;
        int r = parse(span_str(v->text), &got, &f);
        if (v->value == UINT64_MAX) {
            if (r != REPL_EBADINPUT || got != 7 || f.hint[0] == '\0') {
                fail_msg("\"%s\" gives %d, %llu", v->text, r, (unsigned long long)got);
            }
        } else if (r != 0 || got != v->value) {
            fail_msg("\"%s\" gives %d, %llu", v->text, r, (unsigned long long)got);
        }
    }
}

static void test_bytes(void **state)
{
    (void)state;
    static const struct vector vectors[] = {
        {"0", 0},
        {"64MiB", 64 << 20},
        {"1.5GiB", UINT64_C(3) << 29},
        {"10GB", 10000000000},
        {"5 kB", 5000},
        {"1B", 1},
        {"0.000000001GB", 1},
        {" 1KiB ", 1024},
        {"", UINT64_MAX},
        {"12", UINT64_MAX},
        {"MiB", UINT64_MAX},
        {"-1MiB", UINT64_MAX},
        {"1MiBx", UINT64_MAX},
        {"1M", UINT64_MAX},
        {"1mib", UINT64_MAX},
        {"1.MiB", UINT64_MAX},
        {"1e3MiB", UINT64_MAX},
        {"99999999999999999999B", UINT64_MAX},
        {"9999999999TiB", UINT64_MAX},
        {"1MiB2MiB", UINT64_MAX},
        {"1.0000000001MiB", UINT64_MAX},
        {NULL, 0},
    };
    check_all(vectors, conf_parse_bytes);
}

static void test_durations(void **state)
{
    (void)state;
    static const struct vector vectors[] = {
        {"10min", 600000},
        {"1h30min", 5400000},
        {"1.5h", 5400000},
        {"7d", 604800000},
        {"1w", 604800000},
        {"250ms", 250},
        {"0", 0},
        {"20 s", 20000},
        {"10", UINT64_MAX},
        {"10m", UINT64_MAX},
        {"10 minutes", UINT64_MAX},
        {"h", UINT64_MAX},
        {"1h 30min", UINT64_MAX},
        {"-5s", UINT64_MAX},
        {NULL, 0},
    };
    check_all(vectors, conf_parse_duration);
}

static void test_printing_reads_back(void **state)
{
    (void)state;
    static const uint64_t values[] = {
        0, 1, 999, 1000, 1024, 1500, 60000, 86400000, 67108864, UINT64_C(3) << 29, 123456789};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct buf text = {0};
        struct fail f = {0};
        uint64_t got = 0;
        units_print_bytes(values[i], &text);
        assert_int_equal(conf_parse_bytes(buf_view(&text), &got, &f), 0);
        assert_int_equal(got, values[i]);
        buf_reset(&text);
        units_print_duration(values[i], &text);
        assert_int_equal(conf_parse_duration(buf_view(&text), &got, &f), 0);
        assert_int_equal(got, values[i]);
        buf_done(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_printing_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
