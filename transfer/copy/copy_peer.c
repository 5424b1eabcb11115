/* What stands at the destination, and whose it is. An object of ours is known by what the journal
 * says of it, or by its marker; whatever else is there somebody else has written. Where a rule goes
 * the other way (two_way) his write is worth as much as the source's, and the newer one stays.
 *
 * Both sides decide by the same two objects and so come to the same end:
 *   - one of them is a replica of the other: nothing to do;
 *   - the source's is a replica of what the destination had before: it goes nowhere;
 *   - the destination's is a replica of what the source had before, or is what the journal knows to
 *     be there: it is replaced;
 *   - both were written anew, or have crossed on the way: the newer one, by the time at which it
 * was written where it comes from, then by the greater ETag. */
#include "transfer/copy/copy_impl.h"

enum verdict { VERDICT_WRITE, VERDICT_SAME, VERDICT_OLD, VERDICT_LOST };

/* As the journal has it. */
static bool is_known(const struct copy *c, const struct store_object *dest)
{
    return c->job.known_dest_etag.len > 0 && span_eq(c->job.known_dest_etag, dest->etag);
}

bool copy_peer_is_replica(const struct copy *c)
{
    struct copy_trace trace;
    return copy_trace_read(c, &c->source, COPY_SOURCE, &trace);
}

static bool is_newer(int64_t a_ms, struct span a_etag, int64_t b_ms, struct span b_etag)
{
    return a_ms != b_ms ? a_ms > b_ms : span_cmp(a_etag, b_etag) > 0;
}

/* The other way meets the same two objects: whose source wins says so, so that a conflict is told
 * once. */
static enum verdict meet(struct copy *c, bool source_is_newer)
{
    c->outcome.is_conflict = source_is_newer;
    return source_is_newer ? VERDICT_WRITE : VERDICT_LOST;
}

static enum verdict judge(struct copy *c, const struct store_object *dest)
{
    const struct store_object *source = &c->source;
    struct copy_trace ours = {0}, theirs = {0};
    bool from_there = copy_trace_read(c, source, COPY_SOURCE, &theirs);
    bool from_here = copy_trace_read(c, dest, COPY_DEST, &ours);
    if (from_there && copy_trace_is_of(&theirs, dest)) {
        return VERDICT_SAME;
    }
    if (from_here && copy_trace_is_of(&ours, source) && ours.mtime_ms == source->mtime_ms) {
        return VERDICT_SAME;
    }
    if (from_there && from_here) {
        return meet(c, is_newer(theirs.mtime_ms, theirs.etag, ours.mtime_ms, ours.etag));
    }
    if (from_there) {
        return VERDICT_OLD;
    }
    if (from_here || is_known(c, dest) || !c->job.two_way) {
        return VERDICT_WRITE;
    }
    if (source->size == dest->size && span_eq(source->etag, dest->etag)) {
        return VERDICT_SAME;
    }
    return meet(c, is_newer(source->mtime_ms, source->etag, dest->mtime_ms, dest->etag));
}

/* ---- before an object is written ---- */

bool copy_peer_is_asked(const struct copy *c)
{
    bool may_differ = c->peer_for.ptr == NULL || !span_eq(c->peer_for, c->source.etag);
    return may_differ && (c->job.two_way || copy_peer_is_replica(c));
}

static void go_on(struct copy *c)
{
    c->peer_for = arena_span(&c->arena, c->source.etag);
    if (c->peer_before_complete) {
        copy_complete_past_peer(c);
    } else {
        copy_read_start(c);
    }
}

void copy_peer_good(struct copy *c, struct copy_op *o)
{
    const struct store_object *dest = &o->op.object;
    switch (judge(c, dest)) {
    case VERDICT_WRITE:
        go_on(c);
        return;
    case VERDICT_SAME:
        c->outcome.source = c->source;
        c->outcome.dest = *dest;
        c->outcome.bytes = c->source.size;
        c->outcome.is_there = true;
        copy_skip(c, "one is the replica of the other");
        return;
    case VERDICT_OLD:
        copy_skip(c, "is a replica of what the destination had before");
        return;
    case VERDICT_LOST:
        copy_skip(c, "the destination's object is newer");
        return;
    }
}

/* What was brought from there and is gone there was deleted there. In one direction only it is the
 * place that was lost, or another one of the same name. */
void copy_peer_bad(struct copy *c, struct copy_op *o)
{
    if (o->op.fail.code != REPL_ENOKEY) {
        copy_again(c, o);
    } else if (c->job.two_way && copy_peer_is_replica(c)) {
        copy_skip(c, "was brought from the destination, where it is gone");
    } else {
        go_on(c);
    }
}

/* ---- before an object is deleted ---- */

static bool has_row(const struct copy *c)
{
    return c->job.known_etag.len > 0 || c->job.known_dest_etag.len > 0;
}

static bool is_named(struct span version)
{
    return version.len > 0 && !span_eq_str(version, "null");
}

static bool keeps_known_version(const struct copy *c)
{
    return !c->job.keep_version || (has_row(c) && is_named(c->job.known_dest_version));
}

bool copy_look_is_needed(const struct copy *c)
{
    return c->job.two_way || !keeps_known_version(c) || !(has_row(c) || c->job.delete_foreign);
}

static bool may_delete(const struct copy *c, const struct store_object *dest)
{
    struct copy_trace trace;
    if (is_known(c, dest) || copy_trace_read(c, dest, COPY_DEST, &trace)) {
        return true;
    }
    return !c->job.two_way && (has_row(c) || c->job.delete_foreign);
}

static enum copy_look look_at(const struct copy *c, const struct store_object *dest)
{
    if (!may_delete(c, dest)) {
        return LOOK_FOREIGN;
    }
    return c->job.keep_version && !is_named(dest->version_id) ? LOOK_UNKEPT : LOOK_OURS;
}

void copy_look_dest_good(struct copy *c, struct copy_op *o)
{
    c->look = look_at(c, &o->op.object);
    copy_queue(o, STEP_DELETE_EVIDENCE);
}

void copy_look_dest_bad(struct copy *c, struct copy_op *o)
{
    if (o->op.fail.code != REPL_ENOKEY) {
        copy_again(c, o);
    } else if (o->op.object.delete_marker || sched_bucket_is_seen(c, COPY_DEST)) {
        copy_look_bucket_good(c, o);
    } else {
        copy_queue(o, STEP_DELETE_LOOK_BUCKET);
    }
}

void copy_look_bucket_fill(struct copy *c, struct copy_op *o)
{
    copy_fill_dest(c, &o->op, STORE_HEAD_BUCKET);
    o->op.key = (struct span){0};
}

void copy_look_bucket_good(struct copy *c, struct copy_op *o)
{
    c->look = LOOK_NOTHING;
    copy_queue(o, STEP_DELETE_EVIDENCE);
}

bool copy_look_ends(struct copy *c)
{
    struct fail f;
    switch (c->look) {
    case LOOK_OURS:
        return false;
    case LOOK_NOTHING:
        c->outcome.dest_gone = true;
        copy_skip(c, "nothing is there to be deleted");
        break;
    case LOOK_FOREIGN:
        c->outcome.is_conflict = c->job.two_way;
        copy_skip(c, c->job.two_way ? "was written at the destination, too"
                                    : "the destination's object is not of repld's making");
        break;
    case LOOK_UNKEPT:
        fail_set(&f, REPL_EREFUSED,
                 "destination keeps no version of it: a delete would destroy it");
        copy_fail(c, &f, COPY_DEST);
        break;
    }
    return true;
}
