/* event: bodies of bucket notifications into changes. Pure. Told apart by what is in them:
 *
 *   {"Records": [...]}            AWS S3 (2.x), MinIO, Ceph RGW: the eventSource says which
 *   {"events": [...]}             OSS, as it comes from a queue or topic of MNS/SMQ
 *   {"detail-type": ...}          AWS EventBridge
 *   {"specversion": ...}          a CloudEvent around one of these, or of OSS by EventBridge
 *   {"Type": ..., "Message": ...} SNS; the message is looked into as well
 *   {"Message": ...}, <Notification>…<Message>   push of MNS, as JSON or XML
 *   [...], base64                 several of these in a list; encoded
 *
 * An event means "look at this key". A removal is handed over as CHANGE_DELETE only where it says
 * that the key is gone; one that names a version may have uncovered an older object, and is a
 * CHANGE_PUT without version, size and ETag. Either is a question: MinIO says DeleteMarkerCreated
 * also when a marker was removed, so whoever copies asks the source first. */
#ifndef REPL_FEEDS_EVENT_H
#define REPL_FEEDS_EVENT_H

#include "daemon/base/fail.h"
#include "daemon/base/mem.h"
#include "journal/change.h"

/* SQS: 1 MiB a message; all others send less. The values of JSON bound what a body costs. */
#define EVENT_BODY_MAX   ((size_t)1024 * 1024)
#define EVENT_VALUES_MAX 65536

/* Both go into every change as they are. */
struct event_options {
    struct span endpoint; /* whose notifications these are; absent: of any */
    struct span feed;     /* "webhook:NAME", "queue:NAME" */
};

enum event_sns_kind {
    EVENT_SNS_NOTIFICATION,
    EVENT_SNS_CONFIRM,     /* to be answered by a GET of subscribe_url */
    EVENT_SNS_UNSUBSCRIBED /* told to us: nothing more will come */
};

/* What an SNS signature covers, and where its certificate is; absent = not in the body. Nothing of
 * it was verified. */
struct event_sns {
    enum event_sns_kind kind;
    struct span message;
    struct span message_id;
    struct span subject;
    struct span timestamp;
    struct span token;
    struct span topic_arn;
    struct span type; /* as written */
    struct span signature;
    struct span signature_version;
    struct span signing_cert_url;
    struct span subscribe_url;
};

struct event_list {
    struct change *changes;
    size_t count;
    struct change *own; /* of keys below "_repl/": canaries; never to be replicated */
    size_t own_count;
    size_t tests;                /* sent when notifications were set up */
    size_t ignored;              /* events of a kind that changes no object's bytes */
    struct span ignored_name;    /* of the first of them */
    const struct event_sns *sns; /* the outermost envelope; NULL = none */
};

/* All memory is the arena's, which must outlive the list; views into body are not kept.
 * REPL_EBADINPUT says in *f where ("Records[3]: s3.object.key is missing"); *ret then holds what
 * was good all the same: to be appended, while the body goes to quarantine. */
int event_parse(struct span body, const struct event_options *o, struct arena *a,
                struct event_list *ret, struct fail *f);

/* Who wrote a record: spells keys and sequencers in its own way. */
enum event_source {
    EVENT_AWS,    /* keys form-encoded */
    EVENT_MINIO,  /* keys form-encoded, slashes too */
    EVENT_CEPH,   /* keys raw */
    EVENT_BRIDGE, /* AWS EventBridge: keys raw */
    EVENT_OSS,    /* keys raw, no sequencer */
    EVENT_SOURCES
};

/* The normal form of a sequencer: byte order (span_cmp) of two of them is the order that their
 * sender documents, for one key. Upper-case hexadecimal digits, highest first, without the zeros at
 * the end. Absent when the sender has none or it is malformed: that decides no order. */
struct span event_sequencer(enum event_source source, struct span text, struct arena *a);

#endif
