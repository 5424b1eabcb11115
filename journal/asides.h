/* asides: rows of the journal that are no work: events that wait to be told, and bodies of
 * notifications that could not be read. Part of backend.h. */
#ifndef REPL_JOURNAL_ASIDES_H
#define REPL_JOURNAL_ASIDES_H

#include "daemon/base/span.h"

#include <stdbool.h>
#include <stdint.h>

/* ---- events: what others want to be told, a row for each of them, until it is told ---- */

struct event_record {
    uint64_t number;    /* given by event_add(); ascending for each target */
    struct span target; /* who wants to know */
    struct span kind;
    uint32_t rule;
    bool optional;    /* goes first when there are too many */
    bool only_newest; /* takes the place of those that wait of its target, rule and kind */
    int64_t at_ms;
    struct span body;
};

struct event_counts {
    uint64_t waiting;
    uint64_t dropped;  /* ever, since there were too many */
    int64_t oldest_ms; /* of those that wait; 0 = none */
};

/* ---- quarantine: bodies of notifications that could not be read ---- */

/* Of one feed. What comes beyond is counted in one further row of the feed, without a body. */
#define QUARANTINE_BODIES_MAX 1000
#define QUARANTINE_BYTES_MAX  ((uint64_t)16 << 20)

struct quarantined {
    uint64_t id;         /* ascending as they came, never used again */
    struct span feed;    /* "webhook:NAME" */
    int64_t received_ms; /* of the row without a body: of the first that was not kept */
    struct span reason;
    struct span body; /* only where said; absent: nothing was kept */
    uint64_t size;    /* bytes of the body */
    uint64_t lost;    /* how many the row stands for whose bodies were not kept; 0 = a body */
    /* What it may tell of, as it was known when it came: changes of this place, absent = of any,
     * later than hold_ms, 0 = nobody knows. */
    struct span endpoint;
    struct span bucket;
    int64_t hold_ms;
};

struct quarantine_counts {
    uint64_t bodies;
    uint64_t bytes;
    uint64_t lost;
};

/* A feed with something in quarantine; the place is that of one of its bodies. */
struct quarantine_feed {
    struct span feed;
    struct span endpoint;
    struct span bucket;
    struct quarantine_counts counts;
};

/* Of whom quarantine_hold() is asked. */
struct quarantine_place {
    struct span endpoint;
    struct span bucket;
    int64_t scan_ms; /* proven; 0 = nothing is */
};

/* What holds a watermark most. */
struct quarantine_hold {
    bool any;
    int64_t hold_ms;  /* as of the row */
    struct span feed; /* of one such row */
};

/* An operator's word: these bodies were dropped. */
#define QUARANTINE_WORDS_MAX 100 /* kept of a feed: the last ones */

struct quarantine_word {
    struct span feed;
    uint64_t id; /* of the body; 0 = of all that were there */
    uint64_t bodies;
    int64_t at_ms;
    struct span who;
    struct span reason;
};

#endif
