#include "daemon/base/fail.h"
#include "daemon/base/log.h"
#include "daemon/base/mem.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
/* cmocka needs those above first */
#include <cmocka.h>

#define THREADS 4
#define LINES   500

struct collected {
    unsigned count;
    enum log_level level;
    char subject[32];
    char text[8192];
};

static void collect(void *arg, enum log_level level, const char *subject, const char *text)
{
    struct collected *c = arg;
    c->count++;
    c->level = level;
    snprintf(c->subject, sizeof(c->subject), "%s", subject);
    snprintf(c->text, sizeof(c->text), "%s", text);
}

static void test_levels(void **state)
{
    (void)state;
    struct collected got = {0};
    struct log *log = log_new(LOG_FORMAT_TEXT, LOG_LEVEL_NOTICE);
    log_set_sink(log, collect, &got);
    LOG_INFO(log, "copy", "not wanted");
    assert_int_equal(got.count, 0);
    LOG_NOTICE(log, "copy", "key=%s", "a");
    assert_int_equal(got.count, 1);
    assert_int_equal(got.level, LOG_LEVEL_NOTICE);
    assert_string_equal(got.subject, "copy");
    assert_string_equal(got.text, "key=a");
    log_set_level(log, LOG_LEVEL_ERROR);
    LOG_WARNING(log, "copy", "not wanted");
    assert_int_equal(got.count, 1);
    LOG_ERROR(NULL, "copy", "nobody listens");
    log_free(log);
    log_free(NULL);
}

static void test_levels_of_subjects(void **state)
{
    (void)state;
    struct log *log = log_new(LOG_FORMAT_TEXT, LOG_LEVEL_NOTICE);
    assert_int_equal(log_set_levels(log, "copy=debug, net = error"), 0);
    assert_true(log_enabled(log, LOG_LEVEL_DEBUG, "copy"));
    assert_false(log_enabled(log, LOG_LEVEL_WARNING, "net"));
    assert_true(log_enabled(log, LOG_LEVEL_ERROR, "net"));
    assert_false(log_enabled(log, LOG_LEVEL_INFO, "other"));
    const char *const bad[] = {"copy",
                               "copy=",
                               "=debug",
                               "copy=loud",
                               "copy=debug,,net=info",
                               "averyveryverylongsubjectname=info",
                               "copy=averyverylonglevelname"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(log_set_levels(log, bad[i]), REPL_EBADINPUT);
    }
    assert_true(log_enabled(log, LOG_LEVEL_DEBUG, "copy")); /* nothing changed */
    assert_int_equal(log_set_levels(log, ""), 0);
    assert_false(log_enabled(log, LOG_LEVEL_DEBUG, "copy"));
    assert_true(log_enabled(log, LOG_LEVEL_NOTICE, "net"));
    log_free(log);
}

static void test_names_of_levels(void **state)
{
    (void)state;
    enum log_level level = LOG_LEVEL_DEBUG;
    assert_int_equal(log_level_parse("error", &level), 0);
    assert_int_equal(level, LOG_LEVEL_ERROR);
    assert_int_equal(log_level_parse("debug", &level), 0);
    assert_int_equal(level, LOG_LEVEL_DEBUG);
    assert_int_equal(log_level_parse("Debug", &level), REPL_EBADINPUT);
    assert_int_equal(log_level_parse("", &level), REPL_EBADINPUT);
}

/* 20 lines in a window, then a note of what was left out before the first of the next one. */
static void test_call_site_is_limited(void **state)
{
    (void)state;
    struct collected got = {0};
    struct log_site site = {0};
    struct log *log = log_new(LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
    log_set_sink(log, collect, &got);
    for (unsigned i = 0; i < 50; i++) {
        log_write(log, &site, LOG_LEVEL_INFO, "copy", "line %u", i);
    }
    assert_int_equal(got.count, 20);
    assert_string_equal(got.text, "line 19");
    LOG_INFO(log, "copy", "another place is not concerned");
    assert_int_equal(got.count, 21);
    /* A clock that the test cannot move: the window is moved instead. */
    site.window_ms = site.window_ms > 6000 ? site.window_ms - 6000 : 1;
    log_write(log, &site, LOG_LEVEL_INFO, "copy", "later");
    assert_int_equal(got.count, 23);
    assert_string_equal(got.text, "later");
    assert_int_equal(site.suppressed, 0);
    log_free(log);
}

static void test_traces_are_whole(void **state)
{
    (void)state;
    struct collected got = {0};
    struct log *log = log_new(LOG_FORMAT_TEXT, LOG_LEVEL_DEBUG);
    log_set_sink(log, collect, &got);
    LOG_TRACE(log, "pace", "not asked for");
    assert_int_equal(got.count, 0);
    assert_int_equal(log_set_levels(log, "pace=trace"), 0);
    for (unsigned i = 0; i < 50; i++) {
        LOG_TRACE(log, "pace", "line %u", i);
    }
    assert_int_equal(got.count, 50);
    log_free(log);
}

static void test_long_line_is_cut(void **state)
{
    (void)state;
    struct collected got = {0};
    struct log *log = log_new(LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
    log_set_sink(log, collect, &got);
    LOG_INFO(log, "copy", "%08000d", 1);
    assert_int_equal(strlen(got.text), 4095);
    log_free(log);
}

/* What went to standard error while fn ran. */
static void capture(void (*fn)(void *arg), void *arg, char *to, size_t size)
{
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    fn(arg);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(file);
    to[fread(to, 1, size - 1, file)] = '\0';
    fclose(file);
}

static void write_hostile(void *arg)
{
    LOG_WARNING((struct log *)arg, "copy", "key=%s end",
                "a\n2026 error forged: \x1b[31m\t\"q\"\\\x7f");
}

static void test_text_cannot_be_forged(void **state)
{
    (void)state;
    char line[512];
    struct log *log = log_new(LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
    capture(write_hostile, log, line, sizeof(line));
    assert_true(strlen(line) > 25);
    assert_int_equal(line[4], '-');
    assert_int_equal(line[10], 'T');
    assert_int_equal(line[19], '.');
    assert_string_equal(line + 23, "Z warning copy: key=a\\x0a2026 error forged: \\x1b[31m\\x09"
                                   "\"q\"\\\\x7f end\n");
    log_free(log);
}

static void write_hostile_utf8(void *arg)
{
    LOG_WARNING((struct log *)arg, "copy",
                "\xc3\xa4 \xff \xc3 \xed\xa0\x80 \xf0\x9f\x98\x80 \n\"\\\x7f");
}

static void test_json_is_json(void **state)
{
    (void)state;
    char line[512];
    struct log *log = log_new(LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    capture(write_hostile_utf8, log, line, sizeof(line));
    assert_memory_equal(line, "{\"time\":\"2", 10);
    const char *rest = strstr(line, "Z\",");
    assert_non_null(rest);
    assert_string_equal(rest, "Z\",\"level\":\"warning\",\"subject\":\"copy\",\"message\":\""
                              "\xc3\xa4 ? ? ??? \xf0\x9f\x98\x80 \\u000a\\\"\\\\\x7f\"}\n");
    log_free(log);
}

static void *write_lines(void *arg)
{
    static struct log_site sites[LINES]; /* shared by the threads, none reaches its limit */
    for (unsigned i = 0; i < LINES; i++) {
        log_write(arg, &sites[i], LOG_LEVEL_INFO, "copy", "line %u of a thread", i);
        if (i % 50 == 0) {
            log_set_levels(arg, i % 100 == 0 ? "net=debug" : "net=info,copy=debug");
            log_set_level(arg, LOG_LEVEL_INFO);
        }
        (void)log_enabled(arg, LOG_LEVEL_DEBUG, "net");
    }
    return NULL;
}

static void write_in_threads(void *arg)
{
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, write_lines, arg);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void test_lines_of_threads_do_not_mix(void **state)
{
    (void)state;
    const size_t size = 1u << 20;
    char *text = mem_alloc(size);
    unsigned count = 0;
    struct log *log = log_new(LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
    capture(write_in_threads, log, text, size);
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        unsigned number;
        char thread[8];
        assert_int_equal(sscanf(line + 24, " info copy: line %u of a %6s", &number, thread), 2);
        assert_string_equal(thread, "thread");
        count++;
    }
    assert_int_equal(count, THREADS * LINES);
    log_free(log);
    mem_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_levels_of_subjects),
        cmocka_unit_test(test_names_of_levels),
        cmocka_unit_test(test_call_site_is_limited),
        cmocka_unit_test(test_traces_are_whole),
        cmocka_unit_test(test_long_line_is_cut),
        cmocka_unit_test(test_text_cannot_be_forged),
        cmocka_unit_test(test_json_is_json),
        cmocka_unit_test(test_lines_of_threads_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
