/* Inside of the webhook: listener, sources, deliveries. */
#ifndef REPL_FEEDS_WEBHOOK_IMPL_H
#define REPL_FEEDS_WEBHOOK_IMPL_H

#include "daemon/base/list.h"
#include "daemon/feeds/event.h"
#include "daemon/feeds/push_keys.h"
#include "daemon/feeds/webhook.h"
#include "daemon/feeds/webhook_token.h"
#include "daemon/httpd/httpd.h"

#define WEBHOOK_SUBJECT "webhook"
#define WEBHOOK_RETRY_S 5 /* told to who gets 503 */

/* How requests ended, as label of repl_webhook_requests_total. */
#define WEBHOOK_OUTCOMES(X)                                                                        \
    X(ACCEPTED, "accepted")       /* changes, durable */                                           \
    X(NOTHING, "nothing")         /* tests, canaries, events of no interest */                     \
    X(QUARANTINED, "quarantined") /* could not be read, all or in part */                          \
    X(CONFIRMED, "confirmed")     /* a subscription */                                             \
    X(FORGED, "forged")           /* 403 */                                                        \
    X(TOKEN, "token")             /* 401 */                                                        \
    X(RATE, "rate")               /* 429 */                                                        \
    X(UNAVAILABLE, "unavailable") /* 503 */

#define WEBHOOK_OUTCOME_ENUM(id, text) WEBHOOK_##id,
enum webhook_outcome { WEBHOOK_OUTCOMES(WEBHOOK_OUTCOME_ENUM) WEBHOOK_OUTCOME_COUNT };
#undef WEBHOOK_OUTCOME_ENUM

struct webhook {
    struct loop *loop;
    struct log *log;
    struct stat_set *stats;
    struct arena arena; /* of conf */
    struct conf_webhook conf;
    uint64_t memory_bytes;
    struct httpd *server;
    struct list sources;
    struct fetch *fetch;
    struct push_keys *keys;
    struct timer look;   /* at the certificate's files */
    uint64_t files_mark; /* what they looked like when they were read */
    struct stat *expiry;
    struct stat *unknown_path;

    loop_fn *closed;
    void *closed_arg;
};

struct webhook_source {
    struct feed feed;
    struct list link;
    struct webhook *webhook;
    struct feed_host host;
    struct arena arena; /* of conf and name */
    struct conf_source conf;
    struct webhook_tokens tokens;
    double credit; /* requests that may come now */
    uint64_t credit_at_ms;
    size_t open; /* deliveries */
    struct stat *requests[WEBHOOK_OUTCOME_COUNT];
    struct stat *changes;
    struct stat *answer_time;
    struct stat *heard;

    loop_fn *closed;
    void *closed_arg;
    struct deferred closing;
};

/* webhook_admit.c: who may send. Shapes of httpd.h; arg is the webhook. */
unsigned webhook_admit(void *arg, struct httpd_request *r);
/* Whose path it is; NULL: nobody's. *ret_rest: what follows the path and its '/', may be NULL. */
struct webhook_source *webhook_source_of(struct webhook *w, const char *path,
                                         const char **ret_rest);

/* webhook_deliver.c: from a complete request to its answer. */
void webhook_deliver(void *arg, struct httpd_request *r);

/* webhook.c: closes what is left when close was called and no source is there. */
void webhook_end(struct webhook *w);

/* webhook_source.c */
void webhook_count(struct webhook_source *s, enum webhook_outcome outcome);
/* A delivery has ended. */
void webhook_source_left(struct webhook_source *s);

#endif
