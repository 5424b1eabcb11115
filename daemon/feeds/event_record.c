/* One event of each dialect into one change. */
#include "daemon/base/loop.h" /* time_parse */
#include "daemon/feeds/event_impl.h"
#include "transfer/store/uri.h"

#include <stdio.h>

#define OWN_PREFIX "_repl/"

/* What all dialects say, in their own spelling. */
struct record {
    enum event_source source;
    struct span name;
    struct span bucket;
    struct span key;
    struct span version_id;
    struct span etag;
    struct span size;
    struct span sequencer;
    struct span time;
};

/* ---- into a change ---- */

static struct span without_quotes(struct span etag)
{
    bool quoted = etag.len >= 2 && etag.ptr[0] == '"' && etag.ptr[etag.len - 1] == '"';
    return quoted ? span_of(etag.ptr + 1, etag.len - 2) : etag;
}

static struct span absent_if_empty(struct span s)
{
    return s.len > 0 ? s : (struct span){0};
}

static struct span decode_key(const struct record *in, struct arena *a)
{
    bool encoded = in->source == EVENT_AWS || in->source == EVENT_MINIO;
    return encoded ? uri_decode(a, in->key) : in->key;
}

static int64_t read_size(struct span text)
{
    unsigned long long size = 0;
    return span_to_u64(text, &size) == 0 && size <= INT64_MAX ? (int64_t)size : CHANGE_SIZE_UNKNOWN;
}

/* What cannot be read, or lies before 1970, counts as now. */
static int64_t read_time(struct span text)
{
    int64_t ms = 0;
    return text.len > 0 && time_parse(text.ptr, text.len, &ms) == 0 && ms > 0 ? ms : 0;
}

static struct change make_change(const struct event_reader *r, const struct record *in,
                                 enum event_what what)
{
    bool one_version = what == EVENT_REMOVED && in->version_id.len > 0;
    bool look = what == EVENT_LOOK || one_version;
    bool put = what == EVENT_PUT;
    return (struct change){
        .kind = put || look ? CHANGE_PUT : CHANGE_DELETE,
        .endpoint = r->options->endpoint,
        .feed = r->options->feed,
        .bucket = in->bucket,
        .key = decode_key(in, r->a),
        .version_id = look ? (struct span){0} : absent_if_empty(in->version_id),
        .etag = put ? absent_if_empty(without_quotes(in->etag)) : (struct span){0},
        .size = put ? read_size(in->size) : CHANGE_SIZE_UNKNOWN,
        .sequencer = event_sequencer(in->source, in->sequencer, r->a),
        .event_time_ms = read_time(in->time),
    };
}

/* ---- into the list ---- */

static void push(struct arena *a, struct change **list, size_t *count, size_t *room,
                 const struct change *c)
{
    if (*count == *room) {
        size_t wanted = *room * 2 + 4;
        struct change *larger = arena_alloc(a, wanted * sizeof(*larger));
        if (*count > 0) {
            memcpy(larger, *list, *count * sizeof(*larger));
        }
        *list = larger;
        *room = wanted;
    }
    (*list)[(*count)++] = *c;
}

static void take(struct event_reader *r, const struct record *in, const char *place)
{
    struct event_list *to = r->list;
    struct fail f;
    if (in->name.len == 0) {
        event_refuse(r, "%s: the name of the event is missing", place);
        return;
    }
    enum event_what what = event_what(in->source, in->name);
    if (what == EVENT_IGNORED) {
        to->ignored_name = to->ignored++ == 0 ? in->name : to->ignored_name;
        return;
    }
    struct change c = make_change(r, in, what);
    if (change_check(&c, &f) != 0) {
        event_refuse(r, "%s: %s", place, f.text);
    } else if (span_starts_with(c.key, span_str(OWN_PREFIX))) {
        push(r->a, &to->own, &to->own_count, &r->own_room, &c);
    } else {
        push(r->a, &to->changes, &to->count, &r->room, &c);
    }
}

/* ---- dialects ---- */

static const struct {
    const char *name;
    enum event_source source;
} sources[] = {{"aws:s3", EVENT_AWS}, {"minio:s3", EVENT_MINIO}, {"ceph:s3", EVENT_CEPH}};

/* Ceph called itself aws:s3 until Octopus; only Ceph tells the id of a bucket. */
static enum event_source source_of(struct span name, const struct doc *bucket)
{
    if (doc_get(bucket, "id") != NULL) {
        return EVENT_CEPH;
    }
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        if (span_eq_str(name, sources[i].name)) {
            return sources[i].source;
        }
    }
    return EVENT_SOURCES;
}

/* Major version 2; minor ones only add members. */
static bool is_known_version(struct span version)
{
    return version.ptr == NULL || span_starts_with(version, span_str("2."));
}

static void read_record(struct event_reader *r, const struct doc *event, const char *place)
{
    const struct doc *s3 = doc_get(event, "s3");
    const struct doc *bucket = doc_get(s3, "bucket");
    const struct doc *object = doc_get(s3, "object");
    struct record in = {
        .source = source_of(event_text(event, "eventSource"), bucket),
        .name = event_text(event, "eventName"),
        .time = event_text(event, "eventTime"),
        .bucket = event_text(bucket, "name"),
        .key = event_text(object, "key"),
        .version_id = event_text(object, "versionId"),
        .etag = event_text(object, "eTag"),
        .size = event_text(object, "size"),
        .sequencer = event_text(object, "sequencer"),
    };
    if (in.source == EVENT_SOURCES) {
        event_refuse(r, "%s: eventSource is none of aws:s3, minio:s3, ceph:s3", place);
    } else if (!is_known_version(event_text(event, "eventVersion"))) {
        event_refuse(r, "%s: eventVersion is not 2.x", place);
    } else {
        take(r, &in, place);
    }
}

void event_read_oss(struct event_reader *r, const struct doc *event, const char *place)
{
    const struct doc *oss = doc_get(event, "oss");
    const struct doc *object = doc_get(oss, "object");
    struct record in = {
        .source = EVENT_OSS,
        .name = event_text(event, "eventName"),
        .time = event_text(event, "eventTime"),
        .bucket = event_text(doc_get(oss, "bucket"), "name"),
        .key = event_text(object, "key"),
        .etag = event_text(object, "eTag"),
        .size = event_text(object, "size"),
    };
    take(r, &in, place);
}

void event_read_bridge(struct event_reader *r, const struct doc *event)
{
    const struct doc *detail = doc_get(event, "detail");
    const struct doc *object = doc_get(detail, "object");
    bool marker = span_eq_str(event_text(detail, "deletion-type"), "Delete Marker Created");
    struct record in = {
        .source = EVENT_BRIDGE,
        .name = marker ? span_str("ObjectRemoved:DeleteMarkerCreated")
                       : event_text(event, "detail-type"),
        .time = event_text(event, "time"),
        .bucket = event_text(doc_get(detail, "bucket"), "name"),
        .key = event_text(object, "key"),
        .version_id = event_text(object, "version-id"),
        .etag = event_text(object, "etag"),
        .size = event_text(object, "size"),
        .sequencer = event_text(object, "sequencer"),
    };
    take(r, &in, "detail");
}

typedef void read_fn(struct event_reader *r, const struct doc *event, const char *place);

static void read_list(struct event_reader *r, const struct doc *list, const char *place,
                      read_fn *read)
{
    for (size_t i = 0; i < list->count; i++) {
        char at[64];
        snprintf(at, sizeof(at), "%s[%zu]", place, i);
        read(r, &list->items[i], at);
    }
}

void event_read_records(struct event_reader *r, const struct doc *list, const char *place)
{
    read_list(r, list, place, read_record);
}

void event_read_oss_list(struct event_reader *r, const struct doc *list, const char *place)
{
    read_list(r, list, place, event_read_oss);
}
