#include "transfer/store/errors.h"

#include "daemon/base/loop.h"

static const struct {
    const char *code;
    int meaning;
} codes[] = {
    {"AccessDenied", REPL_EDENIED},
    {"AccountProblem", REPL_EDENIED},
    {"AllAccessDisabled", REPL_EDENIED},
    {"AuthorizationHeaderMalformed", REPL_EREGION},
    {"BadDigest", REPL_ECHECKSUM},
    {"BandwidthLimitExceeded", REPL_ETHROTTLED},
    {"ConditionalRequestConflict", REPL_ESERVER},
    {"EntityTooLarge", REPL_EREFUSED},
    {"EntityTooSmall", REPL_EREFUSED},
    {"ExpiredToken", REPL_ECREDENTIALS},
    {"IllegalLocationConstraintException", REPL_EREGION},
    {"IncompleteBody", REPL_ECHECKSUM},
    {"InternalError", REPL_ESERVER},
    {"InvalidAccessKeyId", REPL_ECREDENTIALS},
    {"InvalidArgument", REPL_EREFUSED},
    {"InvalidBucketName", REPL_ENOBUCKET},
    {"InvalidDigest", REPL_ECHECKSUM},
    {"InvalidObjectName", REPL_EREFUSED},
    {"InvalidObjectState", REPL_EARCHIVED},
    {"InvalidPart", REPL_ENOUPLOAD},
    {"InvalidPartOrder", REPL_ENOUPLOAD},
    {"InvalidRange", REPL_EREFUSED},
    {"InvalidRegion", REPL_EREGION},
    {"InvalidStorageClass", REPL_EREFUSED},
    {"InvalidTag", REPL_EREFUSED},
    {"InvalidToken", REPL_ECREDENTIALS},
    {"KeyTooLongError", REPL_EREFUSED},
    {"MetadataTooLarge", REPL_EREFUSED},
    {"MethodNotAllowed", REPL_EUNSUPPORTED},
    {"NoSuchBucket", REPL_ENOBUCKET},
    {"NoSuchKey", REPL_ENOKEY},
    {"NoSuchUpload", REPL_ENOUPLOAD},
    {"NoSuchVersion", REPL_ENOKEY},
    {"NotImplemented", REPL_EUNSUPPORTED},
    {"ObjectLocked", REPL_EREFUSED},
    {"OperationAborted", REPL_ESERVER},
    {"PermanentRedirect", REPL_EREGION},
    {"PreconditionFailed", REPL_ECHANGED},
    {"QuotaExceeded", REPL_EDENIED},
    {"RequestLimitExceeded", REPL_ETHROTTLED},
    {"RequestTimeTooSkewed", REPL_ESKEW},
    {"RequestTimeout", REPL_ESERVER},
    {"ServiceUnavailable", REPL_ESERVER},
    {"SignatureDoesNotMatch", REPL_EDENIED},
    {"SlowDown", REPL_ETHROTTLED},
    {"SlowDownRead", REPL_ETHROTTLED},
    {"SlowDownWrite", REPL_ETHROTTLED},
    {"TokenRefreshRequired", REPL_ECREDENTIALS},
    {"TooManyRequests", REPL_ETHROTTLED},
    {"UserDisable", REPL_EDENIED},
    {"XAmzContentChecksumMismatch", REPL_ECHECKSUM},
    {"XAmzContentSHA256Mismatch", REPL_ECHECKSUM},
    {"XMinioInvalidObjectName", REPL_EREFUSED},
    {"XMinioInvalidResourceName", REPL_EREFUSED},
    {"XMinioServerNotInitialized", REPL_ESERVER},
};

/* A 404 without a code is no evidence that an object is missing: a proxy says that too. */
static int by_status(unsigned status)
{
    switch (status) {
    case 301:
    case 302:
    case 307:
        return REPL_EREGION;
    case 401:
    case 403:
        return REPL_EDENIED;
    case 404:
        return REPL_EPROTO;
    case 405:
    case 501:
        return REPL_EUNSUPPORTED;
    case 408:
    case 499:
    case 520:
        return REPL_ESERVER;
    case 412:
        return REPL_ECHANGED;
    case 413:
    case 414:
    case 431:
        return REPL_EREFUSED;
    case 429:
    case 509:
        return REPL_ETHROTTLED;
    default:
        return status >= 500 ? REPL_ESERVER : status >= 400 ? REPL_EREFUSED : REPL_EPROTO;
    }
}

int errors_classify(unsigned status, const char *code)
{
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (strcmp(code, codes[i].code) == 0) {
            return codes[i].meaning;
        }
    }
    if (strncmp(code, "Throttl", 7) == 0) { /* Throttling, Throttling.User, ThrottledException … */
        return REPL_ETHROTTLED;
    }
    if (status >= 400 && status < 500 && strncmp(code, "KMS.", 4) == 0) {
        return REPL_EDENIED;
    }
    return by_status(status);
}

const char *errors_hint(int code, const char *server_code)
{
    if (strcmp(server_code, "SignatureDoesNotMatch") == 0) {
        return "the secret key is not the one of this access key, or the url is of another server";
    }
    if (strcmp(server_code, "InvalidAccessKeyId") == 0) {
        return "the access key is unknown to this server";
    }
    switch (code) {
    case REPL_EDENIED:
        return "the key needs the right for this action on this bucket";
    case REPL_ENOBUCKET:
        return "create the bucket, or mend its name";
    case REPL_ECREDENTIALS:
        return "renew the endpoint's credentials";
    case REPL_ESKEW:
        return "set this host's clock (timedatectl, chrony)";
    case REPL_EREGION:
        return "name the bucket's region in the endpoint";
    case REPL_EARCHIVED:
        return "restore it at the source first";
    default:
        return NULL;
    }
}

int errors_retry_after(struct span value, long long now_ms)
{
    const long long most = 600000;
    unsigned long long seconds;
    int64_t at_ms;
    long long ms = 0;
    value = span_trim(value);
    if (value.len == 0) {
        return 0;
    }
    if (span_to_u64(value, &seconds) == 0) {
        ms = seconds > 600 ? most : (long long)seconds * 1000;
    } else if (time_parse(value.ptr, value.len, &at_ms) == 0) {
        ms = at_ms - now_ms;
    }
    return (int)(ms < 0 ? 0 : ms > most ? most : ms);
}
