/* Shared by the files of scan: the feed, and the walkers that list its ranges. */
#ifndef REPL_FEEDS_SCAN_IMPL_H
#define REPL_FEEDS_SCAN_IMPL_H

#include "daemon/base/hash.h"
#include "daemon/base/mem.h"
#include "daemon/feeds/scan_feed.h"
#include "daemon/feeds/scan_split.h"

#define SCAN_SUBJECT      "scan"
#define SCAN_PAGE_KEYS    1000
#define SCAN_RETRY_MIN_MS 1000
#define SCAN_RETRY_MAX_MS 60000

/*  START ─► LISTING ─► COMPARING ─► TARGET ─► READY ─► APPENDING ─► START …  (gone: range is done)
 *                        │  ▲     (pages of the destination's listing, as far as needed)
 *                        ▼  │
 *                      NOTING     more was missing than one answer holds  */
enum walk_step {
    WALK_START,
    WALK_LISTING,
    WALK_COMPARING,
    WALK_NOTING,
    WALK_TARGET,
    WALK_READY,
    WALK_APPENDING,
};

struct walk_counts {
    uint64_t seen, listed, listed_bytes, equal, equal_bytes, found, missing, away, left, offered;
};

/* Where the destination's listing stands that lies at the same keys. */
struct walk_target {
    struct arena arena;
    struct store_entry *entries;
    size_t count, at;
    struct buf after; /* last key of the page */
    bool has_started, has_ended;
};

/* A range of keys, and the page of it that is in work. */
struct walk {
    struct list link; /* in scan.walks */
    struct scan *scan;
    enum walk_step step;
    bool busy;            /* an operation or a call of the host is out */
    struct store *asking; /* whom, while it is an operation */
    struct store_op op;
    struct timer timer; /* next try */
    unsigned failures;  /* in a row */
    unsigned odd;       /* pages in a row that cannot be behind what was asked for */

    struct buf after; /* all keys of the range up to this one are durable with us */
    struct buf until; /* the last one of it … */
    bool is_bounded;  /* … or it has no end */
    bool by_digits;   /* how it is cut next */
    /* Where the server has no order, and within a key of many versions: */
    struct buf token;
    struct buf token_key; /* of versions: belongs to it */

    /* The page. */
    struct arena arena;
    struct store_entry *entries;
    size_t entry_count, entry_at;
    struct scan_listed *listed; /* as many */
    int64_t asked_ms;           /* when the listing was asked for */
    bool ends;                  /* nothing of the range is behind it */
    struct change *changes;
    size_t change_count;
    struct arena gone_arena;
    struct span *gone;
    size_t gone_count;
    struct buf compared; /* missing keys are noted up to here */
    struct walk_counts counts;
    bool is_counted; /* in scan.state */
    struct walk_target target;
};

#define SCAN_CHECKS_MAX 32

/* Replicas that were not listed, to be asked for before the pass proves anything. */
struct scan_check {
    struct buf keys[SCAN_CHECKS_MAX];
    size_t count;
    size_t at;        /* asked for so far */
    uint64_t offered; /* of which the keys are a sample */
    char example[80]; /* one that was at the source */
    struct store_op op;
    struct arena arena;
};

/* The pass that goes on ends where it is, once nothing is out: for good, or to begin anew. */
enum scan_drop {
    DROP_NOT,
    DROP_STOP,      /* an operator's word, or nobody wants it any more */
    DROP_MORE,      /* the rule asks for more than it has looked at, or its check is lost */
    DROP_UNORDERED, /* begins without trust in the order of the listing */
};

struct scan {
    struct feed feed;
    struct loop *loop;
    struct log *log;
    struct store *from;
    struct store *to;
    struct scan_host host;
    struct arena arena;
    struct span endpoint, bucket, prefix, to_bucket, to_prefix;
    char *rule_name;

    struct scan_state state;
    bool is_loaded;
    bool is_busy;      /* load, gone or append of the pass itself is out */
    bool is_appending; /* of a walk or of the pass: one at a time, as the cursor names all ranges */
    bool is_dirty;     /* the state is ahead of the stored cursor */
    bool looks_again;  /* the pass has begun, and copies under way have not been told */
    enum scan_drop drops;
    uint64_t saved_ms; /* monotonic, of the last cursor */
    unsigned failures;

    struct list walks;
    size_t walk_count;
    unsigned asking;      /* listings of the source under way */
    unsigned width;       /* … at most; halved when the server asks to slow down */
    unsigned good;        /* listings since it last changed */
    uint64_t next_ask_ms; /* monotonic: the rule's limit of requests */
    bool compares_target;
    struct split_alphabet alphabet;
    struct scan_check check;
    struct scan_totals before; /* of the passes of this life before the present one */

    char doubt[160];
    struct timer timer;
    struct deferred kick;
    loop_fn *closed;
    void *closed_arg;
};

/* scan_feed.c */
void scan_kick(struct scan *s); /* looks, on the next turn, at what can go on */
void scan_wake_in(struct scan *s, uint64_t ms);
/* What is needed to look at more: NULL, or why not (then it is looked at again by itself). */
bool scan_may_go(struct scan *s);
/* The same for a request to the source, of which the rule allows so many a second. */
bool scan_may_ask(struct scan *s);
void scan_count_ask(struct scan *s);
uint64_t scan_retry_ms(struct scan *s, unsigned failures);
void scan_failed(struct scan *s, const struct fail *f);
void scan_is_well(struct scan *s);
void scan_heard(const struct scan *s, struct store *store, const struct store_op *op);
/* The cursor as it is once the page of `walk` (or NULL) is durable. */
void scan_print_cursor(const struct scan *s, const struct walk *walk, struct buf *to);
void scan_show(struct scan *s);  /* state → feed.status */
bool scan_ended(struct scan *s); /* true: closing; the caller touches nothing any more */

/* scan_walk.c */
struct walk *walk_new(struct scan *s, struct span after, struct span until);
void walk_free(struct walk *w);
void walk_go(struct walk *w); /* as far as it can without waiting */
void walk_cancel(struct walk *w);
void walk_compare(struct walk *w); /* asks the journal */
/* An answer is here. True: it is of no use any more, as the feed closes or the pass was dropped. */
bool walk_is_over(struct walk *w);
/* The present step is tried again after a while. */
void walk_fail(struct walk *w, const struct fail *f);
/* scan_page.c */
bool page_is_in_order(const struct walk *w);
void page_sort(struct walk *w); /* by key, none twice */
/* Of a page of versions: each key's newest one, if it is not of the page before. */
void page_fold(struct walk *w);
void page_trim(struct walk *w); /* what is behind the range does not belong to it */
/* Nobody knows how many keys are behind the page: as many halves as there is room for. */
void page_cut_up(struct walk *w);
/* scan_hand.c: steps TARGET, READY, NOTING. */
int walk_sift(struct walk *w); /* as walk_merge() */
void walk_hand_over(struct walk *w);
void walk_note(struct walk *w);
/* scan_merge.c: the page against the destination's listing. 0, or REPL_EDONE: another page of that
 * is on its way. */
int walk_merge(struct walk *w);
void walk_target_done(struct walk *w);

/* scan_scope.c */
uint64_t scope_mark(const struct rule *rule); /* of its patterns; never 0 */
/* Whether existing objects are the rule's to look at. */
bool scope_is_whole(const struct rule *rule);
/* Whether all versions are. */
bool scope_takes_versions(const struct rule *rule);
/* What the rule asks for is what the pass that now begins looks at. */
void scope_take(struct scan *s, const struct rule *rule);
/* Where it asks for more since: nothing is proven, and the pass that goes on begins anew. */
void scope_look(struct scan *s, const struct rule *rule);

/* scan_check.c */
void check_begin(struct scan *s);
void check_offer(struct scan *s, struct span key, bool for_sure);
/* Whether the pass of a cursor that was just read had replicas to ask for, which only the life
 * before knew, or none noted as it was an older program's: then it cannot go on. */
bool check_is_lost(const struct scan_state *state);
/* False: the next one is asked for, and a kick follows. */
bool check_is_done(struct scan *s);
void check_free(struct scan *s);

/* scan_pass.c */
void pass_go(struct scan *s); /* what is not a walk's: begin, clear, gone, end */
void pass_drop(struct scan *s);

#endif
