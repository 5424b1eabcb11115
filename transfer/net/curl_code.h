/* curl_code: our word for a failure of libcurl. */
#ifndef REPL_NET_CURL_CODE_H
#define REPL_NET_CURL_CODE_H

#include "daemon/base/fail.h"

#include <curl/curl.h>

/* Of REPL_E*; not for CURLE_OK. */
int curl_code(CURLcode rc);
/* Code, words and hint into *f; `easy` has just failed with rc. */
void curl_fail(CURL *easy, CURLcode rc, int code, struct fail *f);

#endif
