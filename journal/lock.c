#include "journal/lock.h"

#include "daemon/base/mem.h"
#include "journal/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* "PID OWNER"; the file is empty when there was no room on the disk for that. */
static int refuse(const char *path, int fd, struct fail *f)
{
    char text[96] = "";
    int pid = 0;
    char owner[65] = "";
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    if (sscanf(text, "%d %64s", &pid, owner) == 2) {
        fail_set(f, REPL_EOWNED, "journal %s is in use by process %d, instance %s", path, pid,
                 owner);
    } else {
        fail_set(f, REPL_EOWNED, "journal %s is in use by another process", path);
    }
    fail_hint(f, "one program at a time may use it: stop the other repld or replctl migrate");
    return REPL_EOWNED;
}

int lock_take(const char *path, const char *owner, int *ret_fd, struct fail *f)
{
    char *name = mem_printf("%s-lock", path);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int error = fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 ? errno : 0;
    if (error != 0) {
        bool held = fd >= 0 && error == EWOULDBLOCK;
        int r = held ? refuse(path, fd, f) : place_fail(path, name, error, f);
        if (fd >= 0) {
            close(fd);
        }
        mem_free(name);
        return r;
    }
    mem_free(name);
    if (ftruncate(fd, 0) == 0) {
        dprintf(fd, "%d %s\n", (int)getpid(), owner);
    }
    *ret_fd = fd;
    return 0;
}

void lock_drop(int fd)
{
    close(fd);
}
