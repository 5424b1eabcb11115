/* Refusals by the head alone, the limit of all bodies together, and options renewed on the same
 * socket. */
#include "fixture.h"

static unsigned refuse_by_path(void *arg, struct httpd_request *r)
{
    (void)arg;
    const char *wanted = httpd_header(r, "x-status");
    httpd_retry_after(r, wanted != NULL && strcmp(wanted, "429") == 0 ? 7 : 0);
    return wanted != NULL ? (unsigned)atoi(wanted) : 0;
}

/* The fixture's server, opened again with these options. */
static void reopen(struct fixture *fx, const struct httpd_options *options)
{
    httpd_close(fx->server);
    open_with(fx, options);
    reconnect(fx);
}

static void test_head_is_refused(void **state)
{
    struct fixture *fx = *state;
    struct httpd_options options = options_of(fx);
    options.admit = refuse_by_path;
    reopen(fx, &options);
    assert_int_equal(client_ask(&fx->client, "POST /hold HTTP/1.1\r\nHost: a\r\nX-Status: 401\r\n"
                                             "Content-Length: 3\r\n\r\nabc"),
                     405);
    assert_int_equal(client_ask(&fx->client, "POST /echo HTTP/1.1\r\nHost: a\r\nX-Status: 401\r\n"
                                             "Content-Length: 3\r\n\r\nabc"),
                     401);
    assert_true(client_has(&fx->client, "WWW-Authenticate: Bearer\r\n"));
    assert_int_equal(client_ask(&fx->client, "POST /echo HTTP/1.1\r\nHost: a\r\nX-Status: 429\r\n"
                                             "Content-Length: 3\r\n\r\nabc"),
                     429);
    assert_true(client_has(&fx->client, "Retry-After: 7\r\n"));
    /* Who asks first need not send its body. */
    assert_int_equal(client_ask(&fx->client, "POST /echo HTTP/1.1\r\nHost: a\r\nX-Status: 503\r\n"
                                             "Expect: 100-continue\r\n"
                                             "Content-Length: 300\r\n\r\n"),
                     503);
    reconnect(fx);
    assert_int_equal(client_ask(&fx->client, "POST /echo HTTP/1.1\r\nHost: a\r\n"
                                             "Content-Length: 3\r\n\r\nabc"),
                     200);
}

static void test_bodies_together_are_limited(void **state)
{
    struct fixture *fx = *state;
    struct httpd_options options = options_of(fx);
    struct client other;
    char head[] = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n";
    char body[900];
    options.bodies_max = BODY_MAX;
    memset(body, 'b', sizeof(body));
    reopen(fx, &options);
    client_open(&other, fx->loop, httpd_address(fx->server));
    client_say(&other, head);
    client_send(&other, body, 800);
    for (int i = 0; i < 20; i++) {
        client_turn(&other);
    }
    client_say(&fx->client, head);
    client_send(&fx->client, body, 900);
    size_t at;
    CLIENT_UNTIL(&fx->client, client_answer(&fx->client, &at) > 0);
    assert_int_equal(client_status(&fx->client), 503);
    assert_true(client_has(&fx->client, "Retry-After: 1\r\n"));
    /* It is given back when its request has ended, and when its client has gone. */
    client_send(&other, body, 100);
    CLIENT_UNTIL(&other, client_answer(&other, &at) > 0);
    assert_int_equal(client_status(&other), 200);
    client_say(&other, head);
    client_send(&other, body, 800);
    client_turn(&other);
    client_close(&other);
    uint64_t until_ms = loop_now_ms(fx->loop) + CLIENT_PATIENCE_MS;
    while (client_status(&fx->client) != 200 && loop_now_ms(fx->loop) < until_ms) {
        reconnect(fx);
        client_say(&fx->client, head);
        client_send(&fx->client, body, 900);
        CLIENT_UNTIL(&fx->client, client_answer(&fx->client, &at) > 0 || fx->client.is_eof);
    }
    assert_int_equal(client_status(&fx->client), 200);
}

static void test_renewed_on_the_same_socket(void **state)
{
    struct fixture *fx = *state;
    struct httpd_options options = options_of(fx);
    struct fail f;
    char address[64];
    snprintf(address, sizeof(address), "%s", httpd_address(fx->server));
    assert_int_equal(client_ask(&fx->client, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
    client_say(&fx->client, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    CLIENT_UNTIL(&fx->client, fx->held != NULL);
    options.admit = refuse_by_path;
    assert_int_equal(httpd_renew(&fx->server, &options, &f), 0);
    assert_int_equal(httpd_renew(&fx->server, &options, &f), 0);
    assert_string_equal(httpd_address(fx->server), address);
    struct client fresh;
    client_open(&fresh, fx->loop, address);
    assert_int_equal(client_ask(&fresh, "GET /echo HTTP/1.1\r\nHost: a\r\nX-Status: 429\r\n\r\n"),
                     429);
    /* What was under way is answered, and its connection let go. */
    buf_reset(&fx->client.in);
    httpd_reply(fx->held, 200, NULL, span_str("{}"));
    CLIENT_UNTIL(&fx->client, fx->client.is_eof);
    assert_int_equal(client_status(&fx->client), 200);
    assert_true(client_has(&fx->client, "Connection: close\r\n"));
    assert_int_equal(client_ask(&fresh, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
    client_close(&fresh);
    assert_alive(fx);
}

static void test_closed_with_older_ones(void **state)
{
    struct fixture *fx = *state;
    struct httpd_options options = options_of(fx);
    struct fail f;
    client_say(&fx->client, "GET /watched HTTP/1.1\r\nHost: a\r\n\r\n");
    CLIENT_UNTIL(&fx->client, fx->held != NULL);
    assert_int_equal(httpd_renew(&fx->server, &options, &f), 0);
    httpd_close(fx->server);
    fx->server = NULL;
    assert_int_equal(fx->gone_count, 1);
}

static void test_bad_certificate_changes_nothing(void **state)
{
    struct fixture *fx = *state;
    struct httpd_options options = options_of(fx);
    struct httpd_tls tls = {.certificate = span_str("no"), .key = span_str("pem")};
    struct fail f;
    options.tls = &tls;
    assert_int_equal(httpd_renew(&fx->server, &options, &f), REPL_EBADINPUT);
    assert_int_equal(client_ask(&fx->client, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
    assert_alive(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(head_is_refused),
        TEST(bodies_together_are_limited),
        TEST(renewed_on_the_same_socket),
        TEST(closed_with_older_ones),
        TEST(bad_certificate_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
