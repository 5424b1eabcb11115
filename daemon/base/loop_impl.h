/* Shared by loop.c, loop_uv.c and timer.c: what a loop is made of. */
#ifndef REPL_BASE_LOOP_IMPL_H
#define REPL_BASE_LOOP_IMPL_H

#include "daemon/base/loop.h"

#include <pthread.h>

struct loop_uv;

struct loop_message {
    struct loop_message *next;
    loop_fn *fn;
    void *arg;
};

struct loop {
    struct loop_uv *uv; /* NULL: virtual */
    uint64_t virtual_ms;
    int64_t virtual_wall_ms; /* at virtual_ms == 1 */
    bool stopping;

    struct timer **heap; /* by due_ms, order; timer.slot is the position + 1 */
    size_t heap_len;
    size_t heap_cap;
    uint64_t starts; /* of timers */

    struct deferred *deferred;
    struct deferred **deferred_tail;

    pthread_mutex_t lock; /* guards messages */
    struct loop_message *messages;
    struct loop_message **messages_tail;

    uint64_t random[4];
};

/* timer.c: INT64_MAX when no timer runs. */
uint64_t timer_next_due(const struct loop *loop);
void timer_run_due(struct loop *loop);
void timer_heap_done(struct loop *loop);

/* loop.c: run what is queued now, not what that queues; true when anything ran. */
bool loop_run_messages(struct loop *loop);
bool loop_run_deferred(struct loop *loop);

/* loop_uv.c */
struct loop_uv *loop_uv_new(struct loop *loop);
void loop_uv_free(struct loop_uv *uv);
struct uv_loop_s *loop_uv_handle(struct loop_uv *uv);
void loop_uv_run(struct loop_uv *uv);
void loop_uv_run_once(struct loop_uv *uv);
void loop_uv_stop(struct loop_uv *uv);
uint64_t loop_uv_now_ms(const struct loop_uv *uv);
int64_t loop_uv_wall_ms(struct loop_uv *uv);
void loop_uv_arm_timer(struct loop_uv *uv, uint64_t due_ms);
void loop_uv_arm_deferred(struct loop_uv *uv);
void loop_uv_wake(struct loop_uv *uv); /* any thread */
void loop_uv_work(struct loop_uv *uv, loop_fn *work, loop_fn *done, void *arg);

#endif
