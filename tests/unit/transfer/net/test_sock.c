/* Set-up of sockets, and what the kernel says of them, on loopback. */
#include "daemon/base/span.h"
#include "transfer/net/sock.h"
#include "transfer/net/tcpinfo.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cmocka.h>

static int tcp_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    return fd;
}

static int get(int fd, int level, int option)
{
    int value = -1;
    socklen_t len = sizeof(value);
    assert_int_equal(getsockopt(fd, level, option, &value, &len), 0);
    return value;
}

static void read_congestion(int fd, char to[SOCK_CONGESTION_MAX])
{
    socklen_t len = SOCK_CONGESTION_MAX;
    memset(to, 0, SOCK_CONGESTION_MAX);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, to, &len), 0);
}

static void each_allowed_congestion_control_is_granted(void **state)
{
    (void)state;
    char line[256] = "";
    FILE *file = fopen("/proc/sys/net/ipv4/tcp_allowed_congestion_control", "r");
    if (file == NULL) {
        skip();
    }
    assert_non_null(fgets(line, sizeof(line), file));
    fclose(file);
    line[strcspn(line, "\n")] = '\0';
    for (char *save = NULL, *name = strtok_r(line, " ", &save); name != NULL;
         name = strtok_r(NULL, " ", &save)) {
        struct sock_grant grant;
        char is[SOCK_CONGESTION_MAX];
        int fd = tcp_socket();
        sock_tune(fd, name, true, &grant);
        assert_int_equal(grant.refused, 0);
        assert_string_equal(grant.congestion, name);
        read_congestion(fd, is);
        assert_string_equal(is, name);
        close(fd);
    }
}

static void refused_wish_leaves_the_default_and_says_why(void **state)
{
    (void)state;
    char before[SOCK_CONGESTION_MAX];
    struct sock_grant grant;
    int fd = tcp_socket();
    read_congestion(fd, before);
    sock_tune(fd, "nosuch", true, &grant);
    assert_int_equal(grant.refused, -ENOENT);
    assert_string_equal(grant.congestion, before);
    close(fd);
}

static void auto_asks_for_bbr(void **state)
{
    (void)state;
    struct sock_grant of_auto;
    struct sock_grant of_bbr;
    int fds[2] = {tcp_socket(), tcp_socket()};
    assert_string_equal(sock_congestion("auto"), "bbr");
    assert_string_equal(sock_congestion(NULL), "bbr");
    assert_string_equal(sock_congestion("cubic"), "cubic");
    sock_tune(fds[0], "auto", true, &of_auto);
    sock_tune(fds[1], "bbr", true, &of_bbr);
    assert_string_equal(of_auto.congestion, of_bbr.congestion);
    assert_int_equal(of_auto.refused, of_bbr.refused);
    close(fds[0]);
    close(fds[1]);
}

static uint64_t pace_of(int fd)
{
    uint64_t bps = 0;
    socklen_t size = sizeof(bps);
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &bps, &size), 0);
    assert_int_equal(size, sizeof(bps));
    return bps;
}

static void rate_has_a_limit_that_can_go_again(void **state)
{
    (void)state;
    int fd = tcp_socket();
    uint64_t before = pace_of(fd);
    sock_pace(fd, 5000000000);
    assert_true(pace_of(fd) == 5000000000);
    sock_pace(fd, 0);
    assert_true(pace_of(fd) == before);
    close(fd);
}

static void queues_are_short_and_dead_peers_noticed(void **state)
{
    (void)state;
    struct sock_grant grant;
    int fd = tcp_socket();
    sock_tune(fd, NULL, true, &grant);
    assert_int_equal(get(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT), SOCK_UNSENT_BULK);
    sock_set_bulk(fd, false);
    assert_int_equal(get(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT), SOCK_UNSENT_SMALL);
    assert_true(SOCK_UNSENT_SMALL < SOCK_UNSENT_BULK);
    assert_int_not_equal(get(fd, IPPROTO_TCP, TCP_NODELAY), 0);
    assert_int_not_equal(get(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    int noticed_s = get(fd, IPPROTO_TCP, TCP_KEEPIDLE) +
                    get(fd, IPPROTO_TCP, TCP_KEEPINTVL) * get(fd, IPPROTO_TCP, TCP_KEEPCNT);
    assert_true(noticed_s <= 60);
    close(fd);
}

static void kernel_keeps_sizing_the_buffers(void **state)
{
    (void)state;
    struct sock_grant grant;
    int fd = tcp_socket();
    int send = get(fd, SOL_SOCKET, SO_SNDBUF);
    int receive = get(fd, SOL_SOCKET, SO_RCVBUF);
    sock_tune(fd, NULL, true, &grant);
    assert_int_equal(get(fd, SOL_SOCKET, SO_SNDBUF), send);
    assert_int_equal(get(fd, SOL_SOCKET, SO_RCVBUF), receive);
    close(fd);
}

static void no_tcp_socket_is_told_apart(void **state)
{
    (void)state;
    struct sock_grant grant;
    struct tcpinfo info;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    sock_tune(fds[0], NULL, true, &grant);
    assert_string_equal(grant.congestion, "");
    assert_int_not_equal(grant.refused, 0);
    assert_true(tcpinfo_read(fds[0], 1, &info) < 0);
    close(fds[0]);
    close(fds[1]);
}

/* ---- tcpinfo ---- */

struct pair {
    int from, to;
};

static struct pair connect_pair(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);
    int listener = tcp_socket();
    assert_int_equal(bind(listener, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&sa, &len), 0);
    struct pair p = {.from = tcp_socket()};
    assert_int_equal(connect(p.from, (struct sockaddr *)&sa, len), 0);
    p.to = accept(listener, NULL, NULL);
    assert_true(p.to >= 0);
    close(listener);
    return p;
}

static void close_pair(struct pair p)
{
    close(p.from);
    close(p.to);
}

static void counters_count_what_was_sent(void **state)
{
    (void)state;
    static char block[65536];
    struct tcpinfo before;
    struct tcpinfo after;
    struct tcpinfo_delta d;
    struct pair p = connect_pair();
    assert_int_equal(tcpinfo_read(p.from, 1000, &before), 0);
    for (int i = 0; i < 16; i++) {
        assert_int_equal(send(p.from, block, sizeof(block), 0), sizeof(block));
        assert_int_equal(recv(p.to, block, sizeof(block), MSG_WAITALL), sizeof(block));
    }
    /* The answer acknowledges all that came before it. */
    assert_int_equal(send(p.to, "x", 1, 0), 1);
    assert_int_equal(recv(p.from, block, 1, 0), 1);
    assert_int_equal(tcpinfo_read(p.from, 5000, &after), 0);
    tcpinfo_between(&before, &after, &d);
    assert_int_equal(d.span_us, 4000);
    assert_int_equal(d.acked_bytes, 16 * sizeof(block));
    assert_int_equal(d.sent_bytes - d.retrans_bytes, 16 * sizeof(block));
    assert_int_equal(after.notsent_bytes, 0);
    assert_true(after.rtt_us > 0);
    assert_true(after.min_rtt_us > 0 && after.min_rtt_us <= after.rtt_us);
    assert_true(after.cwnd_bytes > 0);
    assert_true(after.delivery_rate_bps > 0);
    close_pair(p);
}

static struct tcpinfo look(int fd)
{
    struct tcpinfo info;
    assert_int_equal(tcpinfo_read(fd, 1, &info), 0);
    return info;
}

/* A wish for less than the rate lowers it, and taking the wish back leaves it low: so BBR looks
 * that has measured one small request a round trip. */
static void slow_down(int fd)
{
    unsigned slow = 1000, any = UINT_MAX;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &slow, sizeof(slow)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &any, sizeof(any)), 0);
    assert_int_equal(look(fd).pacing_bps, slow);
}

static void a_body_that_would_leave_slowly_makes_bbr_begin_anew(void **state)
{
    (void)state;
    char is[SOCK_CONGESTION_MAX];
    struct sock_grant grant;
    struct pair p = connect_pair();
    sock_tune(p.from, "bbr", false, &grant);
    if (grant.refused != 0) {
        close_pair(p);
        skip();
    }
    slow_down(p.from);
    sock_hasten(p.from, &grant, 0); /* leaves at once */
    assert_int_equal(look(p.from).pacing_bps, 1000);
    sock_hasten(p.from, &(struct sock_grant){.congestion = "cubic"}, 16384);
    sock_hasten(p.from, &(struct sock_grant){.congestion = "bbr", .refused = -EPERM}, 16384);
    assert_int_equal(look(p.from).pacing_bps, 1000);
    sock_hasten(p.from, &grant, 16384);
    assert_true(look(p.from).pacing_bps > 1000000);
    read_congestion(p.from, is);
    assert_string_equal(is, "bbr");
    close_pair(p);
}

static void bytes_that_a_deaf_peer_holds_up_are_seen(void **state)
{
    (void)state;
    static char block[65536];
    struct tcpinfo info;
    struct pair p = connect_pair();
    while (send(p.from, block, sizeof(block), MSG_DONTWAIT) > 0) {
    }
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(tcpinfo_read(p.from, 1, &info), 0);
    assert_true(info.notsent_bytes > 0);
    close_pair(p);
}

/* A request that is given up does not arrive later: what the kernel still had is dropped. */
static void unsent_bytes_do_not_outlive_the_connection(void **state)
{
    (void)state;
    static char block[65536];
    struct sock_grant grant;
    struct pair p = connect_pair();
    size_t sent = 0, came = 0;
    ssize_t n;
    sock_tune(p.from, NULL, true, &grant);
    while ((n = send(p.from, block, sizeof(block), MSG_DONTWAIT)) > 0) {
        sent += (size_t)n;
    }
    close(p.from);
    while ((n = recv(p.to, block, sizeof(block), 0)) > 0) {
        came += (size_t)n;
    }
    assert_int_equal(n, -1);
    assert_int_equal(errno, ECONNRESET);
    assert_true(came < sent);
    close(p.to);
}

/* A kernel hands out as much as it knows; each member counts only when it is there whole. */
static void short_answers_of_old_kernels(void **state)
{
    (void)state;
    unsigned char raw[512];
    unsigned before = 0;
    struct tcpinfo info;
    memset(raw, 0x11, sizeof(raw));
    for (size_t len = 0; len <= sizeof(raw); len++) {
        tcpinfo_parse(raw, len, 7, &info);
        assert_int_equal(info.has & before, before); /* nothing goes away again */
        before = info.has;
        assert_int_equal(info.at_us, 7);
        assert_int_equal(info.acked_bytes != 0, (info.has & TCPINFO_ACKED) != 0);
        assert_int_equal(info.min_rtt_us != 0, (info.has & TCPINFO_MIN_RTT) != 0);
        assert_int_equal(info.delivery_rate_bps != 0, (info.has & TCPINFO_RATE) != 0);
        assert_int_equal(info.sndbuf_limited_us != 0, (info.has & TCPINFO_LIMITS) != 0);
        assert_int_equal(info.retrans_bytes != 0, (info.has & TCPINFO_SENT) != 0);
    }
    assert_int_equal(before, TCPINFO_ACKED | TCPINFO_MIN_RTT | TCPINFO_RATE | TCPINFO_LIMITS |
                                 TCPINFO_SENT);
    assert_int_equal(info.retrans_bytes, 0x1111111111111111);
}

static void unmeasured_rtt_is_zero(void **state)
{
    (void)state;
    unsigned char raw[512];
    struct tcpinfo info;
    memset(raw, 0xff, sizeof(raw)); /* the kernel's word for "none yet" */
    tcpinfo_parse(raw, sizeof(raw), 1, &info);
    assert_int_equal(info.min_rtt_us, 0);
}

static void another_connection_gives_no_difference(void **state)
{
    (void)state;
    struct tcpinfo old = {.at_us = 10, .acked_bytes = 5000, .sent_bytes = 6000};
    struct tcpinfo young = {.at_us = 20, .acked_bytes = 100, .sent_bytes = 100};
    struct tcpinfo_delta d;
    tcpinfo_between(&old, &young, &d);
    assert_int_equal(d.span_us, 0);
    assert_int_equal(d.acked_bytes, 0);
    assert_int_equal(d.sent_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allowed_congestion_control_is_granted),
        cmocka_unit_test(refused_wish_leaves_the_default_and_says_why),
        cmocka_unit_test(auto_asks_for_bbr),
        cmocka_unit_test(rate_has_a_limit_that_can_go_again),
        cmocka_unit_test(queues_are_short_and_dead_peers_noticed),
        cmocka_unit_test(kernel_keeps_sizing_the_buffers),
        cmocka_unit_test(no_tcp_socket_is_told_apart),
        cmocka_unit_test(counters_count_what_was_sent),
        cmocka_unit_test(a_body_that_would_leave_slowly_makes_bbr_begin_anew),
        cmocka_unit_test(bytes_that_a_deaf_peer_holds_up_are_seen),
        cmocka_unit_test(unsent_bytes_do_not_outlive_the_connection),
        cmocka_unit_test(short_answers_of_old_kernels),
        cmocka_unit_test(unmeasured_rtt_is_zero),
        cmocka_unit_test(another_connection_gives_no_difference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
