#include "daemon/conf/schema.h"
#include "daemon/notify/watermark.h"

static void put_name(struct buf *to, const char *name)
{
    buf_printf(to, "%s\n  \"%s\": ", to->len > 1 ? "," : "", name);
}

static void put_text(struct buf *to, const char *name, const char *text)
{
    put_name(to, name);
    if (text == NULL || text[0] == '\0') {
        buf_str(to, "null");
    } else {
        schema_quote(span_str(text), to);
    }
}

/* Whole seconds, cut: what stands there is never ahead of what holds. */
static void put_time(struct buf *to, const char *name, int64_t wall_ms)
{
    char text[32];
    time_iso(wall_ms, text);
    put_text(to, name, text);
}

static void put_number(struct buf *to, const char *name, uint64_t number)
{
    put_name(to, name);
    buf_printf(to, "%llu", (unsigned long long)number);
}

void watermark_print(const struct watermark_doc *doc, struct buf *to)
{
    buf_char(to, '{');
    put_text(to, "rule", doc->rule);
    put_text(to, "instance", doc->instance);
    put_time(to, "watermark", doc->watermark_ms);
    put_number(to, "watermark_ms", (uint64_t)doc->watermark_ms);
    if (doc->proven_ms > 0) {
        put_time(to, "proven", doc->proven_ms);
    } else {
        put_text(to, "proven", NULL);
    }
    put_text(to, "state", doc->state);
    put_text(to, "waits_for", doc->waits_for);
    put_number(to, "pending_objects", doc->pending_objects);
    put_number(to, "pending_bytes", doc->pending_bytes);
    put_number(to, "failed_objects", doc->failed_objects);
    put_number(to, "done_objects", doc->done_objects);
    put_number(to, "done_bytes", doc->done_bytes);
    put_time(to, "published", doc->published_ms);
    buf_str(to, "\n}\n");
}

static bool put_if(struct buf *to, struct span *rest, const char *name, const char *value)
{
    if (!span_starts_with(*rest, span_str(name))) {
        return false;
    }
    buf_str(to, value);
    *rest = span_skip(*rest, strlen(name));
    return true;
}

void watermark_key(const char *pattern, const char *rule, const char *instance, struct buf *to)
{
    struct span rest = span_str(pattern);
    while (rest.len > 0) {
        if (!put_if(to, &rest, "{rule}", rule) && !put_if(to, &rest, "{instance}", instance)) {
            buf_char(to, rest.ptr[0]);
            rest = span_skip(rest, 1);
        }
    }
}
