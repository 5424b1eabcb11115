/* Scans of a rule's whole source: how far, start, stop. */
#include "daemon/admin/ask.h"

static const char *const phases[] = {
    [SCAN_IDLE] = "idle", [SCAN_CLEAR] = "begins", [SCAN_LIST] = "lists", [SCAN_GONE] = "ends"};

static void count_members(const struct scan_state *s, struct buf *to)
{
    json_int(to, "seen_objects", (int64_t)s->seen);
    json_int(to, "listed_objects", (int64_t)s->listed);
    json_int(to, "listed_bytes", (int64_t)s->listed_bytes);
    json_int(to, "equal_objects", (int64_t)s->equal);
    json_int(to, "found_objects", (int64_t)s->found);
    json_int(to, "missing_objects", (int64_t)s->missing);
    json_int(to, "away_objects", (int64_t)s->away);
    json_int(to, "left_objects", (int64_t)s->left);
    json_int(to, "unlisted_objects", (int64_t)s->unlisted);
    json_int(to, "requests", (int64_t)s->requests);
    json_int(to, "last_seen_objects", (int64_t)s->proven_seen);
}

static void scan_members(const struct scan_report *r, struct buf *to)
{
    const struct scan_state *s = &r->state;
    json_str(to, "phase", phases[s->phase]);
    json_time(to, "started", (int64_t)s->started_ms);
    json_time(to, "ended", s->phase == SCAN_IDLE ? (int64_t)s->ended_ms : 0);
    json_time(to, "proven", (int64_t)s->proven_ms);
    json_time(to, "next", r->next_ms);
    count_members(s, to);
    json_int(to, "ranges", (int64_t)r->ranges);
    json_int(to, "listings", (int64_t)r->listings);
    json_str(to, "waits", r->waits[0] != '\0' ? r->waits : NULL);
    json_str(to, "doubt", r->doubt[0] != '\0' ? r->doubt : NULL);
}

void command_scan(struct admin *a, struct httpd_request *r)
{
    const struct rule *rule = need_rule(a, r);
    struct scan_report report;
    struct fail f = {0};
    if (rule == NULL) {
        return;
    }
    if (engine_scan_report(a->options.engine, rule->name, &report, &f) != 0) {
        reply_fail(r, &f);
        return;
    }
    struct buf body = {0};
    json_open(&body, NULL, '{');
    json_str(&body, "rule", rule->name);
    scan_members(&report, &body);
    json_close(&body, '}');
    reply_json(r, &body);
}

static void answer(struct httpd_request *r, int status, const struct fail *f)
{
    struct buf body = {0};
    if (status != 0) {
        reply_fail(r, f);
        return;
    }
    buf_str(&body, "{\"done\":true}");
    reply_json(r, &body);
}

void command_scan_start(struct admin *a, struct httpd_request *r)
{
    const struct rule *rule = need_rule(a, r);
    struct fail f = {0};
    if (rule != NULL) {
        answer(r, engine_scan_begin(a->options.engine, rule->name, &f), &f);
    }
}

void command_scan_stop(struct admin *a, struct httpd_request *r)
{
    const struct rule *rule = need_rule(a, r);
    struct fail f = {0};
    if (rule != NULL) {
        answer(r, engine_scan_end(a->options.engine, rule->name, &f), &f);
    }
}
