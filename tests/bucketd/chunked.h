/* chunked: takes the framing of aws-chunked off a payload and checks its signatures. */
#ifndef BUCKETD_CHUNKED_H
#define BUCKETD_CHUNKED_H

#include "tests/bucketd/request.h"

struct chunked;

typedef void (*chunked_data_fn)(void *arg, const char *data, size_t len);

/* The request must be authenticated. NULL when the payload is not aws-chunked. on_data gets the
 * payload without framing. */
struct chunked *chunked_new(struct request *req, chunked_data_fn on_data, void *arg);
void chunked_free(struct chunked *c);
enum s3_error chunked_feed(struct chunked *c, const char *data, size_t len);
/* S3_IncompleteBody unless the last chunk has come whole. */
enum s3_error chunked_end(const struct chunked *c);
/* A trailing x-amz-checksum-* header and its value; absent when there was none. */
struct span chunked_trailer(const struct chunked *c, enum checksum_alg *ret_alg);

#endif
