/* What SNS and MNS sign is verified before it is kept, and a subscription is confirmed. */
#include "daemon/base/base64.h"
#include "daemon/base/mem.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>

#include "tests/unit/support/hook.h"

#define CERT_URL "https://sns.eu-central-1.amazonaws.com/a.pem"
#define SUB_URL  "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription"

struct world {
    struct hook hook;
    EVP_PKEY *key;  /* the group's */
    struct buf pem; /* its certificate */
};

static void make_certificate(struct world *w)
{
    X509 *cert = X509_new();
    BIO *out = BIO_new(BIO_s_mem());
    char *text;
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

/* One key for all: making it takes long. */
static int make_key(void **state)
{
    *state = EVP_RSA_gen(2048);
    return *state != NULL ? 0 : -1;
}

static int free_key(void **state)
{
    EVP_PKEY_free(*state);
    return 0;
}

static int setup(void **state)
{
    struct world *w = MEM_NEW(struct world);
    hook_init(&w->hook);
    w->key = *state;
    make_certificate(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    hook_done(&w->hook);
    buf_done(&w->pem);
    mem_free(w);
    return 0;
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
    hook_post(&w->hook, "x-amz-sns-message-type: x\r\n", body);
    mem_free(body);
    buf_done(&signature);
}

#define CONFIRM_EXTRA "\"Message\":\"hi\",\"Token\":\"tok\",\"SubscribeURL\":\"" SUB_URL "\","
#define CONFIRM_TEXT                                                                               \
    "Message\nhi\nMessageId\nm\nSubscribeURL\n" SUB_URL "\nTimestamp\nnow\nToken\ntok\n"           \
    "TopicArn\nt\nType\nSubscriptionConfirmation\n"

static void test_a_subscription_is_confirmed_to_sns(void **state)
{
    struct world *w = *state;
    post_sns(w, "SubscriptionConfirmation", CONFIRM_EXTRA, CONFIRM_TEXT, CERT_URL);
    hook_until_web_is_asked(&w->hook, CERT_URL "\n");
    hook_web_answers(&w->hook, 0, buf_view(&w->pem));
    hook_until_web_is_asked(&w->hook, CERT_URL "\n" SUB_URL "\n");
    hook_web_answers(&w->hook, REPL_EUNREACHABLE, span_str(""));
    assert_int_equal(hook_answer(&w->hook), 503);
    /* SNS tells it again; the certificate is known by now. */
    buf_reset(&w->hook.asked);
    post_sns(w, "SubscriptionConfirmation", CONFIRM_EXTRA, CONFIRM_TEXT, CERT_URL);
    hook_until_web_is_asked(&w->hook, SUB_URL "\n");
    hook_web_answers(&w->hook, 0, span_str("<xml/>"));
    assert_int_equal(hook_answer(&w->hook), 200);
}

static void test_forged_messages_are_refused(void **state)
{
    struct world *w = *state;
    static const char message[] = "\"Message\":\"{\\\"Records\\\":[]}\",";
    static const char text[] = "Message\n{\"Records\":[]}\nMessageId\nm\nTimestamp\nnow\n"
                               "TopicArn\nt\nType\nNotification\n";
    /* A certificate from elsewhere is not even asked for. */
    post_sns(w, "Notification", message, text, "https://evil.example/a.pem");
    assert_int_equal(hook_answer(&w->hook), 403);
    assert_int_equal(w->hook.asked.len, 0);
    post_sns(w, "Notification", message, "another text", CERT_URL);
    hook_until_web_is_asked(&w->hook, CERT_URL "\n");
    hook_web_answers(&w->hook, 0, buf_view(&w->pem));
    assert_int_equal(hook_answer(&w->hook), 403);
    post_sns(w, "Notification", message, text, CERT_URL);
    assert_int_equal(hook_answer(&w->hook), 200);
    /* One that is signed well, and leads elsewhere: nobody is asked. */
    buf_reset(&w->hook.asked);
    post_sns(w, "SubscriptionConfirmation",
             "\"Message\":\"hi\",\"Token\":\"tok\",\"SubscribeURL\":\"https://evil.example/\",",
             "Message\nhi\nMessageId\nm\nSubscribeURL\nhttps://evil.example/\nTimestamp\nnow\n"
             "Token\ntok\nTopicArn\nt\nType\nSubscriptionConfirmation\n",
             CERT_URL);
    assert_int_equal(hook_answer(&w->hook), 403);
    assert_int_equal(w->hook.asked.len, 0);
    assert_int_equal(w->hook.waiting_count, 0);
}

static void test_without_a_certificate_sns_is_to_come_again(void **state)
{
    struct world *w = *state;
    post_sns(w, "SubscriptionConfirmation", CONFIRM_EXTRA, CONFIRM_TEXT, CERT_URL);
    hook_until_web_is_asked(&w->hook, CERT_URL "\n");
    hook_web_answers(&w->hook, REPL_ETIMEOUT, span_str(""));
    assert_int_equal(hook_answer(&w->hook), 503);
}

/* ---- MNS ---- */

static void test_mns_must_name_its_own_certificate(void **state)
{
    struct world *w = *state;
    hook_post(&w->hook, "x-mns-signing-cert-url: aHR0cHM6Ly9ldmlsLmV4YW1wbGUvYQ==\r\n",
              HOOK_BODY(HOOK_RECORD("k")));
    assert_int_equal(hook_answer(&w->hook), 403);
    hook_post(&w->hook, "x-mns-signing-cert-url: \r\n", HOOK_BODY(HOOK_RECORD("k")));
    assert_int_equal(hook_answer(&w->hook), 403);
    assert_int_equal(w->hook.waiting_count, 0);
}

/* Certificate and signature, by the code that test_push_sign.c tries. */
static void test_mns_is_answered_with_204(void **state)
{
    struct world *w = *state;
    static const char body[] = HOOK_BODY(HOOK_RECORD("k"));
    struct buf place = {0}, md5 = {0}, text = {0}, signature = {0};
    unsigned char digest[EVP_MAX_MD_SIZE], bytes[512];
    size_t n = sizeof(bytes);
    char date[32] = "";
    time_iso(loop_wall_ms(w->hook.loop), date);
    base64_encode(span_str("https://mnstest.oss-cn-hangzhou.aliyuncs.com/x.pem"), &place);
    EVP_Digest(body, strlen(body), digest, NULL, EVP_md5(), NULL);
    base64_encode(span_of((const char *)digest, 16), &md5);
    buf_printf(&text, "POST\n%s\ntext/xml\n%s\nx-mns-signing-cert-url:%s\n/a/" HOOK_TOKEN,
               buf_cstr(&md5), date, buf_cstr(&place));
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_DigestSignInit(ctx, NULL, EVP_sha1(), NULL, w->key);
    EVP_DigestSign(ctx, bytes, &n, (const unsigned char *)buf_cstr(&text), text.len);
    EVP_MD_CTX_free(ctx);
    base64_encode(span_of((const char *)bytes, n), &signature);
    char *more = mem_printf("x-mns-signing-cert-url: %s\r\nDate: %s\r\nContent-MD5: %s\r\n"
                            "Content-Type: text/xml\r\nAuthorization: %s\r\n",
                            buf_cstr(&place), date, buf_cstr(&md5), buf_cstr(&signature));
    hook_post(&w->hook, more, body);
    hook_until_web_is_asked(&w->hook, "https://mnstest.oss-cn-hangzhou.aliyuncs.com/x.pem\n");
    hook_web_answers(&w->hook, 0, buf_view(&w->pem));
    hook_until_host_waits(&w->hook, 1);
    hook_host_ends(&w->hook, 0);
    assert_int_equal(hook_answer(&w->hook), 204);
    mem_free(more);
    buf_done(&place);
    buf_done(&md5);
    buf_done(&text);
    buf_done(&signature);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_subscription_is_confirmed_to_sns),
        TEST(forged_messages_are_refused),
        TEST(without_a_certificate_sns_is_to_come_again),
        TEST(mns_must_name_its_own_certificate),
        TEST(mns_is_answered_with_204),
    };
    return cmocka_run_group_tests(tests, make_key, free_key);
}
