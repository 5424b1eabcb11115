/* retry: whether an operation is sent again, and when. The one place where the class of a failure
 * is turned into a decision. Pure: chance comes as an argument. */
#ifndef REPL_COPY_RETRY_H
#define REPL_COPY_RETRY_H

#include "daemon/base/fail.h"

#include <stdint.h>

#define RETRY_BASE_MS 100
#define RETRY_CAP_MS  20000
/* A server may ask for longer than the cap, up to this. */
#define RETRY_AFTER_MAX_MS 120000

/* What a lost connection left in the network has arrived after two round trips, or so long. */
#define RETRY_SETTLE_MS 100

enum retry_action {
    RETRY_AGAIN,   /* after *ret_delay_ms */
    RETRY_GIVE_UP, /* within this copy; what becomes of the object is the owner's decision */
};

/* attempt: how often this operation has failed by now, from 1. chance: any 64 random bits. */
enum retry_action retry_decide(const struct fail *f, unsigned attempt, uint64_t chance,
                               uint32_t *ret_delay_ms);
/* The least wait before a write that may have happened, or may be about to, is repeated. rtt_us: 0
 * = not known. */
uint32_t retry_settle_ms(uint32_t rtt_us);
/* Failures after which it is given up; 0 = at the first one. */
unsigned retry_limit(enum fail_class class);

#endif
