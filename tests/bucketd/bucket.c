#include "tests/bucketd/ops.h"

#include "tests/bucketd/reply.h"
#include "tests/bucketd/xml.h"

#define OWNER "<Owner><ID>bucketd</ID><DisplayName>bucketd</DisplayName></Owner>"

enum s3_error bucket_list_all(struct request *req)
{
    char date[REPLY_DATE_MAX];
    struct store *store = &req->server->store;
    buf_str(&req->out, XML_HEAD "<ListAllMyBucketsResult" XML_NS ">" OWNER "<Buckets>");
    store_lock(store);
    for (struct map_node *n = store->buckets.head[0]; n != NULL; n = map_next(n)) {
        const struct bucket *bucket = n->value;
        reply_iso_date(date, bucket->created_ms);
        buf_str(&req->out, "<Bucket>");
        xml_element(&req->out, "Name", span_str(bucket->name));
        xml_element(&req->out, "CreationDate", span_str(date));
        buf_str(&req->out, "</Bucket>");
    }
    store_unlock(store);
    buf_str(&req->out, "</Buckets></ListAllMyBucketsResult>");
    reply_xml_type(req);
    return S3_OK;
}

static bool is_good_name(struct span name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        bool is_inner = i > 0 && i + 1 < name.len && (c == '-' || c == '.');
        if (!is_plain && !is_inner) {
            return false;
        }
    }
    return name.len >= 3 && name.len <= 63;
}

enum s3_error bucket_create(struct request *req)
{
    if (!is_good_name(req->bucket)) {
        return S3_InvalidBucketName;
    }
    reply_header(req, "Location", arena_printf(&req->arena, "/%.*s", SPAN_ARG(req->bucket)));
    return store_make_bucket(&req->server->store, req->bucket, server_now_ms(req->server));
}

enum s3_error bucket_delete(struct request *req)
{
    req->status = 204;
    return store_drop_bucket(&req->server->store, req->bucket);
}

enum s3_error bucket_head(struct request *req)
{
    reply_header(req, "x-amz-bucket-region", req->server->region);
    return store_check_bucket(&req->server->store, req->bucket);
}

enum s3_error bucket_location(struct request *req)
{
    const char *region = req->server->region;
    buf_str(&req->out, XML_HEAD "<LocationConstraint" XML_NS ">");
    xml_text(&req->out, span_str(strcmp(region, "us-east-1") == 0 ? "" : region));
    buf_str(&req->out, "</LocationConstraint>");
    reply_xml_type(req);
    return store_check_bucket(&req->server->store, req->bucket);
}

enum s3_error bucket_versioning(struct request *req)
{
    buf_str(&req->out, XML_HEAD "<VersioningConfiguration" XML_NS "/>");
    reply_xml_type(req);
    return store_check_bucket(&req->server->store, req->bucket);
}
