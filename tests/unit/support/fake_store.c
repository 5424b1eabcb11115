#include "tests/unit/support/fake_impl.h"

#include <assert.h>
#include <stdio.h>

static void violation(struct fake *f, const char *what, const struct store_op *op)
{
    buf_printf(&f->violations, "%s: %.*s part %u\n", what, SPAN_ARG(op->key), op->part_number);
}

/* ---- operations in flight ---- */

static bool is_write(enum store_op_kind kind)
{
    return kind == STORE_PUT || kind == STORE_CREATE || kind == STORE_PART ||
           kind == STORE_COMPLETE || kind == STORE_ABORT || kind == STORE_DELETE ||
           kind == STORE_DELETE_MANY || kind == STORE_PUT_TAGS;
}

static bool is_out(const struct fake *f, uint64_t at_ms)
{
    return at_ms >= f->outage_from_ms && at_ms < f->outage_to_ms;
}

static void lose_answer(struct store_op *op, int code)
{
    struct store_op kept = *op;
    op->object = (struct store_object){0};
    op->ret_upload_id = (struct span){0};
    op->part = (struct store_part){0};
    fail_set(&op->fail, code, "%s", fail_text(code));
    op->ambiguous = is_write(kept.kind);
}

static void run_fault(struct fake *f, struct job *j)
{
    const struct fake_fault *fault = &j->fault->f;
    if (fault->in_vain) {
        lose_answer(j->op, fault->code != 0 ? fault->code : REPL_ENET);
    } else if (fault->lost) {
        fake_take_effect(f, j->op, false);
        lose_answer(j->op, fault->code != 0 ? fault->code : REPL_ENET);
    } else if (fault->code != 0) {
        fail_set(&j->op->fail, fault->code, "programmed: %s", fail_text(fault->code));
        j->op->fail.http_status = fault->http_status;
        j->op->fail.retry_after_ms = fault->retry_after_ms;
    } else {
        fake_take_effect(f, j->op, fault->shorten);
    }
}

/* Half of what is cut off had arrived. */
static void cut_off(struct fake *f, struct job *j, int code)
{
    if (loop_random(f->o.loop, 2) == 0) {
        fake_take_effect(f, j->op, false);
    }
    lose_answer(j->op, code);
}

static void decide(struct fake *f, struct job *j)
{
    uint64_t now_ms = loop_now_ms(f->o.loop);
    if (j->is_cancelled && is_out(f, j->begun_ms)) {
        fail_set(&j->op->fail, REPL_ECANCELED, "cancelled"); /* nothing had left */
    } else if (j->is_cancelled) {
        cut_off(f, j, REPL_ECANCELED);
    } else if (is_out(f, j->begun_ms)) {
        fail_set(&j->op->fail, REPL_EUNREACHABLE, "outage");
    } else if (is_out(f, now_ms)) {
        cut_off(f, j, REPL_ENET);
    } else if (f->denied) {
        fake_refuse(j->op, REPL_EDENIED, 403, "AccessDenied");
    } else if (f->o.throttles && f->in_flight > (f->slots + 1) / 2) {
        fake_refuse(j->op, REPL_ETHROTTLED, 503, "SlowDown");
    } else if (j->fault != NULL) {
        run_fault(f, j);
    } else {
        fake_take_effect(f, j->op, false);
    }
}

/* Listings are not the scheduler's. */
static bool is_scheduled(const struct store_op *op)
{
    return op->kind != STORE_LIST && op->kind != STORE_LIST_VERSIONS;
}

static void finish(void *arg)
{
    struct job *j = arg;
    struct fake *f = j->fake;
    struct store_op *op = j->op;
    if (f->hook != NULL && !j->is_cancelled) {
        f->hook(f->hook_arg, f, op);
    }
    decide(f, j);
    f->counts[op->kind]++;
    bool is_lost = op->fail.code == REPL_ENET || op->fail.code == REPL_EUNREACHABLE;
    op->failed_at = is_lost ? FAKE_ADDRESS : 0;
    op->rtt_us = is_lost ? (uint32_t)f->o.latency_ms * 1000 : 0;
    bool sent = op->fail.code != REPL_EUNREACHABLE;
    op->wire_sent = sent && (op->kind == STORE_PUT || op->kind == STORE_PART) ? op->body.len : 0;
    op->ended_us = loop_now_ms(f->o.loop) * 1000;
    list_remove(&j->link);
    timer_stop(&j->timer);
    f->in_flight--;
    f->of_class[store_op_class(op)] -= is_scheduled(op);
    mem_free(j);
    op->impl = NULL;
    op->done(op);
    if (f->closed != NULL && f->in_flight == 0) {
        deferred_call(&f->close_later);
    }
}

static struct fault *find_fault(struct fake *f, const struct store_op *op)
{
    LIST_FOR (node, &f->faults) {
        struct fault *x = CONTAINER_OF(node, struct fault, link);
        bool matches = (x->f.kind < 0 || x->f.kind == (int)op->kind) &&
                       (x->f.key == NULL || span_eq_str(op->key, x->f.key)) &&
                       (x->f.part == 0 || x->f.part == op->part_number);
        if (!matches || x->seen++ < x->f.skip || (x->f.count > 0 && x->hit >= x->f.count) ||
            (x->f.permille > 0 && loop_random(f->o.loop, 1000) >= x->f.permille)) {
            continue;
        }
        x->hit++;
        return x;
    }
    return NULL;
}

static bool is_same_upload(const struct store_op *a, const struct store_op *b)
{
    return a->upload_id.len > 0 && span_eq(a->upload_id, b->upload_id);
}

static void check_others(struct fake *f, const struct store_op *op)
{
    LIST_FOR (node, &f->jobs) {
        const struct store_op *x = CONTAINER_OF(node, struct job, link)->op;
        if (!is_same_upload(x, op)) {
            continue;
        }
        if (op->kind == STORE_PART && x->kind == STORE_PART && x->part_number == op->part_number &&
            !f->o.reupload_safe) {
            violation(f, "same part twice in flight", op);
        }
        if ((op->kind == STORE_COMPLETE || op->kind == STORE_ABORT) && x->kind == STORE_PART) {
            violation(f, "upload ended with a part in flight", op);
        }
        if ((op->kind == STORE_ABORT || op->kind == STORE_PART || op->kind == STORE_COMPLETE) &&
            x->kind == STORE_COMPLETE) {
            violation(f, "upload touched while Complete is in flight", op);
        }
    }
}

static void check(struct fake *f, const struct store_op *op)
{
    check_others(f, op);
    if (is_scheduled(op) && f->of_class[store_op_class(op)] >= f->slots) {
        violation(f, "more operations than slots", op);
    }
    if (op->kind == STORE_GET && op->ranged && op->offset > 0 && op->if_match.len == 0 &&
        op->version_id.len == 0) {
        violation(f, "read without a pin", op);
    }
}

static uint64_t duration_ms(struct fake *f, const struct job *j)
{
    uint64_t ms = f->o.latency_ms;
    uint64_t bytes = j->op->kind == STORE_GET ? j->op->length : j->op->body.len;
    ms += f->o.jitter_ms > 0 ? loop_random(f->o.loop, f->o.jitter_ms + 1) : 0;
    ms += f->o.rate_bps > 0 ? bytes * 1000 / f->o.rate_bps : 0;
    return ms + (j->fault != NULL ? j->fault->f.slow_ms : 0);
}

static void fake_submit(struct store *s, struct store_op *op)
{
    struct fake *f = (struct fake *)(void *)s;
    struct job *j = MEM_NEW(struct job);
    assert(f->closed == NULL && op->arena != NULL && op->done != NULL);
    check(f, op);
    fail_clear(&op->fail);
    op->impl = j;
    j->fake = f;
    j->op = op;
    j->fault = find_fault(f, op);
    j->begun_ms = loop_now_ms(f->o.loop);
    op->started_us = j->begun_ms * 1000;
    timer_init(&j->timer, f->o.loop, finish, j);
    timer_start(&j->timer, duration_ms(f, j));
    list_push_back(&f->jobs, &j->link);
    f->in_flight++;
    f->of_class[store_op_class(op)] += is_scheduled(op);
    f->most_in_flight = f->in_flight > f->most_in_flight ? f->in_flight : f->most_in_flight;
}

static void fake_cancel(struct store *s, struct store_op *op)
{
    struct job *j = op->impl;
    (void)s;
    if (j != NULL) {
        j->is_cancelled = true;
        timer_start(&j->timer, 0);
    }
}

static bool fake_waits(const struct store *s, const struct store_op *op)
{
    const struct fake *f = (const struct fake *)(const void *)s;
    const struct job *j = op->impl;
    return j != NULL && is_out(f, j->begun_ms);
}

static unsigned fake_slots(const struct store *s, enum store_class class)
{
    (void)class;
    const struct fake *f = (const struct fake *)(const void *)s;
    return f->slots;
}

static void now_closed(void *arg)
{
    struct fake *f = arg;
    void (*closed)(void *) = f->closed;
    f->closed = NULL;
    closed(f->closed_arg);
}

static void fake_close(struct store *s, void (*closed)(void *arg), void *arg)
{
    struct fake *f = (struct fake *)(void *)s;
    f->closed = closed;
    f->closed_arg = arg;
    LIST_FOR (node, &f->jobs) {
        fake_cancel(s, CONTAINER_OF(node, struct job, link)->op);
    }
    if (f->in_flight == 0) {
        deferred_call(&f->close_later);
    }
}

static const struct store_ops fake_ops = {
    .kind = "fake",
    .submit = fake_submit,
    .cancel = fake_cancel,
    .waits = fake_waits,
    .slots = fake_slots,
    .close = fake_close,
};

/* ---- the tests' side ---- */

struct fake *fake_new(const struct fake_options *options)
{
    struct fake *f = MEM_NEW(struct fake);
    f->o = *options;
    f->slots = options->slots == 0 ? 16 : options->slots;
    f->store.ops = &fake_ops;
    f->store.name = options->name == NULL ? "fake" : options->name;
    f->store.features = (struct store_features){
        .reupload_safe = options->reupload_safe,
        .put_etag_is_md5 = !options->no_put_etag,
        .delete_many = true,
        .tags = true,
        .list_v2 = true,
        .part_min = options->part_min == 0 ? 1 : options->part_min,
        .part_max = (uint64_t)5 << 30,
        .put_max = (uint64_t)5 << 30,
        .parts_max = 10000,
    };
    list_init(&f->buckets);
    list_init(&f->uploads);
    list_init(&f->faults);
    list_init(&f->jobs);
    deferred_init(&f->close_later, options->loop, now_closed, f);
    return f;
}

void fake_free(struct fake *f)
{
    if (f == NULL) {
        return;
    }
    assert(f->in_flight == 0);
    deferred_cancel(&f->close_later);
    while (!list_is_empty(&f->uploads)) {
        fake_upload_free(CONTAINER_OF(list_first(&f->uploads), struct upload, link));
    }
    while (!list_is_empty(&f->buckets)) {
        fake_bucket_free(CONTAINER_OF(list_first(&f->buckets), struct bucket, link));
    }
    fake_clear_faults(f);
    buf_done(&f->violations);
    mem_free(f);
}

struct store *fake_store(struct fake *f)
{
    return &f->store;
}

void fake_fault(struct fake *f, const struct fake_fault *fault)
{
    struct fault *x = MEM_NEW(struct fault);
    x->f = *fault;
    list_push_back(&f->faults, &x->link);
}

void fake_clear_faults(struct fake *f)
{
    LIST_FOR (node, &f->jobs) {
        CONTAINER_OF(node, struct job, link)->fault = NULL;
    }
    while (!list_is_empty(&f->faults)) {
        struct fault *x = CONTAINER_OF(list_first(&f->faults), struct fault, link);
        list_remove(&x->link);
        mem_free(x);
    }
}

void fake_outage(struct fake *f, uint64_t from_ms, uint64_t to_ms)
{
    f->outage_from_ms = from_ms;
    f->outage_to_ms = to_ms;
}

void fake_set_slots(struct fake *f, unsigned slots)
{
    f->slots = slots;
}

void fake_listing(struct fake *f, size_t page, bool unordered)
{
    f->page = page;
    f->unordered = unordered;
}

void fake_cut_listing(struct fake *f, size_t keys)
{
    f->cut = keys;
}

void fake_deny(struct fake *f, bool denied)
{
    f->denied = denied;
}

void fake_hook(struct fake *f, fake_hook_fn *fn, void *arg)
{
    f->hook = fn;
    f->hook_arg = arg;
}

unsigned fake_count(const struct fake *f, enum store_op_kind kind)
{
    return f->counts[kind];
}

uint64_t fake_body_bytes(const struct fake *f)
{
    return f->body_bytes;
}

unsigned fake_in_flight(const struct fake *f)
{
    return f->in_flight;
}

unsigned fake_most_in_flight(const struct fake *f)
{
    return f->most_in_flight;
}

const char *fake_violations(const struct fake *f)
{
    return buf_cstr(&f->violations);
}
