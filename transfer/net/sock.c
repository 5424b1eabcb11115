#include "transfer/net/sock.h"

#include "transfer/net/tcpinfo.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

/* A peer that is gone is noticed after 20 + 3 x 10 s without traffic, and NAT tables, some of which
 * forget after 30 s, see a packet in time. */
#define KEEPALIVE_IDLE_S  20
#define KEEPALIVE_EVERY_S 10
#define KEEPALIVE_PROBES  3

/* A body may take this part of a round trip to leave. */
#define HASTE 6

/* None of these fails on a TCP socket; where one does, the socket is as good as without it. */
static void set(int fd, int level, int option, int value)
{
    (void)setsockopt(fd, level, option, &value, sizeof(value));
}

const char *sock_congestion(const char *wish)
{
    return wish == NULL || strcmp(wish, "auto") == 0 ? "bbr" : wish;
}

static void set_congestion(int fd, const char *wish, struct sock_grant *ret)
{
    const char *name = sock_congestion(wish);
    socklen_t len = sizeof(ret->congestion) - 1;
    memset(ret, 0, sizeof(*ret));
    if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name)) < 0) {
        ret->refused = -errno;
    }
    (void)getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, ret->congestion, &len);
}

void sock_set_bulk(int fd, bool bulk)
{
    set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, (int)(bulk ? SOCK_UNSENT_BULK : SOCK_UNSENT_SMALL));
}

void sock_pace(int fd, uint64_t bps)
{
    uint64_t most = bps > 0 ? bps : UINT64_MAX;
    (void)setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &most, sizeof(most));
}

static bool is_bbr(const struct sock_grant *grant)
{
    return grant->refused == 0 && strcmp(grant->congestion, "bbr") == 0;
}

/* Taken by another control for a moment, a connection keeps its window, and BBR comes back in its
 * first state: it sends at that window a round trip, times 2.9. */
void sock_hasten(int fd, const struct sock_grant *grant, size_t bytes)
{
    static const char other[] = "reno", bbr[] = "bbr"; /* every kernel has and allows Reno */
    struct tcpinfo t;
    if (!is_bbr(grant) || tcpinfo_read(fd, 0, &t) < 0 || t.pacing_bps == 0) {
        return;
    }
    double leaves_us = (double)bytes * 1e6 / (double)t.pacing_bps;
    if (leaves_us * HASTE > t.rtt_us &&
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, other, sizeof(other) - 1) == 0) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, bbr, sizeof(bbr) - 1);
    }
}

/* Neither close() nor the death of the process waits for, or leaves behind, what is unsent. */
static void set_linger(int fd)
{
    struct linger none = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
}

void sock_tune(int fd, const char *wish, bool bulk, struct sock_grant *ret)
{
    set_congestion(fd, wish, ret);
    sock_set_bulk(fd, bulk);
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_linger(fd);
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_EVERY_S);
    set(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
}
