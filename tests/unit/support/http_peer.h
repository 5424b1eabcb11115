/* http_peer: an HTTP/1.1 server on the loop of the test, that does as it is told and counts. */
#ifndef REPL_TEST_HTTP_PEER_H
#define REPL_TEST_HTTP_PEER_H

#include "daemon/base/loop.h"
#include "daemon/base/span.h"

struct http_peer;

enum http_peer_does {
    HTTP_PEER_ANSWERS, /* 200 with the body */
    HTTP_PEER_HANGS,   /* reads and says nothing */
    HTTP_PEER_DROPS,   /* closes the connection instead of an answer */
};

struct http_peer_counts {
    unsigned connections; /* accepted */
    unsigned open;
    unsigned most_open;
    unsigned requests; /* read completely */
};

struct http_peer *http_peer_new(struct loop *loop);
void http_peer_free(struct http_peer *p); /* runs the loop until its handles are closed */
/* "http://127.0.0.1:PORT" */
const char *http_peer_url(const struct http_peer *p);
/* What it does with the requests to come; body lives as long. */
void http_peer_does(struct http_peer *p, enum http_peer_does what, struct span body);
/* Answers what hangs. */
void http_peer_release(struct http_peer *p);
struct http_peer_counts http_peer_counts(const struct http_peer *p);

#endif
