/* What servers answer when they do not do what they were asked, and what becomes of it: the code,
 * its class, and whether the operation is sent again. One line for each answer that servers are
 * known to give; what else a class entails (fewer requests, a paused endpoint, a state that is read
 * again, a dead letter) is tested where it is done: test_sched.c, test_copy*.c, e2e/test_faults.py.
 */
#include "transfer/copy/retry.h"
#include "transfer/store/errors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum action {
    AGAIN,    /* up to its limit */
    GIVEN_UP, /* at once; the copy or the owner decides */
};

static const struct {
    unsigned status;
    const char *answer;
    int code;
    enum fail_class class;
    enum action action;
} answers[] = {
    /* throttle: fewer requests to this endpoint */
    {503, "SlowDown", REPL_ETHROTTLED, FAIL_THROTTLE, AGAIN},
    {503, "SlowDownRead", REPL_ETHROTTLED, FAIL_THROTTLE, AGAIN},
    {503, "SlowDownWrite", REPL_ETHROTTLED, FAIL_THROTTLE, AGAIN},
    {429, "TooManyRequests", REPL_ETHROTTLED, FAIL_THROTTLE, AGAIN},
    {429, "", REPL_ETHROTTLED, FAIL_THROTTLE, AGAIN},
    {509, "", REPL_ETHROTTLED, FAIL_THROTTLE, AGAIN},
    {400, "RequestLimitExceeded", REPL_ETHROTTLED, FAIL_THROTTLE, AGAIN},
    {503, "RequestLimitExceeded", REPL_ETHROTTLED, FAIL_THROTTLE, AGAIN},
    {400, "Throttling", REPL_ETHROTTLED, FAIL_THROTTLE, AGAIN},
    {400, "ThrottlingException", REPL_ETHROTTLED, FAIL_THROTTLE, AGAIN},
    {400, "Throttling.User", REPL_ETHROTTLED, FAIL_THROTTLE, AGAIN},
    {400, "ThrottledException", REPL_ETHROTTLED, FAIL_THROTTLE, AGAIN},
    {509, "BandwidthLimitExceeded", REPL_ETHROTTLED, FAIL_THROTTLE, AGAIN},
    /* transient */
    {500, "InternalError", REPL_ESERVER, FAIL_RETRY, AGAIN},
    {500, "", REPL_ESERVER, FAIL_RETRY, AGAIN},
    {502, "", REPL_ESERVER, FAIL_RETRY, AGAIN},
    {503, "ServiceUnavailable", REPL_ESERVER, FAIL_RETRY, AGAIN},
    {503, "", REPL_ESERVER, FAIL_RETRY, AGAIN},
    {503, "XMinioServerNotInitialized", REPL_ESERVER, FAIL_RETRY, AGAIN},
    {504, "", REPL_ESERVER, FAIL_RETRY, AGAIN},
    {408, "", REPL_ESERVER, FAIL_RETRY, AGAIN},
    {499, "", REPL_ESERVER, FAIL_RETRY, AGAIN},
    {520, "", REPL_ESERVER, FAIL_RETRY, AGAIN},
    {400, "RequestTimeout", REPL_ESERVER, FAIL_RETRY, AGAIN},
    {404, "", REPL_EPROTO, FAIL_RETRY, AGAIN}, /* a proxy: no evidence that anything is gone */
    /* body: the source is read again */
    {400, "BadDigest", REPL_ECHECKSUM, FAIL_CORRUPT, AGAIN},
    {400, "IncompleteBody", REPL_ECHECKSUM, FAIL_CORRUPT, AGAIN},
    {400, "XAmzContentSHA256Mismatch", REPL_ECHECKSUM, FAIL_CORRUPT, AGAIN},
    {400, "XAmzContentChecksumMismatch", REPL_ECHECKSUM, FAIL_CORRUPT, AGAIN},
    {400, "InvalidDigest", REPL_ECHECKSUM, FAIL_CORRUPT, AGAIN},
    /* raced */
    {409, "OperationAborted", REPL_ESERVER, FAIL_RETRY, AGAIN},
    {409, "ConditionalRequestConflict", REPL_ESERVER, FAIL_RETRY, AGAIN},
    {412, "PreconditionFailed", REPL_ECHANGED, FAIL_GONE, GIVEN_UP},
    {412, "", REPL_ECHANGED, FAIL_GONE, GIVEN_UP},
    /* time: corrected once by the store */
    {403, "RequestTimeTooSkewed", REPL_ESKEW, FAIL_RETRY, AGAIN},
    {403, "", REPL_EDENIED, FAIL_AUTH, AGAIN},
    /* region: likewise */
    {301, "", REPL_EREGION, FAIL_RETRY, AGAIN},
    {307, "", REPL_EREGION, FAIL_RETRY, AGAIN},
    {301, "PermanentRedirect", REPL_EREGION, FAIL_RETRY, AGAIN},
    {400, "AuthorizationHeaderMalformed", REPL_EREGION, FAIL_RETRY, AGAIN},
    /* credentials: read again by the store, then the endpoint is paused */
    {400, "ExpiredToken", REPL_ECREDENTIALS, FAIL_AUTH, AGAIN},
    {400, "InvalidToken", REPL_ECREDENTIALS, FAIL_AUTH, AGAIN},
    {400, "TokenRefreshRequired", REPL_ECREDENTIALS, FAIL_AUTH, AGAIN},
    /* state of an upload: the copy asks, and begins a new one */
    {404, "NoSuchUpload", REPL_ENOUPLOAD, FAIL_GONE, GIVEN_UP},
    {400, "InvalidPart", REPL_ENOUPLOAD, FAIL_GONE, GIVEN_UP},
    {400, "InvalidPartOrder", REPL_ENOUPLOAD, FAIL_GONE, GIVEN_UP},
    {404, "NoSuchKey", REPL_ENOKEY, FAIL_GONE, GIVEN_UP},
    /* this object, as it is: dead letter */
    {400, "EntityTooLarge", REPL_EREFUSED, FAIL_PERMANENT, GIVEN_UP},
    {413, "", REPL_EREFUSED, FAIL_PERMANENT, GIVEN_UP},
    {400, "KeyTooLongError", REPL_EREFUSED, FAIL_PERMANENT, GIVEN_UP},
    {400, "MetadataTooLarge", REPL_EREFUSED, FAIL_PERMANENT, GIVEN_UP},
    {400, "InvalidTag", REPL_EREFUSED, FAIL_PERMANENT, GIVEN_UP},
    {400, "InvalidStorageClass", REPL_EREFUSED, FAIL_PERMANENT, GIVEN_UP},
    {403, "InvalidObjectState", REPL_EARCHIVED, FAIL_PERMANENT, GIVEN_UP},
    {400, "InvalidObjectName", REPL_EREFUSED, FAIL_PERMANENT, GIVEN_UP},
    {400, "XMinioInvalidObjectName", REPL_EREFUSED, FAIL_PERMANENT, GIVEN_UP},
    {400, "ObjectLocked", REPL_EREFUSED, FAIL_PERMANENT, GIVEN_UP},
    {400, "Unheard", REPL_EREFUSED, FAIL_PERMANENT, GIVEN_UP},
    /* the endpoint: paused and asked slowly */
    {403, "AccessDenied", REPL_EDENIED, FAIL_AUTH, AGAIN},
    {403, "InvalidAccessKeyId", REPL_ECREDENTIALS, FAIL_AUTH, AGAIN},
    {403, "SignatureDoesNotMatch", REPL_EDENIED, FAIL_AUTH, AGAIN},
    {403, "AllAccessDisabled", REPL_EDENIED, FAIL_AUTH, AGAIN},
    {404, "NoSuchBucket", REPL_ENOBUCKET, FAIL_AUTH, AGAIN},
    {403, "AccountProblem", REPL_EDENIED, FAIL_AUTH, AGAIN},
    {403, "UserDisable", REPL_EDENIED, FAIL_AUTH, AGAIN},
    {400, "KMS.DisabledException", REPL_EDENIED, FAIL_AUTH, AGAIN},
    /* feature */
    {501, "NotImplemented", REPL_EUNSUPPORTED, FAIL_PERMANENT, GIVEN_UP},
    {501, "", REPL_EUNSUPPORTED, FAIL_PERMANENT, GIVEN_UP},
    {405, "MethodNotAllowed", REPL_EUNSUPPORTED, FAIL_PERMANENT, GIVEN_UP},
    {405, "", REPL_EUNSUPPORTED, FAIL_PERMANENT, GIVEN_UP},
};

static void each_answer_has_a_class_and_an_action(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct fail f = {.code = errors_classify(answers[i].status, answers[i].answer)};
        uint32_t ms;
        bool is_again = retry_decide(&f, 1, 0, &ms) == RETRY_AGAIN;
        if (f.code != answers[i].code || fail_class(f.code) != answers[i].class ||
            is_again != (answers[i].action == AGAIN)) {
            fail_msg("%u %s: %s, class %s, %s", answers[i].status, answers[i].answer,
                     fail_name(f.code), fail_class_name(fail_class(f.code)),
                     is_again ? "again" : "given up");
        }
    }
}

/* Connections that break say nothing of the request: it is sent again on another one. */
static void what_the_network_does_is_transient(void **state)
{
    (void)state;
    static const int codes[] = {REPL_ENET, REPL_EUNREACHABLE, REPL_ETIMEOUT,
                                REPL_ETLS, REPL_ESHORT,       REPL_EPROTO};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        struct fail f = {.code = codes[i]};
        uint32_t ms;
        assert_int_equal(fail_class(codes[i]), FAIL_RETRY);
        assert_int_equal(retry_decide(&f, 1, 0, &ms), RETRY_AGAIN);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_answer_has_a_class_and_an_action),
        cmocka_unit_test(what_the_network_does_is_transient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
