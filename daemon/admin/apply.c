/* apply: makes the rules what a file says. The whole is checked before the first change; deletes go
 * first, then changes, then new rules, so that a destination can pass from one rule to another. */
#include "daemon/admin/command.h"
#include "daemon/conf/doc.h"
#include "daemon/rules/rules.h"

enum step_kind { STEP_DELETE, STEP_UPDATE, STEP_ADD, STEP_NONE };

static const char *const step_names[] = {"delete", "update", "add", "none"};

struct step {
    enum step_kind kind;
    struct rule rule;
    const char *before; /* JSON; NULL = there was none */
    const char *after;
};

struct apply {
    struct later later;
    struct rule_file wanted;
    struct step *steps;
    size_t count;
    size_t at;      /* the next to do */
    size_t changed; /* done so far */
    size_t to_do;
    enum step_kind phase;
    bool no_preflight;
};

static const char *json_of(const struct rule *rule, struct arena *a)
{
    struct buf text = {0};
    rule_to_json(rule, &text);
    const char *copy = arena_strdup(a, buf_cstr(&text));
    buf_done(&text);
    return copy;
}

static bool is_wanted(const struct apply *p, const char *name)
{
    for (size_t i = 0; i < p->wanted.count; i++) {
        if (strcmp(p->wanted.rules[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void plan_wanted(struct apply *p, const struct rule *rule)
{
    struct arena *a = &p->later.arena;
    struct step *step = &p->steps[p->count++];
    const struct rule *old = engine_rule_find(p->later.admin->options.engine, rule->name);
    step->rule = *rule;
    step->after = json_of(rule, a);
    step->before = old != NULL ? json_of(old, a) : NULL;
    step->kind = old == NULL                              ? STEP_ADD
                 : strcmp(step->before, step->after) == 0 ? STEP_NONE
                                                          : STEP_UPDATE;
}

static void plan(struct apply *p, bool prune)
{
    struct arena *a = &p->later.arena;
    const struct rule *const *rules;
    size_t n = engine_rules(p->later.admin->options.engine, &rules);
    p->steps = arena_alloc(a, (n + p->wanted.count + 1) * sizeof(*p->steps));
    for (size_t i = 0; i < n; i++) {
        if (prune && !is_wanted(p, rules[i]->name)) {
            struct step *step = &p->steps[p->count++];
            step->kind = STEP_DELETE;
            step->before = json_of(rules[i], a);
            step->rule.name = arena_strdup(a, rules[i]->name);
        }
    }
    for (size_t i = 0; i < p->wanted.count; i++) {
        plan_wanted(p, &p->wanted.rules[i]);
    }
    for (size_t i = 0; i < p->count; i++) {
        p->to_do += p->steps[i].kind != STEP_NONE ? 1 : 0;
    }
}

/* ---- what is refused, all of it at once and before the first change ---- */

struct refusal {
    const char *rule;
    struct fail fail;
};

static int check_one(const struct apply *p, const struct rule *rule, const struct rule *others,
                     size_t count, struct fail *f)
{
    const struct admin_options *o = &p->later.admin->options;
    int status = engine_rule_check(o->engine, rule, f);
    if (status == 0) {
        status = rules_check_overlap(rule, others, count, o->conf, f);
    }
    return status == 0 ? rules_check_circle(rule, others, count, o->conf, f) : status;
}

/* The rules as they will be may not write the same keys, nor lead in a circle. Returns how many of
 * those wanted are refused. */
static size_t check(struct apply *p, bool prune, struct refusal *refused)
{
    const struct rule *const *rules;
    size_t n = engine_rules(p->later.admin->options.engine, &rules);
    struct rule *all = arena_alloc(&p->later.arena, (n + p->wanted.count + 1) * sizeof(*all));
    size_t count = 0;
    size_t faults = 0;
    for (size_t i = 0; i < n && !prune; i++) {
        if (!is_wanted(p, rules[i]->name)) {
            all[count++] = *rules[i];
        }
    }
    for (size_t i = 0; i < p->wanted.count; i++) {
        const struct rule *rule = &p->wanted.rules[i];
        refused[faults].rule = rule->name;
        faults += check_one(p, rule, all, count, &refused[faults].fail) != 0 ? 1 : 0;
        all[count++] = *rule;
    }
    return faults;
}

static void reply_refusals(struct apply *p, const struct refusal *refused, size_t count)
{
    struct buf body = {0};
    struct fail sum = refused[0].fail;
    if (count > 1) {
        fail_set(&sum, refused[0].fail.code, "%zu rules are refused, nothing was changed", count);
        fail_hint(&sum, "mend them and apply again");
    }
    json_open(&body, NULL, '{');
    json_open(&body, "error", '{');
    json_str(&body, "code", fail_name(sum.code));
    json_str(&body, "text", sum.text);
    json_str(&body, "hint", sum.hint);
    json_open(&body, "errors", '[');
    for (size_t i = 0; i < count; i++) {
        json_open(&body, NULL, '{');
        json_str(&body, "rule", refused[i].rule);
        json_str(&body, "text", refused[i].fail.text);
        json_str(&body, "hint", refused[i].fail.hint);
        json_close(&body, '}');
    }
    json_close(&body, ']');
    json_close(&body, '}');
    json_close(&body, '}');
    later_refuse(&p->later, sum.code, &body);
}

/* ---- what is done ---- */

static void reply_plan(struct apply *p, bool dry_run)
{
    struct buf body = {0};
    json_open(&body, NULL, '{');
    json_bool(&body, "dry_run", dry_run);
    json_int(&body, "changed", (int64_t)p->changed);
    json_open(&body, "changes", '[');
    for (size_t i = 0; i < p->count; i++) {
        const struct step *step = &p->steps[i];
        json_open(&body, NULL, '{');
        json_str(&body, "rule", step->rule.name);
        json_str(&body, "action", step_names[step->kind]);
        json_raw(&body, "before", span_str(step->before != NULL ? step->before : "null"));
        json_raw(&body, "after", span_str(step->after != NULL ? step->after : "null"));
        json_close(&body, '}');
    }
    json_close(&body, ']');
    json_close(&body, '}');
    later_reply(&p->later, &body);
}

static void go_on(struct apply *p);

static void step_done(void *arg, int status, const struct fail *f)
{
    struct apply *p = arg;
    if (status == 0) {
        p->changed++;
        p->at++;
        go_on(p);
        return;
    }
    struct fail told = {0};
    fail_set(&told, status, "%zu of %zu changes were made; rule \"%s\": %s", p->changed, p->to_do,
             p->steps[p->at].rule.name,
             f != NULL && f->text[0] != '\0' ? f->text : fail_text(status));
    fail_hint(&told, "%s", f != NULL && f->hint[0] != '\0' ? f->hint : "mend it and apply again");
    later_fail(&p->later, status, &told);
}

static void go_on(struct apply *p)
{
    struct engine *e = p->later.admin->options.engine;
    while (p->phase < STEP_NONE) {
        while (p->at < p->count && p->steps[p->at].kind != p->phase) {
            p->at++;
        }
        if (p->at < p->count) {
            break;
        }
        p->phase++;
        p->at = 0;
    }
    if (p->phase == STEP_NONE) {
        reply_plan(p, false);
    } else if (p->phase == STEP_DELETE) {
        engine_rule_delete(e, p->steps[p->at].rule.name, step_done, p);
    } else {
        engine_rule_put(e, &p->steps[p->at].rule, p->no_preflight, step_done, p);
    }
}

void command_apply(struct admin *a, struct httpd_request *r)
{
    struct fail f = {0};
    struct apply *p = later_new(a, r, sizeof(*p));
    bool prune = query_flag(r, "prune");
    p->no_preflight = query_flag(r, "no_preflight");
    int status = rule_list_from_json(httpd_body(r), &p->later.arena, &p->wanted, &f);
    if (status != 0) {
        later_fail(&p->later, status, &f);
        return;
    }
    struct refusal *refused =
        arena_alloc(&p->later.arena, (p->wanted.count + 1) * sizeof(*refused));
    size_t count = check(p, prune, refused);
    if (count > 0) {
        reply_refusals(p, refused, count);
        return;
    }
    plan(p, prune);
    if (query_flag(r, "dry_run")) {
        reply_plan(p, true);
    } else {
        go_on(p);
    }
}
