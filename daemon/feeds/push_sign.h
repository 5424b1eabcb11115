/* push_sign: signatures of services that push: SNS (over members of its JSON) and MNS (over headers
 * of its request). Pure: keys and time come as arguments.
 *
 * The certificate is named by the message itself, so all rests on its place: it is taken only from
 * the service's own host, over a TLS connection that proves it. */
#ifndef REPL_FEEDS_PUSH_SIGN_H
#define REPL_FEEDS_PUSH_SIGN_H

#include "daemon/base/buf.h"
#include "daemon/feeds/event.h"

#include <openssl/evp.h>

/* Whether SNS may have told this URL: https://sns.REGION.amazonaws.com[.cn]/… */
bool push_is_sns_url(struct span url);
/* The certificate's URL as MNS sends it in base64, made https; REPL_EBADINPUT unless it is below
 * https://mnstest.oss-cn-hangzhou.aliyuncs.com/, the only place that its documentation allows. */
int push_mns_url(struct span base64, struct buf *to, struct fail *f);

struct push_header {
    struct span name; /* in any case */
    struct span value;
};

/* What of a request MNS signs. */
struct push_mns {
    const char *method;
    const char *resource; /* path and query */
    const struct push_header *headers;
    size_t header_count;
    struct span body;
};

/* The key of a certificate (PEM) that is valid at this time; NULL with the reason in *f.
 * EVP_PKEY_free() is the caller's. */
EVP_PKEY *push_key(struct span pem, int64_t wall_ms, struct fail *f);

/* 0, or REPL_EDENIED with the reason in *f. */
int push_verify_sns(const struct event_sns *sns, EVP_PKEY *key, struct fail *f);
/* The body is covered by Content-MD5, which must be there; the Date may be 15 minutes off. */
int push_verify_mns(const struct push_mns *mns, EVP_PKEY *key, int64_t wall_ms, struct fail *f);

#endif
