/* tcp: a connection on the loop. One write is under way at a time: a caller that waits for its end
 * before it makes more bytes never has more than that in memory, and is as fast as the kernel takes
 * them. Callbacks come from the loop; none after tcp_close(). */
#ifndef REPL_NET_TCP_H
#define REPL_NET_TCP_H

#include "daemon/base/buf.h"
#include "daemon/base/loop.h"

#include <netinet/in.h>

struct tcp;

struct tcp_events {
    void (*connected)(void *arg);
    void (*came)(void *arg, struct span bytes);
    void (*sent)(void *arg); /* the kernel has all that tcp_send() was given */
    /* Once, and nothing but tcp_close() makes sense afterwards. UV_EOF: the peer has closed. */
    void (*lost)(void *arg, int status);
};

struct tcp_options {
    struct loop *loop; /* a real one */
    const struct sockaddr *address;
    void (*tune)(void *arg, int fd); /* before connect(); NULL: nothing to do */
    const struct tcp_events *events;
    void *arg;
};

/* Connects. That even the socket cannot be had comes through lost() too. */
struct tcp *tcp_open(const struct tcp_options *options);
/* Frees it; closed(arg) comes from the loop when its handle is gone. */
void tcp_close(struct tcp *t, loop_fn *closed, void *arg);

/* Swaps b, which is not empty, with an empty one and sends it; no write may be under way. */
void tcp_send(struct tcp *t, struct buf *b);
bool tcp_is_sending(const struct tcp *t);
int tcp_fd(const struct tcp *t); /* -1: none */

#endif
