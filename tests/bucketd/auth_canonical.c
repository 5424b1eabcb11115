#include "tests/bucketd/auth.h"

#include "tests/bucketd/uri.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <stdlib.h>

void auth_hmac(const unsigned char *key, size_t key_len, struct span data, unsigned char *ret_mac)
{
    unsigned len = 32;
    if (HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)data.ptr, data.len, ret_mac,
             &len) == NULL) {
        abort();
    }
}

void auth_sha256_hex(const struct request *req, struct span data, char *out)
{
    unsigned char digest[32];
    struct buf hex = {0};
    checksum_once(req->server->checksums, CHECKSUM_SHA256, data, digest);
    buf_hex(&hex, digest, sizeof(digest));
    memcpy(out, buf_cstr(&hex), 65);
    buf_done(&hex);
}

bool auth_is_mac(const unsigned char *mac, struct span hex)
{
    unsigned char other[32];
    if (hex.len != 2 * sizeof(other)) {
        return false;
    }
    for (size_t i = 0; i < sizeof(other); i++) {
        int high = uri_hex_digit(hex.ptr[2 * i]), low = uri_hex_digit(hex.ptr[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        other[i] = (unsigned char)(high * 16 + low);
    }
    return CRYPTO_memcmp(mac, other, sizeof(other)) == 0;
}

static int compare_pairs(const void *a, const void *b)
{
    const struct pair *left = a, *right = b;
    int order = span_cmp(left->name, right->name);
    return order != 0 ? order : span_cmp(left->value, right->value);
}

static struct span encode(struct request *req, struct span text)
{
    struct buf out = {0};
    uri_encode(&out, text, false);
    struct span encoded = arena_span(&req->arena, span_of(buf_cstr(&out), out.len));
    buf_done(&out);
    return encoded;
}

static void put_query(struct request *req, struct buf *out)
{
    size_t count = 0;
    struct pair *pairs = arena_alloc(&req->arena, (req->params.count + 1) * sizeof(struct pair));
    for (size_t i = 0; i < req->params.count; i++) {
        const struct pair *param = &req->params.items[i];
        if (req->auth.is_presigned && span_eq_str(param->name, "X-Amz-Signature")) {
            continue;
        }
        pairs[count++] = (struct pair){encode(req, param->name), encode(req, param->value)};
    }
    qsort(pairs, count, sizeof(struct pair), compare_pairs);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            buf_char(out, '&');
        }
        buf_span(out, pairs[i].name);
        buf_char(out, '=');
        buf_span(out, pairs[i].value);
    }
}

/* Runs of blanks become one. */
static void put_value(struct buf *out, struct span value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] != ' ' || i == 0 || value.ptr[i - 1] != ' ') {
            buf_char(out, value.ptr[i]);
        }
    }
}

static bool put_headers(struct request *req, struct span names, struct buf *out)
{
    while (names.len > 0) {
        struct span name = span_cut(&names, ';');
        struct span value = span_of(NULL, 0);
        for (size_t i = 0; i < req->headers.count; i++) {
            if (span_eq(req->headers.items[i].name, name)) {
                value = req->headers.items[i].value;
            }
        }
        if (value.ptr == NULL) {
            return false;
        }
        buf_span(out, name);
        buf_char(out, ':');
        put_value(out, value);
        buf_char(out, '\n');
    }
    return true;
}

bool auth_canonical(struct request *req, const struct auth_claim *claim, struct buf *out)
{
    buf_str(out, req->method);
    buf_char(out, '\n');
    struct span path = uri_decode(&req->arena, req->path, false);
    uri_encode(out, path, true);
    buf_char(out, '\n');
    put_query(req, out);
    buf_char(out, '\n');
    if (!put_headers(req, claim->signed_headers, out)) {
        return false;
    }
    buf_char(out, '\n');
    buf_span(out, claim->signed_headers);
    buf_char(out, '\n');
    buf_span(out, req->auth.payload);
    return true;
}
