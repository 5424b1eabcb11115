/* Watermark: the least of what the feeds have brought and what is unfinished. It is stored in the
 * transaction that reads what is unfinished, and shown only after that. */
#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <uv.h>

#define REFRESH_SOON_MS 50
#define REFRESH_IDLE_MS 1000
#define LATE_PAGE       20000 /* tasks that are counted as late a refresh, about */

struct lag_row {
    uint32_t rule;
    bool frozen;        /* paused, or its feeds have brought nothing yet */
    int64_t through_ms; /* of the feeds */
    int64_t late_before_ms;
    uint64_t handed_over;
    uint64_t found;
    /* Answers. */
    struct rule_counts counts;
    struct frontier frontier; /* key not used */
    char key[160];
    int64_t watermark_ms;
};

struct lag_call {
    struct journal_call call;
    struct engine *engine;
    struct lag_row *rows;
    size_t count;
};

/* ---- refresh, on the journal's thread ---- */

static void print_key(struct span key, char *to, size_t size)
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

static int refresh_row(struct backend *b, struct arena *a, struct lag_row *row)
{
    int status = b->ops->frontier(b, a, row->rule, &row->frontier);
    if (status != 0) {
        return status;
    }
    print_key(row->frontier.key, row->key, sizeof(row->key));
    row->watermark_ms = row->frontier.watermark_ms;
    int64_t t = row->through_ms;
    if (row->frontier.any && row->frontier.oldest_ms - 1 < t) {
        t = row->frontier.oldest_ms - 1;
    }
    if (!row->frozen && t > row->watermark_ms) {
        status = b->ops->watermark_put(b, row->rule, t);
        row->watermark_ms = t;
    }
    if (status == 0) {
        status = b->ops->late(b, row->rule, row->late_before_ms, LATE_PAGE);
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
    r->any = row->frontier.any;
    r->oldest_ms = row->frontier.oldest_ms;
    r->oldest_state = row->frontier.state;
    memcpy(r->oldest_key, row->key, sizeof(r->oldest_key));
    r->watermark_ms = row->watermark_ms;
    r->existing_failed = row->frontier.existing_failed;
    r->listed_ahead = r->handed_over - row->handed_over;
    r->found_ahead = r->found - row->found;
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
    mem_free(c->rows);
    mem_free(c);
    schedule(e, e->lag_again ? REFRESH_SOON_MS : REFRESH_IDLE_MS);
    e->lag_again = false;
    engine_waits_check(e);
}

static size_t fill_rows(struct engine *e, struct lag_row *rows)
{
    size_t n = 0;
    int64_t now_ms = engine_now_ms(e);
    LIST_FOR (link, &e->rules) {
        struct engine_rule *r = CONTAINER_OF(link, struct engine_rule, link);
        if (r->deleting) {
            continue;
        }
        if (rows != NULL) {
            int64_t through = engine_complete_through(e, r, NULL);
            rows[n] = (struct lag_row){.rule = r->rule.number,
                                       .frozen = !r->rule.enabled || through == 0,
                                       .through_ms = through,
                                       .late_before_ms = now_ms - r->rule.objective_ms,
                                       .handed_over = r->handed_over,
                                       .found = r->found};
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
    c->count = fill_rows(e, NULL);
    c->rows = mem_array(c->count + 1, sizeof(*c->rows));
    fill_rows(e, c->rows);
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

/* ---- waits ---- */

static void end_wait(struct engine_wait *w, int status, const char *why)
{
    struct fail f = {0};
    if (status != 0) {
        fail_set(&f, status, "%s", why);
    }
    list_remove(&w->link);
    timer_stop(&w->timer);
    engine_done_later(w->engine, w->done, w->arg, status, &f);
    mem_free(w->rule);
    mem_free(w);
}

static void wait_timed_out(void *arg)
{
    struct engine_wait *w = arg;
    struct rule_lag lag;
    char text[400] = "rule is gone";
    if (engine_lag(w->engine, w->rule, &lag) == 0) {
        snprintf(text, sizeof(text), "still waiting: %s",
                 lag.waits_for[0] == '\0' && w->existing ? lag.existing : lag.waits_for);
    }
    end_wait(w, UV_ETIMEDOUT, text);
}

static void end_reached(struct engine_wait *w, const struct engine_rule *r)
{
    char text[120];
    if (!w->existing || r->existing_failed == 0) {
        end_wait(w, 0, NULL);
        return;
    }
    snprintf(text, sizeof(text), "%" PRIu64 "%s existing objects failed", r->existing_failed,
             r->existing_failed == FRONTIER_FAILED_MAX ? " or more" : "");
    end_wait(w, REPL_ECONFLICT, text);
}

void engine_waits_check(struct engine *e)
{
    LIST_FOR_SAFE (link, &e->waits) {
        struct engine_wait *w = CONTAINER_OF(link, struct engine_wait, link);
        struct engine_rule *r = engine_rule_by_name(e, w->rule);
        if (r == NULL) {
            end_wait(w, REPL_ENOTFOUND, "the rule was deleted");
        } else if (r->lag_known && r->watermark_ms >= w->until_ms &&
                   (!w->existing || engine_existing_is_done(r))) {
            end_reached(w, r);
        }
    }
}

void engine_waits_end(struct engine *e, const char *rule, int status, const char *why)
{
    LIST_FOR_SAFE (link, &e->waits) {
        struct engine_wait *w = CONTAINER_OF(link, struct engine_wait, link);
        if (rule == NULL || strcmp(rule, w->rule) == 0) {
            end_wait(w, status, why);
        }
    }
}

void engine_wait(struct engine *e, const struct engine_wait_options *what, engine_done_fn *done,
                 void *arg)
{
    struct engine_wait *w = MEM_NEW(struct engine_wait);
    w->engine = e;
    w->rule = mem_strdup(what->rule);
    w->until_ms = what->until_ms != 0 ? what->until_ms : engine_now_ms(e);
    w->existing = what->existing;
    w->done = done;
    w->arg = arg;
    list_push_back(&e->waits, &w->link);
    timer_init(&w->timer, e->loop, wait_timed_out, w);
    if (engine_rule_by_name(e, w->rule) == NULL) {
        end_wait(w, REPL_ENOTFOUND, "there is no such rule");
        return;
    }
    if (what->timeout_ms > 0) {
        timer_start(&w->timer, what->timeout_ms);
    }
    engine_lag_soon(e);
}
