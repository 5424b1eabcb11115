/* uri: percent-encoding as SigV4 wants it: unreserved A-Za-z0-9-._~ stay, hex in capitals. */
#ifndef REPL_STORE_URI_H
#define REPL_STORE_URI_H

#include "daemon/base/buf.h"
#include "daemon/base/mem.h"

/* keep_slash: for paths. */
void uri_encode(struct buf *to, struct span text, bool keep_slash);
/* "%41" and "+" (a space) back to bytes; a broken escape stays as it is. */
struct span uri_decode(struct arena *a, struct span text);

/* A query as it is sent and signed: sorted by encoded name, then value; "name=" without a value. */
struct uri_param {
    struct span name;
    struct span value;
};
#define URI_PARAMS_MAX 16
void uri_query(struct buf *to, const struct uri_param *params, size_t count);

#endif
