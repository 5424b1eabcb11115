/* watch: a descriptor that a library wants watched, in the loop. Asking for what is asked of it
 * already costs nothing. Counts as a handle of the net until it is closed. */
#ifndef REPL_NET_WATCH_H
#define REPL_NET_WATCH_H

#include "daemon/base/loop.h"

struct net;
struct watch;

/* events: of UV_READABLE and UV_WRITABLE; both when the descriptor has failed. */
typedef void watch_fn(void *arg, struct watch *w, int status, int events);

/* NULL when the descriptor cannot be watched. */
struct watch *watch_new(struct net *n, struct loop *loop, int fd, watch_fn *fn, void *arg);
int watch_fd(const struct watch *w);
/* 0: nothing, for now. Negative when it fails. */
int watch_for(struct watch *w, int events);
/* Whether nothing has come to a descriptor that is idle, nor its end; what a TLS layer has to say
 * waits for the next request. */
bool watch_is_quiet(const struct watch *w, bool is_tls);
/* Before the descriptor is closed. Nothing comes any more. */
void watch_close(struct watch *w);

#endif
