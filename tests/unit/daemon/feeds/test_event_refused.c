/* Bodies that are refused: what is wrong in them is said, and they cost little. */
#include "tests/unit/support/assert_span.h"
#include "tests/unit/support/parsed_event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* ---- what is refused ---- */

static void refused_bodies(void **state)
{
    static const char *const cases[][2] = {
        {"", "neither JSON nor XML"},
        {"hello", "neither JSON nor XML"},
        {"aGVsbG8=", "neither JSON nor XML"},
        {"{'Records':", "not JSON"},
        {"{}", "no kind of notification"},
        {"{'Records':{}}", "no kind of notification"},
        {"[1]", "no kind of notification"},
        {"<Notification><Message>", "XML without"},
        {"<Notification><Text>x</Text></Notification>", "XML without"},
        {"{'Type':'Other','TopicArn':'a'}", "Type is none"},
        {"{'Type':'Notification','TopicArn':'a','Message':'{}'}", "message: no kind"},
        {"{'specversion':'1.0','data':[]}", "message: neither JSON"},
        {"{'Records':[1]}", "Records[0]: eventSource"},
        {"{'events':[{'eventName':'ObjectCreated:PutObject'}]}", "events[0]: key is missing"},
        {"{'detail-type':'Object Created'}", "detail: key is missing"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        parsed_expect_refused(parsed_of("%s", cases[i][0]), cases[i][1]);
    }
}

static void refused_records(void **state)
{
    static const struct {
        const char *source, *version, *name, *object, *text;
    } cases[] = {
        {"other:s3", "2.1", "ObjectCreated:Put", "'key':'k'", "Records[0]: eventSource"},
        {"aws:s3", "3.0", "ObjectCreated:Put", "'key':'k'", "Records[0]: eventVersion"},
        {"aws:s3", "2.1", "", "'key':'k'", "Records[0]: the name"},
        {"aws:s3", "2.1", "ObjectCreated:Put", "'size':1", "Records[0]: key is missing"},
        {"aws:s3", "2.1", "ObjectCreated:Put", "'key':[]", "Records[0]: key is missing"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        parsed_expect_refused(parsed_of("{'Records':[" PARSED_RECORD "]}", cases[i].source,
                                        cases[i].version, cases[i].name, cases[i].object),
                              cases[i].text);
    }
}

static void the_good_beside_the_bad_is_kept(void **state)
{
    char long_key[CHANGE_KEY_MAX + 20];
    (void)state;
    snprintf(long_key, sizeof(long_key), "'key':'%0*d'", CHANGE_KEY_MAX + 1, 0);
    struct parsed p = parsed_of(
        "{'Records':[" PARSED_RECORD "," PARSED_RECORD ",{}," PARSED_RECORD "]}", "aws:s3", "2.1",
        "ObjectCreated:Put", "'key':'a'", "aws:s3", "2.1", "ObjectCreated:Put", long_key, "aws:s3",
        "2.1", "ObjectRemoved:Delete", "'key':'b'");
    assert_int_equal(p.list.count, 2);
    assert_span(p.list.changes[0].key, "a");
    assert_span(p.list.changes[1].key, "b");
    parsed_expect_refused(p, "Records[1]: key is 1025 bytes long");
}

/* ---- what would cost too much ---- */

static void repeat(struct buf *to, const char *text, size_t times)
{
    for (size_t i = 0; i < times; i++) {
        buf_str(to, text);
    }
}

static void hostile_bodies(void **state)
{
    (void)state;
    struct buf body = {0};
    buf_str(&body, "{\"Records\":[1");
    repeat(&body, ",1", EVENT_VALUES_MAX);
    buf_str(&body, "]}");
    parsed_expect_refused(parsed_of_bytes(buf_view(&body)), "more than 65536 values");
    buf_reset(&body);
    repeat(&body, "[", 60000);
    parsed_expect_refused(parsed_of_bytes(buf_view(&body)), "not JSON");
    buf_reset(&body);
    repeat(&body, " ", EVENT_BODY_MAX + 1);
    parsed_expect_refused(parsed_of_bytes(buf_view(&body)), "the body is larger");
    buf_done(&body);
}

/* Values are counted over all messages of a list. */
static void hostile_lists(void **state)
{
    (void)state;
    struct buf body = {0};
    buf_str(&body, "[{\"Message\":\"{\\\"events\\\":[]}\"}");
    for (int i = 0; i < 40; i++) {
        buf_str(&body, ",{\"Message\":\"{\\\"more\\\":[1");
        repeat(&body, ",1", 1000);
        buf_str(&body, "],\\\"events\\\":[]}\"}");
    }
    buf_str(&body, "]");
    parsed_expect_refused(parsed_of_bytes(buf_view(&body)), "message: more than 65536 values");
    buf_done(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_bodies),
        cmocka_unit_test(refused_records),
        cmocka_unit_test(the_good_beside_the_bad_is_kept),
        cmocka_unit_test(hostile_bodies),
        cmocka_unit_test(hostile_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
