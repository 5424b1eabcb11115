/* hand_feed: a webhook of an engine, in the hands of a test: it brings what the test says, when it
 * says so, and nothing by itself. Ends with its engine. */
#ifndef REPL_TEST_HAND_FEED_H
#define REPL_TEST_HAND_FEED_H

#include "daemon/core/engine_impl.h"

struct hand_feed {
    struct feed feed;
    struct feed_host host;
    loop_fn *closed;
    void *closed_arg;
    struct deferred closing;
};

/* "webhook:NAME" of near/src; canary or late_ms as in lateness.h. */
struct hand_feed *hand_feed_start(struct engine *e, const char *name, bool canary, int64_t late_ms);
/* Hands over a change of near/src and waits for nothing. */
void hand_feed_tell(struct hand_feed *h, enum change_kind kind, const char *key,
                    int64_t event_time_ms);
/* The event of the canary that stands in near/src. */
void hand_feed_canary(struct hand_feed *h, int64_t event_time_ms);

#endif
