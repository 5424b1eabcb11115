/* wait: connections that are put to sleep (slow answers, hangs) and the one thread that wakes
 * them. A connection must be suspended only inside its handler. */
#ifndef BUCKETD_WAIT_H
#define BUCKETD_WAIT_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct waits {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    struct wait_entry *first;
    bool is_ending;
};

void waits_init(struct waits *waits);
/* Wakes all and joins the thread; must come before MHD_stop_daemon(). */
void waits_done(struct waits *waits);
/* delay_ms < 0: until waits_wake_all(). The handler is called again afterwards. */
void waits_sleep(struct waits *waits, struct MHD_Connection *connection, int64_t delay_ms);
void waits_wake_all(struct waits *waits);

#endif
