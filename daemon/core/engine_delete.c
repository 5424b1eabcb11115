/* Deleting a rule: marked in the journal first, then cleared bit by bit, uploads included. */
#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"

#include <inttypes.h>
#include <stdio.h>

#define PURGE_ROWS     1000
#define PURGE_EVERY_MS 100

struct delete_call {
    struct journal_call call;
    struct engine *engine;
    uint32_t rule;
    int64_t now_ms;
    engine_done_fn *done;
    void *arg;
};

/* ---- purge ---- */

struct purge_call {
    struct journal_call call;
    struct engine *engine;
    uint32_t rule;
    bool ended;
};

static int run_purge(struct backend *b, struct journal_call *call)
{
    struct purge_call *c = CONTAINER_OF(call, struct purge_call, call);
    int status = b->ops->rule_purge(b, c->rule, PURGE_ROWS);
    if (status != REPL_EDONE) {
        return status;
    }
    char name[32];
    snprintf(name, sizeof(name), "scan:%" PRIu32, c->rule);
    c->ended = true;
    return b->ops->value_put(b, span_str(name), (struct span){0});
}

static void purge_done(struct journal_call *call)
{
    struct purge_call *c = CONTAINER_OF(call, struct purge_call, call);
    struct engine_rule *r = engine_rule_by_number(c->engine, c->rule);
    if (r != NULL) {
        r->purging = false;
        if (call->status == 0 && c->ended) {
            LOG_NOTICE(c->engine->log, ENGINE_SUBJECT, "rule %s is cleared", r->rule.name);
            engine_rule_free(r);
        } else if (!c->engine->stopping) {
            timer_start(&r->purge_timer, PURGE_EVERY_MS);
        }
    }
    mem_free(c);
}

void engine_rule_purge(struct engine_rule *r)
{
    struct engine *e = r->engine;
    if (r->work_count > 0 || r->purging || r->scan != NULL || e->stopping) {
        return;
    }
    struct purge_call *c = MEM_NEW(struct purge_call);
    c->engine = e;
    c->rule = r->rule.number;
    c->call.run = run_purge;
    c->call.done = purge_done;
    r->purging = true;
    journal_submit(e->journal, &c->call);
}

void engine_rule_purge_fn(void *arg)
{
    engine_rule_purge(arg);
}

/* ---- delete ---- */

static int run_delete(struct backend *b, struct journal_call *call)
{
    struct delete_call *c = CONTAINER_OF(call, struct delete_call, call);
    return b->ops->rule_delete(b, c->rule, c->now_ms);
}

static void let_go(struct engine_rule *r)
{
    struct engine *e = r->engine;
    LOG_NOTICE(e->log, ENGINE_SUBJECT, "rule %s is deleted", r->rule.name);
    r->deleting = true;
    engine_stats_drop(r);
    engine_waits_end(e, r->rule.name, REPL_ENOTFOUND, "the rule was deleted");
    engine_scan_stop(r);
    engine_notify_stop(r, true);
    engine_work_cancel_rule(r, 0);
    engine_uploads_soon(e);
    timer_start(&r->purge_timer, 0);
}

static void delete_done(struct journal_call *call)
{
    struct delete_call *c = CONTAINER_OF(call, struct delete_call, call);
    struct engine_rule *r = engine_rule_by_number(c->engine, c->rule);
    if (r != NULL) {
        r->changing = false;
        if (call->status == 0) {
            let_go(r);
        }
    }
    c->done(c->arg, call->status, &call->fail);
    mem_free(c);
}

void engine_rule_delete(struct engine *e, const char *name, engine_done_fn *done, void *arg)
{
    struct engine_rule *r = engine_rule_by_name(e, name);
    struct fail f = {0};
    int status = 0;
    if (e->stopping) {
        status = fail_set(&f, REPL_ECLOSED, "repld is stopping");
    } else if (r == NULL) {
        engine_unknown_rule(e, name, &f);
        status = REPL_ENOTFOUND;
    } else if (r->changing) {
        status = fail_set(&f, REPL_ECONFLICT, "rule %s is being changed right now", name);
        fail_hint(&f, "repeat it when that is done");
    }
    if (status != 0) {
        engine_done_later(e, done, arg, status, &f);
        return;
    }
    struct delete_call *c = MEM_NEW(struct delete_call);
    c->engine = e;
    c->rule = r->rule.number;
    c->now_ms = loop_wall_ms(e->loop);
    c->done = done;
    c->arg = arg;
    c->call.run = run_delete;
    c->call.done = delete_done;
    r->changing = true;
    journal_submit(e->journal, &c->call);
}
