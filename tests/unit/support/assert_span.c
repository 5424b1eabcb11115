#include "tests/unit/support/assert_span.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

void assert_span(struct span s, const char *text)
{
    if (!span_eq_str(s, text)) {
        fail_msg("\"%.*s\" is not \"%s\"", SPAN_ARG(s), text);
    }
}
