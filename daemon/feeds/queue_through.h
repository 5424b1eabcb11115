/* queue_through: up to what moment a queue has told everything. SQS keeps no order, says no age of
 * what waits, and counts approximately, settling within a minute. So it takes one of two proofs:
 *
 *   quiet: an answer without messages, after waiting. All of the queue's servers were asked: what
 *   was sent before the question has come, unless it was hidden in somebody's hands, which a count
 *   behind it tells.
 *
 *   busy: between two counts more messages came than wait now, and all of them young. It proves the
 *   moment a minute before the count. This is for queues that never run empty; one with a backlog
 *   proves nothing until the backlog is read.
 *
 * All times are the server's, in Unix ms. Pure. */
#ifndef REPL_FEEDS_QUEUE_THROUGH_H
#define REPL_FEEDS_QUEUE_THROUGH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUEUE_SETTLE_MS  60000
#define QUEUE_OVERLAP_MS 20000 /* requests may be under way beside each other so long */

struct queue_through {
    int64_t through_ms;      /* proven; 0 = nothing yet */
    int64_t hidden_until_ms; /* messages that are hidden and that nobody has, by an earlier life or
                                a lost answer, are back by then; 0 = no answer came since */
    int64_t seen_ms;         /* the latest time that the server said */
    int64_t empty_ms;        /* when the last answer without messages was asked for; 0 = none since
                                the last count */

    /* Since the last count. */
    uint64_t came;
    int64_t oldest_age_ms; /* of what came: from sent to received */

    /* As of the last count. */
    bool is_counted; /* there was one */
    uint64_t waiting;
    uint64_t others; /* hidden, and not in our hands */
};

struct queue_counts {
    int64_t asked_ms;
    uint64_t waiting;
    uint64_t hidden;
    uint64_t delayed;
    uint64_t ours_least; /* of the hidden: in our hands, between question and answer */
    uint64_t ours_most;  /* the same, with what was on its way to us */
};

/* Any answer, by when it was asked for. visibility_ms: of an earlier life, too. */
void queue_through_answer(struct queue_through *t, int64_t server_ms, int64_t visibility_ms);
/* A receive failed: what it would have brought is hidden. */
void queue_through_lost(struct queue_through *t);
/* A receive that waited for messages and got none, while no other was under way. */
void queue_through_empty(struct queue_through *t, int64_t asked_ms);
/* A message has come; sent_ms 0 = not known. */
void queue_through_came(struct queue_through *t, int64_t sent_ms, int64_t server_ms);
void queue_through_counted(struct queue_through *t, const struct queue_counts *c);
/* oldest_ms: when the oldest message in our hands that is not durable was sent; 0 = there is none.
 */
int64_t queue_through_read(const struct queue_through *t, int64_t oldest_ms);
/* A sentence without a period: what holds it, or what it is due by. */
void queue_through_text(const struct queue_through *t, char *to, size_t size);

#endif
