/* Callers that wait until a rule has come to some time. */
#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <uv.h>

static void end_wait(struct engine_wait *w, int status, const char *why)
{
    struct fail f = {0};
    if (status != 0) {
        fail_set(&f, status, "%s", why);
    }
    list_remove(&w->link);
    timer_stop(&w->timer);
    engine_done_later(w->engine, w->done, w->arg, status, &f);
    mem_free(w->rule);
    mem_free(w->prefix);
    mem_free(w);
}

static const char *what_is_missing(const struct engine_wait *w, const struct rule_lag *lag)
{
    if (w->proven && lag->proof[0] != 0) {
        return lag->proof;
    }
    if (lag->waits_for[0] != 0 || lag->existing[0] == 0 || !w->existing) {
        return lag->waits_for;
    }
    return lag->existing;
}

static void wait_timed_out(void *arg)
{
    struct engine_wait *w = arg;
    struct rule_lag lag;
    char text[400] = "rule is gone";
    if (engine_lag(w->engine, w->rule, &lag) == 0) {
        snprintf(text, sizeof(text), "still waiting: %s", what_is_missing(w, &lag));
    }
    end_wait(w, UV_ETIMEDOUT, text);
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
    char text[120];
    if (!w->existing || r->existing_failed == 0) {
        end_wait(w, 0, NULL);
        return;
    }
    snprintf(text, sizeof(text), "%" PRIu64 "%s existing objects failed", r->existing_failed,
             r->existing_failed == FRONTIER_FAILED_MAX ? " or more" : "");
    end_wait(w, REPL_ECONFLICT, text);
}

void engine_waits_check(struct engine *e)
{
    LIST_FOR_SAFE (link, &e->waits) {
        struct engine_wait *w = CONTAINER_OF(link, struct engine_wait, link);
        struct engine_rule *r = engine_rule_by_name(e, w->rule);
        if (r == NULL) {
            end_wait(w, REPL_ENOTFOUND, "the rule was deleted");
        } else if (w->prefix != NULL && engine_prefix_find(r, w->prefix) == NULL) {
            end_wait(w, REPL_ENOTFOUND, "the rule has no watermark for this prefix");
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
            end_wait(w, status, why);
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
        end_wait(w, REPL_ENOTFOUND, "there is no such rule");
        return;
    }
    if (what->timeout_ms > 0) {
        timer_start(&w->timer, what->timeout_ms);
    }
    engine_lag_soon(e);
}
