/* span: a view of bytes owned by somebody else, passed by value. Keys, ETags and version ids are
 * bytes, not C strings: they may hold anything but are short. A span with ptr NULL means "absent".
 */
#ifndef REPL_BASE_SPAN_H
#define REPL_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct span {
    const char *ptr;
    size_t len;
};

/* For printf: printf("%.*s", SPAN_ARG(s)). */
#define SPAN_ARG(s) ((int)(s).len), ((s).ptr ? (s).ptr : "")

static inline struct span span_of(const char *ptr, size_t len)
{
    return (struct span){.ptr = ptr, .len = len};
}

/* NULL gives the absent span. */
static inline struct span span_str(const char *text)
{
    return (struct span){.ptr = text, .len = text ? strlen(text) : 0};
}

static inline bool span_is_empty(struct span s)
{
    return s.len == 0;
}

/* Byte order as memcmp, shorter first: the order of S3 listings. */
int span_cmp(struct span a, struct span b);
bool span_eq(struct span a, struct span b);
bool span_eq_str(struct span a, const char *text);
bool span_eq_nocase(struct span a, const char *text);
bool span_starts_with(struct span s, struct span prefix);
bool span_ends_with(struct span s, struct span suffix);

/* The rest of s after the first n bytes (n <= s.len). */
struct span span_skip(struct span s, size_t n);
/* s without blanks and tabs at both ends. */
struct span span_trim(struct span s);
/* Cuts s at the first `sep`: returns what stands before it and moves *s behind it (to the empty
 * span with ptr NULL when there was none). */
struct span span_cut(struct span *s, char sep);

/* Length of the UTF-8 character that s begins with, 0 when that is none. */
size_t span_utf8(struct span s);
/* The empty span is. */
bool span_is_utf8(struct span s);

/* Whole-span decimal number; 0, or UV_EINVAL / UV_ERANGE with *ret_value untouched. */
int span_to_u64(struct span s, unsigned long long *ret_value);

#endif
