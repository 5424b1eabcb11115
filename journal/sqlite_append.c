/* SQLite backend: changes become tasks. One statement for the common case, a new key; the others
 * read the row first. */
#include "journal/sqlite_impl.h"

struct pending {
    enum task_state state;
    enum task_origin origin;
    struct span sequencer; /* a view of the statement's row */
    struct span feed;
    int64_t size;
    int64_t oldest_ms;
    int64_t next_oldest_ms; /* 0 = none */
};

/* Sequencers compare as hex strings padded with zeros on the right, for the same feed only. */
static int sequencer_cmp(struct span a, struct span b)
{
    size_t len = a.len > b.len ? a.len : b.len;
    for (size_t i = 0; i < len; i++) {
        unsigned char x = i < a.len ? (unsigned char)a.ptr[i] : '0';
        unsigned char y = i < b.len ? (unsigned char)b.ptr[i] : '0';
        x = x >= 'a' && x <= 'z' ? (unsigned char)(x - 32) : x;
        y = y >= 'a' && y <= 'z' ? (unsigned char)(y - 32) : y;
        if (x != y) {
            return x < y ? -1 : 1;
        }
    }
    return 0;
}

/* "webhook:a" and "webhook:b" number alike, "queue:a" does not. */
static struct span feed_kind(struct span feed)
{
    return span_cut(&feed, ':');
}

static bool is_older(const struct change *c, const struct pending *p)
{
    return c->sequencer.len > 0 && p->sequencer.len > 0 &&
           span_eq(feed_kind(c->feed), feed_kind(p->feed)) &&
           sequencer_cmp(c->sequencer, p->sequencer) < 0;
}

static int64_t event_time(const struct change *c, int64_t now_ms)
{
    return c->event_time_ms <= 0 || c->event_time_ms > now_ms ? now_ms : c->event_time_ms;
}

/* 1: was new and is inserted; 0: there is a row. */
static int insert_task(struct backend *b, const struct append_entry *e, uint64_t seq,
                       int64_t now_ms)
{
    const struct change *c = &e->change;
    int64_t event_ms = event_time(c, now_ms);
    struct sql q = sql_start(
        b, "INSERT INTO tasks (rule, key, state, origin, kind, version_id, etag, sequencer, feed,"
           " size, event_ms, oldest_ms, accepted_ms, seq)"
           " VALUES (?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING");
    sql_int(&q, e->rule);
    sql_span(&q, c->key);
    sql_int(&q, e->origin);
    sql_int(&q, c->kind);
    sql_span(&q, c->version_id);
    sql_span(&q, c->etag);
    sql_span(&q, c->sequencer);
    sql_span(&q, c->feed);
    sql_int(&q, c->size);
    sql_int(&q, event_ms);
    sql_int(&q, event_ms);
    sql_int(&q, now_ms);
    sql_u64(&q, seq);
    int r = sql_run(&q);
    return r < 0 ? r : (int)sqlite_changes(b);
}

/* Only what the change says about times and origin: the row keeps its newest change. */
static int join_older(struct backend *b, const struct append_entry *e, const struct pending *p,
                      int64_t oldest_ms)
{
    struct sql q = sql_start(b, "UPDATE tasks SET origin = ?, oldest_ms = ?,"
                                " state = CASE state WHEN 3 THEN 0 ELSE state END"
                                " WHERE rule = ? AND key = ?");
    sql_int(&q, p->origin == TASK_LIVE ? TASK_LIVE : e->origin);
    sql_int(&q, oldest_ms);
    sql_int(&q, e->rule);
    sql_span(&q, e->change.key);
    return sql_run(&q);
}

static int join_newer(struct backend *b, const struct append_entry *e, const struct pending *p,
                      int64_t oldest_ms, uint64_t seq, int64_t now_ms)
{
    const struct change *c = &e->change;
    int64_t event_ms = event_time(c, now_ms);
    bool claimed = p->state == TASK_CLAIMED;
    int64_t next_ms =
        p->next_oldest_ms != 0 && p->next_oldest_ms < event_ms ? p->next_oldest_ms : event_ms;
    struct sql q = sql_start(
        b, "UPDATE tasks SET state = ?, origin = ?, kind = ?, version_id = ?, etag = ?,"
           " sequencer = ?, feed = ?, size = ?, event_ms = ?, oldest_ms = ?, next_oldest_ms = ?,"
           " accepted_ms = ?, seq = ?, attempts = 0, next_try_ms = 0 WHERE rule = ? AND key = ?");
    sql_int(&q, claimed ? TASK_CLAIMED : TASK_READY);
    sql_int(&q, p->origin == TASK_LIVE ? TASK_LIVE : e->origin);
    sql_int(&q, c->kind);
    sql_span(&q, c->version_id);
    sql_span(&q, c->etag);
    sql_span(&q, c->sequencer);
    sql_span(&q, c->feed);
    sql_int(&q, c->size);
    sql_int(&q, event_ms);
    sql_int(&q, oldest_ms);
    sql_int(&q, claimed ? next_ms : 0);
    sql_int(&q, now_ms);
    sql_u64(&q, seq);
    sql_int(&q, e->rule);
    sql_span(&q, c->key);
    return sql_run(&q);
}

/* The oldest time that the task has not satisfied when the change has joined it. */
static int64_t oldest_of(const struct append_entry *e, const struct pending *p, bool older,
                         int64_t event_ms)
{
    bool turns_live = p->origin == TASK_BACKFILL && e->origin == TASK_LIVE;
    if (older && p->origin != e->origin) {
        return p->oldest_ms;
    }
    if (!older && turns_live) { /* it owes nothing for the time before */
        return event_ms;
    }
    return p->oldest_ms < event_ms ? p->oldest_ms : event_ms;
}

static int join_task(struct backend *b, const struct append_entry *e, uint64_t seq, int64_t now_ms,
                     struct counts_delta *d)
{
    const struct change *c = &e->change;
    int64_t event_ms = event_time(c, now_ms);
    struct sql q = sql_start(b, "SELECT state, origin, sequencer, feed, size, oldest_ms,"
                                " next_oldest_ms FROM tasks WHERE rule = ? AND key = ?");
    sql_int(&q, e->rule);
    sql_span(&q, c->key);
    if (sql_step(&q) != 1) {
        int r = sql_done(&q);
        return r < 0 ? r : REPL_EINTERNAL;
    }
    struct pending p;
    p.state = (enum task_state)sql_get_int(&q);
    p.origin = (enum task_origin)sql_get_int(&q);
    p.sequencer = sql_get_span(&q, NULL);
    p.feed = sql_get_span(&q, NULL);
    p.size = sql_get_int(&q);
    p.oldest_ms = sql_get_int(&q);
    p.next_oldest_ms = sql_get_int(&q);
    /* A listing tells nothing that a live task does not look up by itself, unless it has begun. */
    bool is_told = e->origin == TASK_LIVE && !e->listed;
    bool older = is_older(c, &p) || (!is_told && p.origin == TASK_LIVE && p.state != TASK_CLAIMED);
    int r = sql_done(&q);
    if (r < 0) {
        return r;
    }
    struct counted before = {p.state, p.origin, p.size, p.oldest_ms};
    struct counted after = {.state = p.state == TASK_CLAIMED ? TASK_CLAIMED : TASK_READY,
                            .origin = p.origin == TASK_LIVE ? TASK_LIVE : e->origin,
                            .size = older ? p.size : c->size,
                            .oldest_ms = oldest_of(e, &p, older, event_ms)};
    counts_task(d, &before, -1);
    counts_task(d, &after, 1);
    return older ? join_older(b, e, &p, after.oldest_ms)
                 : join_newer(b, e, &p, after.oldest_ms, seq, now_ms);
}

/* 1: the replica at the destination is of this very source object. */
static int is_replicated(struct backend *b, const struct append_entry *e)
{
    const struct change *c = &e->change;
    if ((e->origin != TASK_BACKFILL && !e->listed) || c->etag.len == 0) {
        return 0;
    }
    struct sql q = sql_start(b, "SELECT source_etag, source_mtime_ms, source_version FROM replicas"
                                " WHERE rule = ? AND key = ?");
    sql_int(&q, e->rule);
    sql_span(&q, c->key);
    bool same = false;
    if (sql_step(&q) == 1) {
        struct span etag = sql_get_span(&q, NULL);
        int64_t mtime_ms = sql_get_int(&q);
        same = sqlite_is_of(etag, mtime_ms, c->etag, e->listed ? c->event_time_ms : 0);
        struct span version = sql_get_span(&q, NULL);
        same =
            same && (c->version_id.len == 0 || version.len == 0 || span_eq(version, c->version_id));
    }
    int r = sql_done(&q);
    return r < 0 ? r : same;
}

static int read_sequence(struct backend *b, uint64_t *ret)
{
    struct sql q = sql_start(b, "SELECT seq FROM sequence");
    if (sql_step(&q) == 1) {
        *ret = sql_get_u64(&q);
    }
    return sql_done(&q);
}

static int take_sequence(struct backend *b, size_t count, uint64_t *ret_first)
{
    struct unwritten *u = &sqlite_of(b)->unwritten;
    int r = u->seq == 0 ? read_sequence(b, &u->seq) : 0;
    *ret_first = u->seq + 1;
    u->seq += count;
    return r;
}

int sequence_flush(struct backend *b)
{
    struct unwritten *u = &sqlite_of(b)->unwritten;
    if (u->seq == 0) {
        return 0;
    }
    struct sql q = sql_start(b, "UPDATE sequence SET seq = ?");
    sql_u64(&q, u->seq);
    u->seq = 0;
    return sql_run(&q);
}

static int append_one(struct backend *b, const struct append_entry *e, uint64_t seq, int64_t now_ms,
                      struct append_result *ret, struct counts_delta *d)
{
    int r = is_replicated(b, e);
    if (r != 0) {
        return r < 0 ? r : 0;
    }
    r = insert_task(b, e, seq, now_ms);
    if (r == 1) {
        ret->created++;
        counts_task(d,
                    &(struct counted){TASK_READY, e->origin, e->change.size,
                                      event_time(&e->change, now_ms)},
                    1);
        return 0;
    }
    if (r == 0) {
        ret->superseded++;
        r = join_task(b, e, seq, now_ms, d);
    }
    return r;
}

int sqlite_append(struct backend *b, const struct append_entry *entries, size_t count,
                  int64_t now_ms, struct append_result *ret)
{
    struct counts_delta d;
    uint64_t first = 0;
    memset(ret, 0, sizeof(*ret));
    int r = count > 0 ? take_sequence(b, count, &first) : 0;
    for (size_t i = 0; r == 0 && i < count; i++) {
        if (i == 0 || entries[i - 1].rule != entries[i].rule) {
            r = counts_begin(b, entries[i].rule, &d);
        }
        if (r == 0) {
            r = append_one(b, &entries[i], first + i, now_ms, ret, &d);
        }
        if (r == 0 && (i + 1 == count || entries[i + 1].rule != entries[i].rule)) {
            r = counts_apply(b, entries[i].rule, &d);
        }
    }
    ret->first_seq = first;
    ret->last_seq = count > 0 ? first + count - 1 : 0;
    return r;
}
