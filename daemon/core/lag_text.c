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

static void text_of_task(struct engine_rule *r, struct rule_lag *lag)
{
    char when[32], copy[96];
    time_iso(r->oldest_ms, when);
    struct fail f = {0};
    const char *name = NULL;
    if (r->oldest_state == TASK_FAILED) {
        lag->blocker = LAG_FAILED_TASK;
        snprintf(lag->waits_for, sizeof(lag->waits_for),
                 "object %s, changed %s, failed and waits for a decision to retry or drop it",
                 r->oldest_key, when);
        return;
    }
    if (engine_endpoint_blocks(r, &f, &name)) {
        lag->blocker = LAG_ENDPOINT;
        snprintf(lag->waits_for, sizeof(lag->waits_for), "endpoint %s does not take work: %s", name,
                 f.code != 0 ? f.text : "it does not answer");
        return;
    }
    const char *what =
        engine_copy_text(r->engine, r->rule.number, span_str(r->oldest_key), copy, sizeof(copy));
    if (what == NULL) {
        what = r->oldest_state == TASK_WAITING ? "waiting for its next try" : "queued";
    }
    lag->blocker = LAG_TASK;
    snprintf(lag->waits_for, sizeof(lag->waits_for), "object %s, changed %s%s: %s", r->oldest_key,
             when, r->oldest_ms <= r->watermark_ms ? ", told late" : "", what);
}

static void text_of_feed(const struct engine_feed *ef, struct rule_lag *lag)
{
    lag->blocker = LAG_FEED;
    const struct feed_status *s = &ef->feed->status;
    const char *why = "not read to its end yet";
    if (s->state == FEED_DOWN) {
        why = s->fail.text;
    } else if (s->waiting_for[0] != 0) {
        why = s->waiting_for;
    }
    snprintf(lag->waits_for, sizeof(lag->waits_for), "%s %s: %s", feed_kind_name(ef->feed->kind),
             ef->name, why);
}

void engine_lag_text(struct engine_rule *r, struct rule_lag *lag)
{
    const struct engine_feed *feed = NULL;
    int64_t through = engine_complete_through(r->engine, r, &feed);
    bool behind = engine_now_ms(r->engine) - through > BEHIND_MS;
    lag->blocker = LAG_NONE;
    lag->waits_for[0] = 0;
    if (!r->rule.enabled) {
        lag->blocker = LAG_PAUSED;
        snprintf(lag->waits_for, sizeof(lag->waits_for),
                 "the rule is paused; its watermark stands still until it is resumed");
    } else if (r->any && r->oldest_ms - 1 <= through) {
        text_of_task(r, lag);
    } else if (behind && feed != NULL) {
        text_of_feed(feed, lag);
    } else if (r->any) {
        text_of_task(r, lag);
    }
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

int engine_lag(struct engine *e, const char *rule, struct rule_lag *ret)
{
    struct engine_rule *r = engine_rule_by_name(e, rule);
    if (r == NULL) {
        return REPL_ENOTFOUND;
    }
    memset(ret, 0, sizeof(*ret));
    ret->known = r->lag_known;
    ret->watermark_ms = r->watermark_ms;
    ret->lag_ms = r->watermark_ms > 0 ? engine_now_ms(e) - r->watermark_ms : 0;
    ret->oldest_ms = r->any ? r->oldest_ms : 0;
    ret->counts = r->counts;
    ret->counts.skipped_objects += r->skipped_here;
    ret->counts.backfill_objects += r->listed_ahead;
    engine_stats_show(r);
    const struct stat *latency = r->stats[STAT_RULE_LATENCY];
    ret->latency_p50_s = stat_quantile(latency, 0.50);
    ret->latency_p90_s = stat_quantile(latency, 0.90);
    ret->latency_p99_s = stat_quantile(latency, 0.99);
    engine_lag_text(r, ret);
    copy_listing(r, ret);
    text_of_existing(r, ret);
    if (engine_endpoint_blocks(r, &ret->endpoint_fail, NULL) && ret->endpoint_fail.code == 0) {
        fail_set(&ret->endpoint_fail, REPL_EUNREACHABLE, "endpoint does not answer");
    }
    return 0;
}
