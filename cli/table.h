/* table: aligned columns on standard output. Bytes that a terminal would obey are escaped; what is
 * not on a terminal has neither colours nor padding at line ends. */
#ifndef REPL_CLI_TABLE_H
#define REPL_CLI_TABLE_H

#include "daemon/base/buf.h"

#include <jansson.h>

#define TABLE_COLUMNS_MAX 16
/* Width that one is padded to: the longest name of a rule, and one more. */
#define TABLE_COLUMN_MAX 64

enum table_colour { TABLE_PLAIN, TABLE_RED, TABLE_YELLOW, TABLE_GREEN };

struct table_cell {
    char *text; /* escaped */
    enum table_colour colour;
};

struct table {
    size_t columns;
    size_t count; /* cells, row after row; the first row is the heading */
    size_t capacity;
    struct table_cell *cells;
};

/* headings: NULL-terminated. */
void table_init(struct table *t, const char *const *headings);
void table_done(struct table *t);
void table_cell(struct table *t, enum table_colour colour, const char *text);
/* Of a feed: "up" is green, "starting" yellow, anything else red. */
void table_state(struct table *t, const char *state);
/* Takes the text out of b and resets it. */
void table_buf(struct table *t, enum table_colour colour, struct buf *b);
/* The key in this member of an answer of repld. */
void table_key(struct table *t, const json_t *row, const char *name);
void table_print(const struct table *t, bool colours);
/* The bytes with what is not UTF-8, and what a terminal would obey, as \xNN. */
void table_escape(struct span text, struct buf *to);

#endif
