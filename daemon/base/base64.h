/* base64: RFC 4648, for bytes that JSON cannot hold. */
#ifndef REPL_BASE_BASE64_H
#define REPL_BASE_BASE64_H

#include "daemon/base/buf.h"

void base64_encode(struct span bytes, struct buf *to);
/* REPL_EBADINPUT when it is not base64 with its padding. */
int base64_decode(struct span text, struct buf *to);

#endif
