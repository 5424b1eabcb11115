#include "tests/bucketd/ops.h"

#include "tests/bucketd/reply.h"
#include "tests/bucketd/xml.h"

#define MAX_ITEMS 1000 /* S3 */

static void put_part(struct buf *out, const struct part *part)
{
    char date[REPLY_DATE_MAX];
    reply_iso_date(date, part->mtime_ms);
    buf_str(out, "<Part>");
    xml_number(out, "PartNumber", part->number);
    xml_element(out, "LastModified", span_str(date));
    buf_printf(out, "<ETag>&quot;%s&quot;</ETag>", part->etag);
    xml_number(out, "Size", part->size);
    if (part->checksum.alg != CHECKSUM_NONE) {
        xml_element(out, checksum_element(part->checksum.alg), span_str(part->checksum.text));
    }
    buf_str(out, "</Part>");
}

static void put_parts(struct request *req, const struct upload *upload, unsigned marker,
                      unsigned max)
{
    struct buf *out = &req->out;
    unsigned count = 0, last = 0;
    bool is_truncated = false;
    struct buf parts = {0};
    for (size_t i = 0; i < upload->part_count; i++) {
        const struct part *part = &upload->parts[i];
        if (part->number <= marker) {
            continue;
        }
        if (count == max) {
            is_truncated = true;
            break;
        }
        put_part(&parts, part);
        last = part->number;
        count++;
    }
    xml_element(out, "UploadId", span_str(upload->id));
    xml_number(out, "PartNumberMarker", marker);
    xml_number(out, "NextPartNumberMarker", last);
    xml_number(out, "MaxParts", max);
    buf_printf(out, "<IsTruncated>%s</IsTruncated>", is_truncated ? "true" : "false");
    if (upload->object->checksum.alg != CHECKSUM_NONE) {
        xml_element(out, "ChecksumAlgorithm",
                    span_str(checksum_name(upload->object->checksum.alg)));
    }
    buf_span(out, buf_view(&parts));
    buf_done(&parts);
}

enum s3_error multipart_list_parts(struct request *req)
{
    struct store *store = &req->server->store;
    unsigned max = MAX_ITEMS, marker = 0;
    enum s3_error error = request_number(req, "max-parts", MAX_ITEMS, &max);
    if (error == S3_OK) {
        error = request_number(req, "part-number-marker", INT32_MAX, &marker);
    }
    if (error != S3_OK) {
        return error;
    }
    buf_str(&req->out, XML_HEAD "<ListPartsResult" XML_NS ">");
    xml_element(&req->out, "Bucket", req->bucket);
    xml_element(&req->out, "Key", req->key);
    store_lock(store);
    struct bucket *bucket = store_bucket(store, req->bucket);
    struct upload *upload =
        bucket != NULL ? store_upload(bucket, req->key, request_param(req, "uploadId")) : NULL;
    if (upload != NULL) {
        put_parts(req, upload, marker, max);
    }
    store_unlock(store);
    buf_str(&req->out, "</ListPartsResult>");
    reply_xml_type(req);
    if (bucket == NULL) {
        return S3_NoSuchBucket;
    }
    return upload != NULL ? S3_OK : S3_NoSuchUpload;
}

struct page {
    struct span prefix;
    struct span key_marker;
    struct span id_marker;
    unsigned max;
    bool is_encoded;
    bool is_truncated;
    const struct upload *last;
    struct buf items;
};

static void put_upload(struct page *page, const struct upload *upload)
{
    char date[REPLY_DATE_MAX];
    reply_iso_date(date, upload->started_ms);
    buf_str(&page->items, "<Upload>");
    list_key(&page->items, "Key", span_of(upload->key, upload->key_len), page->is_encoded);
    xml_element(&page->items, "UploadId", span_str(upload->id));
    xml_element(&page->items, "StorageClass", span_str("STANDARD"));
    xml_element(&page->items, "Initiated", span_str(date));
    buf_str(&page->items, "</Upload>");
}

/* Without an upload id marker, all uploads of the key marker are behind it. */
static bool is_before(const struct page *page, const struct upload *upload)
{
    if (page->key_marker.len == 0) {
        return false;
    }
    int order = span_cmp(span_of(upload->key, upload->key_len), page->key_marker);
    if (order != 0) {
        return order < 0;
    }
    return page->id_marker.len == 0 || span_cmp(span_str(upload->id), page->id_marker) <= 0;
}

static void walk_uploads(struct page *page, const struct bucket *bucket)
{
    unsigned count = 0;
    for (struct map_node *n = bucket->uploads.head[0]; n != NULL; n = map_next(n)) {
        const struct upload *upload = n->value;
        struct span key = span_of(upload->key, upload->key_len);
        if (!span_starts_with(key, page->prefix) || is_before(page, upload)) {
            continue;
        }
        if (count == page->max) {
            page->is_truncated = page->max > 0;
            break;
        }
        put_upload(page, upload);
        page->last = upload;
        count++;
    }
}

static void put_page(struct request *req, const struct page *page)
{
    struct buf *out = &req->out;
    buf_str(out, XML_HEAD "<ListMultipartUploadsResult" XML_NS ">");
    xml_element(out, "Bucket", req->bucket);
    list_key(out, "KeyMarker", page->key_marker, page->is_encoded);
    xml_element(out, "UploadIdMarker", page->id_marker);
    list_key(out, "Prefix", page->prefix, page->is_encoded);
    if (page->is_truncated) {
        list_key(out, "NextKeyMarker", span_of(page->last->key, page->last->key_len),
                 page->is_encoded);
        xml_element(out, "NextUploadIdMarker", span_str(page->last->id));
    }
    xml_number(out, "MaxUploads", page->max);
    if (page->is_encoded) {
        buf_str(out, "<EncodingType>url</EncodingType>");
    }
    buf_printf(out, "<IsTruncated>%s</IsTruncated>", page->is_truncated ? "true" : "false");
    buf_span(out, buf_view(&page->items));
    buf_str(out, "</ListMultipartUploadsResult>");
    reply_xml_type(req);
}

enum s3_error multipart_list_uploads(struct request *req)
{
    struct store *store = &req->server->store;
    struct page page = {.prefix = request_param(req, "prefix"),
                        .key_marker = request_param(req, "key-marker"),
                        .id_marker = request_param(req, "upload-id-marker"),
                        .max = MAX_ITEMS};
    enum s3_error error = request_number(req, "max-uploads", MAX_ITEMS, &page.max);
    if (error == S3_OK) {
        error = list_encoding(req, &page.is_encoded);
    }
    if (error == S3_OK && request_param(req, "delimiter").len > 0) {
        error = request_fail(req, S3_NotImplemented, "delimiter is not implemented here");
    }
    if (error != S3_OK) {
        return error;
    }
    store_lock(store);
    struct bucket *bucket = store_bucket(store, req->bucket);
    if (bucket != NULL) {
        walk_uploads(&page, bucket);
        put_page(req, &page);
    }
    store_unlock(store);
    buf_done(&page.items);
    return bucket != NULL ? S3_OK : S3_NoSuchBucket;
}
