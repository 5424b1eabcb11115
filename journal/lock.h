/* lock: one program at a time works with a journal. flock(2) on a file beside it, which the kernel
 * gives back when the program ends, however it does; the file itself stays and says who holds it.
 */
#ifndef REPL_JOURNAL_LOCK_H
#define REPL_JOURNAL_LOCK_H

#include "daemon/base/fail.h"

/* Of the journal at `path`. REPL_EOWNED names process and owner of the holder; errno values. */
int lock_take(const char *path, const char *owner, int *ret_fd, struct fail *f);
void lock_drop(int fd);

#endif
