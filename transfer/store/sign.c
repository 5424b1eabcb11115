#include "transfer/store/sign.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>

#define ALGORITHM "AWS4-HMAC-SHA256"

static void hmac(const void *key, size_t key_len, struct span text,
                 unsigned char to[SIGN_KEY_BYTES])
{
    unsigned len = SIGN_KEY_BYTES;
    HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)text.ptr, text.len, to, &len);
}

static void to_hex(const unsigned char bytes[32], char ret_hex[SIGN_HEX_BYTES])
{
    static const char hex[] = "0123456789abcdef";
    for (int i = 0; i < 32; i++) {
        ret_hex[2 * i] = hex[bytes[i] >> 4];
        ret_hex[2 * i + 1] = hex[bytes[i] & 15];
    }
    ret_hex[64] = '\0';
}

void sign_sha256_hex(struct span data, char ret_hex[SIGN_HEX_BYTES])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)(data.ptr != NULL ? data.ptr : ""), data.len, digest);
    to_hex(digest, ret_hex);
}

void sign_scope_init(struct sign_scope *s, const struct creds *creds, const char *date,
                     const char *region, const char *service)
{
    char secret[sizeof(creds->secret_key) + 4];
    unsigned char a[SIGN_KEY_BYTES];
    unsigned char b[SIGN_KEY_BYTES];
    snprintf(s->date, sizeof(s->date), "%.8s", date);
    snprintf(s->region, sizeof(s->region), "%s", region);
    snprintf(s->service, sizeof(s->service), "%s", service);
    int n = snprintf(secret, sizeof(secret), "AWS4%s", creds->secret_key);
    hmac(secret, (size_t)n, span_str(s->date), a);
    hmac(a, sizeof(a), span_str(region), b);
    hmac(b, sizeof(b), span_str(service), a);
    hmac(a, sizeof(a), span_str("aws4_request"), s->key);
    OPENSSL_cleanse(secret, sizeof(secret));
    OPENSSL_cleanse(a, sizeof(a));
    OPENSSL_cleanse(b, sizeof(b));
}

/* Trimmed, and runs of blanks become one. */
static void add_value(struct buf *to, struct span value)
{
    bool blank = false;
    value = span_trim(value);
    for (size_t i = 0; i < value.len; i++) {
        bool is_blank = value.ptr[i] == ' ';
        if (!is_blank || !blank) {
            buf_char(to, value.ptr[i]);
        }
        blank = is_blank;
    }
}

void sign_canonical(const struct sign_request *r, struct buf *to, struct buf *names)
{
    buf_printf(to, "%s\n", r->method);
    buf_span(to, r->path);
    buf_char(to, '\n');
    buf_span(to, r->query);
    buf_char(to, '\n');
    for (size_t i = 0; i < r->header_count; i++) {
        buf_span(to, r->headers[i].name);
        buf_char(to, ':');
        add_value(to, r->headers[i].value);
        buf_char(to, '\n');
        if (i > 0) {
            buf_char(names, ';');
        }
        buf_span(names, r->headers[i].name);
    }
    buf_char(to, '\n');
    buf_span(to, buf_view(names));
    buf_printf(to, "\n%s", r->payload);
}

void sign_text(const struct sign_scope *s, struct span text, char ret_hex[SIGN_HEX_BYTES])
{
    unsigned char digest[SIGN_KEY_BYTES];
    hmac(s->key, sizeof(s->key), text, digest);
    to_hex(digest, ret_hex);
}

static void sign_with_names(const struct sign_scope *s, const struct sign_request *r,
                            const char *stamp, struct buf *names, char ret_hex[SIGN_HEX_BYTES])
{
    char hash[SIGN_HEX_BYTES];
    struct buf text;
    buf_init(&text, 0);
    sign_canonical(r, &text, names);
    sign_sha256_hex(buf_view(&text), hash);
    buf_reset(&text);
    buf_printf(&text, ALGORITHM "\n%s\n%s/%s/%s/aws4_request\n%s", stamp, s->date, s->region,
               s->service, hash);
    sign_text(s, buf_view(&text), ret_hex);
    buf_done(&text);
}

void sign_request(const struct sign_scope *s, const struct sign_request *r, const char *stamp,
                  char ret_hex[SIGN_HEX_BYTES])
{
    struct buf names;
    buf_init(&names, 0);
    sign_with_names(s, r, stamp, &names, ret_hex);
    buf_done(&names);
}

void sign_authorization(const struct sign_scope *s, const struct creds *creds,
                        const struct sign_request *r, const char *stamp, struct buf *to)
{
    char hex[SIGN_HEX_BYTES];
    struct buf names;
    buf_init(&names, 0);
    sign_with_names(s, r, stamp, &names, hex);
    buf_printf(to, ALGORITHM " Credential=%s/%s/%s/%s/aws4_request, SignedHeaders=%s, Signature=%s",
               creds->access_key, s->date, s->region, s->service, buf_cstr(&names), hex);
    buf_done(&names);
}
