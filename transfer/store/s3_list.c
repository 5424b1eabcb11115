/* S3 store: listings, and deletes by the list. */
#include "transfer/store/s3_impl.h"

#include "transfer/store/checksum.h"
#include "transfer/store/errors.h"

#include <stdio.h>

/* ---- objects ---- */

struct object_page {
    struct store_op *op;
    size_t room;
    struct store_entry *at;
    bool url; /* keys are percent-encoded */
    bool truncated;
    bool complete;
};

static int build_list(struct s3_call *c)
{
    struct store_op *op = c->op;
    c->bucket_only = true;
    s3_param(c, "list-type", span_str("2"));
    s3_param(c, "encoding-type", span_str("url"));
    s3_param_u64(c, "max-keys", op->max_keys > 0 ? op->max_keys : 1000);
    s3_param(c, "prefix", op->key.ptr != NULL ? op->key : span_of("", 0));
    if (op->token.len > 0) {
        s3_param(c, "continuation-token", op->token);
    } else if (op->start_after.len > 0) {
        s3_param(c, "start-after", op->start_after);
    }
    return 0;
}

static void next_entry(struct object_page *p)
{
    p->at = p->op->entry_count < p->room ? &p->op->entries[p->op->entry_count++] : NULL;
}

static void list_start(void *arg, const char *path)
{
    if (strcmp(path, "ListBucketResult/Contents") == 0) {
        next_entry(arg);
    }
}

static void list_member(struct object_page *p, const char *name, struct span text)
{
    struct arena *a = p->op->arena;
    unsigned long long n = 0;
    if (strcmp(name, "Key") == 0) {
        p->at->key = arena_span(a, text.ptr != NULL ? text : span_of("", 0));
    } else if (strcmp(name, "ETag") == 0) {
        p->at->etag = s3_unquote(arena_span(a, text));
    } else if (strcmp(name, "Size") == 0) {
        span_to_u64(text, &n);
        p->at->size = n;
    } else if (strcmp(name, "LastModified") == 0) {
        time_parse(text.ptr != NULL ? text.ptr : "", text.len, &p->at->mtime_ms);
    } else if (strcmp(name, "StorageClass") == 0) {
        p->at->storage_class = arena_span(a, text);
    } else if (strcmp(name, "VersionId") == 0) {
        p->at->version_id = arena_span(a, text);
    } else if (strcmp(name, "IsLatest") == 0) {
        p->at->is_latest = span_eq_nocase(text, "true");
    }
}

/* What both listings have of the page itself. */
static void page_member(struct object_page *p, const char *name, struct span text)
{
    if (strcmp(name, "IsTruncated") == 0) {
        p->truncated = span_eq_nocase(text, "true");
    } else if (strcmp(name, "NextContinuationToken") == 0 ||
               strcmp(name, "NextVersionIdMarker") == 0) {
        p->op->next_token = arena_span(p->op->arena, text);
    } else if (strcmp(name, "NextKeyMarker") == 0) {
        p->op->next_key = arena_span(p->op->arena, text);
    } else if (strcmp(name, "EncodingType") == 0) {
        p->url = span_eq_nocase(text, "url");
    }
}

/* Whether the path goes on behind this; *ret_rest is what follows. */
static bool is_below(const char *path, const char *start, const char **ret_rest)
{
    size_t len = strlen(start);
    *ret_rest = path + len;
    return strncmp(path, start, len) == 0;
}

static void list_end(void *arg, const char *path, struct span text)
{
    struct object_page *p = arg;
    const char *name;
    if (is_below(path, "ListBucketResult/Contents/", &name)) {
        if (p->at != NULL) {
            list_member(p, name, text);
        }
    } else if (is_below(path, "ListBucketResult/", &name)) {
        page_member(p, name, text);
    } else if (strcmp(path, "ListBucketResult") == 0) {
        p->complete = true;
    }
}

/* Reads a whole page of either listing; false: it was cut off, which has been said. */
static bool parse_page(struct s3_call *c, const struct xml_handler *handler, struct object_page *p)
{
    struct store_op *op = c->op;
    *p = (struct object_page){.op = op, .room = op->max_keys > 0 ? op->max_keys : 1000};
    op->entries = arena_alloc(op->arena, p->room * sizeof(struct store_entry));
    op->entry_count = 0;
    op->next_token = span_of(NULL, 0);
    op->next_key = span_of(NULL, 0);
    if (xml_parse(c->net.text, handler, p) < 0 || !p->complete) {
        op->entry_count = 0;
        fail_set(&op->fail, REPL_EPROTO, "%s: the listing was cut off", store_op_name(op->kind));
        return false;
    }
    for (size_t i = 0; p->url && i < op->entry_count; i++) {
        op->entries[i].key = uri_decode(op->arena, op->entries[i].key);
    }
    return true;
}

static int parse_list(struct s3_call *c)
{
    static const struct xml_handler handler = {.start = list_start, .end = list_end};
    struct store_op *op = c->op;
    struct object_page p;
    if (!parse_page(c, &handler, &p)) {
        return 0;
    }
    if (!p.truncated) {
        op->next_token = span_of(NULL, 0);
    } else if (op->next_token.len == 0 || span_eq(op->next_token, op->token)) {
        fail_set(&op->fail, REPL_EPROTO,
                 "ListObjectsV2: the listing goes on but has no token of its own");
    }
    return 0;
}

/* ---- versions ---- */

static int build_list_versions(struct s3_call *c)
{
    struct store_op *op = c->op;
    c->bucket_only = true;
    s3_param(c, "versions", span_of("", 0));
    s3_param(c, "encoding-type", span_str("url"));
    s3_param_u64(c, "max-keys", op->max_keys > 0 ? op->max_keys : 1000);
    s3_param(c, "prefix", op->key.ptr != NULL ? op->key : span_of("", 0));
    if (op->start_after.len > 0) {
        s3_param(c, "key-marker", op->start_after);
    }
    if (op->start_after.len > 0 && op->token.len > 0) {
        s3_param(c, "version-id-marker", op->token);
    }
    return 0;
}

static void versions_start(void *arg, const char *path)
{
    struct object_page *p = arg;
    bool is_marker = strcmp(path, "ListVersionsResult/DeleteMarker") == 0;
    if (is_marker || strcmp(path, "ListVersionsResult/Version") == 0) {
        next_entry(p);
        if (p->at != NULL) {
            p->at->is_marker = is_marker;
        }
    }
}

static void versions_end(void *arg, const char *path, struct span text)
{
    struct object_page *p = arg;
    const char *name;
    if (is_below(path, "ListVersionsResult/Version/", &name) ||
        is_below(path, "ListVersionsResult/DeleteMarker/", &name)) {
        if (p->at != NULL) {
            list_member(p, name, text);
        }
    } else if (is_below(path, "ListVersionsResult/", &name)) {
        page_member(p, name, text);
    } else if (strcmp(path, "ListVersionsResult") == 0) {
        p->complete = true;
    }
}

static int parse_list_versions(struct s3_call *c)
{
    static const struct xml_handler handler = {.start = versions_start, .end = versions_end};
    struct store_op *op = c->op;
    struct object_page p;
    if (!parse_page(c, &handler, &p)) {
        return 0;
    }
    if (!p.truncated) {
        op->next_token = span_of(NULL, 0);
        op->next_key = span_of(NULL, 0);
        return 0;
    }
    op->next_key = p.url ? uri_decode(op->arena, op->next_key) : op->next_key;
    bool stands = span_eq(op->next_key, op->start_after) && span_eq(op->next_token, op->token);
    if (op->next_key.len == 0 || stands) {
        fail_set(&op->fail, REPL_EPROTO,
                 "ListObjectVersions: the listing goes on but has no markers of its own");
    }
    return 0;
}

static int build_get_versioning(struct s3_call *c)
{
    c->bucket_only = true;
    s3_param(c, "versioning", span_of("", 0));
    return 0;
}

struct versioning_answer {
    struct store_op *op;
    bool complete;
};

static void versioning_end(void *arg, const char *path, struct span text)
{
    struct versioning_answer *v = arg;
    if (strcmp(path, "VersioningConfiguration/Status") == 0) {
        v->op->versioning = span_eq_nocase(text, "Enabled");
    } else if (strcmp(path, "VersioningConfiguration") == 0) {
        v->complete = true;
    }
}

static int parse_get_versioning(struct s3_call *c)
{
    static const struct xml_handler handler = {.end = versioning_end};
    struct versioning_answer v = {.op = c->op};
    c->op->versioning = false;
    if (xml_parse(c->net.text, &handler, &v) < 0 || !v.complete) {
        fail_set(&c->op->fail, REPL_EPROTO, "GetBucketVersioning: the answer was cut off");
    }
    return 0;
}

/* ---- uploads ---- */

#define UPLOADS_MAX 1000

struct upload_page {
    struct store_op *op;
    struct store_upload *at;
    bool url;
    bool complete;
};

static int build_list_uploads(struct s3_call *c)
{
    c->bucket_only = true;
    s3_param(c, "uploads", span_of("", 0));
    s3_param(c, "encoding-type", span_str("url"));
    s3_param(c, "max-uploads", span_str("1000"));
    s3_param(c, "prefix", c->op->key.ptr != NULL ? c->op->key : span_of("", 0));
    return 0;
}

static void uploads_start(void *arg, const char *path)
{
    struct upload_page *p = arg;
    if (strcmp(path, "ListMultipartUploadsResult/Upload") == 0) {
        p->at = p->op->upload_count < UPLOADS_MAX ? &p->op->uploads[p->op->upload_count++] : NULL;
    }
}

static void uploads_end(void *arg, const char *path, struct span text)
{
    struct upload_page *p = arg;
    if (strcmp(path, "ListMultipartUploadsResult") == 0) {
        p->complete = true;
    } else if (strcmp(path, "ListMultipartUploadsResult/EncodingType") == 0) {
        p->url = span_eq_nocase(text, "url");
    } else if (p->at == NULL) {
        return;
    } else if (strcmp(path, "ListMultipartUploadsResult/Upload/Key") == 0) {
        p->at->key = arena_span(p->op->arena, text);
    } else if (strcmp(path, "ListMultipartUploadsResult/Upload/UploadId") == 0) {
        p->at->upload_id = arena_span(p->op->arena, text);
    } else if (strcmp(path, "ListMultipartUploadsResult/Upload/Initiated") == 0) {
        time_parse(text.ptr != NULL ? text.ptr : "", text.len, &p->at->initiated_ms);
    }
}

/* Ours where the answer has no Date. */
static int64_t server_now_ms(const struct s3_call *c)
{
    int64_t now_ms = loop_wall_ms(c->s3->loop);
    struct span date = net_answer(&c->net, "date");
    time_parse(date.ptr, date.len, &now_ms);
    return now_ms;
}

static int parse_list_uploads(struct s3_call *c)
{
    static const struct xml_handler handler = {.start = uploads_start, .end = uploads_end};
    struct store_op *op = c->op;
    struct upload_page p = {.op = op};
    op->uploads = arena_alloc(op->arena, UPLOADS_MAX * sizeof(struct store_upload));
    op->upload_count = 0;
    if (xml_parse(c->net.text, &handler, &p) < 0 || !p.complete) {
        op->upload_count = 0;
        fail_set(&op->fail, REPL_EPROTO, "ListMultipartUploads: the listing was cut off");
        return 0;
    }
    int64_t now_ms = server_now_ms(c);
    for (size_t i = 0; i < op->upload_count; i++) {
        struct store_upload *u = &op->uploads[i];
        u->key = p.url ? uri_decode(op->arena, u->key) : u->key;
        u->age_ms = now_ms - u->initiated_ms;
    }
    return 0;
}

/* ---- many deletes ---- */

static bool must_go_one_by_one(const struct s3_call *c)
{
    if (!c->s3->base.features.delete_many) {
        return true;
    }
    for (size_t i = 0; i < c->op->key_count; i++) {
        if (!xml_can_carry(c->op->keys[i])) {
            return true;
        }
    }
    return false;
}

static void build_delete_body(struct s3_call *c)
{
    unsigned char md5[16];
    char text[CHECKSUM_BASE64_MAX];
    buf_reset(&c->xml);
    buf_str(&c->xml, "<Delete><Quiet>true</Quiet>");
    for (size_t i = 0; i < c->op->key_count; i++) {
        buf_str(&c->xml, "<Object>");
        xml_element(&c->xml, "Key", c->op->keys[i]);
        buf_str(&c->xml, "</Object>");
    }
    buf_str(&c->xml, "</Delete>");
    c->has_body = true;
    c->body = buf_view(&c->xml);
    checksum_md5(c->body, md5);
    checksum_base64(md5, sizeof(md5), text);
    s3_header(c, "content-md5", arena_span(&c->arena, span_str(text)));
    s3_header(c, "content-type", span_str("application/xml"));
}

static int build_delete_many(struct s3_call *c)
{
    if (c->op->key_fails == NULL) {
        c->op->key_fails = arena_alloc(c->op->arena, (c->op->key_count + 1) * sizeof(struct fail));
        c->one_by_one = must_go_one_by_one(c);
    }
    if (c->one_by_one) {
        c->method = "DELETE";
        return 0;
    }
    c->bucket_only = true;
    s3_param(c, "delete", span_of("", 0));
    build_delete_body(c);
    return 0;
}

struct delete_result {
    struct store_op *op;
    char key[1024];
    size_t key_len;
    char code[64];
    char message[160];
    bool complete;
};

static void note_key_error(struct delete_result *r)
{
    struct store_op *op = r->op;
    for (size_t i = 0; i < op->key_count; i++) {
        if (!span_eq(op->keys[i], span_of(r->key, r->key_len))) {
            continue;
        }
        int code = errors_classify(400, r->code);
        if (code != REPL_ENOKEY) {
            fail_set(&op->key_fails[i], code, "DeleteObjects: %s", r->message);
            snprintf(op->key_fails[i].server_code, sizeof(op->key_fails[i].server_code), "%.47s",
                     r->code);
        }
    }
}

static void delete_end(void *arg, const char *path, struct span text)
{
    struct delete_result *r = arg;
    if (strcmp(path, "DeleteResult") == 0) {
        r->complete = true;
    } else if (strcmp(path, "DeleteResult/Error") == 0) {
        note_key_error(r);
    } else if (strcmp(path, "DeleteResult/Error/Key") == 0) {
        r->key_len = text.len < sizeof(r->key) ? text.len : sizeof(r->key);
        if (r->key_len > 0) {
            memcpy(r->key, text.ptr, r->key_len);
        }
    } else if (strcmp(path, "DeleteResult/Error/Code") == 0) {
        snprintf(r->code, sizeof(r->code), "%.*s", SPAN_ARG(text));
    } else if (strcmp(path, "DeleteResult/Error/Message") == 0) {
        snprintf(r->message, sizeof(r->message), "%.*s", SPAN_ARG(text));
    }
}

static int next_single(struct s3_call *c)
{
    return ++c->key_at < c->op->key_count;
}

static int parse_delete_many(struct s3_call *c)
{
    static const struct xml_handler handler = {.end = delete_end};
    struct delete_result r = {.op = c->op};
    if (c->one_by_one) {
        return next_single(c);
    }
    if (xml_parse(c->net.text, &handler, &r) < 0 || !r.complete) {
        fail_set(&c->op->fail, REPL_EPROTO, "DeleteObjects: the answer was cut off");
        c->op->ambiguous = true;
    }
    return 0;
}

/* One by one: a refusal belongs to its key, unless it would meet every key. */
static int refused_delete_many(struct s3_call *c)
{
    struct fail *f = &c->op->fail;
    if (!c->one_by_one) {
        bool unknown = f->code == REPL_EUNSUPPORTED || strcmp(f->server_code, "MalformedXML") == 0;
        if (unknown) {
            c->s3->base.features.delete_many = false;
            c->one_by_one = true;
        }
        return unknown;
    }
    enum fail_class class = fail_class(f->code);
    if (class != FAIL_GONE && class != FAIL_PERMANENT) {
        return 0;
    }
    if (f->code != REPL_ENOKEY) {
        c->op->key_fails[c->key_at] = *f;
    }
    fail_clear(f);
    return next_single(c);
}

const struct s3_verb s3_verb_list = {.method = "GET", .build = build_list, .parse = parse_list};
const struct s3_verb s3_verb_list_versions = {
    .method = "GET", .build = build_list_versions, .parse = parse_list_versions};
const struct s3_verb s3_verb_get_versioning = {
    .method = "GET", .build = build_get_versioning, .parse = parse_get_versioning};
const struct s3_verb s3_verb_list_uploads = {
    .method = "GET", .build = build_list_uploads, .parse = parse_list_uploads};
const struct s3_verb s3_verb_delete_many = {.method = "POST",
                                            .write = true,
                                            .build = build_delete_many,
                                            .parse = parse_delete_many,
                                            .refused = refused_delete_many};
