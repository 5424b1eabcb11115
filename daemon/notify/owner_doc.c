#include "daemon/conf/doc.h"
#include "daemon/conf/schema.h"
#include "daemon/notify/owner.h"

#include <stdio.h>

void owner_doc_print(const struct owner_doc *doc, const char *rule, struct buf *to)
{
    buf_str(to, "{\"rule\": ");
    schema_quote(span_str(rule), to);
    buf_str(to, ", \"instance\": ");
    schema_quote(span_str(doc->instance), to);
    buf_printf(to,
               ", \"id\": \"%s\", \"epoch\": %llu, \"beat\": %llu, \"takeover_ms\": %llu, "
               "\"released\": %s}\n",
               doc->id, (unsigned long long)doc->epoch, (unsigned long long)doc->beat,
               (unsigned long long)doc->takeover_ms, doc->released ? "true" : "false");
}

static bool read_text(const struct doc *root, const char *name, char *to, size_t size)
{
    const struct doc *node = doc_get(root, name);
    if (node == NULL || node->kind != DOC_TEXT || node->text.len == 0 || node->text.len >= size) {
        return false;
    }
    snprintf(to, size, "%.*s", SPAN_ARG(node->text));
    return true;
}

static bool read_number(const struct doc *root, const char *name, uint64_t *ret)
{
    const struct doc *node = doc_get(root, name);
    unsigned long long number;
    if (node == NULL || node->kind != DOC_TEXT || span_to_u64(node->text, &number) != 0) {
        return false;
    }
    *ret = number;
    return true;
}

int owner_doc_parse(struct span text, struct owner_doc *ret, struct fail *f)
{
    struct arena a;
    struct doc root = {0};
    struct owner_doc doc = {0};
    arena_init(&a);
    bool good = doc_from_json(text, &a, &root, f) == 0 && root.kind == DOC_MAP &&
                read_text(&root, "instance", doc.instance, sizeof(doc.instance)) &&
                read_text(&root, "id", doc.id, sizeof(doc.id)) &&
                read_number(&root, "epoch", &doc.epoch) && read_number(&root, "beat", &doc.beat) &&
                read_number(&root, "takeover_ms", &doc.takeover_ms);
    const struct doc *released = good ? doc_get(&root, "released") : NULL;
    doc.released = released != NULL && span_eq_str(released->text, "true");
    arena_done(&a);
    if (!good) {
        return fail_set(f, REPL_EBADINPUT, "the owner's object is none that repld has written");
    }
    *ret = doc;
    return 0;
}
