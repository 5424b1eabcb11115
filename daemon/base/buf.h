/* buf: a growing byte string with a stated maximum. Sticky: once it would pass its limit every
 * later call does nothing and buf_error() says REPL_ETOOBIG; check once at the end. */
#ifndef REPL_BASE_BUF_H
#define REPL_BASE_BUF_H

#include "daemon/base/span.h"

#include <stdarg.h>
#include <stdint.h>

struct buf {
    char *data; /* always NUL-terminated behind len when not NULL */
    size_t len;
    size_t cap;
    size_t limit; /* bytes; 0 = BUF_DEFAULT_LIMIT */
    int error;
};

#define BUF_DEFAULT_LIMIT ((size_t)64 * 1024 * 1024)

/* A zeroed struct buf is valid and empty too. */
void buf_init(struct buf *b, size_t limit);
void buf_done(struct buf *b);
void buf_reset(struct buf *b); /* empties and clears the error, keeps memory */
int buf_error(const struct buf *b);

void buf_append(struct buf *b, const void *data, size_t len);
void buf_span(struct buf *b, struct span s);
void buf_str(struct buf *b, const char *text);
void buf_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
/* Lower-case hex of len bytes. */
void buf_hex(struct buf *b, const void *data, size_t len);

struct span buf_view(const struct buf *b);
/* The NUL-terminated content, "" when empty; valid until the next change. */
const char *buf_cstr(const struct buf *b);
/* Hands the memory to the caller (mem_free); b is empty afterwards. Never NULL. */
char *buf_take(struct buf *b);

#endif
