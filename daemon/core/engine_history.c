/* History is kept for a stated time; the rest goes a little at a time. */
#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"

#define TRIM_ROWS     1000
#define TRIM_MORE_MS  200
#define TRIM_EVERY_MS 60000

struct trim_call {
    struct journal_call call;
    struct engine *engine;
    int64_t before_ms;
    uint64_t removed;
};

static int run_trim(struct backend *b, struct journal_call *call)
{
    struct trim_call *c = CONTAINER_OF(call, struct trim_call, call);
    return b->ops->history_trim(b, c->before_ms, TRIM_ROWS, &c->removed);
}

static void trim_done(struct journal_call *call)
{
    struct trim_call *c = CONTAINER_OF(call, struct trim_call, call);
    struct engine *e = c->engine;
    bool more = call->status == 0 && c->removed == TRIM_ROWS;
    if (!e->stopping) {
        timer_start(&e->history_timer, more ? TRIM_MORE_MS : TRIM_EVERY_MS);
    }
    mem_free(c);
}

static void trim(void *arg)
{
    struct engine *e = arg;
    struct trim_call *c = MEM_NEW(struct trim_call);
    c->engine = e;
    c->before_ms = loop_wall_ms(e->loop) - (int64_t)e->conf->history_ms;
    c->call.run = run_trim;
    c->call.done = trim_done;
    journal_submit(e->journal, &c->call);
}

void engine_history_start(struct engine *e)
{
    timer_init(&e->history_timer, e->loop, trim, e);
    timer_start(&e->history_timer, TRIM_EVERY_MS);
}
