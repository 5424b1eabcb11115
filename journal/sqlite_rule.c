/* SQLite backend: lease, rules, named values, counters. */
#include "journal/sqlite_impl.h"

#include <uv.h>

/* ---- lease ---- */

static int release_claims(struct backend *b)
{
    struct sql q = sql_start(
        b, "UPDATE tasks SET state = 0, next_oldest_ms = NULL WHERE state = 1 AND (rule, origin) IN"
           " (SELECT rule, o FROM counts, (SELECT 0 AS o UNION ALL SELECT 1))");
    return sql_run(&q);
}

int sqlite_lease_take(struct backend *b, struct span owner, int64_t now_ms, int64_t ttl_ms,
                      uint64_t *ret_epoch, struct fail *f)
{
    struct sql q = sql_start(b, "SELECT owner, epoch, expires_ms FROM lease");
    int r = sql_step(&q);
    if (r != 1) {
        struct sqlite_backend *s = sqlite_of(b);
        int rc = r < 0 ? sqlite3_errcode(s->db) : SQLITE_CORRUPT;
        sql_done(&q);
        return sqlite_error(s->db, s->path, rc, f, "reading its lease");
    }
    struct span holder = sql_get_span(&q, NULL);
    uint64_t epoch = sql_get_u64(&q);
    int64_t expires_ms = sql_get_int(&q);
    if (holder.ptr != NULL && expires_ms > now_ms && !span_eq(holder, owner)) {
        fail_set(f, REPL_EOWNED, "the journal is in use by \"%.*s\" for another %lld s",
                 SPAN_ARG(holder), (long long)((expires_ms - now_ms + 999) / 1000));
        fail_hint(f, "stop the other repld, or wait until its lease has run out");
        sql_done(&q);
        return REPL_EOWNED;
    }
    sql_done(&q);
    q = sql_start(b, "UPDATE lease SET owner = ?, epoch = ?, expires_ms = ?");
    sql_span(&q, owner);
    sql_u64(&q, epoch + 1);
    sql_int(&q, now_ms + ttl_ms);
    if ((r = sql_run(&q)) == 0 && (r = release_claims(b)) == 0) {
        *ret_epoch = epoch + 1;
    }
    return r < 0 ? b->ops->failure(b, f, "taking its lease") : 0;
}

int sqlite_lease_check(struct backend *b, uint64_t epoch)
{
    struct sql q = sql_start(b, "SELECT epoch FROM lease");
    bool current = sql_step(&q) == 1 && sql_get_u64(&q) == epoch;
    int r = sql_done(&q);
    return r < 0 ? r : current ? 0 : REPL_ESTALE;
}

int sqlite_lease_renew(struct backend *b, uint64_t epoch, int64_t now_ms, int64_t ttl_ms)
{
    struct sql q = sql_start(b, "UPDATE lease SET expires_ms = ? WHERE epoch = ?");
    sql_int(&q, now_ms + ttl_ms);
    sql_u64(&q, epoch);
    int r = sql_run(&q);
    return r < 0 ? r : sqlite_changes(b) == 1 ? 0 : REPL_ESTALE;
}

int sqlite_lease_drop(struct backend *b, uint64_t epoch)
{
    struct sql q = sql_start(b, "UPDATE lease SET owner = NULL, expires_ms = 0 WHERE epoch = ?");
    sql_u64(&q, epoch);
    int r = sql_run(&q);
    return r < 0 ? r : sqlite_changes(b) == 1 ? 0 : REPL_ESTALE;
}

/* ---- rules ---- */

static int name_in_use(struct backend *b, const struct rule_record *in)
{
    struct sql q = sql_start(b, "SELECT 1 FROM rules WHERE name = ? AND rule <> ?");
    sql_span(&q, in->name);
    sql_int(&q, in->rule);
    int found = sql_step(&q);
    int r = sql_done(&q);
    return r < 0 ? r : found == 1 ? REPL_EEXISTS : 0;
}

static int insert_rule(struct backend *b, const struct rule_record *in, uint32_t *ret_rule)
{
    struct sql q = sql_start(b, "INSERT INTO rules (name, text) VALUES (?, ?)");
    sql_span(&q, in->name);
    sql_span(&q, in->text);
    int r = sql_run(&q);
    if (r < 0) {
        return r;
    }
    *ret_rule = (uint32_t)sqlite3_last_insert_rowid(sqlite_of(b)->db);
    q = sql_start(b, "INSERT INTO counts (rule) VALUES (?)");
    sql_int(&q, *ret_rule);
    return sql_run(&q);
}

int sqlite_rule_put(struct backend *b, const struct rule_record *in, uint32_t *ret_rule)
{
    int r = name_in_use(b, in);
    if (r < 0) {
        return r;
    }
    if (in->rule == 0) {
        return insert_rule(b, in, ret_rule);
    }
    struct sql q = sql_start(b, "UPDATE rules SET name = ?, text = ? WHERE rule = ?");
    sql_span(&q, in->name);
    sql_span(&q, in->text);
    sql_int(&q, in->rule);
    r = sql_run(&q);
    if (r == 0 && sqlite_changes(b) == 0) {
        return REPL_ENOTFOUND;
    }
    *ret_rule = in->rule;
    return r;
}

int sqlite_rule_delete(struct backend *b, uint32_t rule, int64_t now_ms)
{
    struct sql q = sql_start(b, "UPDATE rules SET deleting = 1 WHERE rule = ?");
    sql_int(&q, rule);
    int r = sql_run(&q);
    if (r < 0 || sqlite_changes(b) == 0) {
        return r < 0 ? r : REPL_ENOTFOUND;
    }
    /* An upload whose Complete is out is left to the one who waits for the answer. */
    q = sql_start(b, "UPDATE uploads SET state = 3, next_try_ms ="
                     " CASE upload_id WHEN x'' THEN next_try_ms ELSE ? END"
                     " WHERE rule = ? AND state IN (0, 1)");
    sql_int(&q, now_ms);
    sql_int(&q, rule);
    return sql_run(&q);
}

static int purge_table(struct backend *b, const char *text, uint32_t rule, size_t limit,
                       uint64_t *removed)
{
    struct sql q = sql_start(b, text);
    sql_int(&q, rule);
    sql_u64(&q, limit);
    int r = sql_run(&q);
    *removed += sqlite_changes(b);
    return r;
}

static int remove_rule(struct backend *b, uint32_t rule)
{
    static const char *const texts[] = {
        "DELETE FROM counts WHERE rule = ?",       "DELETE FROM latency WHERE rule = ?",
        "DELETE FROM brakes WHERE rule = ?",       "DELETE FROM brake_minutes WHERE rule = ?",
        "DELETE FROM late_changes WHERE rule = ?", "DELETE FROM prefixes WHERE rule = ?",
        "DELETE FROM history WHERE rule = ?",      "DELETE FROM rules WHERE rule = ?"};
    int r = sqlite_run_each(b, texts, sizeof(texts) / sizeof(texts[0]), rule);
    return r < 0 ? r : REPL_EDONE;
}

/* What a copy was recording while its rule was deleted: nobody works on it any more. */
static int give_up_uploads(struct backend *b, uint32_t rule)
{
    struct sql q = sql_start(b, "UPDATE uploads SET state = 3, next_try_ms ="
                                " CASE upload_id WHEN x'' THEN next_try_ms ELSE 0 END"
                                " WHERE rule = ? AND state IN (0, 1)");
    sql_int(&q, rule);
    return sql_run(&q);
}

int sqlite_rule_purge(struct backend *b, uint32_t rule, size_t limit)
{
    static const char tasks[] = "DELETE FROM tasks WHERE rowid IN"
                                " (SELECT rowid FROM tasks WHERE rule = ? LIMIT ?)";
    static const char replicas[] =
        "DELETE FROM replicas WHERE rule = ?1 AND key <= (SELECT max(key) FROM"
        " (SELECT key FROM replicas WHERE rule = ?1 ORDER BY key LIMIT ?2))";
    static const char versions[] =
        "DELETE FROM versions WHERE rule = ?1 AND key <= (SELECT max(key) FROM"
        " (SELECT key FROM versions WHERE rule = ?1 ORDER BY key LIMIT ?2))";
    static const char gone[] = "DELETE FROM gone WHERE rule = ?1 AND key <= (SELECT max(key) FROM"
                               " (SELECT key FROM gone WHERE rule = ?1 ORDER BY key LIMIT ?2))";
    static const char *const texts[] = {tasks, replicas, versions, gone};
    uint64_t removed = 0;
    int r = give_up_uploads(b, rule);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]) && r == 0; i++) {
        r = purge_table(b, texts[i], rule, limit, &removed);
    }
    if (r < 0 || removed > 0) {
        return r;
    }
    struct sql q = sql_start(b, "SELECT 1 FROM uploads WHERE rule = ? LIMIT 1");
    sql_int(&q, rule);
    int found = sql_step(&q);
    r = sql_done(&q);
    return r < 0 || found == 1 ? r : remove_rule(b, rule);
}

int sqlite_rule_list(struct backend *b, struct arena *a, struct rule_record **ret, size_t *ret_n)
{
    size_t count = 0;
    size_t room = 16;
    struct rule_record *list = arena_alloc(a, room * sizeof(*list));
    struct sql q = sql_start(b, "SELECT rule, name, text, deleting FROM rules ORDER BY rule");
    while (sql_step(&q) == 1) {
        if (count == room) {
            struct rule_record *more = arena_alloc(a, 2 * room * sizeof(*list));
            memcpy(more, list, room * sizeof(*list));
            list = more;
            room *= 2;
        }
        struct rule_record *r = &list[count++];
        r->rule = (uint32_t)sql_get_int(&q);
        r->name = sql_get_span(&q, a);
        r->text = sql_get_span(&q, a);
        r->deleting = sql_get_int(&q) != 0;
    }
    *ret = list;
    *ret_n = count;
    return sql_done(&q);
}

/* ---- named values ---- */

int sqlite_value_put(struct backend *b, struct span name, struct span value)
{
    struct sql q;
    if (value.ptr == NULL) {
        q = sql_start(b, "DELETE FROM vals WHERE name = ?");
        sql_span(&q, name);
        return sql_run(&q);
    }
    q = sql_start(b, "INSERT INTO vals VALUES (?, ?)"
                     " ON CONFLICT (name) DO UPDATE SET value = excluded.value");
    sql_span(&q, name);
    sql_span(&q, value);
    return sql_run(&q);
}

int sqlite_value_get(struct backend *b, struct arena *a, struct span name, struct span *ret)
{
    struct sql q = sql_start(b, "SELECT value FROM vals WHERE name = ?");
    sql_span(&q, name);
    int found = sql_step(&q);
    if (found == 1) {
        *ret = sql_get_span(&q, a);
    }
    int r = sql_done(&q);
    return r < 0 ? r : found == 1 ? 0 : REPL_ENOTFOUND;
}

/* ---- counters ---- */

int counts_begin(struct backend *b, uint32_t rule, struct counts_delta *ret)
{
    memset(ret, 0, sizeof(*ret));
    struct sql q = sql_start(b, "SELECT late_before_ms FROM counts WHERE rule = ?");
    sql_int(&q, rule);
    ret->late_before_ms = sql_step(&q) == 1 ? sql_get_int(&q) : 0;
    return sql_done(&q);
}

void counts_task(struct counts_delta *d, const struct counted *task, int sign)
{
    int64_t bytes = task->size > 0 ? task->size * sign : 0;
    bool waits_for_word = task->state == TASK_FAILED || task->state == TASK_HELD;
    d->pending_deletes += task->is_delete && !waits_for_word ? sign : 0;
    if (task->state == TASK_FAILED) {
        d->failed_objects += sign;
    } else if (task->state == TASK_HELD) {
        d->held_objects += sign;
    } else if (task->origin == TASK_LIVE) {
        bool late = task->oldest_ms < d->late_before_ms;
        d->pending_objects += sign;
        d->pending_bytes += bytes;
        d->late_objects += late ? sign : 0;
        d->late_bytes += late ? bytes : 0;
    } else {
        d->backfill_objects += sign;
        d->backfill_bytes += bytes;
    }
}

int counts_flush(struct backend *b)
{
    struct unwritten *u = &sqlite_of(b)->unwritten;
    const struct counts_delta *d = &u->counts;
    if (u->rule == 0) {
        return 0;
    }
    struct sql q = sql_start(
        b, "UPDATE counts SET pending_objects = pending_objects + ?,"
           " pending_bytes = pending_bytes + ?, backfill_objects = backfill_objects + ?,"
           " backfill_bytes = backfill_bytes + ?, failed_objects = failed_objects + ?,"
           " done_objects = done_objects + ?, done_bytes = done_bytes + ?,"
           " deleted_objects = deleted_objects + ?, skipped_objects = skipped_objects + ?,"
           " sent_bytes = sent_bytes + ?, retries = retries + ?, replicas = replicas + ?,"
           " replica_bytes = replica_bytes + ?, late_objects = late_objects + ?,"
           " late_bytes = late_bytes + ?, late_changes = late_changes + ?,"
           " held_objects = held_objects + ?, pending_deletes = pending_deletes + ?"
           " WHERE rule = ?");
    sql_int(&q, d->pending_objects);
    sql_int(&q, d->pending_bytes);
    sql_int(&q, d->backfill_objects);
    sql_int(&q, d->backfill_bytes);
    sql_int(&q, d->failed_objects);
    sql_int(&q, d->done_objects);
    sql_int(&q, d->done_bytes);
    sql_int(&q, d->deleted_objects);
    sql_int(&q, d->skipped_objects);
    sql_int(&q, d->sent_bytes);
    sql_int(&q, d->retries);
    sql_int(&q, d->replicas);
    sql_int(&q, d->replica_bytes);
    sql_int(&q, d->late_objects);
    sql_int(&q, d->late_bytes);
    sql_int(&q, d->late_changes);
    sql_int(&q, d->held_objects);
    sql_int(&q, d->pending_deletes);
    sql_int(&q, u->rule);
    int r = sql_run(&q);
    u->rule = 0;
    memset(&u->counts, 0, sizeof(u->counts));
    return r;
}

static void counts_add(struct counts_delta *to, const struct counts_delta *d)
{
    to->pending_objects += d->pending_objects;
    to->pending_bytes += d->pending_bytes;
    to->backfill_objects += d->backfill_objects;
    to->backfill_bytes += d->backfill_bytes;
    to->failed_objects += d->failed_objects;
    to->done_objects += d->done_objects;
    to->done_bytes += d->done_bytes;
    to->deleted_objects += d->deleted_objects;
    to->skipped_objects += d->skipped_objects;
    to->sent_bytes += d->sent_bytes;
    to->retries += d->retries;
    to->replicas += d->replicas;
    to->replica_bytes += d->replica_bytes;
    to->late_objects += d->late_objects;
    to->late_bytes += d->late_bytes;
    to->late_changes += d->late_changes;
    to->held_objects += d->held_objects;
    to->pending_deletes += d->pending_deletes;
}

int counts_apply(struct backend *b, uint32_t rule, const struct counts_delta *d)
{
    struct unwritten *u = &sqlite_of(b)->unwritten;
    int r = u->rule != rule ? counts_flush(b) : 0;
    u->rule = rule;
    counts_add(&u->counts, d);
    return r;
}

int sqlite_counts(struct backend *b, uint32_t rule, struct rule_counts *ret)
{
    memset(ret, 0, sizeof(*ret));
    int r = counts_flush(b);
    if (r < 0) {
        return r;
    }
    struct sql q =
        sql_start(b, "SELECT pending_objects, pending_bytes, backfill_objects, backfill_bytes,"
                     " failed_objects, done_objects, done_bytes, deleted_objects, skipped_objects,"
                     " sent_bytes, retries, replicas, replica_bytes, late_objects, late_bytes,"
                     " late_changes, held_objects, latency_sum_s FROM counts WHERE rule = ?");
    sql_int(&q, rule);
    int found = sql_step(&q);
    if (found == 1) {
        uint64_t *const members[] = {
            &ret->pending_objects, &ret->pending_bytes,   &ret->backfill_objects,
            &ret->backfill_bytes,  &ret->failed_objects,  &ret->done_objects,
            &ret->done_bytes,      &ret->deleted_objects, &ret->skipped_objects,
            &ret->sent_bytes,      &ret->retries,         &ret->replicas,
            &ret->replica_bytes,   &ret->late_objects,    &ret->late_bytes,
            &ret->late_changes,    &ret->held_objects};
        for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
            *members[i] = sql_get_u64(&q);
        }
        ret->latency_sum_s = sql_get_double(&q);
    }
    r = sql_done(&q);
    if (r < 0 || found != 1) {
        return r < 0 ? r : REPL_ENOTFOUND;
    }
    q = sql_start(b, "SELECT bucket, n FROM latency WHERE rule = ?");
    sql_int(&q, rule);
    while (sql_step(&q) == 1) {
        uint64_t bucket = sql_get_u64(&q);
        if (bucket <= STAT_LATENCY_BUCKETS) {
            ret->latency[bucket] = sql_get_u64(&q);
        }
    }
    return sql_done(&q);
}
