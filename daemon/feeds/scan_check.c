/* Whether the listing has shown all: some of the replicas that it did not show are asked for at the
 * source, before the pass proves anything. One that is there, and was before the pass began, says
 * that the listing is not complete, however it ended; then it proves nothing and tells no deletes.
 *
 * Which ones: any, with equal chance, and for sure the last one of each range, since listings are
 * cut at their end. They are known to this life only: a pass that is interrupted before all were
 * asked for begins anew, lest an empty sample proves what was not looked at. */
#include "daemon/feeds/scan_impl.h"

#include <stdio.h>

#define CLOCK_MS 2000 /* Date and Last-Modified have seconds */

static void keep(struct scan_check *c, size_t at, struct span key)
{
    buf_reset(&c->keys[at]);
    buf_span(&c->keys[at], key);
}

void check_offer(struct scan *s, struct span key, bool for_sure)
{
    struct scan_check *c = &s->check;
    c->offered++;
    if (c->count < SCAN_CHECKS_MAX) {
        keep(c, c->count++, key);
        return;
    }
    uint64_t at = loop_random(s->loop, for_sure ? SCAN_CHECKS_MAX : c->offered);
    if (at < SCAN_CHECKS_MAX) {
        keep(c, (size_t)at, key);
    }
}

void check_begin(struct scan *s)
{
    s->check.count = s->check.at = 0;
    s->check.offered = 0;
}

void check_free(struct scan *s)
{
    for (size_t i = 0; i < SCAN_CHECKS_MAX; i++) {
        buf_done(&s->check.keys[i]);
    }
    arena_done(&s->check.arena);
}

/* By the source's clock; what came while the pass went on need not be in it. */
static bool was_there(const struct scan *s, const struct store_object *o)
{
    int64_t pass_ms = s->host.now_ms(s->host.arg) - (int64_t)s->state.started_ms;
    return o->mtime_ms == 0 || o->read_ms == 0 || o->read_ms - o->mtime_ms > pass_ms + CLOCK_MS;
}

static void note_unlisted(struct scan *s, struct span key)
{
    struct scan_check *c = &s->check;
    if (s->state.unlisted++ > 0) {
        return;
    }
    snprintf(c->example, sizeof(c->example), "%.*s", SPAN_ARG(key));
    for (char *p = c->example; *p != '\0'; p++) {
        *p = (unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p;
    }
}

static void checked(struct store_op *op)
{
    struct scan *s = op->arg;
    s->is_busy = false;
    if (scan_ended(s)) {
        return;
    }
    scan_heard(s, s->from, op);
    if (op->fail.code != 0 && op->fail.code != REPL_ENOKEY) {
        scan_failed(s, &op->fail);
        scan_wake_in(s, scan_retry_ms(s, s->failures++));
        return;
    }
    s->failures = 0;
    scan_is_well(s);
    if (op->fail.code == 0 && was_there(s, &op->object)) {
        note_unlisted(s, op->key);
    }
    s->check.at++;
    scan_kick(s);
}

bool check_is_lost(const struct scan_state *state)
{
    bool is_older = state->phase != SCAN_IDLE && state->covers == 0;
    return is_older || (state->phase == SCAN_LIST && state->offered > 0);
}

bool check_is_done(struct scan *s)
{
    struct scan_check *c = &s->check;
    if (c->at == c->count) {
        return true;
    }
    if (!scan_may_ask(s)) {
        return false;
    }
    arena_done(&c->arena);
    arena_init(&c->arena);
    c->op = (struct store_op){.kind = STORE_HEAD,
                              .bucket = s->bucket,
                              .key = buf_view(&c->keys[c->at]),
                              .done = checked,
                              .arg = s,
                              .arena = &c->arena};
    s->is_busy = true;
    scan_count_ask(s);
    store_submit(s->from, &c->op);
    return false;
}
