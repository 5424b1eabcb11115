/* Inside of the SQLite backend: the handle, statements, and what its files share. */
#ifndef REPL_JOURNAL_SQLITE_IMPL_H
#define REPL_JOURNAL_SQLITE_IMPL_H

#include "daemon/base/hash.h"
#include "journal/backend.h"

#include <sqlite3.h>

#define SQLITE_STATEMENTS 128 /* slots of the statement cache; a power of two */
#define SQLITE_BUSY_MS    10000

/* "repl" in ASCII: what tells a journal from other SQLite files, for file(1) too. */
#define SQLITE_APPLICATION_ID 0x7265706c

/* What makes a commit durable, and what bounds the log's size. */
#define SQLITE_WRITER_PRAGMAS                                                                      \
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000;"            \
    "PRAGMA temp_store=MEMORY; PRAGMA journal_size_limit=67108864;"

/* What tasks add to the counters of their rule, between counts_begin() and counts_apply(). */
struct counts_delta {
    int64_t late_before_ms; /* the rule's */
    int64_t pending_objects, pending_bytes, backfill_objects, backfill_bytes, failed_objects;
    int64_t late_objects, late_bytes;
    int64_t done_objects, done_bytes, deleted_objects, skipped_objects, sent_bytes, retries;
    int64_t replicas, replica_bytes;
    int64_t late_changes;
    int64_t held_objects, pending_deletes;
};

/* What every change of a group would write into the same two rows. It is written once, before the
 * commit and before a savepoint, and forgotten when the transaction is rolled back. */
struct unwritten {
    uint64_t seq;  /* the last one given; 0 = none since the last flush */
    uint32_t rule; /* the one that `counts` belong to; 0 = none */
    struct counts_delta counts;
};

struct sqlite_backend {
    struct backend base;
    char *path;
    sqlite3 *db;
    enum backend_mode mode;
    struct unwritten unwritten;
    const char *texts[SQLITE_STATEMENTS]; /* cache by the address of the text */
    sqlite3_stmt *statements[SQLITE_STATEMENTS];
};

static inline struct sqlite_backend *sqlite_of(struct backend *b)
{
    return CONTAINER_OF(b, struct sqlite_backend, base);
}

/* A statement in use: bound from left to right, read from left to right. The text must be a string
 * constant. An error sticks and comes out of sql_step() or sql_done(). */
struct sql {
    sqlite3_stmt *stmt;
    int at;
    int error;
};

struct sql sql_start(struct backend *b, const char *text);
void sql_int(struct sql *q, int64_t value);
void sql_u64(struct sql *q, uint64_t value);
void sql_double(struct sql *q, double value);
/* As BLOB; the absent span as NULL. It must live until sql_done(). */
void sql_span(struct sql *q, struct span value);
/* 1: a row is there; 0: the end; negative: an error. */
int sql_step(struct sql *q);
int64_t sql_get_int(struct sql *q);
uint64_t sql_get_u64(struct sql *q);
double sql_get_double(struct sql *q);
/* A copy in the arena; with a NULL arena a view until the next step. */
struct span sql_get_span(struct sql *q, struct arena *a);
/* Resets it for the next use; 0 or the error that stuck. */
int sql_done(struct sql *q);
/* For statements without rows: step and done. */
int sql_run(struct sql *q);
/* Runs such statements in turn, each with the rule as its only parameter, until one fails. */
int sqlite_run_each(struct backend *b, const char *const *texts, size_t count, uint32_t rule);

/* SQLite's result as a code of ours, with the file and what to do. */
int sqlite_error(sqlite3 *db, const char *path, int rc, struct fail *f, const char *doing);
/* The first column of the first row, on a connection that is no backend yet: SQLite's result. */
int sqlite_read_int(sqlite3 *db, const char *text, int *ret);

/* sqlite_file.c */
enum sqlite_file {
    SQLITE_FILE_NEW,      /* absent or empty */
    SQLITE_FILE_MARKED,   /* with our application_id */
    SQLITE_FILE_UNMARKED, /* a journal from before there was one, or a database without content */
};
/* Changes nothing. REPL_EBADINPUT for a database of another program. */
int sqlite_file_look(const char *path, enum sqlite_file *ret, struct fail *f);
int sqlite_file_make(const char *path, struct fail *f);
int sqlite_file_mark(sqlite3 *db);
uint64_t sqlite_changes(struct backend *b);

/* sqlite_schema.c: brings the schema up to date (writer) or checks it (reader). */
int sqlite_migrate(sqlite3 *db, const char *path, enum backend_mode mode, struct fail *f);

/* A failure as one blob and back. */
struct span sqlite_fail_pack(const struct fail *f, char *to, size_t size);
void sqlite_fail_unpack(struct span packed, struct fail *ret);
struct span sqlite_fail_text(struct span packed, struct arena *a); /* of none: absent */
/* Column of a task: its last failure, packed, unless a change has come after it. */
#define SQLITE_FAIL_NOW "CASE WHEN attempts > 0 THEN fail END"

int counts_begin(struct backend *b, uint32_t rule, struct counts_delta *ret);
struct counted { /* of a task */
    enum task_state state;
    enum task_origin origin;
    int64_t size;
    int64_t oldest_ms;
    bool is_delete; /* that no operator has confirmed */
};
void counts_task(struct counts_delta *d, const struct counted *task, int sign);
int counts_apply(struct backend *b, uint32_t rule, const struct counts_delta *d);

/* sqlite_lag.c: a change that is about to be appended is counted and kept by name when its time is
 * not after the watermark, and nothing says that it was told before. begin() reads the watermark of
 * the rule, trim() bounds what is kept. */
int late_begin(struct backend *b, uint32_t rule, int64_t *ret_watermark_ms);
int late_note(struct backend *b, const struct append_entry *e, const struct late_change *late,
              struct counts_delta *d);
int late_trim(struct backend *b, uint32_t rule);

/* sqlite_prefix.c: the prefixes of a rule that have watermarks, in their order; the mark of a task
 * is the place of the longest that its key has, from 1, or 0. */
struct marks {
    struct mark {
        struct span prefix;
        int64_t watermark_ms;
    } marks[PREFIXES_MAX];
    size_t count;
};
int marks_load(struct backend *b, struct arena *a, uint32_t rule, struct marks *ret);
uint32_t marks_find(const struct marks *m, struct span key);

/* Write what is unwritten: sqlite_append.c, sqlite_rule.c. */
int sequence_flush(struct backend *b);
int counts_flush(struct backend *b);

/* sqlite_scan.c: whether the object of this replica is the one that a listing shows. */
bool sqlite_is_of(struct span etag, int64_t mtime_ms, struct span listed_etag,
                  int64_t listed_mtime_ms);

/* The operations, by file. */
int sqlite_rule_put(struct backend *b, const struct rule_record *in, uint32_t *ret_rule);
int sqlite_rule_delete(struct backend *b, uint32_t rule, int64_t now_ms);
int sqlite_rule_purge(struct backend *b, uint32_t rule, size_t limit);
int sqlite_rule_list(struct backend *b, struct arena *a, struct rule_record **ret, size_t *ret_n);
int sqlite_lease_take(struct backend *b, struct span owner, int64_t now_ms, int64_t ttl_ms,
                      uint64_t *ret_epoch, struct fail *f);
int sqlite_lease_check(struct backend *b, uint64_t epoch);
int sqlite_lease_renew(struct backend *b, uint64_t epoch, int64_t now_ms, int64_t ttl_ms);
int sqlite_lease_drop(struct backend *b, uint64_t epoch);
int sqlite_value_put(struct backend *b, struct span name, struct span value);
int sqlite_value_get(struct backend *b, struct arena *a, struct span name, struct span *ret);
int sqlite_append(struct backend *b, const struct append_entry *entries, size_t count,
                  int64_t now_ms, struct append_result *ret);
int sqlite_compare(struct backend *b, struct arena *a, const struct compare *what,
                   struct compared *ret);
int sqlite_gone_put(struct backend *b, uint32_t rule, const struct span *keys, size_t count);
int sqlite_gone_page(struct backend *b, struct arena *a, uint32_t rule, size_t limit,
                     struct span **ret, size_t *ret_n);
int sqlite_gone_drop(struct backend *b, uint32_t rule, struct span through);
int sqlite_look_again(struct backend *b, uint32_t rule);
int sqlite_claim(struct backend *b, const struct claim *what, struct arena *a,
                 struct task_list *ret);
int sqlite_next_try(struct backend *b, uint32_t rule, int64_t *ret_ms);
int sqlite_finish(struct backend *b, const struct finish *in, struct finish_result *ret);
int sqlite_task_retry(struct backend *b, uint32_t rule, struct span key, size_t limit,
                      uint64_t *ret_n);
int sqlite_task_drop(struct backend *b, uint32_t rule, struct span key, struct span reason,
                     int64_t now_ms);
int sqlite_brake_get(struct backend *b, struct arena *a, uint32_t rule, int64_t from_ms,
                     struct brake *ret);
int sqlite_held_confirm(struct backend *b, uint32_t rule, size_t limit, uint64_t *ret_n);
int sqlite_held_discard(struct backend *b, uint32_t rule, struct span reason, int64_t now_ms,
                        size_t limit, uint64_t *ret_n);
int sqlite_upload_intend(struct backend *b, const struct upload *in);
int sqlite_upload_open(struct backend *b, const struct upload *in);
int sqlite_part_done(struct backend *b, uint32_t rule, struct span key, struct span upload_id,
                     const struct upload_part *part);
int sqlite_upload_set(struct backend *b, uint32_t rule, struct span key, struct span upload_id,
                      enum upload_state state, int64_t next_try_ms, uint32_t attempts);
int sqlite_upload_end(struct backend *b, uint32_t rule, struct span key, struct span upload_id);
int sqlite_intent_end(struct backend *b, uint32_t rule, struct span key, int64_t due_ms);
int sqlite_upload_find(struct backend *b, struct span endpoint, struct span bucket,
                       struct span upload_id);
int sqlite_upload_page(struct backend *b, struct arena *a, int state, int64_t due_ms,
                       const struct upload *after, size_t limit, struct upload **ret,
                       size_t *ret_n);
int sqlite_upload_of(struct backend *b, struct arena *a, uint32_t rule, struct span key,
                     const struct upload **ret);
int sqlite_frontier(struct backend *b, struct arena *a, uint32_t rule, struct frontier *ret);
int sqlite_watermark_put(struct backend *b, uint32_t rule, int64_t watermark_ms);
int sqlite_prove(struct backend *b, uint32_t rule, int64_t scan_ms, int64_t ended_ms);
int sqlite_late_page(struct backend *b, struct arena *a, uint32_t rule, size_t limit,
                     struct late_change **ret, size_t *ret_n);
int sqlite_prefixes_set(struct backend *b, uint32_t rule, const struct span *prefixes, size_t n);
int sqlite_prefixes_mark(struct backend *b, uint32_t rule, size_t limit);
int sqlite_prefixes_list(struct backend *b, struct arena *a, uint32_t rule,
                         struct prefix_list *ret);
int sqlite_prefix_put(struct backend *b, uint32_t rule, struct span prefix, int64_t watermark_ms,
                      int64_t proven_ms);
int sqlite_late(struct backend *b, uint32_t rule, int64_t before_ms, size_t limit);
int sqlite_counts(struct backend *b, uint32_t rule, struct rule_counts *ret);
int sqlite_task_get(struct backend *b, struct arena *a, uint32_t rule, struct span key,
                    struct task *ret);
int sqlite_version_marks(struct backend *b, struct arena *a, uint32_t rule, struct span key,
                         struct version_mark **ret, size_t *ret_n);
int sqlite_replica_get(struct backend *b, struct arena *a, uint32_t rule, struct span key,
                       struct replica *ret);
int sqlite_task_page(struct backend *b, struct arena *a, const struct task_filter *filter,
                     struct task **ret, size_t *ret_n);
int sqlite_history_page(struct backend *b, struct arena *a, uint32_t rule, struct span key,
                        size_t limit, struct history_entry **ret, size_t *ret_n);
int sqlite_history_trim(struct backend *b, int64_t before_ms, size_t limit, uint64_t *ret_n);
int sqlite_event_add(struct backend *b, const struct event_record *in, uint64_t limit);
int sqlite_event_page(struct backend *b, struct arena *a, struct span target, size_t limit,
                      struct event_record **ret, size_t *ret_n);
int sqlite_event_done(struct backend *b, struct span target, uint64_t number);
int sqlite_event_counts(struct backend *b, struct span target, struct event_counts *ret);
int sqlite_event_keep(struct backend *b, const struct span *targets, size_t count);
int sqlite_late_next(struct backend *b, struct arena *a, uint32_t rule, int64_t before_ms,
                     size_t limit, struct task **ret, size_t *ret_n);
int sqlite_quarantine_put(struct backend *b, const struct quarantined *in);
int sqlite_quarantine_page(struct backend *b, struct arena *a, struct span feed, uint64_t after_id,
                           size_t limit, struct quarantined **ret, size_t *ret_n);
int sqlite_quarantine_get(struct backend *b, struct arena *a, uint64_t id, struct quarantined *ret);
int sqlite_quarantine_drop(struct backend *b, struct span feed, uint64_t id, int64_t before_ms,
                           uint64_t *ret_n);
int sqlite_quarantine_hold(struct backend *b, struct arena *a, const struct quarantine_place *of,
                           struct quarantine_hold *ret);
int sqlite_quarantine_counts(struct backend *b, struct span feed, struct quarantine_counts *ret);
int sqlite_quarantine_feeds(struct backend *b, struct arena *a, struct quarantine_feed **ret,
                            size_t *ret_n);
int sqlite_quarantine_word(struct backend *b, const struct quarantine_word *in);
int sqlite_quarantine_words(struct backend *b, struct arena *a, struct span feed, size_t limit,
                            struct quarantine_word **ret, size_t *ret_n);

/* sqlite_query.c: the columns of a task, in the order that sqlite_read_task() reads. */
#define TASK_COLUMNS                                                                               \
    "rule,key,state,origin,kind,version_id,etag,sequencer,feed,size,event_ms,oldest_ms,"           \
    "accepted_ms,seq,attempts,next_try_ms,fail,epoch,confirmed"
void sqlite_read_task(struct sql *q, struct arena *a, struct task *ret);
int sqlite_load_details(struct backend *b, struct arena *a, struct task *t);
/* sqlite_finish.c */
int sqlite_history_put(struct backend *b, const struct history_entry *h);
int sqlite_replica_drop(struct backend *b, uint32_t rule, struct span key, struct counts_delta *d);
/* sqlite_brake.c: on from now unless it is, *ret_on: it was not; one more object was deleted. */
int sqlite_brake_put(struct backend *b, uint32_t rule, int64_t now_ms, struct span why,
                     bool *ret_on);
int sqlite_brake_count(struct backend *b, uint32_t rule, int64_t now_ms);

#endif
