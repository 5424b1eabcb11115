/* Other hosts that write the same key. What they bring is a version that the source had when they
 * read it; so whatever is read after theirs was seen is at least as new. A write goes only over
 * what was known to be there: by its condition where the server has them (a new key and one of our
 * own cost the one request that they cost anyway), by a HEAD before it where it has not, and for
 * large objects before Create and before Complete. */
#include "transfer/copy/copy_impl.h"

#define RIVALS_MAX 8 /* in one copy: then it is tried again later */

void copy_rival_condition(const struct copy *c, struct store_op *op)
{
    if (c->job.shared && store_can_condition(c->job.to)) {
        op->if_match = c->over_etag;
        op->if_none_match = c->over_etag.len == 0;
    }
}

bool copy_is_refused_by_rival(const struct copy_op *o)
{
    int code = o->op.fail.code;
    bool had_condition = o->op.if_none_match || o->op.if_match.len > 0;
    return had_condition && (code == REPL_EEXISTS || code == REPL_ECHANGED || code == REPL_ENOKEY);
}

/* ---- what stands there ---- */

/* What we have read is newer than what the marker there names, or nobody of us has written it (of
 * which a rule in two directions has to judge), or it was there before we began to read. */
static bool may_go_over(const struct copy *c, const struct store_object *found)
{
    struct copy_trace theirs;
    if (span_eq(found->etag, c->read_over)) {
        return true;
    }
    if (!copy_trace_read(c, found, COPY_DEST, &theirs)) {
        return !c->job.two_way;
    }
    return theirs.mtime_ms < c->source.mtime_ms;
}

static void go_on(struct copy *c)
{
    if (c->upload_is_open) {
        copy_complete_now(c);
    } else {
        copy_send(c);
    }
}

static void read_again(struct copy *c, const struct copy_op *o)
{
    struct fail f;
    c->read_over = o->op.object.etag;
    c->peer_for = (struct span){0};
    fail_set(&f, REPL_ECHANGED, "another host has written this key meanwhile");
    copy_restart(c, &f, COPY_DEST);
}

void copy_rival_good(struct copy *c, struct copy_op *o)
{
    const struct store_object *found = &o->op.object;
    c->over_etag = found->etag;
    if (copy_is_arrived(c, found)) {
        c->outcome.dest = *found;
        copy_verified(c);
    } else if (may_go_over(c, found)) {
        go_on(c);
    } else {
        read_again(c, o);
    }
}

void copy_rival_bad(struct copy *c, struct copy_op *o)
{
    if (o->op.fail.code == REPL_ENOKEY) {
        c->over_etag = (struct span){0};
        go_on(c);
    } else {
        copy_again(c, o);
    }
}

void copy_ask_rival(struct copy *c)
{
    struct fail f;
    if (c->rivals++ < RIVALS_MAX) {
        copy_ask(c, STEP_ASK_RIVAL);
        return;
    }
    fail_set(&f, REPL_ECHANGED, "other hosts write this key all the time");
    copy_fail(c, &f, COPY_DEST);
}

/* ---- deletes ---- */

/* A delete leaves nothing that a condition could meet: one that came while we read would be undone
 * by what we write. */
bool copy_is_to_be_checked(struct copy *c)
{
    if (!c->job.shared || !c->job.deletes || c->is_checked) {
        return false;
    }
    copy_ask(c, STEP_RIVAL_CHECK);
    return true;
}

void copy_rival_check_good(struct copy *c, struct copy_op *o)
{
    (void)o;
    c->is_checked = true;
    copy_verified(c);
}

void copy_rival_check_bad(struct copy *c, struct copy_op *o)
{
    if (o->op.fail.code == REPL_ENOKEY) {
        c->outcome.source_gone = true;
        copy_skip(c, "object is not at the source any more");
    } else {
        copy_again(c, o);
    }
}

/* The key may have been written, and brought by another host, between the evidence and the delete.
 * Whatever is brought after this answer was read after the delete. */
void copy_rival_evidence_good(struct copy *c, struct copy_op *o)
{
    c->outcome.source = o->op.object;
    c->outcome.source_there = true;
    copy_skip(c, "exists at the source");
}

void copy_rival_evidence_bad(struct copy *c, struct copy_op *o)
{
    if (o->op.fail.code == REPL_ENOKEY) {
        copy_end(c, COPY_DELETED);
    } else {
        copy_again(c, o);
    }
}
