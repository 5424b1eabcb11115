#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"

#include <stdio.h>

/* Changes on their way into the journal, with the cursor of the feed that brought them. */
struct append_call {
    struct journal_call call;
    struct engine *engine;
    struct arena arena;
    struct append_entry *entries;
    size_t count;
    size_t room;
    int64_t now_ms;
    struct span cursor_name;
    struct span cursor;
    uint32_t scan_rule; /* whose gone keys: */
    struct span *gone;
    size_t gone_count;
    struct span gone_through;
    bool looks_again;
    struct append_result appended;
    struct engine_append_result result;
    uint32_t *skipped; /* rule numbers of ignored deletes */
    size_t skipped_count;
    size_t skipped_room;
    engine_append_fn *done;
    void *arg;
};

static int keep_gone(struct backend *b, const struct append_call *c)
{
    int status = 0;
    if (c->gone_count > 0) {
        status = b->ops->gone_put(b, c->scan_rule, c->gone, c->gone_count);
    }
    if (status == 0 && c->gone_through.ptr != NULL) {
        status = b->ops->gone_drop(b, c->scan_rule, c->gone_through);
    }
    if (status == 0 && c->looks_again) {
        status = b->ops->look_again(b, c->scan_rule);
    }
    return status;
}

static int run_append(struct backend *b, struct journal_call *call)
{
    struct append_call *c = CONTAINER_OF(call, struct append_call, call);
    int status = keep_gone(b, c);
    if (status == 0 && c->count > 0) {
        status = b->ops->append(b, c->entries, c->count, c->now_ms, &c->appended);
    }
    if (status == 0 && c->cursor_name.ptr != NULL) {
        status = b->ops->value_put(b, c->cursor_name, c->cursor);
    }
    return status;
}

static void wake_rules(struct append_call *c)
{
    struct engine_rule *r = NULL;
    for (size_t i = 0; i < c->count; i++) {
        if (r == NULL || r->rule.number != c->entries[i].rule) {
            r = engine_rule_by_number(c->engine, c->entries[i].rule);
        }
        if (r != NULL) {
            r->ready = true;
        }
    }
    for (size_t i = 0; i < c->skipped_count; i++) {
        r = engine_rule_by_number(c->engine, c->skipped[i]);
        if (r != NULL) {
            r->skipped_here++;
        }
    }
}

static void append_done(struct journal_call *call)
{
    struct append_call *c = CONTAINER_OF(call, struct append_call, call);
    struct engine *e = c->engine;
    if (call->status == 0) {
        c->result.last_seq = c->appended.last_seq;
        wake_rules(c);
        engine_claim_soon(e);
        engine_lag_soon(e);
    }
    c->done(c->arg, call->status, &call->fail, &c->result);
    arena_done(&c->arena);
    mem_free(c->entries);
    mem_free(c->skipped);
    mem_free(c);
}

/* ---- matching ---- */

static struct change copy_change(struct arena *a, const struct change *in)
{
    struct change out = *in;
    out.endpoint = (struct span){0};
    out.bucket = (struct span){0};
    out.key = arena_span(a, in->key);
    out.version_id = arena_span(a, in->version_id);
    out.etag = arena_span(a, in->etag);
    out.sequencer = change_sequencer(in->sequencer, a);
    out.feed = arena_span(a, in->feed);
    return out;
}

static void add_entry(struct append_call *c, const struct append_entry *entry)
{
    if (c->count == c->room) {
        c->room = c->room * 2 + 8;
        c->entries = mem_realloc(c->entries, c->room * sizeof(*c->entries));
    }
    c->entries[c->count++] = *entry;
}

static void add_skipped(struct append_call *c, uint32_t rule)
{
    if (c->skipped_count == c->skipped_room) {
        c->skipped_room = c->skipped_room * 2 + 8;
        c->skipped = mem_realloc(c->skipped, c->skipped_room * sizeof(*c->skipped));
    }
    c->skipped[c->skipped_count++] = rule;
}

/* Keys that patterns leave out are nothing to wonder at; a place that no rule knows is. */
static void count_astray(struct append_call *c, const struct change *change)
{
    LIST_FOR (link, &c->engine->rules) {
        const struct engine_rule *r = CONTAINER_OF(link, struct engine_rule, link);
        if (!r->deleting && rules_has_source(&r->rule, change)) {
            return;
        }
    }
    if (c->result.astray++ == 0) {
        bool any = change->endpoint.len == 0;
        snprintf(c->result.astray_place, sizeof(c->result.astray_place), "%.*s%s%.*s",
                 SPAN_ARG(change->endpoint), any ? "" : "/", SPAN_ARG(change->bucket));
    }
}

static void match_change(struct append_call *c, const struct change *change,
                         enum task_origin origin, uint32_t only_rule)
{
    struct engine *e = c->engine;
    struct change copy = {0};
    bool matched = false;
    LIST_FOR (link, &e->rules) {
        struct engine_rule *r = CONTAINER_OF(link, struct engine_rule, link);
        if (r->deleting || (only_rule != 0 && r->rule.number != only_rule)) {
            continue;
        }
        r->is_told = r->is_told || (only_rule == 0 && rules_has_source(&r->rule, change));
        if (!rules_matches(&r->rule, change)) {
            continue;
        }
        matched = true;
        if (change->kind == CHANGE_DELETE && r->rule.deletes == RULE_DELETES_IGNORE) {
            add_skipped(c, r->rule.number);
            continue;
        }
        if (copy.key.ptr == NULL) {
            copy = copy_change(&c->arena, change);
        }
        add_entry(c,
                  &(struct append_entry){.rule = r->rule.number, .origin = origin, .change = copy});
    }
    c->result.accepted += matched;
    c->result.unmatched += !matched;
    if (!matched && only_rule == 0) {
        count_astray(c, change);
    }
}

static int check_changes(const struct change *changes, size_t count, struct fail *f)
{
    for (size_t i = 0; i < count; i++) {
        int status = change_check(&changes[i], f);
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

struct refused {
    struct deferred deferred;
    engine_append_fn *done;
    void *arg;
    struct fail fail;
};

static void tell_refused(void *arg)
{
    struct refused *r = arg;
    struct engine_append_result none = {0};
    r->done(r->arg, r->fail.code, &r->fail, &none);
    mem_free(r);
}

static void refuse(struct engine *e, const struct fail *f, engine_append_fn *done, void *arg)
{
    struct refused *r = MEM_NEW(struct refused);
    r->done = done;
    r->arg = arg;
    r->fail = *f;
    deferred_init(&r->deferred, e->loop, tell_refused, r);
    deferred_call(&r->deferred);
}

/* NULL: refused. */
static struct append_call *new_call(struct engine *e, const struct change *changes, size_t count,
                                    engine_append_fn *done, void *arg)
{
    struct fail f;
    if (e->stopping) {
        fail_set(&f, REPL_ECLOSED, "repld is stopping");
        refuse(e, &f, done, arg);
        return NULL;
    }
    if (check_changes(changes, count, &f) != 0) {
        refuse(e, &f, done, arg);
        return NULL;
    }
    struct append_call *c = MEM_NEW(struct append_call);
    c->engine = e;
    c->done = done;
    c->arg = arg;
    arena_init(&c->arena);
    return c;
}

static void submit(struct append_call *c, struct span cursor_name, struct span cursor)
{
    c->now_ms = engine_now_ms(c->engine);
    c->cursor_name = arena_span(&c->arena, cursor_name);
    c->cursor = arena_span(&c->arena, cursor);
    c->call.run = run_append;
    c->call.done = append_done;
    c->call.fails_with_group = true;
    journal_submit(c->engine->journal, &c->call);
}

void engine_append(struct engine *e, const struct change *changes, size_t count,
                   enum task_origin origin, struct span cursor_name, struct span cursor,
                   engine_append_fn *done, void *arg)
{
    struct append_call *c = new_call(e, changes, count, done, arg);
    if (c == NULL) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        bool first = c->result.unmatched == 0;
        match_change(c, &changes[i], origin, 0);
        c->result.unmatched_at = first && c->result.unmatched > 0 ? i : c->result.unmatched_at;
    }
    submit(c, cursor_name, cursor);
}

void engine_append_scan(struct engine *e, uint32_t rule, const struct scan_batch *batch,
                        struct span cursor_name, engine_append_fn *done, void *arg)
{
    struct append_call *c = new_call(e, batch->changes, batch->change_count, done, arg);
    if (c == NULL) {
        return;
    }
    for (size_t i = 0; i < batch->change_count; i++) {
        bool existing = scan_is_existing(batch, &batch->changes[i]);
        match_change(c, &batch->changes[i], existing ? TASK_BACKFILL : TASK_LIVE, rule);
    }
    for (size_t i = 0; i < c->count; i++) {
        c->entries[i].listed = true;
    }
    c->scan_rule = rule;
    c->gone = arena_alloc(&c->arena, (batch->gone_count + 1) * sizeof(*c->gone));
    c->gone_count = batch->gone_count;
    for (size_t i = 0; i < batch->gone_count; i++) {
        c->gone[i] = arena_span(&c->arena, batch->gone[i]);
    }
    c->gone_through = arena_span(&c->arena, batch->gone_through);
    c->looks_again = batch->looks_again;
    submit(c, cursor_name, batch->cursor);
}
