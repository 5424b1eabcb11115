/* brake: how many deletes a rule may make before an operator is asked, as operators write it:
 *
 *     1000 or 10% in 10min        the first of the two that is passed
 *     200 in 1h
 *     5% in 1d
 *     off
 *
 * The share is of the objects that the rule has at the destination; it says nothing about the first
 * BRAKE_SHARE_LEAST deletes of a window, or a rule with few objects could not delete any. Pure. */
#ifndef REPL_CONF_BRAKE_H
#define REPL_CONF_BRAKE_H

#include "daemon/base/buf.h"
#include "daemon/base/fail.h"
#include "daemon/base/mem.h"

#include <stdbool.h>
#include <stdint.h>

#define BRAKE_SHARE_LEAST 20

struct brake_limit {
    const char *text; /* as it was written; NULL = "off" */
    uint64_t count;   /* 0 = any number */
    unsigned percent; /* 0 = any share */
    uint64_t window_ms;
};

/* The forms that schema tables want: `ret_limit` is a struct brake_limit. REPL_EBADINPUT with a
 * hint. brake_limit_print() writes what the parser reads back the same. */
int brake_limit_parse(struct span text, struct arena *a, void *ret_limit, struct fail *f);
void brake_limit_print(const void *limit, struct buf *to);

/* Whether `deletes` within the window are too many for a rule that had `objects` before them; why
 * goes to `why` when it is not NULL. */
bool brake_limit_is_passed(const struct brake_limit *l, uint64_t deletes, uint64_t objects,
                           struct buf *why);

#endif
