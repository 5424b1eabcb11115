/* The source's side of the beginning: is it needed at all, and the first read with its tags. */
#include "transfer/copy/copy_impl.h"

void copy_pin(const struct copy *c, struct store_op *op)
{
    op->if_match = c->source.etag;
    if (c->source.version_id.len > 0) {
        op->version_id = c->source.version_id;
    }
}

/* ---- compare ---- */

void copy_compare_fill(struct copy *c, struct copy_op *o)
{
    copy_fill_source(c, &o->op, STORE_HEAD);
}

/* "null" is replaced in its place, as an object without versions is. */
static bool is_named(struct span version)
{
    return version.len > 0 && !span_eq_str(version, "null");
}

static bool has_versions(const struct copy_job *job, const struct store_object *source)
{
    return is_named(job->known_version) && is_named(source->version_id);
}

/* Equal bytes are not enough where metadata may have been written anew: the version or the time
 * must agree too, as far as both are known. */
static bool may_be_known(const struct copy_job *job, const struct store_object *source)
{
    if (!span_eq(job->known_etag, source->etag)) {
        return false;
    }
    if (has_versions(job, source)) {
        return span_eq(job->known_version, source->version_id);
    }
    return job->known_mtime_ms == 0 || source->mtime_ms == 0 ||
           job->known_mtime_ms == source->mtime_ms;
}

static bool is_certain(const struct copy_job *job, const struct store_object *source)
{
    return has_versions(job, source) || copy_is_settled(job->known_mtime_ms, job->known_read_ms);
}

bool copy_compare_is_known(const struct copy *c, const struct store_object *source)
{
    return c->job.known_etag.len > 0 && may_be_known(&c->job, source) &&
           is_certain(&c->job, source);
}

static void read_or_ask(struct copy *c)
{
    if (copy_peer_is_asked(c)) {
        copy_ask(c, STEP_PEER);
    } else {
        copy_read_start(c);
    }
}

void copy_compare_good(struct copy *c, struct copy_op *o)
{
    const struct store_object *source = &o->op.object;
    c->size_hint = (int64_t)source->size;
    c->source = *source;
    if (c->job.known_etag.len == 0 || !may_be_known(&c->job, source)) {
        read_or_ask(c);
        return;
    }
    c->outcome.source = *source;
    if (is_certain(&c->job, source)) {
        copy_skip(c, "the destination has this version");
        return;
    }
    copy_meta_make(c);
    copy_queue(o, STEP_COMPARE_DEST);
}

void copy_compare_dest_good(struct copy *c, struct copy_op *o)
{
    if (copy_is_same(c, &o->op.object)) {
        copy_skip(c, "the destination has this version");
    } else {
        read_or_ask(c);
    }
}

void copy_compare_dest_bad(struct copy *c, struct copy_op *o)
{
    if (o->op.fail.code == REPL_ENOKEY) {
        copy_read_start(c);
    } else {
        copy_again(c, o);
    }
}

void copy_compare_bad(struct copy *c, struct copy_op *o)
{
    if (o->op.fail.code == REPL_ENOKEY) {
        c->outcome.source_gone = true;
        copy_skip(c, "object is not at the source any more");
    } else {
        copy_again(c, o);
    }
}

/* ---- first read ---- */

static void ask_first(struct copy *c)
{
    struct plan_input in = sched_plan_input(c);
    c->first_length = plan_first_read(&in, c->size_hint);
    c->is_plain = c->first_length == 0;
    struct copy_op *o = copy_op_new(c, STEP_READ_FIRST);
    o->need = c->is_plain ? in.memory_bytes / 4 : c->first_length;
    if (c->is_plain && o->need > 4096) {
        o->need = 4096;
    }
    copy_queue(o, STEP_READ_FIRST);
}

void copy_read_start(struct copy *c)
{
    c->is_pinned = false;
    c->lost_meta = 0;
    ask_first(c);
}

void copy_first_fill(struct copy *c, struct copy_op *o)
{
    copy_fill_source(c, &o->op, STORE_GET);
    if (c->is_pinned) {
        copy_pin(c, &o->op);
    }
    o->op.into = o->ticket.buffer;
    o->op.into_size = o->need;
    o->op.ranged = !c->is_plain;
    o->op.length = c->is_plain ? 0 : c->first_length;
}

static void short_body(struct copy *c, struct copy_op *o, uint64_t expected)
{
    fail_set(&o->op.fail, REPL_ESHORT, "read %zu of %llu bytes", o->op.received,
             (unsigned long long)expected);
    copy_again(c, o);
}

/* It was announced smaller than it is: once more, this version, whole. */
static void read_whole(struct copy *c)
{
    c->is_pinned = c->source.etag.len > 0 || c->source.version_id.len > 0;
    c->size_hint = (int64_t)c->source.size;
    ask_first(c);
}

static void take_body(struct copy *c, struct copy_op *o)
{
    c->body = o;
    copy_hold(o);
}

static void after_read(struct copy *c)
{
    bool tags = c->job.from->features.tags && c->job.to->features.tags;
    if (c->source.tag_count > 0 && tags) {
        copy_ask(c, STEP_TAGS);
        return;
    }
    c->lost_meta += c->source.tag_count;
    copy_write(c);
}

static int plan_for(struct copy *c, struct fail *f)
{
    struct plan_input in = sched_plan_input(c);
    in.size = c->source.size;
    in.preferred = c->is_plain ? 0 : c->first_length;
    if (plan_make(&in, &c->plan, f) != 0) {
        return f->code;
    }
    if (!c->plan.single && c->source.etag.len == 0 && c->source.version_id.len == 0) {
        return fail_set(f, REPL_EREFUSED, "source gives neither ETag nor version to pin reads to");
    }
    return 0;
}

static int check_marker(struct copy *c, struct fail *f)
{
    if (!c->job.two_way || copy_marker_fits(c)) {
        return 0;
    }
    return fail_set(f, REPL_EREFUSED,
                    "metadata leaves no room for the marker, without which two "
                    "rules would send it to and fro");
}

void copy_first_good(struct copy *c, struct copy_op *o)
{
    uint64_t size = o->op.object.size;
    uint64_t expected = c->is_plain || size < c->first_length ? size : c->first_length;
    if (o->op.received != expected) {
        short_body(c, o, expected);
        return;
    }
    c->source = o->op.object;
    if (copy_peer_is_asked(c)) {
        copy_ask(c, STEP_PEER); /* and reads it once more when it is to be written */
        return;
    }
    struct fail f;
    if (plan_for(c, &f) != 0 || check_marker(c, &f) != 0) {
        copy_fail(c, &f, COPY_DEST);
        return;
    }
    if (c->plan.single && expected < size) {
        read_whole(c);
        return;
    }
    if (c->plan.single || c->plan.part_size == expected) {
        take_body(c, o);
    }
    after_read(c);
}

void copy_first_bad(struct copy *c, struct copy_op *o)
{
    int code = o->op.fail.code;
    if (code == REPL_ENOKEY) {
        c->outcome.source_gone = true;
        copy_skip(c, "object is not at the source any more");
    } else if (code == REPL_ECHANGED) {
        copy_restart(c, &o->op.fail, COPY_SOURCE);
    } else if (o->op.fail.http_status == 416 && !c->is_plain && o->attempts++ < 2) {
        c->is_plain = true; /* an empty object has no ranges */
        copy_queue(o, STEP_READ_FIRST);
    } else if (code == REPL_ETOOBIG && c->is_plain) {
        c->size_hint = -1; /* not empty after all */
        copy_restart(c, &o->op.fail, COPY_SOURCE);
    } else {
        copy_again(c, o);
    }
}

/* ---- tags ---- */

void copy_tags_fill(struct copy *c, struct copy_op *o)
{
    copy_fill_source(c, &o->op, STORE_GET_TAGS);
    if (c->source.version_id.len > 0) {
        o->op.version_id = c->source.version_id;
    }
}

void copy_tags_good(struct copy *c, struct copy_op *o)
{
    c->tags = o->op.tags;
    c->tag_count = o->op.tag_count;
    if (c->tags_late) {
        copy_ask(c, STEP_PUT_TAGS);
    } else {
        copy_write(c);
    }
}

void copy_tags_bad(struct copy *c, struct copy_op *o)
{
    if (o->op.fail.code == REPL_EUNSUPPORTED) {
        c->lost_meta += c->source.tag_count;
        if (c->tags_late) {
            copy_verified(c);
        } else {
            copy_write(c);
        }
    } else if (o->op.fail.code == REPL_ENOKEY) {
        copy_restart(c, &o->op.fail, COPY_SOURCE);
    } else {
        copy_again(c, o);
    }
}

void copy_write(struct copy *c)
{
    c->outcome.source = c->source;
    c->outcome.bytes = c->source.size;
    copy_meta_make(c);
    bool is_tied = c->plan.single && store_can_condition(c->job.to);
    if (c->job.shared && !is_tied) {
        copy_ask_rival(c);
    } else {
        copy_send(c);
    }
}

void copy_send(struct copy *c)
{
    if (!c->plan.single) {
        copy_create(c);
    } else if (c->body == NULL) { /* shed in an outage */
        copy_read_start(c);
    } else {
        copy_queue(c->body, STEP_PUT);
        c->body->attempts = 0;
        c->body = NULL;
    }
}
