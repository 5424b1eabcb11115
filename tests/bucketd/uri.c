#include "tests/bucketd/uri.h"

int uri_hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

struct span uri_decode(struct arena *a, struct span text, bool plus_is_space)
{
    char *out = arena_alloc(a, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            int high = i + 2 < text.len ? uri_hex_digit(text.ptr[i + 1]) : -1;
            int low = i + 2 < text.len ? uri_hex_digit(text.ptr[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return span_of(NULL, 0);
            }
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        out[len++] = c;
    }
    return span_of(out, len);
}

static bool is_unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

static void put_escaped(struct buf *out, char c)
{
    static const char digits[] = "0123456789ABCDEF";
    unsigned char byte = (unsigned char)c;
    char text[3] = {'%', digits[byte >> 4], digits[byte & 15]};
    buf_append(out, text, sizeof(text));
}

void uri_encode(struct buf *out, struct span text, bool keep_slash)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (is_unreserved(c) || (c == '/' && keep_slash)) {
            buf_char(out, c);
        } else {
            put_escaped(out, c);
        }
    }
}

void uri_encode_listing(struct buf *out, struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == ' ') {
            buf_char(out, '+');
        } else if (c != '~' && (is_unreserved(c) || c == '/' || c == '*')) {
            buf_char(out, c);
        } else {
            put_escaped(out, c);
        }
    }
}
