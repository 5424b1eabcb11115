#include "tests/bucketd/ops.h"

#include "tests/bucketd/intake.h"
#include "tests/bucketd/reply.h"
#include "tests/bucketd/xml.h"

#include <stdio.h>

#define MAX_PARTS 10000 /* S3 */

static enum s3_error read_checksum_kind(struct request *req, struct checksum *checksum)
{
    struct span name = request_header(req, "x-amz-checksum-algorithm");
    struct span type = request_header(req, "x-amz-checksum-type");
    if (name.ptr == NULL) {
        return S3_OK;
    }
    checksum->alg = checksum_by_name(name);
    if (checksum->alg == CHECKSUM_NONE) {
        return request_fail(req, S3_InvalidRequest, "Checksum algorithm provided is unsupported");
    }
    checksum->is_composite = checksum->alg != CHECKSUM_CRC64NVME;
    if (span_eq_str(type, "FULL_OBJECT")) {
        checksum->is_composite = false;
    } else if (type.ptr != NULL && !span_eq_str(type, "COMPOSITE")) {
        return request_fail(req, S3_InvalidRequest, "Value for x-amz-checksum-type is invalid");
    } else if (type.ptr != NULL) {
        checksum->is_composite = true;
    }
    bool is_possible = checksum->is_composite ? checksum->alg != CHECKSUM_CRC64NVME
                                              : checksum_is_crc(checksum->alg);
    return is_possible ? S3_OK
                       : request_fail(req, S3_InvalidRequest,
                                      "The checksum type does not go with the algorithm");
}

enum s3_error multipart_create(struct request *req)
{
    struct object *object;
    char id[33];
    enum s3_error error = object_from_headers(req, &object);
    if (error != S3_OK) {
        return error;
    }
    error = read_checksum_kind(req, &object->checksum);
    if (error != S3_OK) {
        object_unref(object);
        return error;
    }
    struct checksum checksum = object->checksum;
    error = store_begin_upload(&req->server->store, req->bucket, req->key, object, id);
    if (error != S3_OK) {
        return error;
    }
    if (checksum.alg != CHECKSUM_NONE) {
        reply_header(req, "x-amz-checksum-algorithm", checksum_name(checksum.alg));
        reply_header(req, "x-amz-checksum-type",
                     checksum.is_composite ? "COMPOSITE" : "FULL_OBJECT");
    }
    buf_str(&req->out, XML_HEAD "<InitiateMultipartUploadResult" XML_NS ">");
    xml_element(&req->out, "Bucket", req->bucket);
    xml_element(&req->out, "Key", req->key);
    xml_element(&req->out, "UploadId", span_str(id));
    buf_str(&req->out, "</InitiateMultipartUploadResult>");
    reply_xml_type(req);
    return S3_OK;
}

static bool read_part_number(struct span text, unsigned *ret_number)
{
    unsigned long long number;
    if (span_to_u64(text, &number) != 0 || number < 1 || number > MAX_PARTS) {
        return false;
    }
    *ret_number = (unsigned)number;
    return true;
}

enum s3_error multipart_put_part(struct request *req)
{
    struct part part = {.size = intake_size(req->intake),
                        .checksum = intake_checksum(req->intake),
                        .mtime_ms = server_now_ms(req->server)};
    if (!read_part_number(request_param(req, "partNumber"), &part.number)) {
        return request_fail(req, S3_InvalidArgument,
                            "Part number must be an integer between 1 and 10000, inclusive");
    }
    intake_etag(req->intake, part.etag);
    part.body = intake_take_body(req->intake);
    object_corrupt(req, part.body);
    reply_etag(req, part.etag);
    if (part.checksum.alg != CHECKSUM_NONE) {
        reply_header(req, checksum_header(part.checksum.alg), part.checksum.text);
    }
    return store_put_part(&req->server->store, req->bucket, req->key,
                          request_param(req, "uploadId"), &part);
}

static void copy_etag(struct part *part, struct span text)
{
    text = span_trim(text);
    if (text.len >= 2 && text.ptr[0] == '"') {
        text = span_of(text.ptr + 1, text.len - 2);
    }
    snprintf(part->etag, sizeof(part->etag), "%.*s", SPAN_ARG(text));
}

static bool read_leaf(struct part *part, const struct xml_leaf *leaf)
{
    if (strcmp(leaf->name, "PartNumber") == 0) {
        return read_part_number(leaf->text, &part->number);
    }
    if (strcmp(leaf->name, "ETag") == 0) {
        copy_etag(part, leaf->text);
        return true;
    }
    for (enum checksum_alg alg = CHECKSUM_CRC32; alg <= CHECKSUM_SHA256; alg++) {
        if (strcmp(leaf->name, checksum_element(alg)) == 0) {
            part->checksum.alg = alg;
            snprintf(part->checksum.text, sizeof(part->checksum.text), "%.*s",
                     SPAN_ARG(leaf->text));
            return true;
        }
    }
    return false;
}

static bool read_parts(const struct xml_leaves *leaves, struct part *parts, size_t *ret_count)
{
    size_t count = 0;
    for (size_t i = 0; i < leaves->count; i++) {
        const struct xml_leaf *leaf = &leaves->items[i];
        if (i == 0 || leaf->parent != leaves->items[i - 1].parent) {
            count++;
        }
        if (!read_leaf(&parts[count - 1], leaf)) {
            return false;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (parts[i].number == 0 || parts[i].etag[0] == 0) {
            return false;
        }
    }
    *ret_count = count;
    return count > 0;
}

static enum s3_error check_size(struct request *req, const struct object *object)
{
    struct span text = request_header(req, "x-amz-mp-object-size");
    unsigned long long size;
    if (text.ptr != NULL && (span_to_u64(text, &size) != 0 || size != object->size)) {
        return request_fail(req, S3_InvalidRequest, "x-amz-mp-object-size does not match");
    }
    return S3_OK;
}

static void put_result(struct request *req, const struct object *object)
{
    const struct checksum *checksum = &object->checksum;
    buf_str(&req->out, XML_HEAD "<CompleteMultipartUploadResult" XML_NS ">");
    buf_str(&req->out, "<Location>");
    xml_text(&req->out, req->path);
    buf_str(&req->out, "</Location>");
    xml_element(&req->out, "Bucket", req->bucket);
    xml_element(&req->out, "Key", req->key);
    buf_printf(&req->out, "<ETag>&quot;%s&quot;</ETag>", object->etag);
    if (checksum->alg != CHECKSUM_NONE) {
        xml_element(&req->out, checksum_element(checksum->alg), span_str(checksum->text));
        xml_element(&req->out, "ChecksumType",
                    span_str(checksum->is_composite ? "COMPOSITE" : "FULL_OBJECT"));
    }
    buf_str(&req->out, "</CompleteMultipartUploadResult>");
    reply_xml_type(req);
}

enum s3_error multipart_complete(struct request *req)
{
    struct xml_leaves leaves;
    struct object *object;
    struct completion c = {.bucket = req->bucket,
                           .key = req->key,
                           .id = request_param(req, "uploadId"),
                           .now_ms = server_now_ms(req->server)};
    enum s3_error error = object_condition(req, &c.condition);
    if (error != S3_OK) {
        return error;
    }
    if (!xml_parse(&req->arena, intake_text(req->intake), "CompleteMultipartUpload", &leaves)) {
        return S3_MalformedXML;
    }
    struct part *parts = arena_alloc(&req->arena, (leaves.count + 1) * sizeof(struct part));
    if (!read_parts(&leaves, parts, &c.wanted_count)) {
        return S3_MalformedXML;
    }
    c.wanted = parts;
    error = store_complete_upload(&req->server->store, &c, &object);
    if (error != S3_OK) {
        return error;
    }
    error = check_size(req, object);
    put_result(req, object);
    object_unref(object);
    return error;
}

enum s3_error multipart_abort(struct request *req)
{
    req->status = 204;
    return store_abort_upload(&req->server->store, req->bucket, req->key,
                              request_param(req, "uploadId"));
}
