/* Watermark: the least of what the feeds have brought and what is unfinished, or what a complete
 * scan has proven when that is later. It is stored in the transaction that reads what is
 * unfinished, and shown only after that. */
#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"

#include <string.h>

#define REFRESH_SOON_MS  50
#define REFRESH_IDLE_MS  1000
#define ADVANCE_EVERY_MS 10000 /* an event of it, at most */
#define LATE_PAGE        20000 /* tasks that are counted as late a refresh, about */

struct lag_row {
    uint32_t rule;
    struct span endpoint; /* of its source */
    struct span bucket;
    bool paused;
    int64_t through_ms; /* of the feeds; 0 = they have brought nothing yet */
    int64_t scan_ms;    /* start of the scan that is to prove something; 0 = none */
    int64_t scan_end_ms;
    int64_t late_before_ms;
    uint64_t handed_over;
    uint64_t found;
    struct engine_prefix *prefixes; /* whole keys' */
    size_t prefix_count;
    struct event_plan missed;  /* for each task that turns late */
    struct event_plan advance; /* count 0: nobody wants it, or not yet again */
    /* Answers. */
    bool advanced;
    struct rule_counts counts;
    struct frontier frontier; /* key not used */
    struct engine_oldest oldest;
    int64_t watermark_ms;
    struct lag_late late;
    int64_t held_ms; /* by a body in quarantine; 0 = by none */
    char held_by[96];
};

struct lag_call {
    struct journal_call call;
    struct engine *engine;
    struct arena arena; /* of what the rows point at */
    struct lag_row *rows;
    size_t count;
};

/* ---- refresh, on the journal's thread ---- */

void engine_print_key(struct span key, char *to, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < key.len && n + 4 < size; i++) {
        unsigned char byte = (unsigned char)key.ptr[i];
        to[n++] = byte < 0x20 || byte == 0x7f ? '?' : (char)byte;
    }
    to[n] = 0;
    if (n < key.len && n + 4 >= size) {
        strcpy(to + n, "...");
    }
}

#define FROM_THE_START 1 /* a hold of all time: nothing is known then */

/* What the feeds have brought, but for what is in quarantine. */
static int64_t through(const struct lag_row *row)
{
    return row->held_ms > 0 && row->held_ms < row->through_ms ? row->held_ms : row->through_ms;
}

/* Where the watermark may stand; 0 = not known. */
static int64_t reached(const struct lag_row *row)
{
    int64_t t = through(row);
    if (row->paused) {
        return 0;
    }
    if (t == FROM_THE_START) {
        return row->frontier.proven_ms;
    }
    if (row->frontier.any && row->frontier.oldest_ms - 1 < t) {
        t = row->frontier.oldest_ms - 1;
    }
    return t > row->frontier.proven_ms ? t : row->frontier.proven_ms;
}

static int find_hold(struct backend *b, struct arena *a, struct lag_row *row)
{
    struct quarantine_hold hold;
    struct quarantine_place of = {
        .endpoint = row->endpoint, .bucket = row->bucket, .scan_ms = row->frontier.proven_ms};
    int status = b->ops->quarantine_hold(b, a, &of, &hold);
    if (status == 0 && hold.any) {
        row->held_ms = hold.hold_ms > 0 ? hold.hold_ms : FROM_THE_START;
        engine_print_key(hold.feed, row->held_by, sizeof(row->held_by));
    }
    return status;
}

static int last_late(struct backend *b, struct arena *a, struct lag_row *row)
{
    struct late_change *late;
    size_t n = 0;
    int status = b->ops->late_page(b, a, row->rule, 1, &late, &n);
    if (n > 0) {
        engine_print_key(late->key, row->late.key, sizeof(row->late.key));
        engine_print_key(late->feed, row->late.feed, sizeof(row->late.feed));
        row->late.event_time_ms = late->event_time_ms;
        row->late.accepted_ms = late->accepted_ms;
    }
    return status;
}

static int refresh_prefixes(struct backend *b, struct arena *a, struct lag_row *row)
{
    struct engine_reach reach = {.rule = row->rule,
                                 .paused = row->paused,
                                 .through_ms = through(row),
                                 .scan_ms = row->scan_ms,
                                 .scan_end_ms = row->scan_end_ms,
                                 .watermark_ms = row->watermark_ms,
                                 .proven_ms = row->frontier.proven_ms};
    return engine_prefixes_refresh(b, a, &reach, row->prefixes, row->prefix_count);
}

/* ---- events ---- */

static int tell_missed(struct backend *b, struct arena *a, const struct lag_row *row)
{
    struct task *tasks = NULL;
    size_t n = 0;
    int status = b->ops->late_next(b, a, row->rule, row->late_before_ms, LATE_PAGE, &tasks, &n);
    for (size_t i = 0; i < n && status == 0; i++) {
        struct event_plan plan = row->missed;
        plan.out.source.key = tasks[i].key;
        plan.out.source.etag = tasks[i].etag;
        plan.out.source.version = tasks[i].version_id;
        plan.out.size = tasks[i].size;
        plan.out.change_ms = tasks[i].oldest_ms;
        status = engine_event_write(b, &plan);
    }
    return status;
}

static int tell_advance(struct backend *b, const struct lag_row *row)
{
    struct event_plan plan = row->advance;
    plan.out.watermark_ms = row->watermark_ms;
    return engine_event_write(b, &plan);
}

/* ---- the rule ---- */

static int refresh_row(struct backend *b, struct arena *a, struct lag_row *row)
{
    int status = 0;
    if (row->scan_ms > 0 && !row->paused) {
        status = b->ops->prove(b, row->rule, row->scan_ms, row->scan_end_ms);
    }
    if (status == 0) {
        status = b->ops->frontier(b, a, row->rule, &row->frontier);
    }
    if (status == 0) {
        status = find_hold(b, a, row);
    }
    if (status != 0) {
        return status;
    }
    row->oldest = (struct engine_oldest){
        .any = row->frontier.any, .ms = row->frontier.oldest_ms, .state = row->frontier.state};
    engine_print_key(row->frontier.key, row->oldest.key, sizeof(row->oldest.key));
    engine_print_key(row->frontier.why, row->oldest.why, sizeof(row->oldest.why));
    row->watermark_ms = row->frontier.watermark_ms;
    int64_t t = reached(row);
    if (t > row->watermark_ms) {
        status = b->ops->watermark_put(b, row->rule, t);
        row->watermark_ms = t;
        row->advanced = true;
    }
    if (status == 0 && row->advanced && row->advance.count > 0) {
        status = tell_advance(b, row);
    }
    if (status == 0 && row->missed.count > 0) {
        status = tell_missed(b, a, row);
    }
    if (status == 0) {
        status = b->ops->late(b, row->rule, row->late_before_ms, LATE_PAGE);
    }
    if (status == 0) {
        status = last_late(b, a, row);
    }
    if (status == 0 && row->prefix_count > 0) {
        status = refresh_prefixes(b, a, row);
    }
    return status == 0 ? b->ops->counts(b, row->rule, &row->counts) : status;
}

static int run_refresh(struct backend *b, struct journal_call *call)
{
    struct lag_call *c = CONTAINER_OF(call, struct lag_call, call);
    struct arena a;
    int status = 0;
    arena_init(&a);
    for (size_t i = 0; i < c->count && status == 0; i++) {
        status = refresh_row(b, &a, &c->rows[i]);
    }
    arena_done(&a);
    return status;
}

/* ---- refresh, on the loop ---- */

static void show(struct engine *e, const struct lag_row *row)
{
    struct engine_rule *r = engine_rule_by_number(e, row->rule);
    if (r == NULL || r->deleting) {
        return;
    }
    r->lag_known = true;
    r->counts = row->counts;
    r->oldest = row->oldest;
    engine_prefixes_show(r, row->prefixes, row->prefix_count);
    r->watermark_ms = row->watermark_ms;
    r->proven_ms = row->frontier.proven_ms;
    r->last_late = row->late;
    r->held_ms = row->held_ms;
    memcpy(r->held_by, row->held_by, sizeof(r->held_by));
    r->existing_failed = row->frontier.existing_failed;
    r->listed_ahead = r->handed_over - row->handed_over;
    r->found_ahead = r->found - row->found;
    engine_notify_lag(r);
    if (row->advanced && row->advance.count > 0) {
        r->advance_told_ms = loop_now_ms(e->loop);
    }
    if (row->advance.count + row->missed.count > 0) {
        engine_events_news(e);
    }
}

static void schedule(struct engine *e, uint64_t ms)
{
    if (!e->stopping) {
        timer_start(&e->lag_timer, ms);
    }
}

static void refresh_done(struct journal_call *call)
{
    struct lag_call *c = CONTAINER_OF(call, struct lag_call, call);
    struct engine *e = c->engine;
    e->lag_running = false;
    for (size_t i = 0; call->status == 0 && i < c->count; i++) {
        show(e, &c->rows[i]);
    }
    arena_done(&c->arena);
    mem_free(c->rows);
    mem_free(c);
    schedule(e, e->lag_again ? REFRESH_SOON_MS : REFRESH_IDLE_MS);
    e->lag_again = false;
    engine_waits_check(e);
}

int64_t engine_scan_ms(const struct engine_rule *r)
{
    const struct engine_feed *scan = r->scan;
    return scan != NULL && scan->feed != NULL && !scan->closing ? scan->feed->status.proven_ms : 0;
}

/* One scan at a time is to prove something: a backlog that never ends before the next one does must
 * not put it off for ever. */
static void take_scan(struct engine_rule *r)
{
    int64_t scan_ms = engine_scan_ms(r);
    if (r->proof_ms <= r->proven_ms && scan_ms > r->proof_ms) {
        r->proof_ms = scan_ms;
        r->proof_end_ms = engine_now_ms(r->engine);
    }
}

static void fill_prefixes(const struct engine_rule *r, struct arena *a, struct lag_row *row)
{
    struct span *keys;
    row->prefix_count = engine_prefixes_keys(&r->rule, a, &keys);
    row->prefixes = arena_alloc(a, (row->prefix_count + 1) * sizeof(*row->prefixes));
    for (size_t i = 0; i < row->prefix_count; i++) {
        row->prefixes[i] = (struct engine_prefix){.prefix = arena_strdup(a, keys[i].ptr)};
    }
}

static void plan_events(struct engine_rule *r, struct arena *a, struct lag_row *row)
{
    uint64_t now = loop_now_ms(r->engine->loop);
    bool is_due = r->advance_told_ms == 0 || now - r->advance_told_ms >= ADVANCE_EVERY_MS;
    if (r->engine->conf->event_count == 0) {
        return;
    }
    if (engine_event_plan(r, EVENT_MISSED, a, &row->missed)) {
        row->missed.out.objective_ms = r->rule.objective_ms;
    }
    if (is_due) {
        engine_event_plan(r, EVENT_WATERMARK, a, &row->advance);
    }
}

/* While a change of the rule is on its way to the journal, what it covers is not known: it would be
 * measured after the change by what was so before. */
static bool is_measured(const struct engine_rule *r)
{
    return !r->deleting && !r->storing;
}

static size_t fill_rows(struct engine *e, struct arena *a, struct lag_row *rows)
{
    size_t n = 0;
    int64_t now_ms = engine_now_ms(e);
    LIST_FOR (link, &e->rules) {
        struct engine_rule *r = CONTAINER_OF(link, struct engine_rule, link);
        if (!is_measured(r)) {
            continue;
        }
        if (rows != NULL) {
            take_scan(r);
            rows[n] = (struct lag_row){.rule = r->rule.number,
                                       .endpoint = arena_span(a, span_str(r->rule.source.endpoint)),
                                       .bucket = arena_span(a, span_str(r->rule.source.bucket)),
                                       .paused = !r->rule.enabled,
                                       .through_ms = engine_complete_through(e, r, NULL),
                                       .scan_ms = r->proof_ms,
                                       .scan_end_ms = r->proof_end_ms,
                                       .late_before_ms = now_ms - r->rule.objective_ms,
                                       .handed_over = r->handed_over,
                                       .found = r->found};
            fill_prefixes(r, a, &rows[n]);
            plan_events(r, a, &rows[n]);
        }
        n++;
    }
    return n;
}

static void refresh(void *arg)
{
    struct engine *e = arg;
    if (e->lag_running || e->stopping) {
        return;
    }
    struct lag_call *c = MEM_NEW(struct lag_call);
    c->engine = e;
    arena_init(&c->arena);
    c->count = fill_rows(e, NULL, NULL);
    c->rows = mem_array(c->count + 1, sizeof(*c->rows));
    fill_rows(e, &c->arena, c->rows);
    c->call.run = run_refresh;
    c->call.done = refresh_done;
    e->lag_running = true;
    journal_submit(e->journal, &c->call);
}

void engine_lag_soon(struct engine *e)
{
    uint64_t due = loop_now_ms(e->loop) + REFRESH_SOON_MS;
    if (e->lag_running) {
        e->lag_again = true;
    } else if (!timer_is_running(&e->lag_timer) || e->lag_timer.due_ms > due) {
        schedule(e, REFRESH_SOON_MS);
    }
}

void engine_lag_init(struct engine *e)
{
    list_init(&e->waits);
    timer_init(&e->lag_timer, e->loop, refresh, e);
}
