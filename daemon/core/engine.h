/* engine: the main job, as a library: journal → rules → copies → results → lag. Lives on one loop,
 * owns journal, scheduler, feeds and stores, knows no process: repld and `replctl migrate` both run
 * one, tests run several in one process, on virtual time too. Every callback comes from the loop,
 * once. */
#ifndef REPL_CORE_ENGINE_H
#define REPL_CORE_ENGINE_H

#include "daemon/base/stat.h"
#include "daemon/conf/conf.h"
#include "daemon/conf/rule.h"
#include "daemon/feeds/scan_feed.h"
#include "daemon/feeds/setup.h"
#include "journal/journal.h"
#include "transfer/copy/sched.h"

struct engine;

/* Makes the store of an endpoint; the tests hand in fakes. */
typedef int engine_store_fn(void *arg, const struct conf_endpoint *endpoint, struct store **ret,
                            struct fail *f);

struct engine_options {
    struct loop *loop;
    struct log *log;
    struct stat_set *stats;
    const struct conf *conf; /* alive until engine_reload() or the end */
    enum journal_executor executor;
    engine_store_fn *make_store; /* NULL: s3 by conf */
    void *make_store_arg;
    bool feeds; /* run outboxes and scans */
    /* The journal is another program's now: engine_stop() is due, which then waits for nothing. */
    loop_fn *lost;
    void *lost_arg;
};

/* Opens journal and stores (blocking), loads rules, starts work. */
int engine_new(const struct engine_options *options, struct engine **ret, struct fail *f);
/* Finishes or checkpoints copies within conf->shutdown_ms, closes all; stopped(arg) from the loop,
 * after which engine_free(). */
void engine_stop(struct engine *e, loop_fn *stopped, void *arg);
void engine_free(struct engine *e);
/* New snapshot: endpoints, outboxes and limits are compared and only what changed is reopened.
 * Refused as a whole (REPL_ECONFLICT) when a rule needs an endpoint that is gone. */
int engine_reload(struct engine *e, const struct conf *conf, struct fail *f);

/* Feeds and append: durable when done(status 0). The changes are copied. `unmatched` = changes that
 * no rule takes (they are not stored). cursor_name absent = none; else stored in the same commit.
 */
struct engine_append_result {
    uint64_t accepted;
    uint64_t unmatched;
    size_t unmatched_at; /* the first of them: its place in what was given; 0 without any */
    uint64_t astray;     /* of the unmatched: of an endpoint and bucket that no rule copies from */
    char astray_place[160]; /* the first one's ENDPOINT/BUCKET */
    uint64_t last_seq;
};
typedef void engine_append_fn(void *arg, int status, const struct fail *f,
                              const struct engine_append_result *result);
void engine_append(struct engine *e, const struct change *changes, size_t count,
                   enum task_origin origin, struct span cursor_name, struct span cursor,
                   engine_append_fn *done, void *arg);

/* Rules. `done` with 0 or a failure. rule_put: new when the name is not known (then preflighted
 * unless no_preflight), else replaced. */
typedef void engine_done_fn(void *arg, int status, const struct fail *f);
void engine_rule_put(struct engine *e, const struct rule *rule, bool no_preflight,
                     engine_done_fn *done, void *arg);
/* Tries on the real buckets what engine_rule_put() would, and changes nothing; done at once or
 * later.
 */
void engine_rule_try(struct engine *e, const struct rule *rule, engine_done_fn *done, void *arg);
/* What engine_rule_put() would refuse whatever other rules there are: an endpoint that is not
 * configured, other places than the rule of this name has. */
int engine_rule_check(struct engine *e, const struct rule *rule, struct fail *f);
void engine_rule_delete(struct engine *e, const char *name, engine_done_fn *done, void *arg);
/* In memory, in the order of their numbers; valid until the next turn. */
size_t engine_rules(struct engine *e, const struct rule *const **ret);
const struct rule *engine_rule_find(struct engine *e, const char *name);
/* Refuse a name that is none, REPL_ENOTFOUND; the hint says which one may have been meant, and what
 * shows them all. */
int engine_unknown_rule(struct engine *e, const char *name, struct fail *f);
int engine_unknown_endpoint(struct engine *e, const char *name, struct fail *f);
int engine_unknown_feed(struct engine *e, const char *name, struct fail *f);
/* Of a body in quarantine; id 0: of any. Any thread. */
int engine_unknown_body(struct span feed, uint64_t id, struct fail *f);

/* Warnings about keys and tokens that the configuration names and that can be looked for without
 * starting. */
void engine_check_creds(const struct conf *conf, struct conf_files *found);

struct outbox_status {
    const char *name;  /* valid until the next turn */
    const char *state; /* "starting": has read nothing yet; "up"; "down": fail says why */
    bool is_read;      /* "up" */
    uint64_t bad_rows;
    uint64_t astray_rows; /* of places that no rule copies from */
    struct fail fail;
};
/* The outbox at this place in the configuration; false behind the last one. */
bool engine_outbox_status(struct engine *e, size_t at, struct outbox_status *ret);

/* A feed of the configuration, or of an earlier one while its quarantine is undecided; what is
 * pointed at is valid until the next turn. */
struct feed_report {
    const char *name;     /* "webhook:minio" */
    const char *kind;     /* "webhook" */
    const char *endpoint; /* NULL = of any */
    const char *bucket;
    const char *state; /* "starting", "up", "down" or "deaf": fail says why, "removed" */
    bool is_up;        /* "up" */
    struct fail fail;
    uint64_t astray; /* changes of places that no rule copies from */
    struct quarantine_counts quarantined;
};
/* False behind the last one. */
bool engine_feed_report(struct engine *e, size_t at, struct feed_report *ret);
/* Where the webhook listens, NULL when it does not. */
const char *engine_webhook_address(const struct engine *e);
/* Bodies in quarantine of a feed, by id or with id 0 all of them: are read again and, where they
 * can be now, appended and dropped; or are dropped by the operator's word, which the journal keeps:
 * of the word feed, id, who and reason are the caller's to fill. */
void engine_quarantine_replay(struct engine *e, const char *feed, uint64_t id, engine_done_fn *done,
                              void *arg);
void engine_quarantine_drop(struct engine *e, const struct quarantine_word *word,
                            engine_done_fn *done, void *arg);

struct queue_status {
    const char *name;  /* valid until the next turn */
    const char *state; /* "starting": has had no answer yet; "up"; "down": fail says why */
    bool is_read;      /* "up" */
    uint64_t waiting;  /* messages in it, approximately */
    uint64_t in_hand;  /* received and not deleted yet */
    uint64_t bad_messages;
    uint64_t astray_changes; /* of places that no rule copies from */
    int64_t complete_through_ms;
    struct fail fail;
};
/* The queue at this place in the configuration; false behind the last one. */
bool engine_queue_status(struct engine *e, size_t at, struct queue_status *ret);
/* What the source side of a rule needs so that the webhook hears of its changes. plan:
 * REPL_ENOTFOUND when there is no rule or no source for it; hook_url and arn are the caller's to
 * fill. apply: does it with the endpoint's keys, as far as the sender has an API for it. */
int engine_setup_plan(struct engine *e, const char *rule, struct setup *ret, struct fail *f);
struct engine_setup {
    const char *rule;
    enum setup_sender sender; /* SETUP_UNKNOWN: as the endpoint tells */
    const char *arn;          /* where the bucket is to send to; NULL: as the sender has it */
};
void engine_setup_apply(struct engine *e, const struct engine_setup *what, engine_done_fn *done,
                        void *arg);
struct event_status {
    const char *name; /* valid until the next turn */
    uint64_t waiting; /* as of the last request */
    uint64_t dropped; /* ever, since too many waited */
    int64_t oldest_ms;
    uint64_t sent; /* in this life */
    unsigned failures;
    struct fail fail; /* of the last request; code 0 = it went well */
};
/* The target of events at this place; false behind the last one. */
bool engine_event_status(struct engine *e, size_t at, struct event_status *ret);

/* The rate of a limit that is in force now, as it was written; NULL = none. */
const char *engine_limit_now(struct engine *e, const struct limit *l);

/* Scans: scan_feed.h. REPL_ENOTFOUND: no such rule. */
int engine_scan_begin(struct engine *e, const char *rule, struct fail *f);
int engine_scan_end(struct engine *e, const char *rule, struct fail *f);
int engine_scan_report(struct engine *e, const char *rule, struct scan_report *ret, struct fail *f);

/* Lag of a rule, from counters kept in memory and refreshed after every commit. */
enum lag_blocker {
    LAG_NONE,
    LAG_TASK,
    LAG_FAILED_TASK,
    LAG_FEED,
    LAG_PAUSED,
    LAG_ENDPOINT,
    LAG_BRAKE
};

/* The newest of the changes that came later than the watermark; feed "" = there was none. */
struct lag_late {
    char key[160];
    char feed[96];
    int64_t event_time_ms;
    int64_t accepted_ms;
};

#define ENGINE_HINT_MAX 256

struct rule_lag {
    int64_t watermark_ms; /* 0 = none yet */
    int64_t proven_ms;    /* the same, confirmed by a complete scan; never after the watermark */
    int64_t lag_ms;       /* now − watermark */
    enum lag_blocker blocker;
    char waits_for[480];        /* a sentence: what the watermark waits for */
    char hint[ENGINE_HINT_MAX]; /* what may mend it, where more is known than the blocker */
    char proof[200];            /* a sentence: what proven waits for */
    int64_t oldest_ms;          /* event time of the oldest pending change; 0 = none */
    struct rule_counts counts;
    struct lag_late last_late;
    double latency_p50_s, latency_p90_s, latency_p99_s;
    bool listing; /* existing objects are not all listed yet */
    uint64_t listed;
    uint64_t listed_bytes;
    uint64_t listed_equal;     /* of those: need no copy */
    struct fail listing_fail;  /* code 0 = none */
    uint64_t existing_failed;  /* dead letters of existing objects */
    bool existing_done;        /* nothing of them is left to list or to copy */
    char existing[320];        /* a sentence about existing objects; "" = none is left or failed */
    struct fail endpoint_fail; /* of an endpoint that takes no work now; code 0 = none */
    int64_t brake_since_ms;    /* deletes are held since; 0 = they are not */
    char brake_why[200];
    bool known; /* false until the first refresh after the start */
};
int engine_lag(struct engine *e, const char *rule, struct rule_lag *ret);

struct prefix_status {
    const char *prefix; /* as the rule names it; valid until the next turn */
    int64_t watermark_ms;
    int64_t lag_ms;
    int64_t proven_ms;
    enum lag_blocker blocker;
    char waits_for[480];
};
/* The prefix at this place in the rule's watermark_prefixes; false behind the last one. */
bool engine_prefix_status(struct engine *e, const char *rule, size_t at, struct prefix_status *ret);
/* What looks at the whole bucket of the rule (listing, scan, the deletes that one finds) is this
 * host's to do. Ask before it begins and before every effect; of what was found earlier, whether
 * the epoch is still the same one. 0 = not ours. */
uint64_t engine_owner_epoch(struct engine *e, const char *rule);
bool engine_owns(struct engine *e, const char *rule);
/* Whose it is as far as we know ("" = not known), and what is in the way of knowing or being it
 * ("" = nothing); valid until the next turn. */
const char *engine_owner(struct engine *e, const char *rule, const char **ret_trouble);
/* Wall time, but it never goes back, and is later than every watermark, whatever happens to the
 * clock: changes are accepted at it, and "now" in a question about the watermark means it. */
int64_t engine_now_ms(struct engine *e);

struct engine_wait_options {
    const char *rule;
    int64_t until_ms;    /* 0 = now: whatever is accepted already */
    uint64_t timeout_ms; /* 0 = no limit */
    bool existing;       /* existing objects too, which the watermark does not wait for */
    const char *prefix;  /* one of watermark_prefixes; NULL = the whole rule */
    bool proven;         /* not the watermark, but what scans have confirmed */
};
/* done when the watermark (or proven) of the rule is >= until_ms, or after the timeout
 * (UV_ETIMEDOUT), or REPL_ENOTFOUND when the rule is gone, or REPL_ECONFLICT when existing objects
 * failed. */
void engine_wait(struct engine *e, const struct engine_wait_options *what, engine_done_fn *done,
                 void *arg);

/* For questions of admin and jobs that go straight to the journal (JOURNAL_READ). */
struct journal *engine_journal(struct engine *e);
/* Text about a key in work: "sending parts 3/17", or NULL when no copy of it runs. */
const char *engine_copy_text(struct engine *e, uint32_t rule, struct span key, char *to,
                             size_t size);
/* The endpoint of the rule that takes no work now, and why (*f stays empty when it just does not
 * answer); valid until the next turn. NULL = none. */
const char *engine_blocked_by(struct engine *e, const char *rule, struct fail *f);
/* Nothing serves the source of the rule, and nothing was ever appended or found: that its watermark
 * is now means little. */
bool engine_rule_untold(struct engine *e, const char *rule);
/* An operator's word about `count` tasks. */
typedef void engine_word_fn(void *arg, int status, const struct fail *f, uint64_t count);
/* Dead letters: retry or drop; key absent = all of the rule, be it none (retry only).
 * REPL_ENOTFOUND without such a rule, or where nothing failed with this key. */
void engine_task_retry(struct engine *e, const char *rule, struct span key, engine_word_fn *done,
                       void *arg);
void engine_task_drop(struct engine *e, const char *rule, struct span key, struct span reason,
                      engine_word_fn *done, void *arg);
/* Deletes that the brake holds: reason absent, they go; else they are discarded, on the record.
 * REPL_ENOTFOUND without such a rule. */
void engine_held_word(struct engine *e, const char *rule, struct span reason, engine_word_fn *done,
                      void *arg);
struct store *engine_store(struct engine *e, const char *endpoint);
struct sched *engine_sched(struct engine *e);

#endif
