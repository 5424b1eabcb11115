/* Deletes that wait for one bucket go out together, in one DeleteObjects. Every delete stays an
 * operation of its copy: it is filled, repeated and counted as such; only its way is shared. */
#include "transfer/copy/sched_impl.h"

#define BATCH_MAX 1000 /* keys (S3) */

struct batch {
    struct store_op op;
    struct arena arena;
    struct endpoint *at;
    struct copy_op **members;
    size_t count;
    size_t cancelled;
};

static bool may_join(const struct copy_op *o)
{
    return o->step == STEP_DELETE && !o->goes_alone && !sched_is_stale(o);
}

/* The next entry's operation, if it may go along with `first`. */
static struct copy_op *next_member(struct endpoint *at, const struct copy_op *first)
{
    enum copy_class class = first->copy->entry[COPY_DEST].class;
    struct entry *e = heap_top(&at->ready.heaps[class][STORE_SMALL][HEAP_OLDEST]);
    struct copy_op *o = e == NULL || e->side != COPY_DEST ? NULL : copy_peek(e->copy, e->side);
    bool fits =
        o != NULL && may_join(o) && span_eq(o->copy->job.to_bucket, first->copy->job.to_bucket);
    return fits ? o : NULL;
}

static void add(struct batch *b, struct copy_op *o)
{
    b->members[b->count++] = o;
    o->batch = b;
    o->copy->in_flight[COPY_DEST]++;
    entry_leave(&o->copy->entry[COPY_DEST]);
    copy_fill(o);
}

/* A request that is refused as a whole may be so for one of its keys: each goes alone then. */
static void refused_together(struct copy_op *o, const struct fail *f)
{
    fail_set(&o->op.fail, REPL_EPROTO, "refused together with others: %s", f->text);
    o->goes_alone = true;
    o->counts = false;
}

static bool is_refusal(const struct fail *f)
{
    enum fail_class class = fail_class(f->code);
    return f->code != 0 && class != FAIL_RETRY && class != FAIL_THROTTLE && class != FAIL_AUTH &&
           class != FAIL_NONE;
}

static void member_done(struct batch *b, size_t i, bool counts)
{
    struct copy_op *o = b->members[i];
    o->batch = NULL;
    o->counts = counts;
    o->op.fail = b->op.fail;
    o->op.ambiguous = b->op.ambiguous;
    o->op.rtt_us = b->op.rtt_us;
    if (is_refusal(&b->op.fail)) {
        refused_together(o, &b->op.fail);
    } else if (b->op.fail.code == 0 && b->op.key_fails != NULL) {
        o->op.fail = b->op.key_fails[i];
    }
    o->copy->in_flight[COPY_DEST]--;
    copy_result(o);
}

static void on_done(struct store_op *op)
{
    struct batch *b = op->arg;
    struct endpoint *at = b->at;
    at->in_flight[STORE_SMALL]--;
    bool counts = endpoint_result(at, op);
    for (size_t i = 0; i < b->count; i++) {
        member_done(b, i, counts);
    }
    sched_pump_soon(at->sched);
    mem_free(b->members);
    arena_done(&b->arena);
    mem_free(b);
}

static void submit(struct batch *b)
{
    struct span *keys = arena_alloc(&b->arena, b->count * sizeof(*keys));
    for (size_t i = 0; i < b->count; i++) {
        keys[i] = b->members[i]->copy->job.to_key;
    }
    b->op = (struct store_op){.kind = STORE_DELETE_MANY,
                              .bucket = b->members[0]->copy->job.to_bucket,
                              .keys = keys,
                              .key_count = b->count,
                              .done = on_done,
                              .arg = b,
                              .arena = &b->arena};
    b->at->in_flight[STORE_SMALL]++;
    queue_serve(&b->at->ready, &b->members[0]->copy->entry[COPY_DEST], 0);
    endpoint_started(b->at);
    store_submit(b->at->store, &b->op);
}

bool sched_start_batch(struct endpoint *at, struct copy_op *first)
{
    if (!at->store->features.delete_many || !may_join(first)) {
        return false;
    }
    entry_leave(&first->copy->entry[COPY_DEST]);
    struct copy_op *second = next_member(at, first);
    if (second == NULL) {
        return false;
    }
    struct batch *b = MEM_NEW(struct batch);
    arena_init(&b->arena);
    b->at = at;
    b->members = mem_array(BATCH_MAX, sizeof(*b->members));
    add(b, first);
    for (struct copy_op *o = second; o != NULL && b->count < BATCH_MAX;
         o = next_member(at, first)) {
        add(b, o);
    }
    submit(b);
    return true;
}

/* The others' deletes are not taken back for one: only a batch that nobody wants is. */
void sched_call_back(struct copy_op *o)
{
    struct batch *b = o->batch;
    if (b == NULL) {
        store_cancel(o->copy->at[copy_side(o->step)]->store, &o->op);
    } else if (++b->cancelled == b->count) {
        store_cancel(b->at->store, &b->op);
    }
}

bool sched_has_left(const struct copy_op *o)
{
    const struct batch *b = o->batch;
    return b == NULL ? !store_waits(o->copy->at[copy_side(o->step)]->store, &o->op)
                     : !store_waits(b->at->store, &b->op);
}
