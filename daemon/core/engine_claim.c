#include "daemon/base/mem.h"
#include "daemon/core/claim_plan.h"
#include "daemon/core/engine_impl.h"

#define FAILING_WAIT_MS 1000
#define OUTAGE_WORKS    8 /* enough to notice that an endpoint answers again */

/* One question for tasks, answered from several rules. */
struct claim_call {
    struct journal_call call;
    struct engine *engine;
    struct claim_batch *batch;
    size_t room;
    uint64_t epoch;
    int64_t now_ms;
    struct claim_rule *rules;
    size_t rule_count;
    int64_t *next_try_ms;
    size_t *got;
    struct claim_step *steps;
    size_t step_count;
    struct task_list *lists; /* one a step */
    size_t claimed;
};

static size_t rule_at(const struct claim_call *c, uint32_t rule)
{
    size_t i = 0;
    while (i + 1 < c->rule_count && c->rules[i].rule != rule) {
        i++;
    }
    return i;
}

static int run_step(struct backend *b, struct claim_call *c, size_t at)
{
    const struct claim_step *step = &c->steps[at];
    size_t rule = rule_at(c, step->rule);
    size_t left = c->room - c->claimed;
    size_t allowed = c->rules[rule].limit - c->got[rule];
    size_t limit = step->limit < left ? step->limit : left;
    limit = limit < allowed ? limit : allowed;
    if (limit == 0) {
        return 0;
    }
    struct claim what = {.rule = step->rule,
                         .origin = step->origin,
                         .order = step->order,
                         .limit = limit,
                         .epoch = c->epoch,
                         .now_ms = c->now_ms};
    int status = b->ops->claim(b, &what, &c->batch->arena, &c->lists[at]);
    if (status == 0) {
        c->got[rule] += c->lists[at].count;
        c->claimed += c->lists[at].count;
    }
    return status;
}

static int run_claim(struct backend *b, struct journal_call *call)
{
    struct claim_call *c = CONTAINER_OF(call, struct claim_call, call);
    int status = 0;
    for (size_t i = 0; status == 0 && i < c->step_count && c->claimed < c->room; i++) {
        status = run_step(b, c, i);
    }
    for (size_t i = 0; status == 0 && i < c->rule_count; i++) {
        status = b->ops->next_try(b, c->rules[i].rule, &c->next_try_ms[i]);
    }
    return status;
}

/* ---- afterwards ---- */

/* With room left over everything claimable was taken: the rule is quiet until something happens. */
static void settle_rule(struct claim_call *c, size_t at)
{
    struct engine_rule *r = engine_rule_by_number(c->engine, c->rules[at].rule);
    if (r == NULL) {
        return;
    }
    r->credit = c->rules[at].credit - (double)c->got[at];
    r->backfill_credit = c->rules[at].backfill_credit;
    r->newest_first = c->rules[at].newest_first;
    r->next_try_ms = c->next_try_ms[at];
    if (c->claimed < c->room && c->got[at] < c->rules[at].limit) {
        r->ready = false;
    }
}

static void start_works(struct claim_call *c)
{
    for (size_t i = 0; i < c->step_count; i++) {
        for (size_t k = 0; k < c->lists[i].count; k++) {
            engine_work_start(c->engine, &c->lists[i].tasks[k], c->batch);
        }
    }
}

static void free_call(struct claim_call *c)
{
    engine_batch_unref(c->batch);
    mem_free(c->rules);
    mem_free(c->next_try_ms);
    mem_free(c->got);
    mem_free(c->steps);
    mem_free(c->lists);
    mem_free(c);
}

static void claim_done(struct journal_call *call)
{
    struct claim_call *c = CONTAINER_OF(call, struct claim_call, call);
    struct engine *e = c->engine;
    e->claiming = false;
    if (call->status != 0) {
        if (!e->stopping) {
            timer_start(&e->claim_timer, FAILING_WAIT_MS);
        }
    } else {
        for (size_t i = 0; i < c->rule_count; i++) {
            settle_rule(c, i);
        }
        start_works(c);
        engine_claim_soon(e);
    }
    free_call(c);
}

/* ---- whom to ask for ---- */

/* How many of the rule's tasks may be claimed now. */
static size_t limit_of(struct engine_rule *r, size_t room)
{
    struct engine *e = r->engine;
    if (r->deleting || !r->rule.enabled || r->from == NULL || r->to == NULL || !r->ready) {
        return 0;
    }
    if (r->holds > 0) {
        return loop_now_ms(e->loop) >= r->hold_until_ms && r->work_count == 0 ? 1 : 0;
    }
    if (engine_endpoint_blocks(r, NULL, NULL)) {
        return r->work_count < OUTAGE_WORKS ? OUTAGE_WORKS - r->work_count : 0;
    }
    return room;
}

static bool is_late(const struct engine_rule *r)
{
    return r->any && loop_wall_ms(r->engine->loop) - r->oldest_ms > r->rule.objective_ms;
}

static size_t collect_rules(struct engine *e, size_t room, struct claim_rule *to)
{
    size_t n = 0;
    LIST_FOR (link, &e->rules) {
        struct engine_rule *r = CONTAINER_OF(link, struct engine_rule, link);
        size_t limit = limit_of(r, room);
        if (limit > 0) {
            to[n++] = (struct claim_rule){.rule = r->rule.number,
                                          .weight = (unsigned)r->rule.priority + 1,
                                          .limit = limit,
                                          .late = is_late(r),
                                          .backfill = true,
                                          .credit = r->credit,
                                          .backfill_credit = r->backfill_credit,
                                          .newest_first = r->newest_first};
        }
    }
    return n;
}

static void submit(struct engine *e, struct claim_rule *rules, size_t count, size_t room)
{
    struct claim_call *c = MEM_NEW(struct claim_call);
    c->engine = e;
    c->batch = MEM_NEW(struct claim_batch);
    c->batch->refs = 1;
    arena_init(&c->batch->arena);
    c->room = room;
    c->epoch = journal_epoch(e->journal);
    c->now_ms = loop_wall_ms(e->loop);
    c->rules = rules;
    c->rule_count = count;
    c->next_try_ms = mem_array(count, sizeof(*c->next_try_ms));
    c->got = mem_array(count, sizeof(*c->got));
    c->steps = mem_array(count * CLAIM_STEPS_PER_RULE, sizeof(*c->steps));
    c->lists = mem_array(count * CLAIM_STEPS_PER_RULE, sizeof(*c->lists));
    c->step_count = claim_plan_make(rules, count, room, c->steps);
    c->call.run = run_claim;
    c->call.done = claim_done;
    e->claiming = true;
    journal_submit(e->journal, &c->call);
}

/* ---- when ---- */

/* Waiting tasks that are due make their rule ready; the next ones start the timer. */
static void look_at_clock(struct engine *e)
{
    int64_t now = loop_wall_ms(e->loop);
    int64_t next = INT64_MAX;
    LIST_FOR (link, &e->rules) {
        struct engine_rule *r = CONTAINER_OF(link, struct engine_rule, link);
        if (r->next_try_ms <= now) {
            r->ready = true;
            r->next_try_ms = INT64_MAX;
        } else if (r->next_try_ms < next) {
            next = r->next_try_ms;
        }
    }
    if (next != INT64_MAX) {
        int64_t wait = next - now;
        timer_start(&e->claim_timer, wait < 60000 ? (uint64_t)wait : 60000);
    }
}

static size_t count_rules(struct engine *e)
{
    size_t n = 0;
    LIST_FOR (link, &e->rules) {
        n++;
    }
    return n;
}

static void pump(void *arg)
{
    struct engine *e = arg;
    if (e->claiming || e->sched_stopping || journal_is_failing(e->journal)) {
        return;
    }
    look_at_clock(e);
    size_t room = sched_room(e->sched);
    size_t most = count_rules(e);
    if (room == 0 || most == 0) {
        return;
    }
    struct claim_rule *rules = mem_array(most, sizeof(*rules));
    size_t count = collect_rules(e, room, rules);
    if (count == 0) {
        mem_free(rules);
        return;
    }
    submit(e, rules, count, room);
}

void engine_claim_soon(struct engine *e)
{
    deferred_call(&e->claim_kick);
}

void engine_claim_init(struct engine *e)
{
    deferred_init(&e->claim_kick, e->loop, pump, e);
    timer_init(&e->claim_timer, e->loop, pump, e);
}

void engine_claim_done(struct engine *e)
{
    deferred_cancel(&e->claim_kick);
    timer_stop(&e->claim_timer);
}
