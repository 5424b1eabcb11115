#include "tests/bucketd/xml.h"

#include <expat.h>

#define MAX_DEPTH  8
#define MAX_LEAVES 40000 /* S3: 10,000 parts with up to 3 elements each */

void xml_text(struct buf *out, struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        switch (c) {
        case '<':
            buf_str(out, "&lt;");
            break;
        case '>':
            buf_str(out, "&gt;");
            break;
        case '&':
            buf_str(out, "&amp;");
            break;
        case '"':
            buf_str(out, "&quot;");
            break;
        default:
            if ((unsigned char)c < 0x20) {
                buf_printf(out, "&#x%X;", (unsigned)c);
            } else {
                buf_char(out, c);
            }
        }
    }
}

void xml_element(struct buf *out, const char *name, struct span text)
{
    buf_char(out, '<');
    buf_str(out, name);
    buf_char(out, '>');
    xml_text(out, text);
    buf_str(out, "</");
    buf_str(out, name);
    buf_char(out, '>');
}

void xml_number(struct buf *out, const char *name, unsigned long long number)
{
    buf_printf(out, "<%s>%llu</%s>", name, number, name);
}

struct reader {
    struct arena *arena;
    XML_Parser parser;
    struct xml_leaves *leaves;
    size_t cap;
    const char *root;
    struct buf text;
    unsigned serials[MAX_DEPTH];
    unsigned next_serial;
    size_t depth;
    bool has_child;
    bool is_bad;
};

static const char *local_name(const char *name)
{
    const char *colon = strrchr(name, ':');
    return colon != NULL ? colon + 1 : name;
}

static void refuse(struct reader *r)
{
    r->is_bad = true;
    XML_StopParser(r->parser, XML_FALSE);
}

static void on_start(void *data, const char *name, const char **attributes)
{
    struct reader *r = data;
    (void)attributes;
    if (r->depth == MAX_DEPTH || (r->depth == 0 && strcmp(local_name(name), r->root) != 0)) {
        refuse(r);
        return;
    }
    r->serials[r->depth++] = ++r->next_serial;
    r->has_child = false;
    buf_reset(&r->text);
}

static void on_text(void *data, const char *text, int len)
{
    struct reader *r = data;
    buf_append(&r->text, text, (size_t)len);
}

static void on_end(void *data, const char *name)
{
    struct reader *r = data;
    r->depth--;
    if (!r->has_child && r->depth > 0) {
        if (r->leaves->count == r->cap) {
            refuse(r);
            return;
        }
        r->leaves->items[r->leaves->count++] = (struct xml_leaf){
            .parent = r->serials[r->depth - 1],
            .name = arena_strdup(r->arena, local_name(name)),
            .text = arena_span(r->arena, span_of(buf_cstr(&r->text), r->text.len)),
        };
    }
    r->has_child = true;
}

static void on_doctype(void *data, const char *name, const char *system_id, const char *public_id,
                       int has_subset)
{
    (void)name;
    (void)system_id;
    (void)public_id;
    (void)has_subset;
    refuse(data);
}

/* An upper bound of the number of elements. */
static size_t count_elements(struct span text)
{
    size_t count = 1;
    for (size_t i = 0; i < text.len; i++) {
        count += text.ptr[i] == '<';
    }
    return count < MAX_LEAVES ? count : MAX_LEAVES;
}

bool xml_parse(struct arena *a, struct span text, const char *root, struct xml_leaves *ret_leaves)
{
    struct reader r = {.arena = a, .leaves = ret_leaves, .root = root};
    r.cap = count_elements(text);
    *ret_leaves = (struct xml_leaves){.items = arena_alloc(a, r.cap * sizeof(struct xml_leaf))};
    r.parser = XML_ParserCreate(NULL);
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, on_start, on_end);
    XML_SetCharacterDataHandler(r.parser, on_text);
    XML_SetStartDoctypeDeclHandler(r.parser, on_doctype);
    bool is_good = XML_Parse(r.parser, text.ptr, (int)text.len, XML_TRUE) == XML_STATUS_OK;
    XML_ParserFree(r.parser);
    buf_done(&r.text);
    return is_good && !r.is_bad;
}
