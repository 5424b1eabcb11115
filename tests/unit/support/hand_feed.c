#include "tests/unit/support/hand_feed.h"

#include "daemon/base/mem.h"

static void close_now(void *arg)
{
    struct hand_feed *h = arg;
    loop_fn *closed = h->closed;
    void *closed_arg = h->closed_arg;
    mem_free(h->feed.name);
    mem_free(h);
    closed(closed_arg);
}

static void close_feed(struct feed *feed, loop_fn *closed, void *arg)
{
    struct hand_feed *h = CONTAINER_OF(feed, struct hand_feed, feed);
    h->closed = closed;
    h->closed_arg = arg;
    deferred_call(&h->closing);
}

static const struct feed_ops ops = {.close = close_feed};

struct hand_feed *hand_feed_start(struct engine *e, const char *name, bool canary, int64_t late_ms)
{
    struct hand_feed *h = MEM_NEW(struct hand_feed);
    struct engine_feed *ef = engine_feed_new(e, 0, name);
    h->feed.ops = &ops;
    h->feed.kind = FEED_WEBHOOK;
    h->feed.name = mem_printf("webhook:%s", name);
    h->feed.endpoint = "near";
    h->feed.canary = canary;
    h->feed.late_ms = late_ms;
    h->feed.status.state = FEED_UP;
    h->host = engine_feed_host(ef);
    deferred_init(&h->closing, e->loop, close_now, h);
    engine_feed_start(ef, &h->feed);
    return h;
}

static struct change make_change(const struct hand_feed *h, enum change_kind kind, const char *key,
                                 int64_t event_time_ms)
{
    return (struct change){.kind = kind,
                           .endpoint = span_str("near"),
                           .bucket = span_str("src"),
                           .key = span_str(key),
                           .feed = span_str(h->feed.name),
                           .size = CHANGE_SIZE_UNKNOWN,
                           .event_time_ms = event_time_ms};
}

static void ignore(void *arg, int status, const struct fail *f)
{
    (void)arg;
    (void)status;
    (void)f;
}

void hand_feed_tell(struct hand_feed *h, enum change_kind kind, const char *key,
                    int64_t event_time_ms)
{
    struct span none = {0};
    struct change c = make_change(h, kind, key, event_time_ms);
    h->host.append(h->host.arg, &c, 1, none, none, ignore, NULL);
}

void hand_feed_canary(struct hand_feed *h, int64_t event_time_ms)
{
    struct change c = make_change(h, CHANGE_PUT, "_repl/canary/bench/hand", event_time_ms);
    h->host.own(h->host.arg, &c);
}
