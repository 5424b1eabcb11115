#include "tests/bucketd/intake.h"

#include "tests/bucketd/chunked.h"

#include <stdio.h>

#define MAX_OBJECT_BYTES ((uint64_t)5 << 30) /* S3: one PUT or part */
#define MAX_TEXT_BYTES   ((uint64_t)8 << 20) /* above 10,000 parts or 1,000 keys of XML */

struct intake {
    struct request *req;
    bool is_object; /* not a document */
    uint64_t expected;
    uint64_t received;
    struct body *body; /* NULL: thrown away */
    struct chunked *chunked;
    bool has_md5;
    unsigned char md5[16]; /* promised, then computed */
    struct checksum checksum;
    struct checksum_run md5_run, sha_run, sum_run;
};

static bool takes_object(enum op op)
{
    return op == OP_PutObject || op == OP_UploadPart;
}

static bool takes_text(enum op op)
{
    return op == OP_DeleteObjects || op == OP_PutObjectTagging || op == OP_CreateBucket ||
           op == OP_CompleteMultipartUpload || op == OP_Control;
}

static enum s3_error read_length(struct intake *in)
{
    struct request *req = in->req;
    unsigned long long length = 0;
    struct span text = request_header(req, "content-length");
    bool is_chunked = span_starts_with(req->auth.payload, span_str("STREAMING-"));
    if (is_chunked) {
        text = request_header(req, "x-amz-decoded-content-length");
    }
    if (text.ptr == NULL &&
        (in->is_object || is_chunked || request_header(req, "transfer-encoding").ptr != NULL)) {
        return S3_MissingContentLength;
    }
    if (text.ptr != NULL && span_to_u64(text, &length) != 0) {
        return S3_InvalidArgument;
    }
    if (length > (in->is_object ? MAX_OBJECT_BYTES : MAX_TEXT_BYTES)) {
        return S3_EntityTooLarge;
    }
    in->expected = length;
    return S3_OK;
}

static enum s3_error read_digests(struct intake *in)
{
    struct request *req = in->req;
    struct span md5 = request_header(req, "content-md5");
    if (md5.ptr != NULL) {
        in->has_md5 = true;
        if (!checksum_from_base64(md5, in->md5, sizeof(in->md5))) {
            return S3_InvalidDigest;
        }
    }
    struct span trailer = request_header(req, "x-amz-trailer");
    if (trailer.ptr != NULL) {
        in->checksum.alg = checksum_by_header(trailer);
        if (in->checksum.alg == CHECKSUM_NONE) {
            return request_fail(req, S3_InvalidRequest, "The value of x-amz-trailer is invalid");
        }
    }
    for (size_t i = 0; i < req->headers.count; i++) {
        enum checksum_alg alg = checksum_by_header(req->headers.items[i].name);
        struct span value = req->headers.items[i].value;
        unsigned char digest[CHECKSUM_MAX_BYTES];
        if (alg == CHECKSUM_NONE || req->op == OP_CompleteMultipartUpload) {
            continue;
        }
        if (in->checksum.alg != CHECKSUM_NONE) {
            return request_fail(req, S3_InvalidRequest,
                                "Expecting a single x-amz-checksum- header");
        }
        if (!checksum_from_base64(value, digest, checksum_size(alg))) {
            return request_fail(
                req, S3_InvalidRequest,
                arena_printf(&req->arena, "Value for %s header is invalid.", checksum_header(alg)));
        }
        in->checksum.alg = alg;
        snprintf(in->checksum.text, sizeof(in->checksum.text), "%.*s", SPAN_ARG(value));
    }
    return S3_OK;
}

static void start_runs(struct intake *in)
{
    const struct checksum_env *env = in->req->server->checksums;
    bool is_fast = in->req->server->is_fast;
    if (in->has_md5 ? !is_fast : in->is_object) {
        checksum_start(&in->md5_run, env, CHECKSUM_MD5);
    }
    if (is_fast) {
        return;
    }
    if (in->req->auth.payload.len == 64) {
        checksum_start(&in->sha_run, env, CHECKSUM_SHA256);
    }
    if (in->checksum.alg != CHECKSUM_NONE) {
        checksum_start(&in->sum_run, env, in->checksum.alg);
    }
}

static void on_data(void *arg, const char *data, size_t len)
{
    struct intake *in = arg;
    if (in->received > in->expected || len > in->expected - in->received) {
        in->received += len; /* found at the end */
        return;
    }
    if (in->body != NULL) {
        memcpy(in->body->data + in->received, data, len);
    }
    in->received += len;
    checksum_update(&in->md5_run, data, len);
    checksum_update(&in->sha_run, data, len);
    checksum_update(&in->sum_run, data, len);
}

enum s3_error intake_begin(struct request *req, struct intake **ret_intake)
{
    if (!takes_object(req->op) && !takes_text(req->op)) {
        return S3_OK;
    }
    struct intake *in = MEM_NEW(struct intake);
    in->req = req;
    in->is_object = takes_object(req->op);
    *ret_intake = in;
    enum s3_error error = read_length(in);
    if (error == S3_OK) {
        error = read_digests(in);
    }
    if (error != S3_OK) {
        return error;
    }
    if (!in->is_object) {
        in->body = body_new(in->expected);
    } else if (!req->server->store.is_discarding) {
        in->body = store_new_body(&req->server->store, in->expected);
        if (in->body == NULL) {
            return request_fail(req, S3_InternalError, "the disk is full");
        }
    }
    start_runs(in);
    in->chunked = chunked_new(req, on_data, in);
    return S3_OK;
}

void intake_free(struct intake *in)
{
    if (in == NULL) {
        return;
    }
    checksum_abort(&in->md5_run);
    checksum_abort(&in->sha_run);
    checksum_abort(&in->sum_run);
    chunked_free(in->chunked);
    body_unref(in->body);
    mem_free(in);
}

enum s3_error intake_feed(struct intake *in, const char *data, size_t len)
{
    if (in->chunked != NULL) {
        return chunked_feed(in->chunked, data, len);
    }
    if (in->received > in->expected) {
        return S3_IncompleteBody;
    }
    on_data(in, data, len);
    return S3_OK;
}

static enum s3_error check_md5(struct intake *in)
{
    unsigned char digest[16];
    if (in->md5_run.ctx == NULL) {
        return S3_OK;
    }
    checksum_finish(&in->md5_run, digest);
    bool is_good = !in->has_md5 || memcmp(digest, in->md5, sizeof(digest)) == 0;
    memcpy(in->md5, digest, sizeof(digest));
    return is_good ? S3_OK : S3_BadDigest;
}

static enum s3_error check_sha(struct intake *in)
{
    unsigned char digest[32];
    struct buf hex = {0};
    if (in->sha_run.ctx == NULL) {
        return S3_OK;
    }
    checksum_finish(&in->sha_run, digest);
    buf_hex(&hex, digest, sizeof(digest));
    bool is_good = span_eq(buf_view(&hex), in->req->auth.payload);
    buf_done(&hex);
    return is_good ? S3_OK : S3_XAmzContentSHA256Mismatch;
}

static enum s3_error check_sum(struct intake *in)
{
    unsigned char digest[CHECKSUM_MAX_BYTES];
    char text[CHECKSUM_TEXT_MAX];
    size_t size = checksum_size(in->checksum.alg);
    if (in->chunked != NULL && in->checksum.text[0] == 0 && in->checksum.alg != CHECKSUM_NONE) {
        enum checksum_alg alg;
        struct span value = chunked_trailer(in->chunked, &alg);
        if (alg != in->checksum.alg) {
            return request_fail(in->req, S3_InvalidRequest, "The trailing checksum is missing");
        }
        snprintf(in->checksum.text, sizeof(in->checksum.text), "%.*s", SPAN_ARG(value));
    }
    if (in->sum_run.alg == CHECKSUM_NONE) {
        return S3_OK;
    }
    checksum_finish(&in->sum_run, digest);
    checksum_base64(text, digest, size);
    return strcmp(text, in->checksum.text) == 0 ? S3_OK : S3_BadDigest;
}

enum s3_error intake_end(struct intake *in)
{
    enum s3_error error = in->chunked != NULL ? chunked_end(in->chunked) : S3_OK;
    if (error == S3_OK && in->received != in->expected) {
        error = S3_IncompleteBody;
    }
    if (error == S3_OK) {
        error = check_sha(in);
    }
    if (error == S3_OK) {
        error = check_md5(in);
    }
    return error != S3_OK ? error : check_sum(in);
}

uint64_t intake_size(const struct intake *in)
{
    return in->received;
}

struct body *intake_take_body(struct intake *in)
{
    struct body *body = in->body;
    in->body = NULL;
    return body;
}

struct span intake_text(const struct intake *in)
{
    return span_of(in->body->data, in->received);
}

void intake_etag(const struct intake *in, char *out)
{
    struct buf hex = {0};
    buf_hex(&hex, in->md5, sizeof(in->md5));
    snprintf(out, STORE_ETAG_MAX, "%s", buf_cstr(&hex));
    buf_done(&hex);
}

struct checksum intake_checksum(const struct intake *in)
{
    return in->checksum;
}

bool intake_has_digest(const struct intake *in)
{
    return in->has_md5 || in->checksum.alg != CHECKSUM_NONE;
}
