/* addr: the addresses of one host, and which of them the next connection takes. Pure: time is an
 * argument (monotonic ms, never 0), nothing is resolved here, see host.h.
 *
 * Every address that an answer has named stays known for five minutes, so that connections are soon
 * spread over all addresses of a name that gives out a few at a time. The one taken longest ago is
 * next. Two failures within a minute bench an address for a minute. */
#ifndef REPL_NET_ADDR_H
#define REPL_NET_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADDR_MAX       64 /* of one host; beyond it the one named longest ago makes room */
#define ADDR_KEEP_MS   300000
#define ADDR_BENCH_MS  60000
#define ADDR_WINDOW_MS 60000 /* two failures that are no further apart bench */

/* Family 0: none. The port plays no part here. */
union addr {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

bool addr_eq(const union addr *a, const union addr *b);
/* A number that stands for it where addresses mean nothing; never 0. */
uint64_t addr_tag(const union addr *a);
/* "192.0.2.1", "2001:db8::1". */
void addr_print(const union addr *a, char to[INET6_ADDRSTRLEN]);

struct addr_entry {
    union addr addr;
    uint64_t named_ms;         /* by the newest answer with it */
    uint64_t taken;            /* count of the set when it was taken last; 0: never */
    uint64_t failed_ms;        /* the last failure that has not benched it; 0: none */
    uint64_t benched_until_ms; /* 0: not benched */
};

/* A zeroed one is empty. */
struct addr_set {
    struct addr_entry entries[ADDR_MAX];
    size_t count;
    uint64_t takings;
};

/* An answer names this one. */
void addr_named(struct addr_set *s, const union addr *a, uint64_t now_ms);
/* An answer is complete: forgets what none has named for ADDR_KEEP_MS. Without answers nothing is
 * forgotten: old addresses are better than none while a resolver is silent. */
void addr_answered(struct addr_set *s, uint64_t now_ms);

/* The address of the next connection. The one with the tag `avoid` (0: none) is taken only when no
 * other is known; a benched one only when there is no good one, and is then let back. NULL when the
 * set is empty; else valid until the next call with the set. */
const union addr *addr_take(struct addr_set *s, uint64_t avoid, uint64_t now_ms);
/* A connection to it failed. */
void addr_failed(struct addr_set *s, const union addr *a, uint64_t now_ms);
/* Whether one with another tag is known. */
bool addr_has_other(const struct addr_set *s, uint64_t tag);

#endif
