#include "cli/inventory.h"

#include "daemon/base/mem.h"

#include <errno.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <zlib.h>

#define LINE_MAX_BYTES 16384 /* a key of 1,024 bytes, each as %XX, and the other columns */
#define COLUMNS_MAX    64

enum column { COL_KEY, COL_VERSION, COL_LATEST, COL_MARKER, COL_SIZE, COL_ETAG, COL_COUNT };

struct inventory {
    int place[COL_COUNT]; /* of the column in a row; -1: not there */
    const char *file;
    unsigned long long line;
    inventory_row_fn *each;
    void *arg;
    struct fail *f;
};

static void read_schema(struct inventory *inv, const char *schema)
{
    static const char *const names[] = {"Key",  "VersionId", "IsLatest", "IsDeleteMarker",
                                        "Size", "ETag"};
    struct span rest = span_str(schema);
    for (int i = 0; i < COL_COUNT; i++) {
        inv->place[i] = -1;
    }
    for (int at = 0; rest.ptr != NULL; at++) {
        struct span name = span_trim(span_cut(&rest, ','));
        for (int i = 0; i < COL_COUNT; i++) {
            if (span_eq_str(name, names[i])) {
                inv->place[i] = at;
            }
        }
    }
}

/* ---- rows ---- */

/* Cuts a field off, in place: "a ""quoted"" one" or a bare one. False where a quote is missing. */
static bool take_field(char **at, struct span *ret)
{
    char *from = *at, *to = *at;
    bool quoted = *from == '"';
    from += quoted;
    *ret = span_of(to, 0);
    while (*from != '\0' && (quoted || *from != ',')) {
        if (quoted && *from == '"') {
            if (from[1] != '"') {
                quoted = false;
                from++;
                break;
            }
            from++;
        }
        *to++ = *from++;
    }
    ret->len = (size_t)(to - ret->ptr);
    *at = *from == ',' ? from + 1 : from;
    return !quoted && (*from == ',' || *from == '\0');
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Keys are encoded as in a form. In place. */
static struct span decode(struct span text)
{
    char *to = (char *)(uintptr_t)text.ptr;
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        bool coded = text.ptr[i] == '%' && i + 2 < text.len && hex_digit(text.ptr[i + 1]) >= 0 &&
                     hex_digit(text.ptr[i + 2]) >= 0;
        char c = text.ptr[i] == '+' ? ' ' : text.ptr[i];
        if (coded) {
            c = (char)(hex_digit(text.ptr[i + 1]) * 16 + hex_digit(text.ptr[i + 2]));
            i += 2;
        }
        to[len++] = c;
    }
    return span_of(text.ptr, len);
}

static struct span column(const struct inventory *inv, enum column which, const struct span *fields,
                          int count)
{
    int at = inv->place[which];
    bool has = at >= 0 && at < count && fields[at].len > 0;
    return has ? fields[at] : (struct span){0};
}

static int bad_row(const struct inventory *inv)
{
    return fail_set(inv->f, REPL_EBADINPUT, "%s:%llu: is no row of the inventory", inv->file,
                    inv->line);
}

static int read_row(struct inventory *inv, char *line)
{
    struct span fields[COLUMNS_MAX];
    int count = 0;
    for (char *at = line; *at != '\0' && count < COLUMNS_MAX; count++) {
        if (!take_field(&at, &fields[count])) {
            return bad_row(inv);
        }
    }
    struct inventory_row row = {.key = column(inv, COL_KEY, fields, count),
                                .version_id = column(inv, COL_VERSION, fields, count),
                                .etag = column(inv, COL_ETAG, fields, count),
                                .size = column(inv, COL_SIZE, fields, count)};
    if (row.key.len == 0) {
        return bad_row(inv);
    }
    row.key = decode(row.key);
    bool old = span_eq_nocase(column(inv, COL_LATEST, fields, count), "false") ||
               span_eq_nocase(column(inv, COL_MARKER, fields, count), "true");
    return old ? 0 : inv->each(inv->arg, &row);
}

/* ---- files ---- */

static int read_lines(struct inventory *inv, gzFile gz)
{
    char line[LINE_MAX_BYTES];
    int r = 0, error = Z_OK;
    while (r == 0 && gzgets(gz, line, sizeof(line)) != NULL) {
        inv->line++;
        size_t len = strcspn(line, "\r\n");
        bool whole = line[len] != '\0' || gzeof(gz);
        line[len] = '\0';
        if (len > 0) {
            r = whole ? read_row(inv, line) : bad_row(inv);
        }
    }
    const char *why = gzerror(gz, &error);
    if (r == 0 && error != Z_OK && error != Z_STREAM_END) {
        r = fail_set(inv->f, REPL_EBADINPUT, "%s: %.120s", inv->file, why);
    }
    return r;
}

/* Under its whole key below the manifest's folder, or under the last part of it beside that. */
static gzFile open_file(const char *folder, size_t folder_len, const char *key, char **ret_path)
{
    const char *base = strrchr(key, '/');
    const char *names[] = {key, base != NULL ? base + 1 : key};
    for (int i = 0; i < 2; i++) {
        char *path = mem_printf("%.*s%s", (int)folder_len, folder, names[i]);
        gzFile gz = gzopen(path, "re");
        if (gz != NULL || i == 1) {
            *ret_path = path;
            return gz;
        }
        mem_free(path);
    }
    return NULL;
}

static int read_file(struct inventory *inv, const char *manifest, const char *key)
{
    const char *slash = strrchr(manifest, '/');
    char *path = NULL;
    gzFile gz = open_file(manifest, slash != NULL ? (size_t)(slash - manifest) + 1 : 0, key, &path);
    int r;
    inv->file = path;
    inv->line = 0;
    if (gz == NULL) {
        r = fail_set(inv->f, -errno, "%.160s: %s", path, strerror(errno));
        fail_hint(inv->f, "fetch the files that manifest.json names into its folder");
    } else {
        r = read_lines(inv, gz);
        gzclose(gz);
    }
    mem_free(path);
    return r;
}

/* By name, or by the end of an ARN. */
static bool is_of_bucket(const json_t *doc, const char *bucket)
{
    const char *name = json_string_value(json_object_get(doc, "sourceBucket"));
    const char *colon = name != NULL ? strrchr(name, ':') : NULL;
    return name == NULL || strcmp(colon != NULL ? colon + 1 : name, bucket) == 0;
}

int inventory_read(const char *manifest, const char *bucket, inventory_row_fn *each, void *arg,
                   struct fail *f)
{
    json_error_t error;
    struct inventory inv = {.each = each, .arg = arg, .f = f};
    json_t *doc = json_load_file(manifest, 0, &error);
    const json_t *files = json_object_get(doc, "files");
    const char *schema = json_string_value(json_object_get(doc, "fileSchema"));
    const char *format = json_string_value(json_object_get(doc, "fileFormat"));
    int r = 0;
    read_schema(&inv, schema);
    if (doc == NULL) {
        r = fail_set(f, REPL_EBADINPUT, "%.120s: %.100s", manifest, error.text);
        fail_hint(f, "it is the manifest.json of an S3 Inventory, fetched with the files it names");
    } else if (format == NULL || strcmp(format, "CSV") != 0 || inv.place[COL_KEY] < 0 ||
               !json_is_array(files)) {
        r = fail_set(f, REPL_EBADINPUT, "%.120s: is no manifest of an inventory in CSV", manifest);
        fail_hint(f, "it has fileFormat CSV, fileSchema with Key, and files");
    } else if (!is_of_bucket(doc, bucket)) {
        r = fail_set(f, REPL_EBADINPUT,
                     "%.80s: is the inventory of bucket \"%.64s\", not of \"%.64s\"", manifest,
                     json_string_value(json_object_get(doc, "sourceBucket")), bucket);
        fail_hint(f, "replctl rule list shows which rule copies from which bucket");
    }
    for (size_t i = 0; r == 0 && i < json_array_size(files); i++) {
        const char *key = json_string_value(json_object_get(json_array_get(files, i), "key"));
        r = key != NULL ? read_file(&inv, manifest, key)
                        : fail_set(f, REPL_EBADINPUT, "%.120s: a file has no key", manifest);
    }
    json_decref(doc);
    return r;
}
