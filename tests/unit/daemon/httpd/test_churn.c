/* Many clients that come, ask, read, stall and leave at random, while answers are given at random:
 * every request ends exactly once, whichever side is first. The sanitizers see the rest. */
#include "daemon/base/list.h"
#include "daemon/base/mem.h"
#include "daemon/httpd/httpd.h"
#include "tests/unit/support/seeds.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka needs those above first */
#include <cmocka.h>

#include "client.h"

#define CLIENTS 24
#define STEPS   6000

struct churn {
    struct loop *loop;
    struct httpd *server;
    struct client clients[CLIENTS];
    struct list held; /* of struct answer: what the user owes */
    unsigned held_count;
    unsigned begun;
    unsigned answered;
    unsigned gone;
};

struct answer {
    struct list link;
    struct churn *of;
    struct httpd_request *request;
    bool is_stream;
};

static void forget(struct answer *a)
{
    list_remove(&a->link);
    a->of->held_count--;
    mem_free(a);
}

static void on_gone(void *arg)
{
    struct answer *a = arg;
    a->of->gone++;
    forget(a);
}

static void handle_any(void *arg, struct httpd_request *r)
{
    struct churn *w = arg;
    w->begun++;
    if (loop_random(w->loop, 4) == 0) {
        w->answered++;
        httpd_reply(r, 200, NULL, httpd_body(r));
        return;
    }
    struct answer *a = MEM_NEW(struct answer);
    a->of = w;
    a->request = r;
    list_push_back(&w->held, &a->link);
    w->held_count++;
    if (loop_random(w->loop, 2) == 0) {
        httpd_on_gone(r, on_gone, a);
    }
}

static void end(struct answer *a)
{
    a->of->answered++;
    if (a->is_stream) {
        httpd_stream_end(a->request);
    } else {
        httpd_reply(a->request, 200, "text/plain", span_str("late"));
    }
    forget(a);
}

/* One of those that wait gets a piece, an answer, or a callback more. */
static void serve_one(struct churn *w)
{
    static const char piece[5000];
    if (list_is_empty(&w->held)) {
        return;
    }
    struct answer *a = CONTAINER_OF(list_first(&w->held), struct answer, link);
    list_remove(&a->link);
    list_push_back(&w->held, &a->link);
    switch (loop_random(w->loop, 6)) {
    case 0:
        end(a);
        break;
    case 1:
        httpd_on_gone(a->request, on_gone, a);
        break;
    case 2:
        httpd_on_gone(a->request, NULL, NULL);
        break;
    default:
        if (!a->is_stream) {
            a->is_stream = true;
            httpd_stream(a->request, 200, NULL);
        }
        httpd_stream_write(a->request, span_of(piece, loop_random(w->loop, sizeof(piece))));
    }
}

static void disturb_one(struct churn *w)
{
    static const char *const requests[] = {
        "GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
        "HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /x HTTP/1.0\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd",
        "GET /x HTTP/1.1\r\nHost: a\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Le",
    };
    struct client *c = &w->clients[loop_random(w->loop, CLIENTS)];
    if (c->fd < 0) {
        client_open(c, w->loop, httpd_address(w->server));
        return;
    }
    switch (loop_random(w->loop, 8)) {
    case 0:
        client_close(c);
        break;
    case 1:
        shutdown(c->fd, SHUT_WR);
        break;
    case 2:
        c->is_paused = !c->is_paused;
        break;
    default: {
        const char *text = requests[loop_random(w->loop, sizeof(requests) / sizeof(requests[0]))];
        (void)!send(c->fd, text, strlen(text), MSG_NOSIGNAL);
        client_read(c);
        buf_reset(&c->in);
    }
    }
}

static void end_all(struct churn *w)
{
    while (!list_is_empty(&w->held)) {
        end(CONTAINER_OF(list_first(&w->held), struct answer, link));
    }
}

/* When the crowd has left and all answers are given, a newcomer is served. */
static void assert_recovers(struct churn *w)
{
    struct client c;
    for (unsigned i = 0; i < CLIENTS; i++) {
        client_close(&w->clients[i]);
    }
    client_open(&c, w->loop, httpd_address(w->server));
    client_say(&c, "GET /none HTTP/1.1\r\nHost: a\r\n\r\n");
    CLIENT_UNTIL(&c, (end_all(w), client_status(&c) == 404));
    client_close(&c);
}

static void run_churn(void *arg, uint64_t seed)
{
    (void)arg;
    struct churn *w = MEM_NEW(struct churn);
    static const struct httpd_route routes[] = {{"GET", "/x", handle_any},
                                                {"POST", "/x", handle_any}};
    struct fail f;
    w->loop = loop_new(seed);
    list_init(&w->held);
    for (unsigned i = 0; i < CLIENTS; i++) {
        w->clients[i].fd = -1;
    }
    struct httpd_options options = {.loop = w->loop,
                                    .tcp_listen = "127.0.0.1:0",
                                    .routes = routes,
                                    .route_count = 2,
                                    .arg = w,
                                    .connections_max = CLIENTS / 2};
    assert_int_equal(httpd_open(&options, &w->server, &f), 0);
    for (unsigned i = 0; i < STEPS; i++) {
        disturb_one(w);
        if (loop_random(w->loop, 2) == 0) {
            loop_run_once(w->loop);
        }
        if (loop_random(w->loop, 3) == 0) {
            serve_one(w);
        }
    }
    if (seed % 2 == 0) {
        assert_recovers(w);
    }
    httpd_close(w->server);
    end_all(w);
    print_message("%u begun, %u answered, %u gone\n", w->begun, w->answered, w->gone);
    assert_true(w->begun > 20);
    assert_true(w->gone > 0);
    assert_int_equal(w->begun, w->answered + w->gone);
    assert_int_equal(w->held_count, 0);
    for (unsigned i = 0; i < CLIENTS; i++) {
        client_close(&w->clients[i]);
    }
    loop_free(w->loop);
    mem_free(w);
}

static void test_churn(void **state)
{
    (void)state;
    seeds_run(run_churn, NULL, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_churn)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
