/* SQLite backend: watermarks of prefixes. A task carries the number of the longest prefix that its
 * key has, so that the oldest of each is found by an index, however many are pending. Numbers go by
 * the order of the prefixes, in which those that lie within one follow it. When the prefixes of a
 * rule change, all its tasks are numbered anew, page by page. */
#include "journal/sqlite_impl.h"

#define ALL_MARKED ((struct span){0})

/* ---- the set ---- */

static int count_of(struct backend *b, uint32_t rule, size_t *ret)
{
    struct sql q = sql_start(b, "SELECT count(*) FROM prefixes WHERE rule = ?");
    sql_int(&q, rule);
    *ret = sql_step(&q) == 1 ? (size_t)sql_get_u64(&q) : 0;
    return sql_done(&q);
}

/* Whether these are the prefixes that the rule has. Named twice counts once. */
static int is_same_set(struct backend *b, uint32_t rule, const struct span *prefixes, size_t n)
{
    size_t have, named = 0;
    int r = count_of(b, rule, &have);
    if (r < 0 || (n == 0 && have == 0)) {
        return r < 0 ? r : 1;
    }
    for (size_t i = 0; i < n; i++) {
        struct sql q = sql_start(b, "SELECT 1 FROM prefixes WHERE rule = ? AND prefix = ?");
        sql_int(&q, rule);
        sql_span(&q, prefixes[i]);
        named += sql_step(&q) == 1;
        if ((r = sql_done(&q)) < 0) {
            return r;
        }
    }
    return named == n && have == n;
}

static int run_for_rule(struct backend *b, const char *text, uint32_t rule)
{
    struct sql q = sql_start(b, text);
    sql_int(&q, rule);
    return sql_run(&q);
}

static int keep_prefix(struct backend *b, uint32_t rule, struct span prefix)
{
    struct sql q = sql_start(b, "INSERT INTO prefixes (rule, prefix, mark) VALUES (?, ?, 1)"
                                " ON CONFLICT (rule, prefix) DO UPDATE SET mark = 1");
    sql_int(&q, rule);
    sql_span(&q, prefix);
    return sql_run(&q);
}

int sqlite_prefixes_set(struct backend *b, uint32_t rule, const struct span *prefixes, size_t n)
{
    int r = is_same_set(b, rule, prefixes, n);
    if (r != 0) {
        return r < 0 ? r : 0;
    }
    r = run_for_rule(b, "UPDATE prefixes SET mark = 0 WHERE rule = ?", rule);
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = keep_prefix(b, rule, prefixes[i]);
    }
    if (r == 0) {
        r = run_for_rule(b, "DELETE FROM prefixes WHERE rule = ? AND mark = 0", rule);
    }
    if (r == 0) {
        r = run_for_rule(b,
                         "UPDATE prefixes SET mark = (SELECT count(*) FROM prefixes AS p"
                         " WHERE p.rule = prefixes.rule AND p.prefix <= prefixes.prefix)"
                         " WHERE rule = ?",
                         rule);
    }
    return r == 0 ? run_for_rule(b, "UPDATE rules SET marked_key = x'' WHERE rule = ?", rule) : r;
}

/* ---- which one a key has ---- */

int marks_load(struct backend *b, struct arena *a, uint32_t rule, struct marks *ret)
{
    ret->count = 0;
    struct sql q = sql_start(b, "SELECT prefix, watermark_ms FROM prefixes WHERE rule = ?"
                                " ORDER BY prefix");
    sql_int(&q, rule);
    while (ret->count < PREFIXES_MAX && sql_step(&q) == 1) {
        struct mark *m = &ret->marks[ret->count++];
        m->prefix = sql_get_span(&q, a);
        m->watermark_ms = sql_get_int(&q);
    }
    return sql_done(&q);
}

uint32_t marks_find(const struct marks *m, struct span key)
{
    for (size_t i = m->count; i > 0; i--) {
        if (span_starts_with(key, m->marks[i - 1].prefix)) {
            return (uint32_t)i;
        }
    }
    return 0;
}

/* ---- numbering anew ---- */

/* The last key that was looked at; absent: all were. */
static int read_marked(struct backend *b, struct arena *a, uint32_t rule, struct span *ret)
{
    struct sql q = sql_start(b, "SELECT marked_key FROM rules WHERE rule = ?");
    sql_int(&q, rule);
    *ret = sql_step(&q) == 1 ? sql_get_span(&q, a) : ALL_MARKED;
    return sql_done(&q);
}

static int write_marked(struct backend *b, uint32_t rule, struct span key)
{
    struct sql q = sql_start(b, "UPDATE rules SET marked_key = ? WHERE rule = ?");
    sql_span(&q, key);
    sql_int(&q, rule);
    return sql_run(&q);
}

static int mark_task(struct backend *b, uint32_t rule, struct span key, uint32_t mark)
{
    struct sql q = sql_start(b, "UPDATE tasks SET mark = ?1 WHERE rule = ?2 AND key = ?3"
                                " AND mark <> ?1");
    sql_int(&q, mark);
    sql_int(&q, rule);
    sql_span(&q, key);
    return sql_run(&q);
}

static int read_keys(struct backend *b, struct arena *a, uint32_t rule, struct span after,
                     size_t limit, struct span *ret, size_t *ret_n)
{
    size_t n = 0;
    struct sql q =
        sql_start(b, "SELECT key FROM tasks WHERE rule = ? AND key > ? ORDER BY key LIMIT ?");
    sql_int(&q, rule);
    sql_span(&q, after);
    sql_u64(&q, limit);
    while (n < limit && sql_step(&q) == 1) {
        ret[n++] = sql_get_span(&q, a);
    }
    *ret_n = n;
    return sql_done(&q);
}

static int mark_page(struct backend *b, struct arena *a, uint32_t rule, struct span after,
                     size_t limit)
{
    struct marks marks;
    size_t n;
    struct span *keys = arena_alloc(a, (limit + 1) * sizeof(*keys));
    int r = marks_load(b, a, rule, &marks);
    if (r == 0) {
        r = read_keys(b, a, rule, after, limit, keys, &n);
    }
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = mark_task(b, rule, keys[i], marks_find(&marks, keys[i]));
    }
    return r == 0 ? write_marked(b, rule, n < limit ? ALL_MARKED : keys[n - 1]) : r;
}

int sqlite_prefixes_mark(struct backend *b, uint32_t rule, size_t limit)
{
    struct arena a;
    struct span after;
    arena_init(&a);
    int r = read_marked(b, &a, rule, &after);
    if (r == 0 && after.ptr != NULL) {
        r = mark_page(b, &a, rule, after, limit);
    }
    arena_done(&a);
    return r;
}

/* ---- lag ---- */

static int oldest_of_mark(struct backend *b, struct arena *a, uint32_t rule, size_t mark,
                          int origin, struct prefix_lag *ret)
{
    for (int state = TASK_READY; state <= TASK_HELD; state++) {
        struct sql q = sql_start(b, "SELECT oldest_ms, key, " SQLITE_FAIL_NOW
                                    " FROM tasks WHERE rule = ? AND mark = ?"
                                    " AND mark > 0 AND origin = ? AND state = ?"
                                    " ORDER BY oldest_ms LIMIT 1");
        sql_int(&q, rule);
        sql_u64(&q, mark);
        sql_int(&q, origin);
        sql_int(&q, state);
        if (sql_step(&q) == 1) {
            int64_t ms = sql_get_int(&q);
            ret->unfinished_ms = ms < ret->unfinished_ms ? ms : ret->unfinished_ms;
            if (origin == TASK_LIVE && (!ret->any || ms < ret->oldest_ms)) {
                ret->any = true;
                ret->oldest_ms = ms;
                ret->key = sql_get_span(&q, a);
                ret->why = sqlite_fail_text(sql_get_span(&q, NULL), a);
                ret->state = (enum task_state)state;
            }
        }
        int r = sql_done(&q);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

/* Those within another one follow it: from the last to the first each has all of its own. */
static void add_inner(struct prefix_lag *list, size_t n)
{
    for (size_t i = n; i-- > 0;) {
        struct prefix_lag *p = &list[i];
        for (size_t k = i + 1; k < n && span_starts_with(list[k].prefix, p->prefix); k++) {
            const struct prefix_lag *in = &list[k];
            p->unfinished_ms =
                in->unfinished_ms < p->unfinished_ms ? in->unfinished_ms : p->unfinished_ms;
            if (in->any && (!p->any || in->oldest_ms < p->oldest_ms)) {
                p->any = true;
                p->oldest_ms = in->oldest_ms;
                p->key = in->key;
                p->why = in->why;
                p->state = in->state;
            }
        }
    }
}

static int read_prefixes(struct backend *b, struct arena *a, uint32_t rule, struct prefix_lag *list,
                         size_t *ret_n)
{
    size_t n = 0;
    struct sql q = sql_start(b, "SELECT prefix, watermark_ms, proven_ms FROM prefixes"
                                " WHERE rule = ? ORDER BY prefix");
    sql_int(&q, rule);
    while (n < PREFIXES_MAX && sql_step(&q) == 1) {
        struct prefix_lag *p = &list[n++];
        memset(p, 0, sizeof(*p));
        p->prefix = sql_get_span(&q, a);
        p->watermark_ms = sql_get_int(&q);
        p->proven_ms = sql_get_int(&q);
        p->unfinished_ms = INT64_MAX;
    }
    *ret_n = n;
    return sql_done(&q);
}

int sqlite_prefixes_list(struct backend *b, struct arena *a, uint32_t rule, struct prefix_list *ret)
{
    struct span marked;
    struct prefix_lag *list = arena_alloc(a, PREFIXES_MAX * sizeof(*list));
    memset(ret, 0, sizeof(*ret));
    int r = read_prefixes(b, a, rule, list, &ret->count);
    if (r == 0 && ret->count > 0) {
        r = read_marked(b, a, rule, &marked);
        ret->sorting = r == 0 && marked.ptr != NULL;
    }
    for (size_t i = 0; r == 0 && !ret->sorting && i < ret->count; i++) {
        r = oldest_of_mark(b, a, rule, i + 1, TASK_LIVE, &list[i]);
        if (r == 0) {
            r = oldest_of_mark(b, a, rule, i + 1, TASK_BACKFILL, &list[i]);
        }
    }
    add_inner(list, ret->count);
    ret->prefixes = list;
    return r;
}

int sqlite_prefix_put(struct backend *b, uint32_t rule, struct span prefix, int64_t watermark_ms,
                      int64_t proven_ms)
{
    struct sql q = sql_start(b, "UPDATE prefixes SET watermark_ms = max(watermark_ms, ?),"
                                " proven_ms = max(proven_ms, ?) WHERE rule = ? AND prefix = ?");
    sql_int(&q, watermark_ms);
    sql_int(&q, proven_ms);
    sql_int(&q, rule);
    sql_span(&q, prefix);
    return sql_run(&q);
}
