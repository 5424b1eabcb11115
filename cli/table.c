#include "cli/table.h"

#include "cli/cli.h"
#include "daemon/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

/* Length of the UTF-8 character at the start, 0 when there is none or a terminal would obey it:
 * U+0080 to U+009F are controls, U+2028 to U+202E and U+2066 to U+2069 turn lines and their order.
 */
static size_t printable(struct span text)
{
    const unsigned char *c = (const unsigned char *)text.ptr;
    size_t len = span_utf8(text);
    bool control = c[0] < 0x20 || c[0] == 0x7f || (len == 2 && c[0] == 0xc2 && c[1] < 0xa0);
    bool turns = len == 3 && c[0] == 0xe2 &&
                 ((c[1] == 0x80 && c[2] >= 0xa8 && c[2] <= 0xae) ||
                  (c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9));
    return control || turns ? 0 : len;
}

void table_escape(struct span text, struct buf *to)
{
    while (text.len > 0) {
        size_t len = printable(text);
        if (len > 0) {
            buf_span(to, span_of(text.ptr, len));
        } else {
            buf_printf(to, "\\x%02x", (unsigned char)text.ptr[0]);
            len = 1;
        }
        text = span_skip(text, len);
    }
}

void table_cell(struct table *t, enum table_colour colour, const char *text)
{
    struct buf escaped = {0};
    table_escape(span_str(text), &escaped);
    if (t->count == t->capacity) {
        t->capacity = t->capacity == 0 ? 64 : t->capacity * 2;
        t->cells = mem_realloc(t->cells, t->capacity * sizeof(*t->cells));
    }
    t->cells[t->count++] = (struct table_cell){.text = buf_take(&escaped), .colour = colour};
}

void table_init(struct table *t, const char *const *headings)
{
    memset(t, 0, sizeof(*t));
    for (; headings[t->columns] != NULL; t->columns++) {
        table_cell(t, TABLE_PLAIN, headings[t->columns]);
    }
}

void table_done(struct table *t)
{
    for (size_t i = 0; i < t->count; i++) {
        mem_free(t->cells[i].text);
    }
    mem_free(t->cells);
    memset(t, 0, sizeof(*t));
}

void table_state(struct table *t, const char *state)
{
    table_cell(t,
               strcmp(state, "up") == 0         ? TABLE_GREEN
               : strcmp(state, "starting") == 0 ? TABLE_YELLOW
                                                : TABLE_RED,
               state);
}

void table_buf(struct table *t, enum table_colour colour, struct buf *b)
{
    table_cell(t, colour, buf_cstr(b));
    buf_reset(b);
}

void table_key(struct table *t, const json_t *row, const char *name)
{
    struct buf key = {0};
    cli_key(row, name, &key);
    table_buf(t, TABLE_PLAIN, &key);
    buf_done(&key);
}

/* Columns of a terminal: a character of Chinese takes two, an accent none. */
static size_t width(const char *text)
{
    size_t n = 0;
    mbstate_t state = {0};
    wchar_t c = 0;
    for (size_t len; (len = mbrtowc(&c, text, MB_CUR_MAX, &state)) != 0; text += len) {
        int columns = len <= MB_CUR_MAX ? wcwidth(c) : -1;
        if (len > MB_CUR_MAX) { /* no character of this locale */
            state = (mbstate_t){0};
            len = 1;
        }
        n += columns >= 0 ? (size_t)columns : 1;
    }
    return n;
}

/* A cell that is wider than a column may be stands out of it, so that one key of 1,024 bytes does
 * not push all other rows apart. */
static void measure(const struct table *t, size_t *widths)
{
    for (size_t i = 0; i < t->count; i++) {
        size_t w = width(t->cells[i].text);
        size_t *column = &widths[i % t->columns];
        *column = w > *column && w <= TABLE_COLUMN_MAX ? w : *column;
    }
}

static void print_cell(const struct table_cell *cell, bool colours)
{
    static const char *const codes[] = {"", "\033[31m", "\033[33m", "\033[32m"};
    bool coloured = colours && cell->colour != TABLE_PLAIN;
    printf("%s%s%s", coloured ? codes[cell->colour] : "", cell->text, coloured ? "\033[0m" : "");
}

void table_print(const struct table *t, bool colours)
{
    size_t widths[TABLE_COLUMNS_MAX] = {0};
    measure(t, widths);
    for (size_t i = 0; i < t->count; i++) {
        size_t column = i % t->columns;
        print_cell(&t->cells[i], colours);
        if (column + 1 == t->columns) {
            putchar('\n');
        } else {
            size_t w = width(t->cells[i].text);
            printf("%*s", w < widths[column] ? (int)(widths[column] - w) + 2 : 2, "");
        }
    }
}
