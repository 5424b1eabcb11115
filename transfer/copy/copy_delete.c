/* A delete needs positive evidence: the source says that the key is not there, in a bucket that
 * is. Its word is of that moment: a delete that has failed, or has waited, asks again. Whatever
 * stands at the destination, the source is asked: the change may have been told in the wrong order.
 */
#include "transfer/copy/copy_impl.h"

#define ASKS_BEFORE_ABORT 7 /* 25 s in all: a Complete at work has long been done by then */
#define ASK_FIRST_MS      200u

/* An upload that an earlier life left is given up with the object. If its Complete was sent, it may
 * still be at work at the server, and an object that it makes after our delete would stay: the
 * upload has to be gone first. */
static enum copy_step first_question(const struct copy *c)
{
    return copy_look_is_needed(c) ? STEP_DELETE_LOOK : STEP_DELETE_EVIDENCE;
}

void copy_delete_start(struct copy *c)
{
    bool may_be_complete = c->upload_is_open && c->job.upload_completing;
    copy_ask(c, may_be_complete ? STEP_DELETE_UPLOAD : first_question(c));
}

/* It is there: the Complete is at work, or was never received. */
void copy_delete_upload_good(struct copy *c, struct copy_op *o)
{
    unsigned asked = c->delete_asks++;
    o->attempts = 0;
    if (asked < ASKS_BEFORE_ABORT) {
        copy_delay(o, STEP_DELETE_UPLOAD, ASK_FIRST_MS << asked);
    } else if (asked == ASKS_BEFORE_ABORT) {
        copy_queue(o, STEP_DELETE_ABORT);
    } else {
        copy_queue(o, first_question(c)); /* aborted again later, until it is gone */
    }
}

static void upload_is_gone(struct copy *c)
{
    c->upload_is_complete = true;
    copy_ask(c, first_question(c));
}

void copy_delete_upload_bad(struct copy *c, struct copy_op *o)
{
    if (o->op.fail.code == REPL_ENOUPLOAD) {
        upload_is_gone(c);
    } else if (copy_is_mute(o)) {
        copy_ask(c, first_question(c));
    } else {
        copy_again(c, o);
    }
}

void copy_delete_abort_fill(struct copy *c, struct copy_op *o)
{
    copy_fill_dest(c, &o->op, STORE_ABORT);
    o->op.upload_id = c->upload_id;
}

void copy_delete_abort_good(struct copy *c, struct copy_op *o)
{
    (void)c;
    o->attempts = 0;
    copy_queue(o, STEP_DELETE_UPLOAD);
}

void copy_delete_abort_bad(struct copy *c, struct copy_op *o)
{
    copy_delete_upload_bad(c, o);
}

void copy_evidence_fill(struct copy *c, struct copy_op *o)
{
    copy_fill_source(c, &o->op, STORE_HEAD);
    o->op.version_id = (struct span){0}; /* what counts is the key now */
}

void copy_evidence_good(struct copy *c, struct copy_op *o)
{
    c->outcome.source = o->op.object;
    if (copy_compare_is_known(c, &o->op.object)) {
        copy_skip(c, "the destination has this version");
    } else {
        c->outcome.source_there = true;
        copy_skip(c, "exists at the source");
    }
}

/* The key is gone, the bucket is there. */
static void go_on(struct copy *c, struct copy_op *o)
{
    if (!copy_look_ends(c)) {
        copy_queue(o, STEP_DELETE);
    }
}

void copy_evidence_bad(struct copy *c, struct copy_op *o)
{
    if (o->op.fail.code != REPL_ENOKEY) {
        copy_again(c, o);
        return;
    }
    c->evidence_ms = loop_now_ms(sched_loop(c));
    if (o->op.object.delete_marker || sched_bucket_is_seen(c, COPY_SOURCE) ||
        span_eq_str(span_str(o->op.fail.server_code), "NoSuchKey")) {
        go_on(c, o);
    } else {
        copy_queue(o, STEP_DELETE_BUCKET);
    }
}

void copy_bucket_fill(struct copy *c, struct copy_op *o)
{
    copy_fill_source(c, &o->op, STORE_HEAD_BUCKET);
    o->op.key = (struct span){0};
    o->op.version_id = (struct span){0};
}

void copy_bucket_good(struct copy *c, struct copy_op *o)
{
    go_on(c, o);
}

void copy_delete_fill(struct copy *c, struct copy_op *o)
{
    copy_fill_dest(c, &o->op, STORE_DELETE);
}

static void deleted(struct copy *c)
{
    if (c->job.shared) {
        copy_ask(c, STEP_RIVAL_EVIDENCE);
    } else {
        copy_end(c, COPY_DELETED);
    }
}

void copy_delete_good(struct copy *c, struct copy_op *o)
{
    c->outcome.dest = o->op.object;
    deleted(c);
}

void copy_delete_bad(struct copy *c, struct copy_op *o)
{
    if (o->op.fail.code == REPL_ENOKEY) {
        deleted(c);
    } else {
        copy_again_as(c, o, first_question(c)); /* the key may be there again by then */
    }
}
