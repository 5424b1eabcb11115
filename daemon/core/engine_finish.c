/* What became of a copy, as the journal's record of it. The class of the failure decides. */
#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"

#define TRY_MIN_MS      1000
#define TRY_MAX_MS      600000
#define HOLD_MIN_MS     1000
#define HOLD_MAX_MS     60000
#define PERMANENT_TRIES 3
#define CORRUPT_TRIES   5
#define DENIED_TRIES    8 /* of one object, while the endpoint works */
#define FINISH_WAIT_MS  1000

struct finish_call {
    struct journal_call call;
    struct engine *engine;
    struct engine_work *work; /* NULL: released before there was one */
    struct arena arena;
    struct finish finish;
    struct replica replica;
    struct replica mirror;
    struct finish_result result;
    struct event_plan plans[2]; /* written when it is stored */
    struct list link;           /* in engine.finishes while it waits */
    struct timer again;
};

static uint64_t jitter(struct engine *e, uint64_t min_ms, uint64_t max_ms, unsigned attempts)
{
    uint64_t top = attempts < 20 ? min_ms << attempts : max_ms;
    top = top < max_ms ? top : max_ms;
    return min_ms / 2 + loop_random(e->loop, top);
}

int64_t engine_next_try(struct engine *e, uint32_t attempts)
{
    return engine_now_ms(e) + (int64_t)jitter(e, TRY_MIN_MS, TRY_MAX_MS, attempts);
}

/* ---- decisions ---- */

/* An endpoint's failure is not the object's: the task goes back, the rule waits. */
static bool is_endpoint_failure(const struct engine_work *w, const struct copy_outcome *outcome)
{
    int code = outcome->fail.code;
    struct fail f;
    if (code == REPL_EUNREACHABLE || code == REPL_EJOURNAL) {
        return true;
    }
    if (fail_class(code) != FAIL_AUTH || w->rule->from == NULL || w->rule->to == NULL) {
        return false;
    }
    /* The scheduler tells one forbidden object from an endpoint that refuses everything. */
    const struct engine_endpoint *ep = outcome->source_side ? w->rule->from : w->rule->to;
    return code != REPL_EDENIED || sched_endpoint(w->engine->sched, ep->store, &f) != SCHED_UP;
}

static void hold_rule(struct engine_rule *r, const struct copy_outcome *outcome)
{
    struct engine *e = r->engine;
    if (loop_now_ms(e->loop) < r->hold_until_ms) {
        return; /* others of the same outage */
    }
    uint64_t wait = jitter(e, HOLD_MIN_MS, HOLD_MAX_MS, r->holds);
    r->hold_until_ms = loop_now_ms(e->loop) + wait;
    r->hold_fail = outcome->fail;
    r->hold_source = outcome->source_side;
    if (r->holds++ == 0) {
        char text[400];
        LOG_ERROR(e->log, ENGINE_SUBJECT, "rule %s: %s endpoint refuses work, rule waits: %s",
                  r->rule.name, outcome->source_side ? "source" : "destination",
                  fail_print(&outcome->fail, text, sizeof(text)));
    }
}

static void end_hold(struct engine_rule *r)
{
    if (r->holds > 0) {
        LOG_NOTICE(r->engine->log, ENGINE_SUBJECT, "rule %s: endpoint takes work again",
                   r->rule.name);
        r->holds = 0;
        r->hold_until_ms = 0;
    }
}

static enum finish_outcome judge_failure(const struct task *task, const struct fail *f)
{
    uint32_t failed = task->attempts + 1;
    switch (fail_class(f->code)) {
    case FAIL_PERMANENT:
        return failed >= PERMANENT_TRIES ? FINISH_FAILED : FINISH_RETRY;
    case FAIL_CORRUPT:
    case FAIL_BUG:
        return failed >= CORRUPT_TRIES ? FINISH_FAILED : FINISH_RETRY;
    case FAIL_AUTH:
        return failed >= DENIED_TRIES ? FINISH_FAILED : FINISH_RETRY;
    case FAIL_NONE:
        return FINISH_RELEASED;
    case FAIL_RETRY:
    case FAIL_THROTTLE:
    case FAIL_GONE:
        return FINISH_RETRY;
    }
    return FINISH_RETRY;
}

static void fill_failed(struct finish_call *c, const struct copy_outcome *outcome)
{
    struct engine_work *w = c->work;
    struct finish *fin = &c->finish;
    if (is_endpoint_failure(w, outcome)) {
        fin->outcome = FINISH_RELEASED;
        hold_rule(w->rule, outcome);
        return;
    }
    end_hold(w->rule);
    fin->outcome = judge_failure(w->task, &outcome->fail);
    fin->fail = outcome->fail;
    fin->next_try_ms = engine_next_try(c->engine, w->task->attempts);
    if (outcome->fail.retry_after_ms > 0 &&
        fin->next_try_ms < fin->now_ms + outcome->fail.retry_after_ms) {
        fin->next_try_ms = fin->now_ms + outcome->fail.retry_after_ms;
    }
    char text[400];
    fail_print(&outcome->fail, text, sizeof(text));
    if (fin->outcome == FINISH_FAILED) {
        LOG_ERROR(c->engine->log, ENGINE_SUBJECT, "rule %s: object failed for good: %s key=%.*s",
                  w->rule->rule.name, text, SPAN_ARG(w->task->key));
    } else {
        LOG_INFO(c->engine->log, ENGINE_SUBJECT,
                 "rule %s: copy failed, next try in %lld ms: %s key=%.*s", w->rule->rule.name,
                 (long long)(fin->next_try_ms - fin->now_ms), text, SPAN_ARG(w->task->key));
    }
}

static void fill_replica(struct finish_call *c, const struct copy_outcome *outcome)
{
    struct arena *a = &c->arena;
    c->replica = (struct replica){.source_etag = arena_span(a, outcome->source.etag),
                                  .source_version = arena_span(a, outcome->source.version_id),
                                  .source_mtime_ms = outcome->source.mtime_ms,
                                  .source_read_ms = outcome->source.read_ms,
                                  .size = outcome->bytes,
                                  .dest_etag = arena_span(a, outcome->dest.etag),
                                  .dest_version = arena_span(a, outcome->dest.version_id),
                                  .verified_ms = c->finish.now_ms,
                                  .sequencer = arena_span(a, c->work->task->sequencer)};
    if (c->work->rule->rule.keep_replicas) {
        c->finish.replica = &c->replica;
    }
}

/* The other way's view: there it is the source that has been written, and what was read is the
 * replica. Of the time of the write the answer says nothing. */
static void fill_mirror(struct finish_call *c, const struct copy_outcome *outcome)
{
    struct engine_rule *mirror = engine_rule_mirror(c->work->rule);
    bool is_told =
        c->finish.replica != NULL || c->finish.no_replica || c->finish.outcome == FINISH_DELETED;
    if (mirror == NULL || !mirror->rule.keep_replicas || !is_told) {
        return;
    }
    c->finish.mirror_rule = mirror->rule.number;
    c->finish.mirror_key = arena_span(&c->arena, c->work->to_key);
    c->mirror = (struct replica){.source_etag = c->replica.dest_etag,
                                 .source_version = c->replica.dest_version,
                                 .source_mtime_ms = outcome->dest.mtime_ms,
                                 .source_read_ms = outcome->dest.read_ms,
                                 .size = c->replica.size,
                                 .dest_etag = c->replica.source_etag,
                                 .dest_version = c->replica.source_version,
                                 .verified_ms = c->finish.now_ms};
    c->finish.mirror = &c->mirror;
}

static void fill_good(struct finish_call *c, const struct copy_outcome *outcome)
{
    struct engine_work *w = c->work;
    struct finish *fin = &c->finish;
    end_hold(w->rule);
    fin->bytes = outcome->end == COPY_DONE ? outcome->bytes : 0;
    if (w->task->origin == TASK_LIVE && outcome->end != COPY_SKIPPED && !fin->goes_on) {
        fin->latency_ms = fin->now_ms - w->task->oldest_ms;
        if (fin->latency_ms > (int64_t)w->rule->rule.objective_ms && !w->rule->deleting) {
            stat_add(w->rule->stats[STAT_RULE_OBJECTIVE_MISSED], 1);
        }
    }
    LOG_INFO(c->engine->log, ENGINE_SUBJECT, "rule %s: %s%s bytes=%llu key=%.*s",
             w->rule->rule.name,
             outcome->end == COPY_DONE      ? "replicated"
             : outcome->end == COPY_DELETED ? "deleted"
                                            : "skipped, ",
             outcome->end == COPY_SKIPPED && outcome->skip_reason ? outcome->skip_reason : "",
             (unsigned long long)fin->bytes, SPAN_ARG(w->task->key));
}

static void fill_outcome(struct finish_call *c, const struct copy_outcome *outcome)
{
    c->finish.bytes_sent = outcome->bytes_sent;
    bool is_settled = outcome->end != COPY_FAILED && outcome->end != COPY_STOPPED;
    if (outcome->is_conflict && is_settled && !c->work->rule->deleting) {
        stat_add(c->work->rule->stats[STAT_RULE_CONFLICTS], 1);
    }
    switch (outcome->end) {
    case COPY_DONE:
        c->finish.outcome = FINISH_DONE;
        fill_replica(c, outcome);
        fill_good(c, outcome);
        break;
    case COPY_DELETED:
        c->finish.outcome = FINISH_DELETED;
        fill_good(c, outcome);
        break;
    case COPY_SKIPPED:
        c->finish.outcome = FINISH_SKIPPED;
        fail_set(&c->finish.fail, REPL_EDONE, "%s",
                 outcome->skip_reason != NULL ? outcome->skip_reason : "nothing to do");
        c->finish.no_replica = outcome->dest_gone;
        if (outcome->is_there) {
            fill_replica(c, outcome);
        }
        fill_good(c, outcome);
        break;
    case COPY_FAILED:
        fill_failed(c, outcome);
        break;
    case COPY_STOPPED:
        c->finish.outcome = FINISH_RELEASED;
        break;
    }
}

/* ---- events ---- */

static void fill_event(struct finish_call *c, struct event_out *out,
                       const struct copy_outcome *outcome)
{
    const struct engine_work *w = c->work;
    struct arena *a = &c->arena;
    out->at_ms = c->finish.now_ms;
    out->is_delete = w->kind == COPY_DELETE;
    out->source.key = c->finish.key;
    out->source.etag = arena_span(a, outcome->source.etag);
    out->source.version = arena_span(a, outcome->source.version_id);
    out->destination.key = arena_span(a, w->to_key);
    out->destination.etag = arena_span(a, outcome->dest.etag);
    out->destination.version = arena_span(a, outcome->dest.version_id);
    out->size = outcome->end == COPY_DONE ? (int64_t)outcome->bytes : w->task->size;
    out->change_ms = w->task->oldest_ms;
    out->latency_ms = c->finish.latency_ms;
    out->objective_ms = w->rule->rule.objective_ms;
    if (outcome->fail.code != 0) {
        out->reason = arena_strdup(a, outcome->fail.text);
    }
}

static void plan_event(struct finish_call *c, int at, enum event_kind kind,
                       const struct copy_outcome *outcome)
{
    if (engine_event_plan(c->work->rule, kind, &c->arena, &c->plans[at])) {
        fill_event(c, &c->plans[at].out, outcome);
    }
}

static void plan_events(struct finish_call *c, const struct copy_outcome *outcome)
{
    enum finish_outcome end = c->finish.outcome;
    bool is_there = end == FINISH_DONE || end == FINISH_DELETED;
    if (c->engine->conf->event_count == 0) {
        return;
    }
    if (is_there) {
        plan_event(c, 0, EVENT_REPLICATED, outcome);
    }
    if (is_there && c->finish.latency_ms > (int64_t)c->work->rule->rule.objective_ms) {
        plan_event(c, 1, EVENT_LATE, outcome);
    } else if (end == FINISH_FAILED) {
        plan_event(c, 1, EVENT_FAILED, outcome);
    }
}

/* ---- the record ---- */

/* What has become of the task may be less than what was planned. */
static bool is_so(const struct finish_call *c)
{
    return c->finish.outcome == FINISH_FAILED ? !c->result.pending
           : c->finish.outcome == FINISH_HELD ? c->result.brake_on
                                              : true;
}

static int run_finish(struct backend *b, struct journal_call *call)
{
    struct finish_call *c = CONTAINER_OF(call, struct finish_call, call);
    int status = b->ops->finish(b, &c->finish, &c->result);
    for (size_t i = 0; i < 2 && status == 0 && is_so(c); i++) {
        if (c->plans[i].count > 0) {
            status = engine_event_write(b, &c->plans[i]);
        }
    }
    return status;
}

static void submit(void *arg)
{
    struct finish_call *c = arg;
    list_remove(&c->link);
    journal_submit(c->engine->journal, &c->call);
}

/* Anything but "no longer ours" is the journal's trouble and passes; until then the task stays
 * claimed by us, so that nobody else works on its key. */
static bool is_final(int status)
{
    return status == 0 || status == REPL_ESTALE || status == REPL_ENOTFOUND;
}

/* One version of several is done and the next is due. */
static bool has_more(const struct finish_call *c)
{
    enum finish_outcome o = c->finish.outcome;
    return c->call.status == 0 && c->finish.goes_on &&
           (o == FINISH_DONE || o == FINISH_DELETED || o == FINISH_SKIPPED);
}

static void after_finish(struct finish_call *c)
{
    struct engine *e = c->engine;
    struct engine_rule *r = engine_rule_by_number(e, c->finish.rule);
    if (r != NULL && (c->result.pending || c->finish.outcome == FINISH_RELEASED)) {
        r->ready = true;
    }
    if (c->plans[0].count + c->plans[1].count > 0) {
        engine_events_news(e);
    }
    engine_claim_soon(e);
    engine_lag_soon(e);
}

static void finish_done(struct journal_call *call)
{
    struct finish_call *c = CONTAINER_OF(call, struct finish_call, call);
    if (!is_final(call->status) && !c->engine->stopping) {
        LOG_ERROR(c->engine->log, ENGINE_SUBJECT,
                  "result of a copy could not be stored, will try again: %s", call->fail.text);
        list_push_back(&c->engine->finishes, &c->link);
        timer_start(&c->again, FINISH_WAIT_MS);
        return;
    }
    if (c->work != NULL && has_more(c)) {
        engine_versions_next(c->work);
    } else if (c->work != NULL) {
        c->work->finished = true;
        engine_work_drop(c->work);
    }
    after_finish(c);
    arena_done(&c->arena);
    mem_free(c);
}

void engine_finish_stop(struct engine *e)
{
    LIST_FOR_SAFE (link, &e->finishes) {
        struct finish_call *c = CONTAINER_OF(link, struct finish_call, link);
        timer_stop(&c->again);
        submit(c);
    }
}

static struct finish_call *new_call(struct engine *e, const struct task *task)
{
    struct finish_call *c = MEM_NEW(struct finish_call);
    c->engine = e;
    arena_init(&c->arena);
    timer_init(&c->again, e->loop, submit, c);
    c->finish = (struct finish){.rule = task->rule,
                                .key = arena_span(&c->arena, task->key),
                                .seq = task->seq,
                                .epoch = task->epoch,
                                .now_ms = engine_now_ms(e),
                                .outcome = FINISH_RELEASED,
                                .latency_ms = -1};
    c->call.run = run_finish;
    c->call.done = finish_done;
    return c;
}

void engine_finish_copy(struct engine_work *w, const struct copy_outcome *outcome)
{
    struct finish_call *c = new_call(w->engine, w->task);
    c->work = w;
    if (w->versions != NULL) {
        engine_versions_fill(w, outcome, &c->finish, &c->arena);
    }
    fill_outcome(c, outcome);
    fill_mirror(c, outcome);
    plan_events(c, outcome);
    submit(c);
}

void engine_finish_held(struct engine_work *w)
{
    struct finish_call *c = new_call(w->engine, w->task);
    c->work = w;
    c->finish.outcome = FINISH_HELD;
    c->finish.why = arena_span(&c->arena, span_str(w->rule->brake.why));
    if (engine_event_plan(w->rule, EVENT_BRAKE, &c->arena, &c->plans[0])) {
        c->plans[0].out.reason = c->finish.why.ptr;
    }
    submit(c);
}

void engine_work_release(struct engine *e, const struct task *task)
{
    submit(new_call(e, task));
}

void engine_work_drop(struct engine_work *w)
{
    if (!w->finished || w->records > 0 || w->copy != NULL) {
        return;
    }
    struct engine_rule *r = w->rule;
    list_remove(&w->link);
    r->work_count--;
    r->brake.turned -= w->is_turned;
    hash_remove(&w->engine->works, &w->entry);
    engine_batch_unref(w->batch);
    engine_versions_free(w->versions);
    arena_done(&w->arena);
    mem_free(w);
    if (r->deleting) {
        engine_rule_purge(r);
    }
}
