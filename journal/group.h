/* group: runs calls that wait together. On the executor's thread; sets status and fail of each. */
#ifndef REPL_JOURNAL_GROUP_H
#define REPL_JOURNAL_GROUP_H

#include "journal/journal.h"

/* All in one transaction. A call that fails takes nothing of the others with it, but when the
 * database fails none of them has happened. */
void group_write(struct backend *b, struct list *group);

/* Each call sees a snapshot of its own. */
void group_read(struct backend *b, struct list *group);

#endif
