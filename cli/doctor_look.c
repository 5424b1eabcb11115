/* doctor: what system calls tell, and files below the root. */
#include "cli/doctor.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

bool doctor_read(const struct doctor *d, const char *path, struct buf *to)
{
    char whole[PATH_MAX];
    char block[4096];
    size_t n;
    snprintf(whole, sizeof(whole), "%s%s", d->root, path);
    FILE *file = fopen(whole, "re");
    if (file == NULL) {
        return false;
    }
    buf_init(to, 1 << 20);
    while ((n = fread(block, 1, sizeof(block), file)) > 0) {
        buf_append(to, block, n);
    }
    bool good = ferror(file) == 0;
    fclose(file);
    return good;
}

void doctor_say(struct doctor_finding *f, enum doctor_state state, const char *format, ...)
{
    va_list args;
    f->state = state;
    buf_reset(&f->text);
    va_start(args, format);
    buf_vprintf(&f->text, format, args);
    va_end(args);
}

/* The kernel's own word, whichever of chrony, ntpd or timesyncd keeps the clock. */
static void look_at_clock(struct doctor_host *h)
{
    struct timex t = {.modes = 0};
    h->knows_clock = adjtimex(&t) >= 0;
    h->clock_is_synchronised = (t.status & STA_UNSYNC) == 0;
}

/* The folder of the journal, which may not be made yet: then the nearest one above it. *path is
 * absolute and loses its end. */
static void cut_to_existing(char *path, size_t root_len, char found[PATH_MAX])
{
    char *slash;
    do {
        slash = strrchr(path + root_len, '/');
        if (slash == NULL || slash == path) {
            snprintf(path, 2, "/");
            break;
        }
        *slash = '\0';
    } while (access(path, F_OK) < 0 && errno == ENOENT);
    if (realpath(path, found) == NULL) {
        snprintf(found, PATH_MAX, "%s", path);
    }
}

static void look_at_folder(struct doctor *d)
{
    char path[PATH_MAX];
    char found[PATH_MAX];
    struct statvfs v;
    size_t root_len = strlen(d->root);
    snprintf(path, sizeof(path), "%s%s", d->root, d->journal);
    cut_to_existing(path, root_len, found);
    if (statvfs(found, &v) == 0) {
        d->host.knows_free = true;
        d->host.free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
    }
    const char *below = strncmp(found, d->root, root_len) == 0 ? found + root_len : found;
    snprintf(d->host.folder, sizeof(d->host.folder), "%s", below[0] != '\0' ? below : "/");
}

void doctor_look(struct doctor *d)
{
    struct rlimit limit = {0};
    getrlimit(RLIMIT_NOFILE, &limit);
    d->host.descriptors = limit.rlim_cur;
    look_at_clock(&d->host);
    look_at_folder(d);
}
