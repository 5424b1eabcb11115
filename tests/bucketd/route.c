#include "tests/bucketd/request.h"

const char *op_name(enum op op)
{
#define OP_NAME(name) #name,
    static const char *const names[OP_COUNT] = {OP_LIST(OP_NAME)};
#undef OP_NAME
    return names[op];
}

const struct error_info *error_info(enum s3_error error)
{
#define ERROR_ROW(code, status, text) {#code, status, text},
    static const struct error_info rows[S3_ERROR_COUNT] = {{"OK", 200, ""}, ERROR_LIST(ERROR_ROW)};
#undef ERROR_ROW
    return &rows[error];
}

struct route {
    const char *method;
    char level; /* 's'ervice, 'b'ucket or 'k'ey */
    const char *param;
    enum op op;
};

/* The first row that fits decides. */
static const struct route routes[] = {
    {"GET", 's', NULL, OP_ListBuckets},
    {"PUT", 'b', NULL, OP_CreateBucket},
    {"DELETE", 'b', NULL, OP_DeleteBucket},
    {"HEAD", 'b', NULL, OP_HeadBucket},
    {"GET", 'b', "location", OP_GetBucketLocation},
    {"GET", 'b', "versioning", OP_GetBucketVersioning},
    {"GET", 'b', "uploads", OP_ListMultipartUploads},
    {"GET", 'b', "list-type", OP_ListObjectsV2},
    {"GET", 'b', NULL, OP_ListObjects},
    {"POST", 'b', "delete", OP_DeleteObjects},
    {"PUT", 'k', "tagging", OP_PutObjectTagging},
    {"GET", 'k', "tagging", OP_GetObjectTagging},
    {"DELETE", 'k', "tagging", OP_DeleteObjectTagging},
    {"PUT", 'k', "uploadId", OP_UploadPart},
    {"GET", 'k', "uploadId", OP_ListParts},
    {"DELETE", 'k', "uploadId", OP_AbortMultipartUpload},
    {"POST", 'k', "uploads", OP_CreateMultipartUpload},
    {"POST", 'k', "uploadId", OP_CompleteMultipartUpload},
    {"PUT", 'k', NULL, OP_PutObject},
    {"GET", 'k', NULL, OP_GetObject},
    {"HEAD", 'k', NULL, OP_HeadObject},
    {"DELETE", 'k', NULL, OP_DeleteObject},
};

/* Sub-resources of S3 that are not here; without this list they would be taken for the plain
 * operation. */
static const char *const missing[] = {
    "acl",
    "policy",
    "lifecycle",
    "cors",
    "website",
    "logging",
    "encryption",
    "notification",
    "replication",
    "accelerate",
    "versions",
    "versionId",
    "requestPayment",
    "object-lock",
    "retention",
    "legal-hold",
    "restore",
    "select",
    "torrent",
    "attributes",
    "inventory",
    "metrics",
    "analytics",
    "ownershipControls",
    "publicAccessBlock",
    "partNumber",
    "policyStatus",
    "intelligent-tiering",
    "append",
    "renameObject",
};

static enum s3_error check_missing(struct request *req)
{
    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
        struct span value = request_param(req, missing[i]);
        bool is_known = (strcmp(missing[i], "versionId") == 0 && span_eq_str(value, "null")) ||
                        (strcmp(missing[i], "partNumber") == 0 && req->op == OP_UploadPart);
        if (value.ptr != NULL && !is_known) {
            return request_fail(req, S3_NotImplemented,
                                arena_printf(&req->arena, "%s is not implemented", missing[i]));
        }
    }
    if (request_header(req, "x-amz-copy-source").ptr != NULL) {
        return request_fail(req, S3_NotImplemented, "copies are not implemented");
    }
    return S3_OK;
}

enum s3_error request_route(struct request *req)
{
    if (span_eq_str(req->bucket, "_bucketd")) {
        req->op = OP_Control;
        return S3_OK;
    }
    char level = req->bucket.len == 0 ? 's' : req->key.len == 0 ? 'b' : 'k';
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        const struct route *route = &routes[i];
        if (route->level == level && strcmp(route->method, req->method) == 0 &&
            (route->param == NULL || request_has_param(req, route->param))) {
            req->op = route->op;
            return check_missing(req);
        }
    }
    return S3_MethodNotAllowed;
}
