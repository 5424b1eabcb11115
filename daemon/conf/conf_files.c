/* Whether the files that a configuration names are there: what --check-config can see of the world
 * without starting. */
#include "daemon/base/mem.h"
#include "daemon/conf/conf_schema.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

void conf_files_warn(struct conf_files *found, const char *file, unsigned line, const char *format,
                     ...)
{
    char sentence[600];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof(sentence), format, args);
    va_end(args);
    buf_printf(&found->text, "warning: %s:%u: %s\n", file, line, sentence);
    found->warnings++;
}

struct files {
    const char *file; /* the configuration */
    struct conf_files *found;
};

static const char *trouble_with(const char *path)
{
    struct stat st;
    if (access(path, R_OK) != 0) {
        return strerror(errno);
    }
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? "it is a folder" : NULL;
}

/* By its first bytes: to open it would make files beside it. An empty file is one without tables.
 */
static bool is_sqlite(const char *path)
{
    static const char magic[16] = "SQLite format 3"; /* with its NUL: sqlite.org/fileformat.html */
    char begins[sizeof(magic)];
    FILE *in = fopen(path, "re");
    if (in == NULL) {
        return false;
    }
    size_t n = fread(begins, 1, sizeof(begins), in);
    fclose(in);
    return n == 0 || (n == sizeof(magic) && memcmp(begins, magic, n) == 0);
}

/* An outbox that is to be made need not be there yet. */
static bool is_made(const struct doc *parent, const char *path)
{
    const struct doc *create = doc_get(parent, "create");
    return create != NULL && span_eq_str(create->text, "true") && access(path, F_OK) != 0;
}

/* What a webhook that does not listen needs is not read at the start. */
static bool is_off(const struct doc *parent)
{
    return span_eq_str(parent->name, "webhook") && doc_get(parent, "listen") == NULL;
}

static void look_at(void *arg, const struct schema_key *k, const struct doc *parent,
                    const struct doc *node)
{
    struct files *f = arg;
    const char *path = node->text.ptr;
    const char *why = trouble_with(path);
    bool fatal = k->file == SCHEMA_FILE_START && !is_off(parent);
    if (why == NULL && k->file == SCHEMA_FILE_SQLITE && !is_sqlite(path)) {
        conf_files_warn(f->found, f->file, node->line, "%s: %s is no SQLite database", k->name,
                        path);
        return;
    }
    if (why == NULL || is_made(parent, path)) {
        return;
    }
    buf_printf(&f->found->text, "%s%s:%u: %s: %s cannot be read: %s\n",
               fatal ? "" : "warning: ", f->file, node->line, k->name, path, why);
    f->found->errors += fatal;
    f->found->warnings += !fatal;
}

int conf_check_files(const char *path, struct conf_files *ret, struct fail *f)
{
    struct arena a;
    struct span text;
    struct doc doc;
    arena_init(&a);
    int status = doc_read_file(path, &a, &text, f);
    if (status == 0) {
        status = doc_from_yaml(text, path, &a, &doc, f);
    }
    if (status == 0) {
        schema_files(conf_schema, &doc, look_at, &(struct files){.file = path, .found = ret});
    }
    arena_done(&a);
    return status;
}
