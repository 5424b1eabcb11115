/* Shared by the files of engine: what an engine is made of. Loop thread, except run() of calls. */
#ifndef REPL_CORE_ENGINE_IMPL_H
#define REPL_CORE_ENGINE_IMPL_H

#include "daemon/base/hash.h"
#include "daemon/core/engine.h"
#include "daemon/core/engine_brake.h"
#include "daemon/core/engine_quarantine.h"
#include "daemon/core/engine_stat.h"
#include "daemon/feeds/feeds.h"
#include "daemon/feeds/lateness.h"
#include "daemon/feeds/scan_feed.h"
#include "daemon/feeds/webhook.h"
#include "daemon/notify/event_out.h"
#include "daemon/notify/owner.h"
#include "daemon/notify/poster.h"
#include "daemon/notify/watermark.h"
#include "daemon/rules/rules.h"

#define ENGINE_SUBJECT "engine"

/* So long a Complete that an earlier life sent may still be at work at the server: an abort that
 * races it has cost objects (ceph PR 60771). */
#define ENGINE_COMPLETE_WAIT_MS 900000

/* ---- endpoints (engine_store.c) ---- */

struct engine_endpoint {
    struct list link;
    struct engine *engine;
    char *name;
    const struct conf_endpoint *conf; /* of the present snapshot */
    struct store *store;
};

/* ---- feeds ---- */

struct engine_feed {
    struct list link; /* in engine.feeds, or alone as a rule's scan */
    struct engine *engine;
    uint32_t rule; /* scan: its number; 0 = feed of the configuration */
    char *name;    /* in the configuration; scan: of the rule */
    struct feed *feed;
    uint64_t astray;          /* changes of places that no rule copies from */
    struct stat *astray_stat; /* NULL: of a scan */
    struct quarantine_counts quarantined;
    bool closing;
    char waits[160]; /* scan: why it does; see host_waits() */
};

/* ---- rules ---- */

/* The oldest unfinished live change, of a rule or of a prefix. */
struct engine_oldest {
    bool any;
    int64_t ms; /* its event time */
    enum task_state state;
    char key[160];
    char why[200]; /* the last attempt failed; "" = none did */
};

struct engine_prefix {
    char *prefix; /* as the rule names it */
    bool known;   /* its tasks are told apart */
    int64_t watermark_ms;
    int64_t proven_ms;
    struct engine_oldest oldest;
};

struct engine_rule {
    struct list link; /* in engine.rules, by number */
    struct engine *engine;
    struct arena arena; /* of `rule` */
    struct rule rule;
    struct engine_endpoint *from; /* NULL: not in the configuration */
    struct engine_endpoint *to;
    bool deleting;
    bool changing; /* a put or delete is asked for */
    bool storing;  /* a put is on its way through the journal */
    bool purging;
    bool is_told; /* a change in its source was appended since the start, whatever came of it */
    struct timer purge_timer;

    /* Claiming. */
    struct list works;
    size_t work_count;
    bool ready;                  /* the journal may have a claimable task */
    int64_t next_try_ms;         /* wall; when a waiting task is due (INT64_MAX: none known) */
    double credit[COPY_CLASSES]; /* tasks that it has a right to */
    bool newest_first;           /* late tasks: whose turn it is */

    /* An endpoint that refuses or does not answer: one task at a time until it does. */
    uint64_t hold_until_ms; /* monotonic */
    unsigned holds;
    struct fail hold_fail;
    bool hold_source;

    /* Lag, as of the last refresh. */
    bool lag_known;
    struct rule_counts counts;
    struct engine_oldest oldest;
    struct engine_prefix *prefixes; /* in the order of the rule's */
    size_t prefix_count;
    int64_t watermark_ms;
    int64_t proven_ms;
    int64_t proof_ms; /* start of the scan that is to prove something; 0 = none yet */
    int64_t proof_end_ms;
    struct lag_late last_late;
    int64_t held_ms; /* by a body in quarantine; 0 = by none */
    char held_by[96];
    uint64_t existing_failed;
    enum lag_blocker blocker;
    uint64_t skipped_here; /* ignored deletes: counted, never stored */
    struct stat *stats[STAT_RULE_COUNT];

    /* Published: engine_notify.c. */
    struct watermark *watermark; /* NULL: switched off, or not begun */
    uint64_t advance_told_ms;    /* monotonic: of the last event of an advance; 0 = never */
    struct owner *owner;         /* NULL: not shared, or the operator has named the host */
    struct engine_brake brake;

    /* Existing objects, and what scans found besides. */
    struct engine_feed *scan;
    uint64_t handed_over;  /* backfill changes, ever */
    uint64_t listed_ahead; /* of those: not in `counts` yet */
    uint64_t found;        /* live changes of scans, ever */
    uint64_t found_ahead;  /* of those: not in `counts` yet */
};

/* ---- work: one claimed task (engine_work.c) ---- */

struct claim_batch {
    struct arena arena; /* tasks of one claim */
    size_t refs;
};

struct engine_work {
    struct list link; /* in rule.works */
    struct hash_entry entry;
    struct engine *engine;
    struct engine_rule *rule;
    struct claim_batch *batch;
    const struct task *task;
    struct arena arena; /* job's strings */
    struct span to_key;
    struct copy *copy; /* NULL: ended */
    enum copy_kind kind;
    bool is_turned;                   /* counted in the rule's brake.turned */
    bool has_upload;                  /* the task's, which nobody has gone on with yet */
    struct engine_versions *versions; /* of a rule that replicates all of them; or NULL */
    struct span version_id;           /* … the one that is copied */
    int64_t size_hint;
    unsigned turns;                 /* how often the source proved the opposite of the task */
    struct copy_outcome *completed; /* an earlier life's upload, not yet confirmed */
    size_t records;                 /* on their way to the journal */
    bool finished;                  /* its finish record is stored, or given up */
};

/* ---- events (engine_events.c) ---- */

struct event_plan {
    uint32_t rule;
    struct span *targets; /* who wants it, and how many may wait for each */
    uint32_t *limits;
    size_t count;
    struct event_out out;
};

/* ---- the engine ---- */

/* An operation of the engine's own on a store, found again when it is stopped. */
struct engine_op {
    struct list link;
    struct engine *engine;
    struct store *store;
    void *owner;
    struct store_op op;
    struct arena arena;
    store_done_fn *done;
    void *arg;
};

struct engine_wait {
    struct list link;
    struct engine *engine;
    char *rule;
    int64_t until_ms;
    bool existing;
    bool proven;
    char *prefix; /* NULL = the whole rule */
    struct timer timer;
    engine_done_fn *done;
    void *arg;
};

/* The last moment at which wall clock and time of the engine were one, or the clock was ahead. */
struct engine_clock {
    int64_t wall_ms;
    uint64_t at_ms; /* monotonic */
};

struct engine {
    struct loop *loop;
    struct log *log;
    struct stat_set *stats;
    struct engine_clock clock;
    const struct conf *conf;
    engine_store_fn *make_store;
    void *make_store_arg;
    bool run_feeds;
    char id[40];    /* of the journal, whatever the instance is called */
    bool id_is_new; /* not stored yet */
    bool lost;      /* the journal is another program's */
    loop_fn *lost_fn;
    void *lost_arg;

    struct journal *journal;
    struct sched *sched;
    bool sched_stopping; /* being replaced, or for good */
    struct list endpoints;
    struct list rules;
    struct list targets; /* of events */
    const struct rule **rule_view;
    struct list feeds;       /* of the configuration: outboxes, webhook sources, queues */
    struct list leftovers;   /* feeds of former ones */
    struct list arrivals;    /* of webhooks, by bucket */
    struct webhook *webhook; /* NULL: does not listen */
    struct hash works;
    struct list ops;
    struct list puts;     /* rules on their way to the journal */
    struct list finishes; /* results that could not be stored yet */
    struct list retired;  /* endpoints that copies may still use */
    struct timer tick;    /* once a second */
    struct stat_family *families[STAT_RULE_COUNT];
    struct stat_family *scans; /* passes, by rule and result */

    /* claim */
    struct deferred claim_kick;
    struct timer claim_timer;
    bool claiming;

    /* lag */
    struct timer lag_timer;
    bool lag_running;
    bool lag_again;
    struct list waits;

    /* uploads */
    struct timer upload_timer;
    bool uploads_running;
    bool uploads_again;
    uint64_t uploads_swept_ms; /* monotonic, of the last look for forgotten ones; 0 = none yet */

    struct timer history_timer;

    /* stop */
    bool stopping;
    size_t closing; /* stores and feeds */
    struct timer stop_timer;
    int stop_stage;
    loop_fn *stopped;
    void *stopped_arg;
};

/* engine.c */
struct engine_rule *engine_rule_by_number(struct engine *e, uint32_t number);
struct engine_rule *engine_rule_by_name(struct engine *e, const char *name);
/* The engine's op, ready to be filled; engine_op_submit() sends it, engine_op_free() ends it. */
struct engine_op *engine_op_new(struct engine *e, struct store *store);
void engine_op_submit(struct engine_op *o, store_done_fn *done, void *arg);
void engine_op_free(struct engine_op *o);
/* An answer to a request that is not a copy's: what the endpoint refuses is shown at once. */
void engine_heard(struct engine *e, struct store *store, const struct store_op *op);

/* engine_clock.c: the time of the engine is later than this. */
void engine_clock_passed(struct engine *e, int64_t wall_ms);

/* engine_store.c */
struct creds_source engine_creds(enum conf_credentials kind, const char *name, const char *file);
int engine_endpoint_open(struct engine *e, const struct conf_endpoint *conf, struct fail *f);
void engine_endpoint_close(struct engine_endpoint *endpoint);
struct engine_endpoint *engine_endpoint_find(struct engine *e, const char *name);
/* The probed check of an endpoint, as the journal keeps it: "CHECK URL". */
void engine_features_name(const char *endpoint, char to[96]);
void engine_features_apply(struct engine_endpoint *endpoint, struct span value);
void engine_features_save(struct engine *e, const struct store *store);
/* The same of its conditional writes. */
void engine_conditional_name(const char *endpoint, char to[96]);
void engine_conditional_apply(struct engine_endpoint *endpoint, struct span value);
void engine_conditional_save(struct engine *e, const struct store *store);

/* engine_append.c: what a scan found, for one rule only. */
void engine_append_scan(struct engine *e, uint32_t rule, const struct scan_batch *batch,
                        struct span cursor_name, engine_append_fn *done, void *arg);

/* engine_claim.c */
void engine_claim_soon(struct engine *e);
void engine_claim_init(struct engine *e);
void engine_claim_done(struct engine *e);

/* engine_work.c */
extern const struct copy_sink engine_copy_sink;
void engine_work_start(struct engine *e, const struct task *task, struct claim_batch *batch);
/* Copies it, as kind, version and what is known of it say. */
void engine_work_copy(struct engine_work *w);
/* Whether its rule and endpoints still take work. */
bool engine_work_may_go_on(const struct engine_work *w);
/* Gives a claimed task back as it was. */
void engine_work_release(struct engine *e, const struct task *task);
void engine_work_cancel_rule(struct engine_rule *r, size_t keep);
/* Whether some rule's work has the destination of this upload. */
bool engine_work_is_at(struct engine *e, const struct upload *u);
void engine_batch_unref(struct claim_batch *batch);

/* engine_versions.c: all versions of a key, one after the other. */
void engine_versions_start(struct engine_work *w);
void engine_versions_copied(struct engine_work *w, const struct copy_outcome *outcome);
/* What the record of a version says besides its outcome. */
void engine_versions_fill(struct engine_work *w, const struct copy_outcome *outcome,
                          struct finish *finish, struct arena *a);
void engine_versions_next(struct engine_work *w); /* that record is stored */
void engine_versions_free(struct engine_versions *v);

/* engine_finish.c */
void engine_finish_held(struct engine_work *w);
void engine_finish_copy(struct engine_work *w, const struct copy_outcome *outcome);
void engine_work_drop(struct engine_work *w); /* frees it once nothing of it is under way */
/* Results that wait for the journal get their last chance. */
void engine_finish_stop(struct engine *e);
/* Wall time of the next try after `attempts` failures: full jitter, 1 s … 10 min. */
int64_t engine_next_try(struct engine *e, uint32_t attempts);

/* engine_rule.c */
int engine_rules_load(struct engine *e, struct backend *b, struct fail *f);
struct engine_rule *engine_rule_add(struct engine *e, const struct rule *rule);
void engine_rule_free(struct engine_rule *r);
/* The rule of this engine that goes the other way, or NULL. */
struct engine_rule *engine_rule_mirror(const struct engine_rule *r);
void engine_rule_resolve(struct engine_rule *r); /* endpoints by name */
/* engine_delete.c */
void engine_rule_purge(struct engine_rule *r);
void engine_rule_purge_fn(void *rule);

/* preflight.c: read, write, delete and multipart, against the real buckets. */
void engine_preflight(struct engine *e, const struct rule *rule, engine_done_fn *done, void *arg);

/* probe.c: finds the check that the destination makes (features.check) with a trial object of ours;
 * bucket and key live until done(). */
bool engine_probe_is_needed(const struct engine_endpoint *endpoint);
void engine_probe(struct engine *e, struct store *store, struct span bucket, struct span key,
                  loop_fn *done, void *arg);

/* engine_feeds.c */
/* A feed in three steps: made, given to the feed's own constructor as its host, started. */
struct engine_feed *engine_feed_new(struct engine *e, uint32_t rule, const char *name);
struct feed_host engine_feed_host(struct engine_feed *ef);
void engine_feed_start(struct engine_feed *ef, struct feed *feed); /* of the configuration */
void engine_outbox_start(struct engine *e, const struct conf_outbox *conf);
void engine_feed_stop(struct engine_feed *ef);
struct engine_feed *engine_feed_named(struct engine *e, const char *name); /* "webhook:minio" */
/* Whether the feed brings changes of the rule's source. */
bool engine_feed_serves(const struct engine_feed *ef, const struct engine_rule *r);
/* Of a feed and a rule that it serves. */
int64_t engine_feed_through(const struct engine_feed *ef, const struct engine_rule *r);
/* Somebody tells of changes in the rule's source, or has. */
bool engine_is_served(const struct engine *e, const struct engine_rule *r);
/* The least complete_through of the feeds that serve the rule (wall ms); where there is none, the
 * start of the last scan of a rule that is scanned again and again, else just before now.
 * *ret_feed, which may be NULL: whose it is, or NULL. */
int64_t engine_complete_through(struct engine *e, const struct engine_rule *r,
                                const struct engine_feed **ret_feed);

/* engine_scan.c */
void engine_scan_start(struct engine_rule *r);
void engine_scan_stop(struct engine_rule *r);
/* Its options changed: see scan_feed_wake(). */
void engine_scan_wake(struct engine_rule *r, bool takes_more);

/* engine_arrivals.c: what webhooks told, by bucket; writes canaries. */
void engine_arrivals_tick(struct engine *e); /* once a second */
void engine_arrivals_free(struct engine *e);
void engine_arrivals_events(const struct engine_feed *ef, const struct change *changes,
                            size_t count);
void engine_arrivals_canary(const struct engine_feed *ef, const struct change *own);
/* Of a webhook and a rule that it serves, as in lateness.h. */
int64_t engine_arrivals_through(const struct engine_feed *ef, const struct engine_rule *r);
int64_t engine_arrivals_usual(const struct engine_feed *ef, const struct engine_rule *r);
void engine_arrivals_why(const struct engine_feed *ef, const struct engine_rule *r, char *to,
                         size_t size);
/* What may mend one that brings nothing; "" = it brings something. */
void engine_arrivals_hint(const struct engine_feed *ef, const struct engine_rule *r, char *to,
                          size_t size);
/* Whether a rule thinks this webhook deaf; why, and what may mend it, in *ret. */
bool engine_arrivals_deaf(const struct engine_feed *ef, struct fail *ret);

/* engine_webhook.c: on failure nothing has changed. */
int engine_webhook_start(struct engine *e, struct fail *f);
int engine_webhook_reload(struct engine *e, const struct conf *conf, struct fail *f);
void engine_webhook_stop(struct engine *e);

/* engine_queues.c */
void engine_queues_start(struct engine *e);
/* Stops those that are gone or others, and starts what is new; before e->conf is `conf`. */
void engine_queues_change(struct engine *e, const struct conf *conf);

/* engine_uploads.c */
void engine_uploads_init(struct engine *e);
void engine_uploads_soon(struct engine *e);

/* engine_history.c */
void engine_history_start(struct engine *e);

/* lag.c */
void engine_lag_init(struct engine *e);
void engine_lag_soon(struct engine *e);
/* When the last complete scan of the rule began; 0 = none that is known. */
int64_t engine_scan_ms(const struct engine_rule *r);
/* lag_wait.c */
void engine_waits_check(struct engine *e);
void engine_waits_end(struct engine *e, const char *rule, int status, const char *why);
/* A key for people: without control characters, cut where it is too long. */
void engine_print_key(struct span key, char *to, size_t size);
/* lag_prefix.c: what lag.c asks for and shows of watermark_prefixes. */
void engine_prefixes_make(struct engine_rule *r); /* as the rule says now */
void engine_prefixes_free(struct engine_rule *r);
struct engine_prefix *engine_prefix_find(struct engine_rule *r, const char *prefix);
/* For backend.prefixes_set(): keys at the source; *ret lives in the arena. */
size_t engine_prefixes_keys(const struct rule *rule, struct arena *a, struct span **ret);
struct engine_reach { /* of a rule */
    uint32_t rule;
    bool paused;
    int64_t through_ms; /* of its feeds and of what is in quarantine; 0 = nothing is known */
    int64_t scan_ms;    /* start of the scan that is to prove something; 0 = none */
    int64_t scan_end_ms;
    int64_t watermark_ms;
    int64_t proven_ms;
};
/* On the journal's thread. `prefix` of each is a whole key's; what is found goes into them. */
int engine_prefixes_refresh(struct backend *b, struct arena *a, const struct engine_reach *rule,
                            struct engine_prefix *prefixes, size_t count);
void engine_prefixes_show(struct engine_rule *r, const struct engine_prefix *prefixes,
                          size_t count);
/* lag_text.c */
/* What a watermark of the rule waits for until it comes to until_ms; *lag has watermark_ms of it.
 */
void engine_lag_text(struct engine_rule *r, const struct engine_oldest *oldest, int64_t until_ms,
                     struct rule_lag *lag);
/* Where it should be by now: feeds and refreshes are never quite at the present. */
int64_t engine_lag_due(struct engine *e, const struct engine_rule *r);
/* Whether existing objects are still to be listed or copied. */
bool engine_existing_is_done(const struct engine_rule *r);
bool engine_endpoint_blocks(const struct engine_rule *r, struct fail *f, const char **ret_name);
/* engine_stats.c */
void engine_stats_init(struct engine *e);
void engine_stats_rule(struct engine_rule *r);
void engine_stats_show(struct engine_rule *r);
void engine_stats_drop(struct engine_rule *r);

/* engine_notify.c: what others are told of a rule, and what its hosts agree on */
void engine_notify_start(struct engine_rule *r);
/* for_good: the rule is deleted; what stands at the destination of this host goes. */
void engine_notify_stop(struct engine_rule *r, bool for_good);
/* The rule was another one, whose strings still live. */
void engine_notify_change(struct engine_rule *r, const struct rule *old);
/* engine_events.c: the plan's texts are in the arena, the rest of `out` is the caller's to fill.
 * False: nobody wants it, count is 0. Written in the transaction of what it tells of. */
bool engine_event_plan(struct engine_rule *r, enum event_kind kind, struct arena *a,
                       struct event_plan *ret);
int engine_event_write(struct backend *b, const struct event_plan *plan);
void engine_events_news(struct engine *e); /* some were written */
void engine_events_start(struct engine *e);
void engine_events_stop(struct engine *e);
int engine_id_load(struct engine *e, struct backend *b);
void engine_id_save(struct engine *e);
/* The journal holds another watermark, or other counts. */
void engine_notify_lag(struct engine_rule *r);

/* engine_limits.c: what holds at this time of the day. */
void engine_limits_apply(struct engine *e);

/* engine_reload.c */
void engine_sched_start(struct engine *e);
void engine_shares(const struct engine *e, unsigned to[COPY_CLASSES]);
/* Of what a configuration says: both absent, or alike. */
bool engine_same_text(const char *a, const char *b);
/* Callbacks of public calls come later, never inside them. */
void engine_done_later(struct engine *e, engine_done_fn *done, void *arg, int status,
                       const struct fail *f);

#endif
