#include "tests/bucketd/ops.h"

#include "tests/bucketd/reply.h"
#include "tests/bucketd/xml.h"

#include <time.h>

static bool is_match(struct span list, const char *etag)
{
    while (list.len > 0) {
        struct span one = span_trim(span_cut(&list, ','));
        if (span_starts_with(one, span_str("W/"))) {
            one = span_skip(one, 2);
        }
        if (one.len >= 2 && one.ptr[0] == '"') {
            one = span_of(one.ptr + 1, one.len - 2);
        }
        if (span_eq_str(one, "*") || span_eq_str(one, etag)) {
            return true;
        }
    }
    return false;
}

/* Seconds; -1 when the text is no date. */
static int64_t parse_date(struct span text)
{
    struct tm tm = {0};
    if (text.ptr == NULL || strptime(text.ptr, "%a, %d %b %Y %H:%M:%S GMT", &tm) == NULL) {
        return -1;
    }
    return (int64_t)timegm(&tm);
}

static enum s3_error check_conditions(struct request *req)
{
    const struct object *object = req->object;
    int64_t mtime = object->mtime_ms / 1000;
    struct span match = request_header(req, "if-match");
    struct span none_match = request_header(req, "if-none-match");
    int64_t unmodified = parse_date(request_header(req, "if-unmodified-since"));
    int64_t modified = parse_date(request_header(req, "if-modified-since"));
    if (match.ptr != NULL ? !is_match(match, object->etag)
                          : unmodified >= 0 && mtime > unmodified) {
        return S3_PreconditionFailed;
    }
    if (none_match.ptr != NULL ? is_match(none_match, object->etag)
                               : modified >= 0 && mtime <= modified) {
        reply_etag(req, object->etag);
        return S3_NotModified;
    }
    return S3_OK;
}

static bool parse_number(struct span text, unsigned long long *ret_number)
{
    return span_to_u64(text, ret_number) == 0;
}

static enum s3_error fail_range(struct request *req, struct span range)
{
    xml_element(&req->error_more, "RangeRequested", range);
    xml_number(&req->error_more, "ActualObjectSize", req->object->size);
    return S3_InvalidRange;
}

/* A range that is not understood is ignored, as HTTP says. */
static enum s3_error read_range(struct request *req)
{
    struct span range = request_header(req, "range");
    struct span text = range;
    unsigned long long first, last, size = req->object->size;
    req->length = size;
    if (!span_starts_with(text, span_str("bytes=")) || memchr(text.ptr, ',', text.len) != NULL) {
        return S3_OK;
    }
    struct span end = span_skip(text, strlen("bytes="));
    struct span start = span_cut(&end, '-');
    if (start.len == 0) {
        if (!parse_number(end, &last)) {
            return S3_OK;
        }
        if (last == 0 || size == 0) {
            return fail_range(req, range);
        }
        first = last < size ? size - last : 0;
        last = size - 1;
    } else {
        if (!parse_number(start, &first) || end.ptr == NULL) {
            return S3_OK;
        }
        last = size - 1;
        if (end.len > 0 && (!parse_number(end, &last) || last < first)) {
            return S3_OK;
        }
        if (first >= size) {
            return fail_range(req, range);
        }
        last = last < size ? last : size - 1;
    }
    req->first = first;
    req->length = last - first + 1;
    req->status = 206;
    reply_header(req, "Content-Range",
                 arena_printf(&req->arena, "bytes %llu-%llu/%llu", first, last, size));
    return S3_OK;
}

/* The query may set headers of the answer: response-content-type and the like. */
static const char *overridden(struct request *req, const char *name, const char *value)
{
    const char *param = arena_printf(&req->arena, "response-%s", name);
    return request_has_param(req, param) ? request_param(req, param).ptr : value;
}

static void put_headers(struct request *req)
{
    static const char *const content[] = {
        "content-type",  "content-language",    "expires",
        "cache-control", "content-disposition", "content-encoding"};
    const struct object *object = req->object;
    const char *name, *value;
    char date[REPLY_DATE_MAX];
    for (size_t i = 0; i < sizeof(content) / sizeof(content[0]); i++) {
        value = overridden(req, content[i], bag_find(&object->headers, content[i]));
        if (value != NULL) {
            reply_header(req, content[i], value);
        }
    }
    for (size_t pos = 0; bag_next(&object->headers, &pos, &name, &value);) {
        if (strncmp(name, "x-amz-", 6) == 0) {
            reply_header(req, name, value);
        }
    }
    reply_http_date(date, object->mtime_ms);
    reply_header(req, "Last-Modified", date);
    reply_header(req, "Accept-Ranges", "bytes");
    reply_etag(req, object->etag);
    if (object->tags.count > 0) {
        reply_header(req, "x-amz-tagging-count",
                     arena_printf(&req->arena, "%u", object->tags.count));
    }
    if (span_eq_nocase(request_header(req, "x-amz-checksum-mode"), "ENABLED") &&
        req->length == object->size) {
        reply_checksum(req, &object->checksum);
    }
}

/* Of what was thrown away one byte can still be had, which is how clients look whether an object
 * can be read: a zero. */
static void stand_in(struct request *req)
{
    struct object *object = object_new();
    struct body *body = body_new(1);
    body->data[0] = '\0';
    object_add_segment(object, body, 1);
    object_unref(req->object);
    req->object = object;
    req->first = 0;
}

enum s3_error object_get(struct request *req)
{
    enum s3_error error = store_get(&req->server->store, req->bucket, req->key, &req->object);
    if (error == S3_OK) {
        error = check_conditions(req);
    }
    if (error == S3_OK) {
        error = read_range(req);
    }
    if (error != S3_OK) {
        return error;
    }
    bool is_gone =
        req->op == OP_GetObject && req->length > 0 && req->object->segments[0].body == NULL;
    if (is_gone && req->length > 1) {
        return S3_InvalidObjectState;
    }
    put_headers(req);
    if (is_gone) {
        stand_in(req);
    }
    return S3_OK;
}
