/* near: which of some names was meant by one that is none of them. Pure. */
#ifndef REPL_BASE_NEAR_H
#define REPL_BASE_NEAR_H

#include "daemon/base/fail.h"

#include <stddef.h>

#define NEAR_NAME 2 /* letters that may be wrong in a name that people give */

struct near {
    const char *written;
    const char *best; /* of those that were offered; NULL = none is near */
    size_t within;    /* how far the next one may be at most */
};

/* Edit distance of two short words (Levenshtein); 64 where one has 64 bytes or more. */
size_t near_distance(const char *a, const char *b);
/* `within`: letters that may be wrong; always fewer than there are. Views, the caller's. */
void near_start(struct near *n, const char *written, size_t within);
void near_offer(struct near *n, const char *name);
/* Gives a failure the hint `did you mean "NAME"?`, where one was near, and the other. */
void near_hint(const struct near *n, const char *otherwise, struct fail *f);

#endif
