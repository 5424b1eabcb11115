/* S3 store: where a bucket tells of its changes to, and the topics of Ceph RGW. */
#include "transfer/store/s3_impl.h"

static int build_get_notification(struct s3_call *c)
{
    c->bucket_only = true;
    s3_param(c, "notification", span_of("", 0));
    return 0;
}

static int build_put_notification(struct s3_call *c)
{
    c->bucket_only = true;
    s3_param(c, "notification", span_of("", 0));
    s3_header(c, "content-type", span_str("application/xml"));
    c->has_body = true;
    c->body = c->op->body;
    return 0;
}

static int build_create_topic(struct s3_call *c)
{
    c->bucket_only = true;
    s3_header(c, "content-type", span_str("application/x-www-form-urlencoded"));
    c->has_body = true;
    c->body = c->op->body;
    return 0;
}

static int parse_text(struct s3_call *c)
{
    c->op->ret_text = c->net.text;
    return 0;
}

const struct s3_verb s3_verb_get_notification = {
    .method = "GET", .build = build_get_notification, .parse = parse_text};
const struct s3_verb s3_verb_put_notification = {
    .method = "PUT", .write = true, .build = build_put_notification, .parse = parse_text};
const struct s3_verb s3_verb_create_topic = {
    .method = "POST", .write = true, .build = build_create_topic, .parse = parse_text};
