/* Bodies of all senders, as their documentation and sources show them. JSON is written with ' here,
 * which becomes " before it is parsed. */
#include "daemon/base/base64.h"
#include "daemon/feeds/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

struct parsed {
    struct arena arena;
    struct event_list list;
    struct fail fail;
    int status;
};

static void print_json(struct buf *to, const char *format, va_list args)
{
    buf_vprintf(to, format, args);
    for (size_t i = 0; i < to->len; i++) {
        to->data[i] = to->data[i] == '\'' ? '"' : to->data[i];
    }
}

static struct parsed parse_bytes(struct span body)
{
    struct parsed p = {0};
    struct event_options o = {.endpoint = span_str("near"), .feed = span_str("webhook:w")};
    arena_init(&p.arena);
    p.status = event_parse(body, &o, &p.arena, &p.list, &p.fail);
    return p;
}

__attribute__((format(printf, 1, 2))) static struct parsed parse(const char *format, ...)
{
    struct buf body = {0};
    va_list args;
    va_start(args, format);
    print_json(&body, format, args);
    va_end(args);
    struct parsed p = parse_bytes(buf_view(&body));
    buf_done(&body);
    return p;
}

static void assert_good(const struct parsed *p)
{
    if (p->status != 0) {
        fail_msg("%s", p->fail.text);
    }
}

static void assert_span(struct span s, const char *text)
{
    if (!span_eq_str(s, text)) {
        fail_msg("\"%.*s\" is not \"%s\"", SPAN_ARG(s), text);
    }
}

/* ---- records: eventSource, eventVersion, eventName, members of the object ---- */

#define RECORD                                                                                     \
    "{'eventSource':'%s','eventVersion':'%s','eventName':'%s','awsRegion':'us-west-2',"            \
    "'eventTime':'2026-11-23T10:20:30.500Z','userIdentity':{'principalId':'p'},"                   \
    "'requestParameters':{'sourceIPAddress':''},'s3':{'s3SchemaVersion':'1.0',"                    \
    "'bucket':{'name':'b','arn':'arn:aws:s3:::b'},'object':{%s}},'more':[null,1.5]}"

static void aws_put(void **state)
{
    (void)state;
    struct parsed p = parse("{'Records':[" RECORD "]}", "aws:s3", "2.6", "ObjectCreated:Put",
                            "'key':'a+b%2Bc%20d/%C3%A4%2Fe%zz','size':1024,'eTag':'d41d8',"
                            "'versionId':'v1','sequencer':'0055AED6DCD90281E5'");
    assert_good(&p);
    assert_int_equal(p.list.count, 1);
    const struct change *c = &p.list.changes[0];
    assert_int_equal(c->kind, CHANGE_PUT);
    assert_span(c->bucket, "b");
    assert_span(c->key, "a b+c d/\xc3\xa4/e%zz");
    assert_span(c->version_id, "v1");
    assert_span(c->etag, "d41d8");
    assert_span(c->sequencer, "0055AED6DCD90281E5");
    assert_span(c->endpoint, "near");
    assert_span(c->feed, "webhook:w");
    assert_int_equal(c->size, 1024);
    assert_int_equal(c->event_time_ms, 1795429230500);
    arena_done(&p.arena);
}

static void minio_and_ceph_spell_otherwise(void **state)
{
    (void)state;
    struct parsed p = parse("{'EventName':'s3:ObjectCreated:Put','Key':'b/x y','Records':[" RECORD
                            "," RECORD "]}",
                            "minio:s3", "2.0", "s3:ObjectCreated:Put",
                            "'key':'dir%2Fx+y%25','sequencer':'17A5B0F2C3D4E5F0'", "ceph:s3", "2.2",
                            "ObjectCreated:Put",
                            "'key':'dir%2Fx+y%25','versionId':'','eTag':'\\'e\\'',"
                            "'sequencer':'F7E6D75DC742D108'");
    assert_good(&p);
    assert_int_equal(p.list.count, 2);
    assert_span(p.list.changes[0].key, "dir/x y%");
    assert_span(p.list.changes[0].sequencer, "17A5B0F2C3D4E5F");
    assert_int_equal(p.list.changes[0].size, CHANGE_SIZE_UNKNOWN);
    assert_span(p.list.changes[1].key, "dir%2Fx+y%25");
    assert_span(p.list.changes[1].etag, "e");
    assert_null(p.list.changes[1].version_id.ptr);
    assert_span(p.list.changes[1].sequencer, "5DD7E6F708D142C7");
    arena_done(&p.arena);
}

static void ceph_that_calls_itself_aws(void **state)
{
    (void)state;
    struct parsed p = parse("{'Records':[{'eventSource':'aws:s3','eventName':'ObjectCreated:Put',"
                            "'s3':{'bucket':{'name':'b','id':'c.4164.1'},'object':{'key':'x+y',"
                            "'sequencer':'F7E6D75DC742D108'}}}]}");
    assert_good(&p);
    assert_span(p.list.changes[0].key, "x+y");
    assert_span(p.list.changes[0].sequencer, "5DD7E6F708D142C7");
    assert_int_equal(p.list.changes[0].event_time_ms, 0);
    arena_done(&p.arena);
}

/* ---- names ---- */

enum meaning { NOTHING, PUT, DELETE, LOOK };

static const struct name_case {
    const char *source;
    const char *name;
    const char *version;
    enum meaning meaning;
} name_cases[] = {
    {"aws:s3", "ObjectCreated:Put", "", PUT},
    {"aws:s3", "ObjectCreated:Post", "v", PUT},
    {"aws:s3", "ObjectCreated:Copy", "", PUT},
    {"aws:s3", "ObjectCreated:CompleteMultipartUpload", "", PUT},
    {"aws:s3", "ObjectCreated:SomethingNew", "v", LOOK},
    {"aws:s3", "ObjectRemoved:Delete", "", DELETE},
    {"aws:s3", "ObjectRemoved:Delete", "v", LOOK},
    {"aws:s3", "ObjectRemoved:DeleteMarkerCreated", "v", DELETE},
    {"aws:s3", "LifecycleExpiration:Delete", "", DELETE},
    {"aws:s3", "LifecycleExpiration:Delete", "v", LOOK},
    {"aws:s3", "LifecycleExpiration:DeleteMarkerCreated", "v", DELETE},
    {"aws:s3", "LifecycleTransition", "", NOTHING},
    {"aws:s3", "ObjectRestore:Completed", "v", LOOK},
    {"aws:s3", "ObjectRestore:Post", "", NOTHING},
    {"aws:s3", "ObjectTagging:Put", "", NOTHING},
    {"aws:s3", "ObjectAcl:Put", "", NOTHING},
    {"aws:s3", "ObjectAnnotation:Put", "", NOTHING},
    {"aws:s3", "IntelligentTiering", "", NOTHING},
    {"aws:s3", "Replication:OperationFailedReplication", "", NOTHING},
    {"minio:s3", "s3:ObjectCreated:Put", "", PUT},
    {"minio:s3", "s3:ObjectCreated:PutTagging", "", NOTHING},
    {"minio:s3", "s3:ObjectCreated:PutRetention", "", NOTHING},
    {"minio:s3", "s3:ObjectRemoved:Delete", "", DELETE},
    {"minio:s3", "s3:ObjectRemoved:Delete", "v", LOOK},
    {"minio:s3", "s3:ObjectRemoved:DeleteMarkerCreated", "v", DELETE},
    {"minio:s3", "s3:ObjectRemoved:DeleteAllVersions", "", DELETE},
    {"minio:s3", "s3:ObjectRemoved:NoOP", "", NOTHING},
    {"minio:s3", "s3:LifecycleDelMarkerExpiration:Delete", "v", LOOK},
    {"minio:s3", "s3:ObjectAccessed:Get", "", NOTHING},
    {"minio:s3", "s3:Scanner:ManyVersions", "", NOTHING},
    {"ceph:s3", "ObjectCreated:Post", "", LOOK},
    {"ceph:s3", "ObjectCreated:CompleteMultipartUpload", "", PUT},
    {"ceph:s3", "ObjectLifecycle:Expiration:Current", "", DELETE},
    {"ceph:s3", "ObjectLifecycle:Expiration:NonCurrent", "v", NOTHING},
    {"ceph:s3", "ObjectLifecycle:Transition:Current", "", NOTHING},
    {"ceph:s3", "ObjectSynced:Create", "", PUT},
    {"ceph:s3", "ObjectSynced:Delete", "", DELETE},
    {"ceph:s3", "ObjectSynced:DeletionMarkerCreated", "v", DELETE},
};

static void check_meaning(const struct name_case *in, const struct change *c)
{
    bool put = in->meaning == PUT;
    if (c->kind != (in->meaning == DELETE ? CHANGE_DELETE : CHANGE_PUT) ||
        (c->etag.len > 0) != put || (c->size == 7) != put) {
        fail_msg("%s %s: kind %d", in->source, in->name, (int)c->kind);
    }
    assert_int_equal(c->version_id.len, in->meaning == LOOK ? 0 : strlen(in->version));
    assert_true(c->sequencer.len > 0);
}

static void names_and_what_they_mean(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(name_cases) / sizeof(name_cases[0]); i++) {
        const struct name_case *in = &name_cases[i];
        char object[160];
        snprintf(object, sizeof(object),
                 "'key':'k','versionId':'%s','eTag':'e','size':7,'sequencer':'0123456789ABCDEF'",
                 in->version);
        struct parsed p = parse("{'Records':[" RECORD "]}", in->source, "2.1", in->name, object);
        assert_good(&p);
        if (p.list.count != (in->meaning != NOTHING) ||
            p.list.ignored != (in->meaning == NOTHING)) {
            fail_msg("%s %s: %zu taken", in->source, in->name, p.list.count);
        }
        if (in->meaning == NOTHING) {
            assert_span(p.list.ignored_name, in->name);
        } else {
            check_meaning(in, &p.list.changes[0]);
        }
        arena_done(&p.arena);
    }
}

/* ---- sequencers ---- */

static void sequencers_in_normal_form(void **state)
{
    static const struct {
        enum event_source source;
        const char *text;
        const char *normal;
    } cases[] = {
        {EVENT_AWS, "0055AED6DCD90281E5", "0055AED6DCD90281E5"},
        {EVENT_AWS, "0055aed6dcd902810000", "0055AED6DCD90281"},
        {EVENT_BRIDGE, "00617F08299329D189", "00617F08299329D189"},
        {EVENT_MINIO, "17A5B0F2C3D4E500", "17A5B0F2C3D4E5"},
        {EVENT_MINIO, "FEDCBA987654321", "0FEDCBA987654321"}, /* before 2006: one digit less */
        {EVENT_MINIO, "-17A5B0F2C3D4E50", ""},
        {EVENT_MINIO, "117A5B0F2C3D4E500", ""},
        {EVENT_CEPH, "F7E6D75DC742D108", "5DD7E6F708D142C7"},
        {EVENT_CEPH, "0000000000000000", ""},
        {EVENT_CEPH, "F7E6D75DC742D1", ""},
        {EVENT_OSS, "0055AED6DCD90281E5", ""},
        {EVENT_AWS, "", ""},
        {EVENT_AWS, "12G4", ""},
        {EVENT_AWS, "11111111111111111111111111111111111111111111111111111111111111111", ""},
    };
    struct arena a;
    (void)state;
    arena_init(&a);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct span s = event_sequencer(cases[i].source, span_str(cases[i].text), &a);
        assert_span(s, cases[i].normal);
        assert_int_equal(s.ptr == NULL, cases[i].normal[0] == '\0');
    }
    arena_done(&a);
}

static struct span ceph_sequencer(struct arena *a, int64_t ns)
{
    uint32_t halves[2] = {(uint32_t)(ns / 1000000000), (uint32_t)(ns % 1000000000)};
    struct buf text = {0};
    for (int i = 0; i < 8; i++) {
        buf_printf(&text, "%02x", halves[i / 4] >> (i % 4 * 8) & 255);
    }
    struct span s = event_sequencer(EVENT_CEPH, buf_view(&text), a);
    buf_done(&text);
    return s;
}

static struct span minio_sequencer(struct arena *a, int64_t ns)
{
    char text[24];
    snprintf(text, sizeof(text), "%llX", (unsigned long long)ns);
    return event_sequencer(EVENT_MINIO, span_str(text), a);
}

static int sign(int n)
{
    return (n > 0) - (n < 0);
}

/* Byte order of normal forms is the order of the times that they were made of. */
static void sequencers_order_as_time_does(void **state)
{
    struct arena a;
    uint64_t seed = 42;
    (void)state;
    arena_init(&a);
    for (int i = 0; i < 2000; i++) {
        int64_t t[2];
        for (int k = 0; k < 2; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            /* near each other or far, and with zeros at the end now and then */
            t[k] = 1153000000000000000 + (int64_t)(seed >> 40 << (seed >> 8 & 15));
        }
        int wanted = (t[0] > t[1]) - (t[0] < t[1]);
        assert_int_equal(sign(span_cmp(ceph_sequencer(&a, t[0]), ceph_sequencer(&a, t[1]))),
                         wanted);
        assert_int_equal(sign(span_cmp(minio_sequencer(&a, t[0]), minio_sequencer(&a, t[1]))),
                         wanted);
    }
    arena_done(&a);
}

/* ---- OSS: eventName ---- */

#define OSS_EVENT                                                                                  \
    "{'eventName':'%s','eventSource':'acs:oss','eventTime':'2026-11-23T10:20:30.000Z',"            \
    "'eventVersion':'1.0','oss':{'bucket':{'arn':'acs:oss:cn-hangzhou:1:b','name':'b'},"           \
    "'object':{'deltaSize':3,'eTag':'ABCDEF','key':'a+b/c%%20','size':3},"                         \
    "'ossSchemaVersion':'1.0','ruleId':'r'},'region':'cn-hangzhou'}"

static void check_oss_put(struct parsed p)
{
    assert_good(&p);
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

__attribute__((format(printf, 2, 3))) static void json(struct buf *to, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_json(to, format, args);
    va_end(args);
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
    json(&body, "{'events':[" OSS_EVENT "]}", "ObjectCreated:PutObject");
    base64_encode(buf_view(&body), &encoded);
    escaped(&inside, &body);
    check_oss_put(parse_bytes(buf_view(&body)));
    check_oss_put(parse_bytes(buf_view(&encoded)));
    check_oss_put(parse("{'TopicName':'t','MessageId':'1','Message':'%s'}", buf_cstr(&inside)));
    check_oss_put(parse("{'TopicName':'t','MessageId':'1','Message':'%s'}", buf_cstr(&encoded)));
    check_oss_put(parse("<?xml version='1.0'?>\n<Notification xmlns='http://mns.aliyuncs.com/doc/"
                        "v1/'><TopicName>t</TopicName><Message>%s</Message></Notification>\n",
                        buf_cstr(&encoded)));
    check_oss_put(parse("{'id':'1','source':'acs.oss','specversion':'1.0','type':"
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
    struct parsed p =
        parse("{'events':[" OSS_EVENT "," OSS_EVENT "," OSS_EVENT "," OSS_EVENT "," OSS_EVENT "]}",
              "ObjectRemoved:DeleteObject", "ObjectRemoved:AbortMultipartUpload",
              "ObjectCreated:UploadPart", "ObjectReplication:ObjectRemoved",
              "ObjectReplication:ObjectModified");
    assert_good(&p);
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
    struct parsed p = parse("[" BRIDGE "," BRIDGE "," BRIDGE "," BRIDGE "]", "Object Created", "",
                            "Object Deleted", "Delete Marker Created", "Object Deleted",
                            "Permanently Deleted", "Object Tags Added", "");
    assert_good(&p);
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
    json(&inner, "{'Records':[" RECORD "]}", "aws:s3", "2.1", "ObjectCreated:Put", "'key':'k'");
    escaped(&inside, &inner);
    struct parsed p = parse("{'Type':'Notification','MessageId':'m','TopicArn':'arn:t',"
                            "'Subject':'Amazon S3 Notification','Message':'%s',"
                            "'Timestamp':'2026-11-23T10:20:30.000Z','SignatureVersion':'2',"
                            "'Signature':'c2ln','SigningCertURL':'https://sns.x/c.pem'}",
                            buf_cstr(&inside));
    assert_good(&p);
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
    struct parsed p =
        parse("{'Type':'SubscriptionConfirmation','MessageId':'m','Token':'t','TopicArn':'arn:t',"
              "'Message':'You have chosen','SubscribeURL':'https://sns.x/?a','Timestamp':"
              "'2026-11-23T10:20:30.000Z','SignatureVersion':'1'}");
    assert_good(&p);
    assert_int_equal(p.list.sns->kind, EVENT_SNS_CONFIRM);
    assert_span(p.list.sns->subscribe_url, "https://sns.x/?a");
    assert_span(p.list.sns->token, "t");
    assert_span(p.list.sns->type, "SubscriptionConfirmation");
    assert_int_equal(p.list.count, 0);
    arena_done(&p.arena);
}

/* ---- what is no news of an object ---- */

static void tests_and_our_own(void **state)
{
    (void)state;
    struct parsed p = parse("{'Service':'Amazon S3','Event':'s3:TestEvent','Time':"
                            "'2026-11-23T10:20:30.000Z','Bucket':'b'}");
    assert_good(&p);
    assert_int_equal(p.list.tests, 1);
    assert_int_equal(p.list.count, 0);
    arena_done(&p.arena);
    p = parse("{'Records':[" RECORD "," RECORD "]}", "aws:s3", "2.1", "ObjectCreated:Put",
              "'key':'_repl/canary/h.json'", "aws:s3", "2.1", "ObjectCreated:Put",
              "'key':'_replica'");
    assert_good(&p);
    assert_int_equal(p.list.own_count, 1);
    assert_span(p.list.own[0].key, "_repl/canary/h.json");
    assert_int_equal(p.list.count, 1);
    assert_span(p.list.changes[0].key, "_replica");
    arena_done(&p.arena);
    p = parse("{'Records':[]}");
    assert_good(&p);
    assert_int_equal(p.list.count + p.list.own_count + p.list.tests, 0);
    arena_done(&p.arena);
}

/* ---- what is refused ---- */

static void assert_refused(struct parsed p, const char *text)
{
    if (p.status != REPL_EBADINPUT || strstr(p.fail.text, text) != p.fail.text) {
        fail_msg("%d \"%s\" is not \"%s\"", p.status, p.fail.text, text);
    }
    arena_done(&p.arena);
}

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
        assert_refused(parse("%s", cases[i][0]), cases[i][1]);
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
        assert_refused(parse("{'Records':[" RECORD "]}", cases[i].source, cases[i].version,
                             cases[i].name, cases[i].object),
                       cases[i].text);
    }
}

static void the_good_beside_the_bad_is_kept(void **state)
{
    char long_key[CHANGE_KEY_MAX + 20];
    (void)state;
    snprintf(long_key, sizeof(long_key), "'key':'%0*d'", CHANGE_KEY_MAX + 1, 0);
    struct parsed p = parse("{'Records':[" RECORD "," RECORD ",{}," RECORD "]}", "aws:s3", "2.1",
                            "ObjectCreated:Put", "'key':'a'", "aws:s3", "2.1", "ObjectCreated:Put",
                            long_key, "aws:s3", "2.1", "ObjectRemoved:Delete", "'key':'b'");
    assert_int_equal(p.list.count, 2);
    assert_span(p.list.changes[0].key, "a");
    assert_span(p.list.changes[1].key, "b");
    assert_refused(p, "Records[1]: key is 1025 bytes long");
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
    assert_refused(parse_bytes(buf_view(&body)), "more than 65536 values");
    buf_reset(&body);
    repeat(&body, "[", 60000);
    assert_refused(parse_bytes(buf_view(&body)), "not JSON");
    buf_reset(&body);
    repeat(&body, " ", EVENT_BODY_MAX + 1);
    assert_refused(parse_bytes(buf_view(&body)), "the body is larger");
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
    assert_refused(parse_bytes(buf_view(&body)), "message: more than 65536 values");
    buf_done(&body);
}

/* Each in the one before it, in base64. */
static void envelopes_have_an_end(void **state)
{
    (void)state;
    struct buf body = {0};
    struct buf encoded = {0};
    json(&body, "{'Records':[" RECORD "]}", "aws:s3", "2.1", "ObjectCreated:Put", "'key':'k'");
    for (int i = 0; i < 2; i++) {
        buf_reset(&encoded);
        base64_encode(buf_view(&body), &encoded);
        buf_reset(&body);
        json(&body, "{'specversion':'1.0','data_base64':'%s'}", buf_cstr(&encoded));
        struct parsed p = parse_bytes(buf_view(&body));
        assert_int_equal(p.list.count, i == 0 ? 1 : 0);
        if (i > 0) {
            assert_refused(p, "message: too many envelopes");
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
        cmocka_unit_test(aws_put),
        cmocka_unit_test(minio_and_ceph_spell_otherwise),
        cmocka_unit_test(ceph_that_calls_itself_aws),
        cmocka_unit_test(names_and_what_they_mean),
        cmocka_unit_test(sequencers_in_normal_form),
        cmocka_unit_test(sequencers_order_as_time_does),
        cmocka_unit_test(oss_in_all_its_envelopes),
        cmocka_unit_test(oss_names),
        cmocka_unit_test(event_bridge),
        cmocka_unit_test(sns_notification),
        cmocka_unit_test(sns_confirmation),
        cmocka_unit_test(tests_and_our_own),
        cmocka_unit_test(refused_bodies),
        cmocka_unit_test(refused_records),
        cmocka_unit_test(the_good_beside_the_bad_is_kept),
        cmocka_unit_test(hostile_bodies),
        cmocka_unit_test(hostile_lists),
        cmocka_unit_test(envelopes_have_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
