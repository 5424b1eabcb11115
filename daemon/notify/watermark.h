/* watermark: how far a rule is, as a small object in its destination bucket, so that a batch job
 * there can wait for its hour. Written after an advance (or when what it waits for is another kind
 * of thing), at most once an interval, one PUT at a time; a PUT that fails is tried again with what
 * holds then, and nobody ever waits for it. The host fills in what the journal holds, so that no
 * published watermark is ahead of the journalled one. Loop thread. */
#ifndef REPL_NOTIFY_WATERMARK_H
#define REPL_NOTIFY_WATERMARK_H

#include "daemon/base/buf.h"
#include "daemon/base/log.h"
#include "daemon/base/loop.h"
#include "daemon/base/stat.h"
#include "transfer/store/store.h"

/* ---- what stands in it: watermark_doc.c, pure ---- */

struct watermark_doc {
    const char *rule;
    const char *instance;
    int64_t watermark_ms; /* 0 = none yet: stands there as 1970 */
    int64_t proven_ms;    /* 0 = none: null */
    const char *state;    /* "ok", or what kind of thing it waits for */
    char waits_for[480];  /* a sentence; "" = nothing: null */
    uint64_t pending_objects;
    uint64_t pending_bytes;
    uint64_t failed_objects;
    uint64_t done_objects;
    uint64_t done_bytes;
    int64_t published_ms; /* our clock */
};

void watermark_print(const struct watermark_doc *doc, struct buf *to);
/* `pattern` with {rule} and {instance} filled in. */
void watermark_key(const char *pattern, const char *rule, const char *instance, struct buf *to);

/* ---- the publisher of one rule ---- */

struct watermark_host {
    void *arg;
    /* The destination, or NULL: not now. */
    struct store *(*store)(void *arg);
    /* What holds now, by the journal. */
    void (*fill)(void *arg, struct watermark_doc *ret);
};

struct watermark_options {
    struct loop *loop;
    struct log *log;
    struct stat_set *stats;
    const char *rule; /* these four are copied */
    const char *instance;
    const char *pattern;
    const char *bucket;
    uint64_t interval_ms;
    struct watermark_host host;
};

struct watermark;

struct watermark *watermark_new(const struct watermark_options *options);
/* What it would say may be another thing now. Cheap; as often as one likes. */
void watermark_news(struct watermark *w);
/* Stops. `remove`: the object goes too (one attempt), since a reader takes the least of all that
 * are there. closed(arg) from the loop; the host is not asked again. */
void watermark_close(struct watermark *w, bool remove, loop_fn *closed, void *arg);

#endif
