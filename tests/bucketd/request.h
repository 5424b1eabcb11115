/* request: one HTTP request from its first line to the end of its answer. Owned by the connection;
 * used by one thread at a time. All spans live in its arena. */
#ifndef BUCKETD_REQUEST_H
#define BUCKETD_REQUEST_H

#include "daemon/base/mem.h"
#include "tests/bucketd/server.h"

#define REQUEST_MAX_KEY_BYTES 1024 /* S3 */

struct pair {
    struct span name;
    struct span value;
};

struct pairs {
    struct pair *items;
    size_t count;
};

/* Who signed, and with what; filled by auth_check(). */
struct auth {
    bool is_presigned;
    struct span timestamp; /* YYYYMMDDTHHMMSSZ */
    struct span scope;     /* YYYYMMDD/region/s3/aws4_request */
    struct span signature; /* hex */
    struct span payload;   /* x-amz-content-sha256 */
    unsigned char key[32]; /* derived signing key */
};

struct intake;

struct request {
    struct server *server;
    struct MHD_Connection *connection;
    struct arena arena;
    char *uri; /* as it was sent */
    const char *method;
    char id[17];
    enum op op;
    bool is_started;
    bool is_answered;
    bool has_slept;
    enum s3_error error; /* found before or while the body came */

    struct span path;     /* encoded, as sent */
    struct span bucket;   /* empty: the service itself */
    struct span key;      /* decoded; empty: the bucket itself */
    struct pairs params;  /* decoded */
    struct pairs headers; /* names in lower case, repeated ones joined by ',' */

    struct auth auth;
    struct intake *intake; /* NULL: no body is wanted */
    struct fault fault;

    /* The answer. */
    unsigned status; /* 0: 200 */
    struct pairs answer_headers;
    size_t answer_header_cap;
    struct buf out;        /* XML or JSON */
    struct buf error_more; /* elements to add to <Error> */
    const char *error_text;
    struct object *object; /* whose bytes are sent, when not NULL */
    uint64_t first, length;
};

struct request *request_new(struct server *server, const char *uri);
void request_free(struct request *req);
/* Reads URI and headers. */
enum s3_error request_parse(struct request *req, const char *method);
/* Finds out the operation. */
enum s3_error request_route(struct request *req);

/* Absent when not there; an empty value has a pointer. */
struct span request_header(const struct request *req, const char *name);
struct span request_param(const struct request *req, const char *name);
bool request_has_param(const struct request *req, const char *name);
/* A number in min..max (clamped above when `clamp`), `otherwise` when the parameter is absent. */
enum s3_error request_number(struct request *req, const char *name, unsigned max, unsigned *number);

/* An error with a sentence of its own. */
enum s3_error request_fail(struct request *req, enum s3_error error, const char *text);

#endif
