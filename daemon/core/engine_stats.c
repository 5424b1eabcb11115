#include "daemon/core/engine_impl.h"

static const struct {
    enum stat_type type;
    const char *name;
    const char *help;
} table[STAT_RULE_COUNT] = {
    [STAT_RULE_WATERMARK] = {STAT_GAUGE, "repl_rule_watermark_timestamp_seconds",
                             "Every change up to this moment is at the destination; absent before "
                             "one is known."},
    [STAT_RULE_LAG] = {STAT_GAUGE, "repl_rule_lag_seconds",
                       "Now less the watermark; absent before there is one."},
    [STAT_RULE_PENDING_OBJECTS] = {STAT_GAUGE, "repl_rule_pending_objects",
                                   "Changed objects not yet at the destination."},
    [STAT_RULE_PENDING_BYTES] = {STAT_GAUGE, "repl_rule_pending_bytes",
                                 "Bytes of the pending objects whose size is known."},
    [STAT_RULE_LATE_OBJECTS] = {STAT_GAUGE, "repl_rule_late_objects",
                                "Pending objects past the rule's objective."},
    [STAT_RULE_LATE_BYTES] = {STAT_GAUGE, "repl_rule_late_bytes",
                              "Bytes of the late objects whose size is known."},
    [STAT_RULE_BACKFILL_BYTES] = {STAT_GAUGE, "repl_rule_backfill_bytes",
                                  "Bytes of the backfill objects whose size is known."},
    [STAT_RULE_BACKFILL_OBJECTS] = {STAT_GAUGE, "repl_rule_backfill_objects",
                                    "Existing objects listed and not yet at the destination."},
    [STAT_RULE_OLDEST_AGE] = {STAT_GAUGE, "repl_rule_oldest_pending_age_seconds",
                              "Age of the oldest pending change; 0 without one."},
    [STAT_RULE_FAILED_OBJECTS] = {STAT_GAUGE, "repl_rule_failed_objects",
                                  "Objects given up until an operator decides."},
    [STAT_RULE_REPLICATED_OBJECTS] = {STAT_COUNTER, "repl_rule_replicated_objects_total",
                                      "Objects verified at the destination."},
    [STAT_RULE_REPLICATED_BYTES] = {STAT_COUNTER, "repl_rule_replicated_bytes_total",
                                    "Bytes of the replicated objects."},
    [STAT_RULE_SENT_BYTES] = {STAT_COUNTER, "repl_rule_sent_bytes_total",
                              "Body bytes sent to the destination, repeats included."},
    [STAT_RULE_DELETED_OBJECTS] = {STAT_COUNTER, "repl_rule_deleted_objects_total",
                                   "Objects deleted at the destination."},
    [STAT_RULE_SKIPPED_OBJECTS] = {STAT_COUNTER, "repl_rule_skipped_objects_total",
                                   "Changes that needed nothing."},
    [STAT_RULE_RETRIES] = {STAT_COUNTER, "repl_rule_retries_total", "Copies tried again."},
    [STAT_RULE_OBJECTIVE_MISSED] = {STAT_COUNTER, "repl_rule_objective_missed_total",
                                    "Changes replicated later than the rule's objective."},
    [STAT_RULE_LATENCY] = {STAT_HISTOGRAM, "repl_rule_replication_latency_seconds",
                           "From the change to its verification at the destination."},
    [STAT_RULE_PROVEN] = {STAT_GAUGE, "repl_rule_proven_timestamp_seconds",
                          "A complete scan has confirmed every change up to this moment."},
    [STAT_RULE_LATE_CHANGES] = {STAT_COUNTER, "repl_rule_late_changes_total",
                                "Changes that arrived with a time before the watermark."},
    [STAT_RULE_OWNER] = {STAT_GAUGE, "repl_rule_owner",
                         "1 on the host that looks at the whole bucket of the rule."},
    [STAT_RULE_HELD_DELETES] = {STAT_GAUGE, "repl_rule_held_deletes",
                                "Deletes that the brake holds until an operator confirms them."},
    [STAT_RULE_BRAKE] = {STAT_GAUGE, "repl_rule_delete_brake",
                         "1 while the rule's deletes are held."},
    [STAT_RULE_CONFLICTS] = {STAT_COUNTER, "repl_rule_conflicts_total",
                             "Times that writes of both sides of a two-way rule have met."},
    [STAT_RULE_SCAN_LISTED] = {STAT_COUNTER, "repl_rule_scan_listed_objects_total",
                               "Objects of the rule that scans have listed."},
    [STAT_RULE_SCAN_REQUESTS] = {STAT_COUNTER, "repl_rule_scan_requests_total",
                                 "Requests that scans have made."},
    [STAT_RULE_SCAN_FOUND] = {STAT_COUNTER, "repl_rule_scan_found_objects_total",
                              "Objects that scans have found and handed over."},
    [STAT_RULE_SCAN_MISSING] = {STAT_COUNTER, "repl_rule_scan_missing_objects_total",
                                "Replicas that scans did not find at the source."},
    [STAT_RULE_SCAN_START] = {STAT_GAUGE, "repl_rule_scan_start_timestamp_seconds",
                              "When the last complete scan began that is believed."},
};

static void collect(void *arg)
{
    struct engine *e = arg;
    if (e->stopping) {
        return;
    }
    LIST_FOR (link, &e->rules) {
        struct engine_rule *r = CONTAINER_OF(link, struct engine_rule, link);
        if (!r->deleting) {
            engine_stats_show(r);
        }
    }
    stat_put(stat_get(stat_family(e->stats, STAT_GAUGE, "repl_journal_queue_length",
                                  "Calls that wait for the journal.", NULL),
                      NULL),
             (double)journal_queue_length(e->journal));
    stat_put(stat_get(stat_family(e->stats, STAT_GAUGE, "repl_journal_failing",
                                  "1 while the journal cannot be written.", NULL),
                      NULL),
             journal_is_failing(e->journal));
}

void engine_stats_init(struct engine *e)
{
    static const char *const labels[] = {"rule", NULL};
    for (int i = 0; i < STAT_RULE_COUNT; i++) {
        e->families[i] = stat_family(e->stats, table[i].type, table[i].name, table[i].help, labels);
    }
    static const char *const by_result[] = {"rule", "result", NULL};
    e->scans = stat_family(e->stats, STAT_COUNTER, "repl_rule_scans_total",
                           "Scans of the rule's source that ended, by result.", by_result);
    stat_on_collect(e->stats, collect, e);
}

void engine_stats_rule(struct engine_rule *r)
{
    const char *values[] = {r->rule.name, NULL};
    for (int i = 0; i < STAT_RULE_COUNT; i++) {
        r->stats[i] = stat_get(r->engine->families[i], values);
    }
}

void engine_stats_drop(struct engine_rule *r)
{
    for (int i = 0; i < STAT_RULE_COUNT; i++) {
        stat_drop(r->engine->families[i], r->rule.name);
        r->stats[i] = NULL;
    }
    stat_drop(r->engine->scans, r->rule.name);
}

static double seconds(int64_t ms)
{
    return ms > 0 ? (double)ms / 1000.0 : 0;
}

static void show_result(struct engine_rule *r, const char *result, uint64_t n)
{
    const char *values[] = {r->rule.name, result, NULL};
    stat_put(stat_get(r->engine->scans, values), (double)n);
}

static void show_scan(struct engine_rule *r)
{
    struct scan_report report;
    const struct scan_totals *t = &report.totals;
    if (r->scan == NULL || r->scan->closing || r->scan->feed == NULL) {
        return;
    }
    scan_feed_report(r->scan->feed, &report);
    show_result(r, "complete", t->complete);
    show_result(r, "doubted", t->doubted);
    show_result(r, "stopped", t->stopped);
    stat_put(r->stats[STAT_RULE_SCAN_LISTED], (double)t->listed);
    stat_put(r->stats[STAT_RULE_SCAN_REQUESTS], (double)t->requests);
    stat_put(r->stats[STAT_RULE_SCAN_FOUND], (double)t->found);
    stat_put(r->stats[STAT_RULE_SCAN_MISSING], (double)t->missing);
    stat_put_ms(r->stats[STAT_RULE_SCAN_START], (int64_t)report.state.proven_ms);
}

/* Without a watermark there is no lag either. */
static void show_watermark(struct engine_rule *r, int64_t now_ms)
{
    stat_put_ms(r->stats[STAT_RULE_WATERMARK], r->watermark_ms);
    stat_put_ms(r->stats[STAT_RULE_PROVEN], r->proven_ms);
    if (r->watermark_ms > 0) {
        stat_put(r->stats[STAT_RULE_LAG], seconds(now_ms - r->watermark_ms));
    } else {
        stat_unset(r->stats[STAT_RULE_LAG]);
    }
}

void engine_stats_show(struct engine_rule *r)
{
    const struct rule_counts *n = &r->counts;
    int64_t now = engine_now_ms(r->engine);
    if (!r->lag_known) {
        return;
    }
    show_watermark(r, now);
    stat_put(r->stats[STAT_RULE_PENDING_OBJECTS], (double)n->pending_objects);
    stat_put(r->stats[STAT_RULE_PENDING_BYTES], (double)n->pending_bytes);
    stat_put(r->stats[STAT_RULE_LATE_OBJECTS], (double)n->late_objects);
    stat_put(r->stats[STAT_RULE_LATE_BYTES], (double)n->late_bytes);
    stat_put(r->stats[STAT_RULE_BACKFILL_OBJECTS], (double)n->backfill_objects);
    stat_put(r->stats[STAT_RULE_BACKFILL_BYTES], (double)n->backfill_bytes);
    stat_put(r->stats[STAT_RULE_OLDEST_AGE], r->oldest.any ? seconds(now - r->oldest.ms) : 0);
    stat_put(r->stats[STAT_RULE_FAILED_OBJECTS], (double)n->failed_objects);
    stat_put(r->stats[STAT_RULE_REPLICATED_OBJECTS], (double)n->done_objects);
    stat_put(r->stats[STAT_RULE_REPLICATED_BYTES], (double)n->done_bytes);
    stat_put(r->stats[STAT_RULE_SENT_BYTES], (double)n->sent_bytes);
    stat_put(r->stats[STAT_RULE_DELETED_OBJECTS], (double)n->deleted_objects);
    stat_put(r->stats[STAT_RULE_SKIPPED_OBJECTS], (double)(n->skipped_objects + r->skipped_here));
    stat_put(r->stats[STAT_RULE_OWNER], engine_owns(r->engine, r->rule.name));
    stat_put(r->stats[STAT_RULE_RETRIES], (double)n->retries);
    stat_put(r->stats[STAT_RULE_LATE_CHANGES], (double)n->late_changes);
    stat_put(r->stats[STAT_RULE_HELD_DELETES], (double)n->held_objects);
    stat_put(r->stats[STAT_RULE_BRAKE], r->brake.since_ms != 0);
    show_scan(r);
    stat_load(r->stats[STAT_RULE_LATENCY], n->latency, n->latency_sum_s);
}
