/* mem: small allocations that cannot fail (they abort with a log line), and arenas that are freed
 * in one go. Part bodies never come from here: see transfer/copy/budget.h. */
#ifndef REPL_BASE_MEM_H
#define REPL_BASE_MEM_H

#include "daemon/base/span.h"

#include <stddef.h>

/* Zeroed memory; free with mem_free(). */
void *mem_alloc(size_t size);
void *mem_array(size_t count, size_t size);
void *mem_realloc(void *ptr, size_t size);
char *mem_strdup(const char *text);
/* A NUL-terminated copy of s; NULL for the absent span. */
char *mem_dup_span(struct span s);
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
void mem_free(void *ptr);

#define MEM_NEW(type) ((type *)mem_alloc(sizeof(type)))

/* arena: memory of one task. Not thread-safe; arena_done() frees all at once. */
struct arena {
    struct arena_block *blocks;
};

void arena_init(struct arena *a);
void arena_done(struct arena *a);
/* Zeroed, aligned for any type. */
void *arena_alloc(struct arena *a, size_t size);
char *arena_strdup(struct arena *a, const char *text);
char *arena_strdup_or_null(struct arena *a, const char *text); /* NULL of NULL */
/* A NUL-terminated copy whose span is returned; the absent span stays absent. */
struct span arena_span(struct arena *a, struct span s);
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
