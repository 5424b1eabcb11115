#include "tests/bucketd/ops.h"

#include "tests/bucketd/intake.h"
#include "tests/bucketd/reply.h"
#include "tests/bucketd/uri.h"
#include "tests/bucketd/xml.h"

/* S3 */
#define MAX_TAGS        10
#define MAX_NAME_CHARS  128
#define MAX_VALUE_CHARS 256

static size_t count_chars(struct span text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++) {
        count += (text.ptr[i] & 0xC0) != 0x80;
    }
    return count;
}

static enum s3_error add_tag(struct request *req, struct bag *tags, struct span name,
                             struct span value)
{
    if (name.len == 0 || count_chars(name) > MAX_NAME_CHARS || strlen(name.ptr) != name.len) {
        return request_fail(req, S3_InvalidTag, "The TagKey you have provided is invalid");
    }
    if (count_chars(value) > MAX_VALUE_CHARS || strlen(value.ptr) != value.len) {
        return request_fail(req, S3_InvalidTag, "The TagValue you have provided is invalid");
    }
    if (bag_find(tags, name.ptr) != NULL) {
        return request_fail(req, S3_InvalidTag, "Cannot provide multiple Tags with the same key");
    }
    if (tags->count == MAX_TAGS) {
        return request_fail(req, S3_InvalidTag, "Object tags cannot be greater than 10");
    }
    bag_add(tags, name, value);
    return S3_OK;
}

enum s3_error tagging_parse(struct request *req, struct span text, struct bag *ret_tags)
{
    enum s3_error error = S3_OK;
    while (text.len > 0 && error == S3_OK) {
        struct span value = span_cut(&text, '&');
        struct span name = span_cut(&value, '=');
        struct span plain_name = uri_decode(&req->arena, name, true);
        struct span plain_value = uri_decode(&req->arena, value, true);
        if (plain_name.ptr == NULL || plain_value.ptr == NULL) {
            return request_fail(req, S3_InvalidArgument, "x-amz-tagging is badly encoded");
        }
        error = add_tag(req, ret_tags, plain_name, plain_value);
    }
    return error;
}

static enum s3_error read_document(struct request *req, struct bag *ret_tags)
{
    struct xml_leaves leaves;
    struct span name = {0}, value = {0};
    enum s3_error error = S3_OK;
    if (!xml_parse(&req->arena, intake_text(req->intake), "Tagging", &leaves)) {
        return S3_MalformedXML;
    }
    for (size_t i = 0; i < leaves.count && error == S3_OK; i++) {
        const struct xml_leaf *leaf = &leaves.items[i];
        bool is_last = i + 1 == leaves.count || leaves.items[i + 1].parent != leaf->parent;
        if (strcmp(leaf->name, "Key") == 0) {
            name = leaf->text;
        } else if (strcmp(leaf->name, "Value") == 0) {
            value = leaf->text;
        } else if (strcmp(leaf->name, "TagSet") == 0 && leaf->text.len == 0) {
            continue;
        } else {
            return S3_MalformedXML;
        }
        if (is_last) {
            if (name.ptr == NULL || value.ptr == NULL) {
                return S3_MalformedXML;
            }
            error = add_tag(req, ret_tags, name, value);
            name = value = span_of(NULL, 0);
        }
    }
    return error;
}

enum s3_error tagging_put(struct request *req)
{
    struct bag tags = {0};
    enum s3_error error = read_document(req, &tags);
    if (error == S3_OK) {
        error = store_retag(&req->server->store, req->bucket, req->key, &tags);
    }
    bag_done(&tags);
    return error;
}

enum s3_error tagging_delete(struct request *req)
{
    struct bag none = {0};
    req->status = 204;
    return store_retag(&req->server->store, req->bucket, req->key, &none);
}

enum s3_error tagging_get(struct request *req)
{
    struct object *object;
    const char *name, *value;
    enum s3_error error = store_get(&req->server->store, req->bucket, req->key, &object);
    if (error != S3_OK) {
        return error;
    }
    buf_str(&req->out, XML_HEAD "<Tagging" XML_NS "><TagSet>");
    for (size_t pos = 0; bag_next(&object->tags, &pos, &name, &value);) {
        buf_str(&req->out, "<Tag>");
        xml_element(&req->out, "Key", span_str(name));
        xml_element(&req->out, "Value", span_str(value));
        buf_str(&req->out, "</Tag>");
    }
    buf_str(&req->out, "</TagSet></Tagging>");
    reply_xml_type(req);
    object_unref(object);
    return S3_OK;
}
