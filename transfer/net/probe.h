/* probe: one connection to a TLS server, to learn what it speaks. Offers "h2, http/1.1". After the
 * handshake it is closed, unless somebody has a use for it; what the server gave to resume later
 * connections stays in the context. */
#ifndef REPL_NET_PROBE_H
#define REPL_NET_PROBE_H

#include "daemon/base/fail.h"
#include "daemon/base/loop.h"
#include "transfer/net/addr.h"
#include "transfer/net/tls.h"

struct conn;
struct probe;

struct probe_result {
    struct fail fail;  /* code 0: the handshake was good */
    char alpn[16];     /* what the server chose; "" when it knows no ALPN: HTTP/1.1 */
    char version[16];  /* of TLS: "TLSv1.3" */
    uint64_t rtt_us;   /* what connect() took; 0: it failed */
    union addr addr;   /* that was asked */
    struct conn *conn; /* open, or NULL; who takes it inside done() makes it its own */
};

/* True: the connection was taken, see conn_adopt(). */
typedef bool probe_done_fn(void *arg, const struct probe_result *result);

struct probe_options {
    struct loop *loop;
    struct tls_context *tls;
    const union addr *address;
    const char *host;
    uint16_t port;
    uint32_t timeout_ms;             /* until the handshake is done */
    void (*tune)(void *arg, int fd); /* NULL: nothing to do */
    probe_done_fn *done;             /* once, from the loop, never inside probe_start() */
    loop_fn *closed; /* after done() or probe_cancel(): nothing is left of it, probe is freed */
    void *arg;       /* of all three */
};

struct probe *probe_start(const struct probe_options *options);
/* done() does not come, closed() does. Not after done(). */
void probe_cancel(struct probe *p);

#endif
