/* Bodies in the envelopes of their senders: OSS, EventBridge, SNS, as their documentation shows
 * them. */
#include "daemon/base/base64.h"
#include "tests/unit/support/assert_span.h"
#include "tests/unit/support/parsed_event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* ---- OSS: eventName ---- */

#define OSS_EVENT                                                                                  \
    "{'eventName':'%s','eventSource':'acs:oss','eventTime':'2026-11-23T10:20:30.000Z',"            \
    "'eventVersion':'1.0','oss':{'bucket':{'arn':'acs:oss:cn-hangzhou:1:b','name':'b'},"           \
    "'object':{'deltaSize':3,'eTag':'ABCDEF','key':'a+b/c%%20','size':3},"                         \
    "'ossSchemaVersion':'1.0','ruleId':'r'},'region':'cn-hangzhou'}"

static void check_oss_put(struct parsed p)
{
    parsed_expect_good(&p);
    assert_int_equal(p.list.count, 1);
    const struct change *c = &p.list.changes[0];
    assert_int_equal(c->kind, CHANGE_PUT);
    assert_span(c->bucket, "b");
    assert_span(c->key, "a+b/c%20");
    assert_span(c->etag, "ABCDEF");
    assert_null(c->sequencer.ptr);
    assert_null(c->version_id.ptr);
    assert_int_equal(c->size, 3);
    assert_int_equal(c->event_time_ms, 1795429230000);
    arena_done(&p.arena);
}

/* A JSON text inside a JSON string. */
static void escaped(struct buf *to, const struct buf *text)
{
    for (size_t i = 0; i < text->len; i++) {
        buf_printf(to, text->data[i] == '"' ? "\\%c" : "%c", text->data[i]);
    }
}

static void oss_in_all_its_envelopes(void **state)
{
    (void)state;
    struct buf body = {0};
    struct buf encoded = {0};
    struct buf inside = {0};
    parsed_json(&body, "{'events':[" OSS_EVENT "]}", "ObjectCreated:PutObject");
    base64_encode(buf_view(&body), &encoded);
    escaped(&inside, &body);
    check_oss_put(parsed_of_bytes(buf_view(&body)));
    check_oss_put(parsed_of_bytes(buf_view(&encoded)));
    check_oss_put(parsed_of("{'TopicName':'t','MessageId':'1','Message':'%s'}", buf_cstr(&inside)));
    check_oss_put(
        parsed_of("{'TopicName':'t','MessageId':'1','Message':'%s'}", buf_cstr(&encoded)));
    check_oss_put(
        parsed_of("<?xml version='1.0'?>\n<Notification xmlns='http://mns.aliyuncs.com/doc/"
                  "v1/'><TopicName>t</TopicName><Message>%s</Message></Notification>\n",
                  buf_cstr(&encoded)));
    check_oss_put(parsed_of("{'id':'1','source':'acs.oss','specversion':'1.0','type':"
                            "'oss:ObjectCreated:PutObject','datacontenttype':'application/json',"
                            "'subject':'acs:oss:cn-hangzhou:1:b/a','data':" OSS_EVENT "}",
                            "ObjectCreated:PutObject"));
    buf_done(&body);
    buf_done(&encoded);
    buf_done(&inside);
}

static void oss_names(void **state)
{
    (void)state;
    struct parsed p = parsed_of("{'events':[" OSS_EVENT "," OSS_EVENT "," OSS_EVENT "," OSS_EVENT
                                "," OSS_EVENT "]}",
                                "ObjectRemoved:DeleteObject", "ObjectRemoved:AbortMultipartUpload",
                                "ObjectCreated:UploadPart", "ObjectReplication:ObjectRemoved",
                                "ObjectReplication:ObjectModified");
    parsed_expect_good(&p);
    assert_int_equal(p.list.count, 3);
    assert_int_equal(p.list.ignored, 2);
    assert_int_equal(p.list.changes[0].kind, CHANGE_DELETE);
    assert_int_equal(p.list.changes[0].size, CHANGE_SIZE_UNKNOWN);
    assert_int_equal(p.list.changes[1].kind, CHANGE_DELETE);
    assert_int_equal(p.list.changes[2].kind, CHANGE_PUT);
    arena_done(&p.arena);
}

/* ---- EventBridge: detail-type, deletion-type ---- */

#define BRIDGE                                                                                     \
    "{'version':'0','id':'i','detail-type':'%s','source':'aws.s3','account':'1',"                  \
    "'time':'2026-11-23T10:20:30Z','region':'ca-central-1','resources':['arn:aws:s3:::b'],"        \
    "'detail':{'version':'0','bucket':{'name':'b'},'object':{'key':'a+b %%20','size':5,"           \
    "'etag':'e','version-id':'v','sequencer':'00617F08299329D189'},'deletion-type':'%s'}}"

static void event_bridge(void **state)
{
    (void)state;
    struct parsed p = parsed_of("[" BRIDGE "," BRIDGE "," BRIDGE "," BRIDGE "]", "Object Created",
                                "", "Object Deleted", "Delete Marker Created", "Object Deleted",
                                "Permanently Deleted", "Object Tags Added", "");
    parsed_expect_good(&p);
    assert_int_equal(p.list.count, 3);
    assert_int_equal(p.list.ignored, 1);
    const struct change *c = p.list.changes;
    assert_span(c[0].key, "a+b %20");
    assert_span(c[0].version_id, "v");
    assert_span(c[0].etag, "e");
    assert_span(c[0].sequencer, "00617F08299329D189");
    assert_int_equal(c[0].size, 5);
    assert_int_equal(c[0].event_time_ms, 1795429230000);
    assert_int_equal(c[1].kind, CHANGE_DELETE);
    assert_span(c[1].version_id, "v");
    assert_int_equal(c[2].kind, CHANGE_PUT); /* of one version: to be looked at */
    assert_null(c[2].version_id.ptr);
    arena_done(&p.arena);
}

/* ---- SNS ---- */

static void sns_notification(void **state)
{
    (void)state;
    struct buf inner = {0};
    struct buf inside = {0};
    parsed_json(&inner, "{'Records':[" PARSED_RECORD "]}", "aws:s3", "2.1", "ObjectCreated:Put",
                "'key':'k'");
    escaped(&inside, &inner);
    struct parsed p = parsed_of("{'Type':'Notification','MessageId':'m','TopicArn':'arn:t',"
                                "'Subject':'Amazon S3 Notification','Message':'%s',"
                                "'Timestamp':'2026-11-23T10:20:30.000Z','SignatureVersion':'2',"
                                "'Signature':'c2ln','SigningCertURL':'https://sns.x/c.pem'}",
                                buf_cstr(&inside));
    parsed_expect_good(&p);
    assert_int_equal(p.list.count, 1);
    assert_span(p.list.changes[0].key, "k");
    assert_non_null(p.list.sns);
    assert_int_equal(p.list.sns->kind, EVENT_SNS_NOTIFICATION);
    assert_span(p.list.sns->message, buf_cstr(&inner));
    assert_span(p.list.sns->message_id, "m");
    assert_span(p.list.sns->subject, "Amazon S3 Notification");
    assert_span(p.list.sns->timestamp, "2026-11-23T10:20:30.000Z");
    assert_span(p.list.sns->topic_arn, "arn:t");
    assert_span(p.list.sns->signature, "c2ln");
    assert_span(p.list.sns->signature_version, "2");
    assert_span(p.list.sns->signing_cert_url, "https://sns.x/c.pem");
    assert_null(p.list.sns->token.ptr);
    arena_done(&p.arena);
    buf_done(&inner);
    buf_done(&inside);
}

static void sns_confirmation(void **state)
{
    (void)state;
    struct parsed p = parsed_of(
        "{'Type':'SubscriptionConfirmation','MessageId':'m','Token':'t','TopicArn':'arn:t',"
        "'Message':'You have chosen','SubscribeURL':'https://sns.x/?a','Timestamp':"
        "'2026-11-23T10:20:30.000Z','SignatureVersion':'1'}");
    parsed_expect_good(&p);
    assert_int_equal(p.list.sns->kind, EVENT_SNS_CONFIRM);
    assert_span(p.list.sns->subscribe_url, "https://sns.x/?a");
    assert_span(p.list.sns->token, "t");
    assert_span(p.list.sns->type, "SubscriptionConfirmation");
    assert_int_equal(p.list.count, 0);
    arena_done(&p.arena);
}

/* ---- one in another ---- */

/* Each in the one before it, in base64. */
static void envelopes_have_an_end(void **state)
{
    (void)state;
    struct buf body = {0};
    struct buf encoded = {0};
    parsed_json(&body, "{'Records':[" PARSED_RECORD "]}", "aws:s3", "2.1", "ObjectCreated:Put",
                "'key':'k'");
    for (int i = 0; i < 2; i++) {
        buf_reset(&encoded);
        base64_encode(buf_view(&body), &encoded);
        buf_reset(&body);
        parsed_json(&body, "{'specversion':'1.0','data_base64':'%s'}", buf_cstr(&encoded));
        struct parsed p = parsed_of_bytes(buf_view(&body));
        assert_int_equal(p.list.count, i == 0 ? 1 : 0);
        if (i > 0) {
            parsed_expect_refused(p, "message: too many envelopes");
        } else {
            arena_done(&p.arena);
        }
    }
    buf_done(&body);
    buf_done(&encoded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(oss_in_all_its_envelopes),
        cmocka_unit_test(oss_names),
        cmocka_unit_test(event_bridge),
        cmocka_unit_test(sns_notification),
        cmocka_unit_test(sns_confirmation),
        cmocka_unit_test(envelopes_have_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
