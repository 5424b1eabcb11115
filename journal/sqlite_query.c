/* SQLite backend: questions. */
#include "journal/sqlite_impl.h"

void sqlite_read_task(struct sql *q, struct arena *a, struct task *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->rule = (uint32_t)sql_get_int(q);
    ret->key = sql_get_span(q, a);
    ret->state = (enum task_state)sql_get_int(q);
    ret->origin = (enum task_origin)sql_get_int(q);
    ret->kind = (enum change_kind)sql_get_int(q);
    ret->version_id = sql_get_span(q, a);
    ret->etag = sql_get_span(q, a);
    ret->sequencer = sql_get_span(q, a);
    ret->feed = sql_get_span(q, a);
    ret->size = sql_get_int(q);
    ret->event_time_ms = sql_get_int(q);
    ret->oldest_ms = sql_get_int(q);
    ret->accepted_ms = sql_get_int(q);
    ret->seq = sql_get_u64(q);
    ret->attempts = (uint32_t)sql_get_int(q);
    ret->next_try_ms = sql_get_int(q);
    sqlite_fail_unpack(sql_get_span(q, NULL), &ret->fail);
    ret->epoch = sql_get_u64(q);
    ret->confirmed = sql_get_int(q) != 0;
}

int sqlite_load_details(struct backend *b, struct arena *a, struct task *t)
{
    struct replica replica;
    int r = sqlite_upload_of(b, a, t->rule, t->key, &t->upload);
    if (r == 0 && (r = sqlite_replica_get(b, a, t->rule, t->key, &replica)) == 0) {
        struct replica *copy = arena_alloc(a, sizeof(*copy));
        *copy = replica;
        t->replica = copy;
    }
    return r == REPL_ENOTFOUND ? 0 : r;
}

int sqlite_task_get(struct backend *b, struct arena *a, uint32_t rule, struct span key,
                    struct task *ret)
{
    struct sql q = sql_start(b, "SELECT " TASK_COLUMNS " FROM tasks WHERE rule = ? AND key = ?");
    sql_int(&q, rule);
    sql_span(&q, key);
    int found = sql_step(&q);
    if (found == 1) {
        sqlite_read_task(&q, a, ret);
    }
    int r = sql_done(&q);
    if (r < 0 || found != 1) {
        return r < 0 ? r : REPL_ENOTFOUND;
    }
    return sqlite_load_details(b, a, ret);
}

int sqlite_version_marks(struct backend *b, struct arena *a, uint32_t rule, struct span key,
                         struct version_mark **ret, size_t *ret_n)
{
    size_t n = 0;
    struct version_mark *marks = arena_alloc(a, VERSION_MARKS_MAX * sizeof(*marks));
    struct sql q = sql_start(b, "SELECT version_id, etag, mtime_ms, marker, dest_version"
                                " FROM versions WHERE rule = ? AND key = ? ORDER BY at DESC");
    sql_int(&q, rule);
    sql_span(&q, key);
    while (n < VERSION_MARKS_MAX && sql_step(&q) == 1) {
        struct version_mark *m = &marks[n++];
        m->version_id = sql_get_span(&q, a);
        m->etag = sql_get_span(&q, a);
        m->mtime_ms = sql_get_int(&q);
        m->is_marker = sql_get_int(&q) != 0;
        m->dest_version = sql_get_span(&q, a);
    }
    *ret = marks;
    *ret_n = n;
    return sql_done(&q);
}

int sqlite_replica_get(struct backend *b, struct arena *a, uint32_t rule, struct span key,
                       struct replica *ret)
{
    struct sql q = sql_start(
        b, "SELECT source_etag, source_version, source_mtime_ms, size,"
           " dest_etag, dest_version, verified_ms, source_read_ms, sequencer FROM replicas"
           " WHERE rule = ? AND key = ?");
    sql_int(&q, rule);
    sql_span(&q, key);
    int found = sql_step(&q);
    if (found == 1) {
        ret->source_etag = sql_get_span(&q, a);
        ret->source_version = sql_get_span(&q, a);
        ret->source_mtime_ms = sql_get_int(&q);
        ret->size = sql_get_u64(&q);
        ret->dest_etag = sql_get_span(&q, a);
        ret->dest_version = sql_get_span(&q, a);
        ret->verified_ms = sql_get_int(&q);
        ret->source_read_ms = sql_get_int(&q);
        ret->sequencer = sql_get_span(&q, a);
    }
    int r = sql_done(&q);
    return r < 0 ? r : found == 1 ? 0 : REPL_ENOTFOUND;
}

static size_t page_limit(size_t limit)
{
    return limit > 0 && limit < BACKEND_PAGE_MAX ? limit : BACKEND_PAGE_MAX;
}

int sqlite_task_page(struct backend *b, struct arena *a, const struct task_filter *filter,
                     struct task **ret, size_t *ret_n)
{
    /* Few have failed or are held among many: the state stands in the text so that their own index
     * serves. */
    static const char held[] = "SELECT " TASK_COLUMNS " FROM tasks WHERE (?1 = 0 OR rule = ?1)"
                               " AND state = 4 AND ?2 = 4 AND (rule, key) > (?3, ?4)"
                               " ORDER BY rule, key LIMIT ?5";
    static const char failed[] = "SELECT " TASK_COLUMNS " FROM tasks WHERE (?1 = 0 OR rule = ?1)"
                                 " AND state = 3 AND ?2 = 3 AND (rule, key) > (?3, ?4)"
                                 " ORDER BY rule, key LIMIT ?5";
    static const char any[] = "SELECT " TASK_COLUMNS " FROM tasks WHERE (?1 = 0 OR rule = ?1)"
                              " AND (?2 < 0 OR state = ?2) AND (rule, key) > (?3, ?4)"
                              " ORDER BY rule, key LIMIT ?5";
    size_t limit = page_limit(filter->limit);
    struct task *list = arena_alloc(a, limit * sizeof(*list));
    size_t n = 0;
    struct sql q = sql_start(b, filter->state == TASK_FAILED ? failed
                                : filter->state == TASK_HELD ? held
                                                             : any);
    sql_int(&q, filter->rule);
    sql_int(&q, filter->state);
    sql_int(&q, filter->after_rule);
    sql_span(&q, filter->after_key.ptr != NULL ? filter->after_key : span_of("", 0));
    sql_u64(&q, limit);
    while (n < limit && sql_step(&q) == 1) {
        sqlite_read_task(&q, a, &list[n++]);
    }
    *ret = list;
    *ret_n = n;
    return sql_done(&q);
}

int sqlite_history_page(struct backend *b, struct arena *a, uint32_t rule, struct span key,
                        size_t limit, struct history_entry **ret, size_t *ret_n)
{
    static const char of_key[] =
        "SELECT rule, key, outcome, at_ms, latency_ms, bytes, fail"
        " FROM history WHERE rule = ? AND key = ? ORDER BY id DESC LIMIT ?";
    static const char of_rule[] = "SELECT rule, key, outcome, at_ms, latency_ms, bytes, fail"
                                  " FROM history WHERE rule = ? ORDER BY id DESC LIMIT ?";
    limit = page_limit(limit);
    struct history_entry *list = arena_alloc(a, limit * sizeof(*list));
    size_t n = 0;
    struct sql q = sql_start(b, key.ptr != NULL ? of_key : of_rule);
    sql_int(&q, rule);
    if (key.ptr != NULL) {
        sql_span(&q, key);
    }
    sql_u64(&q, limit);
    while (n < limit && sql_step(&q) == 1) {
        struct history_entry *h = &list[n++];
        h->rule = (uint32_t)sql_get_int(&q);
        h->key = sql_get_span(&q, a);
        h->outcome = (enum finish_outcome)sql_get_int(&q);
        h->at_ms = sql_get_int(&q);
        h->latency_ms = sql_get_int(&q);
        h->bytes = sql_get_u64(&q);
        sqlite_fail_unpack(sql_get_span(&q, NULL), &h->fail);
    }
    *ret = list;
    *ret_n = n;
    return sql_done(&q);
}

int sqlite_history_trim(struct backend *b, int64_t before_ms, size_t limit, uint64_t *ret_n)
{
    struct sql q = sql_start(b, "DELETE FROM history WHERE id IN"
                                " (SELECT id FROM history WHERE at_ms < ? ORDER BY at_ms LIMIT ?)");
    sql_int(&q, before_ms);
    sql_u64(&q, limit);
    int r = sql_run(&q);
    *ret_n = r == 0 ? sqlite_changes(b) : 0;
    return r;
}
