#include "tests/unit/support/fake_sqs.h"

#include "daemon/base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define MESSAGES_MAX 4096

struct message {
    char *body;
    size_t len;
    int64_t sent_ms;
    uint64_t visible_ms; /* monotonic: not before */
    unsigned receives;
    bool durable;
    bool deleted;
};

struct fake_sqs {
    struct loop *loop;
    struct message messages[MESSAGES_MAX];
    size_t count;
    struct list waiting; /* receives without a message yet: call.link */
    struct timer tick;   /* hidden messages come back */
    uint64_t latency_ms;
    unsigned fails_one_of;
    int64_t skew_ms;
    unsigned requests[4];
    unsigned receives;
    unsigned most_receives;
    unsigned clients;
};

struct client {
    struct sqs base;
    struct fake_sqs *fake;
    struct deferred closing;
    loop_fn *closed;
    void *closed_arg;
    unsigned under_way;
};

enum fate { GOOD, LOST_BEFORE, LOST_BEHIND };

struct call {
    struct list link;
    struct client *client;
    struct sqs_op *op;
    struct timer timer;
    enum fate fate;
    bool waits;
    bool canceled;
    uint64_t until_ms;
    int64_t asked_ms;
};

static void answer(struct call *c, uint64_t delay_ms);

/* ---- messages ---- */

static bool is_visible(const struct fake_sqs *f, const struct message *m)
{
    return !m->deleted && m->visible_ms <= loop_now_ms(f->loop);
}

static void give(struct call *c, struct message *m, size_t number)
{
    struct sqs_op *op = c->op;
    struct fake_sqs *f = c->client->fake;
    m->receives++;
    m->visible_ms = loop_now_ms(f->loop) + op->hidden_s * (uint64_t)1000;
    op->messages[op->message_count++] = (struct sqs_message){
        .id = span_str(arena_printf(op->arena, "id-%zu", number)),
        .receipt = span_str(arena_printf(op->arena, "%zu %u", number, m->receives)),
        .body = arena_span(op->arena, span_of(m->body, m->len)),
        .sent_ms = m->sent_ms};
}

static bool gather(struct call *c)
{
    struct fake_sqs *f = c->client->fake;
    size_t start = f->count > 0 ? (size_t)loop_random(f->loop, f->count) : 0;
    for (size_t i = 0; i < f->count && c->op->message_count < SQS_BATCH_MAX; i++) {
        size_t number = (start + i) % f->count;
        if (is_visible(f, &f->messages[number])) {
            give(c, &f->messages[number], number);
        }
    }
    return c->op->message_count > 0;
}

static void serve_waiting(struct fake_sqs *f)
{
    LIST_FOR_SAFE (link, &f->waiting) {
        struct call *c = CONTAINER_OF(link, struct call, link);
        if (gather(c)) {
            list_remove(&c->link);
            c->waits = false;
            answer(c, f->latency_ms / 2);
        }
    }
}

static void on_tick(void *arg)
{
    struct fake_sqs *f = arg;
    serve_waiting(f);
    timer_start(&f->tick, 100);
}

static struct message *of_receipt(struct fake_sqs *f, struct span receipt, bool *ret_current)
{
    size_t number = 0;
    unsigned receives = 0;
    assert_int_equal(sscanf(receipt.ptr, "%zu %u", &number, &receives), 2);
    assert_true(number < f->count);
    *ret_current = f->messages[number].receives == receives;
    return &f->messages[number];
}

static void change_all(struct call *c)
{
    struct fake_sqs *f = c->client->fake;
    struct sqs_op *op = c->op;
    assert_in_range(op->receipt_count, 1, SQS_BATCH_MAX);
    for (size_t i = 0; i < op->receipt_count; i++) {
        bool current;
        struct message *m = of_receipt(f, op->receipts[i], &current);
        if (op->kind == SQS_DELETE) {
            assert_true(m->durable); /* what is not in the journal must stay in the queue */
            m->deleted = true;
        } else if (current && m->visible_ms > loop_now_ms(f->loop)) {
            m->visible_ms = loop_now_ms(f->loop) + op->hidden_s * (uint64_t)1000;
        } else {
            op->refused++;
        }
    }
}

static void count_all(struct call *c)
{
    const struct fake_sqs *f = c->client->fake;
    for (size_t i = 0; i < f->count; i++) {
        const struct message *m = &f->messages[i];
        c->op->waiting += is_visible(f, m);
        c->op->hidden += !m->deleted && !is_visible(f, m);
    }
}

/* ---- calls ---- */

static void finish(void *arg)
{
    struct call *c = arg;
    struct sqs_op *op = c->op;
    struct client *client = c->client;
    client->fake->receives -= op->kind == SQS_RECEIVE;
    client->under_way--;
    op->server_ms = c->asked_ms;
    op->impl = NULL;
    if (c->canceled) {
        fail_set(&op->fail, REPL_ECANCELED, "cancelled");
    } else if (c->fate != GOOD) {
        fail_set(&op->fail, REPL_ENET, "the fake lost it");
    }
    if (op->fail.code != 0) {
        op->message_count = 0;
    }
    timer_stop(&c->timer);
    mem_free(c);
    op->done(op);
}

static void answer(struct call *c, uint64_t delay_ms)
{
    c->timer.fn = finish;
    timer_start(&c->timer, delay_ms);
}

static void wait_is_over(void *arg)
{
    struct call *c = arg;
    list_remove(&c->link);
    c->waits = false;
    answer(c, c->client->fake->latency_ms / 2);
}

static void arrive(void *arg)
{
    struct call *c = arg;
    struct fake_sqs *f = c->client->fake;
    if (c->fate == LOST_BEFORE) {
        answer(c, 0);
        return;
    }
    switch (c->op->kind) {
    case SQS_RECEIVE:
        if (!gather(c)) {
            c->waits = true;
            list_push_back(&f->waiting, &c->link);
            c->timer.fn = wait_is_over;
            timer_start(&c->timer, c->op->wait_s * (uint64_t)1000);
            return;
        }
        break;
    case SQS_DELETE:
    case SQS_HIDE:
        change_all(c);
        break;
    case SQS_COUNT:
        count_all(c);
        break;
    }
    answer(c, f->latency_ms / 2);
}

static enum fate draw(struct fake_sqs *f)
{
    if (f->fails_one_of == 0 || loop_random(f->loop, f->fails_one_of) != 0) {
        return GOOD;
    }
    return loop_random(f->loop, 2) == 0 ? LOST_BEFORE : LOST_BEHIND;
}

static void submit(struct sqs *base, struct sqs_op *op)
{
    struct client *client = CONTAINER_OF(base, struct client, base);
    struct fake_sqs *f = client->fake;
    struct call *c = MEM_NEW(struct call);
    c->client = client;
    c->op = op;
    c->fate = draw(f);
    c->asked_ms = loop_wall_ms(f->loop) + f->skew_ms;
    op->impl = c;
    fail_clear(&op->fail);
    op->messages = arena_alloc(op->arena, SQS_BATCH_MAX * sizeof(*op->messages));
    op->message_count = 0;
    op->refused = 0;
    op->waiting = op->hidden = op->delayed = 0;
    f->requests[op->kind]++;
    f->receives += op->kind == SQS_RECEIVE;
    f->most_receives = f->receives > f->most_receives ? f->receives : f->most_receives;
    client->under_way++;
    timer_init(&c->timer, f->loop, arrive, c);
    timer_start(&c->timer, f->latency_ms / 2);
}

static void cancel(struct sqs *base, struct sqs_op *op)
{
    struct call *c = op->impl;
    (void)base;
    if (c != NULL && !c->canceled) {
        c->canceled = true;
        if (c->waits) {
            list_remove(&c->link);
            c->waits = false;
        }
        answer(c, 0);
    }
}

static void close_now(void *arg)
{
    struct client *client = arg;
    loop_fn *closed = client->closed;
    void *closed_arg = client->closed_arg;
    assert_int_equal(client->under_way, 0);
    client->fake->clients--;
    mem_free(client);
    closed(closed_arg);
}

static void close_client(struct sqs *base, loop_fn *closed, void *arg)
{
    struct client *client = CONTAINER_OF(base, struct client, base);
    client->closed = closed;
    client->closed_arg = arg;
    deferred_call(&client->closing);
}

struct sqs *fake_sqs_open(struct fake_sqs *f)
{
    static const struct sqs_ops ops = {.submit = submit, .cancel = cancel, .close = close_client};
    struct client *client = MEM_NEW(struct client);
    client->base.ops = &ops;
    client->fake = f;
    f->clients++;
    deferred_init(&client->closing, f->loop, close_now, client);
    return &client->base;
}

/* ---- for the test ---- */

struct fake_sqs *fake_sqs_new(struct loop *loop)
{
    struct fake_sqs *f = MEM_NEW(struct fake_sqs);
    f->loop = loop;
    f->latency_ms = 20;
    list_init(&f->waiting);
    timer_init(&f->tick, loop, on_tick, f);
    timer_start(&f->tick, 100);
    return f;
}

void fake_sqs_free(struct fake_sqs *f)
{
    assert_int_equal(f->clients, 0);
    timer_stop(&f->tick);
    for (size_t i = 0; i < f->count; i++) {
        mem_free(f->messages[i].body);
    }
    mem_free(f);
}

size_t fake_sqs_put_at(struct fake_sqs *f, struct span body, int64_t sent_ms)
{
    assert_true(f->count < MESSAGES_MAX);
    f->messages[f->count] =
        (struct message){.body = mem_dup_span(body), .len = body.len, .sent_ms = sent_ms};
    f->count++;
    serve_waiting(f);
    return f->count - 1;
}

size_t fake_sqs_put(struct fake_sqs *f, struct span body)
{
    return fake_sqs_put_at(f, body, loop_wall_ms(f->loop) + f->skew_ms);
}

void fake_sqs_is_durable(struct fake_sqs *f, size_t message)
{
    f->messages[message].durable = true;
}

bool fake_sqs_has(const struct fake_sqs *f, size_t message)
{
    return !f->messages[message].deleted;
}

void fake_sqs_take_away(struct fake_sqs *f, size_t message, uint64_t ms)
{
    f->messages[message].visible_ms = loop_now_ms(f->loop) + ms;
}

void fake_sqs_latency(struct fake_sqs *f, uint64_t ms)
{
    f->latency_ms = ms;
}

void fake_sqs_fails(struct fake_sqs *f, unsigned one_of)
{
    f->fails_one_of = one_of;
}

void fake_sqs_skew(struct fake_sqs *f, int64_t ms)
{
    f->skew_ms = ms;
}

unsigned fake_sqs_requests(const struct fake_sqs *f, enum sqs_kind kind)
{
    return f->requests[kind];
}

unsigned fake_sqs_most_receives(const struct fake_sqs *f)
{
    return f->most_receives;
}

size_t fake_sqs_left(const struct fake_sqs *f)
{
    size_t n = 0;
    for (size_t i = 0; i < f->count; i++) {
        n += !f->messages[i].deleted;
    }
    return n;
}

int64_t fake_sqs_oldest(const struct fake_sqs *f)
{
    int64_t oldest = INT64_MAX;
    for (size_t i = 0; i < f->count; i++) {
        const struct message *m = &f->messages[i];
        if (!m->durable && !m->deleted && m->sent_ms < oldest) {
            oldest = m->sent_ms;
        }
    }
    return oldest;
}
