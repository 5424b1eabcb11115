/* copy: the state machine that brings one object (or one delete) to the destination. It does no
 * I/O and knows no journal: the scheduler asks it for its next operation and hands results back,
 * and what must be durable before it goes on leaves it as a record, which its owner commits.
 *
 *             ┌─────────► SKIP ─────────────────────────────┐
 *   READ ─────┼─► PUT ───────────────► VERIFY ──────────────┼─► DONE
 *   (first    └─► CREATE ─► PARTS ─► COMPLETE ─► VERIFY ────┘
 *    GET)          (resume enters at LIST_PARTS, then PARTS)
 *   ASK_SOURCE (delete: positive evidence) ─► DELETE ─► DONE
 *
 * Any state may fail; a multipart copy that is given up leaves its upload to the owner, as a
 * COPY_ABANDONED record. */
#ifndef REPL_COPY_COPY_H
#define REPL_COPY_COPY_H

#include "daemon/base/loop.h"
#include "transfer/store/store.h"

enum copy_kind { COPY_OBJECT, COPY_DELETE };

/* What a job competes as. A job turns late by itself when its deadline passes. */
enum copy_class { COPY_FRESH, COPY_LATE, COPY_BACKFILL, COPY_CLASSES };

/* What is to be done. Spans are views that live until done(). */
struct copy_job {
    enum copy_kind kind;
    struct store *from;
    struct store *to;
    struct span from_bucket;
    struct span from_key;
    struct span to_bucket;
    struct span to_key;
    struct span version_id;    /* COPY_OBJECT: this version; absent = latest */
    struct span storage_class; /* absent = as the source's */
    int64_t size_hint;         /* bytes, or -1 */
    bool marker;               /* write marker metadata */
    bool shared;               /* other hosts write this key too … */
    bool deletes;              /* … and delete it */
    struct span instance;      /* for the marker */
    uint64_t part_max;         /* bytes */
    int64_t deadline_ms;       /* wall; earlier first, past it the job is late */
    int priority;              /* a point goes before SCHED_PRIORITY_MS of deadline */
    bool backfill;
    uint32_t group; /* whose limits it is under; jobs of one rule have the same */

    /* What is already at the destination, to skip what is equal; absent = not known. */
    struct span known_etag;
    struct span known_version;
    int64_t known_mtime_ms;
    int64_t known_read_ms;       /* when that was read, by the source's clock; 0 = not known */
    struct span known_dest_etag; /* of the object that was written there */
    struct span known_dest_version;

    bool two_way;        /* others write at the destination, and what they write comes here */
    bool delete_foreign; /* COPY_DELETE: whatever is there, not only what is known to be ours */
    bool keep_version;   /* COPY_DELETE: only where the deleted version stays */

    /* An upload to go on with; upload_id absent = none. */
    struct span upload_id;
    bool upload_completing;     /* Complete was sent in an earlier life: ask, do not assume */
    bool upload_intended;       /* Create may have been sent in an earlier life */
    int64_t upload_created_ms;  /* … first, and … */
    int64_t upload_intended_ms; /* … last */
    struct span upload_etag;    /* the source version it was made from */
    struct span upload_version;
    int64_t upload_mtime_ms;
    int64_t upload_read_ms;
    uint64_t upload_size;
    uint64_t upload_part_size;
    const struct store_part *upload_parts;
    size_t upload_part_count;
};

enum copy_record_kind {
    COPY_UPLOAD_INTENDED, /* commit before Create leaves */
    COPY_UPLOAD_OPEN,     /* commit before the first part leaves: upload_id */
    COPY_PART_DONE,       /* commit before the part counts: part, bytes_sent */
    COPY_COMPLETING,      /* commit before Complete leaves */
    COPY_UPLOAD_ENDED,    /* completed, or the server says it is gone */
    COPY_ABANDONED,       /* must be aborted, by the owner, until the server says it is gone;
                           * without upload_id: whatever a Create without an answer makes */
};

/* Whether one of the Creates without an answer that were intended from first_ms to last_ms can have
 * made an upload that was begun at begun_ms; Unix milliseconds. */
bool copy_may_have_begun(int64_t begun_ms, int64_t first_ms, int64_t last_ms);

struct copy_record {
    enum copy_record_kind kind;
    struct span upload_id;
    struct span source_etag;
    struct span source_version;
    int64_t source_mtime_ms;
    int64_t source_read_ms;
    uint64_t size;
    uint64_t part_size;
    struct store_part part; /* COPY_PART_DONE */
    uint64_t bytes_sent;    /* body bytes to the destination, since the last such record */
};

enum copy_end {
    COPY_DONE,    /* verified at the destination */
    COPY_SKIPPED, /* already there, or nothing to delete, or the delete has no evidence */
    COPY_DELETED,
    COPY_FAILED,  /* see fail; class decides what the owner does */
    COPY_STOPPED, /* asked to stop; a resume finds what was recorded */
};

struct copy_outcome {
    enum copy_end end;
    struct fail fail;
    const char *skip_reason; /* constant text, COPY_SKIPPED */
    bool source_gone;        /* COPY_SKIPPED of an object: the source has no such key now */
    bool source_there;       /* COPY_SKIPPED of a delete: the source has the key, not as known */
    bool is_there;           /* COPY_SKIPPED of an object: it was found at the destination (dest) */
    bool dest_gone;          /* COPY_SKIPPED of a delete: the destination has no such key */
    bool is_conflict;        /* two_way: both sides were written, and this one stays */
    bool source_side;        /* the failure was the source's (which endpoint to pause) */
    struct store_object source;
    struct store_object dest; /* ETag, version, checksum as the destination said */
    uint64_t bytes;           /* object size */
    uint64_t bytes_sent;      /* body bytes to the destination, without those of COPY_PART_DONE */
    uint32_t retries;         /* operations repeated within the copy */
    unsigned lost_meta;       /* preserved attributes the destination could not hold */
};

struct copy;

/* The owner's side. Both come from the loop, never inside a call of the copy's or scheduler's. */
struct copy_sink {
    /* Commit rec (views live for the call), then sched_committed(). */
    void (*record)(void *arg, struct copy *c, const struct copy_record *rec);
    /* Last call for this copy; outcome lives for the call, and the copy is freed after it. */
    void (*done)(void *arg, struct copy *c, const struct copy_outcome *outcome);
};

/* What the owner attached with sched_add(). */
void *copy_owner(const struct copy *c);
const struct copy_job *copy_job(const struct copy *c);
/* One word for `replctl explain`: "reading", "sending parts 3/17", "verifying". */
const char *copy_state_text(const struct copy *c, char *to, size_t size);
uint64_t copy_bytes_done(const struct copy *c);

#endif
