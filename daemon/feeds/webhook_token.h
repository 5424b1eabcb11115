/* webhook_token: the secrets that a request must carry, kept as digests and compared in constant
 * time. A token has 16 to 255 characters that a path carries as they are. */
#ifndef REPL_FEEDS_WEBHOOK_TOKEN_H
#define REPL_FEEDS_WEBHOOK_TOKEN_H

#include "daemon/base/fail.h"
#include "daemon/base/span.h"
#include "daemon/conf/conf.h"

#define WEBHOOK_TOKEN_MAX  255
#define WEBHOOK_TOKENS_MAX 4 /* of one source, while one replaces another */

struct webhook_tokens {
    unsigned char digests[WEBHOOK_TOKENS_MAX][32];
    size_t count;
};

/* Reads the place that is written; none: count 0. REPL_ECREDENTIALS with the place and the mend in
 * *f, never a value. Blocking. */
int webhook_tokens_load(const struct conf_token *where, struct webhook_tokens *ret, struct fail *f);
/* The first one as it is written, for a sender that is to be told; "" where none is. The caller
 * wipes it. */
int webhook_token_first(const struct conf_token *where, char to[WEBHOOK_TOKEN_MAX + 1],
                        struct fail *f);
/* Whether it is one of them, in a time that does not tell how nearly. */
bool webhook_tokens_have(const struct webhook_tokens *t, struct span token);
/* Authorization: "Bearer TOKEN", or the token as it is. value NULL: false. */
bool webhook_tokens_have_header(const struct webhook_tokens *t, const char *value);

#endif
