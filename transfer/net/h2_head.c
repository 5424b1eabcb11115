/* Request lines of HTTP/1.1, as the rest of the program writes them, in HTTP/2. */
#include "transfer/net/h2_impl.h"

#define PSEUDO_COUNT 4

/* RFC 9113, 8.2.2: they speak of an HTTP/1.1 connection; the host is in :authority. */
static const char *const left_out[] = {"host", "connection",       "expect",  "keep-alive",
                                       "te",   "proxy-connection", "upgrade", "transfer-encoding"};
/* Never put into a table of the connection: secrets, and what is new in every request. */
static const char *const not_indexed[] = {"authorization", "x-amz-security-token",
                                          "x-oss-security-token", "x-amz-content-sha256",
                                          "content-md5"};

static bool is_among(struct span name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (span_eq_str(name, names[i])) {
            return true;
        }
    }
    return false;
}

/* nghttp2 wants bytes that it could write to, and does not. */
static uint8_t *copy(struct arena *a, struct span s)
{
    uint8_t *to = arena_alloc(a, s.len + 1);
    if (s.len > 0) {
        memcpy(to, s.ptr, s.len);
    }
    return to;
}

static void add(struct arena *a, nghttp2_nv *nv, struct span name, struct span value)
{
    bool is_private = is_among(name, not_indexed, sizeof(not_indexed) / sizeof(not_indexed[0]));
    *nv = (nghttp2_nv){.name = copy(a, name),
                       .namelen = name.len,
                       .value = copy(a, value),
                       .valuelen = value.len,
                       .flags = is_private ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE};
}

static struct span lower(struct arena *a, struct span s)
{
    char *to = arena_alloc(a, s.len + 1);
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        to[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    return span_of(to, s.len);
}

/* "Name: value". As for curl, "Name;" is a header without a value and "Name:" is none at all. */
static bool split_line(struct arena *a, const char *line, struct span *name, struct span *value)
{
    struct span rest = span_str(line);
    if (memchr(line, ':', rest.len) == NULL) {
        *name = lower(a, span_cut(&rest, ';'));
        *value = span_of("", 0);
        return true;
    }
    *name = lower(a, span_cut(&rest, ':'));
    *value = span_trim(rest);
    return value->len > 0;
}

static void split_url(const char *url, struct span *scheme, struct span *authority,
                      struct span *path)
{
    const char *host = strstr(url, "://");
    *scheme = host != NULL ? span_of(url, (size_t)(host - url)) : span_str("https");
    host = host != NULL ? host + 3 : url;
    size_t len = strcspn(host, "/?");
    *authority = span_of(host, len);
    *path = host[len] == '/' ? span_str(host + len) : span_str("/");
}

nghttp2_nv *h2_head_make(struct arena *a, const struct net_request *r, size_t *ret_count)
{
    nghttp2_nv *nv = arena_alloc(a, (PSEUDO_COUNT + r->header_count + 1) * sizeof(*nv));
    struct span scheme, authority, path, name, value;
    size_t n = PSEUDO_COUNT;
    bool has_length = false;
    split_url(r->url, &scheme, &authority, &path);
    for (size_t i = 0; i < r->header_count; i++) {
        if (!split_line(a, r->headers[i], &name, &value)) {
            continue;
        }
        authority = span_eq_str(name, "host") ? value : authority;
        has_length = has_length || span_eq_str(name, "content-length");
        if (!is_among(name, left_out, sizeof(left_out) / sizeof(left_out[0]))) {
            add(a, &nv[n++], name, value);
        }
    }
    if (r->has_body && !has_length) {
        const char *length = arena_printf(a, "%zu", r->body.len);
        add(a, &nv[n++], span_str("content-length"), span_str(length));
    }
    add(a, &nv[0], span_str(":method"), span_str(r->method));
    add(a, &nv[1], span_str(":scheme"), scheme);
    add(a, &nv[2], span_str(":authority"), authority);
    add(a, &nv[3], span_str(":path"), path);
    *ret_count = n;
    return nv;
}
