#include "daemon/admin/peer.h"

#include "daemon/base/mem.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>

static bool has_group(const struct passwd *user, gid_t wanted)
{
    int n = 0;
    getgrouplist(user->pw_name, user->pw_gid, NULL, &n);
    gid_t *groups = mem_array((size_t)n + 1, sizeof(*groups));
    bool found = false;
    if (getgrouplist(user->pw_name, user->pw_gid, groups, &n) >= 0) {
        for (int i = 0; i < n && !found; i++) {
            found = groups[i] == wanted;
        }
    }
    mem_free(groups);
    return found;
}

bool peer_in_group(uid_t uid, gid_t gid, const char *group)
{
    if (group == NULL) {
        return false;
    }
    const struct group *entry = getgrnam(group);
    if (entry == NULL) {
        return false;
    }
    gid_t wanted = entry->gr_gid;
    const struct passwd *user = getpwuid(uid);
    return gid == wanted || (user != NULL && has_group(user, wanted));
}

void peer_name(uid_t uid, char *to, size_t size)
{
    const struct passwd *user = getpwuid(uid);
    snprintf(to, size, "%.64s (uid %u)", user != NULL ? user->pw_name : "?", (unsigned)uid);
}
