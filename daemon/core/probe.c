/* Which check of a body a server really makes: the cheapest that takes a right value and refuses a
 * wrong one. Only over TLS; plain HTTP signs the payload hash, which every server verifies. */
#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"
#include "transfer/store/checksum.h"

#include <strings.h>

static const enum store_check candidates[] = {STORE_CHECK_CRC64NVME, STORE_CHECK_CRC32C};

#define CANDIDATES (sizeof(candidates) / sizeof(candidates[0]))

struct probe {
    struct engine *engine;
    struct store *store;
    struct span bucket;
    struct span key;
    size_t at;
    bool spoilt; /* the right value was taken, now the wrong one */
    loop_fn *done;
    void *arg;
};

bool engine_probe_is_needed(const struct engine_endpoint *ep)
{
    return ep != NULL && ep->store->features.check == STORE_CHECK_AUTO &&
           strncasecmp(ep->conf->url, "https://", 8) == 0;
}

static void end_probe(struct probe *p, enum store_check found)
{
    p->store->features.check = found;
    if (found != STORE_CHECK_AUTO) {
        engine_features_save(p->engine, p->store);
    }
    p->done(p->arg);
    mem_free(p);
}

static void try_put(struct probe *p);

static bool is_refusal(const struct fail *f)
{
    enum fail_class class = fail_class(f->code);
    return class == FAIL_CORRUPT || class == FAIL_PERMANENT ||
           (f->http_status >= 400 && f->http_status < 500 && class != FAIL_THROTTLE);
}

static void put_done(struct store_op *op)
{
    struct engine_op *o = op->arg;
    struct probe *p = o->owner;
    bool good = op->fail.code == 0, refused = !good && is_refusal(&op->fail);
    engine_op_free(o);
    if ((!good && !refused) || p->engine->stopping) {
        end_probe(p, STORE_CHECK_AUTO); /* learnt nothing: the safe check stays */
    } else if (p->spoilt && refused) {
        end_probe(p, candidates[p->at]);
    } else if (!p->spoilt && good) {
        p->spoilt = true;
        try_put(p);
    } else if (p->at + 1 < CANDIDATES) {
        p->at++;
        p->spoilt = false;
        try_put(p);
    } else {
        end_probe(p, STORE_CHECK_AUTO);
    }
}

static void try_put(struct probe *p)
{
    struct engine_op *o = engine_op_new(p->engine, p->store);
    o->owner = p;
    o->op.kind = STORE_PUT;
    o->op.bucket = p->bucket;
    o->op.key = p->key;
    o->op.body = span_str("repld tries which checksums are verified here\n");
    o->op.spoil_check = p->spoilt;
    p->store->features.check = candidates[p->at];
    engine_op_submit(o, put_done, o);
}

void engine_probe(struct engine *e, struct store *store, struct span bucket, struct span key,
                  loop_fn *done, void *arg)
{
    struct probe *p = MEM_NEW(struct probe);
    p->engine = e;
    p->store = store;
    p->bucket = bucket;
    p->key = key;
    p->at = checksum_has_fast_crc64nvme() ? 0 : 1; /* by tables it is the dearest of all */
    p->done = done;
    p->arg = arg;
    try_put(p);
}
