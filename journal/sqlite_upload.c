/* SQLite backend: open uploads and their accepted parts. */
#include "journal/sqlite_impl.h"

#define UPLOAD_COLUMNS                                                                             \
    "rule, key, upload_id, state, endpoint, bucket, dest_key, source_etag, source_version,"        \
    " source_mtime_ms, source_read_ms, size, part_size, created_ms, intended_ms,"                  \
    " next_try_ms, attempts"

#define INSERT_UPLOAD                                                                              \
    "INSERT INTO uploads (" UPLOAD_COLUMNS ")"                                                     \
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT "

static int insert_upload(struct backend *b, const char *text, const struct upload *in,
                         enum upload_state state)
{
    struct sql q = sql_start(b, text);
    sql_int(&q, in->rule);
    sql_span(&q, in->key);
    sql_span(&q, in->upload_id.ptr != NULL ? in->upload_id : span_of("", 0));
    sql_int(&q, state);
    sql_span(&q, in->endpoint);
    sql_span(&q, in->bucket);
    sql_span(&q, in->dest_key);
    sql_span(&q, in->source_etag);
    sql_span(&q, in->source_version);
    sql_int(&q, in->source_mtime_ms);
    sql_int(&q, in->source_read_ms);
    sql_u64(&q, in->size);
    sql_u64(&q, in->part_size);
    sql_int(&q, in->created_ms);
    sql_int(&q, in->created_ms); /* intended */
    sql_int(&q, in->next_try_ms);
    sql_int(&q, in->attempts);
    return sql_run(&q);
}

/* An intention that stands is of a Create without an answer, which the server may be at still: it
 * goes on from its own beginning. */
int sqlite_upload_intend(struct backend *b, const struct upload *in)
{
    struct upload intent = *in;
    intent.upload_id = span_of("", 0);
    intent.next_try_ms = in->created_ms + UPLOAD_CREATE_WAIT_MS;
    return insert_upload(b,
                         INSERT_UPLOAD
                         "(rule, key, upload_id) DO UPDATE SET state = excluded.state,"
                         " endpoint = excluded.endpoint, bucket = excluded.bucket,"
                         " dest_key = excluded.dest_key,"
                         " intended_ms = max(excluded.created_ms, uploads.created_ms + 1),"
                         " next_try_ms = excluded.next_try_ms, attempts = 0",
                         &intent, UPLOAD_INTENDED);
}

/* The last Create was answered. What an earlier one may have made is looked for. */
static int answer_intent(struct backend *b, uint32_t rule, struct span key)
{
    static const char *const texts[] = {
        "DELETE FROM uploads WHERE rule = ? AND key = ? AND upload_id = x''"
        " AND intended_ms = created_ms",
        "UPDATE uploads SET state = 3 WHERE rule = ? AND key = ? AND upload_id = x''"};
    int r = 0;
    for (size_t i = 0; r >= 0 && i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct sql q = sql_start(b, texts[i]);
        sql_int(&q, rule);
        sql_span(&q, key);
        r = sql_run(&q);
    }
    return r;
}

int sqlite_upload_open(struct backend *b, const struct upload *in)
{
    int r = answer_intent(b, in->rule, in->key);
    return r < 0 ? r : insert_upload(b, INSERT_UPLOAD "DO NOTHING", in, UPLOAD_OPEN);
}

int sqlite_intent_end(struct backend *b, uint32_t rule, struct span key, int64_t due_ms)
{
    struct sql q = sql_start(b, "DELETE FROM uploads WHERE rule = ? AND key = ?"
                                " AND upload_id = x'' AND next_try_ms <= ?");
    sql_int(&q, rule);
    sql_span(&q, key);
    sql_int(&q, due_ms);
    return sql_run(&q);
}

int sqlite_part_done(struct backend *b, uint32_t rule, struct span key, struct span upload_id,
                     const struct upload_part *part)
{
    struct sql q = sql_start(b, "INSERT INTO parts SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7"
                                " WHERE EXISTS (SELECT 1 FROM uploads WHERE rule = ?1 AND key = ?2"
                                " AND upload_id = ?3) ON CONFLICT (rule, key, upload_id, number)"
                                " DO UPDATE SET size = excluded.size, etag = excluded.etag,"
                                " checksum = excluded.checksum");
    sql_int(&q, rule);
    sql_span(&q, key);
    sql_span(&q, upload_id);
    sql_int(&q, part->number);
    sql_u64(&q, part->size);
    sql_span(&q, part->etag);
    sql_span(&q, part->checksum);
    int r = sql_run(&q);
    if (r < 0 || sqlite_changes(b) != 1) {
        return r < 0 ? r : REPL_ENOTFOUND;
    }
    struct counts_delta d = {.sent_bytes = (int64_t)part->bytes_sent};
    return counts_apply(b, rule, &d);
}

int sqlite_upload_set(struct backend *b, uint32_t rule, struct span key, struct span upload_id,
                      enum upload_state state, int64_t next_try_ms, uint32_t attempts)
{
    struct sql q = sql_start(b, "UPDATE uploads SET state = ?, next_try_ms ="
                                " CASE upload_id WHEN x'' THEN max(next_try_ms, ?) ELSE ? END,"
                                " attempts = ?"
                                " WHERE rule = ? AND key = ? AND upload_id = ?");
    sql_int(&q, state);
    sql_int(&q, next_try_ms);
    sql_int(&q, next_try_ms);
    sql_int(&q, attempts);
    sql_int(&q, rule);
    sql_span(&q, key);
    sql_span(&q, upload_id.ptr != NULL ? upload_id : span_of("", 0));
    int r = sql_run(&q);
    return r < 0 ? r : sqlite_changes(b) == 1 ? 0 : REPL_ENOTFOUND;
}

static int delete_named(struct backend *b, const char *text, uint32_t rule, struct span key,
                        struct span upload_id)
{
    struct sql q = sql_start(b, text);
    sql_int(&q, rule);
    sql_span(&q, key);
    sql_span(&q, upload_id.ptr != NULL ? upload_id : span_of("", 0));
    return sql_run(&q);
}

int sqlite_upload_end(struct backend *b, uint32_t rule, struct span key, struct span upload_id)
{
    static const char parts[] = "DELETE FROM parts WHERE rule = ? AND key = ? AND upload_id = ?";
    static const char upload[] = "DELETE FROM uploads WHERE rule = ? AND key = ?"
                                 " AND upload_id = ?";
    if (upload_id.len == 0) {
        return answer_intent(b, rule, key);
    }
    int r = delete_named(b, parts, rule, key, upload_id);
    return r < 0 ? r : delete_named(b, upload, rule, key, upload_id);
}

int sqlite_upload_find(struct backend *b, struct span endpoint, struct span bucket,
                       struct span upload_id)
{
    struct sql q = sql_start(b, "SELECT 1 FROM uploads WHERE upload_id = ? AND endpoint = ?"
                                " AND bucket = ? LIMIT 1");
    sql_span(&q, upload_id);
    sql_span(&q, endpoint);
    sql_span(&q, bucket);
    int found = sql_step(&q);
    int r = sql_done(&q);
    return r < 0 || found == 1 ? r : REPL_ENOTFOUND;
}

static void read_upload(struct sql *q, struct arena *a, struct upload *ret)
{
    ret->rule = (uint32_t)sql_get_int(q);
    ret->key = sql_get_span(q, a);
    ret->upload_id = sql_get_span(q, a);
    ret->state = (enum upload_state)sql_get_int(q);
    ret->endpoint = sql_get_span(q, a);
    ret->bucket = sql_get_span(q, a);
    ret->dest_key = sql_get_span(q, a);
    ret->source_etag = sql_get_span(q, a);
    ret->source_version = sql_get_span(q, a);
    ret->source_mtime_ms = sql_get_int(q);
    ret->source_read_ms = sql_get_int(q);
    ret->size = sql_get_u64(q);
    ret->part_size = sql_get_u64(q);
    ret->created_ms = sql_get_int(q);
    ret->intended_ms = sql_get_int(q);
    ret->next_try_ms = sql_get_int(q);
    ret->attempts = (uint32_t)sql_get_int(q);
}

static int count_parts(struct backend *b, struct upload *u)
{
    struct sql q = sql_start(b, "SELECT count(*), coalesce(sum(size), 0) FROM parts"
                                " WHERE rule = ? AND key = ? AND upload_id = ?");
    sql_int(&q, u->rule);
    sql_span(&q, u->key);
    sql_span(&q, u->upload_id);
    if (sql_step(&q) == 1) {
        u->part_count = (size_t)sql_get_u64(&q);
        u->bytes_done = sql_get_u64(&q);
    }
    return sql_done(&q);
}

static int load_parts(struct backend *b, struct arena *a, struct upload *u)
{
    int r = count_parts(b, u);
    if (r < 0 || u->part_count == 0) {
        return r;
    }
    struct upload_part *parts = arena_alloc(a, u->part_count * sizeof(*parts));
    struct sql q = sql_start(b, "SELECT number, size, etag, checksum FROM parts WHERE rule = ?"
                                " AND key = ? AND upload_id = ? ORDER BY number");
    size_t n = 0;
    sql_int(&q, u->rule);
    sql_span(&q, u->key);
    sql_span(&q, u->upload_id);
    while (n < u->part_count && sql_step(&q) == 1) {
        parts[n].number = (uint32_t)sql_get_int(&q);
        parts[n].size = sql_get_u64(&q);
        parts[n].etag = sql_get_span(&q, a);
        parts[n++].checksum = sql_get_span(&q, a);
    }
    u->parts = parts;
    u->part_count = n;
    return sql_done(&q);
}

/* The upload that a copy of this key may go on with; *ret NULL when there is none. */
int sqlite_upload_of(struct backend *b, struct arena *a, uint32_t rule, struct span key,
                     const struct upload **ret)
{
    struct upload *u = NULL;
    struct sql q = sql_start(b, "SELECT " UPLOAD_COLUMNS " FROM uploads WHERE rule = ? AND key = ?"
                                " AND state <> 3 ORDER BY state DESC, created_ms DESC LIMIT 1");
    sql_int(&q, rule);
    sql_span(&q, key);
    if (sql_step(&q) == 1) {
        u = arena_alloc(a, sizeof(*u));
        read_upload(&q, a, u);
    }
    int r = sql_done(&q);
    if (r == 0 && u != NULL) {
        r = load_parts(b, a, u);
    }
    *ret = u;
    return r;
}

int sqlite_upload_page(struct backend *b, struct arena *a, int state, int64_t due_ms,
                       const struct upload *after, size_t limit, struct upload **ret, size_t *ret_n)
{
    limit = limit < BACKEND_PAGE_MAX ? limit : BACKEND_PAGE_MAX;
    struct upload *list = arena_alloc(a, (limit > 0 ? limit : 1) * sizeof(*list));
    struct sql q =
        sql_start(b, "SELECT " UPLOAD_COLUMNS " FROM uploads WHERE (?1 < 0 OR state = ?1)"
                     " AND next_try_ms <= ?2 AND (rule, key, upload_id) > (?3, ?4, ?5)"
                     " ORDER BY rule, key, upload_id LIMIT ?6");
    size_t n = 0;
    sql_int(&q, state);
    sql_int(&q, due_ms);
    sql_int(&q, after != NULL ? after->rule : 0);
    sql_span(&q, after != NULL ? after->key : span_of("", 0));
    sql_span(&q, after != NULL && after->upload_id.ptr != NULL ? after->upload_id : span_of("", 0));
    sql_u64(&q, limit);
    while (n < limit && sql_step(&q) == 1) {
        read_upload(&q, a, &list[n++]);
    }
    int r = sql_done(&q);
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = count_parts(b, &list[i]);
    }
    *ret = list;
    *ret_n = n;
    return r;
}
