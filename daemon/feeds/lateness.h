/* lateness: up to what moment a webhook has told everything about one bucket. Nobody can know it of
 * a sender that pushes; what can be known is what came, in which order. Two ways:
 *
 * With canaries we write a tiny object to the bucket every LATENESS_CANARY_MS. When the event of
 * one has come, so have those of earlier changes, unless they were overtaken: complete is the time
 * of the newest canary whose event came, less the most that a change came behind a canary within
 * the last day, at least LATENESS_LEAST_MS. All by the source's clock, so that it may differ from
 * ours.
 *
 * Without them complete is now − `late`, while any event came within `late`; then it stands still.
 *
 * While nobody listened the sender kept events for us or lost them. So what an earlier life had
 * come to holds for LATENESS_HOLD_MS after the start and as long again after each event of that
 * time, LATENESS_HOLD_MAX_MS at most; how late these are says nothing about the sender.
 *
 * Pure: time comes as an argument, Unix milliseconds by our clock unless said otherwise. */
#ifndef REPL_FEEDS_LATENESS_H
#define REPL_FEEDS_LATENESS_H

#include "daemon/base/buf.h"
#include "daemon/base/span.h"

#include <stdbool.h>
#include <stdint.h>

#define LATENESS_CANARY_MS   15000
#define LATENESS_LEAST_MS    5000
#define LATENESS_HOLD_MS     30000
#define LATENESS_HOLD_MAX_MS 600000
#define LATENESS_HOURS       25 /* the present one and a day */

struct lateness {
    bool canary;
    int64_t late_ms;
    int64_t started_ms;
    int64_t heard_ms;      /* when the last event or canary came; 0 = none yet */
    int64_t canary_ms;     /* source's time of the newest canary whose event came; 0 = none yet */
    int64_t first_ms;      /* of the first one in this life */
    unsigned unheard;      /* canaries written since an event of one came … */
    int64_t unheard_ms;    /* … the first of them */
    int64_t held_ms;       /* what an earlier life had come to; 0 = there was none */
    int64_t hold_until_ms; /* … and how long it holds */
    struct {
        int64_t hour; /* of Unix time */
        int64_t worst_ms;
    } hours[LATENESS_HOURS];
};

void lateness_init(struct lateness *l, bool canary, int64_t late_ms, int64_t now_ms);

/* An event of a change came; event_ms by the source's clock, 0 = it told none. */
void lateness_event(struct lateness *l, int64_t event_ms, int64_t now_ms);
/* A canary was written, the server says. */
void lateness_written(struct lateness *l, int64_t now_ms);
/* The event of a canary came: written at event_ms by the source's clock. */
void lateness_canary(struct lateness *l, int64_t event_ms, int64_t now_ms);

/* Everything up to this moment has come; 0 = not known yet. May go back when a change proves it
 * wrong. */
int64_t lateness_through(const struct lateness *l, int64_t now_ms);
/* How far behind now through() usually is. */
int64_t lateness_usual(const struct lateness *l, int64_t now_ms);
/* Thought deaf: canaries in a row were not heard of, or nothing within `late` of what had come. */
bool lateness_is_deaf(const struct lateness *l, int64_t now_ms);
/* It stands until something comes that may never: it is deaf, or nothing has come yet and no canary
 * asks for it. */
bool lateness_is_unheard(const struct lateness *l, int64_t now_ms);
/* Why through() stands still, as a sentence; "" = it moves. */
void lateness_why(const struct lateness *l, int64_t now_ms, char *to, size_t size);

/* For the next life: one line of text. load() after init(); REPL_EBADINPUT leaves it as it was. */
void lateness_print(const struct lateness *l, int64_t now_ms, struct buf *to);
int lateness_load(struct lateness *l, struct span text, int64_t now_ms);

#endif
