/* sched_impl: what the files of sched share. An endpoint has a queue of copies that want an
 * operation there, and one of copies whose reads wait because it, as their destination, takes no
 * more bodies now. All work happens in pump(), once a turn. */
#ifndef REPL_COPY_SCHED_IMPL_H
#define REPL_COPY_SCHED_IMPL_H

#include "transfer/copy/bucket.h"
#include "transfer/copy/copy_impl.h"
#include "transfer/copy/sched.h"
#include "transfer/net/throttle.h"

#define SCHED_REQUEST_BYTES   65536 /* a request without a body counts as so much work */
#define SCHED_OUTAGE_MS       1000
#define SCHED_DENIED_MIN_MS   5000
#define SCHED_DENIED_MAX_MS   60000
#define SCHED_EVIDENCE_MAX_MS 3000 /* what the source said of a key that is deleted */
#define SCHED_RESULTS         8    /* fail classes; FAIL_NONE stands for "ok" */
#define SCHED_OPERATIONS      (STORE_HEAD_BUCKET + 1)

/* ---- heap: entries in the order of their turn ---- */

enum heap_order { HEAP_OLDEST, HEAP_NEWEST, HEAP_ORDERS };

struct heap {
    enum heap_order order; /* and which slot of an entry is its place here */
    struct entry **items;
    size_t count;
    size_t cap;
};

void heap_push(struct heap *h, struct entry *e);
void heap_remove(struct heap *h, struct entry *e);
struct entry *heap_top(const struct heap *h);
bool heap_goes_before(enum heap_order order, const struct entry *a, const struct entry *b);

/* ---- queue: entries that wait for the same thing, served by the shares of their classes (start
 * time fair queueing: a class that was idle has saved nothing up and owes nothing) ---- */

#define QUEUE_SMALL (1u << STORE_SMALL)
#define QUEUE_BULK  (1u << STORE_BULK)

struct queue {
    const unsigned *shares;
    /* Late entries are in the heaps of both orders, others in that of HEAP_OLDEST. */
    struct heap heaps[COPY_CLASSES][STORE_CLASSES][HEAP_ORDERS];
    size_t count;
    double served[COPY_CLASSES]; /* work by share */
    double now;                  /* served[] of the class that went last, before it went */
    bool newest;                 /* late: whose turn it is */
};

void queue_init(struct queue *q, const unsigned *shares);
void queue_done(struct queue *q);
void queue_push(struct queue *q, struct entry *e);
void queue_remove(struct entry *e);
/* Whose turn it is among these sizes; NULL when none waits. */
struct entry *queue_top(const struct queue *q, unsigned sizes);
/* Takes note that it gets its turn; it may have left. */
void queue_serve(struct queue *q, const struct entry *e, uint64_t body_bytes);

/* ---- valves: limits by time ---- */

struct valve {
    struct sched *sched;
    bool counts_bytes; /* else requests */
    struct bucket bucket;
    struct queue waiting;
    struct timer timer; /* runs while somebody waits */
};

struct valves { /* of a rule or an endpoint */
    struct valve bytes;
    struct valve requests;
};

void valves_init(struct valves *v, struct sched *s);
void valves_done(struct valves *v);
void valves_set(struct valves *v, const struct sched_limit *limit);
uint64_t valves_rate_bps(const struct valves *v); /* 0 = no limit */
/* The first on its way that does not let it pass now, or NULL. */
struct valve *valves_closed(const struct copy_op *o);
/* Somebody waits in it now. */
void valve_wait(struct valve *v);
void valves_pass(struct copy_op *o);
/* What was paid for a body that is not sent. */
void valves_refund(struct copy_op *o);

struct group {
    struct list link;
    uint32_t number;
    struct valves valves;
    double mean_bytes; /* of the bodies whose size was not known before, smoothed */
};

struct group *group_get(struct sched *s, uint32_t number);
void group_free(struct group *g);

/* ---- hedges: second attempts of the last parts ---- */

#define PACE_LOG 15

struct pace_log { /* of parts that were sent */
    double ms_a_byte[PACE_LOG];
    size_t count;
    size_t next;
};

/* It is in flight now, or was. */
void hedge_watch(struct copy_op *o);
void hedge_ended(struct copy_op *o);

/* ---- endpoints ---- */

struct bodies { /* in memory */
    unsigned count[STORE_CLASSES];
    uint64_t bytes;
};

struct probe {
    struct store_op op;
    struct arena arena;
    struct endpoint *endpoint; /* NULL: forgotten */
    struct sched *sched;
};

struct endpoint {
    struct list link;
    struct sched *sched;
    struct store *store;
    char *name;
    enum sched_endpoint_state state;
    struct fail fail; /* why it is not up */

    struct queue ready;
    struct queue parked;
    struct valves valves;
    unsigned in_flight[STORE_CLASSES];
    struct bodies held; /* whose destination it is */
    struct pace_log pace;
    uint64_t sent_bytes;
    uint64_t extra_bytes; /* of those, of second attempts that were no use */
    unsigned copies_to;   /* copies whose destination it is */
    struct throttle throttle;
    double rate_bps; /* of one lane, smoothed; 0 = not known */

    unsigned net_failures; /* in a row */
    uint64_t good_ms;      /* of the last success; 0 = none */
    uint64_t probe_good_ms;
    uint64_t down_ms;
    uint64_t up_ms;  /* since the last time that it was not; 0 = from the beginning */
    unsigned passes; /* real operations let through as a probe */
    bool probe_by_pass;
    uint32_t probe_delay_ms;
    unsigned probe_stall_s; /* of the next one */
    struct timer probe_timer;
    struct probe *probe; /* in flight */
    char probe_bucket[256];
    bool has_answered;   /* to anybody */
    unsigned lost;       /* in a row, of others than copies, without an answer */
    struct fail refusal; /* what was refused to them and not granted since; for people alone */
    enum store_op_kind refusal_kind;
    struct timer refusal_timer;
    char seen_bucket[256]; /* answered with an object or a listing … */
    uint64_t seen_ms;      /* … then */

    struct stat *up;
    struct stat *throttled;
    struct stat *hedged_bytes;
    struct stat *operations[SCHED_OPERATIONS][SCHED_RESULTS];
};

struct sched {
    struct sched_options o;
    struct budget budget;
    struct deferred pump;
    struct list copies;
    struct list woken;
    struct list endpoints;
    struct list groups;
    size_t count;
    unsigned destinations; /* with copies */
    size_t probes;
    uint64_t next_seq;
    bool is_stopping;
    struct timer stop_timer;
    struct timer look_timer; /* for slots where nothing is in flight that could wake us */
    loop_fn *stopped;
    void *stopped_arg;
    struct stat *memory;
    struct stat *running;
    struct stat_family *up, *throttled, *hedged_bytes, *operations;
};

struct endpoint *endpoint_find(const struct sched *s, const struct store *store); /* or NULL */
struct endpoint *endpoint_get(struct sched *s, struct store *store);
void endpoint_free(struct endpoint *e);
/* Takes note of a result; false: the failure is the endpoint's, not the operation's. */
bool endpoint_result(struct endpoint *e, const struct store_op *op);
unsigned endpoint_in_flight(const struct endpoint *e);
/* Operations of this size that may be started now. */
unsigned endpoint_room(struct endpoint *e, enum store_class size);
/* Milliseconds until the server stands another request; 0: now. */
uint64_t endpoint_pause_ms(struct endpoint *e);
/* As a destination for which so much is held: may one more body of `bytes` be read for it? One that
 * is slow must not fill the memory of the others. */
bool endpoint_takes_body(const struct endpoint *e, const struct bodies *held, uint64_t bytes);
void endpoint_started(struct endpoint *e);
/* sched_heard.c */
bool endpoint_is_silent(int code); /* a failure of the network: nothing answered */
/* Any answer: a refusal that it shows to be over is forgotten. */
void endpoint_heard(struct endpoint *e, const struct store_op *op);
void endpoint_refusal_is_old(void *arg);
void endpoint_show_up(const struct endpoint *e); /* in metrics */

void sched_pull(struct endpoint *e);
void sched_start(struct endpoint *at, struct copy_op *o);
/* A delete whose evidence is old, or from before its destination was reachable. */
bool sched_is_stale(const struct copy_op *o);
/* Sends it with the deletes that wait behind it; false: there is none, it may go alone. */
bool sched_start_batch(struct endpoint *at, struct copy_op *first);
void sched_unpark(struct endpoint *e);
void sched_granted(void *arg, struct ticket *ticket);
void entry_leave(struct entry *e);
enum store_class sched_size(uint64_t body_bytes);
void sched_pump_soon(struct sched *s);
void sched_wake(struct copy *c); /* it is looked after in the next turn */
/* sched_stop.c */
void sched_stop_look(struct sched *s); /* at the end of a turn; the last one may free s */
void sched_stop_now(void *arg);        /* what is left is cut off */

#endif
