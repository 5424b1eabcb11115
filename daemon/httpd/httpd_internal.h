/* httpd_internal: what the files of this folder share. libmicrohttpd calls us only inside
 * MHD_run() and MHD_stop_daemon(); the callbacks of our users run outside of both, from deferred
 * calls, so that they may do anything, httpd_close() included. */
#ifndef REPL_HTTPD_HTTPD_INTERNAL_H
#define REPL_HTTPD_HTTPD_INTERNAL_H

#include "daemon/base/list.h"
#include "daemon/httpd/httpd.h"
#include "daemon/httpd/httpd_listen.h"

#include <microhttpd.h>
#include <uv.h>

#define HTTPD_STREAM_MAX ((size_t)1024 * 1024)

struct httpd {
    struct httpd_options options;
    struct httpd_listener listener;
    struct MHD_Daemon *mhd;
    struct httpd_tls tls; /* options.tls; views of … */
    char *pem[3];         /* certificate, key, client CA: libmicrohttpd keeps the pointers */
    uv_poll_t *poll;      /* of libmicrohttpd's epoll descriptor */
    struct deferred pump; /* runs libmicrohttpd on the next turn */
    struct timer timeout; /* runs it when its own time comes */
    struct timer sweep;   /* ends connections that never finish their request */
    struct list requests;
    struct list connections;
    bool has_ended;       /* one of them, see httpd_connection_ended() */
    size_t bodies;        /* bytes that requests hold */
    struct httpd *older;  /* serves connections that it had before httpd_renew() … */
    struct httpd *newer;  /* … put this one in its place */
    struct deferred gone; /* an older one without connections ends */
};

/* A request has two holders, libmicrohttpd (while connection is set) and the user (from the call
 * of the handler to the end of the answer or the gone callback), and goes with the later one.
 *
 *   reading -> waiting (suspended, handler is or will be called) -> answering -> done */
struct httpd_request {
    struct list in_server;
    struct httpd *server;              /* NULL after httpd_close() */
    struct MHD_Connection *connection; /* NULL when libmicrohttpd is done with it */
    const struct httpd_route *route;
    char *method;
    char *path;
    struct buf body;
    size_t discarded; /* bytes of a body that is refused */
    unsigned refused; /* the status, 0 = it goes to the handler */
    unsigned retry_after_s;
    char allow[64]; /* methods of the path, for 405 */

    bool is_waiting; /* the connection is suspended */
    bool is_handed;  /* the handler was called */
    bool is_ended;   /* the user is through */
    bool is_stream;  /* answered in pieces */
    bool is_dropped; /* the client went away, the connection is to be closed */

    struct deferred hand;
    struct deferred lost;
    loop_fn *gone;
    void *gone_arg;
    uv_poll_t *watch; /* libmicrohttpd does not look at suspended connections */

    struct MHD_Response *response; /* made, not queued yet */
    unsigned status;
    struct buf queue; /* of a stream: pieces from offset `sent` on */
    size_t sent;
};

/* libmicrohttpd's callbacks; cls is the server. */
void *httpd_request_begin(void *cls, const char *uri, struct MHD_Connection *connection);
enum MHD_Result httpd_request_feed(void *cls, struct MHD_Connection *connection, const char *url,
                                   const char *method, const char *version, const char *data,
                                   size_t *data_size, void **context);
void httpd_request_completed(void *cls, struct MHD_Connection *connection, void **context,
                             enum MHD_RequestTerminationCode code);

void httpd_connection_notify(void *cls, struct MHD_Connection *connection, void **context,
                             enum MHD_ConnectionNotificationCode code);

void httpd_connections_init(struct httpd *h);
unsigned httpd_connection_count(const struct httpd *h); /* now open */
/* To be called after each run of libmicrohttpd. */
void httpd_connections_settle(struct httpd *h);
/* The client is to send a request from now on, or has sent it whole. */
void httpd_connection_owes(struct MHD_Connection *connection);
void httpd_connection_paid(struct MHD_Connection *connection);
/* Whether the client has shown a certificate that options.tls.client_ca answers for; true where
 * none is asked for. */
bool httpd_connection_is_trusted(struct MHD_Connection *connection);
/* The answer ended in a way that may have closed the connection. */
void httpd_connection_ended(struct MHD_Connection *connection);

/* Wakes a suspended connection; libmicrohttpd goes on with it on the next turn. */
void httpd_request_resume(struct httpd_request *r);
/* The server goes: the connection exists no more. Calls the gone callback. */
void httpd_request_abandon(struct httpd_request *r);
/* The user is through; frees the request when it has no holder left. */
void httpd_request_end(struct httpd_request *r);

/* Answers {"error":{"code":…,"text":…}} for what never reaches a handler. */
enum MHD_Result httpd_refuse(struct httpd_request *r);

/* Adds the content type (NULL = JSON) and what else the request's answer is to carry. */
void httpd_response_head(const struct httpd_request *r, struct MHD_Response *response,
                         const char *content_type);
/* Hands the response to the suspended connection. */
void httpd_respond(struct httpd_request *r, unsigned status, struct MHD_Response *response);

#endif
