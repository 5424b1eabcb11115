/* What each sender's event names mean. The first row that fits decides; what no row names changes
 * no bytes of an object. A created or removed that nobody has heard of yet is looked at. */
#include "daemon/feeds/event_impl.h"

#define OF(source) (1u << (source))
#define AWS        OF(EVENT_AWS)
#define MINIO      OF(EVENT_MINIO)
#define CEPH       OF(EVENT_CEPH)
#define BRIDGE     OF(EVENT_BRIDGE)
#define OSS        OF(EVENT_OSS)
#define S3         (AWS | MINIO | CEPH)

static const struct {
    unsigned sources;
    const char *name; /* "…:*": all that begin so */
    enum event_what what;
} meanings[] = {
    {S3, "ObjectCreated:Put", EVENT_PUT},
    {S3, "ObjectCreated:Copy", EVENT_PUT},
    {S3, "ObjectCreated:CompleteMultipartUpload", EVENT_PUT},
    {CEPH, "ObjectCreated:Post", EVENT_LOOK}, /* CreateMultipartUpload too: nothing is there yet */
    {S3, "ObjectCreated:Post", EVENT_PUT},
    {MINIO, "ObjectCreated:PutTagging", EVENT_IGNORED},
    {MINIO, "ObjectCreated:DeleteTagging", EVENT_IGNORED},
    {MINIO, "ObjectCreated:PutRetention", EVENT_IGNORED},
    {MINIO, "ObjectCreated:PutLegalHold", EVENT_IGNORED},
    {S3, "ObjectRemoved:Delete", EVENT_REMOVED},
    {S3 | BRIDGE, "ObjectRemoved:DeleteMarkerCreated", EVENT_DELETE},
    {MINIO, "ObjectRemoved:DeleteAllVersions", EVENT_DELETE},
    {MINIO, "ObjectRemoved:NoOP", EVENT_IGNORED}, /* nothing was there */
    {MINIO, "LifecycleDelMarkerExpiration:Delete", EVENT_LOOK},
    {S3, "LifecycleExpiration:Delete", EVENT_REMOVED},
    {S3, "LifecycleExpiration:DeleteMarkerCreated", EVENT_DELETE},
    {CEPH, "ObjectLifecycle:Expiration:Current", EVENT_DELETE},
    {CEPH, "ObjectLifecycle:Expiration:DeleteMarker", EVENT_LOOK},
    {CEPH, "ObjectSynced:Create", EVENT_PUT},
    {CEPH, "ObjectSynced:Delete", EVENT_REMOVED},
    {CEPH, "ObjectSynced:DeletionMarkerCreated", EVENT_DELETE},
    {S3, "ObjectRestore:Completed", EVENT_LOOK}, /* could not be read before */

    {BRIDGE, "Object Created", EVENT_PUT},
    {BRIDGE, "Object Deleted", EVENT_REMOVED},
    {BRIDGE, "Object Restore Completed", EVENT_LOOK},

    {OSS, "ObjectCreated:PutObject", EVENT_PUT},
    {OSS, "ObjectCreated:PostObject", EVENT_PUT},
    {OSS, "ObjectCreated:CopyObject", EVENT_PUT},
    {OSS, "ObjectCreated:CompleteMultipartUpload", EVENT_PUT},
    {OSS, "ObjectCreated:AppendObject", EVENT_PUT},
    {OSS, "ObjectCreated:PutSymlink", EVENT_PUT},
    {OSS, "ObjectCreated:InitiateMultipartUpload", EVENT_IGNORED},
    {OSS, "ObjectCreated:UploadPart", EVENT_IGNORED},
    {OSS, "ObjectCreated:UploadPartCopy", EVENT_IGNORED},
    {OSS, "ObjectRemoved:DeleteObject", EVENT_REMOVED},
    {OSS, "ObjectRemoved:DeleteObjects", EVENT_REMOVED},
    {OSS, "ObjectRemoved:AbortMultipartUpload", EVENT_IGNORED},
    {OSS, "ObjectReplication:ObjectCreated", EVENT_PUT},
    {OSS, "ObjectReplication:ObjectModified", EVENT_PUT},
    {OSS, "ObjectReplication:ObjectRemoved", EVENT_REMOVED},
    {OSS, "ObjectRestore:FinishRestore", EVENT_LOOK},

    {S3 | OSS, "ObjectCreated:*", EVENT_LOOK},
    {S3 | OSS, "ObjectRemoved:*", EVENT_LOOK},
};

static bool fits(struct span name, const char *pattern)
{
    size_t n = strlen(pattern);
    return pattern[n - 1] == '*' ? span_starts_with(name, span_of(pattern, n - 1))
                                 : span_eq_str(name, pattern);
}

enum event_what event_what(enum event_source source, struct span name)
{
    struct span prefix = span_str(source == EVENT_OSS ? "oss:" : "s3:");
    if (span_starts_with(name, prefix)) {
        name = span_skip(name, prefix.len);
    }
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
        if ((meanings[i].sources & OF(source)) != 0 && fits(name, meanings[i].name)) {
            return meanings[i].what;
        }
    }
    return EVENT_IGNORED;
}
