/* doctor: what a host lacks for repld to be fast and safe, and the command that mends it. Each
 * check is one line of doctor_checks[]; checks read the host below a root folder (tests give a
 * made-up one) and what was found out before them, and change nothing. */
#ifndef REPL_CLI_DOCTOR_H
#define REPL_CLI_DOCTOR_H

#include "daemon/base/buf.h"
#include "daemon/conf/conf.h"

#include <jansson.h>

/* What does not stand in a file. Filled by doctor_look(). */
struct doctor_host {
    uint64_t descriptors; /* that this process may open */
    bool knows_clock;
    bool clock_is_synchronised;
    char folder[4096]; /* of the journal, or the nearest one above it that exists; without root */
    bool knows_free;
    uint64_t free_bytes; /* there, for users without privileges */
};

struct doctor {
    const char *root;        /* "" = this host; else where its /proc, /sys and / are */
    const struct conf *conf; /* what the file says, or the defaults */
    const json_t *status;    /* the daemon's answer; NULL: none runs here */
    const char *journal;     /* path of its file */
    struct doctor_host host;
};

enum doctor_state {
    DOCTOR_GOOD,
    DOCTOR_LACKS,
    DOCTOR_UNKNOWN, /* cannot be seen from here; not counted as lacking */
};

struct doctor_finding {
    enum doctor_state state;
    struct buf text; /* what is, in a few words */
    struct buf mend; /* empty: that of the table */
};

struct doctor_check {
    const char *name; /* NULL ends the table */
    void (*check)(const struct doctor *d, struct doctor_finding *f);
    const char *mend; /* a command, or what to do; "" when check() writes it */
};

extern const struct doctor_check doctor_checks[];

void doctor_look(struct doctor *d);

/* Of the check functions: doctor_network.c, doctor_machine.c. */
void doctor_congestion(const struct doctor *d, struct doctor_finding *f);
void doctor_allowed(const struct doctor *d, struct doctor_finding *f);
void doctor_granted(const struct doctor *d, struct doctor_finding *f);
void doctor_send_buffers(const struct doctor *d, struct doctor_finding *f);
void doctor_receive_buffers(const struct doctor *d, struct doctor_finding *f);
void doctor_slow_start(const struct doctor *d, struct doctor_finding *f);
void doctor_descriptors(const struct doctor *d, struct doctor_finding *f);
void doctor_daemon_descriptors(const struct doctor *d, struct doctor_finding *f);
void doctor_clock(const struct doctor *d, struct doctor_finding *f);
void doctor_space(const struct doctor *d, struct doctor_finding *f);
void doctor_file_system(const struct doctor *d, struct doctor_finding *f);
void doctor_memory(const struct doctor *d, struct doctor_finding *f);

/* The file below the root, at most 1 MiB of it; false when it cannot be read. */
bool doctor_read(const struct doctor *d, const char *path, struct buf *to);
void doctor_say(struct doctor_finding *f, enum doctor_state state, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
