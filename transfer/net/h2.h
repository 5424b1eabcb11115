/* h2: a client's HTTP/2 session as bytes in and bytes out; no socket, no loop, time is an argument.
 * Requests go in by h2_submit() and come out, each once, by h2_next_ended(). Bodies are sent from
 * the memory of the request.
 *
 *   submitted ──▶ under way ──▶ ended ──▶ h2_next_ended()
 *        └───────────┴── h2_cancel(): forgotten, its stream is reset
 *
 * What the peer may have seen is never repeated here, and never lost: a request whose stream was
 * refused, or lies above the last one that a GOAWAY names, ends with left = false. */
#ifndef REPL_NET_H2_H
#define REPL_NET_H2_H

#include "transfer/net/net.h"

struct h2;

/* Takes plain bytes on their way to the peer, all of them. False: that is enough for now. */
typedef bool h2_write_fn(void *arg, struct span bytes);

/* Of the peer's SETTINGS; before they came, what RFC 9113 lets a client assume. */
struct h2_peer {
    bool is_known;
    uint32_t max_streams;
    uint32_t window_bytes; /* of a new stream */
    uint32_t max_frame_bytes;
};

enum h2_held { H2_NOT_HELD, H2_HELD_BY_STREAM, H2_HELD_BY_CONNECTION };

struct h2_counts {
    uint64_t body_came_bytes;
    uint64_t body_sent_bytes;
    uint64_t held_us;       /* no body could be sent because of the peer's windows, till now */
    uint64_t held_since_us; /* 0: is not held */
    enum h2_held held;
};

struct h2 *h2_new(h2_write_fn *write, void *arg);
/* Without requests, or with ended ones only. */
void h2_free(struct h2 *h);

/* The request stays unchanged until it comes out again or is cancelled. */
void h2_submit(struct h2 *h, struct net_request *r, uint64_t now_us);
/* Fills left and wire_sent; the request does not come out. */
void h2_cancel(struct h2 *h, struct net_request *r);
/* Asks the peer for a sign of life. */
void h2_ping(struct h2 *h);

/* Takes all bytes. After a breach of the protocol, by either side, the session is broken. */
void h2_feed(struct h2 *h, struct span bytes, uint64_t now_us);
/* Writes what there is, until write() has enough. */
void h2_fill(struct h2 *h, uint64_t now_us);
/* Ends requests that have not moved for as long as they allow. */
void h2_check_stalls(struct h2 *h, uint64_t now_us);
/* The connection is gone: ends all requests, with f where the session knows no better reason. */
void h2_lose(struct h2 *h, const struct fail *f);

/* The next request that has ended, its out members filled; NULL: none. */
struct net_request *h2_next_ended(struct h2 *h);

/* Requests that may be submitted now; 0 for ever once the session takes no more. */
unsigned h2_room(const struct h2 *h);
/* Takes no more: broken, or the peer says good-bye. */
bool h2_is_spent(const struct h2 *h);
/* The connection is of no more use, write what there is and close it. */
bool h2_is_over(const struct h2 *h);
/* Why it is broken; code 0: it is not. */
const struct fail *h2_fail(const struct h2 *h);

struct h2_peer h2_peer(const struct h2 *h);
struct h2_counts h2_counts(const struct h2 *h, uint64_t now_us);

#endif
