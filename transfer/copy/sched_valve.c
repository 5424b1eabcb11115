/* Limits: who has to wait until it may send bytes, or a request. A rule and an endpoint have a
 * valve for each. Copies wait in the valve's own queue, so that they hold up nobody else, and come
 * back by shares and deadlines when its bucket fills. */
#include "transfer/copy/sched_impl.h"

#define MEAN_BYTES  65536 /* before any body was seen */
#define MEAN_WEIGHT 0.1

static uint64_t now_ms(const struct valve *v)
{
    return loop_now_ms(v->sched->o.loop);
}

/* ---- what it costs ---- */

static bool is_read(const struct copy_op *o)
{
    return copy_side(o->step) == COPY_SOURCE;
}

static bool is_unknown(const struct copy_op *o)
{
    return o->copy->size_hint < 0;
}

/* Most bodies of unknown size are smaller than what is read for them. */
static double expected_bytes(const struct copy_op *o)
{
    double bytes = (double)copy_op_bytes(o), mean = o->copy->group->mean_bytes;
    return o->step == STEP_READ_FIRST && is_unknown(o) && bytes > mean ? mean : bytes;
}

static double cost_of(const struct valve *v, const struct copy_op *o)
{
    return v->counts_bytes ? expected_bytes(o) : 1;
}

/* ---- waiting ---- */

/* Lets out as many as the bucket has tokens for, as if they had taken them; the others wait at
 * least until these would be paid. */
static void let_out(void *arg)
{
    struct valve *v = arg;
    struct bucket bucket = v->bucket;
    uint64_t now = now_ms(v);
    struct entry *e;
    while ((e = queue_top(&v->waiting, QUEUE_SMALL | QUEUE_BULK)) != NULL &&
           bucket_wait_ms(&bucket, now) == 0) {
        struct copy_op *o = copy_peek(e->copy, e->side);
        bucket_take(&bucket, cost_of(v, o), now);
        queue_serve(&v->waiting, e, copy_op_bytes(o));
        entry_leave(e);
        sched_update(e->copy);
    }
    if (v->waiting.count > 0) {
        timer_start(&v->timer, bucket_wait_ms(&bucket, now));
    }
}

/* ---- one valve ---- */

static void valve_init(struct valve *v, struct sched *s, bool counts_bytes)
{
    v->sched = s;
    v->counts_bytes = counts_bytes;
    queue_init(&v->waiting, s->o.shares);
    timer_init(&v->timer, s->o.loop, let_out, v);
}

static void valve_done(struct valve *v)
{
    timer_stop(&v->timer);
    queue_done(&v->waiting);
}

static void valve_set(struct valve *v, uint64_t rate)
{
    if ((uint64_t)v->bucket.rate != rate) {
        bucket_set(&v->bucket, (double)rate, now_ms(v));
        let_out(v);
    }
}

/* ---- those of a rule or an endpoint ---- */

void valves_init(struct valves *v, struct sched *s)
{
    valve_init(&v->bytes, s, true);
    valve_init(&v->requests, s, false);
}

void valves_done(struct valves *v)
{
    valve_done(&v->bytes);
    valve_done(&v->requests);
}

void valves_set(struct valves *v, const struct sched_limit *limit)
{
    valve_set(&v->bytes, limit->bytes);
    valve_set(&v->requests, limit->requests);
}

uint64_t valves_rate_bps(const struct valves *v)
{
    return (uint64_t)v->bytes.bucket.rate;
}

/* ---- passing ---- */

#define VALVES_ON_THE_WAY 4

/* Requests count where they go. Bytes count on their way to the destination, but have to wait
 * before they are read: a body in memory that may not be sent would be in the way of others. */
static size_t on_the_way(const struct copy_op *o, bool bytes, struct valve *ret[VALVES_ON_THE_WAY])
{
    struct copy *c = o->copy;
    size_t n = 0;
    ret[n++] = &c->group->valves.requests;
    ret[n++] = &c->at[copy_side(o->step)]->valves.requests;
    if (bytes) {
        ret[n++] = &c->group->valves.bytes;
        ret[n++] = &c->at[COPY_DEST]->valves.bytes;
    }
    return n;
}

struct valve *valves_closed(const struct copy_op *o)
{
    struct valve *way[VALVES_ON_THE_WAY];
    size_t n = on_the_way(o, !o->has_passed && copy_op_bytes(o) > 0, way);
    for (size_t i = 0; i < n; i++) {
        if (bucket_wait_ms(&way[i]->bucket, now_ms(way[i])) > 0) {
            return way[i];
        }
    }
    return NULL;
}

void valve_wait(struct valve *v)
{
    if (!timer_is_running(&v->timer)) {
        timer_start(&v->timer, bucket_wait_ms(&v->bucket, now_ms(v)));
    }
}

/* What comes back shortens the wait of others. */
static void take(struct valve *v, double amount)
{
    bucket_take(&v->bucket, amount, now_ms(v));
    if (amount < 0 && timer_is_running(&v->timer)) {
        timer_start(&v->timer, bucket_wait_ms(&v->bucket, now_ms(v)));
    }
}

/* A body is paid for when it is read, and when it is sent what it proved to be more or less. */
static double to_pay(const struct copy_op *o)
{
    return is_read(o) && o->has_passed ? 0 : expected_bytes(o) - o->paid;
}

static void learn_size(const struct copy_op *o)
{
    struct group *g = o->copy->group;
    if (o->step == STEP_PUT && is_unknown(o)) {
        g->mean_bytes += MEAN_WEIGHT * ((double)copy_op_bytes(o) - g->mean_bytes);
    }
}

void valves_pass(struct copy_op *o)
{
    struct valve *way[VALVES_ON_THE_WAY];
    double bytes = to_pay(o);
    size_t n = on_the_way(o, true, way);
    for (size_t i = 0; i < n; i++) {
        take(way[i], way[i]->counts_bytes ? bytes : 1);
    }
    learn_size(o);
    o->has_passed = is_read(o);
    o->paid = is_read(o) ? o->paid + bytes : 0;
}

void valves_refund(struct copy_op *o)
{
    struct copy *c = o->copy;
    struct valve *bytes[] = {&c->group->valves.bytes, &c->at[COPY_DEST]->valves.bytes};
    for (int i = 0; i < 2 && o->paid > 0; i++) {
        take(bytes[i], -o->paid);
    }
    o->has_passed = false;
    o->paid = 0;
}

/* ---- groups ---- */

static struct group *find_group(struct sched *s, uint32_t number)
{
    LIST_FOR (node, &s->groups) {
        struct group *g = CONTAINER_OF(node, struct group, link);
        if (g->number == number) {
            return g;
        }
    }
    return NULL;
}

struct group *group_get(struct sched *s, uint32_t number)
{
    struct group *g = find_group(s, number);
    if (g == NULL) {
        g = MEM_NEW(struct group);
        g->number = number;
        g->mean_bytes = MEAN_BYTES;
        valves_init(&g->valves, s);
        list_push_back(&s->groups, &g->link);
    }
    return g;
}

void group_free(struct group *g)
{
    list_remove(&g->link);
    valves_done(&g->valves);
    mem_free(g);
}

static bool is_none(const struct sched_limit *limit)
{
    return limit->bytes == 0 && limit->requests == 0;
}

void sched_limit_group(struct sched *s, uint32_t number, const struct sched_limit *limit)
{
    struct group *g = is_none(limit) ? find_group(s, number) : group_get(s, number);
    if (g != NULL) {
        valves_set(&g->valves, limit);
    }
}

void sched_limit_endpoint(struct sched *s, struct store *store, const struct sched_limit *limit)
{
    struct endpoint *e = is_none(limit) ? endpoint_find(s, store) : endpoint_get(s, store);
    if (e != NULL) {
        valves_set(&e->valves, limit);
    }
}
