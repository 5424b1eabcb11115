/* Events as they are told: the S3 event format, whatever the names hold. */
#include "daemon/notify/event_out.h"

#include "daemon/conf/doc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define AT_MS 1790000000250

static struct event_out sample(void)
{
    return (struct event_out){
        .kind = EVENT_REPLICATED,
        .at_ms = AT_MS,
        .rule = "pages",
        .instance = "host-1",
        .region = "eu-central-1",
        .source = {"overseas", "crawl", span_str("a b/\xc3\xbc+%"), span_str("e1"), span_str("v1")},
        .destination = {"home", "copy", span_str("x/\"q\""), span_str("e2"), {0}},
        .size = 5,
        .change_ms = AT_MS - 1000,
        .latency_ms = 1000,
        .objective_ms = 600000};
}

static void test_object(void **state)
{
    (void)state;
    struct buf text = {0};
    struct event_out e = sample();
    event_print(&e, &text);
    assert_string_equal(
        buf_cstr(&text),
        "{\"eventVersion\":\"2.2\",\"eventSource\":\"repld\",\"awsRegion\":\"eu-central-1\","
        "\"eventTime\":\"2026-09-21T14:13:20.250Z\","
        "\"eventName\":\"Replication:OperationCompletedReplication\","
        "\"s3\":{\"s3SchemaVersion\":\"1.0\",\"configurationId\":\"pages\","
        "\"bucket\":{\"name\":\"crawl\",\"arn\":\"arn:aws:s3:::crawl\"},"
        "\"object\":{\"key\":\"a+b/%C3%BC%2B%25\",\"size\":5,\"eTag\":\"e1\","
        "\"versionId\":\"v1\"}},"
        "\"replicationEventData\":{\"replicationRuleId\":\"pages\","
        "\"destinationBucket\":\"arn:aws:s3:::copy\",\"s3Operation\":\"OBJECT_PUT\","
        "\"requestTime\":\"2026-09-21T14:13:19.250Z\",\"threshold\":600,"
        "\"replicationTime\":1},"
        "\"repld\":{\"kind\":\"replicated\",\"rule\":\"pages\",\"instance\":\"host-1\","
        "\"source\":{\"endpoint\":\"overseas\"},"
        "\"destination\":{\"endpoint\":\"home\",\"bucket\":\"copy\","
        "\"object\":{\"key\":\"x/%22q%22\",\"eTag\":\"e2\"}},\"latencyMs\":1000}}");
    buf_done(&text);
}

/* Each kind is JSON, whatever stands in its texts, and has what it tells of. */
static void test_every_kind(void **state)
{
    (void)state;
    for (int kind = 0; kind < EVENT_KINDS; kind++) {
        struct buf text = {0};
        struct arena a;
        struct doc root;
        struct fail f;
        struct event_out e = sample();
        arena_init(&a);
        e.kind = (enum event_kind)kind;
        e.reason = "a \"reason\"\n\xff";
        e.watermark_ms = AT_MS;
        if (kind == EVENT_BRAKE || kind == EVENT_WATERMARK) {
            e.source.key = (struct span){0};
            e.destination.key = (struct span){0};
        }
        event_print(&e, &text);
        assert_int_equal(doc_from_json(buf_view(&text), &a, &root, &f), 0);
        const struct doc *ours = doc_get(&root, "repld");
        assert_true(span_eq_str(doc_get(ours, "kind")->text, event_kind_name(e.kind)));
        assert_int_equal(doc_get(ours, "watermark") != NULL, kind == EVENT_WATERMARK);
        bool of_object = e.source.key.ptr != NULL;
        assert_int_equal(doc_get(doc_get(&root, "s3"), "object") != NULL, of_object);
        assert_int_equal(doc_get(&root, "replicationEventData") != NULL, of_object);
        arena_done(&a);
        buf_done(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_object),
        cmocka_unit_test(test_every_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
