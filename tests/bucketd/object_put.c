#include "tests/bucketd/ops.h"

#include "tests/bucketd/intake.h"
#include "tests/bucketd/reply.h"

#define MAX_METADATA_BYTES 2048 /* S3: names and values of x-amz-meta-* */

static const char *const kept[] = {
    "cache-control", "content-disposition", "content-language", "content-type",
    "expires",       "x-amz-storage-class", "content-encoding", "x-amz-website-redirect-location"};

static bool is_kept(struct span name)
{
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        if (span_eq_str(name, kept[i])) {
            return true;
        }
    }
    return span_starts_with(name, span_str("x-amz-meta-"));
}

/* Content-Encoding without aws-chunked, which is of the transfer and not of the object. */
static struct span without_chunked(struct request *req, struct span value)
{
    struct buf out = {0};
    while (value.len > 0) {
        struct span one = span_trim(span_cut(&value, ','));
        if (!span_eq_nocase(one, "aws-chunked") && one.len > 0) {
            buf_printf(&out, "%s%.*s", out.len > 0 ? "," : "", SPAN_ARG(one));
        }
    }
    struct span kept_value = arena_span(&req->arena, span_of(buf_cstr(&out), out.len));
    buf_done(&out);
    return kept_value;
}

static enum s3_error keep_headers(struct request *req, struct object *object)
{
    size_t metadata = 0;
    for (size_t i = 0; i < req->headers.count; i++) {
        struct pair header = req->headers.items[i];
        if (!is_kept(header.name)) {
            continue;
        }
        if (span_eq_str(header.name, "content-encoding")) {
            header.value = without_chunked(req, header.value);
        }
        if (span_starts_with(header.name, span_str("x-amz-meta-"))) {
            metadata += header.name.len - strlen("x-amz-meta-") + header.value.len;
        } else if (header.value.len == 0 || (span_eq_str(header.name, "x-amz-storage-class") &&
                                             span_eq_str(header.value, "STANDARD"))) {
            continue;
        }
        bag_add(&object->headers, header.name, header.value);
    }
    if (bag_find(&object->headers, "content-type") == NULL) {
        bag_add(&object->headers, span_str("content-type"), span_str("binary/octet-stream"));
    }
    return metadata > MAX_METADATA_BYTES ? S3_MetadataTooLarge : S3_OK;
}

enum s3_error object_from_headers(struct request *req, struct object **ret_object)
{
    struct object *object = object_new();
    object->mtime_ms = server_now_ms(req->server);
    enum s3_error error = keep_headers(req, object);
    struct span tags = request_header(req, "x-amz-tagging");
    if (error == S3_OK && tags.ptr != NULL) {
        error = tagging_parse(req, tags, &object->tags);
    }
    if (error != S3_OK) {
        object_unref(object);
        return error;
    }
    *ret_object = object;
    return S3_OK;
}

static struct span unquote(struct span etag)
{
    if (etag.len >= 2 && etag.ptr[0] == '"' && etag.ptr[etag.len - 1] == '"') {
        return span_of(etag.ptr + 1, etag.len - 2);
    }
    return etag;
}

enum s3_error object_condition(struct request *req, struct condition *ret_condition)
{
    struct span none_match = request_header(req, "if-none-match");
    if (none_match.ptr != NULL && !span_eq_str(none_match, "*")) {
        return request_fail(req, S3_NotImplemented, "If-None-Match of a write must be *");
    }
    ret_condition->must_be_new = none_match.ptr != NULL;
    ret_condition->if_match = unquote(request_header(req, "if-match"));
    return S3_OK;
}

void object_corrupt(struct request *req, struct body *body)
{
    if (req->fault.action == FAULT_corrupt_body && body != NULL && body->size > 0) {
        body->data[req->fault.after_bytes % body->size] ^= 1;
    }
}

enum s3_error object_put(struct request *req)
{
    struct condition condition = {0};
    struct object *object;
    enum s3_error error = object_condition(req, &condition);
    if (error == S3_OK) {
        error = object_from_headers(req, &object);
    }
    if (error != S3_OK) {
        return error;
    }
    struct body *body = intake_take_body(req->intake);
    object_corrupt(req, body);
    intake_etag(req->intake, object->etag);
    object->checksum = intake_checksum(req->intake);
    object_add_segment(object, body, intake_size(req->intake));
    reply_etag(req, object->etag);
    reply_checksum(req, &object->checksum);
    return store_put(&req->server->store, req->bucket, req->key, object, &condition);
}

enum s3_error object_delete(struct request *req)
{
    req->status = 204;
    return store_delete(&req->server->store, req->bucket, req->key);
}
