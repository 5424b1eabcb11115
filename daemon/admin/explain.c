#include "daemon/admin/ask.h"
#include "daemon/rules/rules.h"

#include <stdio.h>

#define HISTORY_MAX 10

/* What one rule knows of the key. */
struct finding {
    const char *rule;
    uint32_t number;
    bool takes; /* by prefix and globs */
    const char *why_not;
    bool enabled;
    char running[160];   /* of the copy in work, "" = none */
    const char *blocked; /* the endpoint that takes no work now, and why; NULL = none */
    bool has_task;
    struct task task;
    bool has_replica;
    struct replica replica;
    struct history_entry *history;
    size_t history_count;
};

struct explain {
    struct ask ask;
    struct span key;
    struct finding *findings;
    size_t count;
};

static const char *const task_states[] = {"waiting", "copying", "retrying", "failed", "held"};
static const char *const outcomes[] = {"done",     "deleted", "skipped", "retry",
                                       "released", "failed",  "held"};

static int look(struct backend *b, struct explain *x, struct finding *found)
{
    struct arena *a = &x->ask.later.arena;
    int r = b->ops->task_get(b, a, found->number, x->key, &found->task);
    found->has_task = r == 0;
    if (r == 0 || r == REPL_ENOTFOUND) {
        r = b->ops->replica_get(b, a, found->number, x->key, &found->replica);
        found->has_replica = r == 0;
    }
    if (r == 0 || r == REPL_ENOTFOUND) {
        r = b->ops->history_page(b, a, found->number, x->key, HISTORY_MAX, &found->history,
                                 &found->history_count);
    }
    return r == REPL_ENOTFOUND ? 0 : r;
}

static int run(struct backend *b, struct journal_call *call)
{
    struct explain *x = CONTAINER_OF(ASK_OF(call), struct explain, ask);
    int r = 0;
    for (size_t i = 0; i < x->count && r == 0; i++) {
        r = look(b, x, &x->findings[i]);
    }
    return r;
}

/* The end that the key came to last; NULL when no feed ever told of it. */
static const struct history_entry *last_end(const struct finding *found)
{
    return found->history_count > 0 ? &found->history[0] : NULL;
}

static const char *state_without_task(const struct finding *found)
{
    const struct history_entry *end = last_end(found);
    if (found->has_replica) {
        return "replicated";
    }
    if (end == NULL) {
        return found->takes ? "unknown" : "not taken";
    }
    return end->fail.code == REPL_ECANCELED ? "dropped"
           : end->outcome == FINISH_DONE    ? "replicated"
                                            : outcomes[end->outcome];
}

/* An operator's: until then it makes no difference what else there is. */
static bool needs_word(const struct task *t)
{
    return t->state == TASK_FAILED || t->state == TASK_HELD;
}

static const char *state_of(const struct finding *found)
{
    if (!found->has_task) {
        return state_without_task(found);
    }
    bool parked = !found->enabled && !needs_word(&found->task);
    return parked ? "paused" : task_states[found->task.state];
}

static void say_task(const struct finding *found, struct buf *to)
{
    const struct task *t = &found->task;
    char when[32];
    if (found->blocked != NULL && !needs_word(t)) {
        buf_printf(to, "is accepted and waits: %s", found->blocked);
        return;
    }
    switch (t->state) {
    case TASK_FAILED:
        buf_printf(to, "failed and waits for you: %s", t->fail.text);
        return;
    case TASK_HELD:
        buf_str(to, "is gone from the source; its delete is held by the rule's brake until replctl "
                    "rule confirm-deletes lets it go");
        return;
    case TASK_WAITING:
        time_iso(t->next_try_ms, when);
        buf_printf(to, "attempt %u failed: %s; the next one is at %s", (unsigned)t->attempts,
                   t->fail.text, when);
        return;
    case TASK_CLAIMED:
        buf_printf(to, "is being copied now%s%s", found->running[0] != '\0' ? ": " : "",
                   found->running);
        return;
    case TASK_READY:
        break;
    }
    buf_str(to, found->enabled ? "is accepted and waits for its turn"
                               : "is accepted; the rule is paused, replctl rule resume goes on");
}

static void say_end(const struct history_entry *end, struct buf *to)
{
    char when[32];
    time_iso(end->at_ms, when);
    if (end->outcome == FINISH_DONE) {
        buf_printf(to, "was brought to the destination, verified at %s", when);
    } else if (end->outcome == FINISH_DELETED) {
        buf_printf(to, "is gone from the source, and was deleted at the destination at %s", when);
    } else if (end->fail.code == REPL_ECANCELED) {
        buf_printf(to, "was given up at %s: %s", when, end->fail.text);
    } else {
        buf_printf(to, "needed no copy at %s: %s", when, end->fail.text);
    }
}

static void say(const struct finding *found, struct buf *to)
{
    char when[32];
    if (found->has_task) {
        say_task(found, to);
    } else if (found->has_replica) {
        time_iso(found->replica.verified_ms, when);
        buf_printf(to, "is at the destination, verified at %s", when);
    } else if (last_end(found) != NULL) {
        say_end(last_end(found), to);
    } else if (!found->takes) {
        buf_printf(to, "the rule does not take it: %s", found->why_not);
    } else {
        buf_str(to, "no feed has told of it; is it in the source bucket, and was it announced?");
    }
}

static void task_members(const struct task *t, struct buf *to)
{
    json_open(to, "task", '{');
    json_str(to, "kind", change_kind_name(t->kind));
    json_str(to, "state", task_states[t->state]);
    json_str(to, "origin", t->origin == TASK_LIVE ? "live" : "existing");
    json_text(to, "feed", t->feed);
    json_text(to, "version_id", t->version_id);
    json_text(to, "etag", t->etag);
    if (t->size >= 0) {
        json_int(to, "size_bytes", t->size);
    }
    json_time(to, "event_time", t->event_time_ms);
    json_time(to, "oldest_event_time", t->oldest_ms);
    json_time(to, "accepted", t->accepted_ms);
    json_int(to, "seq", (int64_t)t->seq);
    json_int(to, "attempts", t->attempts);
    json_time(to, "next_try", t->state == TASK_WAITING ? t->next_try_ms : 0);
    json_fail(to, "failure", &t->fail);
    if (t->upload != NULL) {
        json_open(to, "upload", '{');
        json_text(to, "upload_id", t->upload->upload_id);
        json_int(to, "size_bytes", (int64_t)t->upload->size);
        json_int(to, "done_bytes", (int64_t)t->upload->bytes_done);
        json_int(to, "parts", (int64_t)t->upload->part_count);
        json_close(to, '}');
    }
    json_close(to, '}');
}

static void replica_members(const struct replica *replica, struct buf *to)
{
    json_open(to, "replica", '{');
    json_text(to, "source_etag", replica->source_etag);
    json_text(to, "source_version", replica->source_version);
    json_time(to, "source_mtime", replica->source_mtime_ms);
    json_int(to, "size_bytes", (int64_t)replica->size);
    json_text(to, "destination_etag", replica->dest_etag);
    json_text(to, "destination_version", replica->dest_version);
    json_time(to, "verified", replica->verified_ms);
    json_close(to, '}');
}

static void history_members(const struct finding *found, struct buf *to)
{
    json_open(to, "history", '[');
    for (size_t i = 0; i < found->history_count; i++) {
        const struct history_entry *entry = &found->history[i];
        json_open(to, NULL, '{');
        json_time(to, "at", entry->at_ms);
        json_str(to, "outcome", outcomes[entry->outcome]);
        json_int(to, "bytes", (int64_t)entry->bytes);
        if (entry->latency_ms >= 0) {
            json_int(to, "latency_ms", entry->latency_ms);
        }
        json_fail(to, "failure", &entry->fail);
        json_close(to, '}');
    }
    json_close(to, ']');
}

static void finding_members(const struct finding *found, struct buf *to)
{
    struct buf sentence = {0};
    say(found, &sentence);
    json_open(to, NULL, '{');
    json_str(to, "rule", found->rule);
    json_str(to, "state", state_of(found));
    json_str(to, "sentence", buf_cstr(&sentence));
    json_str(to, "running", found->running[0] != '\0' ? found->running : NULL);
    if (found->has_task) {
        task_members(&found->task, to);
    }
    if (found->has_replica) {
        replica_members(&found->replica, to);
    }
    history_members(found, to);
    json_close(to, '}');
    buf_done(&sentence);
}

static void finish(struct ask *q)
{
    struct explain *x = CONTAINER_OF(q, struct explain, ask);
    json_open(&q->body, NULL, '{');
    json_key(&q->body, "key", x->key);
    json_open(&q->body, "rules", '[');
    for (size_t i = 0; i < x->count; i++) {
        finding_members(&x->findings[i], &q->body);
    }
    json_close(&q->body, ']');
    json_close(&q->body, '}');
}

static const char *why_not(const struct rule *rule, struct span key)
{
    if (span_starts_with(key, span_str(RULES_RESERVED_PREFIX))) {
        return "keys under _repl/ are repld's own";
    }
    return span_starts_with(key, span_str(rule->source.prefix))
               ? "its include and exclude patterns leave it out"
               : "it does not begin with the prefix of the rule's source";
}

static const char *blocked_text(struct explain *x, struct engine *e, const char *rule)
{
    struct fail f = {0};
    const char *name = engine_blocked_by(e, rule, &f);
    return name == NULL ? NULL
                        : arena_printf(&x->ask.later.arena, "endpoint %s takes no work now: %s",
                                       name, f.code != 0 ? f.text : "it does not answer");
}

static void add_finding(struct explain *x, struct engine *e, const struct rule *rule)
{
    struct arena *a = &x->ask.later.arena;
    struct finding *found = &x->findings[x->count++];
    found->rule = arena_strdup(a, rule->name);
    found->number = rule->number;
    found->enabled = rule->enabled;
    found->blocked = blocked_text(x, e, rule->name);
    found->takes = rules_takes_key(rule, x->key);
    found->why_not = found->takes ? "" : why_not(rule, x->key);
    const char *text =
        engine_copy_text(e, rule->number, x->key, found->running, sizeof(found->running));
    if (text == NULL) {
        found->running[0] = '\0';
    } else if (text != found->running) {
        snprintf(found->running, sizeof(found->running), "%s", text);
    }
}

void command_explain(struct admin *a, struct httpd_request *r)
{
    const struct rule *const *rules;
    const char *name = httpd_query(r, "rule");
    const char *key = need_query(r, "key");
    if (key == NULL || (name != NULL && need_rule(a, r) == NULL)) {
        return;
    }
    struct explain *x = ask_new(a, r, sizeof(*x));
    size_t n = engine_rules(a->options.engine, &rules);
    x->key = arena_span(&x->ask.later.arena, span_str(key));
    x->findings = arena_alloc(&x->ask.later.arena, (n + 1) * sizeof(*x->findings));
    for (size_t i = 0; i < n; i++) {
        if (name == NULL || strcmp(name, rules[i]->name) == 0) {
            add_finding(x, a->options.engine, rules[i]);
        }
    }
    x->ask.finish = finish;
    ask_submit(&x->ask, run);
}
