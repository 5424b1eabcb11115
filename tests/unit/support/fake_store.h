/* fake_store: a store in memory on a virtual (or real) loop, for tests of whoever uses stores.
 * Buckets of objects, optionally with versions; multipart uploads; listings. ETags are real (MD5,
 * and MD5 of MD5s for uploads), Last-Modified has seconds. Every operation takes effect once, at
 * the end of its latency, in the order of these ends.
 *
 * Faults are programmed: an error for the nth operation of a kind, an answer that is lost after the
 * effect, slowness, an outage window, refused access, a hook that changes things at the moment of
 * effect. What a well-behaved client must never do is counted as a violation, with its text. */
#ifndef REPL_TEST_FAKE_STORE_H
#define REPL_TEST_FAKE_STORE_H

#include "daemon/base/buf.h"
#include "daemon/base/loop.h"
#include "transfer/store/store.h"

#define FAKE_KINDS   (STORE_GET_VERSIONING + 1)
#define FAKE_ADDRESS 7 /* failed_at of what the network lost */

struct fake;

struct fake_options {
    struct loop *loop;
    const char *name;        /* NULL = "fake" */
    bool versions;           /* buckets keep versions */
    bool suspended;          /* they do no longer: every object has the version "null" */
    bool throttles;          /* more than `slots` / 2 at a time are asked to slow down */
    uint64_t latency_ms;     /* of every operation … */
    uint64_t jitter_ms;      /* … and up to so much more */
    uint64_t rate_bps;       /* body bytes per second of one operation; 0 = no limit */
    unsigned slots;          /* of each class; 0 = 16 */
    uint64_t part_min;       /* 0 = 1 */
    bool reupload_safe;      /* the same part may be in flight twice */
    bool no_put_etag;        /* features.put_etag_is_md5 off */
    bool odd_etags;          /* ETags look like MD5 and are not (encrypted with a key of its own) */
    bool ignores_pins;       /* If-Match has no effect on reads */
    bool ignores_conditions; /* nor on writes, nor has If-None-Match */
};

/* A fault hits operations that match; the first one programmed wins. */
struct fake_fault {
    int kind;          /* enum store_op_kind, or -1: any */
    const char *key;   /* NULL: any; alive as long as the fault */
    uint32_t part;     /* 0: any */
    unsigned skip;     /* so many matches go well before */
    unsigned count;    /* then so many are hit; 0 = all */
    unsigned permille; /* chance of being hit; 0 = always */
    int code;          /* REPL_E…; 0 = only slow */
    int http_status;
    int retry_after_ms;
    bool lost;    /* the effect happens, the answer is lost: code (default REPL_ENET), ambiguous */
    bool shorten; /* GET: gives a byte less, without an error */
    bool in_vain; /* as lost, and the effect did not happen */
    uint64_t slow_ms; /* more latency */
};

/* Called when an operation is about to take effect; it may change objects. */
typedef void fake_hook_fn(void *arg, struct fake *f, const struct store_op *op);

struct fake *fake_new(const struct fake_options *options);
/* After store_close() has ended, or with nothing in flight. */
void fake_free(struct fake *f);
struct store *fake_store(struct fake *f);

void fake_fault(struct fake *f, const struct fake_fault *fault);
void fake_clear_faults(struct fake *f);
/* While now is in [from, to) everything fails: REPL_EUNREACHABLE, or, for what was in flight at its
 * beginning, REPL_ENET and ambiguous. Loop time. */
void fake_outage(struct fake *f, uint64_t from_ms, uint64_t to_ms);
/* slots() from now on; 0 = none at all. */
void fake_set_slots(struct fake *f, unsigned slots);
/* Listings from now on: at most so many keys a page (0 = 1,000); unordered: from the last key to
 * the first, and start_after is not heeded. */
void fake_listing(struct fake *f, size_t page, bool unordered);
/* They end behind so many keys of the prefix, as if there were no more; 0 = they do not. */
void fake_cut_listing(struct fake *f, size_t keys);
void fake_deny(struct fake *f, bool denied); /* everything: REPL_EDENIED */
void fake_hook(struct fake *f, fake_hook_fn *fn, void *arg);

/* Straight access, without operations. Buckets come into being when first named here. */
void fake_bucket(struct fake *f, const char *bucket);
void fake_drop_bucket(struct fake *f, const char *bucket);
/* Returns the ETag, valid until the object changes. */
struct span fake_put(struct fake *f, const char *bucket, struct span key, struct span body,
                     const struct store_meta *meta);
/* size bytes that depend on seed. */
struct span fake_put_random(struct fake *f, const char *bucket, const char *key, size_t size,
                            uint64_t seed);
void fake_remove(struct fake *f, const char *bucket, struct span key);
/* For good, as lifecycle rules do. */
void fake_remove_version(struct fake *f, const char *bucket, struct span key, struct span id);
struct fake_object {
    struct span body;
    struct span etag;
    struct span version_id;
    int64_t mtime_ms;
    struct store_meta meta;
};
/* The latest version; false when there is none. Views valid until it changes. */
bool fake_get(struct fake *f, const char *bucket, struct span key, struct fake_object *ret);
/* An upload begun by somebody. Returns its id, valid until it ends. */
struct span fake_create(struct fake *f, const char *bucket, struct span key);
/* A part sent by somebody else into an open upload. */
void fake_part(struct fake *f, struct span upload_id, uint32_t number, struct span body);
size_t fake_objects(const struct fake *f, const char *bucket);
size_t fake_versions(const struct fake *f, const char *bucket, struct span key);
/* Open uploads of all buckets; at(): the i-th one's id. */
size_t fake_uploads(const struct fake *f);
struct span fake_upload_id(const struct fake *f, size_t i);
/* Calls fn for every key of a bucket, in order. */
void fake_each(struct fake *f, const char *bucket,
               void (*fn)(void *arg, struct span key, const struct fake_object *o), void *arg);

/* Operations that took effect or failed, by kind. */
unsigned fake_count(const struct fake *f, enum store_op_kind kind);
uint64_t fake_body_bytes(const struct fake *f); /* PUT and PART bodies that arrived */
unsigned fake_in_flight(const struct fake *f);
unsigned fake_most_in_flight(const struct fake *f);
/* Violations: the same part number twice at a time, Complete or Abort with a part in flight, Abort
 * while Complete is in flight, more operations at a time than slots, two ranged reads of one object
 * of which the later one is not pinned. "" when there is none. */
const char *fake_violations(const struct fake *f);

#endif
