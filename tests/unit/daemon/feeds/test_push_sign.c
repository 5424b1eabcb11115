/* Signatures of SNS and MNS: what fits is taken, and nothing else; certificates from one place. */
#include "daemon/base/base64.h"
#include "daemon/base/list.h"
#include "daemon/base/loop.h"
#include "daemon/feeds/push_keys.h"
#include "daemon/feeds/push_sign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#define WALL_MS  1790000000000 /* 2026-09-21T14:13:20Z */
#define DATE     "Mon, 21 Sep 2026 14:13:20 GMT"
#define MNS_CERT "https://mnstest.oss-cn-hangzhou.aliyuncs.com/x509_public_certificate.pem"

struct signer {
    EVP_PKEY *key;
    struct buf pem;
};

/* A certificate of its own, from and to these seconds around the time of the tests. */
static void signer_init(struct signer *s, long from_s, long to_s)
{
    X509 *cert = X509_new();
    time_t now = WALL_MS / 1000;
    BIO *out = BIO_new(BIO_s_mem());
    char *text;
    s->key = EVP_RSA_gen(2048);
    X509_set_version(cert, X509_VERSION_3);
    X509_time_adj_ex(X509_getm_notBefore(cert), 0, from_s, &now);
    X509_time_adj_ex(X509_getm_notAfter(cert), 0, to_s, &now);
    X509_set_pubkey(cert, s->key);
    X509_sign(cert, s->key, EVP_sha256());
    PEM_write_bio_X509(out, cert);
    long n = BIO_get_mem_data(out, &text);
    buf_init(&s->pem, 0);
    buf_append(&s->pem, text, (size_t)n);
    BIO_free(out);
    X509_free(cert);
}

static void signer_done(struct signer *s)
{
    EVP_PKEY_free(s->key);
    buf_done(&s->pem);
}

static void sign(const struct signer *s, const EVP_MD *digest, const char *text, struct buf *to)
{
    unsigned char bytes[512];
    size_t n = sizeof(bytes);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(ctx, NULL, digest, NULL, s->key), 1);
    assert_int_equal(EVP_DigestSign(ctx, bytes, &n, (const unsigned char *)text, strlen(text)), 1);
    base64_encode(span_of((const char *)bytes, n), to);
    EVP_MD_CTX_free(ctx);
}

static int setup(void **state)
{
    struct signer *s = mem_alloc(sizeof(*s));
    signer_init(s, -3600, 3600);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    signer_done(*state);
    mem_free(*state);
    return 0;
}

/* ---- places ---- */

static void only_sns_may_name_its_places(void **state)
{
    static const char *const good[] = {
        "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-01d088a6.pem",
        "https://sns.cn-north-1.amazonaws.com.cn/a.pem",
        "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=a&Token=b"};
    static const char *const bad[] = {"http://sns.eu-central-1.amazonaws.com/a.pem",
                                      "https://sns.eu-central-1.amazonaws.com",
                                      "https://sns.eu-central-1.amazonaws.com.evil.example/a.pem",
                                      "https://sns.eu-central-1.amazonaws.com@evil.example/a.pem",
                                      "https://evil.example/sns.eu-central-1.amazonaws.com/a.pem",
                                      "https://evil.example#sns.eu-central-1.amazonaws.com/a.pem",
                                      "https://evil.example?sns.eu-central-1.amazonaws.com/a.pem",
                                      "https://sns.eu-central-1.amazonaws.com:8443/a.pem",
                                      "https://sns.a.b.amazonaws.com/a.pem",
                                      "https://sns..amazonaws.com/a.pem",
                                      "https://xsns.eu-central-1.amazonaws.com/a.pem",
                                      "https://s3.eu-central-1.amazonaws.com/a.pem",
                                      "https://sns.EU.amazonaws.com/a.pem",
                                      "https://sns.eu-central-1.amazonaws.com/a b.pem",
                                      "https://sns.eu-central-1.amazonaws.com/a\r\nHost: x",
                                      "https://sns.eu\\.amazonaws.com/a.pem",
                                      "",
                                      "https://"};
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(push_is_sns_url(span_str(good[i])));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (push_is_sns_url(span_str(bad[i]))) {
            fail_msg("%s is taken", bad[i]);
        }
    }
    assert_false(push_is_sns_url(span_of("https://sns.eu.amazonaws.com/\0", 30)));
    assert_false(push_is_sns_url(span_of(NULL, 0)));
}

static int mns_place(const char *url, struct buf *to)
{
    struct buf base64 = {0};
    struct fail f;
    base64_encode(span_str(url), &base64);
    int status = push_mns_url(buf_view(&base64), to, &f);
    buf_done(&base64);
    return status;
}

static void the_place_of_mns_is_one(void **state)
{
    struct buf url = {0};
    struct fail f;
    (void)state;
    assert_int_equal(mns_place(MNS_CERT, &url), 0);
    assert_string_equal(buf_cstr(&url), MNS_CERT);
    buf_reset(&url);
    /* As older regions write it; it is fetched by TLS all the same. */
    assert_int_equal(
        mns_place("http://mnstest.oss-cn-hangzhou.aliyuncs.com/x509_public_certificate.pem", &url),
        0);
    assert_string_equal(buf_cstr(&url), MNS_CERT);
    buf_done(&url);
    assert_int_equal(mns_place("https://evil.oss-cn-hangzhou.aliyuncs.com/a.pem", &url),
                     REPL_EBADINPUT);
    assert_int_equal(mns_place("https://mnstest.oss-cn-hangzhou.aliyuncs.com.evil.x/a", &url),
                     REPL_EBADINPUT);
    assert_int_equal(mns_place("", &url), REPL_EBADINPUT);
    assert_int_equal(push_mns_url(span_str("no base64!"), &url, &f), REPL_EBADINPUT);
    assert_int_equal(url.len, 0);
}

/* ---- keys ---- */

static void a_certificate_must_be_valid_now(void **state)
{
    struct signer *s = *state;
    struct fail f;
    EVP_PKEY *key = push_key(buf_view(&s->pem), WALL_MS, &f);
    assert_non_null(key);
    EVP_PKEY_free(key);
    assert_null(push_key(buf_view(&s->pem), WALL_MS + 7200000, &f));
    assert_null(push_key(buf_view(&s->pem), WALL_MS - 7200000, &f));
    assert_null(push_key(span_str("<html>not found</html>"), WALL_MS, &f));
    assert_null(push_key(span_str(""), WALL_MS, &f));
}

/* ---- SNS ---- */

static struct event_sns notification(void)
{
    return (struct event_sns){.kind = EVENT_SNS_NOTIFICATION,
                              .message = span_str("{\"Records\":[]}"),
                              .message_id = span_str("id-1"),
                              .subject = span_str("Amazon S3 Notification"),
                              .timestamp = span_str("2026-09-21T14:13:20.000Z"),
                              .token = span_str("not signed here"),
                              .topic_arn = span_str("arn:aws:sns:eu-central-1:1:t"),
                              .type = span_str("Notification"),
                              .signature_version = span_str("2")};
}

#define NOTIFICATION_TEXT                                                                          \
    "Message\n{\"Records\":[]}\nMessageId\nid-1\nSubject\nAmazon S3 Notification\n"                \
    "Timestamp\n2026-09-21T14:13:20.000Z\nTopicArn\narn:aws:sns:eu-central-1:1:t\n"                \
    "Type\nNotification\n"

static void sns_signatures_fit_or_not(void **state)
{
    struct signer *s = *state;
    struct event_sns n = notification();
    struct buf two = {0}, one = {0};
    struct fail f;
    sign(s, EVP_sha256(), NOTIFICATION_TEXT, &two);
    sign(s, EVP_sha1(), NOTIFICATION_TEXT, &one);
    n.signature = buf_view(&two);
    assert_int_equal(push_verify_sns(&n, s->key, &f), 0);
    n.signature_version = span_str("1");
    assert_int_equal(push_verify_sns(&n, s->key, &f), REPL_EDENIED);
    n.signature = buf_view(&one);
    assert_int_equal(push_verify_sns(&n, s->key, &f), 0);
    n.signature_version = span_str("3");
    assert_int_equal(push_verify_sns(&n, s->key, &f), REPL_EDENIED);
    n.signature_version = span_str("1");
    n.message = span_str("{\"Records\":[1]}");
    assert_int_equal(push_verify_sns(&n, s->key, &f), REPL_EDENIED);
    n = notification();
    assert_int_equal(push_verify_sns(&n, s->key, &f), REPL_EDENIED); /* has none */
    n.signature = span_str("!");
    assert_int_equal(push_verify_sns(&n, s->key, &f), REPL_EDENIED);
    struct signer other;
    signer_init(&other, -1, 1);
    n.signature = buf_view(&two);
    assert_int_equal(push_verify_sns(&n, other.key, &f), REPL_EDENIED);
    signer_done(&other);
    buf_done(&two);
    buf_done(&one);
}

static void a_confirmation_signs_its_url(void **state)
{
    struct signer *s = *state;
    struct buf signature = {0};
    struct fail f;
    struct event_sns n = notification();
    n.kind = EVENT_SNS_CONFIRM;
    n.type = span_str("SubscriptionConfirmation");
    n.token = span_str("tok");
    n.subscribe_url = span_str("https://sns.eu-central-1.amazonaws.com/?Action=x");
    sign(s, EVP_sha256(),
         "Message\n{\"Records\":[]}\nMessageId\nid-1\n"
         "SubscribeURL\nhttps://sns.eu-central-1.amazonaws.com/?Action=x\n"
         "Timestamp\n2026-09-21T14:13:20.000Z\nToken\ntok\n"
         "TopicArn\narn:aws:sns:eu-central-1:1:t\nType\nSubscriptionConfirmation\n",
         &signature);
    n.signature = buf_view(&signature);
    assert_int_equal(push_verify_sns(&n, s->key, &f), 0);
    n.subscribe_url = span_str("https://sns.eu-central-1.amazonaws.com/?Action=y");
    assert_int_equal(push_verify_sns(&n, s->key, &f), REPL_EDENIED);
    buf_done(&signature);
}

/* ---- MNS ---- */

#define MNS_BODY "<Notification/>"

static int verify_mns(struct signer *s, const char *md5, const char *date, const char *body,
                      const char *version)
{
    struct buf signature = {0};
    struct buf text = {0};
    struct fail f;
    buf_printf(&text,
               "POST\n%s\ntext/xml;charset=utf-8\n%s\nx-mns-request-id:r1\n"
               "x-mns-version:2015-06-06\n/oss/token",
               md5, date);
    sign(s, EVP_sha1(), buf_cstr(&text), &signature);
    struct push_header headers[] = {
        {span_str("Content-Type"), span_str("text/xml;charset=utf-8")},
        {span_str("Authorization"), buf_view(&signature)},
        {span_str("X-Mns-Version"), span_str(version)},
        {span_str("x-mns-request-id"), span_str("r1")},
        {span_str("Date"), span_str(date)},
        {span_str("Content-Md5"), span_str(md5)},
    };
    struct push_mns mns = {.method = "POST",
                           .resource = "/oss/token",
                           .headers = headers,
                           .header_count = 6,
                           .body = span_str(body)};
    int status = push_verify_mns(&mns, s->key, WALL_MS, &f);
    buf_done(&text);
    buf_done(&signature);
    return status;
}

static void mns_signatures_fit_or_not(void **state)
{
    struct signer *s = *state;
    unsigned char digest[EVP_MAX_MD_SIZE];
    struct buf hex = {0}, of_hex = {0}, of_bytes = {0};
    const char *version = "2015-06-06";
    EVP_Digest(MNS_BODY, strlen(MNS_BODY), digest, NULL, EVP_md5(), NULL);
    buf_hex(&hex, digest, 16);
    base64_encode(buf_view(&hex), &of_hex);
    base64_encode(span_of((const char *)digest, 16), &of_bytes);
    const char *md5s[] = {buf_cstr(&hex), buf_cstr(&of_hex), buf_cstr(&of_bytes)};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(verify_mns(s, md5s[i], DATE, MNS_BODY, version), 0);
        assert_int_equal(verify_mns(s, md5s[i], DATE, "<Other/>", version), REPL_EDENIED);
    }
    assert_int_equal(verify_mns(s, "", DATE, MNS_BODY, version), REPL_EDENIED);
    assert_int_equal(verify_mns(s, md5s[0], DATE, MNS_BODY, "2016-01-01"), REPL_EDENIED);
    assert_int_equal(verify_mns(s, md5s[0], "Mon, 21 Sep 2026 14:40:00 GMT", MNS_BODY, version),
                     REPL_EDENIED);
    assert_int_equal(verify_mns(s, md5s[0], "yesterday", MNS_BODY, version), REPL_EDENIED);
    buf_done(&hex);
    buf_done(&of_hex);
    buf_done(&of_bytes);
}

/* ---- the keys that are kept ---- */

struct web {
    struct fetch fetch;
    struct loop *loop;
    struct deferred later;
    fetch_done_fn *done;
    void *arg;
    struct span page;
    unsigned asked;
};

static void web_answers(void *arg)
{
    struct web *w = arg;
    struct fail f = {0};
    if (w->page.ptr == NULL) {
        fail_set(&f, REPL_EUNREACHABLE, "no web today");
    }
    w->done(w->arg, f.code, &f, w->page);
}

static void web_get(struct fetch *fetch, struct span url, fetch_done_fn *done, void *arg)
{
    struct web *w = CONTAINER_OF(fetch, struct web, fetch);
    (void)url;
    w->asked++;
    w->done = done;
    w->arg = arg;
    deferred_init(&w->later, w->loop, web_answers, w);
    deferred_call(&w->later);
}

static void count_key(void *arg, EVP_PKEY *key, const struct fail *f)
{
    int *n = arg;
    *n += key != NULL ? 1 : 1000;
    assert_true(key != NULL || f->code != 0);
}

static void a_key_is_fetched_once_and_kept_a_day(void **state)
{
    static const struct fetch_ops ops = {.get = web_get};
    struct signer *s = *state;
    struct loop *loop = loop_new_virtual(1, WALL_MS);
    struct web web = {.fetch = {&ops}, .loop = loop};
    struct push_keys *keys = push_keys_new(loop, &web.fetch);
    int good = 0;
    /* Not there: told to all who wait, and not asked for again at once. */
    push_keys_get(keys, span_str("u"), count_key, &good);
    push_keys_get(keys, span_str("u"), count_key, &good);
    assert_int_equal(good, 0);
    loop_run_for(loop, 1);
    assert_int_equal(good, 2000);
    push_keys_get(keys, span_str("u"), count_key, &good);
    loop_run_for(loop, 11000);
    assert_int_equal(good, 3000);
    assert_int_equal(web.asked, 1);
    web.page = buf_view(&s->pem);
    good = 0;
    for (int i = 0; i < 3; i++) {
        push_keys_get(keys, span_str("u"), count_key, &good);
        loop_run_for(loop, 1);
    }
    assert_int_equal(good, 3);
    assert_int_equal(web.asked, 2);
    push_keys_get(keys, span_str("v"), count_key, &good);
    loop_run_for(loop, 1);
    assert_int_equal(web.asked, 3);
    /* A day later it is asked for again; by then it has ended. */
    loop_run_for(loop, 24 * 3600 * 1000 + 1);
    push_keys_get(keys, span_str("u"), count_key, &good);
    loop_run_for(loop, 1);
    assert_int_equal(web.asked, 4);
    assert_int_equal(good, 1004);
    /* Many places do not make it grow. */
    for (int i = 0; i < 100; i++) {
        char url[16];
        snprintf(url, sizeof(url), "w%d", i);
        push_keys_get(keys, span_str(url), count_key, &good);
        loop_run_for(loop, 1);
    }
    push_keys_free(keys);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_sns_may_name_its_places),
        cmocka_unit_test(the_place_of_mns_is_one),
        cmocka_unit_test(a_certificate_must_be_valid_now),
        cmocka_unit_test(sns_signatures_fit_or_not),
        cmocka_unit_test(a_confirmation_signs_its_url),
        cmocka_unit_test(mns_signatures_fit_or_not),
        cmocka_unit_test(a_key_is_fetched_once_and_kept_a_day),
    };
    return cmocka_run_group_tests(tests, setup, teardown); /* one key: they take long to make */
}
