#include "transfer/copy/sched_impl.h"

/* Who has nothing in flight there comes first; then priority, deadline, age. */
static bool goes_before(const struct entry *a, const struct entry *b)
{
    const struct copy *x = a->copy, *y = b->copy;
    if (a->busy != b->busy) {
        return !a->busy;
    }
    if (x->job.priority != y->job.priority) {
        return x->job.priority > y->job.priority;
    }
    if (x->job.deadline_ms != y->job.deadline_ms) {
        return x->job.deadline_ms < y->job.deadline_ms;
    }
    return x->seq < y->seq;
}

static void place(struct heap *h, size_t slot, struct entry *e)
{
    h->items[slot] = e;
    e->slot = slot;
}

static void sift_up(struct heap *h, size_t slot, struct entry *e)
{
    while (slot > 0 && goes_before(e, h->items[(slot - 1) / 2])) {
        place(h, slot, h->items[(slot - 1) / 2]);
        slot = (slot - 1) / 2;
    }
    place(h, slot, e);
}

static void sift_down(struct heap *h, size_t slot, struct entry *e)
{
    for (;;) {
        size_t child = 2 * slot + 1;
        if (child + 1 < h->count && goes_before(h->items[child + 1], h->items[child])) {
            child++;
        }
        if (child >= h->count || !goes_before(h->items[child], e)) {
            break;
        }
        place(h, slot, h->items[child]);
        slot = child;
    }
    place(h, slot, e);
}

void heap_push(struct heap *h, struct entry *e)
{
    if (h->count == h->cap) {
        h->cap = h->cap == 0 ? 16 : 2 * h->cap;
        h->items = mem_realloc(h->items, h->cap * sizeof(struct entry *));
    }
    e->heap = h;
    sift_up(h, h->count++, e);
}

void heap_remove(struct heap *h, struct entry *e)
{
    size_t slot = e->slot;
    struct entry *last = h->items[--h->count];
    e->heap = NULL;
    if (last == e) {
        return;
    }
    if (slot > 0 && goes_before(last, h->items[(slot - 1) / 2])) {
        sift_up(h, slot, last);
    } else {
        sift_down(h, slot, last);
    }
}

struct entry *heap_top(const struct heap *h)
{
    return h->count == 0 ? NULL : h->items[0];
}

void heap_done(struct heap *h)
{
    mem_free(h->items);
    *h = (struct heap){0};
}
