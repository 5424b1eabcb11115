/* server: what all requests share. Filled by main before the first request; after that only the
 * atomics and what locks itself change. */
#ifndef BUCKETD_SERVER_H
#define BUCKETD_SERVER_H

#include "tests/bucketd/fault.h"
#include "tests/bucketd/op.h"
#include "tests/bucketd/store.h"
#include "tests/bucketd/wait.h"

struct server_stats {
    atomic_ullong requests[OP_COUNT];
    atomic_ullong errors[OP_COUNT];
    atomic_ullong bytes_in;  /* payloads as they come, without aws-chunked framing */
    atomic_ullong bytes_out; /* bodies of answers */
    atomic_ullong connections;
    atomic_ullong connections_open;
};

/* The signing key of the last day: all requests of a day share it. */
struct server_key {
    pthread_mutex_t lock;
    char date[9]; /* "" = none yet */
    unsigned char key[32];
};

struct server {
    const char *access_key;
    const char *secret_key;
    const char *region;
    bool is_fast; /* payloads are not verified */
    struct server_key signing_key;
    atomic_llong skew_ms;
    atomic_ullong next_request;
    struct store store;
    struct faults faults;
    struct waits waits;
    struct checksum_env *checksums;
    struct server_stats stats;
    struct MHD_Daemon *daemon;
};

/* Wall clock plus the skew that a test set. */
int64_t server_now_ms(struct server *server);

struct server_listen {
    const char *host; /* IPv4 */
    unsigned short port;
    unsigned threads;
};

/* Starts to answer; the port it got, 0 when that fails. */
unsigned short server_start(struct server *server, const struct server_listen *listen);
void server_stop(struct server *server);

#endif
