/* apply: makes the rules what a file says. The whole is checked, and tried on the real buckets,
 * before the first change; deletes go first, then changes, then new rules, so that a destination
 * can pass from one rule to another. */
#include "daemon/admin/command.h"
#include "daemon/conf/doc.h"
#include "daemon/rules/rules.h"

#define TRIALS_MAX 8 /* rules that are tried at a time */

enum step_kind { STEP_DELETE, STEP_UPDATE, STEP_ADD, STEP_NONE };

static const char *const step_names[] = {"delete", "update", "add", "none"};

struct step {
    enum step_kind kind;
    struct rule rule;
    const char *before; /* JSON; NULL = there was none */
    const char *after;
    struct apply *apply;
    struct fail trial; /* how its trial ended */
    bool is_done;
};

struct refusal {
    const char *rule;
    struct fail fail;
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
    struct refusal *refused; /* room for all that are wanted */
    size_t refused_count;
    size_t tried;  /* steps looked at for a trial */
    size_t trying; /* trials under way */
    bool is_trying;
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
    step->apply = p;
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

static void refuse(struct apply *p, const char *rule, const struct fail *f)
{
    p->refused[p->refused_count++] = (struct refusal){.rule = rule, .fail = *f};
}

/* The rules as they will be may not write the same keys, nor lead in a circle. */
static void check(struct apply *p, bool prune)
{
    const struct rule *const *rules;
    size_t n = engine_rules(p->later.admin->options.engine, &rules);
    struct rule *all = arena_alloc(&p->later.arena, (n + p->wanted.count + 1) * sizeof(*all));
    size_t count = 0;
    for (size_t i = 0; i < n && !prune; i++) {
        if (!is_wanted(p, rules[i]->name)) {
            all[count++] = *rules[i];
        }
    }
    for (size_t i = 0; i < p->wanted.count; i++) {
        const struct rule *rule = &p->wanted.rules[i];
        struct fail f = {0};
        if (check_one(p, rule, all, count, &f) != 0) {
            refuse(p, rule->name, &f);
        }
        all[count++] = *rule;
    }
}

static void reply_refusals(struct apply *p)
{
    struct buf body = {0};
    const struct refusal *refused = p->refused;
    size_t count = p->refused_count;
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

static void name_steps(const struct apply *p, const char *name, bool is_done, struct buf *to)
{
    json_open(to, name, '[');
    for (size_t i = 0; i < p->count; i++) {
        if (p->steps[i].kind != STEP_NONE && p->steps[i].is_done == is_done) {
            json_str(to, NULL, p->steps[i].rule.name);
        }
    }
    json_close(to, ']');
}

static void reply_half(struct apply *p, const struct fail *f)
{
    struct buf body = {0};
    json_open(&body, NULL, '{');
    json_open(&body, "error", '{');
    json_str(&body, "code", fail_name(f->code));
    json_str(&body, "text", f->text);
    json_str(&body, "hint", f->hint);
    name_steps(p, "changed", true, &body);
    name_steps(p, "not_changed", false, &body);
    json_close(&body, '}');
    json_close(&body, '}');
    later_refuse(&p->later, f->code, &body);
}

static void go_on(struct apply *p);

static void step_done(void *arg, int status, const struct fail *f)
{
    struct apply *p = arg;
    if (status == 0) {
        p->changed++;
        p->steps[p->at].is_done = true;
        p->at++;
        go_on(p);
        return;
    }
    struct fail told = {0};
    fail_set(&told, status, "%zu of %zu changes were made; rule \"%s\": %s", p->changed, p->to_do,
             p->steps[p->at].rule.name,
             f != NULL && f->text[0] != '\0' ? f->text : fail_text(status));
    fail_hint(&told, "%s", f != NULL && f->hint[0] != '\0' ? f->hint : "mend it and apply again");
    reply_half(p, &told);
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
        engine_rule_put(e, &p->steps[p->at].rule, true, step_done, p);
    }
}

/* ---- trials ---- */

static void try_more(struct apply *p);

static void trial_done(void *arg, int status, const struct fail *f)
{
    struct step *step = arg;
    struct apply *p = step->apply;
    p->trying--;
    if (status != 0) {
        step->trial = *f;
        step->trial.code = status;
    }
    try_more(p);
}

/* In the order of the file. */
static void end_trials(struct apply *p)
{
    for (size_t i = 0; i < p->count; i++) {
        if (p->steps[i].trial.code != 0) {
            refuse(p, p->steps[i].rule.name, &p->steps[i].trial);
        }
    }
    if (p->refused_count > 0) {
        reply_refusals(p);
    } else {
        go_on(p);
    }
}

/* A trial may end within the call that begins it. */
static void try_more(struct apply *p)
{
    if (p->is_trying) {
        return;
    }
    p->is_trying = true;
    while (p->trying < TRIALS_MAX && p->tried < p->count) {
        struct step *step = &p->steps[p->tried++];
        if (step->kind == STEP_ADD || step->kind == STEP_UPDATE) {
            p->trying++;
            engine_rule_try(p->later.admin->options.engine, &step->rule, trial_done, step);
        }
    }
    p->is_trying = false;
    if (p->trying == 0) {
        end_trials(p);
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
    p->refused = arena_alloc(&p->later.arena, (p->wanted.count + 1) * sizeof(*p->refused));
    check(p, prune);
    if (p->refused_count > 0) {
        reply_refusals(p);
        return;
    }
    plan(p, prune);
    if (query_flag(r, "dry_run")) {
        reply_plan(p, true);
    } else if (p->no_preflight) {
        go_on(p);
    } else {
        try_more(p);
    }
}
