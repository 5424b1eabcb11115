/* fake_sqs: a queue in memory on a virtual loop, as SQS behaves: messages come in any order and
 * hide while somebody has them, answers may be lost behind their effect, and counts are exact.
 * Checks that nothing is deleted before the test has said that it is durable. */
#ifndef REPL_TEST_FAKE_SQS_H
#define REPL_TEST_FAKE_SQS_H

#include "daemon/feeds/sqs.h"

struct fake_sqs;

struct fake_sqs *fake_sqs_new(struct loop *loop);
void fake_sqs_free(struct fake_sqs *f);
/* A client of it; the feed closes it. */
struct sqs *fake_sqs_open(struct fake_sqs *f);

/* Returns the number that the message has from now on: 0, 1, 2 … */
size_t fake_sqs_put(struct fake_sqs *f, struct span body);
size_t fake_sqs_put_at(struct fake_sqs *f, struct span body, int64_t sent_ms);
/* The consumer may delete it now. */
void fake_sqs_is_durable(struct fake_sqs *f, size_t message);
bool fake_sqs_has(const struct fake_sqs *f, size_t message);
/* Visible to nobody for so long: it is in somebody else's hands. */
void fake_sqs_take_away(struct fake_sqs *f, size_t message, uint64_t ms);

/* Knobs. */
void fake_sqs_latency(struct fake_sqs *f, uint64_t ms);
/* One request of so many fails, half of them behind their effect; 0 = none. */
void fake_sqs_fails(struct fake_sqs *f, unsigned one_of);
void fake_sqs_skew(struct fake_sqs *f, int64_t ms); /* its clock − ours */

/* What it saw. */
unsigned fake_sqs_requests(const struct fake_sqs *f, enum sqs_kind kind);
unsigned fake_sqs_most_receives(const struct fake_sqs *f); /* at a time */
size_t fake_sqs_left(const struct fake_sqs *f);            /* messages not deleted */
/* When the oldest message was sent that is not durable; INT64_MAX = all are. By its clock. */
int64_t fake_sqs_oldest(const struct fake_sqs *f);

#endif
