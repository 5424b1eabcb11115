/* change: "look at this key". What a feed says about an object of a source bucket; the truth is
 * read from the source when the copy starts. All spans are views: whoever hands a change over says
 * how long they live. */
#ifndef REPL_JOURNAL_CHANGE_H
#define REPL_JOURNAL_CHANGE_H

#include "daemon/base/fail.h"
#include "daemon/base/mem.h"
#include "daemon/base/span.h"

#include <stdint.h>

#define CHANGE_KEY_MAX      1024 /* bytes; S3: 1 to 1,024 bytes of UTF-8, we take any bytes */
#define CHANGE_BUCKET_MAX   255
#define CHANGE_TEXT_MAX     1024 /* version id, ETag, sequencer */
#define CHANGE_SIZE_UNKNOWN (-1)

enum change_kind { CHANGE_PUT = 1, CHANGE_DELETE = 2 };

struct change {
    enum change_kind kind;
    struct span endpoint; /* name of the source endpoint; absent: any rule with this bucket */
    struct span bucket;
    struct span key;        /* bytes */
    struct span version_id; /* absent when the bucket has no versions */
    struct span etag;       /* without quotes; absent when not known */
    struct span sequencer;  /* in normal form, see below; absent when the feed has none */
    struct span feed;       /* name of the feed that brought it: "append", "outbox:crawler" */
    int64_t size;           /* bytes, or CHANGE_SIZE_UNKNOWN */
    int64_t event_time_ms;  /* Unix ms; 0 or the future: clamped to the commit time */
    int64_t since_ms;       /* it may have happened as early as that; 0 = event_time_ms */
};

/* Normal form of a sequencer: upper-case hex, most significant digit first, without zeros at the
 * end. Then span_cmp() is the order that S3 documents (the shorter one is padded with zeros on the
 * right), for changes of the same key of the same source only. Here letters are raised and zeros
 * cut; a store that writes its digits in another order (Ceph) is put right by who reads its events.
 * Absent stays absent; all zeros become "0". */
struct span change_sequencer(struct span hex, struct arena *a);

/* Limits and required members; REPL_EBADINPUT with the member's name in *f. */
int change_check(const struct change *c, struct fail *f);

const char *change_kind_name(enum change_kind kind); /* "put", "delete" */
int change_kind_parse(struct span name, enum change_kind *ret_kind);

#endif
