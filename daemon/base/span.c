#include "daemon/base/span.h"

#include <errno.h>
#include <stdint.h>
#include <strings.h>

int span_cmp(struct span a, struct span b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common > 0 ? memcmp(a.ptr, b.ptr, common) : 0;
    if (order != 0) {
        return order;
    }
    return a.len < b.len ? -1 : a.len > b.len;
}

bool span_eq(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool span_eq_str(struct span a, const char *text)
{
    return span_eq(a, span_str(text));
}

bool span_eq_nocase(struct span a, const char *text)
{
    return a.len == strlen(text) && (a.len == 0 || strncasecmp(a.ptr, text, a.len) == 0);
}

bool span_starts_with(struct span s, struct span prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

bool span_ends_with(struct span s, struct span suffix)
{
    return s.len >= suffix.len && span_eq(span_skip(s, s.len - suffix.len), suffix);
}

struct span span_skip(struct span s, size_t n)
{
    return s.ptr == NULL ? s : span_of(s.ptr + n, s.len - n);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct span span_trim(struct span s)
{
    while (s.len > 0 && is_blank(s.ptr[0])) {
        s = span_skip(s, 1);
    }
    while (s.len > 0 && is_blank(s.ptr[s.len - 1])) {
        s.len--;
    }
    return s;
}

struct span span_cut(struct span *s, char sep)
{
    const char *at = s->len > 0 ? memchr(s->ptr, sep, s->len) : NULL;
    if (at == NULL) {
        struct span whole = *s;
        *s = span_of(NULL, 0);
        return whole;
    }
    struct span head = span_of(s->ptr, (size_t)(at - s->ptr));
    *s = span_skip(*s, head.len + 1);
    return head;
}

int span_to_u64(struct span s, unsigned long long *ret_value)
{
    unsigned long long value = 0;
    if (s.len == 0) {
        return -EINVAL;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') {
            return -EINVAL;
        }
        unsigned digit = (unsigned)(s.ptr[i] - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return -ERANGE;
        }
        value = value * 10 + digit;
    }
    *ret_value = value;
    return 0;
}

/* The well-formed sequences of Unicode 15, table 3-7: no overlong forms, no surrogates. */
size_t span_utf8(struct span s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    size_t len = 0;
    if (s.len == 0) {
        return 0;
    }
    if (p[0] < 0x80) {
        return 1;
    }
    if (p[0] >= 0xc2 && p[0] <= 0xf4) {
        len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    }
    if (len == 0 || s.len < len) {
        return 0;
    }
    unsigned char low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < len; i++) {
        if (p[i] < 0x80 || p[i] > 0xbf) {
            return 0;
        }
    }
    return len;
}

bool span_is_utf8(struct span s)
{
    size_t n = 1;
    while (s.len > 0 && (n = span_utf8(s)) > 0) {
        s = span_skip(s, n);
    }
    return n > 0;
}
