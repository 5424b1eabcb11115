#include "cli/table.h"

#include "daemon/base/mem.h"

#include <stdio.h>

void table_escape(struct span text, struct buf *to)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        /* C1 controls come as 0xc2 0x80 … 0xc2 0x9f in UTF-8. */
        bool c1 = c == 0xc2 && i + 1 < text.len && (unsigned char)text.ptr[i + 1] < 0xa0;
        if (c < 0x20 || c == 0x7f || c1) {
            buf_printf(to, "\\x%02x", c);
        } else {
            buf_char(to, (char)c);
        }
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

/* Characters, counted as UTF-8 starts. */
static size_t width(const char *text)
{
    size_t n = 0;
    for (const char *p = text; *p != '\0'; p++) {
        n += ((unsigned char)*p & 0xc0) != 0x80 ? 1 : 0;
    }
    return n;
}

static void measure(const struct table *t, size_t *widths)
{
    for (size_t i = 0; i < t->count; i++) {
        size_t w = width(t->cells[i].text);
        size_t *column = &widths[i % t->columns];
        *column = w > *column ? w : *column;
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
            printf("%*s", (int)(widths[column] + 2 - width(t->cells[i].text)), "");
        }
    }
}
