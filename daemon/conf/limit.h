/* limit: how much may be sent, or asked, in a second, as operators write it:
 *
 *     200mbit                             bits a second: kbit, mbit, gbit
 *     25MB/s                              bytes a second: the units of sizes, and "/s"
 *     500/s                               requests
 *     08:00-20:00 100mbit, 400mbit        a timetable: windows of the day, then what holds outside
 *     20:00-08:00 off, 50mbit             off: no limit; without the last entry there is none
 * either
 *
 * Windows are in the host's local time, may go over midnight and must not overlap. Pure. */
#ifndef REPL_CONF_LIMIT_H
#define REPL_CONF_LIMIT_H

#include "daemon/base/buf.h"
#include "daemon/base/fail.h"
#include "daemon/base/mem.h"

#include <stdbool.h>
#include <stdint.h>

#define LIMIT_ENTRIES_MAX 48

struct limit_entry {
    unsigned from;    /* minute of the day … */
    unsigned to;      /* … and the first one after it; equal: the whole day */
    uint64_t rate;    /* bytes or requests a second; 0 = no limit */
    const char *text; /* the rate as it was written */
};

struct limit {
    const char *text; /* as it was written; NULL = "off" */
    struct limit_entry *entries;
    size_t count;
};

/* The forms that schema tables want; `limit` is a struct limit. REPL_EBADINPUT with a hint; what it
 * points at lives in the arena. limit_print() writes what the parser reads back the same. */
int limit_parse_bandwidth(struct span text, struct arena *a, void *ret_limit, struct fail *f);
int limit_parse_requests(struct span text, struct arena *a, void *ret_limit, struct fail *f);
void limit_print(const void *limit, struct buf *to);
/* What holds in this minute of the day (0 … 1439); NULL = no limit. */
const struct limit_entry *limit_at(const struct limit *l, unsigned minute);

#endif
