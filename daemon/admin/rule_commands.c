#include "daemon/admin/command.h"

static void rule_members(struct admin *a, const struct rule *rule, struct buf *to)
{
    struct buf text = {0};
    json_int(to, "number", rule->number);
    rule_to_json(rule, &text);
    json_raw(to, "rule", buf_view(&text));
    buf_done(&text);
    limit_members(a, &rule->bandwidth, &rule->requests, to);
    struct rule_lag lag = {0};
    if (engine_lag(a->options.engine, rule->name, &lag) == 0) {
        brake_members(&lag, to);
        json_int(to, "held_deletes", (int64_t)lag.counts.held_objects);
    }
}

void command_rules(struct admin *a, struct httpd_request *r)
{
    struct buf body = {0};
    const struct rule *const *rules;
    const char *name = httpd_query(r, "rule");
    if (name != NULL && need_rule(a, r) == NULL) {
        return;
    }
    size_t n = engine_rules(a->options.engine, &rules);
    json_open(&body, NULL, '{');
    json_open(&body, "rules", '[');
    for (size_t i = 0; i < n; i++) {
        if (name == NULL || strcmp(name, rules[i]->name) == 0) {
            json_open(&body, NULL, '{');
            rule_members(a, rules[i], &body);
            json_close(&body, '}');
        }
    }
    json_close(&body, ']');
    json_close(&body, '}');
    reply_json(r, &body);
}

static int check_mode(struct admin *a, const char *mode, const char *name, struct fail *f)
{
    bool exists = engine_rule_find(a->options.engine, name) != NULL;
    if (mode == NULL) {
        return 0;
    }
    if (strcmp(mode, "add") == 0 && exists) {
        fail_set(f, REPL_EEXISTS, "rule \"%s\" exists already", name);
        fail_hint(f, "change it with replctl rule update, or take another name");
        return f->code;
    }
    if (strcmp(mode, "update") == 0 && !exists) {
        return engine_unknown_rule(a->options.engine, name, f);
    }
    return 0;
}

struct put_later {
    struct later later;
    const char *name;
};

static void rule_is_put(void *arg, int status, const struct fail *f)
{
    struct later *l = arg;
    struct put_later *p = CONTAINER_OF(l, struct put_later, later);
    struct buf body = {0};
    if (status != 0) {
        later_fail(l, status, f);
        return;
    }
    json_open(&body, NULL, '{');
    json_bool(&body, "done", true);
    untold_member(l->admin, p->name, &body);
    json_close(&body, '}');
    later_reply(l, &body);
}

void command_rule_put(struct admin *a, struct httpd_request *r)
{
    struct fail f = {0};
    struct rule rule = {0};
    struct put_later *p = later_new(a, r, sizeof(*p));
    struct later *l = &p->later;
    int status = rule_from_json(httpd_body(r), &l->arena, &rule, &f);
    if (status == 0) {
        status = check_mode(a, httpd_query(r, "mode"), rule.name, &f);
    }
    if (status != 0) {
        later_fail(l, status, &f);
        return;
    }
    p->name = rule.name;
    engine_rule_put(a->options.engine, &rule, query_flag(r, "no_preflight"), rule_is_put, l);
}

void command_rule_delete(struct admin *a, struct httpd_request *r)
{
    const struct rule *rule = need_rule(a, r);
    if (rule != NULL) {
        struct later *l = later_new(a, r, sizeof(*l));
        const char *name = arena_strdup(&l->arena, rule->name);
        engine_rule_delete(a->options.engine, name, later_done, l);
    }
}

static void set_enabled(struct admin *a, struct httpd_request *r, bool enabled)
{
    const struct rule *old = need_rule(a, r);
    if (old == NULL) {
        return;
    }
    struct fail f = {0};
    struct buf text = {0};
    struct rule rule = {0};
    struct later *l = later_new(a, r, sizeof(*l));
    rule_to_json(old, &text);
    int status = rule_from_json(buf_view(&text), &l->arena, &rule, &f);
    buf_done(&text);
    if (status != 0) {
        later_fail(l, status, &f);
        return;
    }
    rule.enabled = enabled;
    engine_rule_put(a->options.engine, &rule, true, later_done, l);
}

void command_rule_pause(struct admin *a, struct httpd_request *r)
{
    set_enabled(a, r, false);
}

void command_rule_resume(struct admin *a, struct httpd_request *r)
{
    set_enabled(a, r, true);
}
