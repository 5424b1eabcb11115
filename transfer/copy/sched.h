/* sched: runs copies. Pulls their operations by free slots of the stores. Classes have shares of
 * the work (a request counts as 64 KiB and its body); what one does not use the others get. Within
 * a class every object gets one operation before any gets more; then the earliest deadline goes
 * first, with late jobs the latest one every other time; then object age and part number. A point
 * of priority is as good as SCHED_PRIORITY_MS of deadline, so that a lower priority waits and never
 * starves. A small operation does not wait behind a bulk one that has no slot.
 *
 * Gives part buffers out of one budget: ticket at scheduling, buffer at read. Repeats operations by
 * class of failure (retry.h); an unreachable endpoint is an outage, not N failures: its operations
 * wait while one probe a second goes out, and nothing is given up. */
#ifndef REPL_COPY_SCHED_H
#define REPL_COPY_SCHED_H

#include "daemon/base/log.h"
#include "daemon/base/stat.h"
#include "transfer/copy/copy.h"

#define SCHED_PRIORITY_MS 6000

struct sched_options {
    struct loop *loop;
    struct log *log;
    struct stat_set *stats;
    uint64_t memory_bytes;         /* of bodies; a part larger than a quarter of it is refused */
    uint32_t copies;               /* at a time */
    unsigned shares[COPY_CLASSES]; /* relative, each > 0 */
    const struct copy_sink *sink;
    void *sink_arg;
};

struct sched;

struct sched *sched_new(const struct sched_options *options);
/* Only when it is empty (sched_stop() has ended). */
void sched_free(struct sched *s);

/* How many more jobs it wants now. */
size_t sched_room(const struct sched *s);
/* job is copied (its spans are not: they live until done()). */
/* How much may go in a second, 0 = no limit: bytes of bodies on their way to the destination, and
 * requests of both sides. Operations that would exceed it wait without holding up others; a body
 * goes as one piece and the time for it is made up for afterwards. */
struct sched_limit {
    uint64_t bytes;
    uint64_t requests;
};

/* From now on; those that wait are looked at again. */
void sched_limit_group(struct sched *s, uint32_t group, const struct sched_limit *limit);
void sched_limit_endpoint(struct sched *s, struct store *store, const struct sched_limit *limit);
/* From now on. */
void sched_share(struct sched *s, const unsigned shares[COPY_CLASSES]);
struct copy *sched_add(struct sched *s, const struct copy_job *job, void *owner);
/* The record handed out last for this copy is durable (status 0) or could not be stored. */
void sched_committed(struct sched *s, struct copy *c, int status);
/* Ends one copy: COPY_STOPPED, its operations cancelled. */
void sched_cancel(struct sched *s, struct copy *c);
/* Takes nothing new. What is in flight, and what can be written because its body is there, goes on
 * for at most limit_ms; what waits for something else (an endpoint that is down, the next try, a
 * limit, memory) ends at once. stopped() from the loop after the last done(). */
void sched_stop(struct sched *s, uint64_t limit_ms, loop_fn *stopped, void *arg);

/* Forgets an endpoint whose store is about to be closed; no copy may use it any more. */
void sched_forget(struct sched *s, const struct store *store);

/* An endpoint's state as the scheduler sees it. */
enum sched_endpoint_state { SCHED_UP, SCHED_OUTAGE, SCHED_DENIED };
enum sched_endpoint_state sched_endpoint(const struct sched *s, const struct store *store,
                                         struct fail *ret_fail);
/* How a request ended that no copy made (a listing, a trial of preflight). What is refused to it is
 * shown and counted as down until it is granted, or has not been met again for ten minutes; copies
 * are given out as before. */
void sched_heard(struct sched *s, struct store *store, const struct store_op *op);
/* For people: "up", "outage", "denied" with the failure, or "untried": nothing has come from it
 * yet.
 */
const char *sched_endpoint_shown(const struct sched *s, const struct store *store,
                                 struct fail *ret_fail);
uint64_t sched_memory_used(const struct sched *s);
size_t sched_count(const struct sched *s);

#endif
