/* A claimed task becomes a copy; what the copy must know to be durable becomes a journal call. */
#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"

#define TURNS_MAX 4

void engine_batch_unref(struct claim_batch *batch)
{
    if (--batch->refs == 0) {
        arena_done(&batch->arena);
        mem_free(batch);
    }
}

static struct span work_id(struct arena *a, uint32_t rule, struct span key)
{
    char *id = arena_alloc(a, sizeof(rule) + key.len + 1);
    memcpy(id, &rule, sizeof(rule));
    memcpy(id + sizeof(rule), key.ptr, key.len);
    return span_of(id, sizeof(rule) + key.len);
}

/* ---- the job ---- */

static void add_upload(struct engine_work *w, struct copy_job *job)
{
    const struct upload *u = w->task->upload;
    struct store_part *parts = arena_alloc(&w->arena, (u->part_count + 1) * sizeof(*parts));
    for (size_t i = 0; i < u->part_count; i++) {
        parts[i] = (struct store_part){.number = u->parts[i].number,
                                       .size = u->parts[i].size,
                                       .etag = u->parts[i].etag,
                                       .checksum = u->parts[i].checksum};
    }
    job->upload_id = u->state == UPLOAD_INTENDED ? (struct span){0} : u->upload_id;
    job->upload_intended = u->state == UPLOAD_INTENDED;
    job->upload_completing = u->state == UPLOAD_COMPLETING;
    job->upload_created_ms = u->created_ms;
    job->upload_intended_ms = u->intended_ms;
    job->upload_etag = u->source_etag;
    job->upload_version = u->source_version;
    job->upload_mtime_ms = u->source_mtime_ms;
    job->upload_read_ms = u->source_read_ms;
    job->upload_size = u->size;
    job->upload_part_size = u->part_size;
    job->upload_parts = parts;
    job->upload_part_count = u->part_count;
}

static void add_known(const struct task *task, struct copy_job *job)
{
    const struct replica *known = task->replica;
    job->known_etag = known->source_etag;
    job->known_version = known->source_version;
    job->known_mtime_ms = known->source_mtime_ms;
    job->known_read_ms = known->source_read_ms;
    job->known_dest_etag = known->dest_etag;
    job->known_dest_version = known->dest_version;
}

static struct span keep(struct engine_work *w, const char *text)
{
    return text == NULL ? (struct span){0} : arena_span(&w->arena, span_str(text));
}

static struct copy_job make_job(struct engine_work *w)
{
    struct engine *e = w->engine;
    const struct rule *rule = &w->rule->rule;
    const struct task *task = w->task;
    struct copy_job job = {.kind = w->kind,
                           .from = w->rule->from->store,
                           .to = w->rule->to->store,
                           .from_bucket = keep(w, rule->source.bucket),
                           .from_key = task->key,
                           .to_bucket = keep(w, rule->destination.bucket),
                           .to_key = w->to_key,
                           .storage_class = keep(w, rule->storage_class),
                           .version_id = w->version_id,
                           .size_hint = w->size_hint,
                           .marker = rule->marker,
                           .shared = rule->shared,
                           .deletes = rule->deletes != RULE_DELETES_IGNORE,
                           .two_way = rule->two_way,
                           .delete_foreign = rule->deletes_foreign,
                           .keep_version = rule->deletes == RULE_DELETES_MARKER,
                           .instance = keep(w, e->conf->instance),
                           .part_max = e->conf->part_max_bytes,
                           .deadline_ms = task->oldest_ms + rule->objective_ms,
                           .priority = rule->priority,
                           .group = rule->number,
                           .backfill = task->origin == TASK_BACKFILL};
    if (w->completed != NULL) {
        job.known_etag = w->completed->source.etag;
        job.known_version = w->completed->source.version_id;
        job.known_mtime_ms = w->completed->source.mtime_ms;
        job.known_dest_etag = w->completed->dest.etag;
    } else if (task->replica != NULL && w->versions == NULL) {
        add_known(task, &job);
    }
    if (w->has_upload) {
        add_upload(w, &job);
    }
    return job;
}

static struct engine_work *new_work(struct engine_rule *r, const struct task *task,
                                    struct claim_batch *batch)
{
    struct engine_work *w = MEM_NEW(struct engine_work);
    w->engine = r->engine;
    w->rule = r;
    w->task = task;
    w->batch = batch;
    w->kind = task->kind == CHANGE_DELETE ? COPY_DELETE : COPY_OBJECT;
    w->size_hint = task->size;
    w->has_upload = task->upload != NULL && task->upload->state != UPLOAD_ABORTING;
    batch->refs++;
    arena_init(&w->arena);
    w->to_key = arena_span(&w->arena, rules_map_key(&r->rule, task->key, &w->arena));
    list_push_back(&r->works, &w->link);
    r->work_count++;
    hash_put(&r->engine->works, &w->entry, work_id(&w->arena, r->rule.number, task->key));
    return w;
}

static struct engine_work *find_work(struct engine *e, uint32_t rule, struct span key)
{
    struct arena a;
    arena_init(&a);
    struct hash_entry *entry = hash_find(&e->works, work_id(&a, rule, key));
    arena_done(&a);
    return entry != NULL ? CONTAINER_OF(entry, struct engine_work, entry) : NULL;
}

static bool goes_to(const struct engine_rule *r, const struct upload *u)
{
    return span_eq_str(u->endpoint, r->rule.destination.endpoint) &&
           span_eq_str(u->bucket, r->rule.destination.bucket);
}

bool engine_work_is_at(struct engine *e, const struct upload *u)
{
    LIST_FOR (node, &e->rules) {
        const struct engine_rule *r = CONTAINER_OF(node, struct engine_rule, link);
        LIST_FOR (link, &r->works) {
            if (goes_to(r, u) &&
                span_eq(CONTAINER_OF(link, struct engine_work, link)->to_key, u->dest_key)) {
                return true;
            }
        }
    }
    return false;
}

/* The rule may have changed since the change came. */
static void ignore_delete(struct engine_work *w)
{
    struct copy_outcome outcome = {.end = COPY_SKIPPED, .skip_reason = "the rule ignores deletes"};
    engine_finish_copy(w, &outcome);
}

void engine_work_copy(struct engine_work *w)
{
    struct copy_job job = make_job(w);
    w->copy = sched_add(w->engine->sched, &job, w);
}

static void start(struct engine_work *w)
{
    if (w->kind == COPY_DELETE && w->rule->rule.deletes == RULE_DELETES_IGNORE) {
        ignore_delete(w);
    } else if (w->kind == COPY_DELETE && !engine_brake_admits(w)) {
        engine_finish_held(w);
    } else {
        engine_work_copy(w);
    }
}

void engine_work_start(struct engine *e, const struct task *task, struct claim_batch *batch)
{
    struct engine_rule *r = engine_rule_by_number(e, task->rule);
    if (find_work(e, task->rule, task->key) != NULL) {
        LOG_ERROR(e->log, ENGINE_SUBJECT, "task was claimed twice key=%.*s", SPAN_ARG(task->key));
        return;
    }
    if (r == NULL || r->deleting || !r->rule.enabled || r->from == NULL || r->to == NULL ||
        e->sched_stopping) {
        engine_work_release(e, task);
        return;
    }
    struct engine_work *w = new_work(r, task, batch);
    if (r->rule.versions == RULE_VERSIONS_ALL) {
        engine_versions_start(w);
    } else {
        start(w);
    }
}

void engine_work_cancel_rule(struct engine_rule *r, size_t keep_count)
{
    size_t n = 0;
    LIST_FOR_SAFE (link, &r->works) {
        struct engine_work *w = CONTAINER_OF(link, struct engine_work, link);
        if (w->copy != NULL && ++n > keep_count) {
            sched_cancel(r->engine->sched, w->copy);
        }
    }
}

const char *engine_copy_text(struct engine *e, uint32_t rule, struct span key, char *to,
                             size_t size)
{
    struct engine_work *w = find_work(e, rule, key);
    return w != NULL && w->copy != NULL ? copy_state_text(w->copy, to, size) : NULL;
}

/* ---- records ---- */

struct record_call {
    struct journal_call call;
    struct engine_work *work;
    struct arena arena;
    enum copy_record_kind kind;
    struct upload upload;
    struct upload_part part;
    int64_t now_ms;
};

static int run_record(struct backend *b, struct journal_call *call)
{
    struct record_call *c = CONTAINER_OF(call, struct record_call, call);
    const struct upload *u = &c->upload;
    switch (c->kind) {
    case COPY_UPLOAD_INTENDED:
        return b->ops->upload_intend(b, u);
    case COPY_UPLOAD_OPEN:
        return b->ops->upload_open(b, u);
    case COPY_PART_DONE:
        return b->ops->part_done(b, u->rule, u->key, u->upload_id, &c->part);
    case COPY_COMPLETING:
        return b->ops->upload_set(b, u->rule, u->key, u->upload_id, UPLOAD_COMPLETING, 0, 0);
    case COPY_UPLOAD_ENDED:
        return b->ops->upload_end(b, u->rule, u->key, u->upload_id);
    case COPY_ABANDONED:
        return b->ops->upload_set(b, u->rule, u->key, u->upload_id, UPLOAD_ABORTING,
                                  c->now_ms + (u->upload_id.len == 0 ? UPLOAD_CREATE_WAIT_MS : 0),
                                  0);
    }
    return REPL_EINTERNAL;
}

static void record_done(struct journal_call *call)
{
    struct record_call *c = CONTAINER_OF(call, struct record_call, call);
    struct engine_work *w = c->work;
    struct engine *e = w->engine;
    w->records--;
    if (c->kind == COPY_ABANDONED) {
        engine_uploads_soon(e);
    }
    if (call->status != 0) {
        LOG_WARNING(e->log, ENGINE_SUBJECT, "rule %s: record of a copy was not stored: %s key=%.*s",
                    w->rule->rule.name, call->fail.text, SPAN_ARG(w->task->key));
    }
    if (w->copy != NULL) {
        sched_committed(e->sched, w->copy, call->status);
    }
    engine_work_drop(w);
    arena_done(&c->arena);
    mem_free(c);
}

static void fill_upload(struct record_call *c, const struct copy_job *job,
                        const struct copy_record *rec)
{
    struct engine_work *w = c->work;
    struct arena *a = &c->arena;
    struct span id = arena_span(a, rec->upload_id);
    c->upload = (struct upload){.rule = w->task->rule,
                                .key = arena_span(a, w->task->key),
                                .upload_id = id.ptr != NULL ? id : span_str(""),
                                .state = UPLOAD_OPEN,
                                .endpoint = arena_span(a, span_str(job->to->name)),
                                .bucket = arena_span(a, job->to_bucket),
                                .dest_key = arena_span(a, job->to_key),
                                .source_etag = arena_span(a, rec->source_etag),
                                .source_version = arena_span(a, rec->source_version),
                                .source_mtime_ms = rec->source_mtime_ms,
                                .source_read_ms = rec->source_read_ms,
                                .size = rec->size,
                                .part_size = rec->part_size,
                                .created_ms = c->now_ms};
    if (c->kind == COPY_UPLOAD_INTENDED) {
        c->upload.state = UPLOAD_INTENDED;
        c->upload.upload_id = span_str("");
    }
    c->part = (struct upload_part){.number = rec->part.number,
                                   .size = rec->part.size,
                                   .etag = arena_span(a, rec->part.etag),
                                   .checksum = arena_span(a, rec->part.checksum),
                                   .bytes_sent = rec->bytes_sent};
}

static void on_record(void *arg, struct copy *copy, const struct copy_record *rec)
{
    (void)arg;
    struct engine_work *w = copy_owner(copy);
    const struct copy_job *job = copy_job(copy);
    struct record_call *c = MEM_NEW(struct record_call);
    c->work = w;
    c->kind = rec->kind;
    c->now_ms = loop_wall_ms(w->engine->loop);
    arena_init(&c->arena);
    fill_upload(c, job, rec);
    c->call.run = run_record;
    c->call.done = record_done;
    w->records++;
    journal_submit(w->engine->journal, &c->call);
}

/* The source shows the opposite of what the change said: a deleted key is there again, a written
 * one is gone. The change that tells is on its way, but what it superseded must not count as done
 * while the destination still has something older. */
static bool is_opposite(const struct engine_work *w, const struct copy_outcome *outcome)
{
    if (outcome->end != COPY_SKIPPED) {
        return false;
    }
    return outcome->source_there ||
           (outcome->source_gone && w->rule->rule.deletes != RULE_DELETES_IGNORE &&
            (w->task->origin == TASK_LIVE || w->rule->rule.shared));
}

static void turn_round(struct engine_work *w)
{
    w->turns++;
    w->kind = w->kind == COPY_DELETE ? COPY_OBJECT : COPY_DELETE;
    start(w);
}

/* An upload whose Complete an earlier life had sent ends at the version that was read then. The
 * task's change may be newer: only the source can tell, and, as what Complete was found to have
 * made was known by its bytes, only beside the destination's metadata: known_read_ms stays 0. */
static bool is_unconfirmed(const struct copy_job *job, const struct copy_outcome *outcome)
{
    return outcome->end == COPY_DONE && job->upload_completing;
}

static void keep_completed(struct engine_work *w, const struct copy_outcome *outcome)
{
    struct arena *a = &w->arena;
    struct copy_outcome *o = arena_alloc(a, sizeof(*o));
    *o = (struct copy_outcome){.end = COPY_DONE,
                               .bytes = outcome->bytes,
                               .bytes_sent = outcome->bytes_sent,
                               .retries = outcome->retries};
    o->source.etag = arena_span(a, w->task->upload->source_etag);
    o->source.version_id = arena_span(a, w->task->upload->source_version);
    o->source.mtime_ms = w->task->upload->source_mtime_ms;
    o->source.read_ms = w->task->upload->source_read_ms;
    o->dest.etag = arena_span(a, outcome->dest.etag);
    o->dest.version_id = arena_span(a, outcome->dest.version_id);
    w->completed = o;
}

/* Nothing but "the destination has this version" says that what was completed is the present. */
static const struct copy_outcome *confirmed(const struct engine_work *w,
                                            const struct copy_outcome *outcome)
{
    bool same = outcome->end == COPY_SKIPPED && !outcome->source_gone && w->turns == 0;
    return w->completed != NULL && same ? w->completed : outcome;
}

bool engine_work_may_go_on(const struct engine_work *w)
{
    const struct engine_rule *r = w->rule;
    return !w->engine->sched_stopping && !r->deleting && r->rule.enabled && r->from != NULL &&
           r->to != NULL;
}

static void end_work(struct engine_work *w, enum copy_end end)
{
    struct copy_outcome outcome = {.end = end, .source_side = true};
    if (end == COPY_FAILED) {
        fail_set(&outcome.fail, REPL_ECHANGED, "object comes and goes at the source");
    }
    engine_finish_copy(w, &outcome);
}

static void on_done(void *arg, struct copy *copy, const struct copy_outcome *outcome)
{
    (void)arg;
    struct engine_work *w = copy_owner(copy);
    bool unconfirmed = is_unconfirmed(copy_job(copy), outcome);
    bool opposite = is_opposite(w, outcome);
    w->copy = NULL;
    w->has_upload = false;
    if (w->versions != NULL) {
        engine_versions_copied(w, outcome);
    } else if (!unconfirmed && !opposite) {
        engine_finish_copy(w, confirmed(w, outcome));
    } else if (!engine_work_may_go_on(w)) {
        end_work(w, COPY_STOPPED);
    } else if (unconfirmed) {
        keep_completed(w, outcome);
        start(w);
    } else if (w->turns < TURNS_MAX) {
        turn_round(w);
    } else {
        end_work(w, COPY_FAILED);
    }
}

const struct copy_sink engine_copy_sink = {.record = on_record, .done = on_done};
