#include "daemon/admin/ask.h"

static void copy_rules(struct ask *q)
{
    const struct rule *const *rules;
    size_t n = engine_rules(q->later.admin->options.engine, &rules);
    q->rules = arena_alloc(&q->later.arena, (n + 1) * sizeof(*q->rules));
    for (; q->rule_count < n; q->rule_count++) {
        const struct rule *rule = rules[q->rule_count];
        q->rules[q->rule_count].number = rule->number;
        q->rules[q->rule_count].name = arena_strdup(&q->later.arena, rule->name);
    }
}

void *ask_new(struct admin *a, struct httpd_request *r, size_t size)
{
    struct ask *q = later_new(a, r, size);
    copy_rules(q);
    return q;
}

static void answered(struct journal_call *call)
{
    struct ask *q = ASK_OF(call);
    if (call->status != 0) {
        buf_done(&q->body);
        later_fail(&q->later, call->status, &call->fail);
        return;
    }
    if (q->finish != NULL) {
        q->finish(q);
    }
    later_reply(&q->later, &q->body);
}

void ask_submit(struct ask *q, int (*run)(struct backend *b, struct journal_call *call))
{
    q->call.run = run;
    q->call.done = answered;
    q->call.access = JOURNAL_READ;
    journal_submit(engine_journal(q->later.admin->options.engine), &q->call);
}

const char *ask_rule_name(const struct ask *q, uint32_t number)
{
    for (size_t i = 0; i < q->rule_count; i++) {
        if (q->rules[i].number == number) {
            return q->rules[i].name;
        }
    }
    return "";
}
