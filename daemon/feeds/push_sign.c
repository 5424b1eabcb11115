#include "daemon/feeds/push_sign.h"

#include "daemon/base/base64.h"
#include "daemon/base/loop.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>

#define MNS_PLACE       "mnstest.oss-cn-hangzhou.aliyuncs.com/"
#define MNS_DATE_OFF_MS (15 * 60 * 1000)
#define MNS_HEADERS_MAX 64
#define MD5_BYTES       16
#define SIGNED_MAX      ((size_t)2 * 1024 * 1024)

/* ---- where certificates are ---- */

static bool is_region(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) {
            return false;
        }
    }
    return s.len > 0;
}

bool push_is_sns_url(struct span url)
{
    const struct span scheme = span_str("https://");
    if (!span_starts_with(url, scheme)) {
        return false;
    }
    for (size_t i = 0; i < url.len; i++) {
        if ((unsigned char)url.ptr[i] <= ' ' || (unsigned char)url.ptr[i] >= 0x7f) {
            return false;
        }
    }
    struct span rest = span_skip(url, scheme.len);
    struct span host = span_cut(&rest, '/');
    struct span region = host;
    bool is_sns = span_eq_str(span_cut(&region, '.'), "sns");
    struct span domain = region;
    region = span_cut(&domain, '.');
    return rest.ptr != NULL && is_sns && is_region(region) &&
           (span_eq_str(domain, "amazonaws.com") || span_eq_str(domain, "amazonaws.com.cn"));
}

int push_mns_url(struct span base64, struct buf *to, struct fail *f)
{
    static const char *const schemes[] = {"https://" MNS_PLACE, "http://" MNS_PLACE};
    struct buf url = {0};
    int status = base64_decode(span_trim(base64), &url);
    size_t i = 0;
    while (status == 0 && i < 2 && !span_starts_with(buf_view(&url), span_str(schemes[i]))) {
        i++;
    }
    if (status != 0 || i == 2 || memchr(url.data, '\0', url.len) != NULL) {
        status = fail_set(f, REPL_EBADINPUT, "the certificate is not at https://" MNS_PLACE);
    } else {
        buf_str(to, schemes[0]);
        buf_span(to, span_skip(buf_view(&url), strlen(schemes[i])));
    }
    buf_done(&url);
    return status;
}

/* ---- keys ---- */

EVP_PKEY *push_key(struct span pem, int64_t wall_ms, struct fail *f)
{
    time_t now = (time_t)(wall_ms / 1000);
    BIO *in = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    X509 *cert = in != NULL ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
    EVP_PKEY *key = NULL;
    if (cert == NULL) {
        fail_set(f, REPL_EPROTO, "what is there is no certificate");
    } else if (X509_cmp_time(X509_get0_notAfter(cert), &now) < 0 ||
               X509_cmp_time(X509_get0_notBefore(cert), &now) > 0) {
        fail_set(f, REPL_EPROTO, "the certificate is not valid at this time");
    } else if ((key = X509_get_pubkey(cert)) == NULL) {
        fail_set(f, REPL_EPROTO, "the certificate has no key that can be read");
    }
    X509_free(cert);
    BIO_free(in);
    return key;
}

static bool fits(const EVP_MD *digest, struct span text, struct span signature, EVP_PKEY *key)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, digest, NULL, key) == 1 &&
                EVP_DigestVerify(ctx, (const unsigned char *)signature.ptr, signature.len,
                                 (const unsigned char *)text.ptr, text.len) == 1;
    EVP_MD_CTX_free(ctx);
    return good;
}

static int check(const EVP_MD *digest, const struct buf *text, struct span base64, EVP_PKEY *key,
                 struct fail *f)
{
    struct buf signature = {0};
    int status = 0;
    if (buf_error(text) != 0 || base64_decode(span_trim(base64), &signature) != 0 ||
        !fits(digest, buf_view(text), buf_view(&signature), key)) {
        status = fail_set(f, REPL_EDENIED, "the signature does not fit");
    }
    buf_done(&signature);
    return status;
}

/* ---- SNS ---- */

static void add_member(struct buf *to, const char *name, struct span value)
{
    if (value.ptr != NULL) {
        buf_str(to, name);
        buf_char(to, '\n');
        buf_span(to, value);
        buf_char(to, '\n');
    }
}

int push_verify_sns(const struct event_sns *sns, EVP_PKEY *key, struct fail *f)
{
    struct buf text;
    bool is_one = span_eq_str(sns->signature_version, "1");
    if (!is_one && !span_eq_str(sns->signature_version, "2")) {
        return fail_set(f, REPL_EDENIED, "SignatureVersion is neither 1 nor 2");
    }
    bool is_notification = sns->kind == EVENT_SNS_NOTIFICATION;
    const struct span none = {0};
    buf_init(&text, SIGNED_MAX);
    add_member(&text, "Message", sns->message);
    add_member(&text, "MessageId", sns->message_id);
    add_member(&text, "Subject", is_notification ? sns->subject : none);
    add_member(&text, "SubscribeURL", is_notification ? none : sns->subscribe_url);
    add_member(&text, "Timestamp", sns->timestamp);
    add_member(&text, "Token", is_notification ? none : sns->token);
    add_member(&text, "TopicArn", sns->topic_arn);
    add_member(&text, "Type", sns->type);
    int status = check(is_one ? EVP_sha1() : EVP_sha256(), &text, sns->signature, key, f);
    buf_done(&text);
    return status;
}

/* ---- MNS ---- */

static struct span header(const struct push_mns *m, const char *name)
{
    for (size_t i = 0; i < m->header_count; i++) {
        if (span_eq_nocase(m->headers[i].name, name)) {
            return m->headers[i].value;
        }
    }
    return (struct span){0};
}

static int by_name(const void *a, const void *b)
{
    const struct push_header *x = a, *y = b;
    return span_cmp(x->name, y->name);
}

/* All headers x-mns-…, in lower case, by name. */
static void add_mns_headers(const struct push_mns *m, struct buf *to)
{
    struct push_header sorted[MNS_HEADERS_MAX];
    struct arena a;
    size_t n = 0;
    arena_init(&a);
    for (size_t i = 0; i < m->header_count && n < MNS_HEADERS_MAX; i++) {
        struct span name = m->headers[i].name;
        char *lower = arena_alloc(&a, name.len + 1);
        for (size_t k = 0; k < name.len; k++) {
            char c = name.ptr[k];
            lower[k] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
        }
        if (strncmp(lower, "x-mns-", 6) == 0) {
            sorted[n++] = (struct push_header){span_str(lower), m->headers[i].value};
        }
    }
    qsort(sorted, n, sizeof(sorted[0]), by_name);
    for (size_t i = 0; i < n; i++) {
        buf_span(to, sorted[i].name);
        buf_char(to, ':');
        buf_span(to, sorted[i].value);
        buf_char(to, '\n');
    }
    arena_done(&a);
}

/* MNS writes the digest as hex, or that hex in base64; the standard is base64 of the bytes. */
static bool md5_fits(struct span body, struct span written)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    struct buf hex = {0};
    struct buf plain = {0};
    EVP_Digest(body.ptr != NULL ? body.ptr : "", body.len, digest, NULL, EVP_md5(), NULL);
    buf_hex(&hex, digest, MD5_BYTES);
    bool fits_as_hex = span_eq_nocase(written, buf_cstr(&hex));
    if (!fits_as_hex && base64_decode(written, &plain) == 0) {
        fits_as_hex = span_eq_nocase(buf_view(&plain), buf_cstr(&hex)) ||
                      span_eq(buf_view(&plain), span_of((const char *)digest, MD5_BYTES));
    }
    buf_done(&hex);
    buf_done(&plain);
    return fits_as_hex;
}

static bool date_fits(struct span date, int64_t wall_ms)
{
    int64_t at_ms = 0;
    return time_parse(date.ptr, date.len, &at_ms) == 0 && at_ms > wall_ms - MNS_DATE_OFF_MS &&
           at_ms < wall_ms + MNS_DATE_OFF_MS;
}

int push_verify_mns(const struct push_mns *mns, EVP_PKEY *key, int64_t wall_ms, struct fail *f)
{
    struct span md5 = span_trim(header(mns, "content-md5"));
    struct span date = header(mns, "date");
    if (md5.len == 0 || !md5_fits(mns->body, md5)) {
        return fail_set(f, REPL_EDENIED, "Content-MD5 is missing or not that of the body");
    }
    if (date.ptr == NULL || !date_fits(date, wall_ms)) {
        return fail_set(f, REPL_EDENIED, "Date is missing or more than 15 minutes off");
    }
    struct buf text;
    buf_init(&text, SIGNED_MAX);
    buf_printf(&text, "%s\n%.*s\n%.*s\n%.*s\n", mns->method, SPAN_ARG(md5),
               SPAN_ARG(header(mns, "content-type")), SPAN_ARG(date));
    add_mns_headers(mns, &text);
    buf_str(&text, mns->resource);
    int status = check(EVP_sha1(), &text, header(mns, "authorization"), key, f);
    buf_done(&text);
    return status;
}
