/* SQLite backend: how attempts end. */
#include "journal/sqlite_impl.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- failures as one blob: members separated by 0x1f ---- */

struct span sqlite_fail_pack(const struct fail *f, char *to, size_t size)
{
    if (f->code == 0) {
        return span_of(NULL, 0);
    }
    int n = snprintf(to, size, "%d\x1f%d\x1f%s\x1f%s\x1f%s\x1f%s", f->code, f->http_status,
                     f->server_code, f->request_id, f->text, f->hint);
    return span_of(to, n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1);
}

void sqlite_fail_unpack(struct span packed, struct fail *ret)
{
    char number[16];
    memset(ret, 0, sizeof(*ret));
    if (packed.ptr == NULL) {
        return;
    }
    struct span member = span_cut(&packed, '\x1f'); /* SPAN_ARG() looks at its argument twice */
    snprintf(number, sizeof(number), "%.*s", SPAN_ARG(member));
    ret->code = atoi(number);
    member = span_cut(&packed, '\x1f');
    snprintf(number, sizeof(number), "%.*s", SPAN_ARG(member));
    ret->http_status = atoi(number);
    struct {
        char *to;
        size_t size;
    } texts[] = {{ret->server_code, sizeof(ret->server_code)},
                 {ret->request_id, sizeof(ret->request_id)},
                 {ret->text, sizeof(ret->text)},
                 {ret->hint, sizeof(ret->hint)}};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        member = span_cut(&packed, '\x1f');
        snprintf(texts[i].to, texts[i].size, "%.*s", SPAN_ARG(member));
    }
}

struct span sqlite_fail_text(struct span packed, struct arena *a)
{
    struct fail f;
    sqlite_fail_unpack(packed, &f);
    return f.code == 0 ? span_of(NULL, 0) : arena_span(a, span_str(f.text));
}

/* ---- history and replicas ---- */

int sqlite_history_put(struct backend *b, const struct history_entry *h)
{
    char packed[sizeof(struct fail) + 64];
    struct sql q = sql_start(b, "INSERT INTO history (rule, key, outcome, at_ms, latency_ms, bytes,"
                                " fail) VALUES (?, ?, ?, ?, ?, ?, ?)");
    sql_int(&q, h->rule);
    sql_span(&q, h->key);
    sql_int(&q, h->outcome);
    sql_int(&q, h->at_ms);
    sql_int(&q, h->latency_ms);
    sql_u64(&q, h->bytes);
    sql_span(&q, sqlite_fail_pack(&h->fail, packed, sizeof(packed)));
    return sql_run(&q);
}

int sqlite_replica_drop(struct backend *b, uint32_t rule, struct span key, struct counts_delta *d)
{
    struct sql q = sql_start(b, "DELETE FROM replicas WHERE rule = ? AND key = ? RETURNING size");
    sql_int(&q, rule);
    sql_span(&q, key);
    if (sql_step(&q) == 1) {
        d->replicas--;
        d->replica_bytes -= sql_get_int(&q);
        sql_step(&q);
    }
    return sql_done(&q);
}

static int put_replica(struct backend *b, const struct finish *in, struct counts_delta *d)
{
    const struct replica *r = in->replica;
    int error = sqlite_replica_drop(b, in->rule, in->key, d);
    if (error < 0 || r == NULL) {
        return error;
    }
    struct sql q = sql_start(b, "INSERT INTO replicas VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    sql_int(&q, in->rule);
    sql_span(&q, in->key);
    sql_span(&q, r->source_etag);
    sql_span(&q, r->source_version);
    sql_int(&q, r->source_mtime_ms);
    sql_u64(&q, r->size);
    sql_span(&q, r->dest_etag);
    sql_span(&q, r->dest_version);
    sql_int(&q, r->verified_ms);
    sql_int(&q, r->source_read_ms);
    sql_span(&q, r->sequencer);
    d->replicas++;
    d->replica_bytes += (int64_t)r->size;
    return sql_run(&q);
}

/* The newest mark, or 0. */
static int newest_mark(struct backend *b, const struct finish *in, uint64_t *ret)
{
    struct sql q = sql_start(b, "SELECT max(at) FROM versions WHERE rule = ? AND key = ?");
    sql_int(&q, in->rule);
    sql_span(&q, in->key);
    *ret = sql_step(&q) == 1 ? sql_get_u64(&q) : 0;
    return sql_done(&q);
}

/* Those that are too many, and the one that there was of this version. */
static int drop_marks(struct backend *b, const struct finish *in, uint64_t at)
{
    struct sql q = sql_start(b, "DELETE FROM versions WHERE rule = ?1 AND key = ?2"
                                " AND (at <= ?3 - ?4 OR version_id = ?5)");
    sql_int(&q, in->rule);
    sql_span(&q, in->key);
    sql_u64(&q, at);
    sql_int(&q, VERSION_MARKS_MAX);
    sql_span(&q, in->version->version_id);
    return sql_run(&q);
}

static int put_mark(struct backend *b, const struct finish *in)
{
    uint64_t at;
    int r = newest_mark(b, in, &at);
    r = r == 0 ? drop_marks(b, in, at + 1) : r;
    if (r < 0) {
        return r;
    }
    const struct version_mark *m = in->version;
    struct sql q = sql_start(b, "INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
    sql_int(&q, in->rule);
    sql_span(&q, in->key);
    sql_u64(&q, at + 1);
    sql_span(&q, m->version_id);
    sql_span(&q, m->etag);
    sql_int(&q, m->mtime_ms);
    sql_int(&q, m->is_marker);
    sql_span(&q, m->dest_version);
    return sql_run(&q);
}

static int forget_marks(struct backend *b, const struct finish *in)
{
    struct sql q = sql_start(b, "DELETE FROM versions WHERE rule = ? AND key = ?");
    sql_int(&q, in->rule);
    sql_span(&q, in->key);
    return sql_run(&q);
}

static int record_versions(struct backend *b, const struct finish *in)
{
    if (in->no_versions) {
        return forget_marks(b, in);
    }
    return in->version != NULL ? put_mark(b, in) : 0;
}

static int observe_latency(struct backend *b, const struct finish *in)
{
    double seconds = (double)in->latency_ms / 1000;
    int bucket = 0;
    while (bucket < STAT_LATENCY_BUCKETS && seconds > stat_latency_bounds[bucket]) {
        bucket++;
    }
    struct sql q = sql_start(b, "INSERT INTO latency VALUES (?, ?, 1)"
                                " ON CONFLICT (rule, bucket) DO UPDATE SET n = n + 1");
    sql_int(&q, in->rule);
    sql_int(&q, bucket);
    int r = sql_run(&q);
    if (r < 0) {
        return r;
    }
    q = sql_start(b, "UPDATE counts SET latency_sum_s = latency_sum_s + ? WHERE rule = ?");
    sql_double(&q, seconds);
    sql_int(&q, in->rule);
    return sql_run(&q);
}

/* ---- the task's row ---- */

struct row {
    enum task_state state;
    enum task_origin origin;
    int64_t size;
    int64_t oldest_ms;
    int64_t next_oldest_ms;
    uint64_t seq;
    uint64_t epoch;
    uint32_t attempts;
    enum change_kind kind;
    bool confirmed;
};

static int read_row(struct backend *b, uint32_t rule, struct span key, struct row *ret)
{
    struct sql q = sql_start(b, "SELECT state, origin, size, oldest_ms, next_oldest_ms, seq, epoch,"
                                " attempts, kind, confirmed FROM tasks"
                                " WHERE rule = ? AND key = ?");
    sql_int(&q, rule);
    sql_span(&q, key);
    int found = sql_step(&q);
    if (found == 1) {
        ret->state = (enum task_state)sql_get_int(&q);
        ret->origin = (enum task_origin)sql_get_int(&q);
        ret->size = sql_get_int(&q);
        ret->oldest_ms = sql_get_int(&q);
        ret->next_oldest_ms = sql_get_int(&q);
        ret->seq = sql_get_u64(&q);
        ret->epoch = sql_get_u64(&q);
        ret->attempts = (uint32_t)sql_get_int(&q);
        ret->kind = (enum change_kind)sql_get_int(&q);
        ret->confirmed = sql_get_int(&q) != 0;
    }
    int r = sql_done(&q);
    return r < 0 ? r : found == 1 ? 0 : REPL_ENOTFOUND;
}

static int delete_row(struct backend *b, uint32_t rule, struct span key)
{
    struct sql q = sql_start(b, "DELETE FROM tasks WHERE rule = ? AND key = ?");
    sql_int(&q, rule);
    sql_span(&q, key);
    return sql_run(&q);
}

static int set_row(struct backend *b, const struct finish *in, enum task_state state,
                   int64_t oldest_ms, uint32_t attempts)
{
    char packed[sizeof(struct fail) + 64];
    bool failed = in->outcome == FINISH_RETRY || in->outcome == FINISH_FAILED;
    struct sql q = sql_start(b, "UPDATE tasks SET state = ?, oldest_ms = ?, next_oldest_ms = NULL,"
                                " attempts = ?, next_try_ms = ?, fail = coalesce(?, fail)"
                                " WHERE rule = ? AND key = ?");
    sql_int(&q, state);
    sql_int(&q, oldest_ms);
    sql_int(&q, attempts);
    sql_int(&q, state == TASK_WAITING ? in->next_try_ms : 0);
    sql_span(&q, failed ? sqlite_fail_pack(&in->fail, packed, sizeof(packed)) : span_of(NULL, 0));
    sql_int(&q, in->rule);
    sql_span(&q, in->key);
    return sql_run(&q);
}

static bool is_success(enum finish_outcome o)
{
    return o == FINISH_DONE || o == FINISH_DELETED || o == FINISH_SKIPPED;
}

static void count_outcome(const struct finish *in, struct counts_delta *d)
{
    d->sent_bytes += (int64_t)in->bytes_sent;
    d->done_objects += in->outcome == FINISH_DONE;
    d->done_bytes += in->outcome == FINISH_DONE ? (int64_t)in->bytes : 0;
    d->deleted_objects += in->outcome == FINISH_DELETED;
    d->skipped_objects += in->outcome == FINISH_SKIPPED;
    d->retries += in->outcome == FINISH_RETRY;
}

/* What one rule has done is what the other way's finds. */
static int record_mirror(struct backend *b, const struct finish *in)
{
    struct counts_delta d;
    struct finish mirror = *in;
    mirror.rule = in->mirror_rule;
    mirror.key = in->mirror_key;
    mirror.replica = in->mirror;
    int r = counts_begin(b, mirror.rule, &d);
    if (r == 0) {
        r = in->replica != NULL ? put_replica(b, &mirror, &d)
                                : sqlite_replica_drop(b, mirror.rule, mirror.key, &d);
    }
    return r == 0 ? counts_apply(b, mirror.rule, &d) : r;
}

/* Everything but the task's row. */
static int record_outcome(struct backend *b, const struct finish *in, struct counts_delta *d)
{
    int r = 0;
    count_outcome(in, d);
    bool found = in->outcome == FINISH_SKIPPED && in->replica != NULL;
    bool is_gone = in->outcome == FINISH_SKIPPED && in->no_replica;
    if (in->outcome == FINISH_DONE || found) {
        r = put_replica(b, in, d);
    } else if (in->outcome == FINISH_DELETED || is_gone) {
        r = sqlite_replica_drop(b, in->rule, in->key, d);
    }
    if (r == 0 && is_success(in->outcome)) {
        r = record_versions(b, in);
    }
    if (r == 0 && in->latency_ms >= 0 && is_success(in->outcome) && in->outcome != FINISH_SKIPPED) {
        r = observe_latency(b, in);
    }
    if (r < 0 || in->outcome == FINISH_RELEASED || in->outcome == FINISH_HELD) {
        return r;
    }
    struct history_entry h = {.rule = in->rule,
                              .key = in->key,
                              .outcome = in->outcome,
                              .at_ms = in->now_ms,
                              .latency_ms = in->latency_ms,
                              .bytes = in->bytes,
                              .fail = in->fail};
    return sqlite_history_put(b, &h);
}

static void count_row(struct counts_delta *d, const struct row *row, enum task_state state,
                      int64_t oldest_ms, int sign)
{
    bool is_delete = row->kind == CHANGE_DELETE && !row->confirmed;
    counts_task(d, &(struct counted){state, row->origin, row->size, oldest_ms, is_delete}, sign);
}

/* What was found to be a delete in work is one from now on, for whoever decides about it. */
static int hold_row(struct backend *b, const struct finish *in)
{
    struct sql q = sql_start(b, "UPDATE tasks SET kind = 2 WHERE rule = ? AND key = ?");
    sql_int(&q, in->rule);
    sql_span(&q, in->key);
    return sql_run(&q);
}

static int settle(struct backend *b, const struct finish *in, const struct row *row,
                  struct counts_delta *d, struct finish_result *ret)
{
    bool newer = row->seq != in->seq;
    enum task_state state = TASK_READY;
    int64_t oldest_ms = row->oldest_ms;
    uint32_t attempts = row->attempts;
    if (in->goes_on && is_success(in->outcome)) {
        ret->pending = true;
        return 0;
    }
    count_row(d, row, row->state, row->oldest_ms, -1);
    if (is_success(in->outcome)) {
        if (!newer && row->next_oldest_ms == 0) {
            ret->pending = false;
            return delete_row(b, in->rule, in->key);
        }
        oldest_ms = row->next_oldest_ms != 0 ? row->next_oldest_ms : row->oldest_ms;
    } else if (!newer && in->outcome == FINISH_RETRY) {
        state = TASK_WAITING;
        attempts++;
    } else if (!newer && in->outcome == FINISH_FAILED) {
        state = TASK_FAILED;
        attempts++;
    } else if (!newer && in->outcome == FINISH_HELD) {
        state = TASK_HELD;
    }
    ret->pending = state != TASK_FAILED && state != TASK_HELD;
    count_row(d, row, state, oldest_ms, 1);
    int r = set_row(b, in, state, oldest_ms, attempts);
    return r == 0 && state == TASK_HELD ? hold_row(b, in) : r;
}

int sqlite_finish(struct backend *b, const struct finish *in, struct finish_result *ret)
{
    struct row row;
    struct counts_delta d;
    *ret = (struct finish_result){0};
    int r = read_row(b, in->rule, in->key, &row);
    if (r < 0 || (r = counts_begin(b, in->rule, &d)) < 0) {
        return r;
    }
    if (row.epoch != in->epoch || row.state != TASK_CLAIMED) {
        return REPL_ESTALE;
    }
    if ((r = settle(b, in, &row, &d, ret)) < 0 || (r = record_outcome(b, in, &d)) < 0) {
        return r;
    }
    if (in->outcome == FINISH_HELD) {
        r = sqlite_brake_put(b, in->rule, in->now_ms, in->why, &ret->brake_on);
    } else if (in->outcome == FINISH_DELETED && !row.confirmed && !in->takes_nothing) {
        r = sqlite_brake_count(b, in->rule, in->now_ms);
    }
    if (r == 0) {
        r = counts_apply(b, in->rule, &d);
    }
    return r == 0 && in->mirror_rule != 0 ? record_mirror(b, in) : r;
}

/* ---- an operator's word ---- */

static int move_failed(struct backend *b, uint32_t rule, const char *text, struct span key,
                       size_t limit, uint64_t *ret_n)
{
    struct counts_delta d;
    int r = counts_begin(b, rule, &d);
    if (r < 0) {
        return r;
    }
    struct sql q = sql_start(b, text);
    sql_int(&q, rule);
    if (key.ptr != NULL) {
        sql_span(&q, key);
    } else {
        sql_u64(&q, limit);
    }
    *ret_n = 0;
    while (sql_step(&q) == 1) {
        struct counted task = {.state = TASK_FAILED};
        task.origin = (enum task_origin)sql_get_int(&q);
        task.size = sql_get_int(&q);
        task.oldest_ms = sql_get_int(&q);
        task.is_delete = sql_get_int(&q) != 0;
        counts_task(&d, &task, -1);
        task.state = TASK_READY;
        counts_task(&d, &task, 1);
        ++*ret_n;
    }
    r = sql_done(&q);
    return r < 0 ? r : counts_apply(b, rule, &d);
}

int sqlite_task_retry(struct backend *b, uint32_t rule, struct span key, size_t limit,
                      uint64_t *ret_n)
{
    static const char one[] = "UPDATE tasks SET state = 0, attempts = 0, next_try_ms = 0"
                              " WHERE rule = ? AND key = ? AND state = 3"
                              " RETURNING origin, size, oldest_ms, kind = 2 AND confirmed = 0";
    static const char all[] = "UPDATE tasks SET state = 0, attempts = 0, next_try_ms = 0"
                              " WHERE rowid IN (SELECT rowid FROM tasks WHERE rule = ?"
                              " AND origin IN (0, 1) AND state = 3 LIMIT ?)"
                              " RETURNING origin, size, oldest_ms, kind = 2 AND confirmed = 0";
    int r = move_failed(b, rule, key.ptr != NULL ? one : all, key, limit, ret_n);
    return r == 0 && key.ptr != NULL && *ret_n == 0 ? REPL_ENOTFOUND : r;
}

int sqlite_task_drop(struct backend *b, uint32_t rule, struct span key, struct span reason,
                     int64_t now_ms)
{
    struct row row;
    struct counts_delta d;
    int r = read_row(b, rule, key, &row);
    if (r < 0 || (r = counts_begin(b, rule, &d)) < 0) {
        return r;
    }
    if (row.state == TASK_CLAIMED) {
        return REPL_ECONFLICT;
    }
    struct history_entry h = {
        .rule = rule, .key = key, .outcome = FINISH_SKIPPED, .at_ms = now_ms, .latency_ms = -1};
    fail_set(&h.fail, REPL_ECANCELED, "dropped by an operator: %.*s", SPAN_ARG(reason));
    count_row(&d, &row, row.state, row.oldest_ms, -1);
    d.skipped_objects++;
    if ((r = delete_row(b, rule, key)) < 0 || (r = sqlite_history_put(b, &h)) < 0) {
        return r;
    }
    return counts_apply(b, rule, &d);
}
