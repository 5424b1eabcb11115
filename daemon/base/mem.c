#include "daemon/base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define ARENA_BLOCK_SIZE ((size_t)4096 - sizeof(struct arena_block))
#define ARENA_ALIGN      ((size_t)16)

struct arena_block {
    struct arena_block *next;
    size_t used;
    size_t size;
    char padding[8];
    char data[];
};

static void *or_abort(void *ptr)
{
    if (ptr == NULL) {
        fputs("repld: out of memory for a small allocation, aborting\n", stderr);
        abort();
    }
    return ptr;
}

void *mem_alloc(size_t size)
{
    return or_abort(calloc(1, size > 0 ? size : 1));
}

void *mem_array(size_t count, size_t size)
{
    return or_abort(calloc(count > 0 ? count : 1, size > 0 ? size : 1));
}

void *mem_realloc(void *ptr, size_t size)
{
    return or_abort(realloc(ptr, size > 0 ? size : 1));
}

char *mem_strdup(const char *text)
{
    return or_abort(strdup(text));
}

char *mem_dup_span(struct span s)
{
    if (s.ptr == NULL) {
        return NULL;
    }
    char *copy = mem_alloc(s.len + 1);
    memcpy(copy, s.ptr, s.len);
    return copy;
}

char *mem_printf(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    return or_abort(length < 0 ? NULL : text);
}

void mem_free(void *ptr)
{
    free(ptr);
}

void arena_init(struct arena *a)
{
    a->blocks = NULL;
}

void arena_done(struct arena *a)
{
    while (a->blocks != NULL) {
        struct arena_block *block = a->blocks;
        a->blocks = block->next;
        free(block);
    }
}

static struct arena_block *block_add(struct arena *a, size_t size)
{
    size_t room = size > ARENA_BLOCK_SIZE ? size : ARENA_BLOCK_SIZE;
    struct arena_block *block = mem_alloc(sizeof(*block) + room);
    block->size = room;
    /* A large block goes behind the current one, whose rest stays in use. */
    if (size > ARENA_BLOCK_SIZE / 2 && a->blocks != NULL) {
        block->next = a->blocks->next;
        a->blocks->next = block;
    } else {
        block->next = a->blocks;
        a->blocks = block;
    }
    return block;
}

void *arena_alloc(struct arena *a, size_t size)
{
    size = (size + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
    struct arena_block *block = a->blocks;
    if (block == NULL || block->size - block->used < size) {
        block = block_add(a, size);
    }
    void *ptr = block->data + block->used;
    block->used += size;
    return ptr;
}

char *arena_strdup(struct arena *a, const char *text)
{
    size_t len = strlen(text);
    char *copy = arena_alloc(a, len + 1);
    memcpy(copy, text, len);
    return copy;
}

char *arena_strdup_or_null(struct arena *a, const char *text)
{
    return text != NULL ? arena_strdup(a, text) : NULL;
}

struct span arena_span(struct arena *a, struct span s)
{
    if (s.ptr == NULL) {
        return s;
    }
    char *copy = arena_alloc(a, s.len + 1);
    memcpy(copy, s.ptr, s.len);
    return span_of(copy, s.len);
}

char *arena_printf(struct arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    size_t size = (size_t)(length < 0 ? 0 : length) + 1;
    char *text = arena_alloc(a, size);
    va_start(args, format);
    vsnprintf(text, size, format, args);
    va_end(args);
    return text;
}
