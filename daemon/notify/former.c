#include "daemon/notify/former.h"

#include "daemon/base/mem.h"

#include <stdio.h>

#define SUBJECT "notify"

static void ended(void *arg)
{
    struct former *f = arg;
    f->closed(f->closed_arg);
}

void former_init(struct former *f, struct loop *loop, struct log *log, const char *bucket,
                 const char *key)
{
    *f = (struct former){.log = log, .bucket = bucket, .key = key};
    deferred_init(&f->ended, loop, ended, f);
}

static void deleted(struct store_op *op)
{
    struct former *f = op->arg;
    char text[400];
    f->store = NULL;
    if (op->fail.code != 0 && op->fail.code != REPL_ECANCELED && !f->is_told) {
        f->is_told = true;
        LOG_NOTICE(f->log, SUBJECT, "older versions of our own object stay in bucket %s: %s key=%s",
                   f->bucket, fail_print(&op->fail, text, sizeof(text)), f->key);
    }
    arena_done(&f->arena);
    if (f->closed != NULL) {
        deferred_call(&f->ended);
    }
}

static void delete_standing(struct former *f, struct store *store)
{
    f->store = store;
    arena_init(&f->arena);
    f->op = (struct store_op){.kind = STORE_DELETE,
                              .bucket = span_str(f->bucket),
                              .key = span_str(f->key),
                              .version_id = arena_span(&f->arena, span_str(f->standing)),
                              .done = deleted,
                              .arg = f,
                              .arena = &f->arena};
    store_submit(store, &f->op);
}

void former_written(struct former *f, struct store *store, struct span version_id)
{
    bool has_id = version_id.len < FORMER_ID_MAX && !span_eq_str(version_id, "null");
    if (f->standing[0] != '\0' && f->store == NULL && !span_eq_str(version_id, f->standing)) {
        delete_standing(f, store);
    }
    snprintf(f->standing, sizeof(f->standing), "%.*s", has_id ? (int)version_id.len : 0,
             version_id.ptr != NULL ? version_id.ptr : "");
}

void former_close(struct former *f, loop_fn *closed, void *arg)
{
    f->closed = closed;
    f->closed_arg = arg;
    if (f->store != NULL) {
        store_cancel(f->store, &f->op);
    } else {
        deferred_call(&f->ended);
    }
}
