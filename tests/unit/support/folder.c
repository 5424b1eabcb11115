#include "tests/unit/support/folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

void test_folder(char *ret_path, size_t size)
{
    const char *parent = getenv("REPL_FOLDER");
    int n = snprintf(ret_path, size, "%s/repl-unit-XXXXXX",
                     parent != NULL && parent[0] != '\0' ? parent : "/tmp");
    assert_in_range(n, 1, size - 1);
    assert_non_null(mkdtemp(ret_path));
}
