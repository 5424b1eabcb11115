/* uri: percent-encoding as S3 wants it. */
#ifndef BUCKETD_URI_H
#define BUCKETD_URI_H

#include "daemon/base/buf.h"
#include "daemon/base/mem.h"

/* Decodes into the arena; absent when a % is not followed by two hex digits. */
struct span uri_decode(struct arena *a, struct span text, bool plus_is_space);
/* The encoding of SigV4: everything but A-Za-z0-9-._~ as %XX, '/' as the caller says. */
void uri_encode(struct buf *out, struct span text, bool keep_slash);
/* The encoding of listings (encoding-type=url): '/' and '*' stay, a blank becomes '+'. */
void uri_encode_listing(struct buf *out, struct span text);
/* The value of a hex digit, -1 when it is none. */
int uri_hex_digit(char c);

#endif
