#include "daemon/admin/admin.h"

#include "daemon/admin/command.h"
#include "daemon/admin/peer.h"

#include <unistd.h>

static command_fn *const handlers[PROTO_COUNT] = {
    [PROTO_VERSION] = command_version,
    [PROTO_STATUS] = command_status,
    [PROTO_LAG] = command_lag,
    [PROTO_WAIT] = command_wait,
    [PROTO_LATE] = command_late,
    [PROTO_EXPLAIN] = command_explain,
    [PROTO_RULES] = command_rules,
    [PROTO_RULE_PUT] = command_rule_put,
    [PROTO_RULE_DELETE] = command_rule_delete,
    [PROTO_RULE_PAUSE] = command_rule_pause,
    [PROTO_RULE_RESUME] = command_rule_resume,
    [PROTO_APPLY] = command_apply,
    [PROTO_APPEND] = command_append,
    [PROTO_RULE_DELETES] = command_rule_deletes,
    [PROTO_RULE_DELETES_CONFIRM] = command_rule_deletes_confirm,
    [PROTO_FAILURES] = command_failures,
    [PROTO_FAILURES_RETRY] = command_failures_retry,
    [PROTO_FAILURES_DROP] = command_failures_drop,
    [PROTO_UPLOADS] = command_uploads,
    [PROTO_FOREIGN] = command_foreign,
    [PROTO_LANES] = command_lanes,
    [PROTO_PATH_FIX] = command_path_fix,
    [PROTO_PATH_FORBID] = command_path_forbid,
    [PROTO_PATH_FREE] = command_path_free,
    [PROTO_FEEDS] = command_feeds,
    [PROTO_FEED_SETUP] = command_feed_setup,
    [PROTO_FEED_SETUP_APPLY] = command_feed_setup_apply,
    [PROTO_FEED_SHOW] = command_feed_show,
    [PROTO_FEED_REPLAY] = command_feed_replay,
    [PROTO_FEED_DROP] = command_feed_drop,
    [PROTO_SCAN] = command_scan,
    [PROTO_SCAN_START] = command_scan_start,
    [PROTO_SCAN_STOP] = command_scan_stop,
    [PROTO_RELOAD] = command_reload,
};

static const char *access_text(enum proto_access access)
{
    return access == PROTO_OWNER ? "only root and repld's own user may do this"
                                 : "only root, repld's own user and admin.group may do this";
}

static bool is_allowed(struct admin *a, struct httpd_request *r, enum proto_access access)
{
    struct httpd_peer peer;
    if (!httpd_peer(r, &peer)) {
        return false;
    }
    if (peer.uid == 0 || peer.uid == geteuid()) {
        return true;
    }
    return access == PROTO_GROUP && peer_in_group(peer.uid, peer.gid, a->options.conf->admin_group);
}

static enum proto_id command_of(const struct httpd_request *r)
{
    unsigned id = 0;
    while (id < PROTO_COUNT && (strcmp(proto_commands[id].path, httpd_path(r)) != 0 ||
                                strcmp(proto_commands[id].method, httpd_method(r)) != 0)) {
        id++;
    }
    return (enum proto_id)id;
}

static void refuse_peer(struct admin *a, struct httpd_request *r, enum proto_access access)
{
    struct httpd_peer peer = {0};
    struct buf body = {0};
    struct fail f = {0};
    httpd_peer(r, &peer);
    LOG_WARNING(a->options.log, "admin", "refused uid=%u pid=%d path=%s", (unsigned)peer.uid,
                (int)peer.pid, httpd_path(r));
    fail_set(&f, REPL_EDENIED, "%s", access_text(access));
    fail_hint(&f, "run it with sudo, or as a member of the group that admin.group names");
    json_open(&body, NULL, '{');
    json_fail(&body, "error", &f);
    json_close(&body, '}');
    httpd_reply(r, 403, NULL, buf_view(&body));
    buf_done(&body);
}

static void dispatch(void *arg, struct httpd_request *r)
{
    struct admin *a = arg;
    enum proto_id id = command_of(r);
    if (id >= PROTO_COUNT) {
        reply_error(r, REPL_ENOTFOUND, "are replctl and repld of one version?",
                    "there is no such command");
        return;
    }
    if (!is_allowed(a, r, proto_commands[id].access)) {
        refuse_peer(a, r, proto_commands[id].access);
        return;
    }
    handlers[id](a, r);
}

static int open_control(struct admin *a, struct fail *f)
{
    for (unsigned id = 0; id < PROTO_COUNT; id++) {
        a->routes[id] = (struct httpd_route){.method = proto_commands[id].method,
                                             .path = proto_commands[id].path,
                                             .handler = dispatch};
    }
    struct httpd_options options = {
        .loop = a->options.loop,
        .log = a->options.log,
        .name = "admin",
        .unix_path = a->socket_path,
        .unix_group = a->options.conf->admin_group,
        .routes = a->routes,
        .route_count = PROTO_COUNT,
        .arg = a,
        .body_max = PROTO_BODY_MAX,
        .connections_max = 1024,
    };
    return httpd_open(&options, &a->control, f);
}

static int open_metrics(struct admin *a, const char *listen, struct fail *f)
{
    if (listen == NULL) {
        return 0;
    }
    int r = metrics_open(a, listen, &a->metrics, f);
    if (r == 0) {
        LOG_NOTICE(a->options.log, "admin", "metrics at http://%s/metrics",
                   httpd_address(a->metrics));
    }
    return r;
}

static void close_listeners(struct admin *a)
{
    if (a->control != NULL) {
        httpd_close(a->control);
        a->control = NULL;
    }
    if (a->metrics != NULL) {
        httpd_close(a->metrics);
        a->metrics = NULL;
    }
}

int admin_open(const struct admin_options *options, struct admin **ret, struct fail *f)
{
    struct admin *a = MEM_NEW(struct admin);
    a->options = *options;
    a->started_ms = loop_wall_ms(options->loop);
    a->socket_path = mem_strdup(options->conf->admin_socket);
    a->metrics_listen = mem_dup_span(span_str(options->conf->metrics_listen));
    int r = open_control(a, f);
    if (r == 0) {
        r = open_metrics(a, a->metrics_listen, f);
    }
    if (r != 0) {
        close_listeners(a);
        admin_free(a);
        return r;
    }
    *ret = a;
    return 0;
}

static bool same_text(const char *x, const char *y)
{
    return x == NULL || y == NULL ? x == y : strcmp(x, y) == 0;
}

void admin_set_conf(struct admin *a, const struct conf *conf)
{
    struct fail f = {0};
    a->options.conf = conf;
    if (same_text(a->metrics_listen, conf->metrics_listen)) {
        return;
    }
    if (a->metrics != NULL) {
        httpd_close(a->metrics);
        a->metrics = NULL;
    }
    mem_free(a->metrics_listen);
    a->metrics_listen = mem_dup_span(span_str(conf->metrics_listen));
    if (open_metrics(a, a->metrics_listen, &f) != 0) {
        LOG_ERROR(a->options.log, "admin", "no metrics: %s", f.text);
    }
}

void admin_close(struct admin *a)
{
    close_listeners(a);
}

void admin_free(struct admin *a)
{
    if (a != NULL) {
        mem_free(a->socket_path);
        mem_free(a->metrics_listen);
        mem_free(a);
    }
}

const char *admin_metrics_address(const struct admin *a)
{
    return a->metrics != NULL ? httpd_address(a->metrics) : NULL;
}
