/* copy_impl: what the files of copy share, and what sched sees of a copy. A copy holds operations
 * in queues, one for each side; the scheduler takes from them (copy_peek, copy_started) when a slot
 * is free, and hands results back (copy_result). Whatever happens to a copy ends in copy_settle(),
 * the one place that hands out records, restarts, and ends (and frees) a copy: nothing may touch a
 * copy after it.
 *
 * An operation is in exactly one list: the queue of its side, running, delayed (a retry's wait) or
 * held (it keeps a body that is not wanted yet). A handler that puts it into none gives it up. */
#ifndef REPL_COPY_COPY_IMPL_H
#define REPL_COPY_COPY_IMPL_H

#include "daemon/base/hash.h"
#include "daemon/base/log.h"
#include "transfer/copy/budget.h"
#include "transfer/copy/copy.h"
#include "transfer/copy/plan.h"

struct sched;
struct endpoint;
struct batch;
struct group;

#define COPY_RESTARTS      3  /* the source changed, or the upload or the bytes were lost */
#define COPY_VERIFY_BYTES  16 /* one-byte reads after an ambiguous end, at most */
#define COPY_MARKER_NAME   "repl-source"
#define COPY_USER_META_MAX 2048 /* bytes of names and values (S3) */

enum copy_side { COPY_SOURCE, COPY_DEST, COPY_SIDES };

enum copy_step {
    STEP_COMPARE,      /* HEAD source: is it what the destination has already? */
    STEP_COMPARE_DEST, /* HEAD destination: has it the metadata, too? */
    STEP_PEER,         /* HEAD destination: whose object is there? */
    STEP_READ_FIRST,
    STEP_TAGS,
    STEP_PUT,
    STEP_ASK_RIVAL, /* HEAD destination: what has another host brought? */
    STEP_ASK_PUT,   /* HEAD destination: did a PUT without an answer happen? */
    STEP_CREATE,
    STEP_READ_PART,
    STEP_SEND_PART,
    STEP_COMPLETE,
    STEP_ASK_COMPLETE,  /* HEAD destination: did Complete happen? */
    STEP_ASK_UPLOAD,    /* LIST_PARTS: is the upload there still? */
    STEP_RESUME_PIN,    /* HEAD source: is it still the version of the upload? */
    STEP_RESUME_PARTS,  /* LIST_PARTS: what has the server got? */
    STEP_FIND_INTENDED, /* LIST_UPLOADS: did a Create of an earlier life happen? */
    STEP_LOOK_INTENDED, /* LIST_PARTS of such an upload: only an empty one can be ours */
    STEP_ABORT_INTENDED,
    STEP_VERIFY, /* HEAD destination */
    STEP_VERIFY_BYTE,
    STEP_PUT_TAGS,      /* what Create was told and the server has not kept */
    STEP_DELETE_UPLOAD, /* LIST_PARTS: has an upload of an earlier life completed? */
    STEP_DELETE_ABORT,
    STEP_DELETE_LOOK,        /* HEAD destination: is it ours? */
    STEP_DELETE_LOOK_BUCKET, /* HEAD_BUCKET destination: is only the key gone? */
    STEP_DELETE_EVIDENCE,    /* HEAD source */
    STEP_DELETE_BUCKET,      /* HEAD_BUCKET source: a HEAD's 404 does not tell key from bucket */
    STEP_DELETE,
    STEP_RIVAL_EVIDENCE, /* HEAD source: is it still gone? */
    STEP_RIVAL_CHECK,    /* HEAD source: is it still there? */
    STEP_COUNT
};

struct copy_op {
    struct store_op op;
    struct copy *copy;
    enum copy_step step;
    uint32_t part;     /* index from 0: READ_PART, SEND_PART */
    unsigned attempts; /* failures of this step that count */
    bool counts;       /* the last one does (false: its endpoint is down) */
    bool is_cancelled;
    bool goes_alone;      /* not in a batch again */
    struct copy_op *twin; /* the other attempt in flight of the same part, or NULL */
    bool is_surplus;      /* the other one has won */
    uint64_t started_ms;
    struct timer slow;
    enum store_class size; /* it is in flight as */
    struct batch *batch;   /* it is in flight with */
    uint64_t need;         /* bytes of body memory it must have before it may go */
    struct ticket ticket;
    bool has_passed;    /* limits on bytes let its body pass, which is not sent yet … */
    double paid;        /* … and so many were used up for it */
    struct arena arena; /* results of the part steps; the others' are the copy's */
    struct timer delay;
    struct list link;
};

/* What stands at the destination of a delete. */
enum copy_look { LOOK_OURS, LOOK_NOTHING, LOOK_FOREIGN, LOOK_UNKEPT };

enum part_state { PART_TODO, PART_BUSY, PART_SENT, PART_DONE };

struct copy_part {
    enum part_state state;
    bool repeated; /* sent more than once, as far as the server may have seen */
    struct span etag;
    struct span checksum;
};

/* What happens when the operations in flight have ended and the records are stored. */
enum copy_after { AFTER_NOTHING, AFTER_RESTART, AFTER_END };

struct copy_note { /* a record waiting for its turn */
    struct list link;
    enum copy_record_kind kind;
    uint32_t part; /* index */
};

enum entry_place { ENTRY_NOWHERE, ENTRY_READY, ENTRY_PARKED, ENTRY_BUDGET, ENTRY_LIMITED };

/* A side of a copy as the queues of its endpoint see it. */
struct entry {
    struct copy *copy;
    enum copy_side side;
    enum entry_place place;
    struct queue *queue; /* READY, PARKED, LIMITED; what follows is what it was put in with */
    bool busy;
    enum copy_class class;
    enum store_class size;
    size_t slot[2]; /* in the heaps of both orders */
};

struct copy {
    struct copy_job job;
    void *owner;
    struct sched *sched;
    struct arena arena;
    uint64_t seq;

    /* ---- the scheduler's ---- */
    struct list all;
    struct list woken;
    struct entry entry[COPY_SIDES];
    struct endpoint *at[COPY_SIDES];
    struct group *group;
    unsigned in_flight[COPY_SIDES];
    bool is_new, is_committed, is_cancelled;
    bool is_put_back; /* at the stop: nothing more of it is begun */
    bool is_late;
    struct timer late;
    int commit_status;

    /* ---- operations ---- */
    struct list queue[COPY_SIDES];
    struct list running;
    struct list delayed;
    struct list held;
    struct copy_op *body; /* of READ_FIRST, in held, until PUT or part 1 takes it */

    /* ---- what is known ---- */
    struct store_object source;
    bool is_pinned;       /* source says which version is read */
    bool is_plain;        /* no range on the first read */
    struct span peer_for; /* ETag of the source's object that was judged beside what is there */
    bool peer_before_complete; /* it is judged again for the upload's sake */
    bool no_md5;               /* the source's ETag proved not to be an MD5 */
    int64_t size_hint;
    uint64_t first_length;
    struct store_pair *tags;
    bool tags_late; /* they are read and put after the copy */
    size_t tag_count;
    struct store_meta meta; /* as written at the destination … */
    bool meta_is_known;     /* … unless an earlier life did */
    struct span marker;     /* absent when not written */
    struct plan plan;
    unsigned lost_meta;

    /* ---- other hosts ---- */
    struct span
        over_etag; /* what stands at the destination and may be overwritten; absent: nothing */
    struct span
        read_over; /* what stood there before the present reading began; absent: not known */
    unsigned rivals;
    bool is_checked; /* the source had the key after it was written */

    /* ---- the upload ---- */
    struct span upload_id;
    bool upload_is_open;     /* the journal has it (or will, by a record in the queue) */
    bool parts_flow;         /* parts may be read */
    bool upload_is_complete; /* the server said so, or showed the object */
    bool is_resumed;         /* an earlier life has created it */
    bool has_arrived;        /* the destination shows what Complete would have made */
    bool is_ambiguous;       /* that Complete happened was found out by asking */
    unsigned complete_attempts;
    bool complete_said_gone; /* its last answer was that there is no such upload */
    unsigned delete_asks;    /* whether it is there still */
    enum copy_look look;     /* LOOK_OURS where there was no need to */
    uint64_t evidence_ms;    /* when the source said that the key is gone */
    struct copy_part *parts;
    struct store_part *complete_parts;
    uint32_t parts_todo;
    uint32_t parts_done;
    uint32_t next_part; /* no part before it is left to send */
    uint64_t bytes_done;
    unsigned create_attempts;
    int64_t intended_ms;           /* wall time of the first Create that has no answer … */
    int64_t intended_last_ms;      /* … and of the last one … */
    uint64_t intended_at_ms;       /* … which is monotonic time */
    bool is_intended_anew;         /* that one has been put off: it leaves when it can */
    struct store_upload *intended; /* found, to be looked at */
    size_t intended_count;
    uint32_t verify_at;
    unsigned verify_bytes;
    char verify_byte;

    /* ---- records ---- */
    struct list notes;
    bool record_is_out;
    struct copy_note out;

    /* ---- the end ---- */
    enum copy_after after;
    bool close_upload; /* at the end the journal hears what became of the upload … */
    enum copy_record_kind close_as;
    unsigned restarts;
    struct copy_outcome outcome;
};

/* ---- for sched ---- */

struct copy *copy_new(struct sched *s, const struct copy_job *job, void *owner, uint64_t seq);
void copy_start(struct copy *c);
/* The operation that would go next on this side, or NULL. */
struct copy_op *copy_peek(struct copy *c, enum copy_side side);
bool copy_wants(const struct copy *c, enum copy_side side); /* copy_peek() would give one */
uint64_t copy_op_bytes(const struct copy_op *o);            /* of the body it moves */
/* Fills the store's part and moves it to running; the caller submits it. Memory is there. */
void copy_fill(struct copy_op *o);
/* Moves it out of running and goes on; the copy may be freed by it. */
void copy_result(struct copy_op *o);
void copy_committed(struct copy *c, int status);
void copy_cancel(struct copy *c);
/* A Create that comes to leave long after its intention, as after an outage: would be taken for
 * another's when its answer is lost. Frees it, and it comes again with a new intention. */
bool copy_create_is_late(const struct copy_op *o);
void copy_create_anew(struct copy_op *o);
/* Nothing in flight, nothing that may be written now: it may be stopped without losing work. */
bool copy_is_idle(const struct copy *c);
/* Gives up bodies that are read but not on their way; they are read again later. */
void copy_shed(struct copy *c);
void copy_settle(struct copy *c);
/* A second attempt of a part that is in flight, to be started at once. */
struct copy_op *copy_twin(struct copy_op *o);
enum copy_side copy_side(enum copy_step step);

/* ---- from sched ---- */

void sched_update(struct copy *c);            /* its queues changed */
void sched_call_back(struct copy_op *o);      /* cancels it where it is in flight */
bool sched_has_left(const struct copy_op *o); /* in flight: a connection has it */
void sched_release(struct copy_op *o);        /* gives the ticket back */
void sched_record(struct copy *c, const struct copy_record *rec);
void sched_done(struct copy *c); /* tells the owner and frees */
bool sched_is_stopping(const struct copy *c);
struct loop *sched_loop(const struct copy *c);
struct log *sched_log(const struct copy *c);
struct plan_input sched_plan_input(const struct copy *c);
/* The bucket of this side was seen to exist a moment ago. */
bool sched_bucket_is_seen(const struct copy *c, enum copy_side side);

/* ---- between the files of copy ---- */

typedef void copy_step_fn(struct copy *c, struct copy_op *o);

struct copy_op *copy_op_of(struct list *link); /* NULL for NULL */
const char *copy_step_text(enum copy_step step);
struct copy_op *copy_op_new(struct copy *c, enum copy_step step);
void copy_op_free(struct copy_op *o);
void copy_ask(struct copy *c, enum copy_step step);      /* new operation, queued */
void copy_queue(struct copy_op *o, enum copy_step step); /* queued as this step, attempts kept */
void copy_hold(struct copy_op *o);
/* o of a pair has ended, or is given up: the body is the other's now. */
struct copy_op *copy_leave_twin(struct copy_op *o);
/* Sends it again by class and attempt, or fails the copy. */
void copy_again(struct copy *c, struct copy_op *o);
/* The same, beginning with a step before it. */
void copy_again_as(struct copy *c, struct copy_op *o, enum copy_step step);
/* As copy_again(), for a step that has to be done over as another one (PUT after asking). */
bool copy_may_repeat(struct copy *c, struct copy_op *o, uint32_t *ret_delay_ms);
void copy_delay(struct copy_op *o, enum copy_step step, uint32_t delay_ms);
void copy_fail(struct copy *c, const struct fail *f, enum copy_side side);
/* The question is not supported, or was refused as often as it may be asked: there will be no
 * answer, and the copy is better off without one than failed. */
bool copy_is_mute(const struct copy_op *o);
void copy_restart(struct copy *c, const struct fail *f, enum copy_side side);
void copy_end(struct copy *c, enum copy_end end);
void copy_skip(struct copy *c, const char *reason);
void copy_note(struct copy *c, enum copy_record_kind kind, uint32_t part);
void copy_emit(struct copy *c);
void copy_upload_reset(struct copy *c);
uint64_t copy_part_length(const struct copy *c, uint32_t index);

void copy_begin(struct copy *c); /* once nothing of an earlier life is left */
void copy_read_start(struct copy *c);
void copy_write(struct copy *c); /* source, tags and body are there */
void copy_send(struct copy *c);  /* nothing at the destination is in the way */
void copy_create(struct copy *c);
void copy_parts_start(struct copy *c);
void copy_parts_alloc(struct copy *c);
void copy_complete(struct copy *c);
void copy_complete_past_peer(struct copy *c);
void copy_complete_now(struct copy *c); /* nothing of another host is in the way */
void copy_verify(struct copy *c);
void copy_verified(struct copy *c);
void copy_resume(struct copy *c);
void copy_delete_start(struct copy *c);

/* copy_rival.c */
void copy_rival_condition(const struct copy *c, struct store_op *op);
bool copy_is_refused_by_rival(const struct copy_op *o);
void copy_ask_rival(struct copy *c);
/* What was written as new: another host may have deleted it while we were reading. True: it is
 * being asked for, and copy_verified() comes again. */
bool copy_is_to_be_checked(struct copy *c);

/* Whether the destination must be asked whose object it has before this source is written. */
bool copy_peer_is_asked(const struct copy *c);
/* The source's object names the destination as where it comes from. */
bool copy_peer_is_replica(const struct copy *c);
/* Whether the destination's object must be seen before it is deleted. */
bool copy_look_is_needed(const struct copy *c);
/* With the source's word that the key is gone: ends the copy by what was seen, unless it is to be
 * deleted. */
bool copy_look_ends(struct copy *c);

/* What a marker says of where its object comes from; views, the ETag escaped. */
struct copy_trace {
    struct span etag;
    int64_t mtime_ms;
};
/* Whether the marker on `o`, which stands on this side, counts: it names the other side's bucket
 * and key, and the size and ETag of `o`. An ETag that is no MD5 on one of the sides, as that of an
 * upload, cannot be compared. */
bool copy_trace_read(const struct copy *c, const struct store_object *o, enum copy_side side,
                     struct copy_trace *ret);
/* Whether `o` is what it comes from. */
bool copy_trace_is_of(const struct copy_trace *trace, const struct store_object *o);
struct span copy_marker_make(struct copy *c);
/* Beside the metadata of the source. */
bool copy_marker_fits(struct copy *c);
/* `found` stands on an object at the destination: does it name the version that c has read? */
bool copy_marker_is_ours(const struct copy *c, struct span found);
/* Is this object at the destination the one we were writing? By marker where there is one, else by
 * ETag; and by its metadata where the same bytes may have been there with others. */
bool copy_is_arrived(const struct copy *c, const struct store_object *dest);
/* Is it, by size and metadata, what the source shows now (c->source and c->meta)? */
bool copy_is_same(const struct copy *c, const struct store_object *dest);
/* Tags apart. */
bool copy_has_same_meta(const struct copy *c, const struct store_object *dest);
/* What was read then is told by its time from whatever was written after it. Both times are the
 * source's. */
bool copy_is_settled(int64_t mtime_ms, int64_t read_ms);
void copy_meta_make(struct copy *c);
bool copy_etag_is_md5(struct span etag);
/* The source shows for certain what the journal knows to be at the destination. */
bool copy_compare_is_known(const struct copy *c, const struct store_object *source);
/* Pins a read of the source to the version that is known. */
void copy_pin(const struct copy *c, struct store_op *op);
void copy_fill_source(const struct copy *c, struct store_op *op, enum store_op_kind kind);
void copy_fill_dest(const struct copy *c, struct store_op *op, enum store_op_kind kind);

copy_step_fn copy_compare_fill, copy_compare_good, copy_compare_bad;
copy_step_fn copy_compare_dest_good, copy_compare_dest_bad;
copy_step_fn copy_peer_good, copy_peer_bad;
copy_step_fn copy_look_dest_good, copy_look_dest_bad;
copy_step_fn copy_look_bucket_fill, copy_look_bucket_good;
copy_step_fn copy_first_fill, copy_first_good, copy_first_bad;
copy_step_fn copy_tags_fill, copy_tags_good, copy_tags_bad;
copy_step_fn copy_put_tags_fill, copy_put_tags_good, copy_put_tags_bad;
copy_step_fn copy_put_fill, copy_put_good, copy_put_bad;
copy_step_fn copy_ask_put_good, copy_ask_put_bad;
copy_step_fn copy_create_fill, copy_create_good, copy_create_bad;
copy_step_fn copy_read_part_fill, copy_read_part_good, copy_read_part_bad;
copy_step_fn copy_send_part_fill, copy_send_part_good, copy_send_part_bad;
copy_step_fn copy_complete_fill, copy_complete_good, copy_complete_bad;
copy_step_fn copy_ask_dest_fill, copy_ask_complete_good, copy_ask_complete_bad;
copy_step_fn copy_list_parts_fill, copy_ask_upload_good, copy_ask_upload_bad;
copy_step_fn copy_resume_pin_fill, copy_resume_pin_good, copy_resume_pin_bad;
copy_step_fn copy_resume_parts_good, copy_resume_parts_bad;
copy_step_fn copy_find_fill, copy_find_good, copy_find_bad;
copy_step_fn copy_look_fill, copy_look_good, copy_look_bad;
copy_step_fn copy_abort_fill, copy_abort_good, copy_abort_bad;
copy_step_fn copy_verify_fill, copy_verify_good, copy_verify_bad;
copy_step_fn copy_byte_fill, copy_byte_good, copy_byte_bad;
copy_step_fn copy_delete_upload_good, copy_delete_upload_bad;
copy_step_fn copy_delete_abort_fill, copy_delete_abort_good, copy_delete_abort_bad;
copy_step_fn copy_evidence_fill, copy_evidence_good, copy_evidence_bad;
copy_step_fn copy_bucket_fill, copy_bucket_good;
copy_step_fn copy_rival_good, copy_rival_bad;
copy_step_fn copy_rival_check_good, copy_rival_check_bad;
copy_step_fn copy_rival_evidence_good, copy_rival_evidence_bad;
copy_step_fn copy_delete_fill, copy_delete_good, copy_delete_bad;

#endif
