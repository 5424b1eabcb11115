/* schema: tables that say which keys a configuration or rule has, where their values go, and what
 * may stand there. One table drives reading (YAML and JSON through doc.h), errors with line and
 * hint, and printing (YAML and JSON). Pure; memory of values is the arena's. */
#ifndef REPL_CONF_SCHEMA_H
#define REPL_CONF_SCHEMA_H

#include "daemon/base/buf.h"
#include "daemon/conf/doc.h"

#include <stdint.h>

/* The type of the member at `offset`. */
enum schema_type {
    SCHEMA_TEXT,       /* const char *; NULL = unset */
    SCHEMA_WORD,       /* const char *, one of `words` */
    SCHEMA_CHOICE,     /* an enum: index into `words` */
    SCHEMA_SWITCH,     /* bool: words[0] false, words[1] true */
    SCHEMA_BOOL,       /* bool */
    SCHEMA_BOOL_NOT,   /* bool that holds the opposite of what is written */
    SCHEMA_COUNT,      /* uint32_t */
    SCHEMA_BYTES,      /* uint64_t */
    SCHEMA_DURATION,   /* uint64_t ms */
    SCHEMA_DURATION32, /* uint32_t ms */
    SCHEMA_TEXTS,      /* const char **, and size_t at count_offset */
    SCHEMA_PARSED,     /* scalar with parse() and format() */
    SCHEMA_GROUP,      /* a map whose `keys` are members of the same struct */
    SCHEMA_TABLE,      /* a map of named entries: array pointer, and size_t at count_offset */
};

/* TEXT that names a file which is read: at the start, which fails without it, or when it is needed.
 */
enum schema_file {
    SCHEMA_FILE_NONE,
    SCHEMA_FILE_START,
    SCHEMA_FILE_LATER,
    SCHEMA_FILE_SQLITE, /* later, and it is a database of SQLite */
};

struct schema_key {
    const char *name; /* NULL ends a table */
    enum schema_type type;
    size_t offset;
    size_t count_offset;
    bool required;
    bool hidden;  /* what is written there may be a secret by mistake: errors do not quote it */
    uint64_t min; /* COUNT, BYTES, DURATION*: range; TEXTS: how many; max 0 = none */
    uint64_t max;
    const char *const *words;      /* NULL-terminated */
    const char *preset;            /* as text; NULL = zero */
    const struct schema_key *keys; /* GROUP, TABLE */
    size_t entry_size;             /* TABLE */
    size_t name_offset;            /* TABLE: const char * of the entry's name */
    /* TEXT, TEXTS, names of TABLE: NULL when good, else what it must be ("must start with …"). */
    const char *(*check)(const char *text);
    int (*parse)(struct span text, struct arena *a, void *to, struct fail *f);
    void (*format)(const void *from, struct buf *to);
    enum schema_file file;
};

struct schema_reader {
    const char *file; /* NULL: errors name the member only */
    struct arena *a;
    struct fail *f;
};

/* Fills presets, then what the document says. REPL_EBADINPUT. */
int schema_read(const struct schema_reader *r, const struct schema_key *keys, const struct doc *doc,
                void *target);
/* "file:line: sentence" into the reader's failure; returns REPL_EBADINPUT. node NULL: no line. */
int schema_refuse(const struct schema_reader *r, const struct doc *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Tells of every file that the document names; `parent` is the map that names it. The document was
 * read without a failure. */
typedef void schema_file_fn(void *arg, const struct schema_key *k, const struct doc *parent,
                            const struct doc *node);
void schema_files(const struct schema_key *keys, const struct doc *doc, schema_file_fn *each,
                  void *arg);

void schema_print_yaml(const struct schema_key *keys, const void *source, unsigned indent,
                       struct buf *to);
void schema_print_json(const struct schema_key *keys, const void *source, struct buf *to);
/* A JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void schema_quote(struct span text, struct buf *to);

/* The known name nearest to a misspelt one; NULL when none is near. */
const char *schema_nearest(const struct schema_key *keys, const char *name);

#endif
