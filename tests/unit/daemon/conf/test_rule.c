/* Rules as JSON, as files, and member by member. */
#include "daemon/conf/rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define FULL                                                                                       \
    "{\"name\": \"pages\", \"source\": \"overseas/crawl/raw/\", \"destination\": \"home/crawl\", " \
    "\"include\": [\"**.html\", \"a \\\"b\\\\\\\\c\"], \"exclude\": [\"tmp/**\"], "                \
    "\"watermark_prefixes\": [\"a/\", \"b\"], "                                                    \
    "\"storage_class\": \"STANDARD_IA\", \"versions\": \"all\", \"deletes\": \"propagate\", "      \
    "\"deletes_brake\": \"200 or 5% in 1h\", \"deletes_foreign\": true, \"two_way\": false, "      \
    "\"existing\": true, "                                                                         \
    "\"scan\": \"every 6h\", \"scan_against\": \"destination\", \"scan_requests\": \"20/s\", "     \
    "\"enabled\": false, \"keep_replicas\": true, \"marker\": false, \"objective\": \"90s\", "     \
    "\"priority\": 70, \"bandwidth\": \"08:00-20:00 100mbit, 400mbit\", "                          \
    "\"requests\": \"500/s\", \"publish\": \"30s\", "                                              \
    "\"publish_as\": \"_repl/{instance}\", \"shared\": true, \"scan_host\": \"crawler-1\", "       \
    "\"takeover\": \"20s\"}"

static void test_round_trip(void **state)
{
    (void)state;
    struct arena a;
    struct rule rule = {0};
    struct fail f = {0};
    struct buf text = {0};
    arena_init(&a);
    if (rule_from_json(span_str(FULL), &a, &rule, &f) != 0) {
        fail_msg("%s", f.text);
    }
    assert_string_equal(rule.source.prefix, "raw/");
    assert_string_equal(rule.destination.prefix, "");
    assert_int_equal(rule.include_count, 2);
    assert_string_equal(rule.include[1], "a \"b\\\\c");
    assert_int_equal(rule.watermark_prefix_count, 2);
    assert_string_equal(rule.watermark_prefixes[1], "b");
    assert_int_equal(rule.deletes, RULE_DELETES_PROPAGATE);
    assert_int_equal(rule.deletes_brake.count, 200);
    assert_int_equal(rule.deletes_brake.percent, 5);
    assert_int_equal(rule.deletes_brake.window_ms, 3600000);
    assert_true(rule.deletes_foreign);
    assert_int_equal(rule.scan.mode, RULE_SCAN_EVERY);
    assert_int_equal(rule.scan.every_ms, 6 * 3600000);
    assert_int_equal(rule.scan_against, RULE_SCAN_DESTINATION);
    assert_int_equal(rule.objective_ms, 90000);
    assert_int_equal(rule.priority, 70);
    assert_int_equal(limit_at(&rule.bandwidth, 600)->rate, 12500000);
    assert_int_equal(limit_at(&rule.requests, 600)->rate, 500);
    assert_false(rule.enabled);
    rule_to_json(&rule, &text);
    assert_string_equal(buf_cstr(&text), FULL);
    buf_done(&text);
    arena_done(&a);
}

static void test_defaults(void **state)
{
    (void)state;
    struct arena a;
    struct rule rule = {0};
    struct fail f = {0};
    arena_init(&a);
    assert_int_equal(rule_from_json(span_str("{\"name\":\"r\",\"source\":\"a/b\","
                                             "\"destination\":\"c/d/\"}"),
                                    &a, &rule, &f),
                     0);
    assert_true(rule.enabled && rule.keep_replicas && rule.marker);
    assert_false(rule.existing);
    assert_int_equal(rule.objective_ms, 600000);
    assert_int_equal(rule.priority, 50);
    assert_null(rule.storage_class);
    arena_done(&a);
}

static void test_bad_json(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"", "not JSON"},
        {"[]", "JSON object"},
        {"{", "not JSON"},
        {"{\"name\":\"r\"}", "\"source\" is missing"},
        {"{\"name\":\"R\",\"source\":\"a/b\",\"destination\":\"c/d\"}", "name"},
        {"{\"name\":\"r\",\"source\":\"a\",\"destination\":\"c/d\"}", "ENDPOINT/BUCKET"},
        {"{\"name\":\"r\",\"source\":\"a/b/_repl/x\",\"destination\":\"c/d\"}", "_repl/"},
        {"{\"name\":\"r\",\"name\":\"s\"}", "not JSON"},
        {"{\"name\":7,\"source\":{},\"destination\":\"c/d\"}", "source"},
        {"{\"name\":\"r\",\"source\":\"a/b\",\"destination\":\"c/d\",\"include\":\"x\"}",
         "include"},
        {"{\"name\":\"r\",\"source\":\"a/b\",\"destination\":\"c/d\",\"include\":[\"[a\"]}",
         "[ without"},
        {"{\"name\":\"r\",\"source\":\"a/b\",\"destination\":\"c/d\",\"priority\":101}",
         "priority"},
        {"{\"name\":\"r\",\"source\":\"a/b\",\"destination\":\"c/d\",\"priority\":1.5}",
         "priority"},
        {"{\"name\":\"r\",\"source\":\"a/b\",\"destination\":\"c/d\",\"existing\":\"yes\"}",
         "existing"},
        {"{\"name\":\"r\",\"source\":\"a/b\",\"destination\":\"c/d\",\"prio\":1}", "unknown key"},
        {"{\"name\":\"r\",\"source\":\"a/b\",\"destination\":\"c/d\",\"scan\":\"every 5s\"}",
         "every DURATION"},
        {"{\"name\":\"r\",\"source\":\"a/b\",\"destination\":\"c/d\",\"scan\":\"once 6h\"}",
         "every DURATION"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct arena a;
        struct rule rule = {.number = 77};
        struct fail f = {0};
        arena_init(&a);
        int r = rule_from_json(span_str(bad[i][0]), &a, &rule, &f);
        if (r != REPL_EBADINPUT || rule.number != 77 || strstr(f.text, bad[i][1]) == NULL) {
            fail_msg("%s gives %d: %s", bad[i][0], r, f.text);
        }
        arena_done(&a);
    }
}

static void test_members_one_by_one(void **state)
{
    (void)state;
    struct arena a;
    struct rule rule;
    struct fail f = {0};
    arena_init(&a);
    rule_init(&rule, &a);
    assert_int_equal(rule_set(&rule, "name", span_str("r"), &a, &f), 0);
    assert_int_equal(rule_set(&rule, "include", span_str("a*"), &a, &f), 0);
    assert_int_equal(rule_set(&rule, "include", span_str("b*"), &a, &f), 0);
    assert_int_equal(rule.include_count, 2);
    assert_string_equal(rule.include[0], "a*");
    assert_string_equal(rule.include[1], "b*");
    assert_int_equal(rule_set(&rule, "enabled", span_str("false"), &a, &f), 0);
    assert_false(rule.enabled);
    assert_int_equal(rule_set(&rule, "objective", span_str("2h"), &a, &f), 0);
    assert_int_equal(rule.objective_ms, 7200000);
    assert_int_equal(rule_set(&rule, "priority", span_str("x"), &a, &f), REPL_EBADINPUT);
    assert_int_equal(rule_set(&rule, "enabled", span_str("no"), &a, &f), REPL_EBADINPUT);
    assert_int_equal(rule_set(&rule, "include", span_str("\xff*"), &a, &f), REPL_EBADINPUT);
    assert_int_equal(rule_set(&rule, "source", span_str("a/b/\xff"), &a, &f), REPL_EBADINPUT);
    assert_int_equal(rule_set(&rule, "nothing", span_str("no"), &a, &f), REPL_EBADINPUT);
    assert_int_equal(rule.priority, 50);
    arena_done(&a);
}

static void test_files(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        {"rules:\n  - name: a\n    source: x/y\n    destination: z/w/p\n  - name: b\n"
         "    source: x/v\n    destination: z/w/q\n",
         ""},
        {"rules: []\n", ""},
        {"rules:\n  - name: a\n    source: x/y\n", "f.yaml:2: \"destination\" is missing"},
        {"rules:\n  - name: a\n    source: x/y\n    destination: z/w\n    delets: ignore\n",
         "f.yaml:5: unknown key"},
        {"rules:\n  - {name: a, source: x/y, destination: z/w}\n"
         "  - {name: a, source: x/y, destination: z/w}\n",
         "f.yaml:3: rule \"a\" stands here twice"},
        {"roles: []\n", "f.yaml:1: a rule file"},
        {"rules:\n  - text\n", "f.yaml:2: wants keys"},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct arena a;
        struct rule_file file = {0};
        struct fail f = {0};
        arena_init(&a);
        int r = rule_file_parse(span_str(texts[i][0]), "f.yaml", &a, &file, &f);
        const char *wanted = texts[i][1];
        if ((r == 0) != (wanted[0] == '\0') || strncmp(f.text, wanted, strlen(wanted)) != 0) {
            fail_msg("%s gives %d: %s", texts[i][0], r, f.text);
        }
        assert_int_equal(file.count, i == 0 ? 2 : 0);
        arena_done(&a);
    }
}

static void test_every_bad_entry_is_named(void **state)
{
    (void)state;
    static const char text[] = "rules:\n  - {name: a, source: x, destination: z/w}\n"
                               "  - {name: b, source: x/y, destination: z/w}\n"
                               "  - {name: c, source: x/y, destination: z/w, priority: 500}\n"
                               "  - {name: b, source: x/y, destination: z/w}\n";
    static const char *const wanted[] = {"f.yaml:2: source", "f.yaml:4: priority",
                                         "f.yaml:5: rule \"b\" stands here twice"};
    struct arena a;
    struct rule_file file = {0};
    struct fail f = {0};
    arena_init(&a);
    assert_int_equal(rule_file_parse(span_str(text), "f.yaml", &a, &file, &f), REPL_EBADINPUT);
    assert_int_equal(file.count, 0);
    assert_int_equal(file.fault_count, 3);
    const struct rule_fault *fault = file.faults;
    for (size_t i = 0; i < 3; i++, fault = fault->next) {
        assert_memory_equal(fault->fail.text, wanted[i], strlen(wanted[i]));
    }
    assert_null(fault);
    assert_string_equal(f.text, file.faults->fail.text);
    assert_non_null(strstr(f.hint, "overseas/crawl"));
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_bad_json),   cmocka_unit_test(test_members_one_by_one),
        cmocka_unit_test(test_files),      cmocka_unit_test(test_every_bad_entry_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
