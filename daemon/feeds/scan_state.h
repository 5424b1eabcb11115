/* scan_state: what a scan must remember over a crash: when it began, what it has counted, and the
 * ranges of keys that are not done yet. Printed into the cursor that is stored with every append,
 * and read back. Pure. */
#ifndef REPL_FEEDS_SCAN_STATE_H
#define REPL_FEEDS_SCAN_STATE_H

#include "daemon/base/buf.h"
#include "daemon/base/mem.h"

#include <stdbool.h>
#include <stdint.h>

#define SCAN_PIECES_MAX 64

enum scan_phase {
    SCAN_IDLE,  /* waits for its time */
    SCAN_CLEAR, /* forgets what an earlier pass did not find */
    SCAN_LIST,
    SCAN_GONE, /* listed; what is missing is told, or forgotten where the listing is in doubt */
};

/* X(member): all are uint64_t; times are wall milliseconds, 0 = never. */
#define SCAN_NUMBERS(X)                                                                            \
    X(phase)        /* enum scan_phase */                                                          \
    X(since_ms)     /* what was written before are existing objects: start of the rule */          \
    X(started_ms)   /* of this pass, or of the last one */                                         \
    X(ended_ms)     /* of the last complete one */                                                 \
    X(proven_ms)    /* start of the last complete one that can be believed */                      \
    X(proven_seen)  /* objects that it saw, whether the rule takes them or not */                  \
    X(doubted_seen) /* objects that the pass before this one saw, plus 1, if it is in doubt */     \
    X(is_asked)     /* this pass was asked for by an operator */                                   \
    X(is_whole)     /* it takes existing objects */                                                \
    X(was_whole)    /* a complete one did */                                                       \
    X(is_unordered) /* the server lists in an order of its own */                                  \
    X(seen)                                                                                        \
    X(listed) /* of those: the rule takes them */                                                  \
    X(listed_bytes)                                                                                \
    X(equal) /* of those: need no work */                                                          \
    X(equal_bytes)                                                                                 \
    X(found)   /* handed over */                                                                   \
    X(missing) /* replicas that were not listed */                                                 \
    X(away)    /* replicated, but not at the destination any more */                               \
    X(requests)

/* Those that cursors of the first version do not have. */
#define SCAN_NUMBERS_2(X)                                                                          \
    X(existing_ms)   /* what was written up to then is existing, too: start of the first pass that \
                        takes existing objects, or of the last complete one before the rule began  \
                        to ask for more */                                                         \
    X(covers)        /* mark of the patterns of the pass that began last; 0 = not known */         \
    X(tells_missing) /* that pass notes replicas that are not listed, for deletes */               \
    X(lists_versions) /* that pass lists all versions, which the rule replicates */                \
    X(is_changed)     /* the rule asks for more since that began */                                \
    X(is_fed)         /* the rule has lived by repeated scans */                                   \
    X(left)           /* the rule takes them, but they are older than it: left alone */            \
    X(unlisted)       /* replicas that were not listed, and are at the source nevertheless */      \
    X(offered) /* replicas that were not listed, of which some are asked for (scan_check.c) */

struct scan_state {
#define SCAN_NUMBER(member) uint64_t member;
    SCAN_NUMBERS(SCAN_NUMBER)
    SCAN_NUMBERS_2(SCAN_NUMBER)
#undef SCAN_NUMBER
};

/* Keys of (after, until]; until absent: to the end. */
struct scan_piece {
    struct span after;
    struct span until;
};

void scan_state_print(const struct scan_state *s, const struct scan_piece *pieces, size_t count,
                      struct buf *to);
/* Everything lives in the arena. REPL_EBADINPUT. */
int scan_state_parse(struct span text, struct arena *a, struct scan_state *ret,
                     struct scan_piece **ret_pieces, size_t *ret_count);

/* Puts up to this time are existing objects. */
static inline int64_t scan_existing_until(const struct scan_state *s)
{
    return (int64_t)(s->existing_ms > s->since_ms ? s->existing_ms : s->since_ms);
}

/* A new pass: what was counted of the one before is forgotten. */
void scan_state_begin(struct scan_state *s, int64_t now_ms);
/* Why the listing that has just ended cannot be believed, NULL = it can: it did not show what is at
 * the source (scan_check.c); nothing was listed, or
 * less than half of what there was, and the pass before did not say the same; or it had no order.
 */
const char *scan_state_doubt(const struct scan_state *s);
/* Whether what is missing may be told as deleted: never of an empty listing. */
bool scan_state_may_delete(const struct scan_state *s);
void scan_state_end(struct scan_state *s, int64_t now_ms);

#endif
