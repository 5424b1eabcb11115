/* intake: takes the body of a request in, digests it while it comes, and says at the end whether
 * it is what the headers promised. */
#ifndef BUCKETD_INTAKE_H
#define BUCKETD_INTAKE_H

#include "tests/bucketd/request.h"

/* Reads the headers about the body; *ret_intake stays NULL when the operation takes none. */
enum s3_error intake_begin(struct request *req, struct intake **ret_intake);
void intake_free(struct intake *intake);
enum s3_error intake_feed(struct intake *intake, const char *data, size_t len);
/* Verifies length, signature hash, Content-MD5 and checksum. */
enum s3_error intake_end(struct intake *intake);
uint64_t intake_size(const struct intake *intake);

/* After intake_end(): */
/* The bytes, NULL when they are thrown away; the reference goes to the caller. */
struct body *intake_take_body(struct intake *intake);
/* The bytes of a small document. */
struct span intake_text(const struct intake *intake);
void intake_etag(const struct intake *intake, char *out); /* STORE_ETAG_MAX bytes */
/* The checksum that came and was verified; alg none otherwise. */
struct checksum intake_checksum(const struct intake *intake);
bool intake_has_digest(const struct intake *intake); /* Content-MD5 or x-amz-checksum-* came */

#endif
