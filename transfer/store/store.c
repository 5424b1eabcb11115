#include "transfer/store/store.h"

const char *store_op_name(enum store_op_kind kind)
{
    static const char *const names[] = {
        [STORE_GET] = "GetObject",
        [STORE_HEAD] = "HeadObject",
        [STORE_PUT] = "PutObject",
        [STORE_CREATE] = "CreateMultipartUpload",
        [STORE_PART] = "UploadPart",
        [STORE_COMPLETE] = "CompleteMultipartUpload",
        [STORE_ABORT] = "AbortMultipartUpload",
        [STORE_LIST_PARTS] = "ListParts",
        [STORE_DELETE] = "DeleteObject",
        [STORE_DELETE_MANY] = "DeleteObjects",
        [STORE_LIST] = "ListObjectsV2",
        [STORE_LIST_VERSIONS] = "ListObjectVersions",
        [STORE_LIST_UPLOADS] = "ListMultipartUploads",
        [STORE_GET_TAGS] = "GetObjectTagging",
        [STORE_PUT_TAGS] = "PutObjectTagging",
        [STORE_GET_NOTIFICATION] = "GetBucketNotificationConfiguration",
        [STORE_PUT_NOTIFICATION] = "PutBucketNotificationConfiguration",
        [STORE_CREATE_TOPIC] = "CreateTopic",
        [STORE_HEAD_BUCKET] = "HeadBucket",
        [STORE_GET_VERSIONING] = "GetBucketVersioning",
    };
    return names[kind];
}

enum store_class store_op_class(const struct store_op *op)
{
    uint64_t bytes = op->kind == STORE_GET ? op->into_size : op->body.len;
    return bytes >= STORE_BULK_BYTES ? STORE_BULK : STORE_SMALL;
}
