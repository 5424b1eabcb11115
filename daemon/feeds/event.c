/* The envelopes: what kind of body it is, and what is in it. */
#include "daemon/feeds/event.h"

#include "daemon/base/base64.h"
#include "daemon/feeds/event_impl.h"
#include "transfer/store/xml.h"

#include <stdarg.h>
#include <stdio.h>

#define ENVELOPES_MAX 4 /* texts within texts: MNS, base64, JSON, and one to spare */

static void read_text(struct event_reader *r, struct span text);
static void read_map(struct event_reader *r, const struct doc *map);

/* ---- for all files of event ---- */

struct span event_text(const struct doc *map, const char *name)
{
    const struct doc *member = doc_get(map, name);
    bool scalar = member != NULL && (member->kind == DOC_TEXT || member->kind == DOC_BOOL);
    return scalar ? member->text : (struct span){0};
}

void event_refuse(struct event_reader *r, const char *format, ...)
{
    char text[sizeof(r->f->text)];
    va_list args;
    if (r->status != 0) {
        return;
    }
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    r->status = fail_set(r->f, REPL_EBADINPUT, "%s%s", r->envelopes > 1 ? "message: " : "", text);
}

/* ---- SNS ---- */

static const struct {
    const char *name;
    size_t offset;
} sns_members[] = {
    {"Message", offsetof(struct event_sns, message)},
    {"MessageId", offsetof(struct event_sns, message_id)},
    {"Subject", offsetof(struct event_sns, subject)},
    {"Timestamp", offsetof(struct event_sns, timestamp)},
    {"Token", offsetof(struct event_sns, token)},
    {"TopicArn", offsetof(struct event_sns, topic_arn)},
    {"Type", offsetof(struct event_sns, type)},
    {"Signature", offsetof(struct event_sns, signature)},
    {"SignatureVersion", offsetof(struct event_sns, signature_version)},
    {"SigningCertURL", offsetof(struct event_sns, signing_cert_url)},
    {"SubscribeURL", offsetof(struct event_sns, subscribe_url)},
};

static const char *const sns_types[] = {
    [EVENT_SNS_NOTIFICATION] = "Notification",
    [EVENT_SNS_CONFIRM] = "SubscriptionConfirmation",
    [EVENT_SNS_UNSUBSCRIBED] = "UnsubscribeConfirmation",
};
#define SNS_TYPES (sizeof(sns_types) / sizeof(sns_types[0]))

static void read_sns(struct event_reader *r, const struct doc *map)
{
    struct event_sns *sns = arena_alloc(r->a, sizeof(*sns));
    size_t kind = 0;
    for (size_t i = 0; i < sizeof(sns_members) / sizeof(sns_members[0]); i++) {
        struct span text = event_text(map, sns_members[i].name);
        memcpy((char *)sns + sns_members[i].offset, &text, sizeof(text));
    }
    while (kind < SNS_TYPES && !span_eq_str(sns->type, sns_types[kind])) {
        kind++;
    }
    if (kind == SNS_TYPES) {
        event_refuse(r, "Type is none that SNS has");
        return;
    }
    sns->kind = (enum event_sns_kind)kind;
    r->list->sns = r->list->sns == NULL ? sns : r->list->sns;
    if (sns->kind == EVENT_SNS_NOTIFICATION) {
        read_text(r, sns->message);
    }
}

/* ---- CloudEvents ---- */

static void read_cloud_event(struct event_reader *r, const struct doc *map)
{
    const struct doc *data = doc_get(map, "data");
    struct span encoded = event_text(map, "data_base64");
    if (encoded.ptr != NULL) {
        read_text(r, encoded);
    } else if (data == NULL || data->kind != DOC_MAP) {
        read_text(r, event_text(map, "data"));
    } else if (doc_get(data, "oss") != NULL) {
        event_read_oss(r, data, "data");
    } else {
        read_map(r, data);
    }
}

/* ---- JSON ---- */

static bool is_s3_test(const struct doc *map)
{
    return span_eq_str(event_text(map, "Event"), "s3:TestEvent");
}

static bool is_list(const struct doc *member)
{
    return member != NULL && member->kind == DOC_LIST;
}

static void read_map(struct event_reader *r, const struct doc *map)
{
    const struct doc *records = doc_get(map, "Records");
    const struct doc *events = doc_get(map, "events");
    if (is_list(records)) {
        event_read_records(r, records, "Records");
    } else if (is_list(events)) {
        event_read_oss_list(r, events, "events");
    } else if (doc_get(map, "detail-type") != NULL) {
        event_read_bridge(r, map);
    } else if (doc_get(map, "specversion") != NULL) {
        read_cloud_event(r, map);
    } else if (doc_get(map, "Type") != NULL && doc_get(map, "TopicArn") != NULL) {
        read_sns(r, map);
    } else if (doc_get(map, "Message") != NULL) {
        read_text(r, event_text(map, "Message"));
    } else if (is_s3_test(map)) {
        r->list->tests++;
    } else {
        event_refuse(r, "no kind of notification that repld knows");
    }
}

/* Values cost far more memory than their text does. An upper bound: texts may hold commas. */
static size_t count_values(struct span text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        n += text.ptr[i] == ',' || text.ptr[i] == '[' || text.ptr[i] == '{';
    }
    return n;
}

static void read_json(struct event_reader *r, struct span text)
{
    struct doc root;
    struct fail f;
    r->values += count_values(text);
    if (r->values > EVENT_VALUES_MAX) {
        event_refuse(r, "more than %d values", EVENT_VALUES_MAX);
        return;
    }
    if (doc_from_json(text, r->a, &root, &f) != 0) {
        event_refuse(r, "%s", f.text);
        return;
    }
    for (size_t i = 0; root.kind == DOC_LIST && i < root.count; i++) {
        read_map(r, &root.items[i]);
    }
    if (root.kind == DOC_MAP) {
        read_map(r, &root);
    }
}

/* ---- XML of MNS, and base64 ---- */

struct mns {
    struct arena *a;
    struct span message;
};

static void mns_end(void *arg, const char *path, struct span text)
{
    struct mns *m = arg;
    if (strcmp(path, "Notification/Message") == 0) {
        m->message = arena_span(m->a, text);
    }
}

static void read_xml(struct event_reader *r, struct span text)
{
    static const struct xml_handler handler = {.end = mns_end};
    struct mns m = {.a = r->a};
    if (xml_parse(text, &handler, &m) != 0 || m.message.ptr == NULL) {
        event_refuse(r, "XML without a Notification/Message");
        return;
    }
    read_text(r, m.message);
}

static void read_base64(struct event_reader *r, struct span text)
{
    struct buf bytes = {0};
    struct span inner = {0};
    if (base64_decode(text, &bytes) == 0 && bytes.len > 0) {
        inner = arena_span(r->a, buf_view(&bytes));
    }
    buf_done(&bytes);
    if (inner.ptr == NULL || memchr("{[<", inner.ptr[0], 3) == NULL) {
        event_refuse(r, "neither JSON nor XML, nor either of them in base64");
        return;
    }
    read_text(r, inner);
}

static struct span without_blanks(struct span s)
{
    static const char blanks[] = " \t\r\n";
    while (s.len > 0 && memchr(blanks, s.ptr[0], sizeof(blanks) - 1) != NULL) {
        s = span_skip(s, 1);
    }
    while (s.len > 0 && memchr(blanks, s.ptr[s.len - 1], sizeof(blanks) - 1) != NULL) {
        s.len--;
    }
    return s;
}

static void read_text(struct event_reader *r, struct span text)
{
    if (r->envelopes == ENVELOPES_MAX) {
        event_refuse(r, "too many envelopes around it");
        return;
    }
    text = without_blanks(text);
    char first = text.len > 0 ? text.ptr[0] : '\0';
    r->envelopes++;
    if (first == '{' || first == '[') {
        read_json(r, text);
    } else if (first == '<') {
        read_xml(r, text);
    } else {
        read_base64(r, text);
    }
    r->envelopes--;
}

int event_parse(struct span body, const struct event_options *o, struct arena *a,
                struct event_list *ret, struct fail *f)
{
    struct event_reader r = {.options = o, .a = a, .list = ret, .f = f};
    memset(ret, 0, sizeof(*ret));
    if (body.len > EVENT_BODY_MAX) {
        return fail_set(f, REPL_EBADINPUT, "the body is larger than %zu bytes", EVENT_BODY_MAX);
    }
    read_text(&r, body);
    return r.status;
}
