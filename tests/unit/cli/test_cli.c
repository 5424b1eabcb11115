/* Command lines, figures, tables, HTTP answers, and migrations as configuration and rule. */
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/http.h"
#include "cli/migrate_job.h"
#include "cli/table.h"
#include "cli/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct cli_option global[] = {{"json", NULL, ""}, {"socket", "PATH", ""}, {0}};
static const struct cli_option own[] = {{"key", "KEY", ""},
                                        {"watch", NULL, ""},
                                        {"scan", "off|every DURATION", ""},
                                        {"file", "FILE", ""},
                                        {0}};

static void test_args(void **state)
{
    (void)state;
    char words[][10] = {"--json", "lag", "--key=a=b", "x", "--key", "--watch", "--", "--json"};
    char *argv[8];
    for (size_t i = 0; i < 8; i++) {
        argv[i] = words[i];
    }
    struct cli_args args;
    struct fail f = {0};
    assert_int_equal(cli_args_parse(8, argv, global, own, &args, &f), 0);
    assert_int_equal(args.word_count, 3);
    assert_string_equal(args.words[2], "--json");
    assert_string_equal(cli_args_get(&args, "key"), "--watch");
    assert_string_equal(args.given[1].value, "a=b");
    assert_true(cli_args_has(&args, "json"));
    assert_false(cli_args_has(&args, "watch"));
}

static void test_letters_and_values_of_two_words(void **state)
{
    (void)state;
    char words[][12] = {"-f", "-x",         "--scan", "every", "6h",
                        "-x", "--scan=off", "every",  "--",    "-f"};
    char *argv[10];
    for (size_t i = 0; i < 10; i++) {
        argv[i] = words[i];
    }
    struct cli_args args;
    struct fail f = {0};
    assert_int_equal(cli_args_parse(6, argv, global, own, &args, &f), 0);
    assert_string_equal(cli_args_get(&args, "file"), "-x");
    assert_string_equal(cli_args_get(&args, "scan"), "every 6h");
    assert_int_equal(args.word_count, 1);
    assert_string_equal(args.words[0], "-x");
    assert_int_equal(cli_args_parse(10, argv, global, own, &args, &f), 0);
    assert_string_equal(cli_args_get(&args, "scan"), "off");
    assert_int_equal(args.word_count, 3);
    assert_string_equal(args.words[2], "-f");
}

static void test_bad_args(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"--kye", "is not an option of this command; did you mean --key?"},
        {"--key", "needs a value"},
        {"--watch=1", "takes no value"}};
    for (size_t i = 0; i < 3; i++) {
        char *argv[] = {(char *)(uintptr_t)bad[i][0]};
        struct cli_args args;
        struct fail f = {0};
        assert_int_equal(cli_args_parse(1, argv, global, own, &args, &f), REPL_EBADINPUT);
        assert_non_null(strstr(f.text, bad[i][1]));
    }
}

/* Words of two commands may not begin alike in a way that hides one. */
static void test_commands_are_reachable(void **state)
{
    (void)state;
    for (const struct cli_command *c = cli_commands; c->words != NULL; c++) {
        for (const struct cli_command *before = cli_commands; before < c; before++) {
            size_t n = strlen(before->words);
            bool hides = strncmp(before->words, c->words, n) == 0 &&
                         (c->words[n] == ' ' || c->words[n] == '\0');
            assert_false(hides);
        }
    }
}

/* What the protocol calls a command of replctl is one, or one with a flag. */
static void test_protocol_names_commands(void **state)
{
    (void)state;
    for (unsigned id = 0; id < PROTO_COUNT; id++) {
        const char *words = proto_commands[id].words;
        const char *flag = strstr(words, " -");
        size_t n = flag != NULL ? (size_t)(flag - words) : strlen(words);
        bool found = n == 0;
        for (const struct cli_command *c = cli_commands; c->words != NULL; c++) {
            found = found || (strlen(c->words) == n && strncmp(c->words, words, n) == 0);
        }
        assert_true(found);
    }
}

static void test_man_page_has_every_option(void **state)
{
    (void)state;
    char block[4096];
    struct buf page = {0};
    FILE *stream = fopen(TEST_SOURCE_DIR "/../etc/man/replctl.1", "re");
    assert_non_null(stream);
    for (size_t n; (n = fread(block, 1, sizeof(block), stream)) > 0;) {
        buf_append(&page, block, n);
    }
    fclose(stream);
    for (const struct cli_command *c = cli_commands; c->words != NULL; c++) {
        char wanted[64];
        snprintf(wanted, sizeof(wanted), "Cm %s", c->words);
        if (strstr(buf_cstr(&page), wanted) == NULL) {
            fail_msg("replctl(1) says nothing of %s", c->words);
        }
        for (const struct cli_option *o = c->options; o != NULL && o->name != NULL; o++) {
            if (o->help == NULL) {
                continue;
            }
            snprintf(wanted, sizeof(wanted), " -%s", o->name);
            if (strstr(buf_cstr(&page), wanted) == NULL) {
                fail_msg("replctl(1) says nothing of --%s of %s", o->name, c->words);
            }
        }
    }
    buf_done(&page);
}

static void check_text(struct buf *got, const char *wanted)
{
    assert_string_equal(buf_cstr(got), wanted);
    buf_reset(got);
}

static void test_figures(void **state)
{
    (void)state;
    struct buf b = {0};
    uint64_t ms = 0;
    text_bytes(0, &b);
    check_text(&b, "0 B");
    text_bytes(1536, &b);
    check_text(&b, "1.5 KiB");
    text_count(1234567, &b);
    check_text(&b, "1,234,567");
    text_count(12, &b);
    check_text(&b, "12");
    text_duration(850, &b);
    check_text(&b, "850 ms");
    text_duration(200000, &b);
    check_text(&b, "3 min 20 s");
    assert_int_equal(text_parse_timeout("600", &ms), 0);
    assert_int_equal(ms, 600000);
    assert_int_equal(text_parse_timeout("1h30min", &ms), 0);
    assert_int_equal(ms, 5400000);
    assert_int_not_equal(text_parse_timeout("soon", &ms), 0);
    cli_query(&b, "key", "a b/\xff&");
    cli_query(&b, "none", NULL);
    cli_query(&b, "x", "");
    check_text(&b, "key=a%20b%2F%FF%26&x=");
    table_escape(span_of("a\033[31m\xc2\x9b\xc3\xa4", 10), &b);
    check_text(&b, "a\\x1b[31m\\xc2\\x9b\xc3\xa4");
    /* No UTF-8, a character that is cut off, one that turns the order of letters. */
    table_escape(span_of("\xff\xe4\xb8\xad\xe2\x80\xae\xe4\xb8", 9), &b);
    check_text(&b, "\\xff\xe4\xb8\xad\\xe2\\x80\\xae\\xe4\\xb8");
    buf_done(&b);
}

static void test_http_answers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int result;
        const char *body;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc", 0, "ab"},
        {"HTTP/1.1 404 No\r\n\r\nabc", 0, "abc"},
        {"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1;x\r\nc\r\n0\r\n\r\n", 0,
         "abc"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", REPL_EPROTO, NULL},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nab", REPL_EPROTO, NULL},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n", REPL_EPROTO, NULL},
        {"HTTP/1.1 OK\r\n\r\n", REPL_EPROTO, NULL},
        {"SSH-2.0\r\n\r\n", REPL_EPROTO, NULL},
        {"HTTP/1.1 200 OK\r\nA: b\r\n", REPL_EPROTO, NULL},
        {"", REPL_EPROTO, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_answer answer = {0};
        assert_int_equal(http_parse(span_str(cases[i].text), &answer), cases[i].result);
        if (cases[i].body != NULL) {
            assert_string_equal(buf_cstr(&answer.body), cases[i].body);
        }
        buf_done(&answer.body);
    }
}

static struct cli_args migrate_args(const char *from, const char *to)
{
    return (struct cli_args){
        .given = {{"source-endpoint-url", "http://127.0.0.1:1"},
                  {"destination-endpoint-url", "https://d.example"},
                  {"source-profile", "src"},
                  {"include", "**.html"},
                  {"memory", "128MiB"},
                  {"journal", "/nowhere/j.db"}},
        .given_count = 6,
        .words = {from, to},
        .word_count = 2,
    };
}

static void test_migrate_job(void **state)
{
    (void)state;
    struct cli_args args = migrate_args("s3://in/raw/", "s3://out");
    struct migrate_job job;
    struct fail f = {0};
    if (migrate_job_init(&job, &args, &f) != 0) {
        fail_msg("%s", f.text);
    }
    assert_string_equal(job.rule.source.endpoint, "source");
    assert_string_equal(job.rule.source.bucket, "in");
    assert_string_equal(job.rule.source.prefix, "raw/");
    assert_string_equal(job.rule.destination.bucket, "out");
    assert_int_equal(job.rule.include_count, 1);
    const struct conf_endpoint *source = conf_endpoint_find(job.conf, "source");
    assert_string_equal(source->url, "http://127.0.0.1:1");
    assert_int_equal(source->credentials, CONF_CREDS_PROFILE);
    assert_string_equal(source->credentials_name, "src");
    assert_int_equal(conf_endpoint_find(job.conf, "destination")->credentials, CONF_CREDS_ENV);
    assert_int_equal(job.conf->memory_bytes, 128 << 20);
    assert_string_equal(job.conf->journal_path, "/nowhere/j.db");
    migrate_job_done(&job);
}

static void test_bad_migrate_jobs(void **state)
{
    (void)state;
    struct migrate_job job;
    struct fail f = {0};
    struct cli_args args = migrate_args("s3://", "s3://out");
    assert_int_equal(migrate_job_init(&job, &args, &f), REPL_EBADINPUT);
    args = migrate_args("s3://in", "s3://out");
    args.given[0].name = "include";
    assert_int_equal(migrate_job_init(&job, &args, &f), REPL_EBADINPUT);
    assert_non_null(strstr(f.hint, "--source-endpoint"));
    args = migrate_args("s3://in", "s3://out");
    args.given[4].value = "1GB too much";
    assert_int_equal(migrate_job_init(&job, &args, &f), REPL_EBADINPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_args),
        cmocka_unit_test(test_letters_and_values_of_two_words),
        cmocka_unit_test(test_bad_args),
        cmocka_unit_test(test_commands_are_reachable),
        cmocka_unit_test(test_protocol_names_commands),
        cmocka_unit_test(test_man_page_has_every_option),
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_http_answers),
        cmocka_unit_test(test_migrate_job),
        cmocka_unit_test(test_bad_migrate_jobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
