/* Who waits for the same thing, and whose turn it is: first the class by its share, then the order
 * within the class. */
#include "transfer/copy/sched_impl.h"

void queue_init(struct queue *q, const unsigned *shares)
{
    *q = (struct queue){.shares = shares};
    for (int class = 0; class < COPY_CLASSES; class ++) {
        for (int size = 0; size < STORE_CLASSES; size++) {
            q->heaps[class][size][HEAP_NEWEST].order = HEAP_NEWEST;
        }
    }
}

void queue_done(struct queue *q)
{
    for (int class = 0; class < COPY_CLASSES; class ++) {
        for (int size = 0; size < STORE_CLASSES; size++) {
            mem_free(q->heaps[class][size][HEAP_OLDEST].items);
            mem_free(q->heaps[class][size][HEAP_NEWEST].items);
        }
    }
    *q = (struct queue){0};
}

void queue_push(struct queue *q, struct entry *e)
{
    struct heap *heaps = q->heaps[e->class][e->size];
    e->queue = q;
    q->count++;
    heap_push(&heaps[HEAP_OLDEST], e);
    if (e->class == COPY_LATE) {
        heap_push(&heaps[HEAP_NEWEST], e);
    }
}

void queue_remove(struct entry *e)
{
    struct queue *q = e->queue;
    struct heap *heaps = q->heaps[e->class][e->size];
    e->queue = NULL;
    q->count--;
    heap_remove(&heaps[HEAP_OLDEST], e);
    if (e->class == COPY_LATE) {
        heap_remove(&heaps[HEAP_NEWEST], e);
    }
}

static struct entry *top_of_class(const struct queue *q, enum copy_class class, unsigned sizes)
{
    enum heap_order order = class == COPY_LATE && q->newest ? HEAP_NEWEST : HEAP_OLDEST;
    struct entry *best = NULL;
    for (unsigned size = 0; size < STORE_CLASSES; size++) {
        struct entry *e =
            (sizes & 1u << size) != 0 ? heap_top(&q->heaps[class][size][order]) : NULL;
        if (e != NULL && (best == NULL || heap_goes_before(order, e, best))) {
            best = e;
        }
    }
    return best;
}

static double start_of(const struct queue *q, enum copy_class class)
{
    return q->served[class] > q->now ? q->served[class] : q->now;
}

struct entry *queue_top(const struct queue *q, unsigned sizes)
{
    struct entry *best = NULL;
    for (enum copy_class class = 0; q->count > 0 && class < COPY_CLASSES; class ++) {
        struct entry *e = top_of_class(q, class, sizes);
        if (e != NULL && (best == NULL || start_of(q, class) < start_of(q, best->class))) {
            best = e;
        }
    }
    return best;
}

void queue_serve(struct queue *q, const struct entry *e, uint64_t body_bytes)
{
    double work = (double)(SCHED_REQUEST_BYTES + body_bytes);
    q->now = start_of(q, e->class);
    q->served[e->class] = q->now + work / q->shares[e->class];
    q->newest ^= e->class == COPY_LATE;
}
