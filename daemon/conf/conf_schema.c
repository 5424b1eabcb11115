#include "daemon/conf/conf_schema.h"

#include "daemon/conf/check.h"
#include "daemon/conf/conf.h"
#include "daemon/conf/levels.h"

#define MIB    ((uint64_t)1 << 20)
#define SECOND ((uint64_t)1000)
#define DAY    (SECOND * 86400)

#define CONF(member)     .offset = offsetof(struct conf, member)
#define ENDPOINT(member) .offset = offsetof(struct conf_endpoint, member)
#define WAY(member)      .offset = offsetof(struct conf_path, member)
#define SOURCE(member)   .offset = offsetof(struct conf_source, member)
#define EVENTS(member)   .offset = offsetof(struct conf_events, member)
#define OUTBOX(member)   .offset = offsetof(struct conf_outbox, member)
#define QUEUE(member)    .offset = offsetof(struct conf_queue, member)

static const char *const kinds[] = {"s3", NULL};
static const char *const addressings[] = {"path", "virtual-host", NULL};
static const char *const checks[] = {"auto", "crc64nvme", "crc32c", "sha256", "md5", NULL};
/* In the order of their enums. */
static const char *const https[] = {"auto", "1.1", "2", NULL};
static const char *const uses[] = {"auto", "always", "never", NULL};
static const char *const levels[] = {"error", "warning", "notice", "info", "debug", "trace", NULL};
static const char *const formats[] = {"auto", "text", "json", "journald", NULL};

#define CREDENTIALS(of)                                                                            \
    {"environment", SCHEMA_TEXT, of(written.environment), .hidden = true,                          \
     .check = check_prefix_of_env},                                                                \
        {"profile", SCHEMA_TEXT, of(written.profile), .hidden = true, .check = check_word},        \
        {"file",         SCHEMA_TEXT,         of(written.file),                                    \
         .hidden = true, .check = check_path, .file = SCHEMA_FILE_LATER},                          \
        {"systemd", SCHEMA_TEXT, of(written.systemd), .hidden = true, .check = check_word},        \
        {"anonymous", SCHEMA_BOOL, of(written.anonymous), .hidden = true},                         \
    {                                                                                              \
        0                                                                                          \
    }

static const struct schema_key credentials_schema[] = {CREDENTIALS(ENDPOINT)};
static const struct schema_key queue_credentials_schema[] = {CREDENTIALS(QUEUE)};

static const struct schema_key path_schema[] = {
    {"url", SCHEMA_TEXT, WAY(url), .hidden = true, .check = check_url},
    {"addressing", SCHEMA_SWITCH, WAY(virtual_host), .words = addressings, .preset = "path"},
    {"use", SCHEMA_CHOICE, WAY(use), .words = uses, .preset = "auto"},
    {"cost", SCHEMA_TEXT, WAY(cost), .check = check_word, .preset = "default"},
    {0},
};

static const struct schema_key endpoint_schema[] = {
    {"kind", SCHEMA_WORD, ENDPOINT(kind), .words = kinds, .preset = "s3"},
    {"url", SCHEMA_TEXT, ENDPOINT(url), .required = true, .hidden = true, .check = check_url},
    {"region", SCHEMA_TEXT, ENDPOINT(region), .check = check_region},
    {"addressing", SCHEMA_SWITCH, ENDPOINT(virtual_host), .words = addressings, .preset = "path"},
    {"ca_file", SCHEMA_TEXT, ENDPOINT(ca_file), .check = check_path, .file = SCHEMA_FILE_START},
    {"tls_verify", SCHEMA_BOOL_NOT, ENDPOINT(tls_insecure), .preset = "true"},
    {"credentials", SCHEMA_GROUP, .keys = credentials_schema},
    {"connections", SCHEMA_COUNT, ENDPOINT(connections), .min = 1, .max = 256, .preset = "256"},
    {"congestion", SCHEMA_TEXT, ENDPOINT(congestion), .check = check_congestion, .preset = "auto"},
    {"http", SCHEMA_CHOICE, ENDPOINT(http), .words = https, .preset = "auto"},
    {"check", SCHEMA_WORD, ENDPOINT(check), .words = checks, .preset = "auto"},
    {"reupload_safe", SCHEMA_BOOL, ENDPOINT(reupload_safe)},
    {"bandwidth", SCHEMA_PARSED, ENDPOINT(bandwidth), .parse = limit_parse_bandwidth,
     .format = limit_print, .preset = "off"},
    {"requests", SCHEMA_PARSED, ENDPOINT(requests), .parse = limit_parse_requests,
     .format = limit_print, .preset = "off"},
    {"paths", SCHEMA_TABLE, ENDPOINT(written_paths),
     .count_offset = offsetof(struct conf_endpoint, written_path_count), .keys = path_schema,
     .entry_size = sizeof(struct conf_path), .name_offset = offsetof(struct conf_path, name),
     .check = check_endpoint_name},
    {0},
};

static const struct schema_key outbox_schema[] = {
    {"path", SCHEMA_TEXT, OUTBOX(path), .required = true, .check = check_path,
     .file = SCHEMA_FILE_SQLITE},
    {"endpoint", SCHEMA_TEXT, OUTBOX(endpoint), .check = check_endpoint_name},
    {"bucket", SCHEMA_TEXT, OUTBOX(bucket), .check = check_bucket},
    {"create", SCHEMA_BOOL, OUTBOX(create)},
    {"group", SCHEMA_TEXT, OUTBOX(group), .check = check_group},
    {"trim", SCHEMA_BOOL, OUTBOX(trim)},
    {0},
};

static const struct schema_key queue_schema[] = {
    {"endpoint", SCHEMA_TEXT, QUEUE(endpoint), .required = true, .check = check_endpoint_name},
    {"bucket", SCHEMA_TEXT, QUEUE(bucket), .check = check_bucket},
    {"url", SCHEMA_TEXT, QUEUE(url), .required = true, .hidden = true, .check = check_queue_url},
    {"region", SCHEMA_TEXT, QUEUE(region), .check = check_region},
    {"ca_file", SCHEMA_TEXT, QUEUE(ca_file), .check = check_path, .file = SCHEMA_FILE_LATER},
    {"tls_verify", SCHEMA_BOOL_NOT, QUEUE(tls_insecure), .preset = "true"},
    {"credentials", SCHEMA_GROUP, .keys = queue_credentials_schema},
    {"receivers", SCHEMA_COUNT, QUEUE(receivers), .min = 1, .max = CONF_RECEIVERS_MAX,
     .preset = "4"},
    {"visibility", SCHEMA_DURATION, QUEUE(visibility_ms), .min = 10 * SECOND, .max = DAY / 2,
     .preset = "1min"},
    {0},
};

static const struct schema_key token_schema[] = {
    {"environment", SCHEMA_TEXT, SOURCE(token.environment), .hidden = true,
     .check = check_variable},
    {"file", SCHEMA_TEXT, SOURCE(token.file), .hidden = true, .check = check_path,
     .file = SCHEMA_FILE_LATER},
    {"systemd", SCHEMA_TEXT, SOURCE(token.systemd), .hidden = true, .check = check_word},
    {0},
};

static const struct schema_key source_schema[] = {
    {"endpoint", SCHEMA_TEXT, SOURCE(endpoint), .required = true, .check = check_endpoint_name},
    {"bucket", SCHEMA_TEXT, SOURCE(bucket), .check = check_bucket},
    {"path", SCHEMA_TEXT, SOURCE(path), .hidden = true, .check = check_url_path},
    {"token", SCHEMA_GROUP, .keys = token_schema},
    {"late", SCHEMA_DURATION, SOURCE(late_ms), .min = SECOND, .max = 7 * DAY, .preset = "5min"},
    {"canary", SCHEMA_BOOL, SOURCE(canary)},
    {0},
};

#define SECRET(member)                                                                             \
    {"environment", SCHEMA_TEXT, EVENTS(member.environment), .hidden = true,                       \
     .check = check_variable},                                                                     \
        {"file",         SCHEMA_TEXT,         EVENTS(member.file),                                 \
         .hidden = true, .check = check_path, .file = SCHEMA_FILE_LATER},                          \
        {"systemd", SCHEMA_TEXT, EVENTS(member.systemd), .hidden = true, .check = check_word},     \
    {                                                                                              \
        0                                                                                          \
    }

static const struct schema_key event_token_schema[] = {SECRET(token)};
static const struct schema_key event_headers_schema[] = {SECRET(headers)};
static const struct schema_key event_secret_schema[] = {SECRET(secret)};

static const struct schema_key events_schema[] = {
    {"url", SCHEMA_TEXT, EVENTS(url), .required = true, .hidden = true, .check = check_post_url},
    {"ca_file", SCHEMA_TEXT, EVENTS(ca_file), .check = check_path, .file = SCHEMA_FILE_LATER},
    {"tls_verify", SCHEMA_BOOL_NOT, EVENTS(tls_insecure), .preset = "true"},
    {"token", SCHEMA_GROUP, .keys = event_token_schema},
    {"headers", SCHEMA_GROUP, .keys = event_headers_schema},
    {"secret", SCHEMA_GROUP, .keys = event_secret_schema},
    {"kinds", SCHEMA_TEXTS, EVENTS(kinds), .count_offset = offsetof(struct conf_events, kind_count),
     .min = 1, .check = check_event_kind},
    {"rules", SCHEMA_TEXTS, EVENTS(rules), .count_offset = offsetof(struct conf_events, rule_count),
     .min = 1, .check = check_rule_name},
    {"batch", SCHEMA_COUNT, EVENTS(batch), .min = 1, .max = 1000, .preset = "100"},
    {"queue", SCHEMA_COUNT, EVENTS(queue), .min = 10, .max = 10000000, .preset = "100000"},
    {0},
};

static const struct schema_key webhook_schema[] = {
    {"listen", SCHEMA_TEXT, CONF(webhook.listen), .check = check_listen},
    {"url", SCHEMA_TEXT, CONF(webhook.url), .check = check_url},
    {"certificate", SCHEMA_TEXT, CONF(webhook.certificate), .check = check_path,
     .file = SCHEMA_FILE_START},
    {"key", SCHEMA_TEXT, CONF(webhook.key), .check = check_path, .file = SCHEMA_FILE_START},
    {"client_ca", SCHEMA_TEXT, CONF(webhook.client_ca), .check = check_path,
     .file = SCHEMA_FILE_START},
    {"max_body", SCHEMA_BYTES, CONF(webhook.max_body_bytes), .min = 4096, .max = MIB,
     .preset = "1MiB"},
    {"rate", SCHEMA_PARSED, CONF(webhook.rate), .parse = limit_parse_requests,
     .format = limit_print, .preset = "off"},
    {"sources", SCHEMA_TABLE, CONF(webhook.sources),
     .count_offset = offsetof(struct conf, webhook.source_count), .keys = source_schema,
     .entry_size = sizeof(struct conf_source), .name_offset = offsetof(struct conf_source, name),
     .check = check_endpoint_name},
    {0},
};

static const struct schema_key journal_schema[] = {
    {"path", SCHEMA_TEXT, CONF(journal_path), .check = check_path},
    {"history", SCHEMA_DURATION, CONF(history_ms), .min = 0, .max = 3650 * DAY, .preset = "7d"},
    {0},
};

static const struct schema_key shares_schema[] = {
    {"fresh", SCHEMA_COUNT, CONF(shares.fresh), .min = 1, .max = 100, .preset = "60"},
    {"late", SCHEMA_COUNT, CONF(shares.late), .min = 1, .max = 100, .preset = "25"},
    {"backfill", SCHEMA_COUNT, CONF(shares.backfill), .min = 1, .max = 100, .preset = "15"},
    {0},
};

static const struct schema_key admin_schema[] = {
    {"socket", SCHEMA_TEXT, CONF(admin_socket), .check = check_path},
    {"group", SCHEMA_TEXT, CONF(admin_group), .check = check_group},
    {0},
};

static const struct schema_key metrics_schema[] = {
    {"listen", SCHEMA_TEXT, CONF(metrics_listen), .check = check_listen},
    {0},
};

static const struct schema_key log_schema[] = {
    {"level", SCHEMA_CHOICE, CONF(log_level), .words = levels, .preset = "notice"},
    {"levels", SCHEMA_PARSED, CONF(log_levels), .parse = levels_parse, .format = levels_print},
    {"format", SCHEMA_CHOICE, CONF(log_format), .words = formats, .preset = "auto"},
    {0},
};

const struct schema_key conf_schema[] = {
    {"instance", SCHEMA_TEXT, CONF(instance), .check = check_instance},
    {"journal", SCHEMA_GROUP, .keys = journal_schema},
    {"memory", SCHEMA_BYTES, CONF(memory_bytes), .min = 64 * MIB, .max = 1024 * 1024 * MIB,
     .preset = "512MiB"},
    {"copies", SCHEMA_COUNT, CONF(copies), .min = 1, .max = 4096, .preset = "512"},
    {"shares", SCHEMA_GROUP, .keys = shares_schema},
    {"part_max", SCHEMA_BYTES, CONF(part_max_bytes), .min = 5 * MIB, .max = 5120 * MIB,
     .preset = "64MiB"},
    {"admin", SCHEMA_GROUP, .keys = admin_schema},
    {"metrics", SCHEMA_GROUP, .keys = metrics_schema},
    {"log", SCHEMA_GROUP, .keys = log_schema},
    {"shutdown", SCHEMA_DURATION32, CONF(shutdown_ms), .min = SECOND, .max = 3600 * SECOND,
     .preset = "20s"},
    {"endpoints", SCHEMA_TABLE, CONF(endpoints),
     .count_offset = offsetof(struct conf, endpoint_count), .keys = endpoint_schema,
     .entry_size = sizeof(struct conf_endpoint),
     .name_offset = offsetof(struct conf_endpoint, name), .check = check_endpoint_name},
    {"outboxes", SCHEMA_TABLE, CONF(outboxes), .count_offset = offsetof(struct conf, outbox_count),
     .keys = outbox_schema, .entry_size = sizeof(struct conf_outbox),
     .name_offset = offsetof(struct conf_outbox, name), .check = check_endpoint_name},
    {"queues", SCHEMA_TABLE, CONF(queues), .count_offset = offsetof(struct conf, queue_count),
     .keys = queue_schema, .entry_size = sizeof(struct conf_queue),
     .name_offset = offsetof(struct conf_queue, name), .check = check_endpoint_name},
    {"webhook", SCHEMA_GROUP, .keys = webhook_schema},
    {"events", SCHEMA_TABLE, CONF(events), .count_offset = offsetof(struct conf, event_count),
     .keys = events_schema, .entry_size = sizeof(struct conf_events),
     .name_offset = offsetof(struct conf_events, name), .check = check_endpoint_name},
    {0},
};
