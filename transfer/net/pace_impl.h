/* pace_impl: what the files of pace share. pace.c reads samples and keeps time, pace_climb.c begins
 * moves and judges them, pace_path.c watches what the path does by itself, pace_push.c hastens the
 * start without BBR. */
#ifndef REPL_NET_PACE_IMPL_H
#define REPL_NET_PACE_IMPL_H

#include "transfer/net/pace.h"

#define PACE_SECOND ((uint64_t)1000000)

/* ---- pace.c ---- */

void pace_enter(struct pace *p, enum pace_state state);
/* With few of the lanes at work, it is the work that is measured. */
bool pace_are_at_work(const struct pace *p, const struct pace_sample *s);
/* max(least seconds, so many round trips), in microseconds. */
uint64_t pace_span(const struct pace *p, double seconds, unsigned rtts);
void meter_clear(struct pace_meter *m);
void meter_add(struct pace_meter *m, const struct pace_sample *s, uint64_t span_us);
struct pace_seen meter_read(const struct pace_meter *m);

/* ---- pace_climb.c ---- */

unsigned pace_least(const struct pace *p);
unsigned pace_most(const struct pace *p);
/* An epoch without a move is over; it may begin one. */
void pace_steady(struct pace *p, const struct pace_seen *seen);
/* An epoch of a move is over. */
void pace_judge(struct pace *p, const struct pace_seen *seen);
/* Memory or the work does not allow the whole of a step, but so many lanes. */
void pace_cut_step(struct pace *p, unsigned lanes);
/* Back to the lanes before the move under way, without a verdict. */
void pace_undo(struct pace *p, enum pace_reason reason);
/* What was learnt of the goodput is of another time. */
void pace_forget(struct pace *p);

/* ---- pace_push.c ---- */

/* A slice of the time in which the first lanes settle is over. True: they have not settled, as it
 * has doubled them, or is to see what that brings. */
bool pace_push(struct pace *p, const struct pace_sample *s, const struct pace_seen *slice);
/* They have: no more of that. A step that could not be judged is cut to the lanes that have work.
 */
void pace_push_ends(struct pace *p, const struct pace_sample *s);

/* ---- pace_path.c ---- */

/* A share that was repeated in an epoch without a move. */
void pace_learn_loss(struct pace *p, double repeats);
/* Goodput has fallen by itself, or more than by our move. */
void pace_fell(struct pace *p);
/* True: it stands still; nothing else is to be done with the sample. */
bool pace_is_silent(struct pace *p, const struct pace_sample *s, uint64_t span_us);
/* Begins PACE_FRESH when a path that fell seems to be back. */
void pace_watch_return(struct pace *p, const struct pace_sample *s, uint64_t span_us);

#endif
