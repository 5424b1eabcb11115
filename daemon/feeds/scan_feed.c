/* The life of a scan: cursor, failures, and who may go on. */
#include "daemon/feeds/scan_impl.h"

#include <inttypes.h>
#include <stdio.h>

#define WAIT_MS 500 /* how often is looked whether a wait is over that nobody tells the end of */

/* ---- waking ---- */

void scan_kick(struct scan *s)
{
    deferred_call(&s->kick);
}

void scan_wake_in(struct scan *s, uint64_t ms)
{
    uint64_t due_ms = loop_now_ms(s->loop) + ms;
    if (!timer_is_running(&s->timer) || s->timer.due_ms > due_ms) {
        timer_start(&s->timer, ms);
    }
}

bool scan_may_go(struct scan *s)
{
    const char *why = s->host.waits(s->host.arg);
    if (why != NULL) {
        scan_wake_in(s, WAIT_MS);
    }
    return why == NULL;
}

/* ---- the rule's limit of requests ---- */

bool scan_may_ask(struct scan *s)
{
    uint64_t now_ms = loop_now_ms(s->loop);
    if (s->next_ask_ms > now_ms) {
        scan_wake_in(s, s->next_ask_ms - now_ms);
        return false;
    }
    return scan_may_go(s);
}

void scan_count_ask(struct scan *s)
{
    uint64_t rate = s->host.rate(s->host.arg);
    s->state.requests++;
    if (rate > 0) {
        s->next_ask_ms = loop_now_ms(s->loop) + (1000 + rate - 1) / rate;
    }
}

/* ---- failures ---- */

uint64_t scan_retry_ms(struct scan *s, unsigned failures)
{
    uint64_t wait = failures < 6 ? (uint64_t)SCAN_RETRY_MIN_MS << failures : SCAN_RETRY_MAX_MS;
    return wait / 2 + loop_random(s->loop, wait / 2 + 1);
}

void scan_failed(struct scan *s, const struct fail *f)
{
    struct feed_status *status = &s->feed.status;
    if (status->state != FEED_DOWN || status->fail.code != f->code) {
        char text[400];
        LOG_WARNING(s->log, SCAN_SUBJECT, "rule %s: scan waits: %s", s->rule_name,
                    fail_print(f, text, sizeof(text)));
    }
    status->state = FEED_DOWN;
    status->fail = *f;
    s->host.news(s->host.arg);
}

void scan_heard(const struct scan *s, struct store *store, const struct store_op *op)
{
    if (s->host.heard != NULL) {
        s->host.heard(s->host.arg, store, op);
    }
}

void scan_is_well(struct scan *s)
{
    struct feed_status *status = &s->feed.status;
    enum feed_state now = s->state.phase == SCAN_IDLE ? FEED_ENDED : FEED_UP;
    if (status->state != now) {
        status->state = now;
        fail_clear(&status->fail);
        s->host.news(s->host.arg);
    }
}

/* ---- cursor ---- */

static bool is_done_with(const struct walk *w, const struct walk *durable)
{
    return w == durable && w->ends;
}

void scan_print_cursor(const struct scan *s, const struct walk *durable, struct buf *to)
{
    struct scan_piece pieces[SCAN_PIECES_MAX];
    size_t n = 0;
    LIST_FOR (link, &s->walks) {
        const struct walk *w = CONTAINER_OF(link, struct walk, link);
        if (is_done_with(w, durable)) {
            continue;
        }
        pieces[n].after = buf_view(&w->after);
        if (w == durable && w->entry_count > 0 && !s->state.is_unordered) {
            pieces[n].after = w->entries[w->entry_count - 1].key;
        }
        pieces[n].until = w->is_bounded ? buf_view(&w->until) : (struct span){0};
        n++;
    }
    scan_state_print(&s->state, pieces, n, to);
}

static void first_cursor(struct scan *s)
{
    s->state.since_ms = (uint64_t)s->host.now_ms(s->host.arg);
    s->is_dirty = true;
}

static void read_cursor(struct scan *s, struct span value)
{
    struct scan_piece *pieces;
    size_t count;
    if (scan_state_parse(value, &s->arena, &s->state, &pieces, &count) != 0) {
        LOG_ERROR(s->log, SCAN_SUBJECT, "rule %s: cursor of the scan is unreadable, begins anew",
                  s->rule_name);
        first_cursor(s);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        walk_new(s, pieces[i].after, pieces[i].until);
    }
    if (check_is_lost(&s->state)) {
        LOG_NOTICE(
            s->log, SCAN_SUBJECT,
            "rule %s: scan begins anew, as it was interrupted before it was known whether its"
            " listing can be believed",
            s->rule_name);
        s->drops = DROP_MORE;
    }
}

static void cursor_loaded(void *arg, int status, struct span value)
{
    struct scan *s = arg;
    s->is_busy = false;
    if (scan_ended(s)) {
        return;
    }
    if (status != 0 && status != REPL_ENOTFOUND) {
        scan_wake_in(s, SCAN_RETRY_MIN_MS);
        return;
    }
    const struct rule *rule = s->host.rule(s->host.arg);
    s->is_loaded = true;
    if (status == 0) {
        read_cursor(s, value);
    } else {
        first_cursor(s);
    }
    if (rule != NULL) {
        scope_look(s, rule);
    }
    scan_show(s);
    scan_kick(s);
}

void scan_show(struct scan *s)
{
    struct feed_status *status = &s->feed.status;
    snprintf(status->waiting_for, sizeof(status->waiting_for), "%s%s%s",
             s->state.phase == SCAN_IDLE ? "the next scan is not due yet; replctl scan start "
                                         : "a scan goes on",
             s->state.phase == SCAN_IDLE ? s->rule_name : "",
             s->state.phase == SCAN_IDLE ? " begins one now" : "");
    status->listed = s->state.listed;
    status->listed_bytes = s->state.listed_bytes;
    status->equal = s->state.equal;
    status->equal_bytes = s->state.equal_bytes;
    status->complete_through_ms = (int64_t)s->state.proven_ms;
    status->proven_ms = (int64_t)s->state.proven_ms;
    status->is_fed = s->state.is_fed;
    s->host.news(s->host.arg);
}

/* ---- one look ---- */

static void load(struct scan *s)
{
    s->is_busy = true;
    s->host.load(s->host.arg, span_str(s->feed.name), cursor_loaded, s);
}

static void look(void *arg)
{
    struct scan *s = arg;
    if (s->closed != NULL || s->is_busy) {
        return;
    }
    if (!s->is_loaded) {
        load(s);
        return;
    }
    if (s->state.phase == SCAN_LIST && s->drops == DROP_NOT) {
        LIST_FOR_SAFE (link, &s->walks) {
            walk_go(CONTAINER_OF(link, struct walk, link));
        }
    }
    pass_go(s);
}

/* ---- life ---- */

static bool is_quiet(const struct scan *s)
{
    LIST_FOR (link, &s->walks) {
        if (CONTAINER_OF(link, struct walk, link)->busy) {
            return false;
        }
    }
    return !s->is_busy;
}

static void close_now(struct scan *s)
{
    loop_fn *closed = s->closed;
    void *arg = s->closed_arg;
    while (!list_is_empty(&s->walks)) {
        walk_free(CONTAINER_OF(list_first(&s->walks), struct walk, link));
    }
    timer_stop(&s->timer);
    deferred_cancel(&s->kick);
    check_free(s);
    arena_done(&s->arena);
    mem_free(s->feed.name);
    mem_free(s);
    closed(arg);
}

static void look_or_close(void *arg)
{
    struct scan *s = arg;
    if (s->closed == NULL) {
        look(s);
    } else if (is_quiet(s)) {
        close_now(s);
    }
}

bool scan_ended(struct scan *s)
{
    if (s->closed != NULL) {
        deferred_call(&s->kick);
    }
    return s->closed != NULL;
}

static void scan_feed_close(struct feed *feed, loop_fn *closed, void *arg)
{
    struct scan *s = CONTAINER_OF(feed, struct scan, feed);
    s->closed = closed;
    s->closed_arg = arg;
    timer_stop(&s->timer);
    LIST_FOR (link, &s->walks) {
        walk_cancel(CONTAINER_OF(link, struct walk, link));
    }
    deferred_call(&s->kick);
}

static const struct feed_ops scan_feed_ops = {.close = scan_feed_close};

static void copy_places(struct scan *s, const struct rule *rule)
{
    struct arena *a = &s->arena;
    s->endpoint = span_str(arena_strdup(a, rule->source.endpoint));
    s->bucket = span_str(arena_strdup(a, rule->source.bucket));
    s->prefix = span_str(arena_strdup(a, rule->source.prefix));
    s->to_bucket = span_str(arena_strdup(a, rule->destination.bucket));
    s->to_prefix = span_str(arena_strdup(a, rule->destination.prefix));
    s->rule_name = arena_strdup(a, rule->name);
}

struct feed *scan_feed_new(const struct scan_feed_options *options)
{
    struct scan *s = MEM_NEW(struct scan);
    s->feed.ops = &scan_feed_ops;
    s->feed.kind = FEED_SCAN;
    s->feed.name = mem_printf("scan:%" PRIu32, options->rule->number);
    s->loop = options->loop;
    s->log = options->log;
    s->from = options->from;
    s->to = options->to;
    s->host = options->host;
    s->width = SCAN_WIDTH;
    list_init(&s->walks);
    arena_init(&s->arena);
    arena_init(&s->check.arena);
    copy_places(s, options->rule);
    s->feed.endpoint = s->endpoint.ptr;
    s->feed.bucket = s->bucket.ptr;
    timer_init(&s->timer, s->loop, look_or_close, s);
    deferred_init(&s->kick, s->loop, look_or_close, s);
    scan_kick(s);
    return &s->feed;
}

void scan_feed_wake(struct feed *feed, bool takes_more)
{
    struct scan *s = CONTAINER_OF(feed, struct scan, feed);
    const struct rule *rule = s->host.rule(s->host.arg);
    if (s->is_loaded && rule != NULL) {
        if (!takes_more) {
            s->state.covers = scope_mark(rule);
            s->is_dirty = true;
        }
        scope_look(s, rule);
    }
    scan_kick(s);
}
