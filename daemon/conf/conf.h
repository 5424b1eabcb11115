/* conf: the configuration file, read into an immutable snapshot. One schema table drives parsing,
 * units ("256MiB", "10min"), ranges, cross references, errors with line numbers, printing and the
 * check of the man page. A reload loads a new snapshot; the old one lives until it is let go. */
#ifndef REPL_CONF_CONF_H
#define REPL_CONF_CONF_H

#include "daemon/base/buf.h"
#include "daemon/base/fail.h"
#include "daemon/base/log.h"
#include "daemon/base/mem.h"
#include "daemon/conf/limit.h"

#include <stdbool.h>
#include <stdint.h>

enum conf_credentials {
    CONF_CREDS_ENV,
    CONF_CREDS_PROFILE,
    CONF_CREDS_FILE,
    CONF_CREDS_SYSTEMD,
    CONF_CREDS_ANONYMOUS
};

/* The key `credentials` as it was written; the members of conf_endpoint are made from it. */
struct conf_credentials_written {
    const char *environment;
    const char *profile;
    const char *file;
    const char *systemd;
    bool anonymous;
};

/* What is spoken over TLS: what the server offers, or one and nothing else. */
enum conf_http { CONF_HTTP_AUTO, CONF_HTTP_1, CONF_HTTP_2 };

enum conf_use { CONF_USE_AUTO, CONF_USE_ALWAYS, CONF_USE_NEVER };

/* A way to the endpoint: its own URL ("direct", always the first), or another one to the same
 * buckets, such as a provider's acceleration. */
struct conf_path {
    const char *name;
    const char *url; /* as written: NULL for "direct" */
    bool virtual_host;
    enum conf_use use;
    const char *cost; /* class that its bytes are counted under */
};

#define CONF_PATHS_MAX     4
#define CONF_RECEIVERS_MAX 16

struct conf_endpoint {
    const char *name; /* [a-z0-9][a-z0-9-]{0,62} */
    const char *kind; /* "s3" */
    const char *url;
    const char *region; /* NULL = ask */
    bool virtual_host;  /* addressing: virtual-host; default path */
    const char *ca_file;
    bool tls_insecure;                 /* tls_verify: false */
    enum conf_credentials credentials; /* default env */
    const char *credentials_name;      /* profile, env prefix or systemd credential */
    const char *credentials_file;
    unsigned credentials_line; /* of the configuration: where they stand, else where it begins */
    uint32_t connections;      /* lanes at most, over all paths; default 256, as memory allows */
    const char *congestion;    /* auto, or a congestion control of the kernel by name */
    enum conf_http http;
    const char *check; /* auto, crc64nvme, crc32c, sha256, md5 */
    bool reupload_safe;
    struct limit bandwidth; /* bytes a second of bodies sent to it; default off */
    struct limit requests;  /* a second; default off */
    struct conf_path *paths;
    size_t path_count;               /* 1 … CONF_PATHS_MAX */
    struct conf_path *written_paths; /* the key `paths`; `paths` above is made from it */
    size_t written_path_count;
    struct conf_credentials_written written;
};

struct conf_outbox {
    const char *name;
    const char *path;
    const char *endpoint; /* default of its rows; may be NULL */
    const char *bucket;
    bool create;
    const char *group;
    bool trim;
};

/* A queue of SQS with the notifications of one endpoint's buckets. */
struct conf_queue {
    const char *name;
    const char *endpoint; /* whose changes are in it */
    const char *bucket;   /* NULL: any of the endpoint */
    const char *url;      /* https://sqs.REGION.amazonaws.com/ACCOUNT/NAME */
    const char *region;   /* default: of the url's host, else us-east-1 */
    const char *ca_file;
    bool tls_insecure;                 /* tls_verify: false */
    enum conf_credentials credentials; /* default: the endpoint's */
    const char *credentials_name;
    const char *credentials_file;
    unsigned credentials_line; /* 0: it has none of its own */
    uint32_t receivers;        /* at most; default 4 */
    uint64_t visibility_ms;    /* messages in hand are hidden from others so long; default 1 min */
    struct conf_credentials_written written;
};

/* Where a sender of notifications proves who it is: one of them is written. */
struct conf_token {
    const char *environment; /* name of a variable */
    const char *file;        /* a token a line: with two of them one replaces the other */
    const char *systemd;     /* name of a credential, as such a file */
};

/* Notifications of the buckets of one endpoint, pushed by one sender. */
struct conf_source {
    const char *name;
    const char *endpoint;
    const char *bucket; /* NULL: any of the endpoint */
    const char *path;   /* of its requests; default "/NAME" */
    struct conf_token token;
    unsigned token_line; /* of the configuration: where it stands, else where the source begins */
    uint64_t late_ms;    /* how late its notifications may come; default 5 min */
    bool canary;         /* small objects of ours tell how late they come */
};

/* Who is told of events, by HTTP POST. */
struct conf_events {
    const char *name;
    const char *url;
    const char *ca_file;
    bool tls_insecure;         /* tls_verify: false */
    struct conf_token token;   /* Authorization: Bearer … */
    struct conf_token headers; /* lines of "Name: value" */
    struct conf_token secret;  /* key of the signature; none = not signed */
    const char **kinds;        /* none = all but "replicated" */
    size_t kind_count;
    const char **rules; /* by name; none = all */
    size_t rule_count;
    uint32_t batch; /* events in a request at most; default 100 */
    uint32_t queue; /* that wait at most; default 100,000 */
};

struct conf_webhook {
    const char *listen;      /* NULL = off */
    const char *url;         /* how senders reach it; NULL = by the address that it listens on */
    const char *certificate; /* PEM file; NULL = no TLS */
    const char *key;         /* default: in the file of the certificate */
    const char *client_ca;   /* senders must show a certificate of it; NULL = need not */
    uint64_t max_body_bytes; /* default 1 MiB */
    struct limit rate;       /* requests a second, of each source; default off */
    struct conf_source *sources;
    size_t source_count;
};

/* How classes of work share what they compete for: relative to each other. */
struct conf_shares {
    uint32_t fresh;
    uint32_t late;
    uint32_t backfill;
};

struct conf {
    struct arena arena; /* owns everything below */
    const char *file;
    const char *instance;     /* default: host name */
    const char *journal_path; /* default $STATE_DIRECTORY/journal.db or /var/lib/repld/journal.db */
    uint64_t memory_bytes;    /* budget; default 512 MiB, at least 64 MiB */
    uint32_t copies;          /* objects in work at a time; default 512 */
    struct conf_shares shares; /* default 60, 25, 15; each 1 … 100 */
    uint64_t part_max_bytes;   /* default 64 MiB */
    uint64_t history_ms;       /* default 7 d */
    const char
        *admin_socket; /* default $RUNTIME_DIRECTORY/control.sock or /run/repld/control.sock */
    const char *admin_group;    /* may use the socket besides root and repld; NULL = none */
    const char *metrics_listen; /* "127.0.0.1:9815"; NULL = off */
    enum log_level log_level;
    const char *log_levels; /* "copy=debug,…" or NULL */
    enum log_format log_format;
    uint32_t shutdown_ms; /* limit of finishing at SIGTERM; default 20 s */
    struct conf_endpoint *endpoints;
    size_t endpoint_count;
    struct conf_outbox *outboxes;
    size_t outbox_count;
    struct conf_queue *queues;
    size_t queue_count;
    struct conf_webhook webhook;
    struct conf_events *events;
    size_t event_count;
};

/* What is set aside of the budget: pages of the journal; what a connection may hold besides bodies,
 * for those of two endpoints. The rest is for bodies. */
uint64_t conf_memory_journal(const struct conf *c);
uint64_t conf_memory_lanes(const struct conf *c);
uint64_t conf_memory_bodies(const struct conf *c);

/* REPL_EBADINPUT with "file:line: sentence" and a hint in *f; errno values when unreadable. */
int conf_load(const char *path, struct conf **ret, struct fail *f);
/* The same from memory; `file` is for errors. */
int conf_parse(struct span text, const char *file, struct conf **ret, struct fail *f);
/* Whether the files that it names can be read by who asks; a line each, "FILE:LINE: …" for those
 * without which repld does not start, "warning: FILE:LINE: …" for others. The caller frees text. */
struct conf_files {
    struct buf text;
    unsigned errors;
    unsigned warnings;
};
int conf_check_files(const char *path, struct conf_files *ret, struct fail *f);
void conf_files_warn(struct conf_files *found, const char *file, unsigned line, const char *format,
                     ...) __attribute__((format(printf, 4, 5)));
void conf_free(struct conf *c);
const struct conf_endpoint *conf_endpoint_find(const struct conf *c, const char *name);
const struct conf_source *conf_source_find(const struct conf *c, const char *name);
/* As YAML with every option and its value: what `repld --check-config --print` shows. */
void conf_print(const struct conf *c, struct buf *to);

/* "256MiB", "10min", "1.5h": bytes (binary and decimal units) and durations in ms. */
int conf_parse_bytes(struct span text, uint64_t *ret, struct fail *f);
int conf_parse_duration(struct span text, uint64_t *ret_ms, struct fail *f);

#endif
