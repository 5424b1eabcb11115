/* An object in one PUT. */
#include "transfer/copy/copy_impl.h"

static int digit(char ch)
{
    return ch <= '9' ? ch - '0' : (ch | 0x20) - 'a' + 10;
}

/* The source's MD5 goes on as Content-MD5: end to end, and no CPU. */
static struct span source_md5(struct copy *c)
{
    struct span etag = c->source.etag;
    if (c->no_md5 || !c->job.from->features.put_etag_is_md5 || !copy_etag_is_md5(etag)) {
        return (struct span){0};
    }
    char *raw = arena_alloc(&c->arena, 16);
    for (size_t i = 0; i < 16; i++) {
        raw[i] = (char)(digit(etag.ptr[2 * i]) * 16 + digit(etag.ptr[2 * i + 1]));
    }
    return span_of(raw, 16);
}

void copy_put_fill(struct copy *c, struct copy_op *o)
{
    copy_fill_dest(c, &o->op, STORE_PUT);
    o->op.body = span_of(o->ticket.buffer, (size_t)c->source.size);
    o->op.meta = c->meta;
    o->op.content_md5 = source_md5(c);
    copy_rival_condition(c, &o->op);
}

/* The answer itself says that these bytes are there. */
static bool is_proof(const struct copy *c, const struct store_object *answer)
{
    const struct store_features *to = &c->job.to->features;
    if (to->put_etag_is_md5 && copy_etag_is_md5(c->source.etag) &&
        span_eq(answer->etag, c->source.etag)) {
        return true;
    }
    return to->returns_checksum && answer->checksum.len > 0;
}

void copy_put_good(struct copy *c, struct copy_op *o)
{
    c->outcome.dest = o->op.object;
    c->outcome.dest.size = c->source.size;
    if (is_proof(c, &o->op.object)) {
        copy_verified(c);
    } else {
        copy_verify(c);
    }
}

/* Bytes were spoilt on the way in or out: read them again. When it happens again, the source's
 * ETag is no MD5 (encrypted with a key of its own), and the store's own check has to do. */
static void spoilt(struct copy *c, struct copy_op *o)
{
    bool md5_was_sent = o->op.content_md5.len > 0;
    copy_restart(c, &o->op.fail, COPY_DEST);
    c->no_md5 = md5_was_sent && c->restarts >= 2;
}

void copy_put_bad(struct copy *c, struct copy_op *o)
{
    if (o->op.fail.code == REPL_ECHECKSUM) {
        spoilt(c, o);
    } else if (copy_is_refused_by_rival(o)) {
        c->body = o;
        copy_hold(o);
        copy_ask_rival(c);
    } else if (o->op.ambiguous) {
        c->body = o;
        copy_hold(o);
        copy_ask(c, STEP_ASK_PUT);
    } else {
        copy_again(c, o);
    }
}

static void put_again(struct copy *c)
{
    struct copy_op *put = c->body;
    uint32_t delay_ms;
    c->body = NULL;
    if (put == NULL) { /* shed in an outage */
        copy_read_start(c);
    } else if (copy_may_repeat(c, put, &delay_ms)) {
        copy_delay(put, STEP_PUT, delay_ms);
    } else {
        copy_fail(c, &put->op.fail, COPY_DEST);
    }
}

void copy_ask_put_good(struct copy *c, struct copy_op *o)
{
    if (!copy_is_arrived(c, &o->op.object)) {
        put_again(c);
        return;
    }
    c->outcome.dest = o->op.object;
    copy_verified(c);
}

void copy_ask_put_bad(struct copy *c, struct copy_op *o)
{
    if (o->op.fail.code == REPL_ENOKEY) {
        put_again(c);
    } else {
        copy_again(c, o);
    }
}
