/* Requests over real sockets: where connections go, and what becomes of those that fail. */
#include "transfer/net/net.h"

#include "transfer/net/net_impl.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define CLIENTS 32

/* ---- a server that says at which of its addresses it was reached ---- */

struct server {
    int listener;
    int stop[2];
    uint16_t port;
    pthread_t thread;
};

static bool answer(int fd)
{
    char request[4096];
    char text[INET6_ADDRSTRLEN];
    char reply[256];
    union addr at = {0};
    socklen_t len = sizeof(at);
    if (recv(fd, request, sizeof(request), 0) <= 0) {
        return false;
    }
    getsockname(fd, &at.any, &len);
    addr_print(&at, text);
    int n = snprintf(reply, sizeof(reply), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
                     strlen(text), text);
    return send(fd, reply, (size_t)n, MSG_NOSIGNAL) == n;
}

static void *serve(void *arg)
{
    struct server *s = arg;
    struct pollfd fds[2 + CLIENTS] = {{.fd = s->stop[0], .events = POLLIN},
                                      {.fd = s->listener, .events = POLLIN}};
    nfds_t count = 2;
    while (poll(fds, count, -1) > 0 && fds[0].revents == 0) {
        for (nfds_t i = 2; i < count; i++) {
            if (fds[i].revents != 0 && !answer(fds[i].fd)) {
                close(fds[i].fd);
                fds[i--] = fds[--count];
            }
        }
        if (fds[1].revents != 0) {
            assert_true(count < 2 + CLIENTS);
            fds[count++] = (struct pollfd){.fd = accept(s->listener, NULL, NULL), .events = POLLIN};
        }
    }
    while (count > 2) {
        close(fds[--count].fd);
    }
    return NULL;
}

static void start_server(struct server *s, const char *address)
{
    union addr at = {0};
    bool is_v6 = strchr(address, ':') != NULL;
    socklen_t len = is_v6 ? sizeof(at.v6) : sizeof(at.v4);
    at.any.sa_family = is_v6 ? AF_INET6 : AF_INET;
    inet_pton(at.any.sa_family, address, is_v6 ? (void *)&at.v6.sin6_addr : &at.v4.sin_addr);
    s->listener = socket(at.any.sa_family, SOCK_STREAM, 0);
    if (is_v6 && (s->listener < 0 || bind(s->listener, &at.any, len) < 0)) {
        skip(); /* a machine without IPv6 */
    }
    assert_true(is_v6 || bind(s->listener, &at.any, len) == 0);
    assert_int_equal(listen(s->listener, CLIENTS), 0);
    assert_int_equal(getsockname(s->listener, &at.any, &len), 0);
    s->port = ntohs(is_v6 ? at.v6.sin6_port : at.v4.sin_port);
    assert_int_equal(pipe(s->stop), 0);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void stop_server(struct server *s)
{
    close(s->stop[1]);
    pthread_join(s->thread, NULL);
    close(s->stop[0]);
    close(s->listener);
}

/* ---- a client of it ---- */

struct bench {
    struct server server;
    struct loop *loop;
    struct net *net;
    struct arena arena;
    unsigned open; /* requests */
    bool submitting;
    bool is_closed;
    char url[512];
};

static void begin(struct bench *b, const char *listen_at, const char *name)
{
    struct fail f = {0};
    memset(b, 0, sizeof(*b));
    start_server(&b->server, listen_at);
    b->loop = loop_new(1);
    assert_int_equal(
        net_new(&(struct net_options){.loop = b->loop, .name = "test", .lanes = 8}, &b->net, &f),
        0);
    snprintf(b->url, sizeof(b->url), "http://%s:%u/", name, b->server.port);
}

static void closed(void *arg)
{
    struct bench *b = arg;
    b->is_closed = true;
    loop_stop(b->loop);
}

static void end(struct bench *b)
{
    net_close(b->net, closed, b);
    while (!b->is_closed) { /* ends of requests stop it, too */
        loop_run(b->loop);
    }
    loop_free(b->loop);
    arena_done(&b->arena);
    stop_server(&b->server);
}

static void on_done(struct net_request *r)
{
    struct bench *b = r->arg;
    assert_false(b->submitting);
    if (--b->open == 0) {
        loop_stop(b->loop);
    }
}

static void submit(struct bench *b, struct net_request *r, uint64_t avoid)
{
    *r = (struct net_request){.method = "GET",
                              .url = b->url,
                              .avoid = avoid,
                              .arena = &b->arena,
                              .done = on_done,
                              .arg = b};
    b->open++;
    b->submitting = true;
    net_submit(b->net, r);
    b->submitting = false;
}

static void get(struct bench *b, struct net_request *r, uint64_t avoid)
{
    submit(b, r, avoid);
    loop_run(b->loop);
}

static void assert_reached(const struct net_request *r, const char *address)
{
    assert_string_equal(r->fail.text, "");
    assert_int_equal(r->status, 200);
    assert_true(span_eq_str(r->text, address));
    assert_int_equal(r->failed_at, 0);
}

static union addr name_one_more(struct bench *b, struct host *h, const char *address)
{
    union addr a = {.v4 = {.sin_family = AF_INET, .sin_port = htons(b->server.port)}};
    inet_pton(AF_INET, address, &a.v4.sin_addr);
    addr_named(&h->names.set, &a, loop_now_ms(b->loop));
    return a;
}

/* ---- tests ---- */

static void names_and_literal_addresses_are_reached(void **state)
{
    (void)state;
    static const char *const names[] = {"127.0.0.1", "localhost"};
    for (size_t i = 0; i < 2; i++) {
        struct bench b;
        struct net_request r;
        begin(&b, "127.0.0.1", names[i]);
        assert_string_equal(net_congestion(b.net), "");
        get(&b, &r, 0);
        if (r.fail.code != 0) { /* localhost is ::1 too, and nobody listens there */
            get(&b, &r, r.failed_at);
        }
        assert_reached(&r, "127.0.0.1");
        assert_string_not_equal(net_congestion(b.net), "");
        end(&b);
    }
}

static void ipv6_addresses_are_reached(void **state)
{
    (void)state;
    struct bench b;
    struct net_request r;
    begin(&b, "::1", "[::1]");
    get(&b, &r, 0);
    assert_reached(&r, "::1");
    end(&b);
}

static void connection_is_kept_and_its_descriptor_known(void **state)
{
    (void)state;
    struct bench b;
    struct net_request r;
    begin(&b, "127.0.0.1", "127.0.0.1");
    get(&b, &r, 0);
    const struct lane *l = CONTAINER_OF(list_first(&r.host->lanes), struct lane, link);
    union addr peer = {0};
    socklen_t len = sizeof(peer);
    int fd = l->fd;
    assert_int_equal(getpeername(fd, &peer.any, &len), 0);
    assert_int_equal(peer.v4.sin_port, htons(b.server.port));
    assert_string_equal(l->grant.congestion, net_congestion(b.net));
    get(&b, &r, 0);
    assert_ptr_equal(CONTAINER_OF(list_first(&r.host->lanes), struct lane, link), l);
    assert_int_equal(l->fd, fd);
    end(&b);
}

static void name_without_address_fails_with_a_hint(void **state)
{
    (void)state;
    struct bench b;
    struct net_request r[3];
    begin(&b, "127.0.0.1", "no-such-host.invalid");
    for (size_t i = 0; i < 3; i++) {
        submit(&b, &r[i], 0);
    }
    loop_run(b.loop);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(r[i].fail.code, REPL_EUNREACHABLE);
        assert_non_null(strstr(r[i].fail.text, "no-such-host.invalid"));
        assert_string_not_equal(r[i].fail.hint, "");
        assert_false(r[i].left);
    }
    get(&b, &r[0], 0); /* and again, after the first answer */
    assert_int_equal(r[0].fail.code, REPL_EUNREACHABLE);
    end(&b);
}

/* A question that cannot be asked at all ends no other way. */
static void impossible_name_fails_as_late(void **state)
{
    (void)state;
    struct bench b;
    struct net_request r;
    char name[400] = "";
    memset(name, 'a', sizeof(name) - 1);
    begin(&b, "127.0.0.1", name);
    get(&b, &r, 0);
    assert_int_equal(r.fail.code, REPL_EUNREACHABLE);
    submit(&b, &r, 0);
    end(&b);
}

static void cancel_while_the_name_is_asked_for(void **state)
{
    (void)state;
    struct bench b;
    struct net_request r;
    begin(&b, "127.0.0.1", "localhost");
    submit(&b, &r, 0);
    net_cancel(b.net, &r);
    net_cancel(b.net, &r); /* twice is once */
    loop_run(b.loop);
    assert_int_equal(r.fail.code, REPL_ECANCELED);
    submit(&b, &r, 0);
    end(&b); /* the question may still be open, or the request in a lane */
    assert_int_equal(b.open, 0);
}

static void new_connections_use_all_addresses(void **state)
{
    (void)state;
    struct bench b;
    struct net_request r[6];
    unsigned at_second = 0;
    begin(&b, "0.0.0.0", "127.0.0.1");
    get(&b, &r[0], 0);
    assert_reached(&r[0], "127.0.0.1");
    name_one_more(&b, r[0].host, "127.0.0.2");
    for (size_t i = 0; i < 6; i++) {
        submit(&b, &r[i], 0);
    }
    loop_run(b.loop);
    for (size_t i = 0; i < 6; i++) {
        bool is_second = span_eq_str(r[i].text, "127.0.0.2");
        assert_reached(&r[i], is_second ? "127.0.0.2" : "127.0.0.1");
        at_second += is_second ? 1 : 0;
    }
    assert_int_equal(at_second, 3);
    end(&b);
}

/* The warm connection is passed over when the address behind it is to be avoided. */
static void repeat_goes_to_another_address(void **state)
{
    (void)state;
    struct bench b;
    struct net_request r;
    begin(&b, "0.0.0.0", "127.0.0.1");
    get(&b, &r, 0);
    const struct lane *l = CONTAINER_OF(list_first(&r.host->lanes), struct lane, link);
    uint64_t first = addr_tag(&l->addr);
    get(&b, &r, first);
    assert_reached(&r, "127.0.0.1"); /* no other is known */
    name_one_more(&b, r.host, "127.0.0.2");
    get(&b, &r, first);
    assert_reached(&r, "127.0.0.2");
    get(&b, &r, first);
    assert_reached(&r, "127.0.0.2");
    end(&b);
}

static void address_that_fails_twice_is_left_alone(void **state)
{
    (void)state;
    struct bench b;
    struct net_request r;
    unsigned failed = 0;
    begin(&b, "127.0.0.1", "127.0.0.1");
    get(&b, &r, 0);
    assert_reached(&r, "127.0.0.1");
    struct host *h = r.host;
    union addr dead = name_one_more(&b, h, "127.0.0.2");
    for (unsigned i = 0; i < 10; i++) {
        struct net_request many[4];
        for (size_t j = 0; j < 4; j++) {
            submit(&b, &many[j], 0);
        }
        loop_run(b.loop);
        for (size_t j = 0; j < 4; j++) {
            if (many[j].fail.code != 0) {
                assert_int_equal(many[j].fail.code, REPL_EUNREACHABLE);
                assert_int_equal(many[j].failed_at, addr_tag(&dead));
                failed++;
                get(&b, &r, many[j].failed_at);
                assert_reached(&r, "127.0.0.1");
            }
        }
    }
    assert_int_equal(failed, 2);
    end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_literal_addresses_are_reached),
        cmocka_unit_test(ipv6_addresses_are_reached),
        cmocka_unit_test(connection_is_kept_and_its_descriptor_known),
        cmocka_unit_test(name_without_address_fails_with_a_hint),
        cmocka_unit_test(impossible_name_fails_as_late),
        cmocka_unit_test(cancel_while_the_name_is_asked_for),
        cmocka_unit_test(new_connections_use_all_addresses),
        cmocka_unit_test(repeat_goes_to_another_address),
        cmocka_unit_test(address_that_fails_twice_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
