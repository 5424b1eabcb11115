#include "tests/unit/support/hook.h"

#include "daemon/base/mem.h"

#include <stdio.h>

#define TOKEN_VARIABLE "TEST_HOOK_TOKEN"

/* ---- host ---- */

static void wait_for_host(struct hook *h, feed_done_fn *done, void *arg)
{
    assert_in_range(h->waiting_count, 0, 3);
    h->waiting[h->waiting_count].done = done;
    h->waiting[h->waiting_count++].arg = arg;
}

static void host_append(void *arg, const struct change *changes, size_t count,
                        struct span cursor_name, struct span cursor, feed_done_fn *done,
                        void *done_arg)
{
    struct hook *h = arg;
    assert_true(cursor_name.ptr == NULL && cursor.ptr == NULL);
    for (size_t i = 0; i < count; i++) {
        assert_true(span_eq_str(changes[i].endpoint, "src"));
        assert_true(span_eq_str(changes[i].feed, "webhook:a"));
        buf_printf(&h->kept, "%.*s\n", SPAN_ARG(changes[i].key));
    }
    wait_for_host(h, done, done_arg);
}

static void host_quarantine(void *arg, struct span body, struct span reason, feed_done_fn *done,
                            void *done_arg)
{
    struct hook *h = arg;
    assert_true(body.len > 0 && reason.len > 0);
    h->quarantined++;
    wait_for_host(h, done, done_arg);
}

static size_t host_room(void *arg)
{
    struct hook *h = arg;
    return h->room;
}

static int64_t host_now_ms(void *arg)
{
    struct hook *h = arg;
    return loop_wall_ms(h->loop);
}

static void host_own(void *arg, const struct change *change)
{
    struct hook *h = arg;
    assert_true(span_starts_with(change->key, span_str("_repl/")));
    h->own++;
}

void hook_host_ends(struct hook *h, int status)
{
    struct fail f = {0};
    size_t n = h->waiting_count;
    h->waiting_count = 0;
    if (status != 0) {
        fail_set(&f, status, "because");
    }
    for (size_t i = 0; i < n; i++) {
        h->waiting[i].done(h->waiting[i].arg, status, &f);
    }
}

/* ---- web ---- */

static void web_get(struct fetch *fetch, struct span url, fetch_done_fn *done, void *arg)
{
    struct hook *h = CONTAINER_OF(fetch, struct hook, fetch);
    buf_printf(&h->asked, "%.*s\n", SPAN_ARG(url));
    h->fetch_done = done;
    h->fetch_arg = arg;
}

static void web_close(struct fetch *fetch, loop_fn *closed, void *arg)
{
    (void)fetch;
    closed(arg);
}

void hook_web_answers(struct hook *h, int status, struct span page)
{
    struct fail f = {0};
    fetch_done_fn *done = h->fetch_done;
    h->fetch_done = NULL;
    assert_non_null(done);
    if (status != 0) {
        fail_set(&f, status, "no web");
    }
    done(h->fetch_arg, status, &f, page);
}

/* ---- life ---- */

void hook_open_source(struct hook *h, const char *name, const char *path)
{
    struct conf_source source = {
        .name = name, .endpoint = "src", .path = path, .token = {.environment = TOKEN_VARIABLE}};
    struct feed_host host = {.arg = h,
                             .append = host_append,
                             .quarantine = host_quarantine,
                             .room = host_room,
                             .now_ms = host_now_ms,
                             .own = host_own};
    h->feed =
        webhook_feed_new(h->webhook, &(struct webhook_feed_options){.conf = &source, .host = host});
}

void hook_init(struct hook *h)
{
    static const struct fetch_ops ops = {.get = web_get, .close = web_close};
    struct fail f;
    struct conf_webhook conf = {.listen = "127.0.0.1:0", .max_body_bytes = 1 << 20};
    *h = (struct hook){.loop = loop_new(1), .stats = stat_set_new(), .room = 100};
    h->fetch.ops = &ops;
    setenv(TOKEN_VARIABLE, HOOK_TOKEN, 1);
    struct webhook_options options = {.loop = h->loop,
                                      .stats = h->stats,
                                      .conf = &conf,
                                      .memory_bytes = 64 << 20,
                                      .fetch = &h->fetch};
    assert_int_equal(webhook_open(&options, &h->webhook, &f), 0);
    hook_open_source(h, "a", "/a");
    client_open(&h->client, h->loop, webhook_address(h->webhook));
}

static void note(void *arg)
{
    (*(int *)arg)++;
}

void hook_done(struct hook *h)
{
    int closed = 0;
    client_close(&h->client);
    feed_close(h->feed, note, &closed);
    webhook_close(h->webhook, note, &closed);
    while (closed < 2) {
        loop_run_once(h->loop);
    }
    loop_run_once(h->loop);
    loop_free(h->loop);
    stat_set_free(h->stats);
    buf_done(&h->kept);
    buf_done(&h->asked);
}

/* ---- sender ---- */

void hook_post(struct hook *h, const char *more, const char *body)
{
    char *text =
        mem_printf("POST /a/" HOOK_TOKEN " HTTP/1.1\r\nHost: a\r\n%sContent-Length: %zu\r\n\r\n%s",
                   more, strlen(body), body);
    buf_reset(&h->client.in);
    client_say(&h->client, text);
    mem_free(text);
}

int hook_answer(struct hook *h)
{
    CLIENT_UNTIL(&h->client, strstr(buf_cstr(&h->client.in), "\r\n\r\n") != NULL);
    return client_status(&h->client);
}

void hook_until_host_waits(struct hook *h, size_t count)
{
    CLIENT_UNTIL(&h->client, h->waiting_count == count);
    for (int i = 0; i < 5; i++) {
        client_turn(&h->client);
    }
    assert_int_equal(h->client.in.len, 0);
}

void hook_until_web_is_asked(struct hook *h, const char *all)
{
    CLIENT_UNTIL(&h->client, h->fetch_done != NULL);
    assert_string_equal(buf_cstr(&h->asked), all);
    assert_int_equal(h->client.in.len, 0);
}
