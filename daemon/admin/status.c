#include "daemon/admin/command.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>

static const char *const blockers[] = {"none",   "task",     "failed_task", "feed",
                                       "paused", "endpoint", "brake"};

static void count_members(const struct rule_counts *c, struct buf *to)
{
    json_int(to, "pending_objects", (int64_t)c->pending_objects);
    json_int(to, "pending_bytes", (int64_t)c->pending_bytes);
    json_int(to, "late_objects", (int64_t)c->late_objects);
    json_int(to, "late_bytes", (int64_t)c->late_bytes);
    json_int(to, "backfill_objects", (int64_t)c->backfill_objects);
    json_int(to, "backfill_bytes", (int64_t)c->backfill_bytes);
    json_int(to, "failed_objects", (int64_t)c->failed_objects);
    json_int(to, "held_deletes", (int64_t)c->held_objects);
    json_int(to, "done_objects", (int64_t)c->done_objects);
    json_int(to, "done_bytes", (int64_t)c->done_bytes);
    json_int(to, "deleted_objects", (int64_t)c->deleted_objects);
    json_int(to, "skipped_objects", (int64_t)c->skipped_objects);
    json_int(to, "sent_bytes", (int64_t)c->sent_bytes);
    json_int(to, "retries", (int64_t)c->retries);
    json_int(to, "replicas", (int64_t)c->replicas);
    json_int(to, "replica_bytes", (int64_t)c->replica_bytes);
    json_int(to, "late_changes", (int64_t)c->late_changes);
}

static void latency_members(const struct rule_lag *lag, struct buf *to)
{
    json_open(to, "latency_s", '{');
    json_real(to, "p50", lag->latency_p50_s);
    json_real(to, "p90", lag->latency_p90_s);
    json_real(to, "p99", lag->latency_p99_s);
    json_close(to, '}');
}

/* null where there is no watermark to be behind. */
static void lag_member(int64_t watermark_ms, int64_t lag_ms, struct buf *to)
{
    if (watermark_ms > 0) {
        json_int(to, "lag_ms", lag_ms);
    } else {
        json_str(to, "lag_ms", NULL);
    }
}

static void prefix_list(struct admin *a, const char *rule, struct buf *to)
{
    struct prefix_status p;
    json_open(to, "prefixes", '[');
    for (size_t i = 0; engine_prefix_status(a->options.engine, rule, i, &p); i++) {
        json_open(to, NULL, '{');
        json_str(to, "prefix", p.prefix);
        json_time(to, "watermark", p.watermark_ms);
        json_int(to, "watermark_ms", p.watermark_ms);
        lag_member(p.watermark_ms, p.lag_ms, to);
        json_time(to, "proven", p.proven_ms);
        json_str(to, "blocker", blockers[p.blocker]);
        json_str(to, "waits_for", p.waits_for[0] != '\0' ? p.waits_for : NULL);
        json_close(to, '}');
    }
    json_close(to, ']');
}

static void last_late(const struct lag_late *late, struct buf *to)
{
    if (late->accepted_ms == 0) {
        json_str(to, "last_late", NULL);
        return;
    }
    json_open(to, "last_late", '{');
    json_str(to, "key", late->key);
    json_str(to, "feed", late->feed);
    json_time(to, "changed", late->event_time_ms);
    json_time(to, "accepted", late->accepted_ms);
    json_close(to, '}');
}

void limit_members(struct admin *a, const struct limit *bandwidth, const struct limit *requests,
                   struct buf *to)
{
    json_str(to, "bandwidth_now", engine_limit_now(a->options.engine, bandwidth));
    json_str(to, "requests_now", engine_limit_now(a->options.engine, requests));
}

void brake_members(const struct rule_lag *lag, struct buf *to)
{
    json_time(to, "brake_since", lag->brake_since_ms);
    json_str(to, "brake", lag->brake_since_ms != 0 ? lag->brake_why : NULL);
}

/* By the last scan, or the present one so far. */
static int64_t left_objects(struct admin *a, const struct rule *rule)
{
    struct scan_report scan;
    struct fail f;
    bool scanned = engine_scan_report(a->options.engine, rule->name, &scan, &f) == 0;
    return scanned && !rule->existing ? (int64_t)scan.state.left : 0;
}

void untold_member(struct admin *a, const char *rule, struct buf *to)
{
    if (engine_rule_untold(a->options.engine, rule)) {
        json_str(to, "warning",
                 "nothing tells of changes in the rule's source yet, so it copies none: add an "
                 "outbox or a webhook (replctl feed setup), or give it a scan");
    }
}

void lag_members(struct admin *a, const struct rule *rule, struct buf *to)
{
    struct rule_lag lag = {0};
    json_str(to, "rule", rule->name);
    json_bool(to, "enabled", rule->enabled);
    limit_members(a, &rule->bandwidth, &rule->requests, to);
    if (engine_lag(a->options.engine, rule->name, &lag) != 0) {
        return;
    }
    json_int(to, "now_ms", engine_now_ms(a->options.engine));
    json_time(to, "watermark", lag.watermark_ms);
    json_int(to, "watermark_ms", lag.watermark_ms);
    lag_member(lag.watermark_ms, lag.lag_ms, to);
    json_time(to, "proven", lag.proven_ms);
    json_int(to, "proven_ms", lag.proven_ms);
    json_str(to, "proof", lag.proof);
    json_int(to, "objective_ms", rule->objective_ms);
    json_str(to, "blocker", blockers[lag.blocker]);
    json_str(to, "waits_for", lag.waits_for[0] != '\0' ? lag.waits_for : NULL);
    json_time(to, "oldest_pending", lag.oldest_ms);
    int64_t age = lag.oldest_ms > 0 ? engine_now_ms(a->options.engine) - lag.oldest_ms : 0;
    json_int(to, "oldest_pending_age_ms", age > 0 ? age : 0);
    json_bool(to, "listing", lag.listing);
    json_int(to, "listed_objects", (int64_t)lag.listed);
    json_bool(to, "existing_done", lag.existing_done);
    json_int(to, "existing_failed_objects", (int64_t)lag.existing_failed);
    const char *trouble = "";
    json_bool(to, "shared", rule->shared);
    json_bool(to, "owns", engine_owns(a->options.engine, rule->name));
    json_str(to, "owner", engine_owner(a->options.engine, rule->name, &trouble));
    json_str(to, "owner_trouble", trouble[0] != '\0' ? trouble : NULL);
    json_str(to, "existing", lag.existing[0] != '\0' ? lag.existing : NULL);
    json_int(to, "left_objects", left_objects(a, rule));
    brake_members(&lag, to);
    count_members(&lag.counts, to);
    latency_members(&lag, to);
    last_late(&lag.last_late, to);
    prefix_list(a, rule->name, to);
}

static void lag_list(struct admin *a, struct buf *to)
{
    const struct rule *const *rules;
    size_t n = engine_rules(a->options.engine, &rules);
    json_open(to, "rules", '[');
    for (size_t i = 0; i < n; i++) {
        json_open(to, NULL, '{');
        lag_members(a, rules[i], to);
        json_close(to, '}');
    }
    json_close(to, ']');
}

static void endpoint_list(struct admin *a, struct buf *to)
{
    struct engine *e = a->options.engine;
    const struct conf *conf = a->options.conf;
    json_open(to, "endpoints", '[');
    for (size_t i = 0; i < conf->endpoint_count; i++) {
        struct fail f = {0};
        const struct conf_endpoint *endpoint = &conf->endpoints[i];
        const struct store *store = engine_store(e, endpoint->name);
        json_open(to, NULL, '{');
        json_str(to, "name", endpoint->name);
        json_str(to, "url", endpoint->url);
        json_str(to, "state",
                 store == NULL ? "unused" : sched_endpoint_shown(engine_sched(e), store, &f));
        const char *granted = store != NULL ? store_congestion(store) : "";
        json_str(to, "congestion_wish", endpoint->congestion);
        json_str(to, "congestion", granted[0] != '\0' ? granted : NULL);
        json_fail(to, "failure", &f);
        limit_members(a, &endpoint->bandwidth, &endpoint->requests, to);
        json_close(to, '}');
    }
    json_close(to, ']');
}

static void outbox_list(struct admin *a, struct buf *to)
{
    struct outbox_status outbox;
    json_open(to, "outboxes", '[');
    for (size_t i = 0; engine_outbox_status(a->options.engine, i, &outbox); i++) {
        json_open(to, NULL, '{');
        json_str(to, "name", outbox.name);
        json_str(to, "state", outbox.state);
        json_bool(to, "read", outbox.is_read);
        json_int(to, "bad_rows", (int64_t)outbox.bad_rows);
        json_int(to, "astray_rows", (int64_t)outbox.astray_rows);
        json_fail(to, "failure", &outbox.fail);
        json_close(to, '}');
    }
    json_close(to, ']');
}

static void queue_list(struct admin *a, struct buf *to)
{
    struct queue_status queue;
    json_open(to, "queues", '[');
    for (size_t i = 0; engine_queue_status(a->options.engine, i, &queue); i++) {
        json_open(to, NULL, '{');
        json_str(to, "name", queue.name);
        json_str(to, "state", queue.state);
        json_bool(to, "read", queue.is_read);
        json_int(to, "waiting_messages", (int64_t)queue.waiting);
        json_int(to, "in_hand_messages", (int64_t)queue.in_hand);
        json_int(to, "bad_messages", (int64_t)queue.bad_messages);
        json_int(to, "astray_changes", (int64_t)queue.astray_changes);
        json_time(to, "complete_through", queue.complete_through_ms);
        json_fail(to, "failure", &queue.fail);
        json_close(to, '}');
    }
    json_close(to, ']');
}

static void event_list(struct admin *a, struct buf *to)
{
    struct event_status events;
    json_open(to, "events", '[');
    for (size_t i = 0; engine_event_status(a->options.engine, i, &events); i++) {
        json_open(to, NULL, '{');
        json_str(to, "name", events.name);
        json_int(to, "waiting", (int64_t)events.waiting);
        json_time(to, "oldest", events.oldest_ms);
        json_int(to, "sent", (int64_t)events.sent);
        json_int(to, "dropped", (int64_t)events.dropped);
        json_int(to, "failures", events.failures);
        json_fail(to, "failure", &events.fail);
        json_close(to, '}');
    }
    json_close(to, ']');
}

static int64_t open_descriptors(void)
{
    int64_t n = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir != NULL && readdir(dir) != NULL) {
        n++;
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return n > 3 ? n - 3 : 0; /* ".", ".." and the one that looks */
}

static void descriptor_members(struct buf *to)
{
    struct rlimit limit = {0};
    getrlimit(RLIMIT_NOFILE, &limit);
    json_open(to, "descriptors", '{');
    json_int(to, "used", open_descriptors());
    json_int(to, "limit", (int64_t)limit.rlim_cur);
    json_close(to, '}');
}

static void version_members(struct admin *a, struct buf *to)
{
    json_str(to, "version", REPL_VERSION);
    json_str(to, "instance", a->options.conf->instance);
    json_time(to, "now", loop_wall_ms(a->options.loop));
}

void command_version(struct admin *a, struct httpd_request *r)
{
    struct buf body = {0};
    json_open(&body, NULL, '{');
    version_members(a, &body);
    json_close(&body, '}');
    reply_json(r, &body);
}

void command_status(struct admin *a, struct httpd_request *r)
{
    struct engine *e = a->options.engine;
    struct buf body = {0};
    json_open(&body, NULL, '{');
    version_members(a, &body);
    json_time(&body, "started", a->started_ms);
    lag_list(a, &body);
    endpoint_list(a, &body);
    outbox_list(a, &body);
    queue_list(a, &body);
    event_list(a, &body);
    json_open(&body, "journal", '{');
    json_str(&body, "path", a->options.conf->journal_path);
    json_bool(&body, "failing", journal_is_failing(engine_journal(e)));
    json_int(&body, "queue", (int64_t)journal_queue_length(engine_journal(e)));
    json_close(&body, '}');
    descriptor_members(&body);
    json_int(&body, "copies", (int64_t)sched_count(engine_sched(e)));
    json_int(&body, "memory_used_bytes", (int64_t)sched_memory_used(engine_sched(e)));
    json_int(&body, "memory_bytes", (int64_t)a->options.conf->memory_bytes);
    json_close(&body, '}');
    reply_json(r, &body);
}

void command_lag(struct admin *a, struct httpd_request *r)
{
    struct buf body = {0};
    const char *name = httpd_query(r, "rule");
    const struct rule *rule = name != NULL ? need_rule(a, r) : NULL;
    if (name != NULL && rule == NULL) {
        return;
    }
    json_open(&body, NULL, '{');
    if (rule != NULL) {
        json_open(&body, "rules", '[');
        json_open(&body, NULL, '{');
        lag_members(a, rule, &body);
        json_close(&body, '}');
        json_close(&body, ']');
    } else {
        lag_list(a, &body);
    }
    json_close(&body, '}');
    reply_json(r, &body);
}

struct wait {
    struct later later;
    char rule[64];
    bool proven;
};

/* The next command: what shows why it is not there yet, or mends it. */
static void hint_of_wait(const struct wait *w, struct fail *f)
{
    static const char *const commands[][2] = {
        [LAG_NONE] = {"replctl lag", "--watch shows how it goes on"},
        [LAG_TASK] = {"replctl lag", "--watch shows how it goes on"},
        [LAG_FAILED_TASK] = {"replctl failures list", "shows what failed, and why"},
        [LAG_FEED] = {"replctl feed list shows how feeds do; replctl scan start",
                      "looks without them"},
        [LAG_PAUSED] = {"replctl rule resume", "lets it go on"},
        [LAG_ENDPOINT] = {"replctl status shows what endpoints answer; replctl lag",
                          "--watch shows how it goes on"},
        [LAG_BRAKE] = {"replctl rule deletes", "shows what the brake holds"},
    };
    struct rule_lag lag = {.blocker = LAG_FAILED_TASK};
    if (f->hint[0] != '\0') {
        return;
    }
    if (f->code == -ETIMEDOUT && engine_lag(w->later.admin->options.engine, w->rule, &lag) != 0) {
        return;
    }
    if (f->code == -ETIMEDOUT && w->proven) {
        fail_hint(f, "replctl scan status %s shows how far the scan is", w->rule);
    } else if (f->code == -ETIMEDOUT || f->code == REPL_ECONFLICT) {
        fail_hint(f, "%s %s %s", commands[lag.blocker][0], w->rule, commands[lag.blocker][1]);
    }
}

static void wait_ended(void *arg, int status, const struct fail *f)
{
    struct wait *w = arg;
    struct admin *a = w->later.admin;
    struct buf body = {0};
    struct fail told = {0};
    a->waits--;
    const struct rule *rule = status == 0 ? engine_rule_find(a->options.engine, w->rule) : NULL;
    if (status != 0) {
        told = *f;
        hint_of_wait(w, &told);
        later_fail(&w->later, status, &told);
        return;
    }
    json_open(&body, NULL, '{');
    json_bool(&body, "done", true);
    if (rule != NULL) {
        lag_members(a, rule, &body);
        untold_member(a, rule->name, &body);
    }
    json_close(&body, '}');
    later_reply(&w->later, &body);
}

void command_wait(struct admin *a, struct httpd_request *r)
{
    uint64_t until_ms;
    uint64_t timeout_ms;
    const struct rule *rule = need_rule(a, r);
    if (rule == NULL || !query_number(r, "until_ms", 0, &until_ms) ||
        !query_number(r, "timeout_ms", 0, &timeout_ms)) {
        return;
    }
    if (a->waits >= WAITS_MAX) {
        reply_error(r, REPL_ECLOSED, "replctl lag shows without waiting how far a rule is",
                    "more than %d callers wait already", WAITS_MAX);
        return;
    }
    struct wait *w = later_new(a, r, sizeof(*w));
    snprintf(w->rule, sizeof(w->rule), "%s", rule->name);
    w->proven = query_flag(r, "proven");
    a->waits++;
    struct engine_wait_options what = {.rule = w->rule,
                                       .until_ms = (int64_t)until_ms,
                                       .timeout_ms = timeout_ms,
                                       .existing = query_flag(r, "existing"),
                                       .proven = w->proven,
                                       .prefix = httpd_query(r, "prefix")};
    engine_wait(a->options.engine, &what, wait_ended, w);
}

/* Whatever it was (a file that is not there, an address in use): nothing far away did not answer.
 */
static void refuse_reload(struct httpd_request *r, const struct fail *f, struct buf *body)
{
    unsigned status = proto_status(f->code);
    json_open(body, NULL, '{');
    json_fail(body, "error", f);
    json_close(body, '}');
    httpd_reply(r, status != 502 ? status : 409, NULL, buf_view(body));
    buf_done(body);
}

void command_reload(struct admin *a, struct httpd_request *r)
{
    struct fail f = {0};
    struct buf body = {0};
    struct admin_restart restart = {0};
    int status = a->options.reload(a->options.reload_arg, &restart, &f);
    if (status != 0) {
        refuse_reload(r, &f, &body);
        return;
    }
    json_open(&body, NULL, '{');
    json_bool(&body, "done", true);
    json_open(&body, "restart", '[');
    for (size_t i = 0; i < restart.count; i++) {
        json_str(&body, NULL, restart.names[i]);
    }
    json_close(&body, ']');
    json_close(&body, '}');
    reply_json(r, &body);
}
