/* engine_quarantine: bodies that could not be read, whether their feed is open or no longer in the
 * configuration. The journal holds them and says what they hold; here are the counts. Loop
 * thread. */
#ifndef REPL_CORE_ENGINE_QUARANTINE_H
#define REPL_CORE_ENGINE_QUARANTINE_H

#include "daemon/core/engine.h"

struct engine_feed;

/* Keeps the body, with the place and the time that it may tell of as the feed stands now. */
void engine_quarantine_put(struct engine_feed *ef, struct span body, struct span reason,
                           engine_done_fn *done, void *arg);
/* Reads the counts from the journal. */
void engine_quarantine_count(struct engine_feed *ef);
/* Sets the gauges of a feed. */
void engine_quarantine_show(struct engine *e, const char *feed,
                            const struct quarantine_counts *counts);

/* engine_leftover.c: feeds that are not in the configuration any more, of which something is
 * undecided. They are known a moment after read(), which is due whenever feeds were closed. */
void engine_leftovers_read(struct engine *e);
void engine_leftovers_free(struct engine *e);
bool engine_leftover_is(struct engine *e, const char *feed);
bool engine_leftover_report(struct engine *e, size_t at, struct feed_report *ret);

#endif
