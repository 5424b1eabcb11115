#include "daemon/notify/conditional.h"

#include "daemon/base/mem.h"

/* In this order; the ETag of what stands there is known from TRY_FRESH on. */
enum trial { TRY_FRESH, TRY_AGAIN, TRY_WRONG, TRY_QUOTED, TRY_BARE, TRY_REMOVE };

struct conditional {
    struct store *store;
    struct span bucket;
    struct span key;
    enum trial at;
    enum store_conditional found;
    bool canceled;
    struct span etag;
    struct store_op op;
    struct arena arena;
    loop_fn *done;
    void *arg;
};

static void ask(struct conditional *c, enum trial trial);

static void end(struct conditional *c)
{
    c->store->features.conditional = c->found;
    c->done(c->arg);
    arena_done(&c->arena);
    mem_free(c);
}

static void settle(struct conditional *c, enum store_conditional found)
{
    c->found = found;
    ask(c, TRY_REMOVE);
}

static bool is_refused(const struct fail *f)
{
    return f->code == REPL_EEXISTS || f->code == REPL_ECHANGED;
}

/* A server that has never heard of conditions says 501; one that ignores them says 200. */
static bool is_answer(const struct fail *f)
{
    return f->code == 0 || is_refused(f) || f->code == REPL_EUNSUPPORTED;
}

static void go_on(struct conditional *c, bool good)
{
    switch (c->at) {
    case TRY_FRESH:
        c->etag = c->op.object.etag;
        ask(c, TRY_AGAIN);
        break;
    case TRY_AGAIN:
        ask(c, TRY_WRONG);
        break;
    case TRY_WRONG:
        ask(c, TRY_QUOTED);
        break;
    case TRY_QUOTED:
        if (good) {
            settle(c, STORE_CONDITIONAL_QUOTED);
        } else {
            c->store->features.conditional = STORE_CONDITIONAL_BARE;
            ask(c, TRY_BARE);
        }
        break;
    case TRY_BARE:
        settle(c, good ? STORE_CONDITIONAL_BARE : STORE_CONDITIONAL_NONE);
        break;
    case TRY_REMOVE:
        end(c);
        break;
    }
}

static void answered(struct store_op *op)
{
    struct conditional *c = op->arg;
    bool wants_refusal = c->at == TRY_AGAIN || c->at == TRY_WRONG;
    bool good = op->fail.code == 0, refused = is_refused(&op->fail);
    if (c->at == TRY_REMOVE) {
        end(c);
    } else if (c->canceled || !is_answer(&op->fail)) {
        settle(c, STORE_CONDITIONAL_UNKNOWN);
    } else if (c->at == TRY_FRESH && refused) { /* what an earlier try has left, removed now */
        settle(c, STORE_CONDITIONAL_UNKNOWN);
    } else if (wants_refusal != refused && c->at < TRY_QUOTED) {
        settle(c, STORE_CONDITIONAL_NONE);
    } else {
        go_on(c, good);
    }
}

static void ask(struct conditional *c, enum trial trial)
{
    c->at = trial;
    c->op = (struct store_op){.kind = trial == TRY_REMOVE ? STORE_DELETE : STORE_PUT,
                              .bucket = c->bucket,
                              .key = c->key,
                              .done = answered,
                              .arg = c,
                              .arena = &c->arena};
    if (trial != TRY_REMOVE) {
        c->op.body = span_str("repld tries whether conditions are obeyed here\n");
        c->op.if_none_match = trial == TRY_FRESH || trial == TRY_AGAIN;
    }
    if (trial == TRY_WRONG) {
        c->op.if_match = span_str("00000000000000000000000000000000");
    } else if (trial == TRY_QUOTED || trial == TRY_BARE) {
        c->op.if_match = c->etag;
    }
    store_submit(c->store, &c->op);
}

struct conditional *conditional_try(struct store *store, struct span bucket, struct span key,
                                    loop_fn *done, void *arg)
{
    struct conditional *c = MEM_NEW(struct conditional);
    c->store = store;
    c->bucket = bucket;
    c->key = key;
    c->done = done;
    c->arg = arg;
    arena_init(&c->arena);
    store->features.conditional = STORE_CONDITIONAL_UNKNOWN;
    ask(c, TRY_FRESH);
    return c;
}

void conditional_cancel(struct conditional *c)
{
    c->canceled = true;
    store_cancel(c->store, &c->op);
}
