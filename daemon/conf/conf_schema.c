#include "daemon/conf/conf_schema.h"

#include "daemon/conf/check.h"
#include "daemon/conf/conf.h"

#define MIB    ((uint64_t)1 << 20)
#define SECOND ((uint64_t)1000)
#define DAY    (SECOND * 86400)

#define CONF(member)     .offset = offsetof(struct conf, member)
#define ENDPOINT(member) .offset = offsetof(struct conf_endpoint, member)
#define WAY(member)      .offset = offsetof(struct conf_path, member)
#define OUTBOX(member)   .offset = offsetof(struct conf_outbox, member)

static const char *const kinds[] = {"s3", NULL};
static const char *const addressings[] = {"path", "virtual-host", NULL};
static const char *const checks[] = {"auto", "crc64nvme", "crc32c", "sha256", "md5", NULL};
/* In the order of their enums. */
static const char *const https[] = {"auto", "1.1", "2", NULL};
static const char *const uses[] = {"auto", "always", "never", NULL};
static const char *const levels[] = {"error", "warning", "notice", "info", "debug", "trace", NULL};
static const char *const formats[] = {"auto", "text", "json", "journald", NULL};

static const struct schema_key credentials_schema[] = {
    {"environment", SCHEMA_TEXT, ENDPOINT(written.environment), .hidden = true,
     .check = check_prefix_of_env},
    {"profile", SCHEMA_TEXT, ENDPOINT(written.profile), .hidden = true, .check = check_word},
    {"file", SCHEMA_TEXT, ENDPOINT(written.file), .hidden = true, .check = check_path},
    {"systemd", SCHEMA_TEXT, ENDPOINT(written.systemd), .hidden = true, .check = check_word},
    {"anonymous", SCHEMA_BOOL, ENDPOINT(written.anonymous), .hidden = true},
    {0},
};

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
    {"ca_file", SCHEMA_TEXT, ENDPOINT(ca_file), .check = check_path},
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
    {"path", SCHEMA_TEXT, OUTBOX(path), .required = true, .check = check_path},
    {"endpoint", SCHEMA_TEXT, OUTBOX(endpoint), .check = check_endpoint_name},
    {"bucket", SCHEMA_TEXT, OUTBOX(bucket), .check = check_bucket},
    {"create", SCHEMA_BOOL, OUTBOX(create)},
    {"group", SCHEMA_TEXT, OUTBOX(group), .check = check_group},
    {"trim", SCHEMA_BOOL, OUTBOX(trim)},
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
    {"levels", SCHEMA_TEXT, CONF(log_levels), .check = check_levels},
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
    {0},
};
