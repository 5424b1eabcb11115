/* A request from its last byte to its answer:
 *
 *   read ─▶ (signed: verify ─▶ (SNS subscription: confirm)) ─▶ store ─▶ answer
 *
 * store is two things at most, changes and what could not be read, and the answer waits for both.
 */
#include "daemon/feeds/webhook_impl.h"

struct delivery {
    struct webhook_source *source;
    struct httpd_request *request;
    struct arena arena;
    struct event_list events;
    struct fail bad;      /* code 0: all of it could be read */
    bool is_mns;          /* answered with 204 */
    bool is_quarantined;  /* or on its way there */
    unsigned under_way;   /* of what is to be stored */
    struct fail not_kept; /* code 0: all that has ended is durable */
    uint64_t since_us;
};

/* ---- the answer ---- */

static void answer(struct delivery *d, enum webhook_outcome outcome, unsigned status,
                   const char *text)
{
    struct webhook_source *s = d->source;
    struct loop *loop = s->webhook->loop;
    webhook_count(s, outcome);
    stat_observe(s->answer_time, (double)(loop_now_us(loop) - d->since_us) / 1e6);
    if (status == 503) {
        httpd_retry_after(d->request, WEBHOOK_RETRY_S);
    }
    httpd_reply(d->request, status, "text/plain", span_str(text));
    arena_done(&d->arena);
    mem_free(d);
    webhook_source_left(s);
}

static void answer_forged(struct delivery *d, const struct fail *f)
{
    LOG_WARNING(d->source->webhook->log, WEBHOOK_SUBJECT,
                "webhook %s: a signed message is refused: %s", d->source->conf.name, f->text);
    answer(d, WEBHOOK_FORGED, 403, "the signature is refused\n");
}

static void answer_not_now(struct delivery *d, const char *why, const struct fail *f)
{
    LOG_WARNING(d->source->webhook->log, WEBHOOK_SUBJECT, "webhook %s: %s: %s",
                d->source->conf.name, why, f->text);
    answer(d, WEBHOOK_UNAVAILABLE, 503, "not now\n");
}

static void answer_kept(struct delivery *d)
{
    struct webhook_source *s = d->source;
    bool changes = d->events.count > 0 && !d->is_quarantined;
    int64_t now_ms = s->host.now_ms(s->host.arg);
    stat_put(s->heard, (double)now_ms / 1000);
    stat_add(s->changes, (double)d->events.count);
    for (size_t i = 0; i < d->events.own_count; i++) {
        s->host.own(s->host.arg, &d->events.own[i]);
    }
    answer(d,
           d->is_quarantined ? WEBHOOK_QUARANTINED
           : changes         ? WEBHOOK_ACCEPTED
                             : WEBHOOK_NOTHING,
           d->is_mns ? 204 : 200, d->is_mns ? "" : "ok\n");
}

/* ---- store ---- */

static void end_one(struct delivery *d)
{
    d->under_way--;
    if (d->under_way > 0) {
        return;
    }
    if (d->not_kept.code == 0) {
        answer_kept(d);
    } else {
        answer_not_now(d, "a request could not be stored, its sender keeps it", &d->not_kept);
    }
}

static void stored(void *arg, int status, const struct fail *f)
{
    struct delivery *d = arg;
    if (status != 0) {
        d->not_kept = *f;
    }
    end_one(d);
}

static void quarantine(struct delivery *d, const struct fail *why)
{
    struct webhook_source *s = d->source;
    LOG_WARNING(s->webhook->log, WEBHOOK_SUBJECT, "webhook %s: a body goes to quarantine: %s",
                s->conf.name, why->text);
    d->is_quarantined = true;
    d->under_way++;
    s->host.quarantine(s->host.arg, httpd_body(d->request), span_str(why->text), stored, d);
}

/* A change that nobody can keep is no reason for the sender to repeat it for ever. */
static void appended(void *arg, int status, const struct fail *f)
{
    struct delivery *d = arg;
    if (status == REPL_EBADINPUT && !d->is_quarantined) {
        quarantine(d, f);
        end_one(d);
    } else if (status == REPL_EBADINPUT) {
        end_one(d);
    } else {
        stored(d, status, f);
    }
}

static void store(struct delivery *d)
{
    struct webhook_source *s = d->source;
    const struct span none = {0};
    d->under_way = 1;
    if (d->bad.code != 0) {
        quarantine(d, &d->bad);
    }
    if (d->events.count > 0) {
        d->under_way++;
        s->host.append(s->host.arg, d->events.changes, d->events.count, none, none, appended, d);
    }
    end_one(d);
}

/* ---- SNS ---- */

static void subscribed(void *arg, int status, const struct fail *f, struct span body)
{
    struct delivery *d = arg;
    (void)body;
    if (status != 0) {
        answer_not_now(d, "the subscription could not be confirmed", f);
        return;
    }
    LOG_NOTICE(d->source->webhook->log, WEBHOOK_SUBJECT, "webhook %s is subscribed topic=%.*s",
               d->source->conf.name, SPAN_ARG(d->events.sns->topic_arn));
    answer(d, WEBHOOK_CONFIRMED, 200, "ok\n");
}

static void confirm(struct delivery *d)
{
    struct span url = d->events.sns->subscribe_url;
    struct fail f;
    if (!push_is_sns_url(url)) {
        fail_set(&f, REPL_EDENIED, "SubscribeURL is not at SNS");
        answer_forged(d, &f);
        return;
    }
    fetch_get(d->source->webhook->fetch, url, subscribed, d);
}

static void sns_key(void *arg, EVP_PKEY *key, const struct fail *why)
{
    struct delivery *d = arg;
    const struct event_sns *sns = d->events.sns;
    struct fail f;
    if (key == NULL) {
        answer_not_now(d, "the certificate of SNS could not be had", why);
    } else if (push_verify_sns(sns, key, &f) != 0) {
        answer_forged(d, &f);
    } else if (sns->kind == EVENT_SNS_CONFIRM) {
        confirm(d);
    } else {
        if (sns->kind == EVENT_SNS_UNSUBSCRIBED) {
            LOG_WARNING(d->source->webhook->log, WEBHOOK_SUBJECT,
                        "webhook %s is subscribed no more: nothing will come from topic=%.*s",
                        d->source->conf.name, SPAN_ARG(sns->topic_arn));
        }
        store(d);
    }
}

static void verify_sns(struct delivery *d)
{
    struct span url = d->events.sns->signing_cert_url;
    struct fail f;
    if (!push_is_sns_url(url) || !span_ends_with(url, span_str(".pem"))) {
        fail_set(&f, REPL_EDENIED, "its certificate is not at SNS");
        answer_forged(d, &f);
        return;
    }
    push_keys_get(d->source->webhook->keys, url, sns_key, d);
}

/* ---- MNS ---- */

#define HEADERS_MAX 100

struct header_list {
    struct push_header headers[HEADERS_MAX];
    size_t count;
};

static void add_header(void *arg, struct span name, struct span value)
{
    struct header_list *l = arg;
    if (l->count < HEADERS_MAX) {
        l->headers[l->count++] = (struct push_header){name, value};
    }
}

static void mns_key(void *arg, EVP_PKEY *key, const struct fail *why)
{
    struct delivery *d = arg;
    struct header_list list = {.count = 0};
    struct fail f;
    if (key == NULL) {
        answer_not_now(d, "the certificate of MNS could not be had", why);
        return;
    }
    httpd_headers(d->request, add_header, &list);
    struct push_mns mns = {.method = httpd_method(d->request),
                           .resource = httpd_path(d->request),
                           .headers = list.headers,
                           .header_count = list.count,
                           .body = httpd_body(d->request)};
    if (push_verify_mns(&mns, key, loop_wall_ms(d->source->webhook->loop), &f) != 0) {
        answer_forged(d, &f);
    } else {
        store(d);
    }
}

static void verify_mns(struct delivery *d, const char *place)
{
    struct buf url = {0};
    struct fail f;
    d->is_mns = true;
    if (push_mns_url(span_str(place), &url, &f) != 0) {
        answer_forged(d, &f);
    } else {
        push_keys_get(d->source->webhook->keys, buf_view(&url), mns_key, d);
    }
    buf_done(&url);
}

/* ---- read ---- */

static void read_body(struct delivery *d)
{
    struct webhook_source *s = d->source;
    struct event_options options = {.endpoint = span_str(s->conf.endpoint),
                                    .feed = span_str(s->feed.name)};
    struct span body = httpd_body(d->request);
    /* MinIO tries whether somebody listens by a request without a body. */
    if (body.len > 0) {
        event_parse(body, &options, &d->arena, &d->events, &d->bad);
    }
}

void webhook_deliver(void *arg, struct httpd_request *r)
{
    struct webhook *w = arg;
    const char *rest = NULL;
    struct webhook_source *s = webhook_source_of(w, httpd_path(r), &rest);
    if (s == NULL || s->closed != NULL) { /* or on its way out, since the head was admitted */
        httpd_retry_after(r, WEBHOOK_RETRY_S);
        httpd_reply(r, 503, "text/plain", span_str("not now\n"));
        return;
    }
    struct delivery *d = MEM_NEW(struct delivery);
    d->source = s;
    d->request = r;
    d->since_us = loop_now_us(w->loop);
    arena_init(&d->arena);
    s->open++;
    read_body(d);
    const char *mns = httpd_header(r, "x-mns-signing-cert-url");
    if (mns != NULL) {
        verify_mns(d, mns);
    } else if (d->events.sns != NULL) {
        verify_sns(d);
    } else {
        store(d);
    }
}
