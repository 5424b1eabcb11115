/* S3 store: multipart uploads. */
#include "transfer/store/s3_impl.h"

#include <stdio.h>

#define COMPLETE_STALL_S 600 /* servers put parts together for minutes */

static enum store_check upload_check(const struct s3_call *c)
{
    return c->s3->tls ? c->s3->base.features.check : STORE_CHECK_SHA256;
}

/* ---- create ---- */

static int build_create(struct s3_call *c)
{
    s3_param(c, "uploads", span_of("", 0));
    c->has_body = true;
    s3_meta_headers(c, &c->op->meta);
    switch (upload_check(c)) {
    case STORE_CHECK_CRC64NVME:
        s3_header(c, "x-amz-checksum-algorithm", span_str("CRC64NVME"));
        s3_header(c, "x-amz-checksum-type", span_str("FULL_OBJECT"));
        break;
    case STORE_CHECK_CRC32C:
        s3_header(c, "x-amz-checksum-algorithm", span_str("CRC32C"));
        break;
    default:
        break;
    }
    return 0;
}

static void create_end(void *arg, const char *path, struct span text)
{
    struct store_op *op = arg;
    if (strcmp(path, "InitiateMultipartUploadResult/UploadId") == 0) {
        op->ret_upload_id = arena_span(op->arena, text);
    }
}

static int parse_create(struct s3_call *c)
{
    static const struct xml_handler handler = {.end = create_end};
    struct store_op *op = c->op;
    if (xml_parse(c->net.text, &handler, op) < 0 || op->ret_upload_id.len == 0) {
        fail_set(&op->fail, REPL_EPROTO, "CreateMultipartUpload: the answer names no upload id");
        op->ambiguous = true;
    }
    return 0;
}

/* ---- part ---- */

static int build_part(struct s3_call *c)
{
    s3_param_u64(c, "partNumber", c->op->part_number);
    s3_param(c, "uploadId", c->op->upload_id);
    c->has_body = true;
    c->body = c->op->body;
    s3_check_headers(c);
    return 0;
}

static int parse_part(struct s3_call *c)
{
    struct store_op *op = c->op;
    op->part.number = op->part_number;
    op->part.size = op->body.len;
    op->part.etag = s3_unquote(net_answer(&c->net, "etag"));
    if (op->part.etag.len == 0) {
        fail_set(&op->fail, REPL_EPROTO, "UploadPart: the answer has no ETag");
    } else if (c->check == STORE_CHECK_CRC32C || c->check == STORE_CHECK_CRC64NVME) {
        op->part.checksum = span_str(
            arena_printf(op->arena, "%s:%s",
                         c->check == STORE_CHECK_CRC32C ? "crc32c" : "crc64nvme", c->check_value));
    }
    return 0;
}

/* ---- complete ---- */

static void add_part(struct buf *xml, const struct store_part *p)
{
    struct span value = p->checksum;
    struct span kind = span_cut(&value, ':');
    buf_printf(xml, "<Part><PartNumber>%u</PartNumber><ETag>\"%.*s\"</ETag>", p->number,
               SPAN_ARG(p->etag));
    if (span_eq_str(kind, "crc32c")) {
        xml_element(xml, "ChecksumCRC32C", value);
    } else if (span_eq_str(kind, "crc64nvme")) {
        xml_element(xml, "ChecksumCRC64NVME", value);
    }
    buf_str(xml, "</Part>");
}

static int build_complete(struct s3_call *c)
{
    struct store_op *op = c->op;
    s3_param(c, "uploadId", op->upload_id);
    buf_reset(&c->xml);
    buf_str(&c->xml, "<CompleteMultipartUpload>");
    for (size_t i = 0; i < op->part_count; i++) {
        add_part(&c->xml, &op->parts[i]);
    }
    buf_str(&c->xml, "</CompleteMultipartUpload>");
    c->has_body = true;
    c->body = buf_view(&c->xml);
    s3_header(c, "content-type", span_str("application/xml"));
    if (op->if_none_match) {
        s3_header(c, "if-none-match", span_str("*"));
    }
    return 0;
}

struct completed {
    struct store_op *op;
    bool done;
};

static void complete_end(void *arg, const char *path, struct span text)
{
    struct completed *r = arg;
    if (strcmp(path, "CompleteMultipartUploadResult") == 0) {
        r->done = true;
    } else if (strcmp(path, "CompleteMultipartUploadResult/ETag") == 0) {
        r->op->object.etag = s3_unquote(arena_span(r->op->arena, text));
    }
}

/* A 200 is not yet success: the body may be an error, sent after minutes of white space. */
static int parse_complete(struct s3_call *c)
{
    static const struct xml_handler handler = {.end = complete_end};
    struct store_op *op = c->op;
    struct completed r = {.op = op};
    struct span version = net_answer(&c->net, "x-amz-version-id");
    if (xml_parse(c->net.text, &handler, &r) == 0 && r.done) {
        op->object.version_id = version;
        return 0;
    }
    s3_read_failure(c);
    if (op->fail.server_code[0] == '\0') {
        fail_set(&op->fail, REPL_EPROTO, "CompleteMultipartUpload: the answer is incomplete");
        op->ambiguous = true;
    } else {
        op->ambiguous = op->fail.code == REPL_ESERVER;
    }
    return 0;
}

/* ---- abort ---- */

static int build_abort(struct s3_call *c)
{
    s3_param(c, "uploadId", c->op->upload_id);
    return 0;
}

static int parse_abort(struct s3_call *c)
{
    (void)c;
    return 0;
}

/* ---- list parts ---- */

#define PARTS_MAX 10000

static int build_list_parts(struct s3_call *c)
{
    s3_param(c, "uploadId", c->op->upload_id);
    s3_param(c, "max-parts", span_str("1000"));
    if (c->marker.len > 0) {
        s3_param(c, "part-number-marker", c->marker);
    }
    return 0;
}

struct part_page {
    struct store_op *op;
    struct store_part *at;
    bool truncated;
    bool complete;
    struct span marker;
};

static void part_start(void *arg, const char *path)
{
    struct part_page *p = arg;
    if (strcmp(path, "ListPartsResult/Part") == 0) {
        p->at =
            p->op->ret_part_count < PARTS_MAX ? &p->op->ret_parts[p->op->ret_part_count++] : NULL;
    }
}

static void part_end(void *arg, const char *path, struct span text)
{
    struct part_page *p = arg;
    unsigned long long n = 0;
    if (strcmp(path, "ListPartsResult") == 0) {
        p->complete = true;
    } else if (strcmp(path, "ListPartsResult/IsTruncated") == 0) {
        p->truncated = span_eq_nocase(text, "true");
    } else if (strcmp(path, "ListPartsResult/NextPartNumberMarker") == 0) {
        p->marker = arena_span(p->op->arena, text);
    } else if (p->at == NULL) {
        return;
    } else if (strcmp(path, "ListPartsResult/Part/PartNumber") == 0) {
        span_to_u64(text, &n);
        p->at->number = (uint32_t)n;
    } else if (strcmp(path, "ListPartsResult/Part/Size") == 0) {
        span_to_u64(text, &n);
        p->at->size = n;
    } else if (strcmp(path, "ListPartsResult/Part/ETag") == 0) {
        p->at->etag = s3_unquote(arena_span(p->op->arena, text));
    } else if (strcmp(path, "ListPartsResult/Part/ChecksumCRC32C") == 0) {
        p->at->checksum = span_str(arena_printf(p->op->arena, "crc32c:%.*s", SPAN_ARG(text)));
    } else if (strcmp(path, "ListPartsResult/Part/ChecksumCRC64NVME") == 0) {
        p->at->checksum = span_str(arena_printf(p->op->arena, "crc64nvme:%.*s", SPAN_ARG(text)));
    }
}

static int parse_list_parts(struct s3_call *c)
{
    static const struct xml_handler handler = {.start = part_start, .end = part_end};
    struct store_op *op = c->op;
    struct part_page page = {.op = op};
    if (op->ret_parts == NULL) {
        op->ret_parts = arena_alloc(op->arena, PARTS_MAX * sizeof(struct store_part));
    }
    if (xml_parse(c->net.text, &handler, &page) < 0 || !page.complete) {
        fail_set(&op->fail, REPL_EPROTO, "ListParts: the answer is no complete XML");
        return 0;
    }
    if (!page.truncated) {
        return 0;
    }
    if (page.marker.len == 0 || span_eq(page.marker, c->marker)) {
        fail_set(&op->fail, REPL_EPROTO, "ListParts: the next page has no marker of its own");
        return 0;
    }
    c->marker = page.marker;
    return 1;
}

const struct s3_verb s3_verb_create = {
    .method = "POST", .write = true, .build = build_create, .parse = parse_create};
const struct s3_verb s3_verb_part = {
    .method = "PUT", .write = true, .build = build_part, .parse = parse_part};
const struct s3_verb s3_verb_complete = {.method = "POST",
                                         .write = true,
                                         .stall_s = COMPLETE_STALL_S,
                                         .build = build_complete,
                                         .parse = parse_complete};
const struct s3_verb s3_verb_abort = {
    .method = "DELETE", .write = true, .build = build_abort, .parse = parse_abort};
const struct s3_verb s3_verb_list_parts = {
    .method = "GET", .build = build_list_parts, .parse = parse_list_parts};
