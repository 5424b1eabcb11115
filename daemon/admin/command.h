/* command: what the files of admin/ share: the context, answers now and later, and the commands. */
#ifndef REPL_ADMIN_COMMAND_H
#define REPL_ADMIN_COMMAND_H

#include "daemon/admin/admin.h"
#include "daemon/admin/json_out.h"
#include "daemon/admin/proto.h"

#define WAITS_MAX 1000 /* open `wait` commands, also of callers that went away */

struct admin {
    struct admin_options options;
    struct httpd *control;
    struct httpd *metrics;
    char *socket_path;
    char *metrics_listen;
    struct httpd_route routes[PROTO_COUNT];
    size_t waits;
    int64_t started_ms; /* wall clock; what is not in the journal counts from here */
};

/* An answer that comes later. Lives until the engine or journal has called back; the request may go
 * before that. */
struct later {
    struct admin *admin;
    struct httpd_request *request; /* NULL: the caller went away */
    struct arena arena;            /* what the call needs until its end */
};

/* size: of the struct that begins with a struct later. */
void *later_new(struct admin *a, struct httpd_request *r, size_t size);
/* Answers with the text (taken from *body) or the failure, and frees the later. */
void later_reply(struct later *l, struct buf *body);
void later_fail(struct later *l, int status, const struct fail *f);
/* Answers with an error that says more than a failure can: the text {"error": …}. */
void later_refuse(struct later *l, int status, struct buf *body);
/* engine_done_fn: {"done": true} or the failure. */
void later_done(void *arg, int status, const struct fail *f);
/* engine_word_fn: the same with "count". */
void later_word(void *arg, int status, const struct fail *f, uint64_t count);

/* Answers now; *body is emptied. */
void reply_json(struct httpd_request *r, struct buf *body);
void reply_fail(struct httpd_request *r, const struct fail *f);
void reply_error(struct httpd_request *r, int code, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The parameter, or NULL after a 400. */
const char *need_query(struct httpd_request *r, const char *name);
/* The rule named by the parameter "rule", or NULL after a 400 or 404. */
const struct rule *need_rule(struct admin *a, struct httpd_request *r);
/* Decimal parameter; `otherwise` when absent; false after a 400. */
bool query_number(struct httpd_request *r, const char *name, uint64_t otherwise, uint64_t *ret);
bool query_flag(struct httpd_request *r, const char *name);
/* Name of a rule by its number, "" when it is gone. */
const char *rule_name(struct admin *a, uint32_t number);
/* Limits in force now, as text or null. */
void limit_members(struct admin *a, const struct limit *bandwidth, const struct limit *requests,
                   struct buf *to);
/* Since when and why the rule's deletes are held, or nulls. */
void brake_members(const struct rule_lag *lag, struct buf *to);
/* The members of rule_lag, without brackets. */
void lag_members(struct admin *a, const struct rule *rule, struct buf *to);
/* "warning", where nothing has ever told of changes in its source. */
void untold_member(struct admin *a, const char *rule, struct buf *to);

typedef void command_fn(struct admin *a, struct httpd_request *r);
command_fn command_version, command_status, command_lag, command_wait, command_explain,
    command_rules, command_rule_put, command_rule_delete, command_rule_pause, command_rule_resume,
    command_apply, command_append, command_failures, command_failures_retry, command_failures_drop,
    command_uploads, command_foreign, command_lanes, command_path_fix, command_path_forbid,
    command_path_free, command_reload, command_late, command_feeds, command_feed_show,
    command_feed_replay, command_feed_drop, command_feed_setup, command_feed_setup_apply,
    command_rule_deletes, command_rule_deletes_confirm, command_scan, command_scan_start,
    command_scan_stop;

/* metrics.c */
int metrics_open(struct admin *a, const char *listen, struct httpd **ret, struct fail *f);

#endif
