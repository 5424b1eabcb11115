/* loop: the event loop seen through clock, timers, deferred calls, messages from other threads and
 * random numbers, the only place where any of them comes from. Two kinds: a real one on libuv, and
 * a virtual one whose clock jumps from timer to timer, for simulation. All but loop_post() may be
 * called on the loop's thread only.
 *
 * `now` is read once a turn: two calls in one callback agree. */
#ifndef REPL_BASE_LOOP_H
#define REPL_BASE_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct uv_loop_s;

typedef void loop_fn(void *arg);

struct loop *loop_new(uint64_t seed); /* seed 0: from the kernel */
/* Virtual: time starts at wall_ms and moves only in loop_run()/loop_run_until(). */
struct loop *loop_new_virtual(uint64_t seed, int64_t wall_ms);
/* Virtual only: the wall clock is set, as an operator or NTP would. */
void loop_set_wall_ms(struct loop *loop, int64_t wall_ms);
/* Everything on it must be closed; pending deferred calls are dropped. */
void loop_free(struct loop *loop);

/* For libuv handles of net and httpd; NULL for a virtual loop. */
struct uv_loop_s *loop_uv(struct loop *loop);
bool loop_is_virtual(const struct loop *loop);

/* Runs until loop_stop(). A virtual loop also returns when nothing is left to do. */
void loop_run(struct loop *loop);
/* Virtual only: runs until the clock stands at now + ms. */
void loop_run_for(struct loop *loop, uint64_t ms);
/* One turn: what is due now; waits for nothing. For tests and for shutdown. */
void loop_run_once(struct loop *loop);
void loop_stop(struct loop *loop);

/* Monotonic milliseconds of this turn; 0 never occurs. */
uint64_t loop_now_ms(const struct loop *loop);
/* Monotonic microseconds, read now: for latency measurement only. */
uint64_t loop_now_us(const struct loop *loop);
/* Microseconds of CPU that its thread has used; 0 of a virtual one. Beside loop_now_us() this tells
 * whether it ever rests. */
uint64_t loop_cpu_us(const struct loop *loop);
/* Unix time in milliseconds of this turn. */
int64_t loop_wall_ms(const struct loop *loop);
/* Uniform in [0, bound); bound > 0. */
uint64_t loop_random(struct loop *loop, uint64_t bound);
void loop_random_bytes(struct loop *loop, void *to, size_t len);

/* timer: one-shot; embedded by value in its owner. Stopping twice is fine; must be stopped before
 * its memory goes. Those that are due at the same time fire in the order in which they started. */
struct timer {
    struct loop *loop;
    loop_fn *fn;
    void *arg;
    uint64_t due_ms;
    uint64_t order; /* of starts */
    size_t slot;    /* heap position + 1; 0 = not running */
};

void timer_init(struct timer *t, struct loop *loop, loop_fn *fn, void *arg);
/* Starts or moves it; fires from the loop, never inside this call. */
void timer_start(struct timer *t, uint64_t delay_ms);
void timer_stop(struct timer *t);
bool timer_is_running(const struct timer *t);

/* deferred: a call on the next turn of the loop, embedded by value. Deferring it again before it
 * ran changes nothing. */
struct deferred {
    struct loop *loop;
    loop_fn *fn;
    void *arg;
    struct deferred *next;
    bool queued;
};

void deferred_init(struct deferred *d, struct loop *loop, loop_fn *fn, void *arg);
void deferred_call(struct deferred *d);
void deferred_cancel(struct deferred *d);

/* Any thread: fn(arg) will run on the loop's thread, in the order of the posts. */
void loop_post(struct loop *loop, loop_fn *fn, void *arg);

/* Runs work(arg) on libuv's thread pool, then done(arg) on the loop. On a virtual loop both run on
 * the next turn. For hashing; not cancellable. */
void loop_work(struct loop *loop, loop_fn *work, loop_fn *done, void *arg);

/* "2026-11-23T10:20:30Z" / "20261123T102030Z" / HTTP date, from Unix milliseconds. */
void time_iso(int64_t wall_ms, char to[32]);
void time_iso_basic(int64_t wall_ms, char to[32]);
/* 0 … 1439, in the host's time zone. */
unsigned time_minute_of_day(int64_t wall_ms);
/* Reads RFC 3339 with optional fraction and zone, ISO basic, HTTP dates; REPL_EBADINPUT. */
int time_parse(const char *text, size_t len, int64_t *ret_wall_ms);

#endif
