/* S3 store: objects, their tags, and the bucket's head. */
#include "transfer/store/s3_impl.h"

#include "transfer/store/checksum.h"

#include <stdio.h>

/* ---- get and head ---- */

static void pin(struct s3_call *c)
{
    if (c->op->version_id.len > 0) {
        s3_param(c, "versionId", c->op->version_id);
    }
    if (c->op->if_match.len > 0) {
        s3_header(c, "if-match", s3_quote(c, c->op->if_match));
    }
}

static int build_get(struct s3_call *c)
{
    struct store_op *op = c->op;
    pin(c);
    if (op->ranged) {
        uint64_t last = op->offset + op->length - 1;
        s3_header(c, "range",
                  span_str(arena_printf(&c->arena, "bytes=%llu-%llu",
                                        (unsigned long long)op->offset, (unsigned long long)last)));
    }
    s3_header(c, "x-amz-checksum-mode", span_str("ENABLED"));
    c->net.into = op->into;
    c->net.into_size = op->into_size;
    return 0;
}

/* "bytes 0-15/16" must be what was asked for, up to the object's end. */
static bool range_is_right(const struct s3_call *c)
{
    const struct store_op *op = c->op;
    struct span text = net_answer(&c->net, "content-range");
    unsigned long long first;
    unsigned long long last;
    unsigned long long size;
    if (!span_starts_with(text, span_str("bytes "))) {
        return false;
    }
    text = span_skip(text, 6);
    if (span_to_u64(span_cut(&text, '-'), &first) < 0 ||
        span_to_u64(span_cut(&text, '/'), &last) < 0 || span_to_u64(text, &size) < 0) {
        return false;
    }
    uint64_t wanted = op->offset + op->length < size ? op->offset + op->length : size;
    return first == op->offset && last + 1 == wanted && c->net.received == wanted - first;
}

/* Only a whole object that was stored in one piece has a checksum that we can compute. */
static bool checksum_is_right(const struct s3_call *c)
{
    char value[CHECKSUM_BASE64_MAX];
    struct span body = span_of(c->op->into, c->net.received);
    struct span want = c->op->object.checksum;
    struct span kind = span_cut(&want, ':');
    if (c->net.received != c->op->object.size || want.len == 0 ||
        memchr(want.ptr, '-', want.len) != NULL) {
        return true;
    }
    if (span_eq_str(kind, "crc64nvme")) {
        checksum_base64_u64(checksum_crc64nvme(0, body), value);
    } else if (span_eq_str(kind, "crc32c")) {
        checksum_base64_u32(checksum_crc32c(0, body), value);
    } else {
        return true;
    }
    return span_eq_str(want, value);
}

static int parse_get(struct s3_call *c)
{
    struct store_op *op = c->op;
    s3_read_object(c, &op->object);
    op->received = c->net.received;
    if (c->net.status == 206 && !range_is_right(c)) {
        fail_set(&op->fail, REPL_EPROTO, "GetObject: the server sent another range than asked for");
    } else if (op->ranged && c->net.status == 200 && op->offset > 0) {
        fail_set(&op->fail, REPL_EPROTO, "GetObject: the server ignored the range");
    } else if (c->net.status == 200 && op->received != op->object.size) {
        fail_set(&op->fail, REPL_ESHORT, "GetObject: %zu of %llu bytes came", op->received,
                 (unsigned long long)op->object.size);
    } else if (!checksum_is_right(c)) {
        fail_set(&op->fail, REPL_ECHECKSUM,
                 "GetObject: the bytes differ from the source's checksum");
    }
    return 0;
}

static int build_head(struct s3_call *c)
{
    pin(c);
    if (c->asking_again) {
        c->method = "GET";
        s3_header(c, "range", span_str("bytes=0-0"));
        return 0;
    }
    s3_header(c, "x-amz-checksum-mode", span_str("ENABLED"));
    return 0;
}

static int parse_head(struct s3_call *c)
{
    if (c->asking_again) {
        fail_set(&c->op->fail, REPL_EPROTO, "HeadObject: HEAD says 404 and GET does not");
    } else {
        s3_read_object(c, &c->op->object);
    }
    return 0;
}

/* The answer to HEAD has no body: a missing object, a missing bucket and a proxy's own 404 look
 * alike. GET is asked for the reason; only its NoSuchKey is evidence. */
static int refused_head(struct s3_call *c)
{
    struct fail *f = &c->op->fail;
    if (c->asking_again) {
        if (f->http_status == 416) { /* it is there, and empty */
            fail_set(f, REPL_EPROTO, "HeadObject: HEAD says 404 and GET does not");
        }
        return 0;
    }
    c->asking_again = c->net.status == 404 && f->code != REPL_ENOKEY;
    return c->asking_again;
}

/* ---- put ---- */

static int build_put(struct s3_call *c)
{
    c->has_body = true;
    c->body = c->op->body.ptr != NULL ? c->op->body : span_of("", 0);
    if (c->op->body.ptr == NULL) {
        c->op->body = c->body;
    }
    s3_check_headers(c);
    s3_meta_headers(c, &c->op->meta);
    if (c->op->if_none_match) {
        s3_header(c, "if-none-match", span_str("*"));
    }
    if (c->op->if_match.len > 0) {
        bool bare = c->s3->base.features.conditional == STORE_CONDITIONAL_BARE;
        s3_header(c, "if-match", bare ? c->op->if_match : s3_quote(c, c->op->if_match));
    }
    return 0;
}

static int parse_put(struct s3_call *c)
{
    s3_read_object(c, &c->op->object);
    c->op->object.size = c->op->body.len;
    memset(&c->op->object.meta, 0, sizeof(c->op->object.meta));
    if (c->op->object.etag.len == 0) {
        fail_set(&c->op->fail, REPL_EPROTO, "PutObject: the answer has no ETag");
        c->op->ambiguous = true;
    }
    return 0;
}

/* ---- delete ---- */

static int build_delete(struct s3_call *c)
{
    pin(c);
    return 0;
}

static int parse_delete(struct s3_call *c)
{
    c->op->object.delete_marker =
        span_eq_nocase(net_answer(&c->net, "x-amz-delete-marker"), "true");
    c->op->object.version_id = net_answer(&c->net, "x-amz-version-id");
    return 0;
}

/* ---- tags ---- */

#define TAGS_MAX 64

static int build_get_tags(struct s3_call *c)
{
    s3_param(c, "tagging", span_of("", 0));
    if (c->op->version_id.len > 0) {
        s3_param(c, "versionId", c->op->version_id);
    }
    return 0;
}

static void tag_end(void *arg, const char *path, struct span text)
{
    struct store_op *op = arg;
    struct store_pair *tag = &op->tags[op->tag_count];
    if (strcmp(path, "Tagging/TagSet/Tag/Key") == 0) {
        tag->name = arena_span(op->arena, text.ptr != NULL ? text : span_of("", 0));
    } else if (strcmp(path, "Tagging/TagSet/Tag/Value") == 0) {
        tag->value = arena_span(op->arena, text.ptr != NULL ? text : span_of("", 0));
    } else if (strcmp(path, "Tagging/TagSet/Tag") == 0 && op->tag_count < TAGS_MAX - 1) {
        op->tag_count++;
    }
}

static int parse_get_tags(struct s3_call *c)
{
    static const struct xml_handler handler = {.end = tag_end};
    c->op->tags = arena_alloc(c->op->arena, TAGS_MAX * sizeof(struct store_pair));
    if (xml_parse(c->net.text, &handler, c->op) < 0) {
        c->op->tag_count = 0;
        fail_set(&c->op->fail, REPL_EPROTO, "GetObjectTagging: the answer is no complete XML");
    }
    return 0;
}

static int refused_get_tags(struct s3_call *c)
{
    if (c->op->fail.server_code[0] != '\0' &&
        strcmp(c->op->fail.server_code, "NoSuchTagSet") == 0) {
        fail_clear(&c->op->fail); /* no tags */
    }
    return 0;
}

static int build_put_tags(struct s3_call *c)
{
    s3_param(c, "tagging", span_of("", 0));
    buf_reset(&c->xml);
    buf_str(&c->xml, "<Tagging><TagSet>");
    for (size_t i = 0; i < c->op->meta.tag_count; i++) {
        buf_str(&c->xml, "<Tag>");
        xml_element(&c->xml, "Key", c->op->meta.tags[i].name);
        xml_element(&c->xml, "Value", c->op->meta.tags[i].value);
        buf_str(&c->xml, "</Tag>");
    }
    buf_str(&c->xml, "</TagSet></Tagging>");
    c->has_body = true;
    c->body = buf_view(&c->xml);
    s3_header(c, "content-type", span_str("application/xml"));
    return 0;
}

static int parse_nothing(struct s3_call *c)
{
    (void)c;
    return 0;
}

/* ---- the bucket ---- */

static int build_head_bucket(struct s3_call *c)
{
    c->bucket_only = true;
    return 0;
}

static int refused_head_bucket(struct s3_call *c)
{
    if (c->net.status == 404) {
        fail_set(&c->op->fail, REPL_ENOBUCKET, "bucket %.*s does not exist",
                 SPAN_ARG(c->op->bucket));
        c->op->fail.http_status = 404;
    }
    return 0;
}

const struct s3_verb s3_verb_get = {.method = "GET", .build = build_get, .parse = parse_get};
const struct s3_verb s3_verb_head = {
    .method = "HEAD", .build = build_head, .parse = parse_head, .refused = refused_head};
const struct s3_verb s3_verb_put = {
    .method = "PUT", .write = true, .build = build_put, .parse = parse_put};
const struct s3_verb s3_verb_delete = {
    .method = "DELETE", .write = true, .build = build_delete, .parse = parse_delete};
const struct s3_verb s3_verb_get_tags = {
    .method = "GET", .build = build_get_tags, .parse = parse_get_tags, .refused = refused_get_tags};
const struct s3_verb s3_verb_put_tags = {
    .method = "PUT", .write = true, .build = build_put_tags, .parse = parse_nothing};
const struct s3_verb s3_verb_head_bucket = {.method = "HEAD",
                                            .build = build_head_bucket,
                                            .parse = parse_nothing,
                                            .refused = refused_head_bucket};
