#include "transfer/net/curl_code.h"

#include "transfer/net/tls.h"

#include <uv.h>

int curl_code(CURLcode rc)
{
    switch (rc) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
        return REPL_EUNREACHABLE;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        return REPL_ETLS;
    case CURLE_PARTIAL_FILE:
        return REPL_ESHORT;
    case CURLE_WRITE_ERROR: /* our own function did not take it */
        return REPL_EINTERNAL;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
        return REPL_EPROTO;
    default: /* sending, receiving, nothing came */
        return REPL_ENET;
    }
}

/* "Couldn't connect to server" is all that libcurl says by itself. */
static const char *words_of(CURL *easy, CURLcode rc)
{
    long number = 0;
    if (rc == CURLE_COULDNT_CONNECT) {
        curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &number);
    }
    return number > 0                        ? uv_strerror(-(int)number)
           : rc == CURLE_ABORTED_BY_CALLBACK ? "connection was lost before an answer"
                                             : curl_easy_strerror(rc);
}

void curl_fail(CURL *easy, CURLcode rc, int code, struct fail *f)
{
    fail_set(f, code, "%s", words_of(easy, rc));
    if (rc == CURLE_PEER_FAILED_VERIFICATION) {
        fail_hint(f, "name the CA of the server's certificate as ca_file of the endpoint");
    } else if (rc == CURLE_COULDNT_RESOLVE_HOST) {
        fail_hint(f, "check the host name in the endpoint's url, and DNS");
    } else if (rc == CURLE_SSL_CONNECT_ERROR) {
        fail_hint(f, TLS_HINT_PLAIN);
    }
}
