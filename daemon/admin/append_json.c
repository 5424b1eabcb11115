#include "daemon/admin/append_json.h"

#include "daemon/admin/proto.h"
#include "daemon/base/base64.h"
#include "daemon/base/loop.h"
#include "daemon/conf/doc.h"
#include "daemon/conf/schema.h"

struct line {
    const char *bucket;
    const char *key;
    const char *key_base64;
    const char *kind;
    const char *endpoint;
    const char *version_id;
    const char *etag;
    const char *sequencer;
    const char *size;
    const char *event_time;
};

#define LINE(member)                                                                               \
    {                                                                                              \
#member, SCHEMA_TEXT, .offset = offsetof(struct line, member)                              \
    }

static const struct schema_key line_schema[] = {
    LINE(bucket),
    LINE(key),
    LINE(key_base64),
    LINE(kind),
    LINE(endpoint),
    LINE(version_id),
    LINE(etag),
    LINE(sequencer),
    LINE(size),
    LINE(event_time),
    {0},
};

static int read_key(const struct line *in, struct arena *a, struct change *to, struct fail *f)
{
    struct buf bytes = {0};
    if (in->key_base64 == NULL) {
        to->key = span_str(in->key);
        return 0;
    }
    if (in->key != NULL) {
        fail_set(f, REPL_EBADINPUT, "\"key\" and \"key_base64\" exclude each other");
        fail_hint(f, "\"key_base64\" is for keys that are not UTF-8");
        return REPL_EBADINPUT;
    }
    int r = base64_decode(span_str(in->key_base64), &bytes);
    to->key = arena_span(a, span_of(buf_cstr(&bytes), bytes.len));
    buf_done(&bytes);
    return r == 0 ? 0 : fail_set(f, r, "\"key_base64\" is not base64");
}

static int read_size(const struct line *in, struct change *to, struct fail *f)
{
    unsigned long long size = 0;
    to->size = CHANGE_SIZE_UNKNOWN;
    if (in->size == NULL) {
        return 0;
    }
    if (span_to_u64(span_str(in->size), &size) != 0 || size > INT64_MAX) {
        fail_set(f, REPL_EBADINPUT, "\"size\" is not a number of bytes");
        fail_hint(f, "write it in digits alone: 1048576");
        return REPL_EBADINPUT;
    }
    to->size = (int64_t)size;
    return 0;
}

static int read_time(const struct line *in, struct change *to, struct fail *f)
{
    unsigned long long ms = 0;
    if (in->event_time == NULL) {
        return 0;
    }
    if (span_to_u64(span_str(in->event_time), &ms) == 0 && ms <= INT64_MAX) {
        to->event_time_ms = (int64_t)ms;
        return 0;
    }
    if (time_parse(in->event_time, strlen(in->event_time), &to->event_time_ms) == 0) {
        return 0;
    }
    fail_set(f, REPL_EBADINPUT, "\"event_time\" is not a time");
    fail_hint(f, "write 2026-11-23T10:20:30Z, or Unix milliseconds");
    return REPL_EBADINPUT;
}

static int read_members(const struct line *in, struct arena *a, struct change *to, struct fail *f)
{
    to->kind = CHANGE_PUT;
    to->bucket = span_str(in->bucket);
    to->endpoint = span_str(in->endpoint);
    to->version_id = span_str(in->version_id);
    to->etag = span_str(in->etag);
    to->sequencer = span_str(in->sequencer);
    to->feed = span_str("append");
    if (in->kind != NULL && change_kind_parse(span_str(in->kind), &to->kind) != 0) {
        fail_set(f, REPL_EBADINPUT, "\"kind\" is neither put nor delete");
        fail_hint(f, "leave it out for a put");
        return REPL_EBADINPUT;
    }
    int r = read_key(in, a, to, f);
    if (r == 0) {
        r = read_size(in, to, f);
    }
    if (r == 0) {
        r = read_time(in, to, f);
    }
    return r != 0 ? r : change_check(to, f);
}

static int read_line(struct span text, struct arena *a, struct change *to, struct fail *f)
{
    struct doc root;
    struct line in = {0};
    struct schema_reader reader = {.a = a, .f = f};
    int r = doc_from_json(text, a, &root, f);
    if (r == 0 && root.kind != DOC_MAP) {
        r = fail_set(f, REPL_EBADINPUT, "a change is a JSON object");
    }
    if (r == 0) {
        r = schema_read(&reader, line_schema, &root, &in);
    }
    return r != 0 ? r : read_members(&in, a, to, f);
}

static size_t count_lines(struct span body)
{
    size_t n = body.len > 0 ? 1 : 0;
    for (size_t i = 0; i < body.len; i++) {
        n += body.ptr[i] == '\n' ? 1 : 0;
    }
    return n;
}

static int refuse_line(size_t number, struct fail *f)
{
    struct fail inner = *f;
    fail_set(f, inner.code, "line %zu: %.200s", number, inner.text);
    if (inner.hint[0] != '\0') {
        fail_hint(f, "%s", inner.hint);
    } else {
        fail_hint(f, "a line is like {\"bucket\": \"crawl\", \"key\": \"raw/1.html\"}");
    }
    return inner.code;
}

static bool is_blank(struct span line)
{
    return line.len == 0 || (line.len == 1 && line.ptr[0] == '\r');
}

int append_json_parse(struct span body, struct arena *a, struct append_lines *ret, struct fail *f)
{
    size_t lines = count_lines(body);
    struct append_lines all = {0};
    if (lines > PROTO_APPEND_LINES + 1) {
        fail_set(f, REPL_ETOOBIG, "more than %d lines in one append", PROTO_APPEND_LINES);
        fail_hint(f, "send them in several requests");
        return REPL_ETOOBIG;
    }
    all.changes = arena_alloc(a, (lines + 1) * sizeof(*all.changes));
    struct span rest = body;
    for (size_t number = 1; rest.ptr != NULL; number++) {
        struct span line = span_trim(span_cut(&rest, '\n'));
        if (is_blank(line)) {
            continue;
        }
        int r = read_line(line, a, &all.changes[all.count], f);
        if (r != 0) {
            return refuse_line(number, f);
        }
        all.count++;
    }
    *ret = all;
    return 0;
}
