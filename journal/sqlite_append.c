/* SQLite backend: changes become tasks. One statement for the common case, a new key; the others
 * read the row first. */
#include "journal/sqlite_impl.h"

struct pending {
    enum task_state state;
    enum task_origin origin;
    struct span sequencer; /* a view of the statement's row */
    struct span feed;
    int64_t size;
    int64_t event_ms;
    int64_t oldest_ms;
    int64_t next_oldest_ms; /* 0 = none */
    enum change_kind kind;
    bool confirmed;
};

static int64_t event_time(const struct change *c, int64_t now_ms)
{
    return c->event_time_ms <= 0 || c->event_time_ms > now_ms ? now_ms : c->event_time_ms;
}

/* The time up to which nothing is owed while the change is pending. */
static int64_t owed_time(const struct change *c, int64_t now_ms)
{
    int64_t event_ms = event_time(c, now_ms);
    return c->since_ms > 0 && c->since_ms < event_ms ? c->since_ms : event_ms;
}

/* Whose numbers they are: webhooks and queues bring the store's, the other feeds their own. */
static struct span numbering(struct span feed)
{
    struct span kind = span_cut(&feed, ':');
    bool of_store = span_eq_str(kind, "webhook") || span_eq_str(kind, "queue");
    return of_store ? span_str("store") : kind;
}

static bool is_older(const struct change *c, const struct pending *p, int64_t event_ms)
{
    if (c->sequencer.len > 0 && p->sequencer.len > 0 &&
        span_eq(numbering(c->feed), numbering(p->feed))) {
        return span_cmp(c->sequencer, p->sequencer) < 0;
    }
    return event_ms < p->event_ms;
}

/* A listing tells nothing that a live task does not look up by itself, unless that has begun, or is
 * held and would not. */
static bool adds_nothing(const struct append_entry *e, const struct pending *p)
{
    return (e->origin == TASK_BACKFILL || e->listed) && p->origin == TASK_LIVE &&
           p->state != TASK_CLAIMED && p->state != TASK_HELD;
}

/* kind, version_id, etag, sequencer, feed, size */
static void bind_change(struct sql *q, const struct change *c)
{
    sql_int(q, c->kind);
    sql_span(q, c->version_id);
    sql_span(q, c->etag);
    sql_span(q, c->sequencer);
    sql_span(q, c->feed);
    sql_int(q, c->size);
}

/* 1: was new and is inserted; 0: there is a row. */
static int insert_task(struct backend *b, const struct append_entry *e, uint32_t mark, uint64_t seq,
                       int64_t now_ms)
{
    const struct change *c = &e->change;
    int64_t event_ms = event_time(c, now_ms);
    struct sql q = sql_start(
        b, "INSERT INTO tasks (rule, key, state, origin, kind, version_id, etag, sequencer, feed,"
           " size, event_ms, oldest_ms, accepted_ms, seq, mark)"
           " VALUES (?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING");
    sql_int(&q, e->rule);
    sql_span(&q, c->key);
    sql_int(&q, e->origin);
    bind_change(&q, c);
    sql_int(&q, event_ms);
    sql_int(&q, owed_time(c, now_ms));
    sql_int(&q, now_ms);
    sql_u64(&q, seq);
    sql_int(&q, mark);
    int r = sql_run(&q);
    return r < 0 ? r : (int)sqlite_changes(b);
}

/* The oldest time that is left when the copy in work ends. */
static int64_t next_oldest(const struct pending *p, int64_t owed_ms)
{
    return p->next_oldest_ms != 0 && p->next_oldest_ms < owed_ms ? p->next_oldest_ms : owed_ms;
}

/* Only what the change says about times and origin: the row keeps its newest change. Whoever copies
 * it now has perhaps looked before this one happened, whatever the clocks say. Of a listing it
 * takes an ETag that it did not have, lest every listing brings the same object anew. */
static int join_older(struct backend *b, const struct append_entry *e, const struct pending *p,
                      int64_t oldest_ms, uint64_t seq, int64_t now_ms)
{
    bool again = p->state == TASK_CLAIMED && !adds_nothing(e, p);
    int64_t next_ms = again ? next_oldest(p, owed_time(&e->change, now_ms)) : p->next_oldest_ms;
    struct sql q = sql_start(b, "UPDATE tasks SET origin = ?, oldest_ms = ?, next_oldest_ms = ?,"
                                " seq = max(seq, ?), etag = coalesce(etag, ?),"
                                " state = CASE state WHEN 3 THEN 0 ELSE state END"
                                " WHERE rule = ? AND key = ?");
    sql_int(&q, p->origin == TASK_LIVE ? TASK_LIVE : e->origin);
    sql_int(&q, oldest_ms);
    sql_int(&q, next_ms);
    sql_u64(&q, again ? seq : 0);
    sql_span(&q, e->listed && p->kind == CHANGE_PUT ? e->change.etag : (struct span){0});
    sql_int(&q, e->rule);
    sql_span(&q, e->change.key);
    return sql_run(&q);
}

static enum task_state state_after(const struct pending *p, enum change_kind kind)
{
    if (p->state == TASK_CLAIMED) {
        return TASK_CLAIMED;
    }
    return p->state == TASK_HELD && kind == CHANGE_DELETE ? TASK_HELD : TASK_READY;
}

static int join_newer(struct backend *b, const struct append_entry *e, const struct pending *p,
                      int64_t oldest_ms, uint64_t seq, int64_t now_ms)
{
    const struct change *c = &e->change;
    int64_t event_ms = event_time(c, now_ms);
    bool claimed = p->state == TASK_CLAIMED;
    struct sql q = sql_start(
        b, "UPDATE tasks SET state = ?, origin = ?, kind = ?, version_id = ?, etag = ?,"
           " sequencer = ?, feed = ?, size = ?, event_ms = ?, oldest_ms = ?, next_oldest_ms = ?,"
           " accepted_ms = ?, seq = ?, confirmed = ?, attempts = 0, next_try_ms = 0"
           " WHERE rule = ? AND key = ?");
    sql_int(&q, state_after(p, c->kind));
    sql_int(&q, p->origin == TASK_LIVE ? TASK_LIVE : e->origin);
    bind_change(&q, c);
    sql_int(&q, event_ms);
    sql_int(&q, oldest_ms);
    sql_int(&q, claimed ? next_oldest(p, owed_time(c, now_ms)) : 0);
    sql_int(&q, now_ms);
    sql_u64(&q, seq);
    sql_int(&q, p->confirmed && c->kind == CHANGE_DELETE);
    sql_int(&q, e->rule);
    sql_span(&q, c->key);
    return sql_run(&q);
}

/* The oldest time that the task has not satisfied when the change has joined it. */
static int64_t oldest_of(const struct append_entry *e, const struct pending *p, bool older,
                         int64_t owed_ms)
{
    bool turns_live = p->origin == TASK_BACKFILL && e->origin == TASK_LIVE;
    if (turns_live) { /* existing objects hold nothing: it owes what the live change says */
        return owed_ms;
    }
    if (older && p->origin != e->origin) {
        return p->oldest_ms;
    }
    return p->oldest_ms < owed_ms ? p->oldest_ms : owed_ms;
}

static struct counted counted_before(const struct pending *p)
{
    return (struct counted){p->state, p->origin, p->size, p->oldest_ms,
                            p->kind == CHANGE_DELETE && !p->confirmed};
}

static struct counted counted_after(const struct append_entry *e, const struct pending *p,
                                    bool older, int64_t owed_ms)
{
    enum change_kind kind = older ? p->kind : e->change.kind;
    return (struct counted){.state = state_after(p, kind),
                            .origin = p->origin == TASK_LIVE ? TASK_LIVE : e->origin,
                            .size = older ? p->size : e->change.size,
                            .oldest_ms = oldest_of(e, p, older, owed_ms),
                            .is_delete = kind == CHANGE_DELETE && !p->confirmed};
}

static int join_task(struct backend *b, const struct append_entry *e, uint64_t seq, int64_t now_ms,
                     struct counts_delta *d)
{
    const struct change *c = &e->change;
    int64_t event_ms = event_time(c, now_ms);
    struct sql q = sql_start(b, "SELECT state, origin, sequencer, feed, size, event_ms, oldest_ms,"
                                " next_oldest_ms, kind, confirmed FROM tasks"
                                " WHERE rule = ? AND key = ?");
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
    p.event_ms = sql_get_int(&q);
    p.oldest_ms = sql_get_int(&q);
    p.next_oldest_ms = sql_get_int(&q);
    p.kind = (enum change_kind)sql_get_int(&q);
    p.confirmed = sql_get_int(&q) != 0;
    bool older = adds_nothing(e, &p) || is_older(c, &p, event_ms);
    int r = sql_done(&q);
    if (r < 0) {
        return r;
    }
    struct counted before = counted_before(&p);
    struct counted after = counted_after(e, &p, older, owed_time(c, now_ms));
    counts_task(d, &before, -1);
    counts_task(d, &after, 1);
    return older ? join_older(b, e, &p, after.oldest_ms, seq, now_ms)
                 : join_newer(b, e, &p, after.oldest_ms, seq, now_ms);
}

/* What has no versions calls the only one "null", and replaces it in its place. */
static bool is_named(struct span version)
{
    return version.len > 0 && !span_eq_str(version, "null");
}

/* Whether the replica is of this very change: then the source need not be asked. */
static bool is_of(const struct append_entry *e, const struct replica *have, struct span sequencer)
{
    const struct change *c = &e->change;
    struct span version = have->source_version;
    int64_t mtime_ms = e->listed ? c->event_time_ms : 0;
    if (!sqlite_is_of(have->source_etag, have->source_mtime_ms, c->etag, mtime_ms)) {
        return false;
    }
    if (e->origin == TASK_BACKFILL || e->listed) {
        return c->version_id.len == 0 || version.len == 0 || span_eq(version, c->version_id);
    }
    return is_named(c->version_id) ? span_eq(version, c->version_id)
                                   : c->sequencer.len > 0 && span_eq(sequencer, c->sequencer);
}

/* 1: the replica at the destination is of this very source object. */
static int is_replicated(struct backend *b, const struct append_entry *e)
{
    const struct change *c = &e->change;
    bool can_tell =
        e->origin == TASK_BACKFILL || e->listed || c->sequencer.len > 0 || is_named(c->version_id);
    if (c->kind != CHANGE_PUT || c->etag.len == 0 || !can_tell) {
        return 0;
    }
    struct sql q = sql_start(b, "SELECT source_etag, source_mtime_ms, source_version, sequencer"
                                " FROM replicas"
                                " WHERE rule = ? AND key = ?");
    sql_int(&q, e->rule);
    sql_span(&q, c->key);
    bool same = false;
    if (sql_step(&q) == 1) {
        struct replica have = {.source_etag = sql_get_span(&q, NULL)};
        have.source_mtime_ms = sql_get_int(&q);
        have.source_version = sql_get_span(&q, NULL);
        same = is_of(e, &have, sql_get_span(&q, NULL));
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

/* What a copy in work owes when it ends well: see settle() in sqlite_finish.c. */
int sqlite_look_again(struct backend *b, uint32_t rule)
{
    struct sql q = sql_start(b, "UPDATE tasks SET next_oldest_ms = oldest_ms WHERE rule = ?"
                                " AND origin IN (0, 1) AND state = 1 AND kind = 1");
    sql_int(&q, rule);
    return sql_run(&q);
}

/* What a run of entries of one rule needs. */
struct append_rule {
    struct counts_delta counts;
    int64_t watermark_ms;
    struct marks marks;
};

static int begin_rule(struct backend *b, struct arena *a, uint32_t rule, struct append_rule *ret)
{
    int r = counts_begin(b, rule, &ret->counts);
    if (r == 0) {
        r = late_begin(b, rule, &ret->watermark_ms);
    }
    return r == 0 ? marks_load(b, a, rule, &ret->marks) : r;
}

static int end_rule(struct backend *b, uint32_t rule, const struct append_rule *of)
{
    int r = of->counts.late_changes > 0 ? late_trim(b, rule) : 0;
    return r == 0 ? counts_apply(b, rule, &of->counts) : r;
}

/* A prefix may have come further than its rule. */
static int64_t watermark_of(const struct append_rule *of, uint32_t mark)
{
    int64_t ms = mark > 0 ? of->marks.marks[mark - 1].watermark_ms : 0;
    return ms > of->watermark_ms ? ms : of->watermark_ms;
}

static int append_one(struct backend *b, const struct append_entry *e, uint64_t seq, int64_t now_ms,
                      struct append_result *ret, struct append_rule *of)
{
    struct counts_delta *d = &of->counts;
    int r = is_replicated(b, e);
    if (r != 0) {
        return r < 0 ? r : 0;
    }
    uint32_t mark = marks_find(&of->marks, e->change.key);
    r = late_note(b, e,
                  &(struct late_change){.event_time_ms = event_time(&e->change, now_ms),
                                        .accepted_ms = now_ms,
                                        .watermark_ms = watermark_of(of, mark)},
                  d);
    if (r < 0) {
        return r;
    }
    r = insert_task(b, e, mark, seq, now_ms);
    if (r == 1) {
        ret->created++;
        counts_task(d,
                    &(struct counted){TASK_READY, e->origin, e->change.size,
                                      owed_time(&e->change, now_ms),
                                      e->change.kind == CHANGE_DELETE},
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
    struct append_rule of;
    struct arena a;
    uint64_t first = 0;
    arena_init(&a);
    memset(ret, 0, sizeof(*ret));
    int r = count > 0 ? take_sequence(b, count, &first) : 0;
    for (size_t i = 0; r == 0 && i < count; i++) {
        if (i == 0 || entries[i - 1].rule != entries[i].rule) {
            r = begin_rule(b, &a, entries[i].rule, &of);
        }
        if (r == 0) {
            r = append_one(b, &entries[i], first + i, now_ms, ret, &of);
        }
        if (r == 0 && (i + 1 == count || entries[i + 1].rule != entries[i].rule)) {
            r = end_rule(b, entries[i].rule, &of);
        }
    }
    arena_done(&a);
    ret->first_seq = first;
    ret->last_seq = count > 0 ? first + count - 1 : 0;
    return r;
}
