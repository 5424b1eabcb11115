#include "tests/bucketd/request.h"

#include "tests/bucketd/intake.h"
#include "tests/bucketd/uri.h"

#include <ctype.h>
#include <stdio.h>

struct request *request_new(struct server *server, const char *uri)
{
    struct request *req = MEM_NEW(struct request);
    arena_init(&req->arena);
    req->server = server;
    req->uri = arena_strdup(&req->arena, uri);
    snprintf(req->id, sizeof(req->id), "%016llX", atomic_fetch_add(&server->next_request, 1));
    return req;
}

void request_free(struct request *req)
{
    intake_free(req->intake);
    object_unref(req->object);
    buf_done(&req->out);
    buf_done(&req->error_more);
    mem_free(req->answer_headers.items);
    mem_free(req->headers.items);
    arena_done(&req->arena);
    mem_free(req);
}

static struct pair *find_pair(const struct pairs *pairs, struct span name)
{
    for (size_t i = 0; i < pairs->count; i++) {
        if (span_eq(pairs->items[i].name, name)) {
            return &pairs->items[i];
        }
    }
    return NULL;
}

struct span request_header(const struct request *req, const char *name)
{
    struct pair *pair = find_pair(&req->headers, span_str(name));
    return pair != NULL ? pair->value : span_of(NULL, 0);
}

struct span request_param(const struct request *req, const char *name)
{
    struct pair *pair = find_pair(&req->params, span_str(name));
    return pair != NULL ? pair->value : span_of(NULL, 0);
}

bool request_has_param(const struct request *req, const char *name)
{
    return find_pair(&req->params, span_str(name)) != NULL;
}

enum s3_error request_number(struct request *req, const char *name, unsigned max, unsigned *number)
{
    struct span text = request_param(req, name);
    unsigned long long value;
    if (text.ptr == NULL) {
        return S3_OK;
    }
    if (span_to_u64(text, &value) != 0 || value > INT32_MAX) {
        return request_fail(req, S3_InvalidArgument,
                            arena_printf(&req->arena, "%s is not a good number", name));
    }
    *number = value < max ? (unsigned)value : max;
    return S3_OK;
}

enum s3_error request_fail(struct request *req, enum s3_error error, const char *text)
{
    req->error_text = text;
    return error;
}

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                 const char *value)
{
    struct request *req = cls;
    (void)kind;
    char *lower = arena_strdup(&req->arena, name);
    for (char *c = lower; *c != 0; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    struct span text = span_trim(span_str(value != NULL ? value : ""));
    struct pair *old = find_pair(&req->headers, span_str(lower));
    if (old != NULL) {
        old->value =
            span_str(arena_printf(&req->arena, "%.*s,%.*s", SPAN_ARG(old->value), SPAN_ARG(text)));
        return MHD_YES;
    }
    size_t count = req->headers.count;
    if ((count & (count - 1)) == 0) {
        size_t cap = count < 16 ? 16 : count * 2;
        req->headers.items = mem_realloc(req->headers.items, cap * sizeof(struct pair));
    }
    req->headers.items[req->headers.count++] =
        (struct pair){.name = span_str(lower), .value = arena_span(&req->arena, text)};
    return MHD_YES;
}

static enum s3_error parse_query(struct request *req, struct span query)
{
    size_t count = 1;
    for (size_t i = 0; i < query.len; i++) {
        count += query.ptr[i] == '&';
    }
    req->params.items = arena_alloc(&req->arena, count * sizeof(struct pair));
    while (query.len > 0) {
        struct span value = span_cut(&query, '&');
        struct span name = span_cut(&value, '=');
        if (name.len == 0) {
            continue;
        }
        struct pair *pair = &req->params.items[req->params.count++];
        pair->name = uri_decode(&req->arena, name, true);
        pair->value = uri_decode(&req->arena, value, true);
        if (pair->name.ptr == NULL || pair->value.ptr == NULL) {
            return S3_InvalidURI;
        }
    }
    return S3_OK;
}

static enum s3_error parse_path(struct request *req, struct span path)
{
    req->path = path;
    if (path.len == 0 || path.ptr[0] != '/') {
        return S3_InvalidURI;
    }
    struct span rest = span_skip(path, 1);
    struct span bucket = span_cut(&rest, '/');
    req->bucket = uri_decode(&req->arena, bucket, false);
    req->key = uri_decode(&req->arena, rest, false);
    if (req->bucket.ptr == NULL || req->key.ptr == NULL || !span_is_utf8(req->key)) {
        return S3_InvalidURI;
    }
    if (req->key.len > REQUEST_MAX_KEY_BYTES) {
        return S3_KeyTooLongError;
    }
    return S3_OK;
}

enum s3_error request_parse(struct request *req, const char *method)
{
    req->method = arena_strdup(&req->arena, method);
    MHD_get_connection_values(req->connection, MHD_HEADER_KIND, on_header, req);
    struct span query = span_str(req->uri);
    struct span path = span_cut(&query, '?');
    enum s3_error error = parse_path(req, path);
    return error != S3_OK ? error : parse_query(req, query);
}
