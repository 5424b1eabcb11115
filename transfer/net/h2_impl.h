/* h2_impl: what the files of the HTTP/2 session share. */
#ifndef REPL_NET_H2_IMPL_H
#define REPL_NET_H2_IMPL_H

#include "transfer/net/h2.h"

#include <nghttp2/nghttp2.h>

struct h2 {
    nghttp2_session *session;
    h2_write_fn *write;
    void *write_arg;
    struct list streams; /* all that nghttp2 knows */
    struct list ended;   /* net_request.link */
    unsigned open;       /* length of streams */
    unsigned unsent;     /* of them: their head has left, not all of their body */
    uint64_t now_us;     /* of the call from outside */
    uint64_t fed_bytes;
    bool is_full;  /* write() had enough */
    bool has_peer; /* its SETTINGS came */
    bool is_over;
    struct fail fail;
    struct h2_counts counts;
};

/* Lives until nghttp2 closes it, even when its request is gone. */
struct h2_stream {
    struct list link;
    struct h2 *h2;
    struct net_request *request; /* NULL: has ended, or was cancelled */
    int32_t id;
    bool is_sent;     /* its head is on its way */
    bool is_answered; /* the final head came */
    size_t sent;      /* of the body */
    size_t came;      /* of the answer's body */
    size_t head_bytes;
    unsigned long long expected; /* Content-Length of the answer; ULLONG_MAX: not said */
    struct buf text;
    uint64_t moved_us; /* the last byte in either direction */
};

/* ---- h2_stream.c ---- */

/* Ends the request as it is: with an answer, or with the failure that is set in it. */
void h2_stream_end(struct h2_stream *st);
/* Takes the request away from its stream, its out members filled. */
struct net_request *h2_stream_detach(struct h2_stream *st);
/* Resets the stream; the failure is set. */
void h2_stream_give_up(struct h2_stream *st);
/* Of nghttp2: sends of the body what the windows let through. */
ssize_t h2_stream_read(nghttp2_session *session, int32_t id, uint8_t *to, size_t limit,
                       uint32_t *flags, nghttp2_data_source *source, void *arg);
void h2_stream_callbacks(nghttp2_session_callbacks *to);

/* ---- h2_head.c ---- */

/* Header fields of a request in HTTP/2: pseudo headers first, names in lower case, without those
 * that speak of a connection. Lives in the arena. */
nghttp2_nv *h2_head_make(struct arena *a, const struct net_request *r, size_t *ret_count);

#endif
