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
                                " lost, endpoint, bucket, hold_ms)"
                                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    sql_span(&q, in->feed);
    sql_int(&q, in->received_ms);
    sql_span(&q, in->reason);
    sql_span(&q, keep ? in->body : span_of(NULL, 0));
    sql_u64(&q, keep ? in->body.len : 0);
    sql_u64(&q, keep ? 0 : 1);
    sql_span(&q, in->endpoint);
    sql_span(&q, in->bucket);
    sql_int(&q, in->hold_ms);
    return sql_run(&q);
}

/* The first one of a place that was not kept has a row, which holds the watermark as a body would;
 * later ones are added to it. */
static int count_lost(struct backend *b, const struct quarantined *in)
{
    struct sql q = sql_start(b, "UPDATE quarantine SET lost = lost + 1, hold_ms = min(hold_ms, ?)"
                                " WHERE feed = ? AND lost > 0 AND endpoint IS ? AND bucket IS ?");
    sql_int(&q, in->hold_ms);
    sql_span(&q, in->feed);
    sql_span(&q, in->endpoint);
    sql_span(&q, in->bucket);
    int r = sql_run(&q);
    if (r < 0 || sqlite_changes(b) > 0) {
        return r;
    }
    struct quarantined first = *in;
    first.reason = span_str("the quarantine of this feed is full: its body was not kept");
    return insert(b, &first, false);
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
    return fits ? insert(b, in, true) : count_lost(b, in);
}

#define ROW_COLUMNS "id, feed, received_ms, reason, size, lost, endpoint, bucket, hold_ms"

static void read_row(struct sql *q, struct arena *a, struct quarantined *ret)
{
    *ret = (struct quarantined){.id = sql_get_u64(q)};
    ret->feed = sql_get_span(q, a);
    ret->received_ms = sql_get_int(q);
    ret->reason = sql_get_span(q, a);
    ret->size = sql_get_u64(q);
    ret->lost = sql_get_u64(q);
    ret->endpoint = sql_get_span(q, a);
    ret->bucket = sql_get_span(q, a);
    ret->hold_ms = sql_get_int(q);
}

int sqlite_quarantine_page(struct backend *b, struct arena *a, struct span feed, uint64_t after_id,
                           size_t limit, struct quarantined **ret, size_t *ret_n)
{
    size_t most = limit > 0 && limit < BACKEND_PAGE_MAX ? limit : BACKEND_PAGE_MAX;
    struct quarantined *list = arena_alloc(a, most * sizeof(*list));
    size_t n = 0;
    struct sql q =
        sql_start(b, "SELECT " ROW_COLUMNS " FROM quarantine"
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
    struct sql q = sql_start(b, "SELECT " ROW_COLUMNS ", body FROM quarantine WHERE id = ?");
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

int sqlite_quarantine_hold(struct backend *b, struct arena *a, const struct quarantine_place *of,
                           struct quarantine_hold *ret)
{
    struct sql q = sql_start(b, "SELECT hold_ms, feed FROM quarantine"
                                " WHERE (endpoint IS NULL OR endpoint = ?)"
                                " AND (bucket IS NULL OR bucket = ?)"
                                " AND (received_ms >= ? OR lost > 0) ORDER BY hold_ms LIMIT 1");
    sql_span(&q, of->endpoint);
    sql_span(&q, of->bucket);
    sql_int(&q, of->scan_ms);
    *ret = (struct quarantine_hold){.any = sql_step(&q) == 1};
    if (ret->any) {
        ret->hold_ms = sql_get_int(&q);
        ret->feed = sql_get_span(&q, a);
    }
    return sql_done(&q);
}

int sqlite_quarantine_feeds(struct backend *b, struct arena *a, struct quarantine_feed **ret,
                            size_t *ret_n)
{
    struct quarantine_feed *list = arena_alloc(a, BACKEND_PAGE_MAX * sizeof(*list));
    size_t n = 0;
    struct sql q = sql_start(b, "SELECT feed, endpoint, bucket, sum(lost = 0), sum(size), sum(lost)"
                                " FROM quarantine GROUP BY feed ORDER BY feed LIMIT ?");
    sql_u64(&q, BACKEND_PAGE_MAX);
    while (n < BACKEND_PAGE_MAX && sql_step(&q) == 1) {
        struct quarantine_feed *f = &list[n++];
        f->feed = sql_get_span(&q, a);
        f->endpoint = sql_get_span(&q, a);
        f->bucket = sql_get_span(&q, a);
        f->counts.bodies = sql_get_u64(&q);
        f->counts.bytes = sql_get_u64(&q);
        f->counts.lost = sql_get_u64(&q);
    }
    *ret = list;
    *ret_n = n;
    return sql_done(&q);
}

/* ---- an operator's word ---- */

int sqlite_quarantine_word(struct backend *b, const struct quarantine_word *in)
{
    struct sql q = sql_start(b, "INSERT INTO quarantine_words (feed, body, bodies, at_ms, who,"
                                " reason) VALUES (?, ?, ?, ?, ?, ?)");
    sql_span(&q, in->feed);
    sql_u64(&q, in->id);
    sql_u64(&q, in->bodies);
    sql_int(&q, in->at_ms);
    sql_span(&q, in->who);
    sql_span(&q, in->reason);
    int r = sql_run(&q);
    if (r < 0) {
        return r;
    }
    q = sql_start(b, "DELETE FROM quarantine_words WHERE feed = ?1 AND id <= (SELECT id FROM"
                     " quarantine_words WHERE feed = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)");
    sql_span(&q, in->feed);
    sql_int(&q, QUARANTINE_WORDS_MAX);
    return sql_run(&q);
}

int sqlite_quarantine_words(struct backend *b, struct arena *a, struct span feed, size_t limit,
                            struct quarantine_word **ret, size_t *ret_n)
{
    size_t most = limit < QUARANTINE_WORDS_MAX ? limit : QUARANTINE_WORDS_MAX;
    struct quarantine_word *list = arena_alloc(a, (most + 1) * sizeof(*list));
    size_t n = 0;
    struct sql q = sql_start(b, "SELECT feed, body, bodies, at_ms, who, reason FROM"
                                " quarantine_words WHERE feed = ? ORDER BY id DESC LIMIT ?");
    sql_span(&q, feed);
    sql_u64(&q, most);
    while (n < most && sql_step(&q) == 1) {
        struct quarantine_word *w = &list[n++];
        w->feed = sql_get_span(&q, a);
        w->id = sql_get_u64(&q);
        w->bodies = sql_get_u64(&q);
        w->at_ms = sql_get_int(&q);
        w->who = sql_get_span(&q, a);
        w->reason = sql_get_span(&q, a);
    }
    *ret = list;
    *ret_n = n;
    return sql_done(&q);
}
