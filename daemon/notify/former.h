/* former: an object of ours that is written again and again would fill a bucket that keeps
 * versions. The version before is deleted, by its id, as soon as a newer one stands. The one that a
 * life of the daemon leaves behind is not known to the next, and stays. Loop thread. */
#ifndef REPL_NOTIFY_FORMER_H
#define REPL_NOTIFY_FORMER_H

#include "daemon/base/log.h"
#include "daemon/base/loop.h"
#include "transfer/store/store.h"

#define FORMER_ID_MAX 256 /* bytes with the NUL; of a longer id nothing is deleted */

struct former {
    struct log *log;
    const char *bucket;
    const char *key;
    char standing[FORMER_ID_MAX]; /* "" = not known, or the bucket keeps no versions */
    bool is_told;                 /* that deleting fails */

    struct store *store; /* of the DELETE under way; NULL: none */
    struct store_op op;
    struct arena arena;

    struct deferred ended;
    loop_fn *closed;
    void *closed_arg;
};

/* In place; bucket and key live as long as it. */
void former_init(struct former *f, struct loop *loop, struct log *log, const char *bucket,
                 const char *key);
/* A PUT was answered with this version id (absent: none). What stood there before is deleted,
 * unless the DELETE before is still under way: then it stays. */
void former_written(struct former *f, struct store *store, struct span version_id);
/* Ends what is under way; closed(arg) from the loop, after the last use of the store. */
void former_close(struct former *f, loop_fn *closed, void *arg);

#endif
