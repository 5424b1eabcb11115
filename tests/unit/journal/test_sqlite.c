/* The file of the SQLite backend. What every backend promises is tested by test_backend*.c. */
#include "tests/unit/support/backend_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#define CACHE ((uint64_t)1 << 20)

static void the_file_is_private(void **state)
{
    struct world *w = *state;
    struct stat st;
    assert_int_equal(stat(w->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_newer_schema_is_refused(void **state)
{
    struct world *w = *state;
    struct backend *other;
    struct fail f;
    char command[160];
    w->ops->rollback(w->b);
    snprintf(command, sizeof(command),
             "/usr/bin/python3 -c \"import sqlite3; sqlite3.connect('%s')"
             ".execute('PRAGMA user_version=99')\"",
             w->path);
    assert_int_equal(system(command), 0);
    assert_int_equal(backend_open_sqlite(w->path, BACKEND_WRITER, CACHE, &other, &f), REPL_ESCHEMA);
    assert_non_null(strstr(f.text, "99"));
    assert_true(f.hint[0] != '\0');
}

static void a_file_that_is_no_database(void **state)
{
    struct world *w = *state;
    struct backend *other;
    struct fail f;
    char path[80];
    snprintf(path, sizeof(path), "%s/other", w->folder);
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 300; i++) {
        fputs("this is no database ", file);
    }
    fclose(file);
    assert_int_equal(backend_open_sqlite(path, BACKEND_WRITER, CACHE, &other, &f), REPL_EJOURNAL);
    assert_true(f.text[0] != '\0');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(the_file_is_private),
        WORLD_TEST(a_newer_schema_is_refused),
        WORLD_TEST(a_file_that_is_no_database),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
