/* text: figures as people read them. */
#ifndef REPL_CLI_TEXT_H
#define REPL_CLI_TEXT_H

#include "daemon/base/buf.h"

void text_bytes(unsigned long long bytes, struct buf *to); /* "1.4 GiB" */
void text_duration(long long ms, struct buf *to);          /* "850 ms", "12 s", "3 min 20 s" */
void text_count(unsigned long long n, struct buf *to);     /* "1,234,567" */
/* "600", "10min", "1h30min": seconds without a unit. */
int text_parse_timeout(const char *text, uint64_t *ret_ms);

#endif
