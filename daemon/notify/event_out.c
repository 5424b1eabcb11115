#include "daemon/notify/event_out.h"

#include "daemon/base/loop.h"
#include "daemon/conf/schema.h"

static const struct {
    const char *name;
    const char *event; /* those of replication are AWS's */
} kinds[EVENT_KINDS] = {
    [EVENT_REPLICATED] = {"replicated", "Replication:OperationCompletedReplication"},
    [EVENT_MISSED] = {"missed", "Replication:OperationMissedThreshold"},
    [EVENT_LATE] = {"late", "Replication:OperationReplicatedAfterThreshold"},
    [EVENT_FAILED] = {"failed", "Replication:OperationFailedReplication"},
    [EVENT_BRAKE] = {"brake", "Replication:DeletesHeld"},
    [EVENT_WATERMARK] = {"watermark", "Replication:WatermarkAdvanced"},
};

const char *event_kind_name(enum event_kind kind)
{
    return kinds[kind].name;
}

static void put_text(struct buf *to, const char *name, struct span text)
{
    if (text.ptr != NULL) {
        buf_printf(to, ",\"%s\":", name);
        schema_quote(text, to);
    }
}

static void put_number(struct buf *to, const char *name, int64_t number)
{
    buf_printf(to, ",\"%s\":%lld", name, (long long)number);
}

/* "2026-11-24T12:00:00.250Z", as S3 writes it. */
static void put_time(struct buf *to, const char *name, int64_t wall_ms)
{
    char text[32];
    time_iso(wall_ms, text);
    buf_printf(to, ",\"%s\":\"%.19s.%03dZ\"", name, text, (int)(wall_ms % 1000));
}

/* As AWS does: a blank as +, and the slash as it is. */
static void put_key(struct buf *to, struct span key)
{
    buf_char(to, '"');
    for (size_t i = 0; i < key.len; i++) {
        unsigned char c = (unsigned char)key.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     (c != 0 && strchr("-_.*/", c) != NULL);
        if (plain) {
            buf_char(to, (char)c);
        } else if (c == ' ') {
            buf_char(to, '+');
        } else {
            buf_printf(to, "%%%02X", c);
        }
    }
    buf_char(to, '"');
}

static void put_object(struct buf *to, const struct event_place *place, int64_t size)
{
    if (place->key.ptr == NULL) {
        return;
    }
    buf_str(to, ",\"object\":{\"key\":");
    put_key(to, place->key);
    if (size >= 0) {
        put_number(to, "size", size);
    }
    put_text(to, "eTag", place->etag);
    put_text(to, "versionId", place->version);
    buf_char(to, '}');
}

static void put_s3(struct buf *to, const struct event_out *e)
{
    buf_str(to, ",\"s3\":{\"s3SchemaVersion\":\"1.0\"");
    put_text(to, "configurationId", span_str(e->rule));
    buf_str(to, ",\"bucket\":{\"name\":");
    schema_quote(span_str(e->source.bucket), to);
    buf_str(to, ",\"arn\":\"arn:aws:s3:::");
    buf_str(to, e->source.bucket);
    buf_str(to, "\"}");
    put_object(to, &e->source, e->size);
    buf_char(to, '}');
}

static void put_replication(struct buf *to, const struct event_out *e)
{
    buf_str(to, ",\"replicationEventData\":{\"replicationRuleId\":");
    schema_quote(span_str(e->rule), to);
    buf_printf(to, ",\"destinationBucket\":\"arn:aws:s3:::%s\",\"s3Operation\":\"OBJECT_%s\"",
               e->destination.bucket, e->is_delete ? "DELETE" : "PUT");
    if (e->change_ms > 0) {
        put_time(to, "requestTime", e->change_ms);
    }
    if (e->kind == EVENT_FAILED) {
        put_text(to, "failureReason", span_str(e->reason));
    }
    if (e->objective_ms > 0) {
        put_number(to, "threshold", e->objective_ms / 1000);
    }
    if (e->latency_ms >= 0) {
        put_number(to, "replicationTime", e->latency_ms / 1000);
    }
    buf_char(to, '}');
}

static void put_ours(struct buf *to, const struct event_out *e)
{
    const struct event_place *d = &e->destination;
    buf_printf(to, ",\"repld\":{\"kind\":\"%s\",\"rule\":", kinds[e->kind].name);
    schema_quote(span_str(e->rule), to);
    put_text(to, "instance", span_str(e->instance));
    buf_str(to, ",\"source\":{\"endpoint\":");
    schema_quote(span_str(e->source.endpoint), to);
    buf_str(to, "},\"destination\":{\"endpoint\":");
    schema_quote(span_str(d->endpoint), to);
    put_text(to, "bucket", span_str(d->bucket));
    put_object(to, d, -1);
    buf_char(to, '}');
    if (e->latency_ms >= 0) {
        put_number(to, "latencyMs", e->latency_ms);
    }
    if (e->kind == EVENT_WATERMARK) {
        put_time(to, "watermark", e->watermark_ms);
        put_number(to, "watermarkMs", e->watermark_ms);
    }
    put_text(to, "reason", span_str(e->reason));
    buf_char(to, '}');
}

void event_print(const struct event_out *e, struct buf *to)
{
    buf_str(to, "{\"eventVersion\":\"2.2\",\"eventSource\":\"repld\"");
    put_text(to, "awsRegion", span_str(e->region != NULL ? e->region : ""));
    put_time(to, "eventTime", e->at_ms);
    put_text(to, "eventName", span_str(kinds[e->kind].event));
    put_s3(to, e);
    if (e->source.key.ptr != NULL) {
        put_replication(to, e);
    }
    put_ours(to, e);
    buf_char(to, '}');
}
