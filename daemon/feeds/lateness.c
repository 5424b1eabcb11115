#include "daemon/feeds/lateness.h"

#include "daemon/base/fail.h"
#include "daemon/base/loop.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HOUR_MS      3600000
#define DEAF_UNHEARD 4 /* canaries in a row */

void lateness_init(struct lateness *l, bool canary, int64_t late_ms, int64_t now_ms)
{
    memset(l, 0, sizeof(*l));
    l->canary = canary;
    l->late_ms = late_ms;
    l->started_ms = now_ms;
}

/* ---- what came ---- */

static void note_worst(struct lateness *l, int64_t behind_ms, int64_t now_ms)
{
    int64_t hour = now_ms / HOUR_MS;
    size_t at = (size_t)(hour % LATENESS_HOURS);
    if (l->hours[at].hour != hour) {
        l->hours[at].hour = hour;
        l->hours[at].worst_ms = 0;
    }
    if (behind_ms > l->hours[at].worst_ms) {
        l->hours[at].worst_ms = behind_ms;
    }
}

/* Of the time in which nobody listened? By the source's clock once a canary has told it. */
static bool is_of_before(const struct lateness *l, int64_t event_ms)
{
    return l->held_ms > 0 && event_ms < (l->first_ms > 0 ? l->first_ms : l->started_ms);
}

static void hold_on(struct lateness *l, int64_t now_ms)
{
    int64_t until = now_ms + LATENESS_HOLD_MS;
    int64_t most = l->started_ms + LATENESS_HOLD_MAX_MS;
    l->hold_until_ms = until < most ? until : most;
}

void lateness_event(struct lateness *l, int64_t event_ms, int64_t now_ms)
{
    l->heard_ms = now_ms;
    if (event_ms <= 0) {
        return;
    }
    if (now_ms < l->hold_until_ms && is_of_before(l, event_ms)) {
        hold_on(l, now_ms);
    } else if (event_ms < l->canary_ms) {
        note_worst(l, l->canary_ms - event_ms, now_ms);
    }
}

void lateness_written(struct lateness *l, int64_t now_ms)
{
    if (l->unheard++ == 0) {
        l->unheard_ms = now_ms;
    }
}

/* A source whose clock is ahead of ours must not make us claim the future. */
void lateness_canary(struct lateness *l, int64_t event_ms, int64_t now_ms)
{
    int64_t ms = event_ms < now_ms ? event_ms : now_ms;
    l->heard_ms = now_ms;
    l->unheard = 0;
    if (ms > l->canary_ms) {
        l->canary_ms = ms;
    }
    if (l->first_ms == 0) {
        l->first_ms = ms;
    }
}

/* ---- what follows from it ---- */

static int64_t worst_of_day(const struct lateness *l, int64_t now_ms)
{
    int64_t hour = now_ms / HOUR_MS, worst = LATENESS_LEAST_MS;
    for (size_t i = 0; i < LATENESS_HOURS; i++) {
        if (l->hours[i].hour > hour - LATENESS_HOURS && l->hours[i].worst_ms > worst) {
            worst = l->hours[i].worst_ms;
        }
    }
    return worst;
}

int64_t lateness_usual(const struct lateness *l, int64_t now_ms)
{
    return l->canary ? worst_of_day(l, now_ms) + 2 * LATENESS_CANARY_MS : l->late_ms;
}

bool lateness_is_deaf(const struct lateness *l, int64_t now_ms)
{
    return l->canary ? l->unheard >= DEAF_UNHEARD
                     : l->heard_ms > 0 && now_ms - l->heard_ms > l->late_ms;
}

bool lateness_is_unheard(const struct lateness *l, int64_t now_ms)
{
    return lateness_is_deaf(l, now_ms) || (!l->canary && l->heard_ms == 0);
}

/* Through as the events of this life have it. */
static int64_t heard_through(const struct lateness *l, int64_t now_ms)
{
    if (l->canary) {
        return l->canary_ms > 0 ? l->canary_ms - worst_of_day(l, now_ms) : 0;
    }
    if (l->heard_ms == 0) {
        return l->held_ms;
    }
    return lateness_is_deaf(l, now_ms) ? l->heard_ms : now_ms - l->late_ms;
}

int64_t lateness_through(const struct lateness *l, int64_t now_ms)
{
    int64_t through = heard_through(l, now_ms);
    bool held = now_ms < l->hold_until_ms && through > l->held_ms;
    return held ? l->held_ms : through > 0 ? through : 0;
}

static void why_deaf(const struct lateness *l, char *to, size_t size)
{
    char when[32];
    time_iso(l->canary ? l->unheard_ms : l->heard_ms, when);
    if (l->canary) {
        snprintf(to, size,
                 "thought deaf: %u canaries were written since %s and no event of one has come",
                 l->unheard, when);
    } else {
        snprintf(to, size,
                 "thought deaf: no event has come since %s, longer than late: %" PRId64 "s", when,
                 l->late_ms / 1000);
    }
}

void lateness_why(const struct lateness *l, int64_t now_ms, char *to, size_t size)
{
    to[0] = 0;
    if (!l->canary && l->heard_ms == 0) {
        snprintf(to, size, "no event has come yet, so nobody knows whether any would");
    } else if (lateness_is_deaf(l, now_ms)) {
        why_deaf(l, to, size);
    } else if (l->canary && l->first_ms == 0) {
        snprintf(to, size, "waits for the event of its first canary");
    } else if (now_ms < l->hold_until_ms) {
        snprintf(to, size, "events of the time when nobody listened may still come");
    }
}

/* ---- for the next life: "CANARY THROUGH HOUR=WORST …" ---- */

void lateness_print(const struct lateness *l, int64_t now_ms, struct buf *to)
{
    buf_printf(to, "%" PRId64 " %" PRId64, l->canary_ms, lateness_through(l, now_ms));
    for (size_t i = 0; i < LATENESS_HOURS; i++) {
        if (l->hours[i].worst_ms > 0) {
            buf_printf(to, " %" PRId64 "=%" PRId64, l->hours[i].hour, l->hours[i].worst_ms);
        }
    }
}

static bool cut_number(struct span *text, char end, int64_t *ret)
{
    unsigned long long n;
    if (span_to_u64(span_cut(text, end), &n) != 0 || n > INT64_MAX) {
        return false;
    }
    *ret = (int64_t)n;
    return true;
}

int lateness_load(struct lateness *l, struct span text, int64_t now_ms)
{
    struct lateness new = *l;
    if (!cut_number(&text, ' ', &new.canary_ms) || !cut_number(&text, ' ', &new.held_ms)) {
        return REPL_EBADINPUT;
    }
    while (!span_is_empty(text)) {
        int64_t hour, worst;
        if (!cut_number(&text, '=', &hour) || !cut_number(&text, ' ', &worst)) {
            return REPL_EBADINPUT;
        }
        note_worst(&new, worst, hour * HOUR_MS);
    }
    if (new.held_ms > 0) {
        new.hold_until_ms = now_ms + LATENESS_HOLD_MS;
    }
    *l = new;
    return 0;
}
