/* wan: the two directions between two TUN devices, and the commands that change them. */
#ifndef WAN_WAN_H
#define WAN_WAN_H

#include "tests/wan/line.h"
#include "tests/wan/link.h"

#include <stdio.h>

enum { WAN_UP, WAN_DOWN, WAN_WAYS }; /* up: from near to far */

struct way {
    const char *name;
    int from_fd, to_fd;
    struct link link;
    struct line line;
    uint64_t refused;    /* packets that the receiving device did not take */
    int64_t late_ns;     /* the most that a packet came later than it was due */
    int64_t sum_late_ns; /* of all packets */
};

struct wan {
    struct way ways[WAN_WAYS];
    FILE *log; /* a line for every drop; NULL: none */
    int64_t start_ns;
};

/* Does one command (see usage in main.c) and writes the answer, one line of JSON. All of a command
 * is done or nothing. */
void wan_command(struct wan *wan, const char *command, int64_t now_ns, FILE *answer);

#endif
