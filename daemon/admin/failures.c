#include "daemon/admin/ask.h"

#define PAGE 500

struct failures {
    struct ask ask;
    struct task_filter filter;
};

static void task_row(const struct ask *q, const struct task *t, struct buf *to)
{
    json_open(to, NULL, '{');
    json_str(to, "rule", ask_rule_name(q, t->rule));
    json_key(to, "key", t->key);
    json_str(to, "kind", change_kind_name(t->kind));
    json_time(to, "event_time", t->event_time_ms);
    json_int(to, "attempts", t->attempts);
    if (t->size >= 0) {
        json_int(to, "size_bytes", t->size);
    }
    json_fail(to, "failure", &t->fail);
    json_close(to, '}');
}

static void next_page(const struct task *last, struct buf *to)
{
    struct buf query = {0};
    buf_printf(&query, "after_rule=%u&after_key=", (unsigned)last->rule);
    json_escape_query(&query, last->key);
    json_text(to, "next", buf_view(&query));
    buf_done(&query);
}

static int run(struct backend *b, struct journal_call *call)
{
    struct failures *p = CONTAINER_OF(ASK_OF(call), struct failures, ask);
    struct task *tasks = NULL;
    size_t n = 0;
    struct buf *to = &p->ask.body;
    int r = b->ops->task_page(b, &p->ask.later.arena, &p->filter, &tasks, &n);
    if (r != 0) {
        return r;
    }
    json_open(to, NULL, '{');
    json_open(to, "failures", '[');
    for (size_t i = 0; i < n; i++) {
        task_row(&p->ask, &tasks[i], to);
    }
    json_close(to, ']');
    if (n == PAGE) {
        next_page(&tasks[n - 1], to);
    } else {
        json_str(to, "next", NULL);
    }
    json_close(to, '}');
    return 0;
}

void command_failures(struct admin *a, struct httpd_request *r)
{
    uint64_t after_rule;
    const struct rule *rule = NULL;
    const char *after_key = httpd_query(r, "after_key");
    if (httpd_query(r, "rule") != NULL && (rule = need_rule(a, r)) == NULL) {
        return;
    }
    if (!query_number(r, "after_rule", 0, &after_rule)) {
        return;
    }
    struct failures *p = ask_new(a, r, sizeof(*p));
    p->filter.rule = rule != NULL ? rule->number : 0;
    p->filter.state = TASK_FAILED;
    p->filter.limit = PAGE;
    if (after_key != NULL) {
        p->filter.after_rule = (uint32_t)after_rule;
        p->filter.after_key = arena_span(&p->ask.later.arena, span_str(after_key));
    }
    ask_submit(&p->ask, run);
}

void command_failures_retry(struct admin *a, struct httpd_request *r)
{
    const struct rule *rule = need_rule(a, r);
    if (rule == NULL) {
        return;
    }
    struct later *l = later_new(a, r, sizeof(*l));
    const char *name = arena_strdup(&l->arena, rule->name);
    struct span key = arena_span(&l->arena, span_str(httpd_query(r, "key")));
    engine_task_retry(a->options.engine, name, key, later_word, l);
}

void command_failures_drop(struct admin *a, struct httpd_request *r)
{
    const struct rule *rule = need_rule(a, r);
    const char *key = rule != NULL ? need_query(r, "key") : NULL;
    const char *reason = key != NULL ? need_query(r, "reason") : NULL;
    if (reason == NULL) {
        return;
    }
    struct later *l = later_new(a, r, sizeof(*l));
    const char *name = arena_strdup(&l->arena, rule->name);
    struct span key_copy = arena_span(&l->arena, span_str(key));
    struct span reason_copy = arena_span(&l->arena, span_str(reason));
    engine_task_drop(a->options.engine, name, key_copy, reason_copy, later_word, l);
}
