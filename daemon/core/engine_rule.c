/* Rules in memory, and on their way into the journal. */
#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"

#include <stdio.h>

/* ---- in memory ---- */

void engine_rule_resolve(struct engine_rule *r)
{
    r->from = engine_endpoint_find(r->engine, r->rule.source.endpoint);
    r->to = engine_endpoint_find(r->engine, r->rule.destination.endpoint);
}

/* A deep copy, by way of the stored form. */
static int copy_rule(const struct rule *in, struct arena *a, struct rule *ret, struct fail *f)
{
    struct buf json = {0};
    rule_to_json(in, &json);
    int status = rule_from_json(buf_view(&json), a, ret, f);
    ret->number = in->number;
    buf_done(&json);
    return status;
}

static void insert_by_number(struct engine *e, struct engine_rule *r)
{
    LIST_FOR (link, &e->rules) {
        if (CONTAINER_OF(link, struct engine_rule, link)->rule.number > r->rule.number) {
            list_insert_before(link, &r->link);
            return;
        }
    }
    list_push_back(&e->rules, &r->link);
}

struct engine_rule *engine_rule_add(struct engine *e, const struct rule *rule)
{
    struct engine_rule *r = MEM_NEW(struct engine_rule);
    struct fail f;
    r->engine = e;
    arena_init(&r->arena);
    list_init(&r->works);
    r->next_try_ms = INT64_MAX;
    r->ready = true;
    if (copy_rule(rule, &r->arena, &r->rule, &f) != 0) {
        arena_done(&r->arena);
        mem_free(r);
        return NULL;
    }
    engine_rule_resolve(r);
    engine_prefixes_make(r);
    engine_stats_rule(r);
    timer_init(&r->purge_timer, e->loop, engine_rule_purge_fn, r);
    insert_by_number(e, r);
    return r;
}

void engine_rule_free(struct engine_rule *r)
{
    list_remove(&r->link);
    timer_stop(&r->purge_timer);
    engine_prefixes_free(r);
    arena_done(&r->arena);
    mem_free(r);
}

/* No time of ours may be before one that a watermark has passed. */
static int load_prefixes(struct engine_rule *r, struct backend *b, struct arena *a)
{
    struct prefix_list list = {0};
    int status = b->ops->prefixes_list(b, a, r->rule.number, &list);
    for (size_t i = 0; status == 0 && i < list.count; i++) {
        engine_clock_passed(r->engine, list.prefixes[i].watermark_ms);
    }
    return status;
}

struct engine_rule *engine_rule_mirror(const struct engine_rule *r)
{
    LIST_FOR (link, &r->engine->rules) {
        struct engine_rule *other = CONTAINER_OF(link, struct engine_rule, link);
        if (r->rule.two_way && !other->deleting && other->rule.two_way &&
            rules_is_mirror(&r->rule, &other->rule, r->engine->conf)) {
            return other;
        }
    }
    return NULL;
}

static int load_lag(struct engine_rule *r, struct backend *b, struct arena *a)
{
    struct frontier frontier;
    struct brake brake;
    int status = b->ops->frontier(b, a, r->rule.number, &frontier);
    if (status == 0) {
        engine_clock_passed(r->engine, frontier.watermark_ms);
        status = b->ops->brake_get(b, a, r->rule.number, INT64_MAX, &brake);
    }
    if (status == 0) {
        status = load_prefixes(r, b, a);
    }
    if (status == 0) {
        engine_brake_learn(r, &brake);
        status = b->ops->counts(b, r->rule.number, &r->counts);
    }
    return status;
}

static int load_rule(struct engine *e, struct backend *b, const struct rule_record *rec,
                     struct fail *f)
{
    struct arena a;
    struct rule rule;
    struct fail inner;
    arena_init(&a);
    int status = rule_from_json(rec->text, &a, &rule, &inner);
    if (status != 0) {
        fail_set(f, status, "rule %.*s in the journal cannot be read: %.120s", SPAN_ARG(rec->name),
                 inner.text);
    } else {
        rule.number = rec->rule;
        struct engine_rule *r = engine_rule_add(e, &rule);
        r->deleting = rec->deleting;
        status = load_lag(r, b, &a);
    }
    arena_done(&a);
    return status;
}

int engine_rules_load(struct engine *e, struct backend *b, struct fail *f)
{
    struct arena a;
    struct rule_record *records;
    size_t count;
    arena_init(&a);
    int status = b->ops->rule_list(b, &a, &records, &count);
    if (status != 0) {
        fail_set(f, status, "rules cannot be read from the journal");
    }
    for (size_t i = 0; status == 0 && i < count; i++) {
        status = load_rule(e, b, &records[i], f);
    }
    arena_done(&a);
    return status;
}

/* ---- put ---- */

struct rule_put {
    struct list link; /* in engine.puts */
    struct journal_call call;
    struct engine *engine;
    struct arena arena;
    struct rule rule;
    struct buf json;
    uint32_t number;
    engine_done_fn *done;
    void *arg;
};

static void free_put(struct rule_put *p)
{
    struct engine *e = p->engine;
    struct engine_rule *r = engine_rule_by_name(e, p->rule.name);
    if (r != NULL) {
        r->changing = false;
    }
    list_remove(&p->link);
    buf_done(&p->json);
    arena_done(&p->arena);
    mem_free(p);
}

static void refuse_put(struct rule_put *p, int status, const struct fail *f)
{
    engine_done_later(p->engine, p->done, p->arg, status, f);
    free_put(p);
}

static bool asks_more(const struct rule *now, const struct rule *before)
{
    return (now->existing && !before->existing) ||
           (now->scan.mode == RULE_SCAN_ONCE && before->scan.mode != RULE_SCAN_ONCE) ||
           (now->deletes != RULE_DELETES_IGNORE && before->deletes == RULE_DELETES_IGNORE) ||
           (now->versions == RULE_VERSIONS_ALL && before->versions != RULE_VERSIONS_ALL);
}

static void apply_change(struct engine_rule *r, const struct rule *rule)
{
    struct arena old = r->arena;
    struct rule before = r->rule;
    struct fail f;
    arena_init(&r->arena);
    if (copy_rule(rule, &r->arena, &r->rule, &f) != 0) {
        LOG_ERROR(r->engine->log, ENGINE_SUBJECT, "stored rule is unreadable: %s", f.text);
    }
    engine_prefixes_make(r);
    engine_notify_change(r, &before);
    bool takes_more = rules_takes_more(&r->rule, &before);
    if (takes_more || asks_more(&r->rule, &before)) {
        r->proof_ms = 0; /* that scan has not looked at all that is asked for now */
    }
    arena_done(&old);
    engine_rule_resolve(r);
    r->ready = true;
    if (!r->rule.enabled) {
        engine_work_cancel_rule(r, 0);
    }
    engine_scan_wake(r, takes_more);
}

static int run_put(struct backend *b, struct journal_call *call)
{
    struct rule_put *p = CONTAINER_OF(call, struct rule_put, call);
    struct rule_record rec = {
        .rule = p->rule.number, .name = span_str(p->rule.name), .text = buf_view(&p->json)};
    int status = b->ops->rule_put(b, &rec, &p->number);
    struct span *prefixes;
    size_t n = engine_prefixes_keys(&p->rule, &p->arena, &prefixes);
    return status == 0 ? b->ops->prefixes_set(b, p->number, prefixes, n) : status;
}

static void put_done(struct journal_call *call)
{
    struct rule_put *p = CONTAINER_OF(call, struct rule_put, call);
    struct engine *e = p->engine;
    struct engine_rule *r = engine_rule_by_number(e, p->rule.number);
    if (r != NULL) {
        r->storing = false;
    }
    if (call->status == REPL_EEXISTS) {
        fail_set(&call->fail, REPL_EEXISTS, "a rule of this name is still being cleared");
        fail_hint(&call->fail, "repeat it when that is done, or take another name");
    }
    if (call->status == 0) {
        p->rule.number = p->number;
        if (r != NULL) {
            apply_change(r, &p->rule);
        } else {
            r = engine_rule_add(e, &p->rule);
            engine_scan_start(r);
            engine_notify_start(r);
        }
        LOG_NOTICE(e->log, ENGINE_SUBJECT, "rule %s is stored%s", p->rule.name,
                   p->rule.enabled ? "" : " and paused");
        engine_limits_apply(e);
        engine_lag_soon(e);
        engine_claim_soon(e);
    }
    p->done(p->arg, call->status, &call->fail);
    free_put(p);
}

static void submit_put(struct rule_put *p)
{
    struct engine_rule *r = engine_rule_by_number(p->engine, p->rule.number);
    if (r != NULL) {
        r->storing = true;
    }
    rule_to_json(&p->rule, &p->json);
    p->call.run = run_put;
    p->call.done = put_done;
    journal_submit(p->engine->journal, &p->call);
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

static bool same_place(const struct rule_place *a, const struct rule_place *b)
{
    return same_text(a->endpoint, b->endpoint) && same_text(a->bucket, b->bucket) &&
           same_text(a->prefix, b->prefix);
}

/* What the journal knows of a rule's replicas is of these places. */
static int check_places(const struct engine_rule *r, const struct rule *rule, struct fail *f)
{
    if (same_place(&r->rule.source, &rule->source) &&
        same_place(&r->rule.destination, &rule->destination)) {
        return 0;
    }
    fail_set(f, REPL_ECONFLICT, "rule %s: source and destination of a rule cannot change",
             rule->name);
    fail_hint(f, "add a rule of another name, then delete this one");
    return REPL_ECONFLICT;
}

static int check_endpoint(struct engine *e, const char *name, struct fail *f)
{
    if (engine_endpoint_find(e, name) != NULL) {
        return 0;
    }
    char hint[sizeof(f->hint)];
    engine_unknown_endpoint(e, name, f);
    snprintf(hint, sizeof(hint), "%s", f->hint);
    fail_set(f, REPL_EBADINPUT, "endpoint %s is not in the configuration", name);
    fail_hint(f, "%s; add it to repld.yaml, then: replctl reload", hint);
    return REPL_EBADINPUT;
}

int engine_rule_check(struct engine *e, const struct rule *rule, struct fail *f)
{
    const struct engine_rule *r = engine_rule_by_name(e, rule->name);
    int status = check_endpoint(e, rule->source.endpoint, f);
    if (status == 0) {
        status = check_endpoint(e, rule->destination.endpoint, f);
    }
    return status == 0 && r != NULL ? check_places(r, rule, f) : status;
}

/* Against all rules but itself, those on their way included. */
static int check_overlap(struct engine *e, const struct rule_put *p, struct fail *f)
{
    struct arena a;
    size_t n = 0;
    arena_init(&a);
    LIST_FOR (link, &e->rules) {
        n++;
    }
    LIST_FOR (link, &e->puts) {
        n++;
    }
    struct rule *others = arena_alloc(&a, (n + 1) * sizeof(*others));
    n = 0;
    LIST_FOR (link, &e->rules) {
        const struct engine_rule *r = CONTAINER_OF(link, struct engine_rule, link);
        if (!r->deleting && strcmp(r->rule.name, p->rule.name) != 0) {
            others[n++] = r->rule;
        }
    }
    LIST_FOR (link, &e->puts) {
        const struct rule_put *q = CONTAINER_OF(link, struct rule_put, link);
        if (q != p && strcmp(q->rule.name, p->rule.name) != 0) {
            others[n++] = q->rule;
        }
    }
    int status = rules_check_overlap(&p->rule, others, n, e->conf, f);
    if (status == 0) {
        status = rules_check_circle(&p->rule, others, n, e->conf, f);
    }
    arena_done(&a);
    return status;
}

static int check_turn(struct engine *e, const struct rule_put *p, struct fail *f)
{
    const struct engine_rule *r = engine_rule_by_name(e, p->rule.name);
    bool busy = r != NULL && r->changing;
    LIST_FOR (link, &e->puts) {
        const struct rule_put *q = CONTAINER_OF(link, struct rule_put, link);
        busy = busy || (q != p && strcmp(q->rule.name, p->rule.name) == 0);
    }
    if (busy) {
        fail_set(f, REPL_ECONFLICT, "rule %s is being changed right now", p->rule.name);
        fail_hint(f, "repeat it when that is done");
    }
    return busy ? REPL_ECONFLICT : 0;
}

static int check_put(struct rule_put *p, struct fail *f)
{
    struct engine *e = p->engine;
    int status = e->stopping ? fail_set(f, REPL_ECLOSED, "repld is stopping") : 0;
    if (status == 0) {
        status = check_turn(e, p, f);
    }
    if (status == 0) {
        status = engine_rule_check(e, &p->rule, f);
    }
    return status == 0 ? check_overlap(e, p, f) : status;
}

static void preflighted(void *arg, int status, const struct fail *f)
{
    struct rule_put *p = arg;
    struct fail closed;
    if (status == 0 && p->engine->stopping) {
        status = fail_set(&closed, REPL_ECLOSED, "repld is stopping");
        f = &closed;
    }
    if (status != 0) {
        refuse_put(p, status, f);
        return;
    }
    submit_put(p);
}

/* A change of a rule asks nothing new of the buckets, but for versions. */
static bool is_worth_a_trial(const struct engine_rule *r, const struct rule *rule)
{
    return r == NULL ||
           (rule->versions == RULE_VERSIONS_ALL && r->rule.versions != rule->versions) ||
           (rule->deletes == RULE_DELETES_MARKER && r->rule.deletes != RULE_DELETES_MARKER);
}

void engine_rule_try(struct engine *e, const struct rule *rule, engine_done_fn *done, void *arg)
{
    if (is_worth_a_trial(engine_rule_by_name(e, rule->name), rule)) {
        engine_preflight(e, rule, done, arg);
    } else {
        engine_done_later(e, done, arg, 0, NULL);
    }
}

void engine_rule_put(struct engine *e, const struct rule *rule, bool no_preflight,
                     engine_done_fn *done, void *arg)
{
    struct rule_put *p = MEM_NEW(struct rule_put);
    struct fail f;
    p->engine = e;
    p->done = done;
    p->arg = arg;
    arena_init(&p->arena);
    list_push_back(&e->puts, &p->link);
    int status = copy_rule(rule, &p->arena, &p->rule, &f);
    if (status != 0) {
        p->rule.name = "";
        refuse_put(p, status, &f);
        return;
    }
    struct engine_rule *r = engine_rule_by_name(e, p->rule.name);
    bool busy = r != NULL && r->changing;
    status = check_put(p, &f);
    if (status != 0) {
        refuse_put(p, status, &f);
        if (r != NULL) {
            r->changing = busy;
        }
        return;
    }
    p->rule.number = r != NULL ? r->rule.number : 0;
    bool is_tried = !no_preflight && is_worth_a_trial(r, &p->rule);
    if (r != NULL) {
        r->changing = true;
    }
    if (!is_tried) {
        submit_put(p);
    } else {
        engine_preflight(e, &p->rule, preflighted, p);
    }
}
