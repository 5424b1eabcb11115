/* conditional: whether a server obeys If-None-Match and If-Match of a PUT, tried with an object of
 * ours: a server that ignores them would let two hosts both believe that they are the only one. */
#ifndef REPL_NOTIFY_CONDITIONAL_H
#define REPL_NOTIFY_CONDITIONAL_H

#include "daemon/base/loop.h"
#include "transfer/store/store.h"

/* Tries (5 or 6 small requests, the trial object is removed again) and sets features.conditional;
 * it stays STORE_CONDITIONAL_UNKNOWN when that was not to be found out now. done(arg) comes once,
 * after the last use of the store; bucket and key live until then. */
struct conditional;
struct conditional *conditional_try(struct store *store, struct span bucket, struct span key,
                                    loop_fn *done, void *arg);
/* done() comes soon. */
void conditional_cancel(struct conditional *c);

#endif
