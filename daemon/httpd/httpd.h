/* httpd: an HTTP/1.1 server on the loop (libmicrohttpd with its external epoll descriptor in a
 * libuv poll handle; no thread of its own). Listens on a Unix socket (admin) or on TCP (metrics,
 * webhook), there with TLS where it is asked for. A request is answered at once or later, always
 * from the loop; handlers and callbacks run outside of libmicrohttpd and may do anything,
 * httpd_close() included.
 *
 * Bounded: connections (beyond three quarters of them each answer ends its own, beyond all of them
 * one waits in the kernel), 32 KiB for a head, the body, all bodies together, idle time, and three
 * idle times for a whole request. HEAD goes to the handlers of GET. A request that nobody answers
 * keeps its connection, unless httpd_on_gone() was called. */
#ifndef REPL_HTTPD_HTTPD_H
#define REPL_HTTPD_HTTPD_H

#include "daemon/base/buf.h"
#include "daemon/base/fail.h"
#include "daemon/base/log.h"
#include "daemon/base/loop.h"

#include <sys/types.h>

struct httpd;
struct httpd_request;

/* Called when head and body are complete. The handler answers with httpd_reply() or
 * httpd_stream(), now or later; exactly one of them. */
typedef void httpd_handler_fn(void *arg, struct httpd_request *r);

/* Called when the head is complete and a route was found, before the body is taken. It looks at the
 * request and returns 0, or the status that refuses it: 401, 403, 404, 429, 503, after
 * httpd_retry_after() where that helps. It runs inside of libmicrohttpd: nothing else is allowed.
 */
typedef unsigned httpd_admit_fn(void *arg, struct httpd_request *r);

/* First match wins. The path is compared whole, or as a prefix when it ends in '/'. */
struct httpd_route {
    const char *method; /* "GET", "POST" …; another method of a known path is answered with 405 */
    const char *path;
    httpd_handler_fn *handler;
};

/* PEM; copied. */
struct httpd_tls {
    struct span certificate; /* the server's own first, then what leads to its authority */
    struct span key;
    struct span client_ca; /* absent: anybody; else 403 for who has no certificate of it */
};

struct httpd_options {
    struct loop *loop;
    struct log *log;
    const char *name;       /* for logs: "admin", "metrics" */
    const char *unix_path;  /* one of both; a stale socket file is replaced, a live one is not */
    const char *unix_group; /* of the socket file, mode 0660; NULL: mode 0600 */
    const char *tcp_listen; /* "127.0.0.1:9815", "[::1]:9815", ":9815"; port 0: from the kernel */
    const struct httpd_route *routes; /* lives as long as the server */
    size_t route_count;
    void *arg;                   /* of the handlers */
    httpd_admit_fn *admit;       /* NULL: all are */
    const struct httpd_tls *tls; /* NULL: plain; of tcp_listen only */
    size_t body_max;             /* bytes; 0 = 1 MiB; beyond: 413 */
    size_t bodies_max;           /* bytes of all bodies that are held; 0 = no limit; beyond: 503 */
    unsigned connections_max;    /* 0 = 256 */
    unsigned idle_s;             /* 0 = 60 */
};

/* errno values and REPL_EBADINPUT with the place and the mend in *f (address in use, no right). */
int httpd_open(const struct httpd_options *options, struct httpd **ret, struct fail *f);
/* Stops listening, drops connections, removes the socket file. Requests that are not answered yet
 * get their gone callback. Frees the server; nothing comes back afterwards. */
void httpd_close(struct httpd *h);
/* Goes on with other options on the listening socket of *h, which becomes another server. Who comes
 * from now on meets the new one; connections that are open are served with the old options until
 * they end, for which every answer asks. On failure all is as it was. */
int httpd_renew(struct httpd **h, const struct httpd_options *options, struct fail *f);
/* "127.0.0.1:40123" or the socket's path. */
const char *httpd_address(const struct httpd *h);

const char *httpd_method(const struct httpd_request *r);
const char *httpd_path(const struct httpd_request *r); /* percent-decoded, without the query */
const char *httpd_query(const struct httpd_request *r, const char *name); /* decoded; NULL = none */
const char *httpd_header(const struct httpd_request *r, const char *name); /* NULL = none */
/* Every header as it came. */
typedef void httpd_header_fn(void *arg, struct span name, struct span value);
void httpd_headers(const struct httpd_request *r, httpd_header_fn *each, void *arg);
struct span httpd_body(const struct httpd_request *r);
void *httpd_arg(const struct httpd_request *r);

/* Unix sockets: who is at the other end (SO_PEERCRED); false on TCP. */
struct httpd_peer {
    pid_t pid;
    uid_t uid;
    gid_t gid;
};
bool httpd_peer(const struct httpd_request *r, struct httpd_peer *ret);

/* The answer, or the refusal, tells the client when to come again. */
void httpd_retry_after(struct httpd_request *r, unsigned seconds);
/* Ends the request. The body is copied. content_type NULL = "application/json". After this the
 * request is not to be touched. */
void httpd_reply(struct httpd_request *r, unsigned status, const char *content_type,
                 struct span body);
/* A long answer, in pieces (chunked): start once, then any number of pieces (copied; queued up to
 * 1 MiB, false beyond or when the client is gone), then end. */
void httpd_stream(struct httpd_request *r, unsigned status, const char *content_type);
bool httpd_stream_write(struct httpd_request *r, struct span piece);
void httpd_stream_end(struct httpd_request *r);
/* For answers that come later: gone(arg) when the client went away before the end; the request is
 * not to be touched afterwards. Never called after httpd_reply() or httpd_stream_end(). */
void httpd_on_gone(struct httpd_request *r, loop_fn *gone, void *arg);

#endif
