#include "daemon/base/mem.h"
#include "daemon/base/stat.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka needs those above first */
#include <cmocka.h>

static const char *const RULE[] = {"rule", NULL};
static const char *const RULE_REGION[] = {"rule", "region", NULL};

static int setup(void **state)
{
    *state = stat_set_new();
    return 0;
}

static int teardown(void **state)
{
    stat_set_free(*state);
    return 0;
}

#define VALUES(...) ((const char *const[]){__VA_ARGS__})

static void assert_prints(struct stat_set *set, const char *want)
{
    struct buf b = {0};
    stat_print(set, &b);
    assert_string_equal(buf_cstr(&b), want);
    buf_done(&b);
}

static void test_text_form(void **state)
{
    struct stat_family *copied =
        stat_family(*state, STAT_COUNTER, "repl_bytes_total", "Bytes copied.", RULE);
    struct stat_family *lag = stat_family(*state, STAT_GAUGE, "repl_lag_seconds", "Lag.", NULL);
    stat_family(*state, STAT_GAUGE, "repl_unused", "No series.", NULL);
    stat_add(stat_get(copied, VALUES("b")), 3);
    stat_add(stat_get(copied, VALUES("a")), 1);
    stat_add(stat_get(copied, VALUES("b")), 4);
    stat_put(stat_get(lag, NULL), 0.25);
    assert_prints(*state, "# HELP repl_bytes_total Bytes copied.\n"
                          "# TYPE repl_bytes_total counter\n"
                          "repl_bytes_total{rule=\"b\"} 7\n"
                          "repl_bytes_total{rule=\"a\"} 1\n"
                          "# HELP repl_lag_seconds Lag.\n"
                          "# TYPE repl_lag_seconds gauge\n"
                          "repl_lag_seconds 0.25\n");
}

/* 0 would be a value: of a moment, 1970. */
static void test_a_gauge_without_a_value_is_absent(void **state)
{
    struct stat_family *lag = stat_family(*state, STAT_GAUGE, "repl_lag_seconds", "Lag.", RULE);
    struct stat_family *time = stat_family(*state, STAT_GAUGE, "repl_time_seconds", "Time.", NULL);
    struct stat *a = stat_get(lag, VALUES("a"));
    struct stat *b = stat_get(lag, VALUES("b"));
    stat_put_ms(stat_get(time, NULL), 0);
    assert_prints(*state, "");
    stat_put(b, 0);
    assert_prints(*state, "# HELP repl_lag_seconds Lag.\n# TYPE repl_lag_seconds gauge\n"
                          "repl_lag_seconds{rule=\"b\"} 0\n");
    stat_put(a, 3);
    stat_unset(b);
    stat_put_ms(stat_get(time, NULL), 1500);
    assert_prints(*state, "# HELP repl_lag_seconds Lag.\n# TYPE repl_lag_seconds gauge\n"
                          "repl_lag_seconds{rule=\"a\"} 3\n"
                          "# HELP repl_time_seconds Time.\n# TYPE repl_time_seconds gauge\n"
                          "repl_time_seconds 1.5\n");
    stat_put_ms(stat_get(time, NULL), 0);
    stat_unset(a);
    assert_prints(*state, "");
}

static void test_numbers(void **state)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0, "0"},
        {-5, "-5"},
        {1e6, "1000000"},
        {123456789012, "123456789012"},
        {0.1, "0.1"},
        {1e-9, "1e-09"},
        {1e15, "1000000000000000"},
        {1e18, "1e+18"},
        {9007199254740991.0, "9007199254740991"},
        {INFINITY, "+Inf"},
        {-INFINITY, "-Inf"},
        {NAN, "NaN"},
    };
    struct stat_family *f = stat_family(*state, STAT_GAUGE, "x", "h", NULL);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char want[96];
        stat_put(stat_get(f, NULL), rows[i].value);
        snprintf(want, sizeof(want), "# HELP x h\n# TYPE x gauge\nx %s\n", rows[i].text);
        assert_prints(*state, want);
    }
}

static void test_escapes(void **state)
{
    struct stat_family *f =
        stat_family(*state, STAT_COUNTER, "x_total", "back\\slash \"q\"\nline", RULE);
    stat_add(stat_get(f, VALUES("a\"b\\c\nd")), 1);
    assert_prints(*state, "# HELP x_total back\\\\slash \"q\"\\nline\n# TYPE x_total counter\n"
                          "x_total{rule=\"a\\\"b\\\\c\\nd\"} 1\n");
}

/* Prometheus refuses a whole scrape for one byte that is not UTF-8. */
static void test_labels_are_utf8(void **state)
{
    struct stat_family *f = stat_family(*state, STAT_COUNTER, "x_total", "h", RULE);
    stat_add(stat_get(f, VALUES("\xc3\xa4|\xff|\xc3|\xed\xa0\x80|\xf0\x9f\x98\x80")), 1);
    assert_prints(*state, "# HELP x_total h\n# TYPE x_total counter\n"
                          "x_total{rule=\"\xc3\xa4|?|?|???|\xf0\x9f\x98\x80\"} 1\n");
}

static void test_same_name_is_the_same_family(void **state)
{
    struct stat_family *f = stat_family(*state, STAT_COUNTER, "x_total", "h", RULE_REGION);
    assert_ptr_equal(stat_family(*state, STAT_COUNTER, "x_total", "h", RULE_REGION), f);
    struct stat *s = stat_get(f, VALUES("a", "b"));
    assert_ptr_equal(stat_get(f, VALUES("a", "b")), s);
    assert_ptr_not_equal(stat_get(f, VALUES("ab", "")), s);
    assert_ptr_not_equal(stat_get(f, VALUES("", "ab")), s);
    assert_ptr_not_equal(stat_get(f, VALUES("a:1", "b")), stat_get(f, VALUES("a", "1:b")));
}

static void test_series_are_limited(void **state)
{
    struct stat_family *f = stat_family(*state, STAT_COUNTER, "x_total", "h", RULE_REGION);
    char name[16];
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(name, sizeof(name), "r%u", i);
        stat_add(stat_get(f, VALUES(name, "eu")), 1);
    }
    struct stat *other = stat_get(f, VALUES("other", "other"));
    assert_true(stat_value(other) == 2000);
    assert_true(stat_value(stat_get(f, VALUES("r999", "eu"))) == 1);
    assert_ptr_equal(stat_get(f, VALUES("r1000", "eu")), other);
    stat_drop(f, "r5");
    stat_add(stat_get(f, VALUES("new", "eu")), 1);
    assert_ptr_not_equal(stat_get(f, VALUES("new", "eu")), other);
}

static void test_drop_goes_by_the_first_label(void **state)
{
    struct stat_family *f = stat_family(*state, STAT_COUNTER, "x_total", "h", RULE_REGION);
    stat_add(stat_get(f, VALUES("a", "eu")), 1);
    stat_add(stat_get(f, VALUES("b", "a")), 2);
    stat_add(stat_get(f, VALUES("a", "us")), 3);
    stat_drop(f, "a");
    stat_drop(f, "nobody");
    assert_prints(*state, "# HELP x_total h\n# TYPE x_total counter\n"
                          "x_total{rule=\"b\",region=\"a\"} 2\n");
    assert_true(stat_value(stat_get(f, VALUES("a", "eu"))) == 0);
}

static void test_histogram_text(void **state)
{
    struct stat_family *f = stat_family(*state, STAT_HISTOGRAM, "d_seconds", "h", RULE);
    struct stat *s = stat_get(f, VALUES("a"));
    stat_observe(s, 0.005); /* a bound belongs to its bucket */
    stat_observe(s, 0.006);
    stat_observe(s, 1e9);
    struct buf b = {0};
    stat_print(*state, &b);
    assert_non_null(strstr(buf_cstr(&b), "d_seconds_bucket{rule=\"a\",le=\"0.005\"} 1\n"
                                         "d_seconds_bucket{rule=\"a\",le=\"0.01\"} 2\n"));
    assert_non_null(strstr(buf_cstr(&b), "le=\"21600\"} 2\n"
                                         "d_seconds_bucket{rule=\"a\",le=\"+Inf\"} 3\n"
                                         "d_seconds_sum{rule=\"a\"} 1000000000.011\n"
                                         "d_seconds_count{rule=\"a\"} 3\n"));
    buf_done(&b);
    assert_true(stat_count(s) == 3);
}

static void test_quantiles(void **state)
{
    struct stat *s = stat_get(stat_family(*state, STAT_HISTOGRAM, "d_seconds", "h", NULL), NULL);
    assert_true(stat_quantile(s, 0.5) == 0);
    for (unsigned i = 0; i < 100; i++) {
        stat_observe(s, 1.5); /* bucket from 1 to 2.5 */
    }
    assert_true(fabs(stat_quantile(s, 0.5) - 1.75) < 1e-9);
    assert_true(fabs(stat_quantile(s, 1) - 2.5) < 1e-9);
    for (unsigned i = 0; i < 100; i++) {
        stat_observe(s, 100000);
    }
    assert_true(stat_quantile(s, 0.99) == 21600);
    double last = 0;
    for (double q = 0; q <= 1; q += 0.01) {
        assert_true(stat_quantile(s, q) >= last);
        last = stat_quantile(s, q);
    }
}

static void test_loaded_histogram(void **state)
{
    uint64_t counts[STAT_LATENCY_BUCKETS + 1] = {[0] = 2, [STAT_LATENCY_BUCKETS] = 1};
    struct stat *s = stat_get(stat_family(*state, STAT_HISTOGRAM, "d_seconds", "h", NULL), NULL);
    stat_observe(s, 1);
    stat_load(s, counts, 12.5);
    assert_true(stat_count(s) == 3);
    assert_true(stat_value(s) == 12.5);
    stat_observe(s, 0.001);
    assert_true(stat_count(s) == 4);
}

static void refresh(void *arg)
{
    stat_add(arg, 1);
}

static void test_collectors_run_before_printing(void **state)
{
    struct stat *s = stat_get(stat_family(*state, STAT_GAUGE, "x", "h", NULL), NULL);
    stat_on_collect(*state, refresh, s);
    stat_on_collect(*state, refresh, s);
    assert_prints(*state, "# HELP x h\n# TYPE x gauge\nx 2\n");
    assert_prints(*state, "# HELP x h\n# TYPE x gauge\nx 4\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(text_form),
        TEST(a_gauge_without_a_value_is_absent),
        TEST(numbers),
        TEST(escapes),
        TEST(labels_are_utf8),
        TEST(same_name_is_the_same_family),
        TEST(series_are_limited),
        TEST(drop_goes_by_the_first_label),
        TEST(histogram_text),
        TEST(quantiles),
        TEST(loaded_histogram),
        TEST(collectors_run_before_printing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
