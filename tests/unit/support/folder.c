#include "tests/unit/support/folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cmocka.h>

#define MEMORY "/dev/shm"
#define ROOM_LEAST                                                                                 \
    ((unsigned long long)256 << 20) /* bytes; a container may have no more than 64 MiB */

static int has_room(void)
{
    struct statvfs fs;
    return access(MEMORY, W_OK) == 0 && statvfs(MEMORY, &fs) == 0 &&
           (unsigned long long)fs.f_bavail * fs.f_frsize >= ROOM_LEAST;
}

void test_folder(char *ret_path, size_t size)
{
    int n = snprintf(ret_path, size, "%s/repl-unit-XXXXXX", has_room() ? MEMORY : "/tmp");
    assert_in_range(n, 1, size - 1);
    assert_non_null(mkdtemp(ret_path));
}
