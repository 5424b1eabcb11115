/* peer: may the process at the other end of the control socket do this? */
#ifndef REPL_ADMIN_PEER_H
#define REPL_ADMIN_PEER_H

#include <stdbool.h>
#include <sys/types.h>

/* Whether user uid (with primary group gid) is a member of the group named, NULL = none. */
bool peer_in_group(uid_t uid, gid_t gid, const char *group);

/* Who that is, for a record: "anna (uid 1000)". */
void peer_name(uid_t uid, char *to, size_t size);

#endif
