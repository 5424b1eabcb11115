/* auth: verifies SigV4, in headers and in presigned URLs. Written from the specification and apart
 * from the signer that it tests. */
#ifndef BUCKETD_AUTH_H
#define BUCKETD_AUTH_H

#include "tests/bucketd/request.h"

/* Checks who sends the request and fills req->auth. Changes nothing else but the error details. */
enum s3_error auth_check(struct request *req);

/* The parts of an Authorization header or a presigned query. */
struct auth_claim {
    struct span access_key;
    struct span date; /* YYYYMMDD */
    struct span region;
    struct span service;
    struct span terminator;
    struct span signed_headers;
    unsigned long long expires_s; /* presigned only */
};

/* auth_canonical.c. False when a signed header is not in the request. */
bool auth_canonical(struct request *req, const struct auth_claim *claim, struct buf *out);
/* HMAC-SHA256. */
void auth_hmac(const unsigned char *key, size_t key_len, struct span data, unsigned char *ret_mac);
/* Lower-case hex of SHA-256 of data; out holds 65 bytes. */
void auth_sha256_hex(const struct request *req, struct span data, char *out);
/* True when mac is what the 64 hex digits say; in constant time. */
bool auth_is_mac(const unsigned char *mac, struct span hex);

#endif
