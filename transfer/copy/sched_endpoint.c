/* The states of an endpoint: up, in outage, denied; and how many operations it is given.
 *
 *   UP ── failures of the network in a row ──► OUTAGE ── any answer (a probe a second) ──► UP
 *   UP ── access denied, nothing else works ─► DENIED ── a probe succeeds (5 s … 60 s) ──► UP */
#include "transfer/copy/sched_impl.h"

#include <stdio.h>

#define NET_FAILURES_MAX  4 /* in a row, of any operations */
#define UNREACHABLE_COUNT 2 /* such a failure counts as so many */
#define GOOD_LATELY_MS                                                                             \
    2000 /* a denial soon after a success is the object's, not the endpoint's                      \
          */
/* A probe that waits on a dead connection, or for TCP's next try to make one, does not see that the
 * path is back; one that is never patient would not see a slow server. */
#define PROBE_STALL_S     3
#define PROBE_STALL_MAX_S 30
#define PROBE_TRUST_MS    60000 /* so is one after a probe that was good */

static void probe_due(void *arg);

/* ---- its series ---- */

static void make_stats(struct endpoint *e)
{
    const char *labels[] = {e->name};
    if (e->sched->up != NULL) {
        e->up = stat_get(e->sched->up, labels);
        e->throttled = stat_get(e->sched->throttled, labels);
        e->hedged_bytes = stat_get(e->sched->hedged_bytes, labels);
        endpoint_show_up(e);
    }
}

static void count_result(struct endpoint *e, const struct store_op *op)
{
    if (e->sched->operations == NULL) {
        return;
    }
    enum fail_class class = fail_class(op->fail.code);
    bool is_ok = op->fail.code == 0;
    size_t result = is_ok ? 0 : (class == FAIL_NONE ? FAIL_RETRY : class);
    struct stat **stat = &e->operations[op->kind][result];
    if (*stat == NULL) {
        const char *labels[] = {e->name, store_op_name(op->kind),
                                is_ok ? "ok" : fail_class_name((enum fail_class)result)};
        *stat = stat_get(e->sched->operations, labels);
    }
    stat_add(*stat, 1);
}

/* ---- life ---- */

static void has_more(void *arg)
{
    sched_pump_soon(arg);
}

static struct endpoint *endpoint_new(struct sched *s, struct store *store)
{
    struct endpoint *e = MEM_NEW(struct endpoint);
    e->sched = s;
    e->store = store;
    e->name = mem_strdup(store->name);
    queue_init(&e->ready, s->o.shares);
    queue_init(&e->parked, s->o.shares);
    valves_init(&e->valves, s);
    throttle_init(&e->throttle);
    timer_init(&e->probe_timer, s->o.loop, probe_due, e);
    timer_init(&e->refusal_timer, s->o.loop, endpoint_refusal_is_old, e);
    list_push_back(&s->endpoints, &e->link);
    store->more = has_more;
    store->more_arg = s;
    make_stats(e);
    return e;
}

struct endpoint *endpoint_find(const struct sched *s, const struct store *store)
{
    LIST_FOR (node, &s->endpoints) {
        struct endpoint *e = CONTAINER_OF(node, struct endpoint, link);
        if (e->store == store) {
            return e;
        }
    }
    return NULL;
}

struct endpoint *endpoint_get(struct sched *s, struct store *store)
{
    struct endpoint *e = endpoint_find(s, store);
    return e != NULL ? e : endpoint_new(s, store);
}

void endpoint_free(struct endpoint *e)
{
    list_remove(&e->link);
    e->store->more = NULL;
    timer_stop(&e->probe_timer);
    timer_stop(&e->refusal_timer);
    if (e->probe != NULL) {
        e->probe->endpoint = NULL;
        store_cancel(e->store, &e->probe->op);
    }
    queue_done(&e->ready);
    queue_done(&e->parked);
    valves_done(&e->valves);
    mem_free(e->name);
    mem_free(e);
}

/* ---- states ---- */

static void log_down(struct endpoint *e)
{
    char text[512];
    fail_print(&e->fail, text, sizeof(text));
    if (e->state == SCHED_DENIED) {
        LOG_ERROR(e->sched->o.log, "endpoint", "%s denies access, its work waits: %s", e->name,
                  text);
    } else {
        LOG_WARNING(e->sched->o.log, "endpoint", "%s is not reachable, its work waits: %s", e->name,
                    text);
    }
}

static void go_down(struct endpoint *e, enum sched_endpoint_state state, const struct store_op *op)
{
    e->state = state;
    e->fail = op->fail;
    e->down_ms = loop_now_ms(e->sched->o.loop);
    e->passes = 0;
    e->probe_by_pass = false;
    e->probe_stall_s = PROBE_STALL_S;
    e->probe_delay_ms = state == SCHED_OUTAGE ? SCHED_OUTAGE_MS : SCHED_DENIED_MIN_MS;
    snprintf(e->probe_bucket, sizeof(e->probe_bucket), "%.*s", SPAN_ARG(op->bucket));
    timer_start(&e->probe_timer, e->probe_delay_ms);
    endpoint_show_up(e);
    log_down(e);
}

static void go_up(struct endpoint *e)
{
    e->up_ms = loop_now_ms(e->sched->o.loop);
    e->state = SCHED_UP;
    e->net_failures = 0;
    fail_clear(&e->fail);
    timer_stop(&e->probe_timer);
    endpoint_show_up(e);
    LOG_NOTICE(e->sched->o.log, "endpoint", "%s is back after %llu ms", e->name,
               (unsigned long long)(e->up_ms - e->down_ms));
    sched_pump_soon(e->sched);
}

/* ---- probes ---- */

static bool is_good_probe(const struct endpoint *e, const struct fail *f)
{
    if (f->code == REPL_ECANCELED) {
        return false;
    }
    return e->state == SCHED_OUTAGE ? !endpoint_is_silent(f->code) : f->code == 0;
}

static void probe_again(struct endpoint *e)
{
    if (e->state == SCHED_DENIED) {
        e->probe_delay_ms *= 2;
        if (e->probe_delay_ms > SCHED_DENIED_MAX_MS) {
            e->probe_delay_ms = SCHED_DENIED_MAX_MS;
        }
    }
    timer_start(&e->probe_timer, e->probe_delay_ms);
}

static void probe_done(struct store_op *op)
{
    struct probe *p = op->arg;
    struct endpoint *e = p->endpoint;
    p->sched->probes--;
    sched_pump_soon(p->sched);
    if (e != NULL) {
        e->probe = NULL;
        count_result(e, op);
        endpoint_heard(e, op);
        if (e->state != SCHED_UP && is_good_probe(e, &op->fail)) {
            e->probe_good_ms = loop_now_ms(e->sched->o.loop);
            go_up(e);
        } else if (e->state != SCHED_UP && !e->sched->is_stopping) {
            probe_again(e);
        }
    }
    arena_done(&p->arena);
    mem_free(p);
}

static void send_probe(struct endpoint *e)
{
    struct probe *p = MEM_NEW(struct probe);
    arena_init(&p->arena);
    p->endpoint = e;
    p->sched = e->sched;
    p->op.kind = STORE_HEAD_BUCKET;
    p->op.bucket = span_str(e->probe_bucket);
    p->op.arena = &p->arena;
    p->op.stall_s = e->probe_stall_s;
    e->probe_stall_s += e->probe_stall_s < PROBE_STALL_MAX_S ? 1 : 0;
    p->op.done = probe_done;
    p->op.arg = p;
    e->probe = p;
    e->sched->probes++;
    store_submit(e->store, &p->op);
}

/* Some rights do not include asking for the bucket: every other time a real operation is let
 * through instead. */
static void probe_due(void *arg)
{
    struct endpoint *e = arg;
    if (e->state == SCHED_UP || e->probe != NULL || e->sched->is_stopping) {
        return;
    }
    if (e->state == SCHED_DENIED && e->probe_by_pass && e->ready.count > 0) {
        e->passes = 1;
        e->probe_by_pass = false;
        sched_pump_soon(e->sched);
        probe_again(e);
        return;
    }
    e->probe_by_pass = true;
    send_probe(e);
}

/* ---- results ---- */

static void was_good(struct endpoint *e, const struct store_op *op)
{
    e->good_ms = loop_now_ms(e->sched->o.loop);
    e->net_failures = 0;
    snprintf(e->seen_bucket, sizeof(e->seen_bucket), "%.*s", SPAN_ARG(op->bucket));
    e->seen_ms = e->good_ms;
    if ((op->kind == STORE_PART || op->kind == STORE_PUT) && op->wire_sent >= 1024 * 1024 &&
        op->ended_us > op->started_us) {
        double rate = (double)op->wire_sent * 1e6 / (double)(op->ended_us - op->started_us);
        e->rate_bps = e->rate_bps == 0 ? rate : 0.8 * e->rate_bps + 0.2 * rate;
    }
    if (e->state != SCHED_UP) {
        go_up(e);
    }
}

static void trace_throttle(const struct endpoint *e, const char *what, uint32_t asked_ms)
{
    const struct throttle *t = &e->throttle;
    LOG_TRACE(e->sched->o.log, "pace",
              "%s throttle: %s rate=%.1f failed_rate=%.1f served=%.1f asked_ms=%u", e->name, what,
              t->rate, t->failed_rate, t->served, asked_ms);
}

static void was_throttled(struct endpoint *e, const struct store_op *op)
{
    uint32_t asked_ms = op->fail.retry_after_ms > 0 ? (uint32_t)op->fail.retry_after_ms : 0;
    if (e->throttled != NULL) {
        stat_add(e->throttled, 1);
    }
    uint64_t now_us = loop_now_us(e->sched->o.loop);
    if (throttle_refused(&e->throttle, now_us, op->started_us, asked_ms)) {
        trace_throttle(e, "refused, goes back", asked_ms);
    }
}

static void was_served(struct endpoint *e)
{
    bool was_on = e->throttle.is_on;
    throttle_served(&e->throttle, loop_now_us(e->sched->o.loop));
    if (was_on && !e->throttle.is_on) {
        trace_throttle(e, "off, nothing was refused for long", 0);
    }
}

/* True: the failure counts for the operation. */
static bool was_lost(struct endpoint *e, const struct store_op *op)
{
    if (e->state != SCHED_UP) {
        return false;
    }
    e->net_failures += op->fail.code == REPL_EUNREACHABLE ? UNREACHABLE_COUNT : 1;
    if (e->net_failures < NET_FAILURES_MAX) {
        return true;
    }
    go_down(e, SCHED_OUTAGE, op);
    return false;
}

static bool was_denied(struct endpoint *e, const struct store_op *op)
{
    if (op->fail.code == REPL_ENOBUCKET) {
        return true; /* the endpoint is fine, a rule is not */
    }
    if (e->state != SCHED_UP) {
        return false;
    }
    uint64_t now_ms = loop_now_ms(e->sched->o.loop);
    bool worked = e->good_ms != 0 && now_ms - e->good_ms < GOOD_LATELY_MS;
    bool probed = e->probe_good_ms != 0 && now_ms - e->probe_good_ms < PROBE_TRUST_MS;
    if (op->fail.code == REPL_EDENIED && (worked || probed)) {
        return true;
    }
    go_down(e, SCHED_DENIED, op);
    return false;
}

bool endpoint_result(struct endpoint *e, const struct store_op *op)
{
    int code = op->fail.code;
    count_result(e, op);
    bool is_answer = code != REPL_ECANCELED && !endpoint_is_silent(code);
    endpoint_heard(e, op);
    if (is_answer && fail_class(code) != FAIL_THROTTLE) {
        was_served(e);
    }
    if (code == 0) {
        was_good(e, op);
        return true;
    }
    if (code == REPL_ECANCELED) {
        return true;
    }
    if (endpoint_is_silent(code)) {
        return was_lost(e, op);
    }
    e->net_failures = 0;
    if (e->state == SCHED_OUTAGE) {
        go_up(e); /* it answers */
    }
    if (fail_class(code) == FAIL_AUTH) {
        return was_denied(e, op);
    }
    if (fail_class(code) == FAIL_THROTTLE) {
        was_throttled(e, op);
    }
    return true;
}

/* ---- how much it is given ---- */

void endpoint_started(struct endpoint *e)
{
    if (e->passes > 0) {
        e->passes--;
    }
    throttle_sent(&e->throttle, loop_now_us(e->sched->o.loop));
}

unsigned endpoint_in_flight(const struct endpoint *e)
{
    return e->in_flight[STORE_SMALL] + e->in_flight[STORE_BULK];
}

static unsigned room(unsigned most, unsigned used)
{
    return most > used ? most - used : 0;
}

uint64_t endpoint_pause_ms(struct endpoint *e)
{
    return (throttle_wait_us(&e->throttle, loop_now_us(e->sched->o.loop)) + 999) / 1000;
}

unsigned endpoint_room(struct endpoint *e, enum store_class size)
{
    if (e->state != SCHED_UP) {
        return e->passes;
    }
    return endpoint_pause_ms(e) > 0 ? 0 : room(store_slots(e->store, size), e->in_flight[size]);
}

bool endpoint_takes_body(const struct endpoint *e, const struct bodies *held, uint64_t bytes)
{
    const struct sched *s = e->sched;
    enum store_class size = sched_size(bytes);
    uint64_t share = s->budget.limit / (s->destinations == 0 ? 1 : s->destinations);
    return held->bytes == 0 || (held->count[size] < 2 * store_slots(e->store, size) + 2 &&
                                held->bytes + bytes <= share);
}
