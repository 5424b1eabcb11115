#include "cli/commands.h"

#define RULE_OPTIONS                                                                               \
    {"include", "GLOB", "only keys like this, behind the prefix; may be repeated"},                \
        {"exclude", "GLOB", "no keys like this; may be repeated"},                                 \
        {"watermark-prefix", "PREFIX",                                                             \
         "a watermark of its own for keys like this; may be repeated"},                            \
        {"storage-class", "CLASS", "instead of the source's"},                                     \
        {"versions", "latest|all", "which versions are replicated (default latest)"},              \
        {"deletes", "ignore|propagate|marker", "what a delete does (default ignore)"},             \
        {"deletes-brake", "LIMIT", "ask before more (default 1000 or 10% in 10min), or off"},      \
        {"deletes-foreign", NULL, "delete objects too that repld has not written"},                \
        {"two-way", NULL, "another rule goes the other way"},                                      \
        {"existing", NULL, "copy objects that are there already"},                                 \
        {"scan", "off|once|every DURATION|continuous", "compare the whole source (default off)"},  \
        {"scan-against", "journal|destination", "with what (default journal)"},                    \
        {"scan-requests", "RATE", "of scans: at most 20/s, by time: 08:00-20:00 5/s, off"},        \
        {"objective", "DURATION", "within which a change shall be there (default 10min)"},         \
        {"priority", "0-100", "higher goes first (default 50)"},                                   \
        {"bandwidth", "RATE", "at most 200mbit, 25MB/s, by time: 08:00-20:00 100mbit, off"},       \
        {"requests", "RATE", "at most 500/s, by time: 08:00-20:00 100/s, 500/s"},                  \
        {"paused", NULL, "accept changes, do not copy yet"},                                       \
        {"no-marker", NULL, "do not write the marker metadata"},                                   \
        {"no-replicas", NULL, "do not remember what is at the destination"},                       \
        {"publish", "INTERVAL|off", "write the watermark to the destination (default 10s)"},       \
        {"publish-as", "KEY", "its key below _repl/, with {rule} and {instance}"},                 \
        {"shared", NULL, "other hosts have this rule too"},                                        \
        {"scan-host", "INSTANCE", "that one looks at the whole bucket, instead of an agreed one"}, \
        {"takeover", "DURATION", "after which a silent host is replaced (default 60s)"},           \
        {"no-preflight", NULL, "do not try the buckets first"},

const struct cli_option cli_global_options[] = {
    {"socket", "PATH", "control socket of repld (default $REPLD_SOCKET, " PROTO_DEFAULT_SOCKET ")"},
    {"json", NULL, "print JSON"},
    {"help", NULL, "show this"},
    {"version", NULL, "show the version"},
    {0},
};

static const struct cli_option add_options[] = {
    {"source", "EP/BUCKET[/PREFIX]", "where objects come from"},
    {"destination", "EP/BUCKET[/PREFIX]", "where they go"},
    RULE_OPTIONS{0},
};

static const struct cli_option update_options[] = {
    {"source", "PLACE", NULL},
    {"destination", "PLACE", NULL},
    RULE_OPTIONS{"no-deletes-foreign", NULL, "delete only what repld has written"},
    {"no-two-way", NULL, "no rule goes the other way any more"},
    {"no-existing", NULL, "do not copy objects that are there already"},
    {"marker", NULL, "write the marker metadata again"},
    {"replicas", NULL, "remember what is at the destination again"},
    {"no-storage-class", NULL, "keep the source's class again"},
    {"no-shared", NULL, "no other host has this rule any more"},
    {"no-scan-host", NULL, "hosts agree on one again"},
    {"clear-include", NULL, "take all keys again"},
    {"clear-exclude", NULL, "leave none out any more"},
    {"clear-watermark-prefix", NULL, "no watermarks of prefixes any more"},
    {0},
};

static const struct cli_option confirm_options[] = {
    {"discard", NULL, "drop them instead: the objects stay at the destination"},
    {"reason", "TEXT", "with --discard: kept in the history"},
    {0},
};

static const struct cli_option apply_options[] = {
    {"file", "FILE", "rules as YAML"},
    {"dry-run", NULL, "show what would change"},
    {"prune", NULL, "delete rules that the file does not name"},
    {"no-preflight", NULL, "do not try the buckets first"},
    {0},
};

static const struct cli_option watch_options[] = {
    {"watch", NULL, "again every second"},
    {0},
};

static const struct cli_option lag_options[] = {
    {"watch", NULL, "again every second"},
    {"late", NULL, "changes that came later than the watermark"},
    {0},
};

static const struct cli_option wait_options[] = {
    {"until", "now|TIME", "all changes up to this time (default now)"},
    {"existing", NULL, "and existing objects, which the watermark does not wait for"},
    {"prefix", "PREFIX", "the watermark of this prefix, one of the rule's watermark_prefixes"},
    {"proven", NULL, "not the watermark: what a complete scan has confirmed"},
    {"timeout", "SECONDS|DURATION", "give up after so long (default: never)"},
    {0},
};

static const struct cli_option retry_options[] = {
    {"key", "KEY", "only this one (default: all of the rule)"},
    {0},
};

static const struct cli_option drop_options[] = {
    {"reason", "TEXT", "kept in the history"},
    {0},
};

static const struct cli_option feed_setup_options[] = {
    {"for", "minio|rgw|aws|oss", "who sends (default: as the endpoint's host tells)"},
    {"apply", NULL, "do it with the endpoint's keys"},
    {"arn", "ARN", "with --apply: where the bucket is to send to"},
    {0},
};

static const struct cli_option feed_show_options[] = {
    {"id", "ID", "only this body, as it came"},
    {0},
};

static const struct cli_option feed_replay_options[] = {
    {"id", "ID", "only this body (default: all of the feed)"},
    {0},
};

static const struct cli_option feed_drop_options[] = {
    {"id", "ID", "this body"},
    {"all", NULL, "all of the feed"},
    {"reason", "TEXT", "kept in the log"},
    {0},
};

static const struct cli_option scan_options[] = {
    {"keys", "FILE", "look at these keys instead, one a line; - is standard input"},
    {"inventory", "MANIFEST", "look at the keys of an S3 Inventory in CSV, fetched beside it"},
    {0},
};

static const struct cli_option uploads_options[] = {
    {"foreign", NULL, "ask the destinations for uploads that are not repld's"},
    {"rule", "RULE", "with --foreign: only this rule's destination"},
    {0},
};

static const struct cli_option doctor_options[] = {
    {"config", "FILE", "of repld, asked when repld does not run (default /etc/repld/repld.yaml)"},
    {"root", "FOLDER", "look at the host whose /proc, /sys and disks are below it"},
    {0},
};

static const struct cli_option append_options[] = {
    {"bucket", "BUCKET", "one change by flags instead of JSON lines on standard input"},
    {"key", "KEY", "its key"},
    {"kind", "put|delete", "what happened (default put)"},
    {"endpoint", "NAME", "of the source (default: any rule with this bucket)"},
    {"version-id", "ID", "of the object"},
    {"etag", "ETAG", "of the object"},
    {"size", "BYTES", "of the object"},
    {"event-time", "TIME", "when it happened (default now)"},
    {0},
};

static const struct cli_option migrate_options[] = {
    {"source-endpoint", "NAME", "endpoint of the configuration file"},
    {"destination-endpoint", "NAME", "likewise"},
    {"source-endpoint-url", "URL", "endpoint without a configuration file"},
    {"destination-endpoint-url", "URL", "likewise"},
    {"source-profile", "PROFILE", "keys from ~/.aws/credentials (default: environment)"},
    {"destination-profile", "PROFILE", "likewise"},
    {"source-region", "REGION", "default: asked from the server"},
    {"destination-region", "REGION", "likewise"},
    {"source-ca-file", "FILE", "trust these certificates"},
    {"destination-ca-file", "FILE", "likewise"},
    {"config", "FILE", "where endpoints are named (default /etc/repld/repld.yaml)"},
    {"include", "GLOB", "only keys like this, behind the prefix; may be repeated"},
    {"exclude", "GLOB", "no keys like this; may be repeated"},
    {"storage-class", "CLASS", "instead of the source's"},
    {"journal", "FILE", "where the job keeps its place (default: below $XDG_STATE_HOME/repld)"},
    {"memory", "SIZE", "for parts and bodies (default 512MiB)"},
    {"copies", "N", "objects in work at a time (default 512)"},
    {"part-max", "SIZE", "largest part (default 64MiB)"},
    {"dry-run", NULL, "list and compare, copy nothing"},
    {"log-level", "LEVEL", "error, warning (default), notice, info, debug, trace"},
    {0},
};

const struct cli_command cli_commands[] = {
    {"status", "", 0, 0, NULL, "rules, endpoints, journal at a glance", run_status},
    {"lag", "[RULE]", 0, 1, lag_options, "how far behind rules are, and why", run_lag},
    {"explain", "[RULE] KEY", 1, 2, NULL, "why an object is not there yet", run_explain},
    {"wait", "RULE", 1, 1, wait_options, "return when the watermark has passed", run_wait},
    {"doctor", "", 0, 0, doctor_options, "what this host lacks, and what mends it", run_doctor},
    {"rule add", "NAME", 1, 1, add_options, "make a rule", run_rule_add},
    {"rule list", "", 0, 0, NULL, "all rules", run_rule_list},
    {"rule show", "RULE", 1, 1, NULL, "one rule with every option", run_rule_show},
    {"rule update", "RULE", 1, 1, update_options, "change a rule", run_rule_update},
    {"rule pause", "RULE", 1, 1, NULL, "stop copying; changes are kept", run_rule_pause},
    {"rule resume", "RULE", 1, 1, NULL, "copy again", run_rule_resume},
    {"rule delete", "RULE", 1, 1, NULL, "forget a rule and its pending work", run_rule_delete},
    {"rule deletes", "RULE", 1, 1, NULL, "what its brake holds", run_rule_deletes},
    {"rule confirm-deletes", "RULE", 1, 1, confirm_options, "let it go, or drop it",
     run_rule_confirm_deletes},
    {"apply", "", 0, 0, apply_options, "make the rules what a file says", run_apply},
    {"failures list", "[RULE]", 0, 1, NULL, "what will not go by itself", run_failures_list},
    {"failures retry", "RULE", 1, 1, retry_options, "try again", run_failures_retry},
    {"failures drop", "RULE KEY", 2, 2, drop_options, "give one up, on the record",
     run_failures_drop},
    {"feed list", "", 0, 0, NULL, "where changes come from", run_feed_list},
    {"feed setup", "RULE", 1, 1, feed_setup_options, "what the sender's side needs",
     run_feed_setup},
    {"feed show", "FEED", 1, 1, feed_show_options, "notifications that could not be read",
     run_feed_show},
    {"feed replay", "FEED", 1, 1, feed_replay_options, "read them again", run_feed_replay},
    {"feed drop", "FEED", 1, 1, feed_drop_options, "give them up", run_feed_drop},
    {"uploads", "", 0, 0, uploads_options, "multipart uploads in work or orphaned", run_uploads},
    {"lanes", "[ENDPOINT]", 0, 1, watch_options, "paths and connections, and how they do",
     run_lanes},
    {"path fix", "ENDPOINT PATH", 2, 2, NULL, "use only this path, until it is freed",
     run_path_fix},
    {"path forbid", "ENDPOINT PATH", 2, 2, NULL, "do not use a path, until it is freed",
     run_path_forbid},
    {"path free", "ENDPOINT PATH", 2, 2, NULL, "use a path as it is configured", run_path_free},
    {"scan start", "RULE", 1, 1, scan_options, "compare the whole source now", run_scan_start},
    {"scan status", "RULE", 1, 1, watch_options, "how far a scan is, what it found",
     run_scan_status},
    {"scan stop", "RULE", 1, 1, NULL, "end a scan where it is", run_scan_stop},
    {"journal append", "", 0, 0, append_options, "tell of changes", run_append},
    {"complete", "[WORD …]", 0, CLI_GIVEN_MAX, NULL, "what may come next, for a shell; behind --",
     run_complete},
    {"reload", "", 0, 0, NULL, "read the configuration again", run_reload},
    {"migrate", "FROM TO", 2, 2, migrate_options,
     "copy a bucket or prefix once; s3://BUCKET/prefix or ENDPOINT/BUCKET/prefix", run_migrate},
    {0},
};

/* How many of the arguments are the words of this command, in their order; 0 = it is another. */
static size_t match_words(const struct cli_command *command, int argc, const char *const *argv)
{
    struct span rest = span_str(command->words);
    size_t n = 0;
    while (rest.ptr != NULL) {
        struct span word = span_cut(&rest, ' ');
        if ((int)n >= argc || !span_eq_str(word, argv[n])) {
            return 0;
        }
        n++;
    }
    return n;
}

const struct cli_command *cli_find_command(int argc, const char *const *argv, size_t *ret_words)
{
    for (const struct cli_command *c = cli_commands; c->words != NULL; c++) {
        size_t n = match_words(c, argc, argv);
        if (n > 0) {
            *ret_words = n;
            return c;
        }
    }
    return NULL;
}

int cli_leading_options(int argc, char *const *argv)
{
    int n = 0;
    while (n < argc && argv[n][0] == '-' && strcmp(argv[n], "--") != 0) {
        n += strcmp(argv[n], "--socket") == 0 ? 2 : 1;
    }
    return n < argc ? n : argc;
}

bool cli_is_in_group(const struct cli_command *c, const char *group)
{
    size_t n = strlen(group);
    return n == 0 || (strncmp(c->words, group, n) == 0 && (c->words[n] == ' '));
}

bool cli_is_group(const char *word)
{
    for (const struct cli_command *c = cli_commands; c->words != NULL; c++) {
        if (word[0] != '\0' && cli_is_in_group(c, word)) {
            return true;
        }
    }
    return false;
}
