#include "daemon/conf/doc.h"

#include <jansson.h>

static int walk(json_t *value, unsigned depth, struct arena *a, struct doc *ret, struct fail *f);

static int read_map(json_t *object, unsigned depth, struct arena *a, struct doc *ret,
                    struct fail *f)
{
    ret->kind = DOC_MAP;
    ret->items = arena_alloc(a, (json_object_size(object) + 1) * sizeof(*ret->items));
    int r = 0;
    for (void *at = json_object_iter(object); at != NULL && r == 0;
         at = json_object_iter_next(object, at)) {
        struct doc *item = &ret->items[ret->count++];
        r = walk(json_object_iter_value(at), depth + 1, a, item, f);
        item->name = arena_span(a, span_str(json_object_iter_key(at)));
    }
    return r;
}

static int read_list(json_t *value, unsigned depth, struct arena *a, struct doc *ret,
                     struct fail *f)
{
    size_t n = json_array_size(value);
    int r = 0;
    ret->kind = DOC_LIST;
    ret->items = arena_alloc(a, (n + 1) * sizeof(*ret->items));
    for (; ret->count < n && r == 0; ret->count++) {
        r = walk(json_array_get(value, ret->count), depth + 1, a, &ret->items[ret->count], f);
    }
    return r;
}

static struct span number_text(const json_t *value, struct arena *a)
{
    const char *text = json_is_integer(value)
                           ? arena_printf(a, "%lld", (long long)json_integer_value(value))
                           : arena_printf(a, "%.17g", json_real_value(value));
    return span_str(text);
}

static int walk(json_t *value, unsigned depth, struct arena *a, struct doc *ret, struct fail *f)
{
    if (depth > DOC_DEPTH_MAX) {
        return fail_set(f, REPL_EBADINPUT, "the JSON is nested too deeply");
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return read_map(value, depth, a, ret, f);
    case JSON_ARRAY:
        return read_list(value, depth, a, ret, f);
    case JSON_STRING:
        ret->kind = DOC_TEXT;
        ret->text = arena_span(a, span_of(json_string_value(value), json_string_length(value)));
        return 0;
    case JSON_INTEGER:
    case JSON_REAL:
        ret->kind = DOC_TEXT;
        ret->text = number_text(value, a);
        return 0;
    case JSON_TRUE:
    case JSON_FALSE:
        ret->kind = DOC_BOOL;
        ret->text = span_str(json_is_true(value) ? "true" : "false");
        return 0;
    case JSON_NULL:
        break;
    }
    ret->kind = DOC_NULL;
    return 0;
}

int doc_from_json(struct span text, struct arena *a, struct doc *ret, struct fail *f)
{
    json_error_t error;
    json_t *root =
        json_loadb(text.ptr != NULL ? text.ptr : "", text.len, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        return fail_set(f, REPL_EBADINPUT, "not JSON: %.120s (line %d, column %d)", error.text,
                        error.line, error.column);
    }
    memset(ret, 0, sizeof(*ret));
    int r = walk(root, 0, a, ret, f);
    json_decref(root);
    return r;
}
