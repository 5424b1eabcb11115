/* place: why the file of a journal, or one beside it, cannot be used, in words that say what is the
 * case: a directory stands there, somebody else owns it, its folder is missing. */
#ifndef REPL_JOURNAL_PLACE_H
#define REPL_JOURNAL_PLACE_H

#include "daemon/base/fail.h"

#include <stdint.h>

/* Whether a journal could be opened at `path`, without touching what is there: 0 with *ret_size, or
 * REPL_ENOTFOUND with *f unset when nothing is there. Else an errno value with *f. */
int place_look(const char *path, uint64_t *ret_size, struct fail *f);
/* Of the journal at `path`: opening `name`, which is that file or one beside it, failed with
 * `error` (an errno value above 0). Returns -error. */
int place_fail(const char *path, const char *name, int error, struct fail *f);

#endif
