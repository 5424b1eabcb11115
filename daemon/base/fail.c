#include "daemon/base/fail.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

struct fail_row {
    int code;
    const char *name;
    enum fail_class class;
    const char *text;
};

#define FAIL_ROW(name, number, class, text) {name, #name, class, text},
static const struct fail_row rows[] = {REPL_ERRORS(FAIL_ROW)};
#undef FAIL_ROW

static const struct fail_row *row_find(int code)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].code == code) {
            return &rows[i];
        }
    }
    return NULL;
}

/* uv_err_name() and uv_strerror() allocate for codes they do not know, and nobody can free that. */
static bool is_known_to_uv(int code)
{
    switch (code) {
#define CASE(name, text) case UV_##name:
        UV_ERRNO_MAP(CASE)
#undef CASE
        return true;
    default:
        return false;
    }
}

const char *fail_name(int code)
{
    const struct fail_row *row = row_find(code);
    if (code == 0) {
        return "OK";
    }
    if (row != NULL) {
        return row->name;
    }
    const char *name = is_known_to_uv(code) ? uv_err_name(code) : strerrorname_np(-code);
    return name != NULL ? name : "UNKNOWN";
}

const char *fail_text(int code)
{
    const struct fail_row *row = row_find(code);
    if (code == 0) {
        return "success";
    }
    if (row != NULL) {
        return row->text;
    }
    const char *text = is_known_to_uv(code) ? uv_strerror(code) : strerrordesc_np(-code);
    return text != NULL ? text : "unknown error";
}

enum fail_class fail_class(int code)
{
    const struct fail_row *row = row_find(code);
    if (code == 0) {
        return FAIL_NONE;
    }
    if (row != NULL) {
        return row->class;
    }
    /* libuv and errno values: resources and networks recover, wrong arguments do not. */
    return code == UV_EINVAL || code == UV_ERANGE || code == UV_EBADF ? FAIL_BUG : FAIL_RETRY;
}

const char *fail_class_name(enum fail_class c)
{
    static const char *const names[] = {"none", "retry",   "throttle",  "auth",
                                        "gone", "corrupt", "permanent", "bug"};
    return names[c];
}

void fail_clear(struct fail *f)
{
    *f = (struct fail){0};
}

#undef fail_set
int fail_set(struct fail *f, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail_vset(f, code, format, args);
    va_end(args);
    return code;
}

void fail_vset(struct fail *f, int code, const char *format, va_list args)
{
    struct fail next = {.code = code}; /* the arguments may point into *f */
    vsnprintf(next.text, sizeof(next.text), format, args);
    *f = next;
}

void fail_hint(struct fail *f, const char *format, ...)
{
    char next[sizeof(f->hint)];
    va_list args;
    va_start(args, format);
    vsnprintf(next, sizeof(next), format, args);
    va_end(args);
    memcpy(f->hint, next, sizeof(next));
}

/* snprintf that goes on where the last one ended and stops at the end. */
__attribute__((format(printf, 4, 5))) static void add(char *to, unsigned long size, size_t *at,
                                                      const char *format, ...)
{
    va_list args;
    if (*at + 1 >= size) {
        return;
    }
    va_start(args, format);
    int length = vsnprintf(to + *at, size - *at, format, args);
    va_end(args);
    *at += length > 0 ? (size_t)length : 0;
}

const char *fail_print(const struct fail *f, char *to, unsigned long size)
{
    size_t at = 0;
    const char *sep = " (";
    if (size == 0) {
        return to;
    }
    to[0] = '\0';
    add(to, size, &at, "%s", f->text[0] != '\0' ? f->text : fail_text(f->code));
    if (f->server_code[0] != '\0') {
        add(to, size, &at, "%scode %s", sep, f->server_code);
        sep = ", ";
    }
    if (f->http_status != 0) {
        add(to, size, &at, "%sHTTP %d", sep, f->http_status);
        sep = ", ";
    }
    if (f->request_id[0] != '\0') {
        add(to, size, &at, "%srequest id %s", sep, f->request_id);
        sep = ", ";
    }
    if (sep[0] == ',') {
        add(to, size, &at, ")");
    }
    if (f->hint[0] != '\0') {
        add(to, size, &at, "; hint: %s", f->hint);
    }
    return to;
}
