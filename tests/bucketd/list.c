#include "tests/bucketd/ops.h"

#include "tests/bucketd/reply.h"
#include "tests/bucketd/uri.h"
#include "tests/bucketd/xml.h"

#define MAX_KEYS 1000 /* S3 */

struct listing {
    struct request *req;
    struct span prefix;
    struct span delimiter;
    struct span marker; /* the listing goes on behind it */
    unsigned max;
    bool is_v2;
    bool is_encoded;
    bool has_owner;
    unsigned count;
    uint64_t walked; /* keys, shown or left out */
    bool is_truncated;
    struct span last; /* the last key or common prefix; valid while the store is locked */
    struct buf contents;
    struct buf prefixes;
};

enum s3_error list_encoding(struct request *req, bool *ret_is_encoded)
{
    struct span type = request_param(req, "encoding-type");
    *ret_is_encoded = type.ptr != NULL;
    if (type.ptr != NULL && !span_eq_str(type, "url")) {
        return request_fail(req, S3_InvalidArgument, "Invalid Encoding Method specified");
    }
    return S3_OK;
}

void list_key(struct buf *out, const char *name, struct span key, bool is_encoded)
{
    if (!is_encoded) {
        xml_element(out, name, key);
        return;
    }
    buf_printf(out, "<%s>", name);
    uri_encode_listing(out, key);
    buf_printf(out, "</%s>", name);
}

/* A token is "1" and the hex of the last key. */
static enum s3_error read_token(struct request *req, struct span token, struct span *ret_marker)
{
    char *out = arena_alloc(&req->arena, token.len / 2 + 1);
    if (token.len < 3 || token.len % 2 == 0 || token.ptr[0] != '1') {
        return request_fail(req, S3_InvalidArgument,
                            "The continuation token provided is incorrect");
    }
    for (size_t i = 0; i < token.len / 2; i++) {
        int high = uri_hex_digit(token.ptr[1 + 2 * i]), low = uri_hex_digit(token.ptr[2 + 2 * i]);
        if (high < 0 || low < 0) {
            return request_fail(req, S3_InvalidArgument,
                                "The continuation token provided is incorrect");
        }
        out[i] = (char)(high * 16 + low);
    }
    *ret_marker = span_of(out, token.len / 2);
    return S3_OK;
}

static enum s3_error read_params(struct listing *l)
{
    struct request *req = l->req;
    l->prefix = request_param(req, "prefix");
    l->delimiter = request_param(req, "delimiter");
    l->max = MAX_KEYS;
    enum s3_error error = request_number(req, "max-keys", MAX_KEYS, &l->max);
    if (error == S3_OK) {
        error = list_encoding(req, &l->is_encoded);
    }
    if (error != S3_OK) {
        return error;
    }
    if (!l->is_v2) {
        l->has_owner = true;
        l->marker = request_param(req, "marker");
        return S3_OK;
    }
    if (!span_eq_str(request_param(req, "list-type"), "2")) {
        return request_fail(req, S3_InvalidArgument, "Invalid List Type specified in Query");
    }
    l->has_owner = span_eq_str(request_param(req, "fetch-owner"), "true");
    l->marker = request_param(req, "start-after");
    struct span token = request_param(req, "continuation-token");
    return token.ptr != NULL ? read_token(req, token, &l->marker) : S3_OK;
}

/* The part of the key up to the delimiter behind the prefix; absent when there is none. */
static struct span common_prefix(const struct listing *l, struct span key)
{
    if (l->delimiter.len == 0) {
        return span_of(NULL, 0);
    }
    struct span rest = span_skip(key, l->prefix.len);
    const char *at = memmem(rest.ptr, rest.len, l->delimiter.ptr, l->delimiter.len);
    if (at == NULL) {
        return span_of(NULL, 0);
    }
    return span_of(key.ptr, (size_t)(at - key.ptr) + l->delimiter.len);
}

static void put_object(struct listing *l, struct span key, const struct object *object)
{
    char date[REPLY_DATE_MAX];
    struct buf *out = &l->contents;
    const char *class = bag_find(&object->headers, "x-amz-storage-class");
    reply_iso_date(date, object->mtime_ms);
    buf_str(out, "<Contents>");
    list_key(out, "Key", key, l->is_encoded);
    xml_element(out, "LastModified", span_str(date));
    buf_printf(out, "<ETag>&quot;%s&quot;</ETag>", object->etag);
    if (object->checksum.alg != CHECKSUM_NONE) {
        xml_element(out, "ChecksumAlgorithm", span_str(checksum_name(object->checksum.alg)));
    }
    xml_number(out, "Size", object->size);
    if (l->has_owner) {
        buf_str(out, "<Owner><ID>bucketd</ID><DisplayName>bucketd</DisplayName></Owner>");
    }
    xml_element(out, "StorageClass", span_str(class != NULL ? class : "STANDARD"));
    buf_str(out, "</Contents>");
}

static void put_prefix(struct listing *l, struct span prefix)
{
    buf_str(&l->prefixes, "<CommonPrefixes>");
    list_key(&l->prefixes, "Prefix", prefix, l->is_encoded);
    buf_str(&l->prefixes, "</CommonPrefixes>");
}

/* A fault of a test: nothing tells that the key is not shown. */
static bool is_left_out(struct listing *l)
{
    const struct fault *fault = &l->req->fault;
    return fault->action == FAULT_thin_list && ++l->walked % fault->keys == 0;
}

static bool is_cut(const struct listing *l)
{
    const struct fault *fault = &l->req->fault;
    return fault->action == FAULT_cut_list && l->count == fault->keys;
}

static void walk(struct listing *l, const struct map *objects)
{
    bool has_marker = l->marker.len > 0 && span_cmp(l->marker, l->prefix) >= 0;
    struct map_node *node = map_seek(objects, has_marker ? l->marker : l->prefix, has_marker);
    while (!is_cut(l) && node != NULL && span_starts_with(node->key, l->prefix)) {
        struct span common = common_prefix(l, node->key);
        if (common.ptr != NULL && span_eq(common, l->marker)) {
            node = map_seek_past(objects, common);
            continue;
        }
        if (is_left_out(l)) {
            node = map_next(node);
            continue;
        }
        if (l->count == l->max) {
            l->is_truncated = true;
            break;
        }
        l->count++;
        if (common.ptr != NULL) {
            put_prefix(l, common);
            l->last = common;
            node = map_seek_past(objects, common);
        } else {
            put_object(l, node->key, node->value);
            l->last = node->key;
            node = map_next(node);
        }
    }
    if (l->is_truncated) {
        l->last = arena_span(&l->req->arena, l->last);
    }
}

static void put_next(struct listing *l, struct buf *out)
{
    if (l->is_v2) {
        buf_str(out, "<NextContinuationToken>1");
        buf_hex(out, l->last.ptr, l->last.len);
        buf_str(out, "</NextContinuationToken>");
    } else if (l->delimiter.len > 0) {
        list_key(out, "NextMarker", l->last, l->is_encoded);
    }
}

static void put_head(struct listing *l, struct buf *out)
{
    struct request *req = l->req;
    buf_str(out, XML_HEAD "<ListBucketResult" XML_NS ">");
    xml_element(out, "Name", req->bucket);
    list_key(out, "Prefix", l->prefix, l->is_encoded);
    if (l->is_v2) {
        xml_number(out, "KeyCount", l->count);
        if (request_has_param(req, "start-after")) {
            list_key(out, "StartAfter", request_param(req, "start-after"), l->is_encoded);
        }
        if (request_has_param(req, "continuation-token")) {
            xml_element(out, "ContinuationToken", request_param(req, "continuation-token"));
        }
    } else {
        list_key(out, "Marker", l->marker, l->is_encoded);
    }
    xml_number(out, "MaxKeys", l->max);
    if (l->delimiter.len > 0) {
        list_key(out, "Delimiter", l->delimiter, l->is_encoded);
    }
    if (l->is_encoded) {
        buf_str(out, "<EncodingType>url</EncodingType>");
    }
    buf_printf(out, "<IsTruncated>%s</IsTruncated>", l->is_truncated ? "true" : "false");
    if (l->is_truncated) {
        put_next(l, out);
    }
}

enum s3_error list_objects(struct request *req)
{
    struct listing l = {.req = req, .is_v2 = req->op == OP_ListObjectsV2};
    struct store *store = &req->server->store;
    enum s3_error error = read_params(&l);
    if (error != S3_OK) {
        return error;
    }
    store_lock(store);
    struct bucket *bucket = store_bucket(store, req->bucket);
    if (bucket != NULL && l.max > 0) {
        walk(&l, &bucket->objects);
    }
    store_unlock(store);
    if (bucket == NULL) {
        error = S3_NoSuchBucket;
    } else {
        put_head(&l, &req->out);
        buf_span(&req->out, buf_view(&l.contents));
        buf_span(&req->out, buf_view(&l.prefixes));
        buf_str(&req->out, "</ListBucketResult>");
        reply_xml_type(req);
    }
    buf_done(&l.contents);
    buf_done(&l.prefixes);
    return error;
}
