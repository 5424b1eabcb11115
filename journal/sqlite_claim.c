/* SQLite backend: handing out work. */
#include "journal/sqlite_impl.h"

/* Waiting tasks whose time has come stand in the queue again, by their age. Not by (rule, key) IN:
 * SQLite would look through all tasks of the rule for them. */
static int wake_waiting(struct backend *b, const struct claim *what)
{
    struct sql q = sql_start(b, "UPDATE tasks SET state = 0 WHERE rowid IN"
                                " (SELECT rowid FROM tasks WHERE rule = ? AND state = 2"
                                " AND next_try_ms <= ? ORDER BY next_try_ms LIMIT ?)");
    sql_int(&q, what->rule);
    sql_int(&q, what->now_ms);
    sql_u64(&q, BACKEND_PAGE_MAX);
    return sql_run(&q);
}

/* Their row ids go to ids[limit]. */
static int read_ready(struct backend *b, const struct claim *what, struct arena *a, int64_t *ids,
                      struct task_list *ret)
{
    static const char oldest[] =
        "SELECT " TASK_COLUMNS ", rowid FROM tasks WHERE rule = ? AND origin = ?"
        " AND state = 0 AND oldest_ms >= ? AND oldest_ms < ? ORDER BY oldest_ms LIMIT ?";
    static const char newest[] =
        "SELECT " TASK_COLUMNS ", rowid FROM tasks WHERE rule = ? AND origin = ?"
        " AND state = 0 AND oldest_ms >= ? AND oldest_ms < ? ORDER BY oldest_ms DESC LIMIT ?";
    size_t limit = what->limit < BACKEND_PAGE_MAX ? what->limit : BACKEND_PAGE_MAX;
    struct sql q = sql_start(b, what->order == CLAIM_NEWEST ? newest : oldest);
    sql_int(&q, what->rule);
    sql_int(&q, what->origin);
    sql_int(&q, what->from_ms);
    sql_int(&q, what->until_ms > 0 ? what->until_ms : INT64_MAX);
    sql_u64(&q, limit);
    ret->tasks = arena_alloc(a, (limit > 0 ? limit : 1) * sizeof(struct task));
    ret->count = 0;
    while (ret->count < limit && sql_step(&q) == 1) {
        sqlite_read_task(&q, a, &ret->tasks[ret->count]);
        ids[ret->count++] = sql_get_int(&q);
    }
    return sql_done(&q);
}

/* By its row id: a search for its random key would read another page of a large index. */
static int mark_claimed(struct backend *b, struct task *t, int64_t id, uint64_t epoch)
{
    struct sql q = sql_start(b, "UPDATE tasks SET state = 1, epoch = ?, next_oldest_ms = NULL"
                                " WHERE rowid = ?");
    sql_u64(&q, epoch);
    sql_int(&q, id);
    t->state = TASK_CLAIMED;
    t->epoch = epoch;
    return sql_run(&q);
}

static int check_epoch(struct backend *b, uint64_t epoch)
{
    struct sql q = sql_start(b, "SELECT epoch FROM lease");
    bool current = sql_step(&q) == 1 && sql_get_u64(&q) == epoch;
    int r = sql_done(&q);
    return r < 0 ? r : current ? 0 : REPL_ESTALE;
}

int sqlite_claim(struct backend *b, const struct claim *what, struct arena *a,
                 struct task_list *ret)
{
    int64_t ids[BACKEND_PAGE_MAX];
    int r = check_epoch(b, what->epoch);
    if (r < 0 || (r = wake_waiting(b, what)) < 0 || (r = read_ready(b, what, a, ids, ret)) < 0) {
        return r;
    }
    for (size_t i = 0; i < ret->count; i++) {
        struct task *t = &ret->tasks[i];
        if ((r = mark_claimed(b, t, ids[i], what->epoch)) < 0 ||
            (r = sqlite_load_details(b, a, t)) < 0) {
            return r;
        }
    }
    return 0;
}

int sqlite_next_try(struct backend *b, uint32_t rule, int64_t *ret_ms)
{
    struct sql q = sql_start(b, "SELECT next_try_ms FROM tasks WHERE rule = ? AND state = 2"
                                " ORDER BY next_try_ms LIMIT 1");
    sql_int(&q, rule);
    *ret_ms = sql_step(&q) == 1 ? sql_get_int(&q) : INT64_MAX;
    return sql_done(&q);
}
