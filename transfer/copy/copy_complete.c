/* Complete, and finding out whether it happened. An upload whose Complete was sent is given up only
 * when the server has answered it with an error, or shows the upload without the object. */
#include "transfer/copy/copy_impl.h"

/* Parts take their time: the other side may have been written meanwhile. */
void copy_complete(struct copy *c)
{
    if (c->job.two_way) {
        c->peer_before_complete = true;
        copy_ask(c, STEP_PEER);
    } else {
        copy_complete_past_peer(c);
    }
}

void copy_complete_past_peer(struct copy *c)
{
    if (c->job.shared) {
        copy_ask_rival(c);
    } else {
        copy_complete_now(c);
    }
}

void copy_complete_now(struct copy *c)
{
    copy_note(c, COPY_COMPLETING, 0);
}

static void make_parts(struct copy *c)
{
    c->complete_parts = mem_array(c->plan.part_count, sizeof(struct store_part));
    for (uint32_t i = 0; i < c->plan.part_count; i++) {
        c->complete_parts[i] = (struct store_part){.number = i + 1,
                                                   .size = copy_part_length(c, i),
                                                   .etag = c->parts[i].etag,
                                                   .checksum = c->parts[i].checksum};
    }
}

void copy_complete_fill(struct copy *c, struct copy_op *o)
{
    if (c->complete_parts == NULL) {
        make_parts(c);
    }
    copy_fill_dest(c, &o->op, STORE_COMPLETE);
    o->op.upload_id = c->upload_id;
    o->op.parts = c->complete_parts;
    o->op.part_count = c->plan.part_count;
}

void copy_complete_good(struct copy *c, struct copy_op *o)
{
    c->upload_is_complete = true;
    c->outcome.dest = o->op.object;
    c->outcome.dest.size = c->source.size;
    copy_verify(c);
}

/* The server has the upload and not the parts that we name. */
static bool is_other_parts(const struct copy_op *o)
{
    return span_starts_with(span_str(o->op.fail.server_code), span_str("InvalidPart"));
}

/* A lost answer, a server error or "no such upload" do not say that it did not happen. */
static bool is_open_question(const struct copy_op *o)
{
    return o->op.ambiguous || o->op.fail.code == REPL_ENOUPLOAD ||
           fail_class(o->op.fail.code) == FAIL_RETRY;
}

void copy_complete_bad(struct copy *c, struct copy_op *o)
{
    enum fail_class class = fail_class(o->op.fail.code);
    if (is_other_parts(o)) {
        copy_restart(c, &o->op.fail, COPY_DEST);
    } else if (is_open_question(o)) {
        c->complete_said_gone = o->op.fail.code == REPL_ENOUPLOAD;
        c->complete_attempts += o->counts ? 1 : 0;
        copy_queue(o, STEP_ASK_COMPLETE);
    } else if (class == FAIL_PERMANENT || class == FAIL_CORRUPT || class == FAIL_GONE) {
        copy_restart(c, &o->op.fail, COPY_DEST); /* a part is not as the server wants it */
    } else {
        copy_again(c, o);
    }
}

void copy_ask_dest_fill(struct copy *c, struct copy_op *o)
{
    copy_fill_dest(c, &o->op, STORE_HEAD);
}

void copy_ask_complete_good(struct copy *c, struct copy_op *o)
{
    c->has_arrived = copy_is_arrived(c, &o->op.object);
    c->outcome.dest = o->op.object;
    copy_queue(o, STEP_ASK_UPLOAD);
}

void copy_ask_complete_bad(struct copy *c, struct copy_op *o)
{
    if (o->op.fail.code == REPL_ENOKEY) {
        c->has_arrived = false;
        copy_queue(o, STEP_ASK_UPLOAD);
    } else {
        copy_again(c, o);
    }
}

void copy_list_parts_fill(struct copy *c, struct copy_op *o)
{
    copy_fill_dest(c, &o->op, STORE_LIST_PARTS);
    o->op.upload_id = c->upload_id;
}

/* The upload is there still, so Complete did not happen, whatever object is there: one of the same
 * version may be older than the upload. Send Complete once more. */
void copy_ask_upload_good(struct copy *c, struct copy_op *o)
{
    if (c->complete_attempts < COPY_RESTARTS + 2) {
        uint32_t delay_ms = 100u << c->complete_attempts;
        o->attempts = 0;
        copy_delay(o, STEP_COMPLETE, delay_ms);
        return;
    }
    struct fail f;
    fail_set(&f, REPL_EAMBIGUOUS, "Complete gets no answer and has no effect");
    copy_fail(c, &f, COPY_DEST);
}

void copy_ask_upload_bad(struct copy *c, struct copy_op *o)
{
    bool is_mute = copy_is_mute(o);
    bool is_gone = o->op.fail.code == REPL_ENOUPLOAD || (is_mute && c->complete_said_gone);
    if (c->has_arrived && (is_gone || is_mute)) {
        c->upload_is_complete = true;
        c->is_ambiguous = true;
        copy_verify(c);
    } else if (is_gone) {
        copy_restart(c, &o->op.fail, COPY_DEST);
        c->close_as = COPY_UPLOAD_ENDED;
    } else if (is_mute) {
        copy_ask_upload_good(c, o); /* Complete itself will tell */
    } else {
        copy_again(c, o);
    }
}
