/* queue_impl: a queue feed from inside. Receivers ask for messages; what one answer brought is a
 * batch, which goes its way alone:
 *
 *   RECEIVING ──► STORING ──► DELETING ──► gone
 *       │          (append, then quarantine of what could not be read; hidden again meanwhile)
 *       └► nothing came: gone
 *
 * A receiver asks again as soon as its batch is durable. */
#ifndef REPL_FEEDS_QUEUE_IMPL_H
#define REPL_FEEDS_QUEUE_IMPL_H

#include "daemon/base/list.h"
#include "daemon/base/mem.h"
#include "daemon/feeds/feeds.h"
#include "daemon/feeds/queue_through.h"
#include "daemon/feeds/sqs.h"

#define QUEUE_SUBJECT "queue"

struct queue_feed;

enum queue_batch_state { QUEUE_RECEIVING, QUEUE_STORING, QUEUE_DELETING };

struct queue_batch {
    struct list link; /* in queue_feed.batches */
    struct queue_feed *queue;
    enum queue_batch_state state;
    size_t receiver;
    struct arena arena; /* of messages, changes and answers */
    struct sqs_op op;   /* the receive, then the delete */
    struct sqs_op hide;
    bool is_busy; /* op, or a call of the host's, is under way */

    struct sqs_message *messages;
    size_t message_count;
    struct span receipts[SQS_BATCH_MAX];
    int64_t oldest_ms;  /* sent; 0 = not known */
    uint64_t hidden_ms; /* monotonic: since when the messages are hidden, for conf.visibility_ms */

    struct change *changes;
    size_t change_count;
    struct queue_bad {
        struct span body;
        struct fail fail;
    } bads[SQS_BATCH_MAX];
    size_t bad_count;
    size_t bad_at; /* the next one for the quarantine */
    bool is_appended;

    unsigned failures; /* of this state, in a row */
    struct timer again;
};

struct queue_receiver {
    struct queue_feed *queue;
    struct timer timer;        /* asks again */
    struct queue_batch *batch; /* NULL: it does not ask */
};

struct queue_feed {
    struct feed feed;
    struct loop *loop;
    struct log *log;
    struct feed_host host;
    struct conf_queue conf; /* strings in the arena */
    struct arena arena;
    struct sqs *sqs;

    struct queue_receiver receivers[CONF_RECEIVERS_MAX];
    size_t wanted;       /* receivers: more while answers are full */
    unsigned failures;   /* of receivers, in a row */
    struct list batches; /* oldest first */
    size_t batch_count;
    struct timer hide_timer;

    struct queue_through through;
    struct timer count_timer;
    struct sqs_op count;
    struct arena count_arena;
    bool is_counting;
    size_t in_hand_least; /* since the count was asked for */
    size_t in_hand_most;  /* since the last count */

    struct stat *up;
    struct stat *messages;
    struct stat *bad;
    struct stat *ignored;
    struct stat *waiting;
    struct stat *in_hand;
    struct stat *undeleted;

    loop_fn *closed;
    void *closed_arg;
    struct timer close_timer; /* deletes that take longer are left */
    struct deferred closing;
    bool is_closing_sqs;
};

/* ---- queue_feed.c ---- */

void queue_report_down(struct queue_feed *q, const struct fail *f);
void queue_report_up(struct queue_feed *q);
/* complete_through and what it waits for. */
void queue_refresh(struct queue_feed *q);
/* Full jitter, 1 s … 30 s. */
uint64_t queue_backoff_ms(struct queue_feed *q, unsigned failures);
/* The receiver's batch is durable, empty or lost. */
void queue_receiver_go(struct queue_feed *q, size_t receiver, uint64_t delay_ms);
/* A batch is gone: perhaps all is. */
void queue_check_closed(struct queue_feed *q);
/* Messages that were received and not deleted. */
size_t queue_in_hand(const struct queue_feed *q);

/* ---- queue_batch.c ---- */

/* Messages have come. */
void queue_batch_store(struct queue_batch *b);
void queue_batch_free(struct queue_batch *b);
/* Nothing more is to be done for it; it is freed now or when the last request of it has ended. */
void queue_batch_leave(struct queue_batch *b);
/* Hides the messages of batches that are not durable once more. */
void queue_hide_all(struct queue_feed *q);

#endif
