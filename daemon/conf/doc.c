#include "daemon/conf/doc.h"

#include <errno.h>
#include <stdio.h>

const struct doc *doc_get(const struct doc *map, const char *name)
{
    for (size_t i = 0; map != NULL && map->kind == DOC_MAP && i < map->count; i++) {
        if (span_eq_str(map->items[i].name, name)) {
            return &map->items[i];
        }
    }
    return NULL;
}

static int read_stream(FILE *stream, const char *path, struct arena *a, struct span *ret,
                       struct fail *f)
{
    char *text = arena_alloc(a, DOC_FILE_MAX + 1);
    size_t len = fread(text, 1, DOC_FILE_MAX + 1, stream);
    if (ferror(stream)) {
        int code = errno != 0 ? -errno : -EIO;
        return fail_set(f, code, "%s: cannot be read: %s", path, fail_text(code));
    }
    if (len > DOC_FILE_MAX) {
        return fail_set(f, REPL_ETOOBIG, "%s: is larger than 1 MiB", path);
    }
    *ret = span_of(text, len);
    return 0;
}

int doc_read_file(const char *path, struct arena *a, struct span *ret, struct fail *f)
{
    FILE *stream = fopen(path, "re");
    if (stream == NULL) {
        int code = -errno;
        return fail_set(f, code, "%s: cannot be opened: %s", path, fail_text(code));
    }
    errno = 0;
    int r = read_stream(stream, path, a, ret, f);
    fclose(stream);
    return r;
}
