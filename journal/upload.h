/* upload: what the journal knows of a multipart upload that is open at a destination. Part of
 * backend.h. */
#ifndef REPL_JOURNAL_UPLOAD_H
#define REPL_JOURNAL_UPLOAD_H

#include "daemon/base/span.h"

#include <stddef.h>
#include <stdint.h>

/* What the server may take for a Create that left and was given up. */
#define UPLOAD_CREATE_WAIT_MS 60000

/* A copy that is open at the destination, and its accepted parts. */
enum upload_state {
    UPLOAD_INTENDED = 0,   /* Create is about to be sent; upload id not known, upload_id empty */
    UPLOAD_OPEN = 1,       /* parts may be sent */
    UPLOAD_COMPLETING = 2, /* Complete was sent: never abort before it was answered */
    UPLOAD_ABORTING = 3,   /* superseded or abandoned: abort until the server says it is gone */
};

struct upload_part {
    uint32_t number; /* 1 … 10,000 */
    uint64_t size;
    struct span etag;
    struct span checksum; /* "crc64nvme:BASE64" or absent */
    uint64_t bytes_sent;  /* part_done(): on the wire since the last one of this copy */
};

struct upload {
    uint32_t rule;
    struct span key;       /* source key */
    struct span upload_id; /* empty while intended */
    enum upload_state state;
    struct span endpoint; /* destination */
    struct span bucket;
    struct span dest_key;
    struct span source_etag; /* the pin: a resume needs the same */
    struct span source_version;
    int64_t source_mtime_ms;
    int64_t source_read_ms; /* by the source's clock, as the one before; 0 = not known */
    uint64_t size;
    uint64_t part_size;
    int64_t created_ms;  /* an intention: when its first Create was intended … */
    int64_t intended_ms; /* … and its last one; later than that, when there was more than one */
    int64_t next_try_ms; /* of the abort */
    uint32_t attempts;
    uint64_t bytes_done;             /* sum of the parts' sizes */
    const struct upload_part *parts; /* ascending; only where said */
    size_t part_count;
};

#endif
