/* SQLite backend: the brake on deletes, and what has become of those that it held. */
#include "journal/sqlite_impl.h"

#define MINUTE_MS   60000
#define DAY_MINUTES 1440 /* slots of the ring: BRAKE_WINDOW_MAX_MS */

int sqlite_brake_put(struct backend *b, uint32_t rule, int64_t now_ms, struct span why,
                     bool *ret_on)
{
    struct sql q = sql_start(b, "INSERT INTO brakes VALUES (?, ?, ?) ON CONFLICT DO NOTHING");
    sql_int(&q, rule);
    sql_int(&q, now_ms);
    sql_span(&q, why.ptr != NULL ? why : span_of("", 0));
    int r = sql_run(&q);
    *ret_on = r == 0 && sqlite_changes(b) > 0;
    return r;
}

int sqlite_brake_count(struct backend *b, uint32_t rule, int64_t now_ms)
{
    struct sql q = sql_start(
        b, "INSERT INTO brake_minutes VALUES (?, ?, ?, 1) ON CONFLICT (rule, slot) DO UPDATE SET"
           " deletes = CASE minute WHEN excluded.minute THEN deletes + 1 ELSE 1 END,"
           " minute = excluded.minute");
    sql_int(&q, rule);
    sql_int(&q, now_ms / MINUTE_MS % DAY_MINUTES);
    sql_int(&q, now_ms / MINUTE_MS);
    return sql_run(&q);
}

static int read_counts(struct backend *b, uint32_t rule, struct brake *ret)
{
    const struct unwritten *u = &sqlite_of(b)->unwritten;
    struct sql q = sql_start(b, "SELECT pending_deletes, replicas FROM counts WHERE rule = ?");
    sql_int(&q, rule);
    int found = sql_step(&q);
    if (found == 1) {
        int64_t pending = sql_get_int(&q) + (u->rule == rule ? u->counts.pending_deletes : 0);
        int64_t replicas = sql_get_int(&q) + (u->rule == rule ? u->counts.replicas : 0);
        ret->pending = pending > 0 ? (uint64_t)pending : 0;
        ret->replicas = replicas > 0 ? (uint64_t)replicas : 0;
    }
    int r = sql_done(&q);
    return r < 0 ? r : found == 1 ? 0 : REPL_ENOTFOUND;
}

int sqlite_brake_get(struct backend *b, struct arena *a, uint32_t rule, int64_t from_ms,
                     struct brake *ret)
{
    memset(ret, 0, sizeof(*ret));
    int r = read_counts(b, rule, ret);
    if (r < 0) {
        return r;
    }
    struct sql q = sql_start(b, "SELECT coalesce(sum(deletes), 0) FROM brake_minutes"
                                " WHERE rule = ? AND minute >= ?");
    sql_int(&q, rule);
    sql_int(&q, from_ms / MINUTE_MS);
    ret->deleted = sql_step(&q) == 1 ? sql_get_u64(&q) : 0;
    if ((r = sql_done(&q)) < 0) {
        return r;
    }
    q = sql_start(b, "SELECT since_ms, why FROM brakes WHERE rule = ?");
    sql_int(&q, rule);
    if (sql_step(&q) == 1) {
        ret->since_ms = sql_get_int(&q);
        ret->why = sql_get_span(&q, a);
    }
    return sql_done(&q);
}

/* ---- an operator's word ---- */

static int release_brake(struct backend *b, uint32_t rule)
{
    static const char *const texts[] = {"DELETE FROM brakes WHERE rule = ?",
                                        "DELETE FROM brake_minutes WHERE rule = ?"};
    return sqlite_run_each(b, texts, sizeof(texts) / sizeof(texts[0]), rule);
}

static void read_counted(struct sql *q, struct counted *ret)
{
    *ret = (struct counted){.state = TASK_HELD};
    ret->origin = (enum task_origin)sql_get_int(q);
    ret->size = sql_get_int(q);
    ret->oldest_ms = sql_get_int(q);
}

int sqlite_held_confirm(struct backend *b, uint32_t rule, size_t limit, uint64_t *ret_n)
{
    struct counts_delta d;
    int r = counts_begin(b, rule, &d);
    if (r < 0) {
        return r;
    }
    struct sql q = sql_start(
        b, "UPDATE tasks SET state = 0, confirmed = 1, attempts = 0, next_try_ms = 0"
           " WHERE rowid IN (SELECT rowid FROM tasks WHERE rule = ? AND state = 4 LIMIT ?)"
           " RETURNING origin, size, oldest_ms");
    sql_int(&q, rule);
    sql_u64(&q, limit);
    *ret_n = 0;
    while (sql_step(&q) == 1) {
        struct counted task;
        read_counted(&q, &task);
        counts_task(&d, &task, -1);
        task.state = TASK_READY;
        counts_task(&d, &task, 1);
        ++*ret_n;
    }
    if ((r = sql_done(&q)) == 0) {
        r = counts_apply(b, rule, &d);
    }
    return r == 0 && *ret_n < limit ? release_brake(b, rule) : r;
}

/* The object stays where it is and is nobody's business any more. */
static int discard_one(struct backend *b, uint32_t rule, struct span key, struct span reason,
                       int64_t now_ms, struct counts_delta *d)
{
    struct history_entry h = {
        .rule = rule, .key = key, .outcome = FINISH_SKIPPED, .at_ms = now_ms, .latency_ms = -1};
    fail_set(&h.fail, REPL_ECANCELED, "delete discarded by an operator: %.*s", SPAN_ARG(reason));
    d->skipped_objects++;
    int r = sqlite_replica_drop(b, rule, key, d);
    return r == 0 ? sqlite_history_put(b, &h) : r;
}

static int take_held(struct backend *b, uint32_t rule, size_t limit, struct arena *a,
                     struct span *keys, size_t *ret_n, struct counts_delta *d)
{
    struct sql q = sql_start(b, "DELETE FROM tasks WHERE rowid IN"
                                " (SELECT rowid FROM tasks WHERE rule = ? AND state = 4 LIMIT ?)"
                                " RETURNING origin, size, oldest_ms, key");
    sql_int(&q, rule);
    sql_u64(&q, limit);
    *ret_n = 0;
    while (*ret_n < limit && sql_step(&q) == 1) {
        struct counted task;
        read_counted(&q, &task);
        counts_task(d, &task, -1);
        keys[(*ret_n)++] = sql_get_span(&q, a);
    }
    return sql_done(&q);
}

int sqlite_held_discard(struct backend *b, uint32_t rule, struct span reason, int64_t now_ms,
                        size_t limit, uint64_t *ret_n)
{
    struct counts_delta d;
    struct arena a;
    size_t n = 0;
    arena_init(&a);
    struct span *keys = arena_alloc(&a, (limit + 1) * sizeof(*keys));
    int r = counts_begin(b, rule, &d);
    if (r == 0) {
        r = take_held(b, rule, limit, &a, keys, &n, &d);
    }
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = discard_one(b, rule, keys[i], reason, now_ms, &d);
    }
    arena_done(&a);
    *ret_n = n;
    if (r == 0) {
        r = counts_apply(b, rule, &d);
    }
    return r == 0 && n < limit ? release_brake(b, rule) : r;
}
