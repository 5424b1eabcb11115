/* net_bench: a pool of lanes and an HTTP/2 server over TLS, see h2_peer.h, on one loop that waits
 * for real. The fixture closes the pool: by then every request has ended once. */
#ifndef REPL_TEST_NET_BENCH_H
#define REPL_TEST_NET_BENCH_H

#include "tests/unit/support/h2_peer.h"
#include "transfer/net/net_impl.h"

#define NET_BENCH_REQUESTS 256
#define NET_BENCH_BYTES    ((size_t)20 * 1024 * 1024) /* of the largest body */
/* What net_bench_open_http_1()'s server says, whatever it is asked. */
#define NET_BENCH_HTTP_1 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

struct net_bench {
    struct loop *loop;
    struct h2_peer *peer;
    struct net *net;
    struct arena arena;
    struct net_request requests[NET_BENCH_REQUESTS];
    size_t submitted;
    size_t done;
    unsigned turns;
    bool is_closed;
    char *body; /* NET_BENCH_BYTES, see h2_far_byte() */
};

int net_bench_set_up(void **state);
int net_bench_tear_down(void **state);
#define NET_TEST(name) cmocka_unit_test_setup_teardown(name, net_bench_set_up, net_bench_tear_down)

/* Server and pool, which trusts it unless the options name somebody else. */
void net_bench_open(struct net_bench *b, struct h2_peer_options peer, struct net_options net);
/* One connection to a server that does what it should. */
void net_bench_open_plainly(struct net_bench *b);
/* The same, where large bodies stay in HTTP/2: a server that is slow, as here under valgrind, holds
 * them up with its windows, and bulk would leave it after two seconds. */
void net_bench_open_for_bulk(struct net_bench *b, struct h2_far_options far);
/* One connection to a server of HTTP/1.1, whose every connection gives one answer. */
void net_bench_open_http_1(struct net_bench *b, enum net_http http);
/* Closes the pool and waits for it; the fixture does not do it again. */
void net_bench_close(struct net_bench *b);

void net_bench_turn(struct net_bench *b);
#define NET_UNTIL(b, condition)                                                                    \
    do {                                                                                           \
        while (!(condition)) {                                                                     \
            net_bench_turn(b);                                                                     \
        }                                                                                          \
    } while (0)
/* Until every request has ended. */
void net_bench_wait(struct net_bench *b);

/* A request for path; with a body of bytes when it is a PUT. It is for the caller to submit: */
struct net_request *net_bench_prepare(struct net_bench *b, const char *method, const char *path,
                                      size_t bytes);
/* … is submitted: */
struct net_request *net_bench_submit(struct net_bench *b, const char *method, const char *path,
                                     size_t bytes);
/* … and waited for, with all others. */
struct net_request *net_bench_fetch(struct net_bench *b, const char *method, const char *path,
                                    size_t bytes);
/* Has ended well, and the server had all of the body. */
void net_bench_assert_put(const struct net_request *r);

const struct h2_peer_counts *net_bench_counts(const struct net_bench *b);
struct host *net_bench_host(const struct net_bench *b); /* the first */
struct lane *net_bench_lane(const struct net_bench *b); /* its first */

#endif
