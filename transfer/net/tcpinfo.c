#include "transfer/net/tcpinfo.h"

#include <errno.h>
#include <linux/tcp.h> /* whole, where <netinet/tcp.h> ends at tcpi_total_retrans */
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define END_OF(member) (offsetof(struct tcp_info, member) + sizeof(((struct tcp_info *)0)->member))

static unsigned groups_in(size_t len)
{
    static const struct {
        unsigned group;
        size_t end; /* of its last member that we read */
    } groups[] = {{TCPINFO_ACKED, END_OF(tcpi_bytes_acked)},
                  {TCPINFO_MIN_RTT, END_OF(tcpi_min_rtt)},
                  {TCPINFO_RATE, END_OF(tcpi_delivery_rate)},
                  {TCPINFO_LIMITS, END_OF(tcpi_sndbuf_limited)},
                  {TCPINFO_SENT, END_OF(tcpi_bytes_retrans)}};
    unsigned has = 0;
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        has |= len >= groups[i].end ? groups[i].group : 0;
    }
    return has;
}

void tcpinfo_parse(const void *raw, size_t len, uint64_t now_us, struct tcpinfo *ret)
{
    struct tcp_info k = {0};
    memcpy(&k, raw, len < sizeof(k) ? len : sizeof(k));
    unsigned has = groups_in(len);
    *ret = (struct tcpinfo){.at_us = now_us,
                            .has = has,
                            .rtt_us = k.tcpi_rtt,
                            .cwnd_bytes = k.tcpi_snd_cwnd * k.tcpi_snd_mss};
    if (has & TCPINFO_ACKED) {
        ret->acked_bytes = k.tcpi_bytes_acked;
        ret->pacing_bps = k.tcpi_pacing_rate;
    }
    if (has & TCPINFO_MIN_RTT) {
        ret->min_rtt_us = k.tcpi_min_rtt != UINT32_MAX ? k.tcpi_min_rtt : 0;
        ret->notsent_bytes = k.tcpi_notsent_bytes;
    }
    if (has & TCPINFO_RATE) {
        ret->delivery_rate_bps = k.tcpi_delivery_rate;
        ret->app_limited = k.tcpi_delivery_rate_app_limited != 0;
    }
    if (has & TCPINFO_LIMITS) {
        ret->busy_us = k.tcpi_busy_time;
        ret->rwnd_limited_us = k.tcpi_rwnd_limited;
        ret->sndbuf_limited_us = k.tcpi_sndbuf_limited;
    }
    if (has & TCPINFO_SENT) {
        ret->sent_bytes = k.tcpi_bytes_sent;
        ret->retrans_bytes = k.tcpi_bytes_retrans;
    }
}

int tcpinfo_read(int fd, uint64_t now_us, struct tcpinfo *ret)
{
    struct tcp_info raw;
    socklen_t len = sizeof(raw);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &raw, &len) < 0) {
        return -errno;
    }
    tcpinfo_parse(&raw, len, now_us, ret);
    return 0;
}

void tcpinfo_between(const struct tcpinfo *from, const struct tcpinfo *to,
                     struct tcpinfo_delta *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (to->at_us < from->at_us || to->acked_bytes < from->acked_bytes ||
        to->sent_bytes < from->sent_bytes || to->retrans_bytes < from->retrans_bytes ||
        to->busy_us < from->busy_us) {
        return;
    }
    ret->span_us = to->at_us - from->at_us;
    ret->acked_bytes = to->acked_bytes - from->acked_bytes;
    ret->sent_bytes = to->sent_bytes - from->sent_bytes;
    ret->retrans_bytes = to->retrans_bytes - from->retrans_bytes;
    ret->busy_us = to->busy_us - from->busy_us;
    ret->rwnd_limited_us = to->rwnd_limited_us - from->rwnd_limited_us;
    ret->sndbuf_limited_us = to->sndbuf_limited_us - from->sndbuf_limited_us;
}
