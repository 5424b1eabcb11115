/* sign: AWS Signature Version 4. Pure: time and keys come as arguments. */
#ifndef REPL_STORE_SIGN_H
#define REPL_STORE_SIGN_H

#include "daemon/base/buf.h"
#include "transfer/store/creds.h"

#define SIGN_KEY_BYTES 32
#define SIGN_HEX_BYTES 65 /* 64 digits and NUL */
#define SIGN_UNSIGNED  "UNSIGNED-PAYLOAD"

struct sign_header {
    struct span name;  /* lower case */
    struct span value; /* trimmed and collapsed for signing here */
};

struct sign_request {
    const char *method;
    struct span path;                  /* encoded, as it is sent */
    struct span query;                 /* encoded and sorted, as it is sent; may be empty */
    const struct sign_header *headers; /* sorted by name */
    size_t header_count;
    const char *payload; /* hex SHA-256 or SIGN_UNSIGNED */
};

/* Of one day, region and service: may be kept. */
struct sign_scope {
    char date[9]; /* YYYYMMDD */
    char region[64];
    char service[16];
    unsigned char key[SIGN_KEY_BYTES];
};

void sign_scope_init(struct sign_scope *s, const struct creds *creds, const char *date,
                     const char *region, const char *service);
/* The canonical request, and the lower-case list "a;b;c" of what it signs. */
void sign_canonical(const struct sign_request *r, struct buf *to, struct buf *names);
/* hex(HMAC(key, "AWS4-HMAC-SHA256" time scope hash)), `stamp` as 20130524T000000Z. */
void sign_request(const struct sign_scope *s, const struct sign_request *r, const char *stamp,
                  char ret_hex[SIGN_HEX_BYTES]);
/* hex(HMAC(key, text)): what chunk signatures are made of. */
void sign_text(const struct sign_scope *s, struct span text, char ret_hex[SIGN_HEX_BYTES]);
/* The value of the Authorization header. */
void sign_authorization(const struct sign_scope *s, const struct creds *creds,
                        const struct sign_request *r, const char *stamp, struct buf *to);
void sign_sha256_hex(struct span data, char ret_hex[SIGN_HEX_BYTES]);

#endif
