/* What one answer of the queue brought: into the journal, then deleted. */
#include "daemon/feeds/event.h"
#include "daemon/feeds/queue_impl.h"

#include <stdio.h>

#define STORE_AGAIN_MS 1000

size_t queue_in_hand(const struct queue_feed *q)
{
    size_t n = 0;
    LIST_FOR (link, &q->batches) {
        n += CONTAINER_OF(link, struct queue_batch, link)->message_count;
    }
    return n;
}

void queue_batch_free(struct queue_batch *b)
{
    struct queue_feed *q = b->queue;
    list_remove(&b->link);
    q->batch_count--;
    timer_stop(&b->again);
    arena_done(&b->arena);
    mem_free(b);
}

/* A hide that is under way ends first: it is the last user of the receipts. */
void queue_batch_leave(struct queue_batch *b)
{
    struct queue_feed *q = b->queue;
    if (b->hide.impl != NULL) {
        sqs_cancel(q->sqs, &b->hide);
        b->state = QUEUE_DELETING;
        return;
    }
    queue_batch_free(b);
    queue_check_closed(q);
}

/* ---- delete ---- */

static void delete_all(void *arg);

static uint64_t hidden_left_ms(const struct queue_batch *b)
{
    uint64_t since_ms = loop_now_ms(b->queue->loop) - b->hidden_ms;
    return since_ms < b->queue->conf.visibility_ms ? b->queue->conf.visibility_ms - since_ms : 0;
}

/* What is not deleted in time comes again, which does no harm. */
static void deleted(struct sqs_op *op)
{
    struct queue_batch *b = op->arg;
    struct queue_feed *q = b->queue;
    bool failed = op->fail.code != 0;
    b->is_busy = false;
    if (failed && q->closed == NULL) {
        uint64_t wait_ms = queue_backoff_ms(q, b->failures++);
        if (wait_ms < hidden_left_ms(b)) {
            timer_start(&b->again, wait_ms);
            return;
        }
    }
    stat_add(q->undeleted, (double)(failed ? b->message_count : op->refused));
    queue_batch_leave(b);
    queue_refresh(q);
}

static void delete_all(void *arg)
{
    struct queue_batch *b = arg;
    b->is_busy = true;
    b->op = (struct sqs_op){.kind = SQS_DELETE,
                            .receipts = b->receipts,
                            .receipt_count = b->message_count,
                            .arena = &b->arena,
                            .done = deleted,
                            .arg = b};
    sqs_submit(b->queue->sqs, &b->op);
}

static void become_durable(struct queue_batch *b)
{
    struct queue_feed *q = b->queue;
    b->state = QUEUE_DELETING;
    b->failures = 0;
    timer_init(&b->again, q->loop, delete_all, b);
    delete_all(b);
    queue_refresh(q);
    queue_receiver_go(q, b->receiver, 0);
}

/* ---- store ---- */

static void store_step(void *arg);

/* The messages are kept from others until the journal takes them. */
static void store_failed(struct queue_batch *b, const struct fail *f)
{
    struct queue_feed *q = b->queue;
    if (q->closed != NULL) {
        queue_batch_leave(b); /* they come again in the next life */
        return;
    }
    queue_report_down(q, f);
    timer_start(&b->again, STORE_AGAIN_MS);
}

static void appended(void *arg, int status, const struct fail *f)
{
    struct queue_batch *b = arg;
    b->is_busy = false;
    b->is_appended = status == 0;
    if (status != 0) {
        store_failed(b, f);
    } else {
        store_step(b);
    }
}

static void quarantined(void *arg, int status, const struct fail *f)
{
    struct queue_batch *b = arg;
    b->is_busy = false;
    if (status != 0) {
        store_failed(b, f);
        return;
    }
    b->bad_at++;
    store_step(b);
}

static void store_step(void *arg)
{
    struct queue_batch *b = arg;
    const struct feed_host *host = &b->queue->host;
    const struct queue_bad *bad = &b->bads[b->bad_at];
    if (b->change_count > 0 && !b->is_appended) {
        b->is_busy = true;
        host->append(host->arg, b->changes, b->change_count, (struct span){0}, (struct span){0},
                     appended, b);
    } else if (b->bad_at < b->bad_count) {
        b->is_busy = true;
        host->quarantine(host->arg, bad->body, span_str(bad->fail.text), quarantined, b);
    } else {
        become_durable(b);
    }
}

/* ---- parse ---- */

static void note_bad(struct queue_batch *b, const struct sqs_message *m, const struct fail *f)
{
    struct queue_feed *q = b->queue;
    b->bads[b->bad_count++] = (struct queue_bad){.body = m->body, .fail = *f};
    q->feed.status.bad_rows++;
    stat_add(q->bad, 1);
    LOG_WARNING(q->log, QUEUE_SUBJECT, "queue %s: a message goes to the quarantine: %s id=%.*s",
                q->conf.name, f->text, SPAN_ARG(m->id));
}

static int check_sns(const struct event_list *list, struct fail *f)
{
    return list->sns == NULL || list->sns->kind == EVENT_SNS_NOTIFICATION
               ? 0
               : fail_set(f, REPL_EBADINPUT,
                          "SNS asks to confirm a subscription: do it, then drop "
                          "this message");
}

static void add_changes(struct queue_batch *b, const struct event_list *list)
{
    size_t count = b->change_count + list->count;
    if (list->count == 0) {
        return;
    }
    struct change *all = arena_alloc(&b->arena, count * sizeof(*all));
    if (b->change_count > 0) {
        memcpy(all, b->changes, b->change_count * sizeof(*all));
    }
    memcpy(all + b->change_count, list->changes, list->count * sizeof(*all));
    b->changes = all;
    b->change_count = count;
}

static void parse_message(struct queue_batch *b, const struct sqs_message *m)
{
    struct queue_feed *q = b->queue;
    struct event_options options = {.endpoint = span_str(q->conf.endpoint),
                                    .feed = span_str(q->feed.name)};
    struct event_list list;
    struct fail f;
    int r = event_parse(m->body, &options, &b->arena, &list, &f);
    add_changes(b, &list);
    stat_add(q->ignored, (double)list.ignored);
    if (list.tests > 0) {
        LOG_NOTICE(q->log, QUEUE_SUBJECT, "queue %s: a test message of S3 has come", q->conf.name);
    }
    if (r == 0) {
        r = check_sns(&list, &f);
    }
    if (r != 0) {
        note_bad(b, m, &f);
    }
}

void queue_batch_store(struct queue_batch *b)
{
    struct queue_feed *q = b->queue;
    b->state = QUEUE_STORING;
    b->hidden_ms = loop_now_ms(q->loop);
    timer_init(&b->again, q->loop, store_step, b);
    stat_add(q->messages, (double)b->message_count);
    for (size_t i = 0; i < b->message_count; i++) {
        const struct sqs_message *m = &b->messages[i];
        b->receipts[i] = m->receipt;
        queue_through_came(&q->through, m->sent_ms, q->through.seen_ms);
        if (m->sent_ms > 0 && (b->oldest_ms == 0 || m->sent_ms < b->oldest_ms)) {
            b->oldest_ms = m->sent_ms;
        }
        parse_message(b, m);
    }
    store_step(b);
}

/* ---- hide ---- */

static void hidden(struct sqs_op *op)
{
    struct queue_batch *b = op->arg;
    if (op->fail.code == 0) {
        b->hidden_ms = loop_now_ms(b->queue->loop);
    }
    if (b->state == QUEUE_DELETING && !b->is_busy && !timer_is_running(&b->again)) {
        queue_batch_leave(b);
    }
}

void queue_hide_all(struct queue_feed *q)
{
    LIST_FOR (link, &q->batches) {
        struct queue_batch *b = CONTAINER_OF(link, struct queue_batch, link);
        if (b->state != QUEUE_STORING || b->hide.impl != NULL) {
            continue;
        }
        b->hide = (struct sqs_op){.kind = SQS_HIDE,
                                  .hidden_s = (unsigned)(q->conf.visibility_ms / 1000),
                                  .receipts = b->receipts,
                                  .receipt_count = b->message_count,
                                  .arena = &b->arena,
                                  .done = hidden,
                                  .arg = b};
        sqs_submit(q->sqs, &b->hide);
    }
}
