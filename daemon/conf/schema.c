#include "daemon/conf/schema.h"

#include "daemon/base/near.h"
#include "daemon/conf/conf.h"
#include "daemon/conf/units.h"

#include <stdarg.h>
#include <stdio.h>

#define AT(base, offset) ((void *)((char *)(base) + (offset)))

int schema_refuse(const struct schema_reader *r, const struct doc *node, const char *format, ...)
{
    char sentence[sizeof(r->f->text)];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof(sentence), format, args);
    va_end(args);
    if (r->file == NULL) {
        return fail_set(r->f, REPL_EBADINPUT, "%s", sentence);
    }
    if (node == NULL || node->line == 0) {
        return fail_set(r->f, REPL_EBADINPUT, "%s: %s", r->file, sentence);
    }
    return fail_set(r->f, REPL_EBADINPUT, "%s:%u: %s", r->file, node->line, sentence);
}

const char *schema_nearest(const struct schema_key *keys, const char *name)
{
    struct near near;
    near_start(&near, name, strlen(name) / 3 + 1);
    for (const struct schema_key *k = keys; k->name != NULL; k++) {
        near_offer(&near, k->name);
    }
    return near.best;
}

static const struct schema_key *find_key(const struct schema_key *keys, struct span name)
{
    for (const struct schema_key *k = keys; k->name != NULL; k++) {
        if (span_eq_str(name, k->name)) {
            return k;
        }
    }
    return NULL;
}

static int unknown_key(const struct schema_reader *r, const struct schema_key *keys,
                       const struct doc *node)
{
    schema_refuse(r, node, "unknown key \"%.60s\"", node->name.ptr);
    const char *nearest = schema_nearest(keys, node->name.ptr);
    if (nearest != NULL) {
        fail_hint(r->f, "did you mean \"%s\"?", nearest);
        return REPL_EBADINPUT;
    }
    char known[sizeof(r->f->hint)] = "known here:";
    for (const struct schema_key *k = keys; k->name != NULL; k++) {
        size_t len = strlen(known);
        snprintf(known + len, sizeof(known) - len, "%s %s", k == keys ? "" : ",", k->name);
    }
    fail_hint(r->f, "%s", known);
    return REPL_EBADINPUT;
}

static void word_list(const char *const *words, char *to, size_t size)
{
    to[0] = '\0';
    for (size_t i = 0; words[i] != NULL; i++) {
        size_t len = strlen(to);
        snprintf(to + len, size - len, "%s%s", i == 0 ? "" : ", ", words[i]);
    }
}

static int read_word(const struct schema_reader *r, const struct schema_key *k,
                     const struct doc *node, unsigned *ret)
{
    for (unsigned i = 0; k->words[i] != NULL; i++) {
        if (span_eq_str(node->text, k->words[i])) {
            *ret = i;
            return 0;
        }
    }
    char words[100];
    word_list(k->words, words, sizeof(words));
    schema_refuse(r, node, "%s: \"%.60s\" is not known", k->name, node->text.ptr);
    fail_hint(r->f, "one of: %s", words);
    return REPL_EBADINPUT;
}

/* A value as errors name it. */
static const char *shown(const struct schema_key *k, const char *text, char to[84])
{
    if (k->hidden) {
        return "the value";
    }
    snprintf(to, 84, "\"%.80s\"", text);
    return to;
}

static int read_bool(const struct schema_reader *r, const struct schema_key *k,
                     const struct doc *node, bool *ret)
{
    char value[84];
    if (node->kind != DOC_BOOL) {
        schema_refuse(r, node, "%s: %s is neither true nor false", k->name,
                      shown(k, node->text.ptr, value));
        fail_hint(r->f, "write true or false, without quotes");
        return REPL_EBADINPUT;
    }
    *ret = span_eq_str(node->text, "true");
    return 0;
}

static void print_limit(enum schema_type type, uint64_t value, struct buf *to)
{
    if (type == SCHEMA_BYTES) {
        units_print_bytes(value, to);
    } else if (type == SCHEMA_COUNT) {
        buf_printf(to, "%llu", (unsigned long long)value);
    } else {
        units_print_duration(value, to);
    }
}

static int check_range(const struct schema_reader *r, const struct schema_key *k,
                       const struct doc *node, uint64_t value)
{
    bool low = value < k->min;
    if (!low && (k->max == 0 || value <= k->max)) {
        return 0;
    }
    struct buf limit = {0};
    print_limit(k->type, low ? k->min : k->max, &limit);
    int code = schema_refuse(r, node, "%s: %.60s is %s the %s, %s", k->name, node->text.ptr,
                             low ? "below" : "above", low ? "least" : "most", buf_cstr(&limit));
    buf_done(&limit);
    return code;
}

static int read_number(const struct schema_reader *r, const struct schema_key *k,
                       const struct doc *node, uint64_t *ret)
{
    struct fail inner = {0};
    unsigned long long plain = 0;
    int status = 0;
    if (k->type == SCHEMA_BYTES) {
        status = conf_parse_bytes(node->text, ret, &inner);
    } else if (k->type != SCHEMA_COUNT) {
        status = conf_parse_duration(node->text, ret, &inner);
    } else if (span_to_u64(node->text, &plain) == 0) {
        *ret = plain;
    } else {
        status =
            fail_set(&inner, REPL_EBADINPUT, "\"%.40s\" is not a whole number", node->text.ptr);
    }
    if (status == 0) {
        return check_range(r, k, node, *ret);
    }
    schema_refuse(r, node, "%s: %s", k->name, inner.text);
    if (inner.hint[0] != '\0') {
        fail_hint(r->f, "%s", inner.hint);
    }
    return REPL_EBADINPUT;
}

static int check_text(const struct schema_reader *r, const struct schema_key *k,
                      const struct doc *node, const char *text)
{
    char value[84];
    const char *must = k->check != NULL ? k->check(text) : NULL;
    if (must == NULL) {
        return 0;
    }
    return schema_refuse(r, node, "%s: %s %s", k->name, shown(k, text, value), must);
}

static int read_texts(const struct schema_reader *r, const struct schema_key *k,
                      const struct doc *node, void *target)
{
    const char **texts = arena_alloc(r->a, (node->count + 1) * sizeof(*texts));
    if (k->max != 0 && node->count > k->max) {
        return schema_refuse(r, node, "%s: more than %llu", k->name, (unsigned long long)k->max);
    }
    if (node->count < k->min) {
        schema_refuse(r, node, "%s: an empty list would say nothing", k->name);
        fail_hint(r->f, "name some, or leave %s out for what holds without it", k->name);
        return REPL_EBADINPUT;
    }
    for (size_t i = 0; i < node->count; i++) {
        const struct doc *item = &node->items[i];
        if (item->kind != DOC_TEXT && item->kind != DOC_BOOL) {
            return schema_refuse(r, item->line != 0 ? item : node, "%s: an item is not a text",
                                 k->name);
        }
        texts[i] = item->text.ptr;
        int status = check_text(r, k, item->line != 0 ? item : node, texts[i]);
        if (status != 0) {
            return status;
        }
    }
    *(const char ***)AT(target, k->offset) = texts;
    *(size_t *)AT(target, k->count_offset) = node->count;
    return 0;
}

static int read_table(const struct schema_reader *r, const struct schema_key *k,
                      const struct doc *node, void *target)
{
    char *entries = arena_alloc(r->a, (node->count + 1) * k->entry_size);
    for (size_t i = 0; i < node->count; i++) {
        const struct doc *item = &node->items[i];
        char *entry = entries + i * k->entry_size;
        *(const char **)AT(entry, k->name_offset) = item->name.ptr;
        int status = check_text(r, k, item, item->name.ptr);
        if (status == 0 && item->kind != DOC_MAP && item->kind != DOC_NULL) {
            status = schema_refuse(r, item, "%s: \"%s\" must hold keys", k->name, item->name.ptr);
        }
        if (status == 0) {
            status = schema_read(r, k->keys, item, entry);
        }
        if (status != 0) {
            return status;
        }
    }
    *(char **)AT(target, k->offset) = entries;
    *(size_t *)AT(target, k->count_offset) = node->count;
    return 0;
}

static int read_keys(const struct schema_reader *r, const struct schema_key *keys,
                     const struct doc *doc, void *target);

static int read_parsed(const struct schema_reader *r, const struct schema_key *k,
                       const struct doc *node, void *to)
{
    struct fail inner = {0};
    if (k->parse(node->text, r->a, to, &inner) == 0) {
        return 0;
    }
    schema_refuse(r, node, "%s: %s", k->name, inner.text);
    if (inner.hint[0] != '\0') {
        fail_hint(r->f, "%s", inner.hint);
    }
    return REPL_EBADINPUT;
}

static int read_numeric(const struct schema_reader *r, const struct schema_key *k,
                        const struct doc *node, void *to)
{
    uint64_t value = 0;
    int status = read_number(r, k, node, &value);
    if (status != 0) {
        return status;
    }
    if (k->type == SCHEMA_COUNT || k->type == SCHEMA_DURATION32) {
        if (value > UINT32_MAX) {
            return schema_refuse(r, node, "%s: %.60s is too large", k->name, node->text.ptr);
        }
        *(uint32_t *)to = (uint32_t)value;
    } else {
        *(uint64_t *)to = value;
    }
    return 0;
}

static int read_chosen(const struct schema_reader *r, const struct schema_key *k,
                       const struct doc *node, void *to)
{
    unsigned index = 0;
    int status = read_word(r, k, node, &index);
    if (status != 0) {
        return status;
    }
    if (k->type == SCHEMA_WORD) {
        *(const char **)to = k->words[index];
    } else if (k->type == SCHEMA_SWITCH) {
        *(bool *)to = index == 1;
    } else {
        *(unsigned *)to = index;
    }
    return 0;
}

static int read_scalar(const struct schema_reader *r, const struct schema_key *k,
                       const struct doc *node, void *to)
{
    bool truth = false;
    int status = 0;
    switch (k->type) {
    case SCHEMA_TEXT:
        *(const char **)to = node->text.ptr;
        return check_text(r, k, node, node->text.ptr);
    case SCHEMA_WORD:
    case SCHEMA_CHOICE:
    case SCHEMA_SWITCH:
        return read_chosen(r, k, node, to);
    case SCHEMA_BOOL:
    case SCHEMA_BOOL_NOT:
        status = read_bool(r, k, node, &truth);
        *(bool *)to = status == 0 ? truth != (k->type == SCHEMA_BOOL_NOT) : *(bool *)to;
        return status;
    case SCHEMA_PARSED:
        return read_parsed(r, k, node, to);
    default:
        return read_numeric(r, k, node, to);
    }
}

static const char *wanted(enum schema_type type)
{
    switch (type) {
    case SCHEMA_TEXTS:
        return "a list of texts";
    case SCHEMA_GROUP:
    case SCHEMA_TABLE:
        return "keys of its own, indented below it";
    default:
        return "a single value";
    }
}

static int check_shape(const struct schema_reader *r, const struct schema_key *k,
                       const struct doc *node)
{
    enum doc_kind kind = node->kind;
    bool good = kind == DOC_TEXT || kind == DOC_BOOL;
    if (k->type == SCHEMA_TEXTS) {
        good = kind == DOC_LIST;
    } else if (k->type == SCHEMA_GROUP || k->type == SCHEMA_TABLE) {
        good = kind == DOC_MAP;
    }
    return good ? 0 : schema_refuse(r, node, "%s: wants %s", k->name, wanted(k->type));
}

static int read_key(const struct schema_reader *r, const struct schema_key *k,
                    const struct doc *node, void *target)
{
    int status = check_shape(r, k, node);
    if (status != 0) {
        return status;
    }
    switch (k->type) {
    case SCHEMA_TEXTS:
        return read_texts(r, k, node, target);
    case SCHEMA_GROUP:
        return read_keys(r, k->keys, node, target);
    case SCHEMA_TABLE:
        return read_table(r, k, node, target);
    default:
        return read_scalar(r, k, node, AT(target, k->offset));
    }
}

static int check_required(const struct schema_reader *r, const struct schema_key *keys,
                          const struct doc *doc)
{
    for (const struct schema_key *k = keys; k->name != NULL; k++) {
        const struct doc *node = doc_get(doc, k->name);
        if (k->required && (node == NULL || node->kind == DOC_NULL)) {
            return doc->name.ptr != NULL
                       ? schema_refuse(r, doc, "\"%.60s\" has no \"%s\"", doc->name.ptr, k->name)
                       : schema_refuse(r, doc, "\"%s\" is missing", k->name);
        }
    }
    return 0;
}

static int read_keys(const struct schema_reader *r, const struct schema_key *keys,
                     const struct doc *doc, void *target)
{
    for (size_t i = 0; i < doc->count; i++) {
        const struct doc *node = &doc->items[i];
        const struct schema_key *k = find_key(keys, node->name);
        if (k == NULL) {
            return unknown_key(r, keys, node);
        }
        int status = node->kind == DOC_NULL ? 0 : read_key(r, k, node, target);
        if (status != 0) {
            return status;
        }
    }
    return check_required(r, keys, doc);
}

static void read_presets(const struct schema_reader *r, const struct schema_key *keys, void *target)
{
    for (const struct schema_key *k = keys; k->name != NULL; k++) {
        if (k->type == SCHEMA_GROUP) {
            read_presets(r, k->keys, target);
        } else if (k->preset != NULL) {
            bool truth = k->type == SCHEMA_BOOL || k->type == SCHEMA_BOOL_NOT;
            struct doc preset = {.kind = truth ? DOC_BOOL : DOC_TEXT, .text = span_str(k->preset)};
            read_scalar(r, k, &preset, AT(target, k->offset));
        }
    }
}

int schema_read(const struct schema_reader *r, const struct schema_key *keys, const struct doc *doc,
                void *target)
{
    read_presets(r, keys, target);
    if (doc->kind != DOC_MAP && doc->kind != DOC_NULL) {
        return schema_refuse(r, doc, "wants keys with values");
    }
    return read_keys(r, keys, doc, target);
}

void schema_files(const struct schema_key *keys, const struct doc *doc, schema_file_fn *each,
                  void *arg)
{
    for (size_t i = 0; i < doc->count; i++) {
        const struct doc *node = &doc->items[i];
        const struct schema_key *k = find_key(keys, node->name);
        if (k->type == SCHEMA_GROUP) {
            schema_files(k->keys, node, each, arg);
        } else if (k->type == SCHEMA_TABLE) {
            for (size_t n = 0; n < node->count; n++) {
                schema_files(k->keys, &node->items[n], each, arg);
            }
        } else if (k->file != SCHEMA_FILE_NONE && node->kind == DOC_TEXT) {
            each(arg, k, doc, node);
        }
    }
}
