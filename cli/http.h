/* http: one request to the daemon's control socket, one answer; blocking, a connection each. */
#ifndef REPL_CLI_HTTP_H
#define REPL_CLI_HTTP_H

#include "daemon/base/buf.h"
#include "daemon/base/fail.h"

struct http_answer {
    unsigned status;
    struct buf body;
};

/* query may be NULL. REPL_EUNREACHABLE when nobody listens or the connection breaks, REPL_EDENIED
 * when the socket may not be opened, REPL_EPROTO for what is no HTTP. buf_done(&ret->body) after.
 */
int http_call(const char *socket_path, const char *method, const char *path, const char *query,
              struct span body, struct http_answer *ret, struct fail *f);
/* Reads a whole answer: head, then a body by Content-Length, chunked, or up to the end. */
int http_parse(struct span text, struct http_answer *ret);

#endif
