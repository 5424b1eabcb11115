/* firstbyte: how long an answer may take to begin after the last byte was sent. Of uploads to S3
 * one in a thousand takes seconds where the others take a fifth of one; it is cheaper to cancel and
 * send it again, as the AWS Common Runtime does. The limit follows the latencies, and grows when it
 * is met too often: then the server is slow, and repeating makes it slower. Pure. */
#ifndef REPL_NET_FIRSTBYTE_H
#define REPL_NET_FIRSTBYTE_H

#include <stdint.h>

#define FIRSTBYTE_LEARN 256 /* answers that are kept to learn from, at most */

struct firstbyte {
    uint64_t timeout_us; /* 0: none, it is learnt or given up for now */
    double mean_us;      /* of answers in time */
    unsigned needed;     /* answers to learn from */
    unsigned count;      /* kept so far */
    unsigned requests;   /* lately */
    unsigned timeouts;   /* of them */
    uint32_t kept_us[FIRSTBYTE_LEARN];
};

/* lanes: the first answers of fresh connections are not the usual ones; at least so many count. */
void firstbyte_init(struct firstbyte *f, unsigned lanes);
/* An answer began so long after the last byte was sent. */
void firstbyte_came(struct firstbyte *f, uint32_t latency_us, uint32_t rtt_us);
/* None came within the timeout. */
void firstbyte_missed(struct firstbyte *f, uint32_t rtt_us);
/* 0: wait. */
uint64_t firstbyte_timeout_us(const struct firstbyte *f);

#endif
