/* ask: a question to the journal whose answer is one JSON object. run() fills `body` on the
 * reader's thread and may use nothing but the ask and the backend. */
#ifndef REPL_ADMIN_ASK_H
#define REPL_ADMIN_ASK_H

#include "daemon/admin/command.h"
#include "daemon/base/list.h"

struct rule_ref {
    uint32_t number;
    const char *name;
};

struct ask {
    struct later later; /* its arena takes what the question needs */
    struct journal_call call;
    struct buf body;
    struct rule_ref *rules; /* as they are now, for the other thread */
    size_t rule_count;
    void (*finish)(struct ask *q); /* on the loop, before the answer; NULL = nothing to add */
};

/* size: of the struct that begins with a struct ask. */
void *ask_new(struct admin *a, struct httpd_request *r, size_t size);
void ask_submit(struct ask *q, int (*run)(struct backend *b, struct journal_call *call));
/* Name of the rule, "" when it is not among those of the ask. */
const char *ask_rule_name(const struct ask *q, uint32_t number);

#define ASK_OF(call_ptr) CONTAINER_OF(call_ptr, struct ask, call)

#endif
