/* The brake on deletes: every delete passes here before the destination is touched. What is too
 * much for the rule's limit (deletes of the window, and those that wait) is held in the journal,
 * with all deletes that come after it, until an operator lets them go or discards them. Puts go
 * on. */
#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"

#include <stdio.h>

#define WORD_ROWS 1000

int64_t engine_brake_from_ms(const struct engine_rule *r, int64_t now_ms)
{
    bool is_on = r->rule.deletes_brake.text != NULL && r->rule.deletes != RULE_DELETES_IGNORE;
    return is_on ? now_ms - (int64_t)r->rule.deletes_brake.window_ms : 0;
}

void engine_brake_learn(struct engine_rule *r, const struct brake *now)
{
    struct engine_brake *b = &r->brake;
    b->deleted = now->deleted;
    b->pending = now->pending;
    b->replicas = now->replicas;
    if (now->since_ms != 0) { /* but it is only let off by a word: it may not be stored yet */
        b->since_ms = now->since_ms;
        snprintf(b->why, sizeof(b->why), "%.*s", SPAN_ARG(now->why));
    }
}

/* The one place where a brake comes on. Others are told in the commit that holds the first delete:
 * without it the brake is not on after a crash either. */
static void put_on(struct engine_rule *r, struct span why)
{
    r->brake.since_ms = engine_now_ms(r->engine);
    snprintf(r->brake.why, sizeof(r->brake.why), "%.*s", SPAN_ARG(why));
    LOG_ERROR(
        r->engine->log, ENGINE_SUBJECT,
        "rule %s: deletes are held from now on, puts go on: %s; replctl rule deletes %s shows "
        "them, replctl rule confirm-deletes %s lets them go",
        r->rule.name, r->brake.why, r->rule.name, r->rule.name);
}

static bool is_too_much(struct engine_rule *r, uint64_t more)
{
    struct buf why = {0};
    const struct engine_brake *b = &r->brake;
    bool passed =
        brake_limit_is_passed(&r->rule.deletes_brake, b->deleted + b->pending + b->turned + more,
                              b->deleted + b->replicas, &why);
    if (passed) {
        put_on(r, buf_view(&why));
    }
    buf_done(&why);
    return passed;
}

bool engine_brake_admits(struct engine_work *w)
{
    struct engine_rule *r = w->rule;
    bool is_turned = w->task->kind != CHANGE_DELETE; /* it is not among those that wait */
    if (r->rule.deletes_brake.text == NULL || w->task->confirmed || w->is_turned) {
        return true;
    }
    if (r->brake.since_ms != 0 || is_too_much(r, is_turned)) {
        return false;
    }
    w->is_turned = is_turned;
    r->brake.turned += is_turned;
    return true;
}

/* ---- an operator's word ---- */

struct word_call {
    struct journal_call call;
    struct engine *engine;
    struct arena arena;
    uint32_t rule;
    struct span reason; /* absent: they go */
    int64_t now_ms;
    uint64_t count; /* of the page … */
    uint64_t total; /* … and of all */
    engine_word_fn *done;
    void *arg;
};

static int run_word(struct backend *b, struct journal_call *call)
{
    struct word_call *c = CONTAINER_OF(call, struct word_call, call);
    return c->reason.ptr != NULL
               ? b->ops->held_discard(b, c->rule, c->reason, c->now_ms, WORD_ROWS, &c->count)
               : b->ops->held_confirm(b, c->rule, WORD_ROWS, &c->count);
}

static void let_off(struct word_call *c)
{
    struct engine_rule *r = engine_rule_by_number(c->engine, c->rule);
    if (r == NULL || c->call.status != 0) {
        return;
    }
    r->brake = (struct engine_brake){.turned = r->brake.turned, .replicas = r->brake.replicas};
    r->ready = true;
    LOG_NOTICE(c->engine->log, ENGINE_SUBJECT, "rule %s: %llu held deletes were %s by an operator",
               r->rule.name, (unsigned long long)c->total,
               c->reason.ptr != NULL ? "discarded" : "confirmed");
}

static void word_done(struct journal_call *call)
{
    struct word_call *c = CONTAINER_OF(call, struct word_call, call);
    struct engine *e = c->engine;
    c->total += call->status == 0 ? c->count : 0;
    if (call->status == 0 && c->count == WORD_ROWS && !e->stopping) {
        journal_submit(e->journal, call); /* another page */
        return;
    }
    let_off(c);
    engine_claim_soon(e);
    engine_lag_soon(e);
    c->done(c->arg, call->status, &call->fail, c->total);
    arena_done(&c->arena);
    mem_free(c);
}

void engine_held_word(struct engine *e, const char *rule, struct span reason, engine_word_fn *done,
                      void *arg)
{
    struct engine_rule *r = engine_rule_by_name(e, rule);
    struct word_call *c = MEM_NEW(struct word_call);
    c->engine = e;
    c->rule = r != NULL ? r->rule.number : 0;
    arena_init(&c->arena);
    c->reason = arena_span(&c->arena, reason);
    c->now_ms = engine_now_ms(e);
    c->done = done;
    c->arg = arg;
    c->call.run = run_word;
    c->call.done = word_done;
    journal_submit(e->journal, &c->call);
}
