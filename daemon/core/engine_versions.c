/* A task of a rule that replicates all versions. It stands for the key: the source is asked for the
 * key's versions, and those behind the journal's mark are brought over one after the other, oldest
 * first, in the order of that listing and never of arrival. Each is recorded with the mark before
 * the next begins, so that a crash repeats at most the one it met. */
#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"

/* A listing goes from new to old, and what is done first stands last. Of a key with more than a
 * page of new versions only the oldest page is kept and done, then the listing begins anew. */
struct engine_versions {
    struct engine_work *work;
    struct journal_call call;
    struct arena arena; /* of the mark */
    bool has_mark;
    struct version_mark mark; /* as it was when the listing began */
    bool by_time;             /* the mark's version is gone: what is older is done with */
    struct engine_op *page;
    struct engine_op *newer;   /* the page before it, or NULL */
    size_t left;               /* entries of `page` that are to be done; the next one is the last */
    bool more;                 /* there are newer ones than this page's */
    struct engine_op *removal; /* of a delete marker */
};

static void list_page(struct engine_versions *v, struct span after, struct span token);

static void drop_op(struct engine_op **op)
{
    if (*op != NULL) {
        engine_op_free(*op);
        *op = NULL;
    }
}

void engine_versions_free(struct engine_versions *v)
{
    if (v != NULL) {
        drop_op(&v->page);
        drop_op(&v->newer);
        arena_done(&v->arena);
        mem_free(v);
    }
}

static const struct store_entry *present(const struct engine_versions *v)
{
    return &v->page->op.entries[v->left - 1];
}

static void end(struct engine_versions *v, const struct copy_outcome *outcome)
{
    engine_finish_copy(v->work, outcome);
}

static void stop(struct engine_versions *v)
{
    end(v, &(struct copy_outcome){.end = COPY_STOPPED});
}

static void skip(struct engine_versions *v, const char *reason)
{
    end(v, &(struct copy_outcome){.end = COPY_SKIPPED, .skip_reason = reason});
}

static void fail(struct engine_versions *v, const struct fail *f, bool source_side)
{
    struct copy_outcome outcome = {.end = COPY_FAILED, .fail = *f, .source_side = source_side};
    if (f->code == REPL_ECANCELED) {
        outcome.end = COPY_STOPPED;
    }
    end(v, &outcome);
}

/* ---- one version ---- */

/* The marker's answer may have been lost: then there are two of them, one above the other, which
 * hide the object as one does. */
static void removed(struct store_op *op)
{
    struct engine_versions *v = op->arg;
    struct copy_outcome outcome = {.end = COPY_DELETED};
    struct fail f = op->fail;
    drop_op(&v->removal);
    if (f.code == 0 || f.code == REPL_ENOKEY) {
        end(v, &outcome);
    } else {
        fail(v, &f, false);
    }
}

static void remove_latest(struct engine_versions *v)
{
    struct engine_work *w = v->work;
    w->kind = COPY_DELETE;
    if (w->rule->rule.deletes == RULE_DELETES_IGNORE) {
        skip(v, "the rule ignores deletes");
        return;
    }
    if (!engine_brake_admits(w)) {
        engine_finish_held(w);
        return;
    }
    v->removal = engine_op_new(w->engine, w->rule->to->store);
    v->removal->op.kind = STORE_DELETE;
    v->removal->op.bucket =
        arena_span(&v->removal->arena, span_str(w->rule->rule.destination.bucket));
    v->removal->op.key = w->to_key;
    engine_op_submit(v->removal, removed, v);
}

static void do_next(struct engine_versions *v)
{
    if (!engine_work_may_go_on(v->work)) {
        stop(v);
    } else if (present(v)->is_marker) {
        remove_latest(v);
    } else {
        v->work->kind = COPY_OBJECT;
        v->work->size_hint = (int64_t)present(v)->size;
        v->work->version_id = present(v)->version_id;
        engine_work_copy(v->work);
    }
}

void engine_versions_copied(struct engine_work *w, const struct copy_outcome *outcome)
{
    struct engine_versions *v = w->versions;
    bool is_other = outcome->end == COPY_DONE && outcome->source.version_id.len > 0 &&
                    !span_eq(outcome->source.version_id, present(v)->version_id);
    if (is_other) { /* an earlier life's upload of a version that the source has no longer */
        do_next(v);
    } else {
        end(v, outcome);
    }
}

void engine_versions_fill(struct engine_work *w, struct finish *finish, struct arena *a)
{
    struct engine_versions *v = w->versions;
    if (v->left == 0) {
        return; /* there was nothing to do */
    }
    struct version_mark *mark = arena_alloc(a, sizeof(*mark));
    mark->version_id = arena_span(a, present(v)->version_id);
    mark->mtime_ms = present(v)->mtime_ms;
    finish->version = mark;
    finish->goes_on = v->left > 1 || v->more;
}

void engine_versions_next(struct engine_work *w)
{
    struct engine_versions *v = w->versions;
    w->turns = 0;
    if (--v->left > 0) {
        do_next(v);
    } else {
        engine_versions_start(w);
    }
}

/* ---- the listing ---- */

static bool is_mark(const struct engine_versions *v, const struct store_entry *e)
{
    return v->has_mark && span_eq(e->version_id, v->mark.version_id) &&
           (!span_eq_str(e->version_id, "null") || e->mtime_ms == v->mark.mtime_ms);
}

static bool is_done(const struct engine_versions *v, const struct store_entry *e)
{
    return v->by_time ? e->mtime_ms < v->mark.mtime_ms : is_mark(v, e);
}

static bool is_ours(const struct engine_versions *v, const struct store_entry *e)
{
    return span_eq(e->key, v->work->task->key);
}

/* How many entries of a page are the key's and not done. */
static size_t count_new(const struct engine_versions *v, const struct store_op *op)
{
    size_t n = 0;
    while (n < op->entry_count && is_ours(v, &op->entries[n]) && !is_done(v, &op->entries[n])) {
        n++;
    }
    return n;
}

static void begin_page(struct engine_versions *v, size_t count)
{
    if (count == 0 && v->newer != NULL) {
        drop_op(&v->page);
        v->page = v->newer;
        v->newer = NULL;
        count = v->page->op.entry_count;
        v->more = v->page->op.start_after.len > 0;
    } else {
        v->more = v->newer != NULL;
        drop_op(&v->newer);
    }
    v->left = count;
    if (count == 0) {
        skip(v, v->has_mark ? "the destination has this version" : "the source has no such key");
    } else {
        do_next(v);
    }
}

static void page_listed(struct store_op *op)
{
    struct engine_versions *v = op->arg;
    if (op->fail.code != 0) {
        struct fail f = op->fail;
        fail(v, &f, true);
        return;
    }
    size_t count = count_new(v, op);
    bool is_met = count < op->entry_count && is_ours(v, &op->entries[count]);
    bool is_last = count < op->entry_count || op->next_key.len == 0;
    if (is_last && !is_met && v->has_mark && !v->by_time) {
        v->by_time = true;
        drop_op(&v->page);
        drop_op(&v->newer);
        list_page(v, (struct span){0}, (struct span){0});
    } else if (is_last) {
        begin_page(v, count);
    } else {
        drop_op(&v->newer);
        v->newer = v->page;
        list_page(v, op->next_key, op->next_token);
    }
}

static void list_page(struct engine_versions *v, struct span after, struct span token)
{
    struct engine_work *w = v->work;
    struct engine_op *o = engine_op_new(w->engine, w->rule->from->store);
    o->op.kind = STORE_LIST_VERSIONS;
    o->op.bucket = arena_span(&o->arena, span_str(w->rule->rule.source.bucket));
    o->op.key = w->task->key;
    o->op.start_after = arena_span(&o->arena, after);
    o->op.token = arena_span(&o->arena, token);
    v->page = o;
    engine_op_submit(o, page_listed, v);
}

/* ---- the mark ---- */

/* The rule replicated only the latest version for a while: what it has brought over then is newer
 * than the mark, and done with. */
static void take_replica(struct engine_versions *v, const struct replica *replica)
{
    bool is_newer = !v->has_mark || replica->source_mtime_ms > v->mark.mtime_ms;
    if (replica->source_version.len > 0 && is_newer) {
        v->mark = (struct version_mark){.version_id = replica->source_version,
                                        .mtime_ms = replica->source_mtime_ms};
        v->has_mark = true;
    }
}

static int run_load(struct backend *b, struct journal_call *call)
{
    struct engine_versions *v = CONTAINER_OF(call, struct engine_versions, call);
    const struct task *task = v->work->task;
    int status = b->ops->version_get(b, &v->arena, task->rule, task->key, &v->mark);
    v->has_mark = status == 0;
    if (task->replica != NULL) {
        take_replica(v, task->replica);
    }
    return status == REPL_ENOTFOUND ? 0 : status;
}

static void loaded(struct journal_call *call)
{
    struct engine_versions *v = CONTAINER_OF(call, struct engine_versions, call);
    if (call->status != 0) {
        fail(v, &call->fail, true);
    } else if (!engine_work_may_go_on(v->work)) {
        stop(v);
    } else {
        list_page(v, (struct span){0}, (struct span){0});
    }
}

void engine_versions_start(struct engine_work *w)
{
    engine_versions_free(w->versions);
    struct engine_versions *v = MEM_NEW(struct engine_versions);
    w->versions = v;
    v->work = w;
    arena_init(&v->arena);
    v->call.access = JOURNAL_WRITE; /* behind what was recorded before */
    v->call.run = run_load;
    v->call.done = loaded;
    journal_submit(w->engine->journal, &v->call);
}
