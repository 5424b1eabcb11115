/* Which servers lanes trust: names, authorities, dates and versions of TLS; and sessions that are
 * resumed. */
#include "tests/unit/support/net_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/ssl.h>

static struct net_request *try_with(struct net_bench *b, struct h2_peer_options peer,
                                    struct net_options net)
{
    net.lanes = 2;
    net_bench_open(b, peer, net);
    struct net_request *r = net_bench_fetch(b, "PUT", "/put", 10);
    if (r->fail.code != 0) {
        assert_int_equal(r->fail.code, REPL_ETLS);
        assert_false(r->left);
        assert_int_equal(net_bench_counts(b)->shaken, 0);
        assert_int_equal(net_bench_counts(b)->far.heads, 0);
    }
    return r;
}

static void wrong_name_is_refused(void **state)
{
    struct net_request *r =
        try_with(*state, (struct h2_peer_options){.names = "DNS:127.0.0.1,DNS:other.example"},
                 (struct net_options){0});
    assert_non_null(strstr(r->fail.text, "IP address mismatch"));
    assert_non_null(strstr(r->fail.hint, "name in the endpoint's url"));
}

static void unknown_authority_is_refused(void **state)
{
    struct net_bench *b = *state;
    struct h2_peer *other = h2_peer_new(&(struct h2_peer_options){.loop = b->loop});
    struct net_request *r = try_with(b, (struct h2_peer_options){0},
                                     (struct net_options){.ca_file = h2_peer_ca(other)});
    assert_int_equal(r->fail.code, REPL_ETLS);
    assert_non_null(strstr(r->fail.hint, "ca_file"));
    h2_peer_free(other);
}

static void expired_certificate_is_refused(void **state)
{
    struct net_request *r =
        try_with(*state, (struct h2_peer_options){.days = -1}, (struct net_options){0});
    assert_non_null(strstr(r->fail.text, "expired"));
    assert_non_null(strstr(r->fail.hint, "clock"));
}

static void insecure_takes_anyone(void **state)
{
    struct net_request *r =
        try_with(*state, (struct h2_peer_options){.names = "DNS:other.example", .days = -1},
                 (struct net_options){.tls_insecure = true});
    net_bench_assert_put(r);
}

static struct net_request *put_to_localhost(struct net_bench *b, const char *names)
{
    net_bench_open(b, (struct h2_peer_options){.names = names}, (struct net_options){.lanes = 1});
    struct net_request *r = net_bench_prepare(b, "PUT", "/put", 10);
    r->url = arena_printf(&b->arena, "https://localhost:%u/put", h2_peer_port(b->peer));
    net_submit(b->net, r);
    net_bench_wait(b);
    if (r->fail.code == REPL_EUNREACHABLE) { /* localhost is ::1 first, where nobody listens */
        r = net_bench_prepare(b, "PUT", "/put", 10);
        r->avoid = b->requests[0].failed_at;
        r->url = b->requests[0].url;
        net_submit(b->net, r);
        net_bench_wait(b);
    }
    return r;
}

static void name_is_told_and_checked(void **state)
{
    struct net_bench *b = *state;
    net_bench_assert_put(put_to_localhost(b, "DNS:localhost"));
    assert_string_equal(h2_peer_sni(b->peer), "localhost");
}

static void other_name_is_refused(void **state)
{
    struct net_request *r = put_to_localhost(*state, "DNS:other.example,IP:127.0.0.1");
    assert_int_equal(r->fail.code, REPL_ETLS);
    assert_non_null(strstr(r->fail.text, "ostname mismatch"));
    assert_non_null(strstr(r->fail.hint, "name in the endpoint's url"));
}

static void sessions_are_resumed_in(struct net_bench *b, int version)
{
    net_bench_open(b, (struct h2_peer_options){.tls_version = version},
                   (struct net_options){.lanes = 1});
    net_bench_assert_put(net_bench_fetch(b, "PUT", "/put", 10));
    unsigned before = net_bench_counts(b)->resumed;
    h2_peer_drop(b->peer);
    NET_UNTIL(b, b->net->lanes == 0);
    net_bench_assert_put(net_bench_fetch(b, "PUT", "/put", 10));
    assert_int_equal(net_bench_counts(b)->shaken, 2);
    assert_int_equal(net_bench_counts(b)->resumed, before + 1);
}

static void sessions_are_resumed(void **state)
{
    sessions_are_resumed_in(*state, TLS1_3_VERSION);
}

static void sessions_are_resumed_in_1_2(void **state)
{
    sessions_are_resumed_in(*state, TLS1_2_VERSION);
}

static void old_tls_is_refused(void **state)
{
    struct net_request *r = try_with(
        *state, (struct h2_peer_options){.tls_version = TLS1_1_VERSION}, (struct net_options){0});
    assert_int_equal(r->fail.code, REPL_ETLS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NET_TEST(wrong_name_is_refused),
        NET_TEST(unknown_authority_is_refused),
        NET_TEST(expired_certificate_is_refused),
        NET_TEST(insecure_takes_anyone),
        NET_TEST(name_is_told_and_checked),
        NET_TEST(other_name_is_refused),
        NET_TEST(sessions_are_resumed),
        NET_TEST(sessions_are_resumed_in_1_2),
        NET_TEST(old_tls_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
