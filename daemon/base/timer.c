/* Timers of a loop: a binary heap by due time, then by their starts. */
#include "daemon/base/loop_impl.h"
#include "daemon/base/mem.h"

#include <assert.h>

static void place(struct loop *loop, size_t at, struct timer *t)
{
    loop->heap[at] = t;
    t->slot = at + 1;
}

static bool is_before(const struct timer *a, const struct timer *b)
{
    return a->due_ms < b->due_ms || (a->due_ms == b->due_ms && a->order < b->order);
}

static void sift_up(struct loop *loop, size_t at)
{
    struct timer *t = loop->heap[at];
    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (is_before(loop->heap[parent], t)) {
            break;
        }
        place(loop, at, loop->heap[parent]);
        at = parent;
    }
    place(loop, at, t);
}

static void sift_down(struct loop *loop, size_t at)
{
    struct timer *t = loop->heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= loop->heap_len) {
            break;
        }
        if (child + 1 < loop->heap_len && is_before(loop->heap[child + 1], loop->heap[child])) {
            child++;
        }
        if (is_before(t, loop->heap[child])) {
            break;
        }
        place(loop, at, loop->heap[child]);
        at = child;
    }
    place(loop, at, t);
}

void timer_init(struct timer *t, struct loop *loop, loop_fn *fn, void *arg)
{
    *t = (struct timer){.loop = loop, .fn = fn, .arg = arg};
}

void timer_start(struct timer *t, uint64_t delay_ms)
{
    struct loop *loop = t->loop;
    uint64_t now = loop_now_ms(loop);
    timer_stop(t);
    t->order = loop->starts++;
    t->due_ms = delay_ms > UINT64_MAX - 1 - now ? UINT64_MAX - 1 : now + delay_ms;
    if (loop->heap_len == loop->heap_cap) {
        loop->heap_cap = loop->heap_cap ? loop->heap_cap * 2 : 64;
        loop->heap = mem_realloc(loop->heap, loop->heap_cap * sizeof(struct timer *));
    }
    loop->heap[loop->heap_len] = t;
    sift_up(loop, loop->heap_len++);
    if (loop->uv != NULL) {
        loop_uv_arm_timer(loop->uv, t->due_ms);
    }
}

void timer_stop(struct timer *t)
{
    if (t->slot == 0) {
        return;
    }
    struct loop *loop = t->loop;
    size_t at = t->slot - 1;
    struct timer *last = loop->heap[--loop->heap_len];
    t->slot = 0;
    if (last != t) {
        place(loop, at, last);
        sift_up(loop, at);
        sift_down(loop, last->slot - 1);
    }
}

bool timer_is_running(const struct timer *t)
{
    return t->slot != 0;
}

uint64_t timer_next_due(const struct loop *loop)
{
    return loop->heap_len > 0 ? loop->heap[0]->due_ms : UINT64_MAX;
}

/* The budget bounds a turn: timers that start themselves again with delay 0 cannot hold it. */
void timer_run_due(struct loop *loop)
{
    uint64_t now = loop_now_ms(loop);
    for (size_t budget = loop->heap_len; budget > 0; budget--) {
        if (timer_next_due(loop) > now) {
            return;
        }
        struct timer *t = loop->heap[0];
        timer_stop(t);
        t->fn(t->arg);
    }
}

void timer_heap_done(struct loop *loop)
{
    assert(loop->heap_len == 0);
    mem_free(loop->heap);
}
