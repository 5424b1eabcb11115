/* The engine as the host of its rules' scans. */
#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"

#include <stdio.h>

#define AHEAD_MAX       10000 /* tasks of a scan in the journal at a time */
#define CONTINUOUS_RATE 2     /* requests a second where nothing else is said */

/* ---- append ---- */

struct scan_append {
    feed_done_fn *done;
    void *arg;
};

static void scan_appended(void *arg, int status, const struct fail *f,
                          const struct engine_append_result *result)
{
    struct scan_append *h = arg;
    (void)result;
    h->done(h->arg, status, f);
    mem_free(h);
}

static void host_append(void *arg, const struct scan_batch *batch, feed_done_fn *done,
                        void *done_arg)
{
    struct engine_feed *ef = arg;
    struct engine_rule *r = engine_rule_by_number(ef->engine, ef->rule);
    struct scan_append *h = MEM_NEW(struct scan_append);
    h->done = done;
    h->arg = done_arg;
    for (size_t i = 0; r != NULL && i < batch->change_count; i++) {
        bool existing = scan_is_existing(batch, &batch->changes[i]);
        r->handed_over += existing;
        r->listed_ahead += existing;
        r->found += !existing;
        r->found_ahead += !existing;
    }
    engine_append_scan(ef->engine, ef->rule, batch, span_str(ef->feed->name), scan_appended, h);
}

/* ---- compare ---- */

struct compare_call {
    struct journal_call call;
    struct arena arena;
    struct compare what;
    struct compared compared;
    struct scan_listed *listed; /* the feed's */
    scan_compared_fn *done;
    void *arg;
};

static int run_compare(struct backend *b, struct journal_call *call)
{
    struct compare_call *c = CONTAINER_OF(call, struct compare_call, call);
    return b->ops->compare(b, &c->arena, &c->what, &c->compared);
}

static void compare_done(struct journal_call *call)
{
    struct compare_call *c = CONTAINER_OF(call, struct compare_call, call);
    for (size_t i = 0; call->status == 0 && i < c->what.count; i++) {
        c->listed[i].known = c->what.listed[i].known;
        c->listed[i].has_marks = c->what.listed[i].has_marks;
    }
    c->done(c->arg, call->status, &call->fail, c->compared.missing, c->compared.missing_count,
            c->compared.through);
    arena_done(&c->arena);
    mem_free(c);
}

static void host_compare(void *arg, const struct scan_compare *what, scan_compared_fn *done,
                         void *done_arg)
{
    struct engine_feed *ef = arg;
    struct compare_call *c = MEM_NEW(struct compare_call);
    arena_init(&c->arena);
    c->what = (struct compare){.rule = ef->rule,
                               .count = what->count,
                               .versions = what->versions,
                               .tell_missing = what->tell_missing,
                               .after = arena_span(&c->arena, what->after),
                               .until = arena_span(&c->arena, what->until),
                               .before_ms = what->before_ms};
    c->what.listed = arena_alloc(&c->arena, (what->count + 1) * sizeof(*c->what.listed));
    for (size_t i = 0; i < what->count; i++) {
        c->what.listed[i] = (struct listed){.key = what->listed[i].key,
                                            .etag = what->listed[i].etag,
                                            .version_id = what->listed[i].version_id,
                                            .mtime_ms = what->listed[i].mtime_ms};
    }
    c->listed = what->listed;
    c->done = done;
    c->arg = done_arg;
    c->call.access = JOURNAL_READ;
    c->call.run = run_compare;
    c->call.done = compare_done;
    journal_submit(ef->engine->journal, &c->call);
}

/* ---- gone ---- */

struct gone_call {
    struct journal_call call;
    struct arena arena;
    uint32_t rule;
    size_t limit;
    struct span *keys;
    size_t count;
    scan_keys_fn *done;
    void *arg;
};

static int run_gone(struct backend *b, struct journal_call *call)
{
    struct gone_call *c = CONTAINER_OF(call, struct gone_call, call);
    return b->ops->gone_page(b, &c->arena, c->rule, c->limit, &c->keys, &c->count);
}

static void gone_done(struct journal_call *call)
{
    struct gone_call *c = CONTAINER_OF(call, struct gone_call, call);
    c->done(c->arg, call->status, &call->fail, c->keys, c->count);
    arena_done(&c->arena);
    mem_free(c);
}

static void host_gone(void *arg, size_t limit, scan_keys_fn *done, void *done_arg)
{
    struct engine_feed *ef = arg;
    struct gone_call *c = MEM_NEW(struct gone_call);
    arena_init(&c->arena);
    c->rule = ef->rule;
    c->limit = limit < BACKEND_PAGE_MAX ? limit : BACKEND_PAGE_MAX;
    c->done = done;
    c->arg = done_arg;
    c->call.access = JOURNAL_WRITE; /* in line with what was appended before */
    c->call.run = run_gone;
    c->call.done = gone_done;
    journal_submit(ef->engine->journal, &c->call);
}

/* ---- the rest ---- */

static void host_load(void *arg, struct span cursor_name, feed_value_fn *done, void *done_arg)
{
    struct feed_host host = engine_feed_host(arg);
    host.load(arg, cursor_name, done, done_arg);
}

static struct engine_rule *rule_of(void *arg)
{
    const struct engine_feed *ef = arg;
    struct engine_rule *r = engine_rule_by_number(ef->engine, ef->rule);
    return r != NULL && !r->deleting ? r : NULL;
}

static const struct rule *host_rule(void *arg)
{
    const struct engine_rule *r = rule_of(arg);
    return r != NULL ? &r->rule : NULL;
}

/* Who scans instead of us; NULL = we do. */
static const char *who_else(struct engine *e, const char *rule)
{
    const char *trouble;
    return engine_owns(e, rule) ? NULL : engine_owner(e, rule, &trouble);
}

static const char *text_of_host(struct engine_feed *ef, const char *who)
{
    if (who[0] == '\0') {
        return "the hosts have not agreed yet which of them scans for this rule";
    }
    snprintf(ef->waits, sizeof(ef->waits), "host %.64s scans for this rule, not this one", who);
    return ef->waits;
}

static const char *host_waits(void *arg)
{
    struct engine_feed *ef = arg;
    const struct engine_rule *r = rule_of(arg);
    if (r == NULL || ef->engine->stopping) {
        return "the rule ends";
    }
    if (!r->rule.enabled) {
        return "the rule is paused";
    }
    const char *who = who_else(ef->engine, r->rule.name);
    if (who != NULL) {
        return text_of_host(ef, who);
    }
    return journal_is_failing(ef->engine->journal) ? "the journal cannot be written" : NULL;
}

/* Of what a scan has found, that is not older than the rule, no more can be pending than was found.
 */
static size_t host_room(void *arg)
{
    const struct engine_rule *r = rule_of(arg);
    if (r == NULL || !r->lag_known) {
        return 0;
    }
    uint64_t pending = r->counts.pending_objects + r->found_ahead;
    uint64_t ahead =
        r->counts.backfill_objects + r->listed_ahead + (pending < r->found ? pending : r->found);
    return ahead < AHEAD_MAX ? AHEAD_MAX - (size_t)ahead : 0;
}

static uint64_t host_rate(void *arg)
{
    const struct engine_feed *ef = arg;
    const struct engine_rule *r = rule_of(arg);
    if (r == NULL) {
        return 0;
    }
    unsigned minute = time_minute_of_day(loop_wall_ms(ef->engine->loop));
    const struct limit_entry *limit = limit_at(&r->rule.scan_requests, minute);
    if (limit != NULL) {
        return limit->rate;
    }
    bool is_slow = r->rule.scan.mode == RULE_SCAN_CONTINUOUS && r->rule.scan_requests.text == NULL;
    return is_slow ? CONTINUOUS_RATE : 0;
}

static int64_t host_now_ms(void *arg)
{
    const struct engine_feed *ef = arg;
    return engine_now_ms(ef->engine);
}

static void host_news(void *arg)
{
    const struct engine_feed *ef = arg;
    engine_lag_soon(ef->engine);
}

static void host_heard(void *arg, struct store *store, const struct store_op *op)
{
    const struct engine_feed *ef = arg;
    engine_heard(ef->engine, store, op);
}

static bool host_takes(void *arg, struct span key)
{
    const struct engine_rule *r = rule_of(arg);
    return r != NULL && rules_takes_key(&r->rule, key);
}

static struct span host_map(void *arg, struct span key, struct arena *a)
{
    const struct engine_rule *r = rule_of(arg);
    return r != NULL ? rules_map_key(&r->rule, key, a) : key;
}

static struct scan_host host_of(struct engine_feed *ef)
{
    return (struct scan_host){.arg = ef,
                              .append = host_append,
                              .load = host_load,
                              .compare = host_compare,
                              .gone = host_gone,
                              .rule = host_rule,
                              .waits = host_waits,
                              .room = host_room,
                              .rate = host_rate,
                              .now_ms = host_now_ms,
                              .news = host_news,
                              .heard = host_heard,
                              .takes = host_takes,
                              .map = host_map};
}

/* ---- life ---- */

void engine_scan_start(struct engine_rule *r)
{
    struct engine *e = r->engine;
    if (!e->run_feeds || e->stopping || r->deleting || r->scan != NULL || r->from == NULL ||
        r->to == NULL) {
        return;
    }
    struct engine_feed *ef = engine_feed_new(e, r->rule.number, r->rule.name);
    r->scan = ef;
    ef->feed = scan_feed_new(&(struct scan_feed_options){.loop = e->loop,
                                                         .log = e->log,
                                                         .from = r->from->store,
                                                         .to = r->to->store,
                                                         .rule = &r->rule,
                                                         .host = host_of(ef)});
}

void engine_scan_stop(struct engine_rule *r)
{
    if (r->scan != NULL) {
        engine_feed_stop(r->scan);
    }
}

void engine_scan_wake(struct engine_rule *r, bool takes_more)
{
    if (r->scan != NULL && !r->scan->closing) {
        scan_feed_wake(r->scan->feed, takes_more);
    } else {
        engine_scan_start(r);
    }
}

/* ---- for operators ---- */

static struct feed *scan_of(struct engine *e, const char *rule, struct fail *f)
{
    const struct engine_rule *r = engine_rule_by_name(e, rule);
    if (r == NULL || r->deleting) {
        engine_unknown_rule(e, rule, f);
        return NULL;
    }
    if (r->scan == NULL || r->scan->closing) {
        fail_set(f, REPL_ECONFLICT, "rule %.80s: its endpoints are not in the configuration", rule);
        fail_hint(f, "add them to repld.yaml, then: replctl reload");
        return NULL;
    }
    return r->scan->feed;
}

int engine_scan_begin(struct engine *e, const char *rule, struct fail *f)
{
    struct feed *feed = scan_of(e, rule, f);
    const char *who = feed != NULL ? who_else(e, rule) : NULL;
    if (who != NULL && who[0] != '\0') {
        fail_set(f, REPL_ECONFLICT, "rule %.80s: host %.64s scans for it, not this one", rule, who);
        fail_hint(f,
                  "start the scan there, or name this host with replctl rule update --scan-host");
        return REPL_ECONFLICT;
    }
    return feed != NULL ? scan_feed_begin(feed, f) : f->code;
}

int engine_scan_end(struct engine *e, const char *rule, struct fail *f)
{
    struct feed *feed = scan_of(e, rule, f);
    return feed != NULL ? scan_feed_end(feed, f) : f->code;
}

int engine_scan_report(struct engine *e, const char *rule, struct scan_report *ret, struct fail *f)
{
    const struct feed *feed = scan_of(e, rule, f);
    if (feed == NULL) {
        return f->code;
    }
    scan_feed_report(feed, ret);
    return 0;
}
