#include "daemon/base/hash.h"
#include "daemon/base/mem.h"
#include "daemon/jobs/migrate_impl.h"
#include "daemon/rules/rules.h"

#include <inttypes.h>
#include <stdio.h>

#define POLL_MS         200
#define DENIED_LIMIT_MS 20000  /* an endpoint that refuses everything */
#define SILENT_LIMIT_MS 60000  /* one that never answered */
#define OUTAGE_LIMIT_MS 900000 /* one that did */

#define BEFORE "migrate:before" /* what the journal counted when the job began */

/* ---- the end ---- */

static void engine_is_stopped(void *arg)
{
    struct migrate *m = arg;
    m->ended_ms = loop_now_ms(m->loop);
    m->ended(m->arg, m->result.code, &m->result);
}

static void stop_engine(void *arg)
{
    struct migrate *m = arg;
    engine_stop(m->engine, engine_is_stopped, m);
}

void migrate_end(struct migrate *m, int status, const struct fail *f)
{
    if (m->stopping) {
        return;
    }
    m->stopping = true;
    timer_stop(&m->poll);
    if (f != NULL) {
        m->result = *f;
    }
    m->result.code = status;
    if (m->dry_feed != NULL) {
        migrate_dry_close(m, stop_engine, m);
    } else if (!m->asking) {
        stop_engine(m);
    } /* else the answer stops it */
}

void migrate_stop(struct migrate *m)
{
    struct fail f;
    fail_set(&f, REPL_ECANCELED, "stopped; the same command goes on where it was");
    migrate_end(m, f.code, &f);
}

/* ---- journal: the first failure, and the end of a complete run ---- */

struct job_call {
    struct journal_call call;
    struct migrate *migrate;
    uint32_t rule;
    bool complete;
    bool found;
    struct fail fail;
    char key[160];
};

static int first_failed(struct backend *b, struct job_call *c)
{
    struct arena a;
    struct task *tasks;
    size_t count = 0;
    struct task_filter filter = {.rule = c->rule, .state = TASK_FAILED, .limit = 1};
    arena_init(&a);
    int status = b->ops->task_page(b, &a, &filter, &tasks, &count);
    if (status == 0 && count > 0) {
        c->found = true;
        c->fail = tasks[0].fail;
        snprintf(c->key, sizeof(c->key), "%.*s", SPAN_ARG(tasks[0].key));
    }
    arena_done(&a);
    return status;
}

static int run_job_call(struct backend *b, struct journal_call *call)
{
    struct job_call *c = CONTAINER_OF(call, struct job_call, call);
    int status = first_failed(b, c);
    if (status == 0 && c->complete) {
        /* The next run lists anew; what is copied is known as replicas. */
        char name[32];
        snprintf(name, sizeof(name), "scan:%" PRIu32, c->rule);
        status = b->ops->value_put(b, span_str(name), (struct span){0});
    }
    if (status == 0 && c->complete) {
        status = b->ops->value_put(b, span_str(BEFORE), (struct span){0});
    }
    return status;
}

static void end_complete(struct migrate *m, const struct job_call *c)
{
    struct fail f = {0};
    if (c->call.status != 0) {
        migrate_end(m, c->call.status, &c->call.fail);
    } else if (c->found) {
        fail_set(&f, c->fail.code, "%" PRIu64 " objects failed, the first: %s", m->progress.failed,
                 m->progress.failure);
        migrate_end(m, f.code, &f);
    } else {
        migrate_end(m, 0, NULL);
    }
}

static void job_call_done(struct journal_call *call)
{
    struct job_call *c = CONTAINER_OF(call, struct job_call, call);
    struct migrate *m = c->migrate;
    m->asking = false;
    if (c->found) {
        snprintf(m->progress.failure, sizeof(m->progress.failure), "%.120s: %.190s", c->key,
                 c->fail.text);
    }
    if (m->stopping) {
        stop_engine(m);
    } else if (c->complete) {
        end_complete(m, c);
    }
    mem_free(c);
}

static void ask_journal(struct migrate *m, bool complete)
{
    const struct rule *rule = engine_rule_find(m->engine, m->rule.name);
    if (m->asking || rule == NULL) {
        return;
    }
    struct job_call *c = MEM_NEW(struct job_call);
    c->migrate = m;
    c->rule = rule->number;
    c->complete = complete;
    c->call.run = run_job_call;
    c->call.done = job_call_done;
    m->asking = true;
    journal_submit(engine_journal(m->engine), &c->call);
}

/* ---- watching ---- */

static void take_progress(struct migrate *m, const struct rule_lag *lag)
{
    struct migrate_progress *p = &m->progress;
    p->listing = lag->listing;
    p->listed = lag->listed;
    p->listed_bytes = lag->listed_bytes;
    p->copied = lag->counts.done_objects - m->before.done_objects;
    p->earlier = m->begun.done_objects - m->before.done_objects;
    p->copied_bytes = lag->counts.done_bytes - m->before.done_bytes;
    p->failed = lag->counts.failed_objects;
    p->pending = lag->counts.pending_objects + lag->counts.backfill_objects;
    p->sent_bytes = lag->counts.sent_bytes - m->before.sent_bytes;
    p->run_bytes = lag->counts.sent_bytes - m->begun.sent_bytes;
    p->skipped = lag->listed_equal + lag->counts.skipped_objects - m->before.skipped_objects;
    uint64_t others = p->copied + p->pending + p->failed;
    uint64_t most = p->listed > others ? p->listed - others : 0;
    p->skipped =
        p->skipped < most ? p->skipped : most; /* what was copied is equal when listed anew */
}

/* An endpoint that takes no work ends the job after a while: nobody waits for it in vain. */
static void watch_endpoints(struct migrate *m, const struct rule_lag *lag)
{
    const struct fail *f = lag->endpoint_fail.code != 0 ? &lag->endpoint_fail : &lag->listing_fail;
    if (f->code == 0) {
        m->blocked_ms = 0;
        return;
    }
    snprintf(m->progress.failure, sizeof(m->progress.failure), "%s", f->text);
    uint64_t now = loop_now_ms(m->loop);
    if (m->blocked_ms == 0) {
        m->blocked_ms = now;
    }
    bool auth = fail_class(f->code) == FAIL_AUTH;
    uint64_t limit = auth ? DENIED_LIMIT_MS
                     : m->progress.copied == m->progress.earlier && m->progress.listed == 0
                         ? SILENT_LIMIT_MS
                         : OUTAGE_LIMIT_MS;
    if (now - m->blocked_ms >= limit || (auth && lag->listing_fail.code == f->code)) {
        migrate_end(m, auth ? f->code : REPL_EUNREACHABLE, f);
    }
}

static void poll(void *arg)
{
    struct migrate *m = arg;
    struct rule_lag lag;
    timer_start(&m->poll, POLL_MS);
    if (m->dry_feed != NULL) {
        migrate_dry_progress(m);
        return;
    }
    if (engine_lag(m->engine, m->rule.name, &lag) != 0 || !lag.known) {
        return;
    }
    take_progress(m, &lag);
    watch_endpoints(m, &lag);
    if (m->stopping) {
        return;
    }
    if (!lag.listing && m->progress.pending == 0) {
        ask_journal(m, true);
    } else if (m->progress.failed > 0 && m->progress.failure[0] == 0) {
        ask_journal(m, false);
    }
}

void migrate_progress(struct migrate *m, struct migrate_progress *ret)
{
    uint64_t now = m->ended_ms != 0 ? m->ended_ms : loop_now_ms(m->loop);
    *ret = m->progress;
    ret->elapsed_ms = now - m->started_ms;
}

/* ---- the beginning ---- */

static void rule_is_put(void *arg, int status, const struct fail *f)
{
    struct migrate *m = arg;
    if (status != 0) {
        migrate_end(m, status, f);
    } else if (!m->stopping) {
        timer_start(&m->poll, 0);
    }
}

static void failed_are_ready(void *arg, int status, const struct fail *f, uint64_t count)
{
    struct migrate *m = arg;
    (void)count;
    if (status != 0) {
        migrate_end(m, status, f);
    } else if (!m->stopping) {
        engine_rule_put(m->engine, &m->rule, true, rule_is_put, m);
    }
}

static int copy_rule(struct migrate *m, const struct rule *in, struct fail *f)
{
    struct buf json = {0};
    rule_to_json(in, &json);
    int status = rule_from_json(buf_view(&json), &m->arena, &m->rule, f);
    buf_done(&json);
    m->rule.existing = true;
    m->rule.scan.mode = RULE_SCAN_OFF;
    m->rule.deletes = RULE_DELETES_IGNORE;
    m->rule.enabled = true;
    m->rule.publish_ms = 0;
    m->rule.shared = false;
    return status;
}

static void journal_is_lost(void *arg)
{
    struct migrate *m = arg;
    struct fail f;
    fail_set(&f, REPL_EOWNED, "another program has taken the journal");
    migrate_end(m, f.code, &f);
}

static int open_engine(struct migrate *m, const struct migrate_options *options, struct fail *f)
{
    struct engine_options eo = {.loop = m->loop,
                                .log = m->log,
                                .stats = options->stats,
                                .conf = &m->conf,
                                .executor =
                                    loop_is_virtual(m->loop) ? JOURNAL_INLINE : JOURNAL_THREAD,
                                .make_store = options->make_store,
                                .make_store_arg = options->make_store_arg,
                                .feeds = true,
                                .lost = journal_is_lost,
                                .lost_arg = m};
    return engine_new(&eo, &m->engine, f);
}

static int check_places(struct migrate *m, struct fail *f)
{
    const char *names[] = {m->rule.source.endpoint, m->rule.destination.endpoint};
    for (int i = 0; i < 2; i++) {
        if (conf_endpoint_find(&m->conf, names[i]) == NULL) {
            return fail_set(f, REPL_EBADINPUT, "endpoint %.80s is not known", names[i]);
        }
    }
    if (rules_check_overlap(&m->rule, NULL, 0, &m->conf, f) != 0) {
        char hint[sizeof(f->hint)];
        memcpy(hint, f->hint, sizeof(hint));
        fail_set(f, REPL_ECONFLICT,
                 "source and destination overlap in bucket %.200s, it would copy its copies",
                 m->rule.source.bucket);
        fail_hint(f, "%s", hint);
        return f->code;
    }
    return 0;
}

/* An earlier run's rule goes on: its dead letters get another chance. */
static void begin_rule(struct migrate *m)
{
    if (engine_rule_find(m->engine, m->rule.name) != NULL) {
        engine_task_retry(m->engine, m->rule.name, (struct span){0}, failed_are_ready, m);
    } else {
        engine_rule_put(m->engine, &m->rule, false, rule_is_put, m);
    }
}

struct before_call {
    struct journal_call call;
    struct migrate *migrate;
    uint32_t rule; /* 0 = there is none yet */
    struct rule_counts before, begun;
};

/* False: there is none, or an other program's. */
static bool parse_before(struct span text, struct rule_counts *ret)
{
    char copy[128];
    snprintf(copy, sizeof(copy), "%.*s", SPAN_ARG(text));
    return sscanf(copy, "1 %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &ret->done_objects,
                  &ret->done_bytes, &ret->skipped_objects, &ret->sent_bytes) == 4;
}

static int keep_before(struct backend *b, const struct rule_counts *c)
{
    char text[128];
    snprintf(text, sizeof(text), "1 %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, c->done_objects,
             c->done_bytes, c->skipped_objects, c->sent_bytes);
    return b->ops->value_put(b, span_str(BEFORE), span_str(text));
}

/* A job that was interrupted counts on from where it began; one that ended has left nothing. */
static int run_before(struct backend *b, struct journal_call *call)
{
    struct before_call *c = CONTAINER_OF(call, struct before_call, call);
    struct arena a;
    struct span text = {0};
    arena_init(&a);
    int status = c->rule != 0 ? b->ops->counts(b, c->rule, &c->begun) : 0;
    if (status == 0) {
        status = b->ops->value_get(b, &a, span_str(BEFORE), &text);
    }
    bool goes_on = status == 0 && parse_before(text, &c->before);
    if ((status == 0 || status == REPL_ENOTFOUND) && !goes_on) {
        c->before = c->begun;
        status = keep_before(b, &c->before);
    }
    arena_done(&a);
    return status;
}

static void before_done(struct journal_call *call)
{
    struct before_call *c = CONTAINER_OF(call, struct before_call, call);
    struct migrate *m = c->migrate;
    m->asking = false;
    m->before = c->before;
    m->begun = c->begun;
    if (m->stopping) {
        stop_engine(m);
    } else if (call->status != 0) {
        migrate_end(m, call->status, &call->fail);
    } else {
        begin_rule(m);
    }
    mem_free(c);
}

static void ask_before(struct migrate *m)
{
    const struct rule *rule = engine_rule_find(m->engine, m->rule.name);
    struct before_call *c = MEM_NEW(struct before_call);
    c->migrate = m;
    c->rule = rule != NULL ? rule->number : 0;
    c->call.run = run_before;
    c->call.done = before_done;
    m->asking = true;
    journal_submit(engine_journal(m->engine), &c->call);
}

static bool same_place(const struct rule_place *a, const struct rule_place *b)
{
    return strcmp(a->endpoint, b->endpoint) == 0 && strcmp(a->bucket, b->bucket) == 0 &&
           strcmp(a->prefix, b->prefix) == 0;
}

/* A journal named by hand may be another job's. */
static int check_journal(struct migrate *m, struct fail *f)
{
    const struct rule *old = engine_rule_find(m->engine, m->rule.name);
    struct buf from = {0}, to = {0};
    if (old == NULL || (same_place(&old->source, &m->rule.source) &&
                        same_place(&old->destination, &m->rule.destination))) {
        return 0;
    }
    rule_place_print(&old->source, &from);
    rule_place_print(&old->destination, &to);
    fail_set(f, REPL_ECONFLICT, "the journal %.100s is that of another job, from %.100s to %.100s",
             m->conf.journal_path, buf_cstr(&from), buf_cstr(&to));
    fail_hint(f, "name another one with --journal; without it each job has its own");
    buf_done(&from);
    buf_done(&to);
    return f->code;
}

static void begin(struct migrate *m)
{
    struct fail f = {0};
    m->started_ms = loop_now_ms(m->loop);
    m->progress.listing = true;
    if (m->dry_run) {
        migrate_dry_start(m);
        timer_start(&m->poll, POLL_MS);
    } else if (check_journal(m, &f) != 0) {
        migrate_end(m, f.code, &f);
    } else {
        ask_before(m);
    }
}

int migrate_start(const struct migrate_options *options, migrate_ended_fn *ended, void *arg,
                  struct migrate **ret, struct fail *f)
{
    struct migrate *m = MEM_NEW(struct migrate);
    m->loop = options->loop;
    m->log = options->log;
    m->conf = *options->conf;
    m->conf.outbox_count = 0;
    m->conf.webhook = (struct conf_webhook){0};
    m->dry_run = options->dry_run;
    m->ended = ended;
    m->arg = arg;
    arena_init(&m->arena);
    timer_init(&m->poll, m->loop, poll, m);
    int status = copy_rule(m, options->rule, f);
    if (status == 0) {
        status = check_places(m, f);
    }
    if (status == 0) {
        status = open_engine(m, options, f);
    }
    if (status != 0) {
        migrate_free(m);
        return status;
    }
    begin(m);
    *ret = m;
    return 0;
}

void migrate_free(struct migrate *m)
{
    if (m == NULL) {
        return;
    }
    timer_stop(&m->poll);
    engine_free(m->engine);
    arena_done(&m->arena);
    mem_free(m);
}
