/* JSON lines into changes, and JSON out. */
#include "daemon/admin/append_json.h"
#include "daemon/admin/json_out.h"
#include "daemon/admin/proto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_members(void **state)
{
    (void)state;
    static const char text[] =
        "{\"bucket\":\"b\",\"key\":\"k\"}\r\n"
        "\n"
        "{\"bucket\":\"b\",\"key_base64\":\"/wE=\",\"kind\":\"delete\",\"endpoint\":\"e\","
        "\"version_id\":\"v\",\"etag\":\"t\",\"sequencer\":\"0A\",\"size\":12,"
        "\"event_time\":\"2026-11-23T10:20:30Z\"}\n"
        "{\"bucket\":\"b\",\"key\":\"k2\",\"size\":null,\"event_time\":1700000000000}";
    struct arena a;
    struct append_lines lines = {0};
    struct fail f = {0};
    arena_init(&a);
    if (append_json_parse(span_str(text), &a, &lines, &f) != 0) {
        fail_msg("%s", f.text);
    }
    assert_int_equal(lines.count, 3);
    assert_int_equal(lines.changes[0].kind, CHANGE_PUT);
    assert_int_equal(lines.changes[0].size, CHANGE_SIZE_UNKNOWN);
    assert_null(lines.changes[0].endpoint.ptr);
    assert_true(span_eq(lines.changes[1].key, span_of("\xff\x01", 2)));
    assert_int_equal(lines.changes[1].kind, CHANGE_DELETE);
    assert_int_equal(lines.changes[1].size, 12);
    assert_int_equal(lines.changes[1].event_time_ms, 1795429230000);
    assert_int_equal(lines.changes[2].event_time_ms, 1700000000000);
    arena_done(&a);
}

static void test_bad_lines(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"x", "line 1: not JSON"},
        {"[1]", "line 1: a change is a JSON object"},
        {"{\"bucket\":\"b\"}", "line 1: "},
        {"{\"key\":\"k\"}", "line 1: "},
        {"\n{\"bucket\":\"b\",\"key\":\"k\",\"kind\":\"move\"}", "line 2: \"kind\""},
        {"{\"bucket\":\"b\",\"key\":\"k\",\"size\":-1}", "line 1: \"size\""},
        {"{\"bucket\":\"b\",\"key\":\"k\",\"size\":1.5}", "line 1: \"size\""},
        {"{\"bucket\":\"b\",\"key\":\"k\",\"event_time\":\"soon\"}", "line 1: \"event_time\""},
        {"{\"bucket\":\"b\",\"key\":\"k\",\"key_base64\":\"aw==\"}", "line 1: \"key\" and"},
        {"{\"bucket\":\"b\",\"key_base64\":\"a\"}", "line 1: \"key_base64\""},
        {"{\"bucket\":\"b\",\"key_base64\":\"a===\"}", "line 1: \"key_base64\""},
        {"{\"bucket\":\"b\",\"key\":{}}", "line 1: key: wants a single value"},
        {"{\"bucket\":\"b\",\"key\":\"k\"}{}", "line 1: not JSON"},
        {"{\"bucket\":\"b\",\"key\":\"\\u0000\"}", "line 1: not JSON"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct arena a;
        struct append_lines lines = {.count = 77};
        struct fail f = {0};
        arena_init(&a);
        int r = append_json_parse(span_str(bad[i][0]), &a, &lines, &f);
        if (r != REPL_EBADINPUT || lines.count != 77 ||
            strncmp(f.text, bad[i][1], strlen(bad[i][1])) != 0) {
            fail_msg("%s gives %d: %s", bad[i][0], r, f.text);
        }
        arena_done(&a);
    }
}

static void test_too_many_lines(void **state)
{
    (void)state;
    struct buf text = {0};
    struct arena a;
    struct append_lines lines = {0};
    struct fail f = {0};
    for (int i = 0; i <= PROTO_APPEND_LINES + 1; i++) {
        buf_str(&text, "{\"bucket\":\"b\",\"key\":\"k\"}\n");
    }
    arena_init(&a);
    assert_int_equal(append_json_parse(buf_view(&text), &a, &lines, &f), REPL_ETOOBIG);
    arena_done(&a);
    buf_done(&text);
}

static void test_keys_that_json_cannot_hold(void **state)
{
    (void)state;
    struct buf text = {0};
    json_open(&text, NULL, '{');
    json_key(&text, "key", span_of("a\xff\"\n", 4));
    json_int(&text, "n", -1);
    json_open(&text, "list", '[');
    json_str(&text, NULL, "x");
    json_str(&text, NULL, NULL);
    json_close(&text, ']');
    json_close(&text, '}');
    assert_string_equal(buf_cstr(&text), "{\"key\":\"a\\ufffd\\\"\\u000a\",\"key_base64\":"
                                         "\"Yf8iCg==\",\"n\":-1,\"list\":[\"x\",null]}");
    buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_too_many_lines),
        cmocka_unit_test(test_keys_that_json_cannot_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
