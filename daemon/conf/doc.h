/* doc: a YAML or JSON text as one tree with line numbers, so that one schema reads both. All memory
 * is the arena's. No anchors, tags or several documents: configuration needs none of them. */
#ifndef REPL_CONF_DOC_H
#define REPL_CONF_DOC_H

#include "daemon/base/fail.h"
#include "daemon/base/mem.h"

#include <stdbool.h>

#define DOC_DEPTH_MAX 16
#define DOC_FILE_MAX  ((size_t)1024 * 1024) /* bytes */

enum doc_kind { DOC_NULL, DOC_BOOL, DOC_TEXT, DOC_MAP, DOC_LIST };

struct doc {
    enum doc_kind kind;
    unsigned line;     /* of the file, from 1; 0 in JSON */
    struct span name;  /* in a map: its key; NUL-terminated */
    struct span text;  /* scalars: NUL-terminated, without NUL inside; numbers too */
    struct doc *items; /* maps and lists */
    size_t count;
};

/* `file` is for errors: "file:line: sentence". An empty text is an empty map. */
int doc_from_yaml(struct span text, const char *file, struct arena *a, struct doc *ret,
                  struct fail *f);
int doc_from_json(struct span text, struct arena *a, struct doc *ret, struct fail *f);
/* errno values when unreadable, REPL_ETOOBIG beyond DOC_FILE_MAX. */
int doc_read_file(const char *path, struct arena *a, struct span *ret, struct fail *f);

const struct doc *doc_get(const struct doc *map, const char *name); /* NULL = none */

#endif
