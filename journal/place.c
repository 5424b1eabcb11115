#include "journal/place.h"

#include "daemon/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* "root", or "uid 1234" where nobody is called so. */
static const char *user_name(uid_t uid, char *to, size_t size)
{
    const struct passwd *user = getpwuid(uid);
    if (user != NULL) {
        snprintf(to, size, "%s", user->pw_name);
    } else {
        snprintf(to, size, "uid %lu", (unsigned long)uid);
    }
    return to;
}

static int fail_directory(const char *path, struct fail *f)
{
    size_t len = strlen(path);
    fail_set(f, -EISDIR, "journal %s is a directory", path);
    fail_hint(f, "name a file in it, %s%sjournal.db for example (journal.path or --journal)", path,
              len > 0 && path[len - 1] == '/' ? "" : "/");
    return -EISDIR;
}

static int fail_kind(const char *path, mode_t mode, struct fail *f)
{
    if (S_ISDIR(mode)) {
        return fail_directory(path, f);
    }
    int error = S_ISLNK(mode) ? ELOOP : EINVAL;
    fail_set(f, -error, "journal %s is %s", path,
             S_ISLNK(mode) ? "a symbolic link" : "no regular file");
    fail_hint(f, "name a file of repld's own (journal.path or --journal)");
    return -error;
}

/* What denies the access: `of` itself, a file or a folder. */
static int fail_rights(const char *path, const char *of, const struct stat *st, int error,
                       struct fail *f)
{
    char owner[64];
    char us[64];
    bool is_journal = strcmp(path, of) == 0;
    user_name(geteuid(), us, sizeof(us));
    user_name(st->st_uid, owner, sizeof(owner));
    const char *what = S_ISDIR(st->st_mode) ? "its folder " : is_journal ? "" : "its file ";
    const char *colon = is_journal ? "" : ": ";
    const char *name = is_journal ? "" : of;
    if (st->st_uid != geteuid()) {
        fail_set(f, -error, "journal %s%s%s%s belongs to user %s, this program runs as user %s",
                 path, colon, what, name, owner, us);
        fail_hint(f,
                  "%s%s%sgive that to user %s with chown, or name another place (journal.path or"
                  " --journal)",
                  st->st_uid != 0 ? "run it as user " : "", st->st_uid != 0 ? owner : "",
                  st->st_uid != 0 ? ", " : "", us);
    } else {
        fail_set(f, -error, "journal %s%s%s%s has mode %04o: user %s, who owns it, may not use it",
                 path, colon, what, name, (unsigned)st->st_mode & 07777, us);
        fail_hint(f, "give its owner the right to read and write with chmod");
    }
    return -error;
}

static char *folder_of(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash == NULL   ? mem_strdup(".")
           : slash == name ? mem_strdup("/")
                           : mem_printf("%.*s", (int)(slash - name), name);
}

static int fail_denied(const char *path, const char *name, int error, struct fail *f)
{
    struct stat st;
    char *folder = folder_of(name);
    int r;
    if (lstat(name, &st) == 0) {
        r = fail_rights(path, name, &st, error, f);
    } else if (stat(folder, &st) == 0) {
        r = fail_rights(path, folder, &st, error, f);
    } else {
        char us[64];
        r = fail_set(f, -error, "journal %s: user %s may not enter its folder", path,
                     user_name(geteuid(), us, sizeof(us)));
        fail_hint(f, "its folder, and those above it, must let the user in that runs repld");
    }
    mem_free(folder);
    return r;
}

int place_fail(const char *path, const char *name, int error, struct fail *f)
{
    struct stat st;
    if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        return fail_kind(path, st.st_mode, f);
    }
    if (error == EACCES || error == EPERM) {
        return fail_denied(path, name, error, f);
    }
    fail_set(f, -error, "journal %s: %s", path, strerror(error));
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        fail_hint(f, "its folder must exist and belong to the user that runs repld");
        break;
    case ENOSPC:
    case EDQUOT:
        fail_hint(f, "free space on the journal's file system");
        break;
    case EROFS:
        fail_hint(f, "name a place that can be written (journal.path or --journal)");
        break;
    default:
        break;
    }
    return -error;
}

int place_look(const char *path, uint64_t *ret_size, struct fail *f)
{
    struct stat st;
    if (lstat(path, &st) < 0) {
        return errno == ENOENT ? REPL_ENOTFOUND : place_fail(path, path, errno, f);
    }
    if (!S_ISREG(st.st_mode)) {
        return fail_kind(path, st.st_mode, f);
    }
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return place_fail(path, path, errno, f);
    }
    close(fd);
    *ret_size = (uint64_t)st.st_size;
    return 0;
}
