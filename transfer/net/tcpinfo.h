/* tcpinfo: what the kernel measures of a connection. The kernel's struct grows from release to
 * release and hands out as much as it has; the length says which members are there. Pure but for
 * tcpinfo_read(). */
#ifndef REPL_NET_TCPINFO_H
#define REPL_NET_TCPINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Groups of members that came with one kernel; those of a group that is not there are 0. */
enum tcpinfo_group {
    TCPINFO_ACKED = 1,   /* Linux 4.1: acked_bytes, pacing_bps */
    TCPINFO_MIN_RTT = 2, /* 4.6: min_rtt_us, notsent_bytes */
    TCPINFO_RATE = 4,    /* 4.9: delivery_rate_bps, app_limited */
    TCPINFO_LIMITS = 8,  /* 4.10: busy_us, rwnd_limited_us, sndbuf_limited_us */
    TCPINFO_SENT = 16,   /* 4.19: sent_bytes, retrans_bytes */
};

/* Counters begin with the connection. */
struct tcpinfo {
    uint64_t at_us; /* of the caller's clock */
    unsigned has;   /* of enum tcpinfo_group */
    uint32_t rtt_us;
    uint32_t min_rtt_us; /* 0: not measured yet */
    uint32_t cwnd_bytes;
    uint64_t pacing_bps; /* bytes a second at which it may leave; UINT64_MAX: as fast as it can */
    uint32_t notsent_bytes; /* in the kernel, never sent yet */
    uint64_t acked_bytes;   /* the SYN counts as one */
    uint64_t sent_bytes;    /* repeats included */
    uint64_t retrans_bytes;
    uint64_t delivery_rate_bps; /* bytes per second over the last window measured */
    bool app_limited;           /* … while we had not enough to send: it says little */
    uint64_t busy_us;           /* data was waiting or in flight */
    uint64_t rwnd_limited_us;   /* of that: held by the peer's window */
    uint64_t sndbuf_limited_us; /* of that: held by our send buffer */
};

/* What happened between two samples of one connection. */
struct tcpinfo_delta {
    uint64_t span_us;
    uint64_t acked_bytes;
    uint64_t sent_bytes;
    uint64_t retrans_bytes;
    uint64_t busy_us;
    uint64_t rwnd_limited_us;
    uint64_t sndbuf_limited_us;
};

/* 0, or the errno of a descriptor that is no TCP socket. */
int tcpinfo_read(int fd, uint64_t now_us, struct tcpinfo *ret);
/* The first len bytes of the kernel's struct tcp_info. */
void tcpinfo_parse(const void *raw, size_t len, uint64_t now_us, struct tcpinfo *ret);
/* All 0 when `to` is of a younger connection than `from`. */
void tcpinfo_between(const struct tcpinfo *from, const struct tcpinfo *to,
                     struct tcpinfo_delta *ret);

#endif
