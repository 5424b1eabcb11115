/* assert_span: spans in the manner of cmocka's assertions. */
#ifndef REPL_TEST_ASSERT_SPAN_H
#define REPL_TEST_ASSERT_SPAN_H

#include "daemon/base/span.h"

/* Fails the test with both where s is not text; an absent span is "". */
void assert_span(struct span s, const char *text);

#endif
