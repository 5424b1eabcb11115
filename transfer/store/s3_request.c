/* A request as S3 wants it: path, query, headers, signature. */
#include "transfer/store/s3_impl.h"

#include <stdio.h>
#include <stdlib.h>

void s3_param(struct s3_call *c, const char *name, struct span value)
{
    if (c->param_count < URI_PARAMS_MAX) {
        c->params[c->param_count++] = (struct uri_param){span_str(name), value};
    }
}

void s3_param_u64(struct s3_call *c, const char *name, uint64_t value)
{
    s3_param(c, name, span_str(arena_printf(&c->arena, "%llu", (unsigned long long)value)));
}

void s3_header(struct s3_call *c, const char *name, struct span value)
{
    if (value.ptr != NULL && c->header_count < S3_HEADERS_MAX - 4) {
        c->headers[c->header_count++] = (struct sign_header){span_str(name), value};
    }
}

struct span s3_unquote(struct span etag)
{
    if (etag.len >= 2 && etag.ptr[0] == '"' && etag.ptr[etag.len - 1] == '"') {
        return span_of(etag.ptr + 1, etag.len - 2);
    }
    return etag;
}

struct span s3_quote(struct s3_call *c, struct span etag)
{
    return span_str(arena_printf(&c->arena, "\"%.*s\"", SPAN_ARG(etag)));
}

/* ---- metadata out ---- */

static struct span encode_tags(struct s3_call *c, const struct store_meta *m)
{
    struct buf b;
    buf_init(&b, 0);
    for (size_t i = 0; i < m->tag_count; i++) {
        if (i > 0) {
            buf_char(&b, '&');
        }
        uri_encode(&b, m->tags[i].name, false);
        buf_char(&b, '=');
        uri_encode(&b, m->tags[i].value, false);
    }
    struct span text = arena_span(&c->arena, buf_view(&b));
    buf_done(&b);
    return text;
}

void s3_meta_headers(struct s3_call *c, const struct store_meta *m)
{
    s3_header(c, "content-type", m->content_type);
    s3_header(c, "cache-control", m->cache_control);
    s3_header(c, "content-disposition", m->content_disposition);
    s3_header(c, "content-encoding", m->content_encoding);
    s3_header(c, "content-language", m->content_language);
    s3_header(c, "expires", m->expires);
    s3_header(c, "x-amz-website-redirect-location", m->website_redirect);
    if (!span_eq_str(m->storage_class, "STANDARD")) {
        s3_header(c, "x-amz-storage-class", m->storage_class);
    }
    for (size_t i = 0; i < m->user_count; i++) {
        s3_header(c, arena_printf(&c->arena, "x-amz-meta-%.*s", SPAN_ARG(m->user[i].name)),
                  m->user[i].value);
    }
    if (m->tag_count > 0) {
        s3_header(c, "x-amz-tagging", encode_tags(c, m));
    }
}

/* ---- metadata in ---- */

static const struct {
    const char *header;
    const char *name;
} checksums[] = {{"x-amz-checksum-crc64nvme", "crc64nvme"},
                 {"x-amz-checksum-crc32c", "crc32c"},
                 {"x-amz-checksum-sha256", "sha256"},
                 {"x-amz-checksum-crc32", "crc32"},
                 {"x-amz-checksum-sha1", "sha1"}};

static struct span read_checksum(struct s3_call *c)
{
    for (size_t i = 0; i < sizeof(checksums) / sizeof(checksums[0]); i++) {
        struct span value = net_answer(&c->net, checksums[i].header);
        if (value.len > 0) {
            return span_str(
                arena_printf(c->op->arena, "%s:%.*s", checksums[i].name, SPAN_ARG(value)));
        }
    }
    return span_of(NULL, 0);
}

static unsigned read_number(struct s3_call *c, const char *name)
{
    unsigned long long n = 0;
    span_to_u64(net_answer(&c->net, name), &n);
    return n > UINT32_MAX ? UINT32_MAX : (unsigned)n;
}

static void read_user_meta(struct s3_call *c, struct store_meta *m)
{
    const struct span prefix = span_str("x-amz-meta-");
    struct store_pair *list = NULL;
    for (size_t i = 0; i < c->net.answer_count; i++) {
        const struct net_header *h = &c->net.answer[i];
        if (!span_starts_with(h->name, prefix)) {
            continue;
        }
        if (list == NULL) {
            list = arena_alloc(c->op->arena, c->net.answer_count * sizeof(*list));
            m->user = list;
        }
        list[m->user_count++] = (struct store_pair){span_skip(h->name, prefix.len), h->value};
    }
}

/* "aws-chunked" is a way of sending and no property of the object. */
static struct span strip_chunked(struct s3_call *c, struct span value)
{
    struct buf b;
    buf_init(&b, 0);
    while (value.len > 0) {
        struct span one = span_trim(span_cut(&value, ','));
        if (one.len > 0 && !span_eq_nocase(one, "aws-chunked")) {
            buf_str(&b, b.len > 0 ? "," : "");
            buf_span(&b, one);
        }
    }
    struct span text = b.len > 0 ? arena_span(c->op->arena, buf_view(&b)) : span_of(NULL, 0);
    buf_done(&b);
    return text;
}

/* Size of the whole object: behind the slash of Content-Range, or Content-Length. */
static uint64_t read_size(struct s3_call *c)
{
    unsigned long long size = 0;
    struct span range = net_answer(&c->net, "content-range");
    if (range.len > 0) {
        span_cut(&range, '/');
        span_to_u64(range, &size);
    } else {
        span_to_u64(net_answer(&c->net, "content-length"), &size);
    }
    return size;
}

void s3_read_object(struct s3_call *c, struct store_object *o)
{
    const struct net_request *r = &c->net;
    struct span modified = net_answer(r, "last-modified");
    struct span date = net_answer(r, "date");
    o->etag = s3_unquote(net_answer(r, "etag"));
    o->version_id = net_answer(r, "x-amz-version-id");
    o->size = read_size(c);
    time_parse(modified.ptr, modified.len, &o->mtime_ms);
    time_parse(date.ptr, date.len, &o->read_ms);
    o->meta.content_type = net_answer(r, "content-type");
    o->meta.cache_control = net_answer(r, "cache-control");
    o->meta.content_disposition = net_answer(r, "content-disposition");
    o->meta.content_encoding = strip_chunked(c, net_answer(r, "content-encoding"));
    o->meta.content_language = net_answer(r, "content-language");
    o->meta.expires = net_answer(r, "expires");
    o->meta.website_redirect = net_answer(r, "x-amz-website-redirect-location");
    o->meta.storage_class = net_answer(r, "x-amz-storage-class");
    read_user_meta(c, &o->meta);
    o->tag_count = read_number(c, "x-amz-tagging-count");
    o->missing_meta = read_number(c, "x-amz-missing-meta");
    o->parts = read_number(c, "x-amz-mp-parts-count");
    o->checksum = read_checksum(c);
    o->delete_marker = span_eq_nocase(net_answer(r, "x-amz-delete-marker"), "true");
}

/* ---- sending ---- */

static struct span encode_path(struct s3_call *c, const struct s3_way *way)
{
    struct buf b;
    buf_init(&b, 0);
    buf_char(&b, '/');
    if (!way->virtual_host) {
        uri_encode(&b, c->op->bucket, true);
        if (!c->bucket_only) {
            buf_char(&b, '/');
        }
    }
    if (!c->bucket_only) {
        uri_encode(&b, c->one_by_one ? c->op->keys[c->key_at] : c->op->key, true);
    }
    struct span path = arena_span(&c->arena, buf_view(&b));
    buf_done(&b);
    return path;
}

static int compare_headers(const void *a, const void *b)
{
    const struct sign_header *x = a;
    const struct sign_header *y = b;
    return span_cmp(x->name, y->name);
}

/* A line break in a value would forge a header. */
static int check_headers(struct s3_call *c)
{
    for (size_t i = 0; i < c->header_count; i++) {
        struct span s = c->headers[i].value;
        for (size_t k = 0; k < s.len; k++) {
            if (s.ptr[k] == '\r' || s.ptr[k] == '\n' || s.ptr[k] == '\0') {
                return fail_set(&c->op->fail, REPL_EREFUSED,
                                "header %.*s holds a byte that HTTP cannot carry",
                                SPAN_ARG(c->headers[i].name));
            }
        }
    }
    return 0;
}

static const struct sign_scope *scope_of(struct s3 *s, const char *stamp)
{
    if (!s->scope_valid || memcmp(s->scope.date, stamp, 8) != 0 ||
        strcmp(s->scope.region, s->region) != 0) {
        sign_scope_init(&s->scope, &s->creds, stamp, s->region, "s3");
        s->scope_valid = true;
    }
    return &s->scope;
}

/* Adds what every request has, signs, and returns the Authorization line (NULL: anonymous). */
static const char *authorize(struct s3_call *c, struct span host, struct span path,
                             struct span query, const char *payload)
{
    struct s3 *s = c->s3;
    char stamp[32];
    c->signed_ms = loop_wall_ms(s->loop) + s->skew_ms;
    time_iso_basic(c->signed_ms, stamp);
    s3_header(c, "host", host);
    s3_header(c, "x-amz-content-sha256", span_str(payload));
    s3_header(c, "x-amz-date", arena_span(&c->arena, span_str(stamp)));
    if (s->creds.session_token[0] != '\0') {
        s3_header(c, "x-amz-security-token", span_str(s->creds.session_token));
    }
    if (s->creds_source.kind == CREDS_ANONYMOUS) {
        return NULL;
    }
    qsort(c->headers, c->header_count, sizeof(c->headers[0]), compare_headers);
    struct sign_request r = {.method = c->method,
                             .path = path,
                             .query = query,
                             .headers = c->headers,
                             .header_count = c->header_count,
                             .payload = payload};
    struct buf b;
    buf_init(&b, 0);
    buf_str(&b, "authorization: ");
    sign_authorization(scope_of(s, stamp), &s->creds, &r, stamp, &b);
    const char *line = arena_strdup(&c->arena, buf_cstr(&b));
    buf_done(&b);
    return line;
}

/* curl sends a header without a value only when it is written "name;". */
static void set_lines(struct s3_call *c, const char *authorization)
{
    const char **lines = arena_alloc(&c->arena, (c->header_count + 3) * sizeof(*lines));
    size_t n = 0;
    bool typed = false;
    for (size_t i = 0; i < c->header_count; i++) {
        struct sign_header *h = &c->headers[i];
        typed = typed || span_eq_str(h->name, "content-type");
        lines[n++] = arena_printf(&c->arena, h->value.len > 0 ? "%.*s: %.*s" : "%.*s;%.*s",
                                  SPAN_ARG(h->name), SPAN_ARG(h->value));
    }
    if (authorization != NULL) {
        lines[n++] = authorization;
    }
    lines[n++] = "accept-encoding: identity";
    if (!typed) {
        lines[n++] = "content-type:";
    }
    c->net.headers = lines;
    c->net.header_count = n;
}

static void pick_payload(struct s3_call *c, char payload[SIGN_HEX_BYTES])
{
    if (c->body_checked && c->has_body && c->body.ptr == c->op->body.ptr) {
        memcpy(payload, c->payload, SIGN_HEX_BYTES);
    } else {
        sign_sha256_hex(c->body, payload);
    }
}

static struct span host_of(struct s3_call *c)
{
    const struct s3_way *way = &c->s3->ways[c->net.path];
    return span_str(way->virtual_host && c->op->bucket.len > 0
                        ? arena_printf(&c->arena, "%.*s.%s", SPAN_ARG(c->op->bucket), way->host)
                        : way->host);
}

void s3_submit_look(struct s3_call *c)
{
    struct span host = host_of(c);
    c->net.class = NET_SMALL;
    c->net.method = "HEAD";
    c->net.url =
        arena_printf(&c->arena, "%s://%.*s/", c->s3->tls ? "https" : "http", SPAN_ARG(host));
    c->net.may_hurry = true;
    net_submit(c->s3->net, &c->net);
}

int s3_submit_request(struct s3_call *c)
{
    struct s3 *s = c->s3;
    char *payload = arena_alloc(&c->arena, SIGN_HEX_BYTES);
    struct buf query;
    if (check_headers(c) < 0) {
        return c->op->fail.code;
    }
    buf_init(&query, 0);
    uri_query(&query, c->params, c->param_count);
    struct span host = host_of(c);
    struct span path = encode_path(c, &s->ways[c->net.path]);
    pick_payload(c, payload);
    const char *authorization = authorize(c, host, path, buf_view(&query), payload);
    set_lines(c, authorization);
    c->net.url =
        arena_printf(&c->arena, "%s://%.*s%.*s%s%s", s->tls ? "https" : "http", SPAN_ARG(host),
                     SPAN_ARG(path), query.len > 0 ? "?" : "", buf_cstr(&query));
    c->net.method = c->method;
    c->net.has_body = c->has_body;
    c->net.body = c->body;
    c->net.stall_s = c->op->stall_s > 0 ? c->op->stall_s : c->verb->stall_s;
    buf_done(&query);
    net_submit(s->net, &c->net);
    return 0;
}
