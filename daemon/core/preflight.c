/* Preflight of a rule: what it will do is tried on the real buckets, and everything that is missing
 * is named at once. The trial object lies below _repl/ and is removed again. */
#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"

#include <assert.h>
#include <stdio.h>

enum trial {
    TRY_VERSIONS,
    TRY_LIST,
    TRY_READ,
    TRY_WRITE,
    TRY_CHECK,
    TRY_DELETE,
    TRY_MULTIPART,
    TRY_ABORT,
    TRY_COUNT
};

/* What follows from what; over a long way it takes half the time when these go side by side. */
static const enum trial chains[][2] = {
    {TRY_VERSIONS, TRY_READ}, {TRY_WRITE, TRY_DELETE}, {TRY_MULTIPART, TRY_ABORT}};
#define CHAINS (sizeof(chains) / sizeof(chains[0]))

static const struct {
    bool at_source;
    const char *cannot;
} trials[TRY_COUNT] = {
    [TRY_VERSIONS] = {true, "cannot replicate versions of"},
    [TRY_LIST] = {true, "cannot list"},
    [TRY_READ] = {true, "cannot read"},
    [TRY_WRITE] = {false, "cannot write"},
    [TRY_CHECK] = {false, "cannot check"},
    [TRY_DELETE] = {false, "cannot delete"},
    [TRY_MULTIPART] = {false, "cannot create uploads"},
    [TRY_ABORT] = {false, "cannot abort uploads"},
};

struct preflight;

struct chain {
    struct preflight *preflight;
    enum trial at;
    enum trial last;
};

struct preflight {
    struct engine *engine;
    struct chain chains[CHAINS];
    unsigned running; /* chains */
    struct arena arena;
    struct rule_place source;
    struct rule_place destination;
    bool all_versions;
    const char *needs_versions; /* the option that relies on the destination's; NULL = none */
    struct span trial_key;
    struct span source_key; /* absent: nothing to read */
    struct span upload_id;
    char byte[16];
    bool wrote;
    struct fail fails[TRY_COUNT];
    struct fail fail; /* the first one's code, everybody's text */
    engine_done_fn *done;
    void *arg;
};

static void try_next(struct chain *c);

static void add_failure(struct preflight *p, enum trial at)
{
    const struct fail *f = &p->fails[at];
    const struct rule_place *place = trials[at].at_source ? &p->source : &p->destination;
    struct buf text = {0};
    buf_printf(&text, "%s%s%s %s/%s: %s", p->fail.text, p->fail.code != 0 ? "; " : "",
               trials[at].cannot, place->endpoint, place->bucket, f->text);
    if (p->fail.code == 0) {
        p->fail = *f;
    }
    /* The first answer stands whole; what does not fit behind it is cut. */
    snprintf(p->fail.text, sizeof(p->fail.text), "%s", buf_cstr(&text));
    buf_done(&text);
}

static void end_chain(struct preflight *p)
{
    if (--p->running > 0) {
        return;
    }
    for (int at = 0; at < TRY_COUNT; at++) {
        if (p->fails[at].code != 0) {
            add_failure(p, (enum trial)at);
        }
    }
    p->done(p->arg, p->fail.code, &p->fail);
    arena_done(&p->arena);
    mem_free(p);
}

static void refuse_bucket(struct preflight *p, enum trial at)
{
    struct fail *f = &p->fails[at];
    fail_set(f, REPL_EREFUSED, "it keeps no versions, which %s relies on", p->needs_versions);
    fail_hint(f, "switch the bucket's versioning on, or leave this option out");
}

/* A bucket that keeps versions gives each a name; "null" is none. */
static void check_versions(struct preflight *p, struct span version)
{
    if (p->needs_versions != NULL && (version.len == 0 || span_eq_str(version, "null"))) {
        refuse_bucket(p, TRY_WRITE);
    }
}

static void keep_results(struct preflight *p, enum trial at, const struct store_op *op)
{
    if (at == TRY_VERSIONS && !op->versioning) {
        refuse_bucket(p, at);
    } else if (at == TRY_LIST && op->entry_count > 0) {
        p->source_key = arena_span(&p->arena, op->entries[0].key);
    } else if (at == TRY_WRITE) {
        p->wrote = true;
        check_versions(p, op->object.version_id);
    } else if (at == TRY_MULTIPART) {
        p->upload_id = arena_span(&p->arena, op->ret_upload_id);
    }
}

static bool is_good(enum trial at, const struct fail *f)
{
    bool gone = f->code == REPL_ENOKEY || f->code == REPL_ECHANGED || f->http_status == 416;
    return f->code == 0 || (at == TRY_READ && gone);
}

static void trial_done(struct store_op *op)
{
    struct engine_op *o = op->arg;
    struct chain *c = o->owner;
    struct preflight *p = c->preflight;
    if (is_good(c->at, &op->fail)) {
        keep_results(p, c->at, op);
    } else {
        p->fails[c->at] = op->fail;
    }
    p->wrote = p->wrote || (c->at == TRY_WRITE && op->ambiguous);
    engine_op_free(o);
    c->at++;
    try_next(c);
}

static bool is_needed(const struct preflight *p, enum trial at)
{
    switch (at) {
    case TRY_VERSIONS:
        return p->all_versions;
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
        return true;
    }
}

static void fill(struct preflight *p, enum trial at, struct store_op *op)
{
    static const enum store_op_kind kinds[TRY_COUNT] = {[TRY_VERSIONS] = STORE_GET_VERSIONING,
                                                        [TRY_LIST] = STORE_LIST,
                                                        [TRY_READ] = STORE_GET,
                                                        [TRY_WRITE] = STORE_PUT,
                                                        [TRY_ABORT] = STORE_ABORT,
                                                        [TRY_MULTIPART] = STORE_CREATE,
                                                        [TRY_DELETE] = STORE_DELETE};
    assert(at < TRY_COUNT);
    bool source = trials[at].at_source;
    op->kind = kinds[at];
    op->bucket = span_str(source ? p->source.bucket : p->destination.bucket);
    op->key = p->trial_key;
    op->upload_id = p->upload_id;
    if (at == TRY_LIST) {
        op->key = span_str(p->source.prefix);
        op->max_keys = 1;
    } else if (at == TRY_READ) {
        op->key = p->source_key;
        op->ranged = true;
        op->length = 1;
        op->into = p->byte;
        op->into_size = sizeof(p->byte);
    } else if (at == TRY_WRITE) {
        op->body = span_str("repld tries whether it may write here\n");
    }
}

static void check_is_found(void *arg)
{
    struct chain *c = arg;
    c->at++;
    try_next(c);
}

static void try_next(struct chain *c)
{
    struct preflight *p = c->preflight;
    struct engine *e = p->engine;
    while (c->at <= c->last && !is_needed(p, c->at)) {
        c->at++;
    }
    if (c->at > c->last) {
        end_chain(p);
        return;
    }
    const struct rule_place *place = trials[c->at].at_source ? &p->source : &p->destination;
    struct store *store = engine_store(e, place->endpoint);
    if (store == NULL || e->stopping) {
        fail_set(&p->fails[c->at], REPL_ECLOSED, "endpoint %.60s was closed", place->endpoint);
        end_chain(p);
        return;
    }
    if (c->at == TRY_CHECK) {
        engine_probe(e, store, span_str(p->destination.bucket), p->trial_key, check_is_found, c);
        return;
    }
    struct engine_op *o = engine_op_new(e, store);
    o->owner = c;
    fill(p, c->at, &o->op);
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
    p->all_versions = rule->versions == RULE_VERSIONS_ALL;
    p->needs_versions = p->all_versions                        ? "versions: all"
                        : rule->deletes == RULE_DELETES_MARKER ? "deletes: marker"
                                                               : NULL;
    p->trial_key = span_str(arena_printf(&p->arena, RULES_RESERVED_PREFIX "preflight/%s-%016llx",
                                         e->conf->instance,
                                         (unsigned long long)loop_random(e->loop, UINT64_MAX)));
    p->running = CHAINS;
    for (size_t i = 0; i < CHAINS; i++) {
        p->chains[i] = (struct chain){.preflight = p, .at = chains[i][0], .last = chains[i][1]};
    }
    for (size_t i = 0; i < CHAINS; i++) { /* the last one to end takes p with it */
        try_next(&p->chains[i]);
    }
}
