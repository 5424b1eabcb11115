/* The destination's own word for what is there now. */
#include "transfer/copy/copy_impl.h"

void copy_verify(struct copy *c)
{
    copy_ask(c, STEP_VERIFY);
}

void copy_verify_fill(struct copy *c, struct copy_op *o)
{
    copy_fill_dest(c, &o->op, STORE_HEAD);
    o->op.version_id = c->outcome.dest.version_id;
}

static bool is_as_sent(const struct copy *c, const struct store_object *found)
{
    struct span etag = c->outcome.dest.etag;
    return found->size == c->source.size && (etag.len == 0 || span_eq(etag, found->etag));
}

/* After an ambiguous Complete or a part sent twice, a HEAD can look fine over a broken object. */
static bool needs_byte(const struct copy *c, uint32_t part)
{
    return c->parts[part].repeated || (c->is_ambiguous && part + 1 == c->plan.part_count);
}

/* Ceph RGW takes tags with Create and forgets them. After a resume they were never read. */
static void check_tags(struct copy *c)
{
    bool can = c->job.from->features.tags && c->job.to->features.tags;
    if (!can || c->outcome.dest.tag_count >= c->source.tag_count) {
        copy_verified(c);
        return;
    }
    c->tags_late = true;
    copy_ask(c, c->tags != NULL ? STEP_PUT_TAGS : STEP_TAGS);
}

static void next_byte(struct copy *c)
{
    while (c->parts != NULL && c->verify_at < c->plan.part_count &&
           c->verify_bytes < COPY_VERIFY_BYTES) {
        if (needs_byte(c, c->verify_at)) {
            c->verify_bytes++;
            copy_ask(c, STEP_VERIFY_BYTE);
            return;
        }
        c->verify_at++;
    }
    check_tags(c);
}

void copy_verified(struct copy *c)
{
    if (copy_is_to_be_checked(c)) {
        return;
    }
    c->outcome.lost_meta = c->lost_meta;
    c->outcome.source = c->source;
    c->bytes_done = c->source.size;
    copy_end(c, COPY_DONE);
}

static void differs(struct copy *c, const char *what)
{
    struct fail f;
    fail_set(&f, REPL_EVERIFY, "destination object has another %s than was sent", what);
    copy_restart(c, &f, COPY_DEST);
}

/* Create was given what was read in an earlier life, perhaps of another object of that second. */
static bool has_old_meta(const struct copy *c, const struct store_object *found)
{
    return c->is_resumed && c->meta_is_known &&
           !copy_is_settled(c->source.mtime_ms, c->source.read_ms) && !copy_has_same_meta(c, found);
}

void copy_verify_good(struct copy *c, struct copy_op *o)
{
    const struct store_object *found = &o->op.object;
    if (!is_as_sent(c, found)) {
        differs(c, found->size == c->source.size ? "ETag" : "size");
        return;
    }
    if (has_old_meta(c, found)) {
        differs(c, "metadata");
        return;
    }
    struct span version = c->outcome.dest.version_id;
    c->outcome.dest = *found;
    if (found->version_id.len == 0) {
        c->outcome.dest.version_id = version;
    }
    next_byte(c);
}

/* Not there yet, or not any more: ask again a few times before it is called lost. */
void copy_verify_bad(struct copy *c, struct copy_op *o)
{
    if (fail_class(o->op.fail.code) == FAIL_GONE) {
        fail_set(&o->op.fail, REPL_EVERIFY, "destination object is not there after completion");
    }
    copy_again(c, o);
}

void copy_byte_fill(struct copy *c, struct copy_op *o)
{
    copy_fill_dest(c, &o->op, STORE_GET);
    o->op.version_id = c->outcome.dest.version_id;
    o->op.if_match = c->outcome.dest.etag;
    o->op.ranged = true;
    o->op.offset = c->verify_at * c->plan.part_size + copy_part_length(c, c->verify_at) - 1;
    o->op.length = 1;
    o->op.into = &c->verify_byte;
    o->op.into_size = 1;
}

void copy_byte_good(struct copy *c, struct copy_op *o)
{
    if (o->op.received != 1) {
        differs(c, "length to read");
        return;
    }
    c->verify_at++;
    next_byte(c);
}

void copy_byte_bad(struct copy *c, struct copy_op *o)
{
    if (fail_class(o->op.fail.code) == FAIL_GONE) {
        differs(c, "readable part");
    } else {
        copy_again(c, o);
    }
}

void copy_put_tags_fill(struct copy *c, struct copy_op *o)
{
    copy_fill_dest(c, &o->op, STORE_PUT_TAGS);
    o->op.meta.tags = c->tags;
    o->op.meta.tag_count = c->tag_count;
}

void copy_put_tags_good(struct copy *c, struct copy_op *o)
{
    (void)o;
    copy_verified(c);
}

void copy_put_tags_bad(struct copy *c, struct copy_op *o)
{
    if (o->op.fail.code == REPL_EUNSUPPORTED) {
        c->lost_meta += c->source.tag_count;
        copy_verified(c);
    } else {
        copy_again(c, o);
    }
}
