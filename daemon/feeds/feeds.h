/* feeds: where changes come from. A feed reads its source, hands changes to its host (the engine)
 * together with its own cursor, which the host stores in the same commit, and says up to what
 * moment it has brought everything. A feed never stops for a reason that time may mend: it reports
 * it in its status and goes on trying. Loop thread; files are read on the loop's worker threads. */
#ifndef REPL_FEEDS_FEEDS_H
#define REPL_FEEDS_FEEDS_H

#include "daemon/base/log.h"
#include "daemon/base/loop.h"
#include "daemon/base/stat.h"
#include "daemon/conf/conf.h"
#include "daemon/conf/rule.h"
#include "journal/change.h"
#include "transfer/store/store.h"

/* ---- the host: what a feed may ask of the engine; every done() comes later, from the loop ---- */

typedef void feed_done_fn(void *done_arg, int status, const struct fail *f);
/* value: absent when there is none; lives for the call. */
typedef void feed_value_fn(void *done_arg, int status, struct span value);

struct feed_host {
    void *arg;
    /* Copies the changes; done(0) when they and the cursor are durable. count may be 0. */
    void (*append)(void *arg, const struct change *changes, size_t count, struct span cursor_name,
                   struct span cursor, feed_done_fn *done, void *done_arg);
    /* Copies a body that cannot be read; done(0) when it is durable in the feed's quarantine. */
    void (*quarantine)(void *arg, struct span body, struct span reason, feed_done_fn *done,
                       void *done_arg);
    /* A cursor as it was stored last. */
    void (*load)(void *arg, struct span cursor_name, feed_value_fn *done, void *done_arg);
    /* How many changes may come now; 0 = not now (journal failing, enough work ahead). */
    size_t (*room)(void *arg);
    /* Wall time that never goes back: what is appended later is accepted at this time or later. */
    int64_t (*now_ms)(void *arg);
    /* The status is another one. */
    void (*news)(void *arg);
    /* Webhook only: a change of a key of ours came (event.h), which no append() takes. Called when
       what came with it or before it is durable. */
    void (*own)(void *arg, const struct change *change);
};

/* ---- the feed ---- */

enum feed_state {
    FEED_STARTING, /* has read nothing yet */
    FEED_UP,
    FEED_DOWN,  /* cannot read; fail says why */
    FEED_ENDED, /* scan: no pass goes on */
};

static inline const char *feed_state_name(enum feed_state state)
{
    static const char *const names[] = {"starting", "up", "down", "ended"};
    return names[state];
}

struct feed_status {
    enum feed_state state;
    struct fail fail;            /* FEED_DOWN */
    int64_t complete_through_ms; /* every change up to then was handed over; 0 = none yet.
                                    scan: all that was there then was looked at */
    int64_t proven_ms; /* scan: when the last complete one began, all of which is handed over;
                          0 = none yet */
    bool is_fed;       /* scan: the rule has lived by repeated ones; not known while STARTING */
    uint64_t bad_rows; /* and messages */
    uint64_t waiting;  /* queue: messages in it, approximately */
    uint64_t in_hand;  /* queue: received and not deleted yet */
    uint64_t listed;   /* scan: objects that the rule takes, of the present or last pass */
    uint64_t listed_bytes;
    uint64_t equal; /* of those: need no work */
    uint64_t equal_bytes;
    /* A sentence, lower case, without a period: why complete_through_ms stands still; "" = it
       moves, or fail says it. */
    char waiting_for[160];
};

enum feed_kind { FEED_OUTBOX, FEED_WEBHOOK, FEED_QUEUE, FEED_SCAN };

static inline const char *feed_kind_name(enum feed_kind kind)
{
    static const char *const names[] = {"outbox", "webhook", "queue", "scan"};
    return names[kind];
}

struct feed;

struct feed_ops {
    /* closed(arg) from the loop, after the last use of the host; the feed is freed before it. */
    void (*close)(struct feed *feed, loop_fn *closed, void *arg);
};

struct feed {
    const struct feed_ops *ops;
    enum feed_kind kind;
    char *name; /* "outbox:crawler", "scan:7" */
    /* Whose changes it brings: an endpoint of the configuration, a bucket of it. NULL = of any.
       Rules with such a source have no watermark beyond what it has brought. */
    const char *endpoint;
    const char *bucket;
    /* Outbox only: the place that it is meant for, as configured. What it brings of others holds
       their rules back, but says nothing of what it does not bring of them. */
    const char *home_endpoint;
    const char *home_bucket;
    /* Webhook only, as configured: the host knows by canaries, or else by the events of the last
       late_ms, up to when everything has come; status.complete_through_ms is not used. */
    bool canary;
    int64_t late_ms;
    struct feed_status status;
};

static inline void feed_close(struct feed *feed, loop_fn *closed, void *arg)
{
    feed->ops->close(feed, closed, arg);
}

/* ---- outbox: polls a table in somebody else's SQLite file ten times a second ---- */

struct outbox_feed_options {
    struct loop *loop;
    struct log *log;
    struct stat_set *stats;
    const struct conf_outbox *conf; /* copied */
    struct feed_host host;
};

/* Cursor "outbox:NAME": identity of the database, id and mark of the last row taken, and whether a
 * row has named another place than the configured one. */
struct feed *outbox_feed_new(const struct outbox_feed_options *options);

/* ---- queue: receives messages of SQS, and deletes them when they are durable ---- */

struct sqs;

struct queue_feed_options {
    struct loop *loop;
    struct log *log;
    struct stat_set *stats;
    const struct conf_queue *conf; /* copied */
    struct sqs *sqs;               /* the feed's from now on: it closes it */
    struct feed_host host;
};

/* No cursor: the queue keeps what is not durable. Redelivered messages do no harm. */
struct feed *queue_feed_new(const struct queue_feed_options *options);

#endif
