/* SQLite backend: bodies of notifications that could not be read. */
#include "journal/sqlite_impl.h"

int sqlite_quarantine_counts(struct backend *b, struct span feed, struct quarantine_counts *ret)
{
    struct sql q = sql_start(b, "SELECT coalesce(sum(lost = 0), 0), coalesce(sum(size), 0),"
                                " coalesce(sum(lost), 0) FROM quarantine WHERE feed = ?");
    sql_span(&q, feed);
    if (sql_step(&q) == 1) {
        ret->bodies = sql_get_u64(&q);
        ret->bytes = sql_get_u64(&q);
        ret->lost = sql_get_u64(&q);
    }
    return sql_done(&q);
}

static int insert(struct backend *b, const struct quarantined *in, bool keep)
{
    struct sql q = sql_start(b, "INSERT INTO quarantine (feed, received_ms, reason, body, size,"
                                " lost) VALUES (?, ?, ?, ?, ?, ?)");
    sql_span(&q, in->feed);
    sql_int(&q, in->received_ms);
    sql_span(&q, in->reason);
    sql_span(&q, keep ? in->body : span_of(NULL, 0));
    sql_u64(&q, keep ? in->body.len : 0);
    sql_u64(&q, keep ? 0 : 1);
    return sql_run(&q);
}

/* The first one that was not kept has a row, which holds the watermark as a body would; later ones
 * are added to it. */
static int count_lost(struct backend *b, const struct quarantined *in, uint64_t lost)
{
    if (lost == 0) {
        struct quarantined first = *in;
        first.reason = span_str("the quarantine of this feed is full: its body was not kept");
        return insert(b, &first, false);
    }
    struct sql q =
        sql_start(b, "UPDATE quarantine SET lost = lost + 1 WHERE feed = ? AND lost > 0");
    sql_span(&q, in->feed);
    return sql_run(&q);
}

int sqlite_quarantine_put(struct backend *b, const struct quarantined *in)
{
    struct quarantine_counts have = {0};
    int r = sqlite_quarantine_counts(b, in->feed, &have);
    if (r < 0) {
        return r;
    }
    bool fits =
        have.bodies < QUARANTINE_BODIES_MAX && in->body.len <= QUARANTINE_BYTES_MAX - have.bytes;
    return fits ? insert(b, in, true) : count_lost(b, in, have.lost);
}

static void read_row(struct sql *q, struct arena *a, struct quarantined *ret)
{
    *ret = (struct quarantined){.id = sql_get_u64(q)};
    ret->feed = sql_get_span(q, a);
    ret->received_ms = sql_get_int(q);
    ret->reason = sql_get_span(q, a);
    ret->size = sql_get_u64(q);
    ret->lost = sql_get_u64(q);
}

int sqlite_quarantine_page(struct backend *b, struct arena *a, struct span feed, uint64_t after_id,
                           size_t limit, struct quarantined **ret, size_t *ret_n)
{
    size_t most = limit > 0 && limit < BACKEND_PAGE_MAX ? limit : BACKEND_PAGE_MAX;
    struct quarantined *list = arena_alloc(a, most * sizeof(*list));
    size_t n = 0;
    struct sql q =
        sql_start(b, "SELECT id, feed, received_ms, reason, size, lost FROM quarantine"
                     " WHERE id > ?1 AND (?2 IS NULL OR feed = ?2) ORDER BY id LIMIT ?3");
    sql_u64(&q, after_id);
    sql_span(&q, feed);
    sql_u64(&q, most);
    while (n < most && sql_step(&q) == 1) {
        read_row(&q, a, &list[n++]);
    }
    *ret = list;
    *ret_n = n;
    return sql_done(&q);
}

int sqlite_quarantine_get(struct backend *b, struct arena *a, uint64_t id, struct quarantined *ret)
{
    struct sql q = sql_start(b, "SELECT id, feed, received_ms, reason, size, lost, body"
                                " FROM quarantine WHERE id = ?");
    sql_u64(&q, id);
    int found = sql_step(&q);
    if (found == 1) {
        read_row(&q, a, ret);
        ret->body = sql_get_span(&q, a);
    }
    int r = sql_done(&q);
    return r < 0 ? r : found == 1 ? 0 : REPL_ENOTFOUND;
}

int sqlite_quarantine_drop(struct backend *b, struct span feed, uint64_t id, int64_t before_ms,
                           uint64_t *ret_n)
{
    struct sql q = sql_start(b, id != 0 ? "DELETE FROM quarantine WHERE feed = ? AND id = ?"
                                        : "DELETE FROM quarantine WHERE feed = ?"
                                          " AND received_ms < ?");
    sql_span(&q, feed);
    sql_int(&q, id != 0 ? (int64_t)id : before_ms);
    int r = sql_run(&q);
    if (r == 0) {
        *ret_n = sqlite_changes(b);
    }
    return r;
}

int sqlite_quarantine_oldest(struct backend *b, struct span feed, int64_t scan_ms, int64_t *ret_ms)
{
    struct sql q = sql_start(b, "SELECT coalesce(min(received_ms), 0) FROM quarantine"
                                " WHERE feed = ? AND (received_ms >= ? OR lost > 0)");
    sql_span(&q, feed);
    sql_int(&q, scan_ms);
    if (sql_step(&q) == 1) {
        *ret_ms = sql_get_int(&q);
    }
    return sql_done(&q);
}
