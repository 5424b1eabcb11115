#include "daemon/base/buf.h"

#include "daemon/base/fail.h"
#include "daemon/base/mem.h"

#include <stdio.h>

void buf_init(struct buf *b, size_t limit)
{
    *b = (struct buf){.limit = limit};
}

void buf_done(struct buf *b)
{
    mem_free(b->data);
    *b = (struct buf){.limit = b->limit};
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->error = 0;
    if (b->data != NULL) {
        b->data[0] = '\0';
    }
}

int buf_error(const struct buf *b)
{
    return b->error;
}

/* Room for len more bytes and the NUL; false once the limit is passed. */
static bool reserve(struct buf *b, size_t len)
{
    size_t limit = b->limit > 0 ? b->limit : BUF_DEFAULT_LIMIT;
    if (b->error != 0) {
        return false;
    }
    if (len > limit || b->len > limit - len) {
        b->error = REPL_ETOOBIG;
        return false;
    }
    size_t need = b->len + len + 1;
    if (need > b->cap) {
        size_t cap = b->cap > 0 ? b->cap * 2 : 64;
        b->cap = cap > need ? cap : need;
        b->data = mem_realloc(b->data, b->cap);
    }
    return true;
}

void buf_append(struct buf *b, const void *data, size_t len)
{
    if (!reserve(b, len)) {
        return;
    }
    if (len > 0) {
        memcpy(b->data + b->len, data, len);
    }
    b->len += len;
    b->data[b->len] = '\0';
}

void buf_span(struct buf *b, struct span s)
{
    buf_append(b, s.ptr, s.len);
}

void buf_str(struct buf *b, const char *text)
{
    buf_append(b, text, strlen(text));
}

void buf_char(struct buf *b, char c)
{
    buf_append(b, &c, 1);
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_vprintf(b, format, args);
    va_end(args);
}

void buf_vprintf(struct buf *b, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    if (length >= 0 && reserve(b, (size_t)length)) {
        vsnprintf(b->data + b->len, (size_t)length + 1, format, again);
        b->len += (size_t)length;
    }
    va_end(again);
}

void buf_hex(struct buf *b, const void *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *bytes = data;
    for (size_t i = 0; i < len; i++) {
        buf_char(b, digits[bytes[i] >> 4]);
        buf_char(b, digits[bytes[i] & 15]);
    }
}

struct span buf_view(const struct buf *b)
{
    return span_of(b->len > 0 ? b->data : "", b->len);
}

const char *buf_cstr(const struct buf *b)
{
    return b->data != NULL ? b->data : "";
}

char *buf_take(struct buf *b)
{
    char *data = b->data != NULL ? b->data : mem_strdup("");
    *b = (struct buf){.limit = b->limit};
    return data;
}
