/* levels: `log.levels`, such as "copy=debug,net=info", kept as it is written. A schema's parse()
 * and format(). Pure. */
#ifndef REPL_CONF_LEVELS_H
#define REPL_CONF_LEVELS_H

#include "daemon/base/buf.h"
#include "daemon/base/fail.h"
#include "daemon/base/mem.h"

/* Into *(const char **)to. REPL_EBADINPUT with a hint that lists the subjects or levels. */
int levels_parse(struct span text, struct arena *a, void *to, struct fail *f);
void levels_print(const void *from, struct buf *to);

#endif
