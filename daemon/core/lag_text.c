/* Lag of a rule in numbers, and what its watermark waits for in words. */
#include "daemon/core/engine_impl.h"

#include <inttypes.h>
#include <stdio.h>

#define BEHIND_MS 3000 /* feeds and refreshes are never quite at "now" */

static bool state_of(const struct engine *e, const struct engine_endpoint *ep, struct fail *f)
{
    return e->sched != NULL && sched_endpoint(e->sched, ep->store, f) != SCHED_UP;
}

bool engine_endpoint_blocks(const struct engine_rule *r, struct fail *f, const char **ret_name)
{
    struct fail none;
    const struct engine_endpoint *ends[] = {r->from, r->to};
    f = f != NULL ? f : &none;
    for (int i = 0; i < 2; i++) {
        const char *name = i == 0 ? r->rule.source.endpoint : r->rule.destination.endpoint;
        if (ends[i] == NULL) {
            fail_set(f, REPL_ENOTFOUND, "it is not in the configuration");
        } else if (r->holds > 0 && r->hold_source == (i == 0)) {
            *f = r->hold_fail;
        } else if (!state_of(r->engine, ends[i], f)) {
            continue;
        }
        if (ret_name != NULL) {
            *ret_name = name;
        }
        return true;
    }
    return false;
}

const char *engine_blocked_by(struct engine *e, const char *rule, struct fail *f)
{
    const struct engine_rule *r = engine_rule_by_name(e, rule);
    const char *name = NULL;
    return r != NULL && engine_endpoint_blocks(r, f, &name) ? name : NULL;
}

static void text_of_failed(const struct engine_oldest *o, struct rule_lag *lag)
{
    char when[32];
    time_iso(o->ms, when);
    lag->blocker = LAG_FAILED_TASK;
    snprintf(lag->waits_for, sizeof(lag->waits_for),
             "object %s, changed %s, failed and waits for a decision to retry or drop it", o->key,
             when);
}

static void text_of_brake(const struct engine_rule *r, struct rule_lag *lag)
{
    char when[32];
    time_iso(r->brake.since_ms, when);
    lag->blocker = LAG_BRAKE;
    snprintf(lag->waits_for, sizeof(lag->waits_for),
             "%" PRIu64 " deletes are held since %s: %s; replctl rule confirm-deletes lets them go",
             r->counts.held_objects, when, r->brake.why);
}

static void text_of_task(struct engine_rule *r, const struct engine_oldest *o, struct rule_lag *lag)
{
    char when[32], copy[96];
    struct fail f = {0};
    const char *name = NULL;
    time_iso(o->ms, when);
    if (engine_endpoint_blocks(r, &f, &name)) {
        lag->blocker = LAG_ENDPOINT;
        snprintf(lag->waits_for, sizeof(lag->waits_for), "endpoint %s does not take work: %s", name,
                 f.code != 0 ? f.text : "it does not answer");
        return;
    }
    const char *what =
        engine_copy_text(r->engine, r->rule.number, span_str(o->key), copy, sizeof(copy));
    if (what == NULL) {
        what = o->state == TASK_WAITING ? "waiting for its next try" : "queued";
    }
    const char *after = o->state == TASK_WAITING ? " after: " : ", tried again after: ";
    lag->blocker = LAG_TASK;
    snprintf(lag->waits_for, sizeof(lag->waits_for), "object %s, changed %s%s: %s%s%s", o->key,
             when, o->ms <= lag->watermark_ms ? ", told late" : "", what,
             o->why[0] != 0 ? after : "", o->why);
}

/* Also of one that moves as it should, and is not yet where somebody wants it. */
static void why_webhook(const struct engine_feed *ef, const struct engine_rule *r, char *to,
                        size_t size)
{
    char when[32];
    engine_arrivals_why(ef, r, to, size);
    if (to[0] != 0) {
        return;
    }
    time_iso(engine_arrivals_through(ef, r), when);
    if (ef->feed->canary) {
        snprintf(to, size, "has told everything up to %s, waits for the event of a newer canary",
                 when);
    } else {
        snprintf(to, size,
                 "events may come %" PRId64 " s late, so nothing is known beyond %s (late: in the "
                 "configuration; canary: true knows sooner)",
                 ef->feed->late_ms / 1000, when);
    }
}

/* Of a rule that lives by scans alone, or has. */
static void text_of_scan(const struct engine_rule *r, char *to, size_t size)
{
    struct scan_report report;
    scan_feed_report(r->scan->feed, &report);
    if (r->rule.scan.mode == RULE_SCAN_OFF || r->rule.scan.mode == RULE_SCAN_ONCE) {
        snprintf(to, size,
                 "nothing tells of changes any more, as scans are off and no outbox, webhook or "
                 "queue serves the source; replctl scan start confirms what is there now");
    } else if (report.waits[0] != 0) {
        snprintf(to, size, "%s", report.waits);
    } else if (report.doubt[0] != 0) {
        snprintf(to, size, "the last scan proves nothing: %s", report.doubt);
    }
}

static void text_of_feed(const struct engine_feed *ef, const struct engine_rule *r,
                         struct rule_lag *lag)
{
    lag->blocker = LAG_FEED;
    const struct feed_status *s = &ef->feed->status;
    char text[480] = "";
    const char *why = "not read to its end yet";
    if (ef == r->scan) {
        text_of_scan(r, text, sizeof(text));
    }
    if (s->state == FEED_DOWN) {
        why = s->fail.text;
    } else if (text[0] != 0) {
        why = text;
    } else if (ef->feed->kind == FEED_WEBHOOK) {
        why_webhook(ef, r, text, sizeof(text));
        engine_arrivals_hint(ef, r, lag->hint, sizeof(lag->hint));
        why = text;
    } else if (s->waiting_for[0] != 0) {
        why = s->waiting_for;
    }
    snprintf(lag->waits_for, sizeof(lag->waits_for), "%s %s: %s", feed_kind_name(ef->feed->kind),
             ef->name, why);
}

/* "webhook:minio" is written "webhook minio" elsewhere; here the name is what replctl takes. */
static void text_of_quarantine(const struct engine_rule *r, struct rule_lag *lag)
{
    lag->blocker = LAG_FEED;
    snprintf(
        lag->waits_for, sizeof(lag->waits_for),
        "a body of %s in quarantine, which may tell of changes: replay or drop it, see replctl "
        "feed show",
        r->held_by);
}

/* What stands still until somebody decides. Whatever else there is to wait for passes by itself, so
 * this is said first, also where it is not what the watermark meets next. */
static bool text_of_decision(const struct engine_rule *r, const struct engine_oldest *o,
                             struct rule_lag *lag)
{
    bool is_held = o == &r->oldest ? r->counts.held_objects > 0 : o->any && o->state == TASK_HELD;
    if (is_held && r->brake.since_ms > 0) {
        text_of_brake(r, lag);
    } else if (o->any && o->state == TASK_FAILED) {
        text_of_failed(o, lag);
    } else if (r->held_ms > 0) {
        text_of_quarantine(r, lag);
    } else {
        return false;
    }
    return true;
}

static bool has_ever_had_work(const struct engine_rule *r)
{
    const struct rule_counts *c = &r->counts;
    return r->oldest.any || c->pending_objects + c->backfill_objects + c->failed_objects +
                                    c->held_objects + c->done_objects + c->deleted_objects +
                                    c->skipped_objects + r->skipped_here + c->replicas >
                                0;
}

static bool is_untold(const struct engine_rule *r)
{
    return !engine_is_served(r->engine, r) && !has_ever_had_work(r);
}

bool engine_rule_untold(struct engine *e, const char *rule)
{
    const struct engine_rule *r = engine_rule_by_name(e, rule);
    return r != NULL && is_untold(r);
}

/* The watermark is "now": all that was told is there. That is little where nobody tells. */
static void text_of_untold(const struct engine_rule *r, struct rule_lag *lag)
{
    snprintf(lag->waits_for, sizeof(lag->waits_for),
             "nothing tells of changes in %.100s/%.100s: no outbox, webhook, queue or scan serves "
             "it, and nothing was appended; see replctl feed setup, or give the rule a scan",
             r->rule.source.endpoint, r->rule.source.bucket);
}

void engine_lag_text(struct engine_rule *r, const struct engine_oldest *o, int64_t until_ms,
                     struct rule_lag *lag)
{
    const struct engine_feed *feed = NULL;
    int64_t through = engine_complete_through(r->engine, r, &feed);
    bool behind = feed != NULL && through < until_ms;
    lag->blocker = LAG_NONE;
    lag->waits_for[0] = 0;
    lag->hint[0] = 0;
    if (!r->rule.enabled) {
        lag->blocker = LAG_PAUSED;
        snprintf(lag->waits_for, sizeof(lag->waits_for),
                 "the rule is paused; its watermark stands still until it is resumed");
    } else if (text_of_decision(r, o, lag)) {
        return;
    } else if (o->any && o->ms - 1 <= through) {
        text_of_task(r, o, lag);
    } else if (behind) {
        text_of_feed(feed, r, lag);
    } else if (o->any) {
        text_of_task(r, o, lag);
    } else if (through == 0) {
        lag->blocker = LAG_FEED;
        snprintf(lag->waits_for, sizeof(lag->waits_for), "its scan is being opened anew");
    } else if (is_untold(r)) {
        text_of_untold(r, lag);
    }
}

int64_t engine_lag_due(struct engine *e, const struct engine_rule *r)
{
    const struct engine_feed *feed = NULL;
    engine_complete_through(e, r, &feed);
    int64_t usual = BEHIND_MS;
    if (feed != NULL && feed->feed->kind == FEED_WEBHOOK) {
        usual += engine_arrivals_usual(feed, r);
    }
    return engine_now_ms(e) - usual;
}

/* ---- existing objects ---- */

static bool is_listed(const struct engine_rule *r)
{
    struct scan_report report;
    if (r->scan == NULL || r->scan->closing) {
        return false;
    }
    scan_feed_report(r->scan->feed, &report);
    return report.state.was_whole;
}

static uint64_t existing_to_do(const struct engine_rule *r)
{
    return r->counts.backfill_objects + r->listed_ahead;
}

bool engine_existing_is_done(const struct engine_rule *r)
{
    return existing_to_do(r) == 0 && (!r->rule.existing || is_listed(r));
}

static void text_of_existing(const struct engine_rule *r, struct rule_lag *lag)
{
    struct buf text = {0};
    if (lag->existing_done && lag->existing_failed == 0) {
        return;
    }
    if (lag->listing) {
        buf_printf(&text, "listing goes on, at least %" PRIu64 " of them", lag->listed);
    } else {
        buf_printf(&text, "%" PRIu64 " were listed", lag->listed);
    }
    buf_printf(&text, ", %" PRIu64 " to do", existing_to_do(r));
    if (lag->existing_failed > 0) {
        buf_printf(&text, ", %" PRIu64 "%s failed", lag->existing_failed,
                   lag->existing_failed == FRONTIER_FAILED_MAX ? " or more" : "");
    }
    if (lag->listing_fail.code != 0) {
        buf_printf(&text, "; listing waits: %s", lag->listing_fail.text);
    }
    snprintf(lag->existing, sizeof(lag->existing), "%s", buf_cstr(&text));
    buf_done(&text);
}

static void copy_listing(const struct engine_rule *r, struct rule_lag *lag)
{
    lag->listing = r->rule.existing && !is_listed(r);
    lag->existing_done = engine_existing_is_done(r);
    lag->existing_failed = r->existing_failed;
    if (r->scan == NULL) {
        return;
    }
    const struct feed_status *s = &r->scan->feed->status;
    lag->listed = s->listed;
    lag->listed_bytes = s->listed_bytes;
    lag->listed_equal = s->equal;
    lag->listing_fail = s->state == FEED_DOWN ? s->fail : (struct fail){0};
}

static void text_of_proof(const struct engine_rule *r, struct rule_lag *lag)
{
    char when[32];
    int64_t scan_ms = engine_scan_ms(r);
    time_iso(scan_ms, when);
    if (!r->rule.enabled) {
        snprintf(lag->proof, sizeof(lag->proof), "the rule is paused");
    } else if (scan_ms == 0) {
        snprintf(lag->proof, sizeof(lag->proof), "%s",
                 lag->listing ? "no scan has come to its end yet"
                              : "no complete scan of the source is known");
    } else if (r->proven_ms < scan_ms) {
        snprintf(lag->proof, sizeof(lag->proof),
                 "not everything up to the scan that began %s is at the destination", when);
    } else {
        snprintf(lag->proof, sizeof(lag->proof),
                 "waits for the end of a scan that begins later than %s", when);
    }
}

int engine_lag(struct engine *e, const char *rule, struct rule_lag *ret)
{
    struct engine_rule *r = engine_rule_by_name(e, rule);
    if (r == NULL) {
        return REPL_ENOTFOUND;
    }
    memset(ret, 0, sizeof(*ret));
    ret->known = r->lag_known;
    ret->watermark_ms = r->watermark_ms;
    ret->proven_ms = r->proven_ms;
    ret->last_late = r->last_late;
    ret->lag_ms = r->watermark_ms > 0 ? engine_now_ms(e) - r->watermark_ms : 0;
    ret->oldest_ms = r->oldest.any ? r->oldest.ms : 0;
    ret->counts = r->counts;
    ret->brake_since_ms = r->brake.since_ms;
    snprintf(ret->brake_why, sizeof(ret->brake_why), "%s", r->brake.why);
    ret->counts.skipped_objects += r->skipped_here;
    ret->counts.backfill_objects += r->listed_ahead;
    engine_stats_show(r);
    const struct stat *latency = r->stats[STAT_RULE_LATENCY];
    ret->latency_p50_s = stat_quantile(latency, 0.50);
    ret->latency_p90_s = stat_quantile(latency, 0.90);
    ret->latency_p99_s = stat_quantile(latency, 0.99);
    engine_lag_text(r, &r->oldest, engine_lag_due(e, r), ret);
    copy_listing(r, ret);
    text_of_existing(r, ret);
    text_of_proof(r, ret);
    if (engine_endpoint_blocks(r, &ret->endpoint_fail, NULL) && ret->endpoint_fail.code == 0) {
        fail_set(&ret->endpoint_fail, REPL_EUNREACHABLE, "endpoint does not answer");
    }
    return 0;
}
