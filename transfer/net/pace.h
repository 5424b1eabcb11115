/* pace: how many lanes of one path shall carry bulk. It climbs the hill of goodput: more lanes
 * while they pay, fewer when they do not or when TCP repeats too much for nothing. Pure: the owner
 * hands in a sample every 100–200 ms and opens or lets end lanes until there are as many as wanted.
 * When there are too many, the slowest go first: after pace asked for fresh ones beside those that
 * had backed off, the fresh ones are to stay.
 *
 * A move is judged against the goodput before it: settle, measure an epoch, decide. What changes
 * while the number of lanes does not is the path's doing, and proves nothing.
 *
 *   SETTLING ──► MEASURING ──► move judged: kept, or undone (to SETTLING)
 *                    └───────► no move: the base is brought up to date, perhaps a move begun
 *   any ──► SILENT ──► SETTLING   nothing acknowledged: an outage; the number stays as it was
 *
 * Most jobs last less than a minute. Therefore BBR starts with as many lanes as are enough on every
 * path measured. Of steady flows 8 are (474 of 500 Mbit/s with 2 % repeated), but a lane rests two
 * round trips between parts, until what was lost at the end of one has come, and the answer: with
 * parts of 8 MiB at 1 % loss, between 10 and 90 % of the bytes, 8 lanes brought 417 Mbit/s, 10
 * lanes 447, 12 lanes 457 with 2.5 % repeated (means of two runs each; iperf3 446 to 466), 16 that
 * climbed further 465 with 6.6 % (one run). 12 with parts of 16 MiB: 467, but a longer end. Epochs
 * are short until a first move was undone, and steps become long while goodput is linear in the
 * lanes. A gain that noise or the path could explain is measured twice, and taken back for a trial
 * when the climb has ended. The excess that is worth a trial with fewer lanes is low (5 points),
 * since a trial that costs goodput is undone. */
#ifndef REPL_NET_PACE_H
#define REPL_NET_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACE_BBR_START   12 /* see above */
#define PACE_BBR_LEAST   2  /* a single one sometimes leaves its start too early */
#define PACE_BBR_MOST    32 /* but for a peer's window */
#define PACE_OTHER_START 16 /* CUBIC, Reno */
#define PACE_OTHER_LEAST 4
#define PACE_MOST        256

enum pace_state { PACE_SETTLING, PACE_MEASURING, PACE_SILENT };

enum pace_move {
    PACE_NO_MOVE,
    PACE_GROW,
    PACE_SHRINK, /* less repeated for as much goodput? */
    PACE_TRIM,   /* back from a long step to what its gain was worth */
    PACE_FRESH,  /* new lanes beside the old ones, for a while */
};

/* Of the last decision. */
enum pace_reason {
    PACE_STARTED,
    PACE_HELD_BY_LOSS, /* more, without BBR: it is not the path that is full */
    PACE_TRIES_MORE,
    PACE_PEER_WINDOW,   /* more, since the peer's window holds those that are */
    PACE_PAID,          /* more were worth it, and more are tried */
    PACE_ENOUGH,        /* more were worth it, but little: no more are tried for now */
    PACE_NO_GAIN,       /* undone */
    PACE_TRIES_FEWER,   /* TCP repeats more than the path loses */
    PACE_SAVED,         /* fewer do as much, with less repeated */
    PACE_NEEDED,        /* undone: fewer brought less */
    PACE_PATH_LOSES,    /* undone: fewer repeat as much, the loss is the path's own */
    PACE_TRIES_WITHOUT, /* the growth that paid little */
    PACE_TRIMMED,
    PACE_PATH_FELL, /* goodput fell without a move of ours, or more than it can explain */
    PACE_PATH_ROSE,
    PACE_OUTAGE,
    PACE_OUTAGE_OVER,
    PACE_PATH_IS_BACK, /* fresh lanes: the old ones would take long to find the rate again */
    PACE_FRESH_OVER,
    PACE_NOT_JUDGED, /* undone: too little was sent to judge */
    PACE_LIMITED,    /* by configuration or memory */
};

/* What happened since the sample before. */
struct pace_sample {
    uint64_t now_us;        /* monotonic */
    uint64_t moved_bytes;   /* acknowledged by the peer, or received */
    uint64_t sent_bytes;    /* by TCP, repeats included; 0 where it is not known */
    uint64_t retrans_bytes; /* of them repeats */
    uint32_t min_rtt_us;    /* 0 = not known */
    uint32_t rtt_us;        /* smoothed, mean of the lanes; 0 = not known */
    unsigned lanes;         /* with work to send */
    unsigned limit;         /* lanes that configuration and memory allow */
    bool is_bbr;            /* congestion control that was granted */
    bool is_starved;        /* the application or the source had too little to send */
    double held;            /* share of their time that the peer's window held lanes, 0 … 1 */
};

/* Sums over usable samples. */
struct pace_meter {
    uint64_t time_us;
    uint64_t moved_bytes;
    uint64_t sent_bytes;
    uint64_t retrans_bytes;
    double held_us;
};

/* What a meter says. */
struct pace_seen {
    double goodput; /* bytes a second */
    double repeats; /* share of what was sent */
    double held;
};

/* The doublings of the first seconds, see pace_push.c. */
enum pace_pushing {
    PACE_PUSH_MAY,  /* the last step was judged, or there was none */
    PACE_PUSH_OPEN, /* it is to be judged */
    PACE_PUSH_OVER,
};

/* Before a step: how many lanes, and what they did. */
struct pace_push {
    unsigned lanes; /* 0: there was no such step */
    struct pace_seen seen;
};

/* The owner reads wanted, reason, state and base; the rest is private. */
struct pace {
    unsigned wanted; /* lanes */
    enum pace_reason reason;
    enum pace_state state;
    enum pace_move move;   /* under way */
    struct pace_seen base; /* before the move, or of now; goodput 0 = not known */
    bool is_held;          /* by the peer's window, in the last epoch: a remedy may be more lanes */

    bool is_bbr;
    bool is_windowed; /* has grown for the peer's window: PACE_BBR_MOST does not hold */
    bool is_young;    /* short epochs until a first move was undone */
    unsigned limit;
    uint64_t min_rtt_us;
    uint64_t now_us;
    uint64_t state_us; /* since when */
    uint64_t quiet_us; /* nothing was acknowledged for so long */
    bool has_moved;    /* any byte, ever */
    struct pace_meter meter;
    struct pace_meter slice; /* while settling: still rising? */
    double slice_goodput;

    enum pace_pushing pushing;
    struct pace_push pushed[2]; /* what was before the last step, and before that before it */
    unsigned push_slices;       /* since the last step */

    unsigned steady;   /* lanes before the move */
    unsigned base_of;  /* epochs in base */
    unsigned judged;   /* epochs of this move */
    double stride;     /* the next growth: × so much */
    double anchor;     /* goodput when shrinking began; 0 = it has not */
    unsigned anchored; /* lanes then */
    unsigned doubtful; /* lanes before growth that paid little; 0 = there was none */
    uint64_t grow_us;  /* not before */
    uint64_t shrink_us;
    uint64_t shrink_wait_us;

    double own_loss; /* of the path, as far as is known: 0 … 1; < 0 = not */
    double own_loss_next;
    uint64_t own_loss_us;

    double high; /* goodput before the path fell; 0 = it has not */
    unsigned high_lanes;
    uint64_t high_us;
    uint64_t fresh_us; /* not before */
    uint64_t fresh_gap_us;
    struct pace_meter glance;
    double glance_rtt; /* mean ÷ least, weighted by time */
    bool had_queue;    /* since the path fell */
    unsigned rising;   /* glances in a row */
};

/* limit: lanes at most, for now; at least 1. While there is no work there need be no samples: after
 * a gap of seconds pace begins to measure anew, with the lanes that were proven. */
void pace_init(struct pace *p, bool is_bbr, unsigned limit);
/* Returns the number of lanes wanted. */
unsigned pace_sample(struct pace *p, const struct pace_sample *s);
/* Share of what is sent that is repeated beyond the path's own loss, as far as that is known. */
double pace_excess(const struct pace *p);
/* "tries more lanes" */
const char *pace_reason_text(enum pace_reason reason);

#endif
