/* event_out: what others are told, as a record in the S3 event format, so that what reads the
 * notifications of a bucket reads these too. Unknown members are theirs to ignore; what the format
 * has no place for stands in "repld". Pure. */
#ifndef REPL_NOTIFY_EVENT_OUT_H
#define REPL_NOTIFY_EVENT_OUT_H

#include "daemon/base/buf.h"
#include "daemon/base/fail.h"

#include <stdint.h>

enum event_kind {
    EVENT_REPLICATED, /* verified at the destination, or deleted there */
    EVENT_MISSED,     /* still pending when its objective passed */
    EVENT_LATE,       /* replicated after its objective */
    EVENT_FAILED,     /* for good: until an operator decides */
    EVENT_BRAKE,      /* deletes are held */
    EVENT_WATERMARK,  /* has advanced */
    EVENT_KINDS,
};

const char *event_kind_name(enum event_kind kind); /* "replicated" */

struct event_place {
    const char *endpoint;
    const char *bucket;
    struct span key;     /* absent: of no object */
    struct span etag;    /* absent, or not known */
    struct span version; /* the same */
};

struct event_out {
    enum event_kind kind;
    int64_t at_ms;
    const char *rule;
    const char *instance;
    const char *region; /* of the source; NULL = not known */
    bool is_delete;
    struct event_place source;
    struct event_place destination;
    int64_t size;         /* bytes; < 0 not known */
    int64_t change_ms;    /* event time; 0 = not of a change */
    int64_t latency_ms;   /* < 0: not measured */
    int64_t objective_ms; /* 0: does not matter here */
    int64_t watermark_ms; /* EVENT_WATERMARK */
    const char *reason;   /* a sentence; NULL = none */
};

/* {…}: one element of Records. */
void event_print(const struct event_out *e, struct buf *to);

#endif
