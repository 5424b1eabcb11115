/* sock: how the sockets of our data connections are set up. Pure system calls, any thread.
 *
 * SO_SNDBUF and SO_RCVBUF are never set: either switches the kernel's own sizing off, and a fixed
 * size caps a long path (ACCELERATION: 160 Mbit/s at 150 ms). The maxima are the host's, see
 * etc/sysctl.d/60-repld.conf.
 *
 * SO_LINGER is {1, 0}: whatever ends the connection, also kill -9, drops what the kernel has not
 * delivered. A request that is given up, or whose sender is dead, must not arrive after what its
 * successor does with the same key. */
#ifndef REPL_NET_SOCK_H
#define REPL_NET_SOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SOCK_CONGESTION_MAX 16 /* bytes of a name with its NUL: TCP_CA_NAME_MAX of the kernel */

/* Bytes that may wait in the kernel before they are first sent. More only makes fresh small objects
 * wait, less than one wake-up's worth leaves the link idle. */
#define SOCK_UNSENT_BULK  (256U * 1024)
#define SOCK_UNSENT_SMALL (64U * 1024)

/* What the kernel says of the socket after the wishes, not what was wished. */
struct sock_grant {
    char congestion[SOCK_CONGESTION_MAX]; /* "bbr"; "" when fd is no TCP socket */
    int refused; /* 0, or why the wish was not granted: -ENOENT not in the kernel, -EPERM not among
                    tcp_allowed_congestion_control */
};

/* The algorithm that a wish asks for: "auto" (also NULL) is bbr, everything else names one. */
const char *sock_congestion(const char *wish);

/* Before connect(), or of a connection that stands. Asks for the congestion control, and leaves the
 * kernel's default where it is refused; TCP_NODELAY, SO_LINGER, keepalive, and sock_set_bulk(). */
void sock_tune(int fd, const char *wish, bool bulk, struct sock_grant *ret);
/* Before a body of so many bytes, when nothing else is under way. BBR paces a connection at what it
 * delivers in a round trip; where that is one small request, the next one takes a whole round trip
 * to leave, and is answered after two. Where it has come to that, BBR is made to begin anew: over
 * 150 ms with 1 % loss 256 connections brought 1360 objects of 16 KiB a second instead of 800. */
void sock_hasten(int fd, const struct sock_grant *grant, size_t bytes);
/* At any time: no faster than so many bytes a second; 0: no limit. */
void sock_pace(int fd, uint64_t bps);
/* At any time: bulk fills the link, small objects want short queues. */
void sock_set_bulk(int fd, bool bulk);

#endif
