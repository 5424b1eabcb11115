/* engine_brake: what a rule knows of its deletes, and who asks. Loop thread. */
#ifndef REPL_CORE_ENGINE_BRAKE_H
#define REPL_CORE_ENGINE_BRAKE_H

#include "journal/backend.h"

struct engine_rule;
struct engine_work;

/* As of the last claim. */
struct engine_brake {
    int64_t since_ms; /* it holds deletes since; 0 = it does not */
    char why[200];
    uint64_t deleted;  /* within the window */
    uint64_t pending;  /* deletes in the journal, those in work included */
    uint64_t replicas; /* of the rule */
    uint64_t turned;   /* puts in work that have become deletes: not in `pending` */
};

/* Whether this delete may go; if not, it is to be held, and so are all after it. */
bool engine_brake_admits(struct engine_work *w);
/* Where the window begins; 0 = the rule has no use for a brake. */
int64_t engine_brake_from_ms(const struct engine_rule *r, int64_t now_ms);
void engine_brake_learn(struct engine_rule *r, const struct brake *now);

#endif
