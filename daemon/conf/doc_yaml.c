#include "daemon/conf/doc.h"

#include <yaml.h>

#define NODES_MAX 100000 /* an alias that repeats itself would grow without end */

struct yaml_walk {
    yaml_document_t *document;
    const char *file;
    struct arena *a;
    struct fail *f;
    unsigned nodes;
};

static int walk(struct yaml_walk *w, yaml_node_t *node, unsigned depth, struct doc *ret);

static unsigned line_of(const yaml_node_t *node)
{
    return (unsigned)node->start_mark.line + 1;
}

static int refuse(struct yaml_walk *w, unsigned line, const char *sentence)
{
    return fail_set(w->f, REPL_EBADINPUT, "%s:%u: %s", w->file, line, sentence);
}

static enum doc_kind plain_kind(struct span text)
{
    if (text.len == 0 || span_eq_str(text, "~") || span_eq_str(text, "null")) {
        return DOC_NULL;
    }
    return span_eq_str(text, "true") || span_eq_str(text, "false") ? DOC_BOOL : DOC_TEXT;
}

static int read_scalar(struct yaml_walk *w, const yaml_node_t *node, struct doc *ret)
{
    struct span text = span_of((const char *)node->data.scalar.value, node->data.scalar.length);
    if (text.len > 0 && memchr(text.ptr, '\0', text.len) != NULL) {
        return refuse(w, line_of(node), "a value holds a NUL byte");
    }
    ret->text = arena_span(w->a, text);
    ret->kind = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? plain_kind(text) : DOC_TEXT;
    return 0;
}

static int read_name(struct yaml_walk *w, const yaml_node_t *key, struct doc *map, struct doc *item)
{
    struct doc name = {0};
    if (key == NULL || key->type != YAML_SCALAR_NODE) {
        return refuse(w, map->line, "a key is not a word");
    }
    int r = read_scalar(w, key, &name);
    if (r != 0) {
        return r;
    }
    if (doc_get(map, name.text.ptr) != NULL) {
        return fail_set(w->f, REPL_EBADINPUT, "%s:%u: \"%.60s\" stands here twice", w->file,
                        line_of(key), name.text.ptr);
    }
    item->name = name.text;
    return 0;
}

static int read_map(struct yaml_walk *w, const yaml_node_t *node, unsigned depth, struct doc *ret)
{
    const yaml_node_pair_t *start = node->data.mapping.pairs.start;
    size_t n = (size_t)(node->data.mapping.pairs.top - start);
    ret->kind = DOC_MAP;
    ret->items = arena_alloc(w->a, (n + 1) * sizeof(*ret->items));
    for (size_t i = 0; i < n; i++) {
        struct doc item = {0};
        const yaml_node_t *key = yaml_document_get_node(w->document, start[i].key);
        int r = read_name(w, key, ret, &item);
        if (r == 0) {
            r = walk(w, yaml_document_get_node(w->document, start[i].value), depth + 1, &item);
        }
        if (r != 0) {
            return r;
        }
        item.line = line_of(key);
        ret->items[ret->count++] = item;
    }
    return 0;
}

static int read_list(struct yaml_walk *w, const yaml_node_t *node, unsigned depth, struct doc *ret)
{
    const yaml_node_item_t *start = node->data.sequence.items.start;
    size_t n = (size_t)(node->data.sequence.items.top - start);
    ret->kind = DOC_LIST;
    ret->items = arena_alloc(w->a, (n + 1) * sizeof(*ret->items));
    for (; ret->count < n; ret->count++) {
        yaml_node_t *item = yaml_document_get_node(w->document, start[ret->count]);
        int r = walk(w, item, depth + 1, &ret->items[ret->count]);
        if (r != 0) {
            return r;
        }
    }
    return 0;
}

static int walk(struct yaml_walk *w, yaml_node_t *node, unsigned depth, struct doc *ret)
{
    if (node == NULL) {
        ret->kind = DOC_NULL;
        return 0;
    }
    ret->line = line_of(node);
    if (depth > DOC_DEPTH_MAX || ++w->nodes > NODES_MAX) {
        return refuse(w, ret->line, "nested too deeply or too large");
    }
    switch (node->type) {
    case YAML_SCALAR_NODE:
        return read_scalar(w, node, ret);
    case YAML_MAPPING_NODE:
        return read_map(w, node, depth, ret);
    case YAML_SEQUENCE_NODE:
        return read_list(w, node, depth, ret);
    case YAML_NO_NODE:
        break;
    }
    return refuse(w, ret->line, "cannot be read");
}

static int parser_failed(const yaml_parser_t *parser, const char *file, struct fail *f)
{
    fail_set(f, REPL_EBADINPUT, "%s:%u: not YAML: %s%s%s", file,
             (unsigned)parser->problem_mark.line + 1,
             parser->problem != NULL ? parser->problem : "cannot be read",
             parser->context != NULL ? ", " : "", parser->context != NULL ? parser->context : "");
    fail_hint(f, "check indentation, colons and quotes on this line and the one before");
    return REPL_EBADINPUT;
}

static int read_document(yaml_parser_t *parser, const char *file, struct arena *a, struct doc *ret,
                         struct fail *f)
{
    yaml_document_t document;
    if (!yaml_parser_load(parser, &document)) {
        return parser_failed(parser, file, f);
    }
    struct yaml_walk w = {.document = &document, .file = file, .a = a, .f = f};
    yaml_node_t *root = yaml_document_get_root_node(&document);
    int r = walk(&w, root, 0, ret);
    yaml_document_delete(&document);
    return r;
}

static int refuse_second(yaml_parser_t *parser, const char *file, struct fail *f)
{
    yaml_document_t document;
    if (!yaml_parser_load(parser, &document)) {
        return parser_failed(parser, file, f);
    }
    const yaml_node_t *root = yaml_document_get_root_node(&document);
    int r = root == NULL ? 0
                         : fail_set(f, REPL_EBADINPUT, "%s:%u: a second document begins here", file,
                                    line_of(root));
    yaml_document_delete(&document);
    return r;
}

int doc_from_yaml(struct span text, const char *file, struct arena *a, struct doc *ret,
                  struct fail *f)
{
    yaml_parser_t parser;
    struct doc root = {0};
    if (!yaml_parser_initialize(&parser)) {
        return fail_set(f, REPL_EINTERNAL, "the YAML parser cannot be made");
    }
    const char *bytes = text.ptr != NULL ? text.ptr : "";
    yaml_parser_set_input_string(&parser, (const unsigned char *)bytes, text.len);
    int r = read_document(&parser, file, a, &root, f);
    if (r == 0 && root.kind != DOC_NULL) {
        r = refuse_second(&parser, file, f);
    }
    yaml_parser_delete(&parser);
    if (r == 0) {
        root.kind = root.kind == DOC_NULL ? DOC_MAP : root.kind;
        *ret = root;
    }
    return r;
}
