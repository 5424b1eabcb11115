#include "transfer/store/uri.h"

#include <stdlib.h>

static bool is_unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void uri_encode(struct buf *to, struct span text, bool keep_slash)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t plain = 0; /* start of what is copied as it is */
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (is_unreserved(c) || (c == '/' && keep_slash)) {
            continue;
        }
        buf_append(to, text.ptr + plain, i - plain);
        buf_char(to, '%');
        buf_char(to, hex[(unsigned char)c >> 4]);
        buf_char(to, hex[(unsigned char)c & 15]);
        plain = i + 1;
    }
    if (text.len > plain) {
        buf_append(to, text.ptr + plain, text.len - plain);
    }
}

static int digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct span uri_decode(struct arena *a, struct span text)
{
    if (text.ptr == NULL) {
        return text;
    }
    char *to = arena_alloc(a, text.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        int high = c == '%' && i + 2 < text.len ? digit(text.ptr[i + 1]) : -1;
        int low = high >= 0 ? digit(text.ptr[i + 2]) : -1;
        if (low >= 0) {
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        to[n++] = c;
    }
    return span_of(to, n);
}

struct encoded {
    size_t name_at, name_len, value_at, value_len;
    const char *text;
};

static int compare(const void *a, const void *b)
{
    const struct encoded *x = a;
    const struct encoded *y = b;
    int c = span_cmp(span_of(x->text + x->name_at, x->name_len),
                     span_of(y->text + y->name_at, y->name_len));
    return c != 0 ? c
                  : span_cmp(span_of(x->text + x->value_at, x->value_len),
                             span_of(y->text + y->value_at, y->value_len));
}

void uri_query(struct buf *to, const struct uri_param *params, size_t count)
{
    struct buf text;
    struct encoded list[URI_PARAMS_MAX];
    buf_init(&text, 0);
    for (size_t i = 0; i < count; i++) {
        list[i].name_at = text.len;
        uri_encode(&text, params[i].name, false);
        list[i].name_len = text.len - list[i].name_at;
        list[i].value_at = text.len;
        uri_encode(&text, params[i].value, false);
        list[i].value_len = text.len - list[i].value_at;
    }
    for (size_t i = 0; i < count; i++) {
        list[i].text = text.data;
    }
    qsort(list, count, sizeof(list[0]), compare);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            buf_char(to, '&');
        }
        buf_append(to, list[i].text + list[i].name_at, list[i].name_len);
        buf_char(to, '=');
        buf_append(to, list[i].text + list[i].value_at, list[i].value_len);
    }
    buf_done(&text);
}
