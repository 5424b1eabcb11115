/* limit: a bound on bytes or requests a second that the operator sets, by the time of day. A token
 * bucket that goes below zero: what goes at one time may be larger than what is saved up, and what
 * comes next waits for it. Pure: monotonic microseconds and the minute of the day are arguments;
 * whether that is local or UTC, and the text form of a timetable, are the caller's concern. */
#ifndef REPL_NET_LIMIT_H
#define REPL_NET_LIMIT_H

#include <stddef.h>
#include <stdint.h>

#define LIMIT_NONE    UINT64_MAX /* as a rate: no bound */
#define LIMIT_PERIODS 16
/* No wait is longer: the rate may have changed by then. */
#define LIMIT_ASK_US ((uint64_t)1000000)

/* "08:00-20:00 100mbit": from 480 to 1200, 12,500,000. From 1200 to 480 is the night; from and to
 * the same is the whole day. */
struct limit_period {
    uint16_t from_min; /* of the day, 0 … 1439 */
    uint16_t to_min;   /* the first one after it */
    uint64_t rate;     /* bytes or requests a second; 0 = nothing goes */
};

struct limit_table {
    struct limit_period periods[LIMIT_PERIODS]; /* the first one that fits counts */
    size_t count;
    uint64_t rate; /* at other times */
};

struct limit {
    struct limit_table table;
    uint64_t rate; /* as of the last question */
    double tokens;
    uint64_t filled_us;
};

/* table: copied; NULL = LIMIT_NONE at all times. */
void limit_init(struct limit *l, const struct limit_table *table);
/* From now on. What went already stays owed, but for no longer than a second at the new rate. */
void limit_change(struct limit *l, const struct limit_table *table);
uint64_t limit_rate(const struct limit_table *table, unsigned minute);
/* 0: something may go now; else microseconds until it is worth asking again. */
uint64_t limit_wait_us(struct limit *l, uint64_t now_us, unsigned minute);
/* It goes. */
void limit_sent(struct limit *l, uint64_t amount);

#endif
