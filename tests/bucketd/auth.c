#include "tests/bucketd/auth.h"

#include "tests/bucketd/reply.h"
#include "tests/bucketd/xml.h"

#include <stdio.h>
#include <time.h>

#define ALGORITHM      "AWS4-HMAC-SHA256"
#define MAX_SKEW_MS    (15 * 60 * 1000)
#define MAX_EXPIRES_S  604800
#define CREDENTIAL_LEN 5

static bool parse_credential(struct span text, struct auth_claim *claim)
{
    struct span *fields[CREDENTIAL_LEN] = {&claim->access_key, &claim->date, &claim->region,
                                           &claim->service, &claim->terminator};
    for (size_t i = 0; i < CREDENTIAL_LEN; i++) {
        if (text.ptr == NULL) {
            return false;
        }
        *fields[i] = span_cut(&text, '/');
    }
    return text.ptr == NULL;
}

static enum s3_error parse_header(struct request *req, struct span text, struct auth_claim *claim)
{
    struct span scheme = span_cut(&text, ' ');
    struct span credential = {0};
    if (!span_eq_str(scheme, ALGORITHM)) {
        return request_fail(req, S3_InvalidRequest,
                            "The authorization mechanism you have provided is not supported. "
                            "Please use AWS4-HMAC-SHA256.");
    }
    while (text.len > 0) {
        struct span value = span_trim(span_cut(&text, ','));
        struct span name = span_cut(&value, '=');
        if (span_eq_str(name, "Credential")) {
            credential = value;
        } else if (span_eq_str(name, "SignedHeaders")) {
            claim->signed_headers = value;
        } else if (span_eq_str(name, "Signature")) {
            req->auth.signature = value;
        }
    }
    if (!parse_credential(credential, claim) || claim->signed_headers.len == 0 ||
        req->auth.signature.len == 0) {
        return S3_AuthorizationHeaderMalformed;
    }
    req->auth.timestamp = request_header(req, "x-amz-date");
    req->auth.payload = request_header(req, "x-amz-content-sha256");
    if (req->auth.payload.ptr == NULL) {
        return request_fail(req, S3_InvalidRequest,
                            "Missing required header for this request: x-amz-content-sha256");
    }
    return S3_OK;
}

static enum s3_error parse_query(struct request *req, struct auth_claim *claim)
{
    req->auth.is_presigned = true;
    req->auth.signature = request_param(req, "X-Amz-Signature");
    req->auth.timestamp = request_param(req, "X-Amz-Date");
    req->auth.payload = request_header(req, "x-amz-content-sha256");
    if (req->auth.payload.ptr == NULL) {
        req->auth.payload = span_str("UNSIGNED-PAYLOAD");
    }
    claim->signed_headers = request_param(req, "X-Amz-SignedHeaders");
    struct span expires = request_param(req, "X-Amz-Expires");
    if (!span_eq_str(request_param(req, "X-Amz-Algorithm"), ALGORITHM) ||
        !parse_credential(request_param(req, "X-Amz-Credential"), claim) ||
        claim->signed_headers.len == 0 || span_to_u64(expires, &claim->expires_s) != 0 ||
        claim->expires_s < 1 || claim->expires_s > MAX_EXPIRES_S) {
        return S3_AuthorizationQueryParametersError;
    }
    return S3_OK;
}

static enum s3_error malformed(struct request *req, const char *text)
{
    return request_fail(req,
                        req->auth.is_presigned ? S3_AuthorizationQueryParametersError
                                               : S3_AuthorizationHeaderMalformed,
                        text);
}

static enum s3_error check_scope(struct request *req, const struct auth_claim *claim)
{
    if (!span_eq_str(claim->access_key, req->server->access_key)) {
        xml_element(&req->error_more, "AWSAccessKeyId", claim->access_key);
        return S3_InvalidAccessKeyId;
    }
    if (!span_eq_str(claim->region, req->server->region)) {
        xml_element(&req->error_more, "Region", span_str(req->server->region));
        return malformed(req,
                         arena_printf(&req->arena, "the region '%.*s' is wrong; expecting '%s'",
                                      SPAN_ARG(claim->region), req->server->region));
    }
    if (!span_eq_str(claim->service, "s3") || !span_eq_str(claim->terminator, "aws4_request")) {
        return malformed(req, "the scope must end with s3/aws4_request");
    }
    if (claim->date.len != 8 || !span_starts_with(req->auth.timestamp, claim->date)) {
        return malformed(req, "the date of the scope is not that of the request");
    }
    return S3_OK;
}

/* -1 when the text is no YYYYMMDDTHHMMSSZ. */
static int64_t parse_timestamp(struct span text)
{
    struct tm tm = {0};
    char copy[17];
    if (text.len != 16) {
        return -1;
    }
    memcpy(copy, text.ptr, 16);
    copy[16] = 0;
    const char *end = strptime(copy, "%Y%m%dT%H%M%SZ", &tm);
    return end == NULL || *end != 0 ? -1 : (int64_t)timegm(&tm) * 1000;
}

static enum s3_error fail_skewed(struct request *req, int64_t now)
{
    char text[REPLY_DATE_MAX];
    xml_element(&req->error_more, "RequestTime", req->auth.timestamp);
    reply_iso_date(text, now);
    xml_element(&req->error_more, "ServerTime", span_str(text));
    xml_number(&req->error_more, "MaxAllowedSkewMilliseconds", MAX_SKEW_MS);
    return S3_RequestTimeTooSkewed;
}

static enum s3_error check_time(struct request *req, const struct auth_claim *claim)
{
    int64_t now = server_now_ms(req->server);
    int64_t sent = parse_timestamp(req->auth.timestamp);
    if (sent < 0) {
        return request_fail(req, S3_AccessDenied,
                            "AWS authentication requires a valid Date or x-amz-date header");
    }
    if (!req->auth.is_presigned) {
        bool is_skewed = sent > now + MAX_SKEW_MS || sent < now - MAX_SKEW_MS;
        return is_skewed ? fail_skewed(req, now) : S3_OK;
    }
    if (sent > now + MAX_SKEW_MS) {
        return request_fail(req, S3_AccessDenied, "Request is not valid yet");
    }
    if (now > sent + (int64_t)claim->expires_s * 1000) {
        return request_fail(req, S3_AccessDenied, "Request has expired");
    }
    return S3_OK;
}

static bool is_listed(struct span names, struct span name)
{
    while (names.len > 0) {
        if (span_eq(span_cut(&names, ';'), name)) {
            return true;
        }
    }
    return false;
}

/* host and every x-amz-* header must be signed. */
static enum s3_error check_signed_headers(struct request *req, const struct auth_claim *claim)
{
    for (size_t i = 0; i < req->headers.count; i++) {
        struct span name = req->headers.items[i].name;
        bool is_wanted = span_eq_str(name, "host") || span_starts_with(name, span_str("x-amz-"));
        if (is_wanted && !is_listed(claim->signed_headers, name)) {
            xml_element(&req->error_more, "HeadersNotSigned", name);
            return request_fail(req, S3_AccessDenied,
                                "There were headers present in the request which were not signed");
        }
    }
    return S3_OK;
}

static bool is_hex_digest(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (strchr("0123456789abcdef", text.ptr[i]) == NULL) {
            return false;
        }
    }
    return text.len == 64;
}

static enum s3_error check_payload_kind(struct request *req)
{
    static const char *const kinds[] = {"UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
                                        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
                                        "STREAMING-UNSIGNED-PAYLOAD-TRAILER"};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (span_eq_str(req->auth.payload, kinds[i])) {
            return S3_OK;
        }
    }
    return is_hex_digest(req->auth.payload)
               ? S3_OK
               : request_fail(req, S3_InvalidArgument,
                              "x-amz-content-sha256 must be a SHA-256 in hex or a known word");
}

static void derive_key(struct request *req, const struct auth_claim *claim)
{
    struct buf secret = {0};
    unsigned char *key = req->auth.key;
    buf_str(&secret, "AWS4");
    buf_str(&secret, req->server->secret_key);
    auth_hmac((const unsigned char *)secret.data, secret.len, claim->date, key);
    auth_hmac(key, 32, claim->region, key);
    auth_hmac(key, 32, claim->service, key);
    auth_hmac(key, 32, claim->terminator, key);
    buf_done(&secret);
}

/* Region and service are checked by now, so that a key depends on the date alone. */
static void find_key(struct request *req, const struct auth_claim *claim)
{
    struct server_key *known = &req->server->signing_key;
    pthread_mutex_lock(&known->lock);
    if (!span_eq_str(claim->date, known->date)) {
        derive_key(req, claim);
        memcpy(known->key, req->auth.key, sizeof(known->key));
        snprintf(known->date, sizeof(known->date), "%.*s", SPAN_ARG(claim->date));
    }
    memcpy(req->auth.key, known->key, sizeof(known->key));
    pthread_mutex_unlock(&known->lock);
}

static enum s3_error check_signature(struct request *req, const struct auth_claim *claim)
{
    struct buf canonical = {0};
    char hash[65];
    unsigned char mac[32];
    if (!auth_canonical(req, claim, &canonical)) {
        buf_done(&canonical);
        return request_fail(req, S3_SignatureDoesNotMatch, "A signed header is not in the request");
    }
    auth_sha256_hex(req, buf_view(&canonical), hash);
    req->auth.scope = span_str(arena_printf(&req->arena, "%.*s/%.*s/%.*s/%.*s",
                                            SPAN_ARG(claim->date), SPAN_ARG(claim->region),
                                            SPAN_ARG(claim->service), SPAN_ARG(claim->terminator)));
    struct span to_sign =
        span_str(arena_printf(&req->arena, ALGORITHM "\n%.*s\n%.*s\n%s",
                              SPAN_ARG(req->auth.timestamp), SPAN_ARG(req->auth.scope), hash));
    find_key(req, claim);
    auth_hmac(req->auth.key, 32, to_sign, mac);
    bool is_good = auth_is_mac(mac, req->auth.signature);
    if (!is_good) {
        xml_element(&req->error_more, "StringToSign", to_sign);
        xml_element(&req->error_more, "CanonicalRequest", buf_view(&canonical));
    }
    buf_done(&canonical);
    return is_good ? S3_OK : S3_SignatureDoesNotMatch;
}

enum s3_error auth_check(struct request *req)
{
    struct auth_claim claim = {0};
    enum s3_error error = S3_AccessDenied; /* nobody signed */
    struct span header = request_header(req, "authorization");
    if (header.ptr != NULL) {
        error = parse_header(req, header, &claim);
    } else if (request_has_param(req, "X-Amz-Signature")) {
        error = parse_query(req, &claim);
    }
    enum s3_error (*const checks[])(struct request *, const struct auth_claim *) = {
        check_time, check_scope, check_signed_headers, check_signature};
    for (size_t i = 0; error == S3_OK && i < sizeof(checks) / sizeof(checks[0]); i++) {
        error = checks[i](req, &claim);
    }
    return error != S3_OK ? error : check_payload_kind(req);
}
