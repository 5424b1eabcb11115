/* TLS sessions as bytes: against a server's session in memory. */
#include "daemon/base/mem.h"
#include "tests/unit/support/certificate.h"
#include "transfer/net/tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <uv.h>

#define RECORD_HEAD 5
#define APPLICATION 23 /* type of a record with data */

struct bench {
    struct certificate certificate;
    SSL_CTX *server_ctx;
    struct tls_context *context;
    SSL *server;
    struct tls *tls;
    struct buf wire;  /* to the server */
    struct buf plain; /* that the client has read */
    struct buf heard; /* that the server has read */
    unsigned records; /* with data, of the client */
};

static int setup(void **state)
{
    struct bench *b = MEM_NEW(struct bench);
    struct fail f;
    certificate_init(&b->certificate, "DNS:server.example", 10);
    b->server_ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(b->server_ctx, b->certificate.cert);
    SSL_CTX_use_PrivateKey(b->server_ctx, b->certificate.key);
    SSL_CTX_set_session_id_context(b->server_ctx, (const unsigned char *)"test", 4);
    struct tls_options o = {.ca_file = b->certificate.ca_file};
    assert_int_equal(tls_context_new(&o, &b->context, &f), 0);
    *state = b;
    return 0;
}

static void close_both(struct bench *b)
{
    tls_free(b->tls);
    SSL_free(b->server);
    b->tls = NULL;
    b->server = NULL;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    close_both(b);
    tls_context_free(b->context);
    SSL_CTX_free(b->server_ctx);
    certificate_done(&b->certificate);
    buf_done(&b->wire);
    buf_done(&b->plain);
    buf_done(&b->heard);
    mem_free(b);
    return 0;
}

static void open_both(struct bench *b, const char *host)
{
    close_both(b);
    b->tls = tls_new(b->context, host, 443, "h2,http/1.1");
    b->server = SSL_new(b->server_ctx);
    SSL_set_bio(b->server, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(b->server);
}

static bool on_plain(void *arg, struct span plain)
{
    buf_span(&((struct bench *)arg)->plain, plain);
    return true;
}

static void count_records(struct bench *b)
{
    const unsigned char *at = (const unsigned char *)b->wire.data;
    for (size_t i = 0; i + RECORD_HEAD <= b->wire.len;) {
        b->records += at[i] == APPLICATION ? 1 : 0;
        i += RECORD_HEAD + ((size_t)at[i + 3] << 8) + at[i + 4];
    }
}

static void to_server(struct bench *b)
{
    char block[16384];
    int n;
    buf_reset(&b->wire);
    tls_take(b->tls, &b->wire);
    count_records(b);
    BIO_write(SSL_get_rbio(b->server), b->wire.data, (int)b->wire.len);
    while ((n = SSL_read(b->server, block, sizeof(block))) > 0) {
        buf_append(&b->heard, block, (size_t)n);
    }
}

/* piece: bytes that arrive at once. */
static int to_client(struct bench *b, int piece)
{
    char block[4096];
    int n;
    int r = 0;
    while (r == 0 && (n = BIO_read(SSL_get_wbio(b->server), block, piece)) > 0) {
        r = tls_feed(b->tls, span_of(block, (size_t)n), on_plain, b);
    }
    return r;
}

static int exchange(struct bench *b, int piece)
{
    int r = 0;
    for (int i = 0; i < 4 && r == 0; i++) {
        to_server(b);
        r = to_client(b, piece);
    }
    b->records = 0; /* those of the handshake look like data in TLS 1.3 */
    return r;
}

static void handshake_in_single_bytes(void **state)
{
    struct bench *b = *state;
    open_both(b, "server.example");
    assert_int_equal(exchange(b, 1), 0);
    assert_true(tls_is_open(b->tls));
    assert_string_equal(tls_version(b->tls), "TLSv1.3");
    assert_string_equal(tls_alpn(b->tls), ""); /* the server knows none */
    assert_string_equal(SSL_get_cipher(b->server), "TLS_AES_128_GCM_SHA256");
    SSL_write(b->server, "welcome", 7);
    assert_int_equal(to_client(b, 3), 0);
    assert_true(span_eq_str(buf_view(&b->plain), "welcome"));
}

static void other_name_is_told(void **state)
{
    struct bench *b = *state;
    open_both(b, "other.example");
    assert_int_equal(exchange(b, 4096), REPL_ETLS);
    assert_false(tls_is_open(b->tls));
    assert_non_null(strstr(tls_fail(b->tls)->text, "other.example"));
    assert_non_null(strstr(tls_fail(b->tls)->hint, "endpoint's url"));
    assert_true(tls_pending(b->tls) > 0); /* the alert that tells the server */
}

static void peer_without_tls_is_told(void **state)
{
    struct bench *b = *state;
    open_both(b, "server.example");
    assert_int_equal(tls_feed(b->tls, span_str("HTTP/1.1 400 Bad Request\r\n\r\n"), on_plain, b),
                     REPL_ETLS);
    assert_non_null(strstr(tls_fail(b->tls)->text, "wrong version number"));
    assert_non_null(strstr(tls_fail(b->tls)->hint, "http://"));
}

static void small_pieces_share_a_record(void **state)
{
    struct bench *b = *state;
    open_both(b, "server.example");
    exchange(b, 4096);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(tls_write(b->tls, span_str("0123456789")), 0);
    }
    assert_int_equal(tls_pending(b->tls), 0);
    assert_int_equal(tls_flush(b->tls), 0);
    to_server(b);
    assert_int_equal(b->records, 1);
    assert_int_equal(b->heard.len, 1000);
}

static void order_is_kept_between_small_and_large(void **state)
{
    struct bench *b = *state;
    struct buf all;
    char *large = mem_alloc(40000);
    memset(large, 'x', 40000);
    buf_init(&all, 0);
    open_both(b, "server.example");
    exchange(b, 4096);
    for (size_t len = 1; len < 40000; len = len * 3 + 1) {
        tls_write(b->tls, span_of(large, len));
        tls_write(b->tls, span_str("head"));
        buf_append(&all, large, len);
        buf_str(&all, "head");
    }
    tls_flush(b->tls);
    to_server(b);
    assert_true(span_eq(buf_view(&b->heard), buf_view(&all)));
    buf_done(&all);
    mem_free(large);
}

static void lost_session_is_resumed_as_well(void **state)
{
    struct bench *b = *state;
    open_both(b, "server.example");
    exchange(b, 4096);
    assert_false(tls_is_resumed(b->tls));
    open_both(b, "server.example"); /* nobody said good-bye */
    exchange(b, 4096);
    assert_true(tls_is_resumed(b->tls));
    open_both(b, "other.example"); /* a session is of one name */
    assert_int_equal(exchange(b, 4096), REPL_ETLS);
}

static void end_is_told_both_ways(void **state)
{
    struct bench *b = *state;
    open_both(b, "server.example");
    exchange(b, 4096);
    tls_write(b->tls, span_str("last words"));
    tls_end(b->tls);
    to_server(b);
    assert_true(span_eq_str(buf_view(&b->heard), "last words"));
    assert_int_equal(SSL_get_shutdown(b->server) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
    SSL_shutdown(b->server);
    assert_int_equal(to_client(b, 4096), UV_EOF);
    assert_int_equal(tls_fail(b->tls)->code, 0);
}

static void nonsense_is_a_failure_for_ever(void **state)
{
    struct bench *b = *state;
    struct span noise = span_str("HTTP/1.1 400 Bad Request\r\n\r\n");
    open_both(b, "server.example");
    assert_int_equal(tls_feed(b->tls, noise, on_plain, b), REPL_ETLS);
    assert_int_equal(tls_feed(b->tls, noise, on_plain, b), REPL_ETLS);
    open_both(b, "server.example");
    exchange(b, 4096);
    assert_int_equal(tls_feed(b->tls, noise, on_plain, b), REPL_ETLS);
    assert_int_equal(tls_write(b->tls, span_str("x")), REPL_ETLS);
    assert_int_equal(b->plain.len, 0);
}

static void bad_ca_files_are_named(void **state)
{
    struct bench *b = *state;
    struct tls_context *c = NULL;
    struct fail f;
    (void)b;
    struct tls_options o = {.ca_file = "/dev/null"};
    assert_int_equal(tls_context_new(&o, &c, &f), REPL_EBADINPUT);
    assert_non_null(strstr(f.text, "/dev/null"));
    assert_null(c);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(handshake_in_single_bytes),
        TEST(other_name_is_told),
        TEST(peer_without_tls_is_told),
        TEST(small_pieces_share_a_record),
        TEST(order_is_kept_between_small_and_large),
        TEST(lost_session_is_resumed_as_well),
        TEST(end_is_told_both_ways),
        TEST(nonsense_is_a_failure_for_ever),
        TEST(bad_ca_files_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
