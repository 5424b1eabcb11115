/* h2_far: the server's end of an HTTP/2 session, bytes in and bytes out, that does what the path of
 * a request says:
 *
 *   /put…          takes the body and answers 200 with x-bytes and x-sum of it
 *   /get/N         answers with N bytes, see h2_far_byte()
 *   /hang          answers nothing
 *   /early         answers 403 as soon as the head is there
 *   /reset/CODE    resets the stream with this error code
 *   /leave/CODE    GOAWAY with this code, which names the stream before this one as the last
 *   /last/CODE     the same, but this stream is the last; is answered
 *   /close         the connection should be closed, see h2_far_wants_close()
 *   /head/N/BYTES  answers with N fields of BYTES bytes
 *   /short         announces 10 bytes and sends 5
 *   /interim       103, then 200 with a body and a trailer */
#ifndef REPL_TEST_H2_FAR_H
#define REPL_TEST_H2_FAR_H

#include "daemon/base/buf.h"

#include <stdint.h>

#define H2_FAR_PATHS 512

struct h2_far;

struct h2_far_options {
    uint32_t window_bytes;     /* of streams; 0: as large as can be */
    uint32_t connection_bytes; /* of the connection; 0: window_bytes */
    uint32_t max_streams;      /* 0: 100 */
    bool holds;                /* gives no window back before h2_far_release() */
};

struct h2_far_counts {
    unsigned heads;  /* of requests */
    unsigned whole;  /* requests that came to their end */
    unsigned most;   /* streams at once */
    unsigned resets; /* by the client */
    unsigned pings;
    unsigned goaways;             /* by the client, with an error */
    uint32_t goaway_code;         /* of the last one */
    uint64_t body_bytes;          /* came */
    unsigned data_frames;         /* came */
    unsigned times[H2_FAR_PATHS]; /* whole requests for /put/K */
};

struct h2_far *h2_far_new(const struct h2_far_options *options, struct h2_far_counts *counts);
void h2_far_free(struct h2_far *f);
/* False: the client has broken the protocol. */
bool h2_far_feed(struct h2_far *f, struct span bytes);
/* Appends what is to be sent. */
void h2_far_take(struct h2_far *f, struct buf *to);
bool h2_far_wants_close(const struct h2_far *f);
/* Gives back what was received. */
void h2_far_release(struct h2_far *f);

char h2_far_byte(uint64_t at);
uint64_t h2_far_sum(uint64_t sum, struct span bytes);

#endif
