#include "transfer/copy/copy_impl.h"

#include "transfer/copy/retry.h"

#include <assert.h>
#include <stdio.h>

/* ---- the steps ---- */

static const struct step {
    const char *text;
    enum copy_side side;
    copy_step_fn *fill;
    copy_step_fn *good;
    copy_step_fn *bad;
} steps[STEP_COUNT] = {
    [STEP_COMPARE] = {"comparing", COPY_SOURCE, copy_compare_fill, copy_compare_good,
                      copy_compare_bad},
    [STEP_READ_FIRST] = {"reading", COPY_SOURCE, copy_first_fill, copy_first_good, copy_first_bad},
    [STEP_TAGS] = {"reading tags", COPY_SOURCE, copy_tags_fill, copy_tags_good, copy_tags_bad},
    [STEP_PUT] = {"sending", COPY_DEST, copy_put_fill, copy_put_good, copy_put_bad},
    [STEP_ASK_PUT] = {"asking", COPY_DEST, copy_ask_dest_fill, copy_ask_put_good, copy_ask_put_bad},
    [STEP_CREATE] = {"creating the upload", COPY_DEST, copy_create_fill, copy_create_good,
                     copy_create_bad},
    [STEP_READ_PART] = {"sending parts", COPY_SOURCE, copy_read_part_fill, copy_read_part_good,
                        copy_read_part_bad},
    [STEP_SEND_PART] = {"sending parts", COPY_DEST, copy_send_part_fill, copy_send_part_good,
                        copy_send_part_bad},
    [STEP_COMPLETE] = {"completing", COPY_DEST, copy_complete_fill, copy_complete_good,
                       copy_complete_bad},
    [STEP_ASK_COMPLETE] = {"asking", COPY_DEST, copy_ask_dest_fill, copy_ask_complete_good,
                           copy_ask_complete_bad},
    [STEP_ASK_UPLOAD] = {"asking", COPY_DEST, copy_list_parts_fill, copy_ask_upload_good,
                         copy_ask_upload_bad},
    [STEP_RESUME_PIN] = {"resuming", COPY_SOURCE, copy_resume_pin_fill, copy_resume_pin_good,
                         copy_resume_pin_bad},
    [STEP_RESUME_PARTS] = {"resuming", COPY_DEST, copy_list_parts_fill, copy_resume_parts_good,
                           copy_resume_parts_bad},
    [STEP_FIND_INTENDED] = {"resuming", COPY_DEST, copy_find_fill, copy_find_good, copy_find_bad},
    [STEP_LOOK_INTENDED] = {"resuming", COPY_DEST, copy_look_fill, copy_look_good, copy_look_bad},
    [STEP_ABORT_INTENDED] = {"resuming", COPY_DEST, copy_abort_fill, copy_abort_good,
                             copy_abort_bad},
    [STEP_VERIFY] = {"verifying", COPY_DEST, copy_verify_fill, copy_verify_good, copy_verify_bad},
    [STEP_VERIFY_BYTE] = {"verifying", COPY_DEST, copy_byte_fill, copy_byte_good, copy_byte_bad},
    [STEP_DELETE_UPLOAD] = {"asking", COPY_DEST, copy_list_parts_fill, copy_delete_upload_good,
                            copy_delete_upload_bad},
    [STEP_DELETE_EVIDENCE] = {"asking", COPY_SOURCE, copy_evidence_fill, copy_evidence_good,
                              copy_evidence_bad},
    [STEP_DELETE_BUCKET] = {"asking", COPY_SOURCE, copy_bucket_fill, copy_bucket_good, copy_again},
    [STEP_DELETE] = {"deleting", COPY_DEST, copy_delete_fill, copy_delete_good, copy_delete_bad},
};

enum copy_side copy_side(enum copy_step step)
{
    return steps[step].side;
}

/* ---- operations ---- */

static bool is_part_step(enum copy_step step)
{
    return step == STEP_READ_PART || step == STEP_SEND_PART;
}

static void delay_over(void *arg)
{
    struct copy_op *o = arg;
    struct copy *c = o->copy;
    copy_queue(o, o->step);
    copy_settle(c);
}

struct copy_op *copy_op_new(struct copy *c, enum copy_step step)
{
    struct copy_op *o = MEM_NEW(struct copy_op);
    o->copy = c;
    o->step = step;
    arena_init(&o->arena);
    timer_init(&o->delay, sched_loop(c), delay_over, o);
    return o;
}

void copy_op_free(struct copy_op *o)
{
    list_remove(&o->link);
    timer_stop(&o->delay);
    sched_release(o);
    arena_done(&o->arena);
    if (o->copy->body == o) {
        o->copy->body = NULL;
    }
    mem_free(o);
}

void copy_queue(struct copy_op *o, enum copy_step step)
{
    list_remove(&o->link);
    o->step = step;
    list_push_back(&o->copy->queue[copy_side(step)], &o->link);
}

void copy_ask(struct copy *c, enum copy_step step)
{
    copy_queue(copy_op_new(c, step), step);
}

void copy_hold(struct copy_op *o)
{
    list_remove(&o->link);
    list_push_back(&o->copy->held, &o->link);
}

static struct copy_op *op_of(struct list *link)
{
    return link == NULL ? NULL : CONTAINER_OF(link, struct copy_op, link);
}

static struct copy_op *next_part_read(struct copy *c)
{
    while (c->parts[c->next_part].state != PART_TODO) {
        c->next_part++;
    }
    struct copy_op *o = copy_op_new(c, STEP_READ_PART);
    o->part = c->next_part;
    o->need = copy_part_length(c, o->part);
    c->parts[o->part].state = PART_BUSY;
    c->parts_todo--;
    copy_queue(o, STEP_READ_PART);
    return o;
}

bool copy_wants(const struct copy *c, enum copy_side side)
{
    bool has_part = side == COPY_SOURCE && c->parts_flow && c->parts_todo > 0;
    return c->after == AFTER_NOTHING && (has_part || !list_is_empty(&c->queue[side]));
}

struct copy_op *copy_peek(struct copy *c, enum copy_side side)
{
    if (!copy_wants(c, side)) {
        return NULL;
    }
    struct copy_op *o = op_of(list_first(&c->queue[side]));
    return o == NULL ? next_part_read(c) : o;
}

void copy_fill(struct copy_op *o)
{
    struct copy *c = o->copy;
    list_remove(&o->link);
    list_push_back(&c->running, &o->link);
    struct arena *arena = &c->arena;
    if (is_part_step(o->step)) {
        arena_done(&o->arena);
        arena_init(&o->arena);
        arena = &o->arena;
    }
    o->op = (struct store_op){.arena = arena};
    steps[o->step].fill(c, o);
}

void copy_fill_source(const struct copy *c, struct store_op *op, enum store_op_kind kind)
{
    op->kind = kind;
    op->bucket = c->job.from_bucket;
    op->key = c->job.from_key;
    op->version_id = c->job.version_id;
}

void copy_fill_dest(const struct copy *c, struct store_op *op, enum store_op_kind kind)
{
    op->kind = kind;
    op->bucket = c->job.to_bucket;
    op->key = c->job.to_key;
}

/* ---- results ---- */

void copy_delay(struct copy_op *o, enum copy_step step, uint32_t delay_ms)
{
    list_remove(&o->link);
    o->step = step;
    list_push_back(&o->copy->delayed, &o->link);
    timer_start(&o->delay, delay_ms);
}

bool copy_may_repeat(struct copy *c, struct copy_op *o, uint32_t *ret_delay_ms)
{
    *ret_delay_ms = 0;
    if (!o->counts) {
        return true;
    }
    o->attempts++;
    c->outcome.retries++;
    uint64_t chance = loop_random(sched_loop(c), UINT64_MAX);
    return retry_decide(&o->op.fail, o->attempts, chance, ret_delay_ms) == RETRY_AGAIN;
}

bool copy_is_mute(const struct copy_op *o)
{
    int code = o->op.fail.code;
    return code == REPL_EUNSUPPORTED || (code == REPL_EDENIED && o->counts);
}

static void log_again(const struct copy *c, const struct copy_op *o, uint32_t delay_ms)
{
    struct log *log = sched_log(c);
    if (log == NULL || !log_enabled(log, LOG_LEVEL_DEBUG, "copy")) {
        return;
    }
    char text[512];
    LOG_DEBUG(log, "copy", "%s failed %u times, again in %u ms: %s key=%.*s",
              store_op_name(o->op.kind), o->attempts, delay_ms,
              fail_print(&o->op.fail, text, sizeof(text)), SPAN_ARG(c->job.from_key));
}

void copy_again(struct copy *c, struct copy_op *o)
{
    uint32_t delay_ms;
    if (copy_may_repeat(c, o, &delay_ms)) {
        log_again(c, o, delay_ms);
        copy_delay(o, o->step, delay_ms);
    } else {
        copy_fail(c, &o->op.fail, copy_side(o->step));
    }
}

void copy_result(struct copy_op *o)
{
    struct copy *c = o->copy;
    list_remove(&o->link);
    if (o->step == STEP_PUT || o->step == STEP_SEND_PART) {
        c->outcome.bytes_sent += o->op.wire_sent;
    }
    if (c->after == AFTER_NOTHING) {
        (o->op.fail.code == 0 ? steps[o->step].good : steps[o->step].bad)(c, o);
    }
    if (!list_is_linked(&o->link)) {
        copy_op_free(o);
    }
    copy_settle(c);
}

/* ---- life ---- */

struct copy *copy_new(struct sched *s, const struct copy_job *job, void *owner, uint64_t seq)
{
    struct copy *c = MEM_NEW(struct copy);
    c->job = *job;
    c->owner = owner;
    c->sched = s;
    c->seq = seq;
    c->size_hint = job->size_hint;
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
    } else if (c->restarts == 0 && c->job.known_etag.len > 0) {
        copy_ask(c, STEP_COMPARE);
    } else {
        copy_read_start(c);
    }
}

static void drop_all(struct list *list)
{
    while (!list_is_empty(list)) {
        copy_op_free(op_of(list_first(list)));
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
    LIST_FOR_SAFE (node, &c->running) {
        struct copy_op *o = op_of(node);
        bool is_source = copy_side(o->step) == COPY_SOURCE;
        if (!o->is_cancelled) {
            o->is_cancelled = true;
            store_cancel(is_source ? c->job.from : c->job.to, &o->op);
        }
    }
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
    close_upload(c, c->job.kind == COPY_DELETE && end != COPY_STOPPED);
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
    }
}

bool copy_is_idle(const struct copy *c)
{
    return c->after == AFTER_NOTHING && list_is_empty(&c->running) && !c->record_is_out &&
           list_is_empty(&c->queue[COPY_DEST]);
}

void copy_shed(struct copy *c)
{
    LIST_FOR_SAFE (node, &c->queue[COPY_DEST]) {
        struct copy_op *o = op_of(node);
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
    c->tag_count = 0;
    c->is_ambiguous = false;
    c->marker = (struct span){0};
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
            return op_of(first);
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
        snprintf(to, size, "%s", o == NULL ? "waiting" : steps[o->step].text);
    }
    return to;
}

uint64_t copy_bytes_done(const struct copy *c)
{
    return c->bytes_done;
}
