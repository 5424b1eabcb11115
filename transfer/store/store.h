/* store: an endpoint as the copy sees it, the only way to a network. An operation is a message: it
 * is submitted, and its done() comes from the loop exactly once, never inside store_submit(), with
 * op->fail telling how it ended. The store signs anew on every attempt, corrects clock skew and
 * region once per request, and never retries otherwise: repeating is the caller's decision
 * (transfer/copy/retry.h). What was lost before it left, and a small read, goes another way at once
 * where the endpoint has one. A write takes no path that has shown nothing yet before a question
 * has come back from it.
 *
 * Implementations: s3 (transfer/store/s3.h), and a fake on virtual time in the tests. */
#ifndef REPL_STORE_STORE_H
#define REPL_STORE_STORE_H

#include "daemon/base/fail.h"
#include "daemon/base/list.h"
#include "daemon/base/mem.h"
#include "transfer/net/net.h"

#include <stdbool.h>
#include <stdint.h>

enum store_op_kind {
    STORE_GET, /* whole object or a range into `into` */
    STORE_HEAD,
    STORE_PUT,      /* `body` is the object */
    STORE_CREATE,   /* create multipart upload */
    STORE_PART,     /* `body` is part `part_number` of `upload_id` */
    STORE_COMPLETE, /* `parts` in order */
    STORE_ABORT,
    STORE_LIST_PARTS, /* all pages */
    STORE_DELETE,
    STORE_DELETE_MANY,   /* `keys`, at most 1,000; falls back to single deletes where it must */
    STORE_LIST,          /* one page of objects, in the server's order */
    STORE_LIST_VERSIONS, /* one page of versions and delete markers, a key's newest first */
    STORE_LIST_UPLOADS,  /* all uploads whose key starts with `key` (at most 1,000) */
    STORE_GET_TAGS,
    STORE_PUT_TAGS,
    STORE_GET_NOTIFICATION, /* the bucket's configuration, as XML in ret_text */
    STORE_PUT_NOTIFICATION, /* `body`, XML, is put in its place */
    STORE_CREATE_TOPIC,     /* of the server itself (Ceph RGW): `body` is a form; bucket is empty */
    STORE_HEAD_BUCKET,
    STORE_GET_VERSIONING, /* whether the bucket keeps versions now */
};

/* A header or tag that travels with an object; values are bytes as read. */
struct store_pair {
    struct span name; /* lower case for headers; user metadata without its prefix */
    struct span value;
};

/* What is preserved of an object besides its bytes. Views, or arena memory in results. */
struct store_meta {
    struct span content_type;
    struct span cache_control;
    struct span content_disposition;
    struct span content_encoding; /* without "aws-chunked" */
    struct span content_language;
    struct span expires;
    struct span website_redirect;
    struct span storage_class;     /* absent = STANDARD */
    const struct store_pair *user; /* x-amz-meta-* */
    size_t user_count;
    const struct store_pair *tags;
    size_t tag_count;
};

/* What an answer says of an object. */
struct store_object {
    struct span etag;       /* as sent, without quotes */
    struct span version_id; /* absent when none, "null" stays "null" */
    uint64_t size;          /* of the whole object */
    int64_t mtime_ms;       /* Last-Modified; 0 unknown */
    int64_t read_ms;        /* Date of the answer, by the same clock; 0 unknown */
    struct store_meta meta; /* GET and HEAD; tags are never filled here */
    unsigned tag_count;     /* x-amz-tagging-count */
    unsigned missing_meta;  /* x-amz-missing-meta */
    unsigned parts;         /* x-amz-mp-parts-count; 0 unknown */
    struct span checksum;   /* "crc64nvme:BASE64", the first one we know; absent when none */
    bool delete_marker;
};

struct store_part {
    uint32_t number;
    uint64_t size;
    struct span etag;
    struct span checksum; /* "crc64nvme:BASE64" or absent */
};

struct store_entry { /* of STORE_LIST and STORE_LIST_VERSIONS */
    struct span key;
    struct span etag;
    struct span storage_class;
    uint64_t size;
    int64_t mtime_ms;
    struct span version_id; /* LIST_VERSIONS: "null" where it has none */
    bool is_latest;         /* LIST_VERSIONS */
    bool is_marker;         /* LIST_VERSIONS: a delete marker, without ETag and size */
};

struct store_upload { /* of STORE_LIST_UPLOADS */
    struct span key;
    struct span upload_id;
    int64_t initiated_ms;
    int64_t age_ms; /* when it was listed, by the server's own clock */
};

/* What the receiving server is made to check, cheapest first. */
enum store_check {
    STORE_CHECK_AUTO,      /* as probed, else SHA-256 */
    STORE_CHECK_CRC64NVME, /* header, unsigned payload over TLS, signed over http */
    STORE_CHECK_CRC32C,
    STORE_CHECK_SHA256, /* signed payload hash */
    STORE_CHECK_MD5,    /* Content-MD5 and unsigned payload, TLS only */
};

/* Whether a PUT obeys If-Match and If-None-Match, and how the ETag has to be written there: Ceph
 * RGW of before 2023 compares it with its quotes. */
enum store_conditional {
    STORE_CONDITIONAL_UNKNOWN,
    STORE_CONDITIONAL_NONE,
    STORE_CONDITIONAL_QUOTED,
    STORE_CONDITIONAL_BARE,
};

struct store_op;
typedef void store_done_fn(struct store_op *op);

struct store_op {
    /* ---- in: set by the caller, unchanged until done ---- */
    enum store_op_kind kind;
    struct span bucket;
    struct span key;        /* or the prefix of the LISTs */
    struct span version_id; /* GET, HEAD, DELETE: exactly this version */
    struct span if_match;   /* ETag without quotes: GET, HEAD, DELETE; PUT: only over this one */
    bool if_none_match;     /* PUT, COMPLETE: only when the key does not exist */
    bool ranged;            /* GET: bytes [offset, offset + length) */
    uint64_t offset;
    uint64_t length;
    char *into;              /* GET: body goes here … */
    size_t into_size;        /* … at most so much; a longer body is REPL_ETOOBIG */
    struct span body;        /* PUT, PART: alive until done */
    struct span content_md5; /* PUT: raw 16 bytes known from the source, else absent */
    bool spoil_check;        /* PUT: send a wrong check value (probe: does the server verify?) */
    struct store_meta meta;  /* PUT, CREATE (tags included) */
    struct span upload_id;   /* PART, COMPLETE, ABORT, LIST_PARTS */
    uint32_t part_number;
    const struct store_part *parts; /* COMPLETE */
    size_t part_count;
    const struct span *keys; /* DELETE_MANY */
    size_t key_count;
    unsigned stall_s; /* given up after so long without a byte in either direction; 0 = as usual */
    struct span start_after; /* LISTs: absent = from the beginning; LIST_VERSIONS: the next_key … */
    struct span token; /* LIST: of the page before, wins over start_after; … and next_token */
    struct span tags_query; /* unused by callers; see meta.tags */
    uint32_t max_keys;      /* LISTs: 0 = 1,000 */
    store_done_fn *done;
    void *arg;
    struct arena *arena; /* results live here; the caller's, alive until it is done with them */
    uint64_t avoid; /* failed_at of an earlier try: goes elsewhere while another address is known */

    /* ---- out: valid in done() ---- */
    struct fail fail;             /* code 0 = good */
    bool ambiguous;               /* a write whose answer was lost: it may have happened */
    struct store_object object;   /* GET, HEAD; PUT and COMPLETE: ETag, version, checksum */
    size_t received;              /* GET: bytes in `into` */
    struct span ret_upload_id;    /* CREATE */
    struct store_part part;       /* PART: as accepted */
    struct store_part *ret_parts; /* LIST_PARTS, ascending */
    size_t ret_part_count;
    struct store_entry *entries; /* LIST, LIST_VERSIONS */
    size_t entry_count;
    struct span next_token;       /* LIST: absent at the end */
    struct span next_key;         /* LIST_VERSIONS: absent at the end, and not without next_token */
    struct store_upload *uploads; /* LIST_UPLOADS */
    size_t upload_count;
    struct fail *key_fails;  /* DELETE_MANY: key_count of them, code 0 = deleted or not there */
    struct store_pair *tags; /* GET_TAGS */
    struct span ret_text;    /* GET_NOTIFICATION, CREATE_TOPIC */
    size_t tag_count;
    bool versioning;    /* GET_VERSIONING: enabled; not while it is suspended */
    uint64_t wire_sent; /* body bytes that left for the server, repeats included */
    uint64_t failed_at; /* stands for the address where the connection failed; 0: it did not */
    uint32_t rtt_us;    /* of that connection; 0: not known */
    uint64_t started_us;
    uint64_t ended_us;

    /* ---- private to the store ---- */
    struct list link;
    void *impl;
};

/* Bulk moves a body of STORE_BULK_BYTES or more; the two are limited apart. */
enum store_class { STORE_SMALL, STORE_BULK, STORE_CLASSES };
#define STORE_BULK_BYTES ((uint64_t)1024 * 1024)

/* What is known of the server; read by planning, updated by the probe. */
struct store_features {
    enum store_check check;             /* what PUT and PART use */
    enum store_conditional conditional; /* as tried out */
    bool put_etag_is_md5;               /* the PUT's own ETag answers for the bytes */
    bool returns_checksum;              /* PUT and HEAD carry the checksum back */
    bool delete_many;
    bool tags;
    bool list_v2;
    bool reupload_safe; /* same part number twice at a time does no harm */
    uint64_t part_min;  /* bytes: 5 MiB */
    uint64_t part_max;  /* bytes: 5 GiB */
    uint64_t put_max;   /* bytes: 5 GiB */
    uint32_t parts_max; /* 10,000 */
};

struct store;

struct store_ops {
    const char *kind; /* "s3", "fake" */
    void (*submit)(struct store *s, struct store_op *op);
    /* done() still comes, with REPL_ECANCELED unless it was done already; `ambiguous` is set where
     * a write had left. */
    void (*cancel)(struct store *s, struct store_op *op);
    /* It waits for a connection: nothing of it has left. NULL: it never does. */
    bool (*waits)(const struct store *s, const struct store_op *op);
    /* How many operations of a class it is worth to have under way now; the scheduler keeps at most
     * so many in it. Changes with what is measured. */
    unsigned (*slots)(const struct store *s, enum store_class class);
    /* Congestion control of the newest connection, "" while there is none; NULL: knows of none. */
    const char *(*congestion)(const struct store *s);
    /* See net_order(); NULL: it has no paths. */
    int (*order)(struct store *s, const char *path, enum net_order order, struct fail *f);
    /* Its paths and lanes; NULL: it has none. */
    void (*report)(const struct store *s, const struct net_reporter *to);
    /* closed(arg) from the loop, after every done(). */
    void (*close)(struct store *s, void (*closed)(void *arg), void *arg);
};

struct store {
    const struct store_ops *ops;
    const char *name; /* of the endpoint, for logs and metrics */
    struct store_features features;
    /* Of the scheduler: there are more slots than a moment ago, though nothing has ended. */
    void (*more)(void *arg);
    void *more_arg;
};

static inline void store_has_more(struct store *s)
{
    if (s->more != NULL) {
        s->more(s->more_arg);
    }
}

static inline void store_submit(struct store *s, struct store_op *op)
{
    s->ops->submit(s, op);
}

static inline void store_cancel(struct store *s, struct store_op *op)
{
    s->ops->cancel(s, op);
}

static inline bool store_waits(const struct store *s, const struct store_op *op)
{
    return s->ops->waits != NULL && s->ops->waits(s, op);
}

static inline unsigned store_slots(const struct store *s, enum store_class class)
{
    return s->ops->slots(s, class);
}

static inline void store_report(const struct store *s, const struct net_reporter *to)
{
    if (s->ops->report != NULL) {
        s->ops->report(s, to);
    }
}

static inline int store_order(struct store *s, const char *path, enum net_order order,
                              struct fail *f)
{
    return s->ops->order != NULL
               ? s->ops->order(s, path, order, f)
               : fail_set(f, REPL_EUNSUPPORTED, "endpoint %s has no paths", s->name);
}

static inline const char *store_congestion(const struct store *s)
{
    return s->ops->congestion != NULL ? s->ops->congestion(s) : "";
}

static inline void store_close(struct store *s, void (*closed)(void *arg), void *arg)
{
    s->ops->close(s, closed, arg);
}

static inline bool store_can_condition(const struct store *s)
{
    return s->features.conditional >= STORE_CONDITIONAL_QUOTED;
}

const char *store_op_name(enum store_op_kind kind); /* "GetObject" */
enum store_class store_op_class(const struct store_op *op);

#endif
