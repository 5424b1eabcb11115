/* doctor: descriptors, clock, disk and memory. */
#include "cli/doctor.h"

#include "cli/cli.h"
#include "cli/text.h"

#include <stdio.h>

#define OWN_DESCRIPTORS    1024 /* two endpoints of `migrate` with 256 connections, and room */
#define DAEMON_DESCRIPTORS 4096 /* 1,024 callers and several endpoints with 256 connections */
#define SPACE_WANTS        ((uint64_t)1 << 30)  /* some 2 million pending changes, and the log */
#define MEMORY_BESIDE      ((uint64_t)64 << 20) /* what repld needs beside its budget at most */

void doctor_descriptors(const struct doctor *d, struct doctor_finding *f)
{
    bool good = d->host.descriptors >= OWN_DESCRIPTORS;
    doctor_say(f, good ? DOCTOR_GOOD : DOCTOR_LACKS, "%llu at most in this shell%s",
               (unsigned long long)d->host.descriptors, good ? "" : ", replctl migrate wants 1024");
}

void doctor_daemon_descriptors(const struct doctor *d, struct doctor_finding *f)
{
    const json_t *descriptors = json_object_get(d->status, "descriptors");
    long long limit = cli_number(descriptors, "limit");
    if (descriptors == NULL) {
        doctor_say(f, DOCTOR_UNKNOWN, "repld was not asked");
        return;
    }
    bool good = limit >= DAEMON_DESCRIPTORS;
    doctor_say(f, good ? DOCTOR_GOOD : DOCTOR_LACKS, "%lld of %lld in use%s",
               cli_number(descriptors, "used"), limit, good ? "" : ", 4096 are wanted");
}

void doctor_clock(const struct doctor *d, struct doctor_finding *f)
{
    if (!d->host.knows_clock) {
        doctor_say(f, DOCTOR_UNKNOWN, "the kernel does not tell");
    } else if (d->host.clock_is_synchronised) {
        doctor_say(f, DOCTOR_GOOD, "synchronised");
    } else {
        doctor_say(f, DOCTOR_LACKS, "not synchronised: signatures expire, lag is measured wrong");
    }
}

/* ---- the journal's disk ---- */

void doctor_space(const struct doctor *d, struct doctor_finding *f)
{
    struct buf size = {0};
    if (!d->host.knows_free) {
        doctor_say(f, DOCTOR_UNKNOWN, "%s cannot be looked at", d->host.folder);
        return;
    }
    bool good = d->host.free_bytes >= SPACE_WANTS;
    text_bytes(d->host.free_bytes, &size);
    doctor_say(f, good ? DOCTOR_GOOD : DOCTOR_LACKS, "%s free in %s%s", buf_cstr(&size),
               d->host.folder, good ? "" : ", 1 GiB is wanted");
    buf_done(&size);
}

/* mountinfo writes blanks and the like as \040. */
static void unescape(struct span from, struct buf *to)
{
    while (from.len > 0) {
        unsigned code = 0;
        bool escaped = from.len >= 4 && from.ptr[0] == '\\' &&
                       sscanf(from.ptr + 1, "%3o", &code) == 1 && code < 256;
        buf_char(to, escaped ? (char)code : from.ptr[0]);
        from = span_skip(from, escaped ? 4 : 1);
    }
}

static bool lies_below(const char *path, struct span mount)
{
    bool is_root = span_eq_str(mount, "/");
    return span_starts_with(span_str(path), mount) &&
           (is_root || path[mount.len] == '\0' || path[mount.len] == '/');
}

/* "ID PARENT MAJOR:MINOR ROOT MOUNT OPTIONS [FIELDS…] - TYPE SOURCE OPTIONS", proc(5). */
static struct span type_of_mount(struct span line, struct buf *mount)
{
    buf_reset(mount);
    for (int i = 0; i < 4; i++) {
        (void)span_cut(&line, ' ');
    }
    unescape(span_cut(&line, ' '), mount);
    while (line.ptr != NULL && !span_eq_str(span_cut(&line, ' '), "-")) {
    }
    return span_cut(&line, ' ');
}

/* The type of the deepest mount above the folder, the last one where several are. */
static struct span find_type(struct span mountinfo, const char *folder)
{
    struct buf mount = {0};
    struct span found = {0};
    size_t depth = 0;
    while (mountinfo.ptr != NULL) {
        struct span type = type_of_mount(span_cut(&mountinfo, '\n'), &mount);
        if (type.len > 0 && mount.len >= depth && lies_below(folder, buf_view(&mount))) {
            depth = mount.len;
            found = type;
        }
    }
    buf_done(&mount);
    return found;
}

/* What is wrong with a journal on it; NULL: nothing that is known. SQLite needs locks that hold and
 * an fsync that does what it says. */
static const char *fault_of(struct span type)
{
    static const char *const networks[] = {"nfs",    "cifs",      "smb",   "9p",
                                           "afs",    "ceph",      "ocfs2", "gfs2",
                                           "lustre", "glusterfs", "fuse",  "virtiofs"};
    if (span_eq_str(type, "tmpfs") || span_eq_str(type, "ramfs")) {
        return "memory: the journal is gone after a reboot";
    }
    if (span_eq_str(type, "fuseblk")) {
        return NULL; /* a local disk */
    }
    for (size_t i = 0; i < sizeof(networks) / sizeof(networks[0]); i++) {
        if (span_starts_with(type, span_str(networks[i]))) {
            return "no local disk: SQLite's locks and fsync do not hold there";
        }
    }
    return NULL;
}

void doctor_file_system(const struct doctor *d, struct doctor_finding *f)
{
    const char *file = d->root[0] == '\0' ? "/proc/self/mountinfo" : "/proc/1/mountinfo";
    struct buf text = {0};
    struct span type = {0};
    if (doctor_read(d, file, &text)) {
        type = find_type(buf_view(&text), d->host.folder);
    }
    const char *fault = fault_of(type);
    if (type.len == 0) {
        doctor_say(f, DOCTOR_UNKNOWN, "what holds %s cannot be told", d->host.folder);
    } else if (fault != NULL) {
        doctor_say(f, DOCTOR_LACKS, "%.*s holds %s, %s", SPAN_ARG(type), d->host.folder, fault);
    } else {
        doctor_say(f, DOCTOR_GOOD, "%.*s holds %s", SPAN_ARG(type), d->host.folder);
    }
    buf_done(&text);
}

/* ---- memory ---- */

static bool read_number(const struct doctor *d, const char *path, uint64_t *ret)
{
    struct buf text = {0};
    unsigned long long value;
    bool good = doctor_read(d, path, &text) && sscanf(buf_cstr(&text), "%llu", &value) == 1;
    if (good) {
        *ret = value;
    }
    buf_done(&text);
    return good;
}

/* The limit that a container sees; "max" is none, and hosts have no such file. */
static uint64_t left_in_group(const struct doctor *d)
{
    uint64_t most;
    uint64_t used = 0;
    if (!read_number(d, "/sys/fs/cgroup/memory.max", &most)) {
        return UINT64_MAX;
    }
    (void)read_number(d, "/sys/fs/cgroup/memory.current", &used);
    return most > used ? most - used : 0;
}

static bool read_available(const struct doctor *d, uint64_t *ret)
{
    struct buf text = {0};
    const char *line = NULL;
    unsigned long long kib;
    if (doctor_read(d, "/proc/meminfo", &text)) {
        line = strstr(buf_cstr(&text), "MemAvailable:");
    }
    bool good = line != NULL && sscanf(line, "MemAvailable: %llu kB", &kib) == 1;
    if (good) {
        uint64_t in_group = left_in_group(d);
        uint64_t bytes = (uint64_t)kib * 1024;
        *ret = bytes < in_group ? bytes : in_group;
    }
    buf_done(&text);
    return good;
}

/* What a running repld has taken already is not available any more, and not wanted again. */
void doctor_memory(const struct doctor *d, struct doctor_finding *f)
{
    uint64_t available;
    uint64_t budget = d->conf->memory_bytes;
    uint64_t used = 0;
    struct buf has = {0};
    struct buf wants = {0};
    if (!read_available(d, &available)) {
        doctor_say(f, DOCTOR_UNKNOWN, "/proc/meminfo does not tell what is available");
        return;
    }
    if (d->status != NULL) {
        budget = (uint64_t)cli_number(d->status, "memory_bytes");
        used = (uint64_t)cli_number(d->status, "memory_used_bytes");
    }
    uint64_t need = budget + MEMORY_BESIDE - (used < budget ? used : budget);
    text_bytes(available, &has);
    text_bytes(need, &wants);
    doctor_say(f, available >= need ? DOCTOR_GOOD : DOCTOR_LACKS,
               "%s available, repld may take %s%s", buf_cstr(&has), buf_cstr(&wants),
               d->status != NULL ? " more" : "");
    buf_done(&has);
    buf_done(&wants);
}
