#include "transfer/copy/budget.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE      ((uint64_t)4096)
#define MAP_FROM  ((uint64_t)128 * 1024) /* smaller buffers are malloc's, and not kept */
#define POOL_LOOK 32                     /* spares looked at for one of the right size */

/* Stands at the beginning of a buffer without a ticket. */
struct spare {
    struct list link;
    uint64_t bytes;
};

static struct spare *spare_of(struct list *link)
{
    return (struct spare *)(void *)link;
}

void budget_init(struct budget *b, uint64_t limit, budget_granted_fn *granted, void *arg)
{
    *b = (struct budget){.limit = limit, .granted = granted, .granted_arg = arg};
    list_init(&b->waiters);
    list_init(&b->pool);
}

static void spare_unmap(struct budget *b, struct spare *spare)
{
    list_remove(&spare->link);
    b->pooled -= spare->bytes;
    munmap(spare, spare->bytes);
}

/* The oldest spares go until there is room for a new buffer of so many bytes. Not sooner: a ticket
 * that is held may well be served by one of them. */
static void pool_trim(struct budget *b, uint64_t bytes)
{
    while (b->buffers + b->pooled + bytes > b->limit && !list_is_empty(&b->pool)) {
        spare_unmap(b, spare_of(b->pool.prev));
    }
}

void budget_done(struct budget *b)
{
    assert(b->used == 0 && list_is_empty(&b->waiters));
    b->limit = 0;
    pool_trim(b, 0);
}

static bool has_room(const struct budget *b, const struct ticket *t)
{
    return b->used + t->bytes <= b->limit;
}

static void hold(struct budget *b, struct ticket *t)
{
    t->state = TICKET_HELD;
    b->used += t->bytes;
}

bool budget_take(struct budget *b, struct ticket *t, uint64_t bytes)
{
    assert(t->state == TICKET_NONE && bytes > 0 && bytes <= b->limit);
    t->bytes = (bytes + PAGE - 1) / PAGE * PAGE;
    t->bytes = t->bytes > b->limit ? b->limit : t->bytes;
    if (list_is_empty(&b->waiters) && has_room(b, t)) {
        hold(b, t);
        return true;
    }
    t->state = TICKET_WAITS;
    list_push_back(&b->waiters, &t->link);
    return false;
}

static void grant_waiters(struct budget *b)
{
    while (!list_is_empty(&b->waiters)) {
        struct ticket *t = (struct ticket *)(void *)((char *)list_first(&b->waiters) -
                                                     offsetof(struct ticket, link));
        if (!has_room(b, t)) {
            return;
        }
        list_remove(&t->link);
        hold(b, t);
        b->granted(b->granted_arg, t);
    }
}

static void buffer_free(struct budget *b, struct ticket *t)
{
    if (t->buffer == NULL) {
        return;
    }
    b->buffers -= t->buffer_bytes;
    if (t->buffer_bytes < MAP_FROM) {
        free(t->buffer);
        return;
    }
    struct spare *spare = (struct spare *)(void *)t->buffer;
    *spare = (struct spare){.bytes = t->buffer_bytes};
    list_push_front(&b->pool, &spare->link);
    b->pooled += spare->bytes;
}

void budget_give(struct budget *b, struct ticket *t)
{
    bool was = t->state != TICKET_NONE;
    list_remove(&t->link);
    if (t->state == TICKET_HELD) {
        b->used -= t->bytes;
        buffer_free(b, t);
    }
    *t = (struct ticket){0};
    if (was) {
        grant_waiters(b);
    }
}

/* A kept buffer serves a ticket of exactly its size: parts of an upload are equal. */
static char *pool_take(struct budget *b, uint64_t bytes)
{
    int looks = POOL_LOOK;
    LIST_FOR (node, &b->pool) {
        struct spare *spare = spare_of(node);
        if (looks-- == 0) {
            break;
        }
        if (spare->bytes == bytes) {
            list_remove(&spare->link);
            b->pooled -= bytes;
            return (char *)spare;
        }
    }
    return NULL;
}

static char *new_buffer(uint64_t bytes)
{
    if (bytes < MAP_FROM) {
        return malloc(bytes);
    }
    void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) {
        return NULL;
    }
    return map;
}

char *budget_buffer(struct budget *b, struct ticket *t)
{
    assert(t->state == TICKET_HELD);
    if (t->buffer != NULL) {
        return t->buffer;
    }
    t->buffer = t->bytes < MAP_FROM ? NULL : pool_take(b, t->bytes);
    if (t->buffer == NULL) {
        pool_trim(b, t->bytes);
        t->buffer = new_buffer(t->bytes);
    }
    if (t->buffer != NULL) {
        t->buffer_bytes = t->bytes;
        b->buffers += t->bytes;
    }
    return t->buffer;
}

bool budget_is_short(const struct budget *b)
{
    return !list_is_empty(&b->waiters);
}
