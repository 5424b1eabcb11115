/* bucket: tokens that come at a steady rate, for limits on bytes and requests. What is taken at
 * once may exceed what is there: the debt is paid back before anything else is taken, so that the
 * rate holds for pieces of any size. Unused tokens of BUCKET_BURST_MS are kept. Pure: time is an
 * argument, monotonic. */
#ifndef REPL_COPY_BUCKET_H
#define REPL_COPY_BUCKET_H

#include <stdint.h>

#define BUCKET_BURST_MS 100

struct bucket {  /* zeroed: no limit */
    double rate; /* a second; 0 = no limit */
    double level;
    uint64_t at_ms; /* of the level */
};

/* Another rate, 0 = none; a debt stays, and is paid back at the new one. */
void bucket_set(struct bucket *b, double rate, uint64_t now_ms);
/* Until something may be taken; 0 = now. */
uint64_t bucket_wait_ms(const struct bucket *b, uint64_t now_ms);
void bucket_take(struct bucket *b, double amount, uint64_t now_ms);

#endif
