/* webhook: a listener for notifications that senders push, and one feed for each source of the
 * configuration, told apart by the path of the request. A request is answered with 2xx when what it
 * says is durable with the host, changes in the journal and what cannot be read in quarantine; with
 * 503 while that is not possible; and before its body is taken with 404, 401, 429 or 503.
 *
 * SNS and MNS sign: what does not fit their signature gets 403, and a subscription is confirmed to
 * SNS alone. Certificates are looked at every ten seconds and the listener renewed when they have
 * changed. Loop thread. */
#ifndef REPL_FEEDS_WEBHOOK_H
#define REPL_FEEDS_WEBHOOK_H

#include "daemon/feeds/feeds.h"
#include "daemon/feeds/fetch.h"

struct webhook;

struct webhook_options {
    struct loop *loop;
    struct log *log;
    struct stat_set *stats;
    const struct conf_webhook *conf; /* copied; its sources are not looked at */
    uint64_t memory_bytes;           /* of the process: a sixteenth is for bodies */
    struct fetch *fetch;             /* NULL: over the net; else the webhook's from now on */
};

/* Listens. errno values, REPL_EBADINPUT with the place and the mend in *f. */
int webhook_open(const struct webhook_options *options, struct webhook **ret, struct fail *f);
/* Other limits or certificates on the same address, connections go on. On failure all is as it
 * was. */
int webhook_renew(struct webhook *w, const struct conf_webhook *conf, struct fail *f);
/* With its feeds, whose close was called. closed(arg) comes from the loop, after theirs. */
void webhook_close(struct webhook *w, loop_fn *closed, void *arg);
/* "127.0.0.1:40123". */
const char *webhook_address(const struct webhook *w);

struct webhook_feed_options {
    const struct conf_source *conf; /* copied */
    struct feed_host host;
};

/* REPL_ECREDENTIALS when the token cannot be had: the source then refuses every request, and says
 * so in its status. */
struct feed *webhook_feed_new(struct webhook *w, const struct webhook_feed_options *options);

#endif
