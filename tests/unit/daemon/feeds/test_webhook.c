/* A delivery from request to answer, with a host and a web of the test's own: nothing is answered
 * with 2xx before it is kept, and what is signed is verified. */
#include "daemon/base/base64.h"
#include "daemon/base/mem.h"
#include "daemon/feeds/webhook.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "tests/unit/daemon/httpd/client.h"

#define TOKEN    "0123456789abcdef"
#define CERT_URL "https://sns.eu-central-1.amazonaws.com/a.pem"
#define SUB_URL  "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription"

struct world {
    struct loop *loop;
    struct stat_set *stats;
    struct webhook *webhook;
    struct feed *feed;
    struct client client;

    /* The host. */
    size_t room;
    struct buf kept; /* keys that were appended, a line each */
    unsigned quarantined;
    unsigned own;
    struct {
        feed_done_fn *done;
        void *arg;
    } waiting[4];
    size_t waiting_count;

    /* The web. */
    struct fetch fetch;
    struct buf asked;
    fetch_done_fn *fetch_done;
    void *fetch_arg;
    struct buf pem;
    EVP_PKEY *key;
};

/* ---- host ---- */

static void wait_for_host(struct world *w, feed_done_fn *done, void *arg)
{
    assert_in_range(w->waiting_count, 0, 3);
    w->waiting[w->waiting_count].done = done;
    w->waiting[w->waiting_count++].arg = arg;
}

static void host_append(void *arg, const struct change *changes, size_t count,
                        struct span cursor_name, struct span cursor, feed_done_fn *done,
                        void *done_arg)
{
    struct world *w = arg;
    assert_true(cursor_name.ptr == NULL && cursor.ptr == NULL);
    for (size_t i = 0; i < count; i++) {
        assert_true(span_eq_str(changes[i].endpoint, "src"));
        assert_true(span_eq_str(changes[i].feed, "webhook:a"));
        buf_printf(&w->kept, "%.*s\n", SPAN_ARG(changes[i].key));
    }
    wait_for_host(w, done, done_arg);
}

static void host_quarantine(void *arg, struct span body, struct span reason, feed_done_fn *done,
                            void *done_arg)
{
    struct world *w = arg;
    assert_true(body.len > 0 && reason.len > 0);
    w->quarantined++;
    wait_for_host(w, done, done_arg);
}

static size_t host_room(void *arg)
{
    struct world *w = arg;
    return w->room;
}

static int64_t host_now_ms(void *arg)
{
    struct world *w = arg;
    return loop_wall_ms(w->loop);
}

static void host_own(void *arg, const struct change *change)
{
    struct world *w = arg;
    assert_true(span_starts_with(change->key, span_str("_repl/")));
    w->own++;
}

/* What waits ends so. */
static void host_ends(struct world *w, int status)
{
    struct fail f = {0};
    size_t n = w->waiting_count;
    w->waiting_count = 0;
    if (status != 0) {
        fail_set(&f, status, "because");
    }
    for (size_t i = 0; i < n; i++) {
        w->waiting[i].done(w->waiting[i].arg, status, &f);
    }
}

/* ---- web ---- */

static void web_get(struct fetch *fetch, struct span url, fetch_done_fn *done, void *arg)
{
    struct world *w = CONTAINER_OF(fetch, struct world, fetch);
    buf_printf(&w->asked, "%.*s\n", SPAN_ARG(url));
    w->fetch_done = done;
    w->fetch_arg = arg;
}

static void web_close(struct fetch *fetch, loop_fn *closed, void *arg)
{
    (void)fetch;
    closed(arg);
}

static void web_answers(struct world *w, int status, struct span page)
{
    struct fail f = {0};
    fetch_done_fn *done = w->fetch_done;
    w->fetch_done = NULL;
    assert_non_null(done);
    if (status != 0) {
        fail_set(&f, status, "no web");
    }
    done(w->fetch_arg, status, &f, page);
}

static void make_certificate(struct world *w)
{
    X509 *cert = X509_new();
    BIO *out = BIO_new(BIO_s_mem());
    char *text;
    w->key = EVP_RSA_gen(2048);
    X509_gmtime_adj(X509_getm_notBefore(cert), -100000000);
    X509_gmtime_adj(X509_getm_notAfter(cert), 100000000);
    X509_set_pubkey(cert, w->key);
    X509_sign(cert, w->key, EVP_sha256());
    PEM_write_bio_X509(out, cert);
    long n = BIO_get_mem_data(out, &text);
    buf_append(&w->pem, text, (size_t)n);
    BIO_free(out);
    X509_free(cert);
}

/* ---- world ---- */

static void open_source(struct world *w, const char *name, const char *path)
{
    struct conf_source source = {
        .name = name, .endpoint = "src", .path = path, .token = {.environment = "TEST_HOOK_TOKEN"}};
    struct feed_host host = {.arg = w,
                             .append = host_append,
                             .quarantine = host_quarantine,
                             .room = host_room,
                             .now_ms = host_now_ms,
                             .own = host_own};
    w->feed =
        webhook_feed_new(w->webhook, &(struct webhook_feed_options){.conf = &source, .host = host});
}

static int setup(void **state)
{
    static const struct fetch_ops ops = {.get = web_get, .close = web_close};
    struct world *w = mem_alloc(sizeof(*w));
    struct fail f;
    struct conf_webhook conf = {.listen = "127.0.0.1:0", .max_body_bytes = 1 << 20};
    setenv("TEST_HOOK_TOKEN", TOKEN, 1);
    w->loop = loop_new(1);
    w->stats = stat_set_new();
    w->fetch.ops = &ops;
    w->room = 100;
    make_certificate(w);
    struct webhook_options options = {.loop = w->loop,
                                      .stats = w->stats,
                                      .conf = &conf,
                                      .memory_bytes = 64 << 20,
                                      .fetch = &w->fetch};
    assert_int_equal(webhook_open(&options, &w->webhook, &f), 0);
    open_source(w, "a", "/a");
    client_open(&w->client, w->loop, webhook_address(w->webhook));
    *state = w;
    return 0;
}

static void note(void *arg)
{
    (*(int *)arg)++;
}

static int teardown(void **state)
{
    struct world *w = *state;
    int closed = 0;
    client_close(&w->client);
    feed_close(w->feed, note, &closed);
    webhook_close(w->webhook, note, &closed);
    while (closed < 2) {
        loop_run_once(w->loop);
    }
    loop_run_once(w->loop);
    loop_free(w->loop);
    stat_set_free(w->stats);
    EVP_PKEY_free(w->key);
    buf_done(&w->pem);
    buf_done(&w->kept);
    buf_done(&w->asked);
    mem_free(w);
    return 0;
}

static void post(struct world *w, const char *more, const char *body)
{
    char *text =
        mem_printf("POST /a/" TOKEN " HTTP/1.1\r\nHost: a\r\n%sContent-Length: %zu\r\n\r\n%s", more,
                   strlen(body), body);
    buf_reset(&w->client.in);
    client_say(&w->client, text);
    mem_free(text);
}

static int answer(struct world *w)
{
    CLIENT_UNTIL(&w->client, strstr(buf_cstr(&w->client.in), "\r\n\r\n") != NULL);
    return client_status(&w->client);
}

/* Nothing is answered while the host has not said that it is kept. */
static void until_host_waits(struct world *w, size_t count)
{
    CLIENT_UNTIL(&w->client, w->waiting_count == count);
    for (int i = 0; i < 5; i++) {
        client_turn(&w->client);
    }
    assert_int_equal(w->client.in.len, 0);
}

#define RECORD(key)                                                                                \
    "{\"eventVersion\":\"2.1\",\"eventSource\":\"aws:s3\",\"eventTime\":"                          \
    "\"2026-11-24T10:00:00.000Z\",\"eventName\":\"ObjectCreated:Put\",\"s3\":{\"bucket\":{"        \
    "\"name\":\"b\"},\"object\":{\"key\":\"" key "\",\"size\":1,\"sequencer\":\"00\"}}}"
#define BODY(records) "{\"Records\":[" records "]}"

/* ---- tests ---- */

static void test_answered_when_it_is_kept(void **state)
{
    struct world *w = *state;
    post(w, "", BODY(RECORD("k")));
    until_host_waits(w, 1);
    host_ends(w, 0);
    assert_int_equal(answer(w), 200);
    assert_string_equal(buf_cstr(&w->kept), "k\n");
}

static void test_what_is_not_kept_is_not_accepted(void **state)
{
    struct world *w = *state;
    post(w, "", BODY(RECORD("k")));
    until_host_waits(w, 1);
    host_ends(w, REPL_EJOURNAL);
    assert_int_equal(answer(w), 503);
    assert_true(client_has(&w->client, "Retry-After: "));
    w->room = 0;
    post(w, "", BODY(RECORD("k")));
    assert_int_equal(answer(w), 503);
    assert_int_equal(w->waiting_count, 0);
}

static void test_both_halves_must_be_kept(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 2; i++) {
        post(w, "", BODY(RECORD("k") ",{}"));
        until_host_waits(w, 2);
        host_ends(w, i == 0 ? 0 : REPL_EJOURNAL);
        assert_int_equal(answer(w), i == 0 ? 200 : 503);
    }
    assert_int_equal(w->quarantined, 2);
}

static void test_a_change_that_nobody_can_keep_goes_to_quarantine(void **state)
{
    struct world *w = *state;
    post(w, "", BODY(RECORD("k")));
    until_host_waits(w, 1);
    host_ends(w, REPL_EBADINPUT);
    until_host_waits(w, 1);
    assert_int_equal(w->quarantined, 1);
    host_ends(w, 0);
    assert_int_equal(answer(w), 200);
}

static void test_canaries_are_told_when_the_rest_is_kept(void **state)
{
    struct world *w = *state;
    post(w, "", BODY(RECORD("k") "," RECORD("_repl/canary/x")));
    until_host_waits(w, 1);
    assert_int_equal(w->own, 0);
    host_ends(w, 0);
    assert_int_equal(answer(w), 200);
    assert_int_equal(w->own, 1);
    assert_string_equal(buf_cstr(&w->kept), "k\n");
}

/* ---- SNS ---- */

static void sign(struct world *w, const char *text, struct buf *to)
{
    unsigned char bytes[512];
    size_t n = sizeof(bytes);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, w->key), 1);
    assert_int_equal(EVP_DigestSign(ctx, bytes, &n, (const unsigned char *)text, strlen(text)), 1);
    base64_encode(span_of((const char *)bytes, n), to);
    EVP_MD_CTX_free(ctx);
}

static void post_sns(struct world *w, const char *type, const char *extra, const char *signed_text,
                     const char *cert_url)
{
    struct buf signature = {0};
    sign(w, signed_text, &signature);
    char *body = mem_printf("{\"Type\":\"%s\",\"MessageId\":\"m\",%s\"TopicArn\":\"t\","
                            "\"Timestamp\":\"now\",\"SignatureVersion\":\"2\",\"Signature\":\"%s\","
                            "\"SigningCertURL\":\"%s\"}",
                            type, extra, buf_cstr(&signature), cert_url);
    post(w, "x-amz-sns-message-type: x\r\n", body);
    mem_free(body);
    buf_done(&signature);
}

#define CONFIRM_EXTRA "\"Message\":\"hi\",\"Token\":\"tok\",\"SubscribeURL\":\"" SUB_URL "\","
#define CONFIRM_TEXT                                                                               \
    "Message\nhi\nMessageId\nm\nSubscribeURL\n" SUB_URL "\nTimestamp\nnow\nToken\ntok\n"           \
    "TopicArn\nt\nType\nSubscriptionConfirmation\n"

static void until_web_is_asked(struct world *w, const char *all)
{
    CLIENT_UNTIL(&w->client, w->fetch_done != NULL);
    assert_string_equal(buf_cstr(&w->asked), all);
    assert_int_equal(w->client.in.len, 0);
}

static void test_a_subscription_is_confirmed_to_sns(void **state)
{
    struct world *w = *state;
    post_sns(w, "SubscriptionConfirmation", CONFIRM_EXTRA, CONFIRM_TEXT, CERT_URL);
    until_web_is_asked(w, CERT_URL "\n");
    web_answers(w, 0, buf_view(&w->pem));
    until_web_is_asked(w, CERT_URL "\n" SUB_URL "\n");
    web_answers(w, REPL_EUNREACHABLE, span_str(""));
    assert_int_equal(answer(w), 503);
    /* SNS tells it again; the certificate is known by now. */
    buf_reset(&w->asked);
    post_sns(w, "SubscriptionConfirmation", CONFIRM_EXTRA, CONFIRM_TEXT, CERT_URL);
    until_web_is_asked(w, SUB_URL "\n");
    web_answers(w, 0, span_str("<xml/>"));
    assert_int_equal(answer(w), 200);
}

static void test_forged_messages_are_refused(void **state)
{
    struct world *w = *state;
    static const char message[] = "\"Message\":\"{\\\"Records\\\":[]}\",";
    static const char text[] = "Message\n{\"Records\":[]}\nMessageId\nm\nTimestamp\nnow\n"
                               "TopicArn\nt\nType\nNotification\n";
    /* A certificate from elsewhere is not even asked for. */
    post_sns(w, "Notification", message, text, "https://evil.example/a.pem");
    assert_int_equal(answer(w), 403);
    assert_int_equal(w->asked.len, 0);
    post_sns(w, "Notification", message, "another text", CERT_URL);
    until_web_is_asked(w, CERT_URL "\n");
    web_answers(w, 0, buf_view(&w->pem));
    assert_int_equal(answer(w), 403);
    post_sns(w, "Notification", message, text, CERT_URL);
    assert_int_equal(answer(w), 200);
    /* One that is signed well, and leads elsewhere: nobody is asked. */
    buf_reset(&w->asked);
    post_sns(w, "SubscriptionConfirmation",
             "\"Message\":\"hi\",\"Token\":\"tok\",\"SubscribeURL\":\"https://evil.example/\",",
             "Message\nhi\nMessageId\nm\nSubscribeURL\nhttps://evil.example/\nTimestamp\nnow\n"
             "Token\ntok\nTopicArn\nt\nType\nSubscriptionConfirmation\n",
             CERT_URL);
    assert_int_equal(answer(w), 403);
    assert_int_equal(w->asked.len, 0);
    assert_int_equal(w->waiting_count, 0);
}

static void test_without_a_certificate_sns_is_to_come_again(void **state)
{
    struct world *w = *state;
    post_sns(w, "SubscriptionConfirmation", CONFIRM_EXTRA, CONFIRM_TEXT, CERT_URL);
    until_web_is_asked(w, CERT_URL "\n");
    web_answers(w, REPL_ETIMEOUT, span_str(""));
    assert_int_equal(answer(w), 503);
}

/* ---- MNS ---- */

static void test_mns_must_name_its_own_certificate(void **state)
{
    struct world *w = *state;
    post(w, "x-mns-signing-cert-url: aHR0cHM6Ly9ldmlsLmV4YW1wbGUvYQ==\r\n", BODY(RECORD("k")));
    assert_int_equal(answer(w), 403);
    post(w, "x-mns-signing-cert-url: \r\n", BODY(RECORD("k")));
    assert_int_equal(answer(w), 403);
    assert_int_equal(w->waiting_count, 0);
}

/* Certificate and signature, by the code that test_push_sign.c tries. */
static void test_mns_is_answered_with_204(void **state)
{
    struct world *w = *state;
    static const char body[] = BODY(RECORD("k"));
    struct buf place = {0}, md5 = {0}, text = {0}, signature = {0};
    unsigned char digest[EVP_MAX_MD_SIZE], bytes[512];
    size_t n = sizeof(bytes);
    char date[32] = "";
    time_iso(loop_wall_ms(w->loop), date);
    base64_encode(span_str("https://mnstest.oss-cn-hangzhou.aliyuncs.com/x.pem"), &place);
    EVP_Digest(body, strlen(body), digest, NULL, EVP_md5(), NULL);
    base64_encode(span_of((const char *)digest, 16), &md5);
    buf_printf(&text, "POST\n%s\ntext/xml\n%s\nx-mns-signing-cert-url:%s\n/a/" TOKEN,
               buf_cstr(&md5), date, buf_cstr(&place));
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_DigestSignInit(ctx, NULL, EVP_sha1(), NULL, w->key);
    EVP_DigestSign(ctx, bytes, &n, (const unsigned char *)buf_cstr(&text), text.len);
    EVP_MD_CTX_free(ctx);
    base64_encode(span_of((const char *)bytes, n), &signature);
    char *more = mem_printf("x-mns-signing-cert-url: %s\r\nDate: %s\r\nContent-MD5: %s\r\n"
                            "Content-Type: text/xml\r\nAuthorization: %s\r\n",
                            buf_cstr(&place), date, buf_cstr(&md5), buf_cstr(&signature));
    post(w, more, body);
    until_web_is_asked(w, "https://mnstest.oss-cn-hangzhou.aliyuncs.com/x.pem\n");
    web_answers(w, 0, buf_view(&w->pem));
    until_host_waits(w, 1);
    host_ends(w, 0);
    assert_int_equal(answer(w), 204);
    mem_free(more);
    buf_done(&place);
    buf_done(&md5);
    buf_done(&text);
    buf_done(&signature);
}

/* ---- the end ---- */

static void test_what_is_under_way_is_answered_before_the_end(void **state)
{
    struct world *w = *state;
    int closed = 0;
    post(w, "", BODY(RECORD("k")));
    until_host_waits(w, 1);
    feed_close(w->feed, note, &closed);
    for (int i = 0; i < 5; i++) {
        client_turn(&w->client);
    }
    assert_int_equal(closed, 0);
    host_ends(w, 0);
    assert_int_equal(answer(w), 200);
    assert_int_equal(closed, 1);
    /* For teardown: another one at its place. */
    open_source(w, "b", "/b");
    post(w, "", BODY(RECORD("k")));
    assert_int_equal(answer(w), 404);
}

static void turn(struct world *w, int count)
{
    for (int i = 0; i < count; i++) {
        loop_run_once(w->loop);
    }
}

/* Whatever turn of the loop it closes in, nobody waits for a journal on behalf of a source that is
 * gone. */
static void test_a_request_in_the_moment_of_the_end(void **state)
{
    struct world *w = *state;
    int refused = 0;
    for (int turns = 0; turns < 8; turns++) {
        int closed = 0;
        post(w, "", BODY(RECORD("k")));
        turn(w, turns);
        feed_close(w->feed, note, &closed);
        turn(w, 8);
        assert_true(closed == 0 || w->waiting_count == 0);
        host_ends(w, 0);
        refused += answer(w) == 200 ? 0 : 1;
        turn(w, 8);
        assert_int_equal(closed, 1);
        open_source(w, "a", "/a");
    }
    assert_in_range(refused, 1, 7);
}

/* Its head was admitted, its body comes too late: the sender keeps it. */
static void test_a_body_that_comes_after_the_end_has_begun(void **state)
{
    struct world *w = *state;
    struct client late;
    int closed = 0;
    client_open(&late, w->loop, webhook_address(w->webhook));
    client_say(&late, "POST /a/" TOKEN " HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{");
    post(w, "", BODY(RECORD("k")));
    until_host_waits(w, 1);
    feed_close(w->feed, note, &closed);
    client_say(&late, "}");
    CLIENT_UNTIL(&late, strstr(buf_cstr(&late.in), "\r\n\r\n") != NULL);
    assert_int_equal(client_status(&late), 503);
    assert_int_equal(w->quarantined, 0);
    assert_int_equal(closed, 0);
    host_ends(w, 0);
    assert_int_equal(answer(w), 200);
    turn(w, 8);
    assert_int_equal(closed, 1);
    client_close(&late);
    open_source(w, "a", "/a");
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answered_when_it_is_kept),
        TEST(what_is_not_kept_is_not_accepted),
        TEST(both_halves_must_be_kept),
        TEST(a_change_that_nobody_can_keep_goes_to_quarantine),
        TEST(canaries_are_told_when_the_rest_is_kept),
        TEST(a_subscription_is_confirmed_to_sns),
        TEST(forged_messages_are_refused),
        TEST(without_a_certificate_sns_is_to_come_again),
        TEST(mns_must_name_its_own_certificate),
        TEST(mns_is_answered_with_204),
        TEST(what_is_under_way_is_answered_before_the_end),
        TEST(a_request_in_the_moment_of_the_end),
        TEST(a_body_that_comes_after_the_end_has_begun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
