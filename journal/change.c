#include "journal/change.h"

#define NAME_MAX_BYTES 255

static int check_span(struct fail *f, const char *member, struct span s, size_t max)
{
    if (s.len > max) {
        return fail_set(f, REPL_EBADINPUT, "%s is %zu bytes long, at most %zu are allowed", member,
                        s.len, max);
    }
    return 0;
}

int change_check(const struct change *c, struct fail *f)
{
    int r;
    if (c->kind != CHANGE_PUT && c->kind != CHANGE_DELETE) {
        return fail_set(f, REPL_EBADINPUT, "kind must be put or delete");
    }
    if (c->key.len == 0) {
        return fail_set(f, REPL_EBADINPUT, "key is missing or empty");
    }
    if (c->bucket.len == 0) {
        return fail_set(f, REPL_EBADINPUT, "bucket is missing or empty");
    }
    if (c->size < CHANGE_SIZE_UNKNOWN) {
        return fail_set(f, REPL_EBADINPUT, "size is negative");
    }
    if ((r = check_span(f, "key", c->key, CHANGE_KEY_MAX)) < 0 ||
        (r = check_span(f, "bucket", c->bucket, NAME_MAX_BYTES)) < 0 ||
        (r = check_span(f, "endpoint", c->endpoint, NAME_MAX_BYTES)) < 0 ||
        (r = check_span(f, "version_id", c->version_id, CHANGE_KEY_MAX)) < 0 ||
        (r = check_span(f, "etag", c->etag, CHANGE_KEY_MAX)) < 0 ||
        (r = check_span(f, "sequencer", c->sequencer, CHANGE_KEY_MAX)) < 0) {
        return r;
    }
    return 0;
}

struct span change_sequencer(struct span hex, struct arena *a)
{
    if (hex.len == 0) {
        return (struct span){0};
    }
    size_t len = hex.len;
    while (len > 1 && hex.ptr[len - 1] == '0') {
        len--;
    }
    char *to = arena_alloc(a, len);
    for (size_t i = 0; i < len; i++) {
        char ch = hex.ptr[i];
        to[i] = ch >= 'a' && ch <= 'z' ? (char)(ch - 'a' + 'A') : ch;
    }
    return span_of(to, len);
}

const char *change_kind_name(enum change_kind kind)
{
    return kind == CHANGE_DELETE ? "delete" : "put";
}

int change_kind_parse(struct span name, enum change_kind *ret_kind)
{
    if (span_eq_nocase(name, "put")) {
        *ret_kind = CHANGE_PUT;
    } else if (span_eq_nocase(name, "delete")) {
        *ret_kind = CHANGE_DELETE;
    } else {
        return REPL_EBADINPUT;
    }
    return 0;
}
