/* Passes: when one is due, how it begins and ends, and what becomes of what it did not find. */
#include "daemon/feeds/scan_impl.h"

#include <inttypes.h>
#include <stdio.h>

#define GONE_PAGE   1000
#define ROOM_MS     50
#define PAUSE_MS    1000  /* between two passes of a continuous scan */
#define DOUBT_MS    60000 /* until a first pass that proved nothing is made again */
#define LOOK_MAX_MS 60000 /* the wall clock may be set while we sleep */

/* ---- when ---- */

static bool is_missing_existing(const struct scan *s, const struct rule *rule)
{
    return scope_is_whole(rule) && !s->state.was_whole;
}

static bool is_repeated(const struct rule *rule)
{
    return rule->scan.mode == RULE_SCAN_EVERY || rule->scan.mode == RULE_SCAN_CONTINUOUS;
}

static bool is_wanted(const struct scan *s, const struct rule *rule)
{
    return s->state.is_asked || is_missing_existing(s, rule) || is_repeated(rule);
}

/* Wall time of the next pass; 0 = none. */
static int64_t next_pass_ms(const struct scan *s, const struct rule *rule)
{
    const struct scan_state *state = &s->state;
    if (state->is_asked || (state->is_changed && is_repeated(rule))) {
        return 1;
    }
    if (is_missing_existing(s, rule)) {
        return state->doubted_seen != 0 ? (int64_t)(state->ended_ms + DOUBT_MS) : 1;
    }
    if (rule->scan.mode == RULE_SCAN_EVERY) {
        return (int64_t)(state->started_ms + rule->scan.every_ms);
    }
    return rule->scan.mode == RULE_SCAN_CONTINUOUS ? (int64_t)(state->ended_ms + PAUSE_MS) : 0;
}

/* ---- the state alone becomes durable ---- */

static void saved(void *arg, int status, const struct fail *f)
{
    struct scan *s = arg;
    s->is_busy = false;
    s->is_appending = false;
    if (scan_ended(s)) {
        return;
    }
    if (status != 0) {
        s->is_dirty = true;
        scan_failed(s, f);
        scan_wake_in(s, scan_retry_ms(s, s->failures++));
        return;
    }
    s->failures = 0;
    s->looks_again = false;
    s->saved_ms = loop_now_ms(s->loop);
    scan_is_well(s);
    scan_kick(s);
}

static void append(struct scan *s, const struct change *changes, size_t count, struct span through)
{
    struct buf cursor = {0};
    scan_print_cursor(s, NULL, &cursor);
    s->is_busy = true;
    s->is_appending = true;
    s->is_dirty = false;
    s->host.append(s->host.arg,
                   &(struct scan_batch){.changes = changes,
                                        .change_count = count,
                                        .existing_until_ms = scan_existing_until(&s->state),
                                        .gone_through = through,
                                        .looks_again = s->looks_again,
                                        .cursor = buf_view(&cursor)},
                   saved, s);
    buf_done(&cursor);
}

static void save(struct scan *s)
{
    append(s, NULL, 0, (struct span){0});
}

/* ---- begin ---- */

static void add_pass(struct scan_totals *t, const struct scan_state *state)
{
    t->listed += state->listed;
    t->requests += state->requests;
    t->found += state->found;
    t->missing += state->missing;
}

/* A copy may have read the source before the pass began, and end when its listing has passed: what
 * was deleted in between, the listing does not show, and no replica of it is known yet. So
 * it looks again. */
static void begin(struct scan *s, const struct rule *rule, bool unordered)
{
    scope_take(s, rule);
    s->state.is_unordered = unordered;
    s->state.is_fed = s->state.is_fed || is_repeated(rule);
    s->doubt[0] = '\0';
    check_begin(s);
    add_pass(&s->before, &s->state);
    scan_state_begin(&s->state, s->host.now_ms(s->host.arg));
    if (s->state.is_whole && s->state.existing_ms == 0) {
        s->state.existing_ms = s->state.started_ms;
    }
    LOG_INFO(s->log, SCAN_SUBJECT, "rule %s: scan begins", s->rule_name);
    s->looks_again = s->state.tells_missing && rule->keep_replicas;
    save(s);
    scan_show(s);
}

static void begin_when_due(struct scan *s, const struct rule *rule)
{
    int64_t due_ms = next_pass_ms(s, rule);
    int64_t now_ms = s->host.now_ms(s->host.arg);
    if (due_ms != 0 && due_ms <= now_ms && scan_may_go(s)) {
        begin(s, rule, false);
        return;
    }
    if (due_ms > now_ms) {
        scan_wake_in(s, (uint64_t)(due_ms - now_ms) < LOOK_MAX_MS ? (uint64_t)(due_ms - now_ms)
                                                                  : LOOK_MAX_MS);
    }
    if (s->is_dirty) {
        save(s);
    }
    scan_is_well(s);
}

/* ---- end ---- */

static void end(struct scan *s)
{
    const struct scan_state *state = &s->state;
    LOG_NOTICE(s->log, SCAN_SUBJECT,
               "rule %s: scan is complete objects=%" PRIu64 " equal=%" PRIu64 " found=%" PRIu64
               " missing=%" PRIu64 " left_alone=%" PRIu64 " requests=%" PRIu64,
               s->rule_name, state->listed, state->equal, state->found, state->missing, state->left,
               state->requests);
    s->before.complete += scan_state_doubt(state) == NULL || state->is_unordered;
    s->before.doubted += scan_state_doubt(state) != NULL && !state->is_unordered;
    scan_state_end(&s->state, s->host.now_ms(s->host.arg));
    save(s);
    scan_show(s);
}

void pass_drop(struct scan *s)
{
    const struct rule *rule = s->host.rule(s->host.arg);
    enum scan_drop why = s->drops;
    while (!list_is_empty(&s->walks)) {
        walk_free(CONTAINER_OF(list_first(&s->walks), struct walk, link));
    }
    s->drops = DROP_NOT;
    s->before.stopped += s->state.phase != SCAN_IDLE;
    s->state.phase = SCAN_IDLE;
    s->state.is_asked = why != DROP_STOP && s->state.is_asked;
    if (why != DROP_STOP && rule != NULL && is_wanted(s, rule)) {
        begin(s, rule, why == DROP_UNORDERED);
        return;
    }
    LOG_NOTICE(s->log, SCAN_SUBJECT, "rule %s: scan is stopped", s->rule_name);
    save(s);
    scan_show(s);
}

/* ---- what was not listed ---- */

/* Since the last proof, which has seen it, and at the latest while this pass went on. */
static struct change delete_of(const struct scan *s, struct span key)
{
    uint64_t proof_ms = s->state.proven_ms != 0 ? s->state.proven_ms : s->state.existing_ms;
    return (struct change){.kind = CHANGE_DELETE,
                           .endpoint = s->endpoint,
                           .bucket = s->bucket,
                           .key = key,
                           .feed = span_str("scan"),
                           .size = CHANGE_SIZE_UNKNOWN,
                           .event_time_ms = (int64_t)s->state.started_ms,
                           .since_ms = proof_ms != 0 ? (int64_t)proof_ms + 1 : 0};
}

static void next_phase(struct scan *s)
{
    if (s->state.phase == SCAN_GONE) {
        end(s);
        return;
    }
    s->state.phase = SCAN_LIST;
    walk_new(s, (struct span){0}, (struct span){0});
    scan_show(s);
    scan_kick(s);
}

static void gone_read(void *arg, int status, const struct fail *f, const struct span *keys,
                      size_t count)
{
    struct scan *s = arg;
    s->is_busy = false;
    if (scan_ended(s)) {
        return;
    }
    if (status != 0) {
        scan_failed(s, f);
        scan_wake_in(s, scan_retry_ms(s, s->failures++));
        return;
    }
    if (s->drops != DROP_NOT) { /* it may have become the last page of a pass that proves nothing */
        scan_kick(s);
        return;
    }
    if (count == 0) {
        next_phase(s);
        return;
    }
    bool is_told = s->state.phase == SCAN_GONE && scan_state_may_delete(&s->state);
    struct change *deletes = mem_array(count, sizeof(*deletes));
    for (size_t i = 0; i < count; i++) {
        deletes[i] = delete_of(s, keys[i]);
    }
    append(s, deletes, is_told ? count : 0, keys[count - 1]);
    mem_free(deletes);
}

static void read_gone(struct scan *s)
{
    bool is_told = s->state.phase == SCAN_GONE && scan_state_may_delete(&s->state);
    size_t room = is_told && s->state.missing > 0 ? s->host.room(s->host.arg) : GONE_PAGE;
    if (!scan_may_go(s)) {
        return;
    }
    if (room == 0) {
        scan_wake_in(s, ROOM_MS);
        return;
    }
    s->is_busy = true;
    s->host.gone(s->host.arg, room < GONE_PAGE ? room : GONE_PAGE, gone_read, s);
}

static void end_list(struct scan *s)
{
    if (!check_is_done(s)) {
        return;
    }
    const char *doubt = scan_state_doubt(&s->state);
    bool has_example = doubt != NULL && s->state.unlisted > 0;
    snprintf(s->doubt, sizeof(s->doubt), "%s%s%s", doubt != NULL ? doubt : "",
             has_example ? ": " : "", has_example ? s->check.example : "");
    if (doubt != NULL) {
        LOG_WARNING(s->log, SCAN_SUBJECT,
                    "rule %s: scan proves nothing and tells no deletes: %s objects=%" PRIu64
                    " before=%" PRIu64 " missing=%" PRIu64,
                    s->rule_name, s->doubt, s->state.seen, s->state.proven_seen, s->state.missing);
    }
    s->state.phase = SCAN_GONE;
    read_gone(s);
}

/* ---- dispatch ---- */

static bool is_quiet(const struct scan *s)
{
    LIST_FOR (link, &s->walks) {
        if (CONTAINER_OF(link, struct walk, link)->busy) {
            return false;
        }
    }
    return true;
}

static void drop_soon(struct scan *s)
{
    LIST_FOR (link, &s->walks) {
        walk_cancel(CONTAINER_OF(link, struct walk, link));
    }
    if (is_quiet(s)) {
        pass_drop(s);
    }
}

void pass_go(struct scan *s)
{
    const struct rule *rule = s->host.rule(s->host.arg);
    if (rule == NULL) {
        return;
    }
    scope_look(s, rule);
    bool is_meant = is_wanted(s, rule) && !!s->state.lists_versions == scope_takes_versions(rule);
    if (s->state.phase != SCAN_IDLE && s->drops == DROP_NOT && !is_meant) {
        s->drops = is_wanted(s, rule) ? DROP_MORE : DROP_STOP;
    }
    if (s->drops != DROP_NOT) {
        drop_soon(s);
        return;
    }
    s->compares_target = !s->state.lists_versions && (!s->state.was_whole || !rule->keep_replicas ||
                                                      rule->scan_against == RULE_SCAN_DESTINATION);
    switch ((enum scan_phase)s->state.phase) {
    case SCAN_IDLE:
        begin_when_due(s, rule);
        return;
    case SCAN_CLEAR:
        if (s->looks_again) {
            save(s);
        } else {
            read_gone(s);
        }
        return;
    case SCAN_GONE:
        read_gone(s);
        return;
    case SCAN_LIST:
        if (list_is_empty(&s->walks)) {
            end_list(s);
        }
        return;
    }
}

/* ---- an operator's word ---- */

int scan_feed_begin(struct feed *feed, struct fail *f)
{
    struct scan *s = CONTAINER_OF(feed, struct scan, feed);
    if (!s->is_loaded || s->state.phase != SCAN_IDLE || s->state.is_asked) {
        fail_set(f, REPL_ECONFLICT, "rule %s: a scan goes on already", s->rule_name);
        fail_hint(f, "replctl scan status %s shows how far it is", s->rule_name);
        return REPL_ECONFLICT;
    }
    s->state.is_asked = 1;
    scan_kick(s);
    return 0;
}

int scan_feed_end(struct feed *feed, struct fail *f)
{
    struct scan *s = CONTAINER_OF(feed, struct scan, feed);
    if (s->state.phase == SCAN_IDLE && !s->state.is_asked) {
        fail_set(f, REPL_ENOTFOUND, "rule %s: no scan goes on", s->rule_name);
        fail_hint(f, "replctl scan status %s shows the last one and the next", s->rule_name);
        return REPL_ENOTFOUND;
    }
    s->drops = DROP_STOP;
    scan_kick(s);
    return 0;
}

/* Wall time; 0 = none is due, or something is in its way. */
static int64_t next_shown_ms(const struct scan *s, const struct rule *rule, const char *waits)
{
    if (rule == NULL || waits != NULL || !s->is_loaded || s->state.phase != SCAN_IDLE) {
        return 0;
    }
    int64_t due_ms = next_pass_ms(s, rule);
    int64_t now_ms = s->host.now_ms(s->host.arg);
    return due_ms != 0 && due_ms < now_ms ? now_ms : due_ms;
}

void scan_feed_report(const struct feed *feed, struct scan_report *ret)
{
    const struct scan *s = CONTAINER_OF((struct feed *)(uintptr_t)feed, struct scan, feed);
    const struct rule *rule = s->host.rule(s->host.arg);
    const char *waits = s->host.waits(s->host.arg);
    const struct feed_status *status = &s->feed.status;
    *ret = (struct scan_report){.state = s->state,
                                .ranges = s->walk_count,
                                .listings = s->asking,
                                .next_ms = next_shown_ms(s, rule, waits)};
    ret->totals = s->before;
    add_pass(&ret->totals, &s->state);
    snprintf(ret->doubt, sizeof(ret->doubt), "%s", s->doubt);
    if (waits != NULL || status->state != FEED_DOWN) {
        snprintf(ret->waits, sizeof(ret->waits), "%s", waits != NULL ? waits : "");
    } else {
        snprintf(ret->waits, sizeof(ret->waits), "tried again: %s", status->fail.text);
    }
}
