/* Deletes that a rule's brake holds: which they are, and an operator's word about them. */
#include "daemon/admin/ask.h"

#define PAGE 500

struct deletes {
    struct ask ask;
    struct task_filter filter;
};

/* Size and time are of what would go. */
static int held_row(struct deletes *p, struct backend *b, const struct task *t, struct buf *to)
{
    struct replica replica;
    int r = b->ops->replica_get(b, &p->ask.later.arena, t->rule, t->key, &replica);
    json_open(to, NULL, '{');
    json_key(to, "key", t->key);
    json_time(to, "event_time", t->event_time_ms);
    if (r == 0) {
        json_int(to, "size_bytes", (int64_t)replica.size);
        json_time(to, "replicated", replica.verified_ms);
    }
    json_close(to, '}');
    return r == REPL_ENOTFOUND ? 0 : r;
}

static int run(struct backend *b, struct journal_call *call)
{
    struct deletes *p = CONTAINER_OF(ASK_OF(call), struct deletes, ask);
    struct task *tasks = NULL;
    size_t n = 0;
    struct buf *to = &p->ask.body;
    struct buf next = {0};
    int r = b->ops->task_page(b, &p->ask.later.arena, &p->filter, &tasks, &n);
    json_open(to, NULL, '{');
    json_open(to, "deletes", '[');
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = held_row(p, b, &tasks[i], to);
    }
    json_close(to, ']');
    if (r == 0 && n == PAGE) {
        buf_str(&next, "after_key=");
        json_escape_query(&next, tasks[n - 1].key);
        json_text(to, "next", buf_view(&next));
    } else {
        json_str(to, "next", NULL);
    }
    json_close(to, '}');
    buf_done(&next);
    return r;
}

void command_rule_deletes(struct admin *a, struct httpd_request *r)
{
    const char *after_key = httpd_query(r, "after_key");
    const struct rule *rule = need_rule(a, r);
    if (rule == NULL) {
        return;
    }
    struct deletes *p = ask_new(a, r, sizeof(*p));
    p->filter = (struct task_filter){.rule = rule->number, .state = TASK_HELD, .limit = PAGE};
    if (after_key != NULL) {
        p->filter.after_rule = rule->number;
        p->filter.after_key = arena_span(&p->ask.later.arena, span_str(after_key));
    }
    ask_submit(&p->ask, run);
}

void command_rule_deletes_confirm(struct admin *a, struct httpd_request *r)
{
    const struct rule *rule = need_rule(a, r);
    if (rule == NULL) {
        return;
    }
    bool discard = query_flag(r, "discard");
    const char *reason = discard ? need_query(r, "reason") : NULL;
    if (discard && reason == NULL) {
        return;
    }
    struct later *l = later_new(a, r, sizeof(*l));
    const char *name = arena_strdup(&l->arena, rule->name);
    engine_held_word(a->options.engine, name, span_str(reason), later_word, l);
}
