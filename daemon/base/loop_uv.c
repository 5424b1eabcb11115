#include "daemon/base/loop_impl.h"
#include "daemon/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <uv.h>

struct loop_uv {
    struct loop *loop;
    uv_loop_t uv;
    uv_timer_t timer;  /* the earliest of our timers */
    uv_idle_t idle;    /* runs while deferred calls wait */
    uv_async_t async;  /* messages from other threads */
    uint64_t armed_ms; /* UINT64_MAX: timer is not running */
    uint64_t wall_at_ms;
    int64_t wall_ms;
};

struct work {
    uv_work_t request;
    loop_fn *work;
    loop_fn *done;
    void *arg;
};

static void must(int status, const char *what)
{
    if (status < 0) {
        fprintf(stderr, "repl: %s: %s\n", what, uv_strerror(status));
        abort();
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct loop_uv *u = timer->data;
    u->armed_ms = UINT64_MAX;
    timer_run_due(u->loop);
    uint64_t next = timer_next_due(u->loop);
    if (next != UINT64_MAX) {
        loop_uv_arm_timer(u, next);
    }
}

static void on_idle(uv_idle_t *idle)
{
    struct loop_uv *u = idle->data;
    loop_run_deferred(u->loop);
    if (u->loop->deferred == NULL) {
        uv_idle_stop(idle);
    }
}

static void on_async(uv_async_t *async)
{
    struct loop_uv *u = async->data;
    loop_run_messages(u->loop);
}

struct loop_uv *loop_uv_new(struct loop *loop)
{
    struct loop_uv *u = MEM_NEW(struct loop_uv);
    u->loop = loop;
    u->armed_ms = UINT64_MAX;
    must(uv_loop_init(&u->uv), "event loop");
    must(uv_timer_init(&u->uv, &u->timer), "timer");
    must(uv_idle_init(&u->uv, &u->idle), "idle");
    must(uv_async_init(&u->uv, &u->async, on_async), "async");
    u->timer.data = u;
    u->idle.data = u;
    u->async.data = u;
    return u;
}

void loop_uv_free(struct loop_uv *u)
{
    uv_close((uv_handle_t *)&u->timer, NULL);
    uv_close((uv_handle_t *)&u->idle, NULL);
    uv_close((uv_handle_t *)&u->async, NULL);
    while (uv_run(&u->uv, UV_RUN_DEFAULT) != 0) {
        /* a pending loop_stop() ended the run before all was closed */
    }
    must(uv_loop_close(&u->uv), "closing the event loop");
    mem_free(u);
}

struct uv_loop_s *loop_uv_handle(struct loop_uv *u)
{
    return &u->uv;
}

void loop_uv_run(struct loop_uv *u)
{
    uv_update_time(&u->uv);
    uv_run(&u->uv, UV_RUN_DEFAULT);
}

void loop_uv_run_once(struct loop_uv *u)
{
    uv_run(&u->uv, UV_RUN_NOWAIT);
}

void loop_uv_stop(struct loop_uv *u)
{
    uv_stop(&u->uv);
}

uint64_t loop_uv_now_ms(const struct loop_uv *u)
{
    return uv_now(&u->uv) + 1;
}

int64_t loop_uv_wall_ms(struct loop_uv *u)
{
    uint64_t now = loop_uv_now_ms(u);
    if (u->wall_at_ms != now) {
        struct timespec ts;
        clock_gettime(CLOCK_REALTIME, &ts);
        u->wall_ms = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
        u->wall_at_ms = now;
    }
    return u->wall_ms;
}

void loop_uv_arm_timer(struct loop_uv *u, uint64_t due_ms)
{
    if (u->armed_ms <= due_ms) {
        return;
    }
    u->armed_ms = due_ms;
    uint64_t now = loop_uv_now_ms(u);
    must(uv_timer_start(&u->timer, on_timer, due_ms > now ? due_ms - now : 0, 0), "timer");
}

void loop_uv_arm_deferred(struct loop_uv *u)
{
    must(uv_idle_start(&u->idle, on_idle), "idle");
}

void loop_uv_wake(struct loop_uv *u)
{
    must(uv_async_send(&u->async), "wake-up");
}

static void on_work(uv_work_t *request)
{
    struct work *w = request->data;
    w->work(w->arg);
}

static void on_work_done(uv_work_t *request, int status)
{
    (void)status;
    struct work *w = request->data;
    w->done(w->arg);
    mem_free(w);
}

void loop_uv_work(struct loop_uv *u, loop_fn *work, loop_fn *done, void *arg)
{
    struct work *w = MEM_NEW(struct work);
    w->work = work;
    w->done = done;
    w->arg = arg;
    w->request.data = w;
    must(uv_queue_work(&u->uv, &w->request, on_work, on_work_done), "thread pool");
}
