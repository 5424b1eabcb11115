/* An object in parts: Create, and every part read and sent. */
#include "transfer/copy/copy_impl.h"

#define INTENTION_MAX_MS 10000 /* its owner waits a minute for what a Create makes */

uint64_t copy_part_length(const struct copy *c, uint32_t index)
{
    return plan_part_length(c->source.size, c->plan.part_size, index);
}

void copy_upload_reset(struct copy *c)
{
    mem_free(c->parts);
    mem_free(c->complete_parts);
    c->parts = NULL;
    c->complete_parts = NULL;
    c->parts_flow = false;
    c->parts_todo = 0;
    c->parts_done = 0;
    c->next_part = 0;
    c->bytes_done = 0;
    c->upload_id = (struct span){0};
    c->upload_is_open = false;
    c->upload_is_complete = false;
    c->is_resumed = false;
    c->complete_attempts = 0;
    c->verify_at = 0;
    c->verify_bytes = 0;
}

void copy_parts_alloc(struct copy *c)
{
    c->parts = mem_array(c->plan.part_count, sizeof(struct copy_part));
    c->parts_todo = c->plan.part_count;
}

void copy_create(struct copy *c)
{
    c->intended_last_ms = loop_wall_ms(sched_loop(c));
    c->intended_at_ms = loop_now_ms(sched_loop(c));
    c->is_intended_anew = false;
    if (c->intended_ms == 0) { /* or an earlier one has no answer, and may be found still */
        c->intended_ms = c->intended_last_ms;
    }
    copy_note(c, COPY_UPLOAD_INTENDED, 0);
}

bool copy_create_is_late(const struct copy_op *o)
{
    return o->step == STEP_CREATE && !o->copy->is_intended_anew &&
           loop_now_ms(sched_loop(o->copy)) - o->copy->intended_at_ms > INTENTION_MAX_MS;
}

void copy_create_anew(struct copy_op *o)
{
    struct copy *c = o->copy;
    copy_op_free(o);
    copy_create(c);
    c->is_intended_anew = true; /* where a slot always takes longer it would never leave */
    copy_settle(c);
}

void copy_create_fill(struct copy *c, struct copy_op *o)
{
    copy_fill_dest(c, &o->op, STORE_CREATE);
    o->op.meta = c->meta;
}

void copy_create_good(struct copy *c, struct copy_op *o)
{
    c->upload_id = o->op.ret_upload_id;
    c->upload_is_open = true;
    c->intended_ms = 0;
    copy_note(c, COPY_UPLOAD_OPEN, 0);
}

/* A Create without an answer may have made an upload that nobody knows the id of: it is looked for
 * before another one is made. Refused for good, the intention is void. */
void copy_create_bad(struct copy *c, struct copy_op *o)
{
    uint32_t delay_ms;
    o->attempts = c->create_attempts;
    if (!copy_may_repeat(c, o, &delay_ms)) {
        copy_fail(c, &o->op.fail, COPY_DEST);
        c->close_upload = c->create_attempts == 0;
        c->close_as = COPY_UPLOAD_ENDED;
        return;
    }
    c->create_attempts = o->attempts;
    bool may_exist = o->op.ambiguous || fail_class(o->op.fail.code) == FAIL_RETRY;
    copy_delay(o, may_exist ? STEP_FIND_INTENDED : STEP_CREATE, delay_ms);
}

void copy_parts_start(struct copy *c)
{
    copy_parts_alloc(c);
    c->parts_flow = true;
    struct copy_op *first = c->body;
    if (first == NULL) {
        return;
    }
    c->body = NULL;
    first->part = 0;
    first->attempts = 0;
    c->parts[0].state = PART_BUSY;
    c->parts_todo--;
    copy_queue(first, STEP_SEND_PART);
}

/* ---- reading ---- */

void copy_read_part_fill(struct copy *c, struct copy_op *o)
{
    copy_fill_source(c, &o->op, STORE_GET);
    copy_pin(c, &o->op);
    o->op.ranged = true;
    o->op.offset = o->part * c->plan.part_size;
    o->op.length = copy_part_length(c, o->part);
    o->op.into = o->ticket.buffer;
    o->op.into_size = o->op.length;
}

void copy_read_part_good(struct copy *c, struct copy_op *o)
{
    const struct store_object *now = &o->op.object;
    if (now->etag.len > 0 && !span_eq(now->etag, c->source.etag)) {
        fail_set(&o->op.fail, REPL_ECHANGED, "source ignored the pin and gave another version");
        copy_restart(c, &o->op.fail, COPY_SOURCE);
        return;
    }
    if (o->op.received != o->op.length) {
        fail_set(&o->op.fail, REPL_ESHORT, "read %zu of %llu bytes", o->op.received,
                 (unsigned long long)o->op.length);
        copy_again(c, o);
        return;
    }
    o->attempts = 0;
    copy_queue(o, STEP_SEND_PART);
}

void copy_read_part_bad(struct copy *c, struct copy_op *o)
{
    if (o->op.fail.code == REPL_ECHANGED || o->op.fail.code == REPL_ENOKEY) {
        copy_restart(c, &o->op.fail, COPY_SOURCE);
    } else {
        copy_again(c, o);
    }
}

/* ---- sending ---- */

void copy_send_part_fill(struct copy *c, struct copy_op *o)
{
    copy_fill_dest(c, &o->op, STORE_PART);
    o->op.upload_id = c->upload_id;
    o->op.part_number = o->part + 1;
    const struct ticket *body = o->twin != NULL ? &o->twin->ticket : &o->ticket;
    o->op.body = span_of(body->buffer, (size_t)copy_part_length(c, o->part));
}

struct copy_op *copy_twin(struct copy_op *o)
{
    struct copy_op *twin = copy_op_new(o->copy, STEP_SEND_PART);
    twin->part = o->part;
    twin->need = o->need;
    twin->attempts = o->attempts;
    twin->twin = o;
    o->twin = twin;
    o->copy->parts[o->part].repeated = true;
    return twin;
}

struct copy_op *copy_leave_twin(struct copy_op *o)
{
    struct copy_op *other = o->twin;
    if (o->ticket.state == TICKET_HELD) {
        other->ticket = o->ticket;
        o->ticket = (struct ticket){0};
    }
    o->twin = NULL;
    other->twin = NULL;
    return other;
}

static void part_is_sent(struct copy *c, const struct copy_op *o)
{
    c->parts[o->part].state = PART_SENT;
    copy_note(c, COPY_PART_DONE, o->part);
}

/* With two attempts the part counts when both have ended: Complete must not meet one of them. */
void copy_send_part_good(struct copy *c, struct copy_op *o)
{
    struct copy_part *part = &c->parts[o->part];
    part->etag = arena_span(&c->arena, o->op.part.etag);
    part->checksum = arena_span(&c->arena, o->op.part.checksum);
    if (o->twin == NULL) {
        part_is_sent(c, o);
        return;
    }
    struct copy_op *loser = copy_leave_twin(o);
    loser->is_surplus = true;
    loser->is_cancelled = true;
    sched_call_back(loser);
}

/* The upload is gone from the server: nothing of it is left to abort. */
static void upload_is_gone(struct copy *c, struct copy_op *o)
{
    copy_restart(c, &o->op.fail, COPY_DEST);
    c->close_as = COPY_UPLOAD_ENDED;
}

void copy_send_part_bad(struct copy *c, struct copy_op *o)
{
    c->parts[o->part].repeated |= o->op.ambiguous || o->op.wire_sent > 0;
    if (o->twin != NULL) {
        copy_leave_twin(o); /* which goes on alone */
    } else if (o->is_surplus) {
        part_is_sent(c, o);
    } else if (o->op.fail.code == REPL_ENOUPLOAD) {
        upload_is_gone(c, o);
    } else if (fail_class(o->op.fail.code) == FAIL_CORRUPT && o->attempts == 0) {
        o->attempts = 1; /* perhaps our memory is what is spoilt */
        c->outcome.retries++;
        copy_queue(o, STEP_READ_PART);
    } else {
        copy_again(c, o);
    }
}
