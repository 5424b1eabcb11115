#include "daemon/feeds/queue_impl.h"

#include <stdio.h>

#define WAIT_S          10 /* an answer without messages: how old proofs become */
#define NO_ROOM_MS      100
#define BACKOFF_MIN_MS  1000
#define BACKOFF_MAX_MS  30000
#define BACKOFF_DOUBLES 5
#define COUNT_EVERY_MS  10000
#define CLOSE_MS        2000 /* for deletes of what is durable */
#define HIDES           4    /* in a visibility: three may fail */
#define BATCHES_EACH    4    /* of a receiver: deletes may fall behind so far */

/* ---- what the operator sees: once per change of state ---- */

void queue_report_down(struct queue_feed *q, const struct fail *f)
{
    struct feed_status *s = &q->feed.status;
    bool same = s->state == FEED_DOWN && s->fail.code == f->code;
    s->state = FEED_DOWN;
    s->fail = *f;
    stat_put(q->up, 0);
    if (!same) {
        char text[500];
        LOG_WARNING(q->log, QUEUE_SUBJECT, "queue %s does not go on, will try again: %s",
                    q->conf.name, fail_print(f, text, sizeof(text)));
        q->host.news(q->host.arg);
    }
}

void queue_report_up(struct queue_feed *q)
{
    struct feed_status *s = &q->feed.status;
    q->failures = 0;
    if (s->state != FEED_UP) {
        s->state = FEED_UP;
        fail_clear(&s->fail);
        stat_put(q->up, 1);
        LOG_NOTICE(q->log, QUEUE_SUBJECT, "queue %s is being read url=%s", q->conf.name,
                   q->conf.url);
        q->host.news(q->host.arg);
    }
}

static int64_t oldest_ms(const struct queue_feed *q)
{
    int64_t oldest = 0;
    LIST_FOR (link, &q->batches) {
        const struct queue_batch *b = CONTAINER_OF(link, struct queue_batch, link);
        bool counts = b->state == QUEUE_STORING && b->oldest_ms > 0;
        if (counts && (oldest == 0 || b->oldest_ms < oldest)) {
            oldest = b->oldest_ms;
        }
    }
    return oldest;
}

void queue_refresh(struct queue_feed *q)
{
    struct feed_status *s = &q->feed.status;
    int64_t through_ms = queue_through_read(&q->through, oldest_ms(q));
    if (through_ms > s->complete_through_ms) {
        s->complete_through_ms = through_ms;
        q->host.news(q->host.arg);
    }
    s->waiting = q->through.waiting;
    s->in_hand = queue_in_hand(q);
    q->in_hand_least = s->in_hand < q->in_hand_least ? s->in_hand : q->in_hand_least;
    q->in_hand_most = s->in_hand > q->in_hand_most ? s->in_hand : q->in_hand_most;
    queue_through_text(&q->through, s->waiting_for, sizeof(s->waiting_for));
    if (q->through.is_counted) {
        stat_put(q->waiting, (double)s->waiting);
    }
    stat_put(q->in_hand, (double)s->in_hand);
}

uint64_t queue_backoff_ms(struct queue_feed *q, unsigned failures)
{
    unsigned doubles = failures < BACKOFF_DOUBLES ? failures : BACKOFF_DOUBLES;
    uint64_t top = (uint64_t)BACKOFF_MIN_MS << doubles;
    top = top < BACKOFF_MAX_MS ? top : BACKOFF_MAX_MS;
    return BACKOFF_MIN_MS / 2 + loop_random(q->loop, top);
}

/* ---- counts ---- */

static void on_answer(struct queue_feed *q, const struct sqs_op *op)
{
    queue_through_answer(&q->through, op->server_ms, (int64_t)q->conf.visibility_ms);
}

static size_t receiving(const struct queue_feed *q)
{
    size_t n = 0;
    LIST_FOR (link, &q->batches) {
        n += CONTAINER_OF(link, struct queue_batch, link)->state == QUEUE_RECEIVING;
    }
    return n;
}

/* Messages of answers that have not arrived. */
static uint64_t on_the_way(const struct queue_feed *q)
{
    return receiving(q) * SQS_BATCH_MAX;
}

static void counted(struct sqs_op *op)
{
    struct queue_feed *q = op->arg;
    q->is_counting = false;
    if (op->fail.code == 0) {
        on_answer(q, op);
        queue_through_counted(&q->through,
                              &(struct queue_counts){.asked_ms = op->server_ms,
                                                     .waiting = op->waiting,
                                                     .hidden = op->hidden,
                                                     .delayed = op->delayed,
                                                     .ours_least = q->in_hand_least,
                                                     .ours_most = q->in_hand_most + on_the_way(q)});
        q->in_hand_most = 0;
        queue_refresh(q);
    } else if (op->fail.code != REPL_ECANCELED) {
        queue_report_down(q, &op->fail);
    }
    arena_done(&q->count_arena);
    if (q->closed == NULL) {
        timer_start(&q->count_timer, COUNT_EVERY_MS);
    }
    queue_check_closed(q);
}

static void count(void *arg)
{
    struct queue_feed *q = arg;
    if (q->is_counting) {
        return;
    }
    q->is_counting = true;
    q->in_hand_least = queue_in_hand(q);
    q->count =
        (struct sqs_op){.kind = SQS_COUNT, .arena = &q->count_arena, .done = counted, .arg = q};
    sqs_submit(q->sqs, &q->count);
}

/* ---- receivers ---- */

static void receive(void *arg);

static void start_receiver(struct queue_feed *q, size_t at, uint64_t delay_ms)
{
    struct queue_receiver *r = &q->receivers[at];
    if (r->batch == NULL && q->closed == NULL) {
        timer_start(&r->timer, delay_ms);
    }
}

void queue_receiver_go(struct queue_feed *q, size_t receiver, uint64_t delay_ms)
{
    q->receivers[receiver].batch = NULL;
    if (receiver < q->wanted) {
        start_receiver(q, receiver, delay_ms);
    }
}

/* A full answer means that more is there. */
static void want_more(struct queue_feed *q)
{
    if (q->wanted < q->conf.receivers) {
        q->wanted++;
        start_receiver(q, q->wanted - 1, 0);
    }
}

static void want_fewer(struct queue_feed *q)
{
    q->wanted -= q->wanted > 1;
}

static void nothing_came(struct queue_feed *q, struct queue_batch *b)
{
    size_t receiver = b->receiver;
    int64_t asked_ms = b->op.server_ms;
    queue_batch_free(b);
    want_fewer(q);
    if (receiving(q) == 0) {
        queue_through_empty(&q->through, asked_ms);
    }
    queue_receiver_go(q, receiver, 0);
    if (q->closed == NULL) {
        count(q);
    }
}

static void receive_failed(struct queue_feed *q, struct queue_batch *b)
{
    size_t receiver = b->receiver;
    struct fail f = b->op.fail;
    queue_batch_free(b);
    queue_through_lost(&q->through);
    if (f.code != REPL_ECANCELED) {
        queue_report_down(q, &f);
        q->wanted = 1;
    }
    uint64_t wait_ms = queue_backoff_ms(q, q->failures++);
    uint64_t asked_ms = (uint64_t)f.retry_after_ms;
    queue_receiver_go(q, receiver, asked_ms > wait_ms ? asked_ms : wait_ms);
    if (receiver != 0) {
        start_receiver(q, 0, wait_ms); /* the last one that may have been wanted */
    }
    queue_check_closed(q);
}

static void received(struct sqs_op *op)
{
    struct queue_batch *b = op->arg;
    struct queue_feed *q = b->queue;
    b->is_busy = false;
    b->messages = op->messages;
    b->message_count = op->message_count;
    if (op->fail.code != 0) {
        b->message_count = 0;
        receive_failed(q, b);
        return;
    }
    queue_report_up(q);
    on_answer(q, op);
    if (op->message_count == 0) {
        nothing_came(q, b);
        return;
    }
    if (op->message_count == SQS_BATCH_MAX) {
        want_more(q);
    }
    queue_batch_store(b);
    queue_refresh(q);
}

static bool has_room(const struct queue_feed *q)
{
    return q->host.room(q->host.arg) > 0 && q->batch_count < q->conf.receivers * BATCHES_EACH;
}

static void receive(void *arg)
{
    struct queue_receiver *r = arg;
    struct queue_feed *q = r->queue;
    if (!has_room(q)) {
        timer_start(&r->timer, NO_ROOM_MS);
        return;
    }
    struct queue_batch *b = MEM_NEW(struct queue_batch);
    b->queue = q;
    b->receiver = (size_t)(r - q->receivers);
    b->is_busy = true;
    arena_init(&b->arena);
    list_push_back(&q->batches, &b->link);
    q->batch_count++;
    r->batch = b;
    b->op = (struct sqs_op){.kind = SQS_RECEIVE,
                            .wait_s = WAIT_S,
                            .hidden_s = (unsigned)(q->conf.visibility_ms / 1000),
                            .arena = &b->arena,
                            .done = received,
                            .arg = b};
    sqs_submit(q->sqs, &b->op);
}

static void hide(void *arg)
{
    struct queue_feed *q = arg;
    queue_hide_all(q);
    timer_start(&q->hide_timer, q->conf.visibility_ms / HIDES);
}

/* ---- life ---- */

static void sqs_is_closed(void *arg)
{
    struct queue_feed *q = arg;
    loop_fn *closed = q->closed;
    void *closed_arg = q->closed_arg;
    arena_done(&q->count_arena);
    arena_done(&q->arena);
    mem_free(q->feed.name);
    mem_free(q);
    closed(closed_arg);
}

static void close_sqs(void *arg)
{
    struct queue_feed *q = arg;
    timer_stop(&q->close_timer);
    sqs_close(q->sqs, sqs_is_closed, q);
}

void queue_check_closed(struct queue_feed *q)
{
    if (q->closed != NULL && q->batch_count == 0 && !q->is_counting && !q->is_closing_sqs) {
        q->is_closing_sqs = true;
        deferred_call(&q->closing);
    }
}

/* What was asked for ends now; what is durable may still be deleted; what the host has in its hands
 * comes back by itself. */
static void end_batches(struct queue_feed *q)
{
    LIST_FOR_SAFE (link, &q->batches) {
        struct queue_batch *b = CONTAINER_OF(link, struct queue_batch, link);
        if (b->state == QUEUE_RECEIVING) {
            sqs_cancel(q->sqs, &b->op);
        } else if (!b->is_busy) {
            queue_batch_leave(b);
        }
    }
}

static void deletes_take_too_long(void *arg)
{
    struct queue_feed *q = arg;
    LIST_FOR (link, &q->batches) {
        struct queue_batch *b = CONTAINER_OF(link, struct queue_batch, link);
        if (b->state == QUEUE_DELETING && b->is_busy) {
            sqs_cancel(q->sqs, &b->op);
        }
    }
}

static void queue_close(struct feed *feed, loop_fn *closed, void *arg)
{
    struct queue_feed *q = CONTAINER_OF(feed, struct queue_feed, feed);
    q->closed = closed;
    q->closed_arg = arg;
    timer_stop(&q->count_timer);
    timer_stop(&q->hide_timer);
    for (size_t i = 0; i < CONF_RECEIVERS_MAX; i++) {
        timer_stop(&q->receivers[i].timer);
    }
    if (q->is_counting) {
        sqs_cancel(q->sqs, &q->count);
    }
    timer_start(&q->close_timer, CLOSE_MS);
    end_batches(q);
    queue_check_closed(q);
}

static void copy_conf(struct queue_feed *q, const struct conf_queue *conf)
{
    q->conf = *conf;
    q->conf.name = arena_strdup(&q->arena, conf->name);
    q->conf.url = arena_strdup(&q->arena, conf->url);
    q->conf.endpoint = arena_strdup_or_null(&q->arena, conf->endpoint);
    q->conf.bucket = arena_strdup_or_null(&q->arena, conf->bucket);
}

static struct stat *make_stat(const struct queue_feed *q, struct stat_set *stats,
                              enum stat_type type, const char *name, const char *help)
{
    static const char *const labels[] = {"queue", NULL};
    const char *values[] = {q->conf.name, NULL};
    return stat_get(stat_family(stats, type, name, help, labels), values);
}

static void make_stats(struct queue_feed *q, struct stat_set *s)
{
    q->up = make_stat(q, s, STAT_GAUGE, "repl_queue_up", "1 while the queue can be read.");
    q->messages = make_stat(q, s, STAT_COUNTER, "repl_queue_messages_total",
                            "Messages received; one that comes twice counts twice.");
    q->bad = make_stat(q, s, STAT_COUNTER, "repl_queue_bad_messages_total",
                       "Messages that could not be read.");
    q->ignored = make_stat(q, s, STAT_COUNTER, "repl_queue_ignored_events_total",
                           "Events of a kind that changes no object's bytes.");
    q->waiting = make_stat(q, s, STAT_GAUGE, "repl_queue_waiting_messages",
                           "Messages in the queue, as SQS counts them: approximately.");
    q->in_hand = make_stat(q, s, STAT_GAUGE, "repl_queue_in_hand_messages",
                           "Messages received and not deleted yet.");
    q->undeleted = make_stat(q, s, STAT_COUNTER, "repl_queue_undeleted_messages_total",
                             "Messages taken that could not be deleted: they come again.");
}

static const struct feed_ops queue_feed_ops = {.close = queue_close};

struct feed *queue_feed_new(const struct queue_feed_options *options)
{
    struct queue_feed *q = MEM_NEW(struct queue_feed);
    arena_init(&q->arena);
    arena_init(&q->count_arena);
    copy_conf(q, options->conf);
    q->feed.ops = &queue_feed_ops;
    q->feed.kind = FEED_QUEUE;
    q->feed.name = mem_printf("queue:%s", q->conf.name);
    q->feed.endpoint = q->conf.endpoint;
    q->feed.bucket = q->conf.bucket;
    q->loop = options->loop;
    q->log = options->log;
    q->host = options->host;
    q->sqs = options->sqs;
    q->wanted = 1;
    list_init(&q->batches);
    make_stats(q, options->stats);
    timer_init(&q->count_timer, q->loop, count, q);
    timer_init(&q->hide_timer, q->loop, hide, q);
    timer_init(&q->close_timer, q->loop, deletes_take_too_long, q);
    deferred_init(&q->closing, q->loop, close_sqs, q);
    for (size_t i = 0; i < CONF_RECEIVERS_MAX; i++) {
        q->receivers[i].queue = q;
        timer_init(&q->receivers[i].timer, q->loop, receive, &q->receivers[i]);
    }
    timer_start(&q->count_timer, COUNT_EVERY_MS);
    timer_start(&q->hide_timer, q->conf.visibility_ms / HIDES);
    start_receiver(q, 0, 0);
    queue_refresh(q);
    return &q->feed;
}
