/* proto: what repld and replctl say to each other on the control socket: HTTP/1.1, JSON bodies. One
 * table names every command for both programs, the man page and the shell completion.
 *
 * Keys are bytes. In a query they are percent-encoded; in JSON a key that is not UTF-8 has U+FFFD
 * in "key" and the true bytes in "key_base64". Times are RFC 3339 in UTC, durations are in
 * milliseconds, sizes in bytes; names end in _ms and _bytes. Long lists come in pages: "next" is
 * the query to append for the next one, null at the end.
 *
 * An error is {"error": {"code", "text", "hint"?, …}} with a status of proto_status(). */
#ifndef REPL_ADMIN_PROTO_H
#define REPL_ADMIN_PROTO_H

#include "daemon/base/span.h"

#define PROTO_DEFAULT_SOCKET "/run/repld/control.sock"
#define PROTO_BODY_MAX       ((size_t)16 * 1024 * 1024) /* bytes of a request's body */
#define PROTO_APPEND_LINES   10000                      /* of one append */

enum proto_access {
    PROTO_GROUP, /* root, repld's own user, members of admin.group */
    PROTO_OWNER, /* root and repld's own user */
};

/* X(ID, method, path, access, words of replctl, query parameters, body, what it does) */
#define PROTO_COMMANDS(X)                                                                          \
    X(VERSION, "GET", "/v1/version", PROTO_GROUP, "", "", "", "version of the daemon")             \
    X(STATUS, "GET", "/v1/status", PROTO_GROUP, "status", "", "",                                  \
      "every rule and endpoint, the journal, memory")                                              \
    X(LAG, "GET", "/v1/lag", PROTO_GROUP, "lag", "rule", "", "how far behind rules are")           \
    X(WAIT, "GET", "/v1/wait", PROTO_GROUP, "wait",                                                \
      "rule until_ms timeout_ms existing proven prefix", "",                                       \
      "answers when the watermark of the rule has passed a time (0: now), with existing=1 when "   \
      "existing objects are there too, with proven=1 when a complete scan has confirmed it")       \
    X(LATE, "GET", "/v1/late", PROTO_GROUP, "lag --late", "rule", "",                              \
      "changes that came later than the watermark, the newest first")                              \
    X(EXPLAIN, "GET", "/v1/explain", PROTO_GROUP, "explain", "rule key", "",                       \
      "where an object is on its way, and why it is not there yet")                                \
    X(RULES, "GET", "/v1/rules", PROTO_GROUP, "rule list", "rule", "", "rules as they are")        \
    X(RULE_PUT, "PUT", "/v1/rule", PROTO_GROUP, "rule add", "mode no_preflight", "a rule",         \
      "makes a rule (mode=add), changes one (mode=update), or either")                             \
    X(RULE_DELETE, "DELETE", "/v1/rule", PROTO_GROUP, "rule delete", "rule", "",                   \
      "forgets a rule and its pending work")                                                       \
    X(RULE_PAUSE, "POST", "/v1/rule/pause", PROTO_GROUP, "rule pause", "rule", "",                 \
      "stops copying; changes are still accepted")                                                 \
    X(RULE_RESUME, "POST", "/v1/rule/resume", PROTO_GROUP, "rule resume", "rule", "",              \
      "copies again")                                                                              \
    X(RULE_DELETES, "GET", "/v1/rule/deletes", PROTO_GROUP, "rule deletes", "rule after_key", "",  \
      "deletes that the rule's brake holds")                                                       \
    X(RULE_DELETES_CONFIRM, "POST", "/v1/rule/deletes/confirm", PROTO_GROUP,                       \
      "rule confirm-deletes", "rule discard reason", "",                                           \
      "lets them go, with discard=1 drops them on the record; \"count\" of them")                  \
    X(APPLY, "POST", "/v1/apply", PROTO_GROUP, "apply", "dry_run prune no_preflight",              \
      "{\"rules\": [rule, …]}", "makes the rules what a file says")                                \
    X(APPEND, "POST", "/v1/journal", PROTO_GROUP, "journal append", "",                            \
      "JSON lines, a change each",                                                                 \
      "accepts changes; answered when they are durable; \"first_unmatched\" that no rule takes")   \
    X(FAILURES, "GET", "/v1/failures", PROTO_GROUP, "failures list", "rule after_rule after_key",  \
      "", "changes that will not go by themselves")                                                \
    X(FAILURES_RETRY, "POST", "/v1/failures/retry", PROTO_GROUP, "failures retry", "rule key", "", \
      "tries a failed change again, or all of the rule; \"count\" of them")                        \
    X(FAILURES_DROP, "POST", "/v1/failures/drop", PROTO_GROUP, "failures drop", "rule key reason", \
      "", "gives a failed change up, on the record")                                               \
    X(UPLOADS, "GET", "/v1/uploads", PROTO_GROUP, "uploads", "after_rule after_key after_id", "",  \
      "multipart uploads that are open or being aborted")                                          \
    X(FOREIGN, "GET", "/v1/uploads/foreign", PROTO_GROUP, "uploads --foreign", "rule", "",         \
      "uploads at a rule's destination that are not ours")                                         \
    X(LANES, "GET", "/v1/lanes", PROTO_GROUP, "lanes", "endpoint", "",                             \
      "paths and connections of endpoints, with what is measured of them")                         \
    X(PATH_FIX, "POST", "/v1/path/fix", PROTO_GROUP, "path fix", "endpoint path", "",              \
      "uses only this path of an endpoint, until it is freed, a reload or a restart")              \
    X(PATH_FORBID, "POST", "/v1/path/forbid", PROTO_GROUP, "path forbid", "endpoint path", "",     \
      "uses the other paths of an endpoint only, as long")                                         \
    X(PATH_FREE, "POST", "/v1/path/free", PROTO_GROUP, "path free", "endpoint path", "",           \
      "uses a path as it is configured")                                                           \
    X(FEEDS, "GET", "/v1/feeds", PROTO_GROUP, "feed list", "", "",                                 \
      "where changes come from, and what is in quarantine")                                        \
    X(FEED_SETUP, "GET", "/v1/feed/setup", PROTO_GROUP, "feed setup", "rule sender", "",           \
      "what the sender's side needs, as commands")                                                 \
    X(FEED_SETUP_APPLY, "POST", "/v1/feed/setup", PROTO_GROUP, "feed setup --apply",               \
      "rule sender arn", "", "does it with the keys of the endpoint")                              \
    X(FEED_SHOW, "GET", "/v1/feed", PROTO_GROUP, "feed show", "feed after id", "",                 \
      "a feed's quarantine: bodies that could not be read; with id one of them")                   \
    X(FEED_REPLAY, "POST", "/v1/feed/replay", PROTO_GROUP, "feed replay", "feed id", "",           \
      "reads bodies in quarantine again, and accepts what they say")                               \
    X(FEED_DROP, "POST", "/v1/feed/drop", PROTO_GROUP, "feed drop", "feed id all reason", "",      \
      "gives bodies in quarantine up")                                                             \
    X(SCAN, "GET", "/v1/scan", PROTO_GROUP, "scan status", "rule", "",                             \
      "how far the scan of a rule is, and what it found")                                          \
    X(SCAN_START, "POST", "/v1/scan/start", PROTO_GROUP, "scan start", "rule", "",                 \
      "compares the whole source with what is replicated, now")                                    \
    X(SCAN_STOP, "POST", "/v1/scan/stop", PROTO_GROUP, "scan stop", "rule", "",                    \
      "ends a scan where it is")                                                                   \
    X(RELOAD, "POST", "/v1/reload", PROTO_OWNER, "reload", "", "",                                 \
      "reads the configuration again; \"restart\" names options that wait for one")

#define PROTO_ENUM(id, ...) PROTO_##id,
enum proto_id { PROTO_COMMANDS(PROTO_ENUM) PROTO_COUNT };
#undef PROTO_ENUM

struct proto_command {
    const char *method;
    const char *path;
    enum proto_access access;
    const char *words;      /* of replctl */
    const char *parameters; /* of the query, separated by blanks */
    const char *body;       /* "" = none */
    const char *help;
};

/* Indexed by enum proto_id. */
extern const struct proto_command proto_commands[PROTO_COUNT];

/* HTTP status of a failure: 400 bad input, 403 denied, 404, 409 conflict, 413, 422 refused by a
 * store, 502 a peer is not reachable, 503 the journal cannot write, 504 not in time, 500. */
unsigned proto_status(int code);

#endif
