/* scan: compares the whole of a rule's source with what the journal knows to be at the destination,
 * and hands over what differs. One feed a rule, alive as long as the rule is: it sleeps until a
 * pass is due (existing objects, `scan:` of the rule, or an operator's word).
 *
 * A pass lists ranges of keys in parallel, cut in two where nobody knew how many there are, at most
 * SCAN_WIDTH at a time; every page is compared as it comes, so that copying starts with the first
 * one and memory does not depend on how many there are. Of a rule that replicates all versions the
 * versions are listed, and of each key the newest one compared, delete markers included: where that
 * is done with, all below it are, and where it is not, the key's task looks for all that is new.
 * The cursor holds the ranges not yet done and is stored with what is handed over: after a crash a
 * pass goes on. What a listing does not show is told as deleted after all of it was listed, and
 * only when it can be believed (scan_state.h). When the rule asks for more, a pass that goes on
 * begins anew. Loop thread. */
#ifndef REPL_FEEDS_SCAN_FEED_H
#define REPL_FEEDS_SCAN_FEED_H

#include "daemon/feeds/feeds.h"
#include "daemon/feeds/scan_state.h"

#define SCAN_WIDTH 32 /* listings under way at a time, at most */

struct scan_listed {
    struct span key;
    struct span etag;
    int64_t mtime_ms;
    struct span version_id; /* where versions are compared */
    bool known;             /* answer: needs no work */
    bool has_marks;         /* answer: some version of the key is done with */
};

struct scan_compare {
    struct scan_listed *listed; /* ascending; stay as they are until done */
    size_t count;
    bool versions; /* of all keys the newest one, which may be a delete marker */
    /* Whether to tell replicas with keys in (after, until] that are not listed and were verified
     * before before_ms. until absent = to the last. */
    bool tell_missing;
    struct span after;
    struct span until;
    int64_t before_ms;
};

/* missing: lives for the call; through absent = all were looked at, else up to that key. */
typedef void scan_compared_fn(void *done_arg, int status, const struct fail *f,
                              const struct span *missing, size_t missing_count,
                              struct span through);
typedef void scan_keys_fn(void *done_arg, int status, const struct fail *f, const struct span *keys,
                          size_t count);

/* One commit. */
struct scan_batch {
    const struct change *changes;
    size_t change_count;
    int64_t existing_until_ms; /* puts up to this time are existing objects: backfill */
    const struct span *gone;   /* keys to remember as not listed */
    size_t gone_count;
    struct span gone_through; /* remembered keys up to this one are forgotten; absent: none */
    bool looks_again;         /* copies under way look at the source once more before they end */
    struct span cursor;
};

static inline bool scan_is_existing(const struct scan_batch *b, const struct change *c)
{
    return c->kind == CHANGE_PUT && c->event_time_ms <= b->existing_until_ms;
}

/* What the feed may ask of the engine; every done() comes later, from the loop. */
struct scan_host {
    void *arg;
    void (*append)(void *arg, const struct scan_batch *batch, feed_done_fn *done, void *done_arg);
    void (*load)(void *arg, struct span cursor_name, feed_value_fn *done, void *done_arg);
    void (*compare)(void *arg, const struct scan_compare *what, scan_compared_fn *done,
                    void *done_arg);
    /* The first of the keys that are remembered as not listed. */
    void (*gone)(void *arg, size_t limit, scan_keys_fn *done, void *done_arg);
    /* The rule as it is now; NULL while it is being deleted. Valid until the next turn. */
    const struct rule *(*rule)(void *arg);
    /* NULL when a pass may begin or go on now; else why it waits (the rule is paused, another host
     * scans, the journal cannot be written). Asked before every page. */
    const char *(*waits)(void *arg);
    size_t (*room)(void *arg);   /* how many changes may come now */
    uint64_t (*rate)(void *arg); /* requests to the source a second, at this hour; 0 = no limit */
    int64_t (*now_ms)(void *arg);
    void (*news)(void *arg);
    /* An answer of one of the two stores, for what people are shown of it. NULL: nobody is. */
    void (*heard)(void *arg, struct store *store, const struct store_op *op);
    bool (*takes)(void *arg, struct span key);
    struct span (*map)(void *arg, struct span key, struct arena *a);
};

struct scan_feed_options {
    struct loop *loop;
    struct log *log;
    struct store *from;
    struct store *to;        /* NULL = its listing is never compared */
    const struct rule *rule; /* copied: number, name and places */
    struct scan_host host;
};

/* Cursor "scan:NUMBER". status.state: FEED_UP while a pass goes on, FEED_ENDED while none does. */
struct feed *scan_feed_new(const struct scan_feed_options *options);
/* The rule has other options: what is due is looked at anew. takes_more: its patterns may take keys
 * that they did not take before, and what was listed proves nothing of these (the same holds where
 * the rule begins to take existing objects, or deletes). */
void scan_feed_wake(struct feed *feed, bool takes_more);

/* Since the program has started. */
struct scan_totals {
    uint64_t complete, doubted, stopped; /* passes that ended so */
    uint64_t listed, requests, found, missing;
};

/* What people are shown. Strings are the feed's, "" = nothing to say. */
struct scan_report {
    struct scan_state state;
    struct scan_totals totals;
    size_t ranges; /* under way or waiting */
    size_t listings;
    int64_t next_ms; /* when the next pass is due; 0 = none, or not here */
    char doubt[160]; /* why the last listing could not be believed */
    /* Why the present one stands still, or the next one will; what an endpoint refuses, too. */
    char waits[440];
};
void scan_feed_report(const struct feed *feed, struct scan_report *ret);

/* Begins a pass now. REPL_ECONFLICT while one goes on. */
int scan_feed_begin(struct feed *feed, struct fail *f);
/* Ends the present one where it is; what it has handed over stays. REPL_ENOTFOUND: there is none.
 */
int scan_feed_end(struct feed *feed, struct fail *f);

#endif
