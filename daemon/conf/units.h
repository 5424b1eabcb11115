/* units: sizes and durations as operators write them, and back. Pure. */
#ifndef REPL_CONF_UNITS_H
#define REPL_CONF_UNITS_H

#include "daemon/base/buf.h"

/* The shortest exact form: "64MiB", "10min", "1500ms"; what conf_parse_*() reads back. */
void units_print_bytes(uint64_t bytes, struct buf *to);
void units_print_duration(uint64_t ms, struct buf *to);

#endif
