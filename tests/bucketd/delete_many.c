#include "tests/bucketd/ops.h"

#include "tests/bucketd/intake.h"
#include "tests/bucketd/reply.h"
#include "tests/bucketd/xml.h"

#define MAX_KEYS 1000 /* S3 */

static enum s3_error delete_leaves(struct request *req, const struct xml_leaves *leaves)
{
    bool is_quiet = false;
    size_t count = 0;
    for (size_t i = 0; i < leaves->count; i++) {
        const struct xml_leaf *leaf = &leaves->items[i];
        is_quiet =
            is_quiet || (strcmp(leaf->name, "Quiet") == 0 && span_eq_str(leaf->text, "true"));
        count += strcmp(leaf->name, "Key") == 0;
    }
    if (count == 0 || count > MAX_KEYS) {
        return S3_MalformedXML;
    }
    for (size_t i = 0; i < leaves->count; i++) {
        const struct xml_leaf *leaf = &leaves->items[i];
        if (strcmp(leaf->name, "Key") != 0) {
            continue;
        }
        store_delete(&req->server->store, req->bucket, leaf->text);
        if (!is_quiet) {
            buf_str(&req->out, "<Deleted>");
            xml_element(&req->out, "Key", leaf->text);
            buf_str(&req->out, "</Deleted>");
        }
    }
    return S3_OK;
}

enum s3_error delete_many(struct request *req)
{
    struct xml_leaves leaves;
    if (!intake_has_digest(req->intake)) {
        return request_fail(req, S3_InvalidRequest,
                            "Missing required header for this request: Content-MD5");
    }
    enum s3_error error = store_check_bucket(&req->server->store, req->bucket);
    if (error != S3_OK) {
        return error;
    }
    if (!xml_parse(&req->arena, intake_text(req->intake), "Delete", &leaves)) {
        return S3_MalformedXML;
    }
    buf_str(&req->out, XML_HEAD "<DeleteResult" XML_NS ">");
    error = delete_leaves(req, &leaves);
    buf_str(&req->out, "</DeleteResult>");
    reply_xml_type(req);
    return error;
}
