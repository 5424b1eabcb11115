#include "daemon/base/loop.h"

#include "daemon/base/loop_impl.h"
#include "daemon/base/mem.h"

#include <assert.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/* ---- random numbers: xoshiro256**, seeded by splitmix64 ---- */

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void seed_random(struct loop *loop, uint64_t seed)
{
    while (seed == 0) {
        if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed)) {
            seed = 0;
        }
    }
    for (int i = 0; i < 4; i++) {
        loop->random[i] = splitmix(&seed);
    }
}

static uint64_t rotate(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static uint64_t next_random(struct loop *loop)
{
    uint64_t *s = loop->random;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t loop_random(struct loop *loop, uint64_t bound)
{
    assert(bound > 0);
    uint64_t threshold = (0 - bound) % bound; /* below it the remainder would be uneven */
    uint64_t x;
    do {
        x = next_random(loop);
    } while (x < threshold);
    return x % bound;
}

void loop_random_bytes(struct loop *loop, void *to, size_t len)
{
    char *at = to;
    while (len > 0) {
        uint64_t x = next_random(loop);
        size_t n = len < sizeof(x) ? len : sizeof(x);
        memcpy(at, &x, n);
        at += n;
        len -= n;
    }
}

/* ---- life cycle ---- */

static struct loop *new_loop(uint64_t seed)
{
    struct loop *loop = MEM_NEW(struct loop);
    loop->deferred_tail = &loop->deferred;
    loop->messages_tail = &loop->messages;
    pthread_mutex_init(&loop->lock, NULL);
    seed_random(loop, seed);
    return loop;
}

struct loop *loop_new(uint64_t seed)
{
    struct loop *loop = new_loop(seed);
    loop->uv = loop_uv_new(loop);
    return loop;
}

struct loop *loop_new_virtual(uint64_t seed, int64_t wall_ms)
{
    struct loop *loop = new_loop(seed);
    loop->virtual_ms = 1;
    loop->virtual_wall_ms = wall_ms;
    return loop;
}

static void drop_virtual_work(struct loop *loop);

void loop_free(struct loop *loop)
{
    if (loop == NULL) {
        return;
    }
    if (loop->uv != NULL) {
        loop_uv_free(loop->uv);
    }
    drop_virtual_work(loop);
    while (loop->messages != NULL) {
        struct loop_message *m = loop->messages;
        loop->messages = m->next;
        mem_free(m);
    }
    timer_heap_done(loop);
    pthread_mutex_destroy(&loop->lock);
    mem_free(loop);
}

struct uv_loop_s *loop_uv(struct loop *loop)
{
    return loop->uv != NULL ? loop_uv_handle(loop->uv) : NULL;
}

bool loop_is_virtual(const struct loop *loop)
{
    return loop->uv == NULL;
}

/* ---- clock ---- */

uint64_t loop_now_ms(const struct loop *loop)
{
    return loop->uv != NULL ? loop_uv_now_ms(loop->uv) : loop->virtual_ms;
}

static uint64_t read_us(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

uint64_t loop_now_us(const struct loop *loop)
{
    return loop->uv == NULL ? loop->virtual_ms * 1000 : read_us(CLOCK_MONOTONIC);
}

uint64_t loop_cpu_us(const struct loop *loop)
{
    return loop->uv == NULL ? 0 : read_us(CLOCK_THREAD_CPUTIME_ID);
}

int64_t loop_wall_ms(const struct loop *loop)
{
    if (loop->uv != NULL) {
        return loop_uv_wall_ms(loop->uv);
    }
    return loop->virtual_wall_ms + (int64_t)(loop->virtual_ms - 1);
}

void loop_set_wall_ms(struct loop *loop, int64_t wall_ms)
{
    assert(loop_is_virtual(loop));
    loop->virtual_wall_ms += wall_ms - loop_wall_ms(loop);
}

/* ---- deferred calls and messages ---- */

void deferred_init(struct deferred *d, struct loop *loop, loop_fn *fn, void *arg)
{
    *d = (struct deferred){.loop = loop, .fn = fn, .arg = arg};
}

void deferred_call(struct deferred *d)
{
    if (d->queued) {
        return;
    }
    struct loop *loop = d->loop;
    d->queued = true;
    d->next = NULL;
    *loop->deferred_tail = d;
    loop->deferred_tail = &d->next;
    if (loop->uv != NULL) {
        loop_uv_arm_deferred(loop->uv);
    }
}

void deferred_cancel(struct deferred *d)
{
    if (!d->queued) {
        return;
    }
    struct loop *loop = d->loop;
    struct deferred **at = &loop->deferred;
    while (*at != d) {
        at = &(*at)->next;
    }
    *at = d->next;
    if (loop->deferred_tail == &d->next) {
        loop->deferred_tail = at;
    }
    d->queued = false;
    d->next = NULL;
}

/* A marker at the end of the queue says where this turn ends; callbacks may cancel any other
 * entry, so the queue itself is the only safe place to keep the position. */
bool loop_run_deferred(struct loop *loop)
{
    if (loop->deferred == NULL) {
        return false;
    }
    struct deferred end;
    deferred_init(&end, loop, NULL, NULL);
    deferred_call(&end);
    for (;;) {
        struct deferred *d = loop->deferred;
        deferred_cancel(d);
        if (d == &end) {
            return true;
        }
        d->fn(d->arg);
    }
}

void loop_post(struct loop *loop, loop_fn *fn, void *arg)
{
    struct loop_message *m = MEM_NEW(struct loop_message);
    m->fn = fn;
    m->arg = arg;
    pthread_mutex_lock(&loop->lock);
    bool was_empty = loop->messages == NULL;
    *loop->messages_tail = m;
    loop->messages_tail = &m->next;
    if (was_empty && loop->uv != NULL) {
        loop_uv_wake(loop->uv);
    }
    pthread_mutex_unlock(&loop->lock);
}

bool loop_run_messages(struct loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    struct loop_message *m = loop->messages;
    loop->messages = NULL;
    loop->messages_tail = &loop->messages;
    pthread_mutex_unlock(&loop->lock);
    bool any = m != NULL;
    while (m != NULL) {
        struct loop_message *next = m->next;
        m->fn(m->arg);
        mem_free(m);
        m = next;
    }
    return any;
}

struct virtual_work {
    struct deferred deferred;
    loop_fn *work;
    loop_fn *done;
    void *arg;
};

static void run_virtual_work(void *arg)
{
    struct virtual_work *w = arg;
    w->work(w->arg);
    w->done(w->arg);
    mem_free(w);
}

static void drop_virtual_work(struct loop *loop)
{
    while (loop->deferred != NULL) {
        struct deferred *d = loop->deferred;
        deferred_cancel(d);
        if (d->fn == run_virtual_work) {
            mem_free(d->arg);
        }
    }
}

void loop_work(struct loop *loop, loop_fn *work, loop_fn *done, void *arg)
{
    if (loop->uv != NULL) {
        loop_uv_work(loop->uv, work, done, arg);
        return;
    }
    struct virtual_work *w = MEM_NEW(struct virtual_work);
    deferred_init(&w->deferred, loop, run_virtual_work, w);
    w->work = work;
    w->done = done;
    w->arg = arg;
    deferred_call(&w->deferred);
}

/* ---- running ---- */

static bool turn(struct loop *loop)
{
    bool any = loop_run_messages(loop);
    any = loop_run_deferred(loop) || any;
    if (timer_next_due(loop) <= loop->virtual_ms) {
        timer_run_due(loop);
        any = true;
    }
    return any;
}

/* Runs until the clock stands at until_ms and nothing is due. */
static void run_virtual(struct loop *loop, uint64_t until_ms)
{
    while (!loop->stopping) {
        if (turn(loop)) {
            continue;
        }
        uint64_t next = timer_next_due(loop);
        if (next > until_ms || next == UINT64_MAX) {
            break;
        }
        loop->virtual_ms = next;
    }
    if (!loop->stopping && until_ms != UINT64_MAX) {
        loop->virtual_ms = until_ms;
    }
}

void loop_run(struct loop *loop)
{
    loop->stopping = false;
    if (loop->uv != NULL) {
        loop_uv_run(loop->uv);
    } else {
        run_virtual(loop, UINT64_MAX);
    }
}

void loop_run_for(struct loop *loop, uint64_t ms)
{
    assert(loop->uv == NULL);
    loop->stopping = false;
    run_virtual(loop, loop->virtual_ms + ms);
}

void loop_run_once(struct loop *loop)
{
    if (loop->uv != NULL) {
        loop_uv_run_once(loop->uv);
    } else {
        turn(loop);
    }
}

void loop_stop(struct loop *loop)
{
    loop->stopping = true;
    if (loop->uv != NULL) {
        loop_uv_stop(loop->uv);
    }
}
