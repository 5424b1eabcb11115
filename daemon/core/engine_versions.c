/* A task of a rule that replicates all versions. It stands for the key: the source is asked for the
 * key's versions, and those that stand above all that the journal knows as done are brought over
 * one after the other, oldest first, in the order of that listing and never of arrival. Each is
 * recorded before the next begins, so that a crash repeats at most the one it met.
 *
 * What the source has removed by its version id stays at the destination: its history only grows.
 * But what is to be seen there must not differ, unless the rule ignores deletes: when the source's
 * newest version is one that was done before others that are gone, it becomes the newest again, by
 * taking back the delete markers that we have made above it, or by writing it anew; when none is
 * left, the key is deleted. */
#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"

/* What the destination has to be seen; unknown: others may have put the key there. */
enum showing { SHOWS_NOTHING, SHOWS_OBJECT, SHOWS_UNKNOWN };

/* A listing goes from new to old, and what is done first stands last. Of a key with more than a
 * page of new versions only the oldest page is kept and done, then the listing begins anew. */
struct engine_versions {
    struct engine_work *work;
    struct journal_call call;
    struct arena arena;         /* of the marks */
    struct version_mark *marks; /* as they were when the listing began, the newest first */
    size_t mark_count;
    const struct replica *replica; /* as it was then; or NULL */
    struct engine_op *page;
    struct engine_op *newer; /* the page before it, or NULL */
    size_t left;             /* entries of `page` that are to be done; the next one is the last */
    bool more;               /* there are newer ones than this page's */
    bool is_gone;            /* the source lists none … */
    bool is_proven;          /* … and has none */
    enum showing shows;
    size_t lifted;        /* of the marks: whose delete markers were taken back */
    struct engine_op *op; /* any other than the listing */
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

/* ---- marks ---- */

static size_t find(const struct version_mark *marks, size_t count, struct span id, struct span etag,
                   int64_t mtime_ms)
{
    size_t i = 0;
    while (i < count && !version_mark_is(&marks[i], id, etag, mtime_ms)) {
        i++;
    }
    return i;
}

/* Which mark is of the entry; mark_count: none. */
static size_t find_mark(const struct engine_versions *v, const struct store_entry *e)
{
    return find(v->marks, v->mark_count, e->version_id, e->etag, e->mtime_ms);
}

static enum showing shows_by_marks(const struct engine_versions *v)
{
    if (v->replica != NULL || (v->mark_count > 0 && !v->marks[0].is_marker)) {
        return SHOWS_OBJECT;
    }
    return v->mark_count > 0 ? SHOWS_NOTHING : SHOWS_UNKNOWN;
}

/* ---- one version ---- */

static bool may_delete(struct engine_versions *v)
{
    struct engine_work *w = v->work;
    w->kind = COPY_DELETE;
    if (w->rule->rule.deletes == RULE_DELETES_IGNORE) {
        skip(v, "the rule ignores deletes");
        return false;
    }
    if (v->shows != SHOWS_NOTHING && !engine_brake_admits(w)) {
        engine_finish_held(w);
        return false;
    }
    return true;
}

static struct engine_op *new_op(struct engine_versions *v, enum store_op_kind kind, bool source)
{
    struct engine_work *w = v->work;
    const struct rule *r = &w->rule->rule;
    v->op = engine_op_new(w->engine, source ? w->rule->from->store : w->rule->to->store);
    v->op->op.kind = kind;
    v->op->op.bucket =
        arena_span(&v->op->arena, span_str(source ? r->source.bucket : r->destination.bucket));
    v->op->op.key = source ? w->task->key : w->to_key;
    return v->op;
}

/* The marker's answer may have been lost: then there are two of them, one above the other, which
 * hide the object as one does. */
static void removed(struct store_op *op)
{
    struct engine_versions *v = op->arg;
    struct copy_outcome outcome = {.end = COPY_DELETED};
    struct fail f = op->fail;
    if (op->object.delete_marker) {
        outcome.dest.version_id = arena_span(&v->arena, op->object.version_id);
    }
    drop_op(&v->op);
    if (f.code == 0 || f.code == REPL_ENOKEY) {
        end(v, &outcome);
    } else {
        fail(v, &f, false);
    }
}

static void remove_latest(struct engine_versions *v)
{
    if (may_delete(v)) {
        engine_op_submit(new_op(v, STORE_DELETE, false), removed, v);
    }
}

static void copy_present(struct engine_versions *v)
{
    struct engine_work *w = v->work;
    w->kind = COPY_OBJECT;
    w->size_hint = (int64_t)present(v)->size;
    w->version_id = present(v)->version_id;
    engine_work_copy(w);
}

static void do_next(struct engine_versions *v)
{
    if (!engine_work_may_go_on(v->work)) {
        end(v, &(struct copy_outcome){.end = COPY_STOPPED});
    } else if (present(v)->is_marker) {
        remove_latest(v);
    } else {
        copy_present(v);
    }
}

/* The listing had none, but the key is there when it is asked for: one of them comes too late. */
static void tell_unsteady(struct engine_versions *v)
{
    struct fail f;
    fail_set(&f, REPL_ECHANGED, "the source lists no version of the key, but has it");
    v->is_gone = false;
    fail(v, &f, true);
}

void engine_versions_copied(struct engine_work *w, const struct copy_outcome *outcome)
{
    struct engine_versions *v = w->versions;
    bool is_other = outcome->end == COPY_DONE && outcome->source.version_id.len > 0 &&
                    !v->is_gone && !span_eq(outcome->source.version_id, present(v)->version_id);
    if (is_other) { /* an earlier life's upload of a version that the source has no longer */
        do_next(v);
    } else if (v->is_gone && outcome->source_there) {
        tell_unsteady(v);
    } else {
        end(v, outcome);
    }
}

static struct span became(const struct engine_versions *v, const struct copy_outcome *outcome)
{
    size_t i = find_mark(v, present(v));
    bool is_new = outcome->end == COPY_DONE || outcome->end == COPY_DELETED || outcome->is_there;
    return is_new              ? outcome->dest.version_id
           : i < v->mark_count ? v->marks[i].dest_version
                               : (struct span){0};
}

void engine_versions_fill(struct engine_work *w, const struct copy_outcome *outcome,
                          struct finish *finish, struct arena *a)
{
    struct engine_versions *v = w->versions;
    finish->no_versions = v->is_gone && (v->is_proven || outcome->end == COPY_DELETED);
    if (v->left == 0) {
        return; /* there was nothing to do */
    }
    struct version_mark *mark = arena_alloc(a, sizeof(*mark));
    *mark = (struct version_mark){.version_id = arena_span(a, present(v)->version_id),
                                  .etag = arena_span(a, present(v)->etag),
                                  .mtime_ms = present(v)->mtime_ms,
                                  .is_marker = present(v)->is_marker,
                                  .dest_version = arena_span(a, became(v, outcome))};
    finish->version = mark;
    finish->goes_on = v->left > 1 || v->more;
    finish->takes_nothing = v->shows == SHOWS_NOTHING;
}

void engine_versions_next(struct engine_work *w)
{
    struct engine_versions *v = w->versions;
    w->turns = 0;
    if (!present(v)->is_marker) {
        v->shows = SHOWS_OBJECT;
    } else if (w->rule->rule.deletes != RULE_DELETES_IGNORE) {
        v->shows = SHOWS_NOTHING;
    }
    if (--v->left > 0) {
        do_next(v);
    } else {
        engine_versions_start(w);
    }
}

/* ---- back to an older version: newer ones were removed by their ids ---- */

static void lift(struct engine_versions *v);

/* What is to be seen now is what the version became; else it is written anew. */
static void looked(struct store_op *op)
{
    struct engine_versions *v = op->arg;
    const struct store_entry *e = present(v);
    const struct version_mark *mark = &v->marks[v->lifted];
    struct fail f = op->fail;
    bool is_shown = f.code == 0 && op->object.version_id.len > 0 &&
                    span_eq(op->object.version_id, mark->dest_version);
    struct copy_outcome outcome = {.end = COPY_SKIPPED,
                                   .skip_reason = "its delete marker was taken back",
                                   .is_there = true,
                                   .bytes = e->size};
    outcome.source = (struct store_object){
        .etag = e->etag, .version_id = e->version_id, .mtime_ms = e->mtime_ms, .size = e->size};
    outcome.dest = (struct store_object){.etag = arena_span(&v->arena, op->object.etag),
                                         .version_id = mark->dest_version};
    drop_op(&v->op);
    if (is_shown) {
        end(v, &outcome);
    } else if (f.code == 0 || f.code == REPL_ENOKEY) {
        do_next(v);
    } else {
        fail(v, &f, false);
    }
}

static void lifted(struct store_op *op)
{
    struct engine_versions *v = op->arg;
    struct fail f = op->fail;
    drop_op(&v->op);
    if (f.code != 0 && f.code != REPL_ENOKEY) {
        fail(v, &f, false);
    } else if (!engine_work_may_go_on(v->work)) {
        end(v, &(struct copy_outcome){.end = COPY_STOPPED});
    } else {
        v->lifted++;
        lift(v);
    }
}

/* One marker of ours after the other, until the version that they hide is the next. */
static void lift(struct engine_versions *v)
{
    if (v->lifted == find_mark(v, present(v))) {
        engine_op_submit(new_op(v, STORE_HEAD, false), looked, v);
        return;
    }
    struct engine_op *o = new_op(v, STORE_DELETE, false);
    o->op.version_id = v->marks[v->lifted].dest_version;
    engine_op_submit(o, lifted, v);
}

/* Evidence: the source says that the object is its latest now, and that none of the markers that we
 * have made for it is there any more. */
static bool can_lift(const struct engine_versions *v)
{
    size_t above = find_mark(v, present(v));
    bool are_ours = present(v)->is_latest && !present(v)->is_marker;
    for (size_t i = 0; are_ours && i < above; i++) {
        are_ours = v->marks[i].is_marker && v->marks[i].dest_version.len > 0;
    }
    return are_ours;
}

static void turn_back(struct engine_versions *v)
{
    v->left = 1;
    if (v->work->rule->rule.deletes == RULE_DELETES_IGNORE) {
        skip(v, "the rule ignores deletes");
    } else if (present(v)->is_marker && v->shows != SHOWS_OBJECT) {
        skip(v, "the destination shows no object either");
    } else if (can_lift(v)) {
        lift(v);
    } else {
        do_next(v);
    }
}

static void asked(struct store_op *op)
{
    struct engine_versions *v = op->arg;
    struct fail f = op->fail;
    drop_op(&v->op);
    if (f.code == REPL_ENOKEY) {
        v->is_proven = true;
        skip(v, "the source has no such key");
    } else if (f.code != 0) {
        fail(v, &f, true);
    } else {
        tell_unsteady(v);
    }
}

/* An empty listing is no evidence: the source is asked for the key itself, by the delete where
 * there is one. */
static void all_are_gone(struct engine_versions *v)
{
    v->is_gone = true;
    if (v->shows != SHOWS_OBJECT) {
        engine_op_submit(new_op(v, STORE_HEAD, true), asked, v);
    } else if (may_delete(v)) {
        v->work->version_id = (struct span){0};
        engine_work_copy(v->work);
    }
}

/* ---- the listing ---- */

/* How many entries of a page are the key's and stand above all that is done. */
static size_t count_new(const struct engine_versions *v, const struct store_op *op)
{
    size_t n = 0;
    while (n < op->entry_count && span_eq(op->entries[n].key, v->work->task->key) &&
           find_mark(v, &op->entries[n]) == v->mark_count) {
        n++;
    }
    return n;
}

/* All that is new stands before; of the page only `count` entries do. */
static void begin_page(struct engine_versions *v, size_t count)
{
    if (count == 0) {
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
    do_next(v);
}

static void nothing_is_new(struct engine_versions *v, bool is_met)
{
    if (!is_met) {
        all_are_gone(v);
    } else if (find_mark(v, &v->page->op.entries[0]) == 0) {
        skip(v, "the destination has this version");
    } else {
        turn_back(v);
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
    if (!engine_work_may_go_on(v->work)) {
        end(v, &(struct copy_outcome){.end = COPY_STOPPED});
        return;
    }
    size_t count = count_new(v, op);
    bool is_met = count < op->entry_count && span_eq(op->entries[count].key, v->work->task->key);
    bool is_last = count < op->entry_count || op->next_key.len == 0;
    if (!is_last) {
        drop_op(&v->newer);
        v->newer = v->page;
        list_page(v, op->next_key, op->next_token);
    } else if (count == 0 && v->newer == NULL) {
        nothing_is_new(v, is_met);
    } else {
        begin_page(v, count);
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

/* ---- the marks ---- */

/* The rule replicated only the latest version for a while: what it has brought over then stands
 * above the marks, and is done with. */
static int take_replica(struct engine_versions *v, struct version_mark *marks, size_t count)
{
    const struct replica *r = v->replica;
    bool is_own =
        r != NULL && r->source_version.len > 0 &&
        find(marks, count, r->source_version, r->source_etag, r->source_mtime_ms) == count;
    if (is_own) {
        v->marks[0] = (struct version_mark){.version_id = r->source_version,
                                            .etag = r->source_etag,
                                            .mtime_ms = r->source_mtime_ms,
                                            .dest_version = r->dest_version};
    }
    return is_own;
}

static int run_load(struct backend *b, struct journal_call *call)
{
    struct engine_versions *v = CONTAINER_OF(call, struct engine_versions, call);
    const struct task *task = v->work->task;
    struct version_mark *marks;
    size_t count;
    int status = b->ops->version_marks(b, &v->arena, task->rule, task->key, &marks, &count);
    if (status == 0) {
        v->marks = arena_alloc(&v->arena, (count + 1) * sizeof(*v->marks));
        int own = take_replica(v, marks, count);
        memcpy(v->marks + own, marks, count * sizeof(*marks));
        v->mark_count = count + (size_t)own;
    }
    return status;
}

static void loaded(struct journal_call *call)
{
    struct engine_versions *v = CONTAINER_OF(call, struct engine_versions, call);
    if (call->status != 0) {
        fail(v, &call->fail, true);
    } else if (!engine_work_may_go_on(v->work)) {
        end(v, &(struct copy_outcome){.end = COPY_STOPPED});
    } else {
        v->shows = shows_by_marks(v);
        list_page(v, (struct span){0}, (struct span){0});
    }
}

void engine_versions_start(struct engine_work *w)
{
    struct engine_versions *v = MEM_NEW(struct engine_versions);
    v->replica = w->versions == NULL ? w->task->replica : NULL; /* later the marks know more */
    engine_versions_free(w->versions);
    w->versions = v;
    v->work = w;
    arena_init(&v->arena);
    v->call.access = JOURNAL_WRITE; /* behind what was recorded before */
    v->call.run = run_load;
    v->call.done = loaded;
    journal_submit(w->engine->journal, &v->call);
}
