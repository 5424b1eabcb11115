#include "daemon/feeds/setup.h"

#include "transfer/store/uri.h"
#include "transfer/store/xml.h"

#include <stdio.h>

#define MINIO_ARN     "arn:minio:sqs::REPLD:webhook"
#define CANARY_PREFIX "_repl/canary/"

static const char *const sender_names[] = {[SETUP_UNKNOWN] = "unknown",
                                           [SETUP_MINIO] = "minio",
                                           [SETUP_RGW] = "rgw",
                                           [SETUP_AWS] = "aws",
                                           [SETUP_OSS] = "oss"};

const char *setup_sender_name(enum setup_sender sender)
{
    return sender_names[sender];
}

int setup_sender_parse(const char *name, enum setup_sender *ret)
{
    for (enum setup_sender s = SETUP_MINIO; s <= SETUP_OSS; s++) {
        if (strcmp(sender_names[s], name) == 0) {
            *ret = s;
            return 0;
        }
    }
    return REPL_EBADINPUT;
}

enum setup_sender setup_sender_of(const struct conf_endpoint *endpoint)
{
    return strstr(endpoint->url, ".amazonaws.com") != NULL  ? SETUP_AWS
           : strstr(endpoint->url, ".aliyuncs.com") != NULL ? SETUP_OSS
                                                            : SETUP_UNKNOWN;
}

/* "0.0.0.0:8443", "[::]:8443", ":8443": nobody can send there. */
static bool is_every_address(const char *listen)
{
    static const char *const hosts[] = {"", "0.0.0.0", "[::]", "[::0]", "*"};
    const char *colon = strrchr(listen, ':');
    struct span host = span_of(listen, colon != NULL ? (size_t)(colon - listen) : strlen(listen));
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        if (span_eq_str(host, hosts[i])) {
            return true;
        }
    }
    return false;
}

int setup_hook_url(const struct conf_webhook *conf, const char *address, struct buf *to,
                   struct fail *f)
{
    const char *scheme = conf->certificate != NULL ? "https" : "http";
    if (conf->url != NULL) {
        size_t n = strlen(conf->url);
        buf_append(to, conf->url, conf->url[n - 1] == '/' ? n - 1 : n);
        return 0;
    }
    address = address != NULL ? address : conf->listen;
    if (is_every_address(address)) {
        const char *port = strrchr(address, ':');
        fail_set(f, REPL_EBADINPUT, "the webhook listens on every address of this host (%s)",
                 address);
        fail_hint(f,
                  "say by which one the sender reaches it: webhook: {url: \"%s://HOST%s\"} in "
                  "repld.yaml, then replctl reload",
                  scheme, port != NULL ? port : "");
        return REPL_EBADINPUT;
    }
    buf_printf(to, "%s://%s", scheme, address);
    return 0;
}

/* ---- commands ---- */

static bool has_token(const struct setup *s)
{
    const struct conf_token *t = &s->source->token;
    return t->file != NULL || t->environment != NULL || t->systemd != NULL;
}

static void where_the_token_is(const struct setup *s, struct buf *to)
{
    const struct conf_token *t = &s->source->token;
    if (t->file != NULL) {
        buf_printf(to, "TOKEN=$(head -n 1 %s)\n", t->file);
    } else if (t->environment != NULL) {
        buf_printf(to, "TOKEN=$%s\n", t->environment);
    } else if (t->systemd != NULL) {
        buf_printf(to, "TOKEN=...   # what the credential %s of the service holds\n", t->systemd);
    }
}

static void push_url(const struct setup *s, struct buf *to)
{
    buf_printf(to, "%s%s%s", s->hook_url, s->source->path, has_token(s) ? "/$TOKEN" : "");
}

static const char *arn_of(const struct setup *s)
{
    return s->arn != NULL ? s->arn : MINIO_ARN;
}

static bool wants_deletes(const struct setup *s)
{
    return s->rule->deletes != RULE_DELETES_IGNORE;
}

/* Canaries are outside of a prefix. */
static bool wants_canary_entry(const struct setup *s)
{
    return s->source->canary && s->rule->source.prefix[0] != '\0';
}

static void minio_event(const struct setup *s, const char *events, const char *prefix,
                        struct buf *to)
{
    buf_printf(to, "mc event add -p ALIAS/%s " MINIO_ARN " --event %s", s->rule->source.bucket,
               events);
    if (prefix[0] != '\0') {
        buf_printf(to, " --prefix '%s'", prefix);
    }
    buf_char(to, '\n');
}

static void minio_commands(const struct setup *s, struct buf *to)
{
    const char *auth = has_token(s) ? " auth_token=\"$TOKEN\"" : "";
    buf_printf(to,
               "# MinIO: without queue_dir events are lost while repld is away.\n"
               "mc admin config set ALIAS notify_webhook:REPLD endpoint=%s%s%s"
               " queue_dir=/var/lib/minio/repld-queue queue_limit=1000000\n"
               "mc admin service restart ALIAS --json; sleep 5; mc ready ALIAS\n"
               "# The same by the environment of every server:\n"
               "#   MINIO_NOTIFY_WEBHOOK_ENABLE_REPLD=on\n"
               "#   MINIO_NOTIFY_WEBHOOK_ENDPOINT_REPLD=%s%s\n"
               "#   MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_REPLD=$TOKEN\n"
               "#   MINIO_NOTIFY_WEBHOOK_QUEUE_DIR_REPLD=/var/lib/minio/repld-queue\n"
               "#   MINIO_NOTIFY_WEBHOOK_QUEUE_LIMIT_REPLD=1000000\n",
               s->hook_url, s->source->path, auth, s->hook_url, s->source->path);
    minio_event(s, wants_deletes(s) ? "put,delete,ilm" : "put", s->rule->source.prefix, to);
    if (wants_canary_entry(s)) {
        minio_event(s, "put", CANARY_PREFIX, to);
    }
    buf_printf(to, "# or, instead of mc event add: replctl feed setup %s --for minio --apply\n",
               s->rule->name);
}

static void put_command(const struct setup *s, const char *arn, struct buf *to)
{
    buf_printf(to,
               "# The bucket's configuration is replaced as a whole by\n"
               "#   aws s3api put-bucket-notification-configuration\n"
               "# so let repld read it, add its own and write it back:\n"
               "replctl feed setup %s --for %s --apply%s%s\n",
               s->rule->name, setup_sender_name(s->sender), arn[0] != '\0' ? " --arn " : "", arn);
}

static void rgw_commands(const struct setup *s, struct buf *to)
{
    buf_printf(
        to,
        "# Ceph RGW: rgw_enable_apis must have notifications. persistent keeps events while\n"
        "# repld is away; a full queue then makes writes to the bucket fail.\n"
        "aws --endpoint-url %s sns create-topic --name repld-%s --attributes \\\n"
        "  \"{\\\"push-endpoint\\\":\\\"",
        s->endpoint->url, s->source->name);
    push_url(s, to);
    buf_str(to, "\\\",\\\"persistent\\\":\\\"true\\\"}\"\n");
    buf_printf(to, "# The next does that too:\n");
    put_command(s, "", to);
}

static void aws_commands(const struct setup *s, struct buf *to)
{
    const char *region = s->endpoint->region != NULL ? s->endpoint->region : "REGION";
    const char *bucket = s->rule->source.bucket;
    buf_printf(to,
               "# AWS by SNS; https only. Its policy must let s3.amazonaws.com publish from\n"
               "# arn:aws:s3:::%s. A dead-letter queue keeps what cannot be delivered for long.\n"
               "aws --region %s sns create-topic --name repld-%s\n"
               "aws --region %s sns subscribe --protocol https --topic-arn TOPIC_ARN \\\n"
               "  --notification-endpoint \"",
               bucket, region, s->source->name, region);
    push_url(s, to);
    buf_str(to, "\"\n# repld confirms the subscription by itself.\n");
    put_command(s, "TOPIC_ARN", to);
    buf_printf(to,
               "# Or by EventBridge: switch it on for the bucket, then a rule with the pattern\n"
               "#   {\"source\":[\"aws.s3\"],\"detail\":{\"bucket\":{\"name\":[\"%s\"]}}}\n"
               "# and an API destination POST %s%s whose connection sends\n"
               "# the header Authorization: Bearer $TOKEN.\n",
               bucket, s->hook_url, s->source->path);
}

static void oss_commands(const struct setup *s, struct buf *to)
{
    buf_printf(
        to,
        "# OSS by MNS/SMQ: a topic with an HTTP subscription to the URL below, then an event\n"
        "# notification rule of bucket %s to that topic%s%s%s.\n#   ",
        s->rule->source.bucket, s->rule->source.prefix[0] != '\0' ? ", prefix " : "",
        s->rule->source.prefix,
        wants_canary_entry(s) ? ",\n# and another one, prefix " CANARY_PREFIX : "");
    push_url(s, to);
    buf_str(to, "\n# Events: ObjectCreated:PutObject, PostObject, CopyObject, AppendObject,\n"
                "#   CompleteMultipartUpload");
    buf_str(to, wants_deletes(s) ? "; ObjectRemoved:DeleteObject, DeleteObjects\n" : "\n");
    buf_str(to, "# Lifecycle deletions are not told: let the rule scan.\n");
}

void setup_commands(const struct setup *s, struct buf *to)
{
    static const struct {
        enum setup_sender sender;
        void (*write)(const struct setup *s, struct buf *to);
    } senders[] = {{SETUP_MINIO, minio_commands},
                   {SETUP_RGW, rgw_commands},
                   {SETUP_AWS, aws_commands},
                   {SETUP_OSS, oss_commands}};
    where_the_token_is(s, to);
    for (size_t i = 0; i < sizeof(senders) / sizeof(senders[0]); i++) {
        /* Whose host does not tell may be either of the first two. */
        if (s->sender == senders[i].sender || (s->sender == SETUP_UNKNOWN && i < 2)) {
            struct setup one = *s;
            one.sender = senders[i].sender;
            buf_str(to, "\n");
            senders[i].write(&one, to);
        }
    }
    buf_str(to, "\n# Objects that were written before events came are found by a scan");
    if (!s->rule->existing) {
        buf_printf(to,
                   "; those older than the\n# rule only after replctl rule update %s --existing",
                   s->rule->name);
    }
    buf_printf(to, ":\nreplctl scan start %s\n", s->rule->name);
}

void setup_explain(const struct setup *s, struct fail *f)
{
    if (s->sender == SETUP_MINIO && strstr(f->text, "destination ARN") != NULL) {
        fail_hint(
            f,
            "MinIO has no target %s yet: the first two mc commands that replctl feed setup %s "
            "--for minio prints make it",
            arn_of(s), s->rule->name);
    }
}

/* ---- the topic of RGW ---- */

static void form_pair(struct buf *to, const char *name, struct span value)
{
    buf_str(to, to->len > 0 ? "&" : "");
    uri_encode(to, span_str(name), false);
    buf_char(to, '=');
    uri_encode(to, value, false);
}

void setup_topic_form(const struct setup *s, const char *token, struct buf *to)
{
    struct buf text = {0};
    form_pair(to, "Action", span_str("CreateTopic"));
    buf_printf(&text, "repld-%s", s->source->name);
    form_pair(to, "Name", buf_view(&text));
    buf_reset(&text);
    buf_printf(&text, "%s%s%s%s", s->hook_url, s->source->path, token != NULL ? "/" : "",
               token != NULL ? token : "");
    form_pair(to, "Attributes.entry.1.key", span_str("push-endpoint"));
    form_pair(to, "Attributes.entry.1.value", buf_view(&text));
    form_pair(to, "Attributes.entry.2.key", span_str("persistent"));
    form_pair(to, "Attributes.entry.2.value", span_str("true"));
    if (text.data != NULL) {
        explicit_bzero(text.data, text.cap);
    }
    buf_done(&text);
}

struct arn_reader {
    struct arena *a;
    struct span arn;
};

static void arn_end(void *arg, const char *path, struct span text)
{
    struct arn_reader *r = arg;
    const char *last = strrchr(path, '/');
    if (last != NULL && strcmp(last, "/TopicArn") == 0) {
        r->arn = arena_span(r->a, text);
    }
}

int setup_topic_arn(struct span answer, struct arena *a, struct span *ret, struct fail *f)
{
    static const struct xml_handler handler = {.end = arn_end};
    struct arn_reader r = {.a = a};
    if (xml_parse(answer, &handler, &r) != 0 || r.arn.len == 0) {
        return fail_set(f, REPL_EPROTO, "CreateTopic: the answer has no TopicArn");
    }
    *ret = r.arn;
    return 0;
}

/* ---- the bucket's configuration ---- */

/* Copies the configuration entry by entry, and leaves out those whose Id is ours. */
struct merger {
    const char *ours; /* "repld-RULE" */
    struct buf *to;
    struct buf entry; /* child of the root that is being read */
    unsigned depth;
    bool open; /* the last thing written is a start tag */
    bool is_ours;
};

static const char *last_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static void merge_start(void *arg, const char *path)
{
    struct merger *m = arg;
    if (m->depth++ == 0) {
        return;
    }
    buf_printf(&m->entry, "<%s>", last_name(path));
    m->open = true;
}

static bool is_our_id(const struct merger *m, struct span id)
{
    size_t n = strlen(m->ours);
    return span_eq_str(id, m->ours) ||
           (id.len == n + 7 && span_starts_with(id, span_str(m->ours)) &&
            memcmp(id.ptr + n, "-canary", 7) == 0);
}

static void merge_end(void *arg, const char *path, struct span text)
{
    struct merger *m = arg;
    m->depth--;
    if (m->depth == 0) {
        return;
    }
    if (m->open && m->entry.len > 0) {
        /* A leaf: written again with its text escaped. */
        m->entry.len = (size_t)(strrchr(m->entry.data, '<') - m->entry.data);
        xml_element(&m->entry, last_name(path), text.ptr != NULL ? text : span_str(""));
        m->is_ours = m->is_ours ||
                     (m->depth == 2 && strcmp(last_name(path), "Id") == 0 && is_our_id(m, text));
    } else {
        buf_printf(&m->entry, "</%s>", last_name(path));
    }
    m->open = false;
    if (m->depth == 1) {
        if (!m->is_ours) {
            buf_span(m->to, buf_view(&m->entry));
        }
        buf_reset(&m->entry);
        m->is_ours = false;
    }
}

static void add_entry(const struct setup *s, const char *id_tail, const char *prefix,
                      struct buf *to)
{
    const bool minio = s->sender == SETUP_MINIO;
    const char *kind = minio ? "QueueConfiguration" : "TopicConfiguration";
    struct buf id = {0};
    buf_printf(&id, "repld-%s%s", s->rule->name, id_tail);
    buf_printf(to, "<%s>", kind);
    xml_element(to, "Id", buf_view(&id));
    xml_element(to, minio ? "Queue" : "Topic", span_str(arn_of(s)));
    xml_element(to, "Event", span_str("s3:ObjectCreated:*"));
    if (wants_deletes(s)) {
        xml_element(to, "Event", span_str("s3:ObjectRemoved:*"));
    }
    if (wants_deletes(s) && s->sender == SETUP_AWS) {
        xml_element(to, "Event", span_str("s3:LifecycleExpiration:*"));
    }
    if (prefix[0] != '\0') {
        buf_str(to, "<Filter><S3Key><FilterRule><Name>prefix</Name>");
        xml_element(to, "Value", span_str(prefix));
        buf_str(to, "</FilterRule></S3Key></Filter>");
    }
    buf_printf(to, "</%s>", kind);
    buf_done(&id);
}

int setup_merge(const struct setup *s, struct span now, struct buf *to, struct fail *f)
{
    static const struct xml_handler handler = {.start = merge_start, .end = merge_end};
    struct buf ours = {0};
    const char *prefix = s->rule->source.prefix;
    int status = 0;
    buf_printf(&ours, "repld-%s", s->rule->name);
    struct merger m = {.ours = buf_cstr(&ours), .to = to};
    buf_str(to, "<NotificationConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    if (now.len > 0 && xml_parse(now, &handler, &m) != 0) {
        status = fail_set(f, REPL_EPROTO, "the bucket's notification configuration is no XML");
    }
    add_entry(s, "", prefix, to);
    if (wants_canary_entry(s)) {
        add_entry(s, "-canary", CANARY_PREFIX, to);
    }
    buf_str(to, "</NotificationConfiguration>");
    buf_done(&m.entry);
    buf_done(&ours);
    return status;
}
