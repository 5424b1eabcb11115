/* What an endpoint answers to others than copies: of no effect on these, but people and metrics are
 * told. */
#include "transfer/copy/sched_impl.h"

#define REFUSAL_MS 600000 /* one that nobody meets again is nobody's any more */

/* A right that one request lacks, of one bucket perhaps, does not take the endpoint down. */
static bool is_down(const struct endpoint *e)
{
    return e->state != SCHED_UP || (e->refusal.code != 0 && e->refusal.code != REPL_EDENIED);
}

void endpoint_show_up(const struct endpoint *e)
{
    if (e->up != NULL) {
        stat_put(e->up, !is_down(e));
    }
}

bool endpoint_is_silent(int code)
{
    return code == REPL_ENET || code == REPL_EUNREACHABLE || code == REPL_ETIMEOUT ||
           code == REPL_ETLS;
}

static void forget_refusal(struct endpoint *e)
{
    fail_clear(&e->refusal);
    timer_stop(&e->refusal_timer);
    endpoint_show_up(e);
}

void endpoint_refusal_is_old(void *arg)
{
    forget_refusal(arg);
}

static void keep_refusal(struct endpoint *e, const struct store_op *op)
{
    e->refusal = op->fail;
    e->refusal_kind = op->kind;
    timer_start(&e->refusal_timer, REFUSAL_MS);
    endpoint_show_up(e);
}

/* One request that is lost on the way says nothing of an endpoint that has answered before it. */
static bool is_silence(struct endpoint *e, const struct store_op *op)
{
    bool is_silent = endpoint_is_silent(op->fail.code);
    e->lost += is_silent;
    return is_silent && (!e->has_answered || e->lost > 1 || op->fail.code == REPL_EUNREACHABLE);
}

/* A HEAD is denied, too, where a key is missing and may not be listed. A missing bucket is a rule's
 * affair. */
static bool is_denial(const struct store_op *op)
{
    int code = op->fail.code;
    return code == REPL_ECREDENTIALS || (code == REPL_EDENIED && op->kind != STORE_HEAD);
}

/* Rights are given for each kind of request apart. */
static bool is_over(const struct endpoint *e, const struct store_op *op)
{
    bool is_good = op->fail.code == 0;
    return e->refusal.code == REPL_EDENIED        ? is_good && op->kind == e->refusal_kind
           : e->refusal.code == REPL_ECREDENTIALS ? is_good
                                                  : true;
}

void endpoint_heard(struct endpoint *e, const struct store_op *op)
{
    if (op->fail.code == REPL_ECANCELED || endpoint_is_silent(op->fail.code)) {
        return;
    }
    e->has_answered = true;
    e->lost = 0;
    if (e->refusal.code != 0 && is_over(e, op)) {
        forget_refusal(e);
    }
}

void sched_heard(struct sched *s, struct store *store, const struct store_op *op)
{
    if (op->fail.code == REPL_ECANCELED) {
        return;
    }
    struct endpoint *e = endpoint_get(s, store);
    endpoint_heard(e, op);
    if (is_silence(e, op) || is_denial(op)) {
        keep_refusal(e, op);
    }
}

const char *sched_endpoint_shown(const struct sched *s, const struct store *store,
                                 struct fail *ret_fail)
{
    static const char *const states[] = {"up", "outage", "denied"};
    const struct endpoint *e = endpoint_find(s, store);
    fail_clear(ret_fail);
    if (e == NULL) {
        return "untried";
    }
    if (e->state != SCHED_UP || e->refusal.code == 0) {
        *ret_fail = e->fail;
        return e->state == SCHED_UP && !e->has_answered ? "untried" : states[e->state];
    }
    *ret_fail = e->refusal;
    return states[endpoint_is_silent(e->refusal.code) ? SCHED_OUTAGE : SCHED_DENIED];
}
