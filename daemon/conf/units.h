/* units: sizes and durations as operators write them, and back. Pure. */
#ifndef REPL_CONF_UNITS_H
#define REPL_CONF_UNITS_H

#include "daemon/base/buf.h"

#include <stdbool.h>

/* The shortest exact form: "64MiB", "10min", "1500ms"; what conf_parse_*() reads back. */
void units_print_bytes(uint64_t bytes, struct buf *to);
/* "200mbit" or "200mbit/s", "25MB/s": bytes a second; false when it is neither. */
bool units_parse_rate(struct span text, uint64_t *ret);
void units_print_duration(uint64_t ms, struct buf *to);

#endif
