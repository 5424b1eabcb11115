#include "daemon/notify/owner.h"

#include "daemon/base/mem.h"
#include "daemon/notify/conditional.h"
#include "daemon/notify/former.h"

#include <stdio.h>

#define SUBJECT         "notify"
#define KEY_PREFIX      "_repl/owner/"
#define RETRY_MS        1000
#define RELEASE_MS      2000
#define TRY_AGAIN_MS    600000 /* a server that had no conditions may have been replaced */
#define BEATS           3      /* in the time after which we would be replaced */
#define TAKEOVER_MAX_MS 86400000

enum owner_state { OWNER_LOOK, OWNER_CLAIM, OWNER_OURS, OWNER_RELEASE };

struct owner {
    struct loop *loop;
    struct log *log;
    struct owner_host host;
    char *rule;
    char *bucket;
    char *key;
    uint64_t takeover_ms;
    enum owner_state state;
    struct timer timer; /* the next step; while releasing: its limit */
    unsigned failures;  /* in a row */
    char trouble[200];
    bool is_unable; /* the server has no conditions, as was said */

    /* Under way. */
    struct store *store; /* NULL: nothing */
    struct store_op op;
    struct arena arena;
    char text[OWNER_DOC_MAX];
    struct buf body;
    uint64_t sent_ms;
    struct former former; /* the version that it replaced */
    struct conditional *trial;
    char *trial_key;

    /* What stands there: "" = nothing that we know of. */
    char etag[160];
    struct owner_doc doc;
    uint64_t since_ms; /* monotonic: when it was first seen as it is */

    struct owner_doc ours;
    uint64_t until_ms; /* monotonic: so long we may believe it; 0 = we are not */
    struct timer lapse;

    loop_fn *closed; /* not NULL: closing */
    void *closed_arg;
};

static uint64_t beat_ms(const struct owner *o)
{
    return o->takeover_ms / BEATS;
}

static void arm(struct owner *o, uint64_t delay_ms)
{
    if (o->closed == NULL) {
        timer_start(&o->timer, delay_ms);
    }
}

static void tell(struct owner *o)
{
    if (o->closed == NULL) {
        o->host.news(o->host.arg);
    }
}

static void retry(struct owner *o, const struct fail *f)
{
    uint64_t wait = o->failures < 10 ? (uint64_t)RETRY_MS << o->failures : beat_ms(o);
    wait = wait < beat_ms(o) ? wait : beat_ms(o);
    snprintf(o->trouble, sizeof(o->trouble), "%.180s", f->text);
    if (o->failures++ == 0) {
        LOG_WARNING(o->log, SUBJECT, "rule %s: who looks at the whole bucket is not known now: %s",
                    o->rule, f->text);
    }
    arm(o, wait / 2 + loop_random(o->loop, wait / 2 + 1));
}

/* ---- being the owner ---- */

static void lapsed(void *arg)
{
    struct owner *o = arg;
    if (o->until_ms != 0) {
        o->until_ms = 0;
        LOG_WARNING(o->log, SUBJECT,
                    "rule %s: could not say in time that this host looks at the whole bucket; it "
                    "stops to",
                    o->rule);
        tell(o);
    }
}

static void lose(struct owner *o)
{
    bool was = o->until_ms != 0;
    timer_stop(&o->lapse);
    o->until_ms = 0;
    if (was) {
        LOG_NOTICE(o->log, SUBJECT, "rule %s: host %s looks at the whole bucket now", o->rule,
                   o->doc.instance);
        tell(o);
    }
}

static void win(struct owner *o)
{
    bool was = o->until_ms != 0;
    o->doc = o->ours;
    o->failures = 0;
    o->trouble[0] = 0;
    o->until_ms = o->sent_ms + o->takeover_ms - o->takeover_ms / 4;
    uint64_t now = loop_now_ms(o->loop);
    if (o->until_ms <= now) { /* its answer took too long to be worth anything */
        o->until_ms = 0;
    } else {
        timer_start(&o->lapse, o->until_ms - now);
    }
    if (!was && o->until_ms != 0) {
        LOG_NOTICE(o->log, SUBJECT, "rule %s: this host looks at the whole bucket, epoch=%llu",
                   o->rule, (unsigned long long)o->ours.epoch);
        tell(o);
    }
    arm(o, beat_ms(o));
}

/* ---- the store ---- */

static void submit(struct owner *o, struct store *store, enum store_op_kind kind,
                   store_done_fn *done)
{
    o->store = store;
    arena_init(&o->arena);
    o->op = (struct store_op){.kind = kind,
                              .bucket = span_str(o->bucket),
                              .key = span_str(o->key),
                              .done = done,
                              .arg = o,
                              .arena = &o->arena};
    if (kind == STORE_GET) {
        o->op.into = o->text;
        o->op.into_size = sizeof(o->text);
    } else {
        buf_reset(&o->body);
        o->ours.beat++;
        owner_doc_print(&o->ours, o->rule, &o->body);
        o->op.body = buf_view(&o->body);
        o->op.meta.content_type = span_str("application/json");
        o->op.if_match = span_str(o->etag);
        o->op.if_none_match = o->etag[0] == '\0';
        o->sent_ms = loop_now_ms(o->loop);
    }
    store_submit(store, &o->op);
}

static void set_etag(struct owner *o, struct span etag)
{
    snprintf(o->etag, sizeof(o->etag), "%.*s", SPAN_ARG(etag));
}

static bool is_refused(const struct fail *f)
{
    return f->code == REPL_EEXISTS || f->code == REPL_ECHANGED || f->code == REPL_ENOKEY;
}

static void close_on(struct owner *o);

/* What the answer was, with nothing under way any more; false when that is all. */
static bool take_answer(struct owner *o, struct fail *ret)
{
    *ret = o->op.fail;
    o->store = NULL;
    if (o->closed != NULL) {
        arena_done(&o->arena);
        close_on(o);
        return false;
    }
    return true;
}

/* ---- claiming ---- */

static void written(struct store_op *op)
{
    struct owner *o = op->arg;
    struct fail f;
    if (op->fail.code == 0) {
        set_etag(o, op->object.etag);
        former_written(&o->former, o->store, op->object.version_id);
        o->state = OWNER_OURS;
    } else {
        o->state = OWNER_LOOK; /* also after a lost answer: it may have been written */
    }
    if (!take_answer(o, &f)) {
        return;
    }
    arena_done(&o->arena);
    if (f.code == 0) {
        win(o);
    } else if (is_refused(&f)) {
        arm(o, loop_random(o->loop, beat_ms(o) / 4 + 1));
    } else {
        retry(o, &f);
    }
}

static void claim(struct owner *o, struct store *store)
{
    bool is_ours_still =
        o->etag[0] != '\0' && strcmp(o->doc.id, o->ours.id) == 0 && o->doc.epoch == o->ours.epoch;
    if (!is_ours_still) {
        uint64_t least = o->doc.epoch > o->ours.epoch ? o->doc.epoch : o->ours.epoch;
        o->ours.epoch = least + 1;
        o->ours.beat = 0;
    }
    o->state = OWNER_CLAIM;
    submit(o, store, STORE_PUT, written);
}

/* ---- looking ---- */

static uint64_t patience_ms(const struct owner *o)
{
    uint64_t said = o->doc.takeover_ms < TAKEOVER_MAX_MS ? o->doc.takeover_ms : TAKEOVER_MAX_MS;
    return said > o->takeover_ms ? said : o->takeover_ms;
}

/* By both clocks that may be asked: ours since we saw it, and the server's since it was written. */
static bool is_expired(const struct owner *o, const struct store_object *object)
{
    uint64_t patience = patience_ms(o);
    bool is_dated = object->mtime_ms != 0 && object->read_ms != 0;
    return loop_now_ms(o->loop) - o->since_ms >= patience &&
           (!is_dated || object->read_ms - object->mtime_ms >= (int64_t)patience);
}

static void judge(struct owner *o, struct store *store, const struct store_object *object)
{
    if (strcmp(o->doc.id, o->ours.id) == 0) {
        claim(o, store); /* of an earlier life, or its answer was lost */
        return;
    }
    lose(o);
    if (o->doc.released || is_expired(o, object)) {
        LOG_NOTICE(o->log, SUBJECT, "rule %s: host %s %s, this host takes over", o->rule,
                   o->doc.instance, o->doc.released ? "has given up" : "is silent");
        claim(o, store);
    } else {
        o->trouble[0] = 0;
        o->failures = 0;
        arm(o, beat_ms(o));
    }
}

static void looked(struct store_op *op)
{
    struct owner *o = op->arg;
    struct store *store = o->store;
    struct owner_doc doc = {0};
    struct fail f;
    if (!take_answer(o, &f)) {
        return;
    }
    struct store_object object = op->object; /* without its strings, from here on */
    bool is_new = f.code == 0 && !span_eq_str(object.etag, o->etag);
    if (f.code == 0 && owner_doc_parse(span_of(o->text, op->received), &doc, &f) == 0) {
        set_etag(o, object.etag);
        o->doc = doc;
    }
    arena_done(&o->arena);
    if (f.code == REPL_ENOKEY) {
        o->etag[0] = 0;
        claim(o, store);
    } else if (f.code != 0) {
        retry(o, &f);
    } else {
        o->since_ms = is_new ? loop_now_ms(o->loop) : o->since_ms;
        judge(o, store, &object);
    }
}

/* ---- conditions ---- */

static void cannot(struct owner *o)
{
    if (!o->is_unable) {
        LOG_ERROR(o->log, SUBJECT,
                  "rule %s: the destination has no conditional writes, so hosts cannot agree; no "
                  "host looks at the whole bucket until scan_host names one",
                  o->rule);
    }
    o->is_unable = true;
    snprintf(o->trouble, sizeof(o->trouble),
             "the destination has no conditional writes: name a host in scan_host");
    arm(o, TRY_AGAIN_MS);
}

static void tried(void *arg)
{
    struct owner *o = arg;
    struct store *store = o->store;
    struct fail f;
    o->trial = NULL;
    o->store = NULL;
    if (o->closed != NULL) {
        close_on(o);
    } else if (store->features.conditional == STORE_CONDITIONAL_UNKNOWN) {
        fail_set(&f, REPL_EUNREACHABLE,
                 "the destination could not be tried for conditional writes");
        retry(o, &f);
    } else if (store->features.conditional == STORE_CONDITIONAL_NONE) {
        cannot(o);
    } else {
        o->host.found(o->host.arg, store);
        arm(o, 0);
    }
}

static void try_conditions(struct owner *o, struct store *store)
{
    o->store = store;
    o->trial = conditional_try(store, span_str(o->bucket), span_str(o->trial_key), tried, o);
}

/* ---- the dispatcher ---- */

static void step(void *arg)
{
    struct owner *o = arg;
    struct store *store = o->host.store(o->host.arg);
    if (o->store != NULL) {
        return;
    }
    if (store == NULL) {
        arm(o, RETRY_MS);
    } else if (!store_can_condition(store)) {
        try_conditions(o, store);
    } else if (o->state == OWNER_OURS) {
        submit(o, store, STORE_PUT, written);
    } else {
        submit(o, store, STORE_GET, looked);
    }
}

/* ---- life ---- */

struct owner *owner_new(const struct owner_options *options)
{
    struct owner *o = MEM_NEW(struct owner);
    o->loop = options->loop;
    o->log = options->log;
    o->host = options->host;
    o->rule = mem_strdup(options->rule);
    o->bucket = mem_strdup(options->bucket);
    o->key = mem_printf(KEY_PREFIX "%s", options->rule);
    o->trial_key = mem_printf("_repl/trial/%s-%s-%016llx", options->rule, options->id,
                              (unsigned long long)loop_random(o->loop, UINT64_MAX));
    o->takeover_ms = options->takeover_ms;
    snprintf(o->ours.instance, sizeof(o->ours.instance), "%s", options->instance);
    snprintf(o->ours.id, sizeof(o->ours.id), "%s", options->id);
    o->ours.takeover_ms = options->takeover_ms;
    timer_init(&o->timer, o->loop, step, o);
    timer_init(&o->lapse, o->loop, lapsed, o);
    former_init(&o->former, o->loop, o->log, o->bucket, o->key);
    timer_start(&o->timer, 0);
    return o;
}

static void end(void *arg)
{
    struct owner *o = arg;
    loop_fn *closed = o->closed;
    void *closed_arg = o->closed_arg;
    timer_stop(&o->timer);
    buf_done(&o->body);
    mem_free(o->rule);
    mem_free(o->bucket);
    mem_free(o->key);
    mem_free(o->trial_key);
    mem_free(o);
    closed(closed_arg);
}

static void released(struct store_op *op)
{
    struct owner *o = op->arg;
    o->store = NULL;
    arena_done(&o->arena);
    former_close(&o->former, end, o);
}

static void call_back(void *arg)
{
    struct owner *o = arg;
    store_cancel(o->store, &o->op);
}

/* Nothing is under way. The others wait for its expiry where this does not go well. */
static void close_on(struct owner *o)
{
    struct store *store = o->state == OWNER_OURS ? o->host.store(o->host.arg) : NULL;
    o->state = OWNER_RELEASE;
    timer_stop(&o->timer);
    if (store == NULL) {
        former_close(&o->former, end, o);
        return;
    }
    o->ours.released = true;
    submit(o, store, STORE_PUT, released);
    timer_init(&o->timer, o->loop, call_back, o);
    timer_start(&o->timer, RELEASE_MS);
}

void owner_close(struct owner *o, loop_fn *closed, void *arg)
{
    o->closed = closed;
    o->closed_arg = arg;
    o->until_ms = 0;
    timer_stop(&o->timer);
    timer_stop(&o->lapse);
    if (o->trial != NULL) {
        conditional_cancel(o->trial);
    } else if (o->store != NULL) { /* its answer says what there is to give up */
        timer_init(&o->timer, o->loop, call_back, o);
        timer_start(&o->timer, RELEASE_MS);
    } else {
        close_on(o);
    }
}

/* ---- questions ---- */

uint64_t owner_epoch(const struct owner *o)
{
    return o->until_ms > loop_now_ms(o->loop) ? o->ours.epoch : 0;
}

const char *owner_holder(const struct owner *o)
{
    return o->doc.instance;
}

const char *owner_trouble(const struct owner *o)
{
    return o->trouble;
}
