/* Callers that wait until a rule has come to some time. */
#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <uv.h>

/* f->code 0: it is there. */
static void end_wait(struct engine_wait *w, const struct fail *f)
{
    list_remove(&w->link);
    timer_stop(&w->timer);
    engine_done_later(w->engine, w->done, w->arg, f->code, f);
    mem_free(w->rule);
    mem_free(w->prefix);
    mem_free(w);
}

static void refuse(struct engine_wait *w, int status, const char *why)
{
    struct fail f;
    fail_set(&f, status, "%s", why);
    end_wait(w, &f);
}

static void refuse_prefix(struct engine_wait *w)
{
    struct fail f;
    fail_set(&f, REPL_ENOTFOUND, "the rule has no watermark for this prefix");
    fail_hint(&f, "replctl rule show %s names its watermark_prefixes", w->rule);
    end_wait(w, &f);
}

static bool is_to_come(const struct engine_wait *w)
{
    return w->until_ms > engine_now_ms(w->engine);
}

/* The watermark, or that of the prefix, against the time that is waited for; true: said why. */
static bool watermark_is_missing(const struct engine_wait *w, struct rule_lag *lag)
{
    struct engine *e = w->engine;
    struct engine_rule *r = engine_rule_by_name(e, w->rule);
    const struct engine_prefix *p = w->prefix != NULL ? engine_prefix_find(r, w->prefix) : NULL;
    int64_t ms = p != NULL ? p->watermark_ms : r->watermark_ms;
    int64_t due_ms = is_to_come(w) ? engine_lag_due(e, r) : w->until_ms;
    lag->watermark_ms = ms;
    engine_lag_text(r, p != NULL ? &p->oldest : &r->oldest, due_ms, lag);
    if (ms >= w->until_ms) {
        return false;
    }
    if (lag->waits_for[0] == 0 && !is_to_come(w)) {
        snprintf(lag->waits_for, sizeof(lag->waits_for), "its watermark is being worked out");
    }
    return true;
}

/* Whatever else there is: nobody can be there before that time is. */
static void say_to_come(const struct engine_wait *w, const char *besides, struct fail *f)
{
    char until[32], now[32];
    time_iso(w->until_ms, until);
    time_iso(engine_now_ms(w->engine), now);
    fail_set(f, UV_ETIMEDOUT, "%s is still to come, it is %s on repld's host%s%s", until, now,
             besides[0] != 0 ? "; besides, the rule waits: " : "", besides);
}

static void say_how_to_mend(const struct engine_wait *w, const struct rule_lag *lag, struct fail *f)
{
    if (lag->hint[0] != 0) {
        fail_hint(f, "%s; replctl scan start %s looks without it", lag->hint, w->rule);
    }
}

static void say_what_is_missing(const struct engine_wait *w, struct rule_lag *lag, struct fail *f)
{
    if (is_to_come(w)) {
        (void)watermark_is_missing(w, lag);
        say_to_come(w, lag->waits_for, f);
        say_how_to_mend(w, lag, f);
    } else if (w->proven) {
        fail_set(f, UV_ETIMEDOUT, "rule \"%s\" is not proven so far yet: %s", w->rule, lag->proof);
    } else if (watermark_is_missing(w, lag)) {
        fail_set(f, UV_ETIMEDOUT, "rule \"%s\" is not there yet: %s", w->rule, lag->waits_for);
        say_how_to_mend(w, lag, f);
    } else {
        fail_set(f, UV_ETIMEDOUT, "rule \"%s\": existing objects are not there yet: %s", w->rule,
                 lag->existing);
    }
}

static void wait_timed_out(void *arg)
{
    struct engine_wait *w = arg;
    struct rule_lag lag;
    struct fail f;
    if (engine_lag(w->engine, w->rule, &lag) == 0) {
        say_what_is_missing(w, &lag, &f);
    } else {
        fail_set(&f, UV_ETIMEDOUT, "rule is gone");
    }
    end_wait(w, &f);
}

/* What the caller waits for, as far as the rule is concerned. */
static bool is_reached(const struct engine_wait *w, struct engine_rule *r)
{
    int64_t ms = w->proven ? r->proven_ms : r->watermark_ms;
    if (w->prefix != NULL) {
        const struct engine_prefix *p = engine_prefix_find(r, w->prefix);
        ms = w->proven ? p->proven_ms : p->watermark_ms;
    }
    return r->lag_known && ms >= w->until_ms && (!w->existing || engine_existing_is_done(r));
}

static void end_reached(struct engine_wait *w, const struct engine_rule *r)
{
    struct fail f = {0};
    if (w->existing && r->existing_failed > 0) {
        fail_set(&f, REPL_ECONFLICT, "%" PRIu64 "%s existing objects failed", r->existing_failed,
                 r->existing_failed == FRONTIER_FAILED_MAX ? " or more" : "");
    }
    end_wait(w, &f);
}

void engine_waits_check(struct engine *e)
{
    LIST_FOR_SAFE (link, &e->waits) {
        struct engine_wait *w = CONTAINER_OF(link, struct engine_wait, link);
        struct engine_rule *r = engine_rule_by_name(e, w->rule);
        if (r == NULL) {
            refuse(w, REPL_ENOTFOUND, "the rule was deleted");
        } else if (w->prefix != NULL && engine_prefix_find(r, w->prefix) == NULL) {
            refuse_prefix(w);
        } else if (is_reached(w, r)) {
            end_reached(w, r);
        }
    }
}

void engine_waits_end(struct engine *e, const char *rule, int status, const char *why)
{
    LIST_FOR_SAFE (link, &e->waits) {
        struct engine_wait *w = CONTAINER_OF(link, struct engine_wait, link);
        if (rule == NULL || strcmp(rule, w->rule) == 0) {
            refuse(w, status, why);
        }
    }
}

void engine_wait(struct engine *e, const struct engine_wait_options *what, engine_done_fn *done,
                 void *arg)
{
    struct engine_wait *w = MEM_NEW(struct engine_wait);
    w->engine = e;
    w->rule = mem_strdup(what->rule);
    w->until_ms = what->until_ms != 0 ? what->until_ms : engine_now_ms(e);
    w->existing = what->existing;
    w->proven = what->proven;
    w->prefix = what->prefix != NULL ? mem_strdup(what->prefix) : NULL;
    w->done = done;
    w->arg = arg;
    list_push_back(&e->waits, &w->link);
    timer_init(&w->timer, e->loop, wait_timed_out, w);
    if (engine_rule_by_name(e, w->rule) == NULL) {
        struct fail f;
        engine_unknown_rule(e, w->rule, &f);
        end_wait(w, &f);
        return;
    }
    if (what->timeout_ms > 0) {
        timer_start(&w->timer, what->timeout_ms);
    }
    engine_lag_soon(e);
}
