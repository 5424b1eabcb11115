/* s3: a store that speaks S3 (AWS and its dialects) over transfer/net. */
#ifndef REPL_STORE_S3_H
#define REPL_STORE_S3_H

#include "daemon/base/log.h"
#include "daemon/base/loop.h"
#include "daemon/base/stat.h"
#include "transfer/net/net.h"
#include "transfer/store/creds.h"
#include "transfer/store/store.h"

/* A way to the endpoint. All are https, or none is. */
struct s3_path {
    const char *name;  /* "direct" */
    const char *url;   /* "https://s3.eu-central-1.amazonaws.com", path ignored */
    bool virtual_host; /* bucket in the host name; default path style */
    enum net_use use;
    const char *cost; /* class its bytes are counted under */
};

struct s3_options {
    const char *name; /* endpoint name */
    const struct s3_path *paths;
    size_t path_count;   /* 1 … NET_PATHS_MAX */
    const char *region;  /* NULL: found by asking, else "us-east-1" */
    const char *ca_file; /* NULL: system's */
    bool tls_insecure;   /* verification switched off by name */
    const struct creds_source *creds;
    unsigned connections;   /* lanes at most; 0 = 256 */
    const char *congestion; /* "auto" (also NULL): bbr where it is allowed; or one by name */
    enum net_http http;
    enum store_check check; /* AUTO unless the operator fixed it */
    bool reupload_safe;
};

/* Copies what it needs. REPL_EBADINPUT with the reason in *f for a URL it cannot use. Secrets are
 * read at the first request, so that a missing credential is an error of the endpoint, not of the
 * start. */
int s3_new(struct loop *loop, struct log *log, struct stat_set *stats,
           const struct s3_options *options, struct store **ret, struct fail *f);

#endif
