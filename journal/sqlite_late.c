/* SQLite backend: which pending tasks count as late. The counters know up to which time they do, so
 * that every change of a task can tell, and time moves on by looking at the tasks in between. */
#include "journal/sqlite_impl.h"

static int read_bound(struct backend *b, uint32_t rule, int64_t *ret)
{
    struct sql q = sql_start(b, "SELECT late_before_ms FROM counts WHERE rule = ?");
    sql_int(&q, rule);
    int found = sql_step(&q);
    *ret = found == 1 ? sql_get_int(&q) : 0;
    int r = sql_done(&q);
    return r < 0 ? r : found == 1 ? 0 : REPL_ENOTFOUND;
}

/* So far and no further, or more than `limit` tasks of a state would be looked at. */
static int shorten(struct backend *b, uint32_t rule, int64_t from_ms, size_t limit, int64_t *to_ms)
{
    for (int state = TASK_READY; state <= TASK_WAITING; state++) {
        struct sql q = sql_start(b, "SELECT oldest_ms FROM tasks WHERE rule = ? AND origin = 0"
                                    " AND state = ? AND oldest_ms >= ? AND oldest_ms < ?"
                                    " ORDER BY oldest_ms LIMIT 1 OFFSET ?");
        sql_int(&q, rule);
        sql_int(&q, state);
        sql_int(&q, from_ms);
        sql_int(&q, *to_ms);
        sql_u64(&q, limit);
        if (sql_step(&q) == 1) {
            int64_t at_ms = sql_get_int(&q);
            *to_ms = at_ms > from_ms ? at_ms : from_ms + 1;
        }
        int r = sql_done(&q);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

static int count_between(struct backend *b, uint32_t rule, int64_t from_ms, int64_t to_ms,
                         struct counts_delta *d, int sign)
{
    struct sql q = sql_start(b, "SELECT count(*), coalesce(sum(max(size, 0)), 0) FROM tasks"
                                " WHERE rule = ? AND origin = 0 AND state IN (0, 1, 2)"
                                " AND oldest_ms >= ? AND oldest_ms < ?");
    sql_int(&q, rule);
    sql_int(&q, from_ms);
    sql_int(&q, to_ms);
    if (sql_step(&q) == 1) {
        d->late_objects += sign * sql_get_int(&q);
        d->late_bytes += sign * sql_get_int(&q);
    }
    return sql_done(&q);
}

int sqlite_late(struct backend *b, uint32_t rule, int64_t before_ms, size_t limit)
{
    struct counts_delta d = {0};
    int64_t bound;
    int r = read_bound(b, rule, &bound);
    if (r < 0 || before_ms == bound) {
        return r;
    }
    if (before_ms > bound && (r = shorten(b, rule, bound, limit, &before_ms)) == 0) {
        r = count_between(b, rule, bound, before_ms, &d, 1);
    } else if (before_ms < bound) { /* the objective was raised */
        r = count_between(b, rule, before_ms, bound, &d, -1);
    }
    if (r < 0) {
        return r;
    }
    struct sql q = sql_start(b, "UPDATE counts SET late_before_ms = ? WHERE rule = ?");
    sql_int(&q, before_ms);
    sql_int(&q, rule);
    r = sql_run(&q);
    return r == 0 && (d.late_objects != 0 || d.late_bytes != 0) ? counts_apply(b, rule, &d) : r;
}

int sqlite_late_next(struct backend *b, struct arena *a, uint32_t rule, int64_t before_ms,
                     size_t limit, struct task **ret, size_t *ret_n)
{
    int64_t bound;
    size_t n = 0;
    int r = read_bound(b, rule, &bound);
    if (r < 0) {
        return r;
    }
    struct task *tasks = arena_alloc(a, (limit + 1) * sizeof(*tasks));
    struct sql q = sql_start(b, "SELECT key, size, etag, version_id, oldest_ms FROM tasks"
                                " WHERE rule = ? AND origin = 0 AND state IN (0, 1, 2)"
                                " AND oldest_ms >= ? AND oldest_ms < ? LIMIT ?");
    sql_int(&q, rule);
    sql_int(&q, bound);
    sql_int(&q, before_ms);
    sql_u64(&q, limit);
    while (n < limit && sql_step(&q) == 1) {
        struct task *t = &tasks[n++];
        t->rule = rule;
        t->key = sql_get_span(&q, a);
        t->size = sql_get_int(&q);
        t->etag = sql_get_span(&q, a);
        t->version_id = sql_get_span(&q, a);
        t->oldest_ms = sql_get_int(&q);
    }
    *ret = tasks;
    *ret_n = n;
    return sql_done(&q);
}
