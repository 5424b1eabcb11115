/* Operations: what each step asks, how it is queued, and what becomes of its result. */
#include "transfer/copy/copy_impl.h"

#include "transfer/copy/retry.h"

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
    [STEP_COMPARE_DEST] = {"comparing", COPY_DEST, copy_ask_dest_fill, copy_compare_dest_good,
                           copy_compare_dest_bad},
    [STEP_PEER] = {"comparing", COPY_DEST, copy_ask_dest_fill, copy_peer_good, copy_peer_bad},
    [STEP_READ_FIRST] = {"reading", COPY_SOURCE, copy_first_fill, copy_first_good, copy_first_bad},
    [STEP_TAGS] = {"reading tags", COPY_SOURCE, copy_tags_fill, copy_tags_good, copy_tags_bad},
    [STEP_PUT] = {"sending", COPY_DEST, copy_put_fill, copy_put_good, copy_put_bad},
    [STEP_ASK_RIVAL] = {"asking", COPY_DEST, copy_ask_dest_fill, copy_rival_good, copy_rival_bad},
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
    [STEP_PUT_TAGS] = {"writing tags", COPY_DEST, copy_put_tags_fill, copy_put_tags_good,
                       copy_put_tags_bad},
    [STEP_DELETE_UPLOAD] = {"asking", COPY_DEST, copy_list_parts_fill, copy_delete_upload_good,
                            copy_delete_upload_bad},
    [STEP_DELETE_ABORT] = {"aborting", COPY_DEST, copy_delete_abort_fill, copy_delete_abort_good,
                           copy_delete_abort_bad},
    [STEP_DELETE_LOOK] = {"asking", COPY_DEST, copy_ask_dest_fill, copy_look_dest_good,
                          copy_look_dest_bad},
    [STEP_DELETE_LOOK_BUCKET] = {"asking", COPY_DEST, copy_look_bucket_fill, copy_look_bucket_good,
                                 copy_again},
    [STEP_DELETE_EVIDENCE] = {"asking", COPY_SOURCE, copy_evidence_fill, copy_evidence_good,
                              copy_evidence_bad},
    [STEP_DELETE_BUCKET] = {"asking", COPY_SOURCE, copy_bucket_fill, copy_bucket_good, copy_again},
    [STEP_DELETE] = {"deleting", COPY_DEST, copy_delete_fill, copy_delete_good, copy_delete_bad},
    [STEP_RIVAL_EVIDENCE] = {"asking", COPY_SOURCE, copy_evidence_fill, copy_rival_evidence_good,
                             copy_rival_evidence_bad},
    [STEP_RIVAL_CHECK] = {"asking", COPY_SOURCE, copy_evidence_fill, copy_rival_check_good,
                          copy_rival_check_bad},
};

enum copy_side copy_side(enum copy_step step)
{
    return steps[step].side;
}

const char *copy_step_text(enum copy_step step)
{
    return steps[step].text;
}

/* ---- operations ---- */

static bool is_part_step(enum copy_step step)
{
    return step == STEP_READ_PART || step == STEP_SEND_PART;
}

/* Another life tries again what waits when this one stops. */
static void delay_over(void *arg)
{
    struct copy_op *o = arg;
    struct copy *c = o->copy;
    if (!sched_is_stopping(c)) {
        copy_queue(o, o->step);
    }
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
    timer_stop(&o->slow);
    sched_release(o);
    arena_done(&o->arena);
    if (o->copy->body == o) {
        o->copy->body = NULL;
    }
    mem_free(o);
}

void copy_queue(struct copy_op *o, enum copy_step step)
{
    struct list *queue = &o->copy->queue[copy_side(step)];
    list_remove(&o->link);
    o->step = step;
    if (copy_side(step) == COPY_SOURCE && o->ticket.state == TICKET_HELD) {
        list_push_front(queue, &o->link); /* or it would wait behind who waits for its memory */
    } else {
        list_push_back(queue, &o->link);
    }
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

struct copy_op *copy_op_of(struct list *link)
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
    bool is_over = c->after != AFTER_NOTHING || c->is_put_back;
    return !is_over && (has_part || !list_is_empty(&c->queue[side]));
}

struct copy_op *copy_peek(struct copy *c, enum copy_side side)
{
    if (!copy_wants(c, side)) {
        return NULL;
    }
    struct copy_op *o = copy_op_of(list_first(&c->queue[side]));
    return o == NULL ? next_part_read(c) : o;
}

uint64_t copy_op_bytes(const struct copy_op *o)
{
    switch (o->step) {
    case STEP_PUT:
        return o->copy->source.size;
    case STEP_READ_FIRST:
        return o->need;
    case STEP_READ_PART:
    case STEP_SEND_PART:
        return copy_part_length(o->copy, o->part);
    default:
        return 0;
    }
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
    o->op = (struct store_op){.arena = arena, .avoid = o->op.failed_at};
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
    uint32_t least_ms = o->op.ambiguous ? retry_settle_ms(o->op.rtt_us) : 0;
    *ret_delay_ms = least_ms;
    if (!o->counts) {
        return true;
    }
    o->attempts++;
    c->outcome.retries++;
    uint64_t chance = loop_random(sched_loop(c), UINT64_MAX);
    enum retry_action action = retry_decide(&o->op.fail, o->attempts, chance, ret_delay_ms);
    *ret_delay_ms = *ret_delay_ms > least_ms ? *ret_delay_ms : least_ms;
    return action == RETRY_AGAIN;
}

bool copy_is_mute(const struct copy_op *o)
{
    int code = o->op.fail.code;
    bool is_last = o->counts && o->attempts + 1 >= retry_limit(FAIL_AUTH);
    return code == REPL_EUNSUPPORTED || (code == REPL_EDENIED && is_last);
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

void copy_again_as(struct copy *c, struct copy_op *o, enum copy_step step)
{
    uint32_t delay_ms;
    if (copy_may_repeat(c, o, &delay_ms)) {
        log_again(c, o, delay_ms);
        copy_delay(o, step, delay_ms);
    } else {
        copy_fail(c, &o->op.fail, copy_side(o->step));
    }
}

void copy_again(struct copy *c, struct copy_op *o)
{
    copy_again_as(c, o, o->step);
}

void copy_result(struct copy_op *o)
{
    struct copy *c = o->copy;
    list_remove(&o->link);
    if (o->step == STEP_PUT || o->step == STEP_SEND_PART) {
        c->outcome.bytes_sent += o->op.wire_sent;
    }
    bool is_good = o->op.fail.code == 0;
    if (c->after == AFTER_NOTHING || (is_good && o->step == STEP_CREATE)) {
        (is_good ? steps[o->step].good : steps[o->step].bad)(c, o);
    } else if (o->twin != NULL) {
        copy_leave_twin(o);
    }
    if (!list_is_linked(&o->link)) {
        copy_op_free(o);
    }
    copy_settle(c);
}
