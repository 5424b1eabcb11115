/* SQLite backend: how far a rule has come: its frontier, what scans have proven, and the changes
 * that came later than its watermark. */
#include "journal/sqlite_impl.h"

/* ---- frontier ---- */

static int oldest_in_state(struct backend *b, struct arena *a, uint32_t rule, enum task_state state,
                           struct frontier *ret)
{
    struct sql q = sql_start(b, "SELECT oldest_ms, key, " SQLITE_FAIL_NOW
                                " FROM tasks WHERE rule = ? AND origin = 0"
                                " AND state = ? ORDER BY oldest_ms LIMIT 1");
    sql_int(&q, rule);
    sql_int(&q, state);
    if (sql_step(&q) == 1) {
        int64_t oldest_ms = sql_get_int(&q);
        if (!ret->any || oldest_ms < ret->oldest_ms) {
            ret->any = true;
            ret->oldest_ms = oldest_ms;
            ret->key = sql_get_span(&q, a);
            ret->why = sqlite_fail_text(sql_get_span(&q, NULL), a);
            ret->state = state;
        }
    }
    return sql_done(&q);
}

static int existing_failed(struct backend *b, uint32_t rule, uint64_t *ret)
{
    struct sql q = sql_start(b, "SELECT count(*) FROM (SELECT 1 FROM tasks WHERE rule = ?"
                                " AND origin = 1 AND state = 3 LIMIT ?)");
    sql_int(&q, rule);
    sql_int(&q, FRONTIER_FAILED_MAX);
    if (sql_step(&q) == 1) {
        *ret = sql_get_u64(&q);
    }
    return sql_done(&q);
}

int sqlite_frontier(struct backend *b, struct arena *a, uint32_t rule, struct frontier *ret)
{
    memset(ret, 0, sizeof(*ret));
    struct sql q = sql_start(b, "SELECT watermark_ms, proven_ms FROM rules WHERE rule = ?");
    sql_int(&q, rule);
    int found = sql_step(&q);
    if (found == 1) {
        ret->watermark_ms = sql_get_int(&q);
        ret->proven_ms = sql_get_int(&q);
    }
    int r = sql_done(&q);
    if (r < 0 || found != 1) {
        return r < 0 ? r : REPL_ENOTFOUND;
    }
    for (int state = TASK_READY; r == 0 && state <= TASK_HELD; state++) {
        r = oldest_in_state(b, a, rule, (enum task_state)state, ret);
    }
    return r == 0 ? existing_failed(b, rule, &ret->existing_failed) : r;
}

int sqlite_watermark_put(struct backend *b, uint32_t rule, int64_t watermark_ms)
{
    struct sql q = sql_start(b, "UPDATE rules SET watermark_ms = ?1 WHERE rule = ?2"
                                " AND watermark_ms < ?1");
    sql_int(&q, watermark_ms);
    sql_int(&q, rule);
    return sql_run(&q);
}

/* ---- proven ---- */

/* The oldest event time of what is unfinished, of either origin; INT64_MAX = nothing is. */
static int oldest_unfinished(struct backend *b, uint32_t rule, int64_t *ret)
{
    *ret = INT64_MAX;
    for (int at = 0; at < 2 * (TASK_HELD + 1); at++) {
        struct sql q = sql_start(b, "SELECT oldest_ms FROM tasks WHERE rule = ? AND origin = ?"
                                    " AND state = ? ORDER BY oldest_ms LIMIT 1");
        sql_int(&q, rule);
        sql_int(&q, at % 2);
        sql_int(&q, at / 2);
        if (sql_step(&q) == 1) {
            int64_t ms = sql_get_int(&q);
            *ret = ms < *ret ? ms : *ret;
        }
        int r = sql_done(&q);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

int sqlite_prove(struct backend *b, uint32_t rule, int64_t scan_ms, int64_t ended_ms)
{
    int64_t oldest_ms;
    int r = oldest_unfinished(b, rule, &oldest_ms);
    if (r < 0 || oldest_ms <= ended_ms) {
        return r;
    }
    struct sql q = sql_start(b, "UPDATE rules SET proven_ms = ?1 WHERE rule = ?2"
                                " AND proven_ms < ?1");
    sql_int(&q, scan_ms);
    sql_int(&q, rule);
    return sql_run(&q);
}

/* ---- changes that came late ---- */

/* 1: the replica is of this version of the source's object, or of a newer one. Last-Modified has
 * seconds, by the same clock as the event. */
static int has_replica_of(struct backend *b, const struct append_entry *e, int64_t event_ms)
{
    const struct change *c = &e->change;
    bool has = false;
    struct sql q = sql_start(b, "SELECT source_etag, source_version, source_mtime_ms FROM replicas"
                                " WHERE rule = ? AND key = ?");
    sql_int(&q, e->rule);
    sql_span(&q, c->key);
    if (sql_step(&q) == 1) {
        struct span etag = sql_get_span(&q, NULL);
        struct span version = sql_get_span(&q, NULL);
        has = (c->etag.len > 0 && span_eq(etag, c->etag)) ||
              (c->version_id.len > 0 && span_eq(version, c->version_id)) ||
              sql_get_int(&q) > event_ms;
    }
    int r = sql_done(&q);
    return r < 0 ? r : has;
}

/* 1: the last thing done with the key was to find it gone at the source, after the event. */
static int is_gone_since(struct backend *b, const struct append_entry *e, int64_t event_ms)
{
    bool gone = false;
    struct sql q = sql_start(b, "SELECT outcome, at_ms FROM history WHERE rule = ? AND key = ?"
                                " ORDER BY id DESC LIMIT 1");
    sql_int(&q, e->rule);
    sql_span(&q, e->change.key);
    if (sql_step(&q) == 1) {
        int64_t outcome = sql_get_int(&q);
        gone = outcome == FINISH_DELETED ||
               (outcome == FINISH_SKIPPED && e->change.kind == CHANGE_DELETE);
        gone = gone && sql_get_int(&q) >= event_ms;
    }
    int r = sql_done(&q);
    return r < 0 ? r : gone;
}

/* 1: the pending task is of this very event. */
static int is_pending(struct backend *b, const struct append_entry *e, int64_t event_ms)
{
    struct sql q = sql_start(b, "SELECT 1 FROM tasks WHERE rule = ? AND key = ? AND kind = ?"
                                " AND event_ms = ? AND origin = 0");
    sql_int(&q, e->rule);
    sql_span(&q, e->change.key);
    sql_int(&q, e->change.kind);
    sql_int(&q, event_ms);
    int found = sql_step(&q);
    int r = sql_done(&q);
    return r < 0 ? r : found == 1;
}

/* 1: told again, and the watermark was right about it. */
static int is_known(struct backend *b, const struct append_entry *e, int64_t event_ms)
{
    int r = is_pending(b, e, event_ms);
    if (r == 0 && e->change.kind == CHANGE_PUT) {
        r = has_replica_of(b, e, event_ms);
    }
    return r == 0 ? is_gone_since(b, e, event_ms) : r;
}

int late_begin(struct backend *b, uint32_t rule, int64_t *ret_watermark_ms)
{
    struct sql q = sql_start(b, "SELECT watermark_ms FROM rules WHERE rule = ?");
    sql_int(&q, rule);
    *ret_watermark_ms = sql_step(&q) == 1 ? sql_get_int(&q) : 0;
    return sql_done(&q);
}

int late_note(struct backend *b, const struct append_entry *e, const struct late_change *late,
              struct counts_delta *d)
{
    if (late->event_time_ms > late->watermark_ms || e->origin != TASK_LIVE) {
        return 0;
    }
    int r = is_known(b, e, late->event_time_ms);
    if (r != 0) {
        return r < 0 ? r : 0;
    }
    d->late_changes++;
    struct sql q = sql_start(b, "INSERT INTO late_changes (rule, key, feed, event_ms, accepted_ms,"
                                " watermark_ms) VALUES (?, ?, ?, ?, ?, ?)");
    sql_int(&q, e->rule);
    sql_span(&q, e->change.key);
    sql_span(&q, e->change.feed);
    sql_int(&q, late->event_time_ms);
    sql_int(&q, late->accepted_ms);
    sql_int(&q, late->watermark_ms);
    return sql_run(&q);
}

int late_trim(struct backend *b, uint32_t rule)
{
    struct sql q =
        sql_start(b, "DELETE FROM late_changes WHERE rule = ?1 AND id <= (SELECT id FROM"
                     " late_changes WHERE rule = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)");
    sql_int(&q, rule);
    sql_int(&q, LATE_CHANGES_MAX);
    return sql_run(&q);
}

int sqlite_late_page(struct backend *b, struct arena *a, uint32_t rule, size_t limit,
                     struct late_change **ret, size_t *ret_n)
{
    struct late_change *list = arena_alloc(a, (limit + 1) * sizeof(*list));
    size_t count = 0;
    struct sql q = sql_start(b, "SELECT key, feed, event_ms, accepted_ms, watermark_ms"
                                " FROM late_changes WHERE rule = ? ORDER BY id DESC LIMIT ?");
    sql_int(&q, rule);
    sql_u64(&q, limit);
    while (count < limit && sql_step(&q) == 1) {
        struct late_change *l = &list[count++];
        l->key = sql_get_span(&q, a);
        l->feed = sql_get_span(&q, a);
        l->event_time_ms = sql_get_int(&q);
        l->accepted_ms = sql_get_int(&q);
        l->watermark_ms = sql_get_int(&q);
    }
    *ret = list;
    *ret_n = count;
    return sql_done(&q);
}
