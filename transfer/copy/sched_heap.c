#include "transfer/copy/sched_impl.h"

/* What priority makes of a deadline: earlier for who goes by the earliest, later for who goes by
 * the latest. */
static int64_t turn_of(enum heap_order order, const struct copy_job *job)
{
    int64_t ahead_ms = (int64_t)job->priority * SCHED_PRIORITY_MS;
    return order == HEAP_OLDEST ? job->deadline_ms - ahead_ms : -job->deadline_ms - ahead_ms;
}

/* Who has nothing in flight there comes first; then deadline and priority, then age. */
bool heap_goes_before(enum heap_order order, const struct entry *a, const struct entry *b)
{
    const struct copy *x = a->copy, *y = b->copy;
    if (a->busy != b->busy) {
        return !a->busy;
    }
    int64_t x_turn = turn_of(order, &x->job), y_turn = turn_of(order, &y->job);
    return x_turn != y_turn ? x_turn < y_turn : x->seq < y->seq;
}

static void place(struct heap *h, size_t slot, struct entry *e)
{
    h->items[slot] = e;
    e->slot[h->order] = slot;
}

static void sift_up(struct heap *h, size_t slot, struct entry *e)
{
    while (slot > 0 && heap_goes_before(h->order, e, h->items[(slot - 1) / 2])) {
        place(h, slot, h->items[(slot - 1) / 2]);
        slot = (slot - 1) / 2;
    }
    place(h, slot, e);
}

static void sift_down(struct heap *h, size_t slot, struct entry *e)
{
    for (;;) {
        size_t child = 2 * slot + 1;
        if (child + 1 < h->count &&
            heap_goes_before(h->order, h->items[child + 1], h->items[child])) {
            child++;
        }
        if (child >= h->count || !heap_goes_before(h->order, h->items[child], e)) {
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
    sift_up(h, h->count++, e);
}

void heap_remove(struct heap *h, struct entry *e)
{
    size_t slot = e->slot[h->order];
    struct entry *last = h->items[--h->count];
    if (last == e) {
        return;
    }
    if (slot > 0 && heap_goes_before(h->order, last, h->items[(slot - 1) / 2])) {
        sift_up(h, slot, last);
    } else {
        sift_down(h, slot, last);
    }
}

struct entry *heap_top(const struct heap *h)
{
    return h->count == 0 ? NULL : h->items[0];
}
