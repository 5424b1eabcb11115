/* Uploads that nobody goes on with are aborted until the server says that they are gone, over
 * restarts; and once in a while those are found whose task has no use for them any more. */
#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"

#include <stdio.h>

#define PAGE_ROWS      4 /* aborted at a time */
#define LOOK_EVERY_MS  5000
#define SWEEP_EVERY_MS 600000
#define SWEEP_ROWS     500

/* ---- one abort ---- */

struct abort_job {
    struct engine_op *op;
    struct engine *engine;
    struct upload upload; /* spans in the look's arena */
    struct look *look;
    struct journal_call call;
    struct store_upload *strays; /* of an intention: the last of stray_count is looked at */
    size_t stray_count;
    bool has_aborted;
    bool gone;
    int64_t next_try_ms;
};

struct look {
    struct journal_call call;
    struct engine *engine;
    struct arena arena;
    struct upload *uploads;
    size_t count;
    size_t running;
    int64_t now_ms;
};

static void look_soon(struct engine *e, uint64_t ms)
{
    if (!e->stopping) {
        timer_start(&e->upload_timer, ms);
    }
}

static void end_look(struct look *l)
{
    struct engine *e = l->engine;
    bool more = l->count == PAGE_ROWS;
    arena_done(&l->arena);
    mem_free(l);
    e->uploads_running = false;
    look_soon(e, more || e->uploads_again ? 100 : LOOK_EVERY_MS);
    e->uploads_again = false;
}

static void job_stored(struct journal_call *call)
{
    struct abort_job *j = CONTAINER_OF(call, struct abort_job, call);
    struct look *l = j->look;
    mem_free(j);
    if (--l->running == 0) {
        end_look(l);
    }
}

static int run_job(struct backend *b, struct journal_call *call)
{
    struct abort_job *j = CONTAINER_OF(call, struct abort_job, call);
    const struct upload *u = &j->upload;
    if (j->gone && span_is_empty(u->upload_id)) {
        return b->ops->intent_end(b, u->rule, u->key, j->look->now_ms);
    }
    int status = j->gone ? b->ops->upload_end(b, u->rule, u->key, u->upload_id)
                         : b->ops->upload_set(b, u->rule, u->key, u->upload_id, UPLOAD_ABORTING,
                                              j->next_try_ms, u->attempts + 1);
    return status == REPL_ENOTFOUND ? 0 : status;
}

static void end_job(struct abort_job *j, bool gone)
{
    struct engine *e = j->engine;
    if (j->op != NULL) {
        engine_op_free(j->op);
    }
    j->gone = gone;
    j->next_try_ms = engine_next_try(e, j->upload.attempts);
    j->call = (struct journal_call){.run = run_job, .done = job_stored};
    journal_submit(e->journal, &j->call);
    if (gone) {
        LOG_INFO(e->log, ENGINE_SUBJECT, "upload is aborted bucket=%.*s key=%.*s",
                 SPAN_ARG(j->upload.bucket), SPAN_ARG(j->upload.dest_key));
    }
}

static void send(struct abort_job *j, enum store_op_kind kind, struct span upload_id,
                 store_done_fn *done)
{
    struct store *store = j->op->store;
    engine_op_free(j->op);
    j->op = engine_op_new(j->engine, store);
    j->op->op.kind = kind;
    j->op->op.bucket = j->upload.bucket;
    j->op->op.key = j->upload.dest_key;
    j->op->op.upload_id = upload_id;
    engine_op_submit(j->op, done, j);
}

static void warn(struct abort_job *j, const struct fail *f)
{
    LOG_WARNING(j->engine->log, ENGINE_SUBJECT,
                "upload cannot be aborted yet, will try again: %s key=%.*s", f->text,
                SPAN_ARG(j->upload.dest_key));
}

static void asked(struct store_op *op)
{
    struct abort_job *j = op->arg;
    end_job(j, op->fail.code == REPL_ENOUPLOAD || op->fail.code == REPL_ENOBUCKET);
}

/* A part that was under way may have come after the abort: only "no such upload" ends it. */
static void aborted(struct store_op *op)
{
    struct abort_job *j = op->arg;
    if (op->fail.code == 0 && !j->engine->stopping) {
        send(j, STORE_LIST_PARTS, j->upload.upload_id, asked);
        return;
    }
    if (op->fail.code != 0 && op->fail.code != REPL_ENOUPLOAD) {
        warn(j, &op->fail);
    }
    end_job(j, op->fail.code == REPL_ENOUPLOAD);
}

/* ---- an intention: Create was sent or not, its answer is lost ----
 *
 * What it made, if anything, has this key, is of that time, was never recorded, by whatever rule,
 * and has no part: ours would have been recorded before its first one. Others are not touched. */

static bool may_be_ours(const struct abort_job *j, const struct store_upload *u)
{
    int64_t begun_ms = loop_wall_ms(j->engine->loop) - u->age_ms;
    return span_eq(u->key, j->upload.dest_key) &&
           copy_may_have_begun(begun_ms, j->upload.created_ms, j->upload.intended_ms);
}

static void find_stray(struct abort_job *j);

/* None is left, and it is due: no Create is at work any more. One that was aborted is looked for
 * again. */
static void end_strays(struct abort_job *j)
{
    end_job(j, !j->has_aborted);
}

static void next_stray(struct abort_job *j)
{
    j->stray_count--;
    find_stray(j);
}

static void stray_aborted(struct store_op *op)
{
    struct abort_job *j = op->arg;
    j->has_aborted = true;
    next_stray(j);
}

static void stray_asked(struct store_op *op)
{
    struct abort_job *j = op->arg;
    if (op->fail.code == 0 && op->ret_part_count == 0 && !j->engine->stopping) {
        send(j, STORE_ABORT, j->strays[j->stray_count - 1].upload_id, stray_aborted);
    } else {
        next_stray(j);
    }
}

static void stray_found(struct journal_call *call)
{
    struct abort_job *j = CONTAINER_OF(call, struct abort_job, call);
    if (call->status == REPL_ENOTFOUND && !j->engine->stopping) {
        send(j, STORE_LIST_PARTS, j->strays[j->stray_count - 1].upload_id, stray_asked);
    } else {
        next_stray(j);
    }
}

static int run_find(struct backend *b, struct journal_call *call)
{
    struct abort_job *j = CONTAINER_OF(call, struct abort_job, call);
    const struct upload *u = &j->upload;
    return b->ops->upload_find(b, u->endpoint, u->bucket, j->strays[j->stray_count - 1].upload_id);
}

static void find_stray(struct abort_job *j)
{
    if (j->stray_count == 0) {
        end_strays(j);
        return;
    }
    j->call = (struct journal_call){.run = run_find, .done = stray_found, .access = JOURNAL_READ};
    journal_submit(j->engine->journal, &j->call);
}

static void found(struct store_op *op)
{
    struct abort_job *j = op->arg;
    struct arena *a = &j->look->arena;
    if (op->fail.code != 0 || j->engine->stopping) {
        warn(j, &op->fail);
        end_job(j, false);
        return;
    }
    j->strays = arena_alloc(a, (op->upload_count + 1) * sizeof(*j->strays));
    for (size_t i = 0; i < op->upload_count; i++) {
        if (may_be_ours(j, &op->uploads[i])) {
            struct span id = arena_span(a, op->uploads[i].upload_id);
            j->strays[j->stray_count++].upload_id = id;
        }
    }
    find_stray(j);
}

static void start_job(struct look *l, const struct upload *u)
{
    struct engine *e = l->engine;
    char endpoint[80];
    struct abort_job *j = MEM_NEW(struct abort_job);
    j->engine = e;
    j->look = l;
    j->upload = *u;
    l->running++;
    snprintf(endpoint, sizeof(endpoint), "%.*s", SPAN_ARG(u->endpoint));
    struct store *store = engine_store(e, endpoint);
    bool intended = span_is_empty(u->upload_id);
    if (store == NULL || (intended && engine_work_is_at(e, u))) {
        end_job(j, false);
        return;
    }
    j->op = engine_op_new(e, store);
    if (intended) {
        send(j, STORE_LIST_UPLOADS, (struct span){0}, found);
    } else {
        send(j, STORE_ABORT, u->upload_id, aborted);
    }
}

/* ---- those that are due ---- */

static int run_look(struct backend *b, struct journal_call *call)
{
    struct look *l = CONTAINER_OF(call, struct look, call);
    return b->ops->upload_page(b, &l->arena, UPLOAD_ABORTING, l->now_ms, NULL, PAGE_ROWS,
                               &l->uploads, &l->count);
}

static void looked(struct journal_call *call)
{
    struct look *l = CONTAINER_OF(call, struct look, call);
    size_t n = call->status == 0 && !l->engine->stopping ? l->count : 0;
    l->running = 1;
    for (size_t i = 0; i < n; i++) {
        start_job(l, &l->uploads[i]);
    }
    if (--l->running == 0) {
        end_look(l);
    }
}

static void look(struct engine *e)
{
    struct look *l = MEM_NEW(struct look);
    l->engine = e;
    arena_init(&l->arena);
    l->now_ms = loop_wall_ms(e->loop);
    l->call.run = run_look;
    l->call.done = looked;
    e->uploads_running = true;
    journal_submit(e->journal, &l->call);
}

/* ---- those that were forgotten ---- */

struct sweep {
    struct journal_call call;
    struct engine *engine;
    struct arena arena;
    struct upload last;
    struct upload *uploads;
    size_t count;
    size_t forgotten;
    int64_t now_ms;
};

static int sweep_upload(struct backend *b, struct sweep *s, const struct upload *u)
{
    struct task task;
    if (u->state == UPLOAD_ABORTING) {
        return 0;
    }
    int status = b->ops->task_get(b, &s->arena, u->rule, u->key, &task);
    if (status != REPL_ENOTFOUND) {
        return status;
    }
    s->forgotten++;
    int64_t due = s->now_ms + (u->state == UPLOAD_COMPLETING ? ENGINE_COMPLETE_WAIT_MS : 0);
    return b->ops->upload_set(b, u->rule, u->key, u->upload_id, UPLOAD_ABORTING, due, 0);
}

static int run_sweep(struct backend *b, struct journal_call *call)
{
    struct sweep *s = CONTAINER_OF(call, struct sweep, call);
    int status =
        b->ops->upload_page(b, &s->arena, -1, INT64_MAX, s->last.key.ptr != NULL ? &s->last : NULL,
                            SWEEP_ROWS, &s->uploads, &s->count);
    for (size_t i = 0; status == 0 && i < s->count; i++) {
        status = sweep_upload(b, s, &s->uploads[i]);
    }
    return status;
}

static void submit_sweep(struct sweep *s);

static void swept(struct journal_call *call)
{
    struct sweep *s = CONTAINER_OF(call, struct sweep, call);
    struct engine *e = s->engine;
    if (call->status == 0 && s->count == SWEEP_ROWS && !e->stopping) {
        s->last = s->uploads[s->count - 1]; /* its spans live in the arena until the end */
        submit_sweep(s);
        return;
    }
    if (s->forgotten > 0) {
        LOG_NOTICE(e->log, ENGINE_SUBJECT, "uploads without a task will be aborted count=%zu",
                   s->forgotten);
    }
    arena_done(&s->arena);
    mem_free(s);
    if (e->stopping) {
        e->uploads_running = false;
    } else {
        look(e);
    }
}

static void submit_sweep(struct sweep *s)
{
    s->call.run = run_sweep;
    s->call.done = swept;
    journal_submit(s->engine->journal, &s->call);
}

/* ---- when ---- */

static void on_timer(void *arg)
{
    struct engine *e = arg;
    if (e->uploads_running || e->stopping) {
        return;
    }
    uint64_t now = loop_now_ms(e->loop);
    if (e->uploads_swept_ms != 0 && now - e->uploads_swept_ms < SWEEP_EVERY_MS) {
        look(e);
        return;
    }
    struct sweep *s = MEM_NEW(struct sweep);
    s->engine = e;
    s->now_ms = loop_wall_ms(e->loop);
    arena_init(&s->arena);
    e->uploads_swept_ms = now;
    e->uploads_running = true;
    submit_sweep(s);
}

void engine_uploads_soon(struct engine *e)
{
    e->uploads_again = e->uploads_running;
    if (!e->uploads_running) {
        look_soon(e, 0);
    }
}

void engine_uploads_init(struct engine *e)
{
    timer_init(&e->upload_timer, e->loop, on_timer, e);
}
