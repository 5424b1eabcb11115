/* h2_bench: an HTTP/2 session and a server's session in memory, see h2_far.h, and the requests of a
 * test. The fixture ends with a lost connection: by then every request has ended once, or was
 * cancelled. */
#ifndef REPL_TEST_H2_BENCH_H
#define REPL_TEST_H2_BENCH_H

#include "tests/unit/support/h2_far.h"
#include "transfer/net/h2.h"

#define H2_BENCH_REQUESTS 512
#define H2_BENCH_BYTES    ((size_t)3 * 1024 * 1024 + 17) /* of the largest body */

struct h2_bench {
    struct h2 *h2;
    struct h2_far *far;
    struct h2_far_counts counts;
    struct buf to_far;
    struct buf to_h2;
    struct arena arena;
    struct net_request requests[H2_BENCH_REQUESTS];
    size_t count;
    size_t ended[H2_BENCH_REQUESTS]; /* how often */
    uint64_t now_us;
    unsigned fills; /* that wrote something */
    char *body;     /* H2_BENCH_BYTES, see h2_far_byte() */
};

int h2_bench_set_up(void **state);
int h2_bench_tear_down(void **state);
#define H2_TEST(name) cmocka_unit_test_setup_teardown(name, h2_bench_set_up, h2_bench_tear_down)

/* Another server than one with the defaults; before anything is sent. */
void h2_bench_open(struct h2_bench *b, const struct h2_far_options *o);
/* What is on the way arrives; false when nothing was. */
bool h2_bench_turn(struct h2_bench *b);
/* Until nothing is on the way. */
void h2_bench_settle(struct h2_bench *b);
/* Notes what has ended; turns do so themselves. */
void h2_bench_collect(struct h2_bench *b);
/* The connection is lost with REPL_ENET and this text, and what ended by it is noted. */
void h2_bench_lose(struct h2_bench *b, const char *why);

/* A request for path; with a body of bytes when it is a PUT. */
struct net_request *h2_bench_ask(struct h2_bench *b, const char *method, const char *path,
                                 size_t bytes);
/* Cancelled requests do not come out, and must not. */
void h2_bench_cancel(struct h2_bench *b, struct net_request *r);
/* How often it has. */
size_t h2_bench_has_ended(const struct h2_bench *b, const struct net_request *r);
/* Has ended well, and the server had all of the body. */
void h2_bench_assert_put(const struct h2_bench *b, const struct net_request *r);
void h2_bench_assert_failed(const struct h2_bench *b, const struct net_request *r, int code,
                            bool left);

#endif
