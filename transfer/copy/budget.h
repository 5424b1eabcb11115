/* budget: the memory of part bodies. A ticket reserves bytes before a body is read and is held
 * until the destination has accepted them; its buffer is made at the first use. Who finds no room
 * waits in a queue that is served in order, so that large tickets are not starved by small ones.
 * Buffers do not come from mem.h: large ones are mapped and kept for the next ticket, within the
 * same limit. Loop thread only. */
#ifndef REPL_COPY_BUDGET_H
#define REPL_COPY_BUDGET_H

#include "daemon/base/list.h"

#include <stdint.h>

struct ticket;
/* The ticket that waited is held now; comes inside budget_give() of another one. */
typedef void budget_granted_fn(void *arg, struct ticket *ticket);

struct budget {
    uint64_t limit;   /* bytes */
    uint64_t used;    /* bytes of held tickets, with a buffer or not yet */
    uint64_t buffers; /* bytes of the buffers of tickets; with `pooled` never more than the limit */
    uint64_t pooled;  /* bytes of buffers without a ticket */
    struct list waiters;
    struct list pool; /* newest first */
    budget_granted_fn *granted;
    void *granted_arg;
};

enum ticket_state { TICKET_NONE, TICKET_WAITS, TICKET_HELD };

/* Zeroed = none. Embedded by value in its owner. */
struct ticket {
    enum ticket_state state;
    uint64_t bytes; /* rounded up to pages */
    char *buffer;
    uint64_t buffer_bytes;
    struct list link;
};

void budget_init(struct budget *b, uint64_t limit, budget_granted_fn *granted, void *arg);
/* Every ticket must be given back. */
void budget_done(struct budget *b);
/* True: held. False: it waits its turn. More than the limit never succeeds and is a bug. */
bool budget_take(struct budget *b, struct ticket *t, uint64_t bytes);
/* Gives it back, buffer included, or leaves the queue; nothing for a ticket that is none. */
void budget_give(struct budget *b, struct ticket *t);
/* t->bytes of memory; lives until budget_give(). NULL when the system has none. */
char *budget_buffer(struct budget *b, struct ticket *t);
bool budget_is_short(const struct budget *b); /* somebody waits */

#endif
