/* fetch: small documents of the web by GET over https: certificates of services that sign, and the
 * page that confirms a subscription. A vtable, so that tests hand in their own web. Loop thread. */
#ifndef REPL_FEEDS_FETCH_H
#define REPL_FEEDS_FETCH_H

#include "daemon/base/fail.h"
#include "daemon/base/log.h"
#include "daemon/base/loop.h"
#include "daemon/base/span.h"

#define FETCH_MAX ((size_t)64 * 1024) /* bytes of a document */

/* Later, once. status 0: the server answered with 200; body lives for the call. */
typedef void fetch_done_fn(void *arg, int status, const struct fail *f, struct span body);

struct fetch;

struct fetch_ops {
    /* The URL is copied. */
    void (*get)(struct fetch *fetch, struct span url, fetch_done_fn *done, void *arg);
    /* closed(arg) from the loop, after every done(). */
    void (*close)(struct fetch *fetch, loop_fn *closed, void *arg);
};

struct fetch {
    const struct fetch_ops *ops;
};

static inline void fetch_get(struct fetch *fetch, struct span url, fetch_done_fn *done, void *arg)
{
    fetch->ops->get(fetch, url, done, arg);
}

static inline void fetch_close(struct fetch *fetch, loop_fn *closed, void *arg)
{
    fetch->ops->close(fetch, closed, arg);
}

/* Over transfer/net, by the system's authorities; follows no redirect. */
int fetch_new(struct loop *loop, struct log *log, struct fetch **ret, struct fail *f);

#endif
