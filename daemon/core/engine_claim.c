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
    uint64_t epoch;
    int64_t now_ms;
    struct claim_plan plan;
    struct claim_rule *rules;
    int64_t *objective_ms; /* by rule, as the next */
    int64_t *next_try_ms;
    int64_t *brake_from_ms; /* 0 = no question */
    struct brake *brakes;
    size_t rule_count;
    struct task_list *lists; /* one a step */
    size_t list_count;
    size_t list_cap;
};

static struct task_list *new_list(struct claim_call *c)
{
    if (c->list_count == c->list_cap) {
        c->list_cap = c->list_cap == 0 ? 16 : 2 * c->list_cap;
        c->lists = mem_realloc(c->lists, c->list_cap * sizeof(*c->lists));
    }
    c->lists[c->list_count] = (struct task_list){0};
    return &c->lists[c->list_count++];
}

static int run_step(struct backend *b, struct claim_call *c, const struct claim_step *step)
{
    int64_t late_ms = c->now_ms - c->objective_ms[step->rule - c->rules];
    struct task_list *list = new_list(c);
    struct claim what = {.rule = step->rule->rule,
                         .origin = step->class == COPY_BACKFILL ? TASK_BACKFILL : TASK_LIVE,
                         .order = step->order,
                         .from_ms = step->class == COPY_FRESH ? late_ms : 0,
                         .until_ms = step->class == COPY_LATE ? late_ms : 0,
                         .limit = step->limit,
                         .epoch = c->epoch,
                         .now_ms = c->now_ms};
    int status = b->ops->claim(b, &what, &c->batch->arena, list);
    if (status == 0) {
        claim_plan_got(&c->plan, step, list->count);
    }
    return status;
}

static int run_claim(struct backend *b, struct journal_call *call)
{
    struct claim_call *c = CONTAINER_OF(call, struct claim_call, call);
    struct claim_step step;
    int status = 0;
    while (status == 0 && claim_plan_next(&c->plan, &step)) {
        status = run_step(b, c, &step);
    }
    for (size_t i = 0; status == 0 && i < c->rule_count; i++) {
        status = b->ops->next_try(b, c->rules[i].rule, &c->next_try_ms[i]);
        if (status == 0 && c->brake_from_ms[i] != 0) {
            status = b->ops->brake_get(b, &c->batch->arena, c->rules[i].rule, c->brake_from_ms[i],
                                       &c->brakes[i]);
        }
    }
    return status;
}

/* ---- afterwards ---- */

/* With room left over everything claimable was taken: the rule is quiet until something happens. */
static void settle_rule(struct claim_call *c, size_t at)
{
    const struct claim_rule *now = &c->rules[at];
    struct engine_rule *r = engine_rule_by_number(c->engine, now->rule);
    if (r == NULL) {
        return;
    }
    memcpy(r->credit, now->credit, sizeof(r->credit));
    r->newest_first = now->newest_first;
    r->next_try_ms = c->next_try_ms[at];
    if (c->brake_from_ms[at] != 0) {
        engine_brake_learn(r, &c->brakes[at]);
    }
    if (c->plan.room > 0 && now->got < now->limit) {
        r->ready = false;
    }
}

static void start_works(struct claim_call *c)
{
    for (size_t i = 0; i < c->list_count; i++) {
        for (size_t k = 0; k < c->lists[i].count; k++) {
            engine_work_start(c->engine, &c->lists[i].tasks[k], c->batch);
        }
    }
}

static void free_call(struct claim_call *c)
{
    engine_batch_unref(c->batch);
    mem_free(c->rules);
    mem_free(c->objective_ms);
    mem_free(c->next_try_ms);
    mem_free(c->brake_from_ms);
    mem_free(c->brakes);
    mem_free(c->plan.parts);
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

static void add_rule(struct claim_call *c, const struct engine_rule *r, size_t limit)
{
    struct claim_rule *to = &c->rules[c->rule_count];
    *to = (struct claim_rule){.rule = r->rule.number,
                              .weight = claim_weight(r->rule.priority),
                              .limit = limit,
                              .newest_first = r->newest_first};
    memcpy(to->credit, r->credit, sizeof(to->credit));
    c->brake_from_ms[c->rule_count] = engine_brake_from_ms(r, c->now_ms);
    c->objective_ms[c->rule_count++] = r->rule.objective_ms;
}

static void collect_rules(struct claim_call *c, size_t room)
{
    LIST_FOR (link, &c->engine->rules) {
        struct engine_rule *r = CONTAINER_OF(link, struct engine_rule, link);
        size_t limit = limit_of(r, room);
        if (limit > 0) {
            add_rule(c, r, limit);
        }
    }
}

static struct claim_call *new_call(struct engine *e, size_t rules_most)
{
    struct claim_call *c = MEM_NEW(struct claim_call);
    c->engine = e;
    c->batch = MEM_NEW(struct claim_batch);
    c->batch->refs = 1;
    arena_init(&c->batch->arena);
    c->epoch = journal_epoch(e->journal);
    c->now_ms = engine_now_ms(e);
    c->rules = mem_array(rules_most, sizeof(*c->rules));
    c->objective_ms = mem_array(rules_most, sizeof(*c->objective_ms));
    c->brake_from_ms = mem_array(rules_most, sizeof(*c->brake_from_ms));
    c->call.run = run_claim;
    c->call.done = claim_done;
    return c;
}

static void submit(struct claim_call *c, size_t room)
{
    struct engine *e = c->engine;
    struct claim_part *parts = mem_array(CLAIM_PARTS(c->rule_count), sizeof(*parts));
    c->next_try_ms = mem_array(c->rule_count, sizeof(*c->next_try_ms));
    c->brakes = mem_array(c->rule_count, sizeof(*c->brakes));
    c->plan.room = room;
    engine_shares(e, c->plan.shares);
    claim_plan_start(&c->plan, c->rules, c->rule_count, parts);
    e->claiming = true;
    journal_submit(e->journal, &c->call);
}

/* ---- when ---- */

/* Waiting tasks that are due make their rule ready; the next ones start the timer. */
static void look_at_clock(struct engine *e)
{
    int64_t now = engine_now_ms(e);
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
    struct claim_call *c = new_call(e, most);
    collect_rules(c, room);
    if (c->rule_count > 0) {
        submit(c, room);
    } else {
        free_call(c);
    }
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
