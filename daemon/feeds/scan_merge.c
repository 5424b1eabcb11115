/* The page of a walk against the destination's listing: both go by the bytes of the keys. */
#include "daemon/feeds/scan_impl.h"

static void target_listed(struct store_op *op)
{
    struct walk *w = op->arg;
    struct scan *s = w->scan;
    struct walk_target *t = &w->target;
    w->busy = false;
    w->asking = NULL;
    scan_kick(s);
    if (scan_ended(s) || s->drops != DROP_NOT) {
        return;
    }
    if (fail_class(op->fail.code) == FAIL_AUTH) {
        if (s->to != NULL) {
            LOG_NOTICE(s->log, SCAN_SUBJECT,
                       "rule %s: destination may not be listed, everything is copied: %s",
                       s->rule_name, op->fail.text);
        }
        s->to = NULL;
        return;
    }
    scan_heard(s, s->to, op);
    if (op->fail.code != 0) {
        timer_start(&w->timer, scan_retry_ms(s, w->failures++));
        scan_failed(s, &op->fail);
        return;
    }
    w->failures = 0;
    scan_is_well(s);
    t->entries = op->entries;
    t->count = op->entry_count;
    t->at = 0;
    t->has_ended = span_is_empty(op->next_token);
    if (op->entry_count > 0) {
        buf_reset(&t->after);
        buf_span(&t->after, op->entries[op->entry_count - 1].key);
    }
}

static void list_target(struct walk *w)
{
    struct scan *s = w->scan;
    struct walk_target *t = &w->target;
    arena_done(&t->arena);
    arena_init(&t->arena);
    t->count = t->at = 0;
    w->op = (struct store_op){.kind = STORE_LIST,
                              .bucket = s->to_bucket,
                              .key = s->to_prefix,
                              .start_after = buf_view(&t->after),
                              .max_keys = SCAN_PAGE_KEYS,
                              .done = target_listed,
                              .arg = w,
                              .arena = &t->arena};
    w->busy = true;
    w->asking = s->to;
    s->state.requests++;
    store_submit(s->to, &w->op);
}

/* It begins at what the last key that is done became. */
static void start_target(struct walk *w)
{
    struct scan *s = w->scan;
    w->target.has_started = true;
    if (w->after.len > 0 && span_starts_with(buf_view(&w->after), s->prefix)) {
        buf_span(&w->target.after, s->host.map(s->host.arg, buf_view(&w->after), &w->arena));
    }
}

int walk_merge(struct walk *w)
{
    struct scan *s = w->scan;
    struct walk_target *t = &w->target;
    const struct store_entry *entry = &w->entries[w->entry_at];
    bool known = w->listed[w->entry_at].known;
    if (!s->compares_target || s->to == NULL || s->state.is_unordered) {
        return 0;
    }
    if (!t->has_started) {
        start_target(w);
    }
    struct span key = s->host.map(s->host.arg, entry->key, &w->arena);
    while (t->at < t->count && span_cmp(t->entries[t->at].key, key) < 0) {
        t->at++;
    }
    if (t->at == t->count && !t->has_ended) {
        list_target(w);
        return REPL_EDONE;
    }
    const struct store_entry *have = t->at < t->count ? &t->entries[t->at] : NULL;
    if (have == NULL || !span_eq(have->key, key)) {
        w->counts.away += known;
        return 0;
    }
    return have->size == entry->size && !span_is_empty(entry->etag) &&
           span_eq(have->etag, entry->etag);
}

void walk_target_done(struct walk *w)
{
    buf_done(&w->target.after);
    arena_done(&w->target.arena);
}
