/* SQLite backend: events for others, until they are told. */
#include "journal/sqlite_impl.h"

/* ---- how many ---- */

static int count(struct backend *b, struct span target, int64_t waiting, int64_t dropped)
{
    struct sql q = sql_start(b, "INSERT INTO event_targets VALUES (?1, ?2, ?3) ON CONFLICT (target)"
                                " DO UPDATE SET waiting = waiting + ?2, dropped = dropped + ?3");
    sql_span(&q, target);
    sql_int(&q, waiting);
    sql_int(&q, dropped);
    return sql_run(&q);
}

static int read_counts(struct backend *b, struct span target, struct event_counts *ret)
{
    struct sql q = sql_start(b, "SELECT waiting, dropped FROM event_targets WHERE target = ?");
    sql_span(&q, target);
    if (sql_step(&q) == 1) {
        ret->waiting = sql_get_u64(&q);
        ret->dropped = sql_get_u64(&q);
    }
    return sql_done(&q);
}

int sqlite_event_counts(struct backend *b, struct span target, struct event_counts *ret)
{
    int r = read_counts(b, target, ret);
    if (r < 0) {
        return r;
    }
    struct sql q =
        sql_start(b, "SELECT at_ms FROM events WHERE target = ? ORDER BY number LIMIT 1");
    sql_span(&q, target);
    if (sql_step(&q) == 1) {
        ret->oldest_ms = sql_get_int(&q);
    }
    return sql_done(&q);
}

/* ---- adding ---- */

static int drop_one(struct backend *b, struct span target)
{
    struct sql q = sql_start(b, "DELETE FROM events WHERE number = coalesce("
                                "(SELECT number FROM events WHERE target = ?1 AND optional = 1"
                                " ORDER BY number LIMIT 1),"
                                "(SELECT number FROM events WHERE target = ?1"
                                " ORDER BY number LIMIT 1))");
    sql_span(&q, target);
    int r = sql_run(&q);
    return r < 0 ? r : count(b, target, -(int64_t)sqlite_changes(b), (int64_t)sqlite_changes(b));
}

static int drop_older(struct backend *b, const struct event_record *in)
{
    struct sql q = sql_start(b, "DELETE FROM events WHERE target = ? AND rule = ? AND kind = ?"
                                " AND only_newest = 1");
    sql_span(&q, in->target);
    sql_int(&q, in->rule);
    sql_span(&q, in->kind);
    int r = sql_run(&q);
    return r < 0 ? r : count(b, in->target, -(int64_t)sqlite_changes(b), 0);
}

static int insert(struct backend *b, const struct event_record *in)
{
    struct sql q = sql_start(b, "INSERT INTO events (target, kind, rule, optional, only_newest,"
                                " at_ms, body) VALUES (?, ?, ?, ?, ?, ?, ?)");
    sql_span(&q, in->target);
    sql_span(&q, in->kind);
    sql_int(&q, in->rule);
    sql_int(&q, in->optional);
    sql_int(&q, in->only_newest);
    sql_int(&q, in->at_ms);
    sql_span(&q, in->body);
    int r = sql_run(&q);
    return r < 0 ? r : count(b, in->target, 1, 0);
}

int sqlite_event_add(struct backend *b, const struct event_record *in, uint64_t limit)
{
    struct event_counts have = {0};
    int r = in->only_newest ? drop_older(b, in) : 0;
    if (r == 0) {
        r = insert(b, in);
    }
    if (r == 0) {
        r = read_counts(b, in->target, &have);
    }
    return r == 0 && have.waiting > limit ? drop_one(b, in->target) : r;
}

/* ---- telling ---- */

int sqlite_event_page(struct backend *b, struct arena *a, struct span target, size_t limit,
                      struct event_record **ret, size_t *ret_n)
{
    size_t n = 0;
    limit = limit < BACKEND_PAGE_MAX ? limit : BACKEND_PAGE_MAX;
    struct event_record *rows = arena_alloc(a, (limit + 1) * sizeof(*rows));
    struct sql q = sql_start(b, "SELECT number, kind, rule, optional, only_newest, at_ms, body"
                                " FROM events WHERE target = ? ORDER BY number LIMIT ?");
    sql_span(&q, target);
    sql_u64(&q, limit);
    while (n < limit && sql_step(&q) == 1) {
        struct event_record *row = &rows[n++];
        row->target = target;
        row->number = sql_get_u64(&q);
        row->kind = sql_get_span(&q, a);
        row->rule = (uint32_t)sql_get_int(&q);
        row->optional = sql_get_int(&q) != 0;
        row->only_newest = sql_get_int(&q) != 0;
        row->at_ms = sql_get_int(&q);
        row->body = sql_get_span(&q, a);
    }
    int r = sql_done(&q);
    if (r == 0) {
        *ret = rows;
        *ret_n = n;
    }
    return r;
}

int sqlite_event_done(struct backend *b, struct span target, uint64_t number)
{
    struct sql q = sql_start(b, "DELETE FROM events WHERE target = ? AND number <= ?");
    sql_span(&q, target);
    sql_u64(&q, number);
    int r = sql_run(&q);
    return r < 0 ? r : count(b, target, -(int64_t)sqlite_changes(b), 0);
}

static bool is_among(struct span target, const struct span *targets, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (span_eq(targets[i], target)) {
            return true;
        }
    }
    return false;
}

static int forget(struct backend *b, struct span target)
{
    struct sql q = sql_start(b, "DELETE FROM events WHERE target = ?");
    sql_span(&q, target);
    int r = sql_run(&q);
    if (r < 0) {
        return r;
    }
    q = sql_start(b, "DELETE FROM event_targets WHERE target = ?");
    sql_span(&q, target);
    return sql_run(&q);
}

int sqlite_event_keep(struct backend *b, const struct span *targets, size_t n)
{
    struct arena a;
    struct span gone[64];
    size_t gone_count = 0;
    arena_init(&a);
    struct sql q = sql_start(b, "SELECT target FROM event_targets");
    while (sql_step(&q) == 1) {
        struct span target = sql_get_span(&q, &a);
        if (!is_among(target, targets, n) && gone_count < sizeof(gone) / sizeof(gone[0])) {
            gone[gone_count++] = target;
        }
    }
    int r = sql_done(&q);
    for (size_t i = 0; i < gone_count && r == 0; i++) {
        r = forget(b, gone[i]);
    }
    arena_done(&a);
    return r;
}
