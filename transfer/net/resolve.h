/* resolve: asks for the addresses of one host while it is in use. Loop thread; an answer comes
 * through net_resolved(). A question cannot always be taken back: it counts as a handle of the net,
 * whose closing waits for it. */
#ifndef REPL_NET_RESOLVE_H
#define REPL_NET_RESOLVE_H

#include "daemon/base/fail.h"
#include "daemon/base/loop.h"
#include "transfer/net/addr.h"

#include <uv.h>

#define RESOLVE_EVERY_MS 30000

struct host;

struct resolve {
    struct host *host;
    struct loop *loop;
    struct addr_set set;
    struct fail fail;     /* of the newest answer; code 0: it was good */
    uint64_t asked_ms;    /* 0: never */
    uint64_t answered_ms; /* the newest good answer; 0: none yet */
    bool asking;
    uv_getaddrinfo_t question;
    struct deferred refused; /* a question that could not even be asked */
};

void resolve_init(struct resolve *r, struct host *h, struct loop *loop);
/* No question is open. */
void resolve_done(struct resolve *r);
/* An address for a new connection, see addr_take(). NULL: none is known, or only from an answer
 * that is too old to trust; net_resolved() follows. */
const union addr *resolve_take(struct resolve *r, uint64_t avoid);
/* Of a host in use, now and then: asks again when it is time. */
void resolve_refresh(struct resolve *r);
/* The answer comes early and is a failure, if it can be helped. */
void resolve_cancel(struct resolve *r);

#endif
