#include "journal/group.h"

static void fail_group(struct list *group, const char *doing)
{
    LIST_FOR (node, group) {
        struct journal_call *c = CONTAINER_OF(node, struct journal_call, link);
        c->status = REPL_EJOURNAL;
        fail_set(&c->fail, REPL_EJOURNAL, "the journal could not be written (%s)", doing);
        fail_hint(&c->fail, "look for a full or failing disk under the journal");
    }
}

static void run_call(struct backend *b, struct journal_call *c)
{
    fail_clear(&c->fail);
    c->status = c->run(b, c);
    if (c->status < 0 && c->fail.code == 0) {
        fail_set(&c->fail, c->status, "%s", fail_text(c->status));
    }
}

/* False: the call could not be kept apart from the others, the transaction is lost. */
static bool run_one_of_many(struct backend *b, struct journal_call *c)
{
    if (c->fails_with_group) {
        run_call(b, c);
        return c->status >= 0;
    }
    if (b->ops->save(b) < 0) {
        return false;
    }
    run_call(b, c);
    return (c->status < 0 ? b->ops->rollback_to(b) : b->ops->release(b)) == 0;
}

static void run_many(struct backend *b, struct list *group)
{
    bool good = true;
    for (struct list *node = group->next; good && node != group; node = node->next) {
        good = run_one_of_many(b, CONTAINER_OF(node, struct journal_call, link));
    }
    if (!good || b->ops->commit(b) < 0) {
        b->ops->rollback(b);
        fail_group(group, good ? "commit" : "write");
    }
}

static void run_alone(struct backend *b, struct list *group)
{
    struct journal_call *c = CONTAINER_OF(group->next, struct journal_call, link);
    run_call(b, c);
    if (c->status < 0) {
        b->ops->rollback(b);
    } else if (b->ops->commit(b) < 0) {
        b->ops->rollback(b);
        fail_group(group, "commit");
    }
}

void group_write(struct backend *b, struct list *group)
{
    if (b->ops->begin(b) < 0) {
        fail_group(group, "begin");
    } else if (group->next->next == group) {
        run_alone(b, group);
    } else {
        run_many(b, group);
    }
}

void group_read(struct backend *b, struct list *group)
{
    LIST_FOR (node, group) {
        struct journal_call *c = CONTAINER_OF(node, struct journal_call, link);
        if (b->ops->begin(b) < 0) {
            c->status = fail_set(&c->fail, REPL_EJOURNAL, "the journal could not be read");
            continue;
        }
        run_call(b, c);
        b->ops->rollback(b);
    }
}
