/* Records of AWS, MinIO and Ceph, as their documentation and sources show them, and what their
 * names mean. */
#include "tests/unit/support/assert_span.h"
#include "tests/unit/support/parsed_event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* ---- records ---- */

static void aws_put(void **state)
{
    (void)state;
    struct parsed p =
        parsed_of("{'Records':[" PARSED_RECORD "]}", "aws:s3", "2.6", "ObjectCreated:Put",
                  "'key':'a+b%2Bc%20d/%C3%A4%2Fe%zz','size':1024,'eTag':'d41d8',"
                  "'versionId':'v1','sequencer':'0055AED6DCD90281E5'");
    parsed_expect_good(&p);
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
    struct parsed p =
        parsed_of("{'EventName':'s3:ObjectCreated:Put','Key':'b/x y','Records':[" PARSED_RECORD
                  "," PARSED_RECORD "]}",
                  "minio:s3", "2.0", "s3:ObjectCreated:Put",
                  "'key':'dir%2Fx+y%25','sequencer':'17A5B0F2C3D4E5F0'", "ceph:s3", "2.2",
                  "ObjectCreated:Put",
                  "'key':'dir%2Fx+y%25','versionId':'','eTag':'\\'e\\'',"
                  "'sequencer':'F7E6D75DC742D108'");
    parsed_expect_good(&p);
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
    struct parsed p =
        parsed_of("{'Records':[{'eventSource':'aws:s3','eventName':'ObjectCreated:Put',"
                  "'s3':{'bucket':{'name':'b','id':'c.4164.1'},'object':{'key':'x+y',"
                  "'sequencer':'F7E6D75DC742D108'}}}]}");
    parsed_expect_good(&p);
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
        struct parsed p =
            parsed_of("{'Records':[" PARSED_RECORD "]}", in->source, "2.1", in->name, object);
        parsed_expect_good(&p);
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

/* ---- what is no news of an object ---- */

static void tests_and_our_own(void **state)
{
    (void)state;
    struct parsed p = parsed_of("{'Service':'Amazon S3','Event':'s3:TestEvent','Time':"
                                "'2026-11-23T10:20:30.000Z','Bucket':'b'}");
    parsed_expect_good(&p);
    assert_int_equal(p.list.tests, 1);
    assert_int_equal(p.list.count, 0);
    arena_done(&p.arena);
    p = parsed_of("{'Records':[" PARSED_RECORD "," PARSED_RECORD "]}", "aws:s3", "2.1",
                  "ObjectCreated:Put", "'key':'_repl/canary/h.json'", "aws:s3", "2.1",
                  "ObjectCreated:Put", "'key':'_replica'");
    parsed_expect_good(&p);
    assert_int_equal(p.list.own_count, 1);
    assert_span(p.list.own[0].key, "_repl/canary/h.json");
    assert_int_equal(p.list.count, 1);
    assert_span(p.list.changes[0].key, "_replica");
    arena_done(&p.arena);
    p = parsed_of("{'Records':[]}");
    parsed_expect_good(&p);
    assert_int_equal(p.list.count + p.list.own_count + p.list.tests, 0);
    arena_done(&p.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aws_put),
        cmocka_unit_test(minio_and_ceph_spell_otherwise),
        cmocka_unit_test(ceph_that_calls_itself_aws),
        cmocka_unit_test(names_and_what_they_mean),
        cmocka_unit_test(tests_and_our_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
