#include "daemon/admin/json_out.h"

#include "daemon/base/base64.h"
#include "daemon/base/loop.h"
#include "daemon/conf/schema.h"

#include <ctype.h>

static void begin(struct buf *b, const char *name)
{
    char last = b->len > 0 ? b->data[b->len - 1] : '[';
    if (last != '{' && last != '[' && last != '\n') {
        buf_char(b, ',');
    }
    if (name != NULL) {
        schema_quote(span_str(name), b);
        buf_char(b, ':');
    }
}

void json_open(struct buf *b, const char *name, char bracket)
{
    begin(b, name);
    buf_char(b, bracket);
}

void json_close(struct buf *b, char bracket)
{
    buf_char(b, bracket);
}

void json_text(struct buf *b, const char *name, struct span text)
{
    begin(b, name);
    if (text.ptr == NULL) {
        buf_str(b, "null");
    } else {
        schema_quote(text, b);
    }
}

void json_str(struct buf *b, const char *name, const char *text)
{
    json_text(b, name, span_str(text));
}

void json_int(struct buf *b, const char *name, int64_t value)
{
    begin(b, name);
    buf_printf(b, "%lld", (long long)value);
}

void json_real(struct buf *b, const char *name, double value)
{
    begin(b, name);
    buf_printf(b, "%.6g", value);
}

void json_bool(struct buf *b, const char *name, bool value)
{
    begin(b, name);
    buf_str(b, value ? "true" : "false");
}

void json_time(struct buf *b, const char *name, int64_t wall_ms)
{
    char text[32];
    if (wall_ms <= 0) {
        json_str(b, name, NULL);
        return;
    }
    time_iso(wall_ms, text);
    json_str(b, name, text);
}

void json_raw(struct buf *b, const char *name, struct span json)
{
    begin(b, name);
    buf_span(b, json);
}

void json_key(struct buf *b, const char *name, struct span key)
{
    json_text(b, name, key);
    if (span_is_utf8(key)) {
        return;
    }
    char true_name[64];
    struct buf joined = {0};
    struct buf text = {0};
    buf_printf(&joined, "%s_base64", name);
    base64_encode(key, &text);
    size_t n = joined.len < sizeof(true_name) - 1 ? joined.len : sizeof(true_name) - 1;
    memcpy(true_name, buf_cstr(&joined), n);
    true_name[n] = '\0';
    json_text(b, true_name, buf_view(&text));
    buf_done(&joined);
    buf_done(&text);
}

void json_fail(struct buf *b, const char *name, const struct fail *f)
{
    if (f->code == 0) {
        json_str(b, name, NULL);
        return;
    }
    json_open(b, name, '{');
    json_str(b, "code", fail_name(f->code));
    json_str(b, "text", f->text[0] != '\0' ? f->text : fail_text(f->code));
    if (f->hint[0] != '\0') {
        json_str(b, "hint", f->hint);
    }
    if (f->server_code[0] != '\0') {
        json_str(b, "server_code", f->server_code);
    }
    if (f->http_status != 0) {
        json_int(b, "http_status", f->http_status);
    }
    if (f->request_id[0] != '\0') {
        json_str(b, "request_id", f->request_id);
    }
    json_close(b, '}');
}

void json_escape_query(struct buf *b, struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c < 0x80 && (isalnum(c) || strchr("-._~", c) != NULL) && c != '\0') {
            buf_char(b, (char)c);
        } else {
            buf_printf(b, "%%%02X", c);
        }
    }
}
