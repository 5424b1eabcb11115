/* backend: what a journal database must be able to do, as intents; no SQL and no row ids above it.
 * Keys name things: a task is (rule, key), an upload is (rule, key, upload id).
 *
 * Every operation is called with a transaction open (begin … commit) on one thread at a time, is
 * idempotent, and returns 0 or a negative code; a failed operation may leave partial effects, which
 * the caller removes with rollback_to(). Operations on a claimed task carry the epoch of the claim
 * and answer REPL_ESTALE when the lease has moved on, changing nothing. Times are Unix
 * milliseconds. Spans handed in live for the call; spans in results live in the arena handed in.
 *
 * The conformance suite (tests/unit/journal/test_backend*.c) runs against every implementation. */
#ifndef REPL_JOURNAL_BACKEND_H
#define REPL_JOURNAL_BACKEND_H

#include "daemon/base/fail.h"
#include "daemon/base/mem.h"
#include "daemon/base/stat.h"
#include "journal/asides.h"
#include "journal/change.h"
#include "journal/finish.h"
#include "journal/upload.h"
#include "journal/version_mark.h"

#define BACKEND_PAGE_MAX 1000 /* rows a page of any question */

/* ---- rules: the journal keeps them as opaque text ---- */

struct rule_record {
    uint32_t rule;    /* number, never used again; 0 on rule_put() of a new name */
    struct span name; /* unique */
    struct span text; /* JSON, daemon/conf/rule.h */
    bool deleting;    /* deleted by the operator; its tasks and uploads are being cleared */
};

/* ---- tasks ---- */

enum task_origin {
    TASK_LIVE = 0,     /* holds the watermark */
    TASK_BACKFILL = 1, /* existing objects: progress of its own */
};

enum task_state {
    TASK_READY = 0,
    TASK_CLAIMED = 1,
    TASK_WAITING = 2, /* retry at next_try_ms */
    TASK_FAILED = 3,  /* dead letter: holds the watermark until retried or dropped */
    TASK_HELD = 4,    /* delete that the rule's brake holds: so does it, until an operator's word */
};

/* One change matched to one rule: what append() takes. */
struct append_entry {
    uint32_t rule;
    enum task_origin origin;
    bool listed;          /* found in a listing, not told by an event; event_time_ms is its mtime */
    struct change change; /* bucket and endpoint are not stored: the rule has them */
};

struct append_result {
    uint64_t first_seq; /* sequence numbers given, in order */
    uint64_t last_seq;
    uint64_t created;    /* new tasks */
    uint64_t superseded; /* changes that joined a pending task */
};

/* What the journal knows to be at the destination. */
struct replica {
    struct span source_etag;
    struct span source_version;
    int64_t source_mtime_ms;
    int64_t source_read_ms; /* by the source's clock, as the one before; 0 = not known */
    uint64_t size;
    struct span dest_etag;
    struct span dest_version;
    int64_t verified_ms;
    struct span sequencer; /* of the newest change that was known when it was read; or absent */
};

struct task {
    uint32_t rule;
    struct span key;
    enum task_state state;
    enum task_origin origin;
    enum change_kind kind;  /* of the newest change */
    struct span version_id; /* of the newest change; absent when not known */
    struct span etag;
    struct span sequencer;
    struct span feed;
    int64_t size;          /* of the newest change, or CHANGE_SIZE_UNKNOWN */
    int64_t event_time_ms; /* of the newest change */
    int64_t oldest_ms;     /* oldest event time not yet satisfied */
    int64_t accepted_ms;   /* of the newest change */
    uint64_t seq;          /* of the last change that has joined */
    uint32_t attempts;     /* since the newest change */
    bool confirmed;        /* a delete that an operator has let pass the brake */
    int64_t next_try_ms;
    struct fail fail;              /* of the last attempt */
    uint64_t epoch;                /* of the claim */
    const struct upload *upload;   /* open upload with its parts, or NULL (claim, task_get) */
    const struct replica *replica; /* or NULL (claim, task_get) */
};

/* By oldest_ms. */
enum claim_order {
    CLAIM_OLDEST, /* earliest deadline first within a rule */
    CLAIM_NEWEST,
};

struct claim {
    uint32_t rule;
    enum task_origin origin;
    enum claim_order order;
    int64_t from_ms;  /* only tasks whose oldest_ms is at least this … */
    int64_t until_ms; /* … and below this; 0 = whatever it is */
    size_t limit;     /* at most BACKEND_PAGE_MAX */
    uint64_t epoch;
    int64_t now_ms;
};

struct task_list {
    struct task *tasks; /* in the arena handed to the call */
    size_t count;
};

/* ---- scans: what a listing of the source says, beside what the journal knows ---- */

struct listed {
    struct span key;
    struct span etag;
    int64_t mtime_ms;       /* by the source's clock; 0 = not known */
    struct span version_id; /* of a rule that replicates all versions: the key's newest one */
    bool known;             /* answer: it needs no work */
    bool has_marks;         /* the same: some version of the key is done with */
};

struct compare {
    uint32_t rule;
    struct listed *listed; /* ascending, no key twice, at most BACKEND_PAGE_MAX */
    size_t count;
    bool versions; /* told by version ids */
    /* Whether to tell which replicas with keys in (after, until] are not listed, of those that were
     * verified before before_ms. after empty = from the first, until absent = to the last. */
    bool tell_missing;
    struct span after;
    struct span until;
    int64_t before_ms;
};

struct compared {
    struct span *missing; /* at most BACKEND_PAGE_MAX, ascending */
    size_t missing_count;
    struct span through; /* absent: all was looked at; else only up to here: ask again behind it */
};

/* ---- lag ---- */

/* Kept in the transactions that change them, never counted on a scrape. */
struct rule_counts {
    uint64_t pending_objects; /* ready, claimed, waiting; live */
    uint64_t pending_bytes;   /* of those whose size is known */
    uint64_t late_objects;    /* of the pending ones, see late() */
    uint64_t late_bytes;
    uint64_t backfill_objects;
    uint64_t backfill_bytes;
    uint64_t failed_objects; /* dead letters */
    uint64_t held_objects;   /* deletes that the brake holds; in none of the above */
    uint64_t done_objects;   /* ever */
    uint64_t done_bytes;
    uint64_t deleted_objects; /* ever */
    uint64_t skipped_objects; /* ever */
    uint64_t sent_bytes;      /* ever */
    uint64_t retries;         /* ever */
    uint64_t replicas;
    uint64_t replica_bytes;
    uint64_t late_changes; /* ever: see struct late_change */
    uint64_t latency[STAT_LATENCY_BUCKETS + 1];
    double latency_sum_s;
};

struct frontier {
    bool any;          /* an unfinished live task exists (failed ones count) */
    int64_t oldest_ms; /* its oldest event time */
    struct span key;   /* whose */
    enum task_state state;
    struct span why;      /* its last attempt since its newest change failed; absent: none did */
    int64_t watermark_ms; /* last stored; 0 = none yet */
    int64_t proven_ms;    /* the same */
    /* Dead letters of existing objects, which hold nothing; at most FRONTIER_FAILED_MAX counted. */
    uint64_t existing_failed;
};

#define FRONTIER_FAILED_MAX 1000

/* Of the keys of a rule that begin so. */
struct prefix_lag {
    struct span prefix;
    int64_t watermark_ms; /* last stored; 0 = none yet */
    int64_t proven_ms;
    bool any; /* an unfinished live task: as in struct frontier */
    int64_t oldest_ms;
    struct span key;
    enum task_state state;
    struct span why;
    int64_t unfinished_ms; /* oldest event time of either origin; INT64_MAX = all is finished */
};

struct prefix_list {
    struct prefix_lag *prefixes; /* in the order of their bytes */
    size_t count;
    bool sorting; /* prefixes_mark() has not come to its end: nothing is known of the tasks */
};

#define PREFIXES_MAX 64 /* of a rule */

/* A change that was accepted when the watermark had passed its time: the watermark could not have
 * known. Not one that was told again, as far as the journal knows its key. */
struct late_change {
    struct span key;
    struct span feed;
    int64_t event_time_ms;
    int64_t accepted_ms;
    int64_t watermark_ms; /* at that time */
};

#define LATE_CHANGES_MAX 1000 /* kept of a rule; all are counted */
/* ---- the brake on deletes ---- */

struct brake {
    int64_t since_ms; /* it is on since; 0 = it is off */
    struct span why;
    uint64_t deleted;  /* objects that unconfirmed deletes took away since from_ms, to the minute */
    uint64_t pending;  /* unconfirmed deletes that are ready, claimed or waiting */
    uint64_t replicas; /* of the rule, now */
};

#define BRAKE_WINDOW_MAX_MS 86400000

/* ---- questions ---- */

struct task_filter {
    uint32_t rule;         /* 0 = all */
    int state;             /* enum task_state or -1 = all */
    uint32_t after_rule;   /* page position: the last row of the page before … */
    struct span after_key; /* … absent = from the start */
    size_t limit;          /* at most BACKEND_PAGE_MAX */
};

struct history_entry {
    uint32_t rule;
    struct span key;
    enum finish_outcome outcome;
    int64_t at_ms;
    int64_t latency_ms;
    uint64_t bytes;
    struct fail fail;
};

struct backend;

struct backend_ops {
    const char *name;
    void (*close)(struct backend *b);
    /* Right after a call that answered REPL_EJOURNAL: what it ran into, with the file and a hint.
     * `doing`: "reading its rules". Returns REPL_EJOURNAL. */
    int (*failure)(struct backend *b, struct fail *f, const char *doing);

    /* Transactions. begin() on a writer takes the write lock; on a reader it makes a snapshot.
     * save() marks a point, around one call of a group; then either release() keeps what came after
     * it or rollback_to() takes it back. When one of them fails the transaction cannot be used any
     * more (a full disk makes the database give all of it up): rollback() is due. */
    int (*begin)(struct backend *b);
    int (*commit)(struct backend *b);
    void (*rollback)(struct backend *b);
    int (*save)(struct backend *b);
    int (*release)(struct backend *b);
    int (*rollback_to)(struct backend *b);

    /* The lease: one row, one heartbeat. take() succeeds when nobody holds it, when it has expired
     * at now_ms, or for the same owner; it gives a new, higher epoch and puts the claimed tasks of
     * older epochs back to ready. REPL_EOWNED names the holder in *f. check(), renew() and drop()
     * answer REPL_ESTALE when the epoch is not the current one. The journal checks it in every
     * transaction that writes: who has lost the lease changes nothing any more. */
    int (*lease_take)(struct backend *b, struct span owner, int64_t now_ms, int64_t ttl_ms,
                      uint64_t *ret_epoch, struct fail *f);
    int (*lease_check)(struct backend *b, uint64_t epoch);
    int (*lease_renew)(struct backend *b, uint64_t epoch, int64_t now_ms, int64_t ttl_ms);
    int (*lease_drop)(struct backend *b, uint64_t epoch);

    /* Rules. put() with rule 0 makes a new one (REPL_EEXISTS for a name in use), else replaces its
     * text. delete() marks it deleting and turns its uploads to aborting; purge(), when
     * nobody works for it any more, does so with uploads that came later, removes up to `limit` of
     * its tasks and replicas a call and, when nothing is left (uploads too), the rule:
     * REPL_EDONE. */
    int (*rule_put)(struct backend *b, const struct rule_record *in, uint32_t *ret_rule);
    int (*rule_delete)(struct backend *b, uint32_t rule, int64_t now_ms);
    int (*rule_purge)(struct backend *b, uint32_t rule, size_t limit);
    int (*rule_list)(struct backend *b, struct arena *a, struct rule_record **ret, size_t *ret_n);

    /* Changes. One task per (rule, key): a change joins the pending task and becomes its newest
     * one unless it is older: by its sequencer where both have one of the same numbering (webhooks
     * and queues bring the store's, other feeds their own), else by its event time. The oldest
     * unsatisfied event time stays, and a claimed task is looked at again after whatever has
     * joined: clocks only decide what the task says, never whether the source is asked. A failed
     * task becomes ready again, so does a held one by a put. event_time_ms is clamped to now_ms. A
     * live change makes a backfill task live; one that is not after the watermark of the rule, or
     * of the longest prefix that its key has, is counted and kept as late. No row for what the
     * replica shows already: a backfill or listed change with its source ETag (and version, where
     * known), a live one with its version, or with its sequencer and ETag. */
    int (*append)(struct backend *b, const struct append_entry *entries, size_t count,
                  int64_t now_ms, struct append_result *ret);

    /* Scans. compare(): an object is known when its replica has its ETag and is not of an earlier
     * mtime (2 s apart: listings and headers round differently), or when a task, failed ones too,
     * was told this very ETag. With versions: when the newest mark of its key is of this version,
     * or its replica is, or a task was told it. gone_*: keys that a listing did not show,
     * ascending, kept until it is known whether it can be believed; drop() forgets those up to and
     * including `through`. look_again(): puts in work become ready once more if they end well. */
    int (*compare)(struct backend *b, struct arena *a, const struct compare *what,
                   struct compared *ret);
    int (*gone_put)(struct backend *b, uint32_t rule, const struct span *keys, size_t count);
    int (*gone_page)(struct backend *b, struct arena *a, uint32_t rule, size_t limit,
                     struct span **ret, size_t *ret_n);
    int (*gone_drop)(struct backend *b, uint32_t rule, struct span through);
    int (*look_again)(struct backend *b, uint32_t rule);

    /* Small named values: outbox cursors, listing positions, the instance id. An absent value is
     * REPL_ENOTFOUND. Putting the absent span removes it. */
    int (*value_put)(struct backend *b, struct span name, struct span value);
    int (*value_get)(struct backend *b, struct arena *a, struct span name, struct span *ret);

    /* Work. claim() hands out ready tasks and waiting ones whose time has come, with their upload,
     * parts and replica; cost does not depend on how many are pending. next_try() says when the
     * next waiting task of the rule is due (INT64_MAX: none). */
    int (*claim)(struct backend *b, const struct claim *what, struct arena *a,
                 struct task_list *ret);
    int (*next_try)(struct backend *b, uint32_t rule, int64_t *ret_ms);
    int (*finish)(struct backend *b, const struct finish *in, struct finish_result *ret);
    /* Dead letters back to ready; key absent = all of the rule, at most `limit` a call. */
    int (*task_retry)(struct backend *b, uint32_t rule, struct span key, size_t limit,
                      uint64_t *ret_n);
    /* The brake: FINISH_HELD puts it on (and says so, for what is to be told in the same commit).
     * confirm() makes held tasks ready and lets them pass it, discard() drops them with `reason` in
     * the history and forgets their replicas, each at most `limit` a call; when none is left the
     * brake is off and the window counts from zero. */
    int (*brake_get)(struct backend *b, struct arena *a, uint32_t rule, int64_t from_ms,
                     struct brake *ret);
    int (*held_confirm)(struct backend *b, uint32_t rule, size_t limit, uint64_t *ret_n);
    int (*held_discard)(struct backend *b, uint32_t rule, struct span reason, int64_t now_ms,
                        size_t limit, uint64_t *ret_n);
    /* An operator's recorded word: the task is dropped, with `reason` in the history. */
    int (*task_drop)(struct backend *b, uint32_t rule, struct span key, struct span reason,
                     int64_t now_ms);

    /* Uploads. intend() before Create is sent, open() with the id before the first part,
     * part_done() before the part counts (a repeat replaces it; what it cost to send is added to
     * the rule's counters at once, as the life that sends it may end before finish()), upload_set()
     * for the state and the abort's retry times, upload_end() when the server has completed or
     * aborted it. uploads that nobody works on any more are found with upload_page().
     *
     * An intention (upload id empty) is not due before UPLOAD_CREATE_WAIT_MS have passed since its
     * last Create was intended. intend() on one that stands keeps its created_ms; it then outlives
     * open() and upload_end(), as aborting, until intent_end(). */
    int (*upload_intend)(struct backend *b, const struct upload *in);
    int (*upload_open)(struct backend *b, const struct upload *in);
    int (*part_done)(struct backend *b, uint32_t rule, struct span key, struct span upload_id,
                     const struct upload_part *part);
    int (*upload_set)(struct backend *b, uint32_t rule, struct span key, struct span upload_id,
                      enum upload_state state, int64_t next_try_ms, uint32_t attempts);
    int (*upload_end)(struct backend *b, uint32_t rule, struct span key, struct span upload_id);
    /* Its uploads were looked for when it was due, at due_ms: does nothing where Create was
     * intended once more meanwhile. */
    int (*intent_end)(struct backend *b, uint32_t rule, struct span key, int64_t due_ms);
    /* Whether any rule has recorded it: 0, or REPL_ENOTFOUND. */
    int (*upload_find)(struct backend *b, struct span endpoint, struct span bucket,
                       struct span upload_id);
    /* state -1 = all; due_ms: only those with next_try_ms <= due_ms (INT64_MAX = all); position is
     * (rule, key, upload id) of the last row. With parts: no. */
    int (*upload_page)(struct backend *b, struct arena *a, int state, int64_t due_ms,
                       const struct upload *after, size_t limit, struct upload **ret,
                       size_t *ret_n);

    /* Lag. watermark_put() never lowers it (a lower value changes nothing). */
    int (*frontier)(struct backend *b, struct arena *a, uint32_t rule, struct frontier *ret);
    int (*watermark_put)(struct backend *b, uint32_t rule, int64_t watermark_ms);
    int (*counts)(struct backend *b, uint32_t rule, struct rule_counts *ret);
    /* From now on pending tasks whose oldest_ms is below before_ms count as late. Costs what the
     * tasks between the time of the last call and this one cost; when there are more than about
     * `limit` the time moves only a part of the way, and a later call goes on. */
    int (*late)(struct backend *b, uint32_t rule, int64_t before_ms, size_t limit);
    /* Those that late() will count from before_ms on and does not yet: at most `limit`. */
    int (*late_next)(struct backend *b, struct arena *a, uint32_t rule, int64_t before_ms,
                     size_t limit, struct task **ret, size_t *ret_n);
    /* A complete scan began at scan_ms and ended at ended_ms, when all that it found was appended:
     * everything up to scan_ms is proven once nothing of either origin is unfinished that is not
     * after ended_ms. What a scan found may hide changes before it that nobody told of, so there is
     * no proof by halves. Never lowers it. */
    int (*prove)(struct backend *b, uint32_t rule, int64_t scan_ms, int64_t ended_ms);
    /* Newest first; limit at most LATE_CHANGES_MAX. */
    int (*late_page)(struct backend *b, struct arena *a, uint32_t rule, size_t limit,
                     struct late_change **ret, size_t *ret_n);
    /* Watermarks of prefixes. set() makes these at most PREFIXES_MAX the rule's and forgets others;
     * what is stored of those that stay is kept. mark() then tells the pending tasks apart, at most
     * `limit` a call, and is called until list() says that it is done. list() costs the same
     * however many tasks are pending. put() never lowers. */
    int (*prefixes_set)(struct backend *b, uint32_t rule, const struct span *prefixes, size_t n);
    int (*prefixes_mark)(struct backend *b, uint32_t rule, size_t limit);
    int (*prefixes_list)(struct backend *b, struct arena *a, uint32_t rule,
                         struct prefix_list *ret);
    int (*prefix_put)(struct backend *b, uint32_t rule, struct span prefix, int64_t watermark_ms,
                      int64_t proven_ms);

    /* Questions: one page. */
    int (*task_get)(struct backend *b, struct arena *a, uint32_t rule, struct span key,
                    struct task *ret);
    /* The newest versions of the key that are done with, the last one first; at most
     * VERSION_MARKS_MAX. */
    int (*version_marks)(struct backend *b, struct arena *a, uint32_t rule, struct span key,
                         struct version_mark **ret, size_t *ret_n);
    int (*replica_get)(struct backend *b, struct arena *a, uint32_t rule, struct span key,
                       struct replica *ret);
    int (*task_page)(struct backend *b, struct arena *a, const struct task_filter *filter,
                     struct task **ret, size_t *ret_n);
    /* Newest first; key absent = all of the rule. */
    int (*history_page)(struct backend *b, struct arena *a, uint32_t rule, struct span key,
                        size_t limit, struct history_entry **ret, size_t *ret_n);
    /* Removes up to `limit` history rows older than before_ms. */
    int (*history_trim)(struct backend *b, int64_t before_ms, size_t limit, uint64_t *ret_n);

    /* Quarantine. put() keeps feed, receive time, reason and body, or counts what is too much. A
     * page is in the order of ids, behind after_id, without bodies; feed absent = of all. drop()
     * removes the one with the id, or with id 0 all of the feed that came before before_ms. hold()
     * says what holds the watermark of rules that copy from the place, whatever has become of the
     * feed, leaving out bodies that came before a complete scan began at scan_ms (what was lost may
     * have come later). feeds(): all that have something there. word() keeps an operator's, words()
     * tells the last ones, the newest first. */
    int (*quarantine_put)(struct backend *b, const struct quarantined *in);
    int (*quarantine_page)(struct backend *b, struct arena *a, struct span feed, uint64_t after_id,
                           size_t limit, struct quarantined **ret, size_t *ret_n);
    int (*quarantine_get)(struct backend *b, struct arena *a, uint64_t id, struct quarantined *ret);
    int (*quarantine_drop)(struct backend *b, struct span feed, uint64_t id, int64_t before_ms,
                           uint64_t *ret_n);
    int (*quarantine_hold)(struct backend *b, struct arena *a, const struct quarantine_place *of,
                           struct quarantine_hold *ret);
    int (*quarantine_counts)(struct backend *b, struct span feed, struct quarantine_counts *ret);
    int (*quarantine_feeds)(struct backend *b, struct arena *a, struct quarantine_feed **ret,
                            size_t *ret_n);
    int (*quarantine_word)(struct backend *b, const struct quarantine_word *in);
    int (*quarantine_words)(struct backend *b, struct arena *a, struct span feed, size_t limit,
                            struct quarantine_word **ret, size_t *ret_n);

    /* Events, told in the order of their numbers. add(): more than `limit` of a target, and the
     * oldest optional one goes, or the oldest of all; which is counted. page(): the oldest first.
     * done(): up to this number they are told. keep(): those of all other targets go. */
    int (*event_add)(struct backend *b, const struct event_record *in, uint64_t limit);
    int (*event_page)(struct backend *b, struct arena *a, struct span target, size_t limit,
                      struct event_record **ret, size_t *ret_n);
    int (*event_done)(struct backend *b, struct span target, uint64_t number);
    int (*event_counts)(struct backend *b, struct span target, struct event_counts *ret);
    int (*event_keep)(struct backend *b, const struct span *targets, size_t count);
};

struct backend {
    const struct backend_ops *ops;
};

enum backend_mode { BACKEND_WRITER, BACKEND_READER };

/* SQLite in WAL mode, synchronous=FULL. The file is made with mode 0600, its schema migrated step
 * by step (writer). cache_bytes bounds the pages that it keeps in memory. REPL_ESCHEMA for a newer
 * schema than ours; REPL_EBADINPUT for a database of another program, which stays as it is. */
int backend_open_sqlite(const char *path, enum backend_mode mode, uint64_t cache_bytes,
                        struct backend **ret, struct fail *f);
/* Whether a writer may be opened on what is at `path`, without making or changing anything. */
int backend_look_sqlite(const char *path, struct fail *f);

#endif
