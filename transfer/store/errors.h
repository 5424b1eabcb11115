/* errors: what a server's status and code mean to us. Pure. */
#ifndef REPL_STORE_ERRORS_H
#define REPL_STORE_ERRORS_H

#include "daemon/base/fail.h"
#include "daemon/base/span.h"

/* By the server's code first, by status where it has none. `code` may be "". */
int errors_classify(unsigned status, const char *code);
/* A hint for the operator, or NULL. */
const char *errors_hint(int code, const char *server_code);
/* Retry-After in seconds or as a date, in ms from now_ms; 0 when absent or unreadable, at most
 * 10 minutes. */
int errors_retry_after(struct span value, long long now_ms);

#endif
