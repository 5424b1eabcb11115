/* secret: a text that the configuration names the place of and never holds. */
#ifndef REPL_NOTIFY_SECRET_H
#define REPL_NOTIFY_SECRET_H

#include "daemon/base/fail.h"
#include "daemon/conf/conf.h"

#define SECRET_MAX 8192 /* bytes with the NUL */

/* The text at the place that is written, without blanks at its ends; "" where none is written. The
 * caller wipes it. REPL_ECREDENTIALS with the place, never a value. Blocking. */
int secret_load(const struct conf_token *where, char to[SECRET_MAX], struct fail *f);

#endif
