/* Preflight of a rule: what it will do is tried on the real buckets, and everything that is missing
 * is named at once. The trial object lies below _repl/ and is removed again. */
#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"

#include <stdio.h>

enum trial {
    TRY_LIST,
    TRY_READ,
    TRY_WRITE,
    TRY_CHECK,
    TRY_MULTIPART,
    TRY_ABORT,
    TRY_DELETE,
    TRY_COUNT
};

static const struct {
    bool at_source;
    const char *cannot;
} trials[TRY_COUNT] = {
    [TRY_LIST] = {true, "cannot list"},
    [TRY_READ] = {true, "cannot read"},
    [TRY_WRITE] = {false, "cannot write"},
    [TRY_CHECK] = {false, "cannot check"},
    [TRY_MULTIPART] = {false, "cannot create uploads"},
    [TRY_ABORT] = {false, "cannot abort uploads"},
    [TRY_DELETE] = {false, "cannot delete"},
};

struct preflight {
    struct engine *engine;
    struct arena arena;
    struct rule_place source;
    struct rule_place destination;
    bool needs_versions;
    struct span trial_key;
    struct span source_key; /* absent: nothing to read */
    struct span upload_id;
    char byte[16];
    enum trial at;
    bool wrote;
    struct fail fail; /* the first one's code, everybody's text */
    engine_done_fn *done;
    void *arg;
};

static void try_next(struct preflight *p);

static void end_preflight(struct preflight *p)
{
    p->done(p->arg, p->fail.code, &p->fail);
    arena_done(&p->arena);
    mem_free(p);
}

static void add_failure(struct preflight *p, const struct fail *f)
{
    const struct rule_place *place = trials[p->at].at_source ? &p->source : &p->destination;
    struct buf text = {0};
    buf_printf(&text, "%s%s%s %s/%s: %s", p->fail.text, p->fail.code != 0 ? "; " : "",
               trials[p->at].cannot, place->endpoint, place->bucket, f->text);
    if (p->fail.code == 0) {
        p->fail = *f;
    }
    /* The first answer stands whole; what does not fit behind it is cut. */
    snprintf(p->fail.text, sizeof(p->fail.text), "%s", buf_cstr(&text));
    buf_done(&text);
}

/* A bucket that keeps versions gives each a name; "null" is none. */
static void check_versions(struct preflight *p, struct span version)
{
    struct fail f;
    if (!p->needs_versions || (version.len > 0 && !span_eq_str(version, "null"))) {
        return;
    }
    fail_set(&f, REPL_EREFUSED, "it keeps no versions, which deletes: marker relies on");
    fail_hint(&f, "switch versioning on, or write deletes: propagate");
    add_failure(p, &f);
}

static void keep_results(struct preflight *p, const struct store_op *op)
{
    if (p->at == TRY_LIST && op->entry_count > 0) {
        p->source_key = arena_span(&p->arena, op->entries[0].key);
    } else if (p->at == TRY_WRITE) {
        p->wrote = true;
        check_versions(p, op->object.version_id);
    } else if (p->at == TRY_MULTIPART) {
        p->upload_id = arena_span(&p->arena, op->ret_upload_id);
    }
}

static bool is_good(const struct preflight *p, const struct fail *f)
{
    bool gone = f->code == REPL_ENOKEY || f->code == REPL_ECHANGED || f->http_status == 416;
    return f->code == 0 || (p->at == TRY_READ && gone);
}

static void trial_done(struct store_op *op)
{
    struct engine_op *o = op->arg;
    struct preflight *p = o->owner;
    if (is_good(p, &op->fail)) {
        keep_results(p, op);
    } else {
        add_failure(p, &op->fail);
    }
    p->wrote = p->wrote || op->ambiguous;
    engine_op_free(o);
    p->at++;
    try_next(p);
}

static bool is_needed(const struct preflight *p)
{
    switch (p->at) {
    case TRY_READ:
        return p->source_key.ptr != NULL;
    case TRY_CHECK:
        return p->wrote &&
               engine_probe_is_needed(engine_endpoint_find(p->engine, p->destination.endpoint));
    case TRY_ABORT:
        return p->upload_id.ptr != NULL;
    case TRY_DELETE:
        return p->wrote;
    default:
        return p->at < TRY_COUNT;
    }
}

static void fill(struct preflight *p, struct store_op *op)
{
    static const enum store_op_kind kinds[TRY_COUNT] = {
        [TRY_LIST] = STORE_LIST,   [TRY_READ] = STORE_GET,         [TRY_WRITE] = STORE_PUT,
        [TRY_ABORT] = STORE_ABORT, [TRY_MULTIPART] = STORE_CREATE, [TRY_DELETE] = STORE_DELETE};
    bool source = trials[p->at].at_source;
    op->kind = kinds[p->at];
    op->bucket = span_str(source ? p->source.bucket : p->destination.bucket);
    op->key = p->trial_key;
    op->upload_id = p->upload_id;
    if (p->at == TRY_LIST) {
        op->key = span_str(p->source.prefix);
        op->max_keys = 1;
    } else if (p->at == TRY_READ) {
        op->key = p->source_key;
        op->ranged = true;
        op->length = 1;
        op->into = p->byte;
        op->into_size = sizeof(p->byte);
    } else if (p->at == TRY_WRITE) {
        op->body = span_str("repld tries whether it may write here\n");
    }
}

static void check_is_found(void *arg)
{
    struct preflight *p = arg;
    p->at++;
    try_next(p);
}

static void try_next(struct preflight *p)
{
    struct engine *e = p->engine;
    while (p->at < TRY_COUNT && !is_needed(p)) {
        p->at++;
    }
    if (p->at == TRY_COUNT) {
        end_preflight(p);
        return;
    }
    const struct rule_place *place = trials[p->at].at_source ? &p->source : &p->destination;
    struct store *store = engine_store(e, place->endpoint);
    if (store == NULL || e->stopping) {
        fail_set(&p->fail, REPL_ECLOSED, "endpoint %.60s was closed", place->endpoint);
        end_preflight(p);
        return;
    }
    if (p->at == TRY_CHECK) {
        engine_probe(e, store, span_str(p->destination.bucket), p->trial_key, check_is_found, p);
        return;
    }
    struct engine_op *o = engine_op_new(e, store);
    o->owner = p;
    fill(p, &o->op);
    engine_op_submit(o, trial_done, o);
}

static struct rule_place copy_place(struct arena *a, const struct rule_place *in)
{
    return (struct rule_place){.endpoint = arena_strdup(a, in->endpoint),
                               .bucket = arena_strdup(a, in->bucket),
                               .prefix = arena_strdup(a, in->prefix)};
}

void engine_preflight(struct engine *e, const struct rule *rule, engine_done_fn *done, void *arg)
{
    struct preflight *p = MEM_NEW(struct preflight);
    p->engine = e;
    p->done = done;
    p->arg = arg;
    arena_init(&p->arena);
    p->source = copy_place(&p->arena, &rule->source);
    p->destination = copy_place(&p->arena, &rule->destination);
    p->needs_versions = rule->deletes == RULE_DELETES_MARKER;
    p->trial_key = span_str(arena_printf(&p->arena, RULES_RESERVED_PREFIX "preflight/%s-%016llx",
                                         e->conf->instance,
                                         (unsigned long long)loop_random(e->loop, UINT64_MAX)));
    try_next(p);
}
