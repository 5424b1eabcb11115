/* op: the operations by the names that S3 gives them; faults and statistics use the same names. */
#ifndef BUCKETD_OP_H
#define BUCKETD_OP_H

#define OP_LIST(OP)                                                                                \
    OP(Unknown)                                                                                    \
    OP(Control)                                                                                    \
    OP(ListBuckets)                                                                                \
    OP(CreateBucket)                                                                               \
    OP(DeleteBucket)                                                                               \
    OP(HeadBucket)                                                                                 \
    OP(GetBucketLocation)                                                                          \
    OP(GetBucketVersioning)                                                                        \
    OP(ListObjects)                                                                                \
    OP(ListObjectsV2)                                                                              \
    OP(ListMultipartUploads)                                                                       \
    OP(DeleteObjects)                                                                              \
    OP(PutObject)                                                                                  \
    OP(GetObject)                                                                                  \
    OP(HeadObject)                                                                                 \
    OP(DeleteObject)                                                                               \
    OP(PutObjectTagging)                                                                           \
    OP(GetObjectTagging)                                                                           \
    OP(DeleteObjectTagging)                                                                        \
    OP(CreateMultipartUpload)                                                                      \
    OP(UploadPart)                                                                                 \
    OP(ListParts)                                                                                  \
    OP(CompleteMultipartUpload)                                                                    \
    OP(AbortMultipartUpload)

#define OP_ENUM(name) OP_##name,
enum op { OP_LIST(OP_ENUM) OP_COUNT };
#undef OP_ENUM

/* "PutObject" for OP_PutObject. */
const char *op_name(enum op op);

#endif
