#include "transfer/copy/copy_impl.h"

#include <stdio.h>

/* ---- life ---- */

struct copy *copy_new(struct sched *s, const struct copy_job *job, void *owner, uint64_t seq)
{
    struct copy *c = MEM_NEW(struct copy);
    c->job = *job;
    c->owner = owner;
    c->sched = s;
    c->seq = seq;
    c->size_hint = job->size_hint;
    c->over_etag = job->known_dest_etag;
    arena_init(&c->arena);
    for (int side = 0; side < COPY_SIDES; side++) {
        list_init(&c->queue[side]);
        c->entry[side] = (struct entry){.copy = c, .side = (enum copy_side)side};
    }
    list_init(&c->running);
    list_init(&c->delayed);
    list_init(&c->held);
    list_init(&c->notes);
    return c;
}

void copy_start(struct copy *c)
{
    if (c->restarts == 0 && (c->job.upload_intended || c->job.upload_id.len > 0)) {
        copy_resume(c);
    } else {
        copy_begin(c);
    }
}

void copy_begin(struct copy *c)
{
    if (c->job.kind == COPY_DELETE) {
        copy_delete_start(c);
    } else if (c->job.two_way || (c->restarts == 0 && c->job.known_etag.len > 0)) {
        copy_ask(c, STEP_COMPARE);
    } else {
        copy_read_start(c);
    }
}

static void drop_all(struct list *list)
{
    while (!list_is_empty(list)) {
        copy_op_free(copy_op_of(list_first(list)));
    }
}

/* But for a Create: only its answer names the upload that is left to be aborted. When the scheduler
 * stops there is no time for it, and the recorded intention has to do. */
static void call_back(struct copy *c)
{
    LIST_FOR_SAFE (node, &c->running) {
        struct copy_op *o = copy_op_of(node);
        if (!o->is_cancelled && (o->step != STEP_CREATE || sched_is_stopping(c))) {
            o->is_cancelled = true;
            sched_call_back(o);
        }
    }
}

/* Nothing new goes out, what is out is called back; copy_settle() does the rest. */
static void drain(struct copy *c, enum copy_after after)
{
    c->after = after;
    drop_all(&c->queue[COPY_SOURCE]);
    drop_all(&c->queue[COPY_DEST]);
    drop_all(&c->delayed);
    drop_all(&c->held);
    call_back(c);
}

static void close_upload(struct copy *c, bool abandon)
{
    if (c->upload_is_open && (abandon || c->upload_is_complete)) {
        c->close_upload = true;
        c->close_as = c->upload_is_complete ? COPY_UPLOAD_ENDED : COPY_ABANDONED;
    }
}

void copy_end(struct copy *c, enum copy_end end)
{
    c->outcome.end = end;
    close_upload(c, end != COPY_STOPPED);
    drain(c, AFTER_END);
}

void copy_skip(struct copy *c, const char *reason)
{
    c->outcome.skip_reason = reason;
    copy_end(c, COPY_SKIPPED);
}

/* An upload outlives a failure that may pass: the next attempt goes on with it. */
void copy_fail(struct copy *c, const struct fail *f, enum copy_side side)
{
    enum fail_class class = fail_class(f->code);
    c->outcome.end = COPY_FAILED;
    c->outcome.fail = *f;
    c->outcome.source_side = side == COPY_SOURCE;
    close_upload(c, class == FAIL_PERMANENT || class == FAIL_CORRUPT || class == FAIL_GONE);
    drain(c, AFTER_END);
}

void copy_restart(struct copy *c, const struct fail *f, enum copy_side side)
{
    if (c->restarts >= COPY_RESTARTS) {
        copy_fail(c, f, side);
        return;
    }
    c->restarts++;
    c->outcome.retries++;
    LOG_INFO(sched_log(c), "copy", "starts again: %s key=%.*s", f->text, SPAN_ARG(c->job.from_key));
    close_upload(c, true);
    drain(c, AFTER_RESTART);
}

void copy_cancel(struct copy *c)
{
    if (c->after != AFTER_END) {
        copy_end(c, COPY_STOPPED);
    } else {
        call_back(c);
    }
}

bool copy_is_idle(const struct copy *c)
{
    return c->after == AFTER_NOTHING && list_is_empty(&c->running) && !c->record_is_out &&
           (c->is_put_back || list_is_empty(&c->queue[COPY_DEST]));
}

/* The body of a large object's first part, or of a PUT that is being asked for. */
static bool is_sheddable(const struct copy_op *body)
{
    return body != NULL && (!body->copy->plan.single || body->step == STEP_PUT);
}

void copy_shed(struct copy *c)
{
    if (is_sheddable(c->body)) {
        copy_op_free(c->body);
    }
    LIST_FOR_SAFE (node, &c->queue[COPY_DEST]) {
        struct copy_op *o = copy_op_of(node);
        if (o->step == STEP_SEND_PART) {
            c->parts[o->part].state = PART_TODO;
            c->parts_todo++;
            c->next_part = o->part < c->next_part ? o->part : c->next_part;
            copy_op_free(o);
        } else if (o->step == STEP_PUT) {
            copy_op_free(o);
            copy_read_start(c);
        }
    }
    sched_update(c);
}

static void forget_source(struct copy *c)
{
    if (c->source.size > 0) {
        c->size_hint = (int64_t)c->source.size;
    }
    c->is_pinned = false;
    c->is_plain = false;
    c->source = (struct store_object){0};
    c->tags = NULL;
    c->tags_late = false;
    c->tag_count = 0;
    c->is_ambiguous = false;
    c->meta_is_known = false;
    c->marker = (struct span){0};
    c->peer_for = (struct span){0};
    c->peer_before_complete = false;
}

/* True when c is gone. */
static bool go_on(struct copy *c)
{
    if (c->close_upload) {
        c->close_upload = false;
        copy_note(c, c->close_as, 0);
        copy_emit(c);
        return false;
    }
    if (c->after == AFTER_END) {
        copy_upload_reset(c);
        sched_done(c);
        return true;
    }
    c->after = AFTER_NOTHING;
    copy_upload_reset(c);
    forget_source(c);
    copy_start(c);
    return false;
}

void copy_settle(struct copy *c)
{
    if (c->after == AFTER_NOTHING && sched_is_stopping(c) && copy_is_idle(c) &&
        list_is_empty(&c->notes)) {
        copy_end(c, COPY_STOPPED);
    }
    copy_emit(c);
    if (c->after != AFTER_NOTHING && list_is_empty(&c->running) && !c->record_is_out && go_on(c)) {
        return;
    }
    sched_update(c);
}

/* ---- questions ---- */

void *copy_owner(const struct copy *c)
{
    return c->owner;
}

const struct copy_job *copy_job(const struct copy *c)
{
    return &c->job;
}

static const struct copy_op *any_op(const struct copy *c)
{
    const struct list *lists[] = {&c->running, &c->queue[COPY_DEST], &c->queue[COPY_SOURCE],
                                  &c->delayed};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        struct list *first = list_first(lists[i]);
        if (first != NULL) {
            return copy_op_of(first);
        }
    }
    return NULL;
}

const char *copy_state_text(const struct copy *c, char *to, size_t size)
{
    const struct copy_op *o = any_op(c);
    if (c->after != AFTER_NOTHING) {
        snprintf(to, size, "%s", c->after == AFTER_END ? "ending" : "starting again");
    } else if (c->parts != NULL && c->parts_done < c->plan.part_count) {
        snprintf(to, size, "sending parts %u/%u", c->parts_done, c->plan.part_count);
    } else if (c->record_is_out) {
        snprintf(to, size, "recording");
    } else {
        snprintf(to, size, "%s", o == NULL ? "waiting" : copy_step_text(o->step));
    }
    return to;
}

uint64_t copy_bytes_done(const struct copy *c)
{
    return c->bytes_done;
}
