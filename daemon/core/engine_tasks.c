/* Dead letters: again, or an operator's word that they are not wanted. */
#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"

#define RETRY_ROWS 1000

struct task_call {
    struct journal_call call;
    struct engine *engine;
    uint32_t rule;
    struct span key;
    struct span reason;
    struct arena arena;
    int64_t now_ms;
    uint64_t count; /* of the page … */
    uint64_t total; /* … and of all */
    engine_word_fn *done;
    void *arg;
};

static int run_retry(struct backend *b, struct journal_call *call)
{
    struct task_call *c = CONTAINER_OF(call, struct task_call, call);
    return b->ops->task_retry(b, c->rule, c->key, RETRY_ROWS, &c->count);
}

static int run_drop(struct backend *b, struct journal_call *call)
{
    struct task_call *c = CONTAINER_OF(call, struct task_call, call);
    c->count = 1;
    return b->ops->task_drop(b, c->rule, c->key, c->reason, c->now_ms);
}

static void end_call(struct task_call *c)
{
    struct engine *e = c->engine;
    struct engine_rule *r = engine_rule_by_number(e, c->rule);
    if (r != NULL) {
        r->ready = true;
    }
    engine_claim_soon(e);
    engine_lag_soon(e);
    if (c->call.status == REPL_ENOTFOUND) {
        fail_set(&c->call.fail, REPL_ENOTFOUND, "nothing failed with this key");
        fail_hint(&c->call.fail, "replctl failures list shows what did");
    }
    c->done(c->arg, c->call.status, &c->call.fail, c->total);
    arena_done(&c->arena);
    mem_free(c);
}

static void retry_done(struct journal_call *call)
{
    struct task_call *c = CONTAINER_OF(call, struct task_call, call);
    c->total += call->status == 0 ? c->count : 0;
    if (call->status == 0 && c->count == RETRY_ROWS && !c->engine->stopping) {
        journal_submit(c->engine->journal, call); /* another page */
        return;
    }
    end_call(c);
}

static void drop_done(struct journal_call *call)
{
    struct task_call *c = CONTAINER_OF(call, struct task_call, call);
    c->total = call->status == 0 ? c->count : 0;
    c->engine->uploads_swept_ms = 0; /* it may leave an upload behind */
    engine_uploads_soon(c->engine);
    end_call(c);
}

struct refusal {
    engine_word_fn *done;
    void *arg;
};

static void refuse(void *arg, int status, const struct fail *f)
{
    struct refusal *r = arg;
    r->done(r->arg, status, f, 0);
    mem_free(r);
}

static struct task_call *new_call(struct engine *e, const char *rule, struct span key,
                                  engine_word_fn *done, void *arg)
{
    struct engine_rule *r = engine_rule_by_name(e, rule);
    struct fail f;
    if (r == NULL || e->stopping) {
        int status = r == NULL ? engine_unknown_rule(e, rule, &f)
                               : fail_set(&f, REPL_ECLOSED, "repld is stopping");
        struct refusal *refusal = MEM_NEW(struct refusal);
        *refusal = (struct refusal){.done = done, .arg = arg};
        engine_done_later(e, refuse, refusal, status, &f);
        return NULL;
    }
    struct task_call *c = MEM_NEW(struct task_call);
    c->engine = e;
    c->rule = r->rule.number;
    arena_init(&c->arena);
    c->key = arena_span(&c->arena, key);
    c->now_ms = engine_now_ms(e);
    c->done = done;
    c->arg = arg;
    return c;
}

void engine_task_retry(struct engine *e, const char *rule, struct span key, engine_word_fn *done,
                       void *arg)
{
    struct task_call *c = new_call(e, rule, key, done, arg);
    if (c != NULL) {
        c->call.run = run_retry;
        c->call.done = retry_done;
        journal_submit(e->journal, &c->call);
    }
}

void engine_task_drop(struct engine *e, const char *rule, struct span key, struct span reason,
                      engine_word_fn *done, void *arg)
{
    struct task_call *c = new_call(e, rule, key, done, arg);
    if (c != NULL) {
        c->reason = arena_span(&c->arena, reason);
        c->call.run = run_drop;
        c->call.done = drop_done;
        journal_submit(e->journal, &c->call);
    }
}
