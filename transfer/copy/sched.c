#include "transfer/copy/sched_impl.h"

#include <assert.h>

#define LOOK_MS        100
#define SEEN_BUCKET_MS 10000 /* so long a bucket that answered counts as there */

/* ---- one turn ---- */

void sched_pump_soon(struct sched *s)
{
    deferred_call(&s->pump);
}

void sched_wake(struct copy *c)
{
    if (!list_is_linked(&c->woken)) {
        list_push_back(&c->sched->woken, &c->woken);
    }
    sched_pump_soon(c->sched);
}

static void look_after(struct copy *c)
{
    bool is_new = c->is_new, is_committed = c->is_committed, is_cancelled = c->is_cancelled;
    c->is_new = c->is_committed = c->is_cancelled = false;
    if (is_cancelled) {
        copy_cancel(c);
    } else if (is_new) {
        copy_start(c);
    }
    if (is_committed) {
        copy_committed(c, c->commit_status);
    }
    copy_settle(c);
}

/* Bodies read for a destination that is down must not keep others from working. */
static void shed_bodies(struct sched *s)
{
    LIST_FOR_SAFE (node, &s->copies) {
        struct copy *c = CONTAINER_OF(node, struct copy, all);
        if (c->at[COPY_DEST]->state != SCHED_UP) {
            copy_shed(c);
        }
    }
}

/* A store may have no slot for a while, with nothing in flight whose end would wake us; and a
 * server that asked for fewer requests takes the next one soon. 0: something else will wake us. */
static uint64_t look_again_ms(struct endpoint *e)
{
    if (e->state != SCHED_UP || e->ready.count == 0) {
        return 0;
    }
    uint64_t pause_ms = endpoint_pause_ms(e);
    uint64_t idle_ms = endpoint_in_flight(e) == 0 ? LOOK_MS : 0;
    return pause_ms > 0 && pause_ms < LOOK_MS ? pause_ms : pause_ms > 0 ? LOOK_MS : idle_ms;
}

static void pull_all(struct sched *s)
{
    uint64_t soonest_ms = 0;
    LIST_FOR (node, &s->endpoints) {
        struct endpoint *e = CONTAINER_OF(node, struct endpoint, link);
        sched_pull(e);
        uint64_t ms = look_again_ms(e);
        soonest_ms = ms > 0 && (soonest_ms == 0 || ms < soonest_ms) ? ms : soonest_ms;
    }
    if (soonest_ms > 0) {
        timer_start(&s->look_timer, soonest_ms);
    }
}

static void look_due(void *arg)
{
    sched_pump_soon(arg);
}

static void pump(void *arg)
{
    struct sched *s = arg;
    while (!list_is_empty(&s->woken)) {
        struct copy *c = CONTAINER_OF(list_first(&s->woken), struct copy, woken);
        list_remove(&c->woken);
        look_after(c);
    }
    LIST_FOR (node, &s->endpoints) {
        sched_unpark(CONTAINER_OF(node, struct endpoint, link));
    }
    pull_all(s);
    if (budget_is_short(&s->budget)) {
        shed_bodies(s);
    }
    if (s->memory != NULL) {
        stat_put(s->memory, (double)s->budget.used);
        stat_put(s->running, (double)s->count);
    }
    if (s->is_stopping) {
        sched_stop_look(s); /* the owner may free s in it */
    }
}

/* ---- life ---- */

static void make_stats(struct sched *s)
{
    static const char *const by_endpoint[] = {"endpoint", NULL};
    static const char *const by_operation[] = {"endpoint", "operation", "result", NULL};
    struct stat_set *set = s->o.stats;
    if (set == NULL) {
        return;
    }
    s->up = stat_family(set, STAT_GAUGE, "repl_endpoint_up", "Endpoint answers and grants access.",
                        by_endpoint);
    s->throttled = stat_family(set, STAT_COUNTER, "repl_endpoint_throttled_total",
                               "Answers that asked to slow down.", by_endpoint);
    s->hedged_bytes =
        stat_family(set, STAT_COUNTER, "repl_endpoint_hedged_bytes_total",
                    "Bytes of parts sent a second time that were not needed.", by_endpoint);
    s->operations = stat_family(set, STAT_COUNTER, "repl_endpoint_operations_total",
                                "Operations of copies, by how they ended.", by_operation);
    s->memory = stat_get(
        stat_family(set, STAT_GAUGE, "repl_memory_used_bytes", "Memory of part bodies.", NULL),
        NULL);
    s->running = stat_get(
        stat_family(set, STAT_GAUGE, "repl_copies_running", "Copies in work.", NULL), NULL);
}

struct sched *sched_new(const struct sched_options *options)
{
    struct sched *s = MEM_NEW(struct sched);
    s->o = *options;
    list_init(&s->copies);
    list_init(&s->woken);
    list_init(&s->endpoints);
    list_init(&s->groups);
    budget_init(&s->budget, options->memory_bytes, sched_granted, s);
    deferred_init(&s->pump, options->loop, pump, s);
    timer_init(&s->stop_timer, options->loop, sched_stop_now, s);
    timer_init(&s->look_timer, options->loop, look_due, s);
    make_stats(s);
    return s;
}

void sched_free(struct sched *s)
{
    if (s == NULL) {
        return;
    }
    assert(s->count == 0 && s->probes == 0);
    deferred_cancel(&s->pump);
    timer_stop(&s->look_timer);
    timer_stop(&s->stop_timer);
    while (!list_is_empty(&s->endpoints)) {
        endpoint_free(CONTAINER_OF(list_first(&s->endpoints), struct endpoint, link));
    }
    while (!list_is_empty(&s->groups)) {
        group_free(CONTAINER_OF(list_first(&s->groups), struct group, link));
    }
    budget_done(&s->budget);
    mem_free(s);
}

static void turn_late(void *arg)
{
    struct copy *c = arg;
    c->is_late = true;
    sched_update(c);
}

/* A job is late from its deadline on. */
static void watch_deadline(struct copy *c)
{
    int64_t left_ms = c->job.deadline_ms - loop_wall_ms(c->sched->o.loop);
    timer_init(&c->late, c->sched->o.loop, turn_late, c);
    c->is_late = left_ms <= 0;
    if (!c->is_late && !c->job.backfill) {
        timer_start(&c->late, (uint64_t)left_ms);
    }
}

size_t sched_room(const struct sched *s)
{
    return s->is_stopping || s->count >= s->o.copies ? 0 : s->o.copies - s->count;
}

void sched_share(struct sched *s, const unsigned shares[COPY_CLASSES])
{
    memcpy(s->o.shares, shares, sizeof(s->o.shares));
}

struct copy *sched_add(struct sched *s, const struct copy_job *job, void *owner)
{
    struct copy *c = copy_new(s, job, owner, s->next_seq++);
    c->at[COPY_SOURCE] = endpoint_get(s, job->from);
    c->at[COPY_DEST] = endpoint_get(s, job->to);
    c->group = group_get(s, job->group);
    c->is_new = true;
    watch_deadline(c);
    s->destinations += c->at[COPY_DEST]->copies_to++ == 0 ? 1 : 0;
    list_push_back(&s->copies, &c->all);
    s->count++;
    sched_wake(c);
    return c;
}

void sched_committed(struct sched *s, struct copy *c, int status)
{
    (void)s;
    c->is_committed = true;
    c->commit_status = status;
    sched_wake(c);
}

void sched_cancel(struct sched *s, struct copy *c)
{
    (void)s;
    c->is_cancelled = true;
    sched_wake(c);
}

void sched_forget(struct sched *s, const struct store *store)
{
    struct endpoint *e = endpoint_find(s, store);
    if (e != NULL) {
        endpoint_free(e);
    }
}

/* ---- for copies ---- */

void sched_record(struct copy *c, const struct copy_record *rec)
{
    c->sched->o.sink->record(c->sched->o.sink_arg, c, rec);
}

void sched_done(struct copy *c)
{
    struct sched *s = c->sched;
    timer_stop(&c->late);
    list_remove(&c->all);
    list_remove(&c->woken);
    entry_leave(&c->entry[COPY_SOURCE]);
    entry_leave(&c->entry[COPY_DEST]);
    s->count--;
    s->destinations -= --c->at[COPY_DEST]->copies_to == 0 ? 1 : 0;
    s->o.sink->done(s->o.sink_arg, c, &c->outcome);
    arena_done(&c->arena);
    mem_free(c);
    sched_pump_soon(s);
}

bool sched_is_stopping(const struct copy *c)
{
    return c->sched->is_stopping;
}

struct log *sched_log(const struct copy *c)
{
    return c->sched->o.log;
}

struct loop *sched_loop(const struct copy *c)
{
    return c->sched->o.loop;
}

/* A lane cannot expect more of a limit than this, so that a part does not use up many seconds. */
static uint64_t limited(uint64_t rate_bps, const struct valves *v)
{
    uint64_t expected = rate_bps > 0 ? rate_bps : PLAN_PART_DEFAULT / PLAN_PART_SECONDS;
    uint64_t limit = valves_rate_bps(v);
    uint64_t most = limit / PLAN_PART_SECONDS + 1;
    return limit > 0 && expected > most ? most : rate_bps;
}

/* Before a lane has shown its rate. Without BBR one lane brings little over a path that loses
 * (1 %, 150 ms: 0.12 MB/s), and it is their number that counts: the smaller the parts, the more of
 * them does the memory hold. */
static uint64_t first_rate(const struct store *to)
{
    const char *congestion = store_congestion(to);
    return congestion[0] != '\0' && strcmp(congestion, "bbr") != 0 ? PLAN_RATE_OTHER : 0;
}

struct plan_input sched_plan_input(const struct copy *c)
{
    const struct endpoint *to = c->at[COPY_DEST];
    uint64_t rate_bps = to->rate_bps > 0 ? (uint64_t)to->rate_bps : first_rate(c->job.to);
    rate_bps = limited(rate_bps, &to->valves);
    return (struct plan_input){.rate_bps = limited(rate_bps, &c->group->valves),
                               .part_max = c->job.part_max,
                               .memory_bytes = c->sched->o.memory_bytes,
                               .to = &c->job.to->features};
}

bool sched_bucket_is_seen(const struct copy *c, enum copy_side side)
{
    const struct endpoint *e = c->at[side];
    struct span bucket = side == COPY_SOURCE ? c->job.from_bucket : c->job.to_bucket;
    return e->seen_ms != 0 && span_eq_str(bucket, e->seen_bucket) &&
           loop_now_ms(c->sched->o.loop) - e->seen_ms < SEEN_BUCKET_MS;
}

/* ---- questions ---- */

enum sched_endpoint_state sched_endpoint(const struct sched *s, const struct store *store,
                                         struct fail *ret_fail)
{
    const struct endpoint *e = endpoint_find(s, store);
    if (e == NULL) {
        fail_clear(ret_fail);
        return SCHED_UP;
    }
    *ret_fail = e->fail;
    return e->state;
}

uint64_t sched_memory_used(const struct sched *s)
{
    return s->budget.used;
}

size_t sched_count(const struct sched *s)
{
    return s->count;
}
