#include "daemon/conf/schema.h"
#include "daemon/conf/units.h"

#define AT(base, offset) ((const void *)((const char *)(base) + (offset)))

void schema_quote(struct span text, struct buf *to)
{
    buf_char(to, '"');
    for (struct span rest = text; rest.len > 0;) {
        size_t n = span_utf8(rest);
        char c = rest.ptr[0];
        if (n == 0) {
            buf_str(to, "\\ufffd");
            n = 1;
        } else if (n == 1 && ((unsigned char)c < 0x20 || c == 0x7f)) {
            buf_printf(to, "\\u%04x", (unsigned)(unsigned char)c);
        } else {
            if (c == '"' || c == '\\') {
                buf_char(to, '\\');
            }
            buf_append(to, rest.ptr, n);
        }
        rest = span_skip(rest, n);
    }
    buf_char(to, '"');
}

static void print_text(const char *text, struct buf *to)
{
    if (text == NULL) {
        buf_str(to, "null");
    } else {
        schema_quote(span_str(text), to);
    }
}

static void print_texts(const struct schema_key *k, const void *source, struct buf *to)
{
    const char *const *texts = *(const char *const *const *)AT(source, k->offset);
    size_t count = *(const size_t *)AT(source, k->count_offset);
    if (count < k->min) {
        buf_str(to, "null");
        return;
    }
    buf_char(to, '[');
    for (size_t i = 0; i < count; i++) {
        buf_str(to, i == 0 ? "" : ", ");
        print_text(texts[i], to);
    }
    buf_char(to, ']');
}

static void print_number(const struct schema_key *k, const void *from, struct buf *text)
{
    switch (k->type) {
    case SCHEMA_COUNT:
        buf_printf(text, "%u", *(const uint32_t *)from);
        break;
    case SCHEMA_BYTES:
        units_print_bytes(*(const uint64_t *)from, text);
        break;
    case SCHEMA_DURATION:
        units_print_duration(*(const uint64_t *)from, text);
        break;
    case SCHEMA_DURATION32:
        units_print_duration(*(const uint32_t *)from, text);
        break;
    default:
        k->format(from, text);
        break;
    }
}

static void print_scalar(const struct schema_key *k, const void *source, struct buf *to)
{
    const void *from = AT(source, k->offset);
    struct buf text = {0};
    switch (k->type) {
    case SCHEMA_TEXT:
    case SCHEMA_WORD:
        print_text(*(const char *const *)from, to);
        return;
    case SCHEMA_CHOICE:
        print_text(k->words[*(const unsigned *)from], to);
        return;
    case SCHEMA_SWITCH:
        print_text(k->words[*(const bool *)from ? 1 : 0], to);
        return;
    case SCHEMA_BOOL:
    case SCHEMA_BOOL_NOT:
        buf_str(to, *(const bool *)from != (k->type == SCHEMA_BOOL_NOT) ? "true" : "false");
        return;
    case SCHEMA_TEXTS:
        print_texts(k, source, to);
        return;
    default:
        print_number(k, from, &text);
        break;
    }
    if (k->type == SCHEMA_COUNT) {
        buf_span(to, buf_view(&text));
    } else {
        print_text(buf_cstr(&text), to);
    }
    buf_done(&text);
}

static void print_table(const struct schema_key *k, const void *source, unsigned indent,
                        struct buf *to)
{
    const char *entries = *(const char *const *)AT(source, k->offset);
    size_t count = *(const size_t *)AT(source, k->count_offset);
    buf_printf(to, "%*s%s:%s\n", (int)indent, "", k->name, count == 0 ? " {}" : "");
    for (size_t i = 0; i < count; i++) {
        const char *entry = entries + i * k->entry_size;
        buf_printf(to, "%*s", (int)indent + 2, "");
        print_text(*(const char *const *)AT(entry, k->name_offset), to);
        buf_str(to, ":\n");
        schema_print_yaml(k->keys, entry, indent + 4, to);
    }
}

void schema_print_yaml(const struct schema_key *keys, const void *source, unsigned indent,
                       struct buf *to)
{
    for (const struct schema_key *k = keys; k->name != NULL; k++) {
        if (k->type == SCHEMA_TABLE) {
            print_table(k, source, indent, to);
            continue;
        }
        buf_printf(to, "%*s%s:", (int)indent, "", k->name);
        if (k->type == SCHEMA_GROUP) {
            buf_char(to, '\n');
            schema_print_yaml(k->keys, source, indent + 2, to);
            continue;
        }
        buf_char(to, ' ');
        print_scalar(k, source, to);
        buf_char(to, '\n');
    }
}

/* For flat tables: rules have neither groups nor tables. */
void schema_print_json(const struct schema_key *keys, const void *source, struct buf *to)
{
    buf_char(to, '{');
    for (const struct schema_key *k = keys; k->name != NULL; k++) {
        buf_printf(to, "%s\"%s\": ", k == keys ? "" : ", ", k->name);
        print_scalar(k, source, to);
    }
    buf_char(to, '}');
}
