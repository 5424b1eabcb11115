/* SQLite backend: what scans ask. */
#include "journal/sqlite_impl.h"

#define SKIP_MAX 16                     /* rows passed over before looking anew is cheaper */
#define LOOK_MAX (4 * BACKEND_PAGE_MAX) /* replicas looked at for missing ones in a call */
#define SLACK_MS 2000                   /* a header's time has seconds, a listing's may have more */

bool sqlite_is_of(struct span etag, int64_t mtime_ms, struct span listed_etag,
                  int64_t listed_mtime_ms)
{
    return listed_etag.len > 0 && span_eq(etag, listed_etag) &&
           (mtime_ms == 0 || listed_mtime_ms < mtime_ms + SLACK_MS);
}

/* ---- known objects: one walk along the replicas, as both go by key ---- */

struct walk {
    struct sql q;
    bool is_open;
    bool has_row;
    struct span key; /* of the row, a view until the next step */
};

static void step(struct walk *w)
{
    w->has_row = sql_step(&w->q) == 1;
    w->key = w->has_row ? sql_get_span(&w->q, NULL) : (struct span){0};
}

static int seek(struct backend *b, struct walk *w, uint32_t rule, struct span key)
{
    int r = w->is_open ? sql_done(&w->q) : 0;
    w->q = sql_start(b, "SELECT key, source_etag, source_mtime_ms FROM replicas"
                        " WHERE rule = ? AND key >= ? ORDER BY key");
    w->is_open = true;
    sql_int(&w->q, rule);
    sql_span(&w->q, key);
    step(w);
    return r;
}

/* Brings the walk to the key, or behind it when there is no such replica. */
static int go_to(struct backend *b, struct walk *w, uint32_t rule, struct span key)
{
    if (!w->is_open) {
        return seek(b, w, rule, key);
    }
    for (int skipped = 0; w->has_row && span_cmp(w->key, key) < 0; skipped++) {
        if (skipped == SKIP_MAX) {
            return seek(b, w, rule, key);
        }
        step(w);
    }
    return 0;
}

static int find_replicas(struct backend *b, const struct compare *what)
{
    struct walk w = {0};
    int r = 0;
    for (size_t i = 0; r == 0 && i < what->count; i++) {
        struct listed *l = &what->listed[i];
        r = go_to(b, &w, what->rule, l->key);
        if (r == 0 && w.has_row && span_eq(w.key, l->key)) {
            struct span etag = sql_get_span(&w.q, NULL);
            int64_t mtime_ms = sql_get_int(&w.q);
            l->known = sqlite_is_of(etag, mtime_ms, l->etag, l->mtime_ms);
        }
    }
    int end = w.is_open ? sql_done(&w.q) : 0;
    return r < 0 ? r : end;
}

static int find_task(struct backend *b, uint32_t rule, struct listed *l)
{
    struct sql q = sql_start(b, "SELECT kind, etag FROM tasks WHERE rule = ? AND key = ?");
    sql_int(&q, rule);
    sql_span(&q, l->key);
    if (sql_step(&q) == 1) {
        bool is_put = sql_get_int(&q) == CHANGE_PUT;
        l->known = is_put && l->etag.len > 0 && span_eq(sql_get_span(&q, NULL), l->etag);
    }
    return sql_done(&q);
}

static int find_objects(struct backend *b, const struct compare *what)
{
    int r = find_replicas(b, what);
    for (size_t i = 0; r == 0 && i < what->count; i++) {
        if (!what->listed[i].known) {
            r = find_task(b, what->rule, &what->listed[i]);
        }
    }
    return r;
}

/* ---- known versions: the newest one of each key ---- */

/* Whether the row that the statement finds is of this very version. */
static int find_version(struct backend *b, const char *text, uint32_t rule, struct listed *l,
                        bool *ret_found)
{
    struct sql q = sql_start(b, text);
    sql_int(&q, rule);
    sql_span(&q, l->key);
    *ret_found = sql_step(&q) == 1;
    if (*ret_found) {
        struct version_mark m = {.version_id = sql_get_span(&q, NULL)};
        m.etag = sql_get_span(&q, NULL);
        m.mtime_ms = sql_get_int(&q);
        l->known = version_mark_is(&m, l->version_id, l->etag, l->mtime_ms);
    }
    return sql_done(&q);
}

/* The replica tells of a time when the rule took the latest versions only, and of a delete that it
 * ignored and the source has taken back. */
static int find_newest(struct backend *b, uint32_t rule, struct listed *l)
{
    static const char mark[] = "SELECT version_id, etag, mtime_ms FROM versions"
                               " WHERE rule = ? AND key = ? ORDER BY at DESC LIMIT 1";
    static const char replica[] = "SELECT source_version, source_etag, source_mtime_ms"
                                  " FROM replicas WHERE rule = ? AND key = ?";
    static const char task[] = "SELECT version_id, etag, event_ms FROM tasks"
                               " WHERE rule = ? AND key = ?";
    bool found;
    int r = find_version(b, mark, rule, l, &l->has_marks);
    if (r == 0 && !l->known) {
        r = find_version(b, replica, rule, l, &found);
    }
    return r == 0 && !l->known ? find_version(b, task, rule, l, &found) : r;
}

static int find_versions(struct backend *b, const struct compare *what)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < what->count; i++) {
        r = find_newest(b, what->rule, &what->listed[i]);
    }
    return r;
}

/* ---- missing ones ---- */

static int find_missing(struct backend *b, struct arena *a, const struct compare *what,
                        struct compared *ret)
{
    size_t at = 0, looked = 0;
    ret->missing = arena_alloc(a, BACKEND_PAGE_MAX * sizeof(*ret->missing));
    struct sql q = sql_start(b, "SELECT key, verified_ms FROM replicas WHERE rule = ?1 AND key > ?2"
                                " AND (?3 IS NULL OR key <= ?3) ORDER BY key");
    sql_int(&q, what->rule);
    sql_span(&q, what->after.ptr != NULL ? what->after : span_str(""));
    sql_span(&q, what->until);
    while (sql_step(&q) == 1) {
        struct span key = sql_get_span(&q, NULL);
        bool is_old = sql_get_int(&q) < what->before_ms;
        while (at < what->count && span_cmp(what->listed[at].key, key) < 0) {
            at++;
        }
        bool is_listed = at < what->count && span_eq(what->listed[at].key, key);
        if (!is_listed && is_old) {
            ret->missing[ret->missing_count++] = arena_span(a, key);
        }
        if (ret->missing_count == BACKEND_PAGE_MAX || ++looked == LOOK_MAX) {
            ret->through = arena_span(a, key);
            break;
        }
    }
    return sql_done(&q);
}

int sqlite_compare(struct backend *b, struct arena *a, const struct compare *what,
                   struct compared *ret)
{
    memset(ret, 0, sizeof(*ret));
    for (size_t i = 0; i < what->count; i++) {
        what->listed[i].known = false;
        what->listed[i].has_marks = false;
    }
    int r = what->versions ? find_versions(b, what) : find_objects(b, what);
    return r == 0 && what->tell_missing ? find_missing(b, a, what, ret) : r;
}

/* ---- what was not listed ---- */

int sqlite_gone_put(struct backend *b, uint32_t rule, const struct span *keys, size_t count)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < count; i++) {
        struct sql q = sql_start(b, "INSERT INTO gone VALUES (?, ?) ON CONFLICT DO NOTHING");
        sql_int(&q, rule);
        sql_span(&q, keys[i]);
        r = sql_run(&q);
    }
    return r;
}

int sqlite_gone_page(struct backend *b, struct arena *a, uint32_t rule, size_t limit,
                     struct span **ret, size_t *ret_n)
{
    size_t n = 0;
    struct span *keys = arena_alloc(a, (limit + 1) * sizeof(*keys));
    struct sql q = sql_start(b, "SELECT key FROM gone WHERE rule = ? ORDER BY key LIMIT ?");
    sql_int(&q, rule);
    sql_u64(&q, limit);
    while (n < limit && sql_step(&q) == 1) {
        keys[n++] = sql_get_span(&q, a);
    }
    *ret = keys;
    *ret_n = n;
    return sql_done(&q);
}

int sqlite_gone_drop(struct backend *b, uint32_t rule, struct span through)
{
    struct sql q = sql_start(b, "DELETE FROM gone WHERE rule = ? AND key <= ?");
    sql_int(&q, rule);
    sql_span(&q, through);
    return sql_run(&q);
}
